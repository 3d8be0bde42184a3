"""What a kernel needs around its tiles: its row as a compile-time constant, its plan's fields, and
words of memory.
"""

from __future__ import annotations

import inspect
from typing import Any
from weakref import WeakKeyDictionary

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.compiler import Flags, compile_internal
from numba.core.imputils import lower_constant, lower_getattr_generic
from numba.core.registry import cpu_target
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    models,
    register_model,
    typeof_impl,
)

from .._plan import arithmetic
from .._plan.family import FIELDS
from .._plan.registry import FLOAT_DTYPES, Row
from .._plan.select import FAMILIES, elementwise_row
from .simd import WORD, tile_function

VOID_POINTER = ir.IntType(8).as_pointer()


class RowType(types.Type):
    """A registry row as a type of its own: `row.pixels` and the like are constants in a kernel,
    and intrinsics that get it read the values while they emit code."""

    def __init__(self, row: Row) -> None:
        self.row = row
        super().__init__(f"Row({row.level} {row.name})")


register_model(RowType)(models.OpaqueModel)


@typeof_impl.register(Row)
def _typeof_row(row, context):
    return RowType(row)


@lower_constant(RowType)
def _constant_row(context, builder, row_type, row):
    return context.get_dummy_value()


@infer_getattr
class _RowAttributes(AttributeTemplate):
    key = RowType

    def generic_resolve(self, row_type, name):
        return types.int64 if isinstance(getattr(row_type.row, name, None), int) else None


@lower_getattr_generic(RowType)
def _row_attribute(context, builder, row_type, value, name):
    return ir.Constant(WORD, getattr(row_type.row, name))


class PlanType(types.Type):
    """The address of a plan's words for one family; `plan.kh` loads the word of that name.  Only
    names in FIELDS and in the family's own fields compile."""

    def __init__(self, family: str) -> None:
        self.fields = FIELDS + FAMILIES[family].fields
        super().__init__(f"Plan({family})")


register_model(PlanType)(models.OpaqueModel)


@infer_getattr
class _PlanAttributes(AttributeTemplate):
    key = PlanType

    def generic_resolve(self, plan_type, name):
        return types.int64 if name in plan_type.fields else None


@lower_getattr_generic(PlanType)
def _plan_attribute(context, builder, plan_type, plan, name):
    words = builder.bitcast(plan, WORD.as_pointer())
    return builder.load(cgutils.gep_inbounds(builder, words, plan_type.fields.index(name)))


def words_aligned(align: int):
    """The intrinsics ``word(address, index)``, which gives the int64 at an address of a multiple of
    `align` bytes plus `index` words, and ``set_word(address, index, value)``, which stores it."""

    @intrinsic
    def word(typingctx, address, index):
        def emit(context, builder, sig, args):
            words = builder.inttoptr(args[0], WORD.as_pointer())
            return builder.load(builder.gep(words, [args[1]]), align=align)

        return types.int64(types.int64, types.int64), emit

    @intrinsic
    def set_word(typingctx, address, index, value):
        def emit(context, builder, sig, args):
            words = builder.inttoptr(args[0], WORD.as_pointer())
            builder.store(args[2], builder.gep(words, [args[1]]), align=align)
            return context.get_dummy_value()

        return types.none(types.int64, types.int64, types.int64), emit

    return word, set_word


word, set_word = words_aligned(8)


@intrinsic
def int_at(typingctx, address, index):
    """The int of four bytes at `address` (in bytes) plus `index` words."""

    def emit(context, builder, sig, args):
        words = builder.gep(builder.inttoptr(args[0], WORD.as_pointer()), [args[1]])
        half = builder.bitcast(words, ir.IntType(32).as_pointer())
        return builder.sext(builder.load(half), WORD)

    return types.int64(types.int64, types.int64), emit


@intrinsic
def copy_bytes(typingctx, target, source, size):
    """Copy `size` bytes between addresses that do not overlap."""

    def emit(context, builder, sig, args):
        target, source, size = args
        pointers = [builder.inttoptr(address, VOID_POINTER) for address in (target, source)]
        cgutils.raw_memcpy(builder, *pointers, size, 1)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64), emit


@intrinsic
def zero_bytes(typingctx, target, size):
    """Set `size` bytes to zero."""

    def emit(context, builder, sig, args):
        cgutils.memset(builder, builder.inttoptr(args[0], VOID_POINTER), args[1], 0)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64), emit


