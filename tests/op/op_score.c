/*
 * op_score.c: log-probabilities, ranks and the most likely tokens of rows of logits.
 */
#include "checkop.h"

#include <math.h>
#include <string.h>

#define TILE     PPI_SCORE_TILE
#define MAX_ROWS 64
#define TARGETS  5 /* of every row, or fewer where the vocabulary is small */

static const int64_t vocabs[] = {1,        2,    7,        255,      256,          300,
                                 TILE - 1, TILE, TILE + 1, 2 * TILE, 5 * TILE + 13};
static const int32_t tops[] = {0, 1, 20, 256};

/* What kinds of rows there are; row r is of kind r % KINDS. */
enum { RANDOM, WIDE, TIES, MOST_MINUS, ASCENDING, ALL_MINUS, WITH_NAN, WITH_PLUS, KINDS };

static float *make_logits(struct rng *rng, int64_t n_rows, int64_t vocab)
{
    float *logits = checkop_random(rng, PP_DTYPE_F32, (size_t)(n_rows * vocab), 3);
    for (int64_t row = 0; row < n_rows; row++) {
        float *x = logits + row * vocab;
        for (int64_t t = 0; t < vocab; t++) {
            int32_t kind = (int32_t)(row % KINDS);
            if (kind == WIDE)
                x[t] *= 3e4f;
            else if (kind == TIES)
                x[t] = x[t] > 4 ? 2.5f : x[t] > 1 ? 0.0f : x[t] > 0 ? -0.0f : -1.0f;
            else if (kind == MOST_MINUS && t % 700 != vocab % 700)
                x[t] = -INFINITY;
            else if (kind == ASCENDING)
                x[t] = (float)(t / 3) * 0.01f;
            else if (kind == ALL_MINUS)
                x[t] = -INFINITY;
        }
        if (row % KINDS == MOST_MINUS)
            x[vocab - 1] = -80.0f;
        if (row % KINDS == WITH_NAN)
            x[rng_between(rng, 0, (int)vocab - 1)] = NAN;
        if (row % KINDS == WITH_PLUS)
            x[rng_between(rng, 0, (int)vocab - 1)] = INFINITY;
    }
    return logits;
}

static int64_t make_scores(struct rng *rng, int64_t n_rows, int64_t vocab, struct ppi_score *scores)
{
    int64_t n = 0;
    for (int32_t row = 0; row < n_rows; row++) {
        int64_t step = vocab / TARGETS + 1, at = rng_between(rng, 0, (int)step - 1);
        for (; at < vocab; at += step)
            scores[n++] = (struct ppi_score){.row = row, .target = (int32_t)at, .rank = 77};
    }
    return n;
}

/* ---- what is right, in double ---- */

static bool has_answer(const float *x, int64_t vocab)
{
    bool has_finite = false;
    for (int64_t t = 0; t < vocab; t++) {
        if (isnan(x[t]) || x[t] == INFINITY)
            return false;
        has_finite |= isfinite(x[t]);
    }
    return has_finite;
}

static double log_sum(const float *x, int64_t vocab)
{
    double max = -INFINITY, sum = 0;
    for (int64_t t = 0; t < vocab; t++)
        max = fmax(max, x[t]);
    for (int64_t t = 0; t < vocab; t++)
        sum += exp(x[t] - max);
    return max + log(sum);
}

static int32_t rank_of(const float *x, int64_t vocab, int32_t target)
{
    int32_t rank = 0;
    for (int32_t t = 0; t < vocab; t++)
        rank += x[t] > x[target] || (x[t] == x[target] && t < target);
    return rank;
}

/* The log of a sum is as exact as docs/numerics.md says; logits of 1e5 have f32's own digits. */
static bool is_close(double value, double exact, double largest)
{
    return value == exact || fabs(value - exact) <= 4e-6 + 1e-14 * fabs(largest);
}

static void check_score(const struct ppi_score *score, const float *x, int64_t vocab, double sum)
{
    if (isnan(sum)) {
        EXPECT(score->rank == -1 && isnan(score->logprob), "vocab %ld row %d: %d, %g", (long)vocab,
               score->row, score->rank, score->logprob);
        return;
    }
    double exact = x[score->target] - sum;
    EXPECT(is_close(score->logprob, exact, sum), "vocab %ld row %d target %d: %.17g, not %.17g",
           (long)vocab, score->row, score->target, score->logprob, exact);
    int32_t rank = rank_of(x, vocab, score->target);
    EXPECT(score->rank == rank, "vocab %ld row %d target %d: rank %d, not %d", (long)vocab,
           score->row, score->target, score->rank, rank);
}

