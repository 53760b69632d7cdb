/*
 * model_json.h: shapes of Llama and Mistral as config.json, for tests that make their models up.
 * Public interface only.
 */
#ifndef TEST_MODEL_JSON_H
#define TEST_MODEL_JSON_H

#include <prepack/prepack.h>

struct model_shape {
    int32_t arch; /* PP_ARCH_LLAMA or PP_ARCH_MISTRAL */
    int32_t vocab_size, hidden_size, intermediate_size;
    int32_t n_layers, n_heads, n_kv_heads, head_dim;
    int32_t max_position;
    int32_t sliding_window; /* of PP_ARCH_MISTRAL; 0: none */
    int32_t tie_embeddings;
    int32_t dtype;
    double norm_eps;
    double rope_theta;
    int32_t rope_type; /* PP_ROPE_DEFAULT (or 0), LINEAR, LLAMA3 */
    double rope_factor, rope_low_freq_factor, rope_high_freq_factor;
    int32_t rope_original_max_position;
};

/* The shape of a preset without rope scaling. Ends the program on another name. */
struct model_shape model_shape_of(const char *preset);

/* The text of a config.json, which the caller frees. bos is 1, eos 2. */
char *model_json(const struct model_shape *shape);

/* pp_model_create_random of that text. */
pp_status model_random(const struct model_shape *shape, uint64_t seed,
                       const pp_model_params *params, pp_model **model, pp_error *err);

#endif
