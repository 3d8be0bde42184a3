"""What kernels read and write: nothing outside of their arrays, whatever their sizes and strides,
and nothing that was not written before."""

from __future__ import annotations

import collections
import mmap
import shutil
import signal

import numpy as np
import pytest
from conftest import AOT_LEVELS, AVAILABLE
from families import NO_LAYERS, served_sizes
from guarded import POISON, Layout, Pages
from guarded_cases import draw, sweep
from guarded_operators import OPERATORS
from numpy.lib.stride_tricks import as_strided
from processes import TESTS, run_with_tests
from rows import NAMED, SAMPLED
from strategies import integer_values, real_values

from aotconv import conv2d
from aotconv._plan.activations import CLAMPS

SEED = 0
RNG = np.random.default_rng(SEED)
# By who compiles them: rows whose cases one process can run.
ROWS = collections.defaultdict(list)
for _name, (_row, _jit) in NAMED.items():
    if _row.family not in NO_LAYERS and ("jit" if _jit else _row.level) in AVAILABLE:
        ROWS["jit" if _jit else _row.level].append(_name)
needs_modules = pytest.mark.skipif(not AOT_LEVELS, reason="no compiled module runs here")
LONG = 800  # cases of each row: more than any sweep has


@pytest.fixture
def guarded():
    """Run cases of rows, those of some numbers, in guarded memory in a process of its own.

    Returns how many there were.  If one of them crashes or is wrong, the test fails and says which.
    """

    def run(rows: list[str], numbers: range, *options: str, **environment) -> int:
        cases = [f"{row}:{SEED}:{numbers[0]}-{numbers[-1]}" for row in rows]
        code = f"import guarded_cases; guarded_cases.main({[*options, *cases]})"
        process = run_with_tests(code, OPENBLAS_NUM_THREADS="1", **environment)
        if process.returncode:
            pytest.fail(failure(process))
        assert process.stdout.splitlines()[-1] == f"{len(rows) * len(numbers)} cases"
        return len(rows) * len(numbers)

    return run


def failure(process) -> str:
    """How a process ended, and in which case."""
    code, names = process.returncode, process.stdout.split()
    how = f"a process died of {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    if not names:
        return f"{how} before the first case\n{process.stderr}"
    again = f"python tests/guarded_cases.py {names[-1]}"
    return f"{how} in the case of `{again}`:\n{draw(names[-1])}\n{process.stderr[-6000:]}"


@pytest.mark.parametrize("compiler", list(ROWS))
def test_every_row_keeps_to_its_arrays_and_reads_nothing_unwritten(compiler, guarded):
    rows = [name for name in ROWS[compiler] if name in SAMPLED]
    assert guarded(rows, range(13)) >= 100


PACKING = """
import itertools
import numpy as np
from guarded import Pages
from aotconv._core.panels import fill, fillings
rng, count = np.random.default_rng(0), 0
orders = (0, 1, 2), (0, 2, 1), (2, 1, 0)
sorts = (4, 8, 16, 32), ("float32", "float64"), (False, True), orders
for width, dtype, at_end, order in itertools.product(*sorts):
    for _ in range(40):
        *sizes, columns = (int(each) for each in rng.integers(1, (4, 30, 60, 60)))
        source = Pages([sizes[i] for i in order], dtype, at_end)
        source.array[:] = rng.standard_normal(source.array.shape)
        source.freeze()
        weights = source.array.transpose(np.argsort(order))
        rows, n_filters = sizes[0] * sizes[1], sizes[2]
        a_time, times = -(-columns // width), -(-n_filters // columns)
        target = Pages((times, a_time, rows, width), dtype, at_end)
        assert fill(fillings(target.array, weights, columns), weights.ctypes.data)
        lines = np.zeros((rows, times, a_time * width), dtype)
        for time in range(times):
            some = weights.reshape(rows, -1)[:, time * columns : (time + 1) * columns]
            lines[:, time, : some.shape[1]] = some
        expected = lines.reshape(rows, times, a_time, width).transpose(1, 2, 0, 3)
        assert (target.array == expected).all() and target.spoiled() == 0
        count += 1
print(count)
"""


