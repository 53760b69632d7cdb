/*
 * emu_block.h: the block that is being emulated, shared by the emulator's files.
 *
 *   hw_emu.cpp      launches, the scheduler, errors
 *   emu_places.cpp  where kernels call primitives, kernels with one call left out
 *   emu_fiber.cpp   stacks and the switch between them
 *   emu_order.cpp   what happened before what: clocks of threads
 *   emu_sync.cpp    warp collectives, barriers
 *   emu_shared.cpp  shared memory and its shadow: races, bounds, bytes in flight
 *   emu_warp.cpp    shuffles, ldmatrix, mma
 *   emu_copy.cpp    cp.async
 *   emu_tma.cpp     mbarriers, TMA
 *   emu_wgmma.cpp   warpgroup products, registers of warpgroups
 *
 * There is one block at a time, `the`. Nothing here allocates while a block runs except the lists
 * of asynchronous work, which are kept for the next block.
 */
#ifndef TEST_EMU_BLOCK_H
#define TEST_EMU_BLOCK_H

#include "hw_emu.h"

#include "emu_fiber.h"

namespace hw {
namespace emu {

constexpr int MAX_WARPS = EMU_MAX_THREADS / 32;
constexpr int MAX_BARRIERS = 16;
constexpr int MAX_MBARRIERS = 64;
constexpr int MAX_AGENTS = EMU_MAX_THREADS + MAX_MBARRIERS;
constexpr uint32_t MAX_CLOCK = (1u << 21) - 1; /* a clock and an agent fit in 32 bits */
constexpr uint32_t ALL_LANES = 0xffffffffu;

/*
 * Time. An agent (a thread, or after the threads an mbarrier, for TMA) has a clock that ticks when
 * the agent publishes what it did. A snapshot says how far into every agent's past one can
 * see: agent a's accesses up to clock[a]. Threads share snapshots, which never change once shared.
 */
struct snapshot {
    snapshot *next_free;
    int32_t users;
    uint32_t clock[MAX_AGENTS];
};

/* What agents publish to those who will meet them. `last`: whose knowledge went in last. */
struct gathering {
    snapshot *all, *last;
};

/* cp.async of one thread, oldest first. */
struct copy {
    uint32_t address;
    uint32_t group; /* its number in the thread's sequence of groups */
    vec16 value;
};
struct copies {
    copy *list;
    int32_t first, n, capacity;
    uint32_t group; /* the one that is open */
};

/* Words of shared memory that a thread wrote and has not fenced for the async proxy. */
struct word_range {
    uint32_t first, n;
};
struct word_ranges {
    word_range *ranges;
    int32_t n, capacity;
};

struct cuda_thread : self {
    fiber stack;
    uint32_t clock;
    snapshot *known;
    copies pending;
    uint32_t store_group; /* of TMA stores: the number of the one that is open */
    word_ranges unfenced;
    place at;             /* the call of the kernel that it is in */
    const char *waits_in; /* NULL: it does not wait */
    uint32_t wait_detail;
    bool left;
};

/* What the 32 lanes of a warp do together: the last to arrive does it for all. args[lane] is on
 * the lane's own stack. */
struct collective {
    const char *name;
    void (*execute)(int warp, void *const *args);
};

struct warp {
    uint32_t ready; /* lanes that can run */
    uint32_t left;  /* lanes that returned from the kernel */
    uint32_t arrived;
    uint32_t turn; /* rotates the order of lanes */
    const collective *meets_in;
    void *args[32];
    gathering published;
};

struct hw_barrier {
    int32_t expected; /* threads; 0: nobody has come since the last meeting */
    int32_t n_arrived;
    uint32_t arrived[MAX_WARPS], waiting[MAX_WARPS];
    gathering published;
};

struct block {
    const emu_kernel *kernel;
    const void *args;
    int n_threads, n_warps, n_agents;
    uint32_t warps_ready; /* warps with a lane that can run */
    int n_left;
    int n_async; /* what tma_progress can end */
    uint64_t random;
    cuda_thread threads[EMU_MAX_THREADS];
    warp warps[MAX_WARPS];
    hw_barrier barriers[MAX_BARRIERS];
};

extern block the;

inline cuda_thread &me()
{
    return *(cuda_thread *)current;
}

inline uint32_t draw()
{
    the.random ^= the.random << 13;
    the.random ^= the.random >> 7;
    the.random ^= the.random << 17;
    return (uint32_t)(the.random >> 32);
}

/* ---- emu_places.cpp ---- */

void places_begin();
const char *base_name(const char *file);

/* Opens a primitive: remembers where the kernel calls it. */
inline void enter(place at)
{
    me().at = at;
}

/* The same; false: a mutation leaves this call out. */
inline bool visit(const char *primitive, place at)
{
    enter(at);
    return !places_matter || visit_place(primitive, at);
}

/* ---- hw_emu.cpp ---- */

/* Records the sentence about the current thread and ends the launch. */
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The current thread waits until make_ready; others run. */
void wait_in(const char *what, uint32_t detail);
/* Lets others run; the current thread stays ready. */
void give_way();
void make_ready(int warp, uint32_t lanes);

/* ---- emu_order.cpp ---- */

void order_begin();
/* The current thread publishes all it did and knows. */
void publish(gathering *to);
/* The thread, which had its part in it, learns what was published. */
void learn(cuda_thread *who, snapshot *published);
/* The thread learns what others published, and keeps what it knows. `cache` may hold the last
 * answer for these `others`. */
struct union_cache {
    snapshot *known, *result;
};
void learn_more(cuda_thread *who, snapshot *others, union_cache *cache);
void forget(union_cache *cache);
/* A second gathering that goes on from the first. */
snapshot *copy_of(const snapshot *s);
/* An mbarrier's agent publishes what TMA wrote for it in the phase `clock`. */
void publish_agent(gathering *to, int agent, uint32_t clock);
void forget(gathering *g);
/* Is what agent did at its time `clock` in the thread's past? */
inline bool in_past(const cuda_thread &who, int agent, uint32_t clock)
{
    return agent == who.thread || clock <= who.known->clock[agent];
}

/* ---- emu_sync.cpp ---- */

void sync_begin();
void meet(const collective *op, void *args);

/* ---- emu_shared.cpp ---- */

/* Memory of NaN, nothing in flight. */
void shared_begin(uint32_t bytes);
/* The bytes at an address, after a check that they exist and that the address is aligned. */
unsigned char *shared_bytes(const char *what, uint32_t address, uint32_t bytes, uint32_t alignment);
/* Checks that the thread may read or write now, and remembers that it did. */
void note_read(const cuda_thread &who, const char *what, uint32_t address, uint32_t bytes);
void note_write(cuda_thread *who, const char *what, uint32_t address, uint32_t bytes);
/* A cp.async of the thread begins (the same checks as for a write), arrives. */
void begin_copy(const cuda_thread &who, uint32_t address, uint32_t bytes);
void end_copy(cuda_thread *who, uint32_t address, const void *value, uint32_t bytes);
/* [address, address + bytes) is an mbarrier from now on: nobody else may write it. */
void reserve_mbarrier(uint32_t address);
/* fence_async_shared. */
void fence_writes(cuda_thread *who);
/* Reads and writes of the async proxy, started by a thread. The write's bytes are the caller's to
 * put in place; it ends as the agent's. */
void async_begin_read(const cuda_thread &who, const char *what, uint32_t address, uint32_t bytes);
void async_end_read(const cuda_thread &who, uint32_t address, uint32_t bytes);
void async_begin_write(const cuda_thread &who, const char *what, uint32_t address, uint32_t bytes);
void async_end_write(int agent, uint32_t clock, uint32_t address, uint32_t bytes);

/* ---- emu_copy.cpp ---- */

void copy_begin();

/* ---- emu_tma.cpp ---- */

void tma_begin();
/* Ends one operation that is under way, drawn at random; false: there is none. */
bool tma_progress();
/* The current thread leaves the kernel; the last one leaves nothing under way. */
void tma_leave();

/* ---- emu_wgmma.cpp ---- */

void wgmma_begin();
/* The current thread leaves the kernel; nothing of its warp may be under way. */
void wgmma_leave();

} // namespace emu
} // namespace hw

#endif
