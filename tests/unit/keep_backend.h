/*
 * keep_backend.h: a backend whose matrices only keep what they are given: numbers, or codes, which
 * it makes of numbers as every backend does.
 */
#ifndef TEST_KEEP_BACKEND_H
#define TEST_KEEP_BACKEND_H

#include "backend.h"

struct ppi_matrix {
    int32_t kind, format;
    int64_t n_rows, k;
    int64_t k_padded, groups; /* of a format with codes */
    float *values;            /* [n_rows, k]: the numbers that were given, or are meant */
    uint8_t *codes;           /* [n_rows, k_padded] */
    float *scales, *offsets;  /* [n_rows, groups] */
    uint8_t *filled;          /* how often each row was */
};

extern const struct ppi_backend_ops KEEP_NUMBERS; /* no other format */
extern const struct ppi_backend_ops KEEP_ALL;

#endif
