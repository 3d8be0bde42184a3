"""KeyboardInterrupt: answered within a second, however long the call, and nothing is harmed."""

from __future__ import annotations

import os

import pytest
from conftest import AVAILABLE
from families import NO_LAYERS
from processes import WATCHED, output_of

from aotconv._plan.select import FAMILIES

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs Linux' memory files")

# `huge` is an array of any size: 32 MiB of memory, mapped again and again side by side.
# `interrupted` is how many seconds after SIGINT a call that takes longer gave way.
PREAMBLE = (
    WATCHED
    + """
import ctypes, math, mmap, time, warnings
import numpy as np, aotconv
warnings.simplefilter("ignore", aotconv.FallbackWarning)
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
CHUNK, USABLE, SHARED_AND_FIXED, ANYWHERE = 32 << 20, mmap.PROT_READ | mmap.PROT_WRITE, 17, 0x4022
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]

def huge(shape, dtype):
    size = -(-math.prod(shape) * np.dtype(dtype).itemsize // CHUNK) * CHUNK
    start = libc.mmap(None, size, 0, ANYWHERE, -1, 0)
    file = os.memfd_create("chunk")
    os.ftruncate(file, CHUNK)
    for address in range(start, start + size, CHUNK):
        mapped = libc.mmap(address, CHUNK, USABLE, SHARED_AND_FIXED, file, 0)
        assert mapped == address, os.strerror(ctypes.get_errno())
    os.close(file)
    memory = (ctypes.c_uint8 * size).from_address(start)
    return np.frombuffer(memory, dtype, math.prod(shape)).reshape(shape)

def interrupted(call):
    reading, writing = os.pipe()
    if os.fork() == 0:
        time.sleep(0.1)
        os.write(writing, repr(time.monotonic()).encode())
        os.kill(os.getppid(), signal.SIGINT)
        os._exit(0)
    try:
        call()
        time.sleep(1)  # the signal may be on its way
    except KeyboardInterrupt as interrupt:
        answered, trace = time.monotonic(), interrupt.__traceback__
        sent = float(os.read(reading, 100))
        assert trace.tb_next is not None, "the call was over before"
        os.wait()
        return answered - sent
    raise AssertionError("the call was over before")
"""
)


def interrupting(images, filters, dtype="float32", where="", **options):
    """Interrupts long calls on 1 and 2 threads; between them the layer computes what is right."""
    channels = filters[-2] * options.get("groups", 1)
    return f"""{PREAMBLE}
rng = np.random.default_rng(0)
shape, weights = {images}, {filters}
def numbers(shape):
    return rng.integers(-4, 5, shape).astype({dtype!r})
{where}
rank = len(weights) - 2
make = (aotconv.Conv1D, aotconv.Conv2D, aotconv.Conv3D)[rank - 1]
layer = make(numbers(weights), **{options})
few = [1] * (len(shape) - rank - 1) + [size + 2 for size in weights[:rank]]
few.insert(-rank if {options.get("data_format")!r} == "channels_first" else len(few), {channels})
small = numbers(few)
expected = layer(small, threads=1)
images = huge(shape, {dtype!r})
out = huge(layer.output_shape(shape), {dtype!r})
for threads in (1, 2):
    seconds = []
    while len(seconds) < 3 and not (seconds and seconds[-1] < 1):
        seconds.append(interrupted(lambda: layer(images, out, threads)))
        assert np.array_equal(layer(small, threads=threads), expected)
    assert seconds[-1] < 1, seconds
    print(f"{{threads}} {{min(seconds):.3f}}", end=" ")
"""


