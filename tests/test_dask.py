"""Arrays of dask give the bits of one call, however they are cut."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import filters
import numpy as np
import pytest
from conftest import FEW
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from processes import PACKAGE, output_of, run_python, without
from strategies import FLOATS, Problem, problems, seeds
from test_dask_pieces import cuts
from test_pooling import pools

import aotconv
from aotconv import ndimage

da = pytest.importorskip("dask.array", reason="needs dask")
dask = pytest.importorskip("dask")
acd = pytest.importorskip("aotconv.dask")

FUNCTIONS = {rank: getattr(acd, f"conv{rank}d") for rank in (1, 2, 3)}
GENERIC = {"generic_gradient_magnitude": "derivative", "generic_laplace": "derivative2"}
OF_TERMS = ("gaussian_gradient_magnitude", "gaussian_laplace")
ALONG_AXES = (
    *OF_TERMS,
    *GENERIC,
    "gaussian_filter",
    "uniform_filter",
    "convolve",
    "correlate",
    "laplace",
)
INTEGERS = ("uint8", "int16", "int64")


@pytest.fixture(autouse=True, scope="module")
def in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@st.composite
def cut(draw, array: np.ndarray):
    """An array in chunks of any sizes."""
    return da.from_array(array, tuple(draw(cuts(size)) for size in array.shape))


def assert_same_bits(result, expected: np.ndarray) -> None:
    """And what was known of the result before it was computed."""
    assert type(result) is da.Array and type(result._meta) is np.ndarray
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    blocks = np.empty(result.numblocks, object)
    keys = np.array(list(np.ndindex(result.numblocks)))
    (computed,) = dask.compute(result.to_delayed().ravel().tolist())
    for index, block in zip(map(tuple, keys), computed, strict=True):
        assert block.shape == tuple(n[i] for n, i in zip(result.chunks, index, strict=True))
        blocks[index] = block
    whole = np.block(blocks.tolist())
    assert (whole.shape, whole.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(whole, expected)
    assert whole.tobytes() == expected.tobytes()


@settings(max_examples=FEW)
@given(problem=problems(dtypes=(*FLOATS, *INTEGERS), values=filters.any_values), data=st.data())
def test_convolutions_have_the_bits_of_one_call_whatever_the_chunks(problem, data):
    expected = problem.convolve()
    residual = problem.residual
    if residual is not None:
        residual = data.draw(cut(residual), "residual")
    images = data.draw(cut(problem.images), "images")
    lazy = problem._replace(images=images, residual=residual)
    assert_same_bits(Problem.call(lazy, FUNCTIONS[problem.rank]), expected)
    assert_same_bits(acd.apply(problem.layer(), images, residual=residual), expected)


@settings(max_examples=FEW)
@given(pool=pools(dtypes=(*FLOATS, *INTEGERS, "bool")), data=st.data())
def test_pools_have_the_bits_of_one_call_whatever_the_chunks(pool, data):
    images = data.draw(cut(pool.images), "images")
    counted = {"count_padding": pool.count_padding}
    for name, more in ((f"max_pool{pool.rank}d", {}), (f"average_pool{pool.rank}d", counted)):
        about = pool.arguments, pool.options | more
        expected = getattr(aotconv, name)(pool.images, *about[0], **about[1])
        assert_same_bits(getattr(acd, name)(images, *about[0], **about[1]), expected)
    name, options = f"max_pool{pool.rank}d", pool.options | {"return_indices": True}
    both = getattr(aotconv, name)(pool.images, *pool.arguments, **options)
    lazy = getattr(acd, name)(images, *pool.arguments, **options)
    for result, expected in zip(lazy, both, strict=True):
        assert_same_bits(result, expected)


@settings(max_examples=FEW)
@given(
    call=filters.calls(
        [name for name in ndimage.__all__ if name not in GENERIC],
        (*filters.INTEGERS, *filters.FLOATS),
        filters.any_values,
        whole=False,
        outputs=(None, "float32", "float64"),
    ),
    data=st.data(),
)
def test_filters_have_the_bits_of_one_call_whatever_the_chunks(call, data):
    with np.errstate(all="ignore"):
        expected = call()
        array = data.draw(cut(call.array), "array")
        lazy = call._replace(array=array)(acd)
        assert_same_bits(lazy, expected)
    for mine, theirs in zip(lazy.chunks, array.chunks, strict=True):
        one = call.name in OF_TERMS and len(mine) == 1  # where terms have borders of both kinds
        assert one or mine == tuple(filter(None, theirs))


@st.composite
def calls_along_some_axes(draw):
    """Filters along axes in any order, with arguments for each."""
    shape = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    axes = draw(st.permutations(range(len(shape))))[: draw(st.integers(1, len(shape)))]

    def each(strategy, places=axes):
        some = st.lists(strategy, min_size=len(places), max_size=len(places))
        return draw(st.one_of(strategy, some))

    sigma, radius = st.sampled_from([0, 0.4, 0.9, 1.7]), st.none() | st.integers(0, 5)
    name = draw(st.sampled_from(ALONG_AXES))
    about: dict[str, Any] = {"mode": each(filters.modes)}
    if name in OF_TERMS:  # whose Gaussians are along all axes
        smoothed = shape if name == "gaussian_gradient_magnitude" else axes
        about |= {"sigma": each(sigma, smoothed), "radius": each(radius, shape)}
    elif name == "gaussian_filter":
        about |= {"sigma": each(sigma), "radius": each(radius), "order": each(st.integers(0, 2))}
    elif name == "uniform_filter":
        about |= {"size": each(st.integers(1, 5))}
    elif name in ("convolve", "correlate"):
        sizes = draw(st.lists(st.integers(1, 5), min_size=len(axes), max_size=len(axes)))
        about |= {"weights": np.random.default_rng(draw(seeds)).standard_normal(sizes)}
        about |= {"origin": [-(min(sizes) // 2) if draw(st.booleans()) else 0] * len(axes)}
    elif name in GENERIC:
        about |= {GENERIC[name]: ndimage.sobel}
    axes = [axis - len(shape) * draw(st.booleans()) for axis in axes]
    array = np.random.default_rng(draw(seeds)).standard_normal(shape)
    return filters.Call(name, array, {**about, "axes": axes})


@settings(max_examples=FEW)
@given(call=calls_along_some_axes(), data=st.data())
def test_filters_along_some_axes_have_the_bits_of_one_call(call, data):
    more = {"depth": 1} if call.name in GENERIC else {}
    lazy = call._replace(array=data.draw(cut(call.array), "array"))
    assert_same_bits(lazy(acd, **more), call())


MISSING = ("correlate", "correlate1d", "correlate_separable", "gaussian_filter", "uniform_filter")


@pytest.mark.filterwarnings("ignore:promoting specified output dtype to complex")
@settings(max_examples=FEW)
@given(
    call=filters.calls(
        MISSING,
        (*filters.FLOATS, *filters.INTEGERS, "float16", "complex64"),
        filters.any_values,
        outputs=(None, "float32", "float64", "uint8", "int64", "bool"),
    ),
    data=st.data(),
    share=st.sampled_from([0.02, 0.4]),
    may_be_nan=st.booleans(),
    more=st.fixed_dictionaries(
        {}, optional={"saturate": st.just(True), "dtype": st.sampled_from(filters.FLOATS)}
    ),
)
def test_filters_with_missing_elements_have_the_bits_of_one_call(
    call, data, share, may_be_nan, more
):
    # Weights whose sum is 0, as derivatives have, are refused as soon as an element is missing.
    call.arguments.pop("order", None)
    assume(all(np.sum(each) > 0 for each in weights_of(call)))
    missing = np.random.default_rng(data.draw(seeds)).random(call.array.shape) < share
    assume(missing.any())
    if may_be_nan and call.array.dtype.kind in "fc":
        call = call._replace(array=np.where(missing, np.nan, call.array))
        lazy = more = {**more, "nan_policy": "omit"}
    else:
        lazy = {**more, "mask": data.draw(cut(missing), "mask")}
        more = {**more, "mask": missing}
    result = call._replace(array=data.draw(cut(call.array), "array"))(acd, **lazy)
    assert_same_bits(result, call(**more))


def weights_of(call) -> list[Any]:
    return (
        [call.arguments["weights"]]
        if "weights" in call.arguments
        else call.arguments.get("kernels", [])
    )


# What nobody computes.


@pytest.fixture
def photo():
    """Bytes in chunks that no window divides."""
    values = np.random.default_rng(0).integers(0, 256, (50, 61, 3), np.uint8)
    return da.from_array(values, (20, 17, 2))


def test_every_filter_is_there_by_its_name_and_arguments():
    names = {*ndimage.__all__, *(name for name in aotconv.__all__ if "_pool" in name)}
    names |= {"apply", "conv1d", "conv2d", "conv3d"}
    assert set(acd.__all__) == names
    for name in names - {"apply", *GENERIC}:
        own = inspect.signature(getattr(acd, name)).parameters
        theirs = inspect.signature(
            getattr(aotconv, name, None) or getattr(ndimage, name)
        ).parameters
        assert list(own.values()) == [each for each in theirs.values() if each.name != "out"]


def test_nothing_is_computed_before_it_is_asked_for():
    def fail(*_):
        raise AssertionError

    def derivative(input, axis, output, mode, cval):
        return fail()

    images = da.map_blocks(
        fail, chunks=((3, 4), (5, 5), (2,)), dtype=np.float32, meta=np.empty((0, 0, 0), np.float32)
    )
    filters = np.ones((3, 3, 2, 4), np.float64)
    result = acd.conv2d(images, filters, padding="same", strides=2)
    assert (result.shape, result.chunks) == ((4, 5, 4), ((2, 2), (2, 3), (4,)))
    assert (result.dtype, result._meta.dtype) == (np.float64, np.float64)
    assert acd.average_pool2d(images, 2).dtype == np.float32
    assert acd.sobel(images, output="float64").dtype == np.float64
    lazy = acd.generic_laplace(images, derivative, depth=1)
    assert (lazy.dtype, lazy.chunks) == (np.float32, images.chunks)


def elements_read(array, result, *index: int) -> int:
    """How many a block of a result is made of, by the keys of chunks and of parts of them."""
    _, _, read = result.__dask_graph__()[(result.name, *index)]
    total = 0
    for name, *places in dask.core.flatten([read]):
        if name == array.name:
            sizes = [each[i] for each, i in zip(array.chunks, places, strict=True)]
        else:  # where a part begins and ends in its chunk, behind the chunk's place
            sizes = np.diff(np.reshape(places[array.ndim :], (array.ndim, 2)))
        total += int(np.prod(sizes))
    return total


def test_a_block_reads_exactly_what_it_is_made_of():
    line = da.zeros(1000, dtype=np.float32, chunks=100)
    for mode, index in (("reflect", 5), ("wrap", 0), ("wrap", 9)):
        assert elements_read(line, acd.correlate1d(line, np.ones(4), mode=mode), index) == 103
    assert elements_read(line, acd.correlate1d(line, np.ones(4)), 9) == 102
    assert elements_read(line, acd.gaussian_filter(line, 2.0), 5) == 116
    images = da.zeros((1000, 7), dtype=np.float32, chunks=(100, 7))
    strided = acd.conv1d(images, np.ones((4, 7, 2), np.float32), strides=2, dilations=3)
    assert strided.chunks[0][5] == 50
    assert elements_read(images, strided, 5, 0) == (49 * 2 + 10) * 7


def test_equal_calls_have_the_same_names_and_others_have_not(photo):
    filters = np.random.default_rng(1).standard_normal((3, 3, 3, 4)).astype(np.float32)

    def name(**options):
        return acd.conv2d(photo, filters.copy(), **options).name

    assert name() == name() == acd.apply(aotconv.Conv2D(filters, threads=1), photo).name
    others = [
        {},
        {"padding": "same"},
        {"activation": "relu"},
        {"bias": np.ones(4)},
        {"dtype": float},
    ]
    assert len({name(**each) for each in others}) == len(others)
    assert acd.sobel(photo, 0).name == acd.sobel(photo, axis=0).name != acd.sobel(photo, 1).name


def test_arguments_are_those_of_the_call_whatever_becomes_of_them(photo):
    weights, sizes = np.array([1.0, 2.0, 1.0]), [3, 3, 1]
    lines = acd.correlate1d(photo, weights, 0), acd.uniform_filter(photo, sizes)
    weights[:] = sizes[:] = 9, 9, 9
    expected = ndimage.correlate1d(photo.compute(), [1, 2, 1], 0)
    np.testing.assert_array_equal(lines[0], expected)
    np.testing.assert_array_equal(lines[1], ndimage.uniform_filter(photo.compute(), (3, 3, 1)))
    once = acd.gaussian_filter(photo, (s for s in (1, 2)), axes=(a for a in (1, 0)))
    assert once.name == acd.gaussian_filter(photo, (1, 2), axes=(1, 0)).name
    zero_d = acd.max_pool2d(photo, np.array(2), padding=np.array(1))
    assert zero_d.name == acd.max_pool2d(photo, 2, padding=1).name


def test_a_layer_is_in_the_graph_once_and_is_pickled_without_what_it_packs():
    filters = np.ones((3, 3, 64, 64), np.float32)
    images = da.ones((200, 200, 64), np.float32, chunks=(50, 50, 64))
    result = acd.conv2d(images, filters, padding="same")
    tasks = dict(result.__dask_graph__().layers[result.name])
    (layer,) = (each for key, each in tasks.items() if str(key).startswith("compute-"))
    result.compute()
    assert len(pickle.dumps(layer)) < 1.1 * filters.nbytes
    del tasks[f"compute-{result.name}"]
    assert len(pickle.dumps(list(tasks.values()))) < 1000 * len(tasks)


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (
            ValueError,
            "images must have chunks of known sizes",
            lambda x: acd.max_pool2d(x[x[:, 0, 0] > 9], 2),
        ),
        (
            ValueError,
            "input must have chunks of known sizes",
            lambda x: acd.sobel(x[x[:, 0, 0] > 9]),
        ),
        (
            TypeError,
            "images must hold integers, floats",
            lambda x: acd.conv2d(x.astype(object), np.ones((3, 3, 3, 1))),
        ),
        (TypeError, "input must hold truth values", lambda x: acd.laplace(x.astype(object))),
        (
            TypeError,
            "images must hold NumPy arrays, got MaskedArray",
            lambda x: acd.max_pool2d(da.ma.masked_equal(x, 3), 2),
        ),
        (ValueError, "images must have at least 3 axes", lambda x: acd.max_pool2d(x[0], 2)),
        (
            ValueError,
            "images and filters must agree in channels",
            lambda x: acd.conv2d(x, np.ones((3, 3, 2, 1))),
        ),
        (
            ValueError,
            "padding_mode must be",
            lambda x: acd.conv2d(x, np.ones((3, 3, 3, 1)), padding_mode="odd"),
        ),
        (
            TypeError,
            "filters must be known at once, got Array of dask",
            lambda x: acd.conv2d(x, da.ones((3, 3, 3, 1))),
        ),
        (
            TypeError,
            "out must be None",
            lambda x: acd.conv2d(x, np.ones((3, 3, 3, 1)), out=np.ones((48, 59, 1))),
        ),
        (
            TypeError,
            "kernels must be known at once",
            lambda x: acd.correlate_separable(x, [da.ones(3)] * 3),
        ),
        (TypeError, "derivative2 must be a function", lambda x: acd.generic_laplace(x, 3, depth=1)),
        (TypeError, r"sobel\(\): .*'foo'", lambda x: acd.sobel(x, foo=3)),
        (TypeError, r"conv2d\(\): .*'filters'", lambda x: acd.conv2d(x)),
        (
            ValueError,
            "residual must have",
            lambda x: acd.conv2d(x, np.ones((3, 3, 3, 1)), residual=da.ones((9, 9, 1))),
        ),
        (
            ValueError,
            "residual must have the leading axes",
            lambda x: acd.conv2d(x[None], np.ones((3, 3, 3, 1)), residual=da.ones((2, 48, 59, 1))),
        ),
        (TypeError, "output must be a dtype", lambda x: acd.sobel(x, output=np.ones(x.shape))),
        (
            ValueError,
            "mask must have the shape of input",
            lambda x: acd.correlate(x, np.ones((3, 3, 3)), mask=da.ones(3, bool)),
        ),
        (ValueError, "mode must be one of", lambda x: acd.gaussian_filter(x, 2, mode="odd")),
        (
            ValueError,
            "depth must be an integer of 0 or more elements",
            lambda x: acd.generic_laplace(x, ndimage.sobel, depth=-1),
        ),
        (
            TypeError,
            "layer must be a Conv1D",
            lambda x: acd.apply(aotconv.Conv2DTranspose(np.ones((2, 2, 3, 3))), x),
        ),
        (
            TypeError,
            "there is no argument stride",
            lambda x: acd.conv2d(x, np.ones((3, 3, 3, 1)), stride=2),
        ),
    ],
)
def test_what_is_refused_is_refused_at_once_by_name(photo, error, message, call):
    with pytest.raises(error, match=message):
        call(photo)


# Beside other libraries.


def test_arrays_of_xarray_are_filtered_by_apply_ufunc():
    xarray = pytest.importorskip("xarray", reason="needs xarray")
    values = np.random.default_rng(0).standard_normal((12, 40, 50)).astype(np.float32)
    cube = xarray.DataArray(values, dims=("time", "lat", "lon")).chunk(time=4, lat=15)
    smooth = xarray.apply_ufunc(
        acd.gaussian_filter,
        cube,
        kwargs={"sigma": 2.0, "axes": (1, 2), "mode": ("nearest", "wrap")},
        dask="allowed",
    )
    assert smooth.dims == cube.dims and smooth.chunks == cube.chunks
    expected = ndimage.gaussian_filter(values, 2.0, axes=(1, 2), mode=("nearest", "wrap"))
    np.testing.assert_array_equal(smooth.values, expected)


def test_experimental_expressions_of_dask_are_refused_when_it_is_imported():
    code = "import aotconv.dask"
    told = {"PYTHONPATH": str(PACKAGE), "DASK_ARRAY__QUERY_PLANNING": "True"}
    if not hasattr(da, "ARRAY_EXPR_ENABLED"):
        assert output_of(code, **told) == ""  # older ones know none
    else:
        assert (
            "query-planning of dask's configuration to be False" in run_python(code, **told).stderr
        )


def test_without_dask_an_import_says_what_to_install():
    result = run_python(
        without("dask") + "import aotconv; import aotconv.dask", PYTHONPATH=str(PACKAGE)
    )
    assert 'ImportError: aotconv.dask needs dask: pip install "aotconv[dask]"' in result.stderr


def test_without_compiled_modules_results_are_right_with_one_warning():
    assert output_of(without("numba") + FALLBACK, PYTHONPATH=str(PACKAGE)) == "1"


FALLBACK = """
import warnings
import dask.array as da, numpy as np
import aotconv.dask
from aotconv.reference import conv_reference
images = np.arange(2000.0).reshape(20, 25, 4)
filters = np.arange(72.0).reshape(3, 3, 4, 2) - 30
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    lazy = aotconv.dask.conv2d(da.from_array(images, (7, 9, 4)), filters, padding="same")
    result = lazy.compute(scheduler="synchronous")
np.testing.assert_array_equal(result, conv_reference(images, filters, padding="same"))
print(len(caught))
"""
