"""Layers by any algorithm: transforms within their bound and exact where they must be, "fastest"
one of the others, by sizes and dtypes alone."""

from __future__ import annotations

import copy
import math
import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
from conftest import DRAWN
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_same_bits, bound_behind, spectral_bound, wide
from processes import output_of
from strategies import COMPLEX, FLOATS, INTEGERS, problems, real_values, seeds

import aotconv
from aotconv import Conv1D, Conv2D, Conv3D, conv1d, conv2d
from aotconv._core import call, kept, spectral, transforms
from aotconv._core.layer import Convolution
from aotconv._plan import spectral as plan
from aotconv.reference import conv_reference

rungs = st.sampled_from(DRAWN)


def drawn(*shape: int, dtype="float32", seed=0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def pixels(problem, result: np.ndarray) -> int:
    """Those of a section, at most: of all that windows reach over."""
    kernel = problem.filters_last.shape[:-2]
    outs = result.shape[-1 - len(kernel) : -1]
    if problem.options["data_format"].startswith(("NC", "channels_first")):
        outs = result.shape[-len(kernel) :]
    steps = (
        np.broadcast_to(n, len(kernel)) for n in (problem.strides, problem.options["dilations"])
    )
    each = zip(outs, kernel, *steps, strict=True)
    return math.prod(plan.fast(int(max(1, (o - 1) * s + (k - 1) * d + 1))) for o, k, s, d in each)


def is_within_bound(problem, result: np.ndarray) -> bool:
    arrays = wide(problem.images), wide(problem.filters), wide(problem.bias)
    options = {**problem.options, "residual": problem.residual}
    want = conv_reference(*arrays, problem.strides, problem.padding, **options)
    images = np.append(wide(problem.images), options.get("padding_value", 0))
    about = result.dtype, pixels(problem, result), problem.residual, options["filter_format"]
    bound = spectral_bound(images, problem.filters, problem.bias, *about)
    assert result.shape == want.shape
    return np.abs(wide(result) - want).max(initial=0) <= bound_behind(
        options["activation"], bound, result.dtype
    )


def small(patch: pytest.MonkeyPatch, elements: int) -> None:
    """Make sections small, so that there are many seams, and "fastest" be often by transforms."""
    for name in ("MOST_ELEMENTS", "MOST_SUMMED", "MOST_LINE"):
        patch.setattr(plan, name, elements)
    for name in ("START", "SECTION", "ELEMENT", "DOUBLING"):
        patch.setattr(plan, name, 0.0)
    plan.section.cache_clear()


@given(
    problems(dtypes=(*FLOATS, *COMPLEX), values=real_values),
    rungs,
    st.sampled_from([8, 64, 1 << 18]),
)
def test_transforms_stay_within_their_bound_whatever_the_options(problem, name, elements):
    with pytest.MonkeyPatch.context() as patch, aotconv.use(name):
        small(patch, elements)
        result = problem.convolve(algorithm="fft")
    plan.section.cache_clear()
    assert is_within_bound(problem, result)


@given(problems(dtypes=INTEGERS), rungs, st.booleans())
def test_integers_are_those_of_auto_or_refused_by_name(problem, name, saturate):
    told = {"saturate": saturate and problem.images.dtype.itemsize <= 4}
    with aotconv.use(name), warnings.catch_warnings():
        warnings.simplefilter("ignore", aotconv.FallbackWarning)
        want = problem.convolve(**told)
        if problem.images.dtype.itemsize == 8 and want.size and problem.filters.size:
            if problem.filters.any():
                with pytest.raises(ValueError, match=r"'fft' is not exact for sums of u?int64"):
                    problem.convolve(**told, algorithm="fft")
            return
        assert_same_bits(problem.convolve(**told, algorithm="fft"), want)


@given(problems(dtypes=(*FLOATS, *COMPLEX, *INTEGERS), mixed=True), rungs, st.booleans())
def test_fastest_is_one_of_the_others_and_never_raises_where_auto_does_not(problem, name, rapid):
    with pytest.MonkeyPatch.context() as patch, aotconv.use(name), warnings.catch_warnings():
        warnings.simplefilter("ignore", aotconv.FallbackWarning)
        if rapid:
            small(patch, 1 << 18)
        want = [problem.convolve()]
        result = problem.convolve(algorithm="fastest")
        for algorithm in ("winograd", "fft"):
            try:
                want.append(problem.convolve(algorithm=algorithm))
            except ValueError as error:
                assert f"'{algorithm}'" in str(error)
    plan.section.cache_clear()
    assert (result.shape, result.dtype) == (want[0].shape, want[0].dtype)
    assert any(np.array_equal(result, each, equal_nan=True) for each in want)


@given(seed=seeds, scale=st.integers(-12, 12), channels=st.integers(2, 40), same=st.booleans())
def test_errors_of_channels_are_within_the_bound_whatever_the_values_are(
    seed, scale, channels, same
):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((30, 41, channels))
    values *= 10.0 ** (scale * rng.random(values.shape))
    if same:
        values = abs(values)
    filters = rng.standard_normal((7, 12, channels, 3))
    for dtype in (np.float32, np.float64):
        arrays = values.astype(dtype), filters.astype(dtype)
        exact, result = conv_reference(*map(wide, arrays)), conv2d(*arrays, algorithm="fft")
        n = plan.fast(30) * plan.fast(41)
        x = np.linalg.norm(wide(arrays[0]))
        w = np.linalg.norm(wide(arrays[1]).reshape(-1, 3), axis=0)
        units = spectral.ERROR * math.log2(2 * n) + spectral.ERROR_OF_CHANNEL * channels
        assert (abs(result - exact) <= np.finfo(dtype).eps * units * x * w).all()


@pytest.mark.parametrize("algorithm", ["fft", "fastest"])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_bits_are_the_same_for_layouts_threads_batches_functions_and_layers(algorithm, groups):
    images, filters = drawn(3, 90, 100, 8), drawn(17, 19, 8 // groups, 16, seed=1)
    options = {"padding": "same", "groups": groups, "algorithm": algorithm}
    layer = Conv2D(filters, **options)
    want = layer(images)
    assert layer._operator.has_spectra  # of "fastest", too
    first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    results = [
        layer(images),
        layer(images, threads=2),
        layer(np.asfortranarray(images)),
        layer(images[:, None].repeat(2, 1)[:, 1]),
        conv2d(images, filters, **options),
        conv2d(images, filters, **options),
        np.moveaxis(conv2d(first, filters, data_format="NCHW", **options), 1, -1),
        conv2d(images, np.moveaxis(filters, (-1, -2), (0, 1)), filter_format="OIHW", **options),
        layer(images, out=np.empty((3, 90, 100, 32), np.float32)[..., ::2]),
        pickle.loads(pickle.dumps(layer))(images),
        copy.copy(layer)(images),
    ]
    for result in results:
        assert_same_bits(result, want)
    if algorithm == "fft":  # "fastest" may be another for another number of images
        assert_same_bits(layer(images[1]), want[1])
        apart = np.stack([images, images], 1)[:, ::-1][::-1]
        assert_same_bits(layer(apart)[::-1, 0], want)


def test_a_layer_transforms_its_filters_once_for_each_size_of_sections(monkeypatch):
    made = []
    of_window = spectral.Transform.of_window
    monkeypatch.setattr(
        spectral.Transform, "of_window", lambda *args: made.append(0) or of_window(*args)
    )
    layer = Conv2D(drawn(9, 9, 3, 5), padding="same", algorithm="fft")
    for _ in range(3):
        layer(drawn(2, 60, 70, 3))
        layer(drawn(1, 60, 70, 3))
    assert len(made) == 1
    for size in range(20, 60, 4):
        layer(drawn(1, size, size, 3))
    (windows,) = layer._operator._transforms._windows.values()
    assert len(windows._kept) <= transforms.KEPT_SECTIONS


def test_functions_keep_no_spectra_and_no_layer_is_lost_for_them(monkeypatch):
    other = drawn(3, 3, 1, 1)
    conv2d(drawn(1, 9, 9, 1), other)
    count = len(call._small)
    monkeypatch.setattr(kept, "KEPT", count)  # one more would have them all forgotten
    for _ in range(2):
        conv1d(drawn(1, 9000, 2), drawn(90, 2, 2), algorithm="fft")
        conv1d(drawn(1, 9000, 8), drawn(900, 8, 2), algorithm="fft")
    assert len(call._small) == count
    assert not any(layer.has_spectra for layer in (*call._small.values(), *call._large.values()))


FASTEST = {  # which is what on x86-64-v3, with SciPy's transforms
    "fft": [
        ((1, 256, 256, 16), (15, 15, 16, 16), {"padding": "same"}),
        ((8, 56, 56, 64), (7, 7, 64, 64), {"padding": "same"}),
        ((1, 1000000, 1), (3001, 1, 1), {}),
        ((1, 40, 60, 60, 8), (7, 7, 7, 8, 8), {}),
    ],
    "winograd": [((8, 56, 56, 64), (3, 3, 64, 64), {"padding": "same"})],
    "auto": [
        ((1, 28, 28, 96), (31, 31, 1, 96), {"padding": "same", "groups": 96}),
        ((1, 224, 224, 3), (3, 3, 3, 64), {}),
        ((4, 12000, 48), (2, 48, 80), {}),
        ((8, 56, 56, 64), (3, 3, 64, 64), {"strides": 2}),
        ((8, 56, 56, 64), (1, 1, 64, 64), {}),
    ],
}
ENGINE = spectral.Engine(np.fft, "scipy", {})  # NumPy's transforms at SciPy's times


@pytest.mark.parametrize(
    ("algorithm", "images", "filters", "options"),
    [(algorithm, *each) for algorithm, cases in FASTEST.items() for each in cases],
)
def test_fastest_is_what_the_table_says(algorithm, images, filters, options, monkeypatch):
    if "x86-64-v3" not in DRAWN:
        pytest.skip("needs x86-64-v3")
    monkeypatch.setattr(spectral, "engine", lambda: ENGINE)
    chosen = []
    direct = lambda self, *args: chosen.append(args[-1]) or (0.0, lambda *_: None)  # noqa: E731
    monkeypatch.setattr(Convolution, "_direct", direct)
    by_transforms = lambda self, *args: chosen.append("fft") or (lambda *_: None)  # noqa: E731
    monkeypatch.setattr(transforms.Transforms, "computing", by_transforms)
    made = {3: Conv1D, 4: Conv2D, 5: Conv3D}[len(images)]
    layer = made(np.ones(filters, np.float32), algorithm="fastest", **options)
    array = np.broadcast_to(np.float32(1), images)
    with aotconv.use("x86-64-v3"):
        layer(array)
    assert chosen == [algorithm]


def test_what_transforms_cannot_do_is_refused_by_name_and_nothing_is_written():
    whole = np.ones((40, 40, 2), np.int8)
    halves = np.ones((3, 3, 2, 2), np.float32) / 2
    wide_taps = {"dilations": 6000, "padding": 6000}
    cases = (
        (whole.astype(np.int64), np.ones((3, 3, 2, 2), np.int64), {}, "is not exact for sums of"),
        (whole, halves, {"dtype": "int8", "saturate": True}, "gives integers only of integers"),
        (whole.astype("longdouble"), halves, {}, "computes nothing wider than float64"),
        (
            whole.astype("f4"),
            halves,
            wide_taps,
            "needs filters whose spectra have 134217728 numbers",
        ),
    )
    for images, filters, options, says in cases:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", aotconv.FallbackWarning)
            want = conv2d(images, filters, **options)
            out = np.full_like(want, 7)
            with pytest.raises(ValueError, match=f"algorithm 'fft' {says}.*: use 'auto'"):
                conv2d(images, filters, **options, out=out, algorithm="fft")
            assert (out == 7).all()
            conv2d(images, filters, **options, out=out, algorithm="fastest")
        assert_same_bits(out, want)


@pytest.mark.parametrize("algorithm", ["fft", "fastest"])
def test_out_may_lie_on_any_argument(algorithm):
    memory = drawn(60 * 60 * 4)
    images, filters = memory.reshape(60, 60, 4), drawn(25, 25, 4, 4, seed=2)
    bias = memory[:4]
    options = {"padding": "same", "algorithm": algorithm, "activation": "relu"}
    want = conv2d(images.copy(), filters, bias.copy(), residual=images.copy(), **options)
    result = conv2d(images, filters, bias, residual=images, out=images, **options)
    assert result is images
    assert_same_bits(result, want)
    same = drawn(5, 5, 4, 4, seed=3)
    images = drawn(5, 9, 8, 4)
    want = conv2d(images, same.copy(), **options | {"padding": "valid"})
    conv2d(images, same, out=same, **options | {"padding": "valid"})
    assert_same_bits(same, want)


def test_a_nan_reaches_the_sections_that_read_it_alone():
    images, filters = np.ones((1, 1 << 19, 2), np.float32), np.ones((300, 2, 2), np.float32)
    images[0, 1 << 18, 1] = np.nan
    result = conv1d(images, filters, algorithm="fft")
    reached = np.isnan(result)
    assert reached[0, (1 << 18) - 299 : (1 << 18) + 1].all()
    assert reached.sum() < 8 * plan.MOST_LINE
    np.testing.assert_allclose(result[~reached], 600, rtol=1e-4)


def test_memory_is_of_a_few_sections_beside_the_spectra():
    layer = Conv2D(drawn(9, 9, 4, 4), padding="same", algorithm="fft")
    images = np.zeros((8, 500, 500, 4), np.float32)
    out = np.empty_like(images)
    layer(images[:1], out=out[:1], threads=1)
    tracemalloc.start()
    try:
        layer(images, out=out, threads=1)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 16 * plan.MOST_SUMMED < images.nbytes


def test_only_what_asks_for_transforms_loads_them():
    code = """
import sys
import numpy as np, aotconv
images, filters = np.ones((9, 9, 1), np.float32), np.ones((3, 3, 1, 1), np.float32)
def loaded():
    return [name in sys.modules for name in ("aotconv._core.spectral", "scipy.fft")]
aotconv.conv2d(images, filters)
before = loaded()
aotconv.conv2d(images, filters, algorithm="fastest")  # by so few pixels no engine is asked
print(before, loaded())
"""
    assert output_of(code).split() == ["[False,", "False]", "[True,", "False]"]
