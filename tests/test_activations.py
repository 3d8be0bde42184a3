"""Functions of floats: how near they are, what they make of what is no number, where they are
fused, and the functions of arrays."""

from __future__ import annotations

import functools
import inspect
import itertools
import warnings

import numpy as np
import pytest
from conftest import AOT_LEVELS, AVAILABLE, COMPILED, DRAWN
from hostile import pieces
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from oracle import assert_same_bits
from strategies import activations, lay_out, layouts, real_values

import aotconv
from aotconv._core import elementwise, softmax
from aotconv._core.elementwise import evaluate
from aotconv._plan.activations import ACTIVATIONS, CLAMPS, CURVES
from aotconv._plan.registry import LEVELS
from aotconv._plan.softmax import BLOCK
from aotconv.reference import activation_reference

LONG = np.longdouble
# Digits of an oracle: more than float64 has.
long_digits = pytest.mark.skipif(np.finfo(LONG).nmant < 63, reason="longdouble is float64 here")
RNG = np.random.default_rng(0)
FLOATS = {np.float32: np.uint32, np.float64: np.uint64}  # and integers as wide
NEAR = ("exp", "tanh", "sigmoid", "erf")  # within 4 ulp
SCALED = ("silu", "gelu", "gelu_tanh")  # within 2 eps |x|
SPECIAL = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 3e38, -3e38]


def erf_of(x):
    """erf by its series of positive terms."""
    size = np.minimum(np.abs(x), 6.5)
    square = 2 * size * size
    term = total = size
    for n in range(1, 170):
        term = term * (square / (2 * n + 1))
        total = total + term
    pi = 4 * np.arctan(x.dtype.type(1))
    return np.copysign(2 / np.sqrt(pi) * np.exp(-size * size) * total, x)


def precise(name, x):
    """The function of longdouble, or of what floats there are."""
    formulas = {
        "exp": lambda: np.exp(x),
        "erf": lambda: erf_of(x),
        "gelu": lambda: x / 2 * (1 + erf_of(x / np.sqrt(x.dtype.type(2)))),
    }
    with np.errstate(all="ignore"):
        return formulas.get(name, lambda: activation_reference(x, name))()


def every(kind, step):
    """Every so manyth float, from the least denormal number up, and as many negative ones."""
    bits = FLOATS[kind]
    last = int(np.array(np.inf, kind).view(bits))
    some = np.arange(0, last, step, dtype=bits).view(kind)
    return np.concatenate([some, -some])


