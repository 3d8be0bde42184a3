"""What a kernel needs around its tiles: its row as a compile-time constant, its plan's fields, and
words of memory.
"""

from __future__ import annotations

import inspect

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_constant, lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    models,
    register_jitable,
    register_model,
    typeof_impl,
)

from .._plan import arithmetic
from .._plan.family import FIELDS
from .._plan.registry import Row
from .._plan.select import FAMILIES
from .simd import WORD, call_tile

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


@intrinsic
def word(typingctx, address, index):
    """The int64 at `address` (in bytes) plus `index` words."""

    def emit(context, builder, sig, args):
        words = builder.inttoptr(args[0], WORD.as_pointer())
        return builder.load(builder.gep(words, [args[1]]))

    return types.int64(types.int64, types.int64), emit


@intrinsic
def set_word(typingctx, address, index, value):
    """Store the int64 `value` at `address` (in bytes) plus `index` words."""

    def emit(context, builder, sig, args):
        words = builder.inttoptr(args[0], WORD.as_pointer())
        builder.store(args[2], builder.gep(words, [args[1]]))
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64), emit


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


def _with_parameters(definition, parameters):
    """An intrinsic whose parameters have these names: numba matches arguments by name, and takes no
    variable number of them."""
    definition.__signature__ = inspect.Signature([_parameter("typingctx"), *parameters])
    return intrinsic(definition)


def _parameter(name: str) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def tile_intrinsic(tile):
    """The intrinsic ``(row, *words)`` that calls ``tile(v, row, *words)``, by position or by name.

    The tile is a function of its own, so that registers are allocated for it alone.  It may be long
    and take many words: what it keeps in registers must be one function, and its words are given
    by name.
    """

    def definition(typingctx, row, *words, **named):
        def emit(context, builder, sig, args):
            call_tile(builder, row.row, tile, args[1:])
            return context.get_dummy_value()

        return types.none(row, *[types.int64] * (len(words) + len(named))), emit

    _, *parameters = inspect.signature(tile).parameters.values()
    return _with_parameters(definition, parameters)


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

        return _with_parameters(definition, map(_parameter, ("table", "index", *self.names)))

    def load(self, v, table, index, name: str):
        """In a tile: one word of a record."""
        return v.load_word(table, v.add(v.mul(index, len(self.names)), self.names.index(name)))


# A chapter of a task: a function that is compiled into where it is called.
chapter = register_jitable(forceinline=True)
ceil_div = register_jitable(arithmetic.ceil_div)
