"""What a team needs of the machine and of the C library: atomic words, threads, time, sleep.

Words are known by an address in bytes and an index, as `runtime.word` knows them.  All that is
atomic is sequentially consistent.
"""

from __future__ import annotations

import errno
import inspect
import platform
import signal
import sys
import time

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .._plan.team import CONDITION, LOCK
from .runtime import compile_into_library, parameter, subroutine, with_parameters, word
from .simd import WORD

INT = ir.IntType(32)
POINTER = WORD.as_pointer()

LINUX = sys.platform == "linux"
# Linux' numbers of system calls, by machine; without them threads sleep on a condition variable.
_NUMBERS = {"x86_64": (202, 186), "aarch64": (98, 178)}
FUTEX, GETTID = _NUMBERS.get(platform.machine(), (0, 0)) if LINUX else (0, 0)
WAIT, WAKE = 128, 129  # FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE
SET_NAME = 15  # PR_SET_NAME
MONOTONIC = int(getattr(time, "CLOCK_MONOTONIC", 0))
DETACHED = 2 if sys.platform == "darwin" else 1  # PTHREAD_CREATE_DETACHED
INVALID = errno.EINVAL
SET_MASK = int(getattr(signal, "SIG_SETMASK", 0))
# Of what a thread does itself.  Were they blocked, no handler would run, not even faulthandler's.
FAULTS = tuple(
    int(getattr(signal, name, 0)) for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP")
)
# Words that hold the largest of the C library's own types: glibc's sigset_t has 128 bytes,
# pthread_attr_t, mutexes and condition variables 64 and less.
OPAQUE_WORDS = 16
# Tells the CPU that a thread spins.  AArch64's `yield` does nothing on most CPUs.
_PAUSE = {"x86_64": "pause", "aarch64": "isb", "arm64": "isb"}.get(platform.machine(), "")

# Results and parameters of functions of the C library; pointers are words.
_C = {
    "calloc": (WORD, WORD, WORD),
    "clock_gettime": (INT, INT, WORD),
    "memset": (WORD, WORD, INT, WORD),
    "prctl": (INT, INT, WORD, WORD, WORD, WORD),
    "pthread_attr_destroy": (INT, WORD),
    "pthread_attr_init": (INT, WORD),
    "pthread_attr_setdetachstate": (INT, WORD, INT),
    "pthread_cond_broadcast": (INT, WORD),
    "pthread_cond_init": (INT, WORD, WORD),
    "pthread_cond_wait": (INT, WORD, WORD),
    "pthread_mutex_init": (INT, WORD, WORD),
    "pthread_mutex_lock": (INT, WORD),
    "pthread_mutex_unlock": (INT, WORD),
    "sched_getcpu": (INT,),
    "sched_setaffinity": (INT, INT, WORD, WORD),
    "sigdelset": (INT, WORD, INT),
    "sigfillset": (INT, WORD),
    # The thread's own mask on Linux and macOS.  pthread_sigmask's version is glibc 2.32.
    "sigprocmask": (INT, INT, WORD, WORD),
    "syscall": (WORD, WORD, WORD, WORD, WORD, WORD),
}
_VARIADIC = ("prctl", "syscall")


def c_library(name: str):
    """The C library's function of that name, of int64 values."""
    result, *kinds = _C[name]
    fixed = kinds[:1] if name in _VARIADIC else kinds

    def definition(typingctx, *args):
        def emit(context, builder, sig, args):
            function_type = ir.FunctionType(result, fixed, var_arg=name in _VARIADIC)
            function = cgutils.get_or_insert_function(builder.module, function_type, name)
            pairs = zip(args, kinds, strict=True)
            args = [arg if kind == WORD else builder.trunc(arg, kind) for arg, kind in pairs]
            said = builder.call(function, args)
            return said if result == WORD else builder.sext(said, WORD)

        return types.int64(*[types.int64] * len(kinds)), emit

    return with_parameters(definition, [parameter(f"argument_{i}") for i in range(len(kinds))])


def c_address(function):
    """The intrinsic that gives the address of a function as C calls it: ``int64 function(int64,
    ..)``, which gives 0."""

    @intrinsic
    def address(typingctx):
        def emit(context, builder, sig, args):
            n = len(inspect.signature(function).parameters)
            module = builder.module
            name = module.get_unique_name(function.__name__)
            own = ir.Function(module, ir.FunctionType(WORD, [WORD] * n), name)
            own.linkage = "internal"
            inner = ir.IRBuilder(own.append_basic_block("entry"))
            kinds = (types.int64,) * n
            description, sig = compile_into_library(context, function, kinds, result=types.none)
            context.call_internal_no_propagate(inner, description, sig, own.args)
            inner.ret(WORD(0))
            return builder.ptrtoint(own, WORD)

        return types.int64(), emit

    return address