def sampled(kind):
    """Floats over all exponents, and many where functions bend."""
    last = int(np.array(np.inf, kind).view(FLOATS[kind]))
    fits = [RNG.uniform(-width, width, 12_000).astype(kind) for width in (0.1, 1.5, 7, 30)]
    ends = [-104, -103.97, -87.3, 88.72, 88.73, -745.2, -708.4, 709.78, 709.79, 1, 9.01, 3.83]
    return np.concatenate([every(kind, last // 20_000), *fits, np.array(ends, kind)])


@functools.cache
def judged(name, kind):
    """Floats, and the function of them in longdouble."""
    x = sampled(kind)
    return x, precise(name, x.astype(LONG))


def ulps(result, expected):
    """By how many units in the last place of the expected value a result is off; of what is beyond
    all floats infinity is right."""
    info = np.finfo(result.dtype)
    exponent = np.maximum(np.frexp(expected)[1] - 1, info.minexp)
    with np.errstate(invalid="ignore"):  # of infinities
        error = np.abs(result - expected)
    error = error / np.ldexp(expected.dtype.type(1), exponent - info.nmant)
    beyond = expected > info.max
    return np.where(beyond, np.where(result >= info.max, 0, np.inf), error)


@long_digits
@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("name", NEAR)
def test_exp_tanh_sigmoid_and_erf_are_within_four_ulp_over_all_exponents(name, kind, rung):
    x, expected = judged(name, kind)
    assert ulps(evaluate(x, name, None, 1), expected).max() <= 4


@long_digits
@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("name", SCALED)
def test_silu_and_gelu_are_within_two_eps_of_their_argument(name, kind, rung):
    x, expected = judged(name, kind)
    info, error = np.finfo(kind), np.abs(aotconv.activate(x, name).astype(LONG) - expected)
    assert (error <= 2 * info.eps * np.abs(x.astype(LONG)) + info.smallest_subnormal).all()


@pytest.mark.long
@pytest.mark.parametrize("name", NEAR)
def test_every_hundredth_float32_is_within_four_ulp(name):
    for some in np.array_split(every(np.float32, 101), 64):
        expected = precise(name, some.astype(np.float64))
        assert ulps(evaluate(some, name, None, 1), expected).max() <= 4


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_and_infinities_and_zeros_of_either_sign_are_as_the_formula_gives(
    name, kind, rung
):
    x = np.array(SPECIAL * 5, kind)
    result = aotconv.activate(x, name)
    with np.errstate(all="ignore"):
        expected = activation_reference(x.astype(np.float64), name).astype(kind)
    assert_array_equal(np.isnan(result), np.isnan(expected))
    assert_array_equal(np.isinf(result), np.isinf(expected))
    if name not in CLAMPS:  # whose zeros have either sign
        numbers = ~np.isnan(expected)
        assert_array_equal(np.signbit(result)[numbers], np.signbit(expected)[numbers])
    np.testing.assert_allclose(result, expected, rtol=4 * np.finfo(kind).eps)


def test_what_erf_exp_and_sigmoid_reach_they_keep(rung):
    x = np.array([np.inf, 7, -7, -np.inf, -0.0], np.float32)
    assert_same_bits(aotconv.erf(x), np.array([1, 1, -1, -1, -0.0], np.float32))
    assert_array_equal(evaluate(x, "exp", None, 1)[[0, 3]], [np.inf, 0])
    assert_array_equal(aotconv.activate(x, "sigmoid")[[0, 3]], [1, 0])


@pytest.mark.parametrize("kind", FLOATS)
def test_levels_with_fma_agree_to_the_bit(kind):
    names = [level for level in AOT_LEVELS if LEVELS[level].fma]
    x = np.concatenate([sampled(kind)[::8], np.array(SPECIAL, kind)])
    for activation in (*ACTIVATIONS, ("leaky_relu", 0.3), "exp", "erf"):
        results = []
        for name in (*names, "jit"):
            if name in AVAILABLE:
                with aotconv.use(name):
                    results.append(evaluate(x, activation, None, 1))
        for result in results[1:]:
            assert_same_bits(result, results[0])


def test_the_slope_of_leaky_relu_is_a_hundredth_unless_it_is_given(rung):
    x = np.array([-2.0, 2.0], np.float32)
    assert_array_equal(aotconv.activate(x, "leaky_relu"), np.array([-0.02, 2], np.float32))
    assert_array_equal(aotconv.activate(x, ("leaky_relu", 0.5)), [-1, 2])
    assert_array_equal(aotconv.activate(x, ("leaky_relu", -1)), [2, 2])
    assert_same_bits(aotconv.activate(x, ("leaky_relu", -0.0)), np.array([-0.0, 2], np.float32))
    filters = np.ones((1, 1, 1, 1), np.float32)
    images = x.reshape(1, 1, 2, 1)
    for slope in (0.25, np.float32(0.25), 1, np.int8(3)):
        result = aotconv.conv2d(images, filters, activation=("leaky_relu", slope))
        assert_array_equal(result.ravel(), [-2 * slope, 2])


# Layers, one or several of each family that activates.


LAYERS = {
    "dense": ((2, 9, 11, 8), (3, 3, 8, 21), {}),
    "dense, taps skipped": ((1, 6, 7, 260), (3, 3, 260, 18), {}),
    "dense, cut reduction": ((1, 5, 6, 900), (1, 3, 900, 40), {}),
    "dense, many pixels": ((3, 20, 21, 5), (1, 1, 5, 33), {}),
    "dense, groups": ((1, 9, 8, 12), (3, 3, 3, 12), {"groups": 4}),
    "dense, groups that share vectors": ((1, 9, 8, 12), (3, 3, 2, 12), {"groups": 6}),
    "narrow": ((2, 9, 11, 5), (3, 3, 5, 2), {}),
    "narrow, planes": ((2, 4, 9, 11, 5), (2, 3, 3, 5, 3), {}),
    "depthwise": ((2, 13, 15, 20), (3, 3, 1, 20), {"groups": 20}),
    "depthwise, stride": ((2, 13, 15, 37), (5, 5, 1, 37), {"groups": 37, "strides": 2}),
    "depthwise, planes": ((1, 5, 9, 9, 20), (3, 3, 3, 1, 20), {"groups": 20}),
    "image": ((2, 13, 40, 1), (3, 3, 1, 1), {}),
    "image, short rows": ((2, 13, 4, 3), (5, 5, 1, 3), {"groups": 3}),
    "strip": ((2, 13, 40, 3), (4, 6, 1, 3), {"groups": 3}),
    "strip, few pixels": ((2, 13, 5, 3), (4, 6, 1, 3), {"groups": 3}),
    "strip, one axis": ((3, 50, 7), (5, 1, 7), {"groups": 7}),
    "winograd": ((2, 9, 11, 12), (3, 3, 12, 21), {"algorithm": "winograd"}),
    "nothing to sum": ((2, 3, 4, 0), (1, 1, 0, 5), {}),
}
compiled = pytest.mark.parametrize("rung", COMPILED, indirect=True)
CONVOLVE = {3: aotconv.conv1d, 4: aotconv.conv2d, 5: aotconv.conv3d}


def problem(name, dtype):
    images, filters, options = LAYERS[name]
    arrays = [real_values(RNG, shape, dtype) for shape in (images, filters, filters[-1:])]
    return CONVOLVE[len(images)], arrays, {"padding": "same", **options}


FUSED = [
    (name, dtype)
    for name, dtype in itertools.product(LAYERS, ("float32", "float64", "float16"))
    if (name, dtype) != ("winograd", "float16")  # which it does not compute
]


@compiled
@pytest.mark.parametrize(("name", "dtype"), FUSED)
def test_a_fused_activation_is_to_the_bit_that_of_the_sums(name, dtype, rung):
    """Of float16 the sums are those of float32, rounded once, behind the activation."""
    convolve, arrays, options = problem(name, dtype)
    wide = [each.astype("float32" if dtype == "float16" else dtype) for each in arrays]
    sums = convolve(*wide, **options)
    residual = real_values(RNG, sums.shape, dtype)
    added = convolve(*wide, residual=residual, **options)
    for activation in (*CURVES, ("leaky_relu", -0.25)):
        for total, more in ((sums, None), (added, residual)):
            expected = aotconv.activate(total, activation).astype(dtype)
            for threads in (1, 3):
                options["threads"] = threads
                result = convolve(*arrays, residual=more, activation=activation, **options)
                if name == "nothing to sum":  # which NumPy adds and activates
                    eps = 4 * np.finfo(dtype).eps
                    np.testing.assert_allclose(result, expected, rtol=eps, atol=eps)
                else:
                    assert_same_bits(result, expected)
        options["threads"] = None


@compiled
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "nothing to sum"])
def test_a_fused_activation_touches_each_output_once_whatever_the_layout_of_out(name, rung):
    convolve, (images, filters, bias), options = problem(name, "float32")
    expected = convolve(images, filters, bias, activation="silu", **options)
    for step in (2, -1):
        canvas = np.full([2 * size + 2 for size in expected.shape], 7, np.float32)
        inner = canvas[tuple(slice(1, 1 + 2 * size, 2) for size in expected.shape)]
        out = inner if step == 2 else np.flip(inner)
        convolve(images, filters, bias, activation="silu", out=out, **options)
        assert_same_bits(out, expected)
        out[...] = 7
        assert (canvas == 7).all()


@pytest.mark.parametrize("activation", CURVES)
def test_integer_results_have_clamps_alone(activation, rung):
    images, filters = np.ones((1, 4, 4, 2), "i4"), np.ones((3, 3, 2, 2), "i1")
    with pytest.raises(TypeError, match=r"activation '.*' is not defined for a result"):
        aotconv.conv2d(images, filters, activation=activation)
    floats = aotconv.conv2d(images, filters, np.zeros(2), activation=activation)
    assert floats.dtype == np.float64
    layer = aotconv.Conv2D(filters, activation=activation)
    with pytest.raises(TypeError, match="activation"):
        layer(images)
    assert layer(images.astype("f4")).dtype == np.float32


# Functions of arrays.

DOORS = {
    "activate": lambda array, **more: aotconv.activate(array, "silu", **more),
    "erf": aotconv.erf,
    "softmax": lambda array, **more: aotconv.softmax(array, 1, **more),
}
doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


@doors
@given(
    dtype=st.sampled_from(["float32", "float64", "float16", ">f4", ">f8"]),
    layout=layouts,
    of_out=st.sampled_from(["C", "F", "reversed", "sliced"]),
    shape=st.sampled_from([(3, 40, 5), (2, 1, 70), (1, 9), (4, 0, 3), (2, 3, 4, 5)]),
)
def test_layouts_do_not_change_bits(door, dtype, layout, of_out, shape):
    array = lay_out(real_values(RNG, shape, np.dtype(dtype).newbyteorder("=")), layout)
    expected = door(np.ascontiguousarray(array), threads=1)
    assert expected.dtype == np.dtype(dtype).newbyteorder("=")
    assert_same_bits(door(array), expected)
    out = lay_out(np.full(shape, 7, expected.dtype), of_out)
    if out.flags.writeable:
        assert door(array, out=out) is out
        assert_same_bits(out, expected)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(ACTIVATIONS),
            st.sampled_from(["float32", "float64", "float16", "int32"]),
            st.sampled_from([(2, 3), (3, 2), (1, 4, 5), (4, 1, 5), (0, 3)]),
            layouts,
            st.permutations(range(3)),
        ),
        min_size=2,
        max_size=6,
    ),
    st.sampled_from(DRAWN),
)
def test_calls_that_were_made_before_give_what_they_gave(calls, rung):
    """Whatever the calls between them were: of other functions, layouts and dtypes."""
    rng = np.random.default_rng(0)
    made = []
    for name, dtype, shape, layout, order in calls:
        array = lay_out((rng.standard_normal(shape) * 9).astype(dtype), layout)
        array = array.transpose([axis for axis in order if axis < array.ndim])
        made.append((functools.partial(aotconv.activate, array, name), array))
        if array.ndim and array.dtype.kind == "f":
            axis = order[0] % array.ndim
            made.append((functools.partial(aotconv.softmax, array, axis), array))
    with aotconv.use(rung):
        for call, array in made * 2:
            dtype = call().dtype
            assert_same_bits(call(), call(out=np.empty(array.shape[::-1], dtype).T))


