"""Import does nothing but import, and asks nothing of the machine that NumPy does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np
import pytest
from conftest import AVAILABLE
from processes import TESTS, output_of

import aotconv
from aotconv._plan.registry import LEVELS

PACKAGE = Path(aotconv.__file__).parent
HAS_COMPILED = bool(list(PACKAGE.glob("_baseline.*")))
NOWHERE = {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/dev/null/cache", "NUMBA_CACHE_DIR": None}


def importing(*folders) -> str:
    """What an isolated Python needs to find NumPy, what lies beside it, and first of all these."""
    paths = [str(each) for each in (*folders, Path(np.__file__).parent.parent)]
    return f"import sys; sys.path[:0] = {paths}\n"


def copy_of_the_source(target: Path) -> Path:
    """The package as it is without anything compiled: in the folder that is returned."""
    shutil.copytree(
        PACKAGE, target / "aotconv", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    return target


@pytest.fixture(params=["compiled", "source alone"])
def folder(request, tmp_path):
    """Where the package lies: with compiled kernels, or without, where numba or NumPy computes."""
    if request.param == "source alone":
        return copy_of_the_source(tmp_path)
    if not HAS_COMPILED:
        pytest.skip("nothing is compiled here")
    return PACKAGE.parent


# Prints what happened at import beside reading modules, and what of the process' state changed.
OBSERVED = """
import atexit, ctypes, decimal, faulthandler, gc, hashlib, locale, logging, os, pickle, random
import signal, socket, sys, threading, tracemalloc, warnings
import numpy as np
try:
    libm = ctypes.CDLL("libm.so.6")
except OSError:
    libm = None

def floating_point():
    environment = (ctypes.c_uint32 * 8)()  # the x87's in seven words, then MXCSR
    if libm is None or libm.fegetenv(environment):
        return float(np.float32(1e-40) * np.float32(0.5)), float(np.float32(1) / np.float32(3))
    return environment[0] & 0xF3F, environment[7] & 0xFFC0  # modes, without the sticky flags

def digest(*states):
    return hashlib.sha256(pickle.dumps(states)).hexdigest()

def files(folder):
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else None

