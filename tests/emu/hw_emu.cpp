/*
 * hw_emu.cpp: launches, the scheduler and errors. One fiber per thread of the block; a thread runs
 * until it must wait for others, then another that can run is drawn: mostly a lane of the same
 * warp, sometimes another warp. When nobody can run, the block is over or it is a deadlock.
 */
#include "emu_block.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

namespace hw {
namespace emu {

block the;
const self *current;

static fiber launcher;
static bool fibers_started; /* those of the block; they wait where they left the last one */
static int quiet;
static char message[1024];
static bool failed;

/* ---- errors ---- */

static void record(const char *where, const char *format, va_list args)
{
    int n = snprintf(message, sizeof message, "%s", where);
    if (n >= 0 && (size_t)n < sizeof message)
        vsnprintf(message + n, sizeof message - (size_t)n, format, args);
    failed = true;
    if (!quiet)
        fprintf(stderr, "emulation: %s\n", message);
}

void fail(const char *format, ...)
{
    char where[256];
    const self *t = current;
    place at = me().at;
    snprintf(where, sizeof where,
             "%s, block %d, thread %d (warp %d, lane %d), %s:%d: ", the.kernel->name, t->block,
             t->thread, t->warp, t->lane, at.file ? base_name(at.file) : "start", at.line);
    va_list args;
    va_start(args, format);
    record(where, format, args);
    va_end(args);
    fiber_switch(&me().stack, &launcher);
    __builtin_unreachable();
}

static int refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int refuse(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    record("launch: ", format, args);
    va_end(args);
    return -1;
}

void misaligned_global(const char *what, const void *address, place at)
{
    enter(at);
    fail("calls %s of %p, which is not aligned to 16 bytes", what, address);
}

/* "threads 0-31 wait in block_sync 0, threads 32-63 have left": who waits where. */
static void describe_waiting(char *text, size_t size)
{
    size_t at = 0;
    for (int first = 0, next; first < the.n_threads && at < size; first = next) {
        const cuda_thread &t = the.threads[first];
        for (next = first + 1; next < the.n_threads; next++) {
            const cuda_thread &u = the.threads[next];
            if (u.left != t.left || u.waits_in != t.waits_in || u.wait_detail != t.wait_detail)
                break;
        }
        int n =
            snprintf(text + at, size - at, "%sthreads %d-%d ", first ? ", " : "", first, next - 1);
        at += (size_t)n;
        if (at >= size)
            return;
        if (t.left)
            n = snprintf(text + at, size - at, "have left");
        else
            n = snprintf(text + at, size - at, "wait in %s %#x", t.waits_in, t.wait_detail);
        at += (size_t)n;
    }
}

static void deadlock()
{
    char text[700];
    describe_waiting(text, sizeof text);
    fail("is the last of a deadlock: %s", text);
}

/* ---- the scheduler ---- */

static uint32_t rotate_right(uint32_t x, uint32_t n)
{
    return n % 32 == 0 ? x : x >> (n % 32) | x << (32 - n % 32);
}

/* The next lane of the warp in its present order, or another warp's when it has none. */
static cuda_thread *choose(int warp_index)
{
    if (!(the.warps_ready & 1u << warp_index)) {
        if (!the.warps_ready)
            return NULL;
        uint32_t turn = draw() % 32;
        warp_index =
            (int)((uint32_t)__builtin_ctz(rotate_right(the.warps_ready, turn)) + turn) % 32;
    }
    warp &w = the.warps[warp_index];
    uint32_t lane = ((uint32_t)__builtin_ctz(rotate_right(w.ready, w.turn)) + w.turn) % 32;
    return &the.threads[32 * warp_index + (int)lane];
}

/* The thread that goes on; asynchronous work advances now and then, and when nobody else can. */
static cuda_thread *next_thread(int warp_index)
{
    if (the.n_async && draw() % 16 == 0)
        tma_progress();
    for (;;) {
        cuda_thread *next = choose(warp_index);
        if (next || !tma_progress())
            return next;
    }
}

static void run(cuda_thread *next)
{
    cuda_thread &t = me();
    if (next == &t)
        return;
    current = next;
    fiber_switch(&t.stack, &next->stack);
}

void make_ready(int warp_index, uint32_t lanes)
{
    warp &w = the.warps[warp_index];
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        the.threads[32 * warp_index + __builtin_ctz(rest)].waits_in = NULL;
    w.ready |= lanes;
    w.turn = draw();
    the.warps_ready |= 1u << warp_index;
}

static void not_ready(const cuda_thread &t)
{
    warp &w = the.warps[t.warp];
    w.ready &= ~(1u << t.lane);
    if (!w.ready)
        the.warps_ready &= ~(1u << t.warp);
}

void wait_in(const char *what, uint32_t detail)
{
    cuda_thread &t = me();
    t.waits_in = what;
    t.wait_detail = detail;
    not_ready(t);
    cuda_thread *next = next_thread(t.warp);
    if (!next)
        deadlock();
    run(next);
}

void give_way()
{
    run(next_thread((int)(draw() % (uint32_t)the.n_warps)));
}

/* ---- a block ---- */

static void leave()
{
    cuda_thread &t = me();
    warp &w = the.warps[t.warp];
    if (w.arrived)
        fail("leaves the kernel while lane %d of the warp waits in %s", __builtin_ctz(w.arrived),
             w.meets_in->name);
    t.left = true;
    w.left |= 1u << t.lane;
    the.n_left++;
    wgmma_leave();
    tma_leave();
    not_ready(t);
    cuda_thread *next = next_thread(t.warp);
    if (next)
        run(next);
    else if (the.n_left == the.n_threads)
        fiber_switch(&t.stack, &launcher);
    else
        deadlock();
}

/* A thread's whole life: the kernel once in every block. */
static void live(void *)
{
    for (;;) {
        the.kernel->body(the.args);
        leave();
    }
}

static bool make_fibers(int n)
{
    static int n_made;
    if (!fibers_started)
        n_made = 0;
    for (; n_made < n; n_made++)
        if (!fiber_make(&the.threads[n_made].stack, live, NULL))
            return false;
    fibers_started = true;
    return true;
}

static void begin_block(int index, int n_blocks)
{
    the.n_left = 0;
    the.warps_ready = 0;
    for (int i = 0; i < the.n_threads; i++) {
        cuda_thread &t = the.threads[i];
        t.thread = i;
        t.lane = i % 32;
        t.warp = i / 32;
        t.block = index;
        t.n_blocks = n_blocks;
        t.at = {NULL, 0};
        t.waits_in = NULL;
        t.left = false;
    }
    for (int i = 0; i < the.n_warps; i++) {
        the.warps[i].left = the.warps[i].arrived = the.warps[i].ready = 0;
        make_ready(i, ALL_LANES);
    }
}

static void run_block(int index, int n_blocks, uint32_t shared_size)
{
    begin_block(index, n_blocks);
    current = &the.threads[0];
    sync_begin();
    order_begin();
    copy_begin();
    tma_begin();
    wgmma_begin();
    shared_begin(shared_size);
    cuda_thread *first = choose((int)(draw() % (uint32_t)the.n_warps));
    current = first;
    fiber_switch(&launcher, &first->stack);
    if (failed)
        fibers_started = false; /* they are in the middle of something */
}

/* ---- a launch ---- */

static uint64_t seed_or_default(uint64_t seed)
{
    const char *text = getenv("PREPACK_EMU_SEED");
    if (!seed && text)
        seed = strtoull(text, NULL, 10);
    return seed ? seed : 1;
}

static uint64_t greatest_divisor(uint64_t a, uint64_t b)
{
    return b ? greatest_divisor(b, a % b) : a;
}

static int launch(const emu_kernel *kernel, int64_t blocks, int threads, uint32_t shared_size,
                  const void *args, uint64_t seed)
{
    if (!kernel || kernel->magic != EMU_KERNEL_MAGIC)
        return refuse("this is not a kernel");
    if (threads < 32 || threads > EMU_MAX_THREADS || threads % 32 != 0)
        return refuse("%s with blocks of %d threads: not a multiple of 32 up to %d", kernel->name,
                      threads, EMU_MAX_THREADS);
    if (threads > kernel->max_threads)
        return refuse("%s with blocks of %d threads, compiled for %d", kernel->name, threads,
                      kernel->max_threads);
    if (blocks < 1 || blocks > INT32_MAX)
        return refuse("%s with %lld blocks", kernel->name, (long long)blocks);
    if (shared_size > EMU_MAX_SHARED)
        return refuse("%s with %u bytes of shared memory; a block may have %d", kernel->name,
                      shared_size, EMU_MAX_SHARED);
    if (!make_fibers(threads))
        return refuse("no memory for stacks");
    the.kernel = kernel;
    the.args = args;
    the.n_threads = threads;
    the.n_warps = threads / 32;
    the.n_agents = threads + MAX_MBARRIERS;
    the.random = seed * 0x9e3779b97f4a7c15u | 1;
    for (int i = 0; i < 8; i++)
        draw();
    /* Blocks in an order that the seed chooses: start + i * step, all of them once. */
    uint64_t n = (uint64_t)blocks, start = draw() % n, step = 1 + draw() % n;
    while (greatest_divisor(step, n) != 1)
        step++;
    for (uint64_t i = 0; i < n && !failed; i++)
        run_block((int)((start + i * step) % n), (int)n, shared_size);
    return failed ? -1 : 0;
}

} // namespace emu
} // namespace hw

extern "C" int emu_launch(const void *entry, int64_t blocks, int threads, uint32_t shared_bytes,
                          const void *args, uint64_t seed)
{
    using namespace hw::emu;
    failed = false;
    places_begin();
    return launch((const emu_kernel *)entry, blocks, threads, shared_bytes, args,
                  seed_or_default(seed));
}

extern "C" const char *emu_last_error(void)
{
    return hw::emu::failed ? hw::emu::message : NULL;
}

extern "C" void emu_set_quiet(int value)
{
    hw::emu::quiet = value;
}