@doors
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_threads_and_pieces_do_not_change_bits(door, dtype, monkeypatch):
    array = real_values(RNG, (5, 30_000), dtype)
    expected = door(array, threads=1)
    for piece, threads in itertools.product((1 << 18, 1000, 1 << 13), (1, 2, 5)):
        monkeypatch.setattr(elementwise, "PIECE", piece)
        if piece > BLOCK:
            monkeypatch.setattr(softmax, "PIECE", piece)
        assert_same_bits(door(array, threads=threads), expected)


@doors
def test_out_may_be_the_array_or_overlap_it(door):
    canvas = real_values(RNG, (9, 50), "float32")
    expected = door(canvas[:8].copy())
    for first, out in ((0, 0), (0, 1), (1, 0)):
        memory = np.zeros((9, 50), np.float32)
        memory[first : first + 8] = canvas[:8]
        array = memory[first : first + 8]
        assert_same_bits(door(array, out=memory[out : out + 8]), expected)
    same = canvas[:8].copy()
    assert_same_bits(door(same, out=same), expected)
    square = canvas[:9, :9].copy()
    expected = door(square.copy())
    assert_same_bits(door(square, out=square.T), expected)
    halves = np.zeros((4, 12), np.float16)
    halves[:, :6] = expected[:4, :6]
    expected = door(halves[:, :6].copy())
    assert_same_bits(door(halves[:, :6], out=halves[:, 3:9]), expected)


