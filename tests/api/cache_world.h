/*
 * cache_world.h: what tests of caches that travel share: small models of every kind of cache, and
 * running prompts on them.
 */
#ifndef TEST_CACHE_WORLD_H
#define TEST_CACHE_WORLD_H

#include "support/sessions.h"

#include <check.h>

#define CACHE_VOCAB  96
#define CACHE_MODELS 4
#define CACHE_STATES 6 /* those from CACHE_MODELS on have states */
#define CACHE_ALL    7

/* A model of pseudo-random weights: 0 without windows, 1 windows in some layers, 2 in all, 3 with
 * both and rotations that change after 64 tokens. Behind CACHE_MODELS those with linear layers: 4
 * by the gated delta rule, the last one attends, 5 Mamba 2, the last one is linear; and
 * 6, whose layers have heads of two shapes and the last of which see the keys of others. */
pp_model *cache_model(int i, uint64_t seed);

/* Ids of a text; the same for each call. */
extern const int32_t cache_ids[512];

/* A cache of the first n ids. */
pp_kvcache *cache_prefill(pp_session *session, int64_t n);

/* Appends ids begin .. end - 1 and collects all that there is then. */
struct run_bits cache_continue(pp_session *session, pp_kvcache *cache, int64_t begin, int64_t end);

/* The shape of a layer's keys and values. */
struct cache_shape {
    int32_t n_layers, n_kv_heads, head_dim;
    int32_t dtype; /* the session's */
};
struct cache_shape cache_shape(const pp_session *session, int32_t layer);

#endif