@needs_modules
def test_packing_keeps_to_its_rows_and_panels():
    done = run_with_tests(PACKING)
    assert done.stdout.strip() == "1920", done.stderr


KNOWN = """
import itertools
import numpy as np, aotconv
from guarded import Pages
from aotconv._core.operator import Operator
rng, checks = np.random.default_rng(0), []
apply = Operator.apply
Operator.apply = lambda *args: checks.append(1) or apply(*args)
for channels, filters, at_end in itertools.product((1, 2, 3), (1, 2, 5), (False, True)):
    shapes = (1, 5, 6, channels), (3, 3, channels, filters), (filters,), (1, 3, 4, filters)
    pages = [Pages(each, "float32", at_end) for each in shapes]
    for each in pages[:3]:
        each.array[:] = rng.integers(-4, 5, each.array.shape)
        each.freeze()
    images, weights, bias, out = (each.array for each in pages)
    expected = aotconv.conv2d(images.astype(int), weights.astype(int), bias.astype(int))
    checks.clear()
    for _ in range(5):
        assert aotconv.conv2d(images, weights, bias, out=out) is out
        assert (out == expected).all() and pages[3].spoiled() == 0
    assert len(checks) == 2
print("done")
"""


@needs_modules
def test_known_calls_look_at_nothing_but_their_arrays():
    done = run_with_tests(KNOWN)
    assert done.stdout.strip() == "done", done.stderr


# Of how many numbers of each operator of `guarded_operators` the default run has a case.
GUARDED = {"filters": 100, "pool": 150, "elementwise": 150}
GUARDED |= dict.fromkeys(OPERATORS.keys() - GUARDED.keys(), 50)
LONG_GUARDED = {**dict.fromkeys(AOT_LEVELS, 4000), "jit": 500}
rungs_of_doors = pytest.mark.parametrize(
    "compiler", [*AOT_LEVELS, pytest.param("jit", marks=pytest.mark.long)]
)


def calls_in_guarded_memory(rung: str, *names: str, **options) -> int:
    """Make calls of doors in guarded memory in a process of its own; how many there were."""
    code = f"import guarded_operators; guarded_operators.main{(rung, *names)}"
    process = run_with_tests(code, **options)
    last = process.stdout.splitlines()[-1:]
    assert process.returncode == 0, f"{rung} {last}: {process.stderr[-6000:]}"
    return int(last[0].split()[0])


@rungs_of_doors
def test_calls_of_every_door_keep_to_their_arrays(compiler):
    names = [f"{operator}:0-{number - 1}" for operator, number in GUARDED.items()]
    assert calls_in_guarded_memory(compiler, *names) == sum(GUARDED.values())


@pytest.mark.long
@pytest.mark.parametrize("operator", OPERATORS)
@rungs_of_doors
def test_calls_of_every_door_keep_to_their_arrays_in_fifty_thousand_cases(compiler, operator):
    last = LONG_GUARDED[compiler]
    assert calls_in_guarded_memory(compiler, f"{operator}:0-{last}") == last + 1


HARMED = """
import os, sys
import guarded_operators
from aotconv._core import elementwise, gradient, jobs, pool, softmax
def wider(g, **more):
    return g._replace(x=g.x._replace(**{name: getattr(g.x, name) + 1 for name in more}))
def in_work(work, *others, **more):
    return work._replace(geometry=wider(work.geometry, **more)), *others
HARMS = {
    "filters": (gradient, "outer_words", lambda *args: in_work(*args, size=1)),
    "images": (jobs, "words", lambda family, *args: (family, *in_work(*args, out=1))),
    "transpose": (jobs, "words", lambda family, *args: (family, *in_work(*args, size=1))),
    "convolve": (jobs, "words", lambda family, *args: (family, *in_work(*args, size=1))),
    "pool": (pool, "pool_words", lambda p, n: (p._replace(geometry=wider(p.geometry, out=1)), n)),
    "elementwise": (elementwise, "elementwise_words", lambda row, f, n: (row, f, n + 1)),
    "softmax": (softmax, "softmax_words", lambda row, step, rows, n: (row, step, rows + 1, n)),
    "ndimage": (jobs, "words", lambda family, *args: (family, *in_work(*args, out=1))),
    "signal": (jobs, "words", lambda family, *args: (family, *in_work(*args, size=1))),
}
assert HARMS.keys() == guarded_operators.OPERATORS.keys()
for name, (module, words, change) in HARMS.items():
    child = os.fork()
    if child == 0:
        try:
            inner = getattr(module, words)
            setattr(module, words, lambda *args: inner(*change(*args)))
            guarded_operators.main(sys.argv[1], f"{name}:0-40")
            os._exit(0)
        finally:
            os._exit(1)
    print(name, os.waitpid(child, 0)[1] != 0, file=sys.stderr)
"""


