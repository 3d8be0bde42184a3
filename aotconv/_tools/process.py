"""A process of its own for whatever is timed: nothing in it is warm, and Ctrl-C ends it at once."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from .errors import CommandError

Run = Callable[..., Any]


class ProcessDied(CommandError):
    """A process ended before it had computed what it was asked for."""


@contextmanager
def new_process() -> Iterator[Run]:
    """Start a process; what is yielded runs functions in it.

    ``run(what, function, *arguments)`` returns or raises what ``function(*arguments)`` does there,
    or raises `ProcessDied`, with the name `what`, if the process ends before.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))

    def run(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            ours.send((function, arguments))
            result, error, trace = ours.recv()
        except (EOFError, OSError):
            raise ProcessDied(f"the process that ran {what} died") from None
        if isinstance(error, MemoryError):
            raise CommandError(f"{what}: {error}") from None
        if error is not None:
            raise error from RuntimeError(trace)
        return result

    try:
        with ThreadPoolExecutor(1) as thread:  # whose work is never interrupted in the middle
            thread.submit(start, process).result()
        theirs.close()  # so that `recv` sees the process end
        yield run
        ours.close()
        process.join()
    finally:
        if process.is_alive():  # something was raised: do not wait for what it computes
            process.kill()
            process.join()


def start(process: BaseProcess) -> None:
    """Start a process that interrupts never reach; run this in a thread of its own.

    A terminal sends Ctrl-C to every process, and each would print a traceback.  It is for the one
    that waits for the others, and that ends them.
    """
    if hasattr(signal, "pthread_sigmask"):  # all but Windows
        resource_tracker.ensure_running()  # before: as it starts it lets interrupts through again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which the process inherits
    process.start()


def serve(pipe: Connection) -> None:
    """Run what is asked for in this process, until nobody is there to ask."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    with suppress(EOFError, BrokenPipeError):
        while True:
            function, arguments = pipe.recv()
            answer: tuple[Any, Exception | None, str]
            try:
                answer = function(*arguments), None, ""
            except Exception as error:
                answer = None, error, traceback.format_exc()
            pipe.send(answer)


def end_with_parent() -> None:
    """End this process as soon as the one that started it ends, killed perhaps."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
