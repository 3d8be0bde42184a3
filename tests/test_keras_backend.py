"""Keras' NumPy backend by aotconv: judged by Keras' own tests, by formulas and by JAX."""

from __future__ import annotations

import gc
import importlib.util
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import FEW
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import PACKAGE, TESTS, run_python, without

import aotconv
from aotconv.reference import conv_reference, conv_transpose_reference, pool_reference

if importlib.util.find_spec("keras") is None or importlib.util.find_spec("scipy") is None:
    pytest.skip("needs the extra keras", allow_module_level=True)
if os.environ.get("KERAS_BACKEND", "numpy") != "numpy":
    pytest.skip("KERAS_BACKEND names another backend", allow_module_level=True)

import aotconv.keras
from aotconv._keras import layers

keras = importlib.import_module("keras")  # after aotconv.keras

LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
HAS_JAX = importlib.util.find_spec("jax") is not None
needs_jax = pytest.mark.skipif(not HAS_JAX, reason="JAX judges")
SOURCE = Path(keras.__file__).parent / "src"


def run(code: str, *, flags=(), **environment):
    """A process that has aotconv and the tests' modules, and no KERAS_BACKEND but a given one."""
    environment = {"KERAS_BACKEND": None, **environment}
    path = os.pathsep.join(map(str, (PACKAGE, TESTS)))
    return run_python(code, flags=flags, timeout=3600, PYTHONPATH=path, **environment)


