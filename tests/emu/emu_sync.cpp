/*
 * emu_sync.cpp: where threads meet: the lanes of a warp in a collective, the threads of a block at
 * a barrier.
 */
#include "emu_block.h"

namespace hw {
namespace emu {

void sync_begin()
{
    for (int i = 0; i < MAX_BARRIERS; i++) {
        forget(&the.barriers[i].published);
        the.barriers[i] = hw_barrier();
    }
    for (int i = 0; i < MAX_WARPS; i++)
        forget(&the.warps[i].published);
}

/* ---- warps ---- */

static int first_of(uint32_t lanes)
{
    return __builtin_ctz(lanes);
}

void meet(const collective *op, void *args)
{
    cuda_thread &t = me();
    warp &w = the.warps[t.warp];
    if (w.left)
        fail("calls %s, but lane %d of the warp has left the kernel", op->name, first_of(w.left));
    if (w.arrived && w.meets_in != op)
        fail("calls %s while lane %d of the warp waits in %s", op->name, first_of(w.arrived),
             w.meets_in->name);
    w.meets_in = op;
    w.args[t.lane] = args;
    w.arrived |= 1u << t.lane;
    if (w.arrived != ALL_LANES) {
        wait_in(op->name, 0);
        return;
    }
    op->execute(t.warp, w.args);
    w.arrived = 0;
    make_ready(t.warp, ALL_LANES);
    if (draw() % 8 == 0)
        give_way();
}

static void do_warp_sync(int warp, void *const *)
{
    gathering *g = &the.warps[warp].published;
    for (int lane = 0; lane < 32; lane++)
        learn(&the.threads[32 * warp + lane], g->all);
    forget(g);
}

void warp_sync(place at)
{
    static const collective op = {"warp_sync", do_warp_sync};
    if (!visit(op.name, at))
        return;
    publish(&the.warps[me().warp].published);
    meet(&op, NULL);
}

/* ---- barriers ---- */

static void complete(int id, hw_barrier *b)
{
    for (int i = 0; i < the.n_warps; i++)
        if (b->arrived[i] != 0 && b->arrived[i] != ALL_LANES)
            fail("completes barrier %d, but only some lanes of warp %d have arrived", id, i);
    for (int i = 0; i < the.n_warps; i++) {
        for (uint32_t rest = b->waiting[i]; rest; rest &= rest - 1)
            learn(&the.threads[32 * i + first_of(rest)], b->published.all);
        if (b->waiting[i])
            make_ready(i, b->waiting[i]);
    }
    forget(&b->published);
    *b = hw_barrier();
}

void barrier(const char *what, int id, int n_threads, bool waits, place at)
{
    if (!visit(what, at))
        return;
    cuda_thread &t = me();
    bool whole_block = n_threads == 0 && id == 0;
    if (whole_block)
        n_threads = the.n_threads;
    else if (id < 1 || id >= MAX_BARRIERS)
        fail("calls %s of barrier %d; there are 1 to %d", what, id, MAX_BARRIERS - 1);
    else if (n_threads < 32 || n_threads > the.n_threads || n_threads % 32 != 0)
        fail("calls %s of barrier %d for %d threads: not a multiple of 32 in the block", what, id,
             n_threads);
    hw_barrier *b = &the.barriers[id];
    if (b->expected && b->expected != n_threads)
        fail("calls %s of barrier %d for %d threads; others said %d", what, id, n_threads,
             b->expected);
    uint32_t lane = 1u << t.lane;
    if (b->arrived[t.warp] & lane)
        fail("calls %s of barrier %d a second time before that meeting is over", what, id);
    b->expected = n_threads;
    b->arrived[t.warp] |= lane;
    if (waits)
        b->waiting[t.warp] |= lane;
    publish(&b->published);
    if (++b->n_arrived == n_threads)
        complete(id, b);
    else if (waits)
        wait_in(what, (uint32_t)id);
    give_way();
}

} // namespace emu
} // namespace hw
