/*
 * op_device_route.c: which experts a row goes through: choices that double precision could make,
 * ties, rows of NaN, weights of every scoring, and bits in any company.
 */
#include "under_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct problem {
    int32_t n_rows, n, top_k, scoring, normalize;
    float sum_eps, scale;
    float *logits, *correction, *expert_scale; /* the last two NULL where there is none */
};

static void run(const struct problem *p, int32_t *chosen, float *weights)
{
    size_t n = (size_t)p->n * sizeof(float), out = (size_t)(p->n_rows * p->top_k) * 4;
    struct ppi_cuda_route_args args = {
        .logits = device_upload(p->logits, (size_t)p->n_rows * n),
        .correction = p->correction ? device_upload(p->correction, n) : NULL,
        .expert_scale = p->expert_scale ? device_upload(p->expert_scale, n) : NULL,
        .chosen = device_alloc(out),
        .weights = device_alloc(out),
        .n_rows = p->n_rows,
        .n = p->n,
        .top_k = p->top_k,
        .scoring = p->scoring,
        .normalize = p->normalize,
        .sum_eps = p->sum_eps,
        .scale = p->scale};
    device_launch(&ppi_cuda_route[0], ppi_cuda_route_blocks(p->n_rows), &args);
    device_download(chosen, args.chosen, out);
    device_download(weights, args.weights, out);
    device_free((void *)(uintptr_t)args.logits);
    if (args.correction)
        device_free((void *)(uintptr_t)args.correction);
    if (args.expert_scale)
        device_free((void *)(uintptr_t)args.expert_scale);
    device_free(args.chosen);
    device_free(args.weights);
}

/* Scores of all experts of a row. */
static void score(const struct problem *p, const float *logits, double *scores)
{
    double max = -INFINITY, sum = 0;
    for (int32_t e = 0; e < p->n; e++)
        max = fmax(max, logits[e]);
    for (int32_t e = 0; e < p->n; e++)
        sum += exp(logits[e] - max);
    for (int32_t e = 0; e < p->n; e++)
        scores[e] = p->scoring == PPI_CUDA_SCORING_SOFTMAX   ? exp(logits[e] - max) / sum
                    : p->scoring == PPI_CUDA_SCORING_SIGMOID ? 1 / (1 + exp(-(double)logits[e]))
                                                             : logits[e];
}

/* Different experts in ascending order. */
static void expect_order(const struct problem *p, const int32_t *chosen)
{
    for (int32_t j = 0; j < p->top_k; j++)
        EXPECT(chosen[j] > (j ? chosen[j - 1] : -1) && chosen[j] < p->n,
               "expert %d of %d, number %d of %d", chosen[j], p->n, j, p->top_k);
}

/* No expert outside is better by more than f32 can tell. */
static void expect_choice(const struct problem *p, const double *scores, const int32_t *chosen)
{
    double worst = INFINITY, best_outside = -INFINITY;
    for (int32_t e = 0, j = 0; e < p->n; e++) {
        double of = scores[e] + (p->correction ? p->correction[e] : 0);
        bool is_chosen = j < p->top_k && chosen[j] == e;
        j += is_chosen;
        if (is_chosen)
            worst = fmin(worst, of);
        else
            best_outside = fmax(best_outside, of);
    }
    EXPECT(worst >= best_outside - 1e-6 * (1 + fabs(worst)),
           "%d of %d: one of %g is chosen, one of %g is not", p->top_k, p->n, worst, best_outside);
}

static void expect_weights(const struct problem *p, const double *scores, const int32_t *chosen,
                           const float *weights)
{
    double sum = 0, exponentials = 0;
    for (int32_t j = 0; j < p->top_k; j++) {
        exponentials += exp(scores[chosen[j]]);
        sum += scores[chosen[j]];
    }
    bool of_chosen = p->scoring == PPI_CUDA_SCORING_CHOSEN;
    sum = (of_chosen ? 1 : sum) + p->sum_eps;
    for (int32_t j = 0; j < p->top_k; j++) {
        int32_t e = chosen[j];
        double weight = of_chosen ? exp(scores[e]) / exponentials : scores[e];
        weight = weight / (p->normalize ? sum : 1) * p->scale;
        weight *= p->expert_scale ? p->expert_scale[e] : 1;
        EXPECT(fabs(weights[j] - weight) <= 4e-6 * fabs(weight) + 1e-30,
               "weight of expert %d of %d: %g, expected %g", e, p->n, (double)weights[j], weight);
    }
}

