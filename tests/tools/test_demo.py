"""The demo: its pictures, its race, and ``aotconv demo``."""

import contextlib
import importlib.util
import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command import run
from PIL import Image

import aotconv
from aotconv import ndimage
from aotconv._core import cpu
from aotconv._tools import demo, features, gallery, notebook
from aotconv._tools.digits import three_digits
from aotconv._tools.errors import DisagreementError
from aotconv._tools.report import team_name
from aotconv.reference import conv_reference

PICTURES = ["features.png", "filters.png", "comparison.png"]
FLAT = 0.05  # a tile's standard deviation, of 1 from black to white; Gabor's were 0.03
README = 52  # dots an inch where README's page shows the pictures
SMALL = (2, 9, 8, 3)  # images of the race; plain v3 needs a second for the notebook's batch


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A small picture of random pixels."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    pixels = np.random.default_rng(1).integers(0, 256, (20, 24, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def finished(photo, tmp_path_factory):
    """What one run of ``aotconv demo`` printed and wrote."""
    folder = tmp_path_factory.mktemp("demo") / "new" / "folder"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebook, "IMAGE_SHAPE", SMALL)
        patch.setattr(gallery, "SECONDS", 0)
        return run("demo", "--image", photo, "--out", folder)._replace(folder=folder)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(gallery, "SECONDS", 0)
    monkeypatch.setattr(gallery, "ROUNDS", 2)


PEERS = {"SciPy": "scipy", "OpenCV": "cv2"}
ABSENT = [name for name, module in PEERS.items() if not importlib.util.find_spec(module)]


def row(output, name):
    (line,) = [line for line in output.splitlines() if line.startswith(f"{name}  ")]
    return line.removeprefix(name).strip()


def wrong_by_a_little(filters, biases):
    return notebook.v3(filters, biases + np.float32(1e-3))


def absent(filters, biases):
    raise ModuleNotFoundError("No module named 'numba'", name="numba")


def broken(filters, biases):
    raise AttributeError("as a package raises that was built for another NumPy")


def said(figure):
    """All that is written in a figure."""
    every = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    return "\n".join(text.get_text() for text in every)


# --- aotconv demo ----------------------------------------------------------------------------


def test_demo_succeeds(finished):
    assert finished.status == 0


@pytest.mark.parametrize("name", PICTURES)
def test_demo_writes_its_pictures_and_prints_their_paths(finished, name):
    with Image.open(finished.folder / name) as picture:
        assert picture.format == "PNG"
        assert 600 < picture.width < 4000 and 300 < picture.height < 4000
        assert np.asarray(picture.convert("L")).std() > 10  # something is drawn
    assert str(finished.folder / name) in finished.out.splitlines()


def test_demo_writes_nothing_else(finished):
    assert {path.name for path in finished.folder.iterdir()} == set(PICTURES)


def test_demo_says_which_implementation_and_how_many_threads_ran(finished):
    line = f"implementation {aotconv.active().name}, threads {aotconv.get_num_threads()}"
    assert line in finished.out.splitlines()


@pytest.mark.parametrize(
    "name", [name for name in notebook.CONTENDERS if name not in notebook.OPTIONAL]
)
def test_table_has_first_call_later_calls_and_speed_up(finished, name):
    assert re.fullmatch(r"[\d,.]+ ms +[\d,.]+ ms +[\d,.]+ x", row(finished.out, name))


@pytest.mark.parametrize("name, package", [("v3, numba.jit", "numba"), ("Keras Conv2D", "keras")])
def test_a_contender_has_a_row_or_a_footnote_says_which_package_is_not_installed(
    finished, name, package
):
    rows = [line for line in finished.out.splitlines() if line.startswith(f"{name}  ")]
    missing = re.search(
        rf"^left out: .*{re.escape(name)} \((\S+) is not installed\)", finished.out, re.M
    )
    if not importlib.util.find_spec(package):
        assert not rows and missing.group(1) == package
    elif package == "keras":  # which needs one of its backends, too
        assert bool(rows) != bool(missing)
    else:
        assert rows and not missing


def test_rows_are_sorted_by_the_time_of_later_calls(finished):
    times = re.findall(r" ms +([\d,.]+) ms +[\d,.]+ x$", finished.out, re.M)
    later = [float(each.replace(",", "")) for each in times]
    assert len(later) >= 4 and later == sorted(later)


