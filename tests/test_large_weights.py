"""Functions with weights that are packed at every call, where those of the last were."""

from __future__ import annotations

import gc
import threading
import weakref

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import AVAILABLE
from hypothesis import given

import aotconv
from aotconv._core import call
from aotconv._core.baseline import exported
from aotconv._core.copies import rows_at_a_time
from aotconv._core.pack import Packer, pack, under
from aotconv._core.panels import fill_by_numpy
from aotconv._plan.family import Panels

WINDOW = (3, 3, 24, 40)  # of float32: 34 KB


def drawn(shape, seed, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.fixture(autouse=True)
def _forgotten():
    call._large.clear()


# What may differ between calls: a function of images, filters and bias that gives others.
CHANGES = {
    "weights": lambda x, w, b: (x, w * 2, b),
    "bias": lambda x, w, b: (x, w, b + 1),
    "no bias": lambda x, w, b: (x, w, None),
    "double bias": lambda x, w, b: (x, w, b.astype("float64")),
    "double": lambda x, w, b: (x, w.astype("float64"), b),
    "half images": lambda x, w, b: (x.astype("float16"), w, b),
    "complex images": lambda x, w, b: (x * (1 + 2j), w, b),
    "complex weights": lambda x, w, b: (x, w * (1 + 2j), b),
    "byte images": lambda x, w, b: (np.abs(x * 9).astype("uint8"), w, b),
    "integers": lambda x, w, b: ((x * 3).astype("i4"), (w * 3).astype("i4"), (b * 3).astype("i4")),
    "a NaN": lambda x, w, b: (x, np.where(np.arange(w.size).reshape(w.shape) == 77, np.nan, w), b),
    "an infinity": lambda x, w, b: (
        x,
        np.where(np.arange(w.size).reshape(w.shape) == w.size - 1, np.inf, w).astype(w.dtype),
        b,
    ),
    "a NaN in the bias": lambda x, w, b: (x, w, np.where(np.arange(b.size) == 7, np.nan, b)),
    "other sizes": lambda x, w, b: (x[:, :5, :6], w, b),
    "strided weights": lambda x, w, b: (x, np.asfortranarray(w), b),
    "strided images": lambda x, w, b: (x[:, ::-1, ::2], w, b),
    "swapped weights": lambda x, w, b: (x, w.astype(w.dtype.newbyteorder()), b),
    "no images": lambda x, w, b: (x[:0], w, b),
    "wrong channels": lambda x, w, b: (x[..., 1:], w, b),
}


@given(st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=6), st.data())
def test_calls_one_after_another_give_what_layers_of_their_own_give(names, data):
    level = data.draw(st.sampled_from([name for name in AVAILABLE if name != "jit"]))
    arguments = drawn((2, 7, 8, 24), 0), drawn(WINDOW, 1), drawn(WINDOW[-1:], 2)
    options = data.draw(st.sampled_from([{}, {"padding": "same"}, {"activation": "relu"}]))
    if data.draw(st.booleans()):
        options = {**options, "groups": 1, "strides": 2}
    with aotconv.use(level), np.errstate(all="ignore"):
        for i, name in enumerate(names):
            images, filters, bias = CHANGES[name](*arguments) if i else arguments
            if images.dtype.kind == "c" or filters.dtype.kind == "c":
                options = {key: each for key, each in options.items() if key != "activation"}
            try:
                expected = aotconv.Conv2D(filters, bias, **options)(images)
            except ValueError as error:
                with pytest.raises(ValueError, match="channels") as found:
                    aotconv.conv2d(images, filters, bias, **options)
                assert str(found.value) == str(error)
                continue
            result = aotconv.conv2d(images, filters, bias, **options)
            assert result.dtype == expected.dtype
            np.testing.assert_array_equal(result, expected)


def test_the_second_call_packs_into_the_memory_of_the_first():
    images, layers = drawn((1, 9, 9, 24), 0), []
    for seed in range(3):
        filters = drawn(WINDOW, seed)
        result = aotconv.conv2d(images, filters)
        assert (result == aotconv.Conv2D(filters)(images)).all()
        layers += call._large.values()
    assert len(layers) == 3 and len(set(map(id, layers))) == 1


def test_no_array_of_the_users_is_kept():
    filters, bias = drawn(WINDOW, 0), drawn(WINDOW[-1:], 1)
    known = [weakref.ref(each) for each in (filters, bias)]
    aotconv.conv2d(drawn((1, 9, 9, 24), 0), filters, bias)
    assert call._large
    del filters, bias
    gc.collect()
    assert [each() for each in known] == [None, None]


@pytest.mark.parametrize("algorithm", ["auto", "winograd"])
def test_weights_that_overflow_as_they_are_packed_again_raise_nothing(algorithm):
    images, filters = np.ones((1, 8, 8, 16), "f4"), np.full((3, 3, 16, 16), 3e38, "f4")
    if algorithm == "auto":
        filters.view("u4")[:] = 0x7F800001  # a NaN that signals, made a double
        images = images.astype("f8")
    with np.errstate(all="raise"):
        for _ in range(3):
            aotconv.conv2d(images, filters, algorithm=algorithm)


