"""``aotconv demo``: a photo under filters, and the race of the notebook, drawn and printed."""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import aotconv

from .._core import cpu
from . import gallery, notebook
from .errors import need, writing
from .features import CREDIT, draw_features, feature_maps, filter_bank, load_photo
from .progress import progress
from .report import team_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run(image: str | None, out: str) -> None:
    """Run the whole demo: photo ``image`` (None: the sample photo), pictures into folder ``out``.

    Raises
    ------
    CommandError
        If an extra is missing, the photo cannot be read or the folder cannot be written.
    DisagreementError
        If the convolutions do not agree.
    """
    need("the demo", "matplotlib", "tqdm")
    photo = load_photo(image)
    folder = Path(out)
    with writing(out):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # find out now, not after all the work
    print(f"implementation {aotconv.active().name}, threads {aotconv.get_num_threads()}")

    credit = CREDIT if image is None else ""
    credits = [f"photo: {credit}"] if credit else []
    with progress(len(notebook.CONTENDERS) + len(gallery.FILTERS) + 2) as announce:
        announce("feature maps")
        names, filters = filter_bank()
        maps = feature_maps(photo, filters)
        save(draw_features(photo, names, maps, credit), folder / "features.png")
        every = gallery.filtered(photo, announce)
        machine = measured_on(notebook.loaded(gallery.PEERS), threads=1)
        picture = gallery.draw_gallery(photo, every, [machine, *credits])
        save(picture, folder / "filters.png")
        images, windows = notebook.IMAGE_SHAPE, notebook.FILTER_SHAPE
        results = notebook.compare(images, windows, announce=announce)
        announce("chart")
        title = f"images {images}, filters {windows}, strides {notebook.STRIDES}, float32"
        machine_of_race = measured_on(notebook.versions(results), aotconv.get_num_threads())
        race_notes = [*notebook.footnotes(results), machine_of_race]
        picture = notebook.draw_comparison(results, title, race_notes)
        save(picture, folder / "comparison.png")
    print(gallery.format_times(every), *gallery.footnotes(every), machine, "", sep="\n")
    print(title, notebook.format_table(results), *race_notes, "", *credits, sep="\n")
    print(*(folder / f"{name}.png" for name in ("features", "filters", "comparison")), sep="\n")


def save(figure: Figure, path: Path) -> None:
    """Write a picture that has room for all that is drawn, and for names of any length."""
    with writing(str(path.parent)):
        figure.savefig(path, dpi=120, bbox_inches="tight", pad_inches=0.15)


def measured_on(versions: dict[str, str], threads: int) -> str:
    """Say which CPU, which implementation, how many threads and which versions times are of."""
    own = f"aotconv {aotconv.__version__} ({aotconv.active().name}, {team_name(threads)})"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return ", ".join([cpu.name(), own, python, *map(" ".join, versions.items())])
