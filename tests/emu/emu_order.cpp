/*
 * emu_order.cpp: what happened before what. Vector clocks over the threads of the block and
 * its mbarriers, shared between threads that know the same.
 */
#include "emu_block.h"

#include <stdlib.h>

namespace hw {
namespace emu {

static snapshot *free_snapshots;

static snapshot *take()
{
    snapshot *s = free_snapshots;
    if (s)
        free_snapshots = s->next_free;
    else
        s = (snapshot *)malloc(sizeof *s);
    if (!s)
        abort(); /* of a test program, which has no use for less */
    s->users = 1;
    return s;
}

static void drop(snapshot *s)
{
    if (s && --s->users == 0) {
        s->next_free = free_snapshots;
        free_snapshots = s;
    }
}

static snapshot *share(snapshot *s)
{
    s->users++;
    return s;
}

static void copy_clocks(snapshot *to, const snapshot *from)
{
    memcpy(to->clock, from->clock, (size_t)the.n_agents * sizeof to->clock[0]);
}

static void join(snapshot *to, const snapshot *from)
{
    for (int i = 0; i < the.n_agents; i++)
        if (to->clock[i] < from->clock[i])
            to->clock[i] = from->clock[i];
}

void order_begin()
{
    snapshot *nothing = take();
    memset(nothing->clock, 0, (size_t)the.n_agents * sizeof nothing->clock[0]);
    for (int i = 0; i < the.n_threads; i++) {
        cuda_thread &t = the.threads[i];
        drop(t.known);
        t.known = share(nothing);
        t.clock = 1;
    }
    drop(nothing);
}

void publish(gathering *to)
{
    cuda_thread &t = me();
    if (t.clock == MAX_CLOCK)
        fail("synchronises more often than the emulator can count");
    if (!to->all) {
        to->all = take();
        copy_clocks(to->all, t.known);
    } else if (to->last != t.known) {
        join(to->all, t.known);
    }
    if (to->last != t.known) {
        drop(to->last);
        to->last = share(t.known);
    }
    to->all->clock[t.thread] = t.clock++;
}

void learn(cuda_thread *who, snapshot *published)
{
    drop(who->known);
    who->known = share(published);
}

void learn_more(cuda_thread *who, snapshot *others, union_cache *cache)
{
    if (cache->known != who->known) {
        forget(cache);
        cache->known = share(who->known);
        cache->result = copy_of(who->known);
        join(cache->result, others);
    }
    learn(who, cache->result);
}

snapshot *copy_of(const snapshot *s)
{
    snapshot *copy = take();
    copy_clocks(copy, s);
    return copy;
}

void publish_agent(gathering *to, int agent, uint32_t clock)
{
    if (!to->all) {
        to->all = take();
        memset(to->all->clock, 0, (size_t)the.n_agents * sizeof to->all->clock[0]);
    }
    to->all->clock[agent] = clock;
}

void forget(union_cache *cache)
{
    drop(cache->known);
    drop(cache->result);
    cache->known = cache->result = NULL;
}

void forget(gathering *g)
{
    drop(g->all);
    drop(g->last);
    g->all = g->last = NULL;
}

} // namespace emu
} // namespace hw