/* Rows of any scoring; correction and expert_scale every second and third time. */
static struct problem problem_make(struct rng *rng, int32_t n_rows, int32_t n, int32_t top_k, int i)
{
    struct problem p = {.n_rows = n_rows,
                        .n = n,
                        .top_k = top_k,
                        .scoring = i % 3,
                        .normalize = i % 4 < 2,
                        .sum_eps = i % 4 == 1 ? 0.25f : 0,
                        .scale = i % 5 == 4 ? 2.5f : 1};
    p.logits = device_random(rng, PP_DTYPE_F32, (size_t)(n_rows * n), 2);
    p.correction = i % 2 ? device_random(rng, PP_DTYPE_F32, (size_t)n, 0.3) : NULL;
    p.expert_scale = i % 3 == 1 ? device_random(rng, PP_DTYPE_F32, (size_t)n, 1) : NULL;
    return p;
}

static void problem_free(struct problem *p)
{
    free(p->logits);
    free(p->correction);
    free(p->expert_scale);
}

static void choices_and_weights(void)
{
    static const int32_t shapes[][2] = {{1, 1},  {2, 1},   {8, 2},    {5, 5},     {33, 4},
                                        {64, 6}, {128, 8}, {300, 22}, {1024, 10}, {40, 33}};
    struct rng rng = rng_seeded(1);
    for (size_t s = 0; s < COUNT(shapes); s++)
        for (int i = 0; i < 12; i++) {
            struct problem p = problem_make(&rng, 1 + i % 3 * 5, shapes[s][0], shapes[s][1], i);
            size_t n = (size_t)(p.n_rows * p.top_k) * 4;
            int32_t *chosen = device_host(n);
            float *weights = device_host(n);
            double *scores = device_host((size_t)p.n * sizeof *scores);
            run(&p, chosen, weights);
            for (int32_t row = 0; row < p.n_rows; row++) {
                const int32_t *of = chosen + row * p.top_k;
                score(&p, p.logits + row * p.n, scores);
                expect_order(&p, of);
                expect_choice(&p, scores, of);
                expect_weights(&p, scores, of, weights + row * p.top_k);
            }
            free(chosen);
            free(weights);
            free(scores);
            problem_free(&p);
        }
}

/* Of equals the smaller numbers, beside one that is better. */
static void ties_go_to_the_smaller(void)
{
    enum { N = 70, TOP_K = 5 };
    struct rng rng = rng_seeded(2);
    for (int32_t scoring = 0; scoring < 3; scoring++)
        for (int32_t better = 0; better < N; better += 23) {
            struct problem p = problem_make(&rng, 1, N, TOP_K, 0);
            int32_t chosen[TOP_K];
            float weights[TOP_K];
            p.scoring = scoring;
            for (int32_t e = 0; e < N; e++)
                p.logits[e] = e == better ? 3 : e >= 2 && e % 3 == 2 ? 1 : -1;
            run(&p, chosen, weights);
            int32_t j = 0, left = TOP_K - 1;
            for (int32_t e = 0; e < N; e++)
                if (e == better || (e % 3 == 2 && left-- > 0)) {
                    EXPECT(j < TOP_K && chosen[j] == e, "number %d is %d, not %d", j, chosen[j], e);
                    j++;
                }
            problem_free(&p);
        }
}

/* NaN chooses some experts, and changes nobody else's bits; so does any company. */
static void rows_keep_their_bits(void)
{
    enum { BASE = 4, N = 50, TOP_K = 7, ROWS = 29 };
    struct rng rng = rng_seeded(3);
    for (int i = 0; i < 6; i++) {
        struct problem base = problem_make(&rng, BASE, N, TOP_K, i), p = base;
        int32_t expected[BASE * TOP_K], chosen[ROWS * TOP_K];
        float weights[BASE * TOP_K], got[ROWS * TOP_K];
        run(&base, expected, weights);
        p.n_rows = ROWS;
        p.logits = device_random(&rng, PP_DTYPE_F32, ROWS * N, 1);
        for (int32_t row = 0; row < ROWS; row++)
            for (int32_t e = 0; e < N; e++)
                p.logits[row * N + e] = row % 5 < BASE ? base.logits[row % 5 * N + e]
                                        : e % 3        ? NAN
                                                       : p.logits[row * N + e];
        for (int32_t e = 0; e < N; e++)
            p.logits[BASE * N + e] = NAN; /* and nothing else */
        run(&p, chosen, got);
        for (int32_t row = 0; row < ROWS; row++) {
            expect_order(&p, chosen + row * TOP_K);
            EXPECT(row % 5 >= BASE ||
                       (memcmp(chosen + row * TOP_K, expected + row % 5 * TOP_K, TOP_K * 4) == 0 &&
                        memcmp(got + row * TOP_K, weights + row % 5 * TOP_K, TOP_K * 4) == 0),
                   "row %d: not the bits it has alone", row);
        }
        free(p.logits);
        problem_free(&base);
    }
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"choices_and_weights", choices_and_weights},
        {"ties_go_to_the_smaller", ties_go_to_the_smaller},
        {"rows_keep_their_bits", rows_keep_their_bits},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