CASES = {
    "dense": ((300, 56, 56, 256), (3, 3, 256, 256)),
    "dense, one image": ((1, 4096, 4096, 64), (3, 3, 64, 64)),
    "dense, one row of results": ((1, 48, 4096, 64), (48, 48, 64, 64)),
    "dense, one filter": ((1, 2000, 30000, 1), (101, 101, 1, 1), {"padding": "same"}),
    "dense, channels first": (
        (300, 256, 56, 56),
        (3, 3, 256, 256),
        {"data_format": "channels_first"},
    ),
    "narrow": ((10000, 128, 128, 6), (4, 4, 6, 4)),
    "planar": ((1, 60000, 60000, 1), (7, 7, 1, 2)),
    "grouped": ((20000, 56, 56, 128), (3, 3, 4, 128), {"groups": 32}),
    "depthwise": ((4000, 112, 112, 64), (7, 7, 1, 64), {"groups": 64}),
    "depthwise, channels first": (
        (2000, 64, 112, 112),
        (7, 7, 1, 64),
        {"groups": 64, "data_format": "channels_first"},
    ),
    "image": ((1, 60000, 60000, 1), (7, 7, 1, 1)),
    "image, one row": ((1, 7, 1000000000, 1), (7, 7, 1, 1)),
    "strip": ((1, 20000, 20000, 1), (31, 31, 1, 1)),
    "winograd": ((300, 112, 112, 256), (3, 3, 256, 256), {"algorithm": "winograd"}),
    "transforms": ((600, 112, 112, 64), (7, 7, 64, 64), {"algorithm": "fft"}),
    "dense, one axis": ((2000, 12000, 128), (9, 128, 128), {"padding": "causal"}),
    "dense, leading axes": ((20, 15, 56, 56, 256), (3, 3, 256, 256)),
    "dense, three axes": ((10, 60, 112, 112, 64), (3, 3, 3, 64, 64)),
    "depthwise, three axes": ((40, 60, 112, 112, 64), (3, 3, 3, 1, 64), {"groups": 64}),
    "image, three axes": ((20000, 2000, 2000, 1), (5, 5, 5, 1, 1), {"padding": "same"}),
    "dense, wrapped": (
        (300, 56, 56, 256),
        (3, 3, 256, 256),
        {"padding": "same", "padding_mode": "wrap"},
    ),
    "image, reflected": (
        (1, 60000, 60000, 1),
        (7, 7, 1, 1),
        {"padding": "same", "padding_mode": "reflect"},
    ),
    "image, wide edges": (
        (40000, 6, 10, 1),
        (5, 5, 1, 1),
        {"padding": 300, "padding_mode": "symmetric"},
    ),
    "float16": ((300, 56, 56, 256), (3, 3, 256, 256), {"dtype": "float16"}),
    "integers": ((300, 56, 56, 256), (3, 3, 256, 256), {"dtype": "int32"}),
}


def test_each_family_has_a_case():
    known = {name.partition(",")[0] for name in CASES}
    assert known >= set(FAMILIES) - NO_LAYERS


@pytest.mark.parametrize("case", CASES)
def test_an_interrupt_is_answered_within_a_second_and_the_layer_still_computes(case):
    images, filters, *options = CASES[case]
    output_of(interrupting(images, filters, **(options[0] if options else {})))


# Of an array and out: the call, their shape and their dtype.
FUNCTIONS = {
    "activate": ("aotconv.activate(array, 'gelu', out)", (3 << 30,), "float64"),
    "activate, halves": ("aotconv.activate(array, 'tanh', out)", (3 << 30,), "float16"),
    "activate, integers": ("aotconv.activate(array, 'relu', out)", (8 << 30,), "int8"),
    "erf, strided": ("aotconv.erf(array[:, ::2], out[:, 1::2])", (60000, 60000), "float32"),
    "softmax": ("aotconv.softmax(array, out=out)", (3000000, 1000), "float32"),
    "softmax, one row": ("aotconv.softmax(array, out=out)", (4 << 30,), "float32"),
    "softmax, first axis": ("aotconv.softmax(array, 0, out)", (60000, 60000), "float32"),
}


MOSTLY = {"activate", "erf, strided", "softmax, one row"}  # others are in the long run


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if case in MOSTLY else pytest.mark.long) for case in FUNCTIONS],
)
def test_functions_of_arrays_answer_an_interrupt_within_a_second(case):
    call, shape, dtype = FUNCTIONS[case]
    code = f"""{PREAMBLE}
array, out = huge({shape}, {dtype!r}), huge({shape}, {dtype!r})
seconds = []
while len(seconds) < 3 and not (seconds and seconds[-1] < 1):
    seconds.append(interrupted(lambda: {call}))
assert seconds[-1] < 1, seconds
print("done")
"""
    assert output_of(code) == "done"


