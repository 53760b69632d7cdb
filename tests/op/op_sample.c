/*
 * op_sample.c: the next token of rows of logits, and the noise it is drawn with.
 */
#include "checkop.h"
#include "gumbel.h"

#include <math.h>
#include <string.h>

static const int64_t vocabs[] = {1, 2, 3, 255, 2051, 32000};

static struct ppi_backend *open_with_threads(int32_t n_threads)
{
    return checkop_open("ref", PP_DTYPE_F32, n_threads, checkop_any_shape);
}

/* The generator's published answers (Random123, kat_vectors: philox4x32 10). Its second and third
 * vectors have words of the counter that are 0 here, so only the first can be asked. */
START_TEST(noise_is_philox)
{
    static const uint32_t expected[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    uint32_t bits[4];
    ppi_gumbel_bits(0, 0, 0, bits);
    for (int i = 0; i < 4; i++)
        EXPECT(bits[i] == expected[i], "word %d: %08x, expected %08x", i, bits[i], expected[i]);
}
END_TEST

START_TEST(noise_is_gumbel)
{
    struct rng rng = rng_seeded(41);
    EXPECT(isfinite(ppi_gumbel(0)) && isfinite(ppi_gumbel(UINT32_MAX)), "the ends are infinite");
    EXPECT(ppi_gumbel(0) > 22.8f && ppi_gumbel(UINT32_MAX) < -2.8f, "the ends: %g, %g",
           ppi_gumbel(0), ppi_gumbel(UINT32_MAX));
    double last = 1e9;
    for (int i = 0; i < 2000000; i++) {
        /* All magnitudes of v; where 1 - v is below 2^-10 floats cannot hold it well. */
        uint32_t bits = (uint32_t)(rng_next(&rng) >> 32) >> rng_between(&rng, 0, 31);
        if (i < 100000) /* the seam of the series, and everywhere: it never grows */
            bits = i < 50000 ? 0x10000000u - 25000 + (uint32_t)i : (uint32_t)(i - 50000) * 85899u;
        if (bits > UINT32_MAX - (1u << 22))
            continue;
        double exact = -log(-log1p(-(bits + 0.5) * 0x1p-32)), value = ppi_gumbel(bits);
        EXPECT(fabs(value - exact) <= 1e-4, "%u: %.9g, expected %.9g", bits, value, exact);
        if (i < 100000 && i != 50000)
            EXPECT(value <= last + 4e-6, "%u: %.9g after %.9g", bits, value, last);
        last = value;
    }
}
END_TEST

/* Ties, NaN and infinities; rows of nothing. */
START_TEST(sample_largest)
{
    struct rng rng = rng_seeded(42);
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++)
        for (size_t v = 0; v < PPI_COUNT(vocabs); v++) {
            struct ppi_backend *backend = open_with_threads(n_threads);
            int64_t vocab = vocabs[v], n_rows = 70;
            float *logits = checkop_random(&rng, PP_DTYPE_F32, (size_t)(n_rows * vocab), 3);
            for (int64_t i = 0; i < n_rows * vocab; i++) {
                int64_t row = i / vocab, kind = rng_between(&rng, 0, 9);
                if (row % 4 == 1) /* few values */
                    logits[i] = kind == 0   ? (row % 8 == 1 && i % 977 == 0 ? NAN : INFINITY)
                                : kind == 1 ? -INFINITY
                                : kind == 2 ? -0.0f
                                            : (float)(kind / 4) - (float)(row % 8 / 4) * 3;
                else if (row % 4 == 2)
                    logits[i] = NAN;
                else if (row % 8 == 3)
                    logits[i] = -INFINITY;
            }
            struct ppi_draw draws[70];
            int32_t tokens[70];
            for (int64_t row = 0; row < n_rows; row++)
                draws[row] = (struct ppi_draw){.top_p = 1};
            ppi_cpu_sample(backend, logits, n_rows, vocab, draws, tokens, NULL);
            for (int64_t row = 0; row < n_rows; row++) {
                int64_t best = 0;
                bool has_nan = false, has_finite = false;
                for (int64_t t = 0; t < vocab; t++) {
                    float x = logits[row * vocab + t];
                    has_nan |= isnan(x);
                    has_finite |= isfinite(x);
                    if (x > logits[row * vocab + best])
                        best = t;
                }
                if (has_nan || !has_finite)
                    best = -1;
                EXPECT(tokens[row] == best, "vocab %ld row %ld: %d, expected %ld", (long)vocab,
                       (long)row, tokens[row], (long)best);
            }
            free(logits);
            ppi_cpu_ops.close(backend);
        }
}
END_TEST

