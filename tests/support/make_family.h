/*
 * make_family.h: writes small random checkpoints of every family that the oracle knows, in the
 * spellings that files have.
 */
#ifndef TEST_MAKE_FAMILY_H
#define TEST_MAKE_FAMILY_H

#include "rng.h"

/* The names that checkpoint_write_family takes, ended by NULL: model_types, and "gemma3" for the
 * one whose text model stands inside. */
extern const char *const checkpoint_families[];

/* How many of them, the first ones, have neither experts nor linear layers and the like. */
int checkpoint_n_plain_families(void);

/*
 * A directory with config.json and weights; remove it with checkpoint_remove. Shapes are odd (on a
 * GPU multiples of 8), heads 24 to 320 wide, windows shorter than prompts of 20 tokens, keys
 * present or left to their defaults, rope_parameters or rope_scaling, tied or not, f32, bf16 or
 * f16, one file or shards: all drawn. family: a name of the list, or that and a kind of rotation,
 * as "llama/yarn"; alone it gets any kind that the family has but dynamic. Ends the program ("Bail
 * out!") on any error.
 */
char *checkpoint_write_family(const char *family, struct rng *rng);

#endif
