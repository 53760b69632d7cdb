/*
 * attention_world.h: what tests of pp_attention_varlen share: prompts whose values are a function
 * of who they are, laid out in any way, run on the device under test, and compared with double
 * precision.
 *
 * The device is PREPACK_TEST_DEVICE, by default "cpu". Its memory is reached through the CUDA
 * runtime that belongs to it, so the same tests run on a GPU and in emulation.
 */
#ifndef TEST_ATTENTION_WORLD_H
#define TEST_ATTENTION_WORLD_H

#include "support/rng.h"

#include <prepack/prepack.h>

#include <stdbool.h>

#define MAX_PROMPTS 12

extern pp_error err; /* of the last call that failed */

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)

/* For loops: an assertion of Check costs a system call even when it holds. */
#define EXPECT(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

/* ---- the device ---- */

/* A session without a model, or NULL where the device under test is not here: the test is to be
 * left out. */
pp_session *world_session(int32_t n_threads);
/* The dtypes of the device under test, 0 at the end. */
const int32_t *world_dtypes(void);

/* Device memory, 64-byte aligned. */
void *device_take(size_t bytes);
void device_give(void *device);
void device_put(void *device, const void *host, size_t bytes);
void device_get(void *host, const void *device, size_t bytes); /* waits for all work */

/* ---- prompts ---- */

struct prompt {
    uint64_t who; /* its values; 0: all NaN */
    int32_t n_q, n_k;
};

#define LAYOUT_PACKED 0 /* strides left at 0 */
#define LAYOUT_FUSED  1 /* q, k and v side by side in rows of one buffer; out in wider rows */
#define LAYOUT_HEAD_MAJOR                                                                          \
    2 /* [n_heads, total, head_dim]; pages [n_pages, n_kv_heads, page, ...]                        \
       */

struct world {
    int32_t dtype;
    int32_t n_heads, n_kv_heads, head_dim;
    int32_t window_left, window_right;
    int32_t page_size; /* 0: no pages */
    int32_t layout;
    int32_t gap;       /* rows of NaN behind each prompt; seqlens are then given */
    int32_t first_row; /* of each prompt's values that its rows of q have */
    float scale;       /* 0: default */
    int32_t n_prompts;
    struct prompt prompts[MAX_PROMPTS];
};

/* Heads 4 over 2 of 32, causal, no prompts. */
struct world world_of(int32_t dtype);
void world_add(struct world *world, uint64_t who, int32_t n_q, int32_t n_k);

/* A row's element of q (which 'q'), k or v, exact in every dtype. */
double world_value(uint64_t who, char which, int32_t row, int32_t head, int32_t d);

/* What a run left: out as [n_prompts][n_q, n_heads, head_dim] of dtype without gaps, and lse
 * likewise [n_q, n_heads]. malloc'ed. */
struct result {
    size_t out_bytes, lse_bytes;
    char *out;
    float *lse;
};
/* Lays out, plans, uploads, runs twice (a plan is for many layers), and checks that nothing but
 * rows of prompts was written. */
struct result world_run(const struct world *world, pp_session *session);
void result_free(struct result *result);

/* Compares a result with double precision; prompts with who 0 are passed over. */
void world_check(const struct world *world, const struct result *result);
/* Prompt i of a and prompt j of b have the same bits. */
void world_same(const struct world *a, const struct result *in_a, int32_t i, const struct world *b,
                const struct result *in_b, int32_t j, const char *what);

#endif
