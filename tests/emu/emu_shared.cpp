/*
 * emu_shared.cpp: shared memory and its shadow.
 *
 * Every 4 bytes have a shadow: who wrote them last, who read them since, and whether an
 * asynchronous copy is still writing them. An access is an error when it is not ordered after a
 * conflicting one of another thread (no barrier between them), or touches bytes in flight. Of many
 * readers two are remembered, drawn at random: a missing barrier shows in the other words of a
 * tile.
 */
#include "emu_block.h"

namespace hw {
namespace emu {

constexpr uint32_t BASE = 1024; /* of the dynamic part; what is below belongs to the system */
constexpr uint32_t WORD = 4;

/* A stamp: an agent and its clock; 0: nobody. */
struct shadow {
    uint32_t writer;
    uint32_t readers[2];
    uint16_t copied_by; /* thread + 1 whose copy is in flight */
    uint16_t reserved;
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

[[noreturn]] static void race(const char *what, uint32_t word, const char *other_did,
                              uint32_t stamp)
{
    fail("%s shared + %u, which thread %d %s with no barrier in between", what, word * WORD,
         agent_of(stamp), other_did);
}

[[noreturn]] static void in_flight(const char *what, uint32_t word, const shadow &s)
{
    fail("%s shared + %u, which cp.async of thread %d is still writing", what, word * WORD,
         s.copied_by - 1);
}

void note_read(const cuda_thread &who, const char *what, uint32_t address, uint32_t bytes)
{
    uint32_t stamp = stamp_of(who), agent = (uint32_t)who.thread;
    uint32_t end = (address - BASE + bytes) / WORD;
    for (uint32_t word = (address - BASE) / WORD; word < end; word++) {
        shadow &s = shadows[word];
        if (s.copied_by)
            in_flight(what, word, s);
        if (!ordered(who, s.writer))
            race(what, word, "wrote", s.writer);
        int slot = 0;
        if ((s.readers[0] & 0x7ff) != agent && !ordered(who, s.readers[0]))
            slot = ordered(who, s.readers[1]) ? 1 : (int)(draw() & 1);
        s.readers[slot] = stamp;
    }
}

/* May the thread write here, now or by a copy? */
static void check_write(const cuda_thread &who, const char *what, uint32_t word)
{
    const shadow &s = shadows[word];
    if (s.copied_by)
        in_flight(what, word, s);
    if (!ordered(who, s.writer))
        race(what, word, "wrote", s.writer);
    for (int i = 0; i < 2; i++)
        if (!ordered(who, s.readers[i]))
            race(what, word, "read", s.readers[i]);
}

void note_write(const cuda_thread &who, const char *what, uint32_t address, uint32_t bytes)
{
    uint32_t end = (address - BASE + bytes) / WORD;
    for (uint32_t word = (address - BASE) / WORD; word < end; word++) {
        check_write(who, what, word);
        shadows[word] = {stamp_of(who), {0, 0}, 0, 0};
    }
}

void begin_copy(const cuda_thread &who, uint32_t address, uint32_t bytes)
{
    uint32_t end = (address - BASE + bytes) / WORD;
    for (uint32_t word = (address - BASE) / WORD; word < end; word++) {
        check_write(who, "cp_async16 to", word);
        shadows[word] = {0, {0, 0}, (uint16_t)(who.thread + 1), 0};
    }
}

void end_copy(const cuda_thread &who, uint32_t address, const void *value, uint32_t bytes)
{
    uint32_t first = (address - BASE) / WORD;
    memcpy(memory + (address - BASE), value, bytes);
    for (uint32_t word = first; word < first + bytes / WORD; word++)
        shadows[word] = {stamp_of(who), {0, 0}, 0, 0};
}

void read_shared(uint32_t address, void *to, uint32_t bytes)
{
    const unsigned char *from = shared_bytes("load_shared of", address, bytes, bytes);
    note_read(me(), "load_shared of", address, bytes);
    memcpy(to, from, bytes);
}

void write_shared(uint32_t address, const void *from, uint32_t bytes)
{
    unsigned char *to = shared_bytes("store_shared to", address, bytes, bytes);
    note_write(me(), "store_shared to", address, bytes);
    memcpy(to, from, bytes);
}

} // namespace emu
} // namespace hw
