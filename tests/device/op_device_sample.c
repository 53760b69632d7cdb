/*
 * op_device_sample.c: argmax with its ties and NaN; draws against a double-precision Gumbel-max of
 * the same random bits, against the distribution they are of, and in other company.
 */
#include "device.h"
#include "gumbel.h"

#include <prepack/common.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const int32_t vocabs[] = {1, 2, 3, 255, 2048, 2051, 32000, 151936};

/* n_rows rows of which row i begins at logits + i * stride, of n_logits in all. seeds and positions
 * may be NULL: numbers of the row. */
static void run_sample(const float *logits, size_t n_logits, int64_t stride, float temperature,
                       const uint64_t *seeds, const int32_t *positions, int32_t n_rows,
                       int32_t vocab, int32_t *tokens)
{
    uint64_t *own_seeds = device_host((size_t)n_rows * sizeof *own_seeds);
    int32_t *own_positions = device_host((size_t)n_rows * sizeof *own_positions);
    for (int32_t i = 0; i < n_rows; i++) {
        own_seeds[i] = seeds ? seeds[i] : (uint64_t)i;
        own_positions[i] = positions ? positions[i] : i;
    }
    void *device_logits = device_upload(logits, n_logits * sizeof *logits);
    void *device_seeds = device_upload(own_seeds, (size_t)n_rows * sizeof *own_seeds);
    void *device_positions = device_upload(own_positions, (size_t)n_rows * sizeof *own_positions);
    void *out = device_alloc((size_t)n_rows * sizeof *tokens);
    struct ppi_cuda_sample_args args = {.logits = device_logits,
                                        .seeds = device_seeds,
                                        .positions = device_positions,
                                        .out = out,
                                        .stride = stride,
                                        .temperature = temperature,
                                        .n_rows = n_rows,
                                        .vocab = vocab};
    device_launch(ppi_cuda_sample, n_rows, &args);
    device_download(tokens, out, (size_t)n_rows * sizeof *tokens);
    device_free(out);
    device_free(device_positions);
    device_free(device_seeds);
    device_free(device_logits);
    free(own_positions);
    free(own_seeds);
}

/* ---- temperature 0 ---- */

static int32_t largest(const float *logits, int32_t vocab)
{
    int32_t best = -1;
    for (int32_t t = 0; t < vocab; t++)
        if (!isnan(logits[t]) && (best < 0 || logits[t] > logits[best]))
            best = t;
    return best < 0 ? 0 : best;
}

static void argmax_values(void)
{
    struct rng rng = rng_seeded(21);
    for (size_t v = 0; v < COUNT(vocabs); v++) {
        int32_t vocab = vocabs[v], n_rows = device_is_emulated() ? 5 : 131, got[131];
        size_t n = (size_t)n_rows * (size_t)vocab;
        float *logits = device_random(&rng, PP_DTYPE_F32, n, 3);
        run_sample(logits, n, vocab, 0, NULL, NULL, n_rows, vocab, got);
        for (int32_t i = 0; i < n_rows; i++) {
            int32_t expected = largest(logits + (int64_t)i * vocab, vocab);
            EXPECT(got[i] == expected, "vocabulary %d row %d: token %d, expected %d", vocab, i,
                   got[i], expected);
        }
        /* Few values, so many ties; NaN and infinities among them. */
        for (size_t i = 0; i < n; i++) {
            int64_t kind = rng_between(&rng, 0, 9);
            logits[i] = kind == 0   ? NAN
                        : kind == 1 ? -INFINITY
                        : kind == 2 ? -0.0f
                                    : (float)(kind / 4) - (float)(i / (size_t)vocab % 2) * 3;
        }
        logits[n - 1] = INFINITY;
        run_sample(logits, n, vocab, 0, NULL, NULL, n_rows, vocab, got);
        for (int32_t i = 0; i < n_rows; i++) {
            int32_t expected = largest(logits + (int64_t)i * vocab, vocab);
            EXPECT(got[i] == expected, "vocabulary %d row %d with ties: token %d, expected %d",
                   vocab, i, got[i], expected);
        }
        free(logits);
    }
}