def test_demo_says_which_cpu_and_versions_times_are_of(finished):
    lines = [line for line in finished.out.splitlines() if line.startswith(f"{cpu.name()}, ")]
    assert len(lines) == 2  # of the filters, and of the race
    threads = ["1 thread", team_name(aotconv.get_num_threads())]
    for line, team in zip(lines, threads, strict=True):
        assert f"aotconv {aotconv.__version__} ({aotconv.active().name}, {team})" in line
        assert f"numpy {np.__version__}" in line
    assert all((f"{module} " in lines[0]) == (name not in ABSENT) for name, module in PEERS.items())
    assert ("numba " in lines[1]) == bool(importlib.util.find_spec("numba"))


def test_a_photo_of_the_user_is_not_credited(finished):
    assert "photo:" not in finished.out and "Hopper" not in finished.out


def test_the_default_photo_is_credited_in_what_is_printed_and_in_its_pictures(
    short, monkeypatch, tmp_path
):
    saved = {}
    monkeypatch.setattr(demo, "save", lambda figure, path: saved.update({path.stem: said(figure)}))
    monkeypatch.setattr(notebook, "CONTENDERS", {notebook.BASELINE: notebook.v3})
    monkeypatch.setattr(notebook, "IMAGE_SHAPE", SMALL)
    done = run("demo", "--out", tmp_path)
    assert "public domain" in features.CREDIT
    assert f"photo: {features.CREDIT}" in done.out.splitlines()
    assert features.CREDIT in saved["features"] and features.CREDIT in saved["filters"]


def test_speed_up_is_against_plain_v3(finished):
    assert row(finished.out, notebook.BASELINE).endswith(" 1.00 x")


@pytest.mark.parametrize("each", gallery.FILTERS, ids=lambda each: each.name)
def test_each_filter_has_a_time_of_each_library_that_has_it(finished, each):
    lines = finished.out.splitlines()
    (heading,) = [line for line in lines if line.startswith("milliseconds, one thread")]
    libraries = [*PEERS, gallery.OWN]
    assert set(heading.split()[3:]) == {name for name in libraries if name not in ABSENT}
    times = row(finished.out, f"{each.name} {each.shown}").split()
    has = [name for name in heading.split()[3:] if name != "OpenCV" or each.opencv is not None]
    assert len([time for time in times if re.fullmatch(r"[\d,.]+", time)]) == len(has)


def test_progress_goes_to_stderr_and_only_there(finished):
    filters = (each.name for each in gallery.FILTERS)
    for step in ("feature maps", *filters, *notebook.CONTENDERS, "chart"):
        assert f"{step}: " in finished.err
    assert "%|" in finished.err and "%|" not in finished.out


# --- what can go wrong -----------------------------------------------------------------------


def refused(photo, out):
    """The one line with which the demo refuses to run."""
    done = run("demo", "--image", photo, "--out", out)
    assert done.status == 2 and done.out == ""
    assert re.fullmatch(r"aotconv: error: .+\n", done.err)
    return done.err


@pytest.mark.parametrize(
    "content, complaint",
    [
        (None, "No such file"),
        (b"", "not an image"),
        (b"this is text\n", "not an image"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "cannot read"),
    ],
    ids=["missing", "empty", "text", "broken"],
)
def test_picture_that_cannot_be_read_is_one_line_and_status_2(content, complaint, tmp_path):
    path, out = tmp_path / "photo.png", tmp_path / "out"
    if content is not None:
        path.write_bytes(content)
    line = refused(path, out)
    assert complaint in line and repr(str(path)) in line
    assert not out.exists()


