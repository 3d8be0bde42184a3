"""The memory of a team: what helpers and callers share, known by its address alone.

It is made of words of eight bytes.  What different threads write often lies LINE words apart, so
that they do not wait for each other's cache lines.
"""

from __future__ import annotations

HELPER = "aotconv-helper"  # what the system calls such a thread

# Functions of the C library that are looked up when a team is made: linked, they would ask for the
# version of the library that a module was built on.  Their addresses are a team's first words.
FUNCTIONS = ("pthread_create", "pthread_attr_setstacksize")

LINE = 16  # words of two cache lines, which CPUs fetch together
MOST_LAUNCHES = 32  # at a time; who finds no place for one works alone
MOST_HELPERS = 512

# Places of words.
CREATE, SET_STACK = range(len(FUNCTIONS))
ENTRY = 2  # the address of ``int lead(team, body, shared, threads)``
STARTED = 3  # helpers
STARTING = 4  # whether somebody starts more
REFUSED = 5  # when the system last refused a thread, in nanoseconds; 0: it never did
CONFINED = 6  # how often MASK was changed
MASK = LINE  # a bit for each CPU that helpers may run on
MASK_WORDS = LINE
LOCK = 2 * LINE  # a mutex and a condition variable, where there are no futexes
CONDITION = 3 * LINE
CALLERS = 4 * LINE  # threads that are in `lead`
BELL = 5 * LINE  # counted up with each launch
AWAKE = 6 * LINE  # helpers that look for a launch
LAUNCHES = 7 * LINE
HELPERS = LAUNCHES + MOST_LAUNCHES * LINE
TEAM_WORDS = HELPERS + MOST_HELPERS * LINE

# Places of words in a launch, of LINE words.
STATE = 0  # helpers inside, places that are left, and whether the caller sleeps
TAKEN = 1  # whether the place is a caller's
BODY = 2
SHARED = 3

# Places of words in a helper, of LINE words.
ASLEEP = 0  # whether it sleeps, or is about to, and whether somebody is waking it
TEAM = 1  # its team's address
NUMBER = 2  # the system's, of the thread
AVOIDS = 3  # one more than the CPU on which it may not run; 0: none

# What other modules know of it.
KNOWN = FUNCTIONS, ENTRY, STARTED, CONFINED, MASK, MASK_WORDS, TEAM_WORDS