def call_at(n: int):
    """The intrinsic ``(address, *words)`` that calls a C function of so many words, which gives an
    int, or an int64 whose low half says it all."""

    def definition(typingctx, *args):
        def emit(context, builder, sig, args):
            function_type = ir.FunctionType(INT, [WORD] * n)
            function = builder.inttoptr(args[0], function_type.as_pointer())
            return builder.sext(builder.call(function, args[1:]), WORD)

        return types.int64(*[types.int64] * (n + 1)), emit

    names = "address", *(f"argument_{i}" for i in range(n))
    return with_parameters(definition, map(parameter, names))


def _place(builder, address, index):
    return builder.gep(builder.inttoptr(address, POINTER), [index])


@intrinsic
def load(typingctx, address, index):
    """The word."""

    def emit(context, builder, sig, args):
        return builder.load_atomic(_place(builder, *args), "seq_cst", 8)

    return types.int64(types.int64, types.int64), emit


@intrinsic
def store(typingctx, address, index, value):
    """Store a word."""

    def emit(context, builder, sig, args):
        builder.store_atomic(args[2], _place(builder, *args[:2]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.none(*[types.int64] * 3), emit


def _fetch_and_update(operation: str):
    @intrinsic
    def update(typingctx, address, index, value):
        def emit(context, builder, sig, args):
            place = _place(builder, *args[:2])
            return builder.atomic_rmw(operation, place, args[2], "seq_cst")

        return types.int64(*[types.int64] * 3), emit

    return update


# Change a word, and give what it was.
fetch_add, fetch_or, fetch_and = map(_fetch_and_update, ("add", "or", "and"))


@intrinsic
def compare_exchange(typingctx, address, index, expected, value):
    """Store a word if it is as expected; whether it was."""

    def emit(context, builder, sig, args):
        place = _place(builder, *args[:2])
        done = builder.cmpxchg(place, *args[2:], "seq_cst", "seq_cst")
        return builder.extract_value(done, 1)

    return types.boolean(*[types.int64] * 4), emit


@intrinsic
def pause(typingctx):
    """What a thread does between two looks at a word."""

    def emit(context, builder, sig, args):
        kind = ir.FunctionType(ir.VoidType(), [])
        builder.call(ir.InlineAsm(kind, _PAUSE, "~{memory}", True), [])
        return context.get_dummy_value()

    return types.none(), emit


def stack(words: int):
    """The intrinsic that gives the address of so many words of the function's own."""

    @intrinsic
    def address(typingctx):
        def emit(context, builder, sig, args):
            memory = cgutils.alloca_once(builder, WORD, size=words)
            return builder.ptrtoint(memory, WORD)

        return types.int64(), emit

    return address


_timespec, _clock_gettime = stack(2), c_library("clock_gettime")
_syscall = c_library("syscall")
_lock, _unlock = (c_library(f"pthread_mutex_{name}") for name in ("lock", "unlock"))
_cond_wait, _broadcast = (c_library(f"pthread_cond_{name}") for name in ("wait", "broadcast"))


@subroutine
def nanoseconds():
    """The monotonic clock."""
    now = _timespec()
    _clock_gettime(MONOTONIC, now)
    return word(now, 0) * 1_000_000_000 + word(now, 1)


@subroutine
def thread_id():
    """Linux' number of this thread."""
    return _syscall(GETTID, 0, 0, 0, 0)


@subroutine
def _sleep_on_futex(team, address, index, value):
    # A futex is the low half of a word, on little-endian machines, as these are.
    _syscall(FUTEX, address + 8 * index, WAIT, value, 0)


@subroutine
def _wake_futex(team, address, index):
    _syscall(FUTEX, address + 8 * index, WAKE, 1, 0)


@subroutine
def _sleep_on_condition(team, address, index, value):
    _lock(team + 8 * LOCK)
    while load(address, index) == value:
        _cond_wait(team + 8 * CONDITION, team + 8 * LOCK)
    _unlock(team + 8 * LOCK)


@subroutine
def _wake_condition(team, address, index):
    _lock(team + 8 * LOCK)
    _broadcast(team + 8 * CONDITION)  # one condition serves all words
    _unlock(team + 8 * LOCK)


# (sleep, wake): ``sleep(team, address, index, value)`` returns when `wake` was called behind a
# change of the word, at once if it differs from `value`, and now and then spuriously.  Words are
# below 2**31.
ON_FUTEXES = _sleep_on_futex, _wake_futex
ON_CONDITIONS = _sleep_on_condition, _wake_condition
