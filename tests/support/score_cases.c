/*
 * score_cases.c: rows of logits, and what is right for them, in double.
 */
#include "score_cases.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#define TARGETS 5 /* of every row, or fewer where the vocabulary is small */

/* What kinds of rows there are; row r is of kind r % KINDS. */
enum { RANDOM, WIDE, TIES, MOST_MINUS, ASCENDING, ALL_MINUS, WITH_NAN, WITH_PLUS, KINDS };

static char problem[256];

static bool wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(problem, sizeof problem, format, args);
    va_end(args);
    return false;
}

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return wrong(__VA_ARGS__);                                                             \
    } while (0)

static void *take(int64_t n, size_t size)
{
    void *memory = calloc((size_t)n + 1, size);
    if (!memory)
        abort();
    return memory;
}

static float *make_logits(struct rng *rng, int64_t n_rows, int64_t vocab)
{
    float *logits = take(n_rows * vocab, sizeof *logits);
    for (int64_t i = 0; i < n_rows * vocab; i++) {
        int64_t kind = i / vocab % KINDS, t = i % vocab;
        float x = (float)rng_normal(rng) * 3;
        if (kind == WIDE)
            x *= 3e4f;
        else if (kind == TIES)
            x = x > 4 ? 2.5f : x > 1 ? 0.0f : x > 0 ? -0.0f : -1.0f;
        else if (kind == MOST_MINUS && (t < vocab / 2 || t % 700 != vocab % 700))
            x = -INFINITY;
        else if (kind == ASCENDING)
            x = (float)(t / 3) * 0.01f;
        else if (kind == ALL_MINUS)
            x = -INFINITY;
        logits[i] = x;
    }
    for (int64_t row = 0; row < n_rows; row++) {
        float *x = logits + row * vocab;
        if (row % KINDS == MOST_MINUS)
            x[vocab - 1] = -80.0f;
        if (row % KINDS == WITH_NAN)
            x[rng_between(rng, 0, vocab - 1)] = NAN;
        if (row % KINDS == WITH_PLUS)
            x[rng_between(rng, 0, vocab - 1)] = INFINITY;
    }
    return logits;
}

static int64_t make_scores(struct rng *rng, int64_t n_rows, int64_t vocab, struct ppi_score *scores)
{
    int64_t n = 0;
    for (int32_t row = 0; row < n_rows; row++) {
        int64_t step = vocab / TARGETS + 1;
        for (int64_t at = rng_between(rng, 0, step - 1); at < vocab; at += step)
            scores[n++] = (struct ppi_score){.row = row, .target = (int32_t)at, .rank = 77};
    }
    return n;
}

/* ---- what is right ---- */

/* NaN where nothing can be said of the row. */
static double log_sum(const float *x, int64_t vocab)
{
    double max = -INFINITY, sum = 0;
    for (int64_t t = 0; t < vocab; t++) {
        if (isnan(x[t]) || x[t] == INFINITY)
            return NAN;
        max = fmax(max, x[t]);
    }
    for (int64_t t = 0; t < vocab; t++)
        sum += exp(x[t] - max);
    return isfinite(max) ? max + log(sum) : NAN;
}

static int32_t rank_of(const float *x, int64_t vocab, int32_t target)
{
    int32_t rank = 0;
    for (int32_t t = 0; t < vocab; t++)
        rank += x[t] > x[target] || (x[t] == x[target] && t < target);
    return rank;
}

/* As docs/numerics.md says; where logits are 1e5, double has its own last digits. */
static bool is_close(double value, double exact, double largest)
{
    return value == exact || fabs(value - exact) <= 4e-6 + 1e-14 * fabs(largest);
}

static bool score_is_right(const struct ppi_score *score, const float *x, int64_t vocab, double sum)
{
    if (isnan(sum)) {
        CHECK(score->rank == -1 && isnan(score->logprob), "vocabulary %ld row %d: %d, %g",
              (long)vocab, score->row, score->rank, score->logprob);
        return true;
    }
    double exact = x[score->target] - sum;
    CHECK(is_close(score->logprob, exact, sum), "vocabulary %ld row %d target %d: %.17g, not %.17g",
          (long)vocab, score->row, score->target, score->logprob, exact);
    int32_t rank = rank_of(x, vocab, score->target);
    CHECK(score->rank == rank, "vocabulary %ld row %d target %d: rank %d, not %d", (long)vocab,
          score->row, score->target, score->rank, rank);
    return true;
}

