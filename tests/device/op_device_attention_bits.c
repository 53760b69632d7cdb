/*
 * op_device_attention_bits.c: the bits of an attention row depend on its own prompt only: not on
 * the company, the order, the cut into chunks, the kernel, or where keys and values are. By memcmp.
 */
#include "attention_case.h"

#include <prepack/common.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))
#define MAX_PROMPTS  8
#define MAX_PIECES   1024

/* A case of random shape. Every third has a window, every third a softcap, every second a prefix
 * and sinks. */
static struct attention_case random_case(struct rng *rng, int32_t longest)
{
    static const int32_t head_dims[] = {8, 64, 72, 96, 128, 160, 256};
    static const int32_t groups[] = {1, 2, 3, 4, 7, 8};
    static const float sinks[8] = {2, -1, 0, 7, 3, -30, 1, 4};
    int32_t n_rows[MAX_PROMPTS], n_keys[MAX_PROMPTS];
    bool has_prefix = rng_between(rng, 0, 1);
    int32_t n = (int32_t)rng_between(rng, 2, device_is_emulated() ? 5 : MAX_PROMPTS);
    for (int32_t i = 0; i < n; i++) {
        n_rows[i] = (int32_t)rng_between(rng, 1, rng_between(rng, 0, 2) ? longest : 5);
        n_keys[i] = n_rows[i] + (has_prefix ? (int32_t)rng_between(rng, 0, longest) : 0);
    }
    int32_t group = groups[rng_between(rng, 0, COUNT(groups) - 1)];
    int32_t head_dim = head_dims[rng_between(rng, 0, COUNT(head_dims) - 1)];
    struct attention_case a = make_case(rng, (int32_t)rng_between(rng, 0, 1), group > 3 ? 1 : 2,
                                        group, head_dim, n, n_rows, n_keys);
    if (rng_between(rng, 0, 2) == 0)
        a.window_left = (int32_t)rng_between(rng, 0, longest);
    if (rng_between(rng, 0, 2) == 0)
        a.softcap = 5;
    if (has_prefix)
        a.sinks = sinks;
    printf("# bf16/f16 %d, %d heads for %d, head_dim %d, window %d, softcap %g, sinks %d, %d "
           "prompts\n",
           a.act, a.n_heads, a.n_kv_heads, head_dim, a.window_left, a.softcap, has_prefix, n);
    return a;
}

struct results {
    uint16_t *out;
    float *lse;
    size_t len, n_sums;
};

static struct results run(struct rng *rng, const struct attention_case *a,
                          const struct arrangement *how)
{
    struct results r = {.len = case_out_len(a)};
    r.n_sums = r.len / (size_t)a->head_dim;
    r.out = device_host(r.len * sizeof *r.out);
    r.lse = device_host(r.n_sums * sizeof *r.lse);
    run_case(rng, a, how, r.out, r.lse);
    return r;
}

static void free_results(struct results *r)
{
    free(r->out);
    free(r->lse);
}

static void expect_same(const struct results *a, const struct results *b, const char *what)
{
    for (size_t i = 0; i < a->len; i++)
        EXPECT(a->out[i] == b->out[i], "%s: element %zu of %zu: %04x, %04x", what, i, a->len,
               a->out[i], b->out[i]);
    EXPECT(memcmp(a->lse, b->lse, a->n_sums * sizeof *a->lse) == 0, "%s: lse differs", what);
}

/* The same as run, and compared. */
static void run_same(struct rng *rng, const struct attention_case *a, const struct arrangement *how,
                     const struct results *expected, const char *what)
{
    struct results r = run(rng, a, how);
    expect_same(expected, &r, what);
    free_results(&r);
}

static int n_rounds(void)
{
    return device_is_emulated() ? 6 : 100;
}