def test_truncated_picture_is_one_line_and_status_2(photo, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(photo.read_bytes()[:-200])
    assert repr(str(path)) in refused(path, tmp_path / "out")


def test_folder_given_as_picture_is_one_line_and_status_2(tmp_path):
    assert repr(str(tmp_path)) in refused(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("below", ["", "below"])
def test_folder_that_cannot_be_written_is_one_line_and_status_2(below, photo, tmp_path):
    (tmp_path / "file").touch()
    out = str(tmp_path / "file" / below)
    assert repr(out) in refused(photo, out)


@pytest.mark.parametrize("extra", ["matplotlib", "tqdm"])
def test_missing_extra_is_one_line_and_status_2(extra, photo, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, extra, None)  # as if it were not installed
    line = refused(photo, tmp_path)
    assert extra in line and 'pip install "aotconv[demo]"' in line


def test_disagreement_is_an_error_line_and_status_1(photo, tmp_path, monkeypatch):
    wrong = {notebook.BASELINE: notebook.v3, "right": notebook.v2, "wrong": wrong_by_a_little}
    monkeypatch.setattr(notebook, "CONTENDERS", wrong)
    monkeypatch.setattr(notebook, "IMAGE_SHAPE", SMALL)
    done = run("demo", "--image", photo, "--out", tmp_path)
    assert done.status == 1
    assert re.fullmatch(r"aotconv: error: .*np.isclose\(atol=1e-6\): wrong", done.last_error)
    assert not (tmp_path / "comparison.png").exists()


# --- the parts -------------------------------------------------------------------------------


def test_default_photo_is_the_sample_photo_of_matplotlib():
    photo = features.load_photo()
    assert photo.shape == (600, 512, 3) and photo.dtype == np.float32
    assert photo.min() >= 0 and 0.9 < photo.max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
def test_any_kind_of_picture_becomes_rgb_between_0_and_1(mode, tmp_path):
    levels = np.linspace(0, 255, 400).reshape(20, 20)
    if mode == "I;16":
        picture = Image.fromarray((levels * 257).astype(np.uint16))
    else:
        picture = Image.fromarray(levels.astype(np.uint8)).convert(mode)
    picture.save(tmp_path / "photo.tif")
    photo = features.load_photo(str(tmp_path / "photo.tif"))
    assert photo.shape == (20, 20, 3) and photo.dtype == np.float32
    np.testing.assert_allclose(photo[[0, -1], [0, -1]], [[0] * 3, [1] * 3], atol=0.01)
    if mode != "1":
        np.testing.assert_allclose(photo.mean(), 0.5, atol=0.02)


def test_large_picture_is_scaled_down(tmp_path):
    Image.new("RGB", (3000, 1500), "white").save(tmp_path / "photo.png")
    assert features.load_photo(str(tmp_path / "photo.png")).shape == (512, 1024, 3)


def test_filter_bank_is_a_dozen_named_filters():
    names, filters = features.filter_bank()
    assert len(set(names)) == len(names) == 12
    assert filters.shape == (7, 7, 3, 12) and filters.dtype == np.float32


def test_filters_keep_the_mean_or_ignore_it():
    names, filters = features.filter_bank()
    sums = dict(zip(names, filters.sum(axis=(0, 1, 2)), strict=True))
    for name, total in sums.items():
        assert total == pytest.approx(1 if name in ("blur", "emboss") else 0, abs=1e-6)


@pytest.mark.parametrize("degrees", [0, 45, 90, 135])
def test_edge_filter_responds_most_to_the_slope_in_its_direction(degrees):
    names, filters = features.filter_bank()
    y, x = np.mgrid[-3:4, -3:4]
    slope = x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))
    responses = np.einsum("yx,yxco->o", slope, filters)
    edges = {name: responses[i] for i, name in enumerate(names) if name.startswith("edge")}
    assert max(edges, key=edges.__getitem__) == f"edge {degrees}°"


def test_feature_maps_are_one_call_of_conv2d(monkeypatch):
    shapes = []
    real = aotconv.conv2d

    def counted(images, filters, *args, **kwargs):
        shapes.append((images.shape, filters.shape))
        return real(images, filters, *args, **kwargs)

    monkeypatch.setattr(aotconv, "conv2d", counted)
    photo = np.random.default_rng(2).random((11, 13, 3), np.float32)
    maps = features.feature_maps(photo, features.filter_bank()[1])
    assert maps.shape == (11, 13, 12)
    assert shapes == [((1, 11, 13, 3), (7, 7, 3, 12))]


def test_feature_maps_agree_with_the_oracle():
    photo = np.random.default_rng(3).random((11, 13, 3), np.float32)
    _, filters = features.filter_bank()
    expected = conv_reference(photo - 0.5, filters, padding="same", padding_mode="edge")
    np.testing.assert_allclose(features.feature_maps(photo, filters), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3)])
def test_features_of_an_odd_shape_can_be_drawn(shape):
    photo = np.zeros((*shape, 3), np.float32)
    names, filters = features.filter_bank()
    figure = features.draw_features(photo, names, features.feature_maps(photo, filters))
    assert [axes.get_title().strip("|") for axes in figure.axes] == ["input", *names]
    figure.savefig(io.BytesIO())


