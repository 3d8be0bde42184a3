"""The command line: its arguments, and how it ends when somebody has had enough."""

import contextlib
import json
import os
import platform
import re
import select
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
from command import run

import aotconv
from aotconv.__main__ import main


@pytest.mark.parametrize("arguments", [["dome"], ["demo", "--imag"], ["--out", "x"]])
def test_wrong_arguments_are_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "aotconv" in capsys.readouterr().err


def test_bare_command_prints_the_help(monkeypatch):
    # Whoever asks what there is need not have an implementation that can run.
    monkeypatch.setenv("AOTCONV_IMPLEMENTATION", "none")
    done = subprocess.run([sys.executable, "-m", "aotconv"], capture_output=True, text=True)
    help_of = [sys.executable, "-m", "aotconv", "--help"]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == subprocess.run(help_of, capture_output=True, text=True).stdout
    assert all(f"\n    {name} " in done.stdout for name in ("info", "demo", "bench", "onnx"))


@pytest.mark.parametrize("command", ["info", "demo", "bench", "onnx"])
def test_help_says_how_long_a_command_takes(command, capsys):
    for arguments in (["--help"], [command, "--help"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
        words = " ".join(capsys.readouterr().out.split())
        assert re.search(rf"\b{command}\b.*?\b(second|minute|hour)s?\b", words), words


def test_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"aotconv {aotconv.__version__}\n"


def test_info_prints_the_configuration(capsys):
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    aotconv.show_config()
    assert printed == capsys.readouterr().out != ""


def test_info_as_json_is_one_object_of_all_that_it_prints():
    told, printed = run("info", "--json"), run("info").out
    assert told.status == 0 and told.err == ""
    facts = json.loads(told.out)
    assert facts == aotconv.show_config("dicts")
    assert facts["aotconv"] == aotconv.__version__ and facts["numpy"] == np.__version__
    assert facts["python"] == platform.python_version() and facts["cpu"]
    assert facts["threads"] == aotconv.get_num_threads()
    implementations = facts.pop("implementations")
    for fact in facts.values():
        assert str(fact) in printed
    for told, each in zip(implementations, aotconv.implementations(), strict=True):
        state = "active" if each == aotconv.active() else "available"
        assert told == {
            "name": each.name,
            "description": each.description,
            "requires": each.requires,
            "state": state if each.available else "unavailable",
            "reason": each.reason,
        }
        assert re.search(rf"{each.name} .*\[{re.escape(each.reason or state)}\]$", printed, re.M)


def test_info_loads_nothing_that_only_other_commands_need():
    code = (
        "import sys; from aotconv.__main__ import main; main(['info'])\n"
        "tools = {f'aotconv._tools.{name}' for name in ('demo', 'bench', 'onnx_command')}\n"
        "others = {*tools, 'matplotlib', 'onnx', 'PIL', 'tqdm'}\n"
        "sys.exit(str(others & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "" and done.stdout != ""


def test_python_m_is_the_same_command():
    command = [sys.executable, "-m", "aotconv", "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"aotconv {aotconv.__version__}\n")


# --- had enough ------------------------------------------------------------------------------

# Background jobs of a shell ignore SIGINT.
COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from aotconv.__main__ import main
sys.exit(main())
"""
LONG = {
    "bench": ["bench", "--layers", "vgg_1_3x3_64_64", "--threads", "1", "--seconds", "1000"],
    "sweep": ["bench", "--sweep", "--seconds", "1000"],
    "demo": ["demo"],
}
BEGUN = {"bench": b"vgg_1_3x3_64_64", "sweep": b"3x3x1x1 same", "demo": b"v1, one image"}
needs_signals = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs signals to processes")


@needs_signals
@pytest.mark.parametrize("arguments", [["info"], ["--version"], ["bench", "--help"]], ids=" ".join)
@pytest.mark.parametrize("streams", [["stdout"], ["stdout", "stderr"]], ids=" and ".join)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_closed_pipe_ends_a_command_without_a_word(arguments, streams, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "aotconv", *arguments],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        timeout=100,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | dict.fromkeys(streams, writing),
    )
    os.close(writing)
    assert not done.stdout and not done.stderr
    # argparse itself says nothing of a text that it could not write.
    assert done.returncode == 128 + signal.SIGPIPE or (unbuffered and arguments != ["info"])


def kill_group(leader, number):
    os.killpg(leader, number)


def terminal():
    """A terminal's two ends."""
    import fcntl
    import termios

    reading, writing = os.openpty()
    lines_and_columns = struct.pack("4H", 25, 100, 0, 0)  # without which a bar shows nothing
    fcntl.ioctl(writing, termios.TIOCSWINSZ, lines_and_columns)
    return reading, writing


def read(reading):
    """What is written on a terminal next; nothing when nobody has it any more."""
    if not select.select([reading], [], [], 60)[0]:
        raise TimeoutError
    try:
        return os.read(reading, 4096)
    except OSError:  # as Linux says it
        return b""


@contextlib.contextmanager
def begun(name, folder):
    """A command that has begun, in a session of its own, its terminal, and what it said."""
    command = [sys.executable, "-c", COMMAND, *LONG[name]]
    reading, writing = terminal()  # for the bar that says how far it is
    process = subprocess.Popen(
        command,
        cwd=folder,
        stderr=writing,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(writing)
    try:
        said = b""
        while BEGUN[name] not in said:
            more = read(reading)
            assert more, said.decode()
            said += more
        yield process, reading, said
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@needs_signals
@pytest.mark.parametrize(
    ("send", "seconds"),
    [
        pytest.param(kill_group, 0, id="all, at once"),
        pytest.param(kill_group, 1, id="all, later", marks=pytest.mark.long),
        pytest.param(os.kill, 0, id="parent, at once", marks=pytest.mark.long),
        pytest.param(os.kill, 1, id="parent, later"),
    ],
)
@pytest.mark.parametrize("name", LONG)
def test_interrupt_ends_a_command_and_its_processes_with_a_line(name, send, seconds, tmp_path):
    with begun(name, tmp_path) as (process, reading, said):
        time.sleep(seconds)  # its process starts, or computes
        send(process.pid, signal.SIGINT)
        interrupted = time.monotonic()
        # All of stderr is read when nobody has it any more: neither the command nor its processes.
        while more := read(reading):
            said += more
        process.wait(timeout=60)
        assert time.monotonic() - interrupted < 10
    assert process.returncode == 128 + signal.SIGINT
    assert said.decode().replace("\r\n", "\n").rpartition("\r")[2] == "aotconv: interrupted\n"


@needs_signals
def test_a_command_that_is_killed_leaves_no_process(tmp_path):
    with begun("bench", tmp_path) as (process, reading, _):
        time.sleep(1)
        process.kill()
        process.wait()
        while read(reading):
            pass  # until nobody has it any more
