"""Every row of the registry against the oracle, over the tails of its tile."""

from __future__ import annotations

import itertools
import zlib
from importlib import import_module

import numpy as np
import pytest
from conftest import AOT_LEVELS
from families import NO_LAYERS, channelwise, cuts, grouping, groups_of, suited, tails
from oracle import (
    assert_exact,
    assert_winograd,
    assert_within_bound,
    wide,
    winograd_bound,
    winograd_matrices,
)
from rows import (
    NAMED,
    SAMPLED,
    compiled,
    convolve,
    geometry_of,
    kernel_of,
    lifted,
    run_kernel,
    shape_of,
)
from strategies import integer_values, real_values

import aotconv
from aotconv._core import cpu
from aotconv._core.jobs import Job, call_of
from aotconv._plan import dense, family, winograd
from aotconv._plan.activations import ACTIVATIONS, CLAMPS
from aotconv._plan.dense import COPIED, SKIPPED, ZEROS
from aotconv._plan.geometry import extent
from aotconv._plan.peak import peak_words
from aotconv._plan.registry import LEVELS
from aotconv._plan.select import family_of
from aotconv.reference import conv_reference

CASES = [
    pytest.param(*case, id=name, marks=() if name in SAMPLED else pytest.mark.long)
    for name, case in NAMED.items()
]
CONVOLUTIONS = [case for case in CASES if case.values[0].family not in NO_LAYERS]


def kernel_function(row, jit):
    if not jit and row.level not in AOT_LEVELS:
        pytest.skip(f"this CPU does not run {row.level}")
    return compiled(row, jit)


def assert_right(row, result, *args, **options):
    """`result` is the oracle's, or of the winograd family within its bound."""
    judge = assert_winograd if row.family == "winograd" else assert_exact
    judge(result, *args, **options)


@pytest.mark.parametrize(("row", "jit"), CONVOLUTIONS)
def test_every_row_is_exact_over_the_tails_of_pixels_and_filters(row, jit):
    function = kernel_function(row, jit)
    rng = np.random.default_rng(1)
    window, strides, _ = suited(row, (2, 3))
    for n_filters, width in itertools.product(tails(row), range(1, 2 * row.pixels + 2)):
        groups, group_channels, n_filters = grouping(row, n_filters)
        images = integer_values(rng, (2, 3, width, groups * group_channels), row.dtype)
        filters = integer_values(rng, (*window, group_channels, n_filters), row.dtype)
        bias = integer_values(rng, (n_filters,), row.dtype)
        args = images, filters, bias, strides, "same"
        result = convolve(row, function, *args, groups=groups)
        assert_right(row, result, *args, groups=groups)


@pytest.mark.parametrize(("row", "jit"), CONVOLUTIONS)
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (1, 3)])
@pytest.mark.parametrize("dilations", [(1, 1), (1, 2), (2, 1)])
@pytest.mark.parametrize("padding", ["valid", "same", ((0, 3), (2, 1))])
def test_every_row_is_exact_over_strides_dilations_and_padding(
    row, jit, strides, dilations, padding
):
    function = kernel_function(row, jit)
    rng = np.random.default_rng(2)
    groups, group_channels, n_filters = 2, 3, 8
    if groups_of(row) != "any":
        groups, group_channels, n_filters = grouping(row, tails(row)[-1])
    window, strides, dilations = suited(row, (4, 3), strides, dilations)
    images = integer_values(rng, (2, 9, 11, groups * group_channels), row.dtype)
    filters = integer_values(rng, (*window, group_channels, n_filters), row.dtype)
    args = images, filters, None, strides, padding
    options = {"dilations": dilations, "groups": groups}
    assert_right(row, convolve(row, function, *args, **options), *args, **options)


@pytest.mark.parametrize(("row", "jit"), CONVOLUTIONS)
def test_every_row_stays_exact_where_its_work_is_cut(row, jit):
    function = kernel_function(row, jit)
    rng = np.random.default_rng(3)
    for images_shape, filters_shape, groups in cuts(row):
        window, strides, _ = suited(row, filters_shape[:-2])
        images = integer_values(rng, images_shape, row.dtype)
        filters = integer_values(rng, (*window, *filters_shape[-2:]), row.dtype)
        args = images, filters, None, strides, "same"
        result = convolve(row, function, *args, groups=groups)
        assert_right(row, result, *args, groups=groups)
        options = {"groups": groups, "residual": integer_values(rng, result.shape, row.dtype)}
        assert_right(row, convolve(row, function, *args, **options), *args, **options)


