"""The team: one for each process, shared by all threads that call kernels.

A caller always works.  It publishes its launch, wakes helpers, takes tasks until none is left,
closes the launch, and waits for helpers that are inside of it alone.  One that comes late finds it
closed and touches nothing of it; so what a launch points to may go when its caller returns.  Nobody
waits for a thread that the system does not let run, unless that thread has a task.

`team`, `launch` and `helper` are addresses of their words (`_plan/team.py`).  Words that several
threads change are atomic.  No thread in here holds the GIL.  The protocol is modelled in
`team.pml`, whose names are those of the functions here.
"""

from __future__ import annotations

from .._plan.team import (
    ARGUMENT,
    ASLEEP,
    AVOIDS,
    BELL,
    BODY,
    CALLERS,
    CONDITION,
    CREATE,
    ENTRY,
    HELPER,
    HELPERS,
    LAUNCHES,
    LIMIT,
    LINE,
    LOCK,
    LOOKING,
    MASK,
    MASK_CHANGES,
    MASK_WORDS,
    MOST_HELPERS,
    MOST_LAUNCHES,
    REFUSED,
    SET_STACK,
    STARTED,
    STARTING,
    STATE,
    TAKEN,
    TEAM,
    TEAM_WORDS,
    TID,
    places,
)
from .extension import Export
from .runtime import set_word, subroutine, word
from .system import (
    DETACHED,
    FAULTS,
    FUTEX,
    GETTID,
    INVALID,
    ON_CONDITIONS,
    ON_FUTEXES,
    OPAQUE_WORDS,
    SET_MASK,
    SET_NAME,
    c_address,
    c_library,
    call_at,
    compare_exchange,
    fetch_add,
    fetch_and,
    fetch_or,
    load,
    nanoseconds,
    pause,
    stack,
    store,
    thread_id,
)

SPIN = 50_000  # nanoseconds that a thread waits before it sleeps
LOOKS = 16  # at a word, between two at the clock
RETRY = 1_000_000_000  # nanoseconds after which a thread is asked for again that was refused
STACK_BYTES = 256 << 10
WAKES = 2  # helpers that one thread wakes for a launch; they wake more

# STATE of a launch: helpers inside in bits 0 to 14, places that are left in 15 to 29, bit 30 while
# its caller sleeps.  No more: futexes compare 32 bits.
INSIDE, PLACE, SLEEPS = 1, 1 << 15, 1 << 30
ALL_INSIDE = PLACE - 1
# ASLEEP of a helper.  Of one that is CALLED its waker alone writes AVOIDS and sets the mask; it
# does not run yet.
SLEEPING, CALLED = 1, 2

sleep, wake = ON_FUTEXES if FUTEX else ON_CONDITIONS
NAME = tuple(int.from_bytes(HELPER.encode().ljust(16, b"\0")[i : i + 8], "little") for i in (0, 8))

_calloc, _memset, _prctl = map(c_library, ("calloc", "memset", "prctl"))
_set_affinity, _get_cpu = map(c_library, ("sched_setaffinity", "sched_getcpu"))
_init, _destroy, _set_detached = (
    c_library(f"pthread_attr_{name}") for name in ("init", "destroy", "setdetachstate")
)
_set_signals, _fill, _remove = map(c_library, ("sigprocmask", "sigfillset", "sigdelset"))
_init_lock, _init_condition = map(c_library, ("pthread_mutex_init", "pthread_cond_init"))
_call_body, _set_stack, _create = map(call_at, (2, 2, 4))
_attributes, _signals, _before = (stack(OPAQUE_WORDS) for _ in range(3))
_mask, _name, _pthread = stack(MASK_WORDS), stack(2), stack(1)


def lead(team, body, argument, threads):
    """Call ``body(argument, thread)`` here, and at the same time on up to threads - 1 helpers.

    Each call takes tasks until none is left, so that the work is done however few come.  `thread`
    is below `threads` and differs between the calls; it is 0 here.  Callers in here share helpers
    (`places`).  When this returns no thread is in `body`, what they wrote is seen, and nobody reads
    `argument` any more.
    """
    callers = fetch_add(team, CALLERS, 1) + 1
    places, launch = _places(threads, callers, load(team, LIMIT)), 0
    if places > 0:
        _start(team, min(places * callers, MOST_HELPERS))
        if load(team, STARTED) > 0:
            launch = _publish(team, body, argument, places)
    _call_body(body, argument, 0)
    if launch != 0:
        _close(team, launch)
    fetch_add(team, CALLERS, -1)