def printed(code: str, **environment) -> str:
    result = run(code, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


# Importing


@pytest.mark.skipif(HAS_JAX, reason="other parts of Keras import JAX where it is")
def test_keras_runs_without_a_framework_and_leaves_no_stand_in():
    code = """
import sys, aotconv.keras, keras, numpy as np
keras.layers.Conv2D(4, 3)(np.ones((1, 8, 8, 3), np.float32))
names = {name.partition(".")[0] for name in sys.modules}
print(names & {"jax", "tensorflow", "torch"}, "keras.src.backend.jax.math" in sys.modules)
"""
    assert printed(code) == "set() False"


@pytest.mark.skipif(HAS_JAX, reason="keras itself imports with JAX")
def test_a_keras_that_failed_for_want_of_jax_imports_afterwards():
    code = """
try:
    import keras
except ImportError as error:
    print(error.name)
import aotconv.keras, keras
print(keras.config.backend())
"""
    assert printed(code, KERAS_BACKEND="numpy").split() == ["jax", "numpy"]


@needs_jax
def test_a_keras_that_was_imported_with_jax_is_served():
    code = """
import keras
from keras.src import backend
import aotconv.keras
print(backend.nn.conv.__module__, backend.math.fft.__module__)
"""
    expected = "aotconv._keras.convolution aotconv._keras.fourier"
    assert printed(code, KERAS_BACKEND="numpy") == expected


def test_another_backend_is_refused_by_name():
    result = run("import aotconv.keras", KERAS_BACKEND="torch")
    assert "KERAS_BACKEND is 'torch', where aotconv.keras needs 'numpy'" in result.stderr


@needs_jax
def test_a_keras_that_runs_on_another_backend_is_refused_by_name():
    result = run("import keras, aotconv.keras", KERAS_BACKEND="jax")
    assert "keras runs on its backend 'jax', where aotconv.keras needs 'numpy'" in result.stderr


@pytest.mark.parametrize(("package", "named"), [("keras", "keras>=3.10"), ("scipy", "scipy")])
def test_what_is_not_installed_is_named(package, named):
    code = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name == {package!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Block())
import aotconv.keras
"""
    message = f'aotconv.keras needs {named}: pip install "aotconv[keras]"'
    assert run(code).stderr.strip().endswith(message)


# Values


@st.composite
def cases(draw):
    """Images of float64 in a format of Keras', what a window needs, and a generator."""
    rank = draw(st.integers(1, 3))
    windows = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    sizes = tuple(draw(st.integers(7, 11 if rank < 3 else 8)) for _ in range(rank))
    channels = draw(st.integers(1, 5))
    last = draw(st.booleans())
    n = draw(st.integers(1, 2))
    shape = (n, *sizes, channels) if last else (n, channels, *sizes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = st.one_of(st.integers(1, 2), st.tuples(*[st.integers(1, 2)] * rank))
    options = {
        "padding": draw(st.sampled_from(["valid", "same"])),
        "data_format": "channels_last" if last else "channels_first",
    }
    return rng.standard_normal(shape), windows, channels, draw(steps), draw(steps), options, rng


def compare(result, expected):
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)


def reference(function, images, filters, options, **more):
    """A reference of channels last, of images in Keras' format."""
    if options["data_format"] == "channels_first":
        images = np.moveaxis(images, 1, -1)
    result = function(images, *filters, padding=options["padding"], **more)
    return np.moveaxis(result, -1, 1) if options["data_format"] == "channels_first" else result


@given(cases(), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_convolutions_of_keras_are_those_of_the_formula(case, groups, multiple, is_variable):
    images, windows, channels, strides, dilations, options, rng = case
    groups = groups if channels % groups == 0 else 1
    kernel = rng.standard_normal((*windows, channels // groups, groups * multiple))
    given_kernel = keras.Variable(kernel, dtype="float64") if is_variable else kernel
    result = keras.ops.conv(images, given_kernel, strides, dilation_rate=dilations, **options)
    more = {"strides": strides, "dilations": dilations, "groups": groups}
    compare(result, reference(conv_reference, images, [kernel], options, **more))


@given(cases(), st.integers(1, 3), st.integers(1, 4))
def test_depthwise_and_separable_convolutions_are_those_of_the_formula(case, multiplier, filters):
    images, windows, channels, strides, dilations, options, rng = case
    depthwise = rng.standard_normal((*windows, channels, multiplier))
    pointwise = rng.standard_normal((*[1] * len(windows), channels * multiplier, filters))
    arguments = images, depthwise, strides
    result = keras.ops.depthwise_conv(*arguments, dilation_rate=dilations, **options)
    as_filters = depthwise.reshape(*windows, 1, channels * multiplier)
    more = {"strides": strides, "dilations": dilations, "groups": channels}
    expected = reference(conv_reference, images, [as_filters], options, **more)
    compare(result, expected)
    both = keras.ops.separable_conv(
        images, depthwise, pointwise, strides, dilation_rate=dilations, **options
    )
    compare(both, reference(conv_reference, expected, [pointwise], {**options, "padding": "valid"}))


@settings(max_examples=FEW)
@given(cases(), st.integers(1, 3), st.sampled_from([None, 0, 1]))
def test_transposed_convolutions_are_those_of_the_formula(case, filters, output_padding):
    images, windows, channels, strides, dilations, options, rng = case
    least = np.maximum(strides, dilations).min()
    output_padding = None if output_padding is None else min(output_padding, int(least) - 1)
    kernel = rng.standard_normal((*windows, filters, channels))
    arguments = images, kernel, strides
    more = {"output_padding": output_padding}
    result = keras.ops.conv_transpose(*arguments, dilation_rate=dilations, **more, **options)
    more |= {"strides": strides, "dilations": dilations}
    compare(result, reference(conv_transpose_reference, images, [kernel], options, **more))
    shape = keras.src.backend.common.backend_utils.compute_conv_transpose_output_shape(
        images.shape,
        windows,
        filters,
        strides,
        options["padding"],
        output_padding,
        options["data_format"],
        dilations,
    )
    assert result.shape == tuple(shape)


@settings(max_examples=FEW)  # one window after the other
@given(cases(), st.sampled_from(["max", "average"]), st.booleans())
def test_pools_of_keras_are_those_of_the_formula(case, kind, has_strides):
    images, windows, _, strides, _, options, _ = case
    strides = strides if has_strides else None
    result = getattr(keras.ops, f"{kind}_pool")(images, windows, strides, **options)
    more = {"strides": strides, "data_format": LAST[len(windows)]}

    def judge(images, *window, **options):
        return pool_reference(images, *window, average=kind == "average", **options)[0]

    compare(result, reference(judge, images, [windows], options, **more))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_transforms_give_the_dtype_of_their_parts(dtype):
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal((3, 5, 8)).astype(dtype) for _ in range(2)]
    whole = parts[0] + 1j * parts[1]
    for name in ("fft", "fft2"):
        real, imaginary = getattr(keras.ops, name)(tuple(parts))
        assert real.dtype == imaginary.dtype == dtype
        expected = getattr(np.fft, name)(whole.astype(np.complex128))
        bound = 50 * np.finfo(dtype).eps * np.abs(expected).max()
        np.testing.assert_allclose(real + 1j * imaginary, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int32", "uint8"])
def test_convolutions_and_pools_give_the_dtype_of_images(dtype):
    images = keras.ops.cast(np.arange(72).reshape(1, 6, 6, 2) % 5, dtype)
    kernel = keras.ops.cast(np.ones((3, 3, 2, 4)), dtype)
    for result in (
        keras.ops.conv(images, kernel),
        keras.ops.depthwise_conv(images, kernel),
        keras.ops.conv_transpose(images, keras.ops.cast(np.ones((3, 3, 4, 2)), dtype), 1),
        keras.ops.max_pool(images, 2),
    ):
        assert keras.backend.standardize_dtype(result.dtype) == dtype


NEAR = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 5.9, 6.1, -7.0, 80.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["relu", "relu6", "sigmoid", "silu", "gelu"])
def test_activations_are_those_of_the_formula(name, dtype):
    rng = np.random.default_rng(0)
    x = np.concatenate([NEAR[:1] + NEAR[3:], rng.standard_normal(999) * 4]).astype(dtype)
    result = getattr(keras.ops, name)(x, **({"approximate": False} if name == "gelu" else {}))
    assert result.dtype == dtype
    expected = aotconv.reference.activation_reference(x.astype(np.float64), name)
    bound = 8 * np.finfo(dtype).eps * np.maximum(np.abs(x.astype(np.float64)), 1)
    assert (np.isnan(result) == np.isnan(expected)).all()
    assert (np.abs(result - expected)[1:] <= bound[1:]).all()


@pytest.mark.parametrize("axis", [-1, 1, 0])
@pytest.mark.parametrize("given_names", [(), ("offset",), ("scale",), ("offset", "scale")])
def test_batch_normalizations_are_those_of_the_formula(axis, given_names):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 5))
    mean, variance, offset, scale = rng.random((4, x.shape[axis])) + 0.5
    more = {k: v for k, v in {"offset": offset, "scale": scale}.items() if k in given_names}
    before = x.copy()
    result = keras.ops.batch_normalization(x, mean, variance, axis, epsilon=0.1, **more)
    shape = [1] * 3
    shape[axis] = -1
    of = {"offset": np.zeros_like(mean), "scale": np.ones_like(mean), **more}
    every = [each.reshape(shape) for each in (mean, variance, of["offset"], of["scale"])]
    compare(result, (x - every[0]) / np.sqrt(every[1] + 0.1) * every[3] + every[2])
    assert np.array_equal(x, before)


def test_products_of_matrices_are_numpys():
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((2, 3, 4)), rng.standard_normal((4, 5))
    compare(keras.ops.matmul(x, keras.Variable(kernel, dtype="float64")), x @ kernel)
    assert keras.ops.matmul(np.int8([[1]]), np.int8([[1]])).dtype == np.int32


def test_variables_do_not_share_the_arrays_that_they_are_made_of():
    values = np.ones(3, np.float32)
    variable, converted = keras.Variable(values), keras.ops.convert_to_tensor(values)
    values[:] = 2
    assert (variable.value == 1).all() and (converted == 1).all()


def test_sums_and_casts_leave_other_dtypes_to_keras():
    assert keras.ops.add(np.float32([1]), np.int32([2])).dtype == np.float32
    assert keras.ops.add([1.5], 2).dtype == np.float32
    assert keras.ops.cast(np.float32([1.5]), "int32").dtype == np.int32
    assert keras.ops.cast(np.float32([1.5]), np.dtype("float64")).dtype == np.float64
    assert keras.src.backend.convert_to_tensor(np.float32([1]), "float64").dtype == np.float64


# Bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: keras.ops.conv(x, np.ones((3, 3, 2, 4))),
            "3 channels, which must be a multiple",
        ),
        (lambda x: keras.ops.conv(x, np.ones((3, 3, 4))), "got shapes"),
        (lambda x: keras.ops.conv(x, np.ones((9, 9, 3, 4))), "images"),
        (lambda x: keras.ops.depthwise_conv(x, np.ones((3, 3, 2, 1))), "input channels|channels, "),
        (lambda x: keras.ops.conv_transpose(x, np.ones((3, 3, 4, 2)), 1), "channels"),
        (lambda x: keras.ops.max_pool(x[0, 0], 2), "spatial axes|got shape"),
        (lambda x: keras.ops.average_pool(x, 2, padding="sam"), "padding"),
        (lambda x: keras.ops.fft((x, x[0])), "same shape"),
        (lambda x: keras.ops.fft((x.astype(int), x.astype(int))), "floats"),
        (lambda _: aotconv.keras.set_algorithm("winograd"), "'auto' or 'fastest'"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((1, 6, 6, 3)))


