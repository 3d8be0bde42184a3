"""What commands report in one line instead of a traceback."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class CommandError(Exception):
    """What the user can mend; ``status`` is the exit status of the command."""

    status = 2


class DisagreementError(CommandError):
    """The convolutions that were compared do not agree."""

    status = 1


@contextmanager
def writing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(f"cannot write {path!r}: {error.strerror or error}") from None


def missing(packages: Iterable[str]) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]


def need(what: str, *packages: str, extra: str = "demo") -> None:
    """Raise `CommandError` if a package of an extra that `what` needs is missing."""
    if absent := missing(packages):
        raise CommandError(f'{what} needs {" and ".join(absent)}: pip install "aotconv[{extra}]"')