@subroutine
def _publish(team, body, argument, places):
    """Let so many helpers into a launch; its address, or 0 where no slot is free."""
    for i in range(MOST_LAUNCHES):
        launch = team + 8 * (LAUNCHES + i * LINE)
        if load(launch, TAKEN) == 0 and compare_exchange(launch, TAKEN, 0, 1):
            set_word(launch, BODY, body)
            set_word(launch, ARGUMENT, argument)
            store(launch, STATE, places * PLACE)
            fetch_add(team, BELL, 1)
            _wake_some(team, places)
            return launch
    return 0


@subroutine
def _close(team, launch):
    """Let nobody in any more, wait for helpers that are inside, and give the slot back."""
    inside = fetch_and(launch, STATE, ALL_INSIDE) & ALL_INSIDE
    while inside != 0 and _spin(launch, STATE, inside):
        inside = load(launch, STATE)
    if inside != 0:
        inside = fetch_or(launch, STATE, SLEEPS) & ALL_INSIDE
        while inside != 0:
            sleep(team, launch, STATE, SLEEPS | inside)
            inside = load(launch, STATE) & ALL_INSIDE
    store(launch, STATE, 0)
    store(launch, TAKEN, 0)


@subroutine
def _spin(address, index, value):
    """Wait until a word is not `value` any more, for SPIN at most; whether it changed."""
    until = nanoseconds() + SPIN
    while nanoseconds() < until:
        for _ in range(LOOKS):
            if load(address, index) != value:
                return True
            pause()
    return False


def help_callers(helper):
    """What a helper does, for ever.  `helper` is its own alone, until it first waits."""
    team = word(helper, TEAM)
    _introduce(helper)
    changes = 0
    while True:
        bell = load(team, BELL)
        if load(team, MASK_CHANGES) != changes:
            changes = load(team, MASK_CHANGES)
            _confine(team, helper)
        if not _help_one(team):
            _wait(team, helper, bell)


@subroutine
def _help_one(team):
    """Help with the launch that has most places left; whether there was one."""
    best, most = 0, 0
    for i in range(MOST_LAUNCHES):
        launch = team + 8 * (LAUNCHES + i * LINE)
        state = load(launch, STATE)
        if state < SLEEPS and most < state // PLACE:
            best, most = launch, state // PLACE
    if best == 0:
        return False
    state = load(best, STATE)
    while PLACE <= state < SLEEPS:
        if compare_exchange(best, STATE, state, state - PLACE + INSIDE):
            # From here on the launch stays: its caller waits.  The places that were left number its
            # threads: n, .. 2, 1.
            place = state // PLACE
            _wake_some(team, place - 1)
            _call_body(word(best, BODY), word(best, ARGUMENT), place)
            if fetch_add(best, STATE, -INSIDE) == SLEEPS + INSIDE:
                wake(team, best, STATE)
            return True
        state = load(best, STATE)
    return True


@subroutine
def _wait(team, helper, bell):
    """Wait until the bell has rung, for SPIN, or else until somebody wakes this helper."""
    fetch_add(team, LOOKING, 1)
    rung = _spin(team, BELL, bell)
    if not rung:
        # First this: who rings counts the helper, or finds it asleep, or is heard below.
        store(helper, ASLEEP, SLEEPING)
    fetch_add(team, LOOKING, -1)
    if not rung and load(team, BELL) != bell:
        compare_exchange(helper, ASLEEP, SLEEPING, 0)
    asleep = load(helper, ASLEEP)
    while asleep != 0:
        sleep(team, helper, ASLEEP, asleep)
        asleep = load(helper, ASLEEP)


@subroutine
def _wake_some(team, places):
    """Wake helpers for so many places of a launch, less those that look for one, WAKES at most."""
    missing = min(places - load(team, LOOKING), WAKES)
    i, started = 0, load(team, STARTED)
    while missing > 0 and i < started:
        helper = team + 8 * (HELPERS + i * LINE)
        if load(helper, ASLEEP) == SLEEPING and compare_exchange(helper, ASLEEP, SLEEPING, CALLED):
            if GETTID:
                _avoid(team, helper, _get_cpu())
            store(helper, ASLEEP, 0)
            wake(team, helper, ASLEEP)
            missing -= 1
        i += 1


