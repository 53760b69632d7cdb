/*
 * emu_tma.cpp: mbarriers and the tensor memory accelerator.
 *
 * A TMA load is under way from its call until a moment that the scheduler draws, as late as when
 * nobody else can go on; then its bytes appear, swizzled, and its mbarrier hears of them. A TMA
 * store reads shared memory when its thread waits for it.
 */
#include "emu_block.h"

#include <stdlib.h>

namespace hw {
namespace emu {

/* ---- mbarriers ---- */

struct mbarrier {
    uint32_t address;
    int32_t count, pending; /* arrivals of a phase; still missing in this one */
    int64_t bytes;          /* expected and not yet there, may be negative for a while */
    uint32_t phase;         /* how many are over */
    int init_thread;
    uint32_t init_clock, fence_clock; /* fence_clock 0: no fence_mbarrier_init yet */
    gathering published;              /* in this phase and all before */
    snapshot *released;               /* up to the last phase that is over */
    union_cache cache;
};

static mbarrier mbarriers[MAX_MBARRIERS];
static int n_mbarriers;

static const char WAITS_0[] = "mbarrier_wait for parity 0 of the one at shared +";
static const char WAITS_1[] = "mbarrier_wait for parity 1 of the one at shared +";

static uint32_t offset(uint32_t address)
{
    return address - shared_base();
}

static mbarrier *find(const char *what, uint32_t address)
{
    for (int i = 0; i < n_mbarriers; i++)
        if (mbarriers[i].address == address) {
            if (!in_past(me(), mbarriers[i].init_thread, mbarriers[i].init_clock))
                fail("calls %s of shared + %u with no barrier since thread %d initialised it", what,
                     offset(address), mbarriers[i].init_thread);
            return &mbarriers[i];
        }
    fail("calls %s of shared + %u, which is not an mbarrier", what, offset(address));
}

void mbarrier_init(uint32_t address, int count, place at)
{
    if (!visit("mbarrier_init", at))
        return;
    shared_bytes("mbarrier_init of", address, 8, 8);
    if (count < 1)
        fail("calls mbarrier_init with count %d", count);
    if (n_mbarriers == MAX_MBARRIERS)
        fail("makes more than %d mbarriers", MAX_MBARRIERS);
    reserve_mbarrier(address);
    mbarrier *b = &mbarriers[n_mbarriers++];
    *b = mbarrier();
    b->address = address;
    b->count = b->pending = count;
    b->init_thread = me().thread;
    b->init_clock = me().clock;
}

void fence_mbarrier_init(place at)
{
    if (!visit("fence_mbarrier_init", at))
        return;
    for (int i = 0; i < n_mbarriers; i++)
        if (mbarriers[i].init_thread == me().thread && !mbarriers[i].fence_clock)
            mbarriers[i].fence_clock = me().clock;
}

static void wake(uint32_t address)
{
    for (int i = 0; i < the.n_threads; i++) {
        const cuda_thread &t = the.threads[i];
        if ((t.waits_in == WAITS_0 || t.waits_in == WAITS_1) && t.wait_detail == offset(address))
            make_ready(t.warp, 1u << t.lane);
    }
}

static void complete_if_done(mbarrier *b)
{
    if (b->pending || b->bytes)
        return;
    gathering over = {b->released, NULL};
    forget(&over);
    forget(&b->cache);
    b->released = b->published.all;
    b->published.all = copy_of(b->released);
    gathering last = {NULL, b->published.last};
    forget(&last);
    b->published.last = NULL;
    b->pending = b->count;
    b->phase++;
    wake(b->address);
}

static void arrive(const char *what, uint32_t address, int64_t bytes)
{
    mbarrier *b = find(what, address);
    if (b->pending == 0)
        fail("calls %s of shared + %u, which has all %d arrivals of its phase already", what,
             offset(address), b->count);
    b->bytes += bytes;
    b->pending--;
    publish(&b->published);
    complete_if_done(b);
    give_way();
}

void mbarrier_arrive(uint32_t address, place at)
{
    if (!visit("mbarrier_arrive", at))
        return;
    arrive("mbarrier_arrive", address, 0);
}

void mbarrier_expect(uint32_t address, uint32_t bytes, place at)
{
    if (!visit("mbarrier_expect", at))
        return;
    if (bytes >= 1u << 20)
        fail("calls mbarrier_expect for %u bytes; an mbarrier counts to 2^20 - 1", bytes);
    arrive("mbarrier_expect", address, bytes);
}

void mbarrier_wait(uint32_t address, uint32_t parity, place at)
{
    if (!visit("mbarrier_wait", at))
        return;
    if (parity > 1)
        fail("calls mbarrier_wait for parity %u", parity);
    mbarrier *b = find("mbarrier_wait", address);
    while ((b->phase & 1) == parity)
        wait_in(parity ? WAITS_1 : WAITS_0, offset(address));
    if (b->released)
        learn_more(&me(), b->released, &b->cache);
}

/* ---- tensor maps ---- */

constexpr uint64_t MAP_MAGIC = 0x70616d2d756d65u;

struct map {
    uint64_t magic;
    unsigned char *base;
    uint64_t dims[3];    /* elements, innermost first */
    uint64_t strides[2]; /* bytes, of dims 1 and 2 */
    uint32_t box[3];
    uint32_t element_bytes;
    uint32_t swizzle; /* 0, 128 */
};

static map decode(const char *what, const tensor_map *opaque)
{
    map m;
    if ((uintptr_t)opaque % 64 != 0)
        fail("calls %s with a tensor map that is not aligned to 64 bytes", what);
    memcpy(&m, opaque, sizeof m);
    if (m.magic != MAP_MAGIC)
        fail("calls %s with something that is not a tensor map", what);
    return m;
}

static uint32_t box_bytes(const map &m)
{
    return m.element_bytes * m.box[0] * m.box[1] * m.box[2];
}

/* Where the 16 bytes of a tile's row-major place are: the 128-byte swizzle exchanges them within
 * 128 bytes by the address's bits 7 to 9. */
static uint32_t swizzled(const map &m, uint32_t address)
{
    return m.swizzle ? address ^ (address >> 7 & 7) << 4 : address;
}

/* The row (y, z) of the box at c: [from, from + n) bytes of it exist, at the returned address. */
static unsigned char *row_of(const map &m, const int32_t *c, uint32_t y, uint32_t z, uint32_t *from,
                             uint32_t *n)
{
    int64_t c1 = (int64_t)c[1] + y, c2 = (int64_t)c[2] + z, end = (int64_t)c[0] + m.box[0];
    int64_t first = c[0] < 0 ? 0 : c[0];
    if (end > (int64_t)m.dims[0])
        end = (int64_t)m.dims[0];
    *from = *n = 0;
    if (c1 < 0 || c1 >= (int64_t)m.dims[1] || c2 < 0 || c2 >= (int64_t)m.dims[2] || first >= end)
        return NULL;
    *from = (uint32_t)(first - c[0]) * m.element_bytes;
    *n = (uint32_t)(end - first) * m.element_bytes;
    return m.base + first * m.element_bytes + c1 * (int64_t)m.strides[0] +
           c2 * (int64_t)m.strides[1];
}

/* ---- operations under way ---- */

struct operation {
    bool is_load;
    int thread;
    uint32_t group;   /* of a store, in its thread */
    uint32_t address; /* in shared memory */
    map m;
    int32_t c[3];
    int barrier; /* of a load */
};

static operation *operations;
static int n_operations, capacity; /* the.n_async of them are loads */

static operation *start(const char *what, uint32_t address, const tensor_map *opaque, int c0,
                        int c1, int c2)
{
    map m = decode(what, opaque);
    shared_bytes(what, address, box_bytes(m), 128);
    if (n_operations == capacity) {
        capacity = capacity ? 2 * capacity : 32;
        operations = (operation *)realloc(operations, (size_t)capacity * sizeof *operations);
        if (!operations)
            abort();
    }
    operation *o = &operations[n_operations++];
    *o = {true, me().thread, 0, address, m, {c0, c1, c2}, 0};
    return o;
}

static operation remove(int i)
{
    operation o = operations[i];
    for (n_operations--; i < n_operations; i++)
        operations[i] = operations[i + 1];
    return o;
}

void tma_load_3d(uint32_t address, const tensor_map *opaque, int c0, int c1, int c2,
                 uint32_t mbarrier_address, place at)
{
    if (!visit("tma_load_3d", at))
        return;
    mbarrier *b = find("tma_load_3d", mbarrier_address);
    if (!b->fence_clock || !in_past(me(), b->init_thread, b->fence_clock))
        fail("calls tma_load_3d with the mbarrier at shared + %u, which had no fence_mbarrier_init",
             offset(mbarrier_address));
    operation *o = start("tma_load_3d to", address, opaque, c0, c1, c2);
    o->barrier = (int)(b - mbarriers);
    the.n_async++;
    async_begin_write(me(), "tma_load_3d to", address, box_bytes(o->m));
    give_way();
}

static void end_load(const operation &o)
{
    uint32_t row_bytes = o.m.box[0] * o.m.element_bytes, address = o.address;
    for (uint32_t z = 0; z < o.m.box[2]; z++)
        for (uint32_t y = 0; y < o.m.box[1]; y++) {
            unsigned char row[1024] = {0};
            uint32_t from, n;
            const unsigned char *global = row_of(o.m, o.c, y, z, &from, &n);
            if (n)
                memcpy(row + from, global, n);
            for (uint32_t i = 0; i < row_bytes; i += 16, address += 16)
                memcpy(shared_bytes("TMA writes", swizzled(o.m, address), 16, 16), row + i, 16);
        }
    mbarrier *b = &mbarriers[o.barrier];
    int agent = the.n_threads + o.barrier;
    async_end_write(agent, b->phase + 1, o.address, box_bytes(o.m));
    publish_agent(&b->published, agent, b->phase + 1);
    b->bytes -= box_bytes(o.m);
    complete_if_done(b);
}

bool tma_progress()
{
    if (!the.n_async)
        return false;
    int which = (int)(draw() % (uint32_t)the.n_async), i = 0;
    while (!operations[i].is_load || which-- > 0)
        i++;
    the.n_async--;
    end_load(remove(i));
    return true;
}

void tma_store_3d(const tensor_map *opaque, int c0, int c1, int c2, uint32_t address, place at)
{
    if (!visit("tma_store_3d", at))
        return;
    operation *o = start("tma_store_3d from", address, opaque, c0, c1, c2);
    o->is_load = false;
    o->group = me().store_group;
    async_begin_read(me(), "tma_store_3d of", address, box_bytes(o->m));
}

static void end_store(const operation &o)
{
    uint32_t row_bytes = o.m.box[0] * o.m.element_bytes, address = o.address;
    for (uint32_t z = 0; z < o.m.box[2]; z++)
        for (uint32_t y = 0; y < o.m.box[1]; y++) {
            unsigned char row[1024];
            uint32_t from, n;
            for (uint32_t i = 0; i < row_bytes; i += 16, address += 16)
                memcpy(row + i, shared_bytes("TMA reads", swizzled(o.m, address), 16, 16), 16);
            unsigned char *global = row_of(o.m, o.c, y, z, &from, &n);
            if (n)
                memcpy(global, row + from, n);
        }
    async_end_read(the.threads[o.thread], o.address, box_bytes(o.m));
}

void tma_store_commit(place at)
{
    if (!visit("tma_store_commit", at))
        return;
    me().store_group++;
}

void tma_store_wait(int n_groups_left, place at)
{
    if (!visit("tma_store_wait", at))
        return;
    cuda_thread &t = me();
    for (int i = 0; i < n_operations;) {
        const operation &o = operations[i];
        if (!o.is_load && o.thread == t.thread &&
            (int64_t)o.group < (int64_t)t.store_group - n_groups_left)
            end_store(remove(i));
        else
            i++;
    }
}

void fence_async_shared(place at)
{
    if (!visit("fence_async_shared", at))
        return;
    fence_writes(&me());
}

/* ---- a block ---- */

void tma_begin()
{
    for (int i = 0; i < n_mbarriers; i++) {
        gathering over = {mbarriers[i].released, NULL};
        forget(&over);
        forget(&mbarriers[i].published);
        forget(&mbarriers[i].cache);
    }
    n_mbarriers = n_operations = the.n_async = 0;
    for (int i = 0; i < the.n_threads; i++)
        the.threads[i].store_group = 0;
}

void tma_leave()
{
    for (int i = 0; i < n_operations; i++)
        if (!operations[i].is_load && operations[i].thread == me().thread)
            fail("leaves the kernel without waiting for its TMA stores");
    if (the.n_async && the.n_left == the.n_threads)
        fail("leaves the kernel, as the last thread, while TMA is still writing shared + %u",
             offset(operations[0].address));
}

} // namespace emu
} // namespace hw

