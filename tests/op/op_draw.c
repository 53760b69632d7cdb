/*
 * op_draw.c: draws with filters, against sorting in double precision, and the whole numbers that
 * the filters compare.
 */
#include "checkop.h"
#include "draw.h"
#include "gumbel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct ppi_backend *open_with_threads(int32_t n_threads)
{
    return checkop_open("ref", PP_DTYPE_F32, n_threads, checkop_any_shape);
}

START_TEST(keys_order_as_floats)
{
    struct rng rng = rng_seeded(44);
    EXPECT(ppi_draw_key(-0.0f) == ppi_draw_key(0.0f), "zeros differ");
    EXPECT(ppi_draw_key(-INFINITY) < ppi_draw_key(-3e38f), "-infinity is not the least");
    EXPECT(ppi_draw_key(INFINITY) > ppi_draw_key(3e38f), "infinity is not the largest");
    for (int i = 0; i < 1000000; i++) {
        float a = (float)(rng_normal(&rng) * exp(rng_normal(&rng) * 20));
        float b = i % 3 ? (float)rng_normal(&rng) : nextafterf(a, i % 2 ? 1e30f : -1e30f);
        EXPECT((a < b) == (ppi_draw_key(a) < ppi_draw_key(b)), "%.9g and %.9g", a, b);
    }
}
END_TEST

START_TEST(weights_are_exponentials)
{
    struct rng rng = rng_seeded(45);
    uint64_t last = PPI_DRAW_ONE;
    for (int i = 0; i <= 1000000; i++) { /* the polynomial, in order: it never grows */
        uint32_t f = (uint32_t)((uint64_t)i * UINT32_MAX / 1000000);
        uint64_t y = ppi_draw_exp2(f);
        EXPECT(fabs((double)y - exp2(32 - f * 0x1p-32)) <= 4.5 && y <= last, "%u: %ld", f, (long)y);
        last = y;
    }
    for (int i = 0; i < 300000; i++) {
        float temperature = (float)exp(rng_normal(&rng) * 2), max = (float)rng_normal(&rng) * 5;
        float logit = max - temperature * (float)rng_between(&rng, 0, 30000) * 1e-3f;
        float steepness = ppi_draw_steepness(temperature);
        double exact = ldexp(exp(((double)logit - max) / temperature), 32);
        double got = (double)ppi_draw_weight(logit, max, steepness);
        /* The exponent is a difference and a product of floats. */
        EXPECT(fabs(got - exact) <= 5 + exact * 4e-6, "%.9g below %.9g at %g: %.0f, expected %.0f",
               logit, max, temperature, got, exact);
    }
    EXPECT(ppi_draw_weight(1, 1, ppi_draw_steepness(1e-45f)) == PPI_DRAW_ONE &&
               ppi_draw_weight(0.99f, 1, ppi_draw_steepness(1e-45f)) == 0,
           "at the smallest temperature");
    EXPECT(ppi_draw_weight(INFINITY, INFINITY, 1) == PPI_DRAW_ONE &&
               ppi_draw_weight(3, INFINITY, 1) == 0 && ppi_draw_weight(-INFINITY, 3, 1) == 0,
           "with infinities");
    EXPECT(ppi_draw_share(1e-9f, 5) == 1 && ppi_draw_share(0.5f, 5) == 3 &&
               ppi_draw_share(1, 7) == 7 && ppi_draw_share(0, 7) == 1,
           "shares");
}
END_TEST

/* ---- what stays, by sorting ---- */

struct sorted {
    float logit;
    int32_t token;
};

static int compare_sorted(const void *left, const void *right)
{
    const struct sorted *a = left, *b = right;
    if (a->logit != b->logit)
        return a->logit < b->logit ? 1 : -1;
    return a->token - b->token;
}

/* Marks the tokens that must stay (1), must go (0), or may do either (2): those within `margin` of
 * a bound on probability. */
