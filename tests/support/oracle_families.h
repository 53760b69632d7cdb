/*
 * oracle_families.h: the families of models that the oracle knows, a row each.
 */
#ifndef TEST_ORACLE_FAMILIES_H
#define TEST_ORACLE_FAMILIES_H

#include "oracle_config.h"

enum bias { BIAS_NONE, BIAS_BY_KEY, BIAS_QKV, BIAS_QKV_BY_KEY };
enum window { WINDOW_NONE, WINDOW_EVERYWHERE, WINDOW_BY_TYPE };
enum experts_of {
    EXPERTS_NONE,
    EXPERTS_MIXTRAL,
    EXPERTS_QWEN, /* layers by decoder_sparse_step and mlp_only_layers */
    EXPERTS_QWEN35,
    EXPERTS_OLMOE,
    EXPERTS_GRANITE,
    EXPERTS_GLM,
    EXPERTS_GPT_OSS,
    EXPERTS_GEMMA4 /* beside the mlp, by a key */
};
enum linear_of { LINEAR_NONE, LINEAR_QWEN_NEXT, LINEAR_QWEN35, LINEAR_GRANITE };
enum rope_where { ROPE_EVERYWHERE, ROPE_LISTED, ROPE_IF_SLIDING, ROPE_IF_SLIDING_OR_NO_WINDOW };

/* A family: shape of its layers and what omitted keys mean. Places of norms as in N_PLACES. */
struct family {
    const char *name, *class_name; /* model_type, and what architectures says */
    const char *norms[N_PLACES];
    int64_t kv_heads, head_dim, max_position; /* kv_heads 0: as heads; head_dim 0: hidden / heads */
    double eps, theta, sliding_theta;
    double partial; /* of a head that rotates where no key says so; 0: all, and no key is meant */
    int64_t window; /* 0: none */
    int pattern;    /* layer i is full when (i + 1) % pattern is 0; 0: by other keys */
    enum window windows;
    enum bias bias;
    enum rope_where rope;
    enum oracle_norm norm;
    enum oracle_qk_norm qk_norm;
    bool attention_bias, mlp_bias_key, tied, fused_qkv, fused_gate_up, neighbours, use_sliding_key;
    bool gemma;
    enum experts_of experts;
    enum linear_of linear;
    bool shared_expert, shared_gate, normalize_key, sinks, attention_gate;
    bool normalize; /* what norm_topk_prob is where it is absent, or always */
};

/* oracle_families_mixed.c: those with experts, linear layers or layers of several shapes. */
extern const struct family oracle_mixed_families[];
extern const int oracle_n_mixed_families;

/* The family of a model_type, or NULL. */
const struct family *oracle_family(const char *model_type);

#endif
