"""A kernel's tasks, without the GIL, on a team of OpenMP threads."""

from __future__ import annotations

import inspect
from importlib import import_module

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.compiler import Flags
from numba.core.typing import signature
from numba.extending import intrinsic

from .._plan.family import FIELDS, SCRATCH_BYTES
from .runtime import VOID_POINTER, PlanType
from .simd import WORD, define_tiles

# What the threads of a team share: words of these names.  The first two are counted up by them.
SHARED = (
    "next_task",
    "next_thread",
    "tasks",
    "plan",
    "images",
    "weights",
    "out",
    "residual",
    "staging",
)


def _emit_task(context, builder, row_type, task):
    """Compile `task` for one row and declare it where `builder` stands; return how to call it,
    with values by name: a task is given those that it has parameters for."""
    names = list(inspect.signature(task).parameters)[1:]
    plan_type = PlanType(row_type.row.family)
    sig = signature(types.none, row_type, plan_type, *[types.int64] * (len(names) - 1))
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

    `shared` is the address of the words of SHARED.  A thread takes the next task until none is
    left, so no thread waits for a slower one, and whatever number of threads came, all the work is
    done.
    """
    body_type = ir.FunctionType(ir.VoidType(), [WORD.as_pointer()])
    body = ir.Function(module, body_type, module.get_unique_name("team_body"))
    body.linkage = "internal"
    builder = ir.IRBuilder(body.append_basic_block("entry"))
    (shared,) = body.args

    def at(name):
        return cgutils.gep_inbounds(builder, shared, SHARED.index(name))

    told = {name: builder.load(at(name)) for name in SHARED[2:]}
    plan = told["plan"]
    thread = builder.atomic_rmw("add", at("next_thread"), WORD(1), "monotonic")
    size = builder.add(WORD(SCRATCH_BYTES), _field(builder, plan, "staging"))
    scratch = builder.add(told["staging"], builder.mul(thread, size))
    loop, work, done = (body.append_basic_block(name) for name in ("next", "work", "done"))
    builder.branch(loop)
    builder.position_at_end(loop)
    task = builder.atomic_rmw("add", at("next_task"), WORD(1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", task, told["tasks"]), work, done)
    builder.position_at_end(work)
    call_task(
        builder,
        plan=builder.inttoptr(plan, VOID_POINTER),
        images=told["images"],
        weights=told["weights"],
        out=told["out"],
        residual=told["residual"],
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

    A family is the module of that name beside this one; its function `task` computes one task, and
    is given those of the addresses, by name, that it has parameters for.
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
        define_tiles(module, row.row)

        told = {
            "next_task": WORD(0),
            "next_thread": WORD(0),
            "tasks": _field(builder, plan, "tasks"),
            "plan": plan,
            "images": images,
            "weights": weights,
            "out": out,
            "residual": residual,
            "staging": staging,
        }
        shared = cgutils.alloca_once(builder, WORD, size=len(SHARED))
        for i, name in enumerate(SHARED):
            builder.store(told[name], cgutils.gep_inbounds(builder, shared, i))

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
