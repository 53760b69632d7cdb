/*
 * op_device_sample.c: argmax with its ties and NaN; draws against a double-precision Gumbel-max of
 * the same random bits, against the distribution they are of, and in other company; what filters
 * leave against sorted tokens.
 */
#include "under_test.h"
#include "draw.h"
#include "gumbel.h"

#include <prepack/common.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const int32_t vocabs[] = {1, 2, 3, 255, 2048, 2051, 32000, 151936};

static struct ppi_cuda_draw plain_draw(float temperature, uint64_t seed, int32_t position)
{
    return (struct ppi_cuda_draw){
        .temperature = temperature, .top_p = 1, .seed = seed, .position = position};
}

/* n_rows rows of which row i begins at logits + i * stride, of n_logits in all. With filters, the
 * kernel that bounds rows runs first. */
static void run_draws(const float *logits, size_t n_logits, int64_t stride,
                      const struct ppi_cuda_draw *draws, bool filters, int32_t n_rows,
                      int32_t vocab, int32_t *tokens)
{
    void *device_logits = device_upload(logits, n_logits * sizeof *logits);
    void *device_draws = device_upload(draws, (size_t)n_rows * sizeof *draws);
    void *bounds = device_alloc((size_t)n_rows * sizeof(struct ppi_cuda_bound));
    void *out = device_alloc((size_t)n_rows * sizeof *tokens);
    struct ppi_cuda_sample_bounds_args filter_args = {.logits = device_logits,
                                                      .draws = device_draws,
                                                      .bounds = bounds,
                                                      .stride = stride,
                                                      .n_rows = n_rows,
                                                      .vocab = vocab};
    struct ppi_cuda_sample_args args = {.logits = device_logits,
                                        .draws = device_draws,
                                        .bounds = filters ? bounds : NULL,
                                        .out = out,
                                        .stride = stride,
                                        .n_rows = n_rows,
                                        .vocab = vocab};
    if (filters)
        device_launch(ppi_cuda_sample_bounds, n_rows, &filter_args);
    device_launch(ppi_cuda_sample, n_rows, &args);
    device_download(tokens, out, (size_t)n_rows * sizeof *tokens);
    device_free(out);
    device_free(bounds);
    device_free(device_draws);
    device_free(device_logits);
}

/* Without filters. seeds and positions may be NULL: numbers of the row. */
static void run_sample(const float *logits, size_t n_logits, int64_t stride, float temperature,
                       const uint64_t *seeds, const int32_t *positions, int32_t n_rows,
                       int32_t vocab, int32_t *tokens)
{
    struct ppi_cuda_draw *draws = device_host((size_t)n_rows * sizeof *draws);
    for (int32_t i = 0; i < n_rows; i++)
        draws[i] =
            plain_draw(temperature, seeds ? seeds[i] : (uint64_t)i, positions ? positions[i] : i);
    run_draws(logits, n_logits, stride, draws, false, n_rows, vocab, tokens);
    free(draws);
}

/* ---- temperature 0 ---- */

/* -1 where a logit is NaN or none is finite. */
static int32_t largest(const float *logits, int32_t vocab)
{
    int32_t best = 0;
    bool has_finite = false;
    for (int32_t t = 0; t < vocab; t++) {
        if (isnan(logits[t]))
            return -1;
        has_finite |= isfinite(logits[t]);
        if (logits[t] > logits[best])
            best = t;
    }
    return has_finite ? best : -1;
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
        /* Few values, so many ties; infinities among them, in the last row one NaN. */
        for (size_t i = 0; i < n; i++) {
            int64_t kind = rng_between(&rng, 0, 9);
            logits[i] = kind == 0   ? (i / (size_t)vocab % 3 == 1 ? INFINITY : -2)
                        : kind == 1 ? -INFINITY
                        : kind == 2 ? -0.0f
                                    : (float)(kind / 4) - (float)(i / (size_t)vocab % 2) * 3;
        }
        logits[n - (size_t)vocab * 2 / 3 - 1] = NAN;
        run_sample(logits, n, vocab, 0, NULL, NULL, n_rows, vocab, got);
        for (int32_t i = 0; i < n_rows; i++) {
            int32_t expected = largest(logits + (int64_t)i * vocab, vocab);
            EXPECT(got[i] == expected, "vocabulary %d row %d with ties: token %d, expected %d",
                   vocab, i, got[i], expected);
        }
        free(logits);
    }
}