@subroutine
def _avoid(team, helper, cpu):
    """Keep a helper that is called from the CPU of who wakes it.

    Linux likes to put a thread there, above all where idle CPUs are virtual ones, and then the
    thread waits for its waker.
    """
    if word(helper, AVOIDS) != cpu + 1:
        set_word(helper, AVOIDS, cpu + 1)
        _confine(team, helper)


@subroutine
def _confine(team, helper):
    """Let a helper run on the CPUs of MASK, but for the one that it avoids if there are others."""
    if GETTID:
        mask, others, avoided = _mask(), 0, word(helper, AVOIDS) - 1
        for i in range(MASK_WORDS):
            bits = word(team, MASK + i)
            if i == avoided >> 6:
                bits &= ~(1 << (avoided & 63))
            set_word(mask, i, bits)
            others |= bits
        if others == 0:
            mask = team + 8 * MASK
        _set_affinity(word(helper, TID), 8 * MASK_WORDS, mask)


@subroutine
def _introduce(helper):
    """Tell the system this thread's name, and the team its number."""
    if GETTID:
        name = _name()
        set_word(name, 0, NAME[0])
        set_word(name, 1, NAME[1])
        _prctl(SET_NAME, name, 0, 0, 0)
        set_word(helper, TID, thread_id())


_help_address = c_address(help_callers)


@subroutine
def _start(team, helpers):
    """Start helpers until there are so many, or the system refuses one; nothing where another
    caller is at it."""
    if load(team, STARTED) >= helpers:
        return
    refused = load(team, REFUSED)
    if refused != 0 and nanoseconds() - refused < RETRY:
        return
    if not compare_exchange(team, STARTING, 0, 1):
        return
    started = load(team, STARTED)
    while started < helpers:
        helper = team + 8 * (HELPERS + started * LINE)
        set_word(helper, TEAM, team)
        if not _start_one(team, helper):
            store(team, REFUSED, nanoseconds())
            break
        started += 1
        store(team, STARTED, started)
    store(team, STARTING, 0)


@subroutine
def _start_one(team, helper):
    """Start a thread, which no signal reaches but its own faults; whether the system let us."""
    attributes, signals, before = _attributes(), _signals(), _before()
    _init(attributes)
    _set_stack(word(team, SET_STACK), attributes, STACK_BYTES)
    _set_detached(attributes, DETACHED)
    _fill(signals)
    for fault in FAULTS:
        _remove(signals, fault)
    _set_signals(SET_MASK, signals, before)
    create = word(team, CREATE)
    refused = _create(create, _pthread(), attributes, _help_address(), helper)
    if refused == INVALID:  # a stack so small, as the C library takes room for others of it
        refused = _create(create, _pthread(), 0, _help_address(), helper)
    _set_signals(SET_MASK, before, 0)
    _destroy(attributes)
    return refused == 0


_places = subroutine(places)
_lead_address = c_address(lead)

# What follows is exported, and calls intrinsics alone.
_announce = fetch_add


def allocate():
    """The address of memory for a team, which is never freed: helpers outlive the interpreter."""
    memory = _calloc(TEAM_WORDS + LINE, 8)
    return memory + -memory % (8 * LINE)


def begin(team, create, set_stack):
    """Make a team without helpers of memory; in the child of a fork those of its parent are not.

    The others are addresses of FUNCTIONS.
    """
    _memset(team, 0, 8 * TEAM_WORDS)
    set_word(team, CREATE, create)
    set_word(team, SET_STACK, set_stack)
    if not FUTEX:
        _init_lock(team + 8 * LOCK, 0)
        _init_condition(team + 8 * CONDITION, 0)
    set_word(team, ENTRY, _lead_address())


def confine(team, mask, limit):
    """Let helpers run on other CPUs, from their next launch on, and callers have so many threads
    together.  `mask` is the address of MASK_WORDS words."""
    for i in range(MASK_WORDS):
        set_word(team, MASK + i, word(mask, i))
    _announce(team, MASK_CHANGES, 1)
    set_word(team, LIMIT, limit)


EXPORTS = {
    "allocate": Export(allocate, "int64()"),
    "begin": Export(begin, "void(int64, int64, int64)"),
    "confine": Export(confine, "void(int64, int64, int64)"),
}
