/*
 * make_family_impl.h: what was drawn of a checkpoint. make_family.c draws and writes config.json,
 * make_family_tensors.c tensors, as every family has them; make_mixture.c and
 * make_mixture_tensors.c experts, linear layers and what Gemma 4 has.
 */
#ifndef TEST_MAKE_FAMILY_IMPL_H
#define TEST_MAKE_FAMILY_IMPL_H

#include "oracle_families.h"
#include "sessions.h"
#include "write_tensors.h"

enum { MAX_LAYERS = 6 };

/* A class with the text model inside. */
struct outer {
    const char *name, *class_name, *inner;
};

struct layer_shape {
    int32_t kv_heads, head_dim, inter; /* inter 0: no dense mlp */
    int32_t kv_layer;                  /* whose keys it sees */
};

struct draw {
    const struct family *family;
    struct rng *rng;
    const struct outer *nested; /* or NULL */
    bool classic, attention_bias, mlp_bias, tied, use_sliding, types_given, qk_norm, v_is_k;
    int32_t vocab, hidden, inter, layers, heads, kv_heads, head_dim, window, dtype, n_files;
    int32_t max_position, original;
    double partial;
    enum oracle_rope_kind rope;
    bool full[MAX_LAYERS], rotates[MAX_LAYERS]; /* when types_given or listed */
    bool linear[MAX_LAYERS];
    struct layer_shape own[MAX_LAYERS];
    const char *model_prefix, *head_prefix;

    bool has_experts[MAX_LAYERS], fused, mxfp4, normalize, conv_bias, linear_bias, wide;
    int32_t n_experts, top_k, expert_size, shared_size, first_dense, sparse_step, period;
    int32_t k_heads, v_heads, k_dim, v_dim, kernel;
    int32_t global_head_dim, global_kv_heads, n_shared, input_size;
};

static inline bool coin(struct rng *rng)
{
    return rng_between(rng, 0, 1) != 0;
}

static inline bool is(const struct draw *draw, const char *name)
{
    return strcmp(draw->family->name, name) == 0;
}

/* Any size on the CPU, a multiple of 8 on a GPU. */
static inline int32_t draw_size(struct rng *rng, int32_t low, int32_t high)
{
    int32_t size = (int32_t)rng_between(rng, low, high);
    return run_on_cuda() ? (size + 7) / 8 * 8 : size;
}

static inline const char *truth(bool value)
{
    return value ? "true" : "false";
}

/* "name": and a value, after a comma. */
__attribute__((format(printf, 3, 4))) void key(FILE *file, const char *name, const char *format,
                                               ...);

/* A tensor of a layer, -1: outside of them. n_rows 0: a vector. */
void add(struct tensor_list *list, const struct draw *draw, int layer, const char *name,
         int64_t n_rows, int64_t n_cols);
const char *full_name(const struct draw *draw, int layer, const char *name, char full[112]);
/* NAME.weight, and NAME.bias. */
void add_linear(struct tensor_list *list, const struct draw *draw, int layer, const char *name,
                int64_t n_rows, int64_t n_cols, bool bias);

/* make_family_tensors.c */
void write_weights(const char *dir, const struct draw *draw);

/* make_mixture.c */
void draw_mixture(struct draw *draw);
void write_mixture_keys(FILE *file, const struct draw *draw);
void write_gemma4_rope(FILE *file, const struct draw *draw);

/* make_mixture_tensors.c */
void add_layer_inputs(struct tensor_list *list, const struct draw *draw);
void add_linear_layer(struct tensor_list *list, const struct draw *draw, int layer);
void add_mixture(struct tensor_list *list, const struct draw *draw, int layer);

#endif
