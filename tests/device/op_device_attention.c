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

static void check_values(const struct attention_case *a, const uint16_t *out, const float *lse,
                         const char *what)
{
    size_t len = case_out_len(a), n_sums = len / (size_t)a->head_dim;
    double *exact = device_host(len * sizeof *exact);
    double *exact_lse = device_host(n_sums * sizeof *exact_lse);
    uint16_t *naive = device_host(len * 2);
    float *naive_lse = device_host(n_sums * sizeof *naive_lse);
    exact_attention(a, exact, exact_lse);
    naive_attention(a, naive, naive_lse);
    double half_ulp = a->act == 0 ? 0x1p-8 : 0x1p-11; /* relative to a power of two below */
    for (int32_t i = 0; i < a->n_prompts; i++)
        for (int32_t head = 0; head < a->n_heads; head++) {
            size_t start = prompt_out_start(a, i);
            int32_t n_rows = a->prompts[i].n_rows;
            double largest = 0;
            double error = error_of(a, start, head, n_rows, out, exact, &largest);
            double allowed =
                2 * error_of(a, start, head, n_rows, naive, exact, &largest) + half_ulp * largest;
            EXPECT(error <= allowed,
                   "%s: head_dim %d, group %d, prompt of %d rows, %d keys, head %d: error %g, "
                   "allowed %g",
                   what, a->head_dim, a->n_heads / a->n_kv_heads, n_rows, a->prompts[i].n_keys,
                   head, error, allowed);
        }
    /* The score's sum and the fast exponential and logarithm err by a few 2^-22. */
    for (size_t i = 0; i < n_sums && lse; i++) {
        if (exact_lse[i] == -INFINITY) {
            EXPECT(lse[i] == -INFINITY, "%s: lse %zu of a row that sees nothing is %g", what, i,
                   (double)lse[i]);
            continue;
        }
        double error = fabs(lse[i] - exact_lse[i]);
        double allowed = 2 * fabs(naive_lse[i] - exact_lse[i]) + 0x1p-19 * (1 + fabs(exact_lse[i]));
        EXPECT(error <= allowed, "%s: lse %zu: error %g, allowed %g", what, i, error, allowed);
    }
    free(exact);
    free(exact_lse);
    free(naive);
    free(naive_lse);
}

/* Runs and checks with either kernel and with both. */
static void run_and_check(struct rng *rng, const struct attention_case *a,
                          const struct arrangement *how)
{
    static const char *names[] = {"both kernels", "prefill kernel", "kernel for few rows"};
    size_t len = case_out_len(a);
    uint16_t *out = device_host(len * 2);
    float *lse = device_host(len / (size_t)a->head_dim * sizeof *lse);
    for (int kernel = BOTH_KERNELS; kernel <= FEW_KERNEL; kernel++) {
        struct arrangement with = *how;
        with.kernel = (enum kernel_choice)kernel;
        run_case(rng, a, &with, out, lse);
        check_values(a, out, lse, names[kernel]);
    }
    free(out);
    free(lse);
}

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
    struct arrangement how = {.mode = mode, .page_tokens = 16};
    run_and_check(rng, &a, &how);
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

static const struct device_test tests[] = {
    {"lengths_of_every_shape", lengths_of_every_shape},
};

int main(int argc, char **argv)
{
    return device_main(tests, sizeof tests / sizeof *tests, argc, argv);
}