@doors
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "int64", "uint64"])
def test_integers_give_what_numpys_functions_of_floats_give(door, dtype, rung):
    array = RNG.integers(0, 5, (3, 20)).astype(dtype)
    result, floats = door(array), np.exp(array).dtype
    assert result.dtype == floats
    wide = np.float32 if floats == np.float16 else floats
    assert_same_bits(result, door(array.astype(wide)).astype(floats))


@pytest.mark.parametrize("name", CLAMPS)
def test_clamps_keep_integers(name, rung):
    array = np.array([[-3, 5, 9]], "i2")
    result = aotconv.activate(array, name)
    assert result.dtype == np.int16
    expected = {None: [-3, 5, 9], "relu": [0, 5, 9], "relu6": [0, 5, 6]}[name]
    assert_array_equal(result.ravel(), expected)


@given(
    st.sampled_from(DRAWN),
    activations,
    st.sampled_from(["float32", "float64", "float16"]),
    st.lists(st.integers(0, 6), max_size=4),
    st.sampled_from([0.3, 3, 40]),
)
def test_activate_does_what_the_reference_says(rung, activation, dtype, shape, scale):
    array = (scale * RNG.standard_normal(shape)).astype(dtype)
    with aotconv.use(rung):
        result = aotconv.activate(array, activation)
    assert result.dtype == array.dtype and result.shape == array.shape
    wide = array.astype(np.float64)
    error = np.abs(result - activation_reference(wide, activation))
    assert (error <= 4 * np.finfo(dtype).eps * (np.abs(wide) + 1)).all()