IN_PLANES = [case for case in CONVOLUTIONS if case.values[0].family != "winograd"]
NO_STEPS = (1, 1, 1)


@pytest.mark.parametrize(("row", "jit"), IN_PLANES)
@pytest.mark.parametrize("window", [(2, 3, 4), (3, 2, 3)])
@pytest.mark.parametrize("share", [10, pytest.param(1, marks=pytest.mark.long)])
def test_every_row_is_exact_over_planes(row, jit, window, share):
    """All steps, paddings and depths, or every `share`-th of them, another one for each row."""
    function = kernel_function(row, jit)
    rng = np.random.default_rng(11)
    groups, group_channels, n_filters = 2, 3, 8
    if groups_of(row) != "any":
        groups, group_channels, n_filters = grouping(row, tails(row)[-1])
    steps = [
        (NO_STEPS, NO_STEPS),
        ((2, 1, 1), NO_STEPS),
        ((1, 2, 3), (1, 1, 2)),
        (NO_STEPS, (2, 1, 1)),
        ((3, 1, 1), (3, 2, 1)),
    ]
    paddings = ["same", "valid", ((0, 3), (2, 1), (1, 0)), ((9, 0), (0, 9), (0, 11))]
    cases = list(itertools.product(steps, paddings, (1, 2, 7)))
    first = zlib.crc32(f"{row.level} {row.name} {jit}".encode()) % share
    for (strides, dilations), padding, depth in cases[first::share]:
        near, strides, dilations = suited(row, window, strides, dilations)
        padded = depth + (0 if isinstance(padding, str) else sum(padding[0]))
        if padding != "same" and padded < extent(near[0], dilations[0]):
            continue
        images = integer_values(rng, (2, depth, 8, 9, groups * group_channels), row.dtype)
        filters = integer_values(rng, (*near, group_channels, n_filters), row.dtype)
        bias = integer_values(rng, (n_filters,), row.dtype)
        args = images, filters, bias, strides, padding
        options = {"dilations": dilations, "groups": groups}
        assert_exact(convolve(row, function, *args, **options), *args, **options)


DEEP = [case for case in CONVOLUTIONS if family_of(case.values[0]).planes]


@pytest.mark.parametrize(("row", "jit"), DEEP)
@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.long), 2])
def test_deep_rows_are_exact_in_little_memory(row, jit, threads, monkeypatch):
    function = kernel_function(row, jit)
    module = import_module(f"aotconv._plan.{row.family}")
    # Of the windows below.
    for name, limit in {"SCRATCH_WORDS": 900, "SCRATCH_BYTES": 6 << 10, "TASK_TILES": 2}.items():
        if hasattr(module, name):
            monkeypatch.setattr(module, name, limit)
    rng = np.random.default_rng(12)
    window, strides, _ = suited(row, (3, 4, 2), (1, 1, 2))
    for n_filters, padding in itertools.product(tails(row), ["same", ((2, 0), (0, 1), (3, 4))]):
        groups, group_channels, n_filters = grouping(row, n_filters)
        images = integer_values(rng, (2, 4, 9, 20, groups * group_channels), row.dtype)
        filters = integer_values(rng, (*window, group_channels, n_filters), row.dtype)
        args = images, filters, None, strides, padding
        options = {"groups": groups}
        out = convolve(row, function, *args, **options)
        options["residual"] = integer_values(rng, out.shape, row.dtype)
        result = convolve(row, function, *args, **options, threads=threads)
        assert_exact(result, *args, **options)


DENSE = [
    case
    for case in CONVOLUTIONS
    if case.values[0].family == "dense" and not case.values[0].permuted
]


