/*
 * oracle_config.h: what the oracle knows of the families of models: config.json, with the defaults
 * of transformers' classes, as plain fields. Written from transformers' behaviour, not from the
 * library's reader.
 */
#ifndef TEST_ORACLE_CONFIG_H
#define TEST_ORACLE_CONFIG_H

#include "oracle_rope.h"

#include <stdbool.h>

#define ORACLE_MAX_LAYERS 16

enum oracle_act { ORACLE_SILU, ORACLE_GELU_TANH, ORACLE_GELU };
enum oracle_norm { ORACLE_RMS, ORACLE_RMS_PLUS_ONE, ORACLE_LAYER_NORM };
enum oracle_qk_norm { ORACLE_NO_QK_NORM, ORACLE_QK_NORM_HEAD, ORACLE_QK_NORM_WHOLE };

/* Where a layer's norms stand: before and after attention, before and after the mlp. */
enum { BEFORE_ATTENTION, AFTER_ATTENTION, BEFORE_MLP, AFTER_MLP, N_PLACES };

struct oracle_layer_config {
    int64_t window; /* 0: none; W: the token itself and W - 1 before it */
    int rope;       /* index into ropes, -1: the layer does not rotate */
};

struct oracle_config {
    int64_t vocab, hidden, inter, n_layers, n_heads, n_kv_heads, head_dim;
    bool tied, qkv_bias, o_bias, mlp_bias, fused_qkv, fused_gate_up;
    bool parallel; /* attention and mlp read the same normed input */
    enum oracle_act act;
    enum oracle_norm norm;
    enum oracle_qk_norm qk_norm;
    const char *norms[N_PLACES];             /* names inside a layer, NULL: none there */
    double eps, scale, score_cap, logit_cap; /* caps: 0 for none */
    double embed_multiplier, residual_multiplier, logit_multiplier;
    double query_beta, query_length; /* q *= 1 + beta ln(1 + floor(position / length)) */
    struct oracle_rope ropes[2];
    struct oracle_layer_config layers[ORACLE_MAX_LAYERS];
};

/* Reads dir/config.json; fails the running test where it cannot. */
void oracle_config_read(const char *dir, struct oracle_config *config);

#endif
