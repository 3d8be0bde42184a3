"""What errors of channels and biases say to write instead is true: written so, they agree."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from strategies import filter_formats

import aotconv
from aotconv import gradients
from aotconv._core.check import DATA_FORMATS

CHANNELS = r"must agree in channels|groups must divide|bias must have"
ARGUMENT = re.compile(r"(\w+)=('\w+'|\d+|np\.tile\(\w+, (?:\d+|\([\d, ]+\))\))")


def layer_of(name: str) -> Callable[..., Any]:
    """A layer's call, as a function of images and of what makes it."""
    kind = getattr(aotconv, name)

    def call(images, **about):
        return kind(**about)(images)

    parameters = [inspect.Parameter("images", inspect.Parameter.KEYWORD_ONLY)]
    parameters += inspect.signature(kind).parameters.values()
    call.__signature__ = inspect.Signature(parameters, __validate_parameters__=False)
    return call


def doors(rank: int) -> dict[str, Callable[..., Any]]:
    return {
        "conv": getattr(aotconv, f"conv{rank}d"),
        "layer": layer_of(f"Conv{rank}D"),
        "transposed": getattr(aotconv, f"conv{rank}d_transpose"),
        "transposed layer": layer_of(f"Conv{rank}DTranspose"),
        "images": getattr(gradients, f"conv{rank}d_images"),
        "filters": getattr(gradients, f"conv{rank}d_filters"),
    }


def cures(message: str) -> Iterator[dict[str, str]]:
    """The arguments that an error says, each set of them by itself."""
    for cure in message.split("; ")[1:]:
        for either in cure.split(", or with "):
            told = dict(ARGUMENT.findall(either))
            index = re.search(r"are (images\[.*\])$", either)
            if index:
                told["images"] = index[1]
            assert told, message
            yield told