# What is kept


def test_layers_are_kept_with_their_kernels_and_forgotten_with_them():
    gc.collect()
    before = set(layers._kept)
    layer = keras.layers.Conv2D(4, 3)
    layer(np.ones((1, 8, 8, 3), np.float32))
    (key,) = set(layers._kept) - before
    (kept,) = layers._kept[key].values()
    layer(np.ones((1, 9, 9, 3), np.float32))
    assert list(layers._kept[key].values()) == [kept]
    del layer, kept
    gc.collect()
    assert key not in layers._kept


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_under_a_mixed_precision_kernels_are_cast_once(name):
    images = np.random.default_rng(0).standard_normal((1, 9, 9, 3))
    layer = keras.layers.Conv2D(4, 3, use_bias=False, dtype=f"mixed_{name}")
    result = layer(images)
    kernel = layer.kernel._value
    assert kernel.dtype == np.float32
    (kept,) = layers._kept[id(kernel)].values()
    np.testing.assert_array_equal(layer(images), result)
    assert list(layers._kept[id(kernel)].values()) == [kept]
    low = (each.astype(result.dtype) for each in (images, kernel))
    expected = aotconv.conv2d(*low, algorithm="fastest")
    assert result.dtype.name == name
    np.testing.assert_array_equal(result, expected)
    layer.dtype_policy = "float32"
    wide = aotconv.conv2d(images.astype(np.float32), kernel, algorithm="fastest")
    np.testing.assert_array_equal(layer(images), wide)


