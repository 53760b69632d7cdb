/*
 * oracle.h: a transformer in straight lines and double precision, with a dense mask: the meaning
 * that the library's results are compared with. It shares no code with the library and reads
 * config.json and the weights by itself.
 */
#ifndef TEST_ORACLE_H
#define TEST_ORACLE_H

#include "oracle_config.h"

struct oracle;

/* Opens a checkpoint of any family in oracle_families.c; fails the running test where it cannot,
 * and where a stored tensor is left over. */
struct oracle *oracle_open(const char *dir);
void oracle_close(struct oracle *oracle);

const struct oracle_config *oracle_get_config(const struct oracle *oracle);

/* longrope and dynamic choose their frequencies by a length. By default (0) it is the prompt's own,
 * its last position + 1; a positive length stands for all prompts. */
void oracle_set_rope_length(struct oracle *oracle, int64_t length);

/*
 * Runs n tokens at the given positions: prompts one after the other, each with positions that grow
 * by one. mask [n, n]: 1 where row i may see column j; windows of layers narrow it further.
 * logits: [n, vocab]; k, v: [n_layers, n * kv_row], of each layer that has keys of its own [n,
 * n_kv_heads, head_dim] from there on; each may be NULL.
 */
void oracle_forward(const struct oracle *oracle, int64_t n, const int32_t *tokens,
                    const int32_t *positions, const uint8_t *mask, double *logits, double *k,
                    double *v);

#endif
