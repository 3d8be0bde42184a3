"""Elements added at places of other arrays, one pixel after the other: the gradient of maxima."""

from __future__ import annotations

from .runtime import ceil_div, tile_intrinsic

PLACE_BYTES = 8


def added(v, row, source, places, sums, outputs, channels, step):
    """Add to `channels` sums of a pixel for each of `outputs` pixels, in their order.

    source, places, sums : addresses of elements of the row's dtype, of int64, and of the dtype;
        channels lie side by side, and pixels `step` elements apart, of all three alike.  A place is
        the number of the sums' pixel, or less than 0, and then nothing is added.
    """
    b = v.builder
    source, sums = v.pointer(source), v.pointer(sums)

    def add_one(at, channel) -> None:
        place = v.load_word(places, at)
        for _ in v.when(v.less(-1, place)):
            target = v.at(sums, v.add(v.mul(place, step), channel))
            element = b.load(v.at(source, at), align=row.itemsize)
            total = b.fadd(b.load(target, align=row.itemsize), element)
            b.store(total, target, align=row.itemsize)

    for alone in v.choose(v.equal(step, 1)):
        for i in v.loop(outputs):
            if alone:  # which a loop of one channel takes twice as long for
                add_one(i, 0)
                continue
            begin = v.mul(i, step)
            for channel in v.loop(channels):
                add_one(v.add(begin, channel), channel)


add = tile_intrinsic(added)


def task(row, plan, images, out, residual, index):
    """Add some channels of one image.

    images : address of the first element that is added, in C order of images, pixels and channels
        as the plan tells.
    residual : bytes from `out` to the first one's place, an int64; places lie in the same order,
        and are less than the pixels of an image of sums.
    out : address of the first sum, in the same order.

    Reads and writes these alone.
    """
    blocks = ceil_div(plan.channels, plan.task_channels)
    image = index // blocks
    channel = (index - image * blocks) * plan.task_channels
    first = image * plan.added_n + channel
    add(
        row,
        source=images + first * row.itemsize,
        places=out + residual + first * PLACE_BYTES,
        sums=out + (image * plan.sums_n + channel) * row.itemsize,
        outputs=plan.outputs,
        channels=min(plan.task_channels, plan.channels - channel),
        step=plan.step,
    )