def test_kernels_that_are_assigned_are_seen():
    layer = keras.layers.Conv2D(1, 2, use_bias=False)
    images = np.ones((1, 4, 4, 1), np.float32)
    for value in range(30):  # as arrays come and go, ids are used again
        layer.build(images.shape) if not layer.built else None
        layer.kernel.assign(np.full((2, 2, 1, 1), value))
        assert layer(images)[0, 0, 0, 0] == 4 * value


def test_arrays_that_change_in_place_are_seen():
    kernel = np.ones((2, 2, 1, 1), np.float32)
    images = np.ones((1, 4, 4, 1), np.float32)
    assert keras.ops.conv(images, kernel)[0, 0, 0, 0] == 4
    kernel *= 3
    assert keras.ops.conv(images, kernel)[0, 0, 0, 0] == 12


def small_network():
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.DepthwiseConv2D(3, activation="silu"),
            keras.layers.MaxPooling2D(),
            keras.layers.SeparableConv2D(8, 3, padding="same"),
            keras.layers.Conv2DTranspose(4, 3, 2, padding="same"),
            keras.layers.AveragePooling2D(2, padding="same"),
        ]
    )


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own
def test_saved_networks_load_and_give_the_same(tmp_path):
    network = small_network()
    images = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    expected = network.predict(images, verbose=0)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert np.array_equal(loaded.predict(images, verbose=0), expected)