def with_parameters(definition, parameters):
    """An intrinsic whose parameters have these names: numba matches arguments by name, and takes no
    variable number of them."""
    definition.__signature__ = inspect.Signature([parameter("typingctx"), *parameters])
    return intrinsic(definition)


def parameter(name: str) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def tile_intrinsic(tile, shared=None):
    """The intrinsic ``(row, *words)`` that calls ``tile(v, row, *words)``, by position or by name.

    The tile is a function of its own, so that registers are allocated for it alone.  It may be long
    and take many words: what it keeps in registers must be one function, and its words are given
    by name.  One that is `shared` is that of the row that `shared` gives for the caller's: a module
    has it once for all rows that it gives the same for.
    """

    def definition(typingctx, row, *words, **named):
        def emit(context, builder, sig, args):
            of = shared(row.row) if shared else row.row
            builder.call(tile_function(builder.module, row.row, tile, of), args[1:])
            return context.get_dummy_value()

        return types.none(row, *[types.int64] * (len(words) + len(named))), emit

    _, *parameters = inspect.signature(tile).parameters.values()
    return with_parameters(definition, parameters)


def of_dtype(row: Row) -> Row:
    """For tiles that depend on a row's level and dtype alone: the row whose they are."""
    return row if row.integers else elementwise_row(row)


def of_size(row: Row) -> Row:
    """The same of a level and the bytes of an element, whatever this is."""
    return elementwise_row(row._replace(dtype=f"float{8 * row.itemsize}"))


def of_level(row: Row) -> Row:
    """The same of a level alone."""
    return elementwise_row(row._replace(dtype=FLOAT_DTYPES[0]))


class Record:
    """Some words of memory, known by names; records of a table lie one behind the other."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.size = 8 * len(names)  # bytes

    def writer(self):
        """The intrinsic ``(table, index, **words)`` that stores all words of a record."""

        def definition(typingctx, table, index, *words, **named):
            def emit(context, builder, sig, args):
                table, index, *values = args
                first = builder.mul(index, WORD(len(self.names)))
                pointer = builder.inttoptr(table, WORD.as_pointer())
                for i, value in enumerate(values):
                    builder.store(value, builder.gep(pointer, [builder.add(first, WORD(i))]))
                return context.get_dummy_value()

            return types.none(*[types.int64] * (2 + len(self.names))), emit

        return with_parameters(definition, map(parameter, ("table", "index", *self.names)))

    def load(self, v, table, index, name: str):
        """In a tile: one word of a record."""
        return v.load_word(table, v.add(v.mul(index, len(self.names)), self.names.index(name)))


def subroutine(function, inline=False):
    """The function as tasks call it: compiled for each of them, into its library.

    With numba's `register_jitable` each would have a library of its own, optimised and loaded by
    itself: a third of a build.
    """

    def definition(typingctx, *args, **named):
        args = inspect.signature(function).bind(*args, **named).args
        _, signature = _compiled(cpu_target.target_context, function, args, inline)

        def emit(context, builder, sig, values):
            # Numba keeps signatures: the library of another task has not compiled the function yet.
            description, _ = _compiled(context, function, sig.args, inline)
            _, result = context.call_internal_no_propagate(builder, description, sig, values)
            return result

        return signature, emit

    return with_parameters(definition, inspect.signature(function).parameters.values())


# By library: by function and types of arguments a description and a signature.
_subroutines: WeakKeyDictionary[Any, dict[tuple, tuple]] = WeakKeyDictionary()


def _compiled(context, function, args, inline):
    known = _subroutines.setdefault(context.active_code_library, {})
    if (function, args) not in known:
        known[function, args] = compile_into_library(context, function, args, inline=inline)
    return known[function, args]


def compile_into_library(context, function, args, result=None, inline=False):
    """Compile a function into the library of what is being compiled; its description and its
    signature."""
    flags = Flags()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.no_rewrites = True  # which are for expressions of arrays
    flags.error_model = "numpy"  # an integer division needs no check for zero
    flags.forceinline = inline
    library, typingctx = context.active_code_library, context.typing_context
    done = compile_internal(typingctx, context, library, function, args, result, flags, {})
    compiled = library.get_function(done.fndesc.llvm_func_name)
    # Left out where all calls of it were replaced by what it does.
    compiled.linkage = "linkonce_odr"
    compiled.add_function_attribute("optsize")  # unrolling and vectors are the tiles' business
    return done.fndesc, done.signature


def chapter(function):
    """A chapter of a task: a subroutine that is compiled into where it is called."""
    return subroutine(function, inline=True)


ceil_div = subroutine(arithmetic.ceil_div)
