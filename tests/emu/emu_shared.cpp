/*
 * emu_shared.cpp: shared memory and its shadow.
 *
 * Every 4 bytes have a shadow: who wrote them last, who read them since, and what is under way on
 * them. An access is an error when it is not ordered after a conflicting one of another thread (no
 * barrier between them), or touches bytes that an asynchronous operation still writes, or writes
 * bytes that one still reads. Of many readers two are remembered, drawn at random: a missing
 * barrier shows in the other words of a tile.
 *
 * The async proxy (TMA, wgmma) sees what a thread wrote only after that thread's
 * fence_async_shared, so every write also has the time of its fence.
 */
#include "emu_block.h"

#include <stdlib.h>

namespace hw {
namespace emu {

constexpr uint32_t BASE = 1024; /* of the dynamic part; what is below belongs to the system */
constexpr uint32_t WORD = 4;
constexpr uint16_t BY_TMA = 0xffff;
constexpr uint16_t MBARRIER = 0xffff; /* for n_reading */

/* A stamp: an agent and its clock; 0: nobody. */
struct shadow {
    uint32_t writer;
    uint32_t fence; /* of the writer, when it was a thread */
    uint32_t readers[2];
    uint16_t written_by; /* under way: BY_TMA, or the thread + 1 whose cp.async it is */
    uint16_t n_reading;  /* asynchronous reads under way */
};

static uint32_t size;
alignas(1024) static unsigned char memory[EMU_MAX_SHARED];
static shadow shadows[EMU_MAX_SHARED / WORD];

static uint32_t stamp_of(const cuda_thread &t)
{
    return t.clock << 11 | (uint32_t)t.thread;
}

static int agent_of(uint32_t stamp)
{
    return (int)(stamp & 0x7ff);
}

static bool ordered(const cuda_thread &t, uint32_t stamp)
{
    return stamp == 0 || in_past(t, agent_of(stamp), stamp >> 11);
}

void shared_begin(uint32_t bytes)
{
    size = bytes;
    memset(memory, 0xff, bytes);
    memset(shadows, 0, (bytes + WORD - 1) / WORD * sizeof(shadow));
    for (int i = 0; i < the.n_threads; i++)
        the.threads[i].unfenced.n = 0;
}

uint32_t shared_base()
{
    return BASE;
}

unsigned char *shared_bytes(const char *what, uint32_t address, uint32_t bytes, uint32_t alignment)
{
    if (address < BASE || address - BASE > size || size - (address - BASE) < bytes)
        fail("%s %u bytes at shared + %lld, outside the %u bytes that the block has", what, bytes,
             (long long)address - BASE, size);
    if (address % alignment != 0)
        fail("%s shared + %u, which is not aligned to %u", what, address - BASE, alignment);
    return memory + (address - BASE);
}

/* ---- errors ---- */

[[noreturn]] static void race(const char *what, uint32_t word, const char *other_did,
                              uint32_t stamp)
{
    int agent = agent_of(stamp);
    if (agent < the.n_threads)
        fail("%s shared + %u, which thread %d %s with no barrier in between", what, word * WORD,
             agent, other_did);
    fail("%s shared + %u, which TMA wrote, before waiting for its mbarrier", what, word * WORD);
}

[[noreturn]] static void under_way(const char *what, uint32_t word, const shadow &s)
{
    if (s.written_by == BY_TMA)
        fail("%s shared + %u, which TMA is still writing", what, word * WORD);
    if (s.written_by)
        fail("%s shared + %u, which cp.async of thread %d is still writing", what, word * WORD,
             s.written_by - 1);
    if (s.n_reading == MBARRIER)
        fail("%s shared + %u, which is an mbarrier", what, word * WORD);
    fail("%s shared + %u, which wgmma or a TMA store is still reading", what, word * WORD);
}

/* ---- one word ---- */

static void check_read(const cuda_thread &who, const char *what, uint32_t word)
{
    const shadow &s = shadows[word];
    if (s.written_by)
        under_way(what, word, s);
    if (!ordered(who, s.writer))
        race(what, word, "wrote", s.writer);
}

static void remember_read(const cuda_thread &who, uint32_t word)
{
    shadow &s = shadows[word];
    int slot = 0;
    if (agent_of(s.readers[0]) != who.thread && !ordered(who, s.readers[0]))
        slot = ordered(who, s.readers[1]) ? 1 : (int)(draw() & 1);
    s.readers[slot] = stamp_of(who);
}

static void check_write(const cuda_thread &who, const char *what, uint32_t word)
{
    const shadow &s = shadows[word];
    if (s.written_by || s.n_reading)
        under_way(what, word, s);
    if (!ordered(who, s.writer))
        race(what, word, "wrote", s.writer);
    for (int i = 0; i < 2; i++)
        if (!ordered(who, s.readers[i]))
            race(what, word, "read", s.readers[i]);
}

/* What the thread wrote must have passed a fence that the reader knows of. */
static void check_fence(const cuda_thread &who, const char *what, uint32_t word)
{
    const shadow &s = shadows[word];
    if (s.writer && agent_of(s.writer) < the.n_threads && (!s.fence || !ordered(who, s.fence)))
        fail("%s shared + %u, which thread %d wrote without fence_async_shared", what, word * WORD,
             agent_of(s.writer));
}

/* Words [first, first + n) await the thread's next fence. */
static void await_fence(cuda_thread *who, uint32_t first, uint32_t n)
{
    word_ranges *list = &who->unfenced;
    if (list->n == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->ranges =
            (word_range *)realloc(list->ranges, (size_t)list->capacity * sizeof *list->ranges);
        if (!list->ranges)
            abort();
    }
    list->ranges[list->n++] = {first, n};
}

/* ---- ranges ---- */

struct words {
    uint32_t first, end;
};

static words words_of(uint32_t address, uint32_t bytes)
{
    return {(address - BASE) / WORD, (address - BASE + bytes) / WORD};
}

void note_read(const cuda_thread &who, const char *what, uint32_t address, uint32_t bytes)
{
    words w = words_of(address, bytes);
    for (uint32_t i = w.first; i < w.end; i++) {
        check_read(who, what, i);
        remember_read(who, i);
    }
}

void note_write(cuda_thread *who, const char *what, uint32_t address, uint32_t bytes)
{
    words w = words_of(address, bytes);
    for (uint32_t i = w.first; i < w.end; i++) {
        check_write(*who, what, i);
        shadows[i] = {stamp_of(*who), 0, {0, 0}, 0, 0};
    }
    await_fence(who, w.first, w.end - w.first);
}

void begin_copy(const cuda_thread &who, uint32_t address, uint32_t bytes)
{
    words w = words_of(address, bytes);
    for (uint32_t i = w.first; i < w.end; i++) {
        check_write(who, "cp_async16 to", i);
        shadows[i] = {0, 0, {0, 0}, (uint16_t)(who.thread + 1), 0};
    }
}

void end_copy(cuda_thread *who, uint32_t address, const void *value, uint32_t bytes)
{
    words w = words_of(address, bytes);
    memcpy(memory + (address - BASE), value, bytes);
    for (uint32_t i = w.first; i < w.end; i++)
        shadows[i] = {stamp_of(*who), 0, {0, 0}, 0, 0};
    await_fence(who, w.first, w.end - w.first);
}

void reserve_mbarrier(uint32_t address)
{
    note_write(&me(), "mbarrier_init of", address, 8);
    words w = words_of(address, 8);
    for (uint32_t i = w.first; i < w.end; i++)
        shadows[i].n_reading = MBARRIER;
}

void fence_writes(cuda_thread *who)
{
    word_ranges *list = &who->unfenced;
    for (int i = 0; i < list->n; i++)
        for (uint32_t k = 0; k < list->ranges[i].n; k++) {
            shadow &s = shadows[list->ranges[i].first + k];
            if (s.writer && agent_of(s.writer) == who->thread && !s.fence)
                s.fence = stamp_of(*who);
        }
    list->n = 0;
}

/* ---- the async proxy ---- */

void async_begin_write(const cuda_thread &who, const char *what, uint32_t address, uint32_t bytes)
{
    words w = words_of(address, bytes);
    for (uint32_t i = w.first; i < w.end; i++) {
        check_write(who, what, i);
        check_fence(who, what, i);
        shadows[i] = {0, 0, {0, 0}, BY_TMA, 0};
    }
}

void async_end_write(int agent, uint32_t clock, uint32_t address, uint32_t bytes)
{
    words w = words_of(address, bytes);
    for (uint32_t i = w.first; i < w.end; i++)
        shadows[i] = {clock << 11 | (uint32_t)agent, 0, {0, 0}, 0, 0};
}

void async_begin_read(const cuda_thread &who, const char *what, uint32_t address, uint32_t bytes)
{
    words w = words_of(address, bytes);
    for (uint32_t i = w.first; i < w.end; i++) {
        check_read(who, what, i);
        check_fence(who, what, i);
        shadows[i].n_reading++;
    }
}

void async_end_read(const cuda_thread &who, uint32_t address, uint32_t bytes)
{
    words w = words_of(address, bytes);
    for (uint32_t i = w.first; i < w.end; i++) {
        shadows[i].n_reading--;
        remember_read(who, i);
    }
}

/* ---- loads and stores ---- */

void read_shared(uint32_t address, void *to, uint32_t bytes, place at)
{
    enter(at);
    const unsigned char *from = shared_bytes("load_shared of", address, bytes, bytes);
    note_read(me(), "load_shared of", address, bytes);
    memcpy(to, from, bytes);
}

void write_shared(uint32_t address, const void *from, uint32_t bytes, place at)
{
    if (!visit("store_shared", at))
        return;
    unsigned char *to = shared_bytes("store_shared to", address, bytes, bytes);
    note_write(&me(), "store_shared to", address, bytes);
    memcpy(to, from, bytes);
}

} // namespace emu
} // namespace hw
