"""The team: one for each process, shared by all threads that call kernels.

A caller always works.  It publishes its launch, wakes helpers, takes tasks until none is left,
closes the launch, and waits for helpers that are inside of it alone.  One that comes late finds it
closed and touches nothing of it; so what a launch points to may go when its caller returns.  Nobody
waits for a thread that the system does not let run, unless that thread has a task.

Where the words of a team lie says `_plan/team.py`.  Those that several threads change are atomic.
The protocol is modelled in `team.pml`, whose names are those of the functions here.
"""

from __future__ import annotations

from .._plan.team import (
    ASLEEP,
    AVOIDS,
    AWAKE,
    BELL,
    BODY,
    CALLERS,
    CONDITION,
    CONFINED,
    CREATE,
    ENTRY,
    HELPER,
    HELPERS,
    LAUNCHES,
    LINE,
    LOCK,
    MASK,
    MASK_WORDS,
    MOST_HELPERS,
    MOST_LAUNCHES,
    NUMBER,
    REFUSED,
    SET_STACK,
    SHARED,
    STARTED,
    STARTING,
    STATE,
    TAKEN,
    TEAM,
    TEAM_WORDS,
)
from .runtime import set_word, subroutine, word
from .system import (
    DETACHED,
    FAULTS,
    FUTEX,
    LINUX,
    ON_CONDITIONS,
    ON_FUTEXES,
    SET_MASK,
    SET_NAME,
    add,
    c_address,
    c_library,
    call_at,
    intersect,
    load,
    nanoseconds,
    relax,
    replace,
    stack,
    store,
    thread_number,
    unite,
)

SPIN = 50_000  # nanoseconds that a thread waits before it sleeps
LOOKS = 16  # at a word, between two at the clock
RETRY = 1_000_000_000  # nanoseconds after which a thread is asked for again that was refused
STACK_BYTES = 256 << 10
WAKES = 2  # helpers that one thread wakes for a launch; they wake more

# STATE of a launch: helpers inside, and from these bits on what else it says.
INSIDE, PLACE, SLEEPS = 1, 1 << 15, 1 << 30
ALL_INSIDE = PLACE - 1
# ASLEEP of a helper; 0: it is not.
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
_attributes, _signals, _before, _thread = stack(16), stack(16), stack(16), stack(1)
_mask, _name = stack(MASK_WORDS), stack(2)