def tiles(figure):
    """What is drawn of each picture in a figure, as wide as README's page shows it, in grey."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(README)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[::-1, :, :3].mean(axis=2) / 255
    places = [axes.images[0].get_window_extent() for axes in figure.axes if axes.images]
    corners = [np.array((at.x0, at.x1, at.y0, at.y1)).round().astype(int) for at in places]
    return [pixels[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] for x0, x1, y0, y1 in corners]


def test_no_feature_map_of_the_default_photo_is_drawn_flat():
    photo = features.load_photo()
    names, filters = features.filter_bank()
    figure = features.draw_features(photo, names, features.feature_maps(photo, filters))
    drawn = dict(zip(["input", *names], tiles(figure), strict=True))
    assert {name: tile.std() for name, tile in drawn.items() if not tile.std() > FLAT} == {}


def test_no_filtered_default_photo_is_drawn_flat(short, monkeypatch):
    peers(monkeypatch)
    photo = features.load_photo()
    every = gallery.filtered(photo)
    drawn = tiles(gallery.draw_gallery(photo, every))
    found = dict(zip(["photo", *(each.name for each in every)], drawn, strict=True))
    assert {name: tile.std() for name, tile in found.items() if not tile.std() > FLAT} == {}


@pytest.mark.parametrize("degrees", [0, 60, 120])
def test_gabor_filter_responds_most_to_the_wave_in_its_direction(degrees):
    names, filters = features.filter_bank()
    y, x = np.mgrid[-3:4, -3:4]
    u = x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))
    responses = np.einsum("yx,yxco->o", np.cos(2 * np.pi * u / 6), filters)
    gabors = {name: responses[i] for i, name in enumerate(names) if name.startswith("Gabor")}
    assert max(gabors, key=gabors.__getitem__) == f"Gabor {degrees}°"


def test_feature_maps_of_an_even_photo_have_no_frame():
    maps = features.feature_maps(np.full((20, 24, 3), 0.1, np.float32), features.filter_bank()[1])
    np.testing.assert_allclose(maps, np.broadcast_to(maps[10, 12], maps.shape), atol=1e-6)


def peers(monkeypatch, **functions):
    """Libraries that have such functions, in the place of those that are installed."""
    modules = {
        "scipy.ndimage": SimpleNamespace(**functions) if functions else None,
        "cv2": None,
    }
    monkeypatch.setattr(gallery, "_peer", modules.get)


def own(name, factor=1):
    """A function of SciPy's, made of ours."""

    def function(array, output, **arguments):
        getattr(ndimage, name)(array, output=output, **arguments)
        output *= factor

    return function


def test_filters_of_a_photo_are_those_of_ndimage_of_its_grey(short, monkeypatch):
    peers(monkeypatch)
    photo = np.random.default_rng(3).random((11, 13, 3), np.float32)
    names = []
    every = gallery.filtered(photo, names.append)
    assert names == [each.name for each in every] == [each.name for each in gallery.FILTERS]
    for each, (name, arguments, *_) in zip(every, gallery.FILTERS, strict=True):
        expected = getattr(ndimage, name)(photo @ gallery.GREY, **arguments)
        np.testing.assert_allclose(each.result, expected, atol=1e-6)
        assert list(each.seconds) == ["aotconv"] and each.seconds["aotconv"] > 0


def test_libraries_that_cannot_be_imported_are_one_footnote(short, monkeypatch):
    peers(monkeypatch)
    photo = np.random.default_rng(4).random((11, 13, 3), np.float32)
    every = gallery.filtered(photo)
    footnote = "left out: SciPy, OpenCV (cannot be imported here)"
    assert gallery.footnotes(every)[1:] == [footnote]
    texts = said(gallery.draw_gallery(photo, every))
    assert "aotconv" in texts and texts.count(footnote) == texts.count("SciPy") == 1
    assert "SciPy" not in gallery.format_times(every) and "OpenCV" not in gallery.format_times(
        every
    )


def test_a_library_whose_own_libraries_are_missing_is_left_out(monkeypatch):
    def broken(name):
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(gallery, "import_module", broken)
    assert gallery._peer("cv2") is None