POOLS = {
    "maxima": ("max_pool2d", (4000, 224, 224, 64), "float32", "3, 1"),
    "places": ("max_pool2d", (2000, 224, 224, 64), "float32", "3, 1, return_indices=True"),
    "averages": ("average_pool2d", (1, 40000, 40000, 1), "float32", "9, 1"),
    "one row": ("average_pool1d", (1, 1000000000, 1), "float32", "30, 1"),
    "integers": ("max_pool2d", (4000, 64, 224, 224), "uint8", "5, 1, data_format='NCHW'"),
}


@pytest.mark.parametrize("case", POOLS)
def test_a_pool_answers_an_interrupt_within_a_second_and_computes_again(case):
    door, shape, dtype, arguments = POOLS[case]
    output_of(f"""{PREAMBLE}
real = np.empty
np.empty = lambda shape, dtype=float: (
    huge(shape, dtype) if np.prod(shape) > 1e8 else real(shape, dtype)
)
images = huge({shape}, {dtype!r})
few = np.ones([min(size, 32) for size in {shape}], {dtype!r})
def pool(images, threads):
    result = aotconv.{door}(images, {arguments}, threads=threads)
    return result[0] if type(result) is tuple else result
for threads in (1, 2):
    seconds = []
    while len(seconds) < 3 and not (seconds and seconds[-1] < 1):
        seconds.append(interrupted(lambda: pool(images, threads)))
        assert (pool(few, threads) == 1).all()
    assert seconds[-1] < 1, seconds
""")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_that_are_packed_for_seconds_are_interrupted_within_one(dtype):
    """By compiled code, and converted by NumPy."""
    code = f"""{PREAMBLE}
filters = huge((1, 1, 20000, 10000), "float32")
image = np.zeros((1, 1, 1, 20000), {dtype!r})
for _ in range(2):
    seconds = interrupted(lambda: aotconv.conv2d(image, filters))
    assert seconds < 1, seconds
print("done")
"""
    assert output_of(code) == "done"


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_numpy_s_rung_answers_an_interrupt_within_a_second(dtype):
    code = interrupting((300, 56, 56, 256), (3, 3, 256, 256), dtype=dtype)
    output_of(code, AOTCONV_IMPLEMENTATION="numpy", OPENBLAS_NUM_THREADS="1")


@pytest.mark.skipif("jit" not in AVAILABLE, reason="needs numba")
def test_numba_s_rung_answers_an_interrupt_within_a_second():
    code = interrupting((300, 56, 56, 256), (3, 3, 256, 256))
    output_of(code, AOTCONV_IMPLEMENTATION="jit")


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupted_call_has_written_right_results_or_nothing(threads):
    code = f"""{PREAMBLE}
rng = np.random.default_rng(0)
layer = aotconv.Conv2D(rng.standard_normal((5, 5, 128, 128), np.float32), padding="same")
one = rng.standard_normal((1, 56, 56, 128), np.float32)
images = np.broadcast_to(one, (100, *one.shape[1:]))
before = one.copy()
out = np.full((100, 56, 56, 128), np.nan, np.float32)
interrupted(lambda: layer(images, out, {threads}))
right = layer(one)
written = ~np.isnan(out)
assert written.any() and not written.all()
assert (out == right)[written].all() and np.array_equal(one, before)
layer(images[:9], out[:9], {threads})
assert (out[:9] == right).all()
print("done")
"""
    assert output_of(code) == "done"


def test_a_signal_whose_handler_returns_stops_nothing():
    code = f"""{PREAMBLE}
caught = []
signal.signal(signal.SIGINT, lambda *_: caught.append(layer(images[:1], threads=1)))
layer = aotconv.Conv2D(np.ones((5, 5, 64, 64), np.float32))
images = np.broadcast_to(np.ones((60, 60, 64), np.float32), (60, 60, 60, 64))
for _ in range(2):
    if os.fork() == 0:
        for _ in range(5):
            time.sleep(0.02)
            os.kill(os.getppid(), signal.SIGINT)
        os._exit(0)
    assert (layer(images, threads=2) == 5 * 5 * 64).all()
    os.wait()
assert caught and all((each == 5 * 5 * 64).all() for each in caught)
print("done")
"""
    assert output_of(code) == "done"
