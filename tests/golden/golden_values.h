/*
 * golden_values.h: what transformers computed of a golden case: expected.safetensors, tensors by
 * prompt and name.
 */
#ifndef TEST_GOLDEN_VALUES_H
#define TEST_GOLDEN_VALUES_H

#include "checkpoint/safetensors.h"

/* The file in memory. */
struct golden {
    char *bytes;
    struct ppi_safetensors table;
    struct ppi_mem mem;
};

struct golden golden_open(const char *case_name);
void golden_close(struct golden *golden);

/* The values of "p<prompt>.<name>", 4 bytes each and perhaps not aligned, or NULL; *n their
 * number. */
const void *golden_get(const struct golden *golden, int prompt, const char *name, size_t *n);

/* Fails the test unless ours [n] are the values from `offset` on up to `tolerance` of the largest
 * of them. what: the case, for the message. */
void golden_expect(const float *ours, const struct golden *golden, int prompt, const char *name,
                   size_t offset, size_t n, double tolerance, const char *what);

#endif