@st.composite
def calls(draw):
    """Doors with arrays that hardly ever agree."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    size = st.sampled_from([1, 2, 3, 3, 4, 6, 8])
    name = draw(st.sampled_from([*doors(rank)]))
    sizes = [draw(size) for _ in range(rank + 2)]
    places = range(rank) if draw(st.booleans()) else range(2, rank + 2)
    square = draw(st.booleans())
    for place in places if square else ():
        sizes[place] = 3
    shape = [draw(size) for _ in range(rank + draw(st.integers(1, 2)))]
    about: dict[str, Any] = {
        "filter_format": draw(filter_formats(rank)),
        "data_format": draw(st.sampled_from(DATA_FORMATS[rank])),  # each by one of its names
        "groups": draw(st.sampled_from([1, 1, 1, 2, 3])),
        "output_gradient" if name == "images" else "images": np.ones(shape),
    }
    if name == "filters":
        about |= {"filters_shape": tuple(sizes), "output_gradient": np.ones(shape)}
    else:
        about["filters"] = np.ones(sizes)
    if name == "images":
        about["images_shape"] = tuple(shape)
    elif name != "filters" and draw(st.booleans()):
        about["bias"] = np.ones(draw(size))
    return doors(rank)[name], about


@given(calls())
def test_what_an_error_says_makes_channels_agree(call):
    door, about = call
    try:
        door(**about)
    except ValueError as error:
        message = str(error)
    else:
        return
    if not re.search(CHANNELS, message):
        return
    of_bias = message.startswith("bias")
    for told in cures(message):
        event(f"{'bias' if of_bias else 'channels'}: {', '.join(told)}")
        assert told.keys() <= inspect.signature(door).parameters.keys(), message
        values = {name: eval(text, {**about, "np": np}) for name, text in told.items()}
        for name, value in values.items():
            assert not isinstance(value, (str, int)) or about[name] != value, message
        try:
            door(**{**about, **values})
        except ValueError as error:
            left = str(error)
            assert not re.search("bias must have" if of_bias else CHANNELS, left), (message, left)


def told_by(images, filters, **about) -> str:
    """What stands behind the message of an error of conv1d, conv2d or conv3d."""
    door = getattr(aotconv, f"conv{len(filters) - 2}d")
    with pytest.raises(ValueError, match=CHANNELS) as error:
        door(np.ones(images), np.ones(filters), **about)
    return str(error.value).partition("; ")[2]


def test_the_reading_with_square_windows_counts():
    both = "they would with filter_format='OIHW' and data_format='NCHW'"
    assert told_by((9, 9, 3), (5, 3, 4, 4)) == "they would with filter_format='OIHW'"
    assert told_by((1, 3, 9, 9), (5, 3, 4, 4)) == both
    assert told_by((1, 3, 9, 9), (64, 3, 3, 3)) == both
    assert told_by((1, 3, 9, 9), (3, 3, 3, 5)) == "they would with data_format='NCHW'"
    assert told_by((9, 9, 3), (3, 3, 2, 5)) == ""
    either = both.replace("with", "with data_format='NCHW', or with")
    assert told_by((1, 3, 9, 9), (3, 3, 3, 3)) == either


def test_a_format_that_was_given_is_no_cure():
    pytorch = {"filter_format": "OIHW", "data_format": "NCHW"}
    assert told_by((3, 9, 9), (4, 4, 3, 2), **pytorch) == "they would with filter_format='HWIO'"
    both = "they would with filter_format='HWIO' and data_format='NCHW'"
    assert told_by((2, 9, 9), (3, 3, 2, 2), filter_format="OIHW") == both
    assert told_by((7, 9, 9), (4, 3, 3, 3), filter_format="OIHW") == ""


def test_one_window_for_several_channels_wants_groups():
    alike = "to filter each of 3 channels alike, say groups=3 and filters=np.tile(filters, {})"
    pytorch = {"filter_format": "OIHW", "data_format": "NCHW"}
    assert told_by((9, 9, 3), (3, 3, 1, 1)) == alike.format(3)
    assert told_by((9, 9, 3), (5, 5, 1, 2)) == alike.format(3)
    assert told_by((3, 9, 9), (1, 1, 3, 3), **pytorch) == alike.format("(3, 1, 1, 1)")
    more = alike.replace(" and ", ", ") + " and bias=np.tile(bias, 3)"
    assert told_by((9, 9, 3), (3, 3, 1, 1), bias=np.ones(1)) == more.format(3)


def test_depthwise_filters_want_groups_alone():
    own = "each channel has filters of its own with groups=3"
    assert told_by((9, 9, 3), (3, 3, 1, 3)) == own
    assert told_by((9, 9, 3), (5, 5, 1, 6)) == own


def test_images_without_channels_want_an_axis():
    pytorch = {"filter_format": "OIHW", "data_format": "NCHW"}
    assert told_by((7, 9, 9), (3, 3, 1, 1)).startswith(
        "images without channels are images[..., None]"
    )
    first = told_by((7, 9, 9), (1, 1, 3, 3), **pytorch)
    assert first.startswith("images without channels are images[:, None]; ")
    first = told_by((2, 7, 9, 9), (1, 1, 3, 3), **pytorch)
    assert first.startswith("images without channels are images[:, :, None]; ")


def test_a_window_for_all_channels_gives_what_it_gives_for_each():
    rng = np.random.default_rng(0)
    image, filters = rng.random((9, 8, 3)), rng.random((3, 3, 1, 2))
    result = aotconv.conv2d(image, np.tile(filters, 3), groups=3)
    by_channel = [aotconv.conv2d(image[..., i, None], filters) for i in range(3)]
    np.testing.assert_allclose(result, np.concatenate(by_channel, axis=-1))


@pytest.mark.parametrize(
    ("call", "filters", "given_format", "right"),
    [
        (aotconv.conv2d, (12, 3, 5, 5), "HWIO", "OIHW"),
        (aotconv.conv2d, (5, 5, 3, 12), "OIHW", "HWIO"),
        (aotconv.conv2d_transpose, (3, 12, 5, 5), "HWIO", "OIHW"),
        (aotconv.conv2d_transpose, (5, 5, 12, 3), "OIHW", "HWIO"),
    ],
)
def test_a_bias_that_belongs_to_filters_of_the_other_format_says_so(
    call, filters, given_format, right
):
    arrays = np.ones((3, 9, 9)), np.ones(filters), np.ones(12)
    with pytest.raises(ValueError, match=f"it would have with filter_format='{right}'$"):
        call(*arrays, data_format="NCHW", filter_format=given_format)
    assert call(*arrays, data_format="NCHW", filter_format=right).shape[0] == 12


def test_a_bias_that_fits_neither_format_is_told_nothing():
    for size in (3, 7):
        with pytest.raises(ValueError, match=rf"got shape \({size},\)$"):
            aotconv.conv2d(np.ones((9, 9, 8)), np.ones((3, 3, 8, 16)), np.ones(size))
