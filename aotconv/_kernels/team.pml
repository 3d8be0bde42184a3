/* The protocol of team.py, for spin:

       spin -DLAZY=0 -run team.pml        callers work, and find all tasks done when they return
       spin -DLAZY=1 -run team.pml        callers take no task: a helper that nobody wakes is a deadlock

   Callers publish launches one after the other; helpers come and go.  Each atomic block is one
   atomic instruction, or a system call, of team.py.  Spinning is a choice between what it waits for
   and going on.  Left out: who starts helpers, and that one thread wakes two at most.

   Searched are all orders of steps, not endless loops.  In none a helper touches a launch whose
   caller is not in `lead`, or two threads of a launch have one number; all tasks are done when a
   caller returns, and all return.
*/
#ifndef LAZY
#define LAZY 0
#endif
#ifndef CALLERS
#define CALLERS 2
#endif
#ifndef HELPERS
#define HELPERS 1
#endif
#define SLOTS 1 /* for launches; who finds none works alone */
#define ROUNDS 2
#define TASKS 2

typedef Word { byte inside; byte places; bool sleeps };
typedef Launch { bool taken; byte whose; Word state; bool waiting };
typedef Call { bool here; byte tasks; byte working; byte numbers };

Launch launches[SLOTS];
Call calls[CALLERS];
byte bell;
byte looking; /* helpers */
mtype = { NO, SLEEPING, CALLED };
mtype asleep[HELPERS] = NO;
bool waiting[HELPERS]; /* in the system call */

/* What each thread of a launch does: take tasks until none is left. */
inline body(who, number)
{
    atomic {
        assert(calls[who].here);
        assert(!(calls[who].numbers & (1 << number)));
        calls[who].numbers = calls[who].numbers | (1 << number)
    }
    do
    :: atomic {
        assert(calls[who].here);
        if
        :: calls[who].tasks > 0 -> calls[who].tasks--; calls[who].working++
        :: else -> break
        fi
       }
       atomic { assert(calls[who].here); calls[who].working-- }
    od
}

inline wake_some(room)
{
    missing = room - looking;
    h = 0;
    do
    :: h < HELPERS && missing > 0 ->
        if
        :: atomic { asleep[h] == SLEEPING -> asleep[h] = CALLED }
            asleep[h] = NO;
            waiting[h] = false;
            missing--
        :: asleep[h] != SLEEPING
        fi;
        h++
    :: h == HELPERS || missing <= 0 -> break
    od
}

inline publish(me)
{
    launch = 0;
    do
    :: launch == SLOTS -> break
    :: launch < SLOTS ->
        if
        :: atomic { !launches[launch].taken -> launches[launch].taken = true } 
            launches[launch].whose = me;
            launches[launch].state.places = HELPERS;
            bell++;
            wake_some(HELPERS);
            break
        :: launches[launch].taken -> launch++
        fi
    od
}

inline close(me)
{
    atomic { launches[launch].state.places = 0; inside = launches[launch].state.inside }
    if
    :: inside == 0
    :: inside != 0 ->
        if
        :: launches[launch].state.inside == 0 /* while it spun */
        :: true ->
            atomic { launches[launch].state.sleeps = true; inside = launches[launch].state.inside }
            do
            :: inside == 0 -> break
            :: inside != 0 ->
                atomic { launches[launch].waiting = (launches[launch].state.inside == inside) }
                !launches[launch].waiting;
                inside = launches[launch].state.inside
            od
        fi
    fi;
    atomic {
        assert(launches[launch].state.inside == 0 && launches[launch].state.places == 0);
        launches[launch].state.sleeps = false
    }
    launches[launch].taken = false
}

/* lead */
proctype caller(byte me)
{
    byte launch, inside, h, round;
    short missing;
    do
    :: round == ROUNDS -> break
    :: round < ROUNDS ->
        atomic {
            calls[me].here = true;
            calls[me].tasks = TASKS;
            calls[me].numbers = 0
        }
        publish(me);
        if
        :: LAZY && launch < SLOTS -> calls[me].tasks == 0
        :: else -> body(me, 0)
        fi;
        if
        :: launch < SLOTS -> close(me)
        :: else
        fi;
        atomic {
            assert(calls[me].tasks == 0 && calls[me].working == 0);
            calls[me].here = false
        }
        round++
    od
}

/* help_callers */
proctype helper(byte me)
{
    byte heard, launch, who, h;
    short missing;
    Word seen, was;
    mtype value;
end:
    do
    :: heard = bell;
       /* help_one: any launch of which a place was seen */
       launch = 0;
       do
       :: launch == SLOTS -> break
       :: launch < SLOTS && launches[launch].state.places > 0 && !launches[launch].state.sleeps -> break
       :: launch < SLOTS && launches[launch].state.places == 0 -> launch++
       od;
       if
       :: launch < SLOTS ->
            do
            :: atomic {
                seen.inside = launches[launch].state.inside;
                seen.places = launches[launch].state.places;
                seen.sleeps = launches[launch].state.sleeps
               }
               if
               :: seen.places == 0 || seen.sleeps -> break
               :: else
               fi;
               atomic {
                if
                :: launches[launch].state.inside == seen.inside &&
                   launches[launch].state.places == seen.places &&
                   launches[launch].state.sleeps == seen.sleeps ->
                    launches[launch].state.places--;
                    launches[launch].state.inside++
                :: else -> goto again
                fi
               }
               who = launches[launch].whose;
               wake_some(seen.places - 1);
               body(who, seen.places);
               atomic {
                was.inside = launches[launch].state.inside;
                was.places = launches[launch].state.places;
                was.sleeps = launches[launch].state.sleeps;
                launches[launch].state.inside--
               }
               if
               :: was.sleeps && was.places == 0 && was.inside == 1 -> launches[launch].waiting = false
               :: else
               fi;
               break;
again:         skip
            od
       :: else ->
            /* wait */
            looking++;
            if
            :: bell != heard -> looking-- /* while it spun */
            :: true ->
                asleep[me] = SLEEPING;
                looking--;
                if
                :: bell != heard ->
                    atomic {
                        if
                        :: asleep[me] == SLEEPING -> asleep[me] = NO
                        :: else
                        fi
                    }
                :: else
                fi;
                value = asleep[me];
end_asleep:     do
                :: value == NO -> break
                :: value != NO ->
                    atomic { waiting[me] = (asleep[me] == value) }
end_waiting:        !waiting[me];
                    value = asleep[me]
                od
            fi
       fi
    od
}

init
{
    byte i;
    atomic {
        for (i : 0 .. CALLERS - 1) { run caller(i) }
        for (i : 0 .. HELPERS - 1) { run helper(i) }
    }
}
