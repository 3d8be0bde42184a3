"""Calls that are known: with the same arguments as one before, found so without Python's help."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .._plan.repeat import ARGUMENT_FIELDS, CALL_FIELDS, LAYOUT_FIELDS, SCRATCH_FIELDS
from .extension import Export
from .jobs import run_jobs
from .runtime import VOID_POINTER, compile_into_library, int_at, subroutine, word
from .simd import WORD
from .system import compare_exchange, store

COUNT, HEAD, ARRAY, JOBS, SCRATCH = range(len(CALL_FIELDS))
LAYOUT, OBJECT = range(len(ARGUMENT_FIELDS))
AXES, DTYPE, MASK, FLAGS, LOW, HIGH, CONTENTS = range(len(LAYOUT_FIELDS))
TAKEN, PLACE = range(len(SCRATCH_FIELDS))
CALL_WORDS, ARGUMENT_WORDS = len(CALL_FIELDS), len(ARGUMENT_FIELDS)
LAYOUT_WORDS = len(LAYOUT_FIELDS)
# Words behind the head of an ndarray, which NumPy's ABI holds fixed.  Two are ints of four bytes.
DATA, NDIM, SHAPE, STRIDES, DESCR, FLAG_BITS = 0, 1, 2, 3, 5, 6


@intrinsic
def _byte(typingctx, address):
    def emit(context, builder, sig, args):
        return builder.zext(builder.load(builder.inttoptr(args[0], VOID_POINTER)), WORD)

    return types.int64(types.int64), emit


def _counts(name: str):
    """The intrinsic that calls what counts the owners of an object."""

    @intrinsic
    def count(typingctx, python_object):
        def emit(context, builder, sig, args):
            function_type = ir.FunctionType(ir.VoidType(), [VOID_POINTER])
            function = cgutils.get_or_insert_function(builder.module, function_type, name)
            builder.call(function, [builder.inttoptr(args[0], VOID_POINTER)])
            return context.get_dummy_value()

        return types.none(types.int64), emit

    return count


_hold, _let_go = _counts("Py_IncRef"), _counts("Py_DecRef")


@subroutine
def _is_known(array, layout, head):
    """Whether what is behind an ndarray's head is as its layout says."""
    fields = array + head
    axes = word(layout, AXES)
    if int_at(fields, NDIM) != axes or word(fields, DESCR) != word(layout, DTYPE):
        return False
    if int_at(fields, FLAG_BITS) & word(layout, MASK) != word(layout, FLAGS):
        return False
    sizes, strides = word(fields, SHAPE), word(fields, STRIDES)
    for i in range(axes):
        if word(sizes, i) != word(layout, LAYOUT_WORDS + i):
            return False
        if word(strides, i) != word(layout, LAYOUT_WORDS + axes + i):
            return False
    contents = word(layout, CONTENTS)
    return contents == 0 or _are_equal(contents, word(fields, DATA), word(layout, HIGH))


@subroutine
def _are_equal(first, second, size):
    """Whether so many bytes are equal."""
    whole = size >> 3
    for i in range(whole):
        if word(first, i) != word(second, i):
            return False
    for i in range(whole << 3, size):  # noqa: SIM110  # numba compiles no `all`
        if _byte(first + i) != _byte(second + i):
            return False
    return True


@subroutine
def _may_overlap(first, its, second, layout, head):
    """Whether two arrays of known layouts may share memory."""
    one, other = word(first + head, DATA), word(second + head, DATA)
    return one + word(its, LOW) < other + word(layout, HIGH) and other + word(
        layout, LOW
    ) < one + word(its, HIGH)


def _repeat(call, arguments, count):
    """Compute what an earlier call did, if this is one with such arguments; whether it is.  Without
    jobs nothing is computed.

    Parameters
    ----------
    call : address
        Of words of CALL_FIELDS, and behind them for each argument words of ARGUMENT_FIELDS.
    arguments : address
        Of the addresses of Python objects: images, out, and whatever else the call depends on.
    count : int
        Of the objects.

    Of an object its type is read, and of an array what lies behind its head: the GIL must be held,
    and is released while the kernel runs, on this thread.  Then an owner more of each keeps anybody
    from giving the arrays other memory.  An array that is to hold something is contiguous.
    """
    if count != word(call, COUNT):
        return 0
    head, kind = word(call, HEAD), word(call, ARRAY)
    for i in range(count):
        argument, given = call + 8 * (CALL_WORDS + ARGUMENT_WORDS * i), word(arguments, i)
        layout = word(argument, LAYOUT)
        if layout == 0:
            if given != word(argument, OBJECT):
                return 0
        elif word(given + head, -1) != kind or not _is_known(given, layout, head):
            return 0
    images, out = word(arguments, 0), word(arguments, 1)
    its, layout = word(call, CALL_WORDS + LAYOUT), word(call, CALL_WORDS + ARGUMENT_WORDS + LAYOUT)
    if _may_overlap(images, its, out, layout, head):
        return 0
    if word(call, JOBS) == 0:
        return 1
    scratch = word(call, SCRATCH)
    if not compare_exchange(scratch, TAKEN, 0, 1):
        return 0
    _hold(images)
    _hold(out)
    run_jobs(word(call, JOBS), images, out, out, word(scratch, PLACE), 1, 0)
    store(scratch, TAKEN, 0)
    _let_go(out)
    _let_go(images)
    return 1


@intrinsic
def _compiled_repeat(typingctx, call, arguments, count):
    """`_repeat`, which calls subroutines: they are compiled into a library that is there by now."""

    def emit(context, builder, sig, args):
        description, own = compile_into_library(context, _repeat, sig.args, sig.return_type)
        _, result = context.call_internal_no_propagate(builder, description, own, args)
        return result

    return types.int64(*[types.int64] * 3), emit


def repeat(call, arguments, count):
    return _compiled_repeat(call, arguments, count)


EXPORTS = {"repeat": Export(repeat, "int64(int64, int64, int64)", rest=True)}