def test_algorithms_differ_by_rounding_alone():
    network = small_network()
    images = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    fastest = network.predict(images, verbose=0)
    aotconv.keras.set_algorithm("auto")
    try:
        auto = network.predict(images, verbose=0)
    finally:
        aotconv.keras.set_algorithm("fastest")
    np.testing.assert_allclose(auto, fastest, rtol=0, atol=1e-5 * np.abs(auto).max())


def test_threads_may_call_one_network():
    network = small_network()
    images = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    results = []
    threads = [threading.Thread(target=lambda: results.append(network(images))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = network(images)
    assert len(results) == 8
    assert all(np.array_equal(each, expected) for each in results)


def test_where_no_kernel_can_run_numpy_computes_with_one_warning():
    code = """
import warnings
import numpy as np
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import aotconv.keras, keras
    kernel = keras.Variable(np.ones((3, 3, 3, 4)))
    for _ in range(2):
        result = keras.ops.max_pool(keras.ops.conv(np.ones((1, 8, 8, 3), np.float32), kernel), 2)
print(np.all(result == 27), sum(each.category is aotconv.FallbackWarning for each in caught))
"""
    assert printed(without() + code).split() == ["True", "1"]


# Judges


@pytest.mark.skipif(not (SOURCE / "ops/nn_test.py").exists(), reason="no tests in keras' wheel")
def test_keras_own_tests_of_convolutions_and_pools_pass():
    folders = [str(SOURCE / "layers" / name) for name in ("convolutional", "pooling")]
    options = ["-q", "-p", "no:cacheprovider", "-m", "not requires_trainable_backend"]
    code = f"import aotconv.keras, pytest, sys; sys.exit(pytest.main({[*options, *folders]}))"
    result = run(code)
    assert result.returncode == 0, result.stdout[-3000:]
    assert int(result.stdout.rsplit(" passed", 1)[0].rsplit(maxsplit=1)[-1]) >= 300


@needs_jax
@pytest.mark.long
def test_keras_own_tests_of_operators_pass_where_they_do_with_jax():
    file = str(SOURCE / "ops/nn_test.py")
    options = ["-q", "-p", "no:cacheprovider", "-m", "not requires_trainable_backend", file]
    failed = []
    for first in ("aotconv.keras", "keras"):
        code = f"import {first}, pytest, sys; sys.exit(pytest.main({options}))"
        lines = run(code, KERAS_BACKEND="numpy").stdout.splitlines()
        failed.append({each.partition(" - ")[0] for each in lines if each.startswith("FAILED")})
        assert " passed" in lines[-1]
    ours, stock = failed
    assert ours <= stock


NETWORKS = """
    MobileNetV2 ResNet50 EfficientNetB0 DenseNet121 VGG16 Xception InceptionV3 NASNetMobile
    ConvNeXtTiny
""".split()  # noqa: SIM905
PREDICT = """
import numpy as np, keras
keras.utils.set_random_seed(0)
network = keras.applications.{network}(weights=None)
images = np.random.default_rng(0).random((1, *network.input_shape[1:]), np.float32)
np.save({file!r}, network.predict(images, verbose=0))
"""


@needs_jax
@pytest.mark.long
@pytest.mark.parametrize("network", NETWORKS)
def test_networks_of_random_weights_give_what_they_give_with_jax(network, tmp_path):
    results = []
    for first in ("", "import aotconv.keras"):
        file = str(tmp_path / f"{len(results)}.npy")
        code = first + PREDICT.format(network=network, file=file)
        printed(code, KERAS_BACKEND="numpy")
        results.append(np.load(file))
    stock, ours = results
    assert ours.dtype == stock.dtype
    np.testing.assert_allclose(ours, stock, rtol=0, atol=1e-6)
