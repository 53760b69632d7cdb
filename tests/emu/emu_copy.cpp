/*
 * emu_copy.cpp: cp.async. The bytes are on their way from the call until the thread's own wait for
 * their group: they arrive as late as they may, and until then nobody may touch them.
 */
#include "emu_block.h"

#include <stdlib.h>

namespace hw {
namespace emu {

void copy_begin()
{
    for (int i = 0; i < the.n_threads; i++) {
        copies &c = the.threads[i].pending;
        c.first = c.n = 0;
        c.group = 0;
    }
}

static copy *append(copies *c)
{
    if (c->first > 0 && c->first + c->n == c->capacity) {
        memmove(c->list, c->list + c->first, (size_t)c->n * sizeof *c->list);
        c->first = 0;
    }
    if (c->n == c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 64;
        c->list = (copy *)realloc(c->list, (size_t)c->capacity * sizeof *c->list);
        if (!c->list)
            abort();
    }
    return &c->list[c->first + c->n++];
}

void cp_async16(uint32_t address, const void *global, int bytes, place at)
{
    if (!visit(bytes ? "cp_async16" : "cp_async16 of zeros", at))
        return;
    shared_bytes("cp_async16 to", address, 16, 16);
    if (bytes != 0 && bytes != 16)
        fail("calls cp_async16 for %d bytes", bytes);
    if (bytes && (uintptr_t)global % 16 != 0)
        misaligned_global("cp_async16", global, at);
    cuda_thread &t = me();
    begin_copy(t, address, 16);
    copy *c = append(&t.pending);
    c->address = address;
    c->group = t.pending.group;
    c->value = vec16();
    if (bytes)
        memcpy(&c->value, global, 16);
}

void cp_async_commit(place at)
{
    if (!visit("cp_async_commit", at))
        return;
    me().pending.group++;
}

void cp_async_wait(int n_groups_left, place at)
{
    if (!visit("cp_async_wait", at))
        return;
    if (!visit("cp_async_wait for one group less", at))
        n_groups_left++;
    cuda_thread &t = me();
    copies &c = t.pending;
    /* Groups [0, group) are committed; the last n_groups_left of them may still be on their way. */
    while (c.n && (int64_t)c.list[c.first].group < (int64_t)c.group - n_groups_left) {
        const copy &oldest = c.list[c.first];
        end_copy(&t, oldest.address, &oldest.value, 16);
        c.first++;
        c.n--;
    }
}

} // namespace emu
} // namespace hw
