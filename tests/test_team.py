"""The team: its protocol under delays, stops, forks and refusals, and by its model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import AOT_LEVELS
from processes import TESTS, THREADS, WATCHED, output_of

import aotconv
from aotconv._plan.registry import BASELINE_MODULE

MODEL = Path(aotconv.__file__).parent / "_kernels" / "team.pml"
needs_numba = pytest.mark.skipif(
    not any(each.name == "jit" and each.available for each in aotconv.implementations()),
    reason="needs numba",
)
needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
needs_modules = pytest.mark.skipif(not AOT_LEVELS, reason="needs compiled modules")


def hammer(*options: str, timeout: float = 300) -> str:
    """What the hammer says of the team; it must find nothing wrong."""
    command = [sys.executable, "-W", "ignore", str(TESTS / "hammer.py"), *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert result.returncode == 0, f"{' '.join(command[3:])}\n{result.stdout}{result.stderr}"
    return result.stdout


@needs_numba
@pytest.mark.parametrize(
    "sleep",
    ["", pytest.param("--conditions", marks=pytest.mark.long if sys.platform == "linux" else ())],
    ids=["futexes", "conditions"],
)
@pytest.mark.parametrize(
    "pace", ["", pytest.param("--prompt", marks=pytest.mark.long)], ids=["delayed", "prompt"]
)
def test_launches_of_sixteen_threads_are_done_once_by_helpers_that_come_and_go(sleep, pace):
    said = hammer("--launches", "50000", "--forks", "5", *filter(None, [sleep, pace]))
    assert "; 3 helpers" in said and "helped 0 times" not in said and " 0 forks" not in said


@needs_numba
@pytest.mark.long
@pytest.mark.parametrize("sleep", ["", "--conditions"], ids=["futexes", "conditions"])
@pytest.mark.parametrize("threads", ["2", "16"])
def test_a_million_launches_are_done_once_beside_forks(sleep, threads):
    options = ["--launches", "1000000", "--threads", threads, "--forks", "300"]
    said = hammer(*options, *filter(None, [sleep]), timeout=3000)
    assert "; 3 helpers" in said and "helped 0 times" not in said and " 0 forks" not in said


LAYER = (
    WATCHED
    + f"""
import ctypes, errno, subprocess, sys, threading, time
import numpy as np, aotconv
rng = np.random.default_rng(0)
images = rng.standard_normal((1, 60, 60, 16), np.float32)
layer = aotconv.Conv2D(rng.standard_normal((3, 3, 16, 32), np.float32))
expected = layer(images, threads=1)

{THREADS}
def is_right(threads=2):
    return np.array_equal(layer(images, threads=threads), expected)

def helper():
    "The one helper, that has told the system its name."
    assert is_right()
    while not helpers():
        time.sleep(0.001)
    (one,) = helpers()
    return one
"""
)

# Stops the thread that it is told again and again, as nothing but a debugger can: SIGSTOP would
# stop the process.
STOPPER = """
import ctypes, os, sys, time
ATTACH, DETACH, WAIT_ALL = 16, 17, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
thread = int(sys.argv[1])
for i in range(int(sys.argv[2])):
    if libc.ptrace(ATTACH, thread, None, None):
        sys.exit(f"refused: {os.strerror(ctypes.get_errno())}")
    os.waitpid(thread, WAIT_ALL)
    print("stopped", flush=True)
    time.sleep(0.02)
    print("goes on", flush=True)
    libc.ptrace(DETACH, thread, None, None)
    time.sleep(0.001 * (i % 7))
"""


@needs_proc
@needs_modules
def test_calls_go_on_beside_a_helper_that_is_stopped_outside_of_a_task():
    code = f"""{LAYER}
one = helper()
libc = ctypes.CDLL(None)
libc.prctl(0x59616D61, ctypes.c_ulong(-1).value, 0, 0, 0)  # whom Yama lets stop us: anybody
command = [sys.executable, "-c", {STOPPER!r}, str(one), "40"]
stopper = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
calls, beside = 0, []
def listen():
    for line in stopper.stdout:
        beside.append(calls)
listener = threading.Thread(target=listen)
listener.start()
while listener.is_alive():
    assert is_right()
    calls += 1
    if calls % 3 == 0:
        time.sleep(0.0003)  # the helper sleeps