def state():
    return {
        "environment": dict(os.environb),
        "threads": (threading.active_count(), files("/proc/self/task")),
        "handlers": {each: signal.getsignal(each) for each in signal.valid_signals()},
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "timers": signal.getitimer(signal.ITIMER_REAL),
        "affinity": os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
        "niceness": os.nice(0),
        "folder": os.getcwd(),
        "open files": files("/proc/self/fd"),
        "switch interval": sys.getswitchinterval(),
        "recursion limit": sys.getrecursionlimit(),
        "hooks": (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook,
            sys.gettrace(), sys.getprofile(), sys.breakpointhook),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "finders": (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "at exit": atexit._ncallbacks(),
        "collector": (gc.isenabled(), gc.get_threshold(), gc.get_debug()),
        "warnings": list(warnings.filters),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "locale": locale.setlocale(locale.LC_ALL),
        "stack size": threading.stack_size(),
        "socket timeout": socket.getdefaulttimeout(),
        "decimal": repr(decimal.getcontext()),
        "random": digest(random.getstate(), np.random.get_state()),
        "floating point": floating_point(),
        "NumPy": (np.geterr(), np.geterrcall(), np.get_printoptions(), np.getbufsize()),
        "diagnosis": (faulthandler.is_enabled(), tracemalloc.is_tracing()),
    }

READING = {"import", "compile", "exec", "marshal.loads", "os.listdir", "os.scandir",
    "code.__new__", "object.__getattr__", "object.__setattr__", "sys._getframe", "builtins.id"}
happened, watching = [], True

def observe(event, args):
    if not watching or event in READING:
        return
    if event == "open":
        path, mode, flags = args
        own = str(path).startswith(ALLOWED)
        if own and not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            return
    happened.append((event, args))

sys.dont_write_bytecode = True
before = state()
sys.addaudithook(observe)
import aotconv
watching = False
after = state()
changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
print(happened, changed, "numba" in sys.modules)
"""


def test_import_reads_its_own_files_and_changes_nothing(folder):
    allowed = (str(folder), str(Path(sys.base_prefix)))
    code = f"{importing(folder)}ALLOWED = {allowed}\n{OBSERVED}"
    assert output_of(code, flags=("-I", "-S"), **NOWHERE) == "[] {} False"


# No file can be written, whoever asks; what has been asked for is told when the process ends.
READ_ONLY = """
import errno, os, sys
WRITES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod", "os.chown", "os.utime", "shutil.copyfile"}
def refuse(event, args):
    writes = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    if writes or event in WRITES:
        raise OSError(errno.EROFS, "read-only file system", str(args[0]))
sys.addaudithook(refuse)
"""
# Neither is there; `os.path.exists` and the like are not asked here.
NO_PROC_AND_SYS = """
import sys
def refuse(event, args):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(args[0], str):
        if args[0].startswith(("/proc/", "/sys/")) or args[0] in ("/proc", "/sys"):
            raise FileNotFoundError(2, "no such file", args[0])
sys.addaudithook(refuse)
"""
COMPUTING = """
import numpy as np, aotconv
images, filters = np.ones((1, 99, 99, 2), "f4"), np.ones((3, 3, 2, 4), "f4")
assert aotconv.get_num_threads() >= 1
for threads in (None, 1, 2):
    assert (aotconv.conv2d(images, filters, threads=threads) == 18).all()
print(aotconv.active().name)
"""


@pytest.mark.parametrize("limits", [READ_ONLY, NO_PROC_AND_SYS], ids=["read-only", "no-proc-sys"])
def test_every_rung_computes_where_nothing_can_be_written_and_without_proc_and_sys(rung, limits):
    code = f"{limits}{importing(PACKAGE.parent)}{COMPUTING}"
    assert output_of(code, flags=("-I", "-S", "-B"), **NOWHERE, AOTCONV_IMPLEMENTATION=rung) == rung


def can_mount() -> bool:
    if not (unshare := shutil.which("unshare")):
        return False
    command = [unshare, "-m", "sh", "-c", "mount -t tmpfs none /sys"]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs to mount in a namespace of its own")
def test_proc_and_sys_may_be_empty():
    script = 'mount -t tmpfs none /proc && mount -t tmpfs none /sys && exec "$0" "$@"'
    code = f"import os; assert not os.listdir('/proc')\n{COMPUTING}"
    said = output_of(code, within=("unshare", "-m", "sh", "-c", script), cwd=PACKAGE.parent)
    assert said == aotconv.active().name


@pytest.mark.parametrize("flags", [("-O",), ("-OO",), ("-bb", "-W", "error"), ("-X", "dev")])
def test_python_may_be_optimised_or_strict(flags):
    code = f"{importing(PACKAGE.parent)}{COMPUTING}"
    assert output_of(code, flags=("-I", "-S", *flags)) == aotconv.active().name


def test_there_may_be_no_standard_streams():
    code = f"""
import os, sys
sys.stdin = sys.stdout = sys.stderr = None
out = os.dup(1)
for each in range(3):
    os.close(each)
{COMPUTING.replace("print(aotconv.active().name)", "")}
with __import__("contextlib").suppress(ValueError):
    aotconv.use("sse9")
aotconv.conv2d(images.astype("O").astype("i2"), filters.astype("i2"))  # warns of its fall
os.write(out, b"done")
"""
    assert output_of(code, cwd=PACKAGE.parent) == "done"


def test_from_a_zip_file_the_source_computes_and_says_why(tmp_path):
    source = copy_of_the_source(tmp_path / "source")
    with zipfile.ZipFile(tmp_path / "aotconv.zip", "w") as archive:
        for path in source.rglob("*.py"):
            archive.write(path, path.relative_to(source))
    code = f"""
import warnings
warnings.simplefilter("error")
{importing(tmp_path / "aotconv.zip")}
import numpy as np, aotconv
images, filters = np.ones((1, 9, 9, 2), "f4"), np.ones((3, 3, 2, 4), "f4")
try:
    aotconv.conv2d(images, filters)
except aotconv.FallbackWarning as warning:
    assert "not installed for this Python" in str(warning)
    warnings.simplefilter("ignore")
    assert (aotconv.conv2d(images, filters) == 18).all()
    print(aotconv.active().name)
"""
    said = output_of(code, flags=("-I", "-S"), **NOWHERE)
    assert said == ("jit" if "jit" in AVAILABLE else "numpy")


FIRST_LINE = """
import warnings
import numpy as np, aotconv
warnings.simplefilter("error")
try:
    aotconv.conv2d(np.ones((1, 9, 9, 2), "f4"), np.ones((3, 3, 2, 4), "f4"))
except aotconv.FallbackWarning as warning:
    print(str(warning).splitlines()[0])
"""


def test_a_source_folder_without_modules_says_first_what_to_do_and_an_installed_package_does_not(
    tmp_path,
):
    folder = copy_of_the_source(tmp_path)

    def first_line():
        return output_of(f"{importing(folder)}{FIRST_LINE}", flags=("-I", "-S"), **NOWHERE)

    reasons = "aotconv runs without its compiled kernels: "
    assert first_line().startswith(reasons)
    shutil.copy(TESTS.parent / "build_kernels.py", folder)
    cure = "this is aotconv's source folder: run `pip install -e .` (or leave the folder)"
    assert first_line() == cure
    for level in LEVELS.values():  # there, though they do not load
        (folder / "aotconv" / f"{level.module}{EXTENSION_SUFFIXES[-1]}").touch()
    assert first_line().startswith(reasons)


def test_many_threads_may_import_at_once():
    code = f"""{importing(PACKAGE.parent)}
import threading
import numpy as np
images, filters = np.ones((1, 9, 9, 2), "f4"), np.ones((3, 3, 2, 4), "f4")
start, right = threading.Barrier(16), []
def work():
    start.wait()
    import aotconv
    right.append((aotconv.conv2d(images, filters) == 18).all())
workers = [threading.Thread(target=work) for _ in range(16)]
for each in workers:
    each.start()
for each in workers:
    each.join()
print(sum(right))
"""
    assert output_of(code, flags=("-I", "-S")) == "16"