def lead(team, body, shared, threads):
    """Call ``body(shared, thread)`` here, and at the same time on as many as threads - 1 helpers.

    Each call takes tasks until none is left, so that the work is done however few come.  `thread`
    is below `threads` and differs between the calls; it is 0 here.  With n callers in here each may
    use an n-th of its threads.
    """
    places = min(threads // (add(team + 8 * CALLERS, 1) + 1) - 1, MOST_HELPERS)
    launch = 0
    if places > 0:
        _start(team, min(threads - 1, MOST_HELPERS))
        if load(team + 8 * STARTED) > 0:
            launch = _publish(team, body, shared, places)
    _call_body(body, shared, 0)
    if launch != 0:
        _close(team, launch)
    add(team + 8 * CALLERS, -1)


@subroutine
def _publish(team, body, shared, places):
    """Let so many helpers into a launch; its address, or 0 where there is no place for one."""
    for i in range(MOST_LAUNCHES):
        launch = team + 8 * (LAUNCHES + i * LINE)
        if load(launch + 8 * TAKEN) == 0 and replace(launch + 8 * TAKEN, 0, 1):
            set_word(launch, BODY, body)
            set_word(launch, SHARED, shared)
            store(launch + 8 * STATE, places * PLACE)
            add(team + 8 * BELL, 1)
            _wake_some(team, places)
            return launch
    return 0


@subroutine
def _close(team, launch):
    """Let nobody in any more, wait for helpers that are inside, and give its place back."""
    state = launch + 8 * STATE
    inside = intersect(state, ALL_INSIDE) & ALL_INSIDE
    while inside != 0 and _changes(state, inside):
        inside = load(state)
    if inside != 0:
        inside = unite(state, SLEEPS) & ALL_INSIDE
        while inside != 0:
            sleep(team, state, SLEEPS | inside)
            inside = load(state) & ALL_INSIDE
    store(state, 0)
    store(launch + 8 * TAKEN, 0)


@subroutine
def _changes(address, value):
    """Wait until a word is not `value` any more, for SPIN at most; whether it changed."""
    until = nanoseconds() + SPIN
    while nanoseconds() < until:
        for _ in range(LOOKS):
            if load(address) != value:
                return True
            relax()
    return False


def help_callers(helper):
    """What a helper does, for ever."""
    team = word(helper, TEAM)
    _introduce(helper)
    confined = 0
    while True:
        bell = load(team + 8 * BELL)
        if load(team + 8 * CONFINED) != confined:
            confined = load(team + 8 * CONFINED)
            _confine(team, helper)
        if not _help_one(team):
            _wait(team, helper, bell)


@subroutine
def _help_one(team):
    """Help with the launch that has most places left; whether there was one."""
    best, most = 0, 0
    for i in range(MOST_LAUNCHES):
        launch = team + 8 * (LAUNCHES + i * LINE)
        state = load(launch + 8 * STATE)
        if state < SLEEPS and most < state // PLACE:
            best, most = launch, state // PLACE
    if best == 0:
        return False
    address = best + 8 * STATE
    state = load(address)
    while PLACE <= state < SLEEPS:
        if replace(address, state, state - PLACE + INSIDE):
            # From here on the launch stays: its caller waits.
            place = state // PLACE
            _wake_some(team, place - 1)
            _call_body(word(best, BODY), word(best, SHARED), place)
            if add(address, -INSIDE) == SLEEPS + INSIDE:
                wake(team, address, 1)
            return True
        state = load(address)
    return True


@subroutine
def _wait(team, helper, bell):
    """Wait until the bell has rung, for SPIN, or else until somebody wakes this helper."""
    add(team + 8 * AWAKE, 1)
    rung = _changes(team + 8 * BELL, bell)
    if not rung:
        store(helper + 8 * ASLEEP, SLEEPING)
    add(team + 8 * AWAKE, -1)
    if not rung and load(team + 8 * BELL) != bell:
        # Who rang before may not have seen that it is going to sleep.
        replace(helper + 8 * ASLEEP, SLEEPING, 0)
    asleep = load(helper + 8 * ASLEEP)
    while asleep != 0:
        sleep(team, helper + 8 * ASLEEP, asleep)
        asleep = load(helper + 8 * ASLEEP)


@subroutine
def _wake_some(team, places):
    """Wake helpers for so many places of a launch, less those that look for one, WAKES at most."""
    missing = min(places - load(team + 8 * AWAKE), WAKES)
    i, started = 0, load(team + 8 * STARTED)
    while missing > 0 and i < started:
        helper = team + 8 * (HELPERS + i * LINE)
        asleep = helper + 8 * ASLEEP
        if load(asleep) == SLEEPING and replace(asleep, SLEEPING, CALLED):
            if LINUX:
                _avoid(team, helper, _get_cpu())
            store(asleep, 0)
            wake(team, asleep, 1)
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
    if LINUX:
        mask, others, avoided = _mask(), 0, word(helper, AVOIDS) - 1
        for i in range(MASK_WORDS):
            bits = word(team, MASK + i)
            if i == avoided >> 6:
                bits &= ~(1 << (avoided & 63))
            set_word(mask, i, bits)
            others |= bits
        if others == 0:
            mask = team + 8 * MASK
        _set_affinity(word(helper, NUMBER), 8 * MASK_WORDS, mask)


@subroutine
def _introduce(helper):
    """Tell the system this thread's name, and the team its number."""
    if LINUX:
        name = _name()
        set_word(name, 0, NAME[0])
        set_word(name, 1, NAME[1])
        _prctl(SET_NAME, name, 0, 0, 0)
        set_word(helper, NUMBER, thread_number())


_help_address = c_address(help_callers)


@subroutine
def _start(team, helpers):
    """Start helpers until there are so many, or the system refuses one, or somebody else does."""
    if load(team + 8 * STARTED) >= helpers:
        return
    refused = load(team + 8 * REFUSED)
    if refused != 0 and nanoseconds() - refused < RETRY:
        return
    if not replace(team + 8 * STARTING, 0, 1):
        return
    started = load(team + 8 * STARTED)
    while started < helpers:
        helper = team + 8 * (HELPERS + started * LINE)
        set_word(helper, TEAM, team)
        if not _start_one(team, helper):
            store(team + 8 * REFUSED, nanoseconds())
            break
        started += 1
        store(team + 8 * STARTED, started)
    store(team + 8 * STARTING, 0)


@subroutine
def _start_one(team, helper):
    """Start a thread, which no signal reaches; whether the system let us."""
    attributes, signals, before = _attributes(), _signals(), _before()
    _init(attributes)
    _set_stack(word(team, SET_STACK), attributes, STACK_BYTES)
    _set_detached(attributes, DETACHED)
    _fill(signals)
    for fault in FAULTS:
        _remove(signals, fault)
    _set_signals(SET_MASK, signals, before)
    refused = _create(word(team, CREATE), _thread(), attributes, _help_address(), helper)
    _set_signals(SET_MASK, before, 0)
    _destroy(attributes)
    return refused == 0


_lead_address = c_address(lead)


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


# Export name -> (function, signature).
EXPORTS = {"allocate": (allocate, "int64()"), "begin": (begin, "void(int64, int64, int64)")}