listener.join()
refused = stopper.stderr.read()
if "refused" in refused:
    print("refused")
else:
    assert stopper.wait() == 0 and len(beside) == 80, refused
    went_on = sum(after - before > 5 for before, after in zip(beside[::2], beside[1::2]))
    assert went_on >= 5, beside
    print("done")
"""
    said = output_of(code)
    if said == "refused":
        pytest.skip("the system lets nobody stop a thread")
    assert said == "done"


@needs_proc
@needs_modules
@pytest.mark.skipif(
    "musl" in str(sysconfig.get_config_var("SOABI")), reason="musl does not set schedulers"
)
def test_calls_beside_busy_processes_are_right_while_the_helper_hardly_runs():
    code = f"""{LAYER}
os.sched_setscheduler(helper(), os.SCHED_IDLE, os.sched_param(0))
hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
    for _ in os.sched_getaffinity(0)]
try:
    until = time.monotonic() + 2
    while time.monotonic() < until:
        assert is_right()
finally:
    for each in hogs:
        each.kill()
        each.wait()
print("done")
"""
    assert output_of(code) == "done"


@needs_proc
@needs_modules
def test_sixteen_threads_that_call_at_once_share_the_helpers_that_one_would_have():
    code = f"""{LAYER}
wrong = []
def work():
    for _ in range(40):
        if not is_right(threads=4):
            wrong.append(1)
callers = [threading.Thread(target=work) for _ in range(16)]
before = len(os.listdir("/proc/self/task"))
most = before
for each in callers:
    each.start()
while any(each.is_alive() for each in callers):
    most = max(most, len(os.listdir("/proc/self/task")))
assert not wrong and is_right(threads=4)
after = len(os.listdir("/proc/self/task"))
print(after - before, most - before <= 16 + 3)
"""
    assert output_of(code) == "3 True"


@needs_proc
@needs_modules
def test_no_signal_reaches_a_helper_but_its_own_faults():
    code = f"""{LAYER}
status = dict(line.split(":\\t") for line in open(f"/proc/self/task/{{helper()}}/status"))
blocked = int(status["SigBlk"], 16)
print(*(each.name for each in signal.valid_signals() if isinstance(each, signal.Signals)
    and not blocked >> each - 1 & 1))
"""
    names = set(output_of(code).split())
    cannot = {"SIGKILL", "SIGSTOP"}
    assert names - cannot == {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP"}


# Prints how many helpers there are, and for how many threads the system was asked.
REFUSING = (
    LAYER.replace("{", "{{").replace("}", "}}")
    + """
from aotconv._core import team
asked = []
words = [ctypes.c_void_p] * 4
real = ctypes.CDLL(None).pthread_create
real.argtypes = words
@ctypes.CFUNCTYPE(ctypes.c_int, *words)
def create(*arguments):
    asked.append(1)
    return {decision} or real(*arguments)
made = team.team()
made._begin(made.address, ctypes.cast(create, ctypes.c_void_p).value, made._functions[1])
for threads in (4, 2, 4, 3):
    assert is_right(threads)
print(made.helpers, len(asked))
"""
)


@needs_modules
@pytest.mark.parametrize("refused_from", [0, 1, 2])
def test_a_thread_that_the_system_refuses_is_a_helper_less_and_no_error(refused_from):
    code = REFUSING.format(decision=f"errno.EAGAIN if len(asked) > {refused_from} else 0")
    assert output_of(code) == f"{refused_from} {refused_from + 1}"


@needs_modules
def test_where_a_small_stack_is_refused_helpers_have_large_ones():
    code = REFUSING.format(decision="errno.EINVAL if arguments[1] else 0")
    assert output_of(code) == "3 6"


@needs_modules
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux' limit of processes")
def test_where_no_second_thread_may_be_had_calls_compute():
    code = """
import os, resource
import numpy as np, aotconv
from aotconv._core import team
if os.getuid() == 0:  # for whom the limit does not count
    os.setgid(65534)
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
result = aotconv.conv2d(np.ones((4, 64, 64, 64), "f4"), np.ones((3, 3, 64, 64), "f4"), threads=2)
print((result == 576).all(), team.helpers())
"""
    assert output_of(code) == "True 0"


@needs_modules
@pytest.mark.parametrize("pause", [0, 0.00002, 0.001])
def test_a_process_ends_whatever_its_helpers_do(pause):
    code = f"""{LAYER}