static void alone_or_packed(void)
{
    struct rng rng = rng_seeded(11);
    for (int round = 0; round < n_rounds(); round++) {
        struct attention_case a = random_case(&rng, 150);
        struct arrangement how = {.mode = KV_PAGES, .page_tokens = 16};
        struct results packed = run(&rng, &a, &how);
        size_t row = (size_t)(a.n_heads * a.head_dim);
        for (int32_t i = 0; i < a.n_prompts; i++) {
            struct attention_case one = a;
            one.prompts = &a.prompts[i];
            one.n_prompts = 1;
            size_t start = prompt_out_start(&a, i);
            struct results expected = {packed.out + start,
                                       packed.lse + start / row * (size_t)a.n_heads,
                                       case_out_len(&one), case_out_len(&one) / (size_t)a.head_dim};
            run_same(&rng, &one, &how, &expected, "alone");
        }
        free_results(&packed);
        free_case(&a);
    }
}

/* Prompts in random order, cut at random rows; sometimes into single rows. */
static int32_t cut(struct rng *rng, const struct attention_case *a, bool to_rows,
                   struct piece *pieces)
{
    int32_t n = 0;
    for (int32_t i = 0; i < a->n_prompts; i++) {
        int32_t first = 0, left = a->prompts[i].n_rows;
        while (left > 0) {
            int32_t n_rows = to_rows ? 1 : (int32_t)rng_between(rng, 1, left);
            EXPECT(n < MAX_PIECES, "too many pieces");
            pieces[n++] = (struct piece){i, first, n_rows};
            first += n_rows;
            left -= n_rows;
        }
    }
    for (int32_t i = n - 1; i > 0; i--) {
        int32_t j = (int32_t)rng_between(rng, 0, i);
        struct piece swapped = pieces[i];
        pieces[i] = pieces[j];
        pieces[j] = swapped;
    }
    return n;
}

static void whole_or_chunked(void)
{
    struct rng rng = rng_seeded(12);
    struct piece pieces[MAX_PIECES];
    for (int round = 0; round < n_rounds(); round++) {
        struct attention_case a = random_case(&rng, 140);
        struct arrangement how = {.mode = (enum kv_mode)(round % N_KV_MODES), .page_tokens = 16};
        struct results whole = run(&rng, &a, &how);
        how.pieces = pieces;
        for (int kernel = BOTH_KERNELS; kernel <= FEW_KERNEL; kernel++) {
            how.kernel = (enum kernel_choice)kernel;
            how.n_pieces = cut(&rng, &a, false, pieces);
            run_same(&rng, &a, &how, &whole, "chunked");
        }
        how.kernel = BOTH_KERNELS;
        how.n_pieces = cut(&rng, &a, true, pieces);
        run_same(&rng, &a, &how, &whole, "row by row");
        free_results(&whole);
        free_case(&a);
    }
}

/* A short prompt cut in two at every row. */
static void cut_anywhere(void)
{
    struct rng rng = rng_seeded(13);
    static const int32_t n_rows[] = {70}, n_keys[] = {75};
    struct attention_case a = make_case(&rng, 0, 1, 3, 64, 1, n_rows, n_keys);
    struct arrangement how = {.mode = KV_ROWS};
    struct results whole = run(&rng, &a, &how);
    for (int32_t at = 1; at < n_rows[0]; at++) {
        struct piece pieces[] = {{0, 0, at}, {0, at, n_rows[0] - at}};
        how.pieces = pieces;
        how.n_pieces = 2;
        run_same(&rng, &a, &how, &whole, "cut in two");
    }
    free_results(&whole);
    free_case(&a);
}

static void either_kernel(void)
{
    struct rng rng = rng_seeded(14);
    for (int round = 0; round < n_rounds(); round++) {
        struct attention_case a = random_case(&rng, 200);
        if (round % 3 == 0) { /* windows may look forward here */
            a.window_right = (int32_t)rng_between(&rng, -1, 100);
            a.window_left = (int32_t)rng_between(&rng, -1, 100);
        }
        struct arrangement how = {.mode = KV_TABLE, .page_tokens = 5, .kernel = PREFILL_KERNEL};
        struct results prefill = run(&rng, &a, &how);
        how.kernel = FEW_KERNEL;
        run_same(&rng, &a, &how, &prefill, "kernel for few rows");
        how.kernel = BOTH_KERNELS;
        run_same(&rng, &a, &how, &prefill, "both kernels");
        free_results(&prefill);
        free_case(&a);
    }
}