/* Each of the top has the rank of its place. */
static void check_top(const int32_t *tokens, const double *logprobs, int32_t n_top, const float *x,
                      int64_t vocab, double sum)
{
    for (int32_t i = 0; i < n_top; i++) {
        if (isnan(sum)) {
            EXPECT(tokens[i] == -1 && isnan(logprobs[i]), "top %d: %d, %g", i, tokens[i],
                   logprobs[i]);
            continue;
        }
        EXPECT(tokens[i] >= 0 && tokens[i] < vocab, "vocab %ld top %d: token %d", (long)vocab, i,
               tokens[i]);
        if (i < 3 || i % 50 == 0 || i == n_top - 1) {
            int32_t rank = rank_of(x, vocab, tokens[i]);
            EXPECT(rank == i, "vocab %ld top %d of %d: token %d has rank %d", (long)vocab, i, n_top,
                   tokens[i], rank);
        }
        double exact = x[tokens[i]] - sum;
        EXPECT(is_close(logprobs[i], exact, sum), "vocab %ld top %d: %.17g, not %.17g", (long)vocab,
               i, logprobs[i], exact);
        if (i > 0) {
            float last = x[tokens[i - 1]], value = x[tokens[i]];
            EXPECT(last > value || (last == value && tokens[i - 1] < tokens[i]),
                   "vocab %ld top %d: not in order", (long)vocab, i);
        }
    }
}

/* ---- the tests ---- */

/* Everything that a call gives. */
struct answer {
    struct ppi_score *scores;
    int64_t n_scores;
    int32_t n_top;
    int32_t *tokens;
    double *logprobs;
};

static struct answer ask(struct ppi_backend *backend, const float *logits, int64_t n_rows,
                         int64_t vocab, const struct ppi_score *scores, int64_t n_scores,
                         int32_t n_top)
{
    struct answer a = {.scores = checkop_alloc((size_t)n_scores + 1, sizeof *scores),
                       .n_scores = n_scores,
                       .n_top = n_top};
    if (n_scores > 0)
        memcpy(a.scores, scores, (size_t)n_scores * sizeof *scores);
    size_t n = (size_t)n_rows * (size_t)n_top;
    a.tokens = n_top > 0 ? checkop_alloc(n, sizeof *a.tokens) : NULL;
    a.logprobs = n_top > 0 ? checkop_alloc(n, sizeof *a.logprobs) : NULL;
    pp_error err = {.struct_size = sizeof err};
    EXPECT(ppi_cpu_ops.score(backend, logits, n_rows, vocab, a.scores, n_scores, n_top, a.tokens,
                             a.logprobs, &err) == PP_OK,
           "%s", err.message);
    return a;
}

static void answer_free(struct answer *a)
{
    free(a->scores);
    free(a->tokens);
    free(a->logprobs);
}

static bool same_bits(const void *a, const void *b, size_t n)
{
    return n == 0 || memcmp(a, b, n) == 0;
}

static struct ppi_score from_row_0(struct ppi_score score)
{
    score.row = 0;
    return score;
}

/* A row alone, and each of its scores alone, has the bits that it has in the company of all. */
static void check_alone(struct ppi_backend *backend, const struct answer *all, const float *x,
                        int64_t row, int64_t vocab)
{
    struct ppi_score wanted[TARGETS];
    int64_t n = 0, first = 0;
    while (first < all->n_scores && all->scores[first].row < row)
        first++;
    for (int64_t i = first; i < all->n_scores && all->scores[i].row == row; i++)
        wanted[n++] = from_row_0(all->scores[i]);
    struct answer alone = ask(backend, x, 1, vocab, wanted, n, all->n_top);
    for (int64_t i = 0; i < n; i++) {
        EXPECT(alone.scores[i].rank == wanted[i].rank &&
                   same_bits(&alone.scores[i].logprob, &wanted[i].logprob, sizeof(double)),
               "vocab %ld row %ld: company shows", (long)vocab, (long)row);
        struct answer one = ask(backend, x, 1, vocab, wanted + i, 1, 0);
        EXPECT(one.scores[0].rank == wanted[i].rank &&
                   same_bits(&one.scores[0].logprob, &wanted[i].logprob, sizeof(double)),
               "vocab %ld row %ld: other scores show", (long)vocab, (long)row);
        answer_free(&one);
    }
    size_t top = (size_t)all->n_top, at = (size_t)row * top;
    EXPECT(same_bits(alone.tokens, all->tokens ? all->tokens + at : NULL, top * sizeof(int32_t)) &&
               same_bits(alone.logprobs, all->logprobs ? all->logprobs + at : NULL,
                         top * sizeof(double)),
           "vocab %ld row %ld: company shows in the top", (long)vocab, (long)row);
    answer_free(&alone);
}

