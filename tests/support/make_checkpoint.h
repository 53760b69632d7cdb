/*
 * make_checkpoint.h: writes small random checkpoints of Llama and Mistral for tests, through the
 * same files users have. Every other family: make_family.h.
 */
#ifndef TEST_CHECKPOINT_H
#define TEST_CHECKPOINT_H

#include "rng.h"

#include <prepack/prepack.h>

/* What tests vary. */
struct checkpoint_config {
    const char *arch; /* model_type: "llama" or "mistral" */
    int32_t vocab_size, hidden_size, intermediate_size;
    int32_t n_layers, n_heads, n_kv_heads, head_dim;
    int32_t max_position;
    int32_t sliding_window; /* "mistral" alone; 0: none */
    int32_t tie_embeddings;
    int32_t dtype;            /* PP_DTYPE_* */
    const char *rope_scaling; /* text of that object in config.json; NULL: null */
};

/* Small random shapes: arch, heads, groups, odd sizes (on a GPU multiples of 8), window, tied or
 * not. */
struct checkpoint_config checkpoint_random_config(struct rng *rng);

/* Writes config.json and model.safetensors with weights of about unit gain (large enough that
 * attention and logits vary) in config->dtype into a new directory; returns its malloced path.
 * Ends the program ("Bail out!") on any error, as does checkpoint_poison. */
char *checkpoint_write(const struct checkpoint_config *config, struct rng *rng);
/* Makes the embedding of a token NaN in every element. */
void checkpoint_poison(const char *dir, const struct checkpoint_config *config, int32_t token);
/* Removes the directory and frees the path. */
void checkpoint_remove(char *dir);

#endif