/* Draws are the same whatever threads and company; the best of exact noise, or as good. */
START_TEST(sample_draws)
{
    struct rng rng = rng_seeded(43);
    struct ppi_backend *one = open_with_threads(1), *three = open_with_threads(3);
    for (size_t v = 0; v < PPI_COUNT(vocabs); v++) {
        int64_t vocab = vocabs[v], n_rows = 9;
        float temperature = v % 2 ? 0.1f : 1.2f;
        float *logits = checkop_random(&rng, PP_DTYPE_F32, (size_t)(n_rows * vocab), 2);
        struct ppi_draw draws[9];
        int32_t tokens[9], again[9];
        for (int64_t i = 0; i < n_rows; i++) {
            draws[i] = (struct ppi_draw){.temperature = temperature, .top_p = 1};
            draws[i].seed = rng_next(&rng);
            draws[i].position = (int32_t)rng_between(&rng, 0, INT32_MAX);
        }
        ppi_cpu_sample(one, logits, n_rows, vocab, draws, tokens, NULL);
        ppi_cpu_sample(three, logits, n_rows, vocab, draws, again, NULL);
        EXPECT(memcmp(tokens, again, sizeof tokens) == 0, "vocab %ld: threads show", (long)vocab);
        for (int64_t row = 0; row < n_rows; row++) {
            const float *x = logits + row * vocab;
            int32_t alone;
            ppi_cpu_sample(three, x, 1, vocab, draws + row, &alone, NULL);
            EXPECT(alone == tokens[row], "vocab %ld row %ld alone: %d, before %d", (long)vocab,
                   (long)row, alone, tokens[row]);
            double best = -INFINITY, drawn = -INFINITY;
            for (int64_t t = 0; t < vocab; t++) {
                uint32_t bits[4];
                ppi_gumbel_bits(draws[row].seed, draws[row].position, (uint32_t)(t / 4), bits);
                double score =
                    x[t] - (double)temperature * log(-log1p(-(bits[t % 4] + 0.5) * 0x1p-32));
                best = fmax(best, score);
                if (t == alone)
                    drawn = score;
            }
            EXPECT(drawn >= best - 1e-4, "vocab %ld row %ld: %.9g, the best %.9g", (long)vocab,
                   (long)row, drawn, best);
        }
        free(logits);
    }
    ppi_cpu_ops.close(one);
    ppi_cpu_ops.close(three);
}
END_TEST

/* Chi-square of draws over positions, low and high halves of seeds. */
START_TEST(sample_distribution)
{
    enum { VOCAB = 11, N = 100000 };
    static const float logits[VOCAB] = {0, 1, -1, 2, 0.5f, -3, 1.5f, -INFINITY, 2.5f, -0.5f, 0.25f};
    struct ppi_backend *backend = open_with_threads(1);
    double weights[VOCAB], sum = 0;
    for (int t = 0; t < VOCAB; t++)
        sum += weights[t] = exp((double)logits[t]);
    for (int kind = 0; kind < 3; kind++) {
        int32_t counts[VOCAB] = {0};
        for (int32_t i = 0; i < N; i++) {
            struct ppi_draw draw = {.temperature = 1, .top_p = 1};
            int32_t token;
            draw.seed = kind == 0 ? 5 : kind == 1 ? (uint64_t)i : (uint64_t)i << 32;
            draw.position = kind == 0 ? i : 7;
            ppi_cpu_sample(backend, logits, 1, VOCAB, &draw, &token, NULL);
            counts[token]++;
        }
        double chi_square = 0;
        EXPECT(counts[7] == 0, "a token without weight was drawn");
        for (int t = 0; t < VOCAB; t++) {
            double expected = weights[t] / sum * N;
            if (expected > 0)
                chi_square += (counts[t] - expected) * (counts[t] - expected) / expected;
        }
        /* 9 degrees of freedom: beyond 40 with probability 1e-5. */
        EXPECT(chi_square < 40, "kind %d: chi-square %.1f", kind, chi_square);
    }
    ppi_cpu_ops.close(backend);
}
END_TEST

Suite *checkop_sample_suite(void)
{
    Suite *suite = suite_create("sample");
    TCase *tcase = tcase_create("sample");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, noise_is_philox);
    tcase_add_test(tcase, noise_is_gumbel);
    tcase_add_test(tcase, sample_largest);
    tcase_add_test(tcase, sample_draws);
    tcase_add_test(tcase, sample_distribution);
    suite_add_tcase(suite, tcase);
    return suite;
}
