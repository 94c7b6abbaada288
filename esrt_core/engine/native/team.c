#include "team.h"

#include <stddef.h>

#define SPINS 400 /* looks before a thread sleeps: about 10 us, less than it takes to sleep and wake */

static void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void wait_for(Team *team, Phase *phase) {
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load_explicit(&phase->complete, memory_order_acquire))
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&team->lock);
    atomic_fetch_add(&team->sleepers, 1);
    while (!atomic_load(&phase->complete))
        pthread_cond_wait(&team->completed, &team->lock);
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->lock);
}

/* Either this sees the sleeper, or the sleeper sees that the phase is complete: both orders are sequentially consistent. */
static void complete(Team *team, Phase *phase) {
    atomic_store(&phase->complete, 1);
    if (!atomic_load(&team->sleepers))
        return;
    pthread_mutex_lock(&team->lock);
    pthread_cond_broadcast(&team->completed);
    pthread_mutex_unlock(&team->lock);
}

void share(Member *member, long items, Work *work, Work *finish, const void *job) {
    Team *team = member->team;
    if (team->size == 1) {
        for (long item = 0; item < items; item++)
            work(job, item, member);
        if (finish)
            finish(job, 0, member);
        return;
    }
    Phase *phase = team->phases + member->phase++ * team->size;
    for (int turn = 0; turn < team->size; turn++) {
        const int owner = (member->index + turn) % team->size;
        const long first = items * owner / team->size, end = items * (owner + 1) / team->size;
        for (long item; (item = first + atomic_fetch_add(&phase[owner].taken, 1)) < end;) {
            work(job, item, member);
            if (atomic_fetch_add(&phase->done, 1) + 1 == items) {
                if (finish)
                    finish(job, 0, member);
                complete(team, phase);
            }
        }
    }
    wait_for(team, phase);
}

typedef struct {
    Member *member;
    void (*body)(Member *member, void *job);
    void *job;
} Start;

static void *started(void *argument) {
    const Start *start = argument;
    start->body(start->member, start->job);
    return NULL;
}

void run_team(Team *team, Member *members, void (*body)(Member *member, void *job), void *job) {
    const int size = team->size;
    pthread_t threads[size];
    Start starts[size];
    int running = 1;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->completed, NULL);
    for (; running < size; running++) {
        starts[running] = (Start){members + running, body, job};
        if (pthread_create(threads + running, NULL, started, starts + running))
            break;
    }
    body(members, job);
    for (int index = 1; index < running; index++)
        pthread_join(threads[index], NULL);
    pthread_cond_destroy(&team->completed);
    pthread_mutex_destroy(&team->lock);
}