@pytest.mark.parametrize(("row", "jit"), DENSE)
@pytest.mark.parametrize("slice_bytes", [dense.PANEL_SLICE_BYTES, 4 << 10], ids=["whole", "sliced"])
@pytest.mark.parametrize(
    ("channels", "window", "border"),
    [
        (3, (5, 4), COPIED),
        (3, (5, 1), COPIED),
        (3, (2, 3, 2), COPIED),
        (60, (3, 3), ZEROS),
        (60, (2, 2, 3), ZEROS),
        (260, (3, 2), SKIPPED),
        (260, (2, 2, 1), SKIPPED),
    ],
)
def test_every_dense_row_is_exact_however_its_windows_leave_the_image(
    row, jit, slice_bytes, channels, window, border, monkeypatch
):
    monkeypatch.setattr(dense, "PANEL_SLICE_BYTES", slice_bytes)  # cuts the reduction
    function = kernel_function(row, jit)
    rng = np.random.default_rng(7)
    n_filters, rank = row.channels + 1, len(window)
    cases = itertools.product(
        [(1, 1), (2, 2)],
        [((1, 1), (1, 1), (1, 1)), ((3, 1), (0, 3), (2, 0)), ((4, 0), (7, 0), (0, 9))],
        [1, 2] if border != COPIED else [1],
    )
    for (stride, dilation), padding, groups in cases:
        strides, dilations = ((step,) * (rank - 1) + (1,) for step in (stride, dilation))
        padding = padding[-rank:]
        size = (2, 5, 9, 8)[-rank:]
        images = integer_values(rng, (2, *size, groups * channels), row.dtype)
        filters = integer_values(rng, (*window, channels, groups * n_filters), row.dtype)
        bias = integer_values(rng, (groups * n_filters,), row.dtype)
        args = images, filters, bias, strides, padding
        options = {"groups": groups, "dilations": dilations, "activation": "relu"}
        geometry = geometry_of(images.shape, filters.shape, strides, padding, dilations, groups)
        residual = integer_values(rng, shape_of(geometry, rank), row.dtype)
        work = family.Work(row, geometry, lifted(images).strides, lifted(residual).strides)
        blocking = dense.DENSE.blocking(work)
        options["residual"] = residual
        cut = border == COPIED and blocking["block_taps"] < geometry.taps
        assert blocking["border"] == (ZEROS if cut else border)
        assert_exact(convolve(row, function, *args, **options), *args, **options)


PLANAR = [case for case in CONVOLUTIONS if case.values[0].family == "planar"]


@pytest.mark.parametrize(("row", "jit"), PLANAR)
@pytest.mark.parametrize("n_filters", [2, 3, 4, 7, 16])
@pytest.mark.parametrize("window", [(1, 1), (3, 4), (5, 3), (2, 3, 2)])
def test_every_planar_row_is_exact_around_what_it_reads_in_place(row, jit, n_filters, window):
    function = kernel_function(row, jit)
    rng = np.random.default_rng(8)
    rank = len(window)
    tile = 2 * row.channels  # pixels, at most
    cases = itertools.product(
        [tile + 10, 3 * tile - 1, 5 * tile + 3],
        [(1, 1), (2, 1), (1, 3), (3, 2)],  # of rows; dilations, of columns too
        [((0, 0), (0, 0), (0, 0)), ((1, 1), (2, 1), (3, 0)), ((0, 1), (0, 9), (tile + 2, 5))],
    )
    for width, (stride, dilation), padding in cases:
        strides = (1,) * (rank - 2) + (stride, 1)
        dilations = (1,) * (rank - 2) + (dilation, dilation)
        images = integer_values(rng, (2, *(4, 17, width)[-rank:], 1), row.dtype)
        filters = integer_values(rng, (*window, 1, n_filters), row.dtype)
        bias = integer_values(rng, (n_filters,), row.dtype)
        args = images, filters, bias, strides, padding[-rank:]
        options = {"dilations": dilations, "activation": "relu"}
        assert_exact(convolve(row, function, *args, **options), *args, **options)


WINOGRAD = [case for case in CONVOLUTIONS if case.values[0].family == "winograd"]


@pytest.mark.parametrize(("row", "jit"), WINOGRAD)
def test_winograd_rows_give_the_same_bits_however_their_work_is_cut(row, jit, monkeypatch):
    function = kernel_function(row, jit)
    rng = np.random.default_rng(8)
    channels, n_filters = 5 * row.lanes + 3, 2 * row.channels + 1
    filters = real_values(rng, (3, 3, channels, n_filters), row.dtype)
    bias = real_values(rng, (n_filters,), row.dtype)
    for n, height, width in ((1, 1, 1), (1, 4, 5), (2, 11, 13), (1, 9, 30)):
        images = real_values(rng, (n, height, width, channels), row.dtype)
        args = images, filters, bias, (1, 1), "same"
        residual = real_values(rng, (n, height, width, n_filters), row.dtype)
        expected = convolve(row, function, *args, residual=residual)
        assert_winograd(expected, *args, residual=residual)
        for tiles, staging in itertools.product(range(1, 2 * row.pixels + 2), (0, 1 << 20)):
            with monkeypatch.context() as patch:
                patch.setattr(winograd, "LEAST_TASK_TILES", tiles)
                patch.setattr(winograd, "MOST_TASK_TILES", tiles)
                patch.setattr(family, "STAGING_BYTES", staging)  # 0: a vector of channels at a time
                for threads in (1, 3):
                    result = convolve(row, function, *args, residual=residual, threads=threads)
                    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(("row", "jit"), WINOGRAD)
