"""What a team needs of the machine and of the C library: atomic words, threads, time, sleep.

Addresses are int64, in bytes; a word is the int64 at one.  All that is atomic is sequentially
consistent.
"""

from __future__ import annotations

import inspect
import platform
import signal
import sys

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .._plan.team import CONDITION, LOCK
from .runtime import compile_into_library, parameter, subroutine, with_parameters
from .simd import WORD

INT = ir.IntType(32)
POINTER = WORD.as_pointer()

LINUX = sys.platform == "linux"
# Linux' numbers of system calls, by machine; without them threads sleep on a condition variable.
_NUMBERS = {"x86_64": (202, 186), "aarch64": (98, 178)}
FUTEX, GETTID = _NUMBERS.get(platform.machine(), (0, 0)) if LINUX else (0, 0)
WAIT, WAKE = 128, 129  # FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE
SET_NAME = 15  # PR_SET_NAME
MONOTONIC = 1 if LINUX else 6  # CLOCK_MONOTONIC
DETACHED = 1 if LINUX else 2  # PTHREAD_CREATE_DETACHED
SET_MASK = int(getattr(signal, "SIG_SETMASK", 0))
# Of what a thread does itself: blocked, they would end the process without a word.
FAULTS = tuple(
    int(getattr(signal, name, 0)) for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP")
)

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
    "sigprocmask": (INT, INT, WORD, WORD),
    "syscall": (WORD, WORD, WORD, WORD, WORD, WORD),
}


def c_library(name: str):
    """The C library's function of that name, of int64 values."""
    result, *kinds = _C[name]

    def definition(typingctx, *args):
        def emit(context, builder, sig, args):
            function_type = ir.FunctionType(result, kinds, var_arg=name == "syscall")
            function = cgutils.get_or_insert_function(builder.module, function_type, name)
            pairs = zip(args, kinds, strict=True)
            args = [arg if kind == WORD else builder.trunc(arg, kind) for arg, kind in pairs]
            said = builder.call(function, args)
            return said if result == WORD else builder.sext(said, WORD)

        return types.int64(*[types.int64] * len(kinds)), emit

    return with_parameters(definition, map(parameter, [f"argument_{i}" for i in range(len(kinds))]))


def c_address(function):
    """The intrinsic that gives the address of a function of int64 values as C calls it."""

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
    int."""

    def definition(typingctx, *args):
        def emit(context, builder, sig, args):
            function_type = ir.FunctionType(INT, [WORD] * n)
            function = builder.inttoptr(args[0], function_type.as_pointer())
            return builder.sext(builder.call(function, args[1:]), WORD)

        return types.int64(*[types.int64] * (n + 1)), emit

    names = "address", *(f"argument_{i}" for i in range(n))
    return with_parameters(definition, map(parameter, names))


def _at(builder, address):
    return builder.inttoptr(address, POINTER)


@intrinsic
def load(typingctx, address):
    """The word, atomically."""

    def emit(context, builder, sig, args):
        return builder.load_atomic(_at(builder, args[0]), "seq_cst", 8)

    return types.int64(types.int64), emit


@intrinsic
def store(typingctx, address, value):
    """Store the word, atomically."""

    def emit(context, builder, sig, args):
        builder.store_atomic(args[1], _at(builder, args[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64), emit


def _update(operation: str):
    @intrinsic
    def update(typingctx, address, value):
        def emit(context, builder, sig, args):
            return builder.atomic_rmw(operation, _at(builder, args[0]), args[1], "seq_cst")

        return types.int64(types.int64, types.int64), emit

    return update


# Change a word, and give what it was.
add, unite, intersect = map(_update, ("add", "or", "and"))


@intrinsic
def replace(typingctx, address, expected, value):
    """Store the word if it is as expected; whether it was."""

    def emit(context, builder, sig, args):
        address, expected, value = args
        place = _at(builder, address)
        done = builder.cmpxchg(place, expected, value, "seq_cst", "seq_cst")
        return builder.extract_value(done, 1)

    return types.boolean(types.int64, types.int64, types.int64), emit


@intrinsic
def relax(typingctx):
    """Tell the CPU that this thread spins."""

    def emit(context, builder, sig, args):
        pause = {"x86_64": "pause", "aarch64": "isb"}.get(platform.machine(), "")
        kind = ir.FunctionType(ir.VoidType(), [])
        builder.call(ir.InlineAsm(kind, pause, "~{memory}", True), [])
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


_clock = stack(2)
_clock_gettime = c_library("clock_gettime")


@subroutine
def nanoseconds():
    """The monotonic clock."""
    time = _clock()
    _clock_gettime(MONOTONIC, time)
    return load(time) * 1_000_000_000 + load(time + 8)


_syscall = c_library("syscall")
_lock, _unlock = (c_library(f"pthread_mutex_{name}") for name in ("lock", "unlock"))
_cond_wait, _broadcast = (c_library(f"pthread_cond_{name}") for name in ("wait", "broadcast"))


@subroutine
def thread_number():
    """Linux' number of this thread."""
    return _syscall(GETTID, 0, 0, 0, 0)


@subroutine
def _sleep_on_futex(team, word, value):
    _syscall(FUTEX, word, WAIT, value, 0)


@subroutine
def _wake_futex(team, word, threads):
    _syscall(FUTEX, word, WAKE, threads, 0)


@subroutine
def _sleep_on_condition(team, word, value):
    _lock(team + 8 * LOCK)
    while load(word) == value:
        _cond_wait(team + 8 * CONDITION, team + 8 * LOCK)
    _unlock(team + 8 * LOCK)


@subroutine
def _wake_condition(team, word, threads):
    _lock(team + 8 * LOCK)
    _broadcast(team + 8 * CONDITION)
    _unlock(team + 8 * LOCK)


# (sleep, wake): ``sleep(team, word, value)`` returns when `wake(team, word, threads)` was called
# behind a change of the word, at once if it differs from `value`, and now and then without reason.
ON_FUTEXES = _sleep_on_futex, _wake_futex
ON_CONDITIONS = _sleep_on_condition, _wake_condition
