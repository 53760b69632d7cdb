/*
 * product_cases.h: what tests of the context's products share: a context, weights, products of
 * host rows.
 */
#ifndef TEST_PRODUCT_CASES_H
#define TEST_PRODUCT_CASES_H

#include "cuda/context.h"
#include "cuda/products.h"
#include "under_test.h"

/* A context and what it logged. */
struct product_context {
    struct ppi_backend *backend;
    struct ppi_mem mem;
    int32_t n_warnings;
    char warning[512]; /* the last */
    char info[512];
};

/* act 0: bf16, 1: f16; variant NULL or "own". */
void product_open(struct product_context *context, int32_t act, const char *variant,
                  int32_t hidden_size, int32_t intermediate_size, int32_t max_pass_tokens);
/* Expects that everything was given back. */
void product_close(struct product_context *context);

/* n values of a repeated random block: weights of large matrices in little time. */
float *product_weights(struct rng *rng, size_t n, double deviation);
/* LINEAR or GATE_UP of these weights, [n or 2 n, k]. */
struct ppi_matrix *product_matrix(struct product_context *context, int32_t kind, int64_t n,
                                  int64_t k, const float *weights);
/* NULL: none */
const struct ppi_cuda_class *product_class(const struct product_context *context,
                                           const struct ppi_matrix *w, bool accumulate);

/* What becomes of a product: of matmul scale and bias, of gate_up bias and activation. */
struct product_end {
    const struct ppi_matrix *bias;
    float scale;
    int32_t activation;
};
void *product_ending(struct product_context *context, const struct ppi_matrix *w, const uint16_t *a,
                     int64_t n_rows, const float *start, const struct product_end *end);
/* out [n_rows, n], malloc'ed: f32, or act of a GATE_UP matrix. a: act [n_rows, k]; start: f32
 * [n_rows, n], what is in out before, or NULL. Rows of a beyond n_rows are NaN on the device. */
void *product_of(struct product_context *context, const struct ppi_matrix *w, const uint16_t *a,
                 int64_t n_rows, const float *start);
size_t product_row_bytes(const struct ppi_matrix *w);

#endif
