/*
 * make_checkpoint.h: writes small random checkpoints for tests, through the same files users have.
 */
#ifndef TEST_CHECKPOINT_H
#define TEST_CHECKPOINT_H

#include "model_json.h"
#include "rng.h"

/* Small random shapes: arch, heads, groups, odd sizes, window, tied or not. */
struct model_shape checkpoint_random_shape(struct rng *rng);

/* Writes config.json and model.safetensors with weights of about unit gain (large enough that
 * attention and logits vary) in shape->dtype into a new directory; returns its malloced path.
 * Ends the program ("Bail out!") on any error, as does checkpoint_poison. */
char *checkpoint_write(const struct model_shape *shape, struct rng *rng);
/* Makes the embedding of a token NaN in every element. */
void checkpoint_poison(const char *dir, const struct model_shape *shape, int32_t token);
/* Removes the directory and frees the path. */
void checkpoint_remove(char *dir);

#endif
