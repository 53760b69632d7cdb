/*
 * attention_case.c: making problems and solving them on the host, in double precision and naively.
 */
#include "attention_case.h"

#include <prepack/common.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct attention_case make_case(struct rng *rng, int32_t act, int32_t n_kv_heads, int32_t group,
                                int32_t head_dim, int32_t n_prompts, const int32_t *n_rows,
                                const int32_t *n_keys)
{
    struct attention_case a = {
        .act = act,
        .n_heads = n_kv_heads * group,
        .n_kv_heads = n_kv_heads,
        .head_dim = head_dim,
        .window_left = -1,
        .softmax_scale = 1 / sqrt(head_dim),
        .n_prompts = n_prompts,
        .prompts = device_host((size_t)n_prompts * sizeof *a.prompts),
    };
    int32_t dtype = device_act(act);
    for (int32_t i = 0; i < n_prompts; i++) {
        struct prompt *p = &a.prompts[i];
        p->n_rows = n_rows[i];
        p->n_keys = n_keys ? n_keys[i] : n_rows[i];
        /* Wide scores, so that weights differ. */
        p->q = device_random(rng, dtype, (size_t)(p->n_rows * a.n_heads * head_dim), 1.5);
        p->k = device_random(rng, dtype, (size_t)(p->n_keys * n_kv_heads * head_dim), 1.5);
        p->v = device_random(rng, dtype, (size_t)(p->n_keys * n_kv_heads * head_dim), 1);
    }
    return a;
}

void free_case(struct attention_case *attention)
{
    for (int32_t i = 0; i < attention->n_prompts; i++) {
        free(attention->prompts[i].q);
        free(attention->prompts[i].k);
        free(attention->prompts[i].v);
    }
    free(attention->prompts);
}

int32_t case_rows(const struct attention_case *attention)
{
    int32_t n = 0;
    for (int32_t i = 0; i < attention->n_prompts; i++)
        n += attention->prompts[i].n_rows;
    return n;
}

size_t case_out_len(const struct attention_case *attention)
{
    return (size_t)(case_rows(attention) * attention->n_heads * attention->head_dim);
}

size_t prompt_out_start(const struct attention_case *attention, int32_t prompt)
{
    size_t rows = 0;
    for (int32_t i = 0; i < prompt; i++)
        rows += (size_t)attention->prompts[i].n_rows;
    return rows * (size_t)(attention->n_heads * attention->head_dim);
}

/* ---- on the host ---- */

/* Is key j seen from position p? Written from the contract, not from the kernels. */
static bool is_seen(const struct attention_case *a, int32_t p, int32_t j)
{
    return (a->window_left < 0 || j >= (int64_t)p - a->window_left) &&
           (a->window_right < 0 || j <= (int64_t)p + a->window_right);
}

