/*
 * oracle.h: a transformer in straight lines and double precision, with a dense mask: the meaning
 * that the library's results are compared with. It shares no code with the library but the reading
 * of weights.
 */
#ifndef TEST_ORACLE_H
#define TEST_ORACLE_H

#include <prepack/prepack.h>

struct oracle;

struct oracle *oracle_create(const pp_model *model);
void oracle_destroy(struct oracle *oracle);

/*
 * Runs n tokens at the given positions; mask [n, n]: 1 where row i may see column j.
 * logits: [n, vocab]; k, v: [n_layers, n, n_kv_heads, head_dim]; each may be NULL.
 */
void oracle_forward(const struct oracle *oracle, int64_t n, const int32_t *tokens,
                    const int32_t *positions, const uint8_t *mask, double *logits, double *k,
                    double *v);

#endif
