/*
 * op_device_attention.c: both attention kernels against double precision, by FlashAttention's rule:
 * the error is at most twice that of a naive computation of the same precision, plus what rounding
 * the result once costs.
 */
#include "attention_case.h"

#include <prepack/common.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

/* The largest difference from the exact values, of one head of one prompt. */
static double error_of(const struct attention_case *a, size_t start, int32_t head, int32_t n_rows,
                       const uint16_t *out, const double *exact, double *largest)
{
    double error = 0;
    for (int32_t r = 0; r < n_rows; r++)
        for (int32_t d = 0; d < a->head_dim; d++) {
            size_t at = start + (size_t)((r * a->n_heads + head) * a->head_dim + d);
            double difference = fabs(device_value(device_act(a->act), out, at) - exact[at]);
            /* NaN counts as an error */
            error = difference <= error ? error : difference;
            *largest = fmax(*largest, fabs(exact[at]));
        }
    return error;
}

/* What a case should give: exactly, and how far a naive computation is from it. */
struct expected {
    double *exact, *exact_lse;
    uint16_t *naive;
    float *naive_lse;
};

static struct expected solve_case(const struct attention_case *a)
{
    size_t len = case_out_len(a), n_sums = len / (size_t)a->head_dim;
    struct expected e = {
        .exact = device_host(len * sizeof *e.exact),
        .exact_lse = device_host(n_sums * sizeof *e.exact_lse),
        .naive = device_host(len * sizeof *e.naive),
        .naive_lse = device_host(n_sums * sizeof *e.naive_lse),
    };
    exact_attention(a, e.exact, e.exact_lse);
    naive_attention(a, e.naive, e.naive_lse);
    return e;
}

static void free_expected(struct expected *e)
{
    free(e->exact);
    free(e->exact_lse);
    free(e->naive);
    free(e->naive_lse);
}

static void check_values(const struct attention_case *a, const struct expected *e,
                         const uint16_t *out, const char *what)
{
    double half_ulp = a->act == 0 ? 0x1p-8 : 0x1p-11; /* relative to a power of two below */
    for (int32_t i = 0; i < a->n_prompts; i++)
        for (int32_t head = 0; head < a->n_heads; head++) {
            size_t start = prompt_out_start(a, i);
            int32_t n_rows = a->prompts[i].n_rows;
            double largest = 0;
            double error = error_of(a, start, head, n_rows, out, e->exact, &largest);
            double naive = error_of(a, start, head, n_rows, e->naive, e->exact, &largest);
            EXPECT(error <= 2 * naive + half_ulp * largest,
                   "%s: head_dim %d, group %d, prompt of %d rows, %d keys, head %d: error %g, "
                   "naive %g, largest value %g",
                   what, a->head_dim, a->n_heads / a->n_kv_heads, n_rows, a->prompts[i].n_keys,
                   head, error, naive, largest);
        }
}

static void check_lse(const struct attention_case *a, const struct expected *e, const float *lse,
                      const char *what)
{
    size_t n = case_out_len(a) / (size_t)a->head_dim;
    for (size_t i = 0; i < n; i++) {
        if (e->exact_lse[i] == -INFINITY) {
            EXPECT(lse[i] == -INFINITY, "%s: lse %zu of a row that sees nothing is %g", what, i,
                   (double)lse[i]);
            continue;
        }
        /* The score's sum and the fast exponential and logarithm err by a few 2^-22. */
        double error = fabs(lse[i] - e->exact_lse[i]);
        double allowed =
            2 * fabs(e->naive_lse[i] - e->exact_lse[i]) + 0x1p-19 * (1 + fabs(e->exact_lse[i]));
        allowed += 0x1p-21 * a->softcap; /* kernels_attention.h */
        EXPECT(error <= allowed, "%s: lse %zu: error %g, allowed %g", what, i, error, allowed);
    }
}

