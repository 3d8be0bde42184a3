"""The bar that a command shows on stderr while it works, if that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(steps: int) -> Iterator[Callable[[str], object]]:
    """Show a bar on a terminal; what is yielded is called with the name of each step before it
    starts."""
    from tqdm import tqdm

    with tqdm(total=steps, file=sys.stderr, leave=False, disable=None) as bar:

        def announce(step: str) -> None:
            bar.update()
            bar.set_description(step)

        yield announce
