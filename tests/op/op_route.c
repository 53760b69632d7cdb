/*
 * op_route.c: which experts rows go through, against a choice from sorted scores in double; scores
 * here are so far apart that rounding does not decide, or equal.
 */
#include "checkop.h"

#include <math.h>
#include <string.h>

struct route_case {
    int32_t n, top_k, scoring;
    bool normalize, corrected, expert_scaled;
    float sum_eps, scale;
};

static struct ppi_matrix *make_vector(struct ppi_backend *backend, const float *numbers, int64_t n)
{
    struct ppi_matrix *vector;
    ppi_cpu_ops.matrix_create(backend, &checkop_mem,
                              &(struct ppi_matrix_spec){.kind = PPI_MATRIX_VECTOR, .n = 1, .k = n},
                              &vector, NULL);
    ppi_cpu_ops.matrix_fill(backend, vector, 0, 1, numbers, PP_DTYPE_F32, NULL);
    return vector;
}

static struct ppi_backend *open_router(const char *variant, int32_t n, int32_t top_k,
                                       int32_t n_threads)
{
    struct ppi_backend_params params =
        checkop_params(variant, PP_DTYPE_F32, n_threads, checkop_any_shape);
    params.hidden_size = params.expert_size = 8;
    params.n_experts = n;
    params.top_k = top_k;
    params.max_pass_tokens = 64;
    return checkop_open_params(&params);
}

static double score_of(const struct route_case *c, const float *logits, int32_t i)
{
    double sum = 0;
    if (c->scoring == PPI_SCORING_CHOSEN)
        return logits[i];
    if (c->scoring == PPI_SCORING_SIGMOID)
        return 1 / (1 + exp(-(double)logits[i]));
    for (int32_t j = 0; j < c->n; j++)
        sum += exp((double)logits[j] - logits[i]);
    return 1 / sum;
}

/* The choice and the weights of one row. */
static void expect_row(const struct route_case *c, const float *logits, const float *correction,
                       const float *expert_scale, int32_t *chosen, double *weights)
{
    double scores[512], sum = 0;
    bool taken[512] = {false};
    for (int32_t i = 0; i < c->n; i++)
        scores[i] = score_of(c, logits, i);
    for (int32_t k = 0; k < c->top_k; k++) {
        int32_t best = -1;
        for (int32_t i = 0; i < c->n; i++) {
            double score = scores[i] + (correction ? correction[i] : 0);
            if (!taken[i] &&
                (best < 0 || score > scores[best] + (correction ? correction[best] : 0)))
                best = i;
        }
        taken[best] = true;
    }
    for (int32_t i = 0, k = 0; i < c->n; i++)
        if (taken[i])
            chosen[k++] = i;
    for (int32_t k = 0; k < c->top_k; k++) {
        weights[k] = scores[chosen[k]];
        if (c->scoring == PPI_SCORING_CHOSEN)
            weights[k] = exp(weights[k] - scores[chosen[0]]);
        sum += weights[k];
    }
    for (int32_t k = 0; k < c->top_k; k++) {
        if (c->scoring == PPI_SCORING_CHOSEN)
            weights[k] /= sum;
        else if (c->normalize)
            weights[k] /= sum + (double)c->sum_eps;
        weights[k] *= c->scale * (expert_scale ? (double)expert_scale[chosen[k]] : 1);
    }
}

#define ROUTED_ROWS 40

