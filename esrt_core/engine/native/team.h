/* Threads that share the work of one call. */

#ifndef ESRT_TEAM_H
#define ESRT_TEAM_H

#include <pthread.h>
#include <stdatomic.h>

#define MOST_THREADS 256

/* One of the shares that the items of a phase are divided into, one for each thread: how many of it are taken. The first
   of a phase counts also how many of all are done. */
typedef struct {
    _Alignas(64) atomic_long taken;
    atomic_long done;
    atomic_int complete;
} Phase;

typedef struct {
    int size; /* threads */
    pthread_mutex_t lock;
    pthread_cond_t completed;
    atomic_int sleepers;
    Phase *phases; /* `size` for every call of `share`, all zero at first; null in a team of one */
} Team;

/* One thread of a team. All members make the same calls of `share` in the same order. */
typedef struct {
    Team *team;
    int index;
    long phase;     /* the next one */
    float *scratch; /* memory of this thread alone */
} Member;

typedef void Work(const void *job, long item, Member *member);

/* Do `items` pieces of work and then `finish`, which may be null, in one of the threads.

   Every thread begins with its own share, the same part of the items in every phase, so that what it reads is mostly what
   it wrote; then it takes what is left of the others'.

   Returns when all are done. A thread that comes late finds nothing left and does not hold up the others. What an item
   computes must not depend on the thread that does it, nor on the order of the items. */
void share(Member *member, long items, Work *work, Work *finish, const void *job);

/* Run `body` in the calling thread and size - 1 new ones, and return when all have ended. `members` has `size`. Threads
   that cannot be started are done without. */
void run_team(Team *team, Member *members, void (*body)(Member *member, void *job), void *job);

#endif