static void expect_filtered(const float *logits, int32_t vocab, const struct ppi_draw *draw,
                            char *stays)
{
    const double margin = 1e-5;
    struct sorted *order = checkop_alloc((size_t)vocab, sizeof *order);
    for (int32_t t = 0; t < vocab; t++)
        order[t] = (struct sorted){logits[t], t};
    qsort(order, (size_t)vocab, sizeof *order, compare_sorted);
    int32_t n = draw->top_k > 0 && draw->top_k < vocab ? draw->top_k : vocab;
    double total = 0, before = 0;
    for (int32_t i = 0; i < n; i++)
        total += exp(((double)order[i].logit - order[0].logit) / draw->temperature);
    for (int32_t i = 0; i < vocab; i++) {
        double weight = exp(((double)order[i].logit - order[0].logit) / draw->temperature);
        double rest = draw->top_p - before / total; /* above 0: the share is not reached yet */
        double more = weight - (double)draw->min_p;
        char state = 1;
        if (i >= n || (draw->top_p < 1 && i > 0 && rest <= -margin) || more <= -margin)
            state = 0;
        else if ((draw->top_p < 1 && i > 0 && rest <= margin) ||
                 (draw->min_p > 0 && more <= margin && i > 0))
            state = 2;
        stays[order[i].token] = state;
        before += weight;
    }
    free(order);
}

static float noisy(const struct ppi_draw *draw, const float *logits, int32_t token)
{
    uint32_t bits[PPI_GUMBEL_TOKENS];
    ppi_gumbel_bits(draw->seed, draw->position, (uint32_t)token / PPI_GUMBEL_TOKENS, bits);
    return logits[token] + draw->temperature * ppi_gumbel(bits[token % PPI_GUMBEL_TOKENS]);
}

/* The token drawn stays, and no other that must stay has more after noise. */
static void check_draw(const float *logits, int32_t vocab, const struct ppi_draw *draw,
                       int32_t token)
{
    char *stays = checkop_alloc((size_t)vocab, 1);
    expect_filtered(logits, vocab, draw, stays);
    EXPECT(token >= 0 && token < vocab && stays[token] != 0,
           "top_k %d top_p %g min_p %g temperature %g vocab %d: token %d should have gone",
           draw->top_k, draw->top_p, draw->min_p, draw->temperature, vocab, token);
    float drawn = noisy(draw, logits, token);
    for (int32_t t = 0; t < vocab; t++) {
        float other = noisy(draw, logits, t);
        EXPECT(stays[t] != 1 || other < drawn || (other == drawn && t >= token),
               "top_k %d top_p %g min_p %g temperature %g vocab %d: token %d with %.9g, but %d "
               "with %.9g stays",
               draw->top_k, draw->top_p, draw->min_p, draw->temperature, vocab, token, drawn, t,
               other);
    }
    free(stays);
}

/* Rows of several kinds: smooth, with many equals, with -infinity, all equal. */
static void fill_row(struct rng *rng, int64_t kind, float *logits, int32_t vocab)
{
    for (int32_t t = 0; t < vocab; t++) {
        float x = (float)rng_normal(rng) * 3;
        logits[t] = kind == 0   ? x
                    : kind == 1 ? floorf(x)
                    : kind == 2 ? (rng_between(rng, 0, 2) ? x : -INFINITY)
                                : -4.5f;
    }
    logits[rng_between(rng, 0, vocab - 1)] = kind == 3 ? -4.5f : 5.0f;
}

static struct ppi_draw random_draw(struct rng *rng, int32_t vocab)
{
    static const float top_ps[] = {1, 1, 0.95f, 0.9f, 0.5f, 0.1f, 1e-6f, 0.999999f};
    static const float min_ps[] = {0, 0, 0.02f, 0.1f, 0.5f, 1};
    static const float temperatures[] = {0.01f, 0.3f, 0.7f, 1, 1.5f, 10};
    struct ppi_draw draw = {.temperature = temperatures[rng_between(rng, 0, 5)],
                            .top_p = top_ps[rng_between(rng, 0, 7)],
                            .min_p = min_ps[rng_between(rng, 0, 5)],
                            .seed = rng_next(rng),
                            .position = (int32_t)rng_between(rng, 0, INT32_MAX)};
    if (rng_between(rng, 0, 1))
        draw.top_k = (int32_t)rng_between(rng, 1, rng_between(rng, 0, 1) ? vocab + 1 : 60);
    return draw;
}