static void check_rows(struct ppi_backend *one, struct ppi_backend *three, struct rng *rng,
                       int64_t n_rows, int64_t vocab, int32_t n_top)
{
    float *logits = make_logits(rng, n_rows, vocab);
    struct ppi_score scores[MAX_ROWS * TARGETS];
    int64_t n_scores = make_scores(rng, n_rows, vocab, scores);
    struct answer a = ask(one, logits, n_rows, vocab, scores, n_scores, n_top);
    struct answer b = ask(three, logits, n_rows, vocab, scores, n_scores, n_top);
    size_t n = (size_t)n_rows * (size_t)n_top;
    for (int64_t i = 0; i < n_scores; i++)
        EXPECT(a.scores[i].rank == b.scores[i].rank &&
                   same_bits(&a.scores[i].logprob, &b.scores[i].logprob, sizeof(double)),
               "vocab %ld: threads show", (long)vocab);
    EXPECT(same_bits(a.tokens, b.tokens, n * sizeof(int32_t)) &&
               same_bits(a.logprobs, b.logprobs, n * sizeof(double)),
           "vocab %ld: threads show in the top", (long)vocab);
    int64_t at = 0;
    for (int64_t row = 0; row < n_rows; row++) {
        const float *x = logits + row * vocab;
        double sum = has_answer(x, vocab) ? log_sum(x, vocab) : NAN;
        for (; at < n_scores && a.scores[at].row == row; at++)
            check_score(&a.scores[at], x, vocab, sum);
        if (n_top > 0)
            check_top(a.tokens + row * n_top, a.logprobs + row * n_top, n_top, x, vocab, sum);
        if (row < KINDS || row == n_rows - 1)
            check_alone(three, &a, x, row, vocab);
    }
    answer_free(&a);
    answer_free(&b);
    free(logits);
}

/* Values, and the same bits alone, in company, with one thread and with three. */
START_TEST(score_values)
{
    struct rng rng = rng_seeded(51);
    for (int i = 0; checkop_variant(i); i++) {
        struct ppi_backend *one =
            checkop_open(checkop_variant(i), PP_DTYPE_F32, 1, checkop_any_shape);
        struct ppi_backend *three =
            checkop_open(checkop_variant(i), PP_DTYPE_F32, 3, checkop_any_shape);
        for (size_t v = 0; v < PPI_COUNT(vocabs); v++)
            for (size_t t = 0; t < PPI_COUNT(tops); t++) {
                int32_t n_top = tops[t] < vocabs[v] ? tops[t] : (int32_t)vocabs[v];
                check_rows(one, three, &rng, t == 2 ? MAX_ROWS : KINDS + 1, vocabs[v], n_top);
            }
        ppi_cpu_ops.close(one);
        ppi_cpu_ops.close(three);
    }
}
END_TEST

/* Every id of a row is asked for: ranks are a permutation, probabilities add up to 1. */
START_TEST(score_every_target)
{
    enum { VOCAB = TILE + 100 };
    struct rng rng = rng_seeded(52);
    float *logits = make_logits(&rng, KINDS, VOCAB);
    struct ppi_score *scores = checkop_alloc(VOCAB, sizeof *scores);
    struct ppi_backend *backend = checkop_open(NULL, PP_DTYPE_BF16, 2, checkop_any_shape);
    for (int32_t row = RANDOM; row <= ASCENDING; row++) {
        for (int32_t t = 0; t < VOCAB; t++)
            scores[t] = (struct ppi_score){.row = row, .target = t};
        struct answer a = ask(backend, logits, KINDS, VOCAB, scores, VOCAB, 0);
        uint8_t seen[VOCAB] = {0};
        double sum = 0;
        for (int32_t t = 0; t < VOCAB; t++) {
            int32_t rank = a.scores[t].rank;
            EXPECT(rank >= 0 && rank < VOCAB && !seen[rank], "row %d: rank %d twice", row, rank);
            seen[rank] = 1;
            sum += exp(a.scores[t].logprob);
        }
        EXPECT(fabs(sum - 1) <= 4e-6, "row %d: probabilities of %.9g", row, sum);
        answer_free(&a);
    }
    /* No rows, and rows of which nothing is asked. */
    struct answer none = ask(backend, logits, 0, VOCAB, NULL, 0, 0);
    answer_free(&none);
    none = ask(backend, logits, KINDS, VOCAB, NULL, 0, 0);
    answer_free(&none);
    free(scores);
    free(logits);
    ppi_cpu_ops.close(backend);
}
END_TEST

Suite *checkop_score_suite(void)
{
    Suite *suite = suite_create("score");
    TCase *tcase = tcase_create("values");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, score_values);
    tcase_add_test(tcase, score_every_target);
    suite_add_tcase(suite, tcase);
    return suite;
}