static void check_route(struct rng *rng, const char *variant, const struct route_case *c)
{
    struct ppi_backend *backend = open_router(variant, c->n, c->top_k, 2);
    float *logits = checkop_random(rng, PP_DTYPE_F32, (size_t)(ROUTED_ROWS * c->n), 2);
    float *correction = checkop_random(rng, PP_DTYPE_F32, (size_t)c->n, 0.5);
    float *scale = checkop_random(rng, PP_DTYPE_F32, (size_t)c->n, 1);
    for (int32_t i = 0; i < c->n; i++) /* ties: of two halves and of whole rows */
        for (int32_t row = 0; row < 4; row++)
            logits[row * c->n + i] = row == 0 ? 1.5f : (float)(i % 3);
    for (int32_t i = 0; i < 4 * c->n && c->corrected; i++)
        logits[i] = logits[4 * c->n + i];
    struct ppi_router router = {.n = c->n,
                                .top_k = c->top_k,
                                .scoring = c->scoring,
                                .normalize = c->normalize,
                                .sum_eps = c->sum_eps,
                                .scale = c->scale};
    struct ppi_matrix *vectors[] = {make_vector(backend, correction, c->n),
                                    make_vector(backend, scale, c->n)};
    router.correction = c->corrected ? vectors[0] : NULL;
    router.expert_scale = c->expert_scaled ? vectors[1] : NULL;
    int32_t chosen[ROUTED_ROWS * 16], alone[16], expected[16];
    float weights[ROUTED_ROWS * 16], alone_weights[16];
    double expected_weights[16];
    struct ppi_routing routing = {chosen, weights}, single = {alone, alone_weights};
    ppi_cpu_ops.route(backend, &router, logits, ROUTED_ROWS, &routing, NULL);
    size_t top_k = (size_t)c->top_k;
    for (int32_t row = 0; row < ROUTED_ROWS; row++) {
        const float *of_row = logits + row * c->n;
        expect_row(c, of_row, c->corrected ? correction : NULL, c->expert_scaled ? scale : NULL,
                   expected, expected_weights);
        for (size_t k = 0; k < top_k; k++) {
            size_t at = (size_t)row * top_k + k;
            EXPECT(
                chosen[at] == expected[k] && fabs(weights[at] - expected_weights[k]) <=
                                                 1e-5 * fabs(expected_weights[k]) + 1e-30,
                "%s scoring %d, %d of %d: row %d, %d: expert %d with %.9g, expected %d with %.9g",
                variant, c->scoring, c->top_k, c->n, row, (int)k, chosen[at], weights[at],
                expected[k], expected_weights[k]);
        }
        ppi_cpu_ops.route(backend, &router, of_row, 1, &single, NULL);
        EXPECT(memcmp(alone, chosen + (size_t)row * top_k, top_k * sizeof *alone) == 0 &&
                   memcmp(alone_weights, weights + (size_t)row * top_k, top_k * sizeof *weights) ==
                       0,
               "%s: row %d: other bits alone", variant, row);
    }
    ppi_cpu_ops.matrix_destroy(vectors[0]);
    ppi_cpu_ops.matrix_destroy(vectors[1]);
    ppi_cpu_ops.close(backend);
    free(logits);
    free(correction);
    free(scale);
}

START_TEST(choices_and_weights)
{
    static const struct route_case cases[] = {
        {8, 2, PPI_SCORING_SOFTMAX, .scale = 1},
        {128, 8, PPI_SCORING_SOFTMAX, .normalize = true, .scale = 1},
        {64, 6, PPI_SCORING_SOFTMAX, .scale = 16},
        {32, 4, PPI_SCORING_CHOSEN, .scale = 1},
        {5, 5, PPI_SCORING_CHOSEN, .scale = 0.5f},
        {256, 8, PPI_SCORING_SIGMOID, .normalize = true, .corrected = true, .sum_eps = 1e-20f,
         .scale = 2.5f},
        {16, 1, PPI_SCORING_SIGMOID, .scale = 1},
        {1, 1, PPI_SCORING_SOFTMAX, .normalize = true, .scale = 1},
        {128, 8, PPI_SCORING_SOFTMAX, .normalize = true, .expert_scaled = true, .scale = 1},
    };
    struct rng rng = rng_seeded(61);
    for (int v = 0; checkop_variant(v); v++)
        for (size_t i = 0; i < PPI_COUNT(cases); i++)
            check_route(&rng, checkop_variant(v), &cases[i]);
}
END_TEST

/* Whatever the logits are, a row has top_k different experts in ascending order. */
START_TEST(rows_that_are_not_finite)
{
    static const float odd_ones[] = {NAN, INFINITY, -INFINITY, 3e38f};
    for (int32_t scoring = PPI_SCORING_SOFTMAX; scoring <= PPI_SCORING_SIGMOID; scoring++)
        for (int pattern = 0; pattern < 64; pattern++) {
            struct ppi_backend *backend = open_router(checkop_variant(0), 12, 4, 1);
            struct ppi_router router = {.n = 12, .top_k = 4, .scoring = scoring, .normalize = true};
            float logits[12], weights[4];
            int32_t chosen[4];
            struct ppi_routing routing = {chosen, weights};
            for (int i = 0; i < 12; i++)
                logits[i] = (pattern * 7 + i * 5) % 3 ? (float)i : odd_ones[(pattern + i) % 4];
            for (int i = 0; i < 12 && pattern < 4; i++)
                logits[i] = odd_ones[pattern];
            ppi_cpu_ops.route(backend, &router, logits, 1, &routing, NULL);
            for (int k = 0; k < 4; k++)
                EXPECT(chosen[k] >= 0 && chosen[k] < 12 && (k == 0 || chosen[k] > chosen[k - 1]),
                       "scoring %d, pattern %d: expert %d is %d", scoring, pattern, k, chosen[k]);
            ppi_cpu_ops.close(backend);
        }
}
END_TEST

Suite *checkop_route_suite(void)
{
    Suite *suite = suite_create("route");
    TCase *tcase = tcase_create("values");
    tcase_add_test(tcase, choices_and_weights);
    tcase_add_test(tcase, rows_that_are_not_finite);
    suite_add_tcase(suite, tcase);
    return suite;
}
