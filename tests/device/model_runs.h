/*
 * model_runs.h: what the tests of whole models on a device share: shapes, random models and
 * prompts, sessions, and what a prompt leaves behind. The device is "cuda", or what the environment
 * variable PREPACK_TEST_DEVICE names. PREPACK_TEST_DEVICE_EMULATED says that it is slow: shapes and
 * prompts are small then.
 */
#ifndef TEST_MODEL_RUNS_H
#define TEST_MODEL_RUNS_H

#include "support/make_checkpoint.h"
#include "support/plain_tap.h"
#include "support/rng.h"

#include <prepack/prepack.h>

#include <stdbool.h>

extern bool runs_emulated;
extern struct rng runs_rng;

/* Reads the environment. False when the device is not here: the reason is printed as a TAP plan
 * that skips everything. */
bool runs_start(void);

/* The device's names to test, with and without libraries; NULL ends the list. */
const char *const *runs_devices(void);

struct runs_shape {
    const char *name;
    struct model_shape shape;
};
/* The i-th shape, for the device's speed; false past the last. */
bool runs_shape(size_t i, struct runs_shape *shape);
/* One shape that has all of grouped heads, several layers, and a head_dim that fills a tile. */
struct runs_shape runs_main_shape(void);

/* A checkpoint of random weights with unit gain, opened. */
struct runs_model {
    pp_model *model;
    struct model_shape shape;
    char *dir; /* sessions read the weights from there; NULL: none */
};
/* poisoned_token: the token whose embedding is NaN; -1: none. */
struct runs_model runs_model_open(const struct model_shape *shape, int32_t poisoned_token);
void runs_model_close(struct runs_model *model);

/* max_pass_tokens 0: the default. Fails the test where the device cannot. */
pp_session *runs_session(const struct runs_model *model, const char *device, int32_t dtype,
                         int32_t max_pass_tokens);
int32_t runs_dtype(const pp_session *session);

/* n prompts with random ids from first_token on. Freed by runs_prompts_free. */
pp_prompt *runs_prompts(const struct model_shape *shape, int32_t first_token,
                        const int64_t *lengths, size_t n);
void runs_prompts_free(pp_prompt *prompts, size_t n);
/* Prefills the prompts in this order, in bins of the policy and capacity (0: the longest). */
void runs_prefill(pp_session *session, const pp_prompt *prompts, size_t n, int32_t policy,
                  int64_t capacity, pp_kvcache **caches, const float **logits);

/* Keys, then values of every layer, [tokens, n_kv_heads, head_dim] each, in dtype; malloc'ed. */
void *runs_read_kv(const struct model_shape *shape, const pp_kvcache *cache, int32_t dtype,
                   size_t *bytes);
void runs_caches_free(pp_kvcache **caches, size_t n);
void runs_shuffle(size_t *order, size_t n);

#endif
