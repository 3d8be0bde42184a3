"""What blocks of results along an axis read, beside the windows of the whole axis."""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aotconv._dask.pieces import Taps, Whole, Windows, pieces

MODES = ("constant", "reflect", "symmetric", "edge", "wrap")


@st.composite
def cuts(draw, size: int) -> tuple[int, ...]:
    """An axis of a size in chunks, some of which may be thin or empty."""
    ends = draw(st.lists(st.integers(0, size), max_size=5))
    return tuple(np.diff([0, *sorted(ends), size]).tolist())


def windows_of(padded: np.ndarray, taps: Taps) -> np.ndarray:
    """One for each row."""
    span = (taps.window - 1) * taps.dilation + 1
    every = np.lib.stride_tricks.sliding_window_view(padded, span)
    return every[:: taps.stride, :: taps.dilation]


@given(
    data=st.data(),
    size=st.integers(1, 25),
    taps=st.builds(
        Taps,
        st.integers(1, 5),
        st.integers(1, 4),
        st.integers(1, 3),
        st.tuples(st.integers(0, 30), st.integers(0, 30)),
        st.sampled_from(MODES),
    ),
)
def test_blocks_have_the_windows_of_the_whole_axis_and_read_no_more(data, size, taps):
    line = np.arange(1, size + 1)
    span = (taps.window - 1) * taps.dilation + 1
    padding = taps.padding if sum(taps.padding) + size >= span else (span, span)
    taps = taps._replace(padding=padding)
    expected = windows_of(np.pad(line, padding, taps.padding_mode), taps)
    axis = taps.windows(size, len(expected))
    chunks = axis.chunks(data.draw(cuts(size), "chunks"))
    assert sum(chunks) == len(expected) and min(chunks) > 0
    blocks = pairwise(accumulate(chunks, initial=0))
    for piece, (first, last) in zip(pieces(axis, chunks), blocks, strict=True):
        read = np.concatenate([line[part] for part in piece.parts])
        mode = taps.padding_mode if sum(piece.pads) else "constant"
        found = windows_of(np.pad(read, piece.pads, mode), taps)
        np.testing.assert_array_equal(found, expected[piece.computed])
        np.testing.assert_array_equal(found[piece.kept], expected[first:last])
        if piece.pads == (0, 0):
            reaches = (last - 1 - first) * taps.stride + span
            assert read.size == reaches or axis.depth > 1


@given(
    data=st.data(),
    size=st.integers(1, 30),
    before=st.integers(0, 12),
    behind=st.integers(0, 12),
    wraps=st.booleans(),
)
def test_results_of_each_element_are_those_that_are_as_far_from_where_an_axis_is_cut(
    data, size, before, behind, wraps
):
    # Whatever is read, results as near to a cut as windows reach are wrong.
    span = before + behind + 1
    axis = Windows(size, size, span, 1, before, behind, span, wraps, True)
    given = data.draw(cuts(size), "chunks")
    chunks = axis.chunks(given)
    assert chunks == tuple(filter(None, given))
    line = np.arange(size)
    blocks = pairwise(accumulate(chunks, initial=0))
    for piece, (first, last) in zip(pieces(axis, chunks), blocks, strict=True):
        read = np.concatenate([line[part] for part in piece.parts])
        np.testing.assert_array_equal(read[piece.kept], line[first:last])
        starts_at_a_cut = wraps or piece.parts[0].start > 0
        ends_at_a_cut = wraps or piece.parts[-1].stop < size
        assert piece.kept.start >= before * starts_at_a_cut
        assert len(read) - piece.kept.stop >= behind * ends_at_a_cut
        if not wraps and (first < before or size - last < behind):
            assert len(read) >= min(span, size)  # what is beyond an end is made of these
        else:
            assert len(read) == last - first + span - 1


@given(data=st.data(), size=st.integers(1, 30))
def test_an_axis_without_windows_is_cut_as_the_array_is(data, size):
    chunks = data.draw(cuts(size), "chunks")
    axis = Windows(size, size)
    assert axis.chunks(chunks) == tuple(each for each in chunks if each)
    for piece in pieces(axis, axis.chunks(chunks)):
        (part,) = piece.parts
        assert part == piece.computed and piece.pads == (0, 0)
        assert piece.kept == slice(0, part.stop - part.start)


def test_an_axis_that_each_result_reads_is_read_whole():
    axis = Whole(5, 3)
    assert axis.chunks((2, 2, 1)) == (3,)
    (piece,) = pieces(axis, (3,))
    assert piece == ((slice(0, 5),), (0, 0), slice(0, 3), slice(0, 3))


def test_rules_of_padding_are_those_of_tensorflow_and_their_mirror():
    pads = {
        rule: Taps(4, 2, 1, rule).windows(9, 5 if rule.startswith("same") else 3)[4:6]
        for rule in ("valid", "same", "same_lower", "full", "causal")
    }
    assert pads == {
        "valid": (0, 0),
        "same": (1, 2),
        "same_lower": (2, 1),
        "full": (3, 3),
        "causal": (3, 0),
    }