/* Runs and checks with either kernel and with both. */
static void run_and_check(struct rng *rng, const struct attention_case *a, enum kv_mode mode)
{
    static const char *const names[] = {"both kernels", "prefill kernel", "kernel for few rows"};
    size_t len = case_out_len(a);
    uint16_t *out = device_host(len * sizeof *out);
    float *lse = device_host(len / (size_t)a->head_dim * sizeof *lse);
    struct expected e = solve_case(a);
    for (int kernel = BOTH_KERNELS; kernel <= FEW_KERNEL; kernel++) {
        struct arrangement how = {
            .mode = mode, .page_tokens = 16, .kernel = (enum kernel_choice)kernel};
        run_case(rng, a, &how, out, lse);
        check_values(a, &e, out, names[kernel]);
        check_lse(a, &e, lse, names[kernel]);
    }
    free_expected(&e);
    free(out);
    free(lse);
}

/* ---- shapes and lengths ---- */

static void run_lengths(struct rng *rng, int32_t act, int32_t n_kv_heads, int32_t group,
                        int32_t head_dim, enum kv_mode mode)
{
    int32_t lengths[131], n = 0;
    static const int32_t edges[] = {1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 130};
    if (device_is_emulated())
        for (; n < COUNT(edges); n++)
            lengths[n] = edges[n];
    else
        for (; n < COUNT(lengths); n++)
            lengths[n] = n;
    struct attention_case a = make_case(rng, act, n_kv_heads, group, head_dim, n, lengths, NULL);
    run_and_check(rng, &a, mode);
    free_case(&a);
}

static const int32_t head_dims[] = {8, 16, 64, 80, 96, 128, 192, 256};
static const int32_t groups[] = {1, 2, 3, 7, 8};

static void lengths_of_every_shape(void)
{
    struct rng rng = rng_seeded(1);
    for (int32_t d = 0; d < COUNT(head_dims); d++)
        for (int32_t g = 0; g < COUNT(groups); g++)
            for (int32_t act = 0; act < 2; act++) {
                /* In emulation every pair of neighbours in the lists. */
                if (device_is_emulated() && (d + g + act) % 5 > 0)
                    continue;
                enum kv_mode mode = (enum kv_mode)((d + g) % N_KV_MODES);
                run_lengths(&rng, act, groups[g] > 3 ? 1 : 2, groups[g], head_dims[d], mode);
            }
}

/* A group larger than a tile; heads of other sizes than a power of two. */
static void large_groups(void)
{
    struct rng rng = rng_seeded(2);
    static const int32_t lengths[] = {1, 2, 17, 65};
    for (int32_t act = 0; act < 2; act++) {
        struct attention_case a = make_case(&rng, act, 1, 71, 64, COUNT(lengths), lengths, NULL);
        run_and_check(&rng, &a, KV_PAGES);
        free_case(&a);
    }
}

/* ---- windows, prefixes, rows that see nothing ---- */

static void windows(void)
{
    struct rng rng = rng_seeded(3);
    static const int32_t sides[][2] = {
        {0, 0}, {1, 0},   {63, 0}, {64, 0},   {100, 0},         {-1, -1},       {-1, 70},
        {5, 3}, {70, 64}, {0, -1}, {130, -1}, {-1, 0x7fffffff}, {0x7fffffff, 0}};
    static const int32_t lengths[] = {1, 64, 65, 129, 200};
    for (int32_t i = 0; i < COUNT(sides); i++) {
        struct attention_case a =
            make_case(&rng, i % 2, 1, 1 + i % 3, 32 + i % 3 * 40, COUNT(lengths), lengths, NULL);
        a.window_left = sides[i][0];
        a.window_right = sides[i][1];
        run_and_check(&rng, &a, (enum kv_mode)(i % N_KV_MODES));
        free_case(&a);
    }
}