def test_a_filter_that_a_library_has_not_is_said_to_be_missing(short):
    photo = np.random.default_rng(4).random((11, 13, 3), np.float32)
    first, second, *_ = gallery.filtered(photo)
    second = second._replace(seconds={gallery.OWN: 1e-3})
    first = first._replace(seconds={gallery.OWN: 1e-3, "OpenCV": 2e-3})
    assert said(gallery.draw_gallery(photo, [first, second])).count("no such filter") == 1
    assert gallery.format_times([first, second]).endswith("-: no such filter")


def test_a_library_that_is_there_has_a_bar_and_a_time_under_each_filter(short, monkeypatch):
    peers(monkeypatch, **{each.name: own(each.name) for each in gallery.FILTERS})
    photo = np.random.default_rng(5).random((11, 13, 3), np.float32)
    every = gallery.filtered(photo)
    assert all(list(each.seconds) == ["aotconv", "SciPy"] for each in every)
    figure = gallery.draw_gallery(photo, every)
    assert sum(len(axes.patches) for axes in figure.axes) == 2 * len(every)
    assert said(figure).count(" ms") == 2 * len(every) and "SciPy" in said(figure)


def test_a_library_whose_result_is_another_is_an_error(short, monkeypatch):
    wrong = {each.name: own(each.name) for each in gallery.FILTERS}
    peers(monkeypatch, **{**wrong, "sobel": own("sobel", 1.01)})
    photo = np.random.default_rng(6).random((11, 13, 3), np.float32)
    with pytest.raises(DisagreementError, match="sobel: not what SciPy gives"):
        gallery.filtered(photo)


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3)])
def test_filters_of_an_odd_shape_can_be_drawn(short, shape):
    photo = np.zeros((*shape, 3), np.float32)
    gallery.draw_gallery(photo, gallery.filtered(photo)).savefig(io.BytesIO())


@pytest.mark.parametrize(
    "output, agrees",
    [
        (np.zeros(3), True),
        (np.full(3, 0.9e-6), True),
        (np.full(3, 1.1e-6), False),
        (np.array([0, 0, np.nan]), False),
        (np.zeros(1), False),
    ],
    ids=["same", "within", "beyond", "nan", "shape"],
)
def test_agreement_is_isclose_with_atol_1e_6(output, agrees):
    expectation = contextlib.nullcontext() if agrees else pytest.raises(DisagreementError)
    with expectation:
        notebook.check_agreement({notebook.BASELINE: np.zeros(3), "other": output})


def test_compare_counts_its_calls_and_announces_each_contender(monkeypatch):
    monkeypatch.setattr(notebook, "CONTENDERS", {notebook.BASELINE: notebook.v3, "v2": notebook.v2})
    names = []
    results = notebook.compare(SMALL, (3, 2, 3, 5), calls=1, seconds=0, announce=names.append)
    assert names == list(results) == [notebook.BASELINE, "v2"]
    assert all(result.output.shape == (2, 7, 7, 5) for result in results.values())
    assert all(result.first > 0 and result.later > 0 for result in results.values())


def test_contenders_without_a_time_are_one_footnote_and_no_rows(monkeypatch):
    contenders = {notebook.BASELINE: notebook.v3, "v3, numba.jit": absent, "Keras Conv2D": broken}
    monkeypatch.setattr(notebook, "CONTENDERS", contenders)
    results = notebook.compare(SMALL, calls=1, seconds=0)
    assert notebook.footnotes(results)[-1] == (
        "left out: v3, numba.jit (numba is not installed); Keras Conv2D (failed: AttributeError)"
    )
    assert "Keras" not in notebook.format_table(results)
    (axes,) = notebook.draw_comparison(results, "title").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [notebook.BASELINE]


def test_without_contenders_left_out_nothing_is_said_of_them():
    assert not any("left out" in note for note in notebook.footnotes(raced(v2=1)))


def test_versions_are_those_of_what_the_contenders_imported(monkeypatch):
    monkeypatch.setattr(notebook, "CONTENDERS", {notebook.BASELINE: notebook.v3})
    assert notebook.versions(notebook.compare(SMALL, calls=1, seconds=0)) == {
        "numpy": np.__version__
    }


def raced(**seconds):
    """Results of contenders, and of the baseline, that took so many seconds."""
    every = {notebook.BASELINE: 10, **seconds}
    return {name: notebook.Timing(2 * each, each, np.zeros(1), {}) for name, each in every.items()}