/* They are in order, and the last has the rank of its place; so no other is missing. */
static bool top_is_right(const int32_t *tokens, const double *logprobs, int32_t n_top,
                         const float *x, int64_t vocab, double sum)
{
    for (int32_t i = 0; i < n_top; i++) {
        if (isnan(sum)) {
            CHECK(tokens[i] == -1 && isnan(logprobs[i]), "top %d: %d, %g", i, tokens[i],
                  logprobs[i]);
            continue;
        }
        CHECK(tokens[i] >= 0 && tokens[i] < vocab, "vocabulary %ld top %d: token %d", (long)vocab,
              i, tokens[i]);
        float value = x[tokens[i]], last = i > 0 ? x[tokens[i - 1]] : INFINITY;
        CHECK(last > value || (last == value && tokens[i - 1] < tokens[i]),
              "vocabulary %ld top %d of %d: not in order", (long)vocab, i, n_top);
        CHECK(is_close(logprobs[i], value - sum, sum), "vocabulary %ld top %d: %.17g, not %.17g",
              (long)vocab, i, logprobs[i], value - sum);
        if (i == n_top - 1) {
            int32_t rank = rank_of(x, vocab, tokens[i]);
            CHECK(rank == i, "vocabulary %ld: token %d is the last of the top %d and has rank %d",
                  (long)vocab, tokens[i], n_top, rank);
        }
    }
    return true;
}

/* ---- what a context says ---- */

/* Everything that a call gives. */
struct answer {
    struct ppi_score *scores;
    int64_t n_scores;
    int32_t n_top;
    int32_t *tokens;
    double *logprobs;
};

static bool ask(const struct score_case_context *context, const float *logits, int64_t n_rows,
                int64_t vocab, const struct ppi_score *scores, int64_t n_scores, int32_t n_top,
                struct answer *a)
{
    *a = (struct answer){.scores = take(n_scores, sizeof *scores),
                         .n_scores = n_scores,
                         .n_top = n_top,
                         .tokens = take(n_rows * n_top, sizeof(int32_t)),
                         .logprobs = take(n_rows * n_top, sizeof(double))};
    for (int64_t i = 0; i < n_scores; i++)
        a->scores[i] = scores[i];
    pp_error err = {.struct_size = sizeof err};
    pp_status status =
        context->score(context->user, logits, n_rows, vocab, a->scores, n_scores, n_top,
                       n_top > 0 ? a->tokens : NULL, n_top > 0 ? a->logprobs : NULL, &err);
    CHECK(status == PP_OK, "%s", err.message);
    return true;
}

static void answer_free(struct answer *a)
{
    free(a->scores);
    free(a->tokens);
    free(a->logprobs);
}

static bool is_same(const struct ppi_score *a, const struct ppi_score *b)
{
    return a->rank == b->rank && memcmp(&a->logprob, &b->logprob, sizeof a->logprob) == 0;
}

static bool are_same_tops(const struct answer *a, int64_t row_a, const struct answer *b,
                          int64_t row_b, int64_t n_rows)
{
    size_t n = (size_t)(n_rows * a->n_top);
    return memcmp(a->tokens + row_a * a->n_top, b->tokens + row_b * b->n_top,
                  n * sizeof *a->tokens) == 0 &&
           memcmp(a->logprobs + row_a * a->n_top, b->logprobs + row_b * b->n_top,
                  n * sizeof *a->logprobs) == 0;
}

/* A row alone, and one of its scores alone, has the bits that it has in the company of all. */
static bool company_is_hidden(const struct score_case_context *context, const struct answer *all,
                              const float *x, int64_t row, int64_t vocab)
{
    struct ppi_score wanted[TARGETS];
    int64_t n = 0;
    for (int64_t i = 0; i < all->n_scores; i++)
        if (all->scores[i].row == row) {
            wanted[n] = all->scores[i];
            wanted[n++].row = 0;
        }
    struct answer alone = {0}, one = {0};
    bool right = ask(context, x, 1, vocab, wanted, n, all->n_top, &alone) &&
                 ask(context, x, 1, vocab, wanted + n - 1, 1, 0, &one);
    for (int64_t i = 0; right && i < n; i++)
        if (!is_same(&alone.scores[i], &wanted[i]))
            right = wrong("vocabulary %ld row %ld: company shows", (long)vocab, (long)row);
    if (right && !is_same(&one.scores[0], &wanted[n - 1]))
        right = wrong("vocabulary %ld row %ld: other scores show", (long)vocab, (long)row);
    if (right && !are_same_tops(&alone, 0, all, row, 1))
        right = wrong("vocabulary %ld row %ld: company shows in the top", (long)vocab, (long)row);
    answer_free(&alone);
    answer_free(&one);
    return right;
}