/* Keys before the first row (a prefix, an earlier chunk), fewer keys than rows, none at all. */
static void more_or_fewer_keys(void)
{
    struct rng rng = rng_seeded(4);
    static const int32_t n_rows[] = {1, 1, 1, 5, 16, 63, 64, 65, 17, 70, 130, 3, 0};
    static const int32_t n_keys[] = {64, 65, 300, 64, 130, 64, 65, 200, 1, 69, 64, 0, 10};
    for (int32_t i = 0; i < 6; i++) {
        struct attention_case a = make_case(&rng, i % 2, 1 + i % 2, 1 + i, 64 + i % 3 * 32,
                                            COUNT(n_rows), n_rows, n_keys);
        a.window_left = i == 2 ? 40 : i == 3 ? 3 : -1;
        a.window_right = i == 4 ? -1 : i == 5 ? 2 : 0;
        run_and_check(&rng, &a, (enum kv_mode)(i % N_KV_MODES));
        free_case(&a);
    }
}

/* Scores that a cap bends little and much, with windows and prefixes. */
static void softcaps(void)
{
    struct rng rng = rng_seeded(6);
    static const int32_t dims[] = {64, 72, 128, 256};
    static const double caps[] = {50, 3, 0.5};
    static const int32_t n_rows[] = {1, 5, 64, 70, 130, 3}, n_keys[] = {65, 5, 64, 75, 140, 200};
    for (int32_t i = 0; i < 3 * COUNT(dims); i++) {
        struct attention_case a = make_case(&rng, i % 2, 1 + i % 2, 1 + i % 4, dims[i / 3],
                                            COUNT(n_rows), n_rows, n_keys);
        a.softcap = caps[i % 3];
        a.window_left = i % 5 == 4 ? 40 : -1;
        run_and_check(&rng, &a, (enum kv_mode)(i % N_KV_MODES));
        free_case(&a);
    }
}

/* Sinks far below the scores, among them, above them, and so far above that no key is left; rows
 * that see nothing. */
static void sinks(void)
{
    struct rng rng = rng_seeded(7);
    static const int32_t dims[] = {64, 96, 128, 256};
    static const int32_t n_rows[] = {1, 5, 64, 70, 130, 3}, n_keys[] = {65, 5, 64, 75, 140, 1};
    static const float of_heads[] = {-1, 0, 2.5f, -40, 9, 60, 200};
    for (int32_t i = 0; i < 2 * COUNT(dims); i++) {
        struct attention_case a = make_case(&rng, i % 2, 1 + i % 2, 1 + i % 3, dims[i / 2],
                                            COUNT(n_rows), n_rows, n_keys);
        a.sinks = of_heads + i % 2;
        a.softcap = i >= 4 && i % 2 ? 20 : 0;
        a.window_left = i % 3 == 1 ? 40 : -1;
        run_and_check(&rng, &a, (enum kv_mode)(i % N_KV_MODES));
        free_case(&a);
    }
}

/* Rows of zeros for rows that see nothing, whatever memory holds. */
static void rows_that_see_nothing(void)
{
    struct rng rng = rng_seeded(5);
    static const int32_t n_rows[] = {66, 3}, n_keys[] = {1, 0};
    struct attention_case a = make_case(&rng, 0, 1, 2, 80, 2, n_rows, n_keys);
    size_t len = case_out_len(&a), row = (size_t)(a.n_heads * a.head_dim);
    uint16_t *out = device_host(len * sizeof *out);
    for (int kernel = PREFILL_KERNEL; kernel <= FEW_KERNEL; kernel++) {
        struct arrangement how = {.kernel = (enum kernel_choice)kernel, .no_lse = true};
        run_case(&rng, &a, &how, out, NULL);
        for (size_t i = 0; i < len; i++)
            EXPECT(i / row == 65 || out[i] == 0, "element %zu is not +0", i);
        EXPECT(memcmp(out + 65 * row, a.prompts[0].v, (size_t)a.head_dim * 2) == 0,
               "a row that sees one key is not its value");
    }
    free(out);
    free_case(&a);
}

static const struct device_test tests[] = {
    {"lengths_of_every_shape", lengths_of_every_shape},
    {"large_groups", large_groups},
    {"windows", windows},
    {"more_or_fewer_keys", more_or_fewer_keys},
    {"softcaps", softcaps},
    {"sinks", sinks},
    {"rows_that_see_nothing", rows_that_see_nothing},
};

int main(int argc, char **argv)
{
    return device_main(tests, sizeof tests / sizeof *tests, argc, argv);
}
