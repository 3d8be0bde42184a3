"""The memory of a team: what helpers and callers share, known by its address alone.

It is made of words of eight bytes.  What different threads write often lies LINE words apart, so
that they do not wait for each other's cache lines.
"""

from __future__ import annotations

HELPER = "aotconv-helper"  # what the system calls such a thread: 15 bytes at most

# Functions of the C library that a team calls by address, so that tests can refuse it threads.
# They are a team's first words.
FUNCTIONS = ("pthread_create", "pthread_attr_setstacksize")

LINE = 16  # words of two cache lines, which CPUs fetch together
MOST_LAUNCHES = 32  # at a time; who finds no slot for one works alone
MOST_HELPERS = 512

# Indices of a team's words.
CREATE, SET_STACK = range(len(FUNCTIONS))
ENTRY = 2  # the address of ``int64 lead(team, body, argument, threads)``
STARTED = 3  # helpers
STARTING = 4  # whether a caller starts more
REFUSED = 5  # when the system last refused a thread, in nanoseconds; 0: it never did
MASK_CHANGES = 6
LIMIT = 7  # threads of all callers together, but where one asks for more
MASK = LINE  # a bit for each CPU that helpers may run on
MASK_WORDS = LINE
LOCK = 2 * LINE  # a mutex and a condition variable, where there are no futexes
CONDITION = 3 * LINE
CALLERS = 4 * LINE  # threads that are in `lead`
BELL = 5 * LINE  # counted up with each launch
LOOKING = 6 * LINE  # helpers that spin until the bell rings
LAUNCHES = 7 * LINE
HELPERS = LAUNCHES + MOST_LAUNCHES * LINE
TEAM_WORDS = HELPERS + MOST_HELPERS * LINE

# Indices of a launch's words, LINE words in all.
STATE = 0  # helpers inside, places left for others, and whether the caller sleeps
TAKEN = 1  # whether the slot is a caller's
BODY = 2
ARGUMENT = 3

# Indices of a helper's words, LINE words in all.
ASLEEP = 0  # whether it sleeps, or is about to, and whether somebody is waking it
TEAM = 1  # its team's address
TID = 2  # Linux' number of the thread
AVOIDS = 3  # one more than the CPU on which it may not run; 0: none


def places(threads: int, callers: int, limit: int) -> int:
    """Helpers that a caller lets into a launch of so many threads.

    With those of the other callers, whose threads may be their share of the limit already, they are
    no more than the limit has, or this launch.
    """
    return min(threads, max(threads, limit) // callers, MOST_HELPERS + 1) - 1


# What other modules know of it, a part of their ABI.
KNOWN = HELPER, FUNCTIONS, ENTRY, STARTED, MASK, MASK_WORDS, TEAM_WORDS
