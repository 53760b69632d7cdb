/*
 * write_tensors.h: writes safetensors, in one file or several with an index, with random values of
 * about unit gain.
 */
#ifndef TEST_WRITE_TENSORS_H
#define TEST_WRITE_TENSORS_H

#include "rng.h"

#include <stdbool.h>

#define MAX_WRITTEN 512

struct written_tensor {
    char name[112];
    int64_t n_rows, n_cols; /* n_rows 0: a vector */
    double center, spread;  /* of its values */
    int64_t n_stacked;      /* as many matrices are one tensor; 0: one is */
    int64_t n_middle; /* of [n_stacked, n_rows, n_middle, n_cols]; 0: there is no such dimension */
    bool bytes;       /* U8, from center to center + spread */
};

struct tensor_list {
    struct written_tensor tensors[MAX_WRITTEN];
    int n;
};

/* Matrices and vectors by the end of their name: norms (around center), biases, embeddings, the
 * rest. The result can be changed until others are added. */
struct written_tensor *tensor_list_add(struct tensor_list *list, const char *name, int64_t n_rows,
                                       int64_t n_cols, double norm_center);

/* Writes them into an existing directory; n_files above 1 writes shards. dtype: PP_DTYPE_*. Ends
 * the program ("Bail out!") on any error. */
void tensor_list_write(const struct tensor_list *list, const char *dir, int n_files, int32_t dtype,
                       struct rng *rng);

#endif
