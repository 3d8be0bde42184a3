"""Lists of jobs: all that one call of compiled code computes.

An operator may be several convolutions of parts of the same arrays; each is a job, and all of them
are one list, whose tasks are handed out by one counter.
"""

from __future__ import annotations

# What is told of a list: how many jobs; tasks of all; bytes of memory beside the scratch words that
# each thread is given; bytes of the head of a Python object.
JOBS_FIELDS = ("count", "tasks", "staging", "head")
# What is told of each job.
JOB_FIELDS = (
    "first",  # of its tasks, among those of all
    "task",  # address of the function that computes one
    "plan",  # addresses
    "weights",
    "images",  # bytes from the arrays' first elements to the job's
    "out",
    "residual",  # bytes from where the job's residual would be, did the array lie as `out` does
)
