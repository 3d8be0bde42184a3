"""All garbage for each argument of transposed convolutions and of gradients: it is refused by name,
and `out` is as it was.  (Pools' and functions' is in their own files; `test_hostile.py` draws calls
of all of them.)
"""

from __future__ import annotations

import numpy as np
import pytest
from hostile import arguments, lies, operators
from hostile.arguments import Case
from hostile.right import UNSURE, WRONG
from test_hostile import refusal

import aotconv
from aotconv import gradients
from aotconv._tools.problem import CLASSES, FUNCTIONS

SIDE, KERNEL = 5, 3
RANKS = 1, 2, 3


def doors():
    for rank in RANKS:
        spatial, kernel = (SIDE,) * rank, (KERNEL,) * rank
        images, filters = np.ones((*spatial, 1), np.float32), np.ones((*kernel, 1, 1), np.float32)
        small = np.ones((*(SIDE - KERNEL + 1,) * rank, 1), np.float32)
        given = {"images": images, "filters": filters}
        yield rank, getattr(aotconv, f"conv{rank}d_transpose"), given
        yield rank, getattr(aotconv, f"Conv{rank}DTranspose"), {"filters": filters}
        shaped = {"output_gradient": small, "filters": filters, "images_shape": images.shape}
        yield rank, getattr(gradients, f"conv{rank}d_images"), shaped
        shaped = {"images": images, "output_gradient": small, "filters_shape": filters.shape}
        yield rank, getattr(gradients, f"conv{rank}d_filters"), shaped


@pytest.mark.parametrize(
    ("rank", "door", "given", "name"),
    [
        pytest.param(rank, door, given, name, id=f"{door.__name__}-{name}")
        for rank, door, given in doors()
        for name in arguments.names_of(door)
    ],
)
def test_garbage_is_refused_in_a_short_message_that_names_its_argument(rank, door, given, name):
    images, filters = np.ones((SIDE,) * rank + (1,), np.float32), np.ones((KERNEL,) * rank + (1, 1))
    case = Case(None, np.random.default_rng(0), rank, filters, 1, images)
    for make in operators.garbage_of(name, case):
        piece = make()
        print(piece.label)  # the last one is what fails
        meaning, names = piece.meaning, [name]
        if name == "padding" and "images_shape" not in given and "filters_shape" not in given:
            meaning = UNSURE  # less than nothing extends a result
        if meaning is UNSURE:  # what may mean something may not fit the others
            names += ["output_gradient", "images_shape"]
        error = refusal(lambda value=piece.value: door(**{**given, name: value}), meaning, *names)
        if error is not None:
            assert len(str(error)) < 500
            is_lie = piece.meaning is WRONG and type(piece.value).__module__ == lies.__name__
            if is_lie and isinstance(given.get(name), np.ndarray):
                assert type(error) is TypeError


def test_calls_of_every_door_are_drawn():
    public = [getattr(aotconv, name) for name in aotconv.__all__ if "Warning" not in name]
    public += [getattr(gradients, name) for name in gradients.__all__]
    arrays = {"images", "filters", "output_gradient", "array"}
    doors = {each for each in public if callable(each) and arrays & {*arguments.names_of(each)}}
    assert doors == {*FUNCTIONS.values(), *CLASSES.values(), *operators.DOORS}


@pytest.mark.parametrize(
    ("door", "given"),
    [
        pytest.param(door, given, id=door.__name__)
        for _, door, given in doors()
        if "Conv" not in door.__name__
    ],
)
def test_a_refused_call_leaves_out_as_it_was(door, given):
    out = np.full_like(door(**given), 7)
    for wrong in ({"strides": 0}, {"groups": 5}, {"threads": 0}, {"data_format": "NHCW"}):
        with pytest.raises(ValueError):
            door(**given, **wrong, out=out)
    with pytest.raises(ValueError, match="out must have"):
        door(**given, out=out[1:])
    with pytest.raises(TypeError, match="out must have"):
        door(**given, out=out.astype(np.float64))
    assert (out == 7).all()