@needs_modules
def test_plans_that_tell_a_kernel_of_one_element_too_many_are_found():
    done = run_with_tests(HARMED.replace("sys.argv[1]", repr(AOT_LEVELS[0])))
    lines = [line.split() for line in done.stderr.splitlines()]
    found = [line for line in lines if len(line) == 2 and line[0] in OPERATORS]
    assert found == [[operator, "True"] for operator in OPERATORS], done.stderr


@pytest.mark.long
def test_every_row_keeps_to_its_arrays_over_all_tails_in_a_hundred_thousand_cases(guarded, capsys):
    count = 0
    for rows in ROWS.values():
        for first in range(0, LONG, 25):
            count += guarded(rows, range(first, first + 25))
            with capsys.disabled():
                print(f"\r{count} guarded cases", end="", flush=True)
    assert count >= 100_000 or len(AOT_LEVELS) < 3  # a CPU of fewer levels has fewer rows


def test_the_long_run_meets_each_tail_of_each_axis_of_each_row():
    for name, (row, _) in NAMED.items():
        if row.family not in NO_LAYERS:
            swept = sweep(row, SEED)
            assert len(swept) <= LONG
            sizes = served_sizes(row)
            assert set(swept) == {(axis, size) for axis in sizes for size in sizes[axis]}
            for number in range(0, len(swept), 15):
                case, (axis, size) = draw(f"{name}:{SEED}:{number}"), swept[number]
                kd, kh, kw, _, o = case.filters
                *_, w, c = case.images
                assert {"c": c, "o": o, "w": w, "kd": kd, "kh": kh, "kw": kw}[axis] == size


needs_valgrind = pytest.mark.skipif(
    not shutil.which("valgrind"), reason="valgrind is not installed"
)
UNDER_VALGRIND = {"PYTHONMALLOC": "malloc"}
ERROR = 9
VALGRIND = (
    "valgrind",
    "--quiet",
    f"--error-exitcode={ERROR}",
    f"--suppressions={TESTS / 'valgrind.supp'}",
)
# valgrind 3.19 knows no AVX-512, and numba would take hours under it.
WATCHED = [level for level in AOT_LEVELS if level != "x86-64-v4"]


@pytest.mark.long
@needs_valgrind
@pytest.mark.parametrize("level", WATCHED)
def test_valgrind_finds_no_error_in_the_compiled_modules(level, guarded):
    options = {"within": VALGRIND, **UNDER_VALGRIND}
    assert guarded(ROWS[level], range(6 if len(ROWS[level]) > 20 else 20), "--heap", **options)


@pytest.mark.long
@needs_valgrind
@pytest.mark.parametrize("level", WATCHED)
def test_valgrind_finds_no_error_in_calls_of_every_door(level):
    names = [f"{operator}:0-39" for operator in OPERATORS]
    options = {"within": VALGRIND, **UNDER_VALGRIND}
    assert calls_in_guarded_memory("--heap", level, *names, **options) == 40 * len(OPERATORS)