def test_winograd_rows_stay_within_their_bound_on_hostile_data(row, jit):
    function = kernel_function(row, jit)
    rng = np.random.default_rng(9)
    _, b, g = winograd_matrices()
    for channels in (1, 40):
        signs = rng.choice([-1, 1], (channels, 7))
        for i, j in itertools.product(range(6), repeat=2):
            # All products of one position of the transforms have their largest size.
            tile = np.sign(np.outer(b[:, i], b[:, j]))[:, :, None] * signs[:, 0]
            taps = np.sign(np.outer(g[i], g[j]))[:, :, None, None] * signs
            images = (1e3 * np.tile(tile, (1, 2, 2, 1))).astype(row.dtype)
            filters = (1e-2 * taps).astype(row.dtype)
            args = images, filters, None, (1, 1), "same"
            result = convolve(row, function, *args).astype(np.float64)
            error = np.abs(result - conv_reference(*map(wide, args[:2]), None, *args[3:])).max()
            assert error <= winograd_bound(images, filters, None, row.dtype)


# One function applies all but clamps: the default run has two of them.
MOSTLY = [
    name if name in (*CLAMPS, "leaky_relu", "silu") else pytest.param(name, marks=pytest.mark.long)
    for name in ACTIVATIONS
]
NOT_NEGATIVE = ("relu", "relu6", "hard_sigmoid", "sigmoid")
REAL = [case for case in CONVOLUTIONS if not case.values[0].integers]


@pytest.mark.parametrize(("row", "jit"), REAL)
@pytest.mark.parametrize("activation", MOSTLY)
def test_every_row_applies_the_activation_after_the_bias(row, jit, activation):
    function = kernel_function(row, jit)
    rng = np.random.default_rng(4)
    n_filters = tails(row)[-1] if channelwise(row) or row.split else 20
    groups, group_channels, n_filters = grouping(row, n_filters, 20)
    window, strides, _ = suited(row, (3, 3))
    images = real_values(rng, (1, 12, 12, groups * group_channels), row.dtype)
    filters = 3 * real_values(rng, (*window, group_channels, n_filters), row.dtype)
    args = images, filters, real_values(rng, (n_filters,), row.dtype), strides, 1
    options = {"groups": groups, "activation": activation}
    result = convolve(row, function, *args, **options)
    assert_within_bound(result, *args, **options)
    assert (result < 0).any() == (activation not in NOT_NEGATIVE)


