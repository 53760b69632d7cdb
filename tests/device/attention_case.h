/*
 * attention_case.h: attention problems for tests, what they should give, and running them in any
 * arrangement of rows, keys and launches. Results come back in the order of the prompts, so that
 * arrangements can be compared bit by bit.
 */
#ifndef TEST_ATTENTION_CASE_H
#define TEST_ATTENTION_CASE_H

#include "under_test.h"

/* The last n_rows of n_keys positions (or rows before position 0, when there are more rows). Host
 * arrays of act: q [n_rows, n_heads, head_dim], k and v [n_keys, n_kv_heads, head_dim]. */
struct prompt {
    int32_t n_rows, n_keys;
    uint16_t *q, *k, *v;
};

struct attention_case {
    int32_t act; /* 0: bf16, 1: f16 */
    int32_t n_heads, n_kv_heads, head_dim;
    int32_t window_left, window_right; /* as in kernels.h */
    double softmax_scale;
    double softcap;     /* 0: none */
    const float *sinks; /* [n_heads], a score of each head; or NULL */
    int32_t n_prompts;
    struct prompt *prompts;
};

/* Shapes and random prompts; n_keys NULL: as many as rows. Causal, scale 1 / sqrt(head_dim). */
struct attention_case make_case(struct rng *rng, int32_t act, int32_t n_kv_heads, int32_t group,
                                int32_t head_dim, int32_t n_prompts, const int32_t *n_rows,
                                const int32_t *n_keys);
void free_case(struct attention_case *attention);
int32_t case_rows(const struct attention_case *attention);
/* Elements of out of a case, and where those of a prompt begin. */
size_t case_out_len(const struct attention_case *attention);
size_t prompt_out_start(const struct attention_case *attention, int32_t prompt);

/* ---- what it should give ----
 * out: [rows, n_heads, head_dim], lse: [rows, n_heads]. The naive computation has act inputs, f32
 * sums, weights rounded to act: what the kernels' errors are measured against.
 */
void exact_attention(const struct attention_case *attention, double *out, double *lse);
void naive_attention(const struct attention_case *attention, uint16_t *out, float *lse);

/* ---- running it ---- */

enum kv_mode { KV_ROWS, KV_TABLE, KV_PAGES, N_KV_MODES };
/* The kernels that the device has, as the backend shares prompts out between them; one of them for
 * everything (where there is one for any number of rows, that); those of compute capability 8.0. */
enum kernel_choice { BOTH_KERNELS, PREFILL_KERNEL, FEW_KERNEL, MMA_KERNELS };

/* Query rows first_row .. first_row + n_rows - 1 of a prompt as a span of their own, with the keys
 * up to the last row's position. */
struct piece {
    int32_t prompt, first_row, n_rows;
};

struct arrangement {
    enum kv_mode mode;
    int32_t page_tokens; /* TABLE, PAGES */
    enum kernel_choice kernel;
    const struct piece *pieces; /* NULL: whole prompts, in order */
    int32_t n_pieces;
    bool no_lse;
};

/* out: act [rows, n_heads, head_dim], lse: f32 [rows, n_heads]; rows of prompts without a piece
 * are 0xFFFF. Everything around rows, keys and results is NaN before and must be so after. */
void run_case(struct rng *rng, const struct attention_case *attention,
              const struct arrangement *how, uint16_t *out, float *lse);

#endif
