"""Lists of jobs, without the GIL, on this thread and helpers of the team.

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
from .._plan.team import ENTRY
from .extension import Export
from .runtime import VOID_POINTER, PlanType, RowType, compile_into_library
from .simd import WORD, define_tiles

# What a task is given; all are addresses, or numbers, of 64 bits.
TASK = ("plan", "images", "weights", "out", "residual", "scratch", "staging", "index")
TASK_TYPE = ir.FunctionType(ir.VoidType(), [WORD] * len(TASK))
# What the threads of a call share: words of these names.  The first is counted up by them.
SHARED = ("next_task", "jobs", "images", "out", "residual", "staging")


@intrinsic
def task_address(typingctx, row):
    """The address of a row's task: ``void task(plan, images, weights, out, residual, scratch,
    staging, index)``.

    `plan`, `weights`, `images` and `out` are addresses of memory, `residual` is the bytes from any
    element of `out` to its own residual; 0: there is none.  `scratch` is the address of
    SCRATCH_BYTES of the calling thread's own, aligned to a cache line, `staging` that of as many
    bytes as the plan asks for.  None of it lies on a thread's stack, which may be small.  `index`
    is one of the plan's tasks.

    A family is the module of that name beside this one; its function `task` computes one task, and
    is given those of the values, by name, that it has parameters for.
    """

    def emit(context, builder, sig, args):
        return _emit_task(context, builder.module, row).ptrtoint(WORD)

    return types.int64(row), emit


def task_of(rows):
    """The intrinsic ``task(index)``, which gives the address of the task of one of the `rows`, as
    `task_address` does."""

    @intrinsic
    def task(typingctx, index):
        def emit(context, builder, sig, args):
            module = builder.module
            tasks = [_emit_task(context, module, RowType(row)).ptrtoint(WORD) for row in rows]
            kind = ir.ArrayType(WORD, len(tasks))
            table = cgutils.global_constant(module, "tasks", ir.Constant(kind, tasks))
            return builder.load(builder.gep(table, [WORD(0), args[0]]))

        return types.int64(types.int64), emit

    return task


def _emit_task(context, module, row_type):
    """Emit the function of TASK_TYPE for one row, and what it calls."""
    name = module.get_unique_name(f"{row_type.row.name}_task")
    function = ir.Function(module, TASK_TYPE, name)
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    given = dict(zip(TASK, function.args, strict=True))
    given["plan"] = builder.inttoptr(given["plan"], VOID_POINTER)
    _call_task(context, builder, row_type, given)
    builder.ret_void()
    define_tiles(module, row_type.row)
    return function


def _call_task(context, builder, row_type, given):
    """Compile the task of one row's family for it and call it where `builder` stands."""
    task = import_module(f".{row_type.row.family}", __package__).task
    names = list(inspect.signature(task).parameters)[1:]
    plan_type = PlanType(row_type.row.family)
    kinds = row_type, plan_type, *[types.int64] * (len(names) - 1)
    description, sig = compile_into_library(context, task, kinds, result=types.none)
    args = [context.get_dummy_value(), *(given[name] for name in names)]
    context.call_internal_no_propagate(builder, description, sig, args)


def _word(builder, table, index):
    return builder.load(builder.gep(table, [index]))


def _of_list(builder, jobs, name):
    """A word of JOBS_FIELDS."""
    return _word(builder, jobs, WORD(JOBS_FIELDS.index(name)))


def _job_of(builder, jobs, count, task):
    """The address of the words of the job that a task belongs to: the last whose `first` is not
    behind it."""
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
    """Emit ``int body(shared, thread)``: what each thread of a call runs.

    `shared` is the address of the words of SHARED; the thread's number says which scratch memory is
    its own.  A thread takes the next task until none is left, so no thread waits for a slower one,
    and whatever number of threads came, all the work is done.
    """
    body_type = ir.FunctionType(ir.IntType(32), [WORD, WORD])
    body = ir.Function(module, body_type, module.get_unique_name("body"))
    body.linkage = "internal"
    builder = ir.IRBuilder(body.append_basic_block("entry"))
    shared, thread = body.args
    shared = builder.inttoptr(shared, WORD.as_pointer())

    def at(name):
        return cgutils.gep_inbounds(builder, shared, SHARED.index(name))

    told = {name: builder.load(at(name)) for name in SHARED[1:]}
    jobs = builder.inttoptr(told["jobs"], WORD.as_pointer())
    count, tasks, staging = (_of_list(builder, jobs, name) for name in JOBS_FIELDS[:3])
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
    builder.ret(ir.IntType(32)(0))
    return body


def _emit_data_address(builder, array, head):
    """The address of an ndarray's first element, which stands behind the object's head.

    NumPy's ABI guarantees it, and asking ``array.ctypes.data`` takes a microsecond.
    """
    return builder.load(builder.inttoptr(builder.add(array, head), WORD.as_pointer()))


@intrinsic
def run_jobs(typingctx, jobs, images, out, residual, staging, threads, team):
    """Run all tasks of a list of jobs, without the GIL.

    `jobs` is the address of words of JOBS_FIELDS, and behind them for each job of JOB_FIELDS.
    `images`, `out` and `residual` are the addresses of ndarray objects.  The residual is `out`
    itself where there is none.  `staging` is the address of memory aligned to a cache line, in
    which each of `threads` threads has SCRATCH_BYTES and behind them as many as the jobs say, a
    multiple of a cache line, of its own.
    `team` is the address of a team's memory, whose ENTRY is called; with `threads` 1 it is not.
    """

    def emit(context, builder, sig, args):
        jobs, images, out, residual, staging, threads, team = args
        head = _of_list(builder, builder.inttoptr(jobs, WORD.as_pointer()), "head")
        images, out, residual = (
            _emit_data_address(builder, array, head) for array in (images, out, residual)
        )
        residual = builder.sub(residual, out)  # from any element of `out` to its own
        module = builder.module
        body = _emit_body(module)
        told = {
            "next_task": WORD(0),
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
        shared = builder.ptrtoint(shared, WORD)
        with builder.if_else(builder.icmp_signed("<=", threads, WORD(1))) as (alone, together):
            with alone:
                builder.call(body, [shared, WORD(0)])
            with together:
                lead_type = ir.FunctionType(WORD, [WORD] * 4)
                lead = _word(builder, builder.inttoptr(team, WORD.as_pointer()), WORD(ENTRY))
                lead = builder.inttoptr(lead, lead_type.as_pointer())
                builder.call(lead, [team, builder.ptrtoint(body, WORD), shared, threads])
        builder.call(restore, [state])
        return context.get_dummy_value()

    return types.none(*[types.int64] * 7), emit


def run(jobs, images, out, residual, staging, threads, team):
    """`run_jobs`, which is an intrinsic."""
    run_jobs(jobs, images, out, residual, staging, threads, team)


EXPORTS = {"run": Export(run, f"void({', '.join(['int64'] * 7)})", objects=(1, 2, 3))}