/* Rows together, on any number of threads, and alone: the same tokens; each as it must be. */
START_TEST(filtered_draws)
{
    enum { N_ROWS = 70, REPEATS = 6 };
    static const int32_t vocabs[] = {1, 2, 7, 300, 2051};
    struct rng rng = rng_seeded(46);
    struct ppi_backend *one = open_with_threads(1), *three = open_with_threads(3);
    for (size_t v = 0; v < REPEATS * PPI_COUNT(vocabs); v++) {
        int32_t vocab = vocabs[v % PPI_COUNT(vocabs)], tokens[N_ROWS], again[N_ROWS];
        struct ppi_draw draws[N_ROWS];
        float *logits = checkop_alloc((size_t)(N_ROWS * vocab), sizeof *logits);
        for (int32_t i = 0; i < N_ROWS; i++) {
            fill_row(&rng, rng_between(&rng, 0, 3), logits + i * vocab, vocab);
            draws[i] = random_draw(&rng, vocab);
        }
        ppi_cpu_sample(one, logits, N_ROWS, vocab, draws, tokens, NULL);
        ppi_cpu_sample(three, logits, N_ROWS, vocab, draws, again, NULL);
        EXPECT(memcmp(tokens, again, sizeof tokens) == 0, "vocab %d: threads show", vocab);
        for (int32_t i = 0; i < N_ROWS; i++) {
            int32_t alone;
            ppi_cpu_sample(three, logits + i * vocab, 1, vocab, &draws[i], &alone, NULL);
            EXPECT(alone == tokens[i], "vocab %d row %d alone: %d, before %d", vocab, i, alone,
                   tokens[i]);
            check_draw(logits + i * vocab, vocab, &draws[i], tokens[i]);
        }
        free(logits);
    }
    ppi_cpu_ops.close(one);
    ppi_cpu_ops.close(three);
}
END_TEST

/* Filters that leave all change nothing; those that leave one token give the first. */
START_TEST(filters_at_their_ends)
{
    enum { VOCAB = 1000 };
    struct rng rng = rng_seeded(47);
    struct ppi_backend *backend = open_with_threads(2);
    float logits[VOCAB];
    for (int i = 0; i < 200; i++) {
        fill_row(&rng, i % 4, logits, VOCAB);
        int32_t first = 0, plain, token;
        for (int32_t t = 1; t < VOCAB; t++)
            if (logits[t] > logits[first])
                first = t;
        struct ppi_draw draw = {.temperature = 1, .top_p = 1, .seed = (uint64_t)i};
        ppi_cpu_sample(backend, logits, 1, VOCAB, &draw, &plain, NULL);
        draw.top_k = i % 2 ? VOCAB : 5 * VOCAB;
        draw.min_p = 1e-30f;
        ppi_cpu_sample(backend, logits, 1, VOCAB, &draw, &token, NULL);
        EXPECT(token == plain, "filters that leave all: %d, expected %d", token, plain);
        const struct ppi_draw of_one[] = {{1, 1, 1, 0, 7, 7},
                                          {1, 0, 1e-9f, 0, 7, 7},
                                          {0, 300, 0.5f, 0.01f, 7, 7},
                                          {1e-9f, 300, 0.5f, 0.01f, 7, 7}};
        for (size_t k = 0; k < PPI_COUNT(of_one); k++) {
            ppi_cpu_sample(backend, logits, 1, VOCAB, &of_one[k], &token, NULL);
            bool equals = i % 4 != 0 && k == 3; /* at a temperature equals share */
            EXPECT(equals ? logits[token] == logits[first] : token == first,
                   "case %zu: %d, expected %d", k, token, first);
        }
    }
    ppi_cpu_ops.close(backend);
}
END_TEST

