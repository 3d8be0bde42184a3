"""Borders: what surrounds images, and where a pixel outside of them comes from.

Kernels know a border by its place in BORDERS.  Of images without any border but zeros they take
care themselves; all others are put where images are staged (`_plan.staging`), or around copies.
"""

from __future__ import annotations

BORDERS = ("zeros", "constant", "edge", "symmetric", "reflect", "wrap")
ZEROS, CONSTANT, EDGE, SYMMETRIC, REFLECT, WRAP = range(len(BORDERS))
# What users call them.  SciPy's "reflect" is "symmetric" here, as in `np.pad`, and its "mirror" is
# "reflect".
MODES = {
    # np.pad's
    "constant": "constant",
    "reflect": "reflect",
    "symmetric": "symmetric",
    "edge": "edge",
    "wrap": "wrap",
    # PyTorch's
    "zeros": "constant",
    "replicate": "edge",
    "circular": "wrap",
}


def index(i: int, size: int, border: int) -> int:
    """The place in an axis of so many pixels, at least one, of what stands at place `i` outside;
    -1: no pixel of the axis, but a value of its own.  Inside it is `i`.

    A border is one of the constants above.  SciPy's names stand beside those of `np.pad`:

    ====================================  ==========================
    zeros, constant (constant)            ``0000|abcd|0000``
    edge (nearest)                        ``aaaa|abcd|dddd``
    symmetric (reflect)                   ``dcba|abcd|dcba``
    reflect (mirror)                      ``dcb|abcd|cba``, of one pixel ``aaa|a|aaa``
    wrap (wrap)                           ``abcd|abcd|abcd``
    ====================================  ==========================
    """
    if border == EDGE:
        return min(max(i, 0), size - 1)
    if border == SYMMETRIC:
        place = i % (2 * size)
        return min(place, 2 * size - 1 - place)
    if border == REFLECT:
        period = max(2 * size - 2, 1)
        place = i % period
        return min(place, period - place) if size > 1 else 0
    if border == WRAP:
        return i % size
    return i if 0 <= i < size else -1


def border_of(mode: str, value: complex) -> int:
    """The place in BORDERS of a mode of np.pad's names; of "constant", that of a value."""
    if mode == "constant":
        return CONSTANT if value != 0 else ZEROS
    return BORDERS.index(mode)


def maps(border: int) -> bool:
    """Whether what stands outside are pixels of the images."""
    return border > CONSTANT