/* The emulation adds in the same order for mma.sync and wgmma, and the arithmetic around them is
 * the same source, so there the kernels of all GPUs agree. A GPU's wgmma owes nobody that. */
static void every_gpu_emulated(void)
{
    struct rng rng = rng_seeded(17);
    for (int round = 0; round < n_rounds() && device_is_emulated(); round++) {
        struct attention_case a = random_case(&rng, 200);
        struct arrangement how = {.mode = KV_PAGES, .page_tokens = 16, .kernel = MMA_KERNELS};
        struct results mma = run(&rng, &a, &how);
        how.kernel = BOTH_KERNELS;
        run_same(&rng, &a, &how, &mma, "kernels of this GPU");
        free_results(&mma);
        free_case(&a);
    }
}

static void any_place(void)
{
    struct rng rng = rng_seeded(15);
    static const int32_t page_tokens[] = {1, 5, 16, 64, 128};
    for (int round = 0; round < (device_is_emulated() ? 3 : 30); round++) {
        struct attention_case a = random_case(&rng, 150);
        struct arrangement how = {.mode = KV_ROWS};
        struct results rows = run(&rng, &a, &how);
        for (int32_t i = 0; i < COUNT(page_tokens); i++) {
            how.page_tokens = page_tokens[i];
            how.mode = KV_TABLE;
            run_same(&rng, &a, &how, &rows, "block table");
            how.mode = KV_PAGES;
            run_same(&rng, &a, &how, &rows, "page pointers");
        }
        free_results(&rows);
        free_case(&a);
    }
}

/* Prompts between others that hold nothing but NaN or infinities. */
static void poisoned_neighbours(void)
{
    struct rng rng = rng_seeded(16);
    static const uint16_t nan = 0xffff, infinity[] = {0x7f80, 0x7c00};
    for (int round = 0; round < n_rounds(); round++) {
        struct attention_case a = random_case(&rng, 150);
        struct arrangement how = {.mode = (enum kv_mode)(round % N_KV_MODES), .page_tokens = 5};
        struct results clean = run(&rng, &a, &how);
        size_t row = (size_t)(a.n_heads * a.head_dim);
        for (int32_t i = round % 2; i < a.n_prompts; i += 2) {
            struct prompt *p = &a.prompts[i];
            size_t q_len = (size_t)p->n_rows * row;
            size_t kv_len = (size_t)(p->n_keys * a.n_kv_heads * a.head_dim);
            for (size_t e = 0; e < q_len; e++)
                p->q[e] = e % 2 ? nan : infinity[a.act];
            for (size_t e = 0; e < kv_len; e++) {
                p->k[e] = e % 3 ? nan : infinity[a.act];
                p->v[e] = e % 5 ? infinity[a.act] : nan;
            }
        }
        struct results r = run(&rng, &a, &how);
        for (int32_t i = 1 - round % 2; i < a.n_prompts; i += 2) {
            size_t start = prompt_out_start(&a, i), len = (size_t)a.prompts[i].n_rows * row;
            size_t sum = start / (size_t)a.head_dim, n_sums = len / (size_t)a.head_dim;
            EXPECT(memcmp(clean.out + start, r.out + start, len * 2) == 0,
                   "prompt %d changed with its neighbours", i);
            EXPECT(memcmp(clean.lse + sum, r.lse + sum, n_sums * sizeof(float)) == 0,
                   "lse of prompt %d changed with its neighbours", i);
        }
        free_results(&clean);
        free_results(&r);
        free_case(&a);
    }
}

static const struct device_test tests[] = {
    {"alone_or_packed", alone_or_packed},
    {"whole_or_chunked", whole_or_chunked},
    {"cut_anywhere", cut_anywhere},
    {"either_kernel", either_kernel},
    {"every_gpu_emulated", every_gpu_emulated},
    {"any_place", any_place},
    {"poisoned_neighbours", poisoned_neighbours},
};

int main(int argc, char **argv)
{
    return device_main(tests, sizeof tests / sizeof *tests, argc, argv);
}