/* NaN and rows without a finite logit give -1; +infinity wins. */
START_TEST(filtered_special_rows)
{
    enum { VOCAB = 64 };
    struct ppi_backend *backend = open_with_threads(2);
    const struct ppi_draw filters[] = {{1, 5, 1, 0, 3, 4},    {1, 0, 0.9f, 0, 3, 4},
                                       {1, 0, 1, 0.1f, 3, 4}, {1, 9, 0.8f, 0.2f, 3, 4},
                                       {1, 0, 1, 0, 3, 4},    {0, 0, 1, 0, 3, 4}};
    for (size_t k = 0; k < PPI_COUNT(filters); k++)
        for (int kind = 0; kind < 4; kind++) {
            float logits[VOCAB];
            for (int t = 0; t < VOCAB; t++)
                logits[t] = kind == 1 ? -INFINITY : (float)t;
            if (kind == 0)
                logits[40] = NAN;
            if (kind == 2)
                logits[41] = logits[30] = INFINITY;
            if (kind == 3)
                for (int t = 0; t < VOCAB; t++)
                    logits[t] = t == 12 ? -1e30f : -INFINITY;
            static const int32_t expected[] = {-1, -1, 30, 12};
            int32_t token;
            ppi_cpu_sample(backend, logits, 1, VOCAB, &filters[k], &token, NULL);
            EXPECT(token == expected[kind], "filter %zu kind %d: %d, expected %d", k, kind, token,
                   expected[kind]);
        }
    ppi_cpu_ops.close(backend);
}
END_TEST

/* Chi-square of draws with filters: what stays has the shares of the softmax over it. */
START_TEST(filtered_distribution)
{
    enum { VOCAB = 12, N = 60000 };
    static const float logits[VOCAB] = {0,    1,    -1,        2,    0.5f,  -3,
                                        1.5f, 2.5f, -INFINITY, 0.5f, 0.25f, -0.5f};
    static const struct ppi_draw filters[] = {
        {0.8f, 5, 1, 0, 11, 0}, {1.3f, 0, 0.8f, 0, 11, 0}, {0.6f, 0, 1, 0.15f, 11, 0}};
    struct ppi_backend *backend = open_with_threads(1);
    for (size_t k = 0; k < PPI_COUNT(filters); k++) {
        struct ppi_draw draw = filters[k];
        char stays[VOCAB];
        int32_t counts[VOCAB] = {0}, n_left = 0;
        double total = 0, chi_square = 0;
        expect_filtered(logits, VOCAB, &draw, stays);
        for (int t = 0; t < VOCAB; t++) {
            ck_assert_int_ne(stays[t], 2);
            n_left += stays[t];
            total += stays[t] ? exp((double)logits[t] / draw.temperature) : 0;
        }
        EXPECT(n_left > 2 && n_left < VOCAB, "filter %zu leaves %d", k, n_left);
        for (draw.position = 0; draw.position < N; draw.position++) {
            int32_t token;
            ppi_cpu_sample(backend, logits, 1, VOCAB, &draw, &token, NULL);
            counts[token]++;
        }
        for (int t = 0; t < VOCAB; t++) {
            double expected = stays[t] ? exp((double)logits[t] / draw.temperature) / total * N : 0;
            EXPECT(stays[t] || counts[t] == 0, "filter %zu: token %d was drawn", k, t);
            if (expected > 0)
                chi_square += (counts[t] - expected) * (counts[t] - expected) / expected;
        }
        /* At most 9 degrees of freedom: beyond 40 with probability 1e-5. */
        EXPECT(chi_square < 40, "filter %zu: chi-square %.1f", k, chi_square);
    }
    ppi_cpu_ops.close(backend);
}
END_TEST

Suite *checkop_draw_suite(void)
{
    Suite *suite = suite_create("draw");
    TCase *tcase = tcase_create("draw");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, keys_order_as_floats);
    tcase_add_test(tcase, weights_are_exponentials);
    tcase_add_test(tcase, filtered_draws);
    tcase_add_test(tcase, filters_at_their_ends);
    tcase_add_test(tcase, filtered_special_rows);
    tcase_add_test(tcase, filtered_distribution);
    suite_add_tcase(suite, tcase);
    return suite;
}
