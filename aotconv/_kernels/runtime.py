"""What a kernel needs around its tiles: its row as a compile-time constant, its plan's fields,
words of memory, and tasks that run without the GIL on a team of OpenMP threads.
"""

from __future__ import annotations

import inspect
from importlib import import_module

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.compiler import Flags
from numba.core.imputils import lower_constant, lower_getattr_generic
from numba.core.typing import signature
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, models, register_model, typeof_impl

from .._plan.registry import FIELDS, SCRATCH_BYTES, Row
from .simd import WORD, emit_function

_TYPING_CONTEXT = inspect.Parameter("typingctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)
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
    """The address of a plan's words; `plan.kh` loads the word of that name in FIELDS."""

    def __init__(self) -> None:
        super().__init__("Plan")


PLAN = PlanType()
register_model(PlanType)(models.OpaqueModel)


@infer_getattr
class _PlanAttributes(AttributeTemplate):
    key = PlanType

    def generic_resolve(self, plan_type, name):
        return types.int64 if name in FIELDS else None


@lower_getattr_generic(PlanType)
def _plan_attribute(context, builder, plan_type, plan, name):
    words = builder.bitcast(plan, WORD.as_pointer())
    return builder.load(cgutils.gep_inbounds(builder, words, FIELDS.index(name)))


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


def tile_intrinsic(tile):
    """The intrinsic ``(row, *words)`` that calls ``tile(v, row, *words)``.

    The tile is emitted as a function of its own, so that registers are allocated for it alone.
    """
    parameters = list(inspect.signature(tile).parameters.values())

    def definition(typingctx, row, *words):
        def emit(context, builder, sig, args):
            emit_function(builder, row.row, tile, args[1:])
            return context.get_dummy_value()

        return types.none(row, *[types.int64] * len(words)), emit

    # numba matches arguments by name, and takes no variable number of them.
    definition.__signature__ = inspect.Signature([_TYPING_CONTEXT, *parameters[1:]])
    return intrinsic(definition)


def _emit_task(context, builder, row_type, task):
    """Compile `task` for one row and declare it where `builder` stands; return how to call it,
    with values by name: a task is given those that it has parameters for."""
    names = list(inspect.signature(task).parameters)[1:]
    sig = signature(types.none, row_type, PLAN, *[types.int64] * (len(names) - 1))
    flags = Flags()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"  # an integer division needs no check for zero
    compiled = context.compile_subroutine(builder, task, sig, flags=flags)

    def call(builder, **values):
        args = [context.get_dummy_value(), *(values[name] for name in names)]
        context.call_internal_no_propagate(builder, compiled.fndesc, sig, args)

    return call


def _emit_body(context, module, call_task):
    """Emit ``void body(shared)``: what each thread of a team runs.

    `shared` is an array of words: the number of the next task, that of the next thread, the number
    of tasks, and addresses.  A thread takes the next task until none is left, so no thread waits
    for a slower one, and whatever number of threads came, all the work is done.
    """
    body_type = ir.FunctionType(ir.VoidType(), [WORD.as_pointer()])
    body = ir.Function(module, body_type, module.get_unique_name("team_body"))
    body.linkage = "internal"
    builder = ir.IRBuilder(body.append_basic_block("entry"))
    (shared,) = body.args
    tasks, plan, images, weights, out, residual, staging = (
        builder.load(cgutils.gep_inbounds(builder, shared, i)) for i in range(2, 9)
    )
    next_thread = cgutils.gep_inbounds(builder, shared, 1)
    thread = builder.atomic_rmw("add", next_thread, WORD(1), "monotonic")
    size = builder.add(WORD(SCRATCH_BYTES), _field(builder, plan, "staging"))
    scratch = builder.add(staging, builder.mul(thread, size))
    loop, work, done = (body.append_basic_block(name) for name in ("next", "work", "done"))
    builder.branch(loop)
    builder.position_at_end(loop)
    task = builder.atomic_rmw("add", shared, WORD(1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", task, tasks), work, done)
    builder.position_at_end(work)
    call_task(
        builder,
        plan=builder.inttoptr(plan, VOID_POINTER),
        images=images,
        weights=weights,
        out=out,
        residual=residual,
        scratch=scratch,
        staging=builder.add(scratch, WORD(SCRATCH_BYTES)),
        index=task,
    )
    builder.branch(loop)
    builder.position_at_end(done)
    builder.ret_void()
    return body


def _field(builder, plan, name):
    """The word of that name in FIELDS, of the plan at an address."""
    words = builder.inttoptr(plan, WORD.as_pointer())
    return builder.load(cgutils.gep_inbounds(builder, words, FIELDS.index(name)))


def _emit_data_address(builder, array):
    """The address of an ndarray's first element, which stands behind the object's head.

    NumPy's ABI guarantees it, and asking ``array.ctypes.data`` takes a microsecond.
    """
    words = builder.inttoptr(array, WORD.as_pointer())
    return builder.load(cgutils.gep_inbounds(builder, words, object.__basicsize__ // 8))


@intrinsic
def run_tasks(
    typingctx, row, plan, images, weights, out, residual, staging, threads, gomp_parallel
):
    """Run tasks 0 to plan.tasks - 1 of the row's family, without the GIL.

    `images`, `out` and `residual` are the addresses of ndarray objects, `plan` and `weights` of
    memory.  The residual has the strides of `out`, whose memory it does not share; or it is `out`
    itself: then there is none.  `staging` is the address of memory aligned to 64 bytes, in which
    each of `threads` threads has SCRATCH_BYTES and behind them plan.staging bytes, a multiple of
    64, of its own.  None of it lies on a thread's stack, which may be small (OMP_STACKSIZE).

    A family is the module of that name beside this one; its function `task` computes one task.
    `gomp_parallel` is the address of ``GOMP_parallel(body, data, threads, flags)``, the entry that
    GNU's and LLVM's OpenMP runtimes share; with `threads` 1 it is not called.
    """
    task = import_module(f".{row.row.family}", __package__).task

    def emit(context, builder, sig, args):
        _, plan, images, weights, out, residual, staging, threads, gomp_parallel = args
        images, out, residual = (
            _emit_data_address(builder, array) for array in (images, out, residual)
        )
        residual = builder.sub(residual, out)  # from any element of `out` to its own
        module = builder.module
        body = _emit_body(context, module, _emit_task(context, builder, row, task))

        tasks = _field(builder, plan, "tasks")
        values = (WORD(0), WORD(0), tasks, plan, images, weights, out, residual, staging)
        shared = cgutils.alloca_once(builder, WORD, size=len(values))
        for i, value in enumerate(values):
            builder.store(value, cgutils.gep_inbounds(builder, shared, i))

        save_type = ir.FunctionType(VOID_POINTER, [])
        restore_type = ir.FunctionType(ir.VoidType(), [VOID_POINTER])
        save = cgutils.get_or_insert_function(module, save_type, "PyEval_SaveThread")
        restore = cgutils.get_or_insert_function(module, restore_type, "PyEval_RestoreThread")
        state = builder.call(save, [])
        with builder.if_else(builder.icmp_signed("<=", threads, WORD(1))) as (alone, together):
            with alone:
                builder.call(body, [shared])
            with together:
                int32 = ir.IntType(32)
                parameters = [body.type, shared.type, int32, int32]
                start_type = ir.FunctionType(ir.VoidType(), parameters)
                start = builder.inttoptr(gomp_parallel, start_type.as_pointer())
                builder.call(start, [body, shared, builder.trunc(threads, int32), int32(0)])
        builder.call(restore, [state])
        return context.get_dummy_value()

    return types.none(row, *[types.int64] * 8), emit