def test_another_call_may_take_a_kept_layer_while_one_counts_what_is_kept(monkeypatch):
    images, filters = drawn((1, 4, 4, 16), 0), drawn((3, 3, 16, 16), 1)
    aotconv.conv2d(images, filters)
    counted, meanwhile = call.Convolution.packed_bytes.fget, []

    def interrupted(layer):
        if not meanwhile:  # as a signal's handler or another thread may
            meanwhile.append(1)
            aotconv.conv2d(images.astype("f8"), filters)
        return counted(layer)

    monkeypatch.setattr(call.Convolution, "packed_bytes", property(interrupted))
    aotconv.conv2d(images, filters)
    assert meanwhile


def test_packed_weights_that_are_kept_are_bounded(monkeypatch):
    monkeypatch.setattr(call, "KEPT_BYTES", 200_000)
    for size in range(20, 30):
        aotconv.conv2d(drawn((1, 5, 5, size), 0), drawn((3, 3, size, 64), 1))
        kept = sum(layer.packed_bytes for layer in call._large.values())
        assert 0 < kept <= 200_000
    aotconv.conv2d(drawn((1, 5, 5, 64), 0), drawn((3, 3, 64, 128), 1))
    assert sum(layer.packed_bytes for layer in call._large.values()) == kept


def test_threads_do_not_share_the_memory_of_a_call():
    images, wrong = drawn((1, 12, 12, 24), 0), []
    weights = [drawn(WINDOW, seed) for seed in range(8)]
    expected = [aotconv.Conv2D(each)(images) for each in weights]

    def work(i):
        for _ in range(60):
            if (aotconv.conv2d(images, weights[i]) != expected[i]).any():
                wrong.append(i)

    workers = [threading.Thread(target=work, args=[i]) for i in range(len(weights))]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert not wrong


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 20),
    st.integers(1, 99),
)
def test_numpy_fills_panels_alike_in_pieces_of_any_size(n_rows, n_filters, columns, width, most):
    """Pieces once began amid a group of columns where a panel is wider than a group."""
    rows = drawn((n_rows, n_filters), 0)
    times, a_time = -(-n_filters // columns), -(-columns // width)
    expected = np.zeros((times, a_time * width, n_rows), rows.dtype)
    for i, column in enumerate(rows.T):
        expected[i // columns, i % columns] = column
    found = np.zeros((times, a_time, n_rows, width), rows.dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aotconv._core.copies.UNINTERRUPTED_ELEMENTS", most)
        fill_by_numpy(found, rows_at_a_time(rows), columns)
    lines = found.transpose(0, 1, 3, 2).reshape(times, a_time * width, n_rows)
    np.testing.assert_array_equal(lines, expected)


def test_weights_that_numpy_packs_in_pieces_give_the_same_result():
    images, filters = drawn((1, 1002, 2048), 0), drawn((1000, 1024, 10), 1)
    expected = aotconv.conv1d(images, filters, groups=2)
    swapped = filters.astype(filters.dtype.newbyteorder())
    np.testing.assert_array_equal(aotconv.conv1d(images, swapped, groups=2), expected)


SPECIAL = [None, np.nan, np.inf, -np.inf, -np.nan, 3e38, -0.0, 5e-324]


@st.composite
def laid_filters(draw, dtype):
    """Filters (KH, KW, C, O) that lie in memory in any order of axes, side by side or apart, and
    some taps of them."""
    shape = [draw(st.integers(1, most)) for most in (3, 3, 21, 70)]
    order, steps = draw(st.permutations(range(4))), draw(st.tuples(*[st.integers(1, 2)] * 4))
    signs = draw(st.tuples(*[st.sampled_from([1, -1])] * 4))
    whole = drawn([shape[i] * steps[i] for i in order], draw(st.integers(0, 99)), dtype)
    every = [slice(None, None, step * sign) for step, sign in zip(steps, signs, strict=True)]
    filters = whole.transpose(np.argsort(order))[tuple(every)]
    special = draw(st.sampled_from(SPECIAL))
    if special is not None and filters.dtype.kind == "f":
        filters[tuple(draw(st.integers(0, size - 1)) for size in filters.shape)] = special
    taps = range(0), *(range(draw(st.integers(0, size - 1)), -1, -1) for size in shape[:2])
    return filters, draw(st.sampled_from([(), taps]))


@pytest.mark.skipif(exported("pack_panels") is None, reason="needs compiled code")
@given(
    columns=st.integers(1, 70),
    width=st.sampled_from([1, 2, 3, 4, 8, 16, 32]),
    dtype=st.sampled_from(["float32", "float64", "int8", "uint16", "int32", "int64"]),
    data=st.data(),
)
def test_compiled_code_packs_what_numpy_packs(columns, width, dtype, data):
    filters, taps = data.draw(laid_filters(dtype))
    bias = data.draw(st.sampled_from([None, drawn(filters.shape[-1:], 0, dtype)]))
    some, packing = under(filters, taps), Panels(0, columns, width, False, ())
    packer = Packer(packing, dtype, taps)
    with pytest.MonkeyPatch.context() as patch:
        # Panels without a filter are nobody's: NumPy leaves them as they are.
        patch.setattr("aotconv._core.pack._aligned", np.zeros)
        packer(np.ones(filters.shape, dtype), None if bias is None else bias + 1)
        found = [pack(packing, dtype, some, bias), packer(filters, bias)]
        found.append(packer(filters, bias)._replace(memory=found[1].memory.copy()))
        patch.setattr("aotconv._core.panels.exported", lambda name: None)
        expected = pack(packing, dtype, some, bias)
    for each in found:
        assert each.memory.tobytes() == expected.memory.tobytes()
        assert each.finite is expected.finite is bool(np.isfinite(some).all())
