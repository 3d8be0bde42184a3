/* The protocol of team.py, for spin:

       spin -run -DLAZY=0 team.pml        callers work, and find all tasks done when they return
       spin -run -DLAZY=1 team.pml        callers take no task, so that a helper not woken is a deadlock

   Callers publish launches one after the other, more callers than places for launches; helpers come and go.
   Each atomic block is one atomic instruction, or a system call, of team.py.  Spinning is a choice
   between what it waits for and going on.  Checked: a helper touches a launch only while its caller is
   in `lead`, each thread of a launch has a number of its own, all tasks are done when a caller returns,
   and everybody returns.
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
#define PLACES 1 /* for launches; who finds none works alone */
#define ROUNDS 2
#define TASKS 2

typedef Word { byte inside; byte places; bool sleeps };
typedef Launch { bool taken; byte whose; Word state; bool waiting };
typedef Call { bool here; byte tasks; byte working; byte numbers };

Launch launches[PLACES];
Call calls[CALLERS];
byte bell;
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

inline wake_some()
{
    h = 0;
    do
    :: h < HELPERS ->
        if
        :: atomic { asleep[h] == SLEEPING -> asleep[h] = CALLED }
            asleep[h] = NO;
            waiting[h] = false
        :: asleep[h] != SLEEPING
        fi;
        h++
    :: h == HELPERS -> break
    od
}

inline publish(me)
{
    launch = 0;
    do
    :: launch == PLACES -> break
    :: launch < PLACES ->
        if
        :: atomic { !launches[launch].taken -> launches[launch].taken = true } 
            launches[launch].whose = me;
            launches[launch].state.places = HELPERS;
            bell++;
            wake_some();
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
        :: LAZY && launch < PLACES -> calls[me].tasks == 0
        :: else -> body(me, 0)
        fi;
        if
        :: launch < PLACES -> close(me)
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
    Word seen, was;
    mtype value;
end:
    do
    :: heard = bell;
       /* help_one: any launch of which a place was seen */
       launch = 0;
       do
       :: launch == PLACES -> break
       :: launch < PLACES && launches[launch].state.places > 0 && !launches[launch].state.sleeps -> break
       :: launch < PLACES && launches[launch].state.places == 0 -> launch++
       od;
       if
       :: launch < PLACES ->
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
               wake_some();
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
            if
            :: bell != heard /* while it spun */
            :: true ->
                asleep[me] = SLEEPING;
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
