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
    bool linear;    /* a state in the place of keys and values */
    int64_t n_kv_heads, head_dim;
    int64_t kv_layer; /* whose keys and values it sees: its own number or an earlier one */
    bool v_is_k;      /* values are the projection of the keys */
    int64_t inter;    /* of its dense mlp; 0: none */
    bool experts;     /* in the place of the mlp; of Gemma 4 beside it */
};

/* How logits become weights: softmax over all, then the largest; the largest, then softmax over
 * these; each by itself. */
enum oracle_scoring { ORACLE_SOFTMAX_ALL, ORACLE_SOFTMAX_CHOSEN, ORACLE_SIGMOID };

struct oracle_experts_config {
    int64_t n, top_k, inter, shared_inter; /* n 0: no layer has experts; shared_inter 0: none */
    enum oracle_scoring scoring;
    bool normalize, shared_gate;
    double scale; /* of weights */
    bool clamped; /* the gated product of GPT-OSS */
    double limit, alpha;
};

enum oracle_rule { ORACLE_NO_LINEAR, ORACLE_DELTA, ORACLE_MAMBA2 };

struct oracle_linear_config {
    enum oracle_rule rule;
    int64_t k_heads, v_heads, k_dim, v_dim, kernel;
    bool conv_bias, bias;
    double dt_min, dt_max; /* of Mamba 2 */
};

struct oracle_config {
    int64_t vocab, hidden, n_layers, n_heads;
    int64_t kv_row; /* the largest n_kv_heads * head_dim of a layer */
    bool tied, qkv_bias, o_bias, mlp_bias, fused_qkv, fused_gate_up;
    bool parallel; /* attention and mlp read the same normed input */
    bool attention_gate, sinks, v_norm, layer_scale;
    enum oracle_act act;
    enum oracle_norm norm;
    enum oracle_qk_norm qk_norm;
    const char *norms[N_PLACES];             /* names inside a layer, NULL: none there */
    double eps, scale, score_cap, logit_cap; /* caps: 0 for none; scale 0: 1 / sqrt(head_dim) */
    double embed_multiplier, residual_multiplier, logit_multiplier;
    double query_beta, query_length;        /* q *= 1 + beta ln(1 + floor(position / length)) */
    int64_t layer_input, layer_input_vocab; /* of Gemma 4: elements a layer; 0: none */
    struct oracle_rope ropes[2];
    struct oracle_layer_config layers[ORACLE_MAX_LAYERS];
    struct oracle_experts_config experts;
    struct oracle_linear_config linear;
};

/* Reads dir/config.json; fails the running test where it cannot. */
void oracle_config_read(const char *dir, struct oracle_config *config);

#endif