def test_bars_are_sorted_by_time_and_rows_alike():
    results = raced(aotconv=0.1, slow=20, quick=1)
    names = ["aotconv", "quick", notebook.BASELINE, "slow"]
    (axes,) = notebook.draw_comparison(results, "title").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first is above
    assert [bar.get_width() for bar in axes.patches] == [100, 1e3, 1e4, 2e4]
    lines = notebook.format_table(results).splitlines()[1:]
    assert [line.partition("  ")[0] for line in lines] == names


def test_legend_says_what_orange_and_the_mark_are():
    from matplotlib.colors import same_color

    (axes,) = notebook.draw_comparison(raced(aotconv=0.1), "title").axes
    legend = axes.get_legend()
    patches = dict(
        zip((text.get_text() for text in legend.get_texts()), legend.legend_handles, strict=True)
    )
    own, others, mark = patches
    assert own.startswith("aotconv") and others.startswith("the others") and "first" in mark
    assert same_color(patches[own].get_facecolor(), "tab:orange")
    for bar, label in zip(axes.patches, axes.get_yticklabels(), strict=True):
        name = own if label.get_text() == "aotconv" else others
        assert same_color(bar.get_facecolor(), patches[name].get_facecolor())


def test_notes_stand_below_the_chart():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    note = "a CPU of a long name, " * 20
    figure = notebook.draw_comparison(raced(aotconv=0.1), "title", [note])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # which places the axis' label
    renderer = canvas.get_renderer()
    (axes,) = figure.axes
    (text,) = [text for text in axes.texts if "a CPU" in text.get_text()]
    assert " ".join(text.get_text().split()) == note.strip()
    assert text.get_window_extent(renderer).y1 < axes.xaxis.label.get_window_extent(renderer).y0


@pytest.mark.parametrize("length", [1, 40, 200])
def test_no_label_of_the_chart_is_cut(length, tmp_path):
    results = raced(aotconv=1e-6, **{"W" * length: 1e-3})
    picture = notebook.draw_comparison(results, "title " * length, ["note " * length])
    demo.save(picture, tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as written:
        pixels = np.asarray(written.convert("L"))
    frame = np.concatenate([pixels[:4], pixels[-4:], pixels[:, :4].T, pixels[:, -4:].T], axis=None)
    assert (frame == 255).all()
    assert pixels.shape[1] > 6 * 120 + 10 * length  # bars keep their size beside such names


@pytest.mark.parametrize("shape", [(40, 40), (20, 60)])
def test_no_label_of_the_other_pictures_is_cut(shape, short, tmp_path):
    photo = np.random.default_rng(8).random((*shape, 3), np.float32)
    names, filters = features.filter_bank()
    maps = features.feature_maps(photo, filters)
    long = "credit " * 30
    demo.save(features.draw_features(photo, names, maps, long), tmp_path / "features.png")
    every = [each._replace(arguments=long) for each in gallery.filtered(photo)[-1:]]
    demo.save(gallery.draw_gallery(photo, every, [long]), tmp_path / "filters.png")
    for name in ("features", "filters"):
        with Image.open(tmp_path / f"{name}.png") as written:
            pixels = np.asarray(written.convert("L"))
        assert (pixels[:, :4] == 255).all() and (pixels[:, -4:] == 255).all()
        assert (pixels[:4] == 255).all() and (pixels[-4:] == 255).all()


def test_the_extra_demo_brings_what_the_demo_and_its_race_import():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    extra, jit = (
        re.search(rf"^{name} = \[(.*)\]$", text, re.M).group(1) for name in ("demo", "jit")
    )
    assert "numba" in jit and '"aotconv[jit]"' in extra
    assert all(f'"{name}>=' in extra for name in ("matplotlib", "pillow", "tqdm"))


def test_broken_aotconv_is_not_hidden(monkeypatch):
    monkeypatch.setattr(notebook, "CONTENDERS", {notebook.BASELINE: notebook.v3, "aotconv": broken})
    with pytest.raises(AttributeError):
        notebook.compare(SMALL, calls=1, seconds=0)


@pytest.mark.parametrize(
    "value, text",
    [(0.1444, "0.144"), (1.444, "1.44"), (14.44, "14.4"), (144.4, "144"), (14443.7, "14,444")],
)
def test_numbers_have_three_digits_and_no_exponent(value, text):
    assert three_digits(value) == text