@pytest.mark.long
@needs_valgrind
@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("held.array[...] = 1; assert (held.array > 0).all()", ""),
        ("assert (held.array > 0).any() in (0, 1)", "uninitialised value"),
        ("ctypes.memmove(held.array.ctypes.data + held.array.nbytes, b'x', 1)", "Invalid write"),
        ("ctypes.string_at(held.array.ctypes.data - 1, 1)", "Invalid read"),
    ],
)
def test_valgrind_finds_what_is_done_to_an_array_on_the_heap(code, found):
    start = "import ctypes; from guarded import Heap; held = Heap((3, 5), 'f4', True); "
    process = run_with_tests(start + code, within=VALGRIND, **UNDER_VALGRIND)
    assert found in process.stderr
    assert process.returncode == (ERROR if found else 0)


ACCESSES = {
    "read": "ctypes.string_at({}, 1)",
    "write": "ctypes.memmove({}, b'x', 1)",
}


@pytest.mark.parametrize("access", list(ACCESSES))
@pytest.mark.parametrize("at_end", [True, False])
def test_an_access_one_byte_beyond_a_guarded_array_ends_the_process(at_end, access):
    start = f"import ctypes; from guarded import Pages; a = Pages((3, 5), 'f4', {at_end}).array; "
    inside = "a.ctypes.data + a.nbytes - 1" if at_end else "a.ctypes.data"
    code = ACCESSES[access]
    assert run_with_tests(start + code.format(inside)).returncode == 0
    beyond = f"{inside} {'+' if at_end else '-'} 1"
    assert run_with_tests(start + code.format(beyond)).returncode == -signal.SIGSEGV


@pytest.mark.parametrize("frozen", [True, False])
def test_a_write_into_a_frozen_array_ends_the_process(frozen):
    code = "from guarded import Pages; held = Pages((3,), 'f4', True)\n"
    code += "held.freeze()\n" * frozen + "held.array[1] = held.array[0]"
    assert run_with_tests(code).returncode == (-signal.SIGSEGV if frozen else 0)


def test_each_byte_around_and_between_a_guarded_arrays_elements_is_a_canary():
    layout = Layout((0, 2, 1), (2, 1, 3), (1,))
    for at_end in (True, False):
        held = Pages((2, 3, 4), "f4", at_end, layout)
        inside = held._inside
        assert np.isnan(held.array).all() and (inside == POISON).all()
        held.array[...] = 0
        own = inside == 0
        assert own.sum() == held.array.nbytes and own[-1 if at_end else 0]
        assert held.spoiled() == 0 and (inside == POISON).all()
        for at in np.flatnonzero(~own):
            inside[at] = 0
            assert held.spoiled() == 1
            inside[at] = POISON


@needs_modules
@pytest.mark.parametrize(
    ("harm", "found"),
    [
        ("ctypes.memset(out.ctypes.data + out.nbytes, 0, 1)", "SIGSEGV"),
        ("ctypes.memset(out.ctypes.data - 1, 0, 1)", "assert each.spoiled() == 0"),
        ("ctypes.memset(out.ctypes.data, 0xFF, 4)", "nan"),
        ("ctypes.memset(images.ctypes.data, 0, 1)", "SIGSEGV"),
        ("out[-1, -1, -1, -1, -1] += 1", "Mismatched elements: 1 /"),
    ],
)
def test_what_harms_an_array_is_reported_with_its_case(harm, found):
    row = next(name for name in ROWS[AOT_LEVELS[-1]] if "dense" in name)
    names = (f"{row}:{SEED}:{number}" for number in range(LONG))
    name = next(name for name in names if lies_plainly_at_its_end(draw(name)))
    code = f"""
import ctypes, guarded_cases
run_kernel = guarded_cases.run_kernel
def harmed(kernel, geometry, images, out, *more):
    run_kernel(kernel, geometry, images, out, *more)
    {harm}
guarded_cases.run_kernel = harmed
guarded_cases.main([{name!r}])"""
    process = run_with_tests(code)
    assert process.returncode
    assert found in failure(process) and f"guarded_cases.py {name}`" in failure(process)


def lies_plainly_at_its_end(case) -> bool:
    plainly = case.layouts["out"] == Layout.packed(5) and case.activation in CLAMPS
    return case.at_end["out"] and plainly


