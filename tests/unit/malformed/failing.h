/*
 * failing.h: an allocator that fails once, or from some call on for good.
 */
#ifndef TEST_FAILING_H
#define TEST_FAILING_H

#include <prepack/common.h>

#include <stdbool.h>

/* Fails the n_left-th allocation from now, and with `persistent` all after it. */
struct failing {
    int n_left;
    bool persistent;
    int n_blocks; /* held now */
};

/* As the user's functions of pp_allocator, with a struct failing as user. */
void *failing_allocate(void *user, size_t bytes, size_t alignment);
void failing_release(void *user, void *memory, size_t bytes);

#endif
