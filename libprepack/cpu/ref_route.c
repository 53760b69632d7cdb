/*
 * ref_route.c: which experts rows go through, in plain C; it defines the meaning, and is all that
 * every kernel set needs: of a row's experts this takes a thousandth of the time.
 *
 * Sums go over experts in ascending order. A row with a NaN has experts like any other, and weights
 * that are NaN.
 */
#include "cpu/cpu.h"
#include "cpu/expert_rows.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define SCORE_NS 6.0 /* of one expert of a row, by one thread */

struct route {
    const struct ppi_backend *backend;
    const struct ppi_router *router;
    const float *logits;
    const struct ppi_routing *routing;
};

/* x = softmax(x) */
static void soften(float *x, int32_t n)
{
    float max = x[0], sum = 0;
    for (int32_t i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (int32_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - max);
        sum += x[i];
    }
    for (int32_t i = 0; i < n; i++)
        x[i] /= sum;
}

/* Scores of all experts, as the choice is made by them but for the correction. */
static void score_experts(const struct ppi_router *router, const float *logits, float *scores)
{
    memcpy(scores, logits, (size_t)router->n * sizeof *scores);
    if (router->scoring == PPI_SCORING_SOFTMAX)
        soften(scores, router->n);
    for (int32_t i = 0; router->scoring == PPI_SCORING_SIGMOID && i < router->n; i++)
        scores[i] = 1.0f / (1.0f + expf(-logits[i]));
}

/* The top_k of them, the best first; best: their scores with the correction. */
static void choose(const struct ppi_router *router, const float *scores, float *best,
                   int32_t *chosen)
{
    const float *correction = ppi_cpu_vector(router->correction);
    int32_t n_best = 0;
    for (int32_t i = 0; i < router->n; i++) {
        float score = correction ? scores[i] + correction[i] : scores[i];
        if (n_best == router->top_k && !(score > best[n_best - 1]))
            continue;
        int32_t at = n_best < router->top_k ? n_best++ : n_best - 1;
        for (; at > 0 && score > best[at - 1]; at--) {
            best[at] = best[at - 1];
            chosen[at] = chosen[at - 1];
        }
        best[at] = score;
        chosen[at] = i;
    }
}

static void sort_ascending(int32_t *x, int32_t n)
{
    for (int32_t i = 1; i < n; i++) {
        int32_t value = x[i], at = i;
        for (; at > 0 && x[at - 1] > value; at--)
            x[at] = x[at - 1];
        x[at] = value;
    }
}

static void weigh(const struct ppi_router *router, const float *scores, const int32_t *chosen,
                  float *weights)
{
    const float *expert_scale = ppi_cpu_vector(router->expert_scale);
    float sum = 0;
    for (int32_t i = 0; i < router->top_k; i++)
        weights[i] = scores[chosen[i]];
    if (router->scoring == PPI_SCORING_CHOSEN)
        soften(weights, router->top_k);
    for (int32_t i = 0; i < router->top_k; i++)
        sum += weights[i];
    for (int32_t i = 0; router->normalize && i < router->top_k; i++)
        weights[i] /= sum + router->sum_eps;
    for (int32_t i = 0; i < router->top_k; i++)
        weights[i] *= expert_scale ? expert_scale[chosen[i]] * router->scale : router->scale;
}

static void run_route(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    const struct route *job = arg;
    const struct ppi_router *router = job->router;
    float *scores =
        (float *)(void *)(job->backend->scratch + (size_t)i_thread * job->backend->scratch_bytes);
    for (int64_t row = first; row < end; row++) {
        int32_t *chosen = job->routing->chosen + row * router->top_k;
        score_experts(router, job->logits + row * router->n, scores);
        choose(router, scores, scores + router->n, chosen);
        sort_ascending(chosen, router->top_k);
        weigh(router, scores, chosen, job->routing->weights + row * router->top_k);
    }
}

size_t ppi_cpu_route_scratch(const struct ppi_backend_params *params)
{
    return ((size_t)params->n_experts + (size_t)params->top_k) * sizeof(float);
}

pp_status ppi_cpu_route(struct ppi_backend *backend, const struct ppi_router *router,
                        const float *logits, int64_t n_rows, const struct ppi_routing *routing,
                        pp_error *err)
{
    (void)err;
    assert(router->top_k >= 1 && router->top_k <= router->n);
    assert(router->n <= backend->params.n_experts);
    struct route job = {backend, router, logits, routing};
    ppi_cpu_run(backend->pool, n_rows, SCORE_NS * router->n, run_route, &job);
    return PP_OK;
}