/* Rows of NaN, of infinities, and rows with one finite logit or one NaN among others; also with
 * noise and with filters. */
static void rows_without_a_token(void)
{
    enum { N_ROWS = 7 };
    for (size_t v = 0; v < COUNT(vocabs); v++) {
        int32_t vocab = vocabs[v], got[N_ROWS], where = vocab * 2 / 3;
        static const float fills[N_ROWS] = {NAN, -INFINITY, INFINITY, -INFINITY, NAN, 1, INFINITY};
        float *logits = device_host(N_ROWS * (size_t)vocab * sizeof *logits);
        for (int64_t i = 0; i < N_ROWS * (int64_t)vocab; i++)
            logits[i] = fills[i / vocab];
        logits[3 * (int64_t)vocab + where] = -1e30f;
        logits[4 * (int64_t)vocab + where] = 3;
        logits[5 * (int64_t)vocab + where] = NAN;
        logits[6 * (int64_t)vocab + where] = -INFINITY;
        const int32_t expected[N_ROWS] = {-1, -1, -1, where, vocab == 1 ? 0 : -1, -1, -1};
        for (int kind = 0; kind < 3; kind++) {
            struct ppi_cuda_draw draws[N_ROWS];
            for (int i = 0; i < N_ROWS; i++) {
                draws[i] = plain_draw(kind > 0 ? 0.7f : 0, (uint64_t)i, i);
                if (kind == 2) {
                    draws[i].top_k = 1 + i;
                    draws[i].top_p = 0.5f;
                }
            }
            run_draws(logits, N_ROWS * (size_t)vocab, vocab, draws, kind == 2, N_ROWS, vocab, got);
            for (int i = 0; i < N_ROWS; i++)
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

/* ---- filters ---- */

struct ranked {
    float logit;
    int32_t token;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->token < y->token ? -1 : x->token > y->token;
}

/* Which tokens stay, by sorting all of them: the contract of struct ppi_draw with draw.h's weights.
 */
static void filter(const float *logits, int32_t vocab, const struct ppi_cuda_draw *draw, bool *left)
{
    struct ranked *all = device_host((size_t)vocab * sizeof *all);
    for (int32_t t = 0; t < vocab; t++)
        all[t] = (struct ranked){logits[t], t};
    qsort(all, (size_t)vocab, sizeof *all, by_rank);
    int32_t n = draw->top_k > 0 && draw->top_k < vocab ? draw->top_k : vocab;
    float steepness = ppi_draw_steepness(draw->temperature);
    uint64_t total = 0, sum = 0;
    for (int32_t i = 0; i < n; i++)
        total += ppi_draw_weight(all[i].logit, all[0].logit, steepness);
    uint64_t share = draw->top_p < 1 ? ppi_draw_share(draw->top_p, total) : UINT64_MAX;
    uint64_t least = draw->min_p > 0 ? ppi_draw_share(draw->min_p, PPI_DRAW_ONE) : 0;
    memset(left, 0, (size_t)vocab * sizeof *left);
    for (int32_t i = 0; i < n && sum < share; i++) {
        uint64_t weight = ppi_draw_weight(all[i].logit, all[0].logit, steepness);
        left[all[i].token] = weight >= least;
        sum += weight;
    }
    free(all);
}

/* Tokens that stay, drawn as good as the best of them; several filters in one launch. */
static void expect_filtered(struct rng *rng, float *logits, int32_t vocab, int32_t n_rows)
{
    static const int32_t top_ks[] = {0, 1, 2, 7, 50, 1 << 30};
    static const float top_ps[] = {1, 0.9f, 0.5f, 0.05f, 1e-6f}, min_ps[] = {0, 0.05f, 0.5f, 1};
    static const float temperatures[] = {0, 0.02f, 0.8f, 1.5f, 40};
    struct ppi_cuda_draw draws[67];
    int32_t got[67], alone;
    bool *left = device_host((size_t)vocab * sizeof *left);
    size_t n = (size_t)n_rows * (size_t)vocab;
    for (int32_t i = 0; i < n_rows; i++) {
        draws[i] = plain_draw(temperatures[rng_between(rng, i > 0, COUNT(temperatures) - 1)],
                              rng_next(rng), (int32_t)rng_between(rng, 0, INT32_MAX));
        draws[i].top_k = top_ks[rng_between(rng, 0, COUNT(top_ks) - 1)];
        draws[i].top_p = top_ps[rng_between(rng, 0, COUNT(top_ps) - 1)];
        draws[i].min_p = min_ps[rng_between(rng, 0, COUNT(min_ps) - 1)];
    }
    run_draws(logits, n, vocab, draws, true, n_rows, vocab, got);
    for (int32_t i = 0; i < n_rows; i++) {
        const float *row = logits + (int64_t)i * vocab;
        const struct ppi_cuda_draw *draw = &draws[i];
        double noise = (double)draw->temperature, best = -INFINITY;
        EXPECT(got[i] >= 0 && got[i] < vocab, "token %d of %d", got[i], vocab);
        if (noise == 0) {
            EXPECT(got[i] == largest(row, vocab), "row %d: not the largest", i);
            continue;
        }
        filter(row, vocab, draw, left);
        EXPECT(left[got[i]], "vocabulary %d row %d: temperature %g top_k %d top_p %g min_p %g: %d",
               vocab, i, noise, draw->top_k, (double)draw->top_p, (double)draw->min_p, got[i]);
        for (int32_t t = 0; t < vocab; t++)
            if (left[t])
                best = fmax(best, row[t] + noise * exact_gumbel(draw->seed, draw->position, t));
        double drawn = row[got[i]] + noise * exact_gumbel(draw->seed, draw->position, got[i]);
        EXPECT(drawn >= best - 1e-4 * noise - 4e-6,
               "vocabulary %d row %d: token %d has %.9g, the best left %.9g", vocab, i, got[i],
               drawn, best);
    }
    int32_t one = n_rows / 2;
    run_draws(logits + one * (int64_t)vocab, (size_t)vocab, vocab, draws + one, true, 1, vocab,
              &alone);
    EXPECT(alone == got[one], "vocabulary %d row %d alone: %d, before %d", vocab, one, alone,
           got[one]);
    free(left);
}

static void filters_leave_the_first(void)
{
    static const int32_t sizes[] = {1, 2, 5, 16, 17, 255, 4099, 32000};
    struct rng rng = rng_seeded(24);
    for (size_t v = 0; v < COUNT(sizes); v++) {
        int32_t vocab = sizes[v], n_rows = device_is_emulated() ? (vocab > 5000 ? 3 : 20) : 67;
        size_t n = (size_t)n_rows * (size_t)vocab;
        float *logits = device_random(&rng, PP_DTYPE_F32, n, 3);
        expect_filtered(&rng, logits, vocab, n_rows);
        /* Many equals, which only their numbers part; zeros of both signs, minus infinity. */
        for (size_t i = 0; i < n; i++) {
            int64_t kind = rng_between(&rng, 0, 7);
            logits[i] = kind == 0 ? -0.0f : kind == 1 ? -INFINITY : (float)(kind / 3);
        }
        for (int32_t i = 0; i < n_rows; i++)
            logits[(size_t)i * (size_t)vocab] = 0;
        expect_filtered(&rng, logits, vocab, n_rows);
        free(logits);
    }
}

/* Filters that filter nothing leave the tokens of draws without. */
static void filters_of_nothing(void)
{
    struct rng rng = rng_seeded(25);
    int32_t vocab = 2051, n_rows = 9, got[9], expected[9];
    size_t n = (size_t)n_rows * (size_t)vocab;
    float *logits = device_random(&rng, PP_DTYPE_F32, n, 2);
    struct ppi_cuda_draw draws[9];
    for (int32_t i = 0; i < n_rows; i++)
        draws[i] = plain_draw(1, rng_next(&rng), i);
    run_draws(logits, n, vocab, draws, false, n_rows, vocab, expected);
    for (int32_t i = 0; i < n_rows; i++)
        draws[i].top_k = i % 2 ? vocab : 0;
    run_draws(logits, n, vocab, draws, true, n_rows, vocab, got);
    for (int32_t i = 0; i < n_rows; i++)
        EXPECT(got[i] == expected[i], "row %d: %d, without filters %d", i, got[i], expected[i]);
    free(logits);
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"argmax_values", argmax_values},
        {"rows_without_a_token", rows_without_a_token},
        {"draws_are_gumbel_max", draws_are_gumbel_max},
        {"draws_have_the_distribution", draws_have_the_distribution},
        {"draws_do_not_know_their_company", draws_do_not_know_their_company},
        {"filters_leave_the_first", filters_leave_the_first},
        {"filters_of_nothing", filters_of_nothing},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