@given(
    st.sampled_from(DRAWN),
    st.sampled_from(["float32", "float64", "float16"]),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.sampled_from([0.3, 3, 40, 1000]),
    st.data(),
)
def test_softmax_does_what_the_formula_says(rung, dtype, shape, scale, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    array = (scale * RNG.standard_normal(shape)).astype(dtype)
    with aotconv.use(rung):
        result = aotconv.softmax(array, axis)
    assert result.dtype == array.dtype
    wide = array.astype(np.float64)
    e = np.exp(wide - wide.max(axis, keepdims=True))
    error = np.abs(result - e / e.sum(axis, keepdims=True))
    assert (error <= 8 * np.finfo(dtype).eps).all()


def test_softmax_of_rows_longer_than_a_block_is_right_and_the_same_in_any_company(rung):
    for length in (BLOCK, BLOCK + 1, 5 * BLOCK + 77):
        rows = real_values(RNG, (2, length), "float32")
        result = aotconv.softmax(rows)
        e = np.exp(rows.astype(LONG))
        np.testing.assert_allclose(result, e / e.sum(-1, keepdims=True), rtol=2e-6)
        assert_same_bits(aotconv.softmax(rows[1]), result[1])
        assert_same_bits(aotconv.softmax(rows.T, 0).T, result)
        assert_same_bits(aotconv.softmax(rows, threads=3), result)


def test_softmax_at_levels_with_fma_agrees_to_the_bit():
    names = [name for name in (*AOT_LEVELS, "jit") if name == "jit" or LEVELS[name].fma]
    for kind, length in itertools.product(FLOATS, (*range(1, 40), BLOCK + 100)):
        rows = real_values(RNG, (3, length), np.dtype(kind).name)
        results = []
        for name in names:
            if name in AVAILABLE:
                with aotconv.use(name):
                    results.append(aotconv.softmax(rows))
        for result in results[1:]:
            assert_same_bits(result, results[0])


@pytest.mark.parametrize("length", [1, 3, 50, BLOCK + 5])
def test_softmax_of_nan_and_infinities_is_what_numpys_formula_gives(length, rung):
    for values in (
        [np.nan],
        [np.inf],
        [-np.inf],
        [np.nan, np.inf],
        [1, np.nan, -np.inf],
        [-np.inf, 2],
        [np.inf, -np.inf],
    ):
        row = np.resize(np.array(values, np.float32), length)
        with np.errstate(all="ignore"):
            e = np.exp(row - row.max())
            expected = e / e.sum()
        np.testing.assert_allclose(aotconv.softmax(row), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (0, 3)])
