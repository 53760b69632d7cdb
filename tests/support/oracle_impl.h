/*
 * oracle_impl.h: the parts of the oracle's forward pass: oracle.c has layers and ends,
 * oracle_attention.c, oracle_linear.c and oracle_experts.c what they are made of.
 */
#ifndef TEST_ORACLE_IMPL_H
#define TEST_ORACLE_IMPL_H

#include "oracle.h"
#include "oracle_math.h"
#include "oracle_weights.h"

struct oracle {
    struct oracle_config config;
    struct oracle_weights weights;
    int64_t rope_length;
};

/* What the rows of a pass go through. */
struct oracle_pass {
    int64_t n;
    const int32_t *positions;
    const uint8_t *mask;
    double *x, *h, *normed; /* [n, hidden]: the stream, a block's result, its input */
    double *kv[2];          /* [n_layers, n kv_row]: rows of each layer without a gap */
    double *inputs;         /* [n, n_layers, layer_input], or NULL */
};

/* One past the last row of the prompt that begins at a row. */
int64_t oracle_prompt_end(const int32_t *positions, int64_t begin, int64_t n);

/* h = attention, linear layer, dense mlp, experts of `normed` (Gemma 4's experts read x). */
void oracle_attention(const struct oracle *oracle, int64_t i_layer, struct oracle_pass *pass);
void oracle_linear(const struct oracle *oracle, int64_t i_layer, struct oracle_pass *pass);
void oracle_mlp(const struct oracle *oracle, int64_t i_layer, struct oracle_pass *pass);
void oracle_experts(const struct oracle *oracle, int64_t i_layer, struct oracle_pass *pass);

#endif