def test_images_of_more_than_two_to_the_31_elements_are_convolved(rung):
    pixel = integer_values(RNG, (1, 1, 1, 3), "float32")
    for window, groups in (((1, 1), 1), ((2, 3), 1), ((2, 3), 3)):
        filters = integer_values(RNG, (*window, 3 // groups, 3), "float32")
        images = np.broadcast_to(pixel, (1, 2**20, 2**16, 3))
        strides = 2**18 + 1, 2**14 - 1
        assert images.size > 2**37
        result = conv2d(images, filters, None, strides, groups=groups)
        same = np.broadcast_to(
            conv2d(np.tile(pixel, (1, *window, 1)), filters, groups=groups), result.shape
        )
        assert result.shape == (1, 4, 5, 3)
        np.testing.assert_array_equal(result, same)


@pytest.mark.parametrize(
    ("images", "filters", "options"),
    [
        ((2**20, 2**20, 2**20, 1), (1, 1, 1, 16), {}),
        ((1, 2**29, 2**31, 1), (1, 1, 1, 8), {}),
        ((1, 2**20, 2**20, 1), (1, 1, 1, 2**20), {}),
        ((1, 1, 1, 1), (1, 1, 1, 1), {"padding": (2**32, 2**32)}),
        ((2**31, 1, 1, 1), (1, 1, 1, 1), {"padding": ((2**16, 2**16), (0, 2**16))}),
        ((1, 1, 1, 1), (1, 1, 1, 1), {"padding": 2**63 - 1, "strides": 2**63 - 1}),
    ],
)
def test_sizes_whose_product_is_beyond_two_to_the_63_are_refused(images, filters, options):
    arrays = [np.broadcast_to(np.float32(1), shape) for shape in (images, filters)]
    with pytest.raises(ValueError, match="too large to address"):
        conv2d(*arrays, **options)


GIGABYTES = 5 << 30


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 3, 1, 2)], ids=["NHWC", "NCHW"])
@pytest.mark.parametrize("groups", [1, 5])
def test_rows_may_lie_gigabytes_apart(rung, groups, axes, tmp_path):
    images = integer_values(RNG, (1, 4, 6, 5), "float32")
    filters = integer_values(RNG, (3, 2, 5 // groups, 5), "float32")
    expected = conv2d(images, filters, groups=groups)
    source, out = (spread(array, axes, tmp_path / str(array.shape)) for array in (images, expected))
    source[...] = images
    assert conv2d(source, filters, groups=groups, out=out) is out
    np.testing.assert_array_equal(out, expected)


def spread(array, axes, path):
    """An array of that shape whose rows lie gigabytes apart, in a file that has only what is
    written; the other axes follow each other as in `axes`."""
    with open(path, "wb+") as file:
        file.truncate(array.shape[1] * GIGABYTES)
        memory = mmap.mmap(file.fileno(), 0)
    strides = list(np.empty([array.shape[axis] for axis in axes], array.dtype).strides)
    strides = [strides[axes.index(axis)] for axis in range(4)]
    strides[1] = GIGABYTES
    return np.ndarray(array.shape, array.dtype, memory, 0, strides)


@pytest.mark.parametrize("stride", [0, -4, 3, 2**62, -(2**62)])
@pytest.mark.parametrize("groups", [1, 4])
def test_strides_of_axes_of_length_0_and_1_mean_nothing(rung, groups, stride):
    for axis in range(4):
        shape = [2, 5, 6, 4]
        shape[axis] = 1
        groups = min(groups, shape[3])
        window = min(2, shape[1]), min(3, shape[2])
        images = integer_values(RNG, shape, "float32")
        for n_filters in (4, 4 * groups):
            filters = integer_values(RNG, (*window, shape[3] // groups, n_filters), "float32")
            bias = integer_values(RNG, (n_filters,), "float32")
            expected = conv2d(images, filters, bias, groups=groups)
            residual = integer_values(RNG, expected.shape, "float32")
            out = np.empty_like(expected)
            arrays = [strided(array, stride) for array in (images, filters, residual, out)]
            conv2d(*arrays[:2], bias, groups=groups, residual=arrays[2], out=arrays[3])
            np.testing.assert_array_equal(out, expected + residual)
        empty = strided(images[:0], stride)
        assert conv2d(empty, filters, groups=groups).size == 0
    nothing = strided(np.empty((2, 5, 6, 0), np.float32), stride)
    no_weights = strided(np.empty((2, 3, 0, 4), np.float32), stride)
    assert (conv2d(nothing, no_weights, np.ones(4, np.float32)) == 1).all()
    one = strided(np.full(1, 3, np.float32), stride)
    result = conv2d(np.ones((1, 3, 3, 1), "f4"), np.ones((1, 1, 1, 1), "f4"), one)
    assert (result == 4).all()


def strided(array, stride):
    """The same array, with that stride on its axes of length 0 and 1."""
    axes = zip(array.shape, array.strides, strict=True)
    return as_strided(array, strides=[own if size > 1 else stride for size, own in axes])


IMAGES = real_values(RNG, (2, 9, 11, 3), "float32")
FILTERS = real_values(RNG, (4, 3, 3, 20), "float32")


@pytest.mark.parametrize(
    ("images", "filters"),
    [
        pytest.param(IMAGES[..., ::-1], FILTERS, id="BGR"),
        pytest.param(IMAGES[:, ::-1], FILTERS, id="upside down"),
        pytest.param(IMAGES[:, :, ::-1], FILTERS, id="mirrored"),
        pytest.param(IMAGES[::-1, ::-1, ::-1, ::-1], FILTERS, id="reversed"),
        pytest.param(IMAGES[:, ::2, 1::3], FILTERS[:2], id="sliced"),
        pytest.param(np.broadcast_to(IMAGES[:1], IMAGES.shape), FILTERS, id="one image"),
        pytest.param(np.broadcast_to(IMAGES[..., :1], IMAGES.shape), FILTERS, id="gray"),
        pytest.param(IMAGES, FILTERS[::-1, ::-1], id="flipped filters"),
        pytest.param(IMAGES, FILTERS[..., ::-1, :], id="BGR filters"),
        pytest.param(IMAGES, FILTERS.transpose(1, 0, 2, 3), id="transposed filters"),
        pytest.param(IMAGES, np.ascontiguousarray(FILTERS.T).T, id="filters of OIHW"),
        pytest.param(IMAGES, np.broadcast_to(FILTERS[..., :1], FILTERS.shape), id="one filter"),
        pytest.param(IMAGES, np.broadcast_to(FILTERS[:1, :1], FILTERS.shape), id="one tap"),
    ],
)
@pytest.mark.parametrize("groups", [1, 3])
def test_views_give_the_bits_of_their_contiguous_copies(rung, images, filters, groups):
    filters = filters if groups == 1 else filters[:, :, :1, :18]
    expected = conv2d(images.copy(), filters.copy(), groups=groups)
    result = conv2d(images, filters, groups=groups)
    assert result.tobytes() == expected.tobytes()


SHAPE = (1, 7, 7, 7)


@pytest.mark.parametrize("groups", [1, 7])
@pytest.mark.parametrize("how", ["exactly", "shifted ahead", "shifted back", "reversed"])
@pytest.mark.parametrize("name", ["images", "filters", "bias", "residual"])
def test_out_may_overlap_each_array_that_is_read(rung, name, how, groups):
    shapes = {
        "images": SHAPE,
        "filters": (7, 7, 7 // groups, 7),
        "bias": (7,),
        "residual": SHAPE,
    }
    arrays = {each: integer_values(RNG, shape, "float32") for each, shape in shapes.items()}
    options = {"padding": "same", "groups": groups}
    expected = conv2d(**arrays, **options)
    memory = np.zeros(7**4 + 2, np.float32)
    size = arrays[name].size
    read = memory[1 : 1 + size].reshape(arrays[name].shape)
    read[...] = arrays[name]
    start = {"shifted ahead": 2, "shifted back": 0}.get(how, 1)
    out = memory[start : start + expected.size].reshape(SHAPE)
    if how == "reversed":
        out = out[:, ::-1, ::-1, ::-1]
    assert np.shares_memory(read, out)
    assert conv2d(**{**arrays, name: read}, out=out, **options) is out
    np.testing.assert_array_equal(out, expected)
