"""Jobs, without the GIL, on a team of OpenMP threads.

A row is compiled to a task: a function of the C ABI, known by its address.  A module has one
function that runs lists of jobs, whatever rows they are of.
"""

from __future__ import annotations

import inspect
from importlib import import_module

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .._plan.family import SCRATCH_BYTES
from .._plan.jobs import JOB_FIELDS, JOBS_FIELDS
from .runtime import VOID_POINTER, PlanType, compile_into_library
from .simd import WORD, define_tiles

# What a task is given; all are addresses, or numbers, of 64 bits.
TASK = ("plan", "images", "weights", "out", "residual", "scratch", "staging", "index")
TASK_TYPE = ir.FunctionType(ir.VoidType(), [WORD] * len(TASK))
# What the threads of a team share: words of these names.  The first two are counted up by them.
SHARED = ("next_task", "next_thread", "jobs", "images", "out", "residual", "staging")


@intrinsic
def task_address(typingctx, row):
    """The address of a row's task: ``void task(plan, images, weights, out, residual, scratch,
    staging, index)``.

    `plan`, `weights`, `images` and `out` are addresses of memory, `residual` is the bytes from any
    element of `out` to its own residual; 0: there is none.  `scratch` is the address of
    SCRATCH_BYTES of the calling thread's own, aligned to a cache line, `staging` that of as many
    bytes as the plan asks for.  None of it lies on a thread's stack, which may be small
    (OMP_STACKSIZE).  `index` is one of the plan's tasks.

    A family is the module of that name beside this one; its function `task` computes one task, and
    is given those of the values, by name, that it has parameters for.
    """
    task = import_module(f".{row.row.family}", __package__).task

    def emit(context, builder, sig, args):
        module = builder.module
        function = ir.Function(module, TASK_TYPE, module.get_unique_name("task"))
        function.linkage = "internal"
        inner = ir.IRBuilder(function.append_basic_block("entry"))
        given = dict(zip(TASK, function.args, strict=True))
        given["plan"] = inner.inttoptr(given["plan"], VOID_POINTER)
        _call_task(context, inner, row, task, given)
        inner.ret_void()
        define_tiles(module, row.row)
        return builder.ptrtoint(function, WORD)

    return types.int64(row), emit


def _call_task(context, builder, row_type, task, given):
    """Compile `task` for one row and call it where `builder` stands."""
    names = list(inspect.signature(task).parameters)[1:]
    plan_type = PlanType(row_type.row.family)
    kinds = row_type, plan_type, *[types.int64] * (len(names) - 1)
    description, sig = compile_into_library(context, task, kinds, result=types.none)
    args = [context.get_dummy_value(), *(given[name] for name in names)]
    context.call_internal_no_propagate(builder, description, sig, args)


def _word(builder, table, index):
    return builder.load(builder.gep(table, [index]))


def _job_of(builder, jobs, count, task):
    """The address of the words of the job that a task belongs to: the first whose `end` is behind
    it."""
    low, high = cgutils.alloca_once_value(builder, WORD(0)), cgutils.alloca_once(builder, WORD)
    builder.store(count, high)
    step, look, after = (builder.append_basic_block(name) for name in ("step", "look", "after"))
    builder.branch(step)
    builder.position_at_end(step)
    first, last = builder.load(low), builder.load(high)
    builder.cbranch(builder.icmp_signed("<", first, builder.sub(last, WORD(1))), look, after)
    builder.position_at_end(look)
    middle = builder.lshr(builder.add(first, last), WORD(1))
    begins = _word(builder, _record(builder, jobs, middle), WORD(JOB_FIELDS.index("first")))
    behind = builder.icmp_signed("<", task, begins)
    builder.store(builder.select(behind, first, middle), low)
    builder.store(builder.select(behind, middle, last), high)
    builder.branch(step)
    builder.position_at_end(after)
    return _record(builder, jobs, builder.load(low))


def _moved(builder, residual, more):
    """The bytes to a residual, and `more`; 0 where there is none."""
    none = builder.icmp_signed("==", residual, WORD(0))
    return builder.select(none, residual, builder.add(residual, more))


def _record(builder, jobs, index):
    at = builder.mul(index, WORD(len(JOB_FIELDS)))
    return builder.gep(jobs, [builder.add(at, WORD(len(JOBS_FIELDS)))])


def _emit_body(module):
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
    jobs = builder.inttoptr(told["jobs"], WORD.as_pointer())
    count, tasks, staging = (builder.load(cgutils.gep_inbounds(builder, jobs, i)) for i in range(3))
    thread = builder.atomic_rmw("add", at("next_thread"), WORD(1), "monotonic")
    size = builder.add(WORD(SCRATCH_BYTES), staging)
    scratch = builder.add(told["staging"], builder.mul(thread, size))
    loop, work, done = (body.append_basic_block(name) for name in ("next", "work", "done"))
    builder.branch(loop)
    builder.position_at_end(loop)
    task = builder.atomic_rmw("add", at("next_task"), WORD(1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", task, tasks), work, done)
    builder.position_at_end(work)
    words = _job_of(builder, jobs, count, task)
    job = {name: _word(builder, words, WORD(i)) for i, name in enumerate(JOB_FIELDS)}
    function = builder.inttoptr(job["task"], TASK_TYPE.as_pointer())
    given = {
        "plan": job["plan"],
        "images": builder.add(told["images"], job["images"]),
        "weights": job["weights"],
        "out": builder.add(told["out"], job["out"]),
        "residual": _moved(builder, told["residual"], job["residual"]),
        "scratch": scratch,
        "staging": builder.add(scratch, WORD(SCRATCH_BYTES)),
        "index": builder.sub(task, job["first"]),
    }
    builder.call(function, [given[name] for name in TASK])
    builder.branch(loop)
    builder.position_at_end(done)
    builder.ret_void()
    return body


def _emit_data_address(builder, array):
    """The address of an ndarray's first element, which stands behind the object's head.

    NumPy's ABI guarantees it, and asking ``array.ctypes.data`` takes a microsecond.
    """
    words = builder.inttoptr(array, WORD.as_pointer())
    return builder.load(cgutils.gep_inbounds(builder, words, object.__basicsize__ // 8))


@intrinsic
def run_jobs(typingctx, jobs, images, out, residual, staging, threads, gomp_parallel):
    """Run all tasks of a list of jobs, without the GIL.

    `jobs` is the address of words of JOBS_FIELDS, and behind them for each job of JOB_FIELDS.
    `images`, `out` and `residual` are the addresses of ndarray objects.  The residual is `out`
    itself where there is none.  `staging` is the address of memory aligned to a cache line, in
    which each of `threads` threads has SCRATCH_BYTES and behind them as many as the jobs say, a
    multiple of a cache line, of its own.
    `gomp_parallel` is the address of ``GOMP_parallel(body, data, threads, flags)``, the entry that
    GNU's and LLVM's OpenMP runtimes share; with `threads` 1 it is not called.
    """

    def emit(context, builder, sig, args):
        jobs, images, out, residual, staging, threads, gomp_parallel = args
        images, out, residual = (
            _emit_data_address(builder, array) for array in (images, out, residual)
        )
        residual = builder.sub(residual, out)  # from any element of `out` to its own
        module = builder.module
        body = _emit_body(module)
        told = {
            "next_task": WORD(0),
            "next_thread": WORD(0),
            "jobs": jobs,
            "images": images,
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

    return types.none(*[types.int64] * 7), emit