static double *widen(int32_t act, const uint16_t *x, size_t n)
{
    double *y = device_host(n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = device_value(device_act(act), x, i);
    return y;
}

/* One row of one head: q [dim]; k, v of the first key, keys `stride` elements apart. */
static void exact_row(const struct attention_case *a, const struct prompt *prompt, int32_t row,
                      size_t head, const double *q, const double *k, const double *v,
                      double *scores, double *out, double *lse)
{
    int32_t dim = a->head_dim, p = row + prompt->n_keys - prompt->n_rows;
    size_t stride = (size_t)(a->n_kv_heads * dim);
    double max = -INFINITY, total = 0;
    for (int32_t d = 0; d < dim; d++)
        out[d] = 0;
    for (int32_t j = 0; j < prompt->n_keys; j++) {
        scores[j] = -INFINITY;
        if (!is_seen(a, p, j))
            continue;
        scores[j] = 0;
        for (int32_t d = 0; d < dim; d++)
            scores[j] += q[d] * k[(size_t)j * stride + (size_t)d];
        scores[j] *= a->softmax_scale;
        if (a->softcap > 0)
            scores[j] = a->softcap * tanh(scores[j] / a->softcap);
        max = fmax(max, scores[j]);
    }
    for (int32_t j = 0; j < prompt->n_keys; j++) {
        if (scores[j] == -INFINITY)
            continue;
        double weight = exp(scores[j] - max);
        total += weight;
        for (int32_t d = 0; d < dim; d++)
            out[d] += weight * v[(size_t)j * stride + (size_t)d];
    }
    double with_sink = total + (a->sinks ? exp(a->sinks[head] - max) : 0);
    for (int32_t d = 0; d < dim && total > 0; d++)
        out[d] /= with_sink;
    *lse = max + log(total);
}

static float round_act(int32_t act, float x, uint16_t *bits)
{
    *bits = act == 0 ? ppi_f32_to_bf16(x) : ppi_f32_to_f16(x);
    return act == 0 ? ppi_bf16_to_f32(*bits) : ppi_f16_to_f32(*bits);
}

static void naive_row(const struct attention_case *a, const struct prompt *prompt, int32_t row,
                      size_t head, const double *q, const double *k, const double *v,
                      double *scores, uint16_t *out, float *lse)
{
    int32_t dim = a->head_dim, p = row + prompt->n_keys - prompt->n_rows;
    size_t stride = (size_t)(a->n_kv_heads * dim);
    float max = -INFINITY, total = 0, sums[PPI_CUDA_MAX_HEAD_DIM] = {0};
    uint16_t bits;
    for (int32_t j = 0; j < prompt->n_keys; j++) {
        float score = 0;
        for (int32_t d = 0; d < dim; d++)
            score += (float)q[d] * (float)k[(size_t)j * stride + (size_t)d];
        score *= (float)a->softmax_scale;
        if (a->softcap > 0)
            score = (float)a->softcap * tanhf(score / (float)a->softcap);
        scores[j] = is_seen(a, p, j) ? score : -INFINITY;
        max = fmaxf(max, (float)scores[j]);
    }
    for (int32_t j = 0; j < prompt->n_keys; j++) {
        if (scores[j] == -INFINITY)
            continue;
        float weight = expf((float)scores[j] - max);
        total += weight;
        weight = round_act(a->act, weight, &bits);
        for (int32_t d = 0; d < dim; d++)
            sums[d] += weight * (float)v[(size_t)j * stride + (size_t)d];
    }
    float with_sink = total + (a->sinks ? expf(a->sinks[head] - max) : 0);
    for (int32_t d = 0; d < dim; d++)
        round_act(a->act, total > 0 ? sums[d] / with_sink : 0, &out[d]);
    *lse = max + logf(total);
}

/* Either of them, for all rows. */
static void solve(const struct attention_case *a, double *exact, double *exact_lse, uint16_t *naive,
                  float *naive_lse)
{
    size_t dim = (size_t)a->head_dim, n_heads = (size_t)a->n_heads;
    size_t kv_len = (size_t)a->n_kv_heads * dim, at = 0;
    for (int32_t i = 0; i < a->n_prompts; i++) {
        const struct prompt *prompt = &a->prompts[i];
        double *q = widen(a->act, prompt->q, (size_t)prompt->n_rows * n_heads * dim);
        double *k = widen(a->act, prompt->k, (size_t)prompt->n_keys * kv_len);
        double *v = widen(a->act, prompt->v, (size_t)prompt->n_keys * kv_len);
        double *scores = device_host((size_t)prompt->n_keys * sizeof *scores);
        for (int32_t row = 0; row < prompt->n_rows; row++)
            for (size_t head = 0; head < n_heads; head++, at++) {
                const double *from = q + ((size_t)row * n_heads + head) * dim;
                size_t kv = head / (size_t)(a->n_heads / a->n_kv_heads) * dim;
                if (exact)
                    exact_row(a, prompt, row, head, from, k + kv, v + kv, scores, exact + at * dim,
                              &exact_lse[at]);
                else
                    naive_row(a, prompt, row, head, from, k + kv, v + kv, scores, naive + at * dim,
                              &naive_lse[at]);
            }
        free(q);
        free(k);
        free(v);
        free(scores);
    }
}

void exact_attention(const struct attention_case *attention, double *out, double *lse)
{
    solve(attention, out, lse, NULL, NULL);
}

void naive_attention(const struct attention_case *attention, uint16_t *out, float *lse)
{
    solve(attention, NULL, NULL, out, lse);
}
