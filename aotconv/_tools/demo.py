"""``aotconv demo``: a photo under filters, and the race of the notebook, drawn and printed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import aotconv

from . import gallery, notebook
from .errors import need, writing
from .features import draw_features, feature_maps, filter_bank, load_photo
from .progress import progress


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

    with progress(len(notebook.CONTENDERS) + len(gallery.FILTERS) + 2) as announce:
        announce("feature maps")
        names, filters = filter_bank()
        figure = draw_features(photo, names, feature_maps(photo, filters))
        with writing(out):
            figure.savefig(folder / "features.png", dpi=120)
        every = gallery.filtered(photo, announce)
        with writing(out):
            gallery.draw_gallery(photo, every).savefig(folder / "filters.png", dpi=120)
        images, windows = notebook.IMAGE_SHAPE, notebook.FILTER_SHAPE
        results = notebook.compare(images, windows, announce=announce)
        announce("chart")
        title = f"images {images}, filters {windows}, strides {notebook.STRIDES}, float32"
        with writing(out):
            picture = notebook.draw_comparison(results, title)
            picture.savefig(folder / "comparison.png", dpi=120)
    print(gallery.format_times(every), end="\n\n")
    print(title, notebook.format_table(results), sep="\n")
    print("first call: in a new process, imports not counted")
    print(*(folder / f"{name}.png" for name in ("features", "filters", "comparison")), sep="\n")