def test_arrays_without_axes_or_elements(shape, rung):
    array = np.zeros(shape, np.float32)
    assert aotconv.activate(array, "gelu").shape == shape
    assert aotconv.erf(array, out=array) is array
    if shape:
        assert aotconv.softmax(array, 0).shape == shape


def test_nothing_is_warned_of(rung):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", aotconv.FallbackWarning)
        for dtype in ("float16", "float32", "float64"):
            array = np.array([np.nan, np.inf, -np.inf, 6e4, -6e4, 1e-7], dtype)
            for activation in ACTIVATIONS:
                aotconv.activate(array, activation)
            aotconv.erf(array)
            aotconv.softmax(array)


ONES = np.ones((2, 3), np.float32)
READ_ONLY = np.broadcast_to(ONES, (2, 3))


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, "activation must be one of", lambda: aotconv.activate(ONES, "erf")),
        (TypeError, "activation must be one of", lambda: aotconv.activate(ONES, 1)),
        (ValueError, "activation must be a name or", lambda: aotconv.activate(ONES, ("relu", 1))),
        (TypeError, "array must hold real numbers", lambda: aotconv.activate(1j * ONES, "tanh")),
        (TypeError, "array must hold real numbers", lambda: aotconv.erf(1j * ONES)),
        (TypeError, "array must hold real numbers", lambda: aotconv.softmax(1j * ONES)),
        (TypeError, "array must hold integers", lambda: aotconv.erf(ONES > 0)),
        (TypeError, "array must hold integers", lambda: aotconv.softmax("abc")),
        (TypeError, "array must be without a mask", lambda: aotconv.erf(np.ma.array(ONES))),
        (ValueError, "out must have .* shape", lambda: aotconv.erf(ONES, ONES[0].copy())),
        (TypeError, "out must have .* dtype", lambda: aotconv.erf(ONES, ONES.astype("f8"))),
        (TypeError, "out must have .* dtype", lambda: aotconv.erf(ONES, ONES.astype(">f4"))),
        (TypeError, "out must be a NumPy array", lambda: aotconv.softmax(ONES, out=[1])),
        (
            ValueError,
            "out must be writeable",
            lambda: aotconv.erf(ONES, READ_ONLY),
        ),
        (ValueError, "axis must be one of the 2", lambda: aotconv.softmax(ONES, 2)),
        (ValueError, "axis must be one of the 2", lambda: aotconv.softmax(ONES, -3)),
        (ValueError, "axis must be one of the 0", lambda: aotconv.softmax(np.float32(1))),
        (TypeError, "axis must be an integer", lambda: aotconv.softmax(ONES, 0.5)),
        (TypeError, "axis must be an integer", lambda: aotconv.softmax(ONES, None)),
        (ValueError, "axis must be at", lambda: aotconv.softmax(ONES, 2**80)),
        (ValueError, "threads must be at least 1", lambda: aotconv.erf(ONES, threads=0)),
        (TypeError, "threads must be an integer", lambda: aotconv.softmax(ONES, threads=1.5)),
    ],
)
def test_hostile_arguments_are_refused_by_name(error, message, call):
    with pytest.raises(error, match=message):
        call()


GARBAGE = {
    "array": pieces.NONSENSE,
    "out": pieces.no_outs(ONES),
    "threads": pieces.no_ints(1, or_none=True),
    "activation": pieces.no_activations(),
    "axis": [*pieces.NONSENSE, *pieces.no_words()],
}
ARGUMENTS = [
    (door, name)
    for door in (aotconv.activate, aotconv.erf, aotconv.softmax)
    for name in inspect.signature(door).parameters
]


@pytest.mark.parametrize(("door", "name"), ARGUMENTS)
def test_garbage_at_any_argument_is_refused_by_its_name(door, name):
    right = {"array": ONES, "activation": "silu"}
    for piece in (make() for make in GARBAGE[name]):
        if piece.meaning is not pieces.WRONG:
            continue
        names = inspect.signature(door).parameters
        given = {**{key: value for key, value in right.items() if key in names}, name: piece.value}
        with pytest.raises((TypeError, ValueError), match=name):
            door(**given)
