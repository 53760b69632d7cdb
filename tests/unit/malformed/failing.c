/*
 * failing.c: an allocator that fails once, or from some call on for good.
 */
#include "malformed/failing.h"

#include <stdlib.h>

void *failing_allocate(void *user, size_t bytes, size_t alignment)
{
    struct failing *failing = user;
    void *memory = NULL;
    failing->n_left--;
    if (failing->n_left == 0 || (failing->persistent && failing->n_left < 0) ||
        posix_memalign(&memory, alignment, bytes) != 0)
        return NULL;
    failing->n_blocks++;
    return memory;
}

void failing_release(void *user, void *memory, size_t bytes)
{
    (void)bytes;
    ((struct failing *)user)->n_blocks--;
    free(memory);
}