/* Rows that are all NaN, all minus infinity, or one real token among those; also with noise. */
static void argmax_of_nothing(void)
{
    for (size_t v = 0; v < COUNT(vocabs); v++) {
        int32_t vocab = vocabs[v], got[5];
        int32_t where = vocab * 2 / 3;
        float *logits = device_host(5 * (size_t)vocab * sizeof *logits);
        for (int64_t i = 0; i < 5 * (int64_t)vocab; i++)
            logits[i] = i / vocab % 2 ? -INFINITY : NAN;
        logits[2 * (int64_t)vocab + where] = -1e30f;
        logits[3 * (int64_t)vocab + where] = -1e30f;
        logits[4 * (int64_t)vocab + where] = -INFINITY; /* less than all, but not NaN */
        const int32_t expected[5] = {0, 0, where, where, where};
        for (int noise = 0; noise < 2; noise++) {
            run_sample(logits, 5 * (size_t)vocab, vocab, noise ? 0.7f : 0, NULL, NULL, 5, vocab,
                       got);
            for (int i = 0; i < 5; i++)
                EXPECT(got[i] == expected[i], "vocabulary %d row %d: token %d, expected %d", vocab,
                       i, got[i], expected[i]);
        }
        free(logits);
    }
}

/* ---- draws ---- */

static double exact_gumbel(uint64_t seed, int32_t position, int32_t token)
{
    uint32_t bits[PPI_GUMBEL_TOKENS];
    ppi_gumbel_bits(seed, position, (uint32_t)(token / PPI_GUMBEL_TOKENS), bits);
    return -log(-log1p(-(bits[token % PPI_GUMBEL_TOKENS] + 0.5) * 0x1p-32));
}

/* Every draw is the token with the largest exact noise, or as good as that. */
static void draws_are_gumbel_max(void)
{
    struct rng rng = rng_seeded(22);
    for (size_t v = 0; v < COUNT(vocabs); v++)
        for (int warm = 0; warm < 2; warm++) {
            int32_t vocab = vocabs[v], n_rows = device_is_emulated() ? 5 : 67, got[67];
            float temperature = warm ? 1.3f : 0.05f;
            size_t n = (size_t)n_rows * (size_t)vocab;
            float *logits = device_random(&rng, PP_DTYPE_F32, n, 2);
            uint64_t seeds[67];
            int32_t positions[67];
            for (int32_t i = 0; i < n_rows; i++) {
                seeds[i] = rng_next(&rng);
                positions[i] = (int32_t)rng_between(&rng, 0, INT32_MAX);
            }
            run_sample(logits, n, vocab, temperature, seeds, positions, n_rows, vocab, got);
            for (int32_t i = 0; i < n_rows; i++) {
                const float *row = logits + (int64_t)i * vocab;
                double best = -INFINITY;
                for (int32_t t = 0; t < vocab; t++)
                    best = fmax(best, row[t] + (double)temperature *
                                                   exact_gumbel(seeds[i], positions[i], t));
                EXPECT(got[i] >= 0 && got[i] < vocab, "token %d", got[i]);
                double drawn = row[got[i]] +
                               (double)temperature * exact_gumbel(seeds[i], positions[i], got[i]);
                EXPECT(drawn >= best - 1e-4 * (double)temperature - 4e-6,
                       "vocabulary %d row %d: token %d has %.9g, the best %.9g", vocab, i, got[i],
                       drawn, best);
            }
            free(logits);
        }
}