static bool all_is_right(const struct score_case_context *other, const struct answer *a,
                         const struct answer *b, const float *logits, int64_t n_rows, int64_t vocab)
{
    int64_t at = 0;
    for (int64_t i = 0; i < a->n_scores; i++)
        CHECK(is_same(&a->scores[i], &b->scores[i]), "vocabulary %ld: threads show", (long)vocab);
    CHECK(are_same_tops(a, 0, b, 0, n_rows), "vocabulary %ld: threads show in the top",
          (long)vocab);
    for (int64_t row = 0; row < n_rows; row++) {
        const float *x = logits + row * vocab;
        double sum = log_sum(x, vocab);
        for (; at < a->n_scores && a->scores[at].row == row; at++)
            if (!score_is_right(&a->scores[at], x, vocab, sum))
                return false;
        if (!top_is_right(a->tokens + row * a->n_top, a->logprobs + row * a->n_top, a->n_top, x,
                          vocab, sum))
            return false;
        if (row < KINDS || row == n_rows - 1)
            if (!company_is_hidden(other, a, x, row, vocab))
                return false;
    }
    return true;
}

const char *score_case_rows(const struct score_case_context *one,
                            const struct score_case_context *other, struct rng *rng, int64_t n_rows,
                            int64_t vocab, int32_t n_top)
{
    _Static_assert(SCORE_CASE_KINDS > KINDS, "every kind of row");
    float *logits = make_logits(rng, n_rows, vocab);
    struct ppi_score scores[SCORE_CASE_ROWS * TARGETS];
    int64_t n_scores = make_scores(rng, n_rows, vocab, scores);
    struct answer a = {0}, b = {0};
    bool right = ask(one, logits, n_rows, vocab, scores, n_scores, n_top, &a) &&
                 ask(other, logits, n_rows, vocab, scores, n_scores, n_top, &b) &&
                 all_is_right(other, &a, &b, logits, n_rows, vocab);
    answer_free(&a);
    answer_free(&b);
    free(logits);
    return right ? NULL : problem;
}

static bool is_permutation(const struct answer *a, int32_t row, int64_t vocab, uint8_t *seen)
{
    double sum = 0;
    for (int64_t t = 0; t < vocab; t++) {
        int32_t rank = a->scores[t].rank;
        CHECK(rank >= 0 && rank < vocab && seen[rank] <= row, "row %d: rank %d again", row, rank);
        seen[rank] = (uint8_t)(row + 1);
        sum += exp(a->scores[t].logprob);
    }
    CHECK(fabs(sum - 1) <= 4e-6, "row %d: probabilities of %.9g", row, sum);
    return true;
}

const char *score_case_every_target(const struct score_case_context *context, struct rng *rng,
                                    int64_t vocab)
{
    float *logits = make_logits(rng, KINDS, vocab);
    struct ppi_score *scores = take(vocab, sizeof *scores);
    uint8_t *seen = take(vocab, 1);
    struct answer a = {0};
    bool right = true;
    for (int32_t row = RANDOM; right && row <= ASCENDING; row++) {
        for (int32_t t = 0; t < vocab; t++)
            scores[t] = (struct ppi_score){.row = row, .target = t};
        right = ask(context, logits, KINDS, vocab, scores, vocab, 0, &a) &&
                is_permutation(&a, row, vocab, seen);
        answer_free(&a);
    }
    /* No rows, and rows of which nothing is asked. */
    for (int64_t n_rows = 0; right && n_rows <= KINDS; n_rows += KINDS) {
        right = ask(context, logits, n_rows, vocab, NULL, 0, 0, &a);
        answer_free(&a);
    }
    free(seen);
    free(scores);
    free(logits);
    return right ? NULL : problem;
}
