/*
 * sessions.h: what tests of sessions share: the kernel sets of this machine, sessions and prompts,
 * and collecting the bits that a run leaves behind.
 */
#ifndef TEST_RUN_H
#define TEST_RUN_H

#include "support/rounds.h"

#include <prepack/prepack.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Fails the running test with the call and its message. */
#define OK(call)                                                                                   \
    do {                                                                                           \
        pp_error err = {.struct_size = sizeof err};                                                \
        pp_error *perr = &err;                                                                     \
        ck_assert_msg((call) >= 0, "%s: %s", #call, err.message);                                  \
        (void)perr;                                                                                \
    } while (0)

/* What a test runs on: a device, a dtype it computes in, and what weights are kept as. */
struct run_target {
    const char *device;
    int32_t dtype;
    int32_t weights; /* PP_WEIGHTS_* */
};

/* The i-th target to try: the CPU's kernel sets in f32 and bf16, or, when the environment variable
 * PREPACK_TEST_DEVICE is "cuda", the GPU (or its emulation) in bf16 and f16. NULL ends the list. */
const struct run_target *run_target(int i);
#define FOR_EACH_TARGET(target)                                                                    \
    for (int target_ = 0; run_target(target_); target_++)                                          \
        for (const struct run_target *target = run_target(target_); target; target = NULL)

/* true when the targets are a GPU or its emulation: shapes are multiples of 8, sizes small. */
static inline bool run_on_cuda(void)
{
    const char *device = getenv("PREPACK_TEST_DEVICE");
    return device && strcmp(device, "cuda") == 0;
}

/* Whether a family, of many, takes a target: every second kernel set, its neighbour the others; on
 * a GPU all. */
static inline bool run_takes(int i_family, int i_target)
{
    return run_on_cuda() || (i_target / 2 + i_family) % 2 == 0;
}

/* Where everything takes many times as long, tests over many families do every third (on an
 * emulated GPU) or sixth (under a sanitizer), and as few of their rounds; else 1. */
static inline int run_step(void)
{
#ifdef RUN_SANITIZED
    return 6;
#else
    return run_on_cuda() ? 3 : 1;
#endif
}

/* A session, or NULL where the machine lacks the CPU's kernel set or a GPU cannot do the model's
 * shapes. max_pass_tokens 0: default. keep_window_pages: as in pp_session_params. */
pp_session *run_session(pp_model *model, struct run_target target, int32_t n_threads,
                        int32_t max_pass_tokens, int32_t keep_window_pages);

/* What a run leaves of one prompt: K and V of every layer in the session's dtype, as far as the
 * cache holds them, or its state, and the logits of its last token. malloced. */
struct run_bits {
    int32_t n_layers;
    int64_t n_tokens;
    struct run_layer {
        int64_t first_token; /* held from here on */
        size_t row_bytes;    /* of a token's keys */
        char *kv[2];         /* of tokens first_token .. n_tokens - 1 */
        char *state[2];      /* PP_STATE_* of a linear layer, which has no keys; NULL where there
                                are no tokens */
        size_t state_bytes[2];
    } * layers;
    float *logits;
    size_t logits_bytes;
};

/* logits: NULL: none to keep. */
struct run_bits run_collect(const pp_session *session, const pp_kvcache *cache,
                            const float *logits);
void run_bits_free(struct run_bits *bits);

/* Compares bit for bit: lengths, logits where both have them, and in each layer the tokens that
 * both hold. NULL when nothing differs; else what does, in a static buffer. */
const char *run_bits_difference(const struct run_bits *a, const struct run_bits *b);

/* Prompts of the given lengths with random ids; free with run_prompts_free. */
pp_prompt *run_prompts(const pp_model *model, uint64_t seed, const int64_t *lengths, size_t n);
void run_prompts_free(pp_prompt *prompts, size_t n);

#endif