/* Draws of many positions (or seeds) from one row of logits against softmax, by chi-square. */
static void draws_have_the_distribution(void)
{
    enum { VOCAB = 11 };
    static const float logits[VOCAB] = {0, 1, -1, 2, 0.5f, -3, 1.5f, -INFINITY, 2.5f, -0.5f, 0.25f};
    int32_t n = device_is_emulated() ? 3000 : 200000;
    int32_t *tokens = device_host((size_t)n * sizeof *tokens);
    uint64_t *seeds = device_host((size_t)n * sizeof *seeds);
    int32_t *positions = device_host((size_t)n * sizeof *positions);
    for (int kind = 0; kind < 3; kind++) {
        float temperature = kind == 2 ? 2.0f : 1.0f;
        for (int32_t i = 0; i < n; i++) { /* positions count, low seeds count, high seeds count */
            positions[i] = kind == 0 ? i : 7;
            seeds[i] = kind == 0 ? 5 : kind == 1 ? (uint64_t)i : (uint64_t)i << 32;
        }
        run_sample(logits, VOCAB, 0, temperature, seeds, positions, n, VOCAB, tokens);
        double weights[VOCAB], sum = 0, chi_square = 0;
        for (int t = 0; t < VOCAB; t++)
            sum += weights[t] = exp((double)logits[t] / (double)temperature);
        int32_t counts[VOCAB] = {0};
        for (int32_t i = 0; i < n; i++)
            counts[tokens[i]]++;
        for (int t = 0; t < VOCAB; t++) {
            double expected = weights[t] / sum * n;
            if (expected == 0)
                EXPECT(counts[t] == 0, "token %d has no weight and was drawn", t);
            else
                chi_square += (counts[t] - expected) * (counts[t] - expected) / expected;
        }
        printf("# chi-square of %d draws, 9 degrees of freedom: %.1f\n", n, chi_square);
        /* Beyond 40 with probability 1e-5; seeds are fixed. */
        EXPECT(chi_square < 40, "kind %d: chi-square %.1f", kind, chi_square);
    }
    free(positions);
    free(seeds);
    free(tokens);
}

/* The same draw alone, among rows of NaN, whatever the stride and what is behind the vocabulary. */
static void draws_do_not_know_their_company(void)
{
    struct rng rng = rng_seeded(23);
    for (size_t v = 0; v < COUNT(vocabs); v++) {
        int32_t vocab = vocabs[v], n_rows = device_is_emulated() ? 5 : 37;
        int32_t whole[37], got[37], positions[37];
        uint64_t seeds[37];
        size_t n = (size_t)n_rows * (size_t)vocab;
        float *logits = device_random(&rng, PP_DTYPE_F32, n, 1);
        for (int32_t i = 0; i < n_rows; i++) {
            seeds[i] = rng_next(&rng);
            positions[i] = (int32_t)rng_between(&rng, 0, 4096);
        }
        run_sample(logits, n, vocab, 1, seeds, positions, n_rows, vocab, whole);
        for (int64_t padding = 1; padding <= 5; padding += 2) {
            int64_t stride = vocab + padding;
            int32_t kept = (int32_t)rng_between(&rng, 0, n_rows - 1);
            size_t n_padded = (size_t)n_rows * (size_t)stride;
            float *padded = device_host(n_padded * sizeof *padded);
            for (size_t i = 0; i < n_padded; i++)
                padded[i] = i / (size_t)stride == (size_t)kept ? INFINITY : NAN;
            memcpy(padded + kept * stride, logits + kept * (int64_t)vocab,
                   (size_t)vocab * sizeof *padded);
            run_sample(padded, n_padded, stride, 1, seeds, positions, n_rows, vocab, got);
            EXPECT(got[kept] == whole[kept], "vocabulary %d, stride %lld, row %d: %d, before %d",
                   vocab, (long long)stride, kept, got[kept], whole[kept]);
            free(padded);
        }
        int32_t alone = n_rows / 2;
        run_sample(logits + alone * (int64_t)vocab, (size_t)vocab, vocab, 1, seeds + alone,
                   positions + alone, 1, vocab, got);
        EXPECT(got[0] == whole[alone], "vocabulary %d, row %d alone: %d, before %d", vocab, alone,
               got[0], whole[alone]);
        free(logits);
    }
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"argmax_values", argmax_values},
        {"argmax_of_nothing", argmax_of_nothing},
        {"draws_are_gumbel_max", draws_are_gumbel_max},
        {"draws_have_the_distribution", draws_have_the_distribution},
        {"draws_do_not_know_their_company", draws_do_not_know_their_company},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
