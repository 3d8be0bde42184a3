"""Tables of the rows of inputs and outputs that a tile of several output rows goes through."""

from __future__ import annotations

from .runtime import Record, chapter, subroutine

# The address of a row's first element, and the bytes from one place in it to the next: 0 where the
# row is one place again and again.
LINE = Record("address", "step")
write_line = LINE.writer()
LINE_BYTES = LINE.size


@subroutine
def plane_of(plan, image, z):
    """The address of plane `z` of an image; 0: it is outside, where nothing of an image lies."""
    return image + z * plan.image_z if z >= 0 and z < plan.d else 0


@chapter
def point_at_inputs(plan, table, count, top, plane, step, zeros):
    """Write `count` lines of a plane, from row `top` on; those outside of the image are `zeros`."""
    for i in range(count):
        inside = plane != 0 and top + i >= 0 and top + i < plan.h
        at = plane + (top + i) * plan.image_y
        write_line(table, i, address=at if inside else zeros, step=step if inside else 0)


@chapter
def point_at_outputs(plan, table, count, top, out, step, spill):
    """Write `count` lines of an output, from row `top` on.  Those below the last are `spill`, which
    nobody reads."""
    for i in range(count):
        inside = top + i < plan.oh
        at = out + (top + i) * plan.out_y
        write_line(table, i, address=at if inside else spill, step=step if inside else 0)
