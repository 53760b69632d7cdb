/*
 * make_checkpoint.h: writes small random checkpoints for tests, through the same files users have.
 */
#ifndef TEST_CHECKPOINT_H
#define TEST_CHECKPOINT_H

#include "rng.h"

#include <prepack/prepack.h>

/* A config with small random shapes: arch, heads, groups, odd sizes, window, tied or not. */
pp_model_config checkpoint_random_config(struct rng *rng);

/* Writes config.json and model.safetensors with weights of about unit gain (large enough that
 * attention and logits vary) in config->dtype into a new directory; returns its malloced path.
 * Ends the program ("Bail out!") on any error, as does checkpoint_poison. */
char *checkpoint_write(const pp_model_config *config, struct rng *rng);
/* Makes the embedding of a token NaN in every element. */
void checkpoint_poison(const char *dir, const pp_model_config *config, int32_t token);
/* Removes the directory and frees the path. */
void checkpoint_remove(char *dir);

#endif