if os.fork() == 0:
    assert is_right()
    time.sleep({pause})
    sys.exit(0)
assert os.wait()[1] == 0
caller = threading.Thread(target=lambda: [is_right() for _ in iter(int, 1)], daemon=True)
caller.start()
assert is_right()
time.sleep({pause})
print("done")
"""
    for _ in range(3):
        assert output_of(code) == "done"


def searched(model: str, folder: Path, **defined: int) -> str:
    """What spin says of all that can happen in a model."""
    (folder / "model.pml").write_text(model)
    defines = [f"-D{name}={value}" for name, value in defined.items()]
    command = ["spin", *defines, "-run", "-O2", "-DCOLLAPSE", "-m1000000", "model.pml"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    assert "errors:" in result.stdout, result.stdout + result.stderr
    return result.stdout


needs_spin = pytest.mark.skipif(
    shutil.which("spin") is None or shutil.which("cc") is None,
    reason="needs spin and a C compiler",
)


@needs_spin
@pytest.mark.parametrize(
    ("callers", "helpers"), [(2, 1), pytest.param(1, 2, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("lazy", [pytest.param(0, marks=pytest.mark.long), 1])
def test_whatever_the_order_of_steps_the_model_ends_well(callers, helpers, lazy, tmp_path):
    said = searched(MODEL.read_text(), tmp_path, CALLERS=callers, HELPERS=helpers, LAZY=lazy)
    assert "errors: 0" in said, said
    assert "Search not completed" not in said and "depth too small" not in said, said


FAULTS = {
    "a caller waits for nobody": ("inside == 0\n    :: inside != 0 ->", "true\n    :: false ->"),
    "a closed launch has places": ("launches[launch].state.places = 0; inside", "inside"),
    "a helper enters by a state that is old": (
        ":: launches[launch].state.inside == seen.inside &&",
        ":: true ||",
    ),
    "the last one wakes nobody": (
        "was.inside == 1 -> launches[launch].waiting = false",
        "was.inside == 1",
    ),
    "a helper sleeps though the bell has rung": (
        ":: asleep[me] == SLEEPING -> asleep[me] = NO",
        ":: false",
    ),
    "a caller wakes nobody": ("bell++;\n            wake_some(HELPERS);", "bell++;"),
}


@needs_spin
@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_the_model_tells_a_wrong_protocol(fault, tmp_path):
    right, wrong = FAULTS[fault]
    model = MODEL.read_text()
    assert model.count(right) == 1
    said = [searched(model.replace(right, wrong), tmp_path, LAZY=lazy) for lazy in (0, 1)]
    assert any("errors: 0" not in each for each in said)


def races(report: Path) -> list[str]:
    """Races that helgrind saw where one of both was in a module of ours."""
    errors = ElementTree.parse(report).getroot().iter("error")
    found = []
    for error in errors:
        tops = [str(stack.findtext("frame/obj")) for stack in error.iter("stack")]
        if error.findtext("kind") == "Race" and any(
            "/aotconv/" in top or BASELINE_MODULE in top for top in tops
        ):
            found.append(f"{error.findtext('xwhat/text')}: {tops}")
    return found


@needs_numba
@pytest.mark.long
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
@pytest.mark.skipif("x86-64-v2" not in AOT_LEVELS, reason="needs the module of x86-64-v2")
@pytest.mark.parametrize("mute", [False, True], ids=["told of atomic steps", "told of none"])
def test_helgrind_sees_races_in_the_modules_only_where_it_is_not_told_of_atomic_steps(
    mute, tmp_path
):
    script, report = str(TESTS / "helgrind.py"), tmp_path / "report.xml"
    build = [sys.executable, script, "build", str(tmp_path), *["mute"] * mute]
    subprocess.run(build, check=True, timeout=600)
    tool = ["--tool=helgrind", "--fair-sched=yes", "--xml=yes", f"--xml-file={report}"]
    run = ["valgrind", *tool, sys.executable, script, "run", str(tmp_path)]
    environment = {**os.environ, "AOTCONV_IMPLEMENTATION": "x86-64-v2"}
    result = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=600)
    assert result.stdout == "computed\n", result.stderr
    assert bool(races(report)) == mute, races(report)