extern "C" int emu_tensor_map(void *to, const void *base, int element_bytes, const uint64_t *dims,
                              const uint64_t *strides, const uint32_t *box, int swizzle)
{
    using namespace hw::emu;
    uint32_t row = box[0] * (uint32_t)element_bytes;
    bool good = (uintptr_t)base % 16 == 0 && row % 16 == 0 && (swizzle == 0 || swizzle == 128) &&
                (swizzle == 0 || row == 128) && row <= 1024;
    for (int i = 0; i < 3; i++)
        good = good && dims[i] > 0 && dims[i] <= 1ull << 32 && box[i] > 0 && box[i] <= 256;
    for (int i = 0; i < 2; i++)
        good = good && strides[i] % 16 == 0 && strides[i] < 1ull << 40;
    if (!good)
        return -1;
    map m = {MAP_MAGIC,
             (unsigned char *)(uintptr_t)base,
             {dims[0], dims[1], dims[2]},
             {strides[0], strides[1]},
             {box[0], box[1], box[2]},
             (uint32_t)element_bytes,
             (uint32_t)swizzle};
    static_assert(sizeof m <= sizeof(hw::tensor_map), "an opaque map has room");
    memset(to, 0, sizeof(hw::tensor_map));
    memcpy(to, &m, sizeof m);
    return 0;
}