@pytest.mark.parametrize(("row", "jit"), CONVOLUTIONS)
@pytest.mark.parametrize("threads", [1, 2])
def test_every_row_adds_the_residual_over_the_tails_of_pixels_and_filters(row, jit, threads):
    function = kernel_function(row, jit)
    rng = np.random.default_rng(7)
    window, strides, _ = suited(row, (2, 3))
    widths = (1, row.pixels, 2 * row.pixels + 1)
    for n_filters, width in itertools.product(tails(row), widths):
        groups, group_channels, n_filters = grouping(row, n_filters, 1)
        images = integer_values(rng, (2, 7, width, groups * group_channels), row.dtype)
        filters = integer_values(rng, (*window, group_channels, n_filters), row.dtype)
        bias = integer_values(rng, (n_filters,), row.dtype)
        args = images, filters, bias, strides, "same"
        shape = 2, -(-7 // strides[0]), -(-width // strides[1]), n_filters
        options = {"groups": groups, "residual": integer_values(rng, shape, row.dtype)}
        result = convolve(row, function, *args, threads=threads, **options)
        assert_right(row, result, *args, **options)


@pytest.mark.parametrize(("row", "jit"), REAL)
@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_every_row_applies_the_activation_after_the_residual(row, jit, activation):
    function = kernel_function(row, jit)
    groups, group_channels, n_filters = grouping(row, tails(row)[-1], 1)
    window, strides, _ = suited(row, (3, 3))
    images = np.ones((1, 9, 9, groups * group_channels), row.dtype)
    filters = np.full((*window, group_channels, n_filters), -1, row.dtype)
    args = images, filters, None, strides, "valid"
    depth = window[0] * window[1] * group_channels
    residual = np.full_like(convolve(row, function, *args, groups=groups), depth + 3)
    residual[0, -1] = depth - 3
    options = {"groups": groups, "residual": residual, "activation": activation}
    result = convolve(row, function, *args, **options)
    if row.family == "winograd":
        result = np.rint(result)
    assert (result[0, -1] == 0).all() and (result[0, :-1] == 3).all()


@pytest.mark.parametrize(("row", "jit"), CONVOLUTIONS)
def test_every_row_uses_no_pixel_and_writes_no_output_outside_its_arrays(row, jit):
    function = kernel_function(row, jit)
    rng = np.random.default_rng(5)
    hostile = 99 if row.integers else np.nan
    window, strides, _ = suited(row, (4, 2))
    counts = tails(row) if channelwise(row) or row.split else (1, 3, row.lanes + 1)
    for n_filters, width in itertools.product(counts, (1, 4, row.pixels + 1, 40)):
        groups, group_channels, n_filters = grouping(row, n_filters, n_filters)
        channels = groups * group_channels
        surroundings = np.full((2, 6, width + 4, channels + 2), hostile).astype(row.dtype)
        images = surroundings[:1, 2:5, 2 : 2 + width, 1 : 1 + channels]
        images[...] = integer_values(rng, images.shape, row.dtype)
        filters = integer_values(rng, (*window, group_channels, n_filters), row.dtype)
        geometry = geometry_of(images.shape, filters.shape, strides, "same", groups=groups)
        kernel = kernel_of(row, function, filters, None, groups)
        shape = 1, geometry.y.out + 2, geometry.x.out + 2, n_filters + 2
        canvas, around = np.full(shape, 55, row.dtype), np.full(shape, hostile).astype(row.dtype)
        out, residual = (each[:, 1:-1, 1:-1, 1:-1] for each in (canvas, around))
        residual[...] = integer_values(rng, out.shape, row.dtype)
        run_kernel(kernel, geometry, images, out, residual)
        options = {"groups": groups, "residual": residual}
        assert_right(row, out.copy(), images, filters, None, strides, "same", **options)
        out[...] = 55
        assert (canvas == 55).all()


@pytest.mark.parametrize(("row", "jit"), [c for c in CASES if c.values[0].family == "peak"])
def test_the_peak_kernel_multiplies_and_adds_as_often_as_asked(row, jit):
    rung = kernel_function(row, jit)
    vectors = np.array([[1.0] * row.lanes, [2.0] * row.lanes, [1.0] * row.lanes], row.dtype)
    out = np.zeros((2, row.lanes), row.dtype)
    words = np.array(peak_words(iterations=5, tasks=2), np.int64)
    call_of(rung, [Job(rung.task(row), words, vectors.ctypes.data, vectors)], 1)(vectors, out, None)
    total = row.pixels * (2**6 - 1) + 1  # s -> 2 s + 1, five times, from 1; and the start again
    np.testing.assert_array_equal(out, total)


FMA_LEVELS = [name for name in AOT_LEVELS if LEVELS[name].fma]


@pytest.mark.skipif(len(FMA_LEVELS) < 2, reason="this CPU has no two levels with FMA")
@pytest.mark.parametrize(
    ("dtype", "groups", "algorithm"),
    [
        ("float32", 1, "auto"),
        ("float64", 2, "auto"),
        ("float32", 10, "auto"),
        ("float32", 20, "auto"),
        ("float32", 1, "winograd"),
        ("float64", 1, "winograd"),
    ],
)
def test_all_levels_with_fma_agree_to_the_bit(dtype, groups, algorithm):
    rng = np.random.default_rng(6)
    images = real_values(rng, (2, 13, 14, 20), dtype)
    width = 3 if algorithm == "winograd" else 4
    filters = real_values(rng, (3, width, 20 // groups, 40 if groups < 20 else 20), dtype)
    options = {"padding": "same", "groups": groups, "algorithm": algorithm}
    results = []
    for level in FMA_LEVELS:
        with aotconv.use(level):
            results.append(aotconv.conv2d(images, filters, **options))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.skipif(not cpu.features(), reason="features are those of x86-64")
def test_the_levels_of_this_cpu_are_all_tested_compiled():
    able = [name for name, level in LEVELS.items() if level.features <= cpu.features()]
    assert able == AOT_LEVELS
