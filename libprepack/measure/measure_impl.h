/*
 * measure_impl.h: one measurement: an operation, the memory it runs over, and what it does.
 */
#ifndef PPI_MEASURE_IMPL_H
#define PPI_MEASURE_IMPL_H

#include "run/session_impl.h"

#include <prepack/measure.h>

/* Copies of an operand, side by side in device memory: run i uses copy i % n. */
struct ring {
    char *memory;
    size_t stride; /* bytes from copy to copy */
    int64_t n;
};

struct measure {
    struct pp_session *session;
    const pp_measure_params *params;
    int64_t n_rows;
    struct ring in, out;
    pp_kvcache **caches; /* [n_caches] of the prompts that the pass is made of */
    int64_t n_caches;
    char *states; /* [n_caches, state_bytes] of linear layers, device memory; NULL: not needed */
    int64_t state_bytes;
    size_t states_bytes; /* of all */
    struct ppi_pass pass;
    int32_t *source_rows; /* host [n_rows], of gather */
    char *flush; /* [2 * flush_bytes] device memory, whose first half is copied to the second;
                    NULL: caches are not flushed */
    size_t flush_bytes;
    double flop, bytes;
};

/* An operation: prepare takes its memory, fills it and says what a run does; run is run number i,
 * enqueued. */
struct measure_operation {
    const char *name;
    bool is_product;
    pp_status (*prepare)(struct measure *measure, pp_error *err);
    pp_status (*run)(const struct measure *measure, int64_t i, pp_error *err);
};

/* measure_ops.c: the operation of a PP_MEASURE_*, or NULL. */
const struct measure_operation *ppi_measure_find(int32_t operation);
/* The weights that run i of a product uses. */
const struct ppi_matrix *ppi_measure_weights(const struct measure *measure, int64_t i);
/* Whether a product adds to what is there, as in a forward pass. */
bool ppi_measure_accumulates(const struct measure *measure);

/* measure_layers.c: where layers differ, an operation is measured in those that are like the first
 * one that has it. */

/* The layer that run i uses: the next of these; -1: no layer has the operation. */
int32_t ppi_measure_layer(const struct measure *measure, int64_t i);
bool ppi_measure_has_layer(const struct measure *measure, int32_t layer);
int32_t ppi_measure_n_layers(const struct measure *measure);

/* measure_mixed.c */
pp_status ppi_measure_prepare_experts(struct measure *measure, pp_error *err);
pp_status ppi_measure_run_experts(const struct measure *measure, int64_t i, pp_error *err);
pp_status ppi_measure_prepare_route(struct measure *measure, pp_error *err);
pp_status ppi_measure_run_route(const struct measure *measure, int64_t i, pp_error *err);
pp_status ppi_measure_prepare_linear(struct measure *measure, pp_error *err);
pp_status ppi_measure_run_linear(const struct measure *measure, int64_t i, pp_error *err);

/* measure_data.c */

/* Random values of a PP_DTYPE_* for `bytes` bytes of device memory: one block again and again. */
pp_status ppi_measure_fill(struct pp_session *session, void *device, size_t bytes, int32_t dtype,
                           pp_error *err);

/*
 * Takes copies of an input and an output operand, as many as exceed caches if there is memory, one
 * where caches are warm or flushed, and fills them with random values: dtypes are PP_DTYPE_*, sizes
 * in bytes.
 */
pp_status ppi_measure_operands(struct measure *measure, size_t in_bytes, int32_t in_dtype,
                               size_t out_bytes, int32_t out_dtype, pp_error *err);
static inline void *ppi_ring_at(const struct ring *ring, int64_t i)
{
    return ring->memory + (size_t)(i % ring->n) * ring->stride;
}
/* Begins a pass of all tokens of n prompts with random ids, whose keys and values are random too.
 */
pp_status ppi_measure_prompts(struct measure *measure, const int64_t *lengths, int64_t n,
                              pp_error *err);
/* The same prompts, but a pass of the last token of each. */
pp_status ppi_measure_last_tokens(struct measure *measure, const int64_t *lengths, int64_t n,
                                  pp_error *err);
/* A pass of n_rows tokens in prompts of at most `most`. */
#define PPI_MEASURE_SHORT 256
pp_status ppi_measure_rows(struct measure *measure, int64_t most, pp_error *err);
/* Takes the memory that flushes caches. */
pp_status ppi_measure_take_flush(struct measure *measure, pp_error *err);
/* Frees all that the others took. */
void ppi_measure_free(struct measure *measure);

#endif
