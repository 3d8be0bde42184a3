"""``aotconv demo``: feature maps of a photo and the race of the notebook, drawn and printed."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aotconv

from . import notebook
from .errors import CommandError
from .features import draw_features, feature_maps, filter_bank, load_photo


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise CommandError(f"cannot write to the folder {str(folder)!r}: {reason}") from None


def run(image: str | None, out: str) -> None:
    """Run the whole demo: photo ``image`` (None: the sample photo), pictures into folder ``out``.

    Raises
    ------
    CommandError
        If an extra is missing, the photo cannot be read or the folder cannot be written.
    DisagreementError
        If the convolutions do not agree.
    """
    missing = [name for name in ("matplotlib", "tqdm") if importlib.util.find_spec(name) is None]
    if missing:
        raise CommandError(f'the demo needs {" and ".join(missing)}: pip install "aotconv[demo]"')
    from tqdm import tqdm

    photo = load_photo(image)
    folder = Path(out)
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # find out now, not after all the work
    print(f"implementation {aotconv.active().name}, threads {aotconv.get_num_threads()}")

    with tqdm(total=len(notebook.CONTENDERS) + 2, file=sys.stderr, leave=False) as bar:

        def announce(step: str) -> None:
            bar.update()
            bar.set_description(step)

        announce("feature maps")
        names, filters = filter_bank()
        figure = draw_features(photo, names, feature_maps(photo, filters))
        with writing_to(folder):
            figure.savefig(folder / "features.png", dpi=120)
        images, windows = notebook.IMAGE_SHAPE, notebook.FILTER_SHAPE
        results = notebook.compare(images, windows, announce=announce)
        announce("chart")
        title = f"images {images}, filters {windows}, strides {notebook.STRIDES}, float32"
        with writing_to(folder):
            picture = notebook.draw_comparison(results, title)
            picture.savefig(folder / "comparison.png", dpi=120)
    print(title, notebook.format_table(results), sep="\n")
    print("first call: in a new process, imports not counted")
    print(folder / "features.png", folder / "comparison.png", sep="\n")
