/*
 * oracle_attention.c: see oracle_impl.h. Scores over everything that mask and window show.
 */
#include "oracle_impl.h"

#include <math.h>
#include <stdlib.h>

static void norm_heads(double *x, const double *weight, const struct oracle_config *c, int64_t n,
                       int64_t heads, int64_t head_dim)
{
    if (c->qk_norm == ORACLE_QK_NORM_HEAD)
        oracle_norm(x, x, weight, n * heads, head_dim, c->eps, c->norm);
    if (c->qk_norm == ORACLE_QK_NORM_WHOLE)
        oracle_norm(x, x, weight, n, heads * head_dim, c->eps, c->norm);
}

int64_t oracle_prompt_end(const int32_t *positions, int64_t begin, int64_t n)
{
    int64_t end = begin + 1;
    while (end < n && positions[end] == positions[end - 1] + 1)
        end++;
    return end;
}

/* Rotates each head of x [n, heads, head_dim] in place. */
static void rotate(double *x, const struct oracle *oracle, const struct oracle_layer_config *of,
                   const struct oracle_pass *p, int64_t heads)
{
    static double angles[ORACLE_MAX_PAIRS];
    if (of->rope < 0)
        return;
    const struct oracle_rope *rope = &oracle->config.ropes[of->rope];
    for (int64_t begin = 0, end; begin < p->n; begin = end) {
        end = oracle_prompt_end(p->positions, begin, p->n);
        int64_t length = oracle->rope_length > 0 ? oracle->rope_length : p->positions[end - 1] + 1;
        double magnitude = oracle_rope_angles(rope, length, angles);
        for (int64_t i = begin; i < end; i++)
            for (int64_t h = 0; h < heads; h++)
                oracle_rope_rotate(rope, angles, magnitude, p->positions[i],
                                   x + (i * heads + h) * of->head_dim);
    }
}

/* Ministral 3: queries grow with the logarithm of their position. */
static void scale_queries(double *q, const struct oracle_config *c, const int32_t *positions,
                          int64_t n, int64_t dim)
{
    for (int64_t i = 0; i < n && c->query_beta != 0; i++)
        for (int64_t d = 0; d < dim; d++)
            q[i * dim + d] *= 1 + c->query_beta * log(1 + floor(positions[i] / c->query_length));
}

/* -INFINITY where row i may not see row j. */
static double score(const double *q, const double *k, const struct oracle_config *c, int64_t dim,
                    bool seen)
{
    double sum = 0;
    if (!seen)
        return -INFINITY;
    for (int64_t d = 0; d < dim; d++)
        sum += q[d] * k[d];
    sum *= c->scale != 0 ? c->scale : 1 / sqrt((double)dim);
    return c->score_cap > 0 ? c->score_cap * tanh(sum / c->score_cap) : sum;
}

/* Row i of head h: out [dim]; softmax over the columns that the mask and the window allow, and the
 * head's sink. */
static void attend_row(double *out, double *scores, const double *q, const struct oracle *oracle,
                       int64_t i_layer, const struct oracle_pass *p, int64_t i, int64_t h)
{
    const struct oracle_config *c = &oracle->config;
    const struct oracle_layer_config *of = &c->layers[i_layer];
    const double *sinks = oracle->weights.layers[i_layer].sinks;
    int64_t dim = of->head_dim, n_kv = of->n_kv_heads, kv_head = h / (c->n_heads / n_kv);
    const double *k = p->kv[0] + of->kv_layer * p->n * c->kv_row;
    const double *v = p->kv[1] + of->kv_layer * p->n * c->kv_row;
    double largest = sinks ? sinks[h] : -INFINITY;
    for (int64_t j = 0; j < p->n; j++) {
        bool seen = p->mask[i * p->n + j] &&
                    (of->window == 0 || p->positions[i] - p->positions[j] < of->window);
        scores[j] = score(q, k + (j * n_kv + kv_head) * dim, c, dim, seen);
        largest = fmax(largest, scores[j]);
    }
    double sum = sinks ? exp(sinks[h] - largest) : 0;
    for (int64_t j = 0; j < p->n; j++)
        sum += scores[j] = exp(scores[j] - largest);
    for (int64_t d = 0; d < dim; d++) {
        double value = 0;
        for (int64_t j = 0; j < p->n; j++)
            value += scores[j] * v[(j * n_kv + kv_head) * dim + d];
        out[d] = value / sum;
    }
}

/* Keys and values of a layer that has its own. */
static void make_kv(const struct oracle *oracle, int64_t i_layer, struct oracle_pass *p)
{
    const struct oracle_config *c = &oracle->config;
    const struct oracle_layer *l = &oracle->weights.layers[i_layer];
    const struct oracle_layer_config *of = &c->layers[i_layer];
    int64_t n_kv = of->n_kv_heads, kv_dim = n_kv * of->head_dim;
    double *k = p->kv[0] + i_layer * p->n * c->kv_row, *v = p->kv[1] + i_layer * p->n * c->kv_row;
    oracle_product(k, p->normed, l->k, l->k_bias, p->n, kv_dim, c->hidden);
    oracle_product(v, p->normed, l->v, l->v_bias, p->n, kv_dim, c->hidden);
    norm_heads(k, l->k_norm, c, p->n, n_kv, of->head_dim);
    if (c->v_norm)
        oracle_norm(v, v, NULL, p->n * n_kv, of->head_dim, c->eps, c->norm);
    rotate(k, oracle, of, p, n_kv);
}

void oracle_attention(const struct oracle *oracle, int64_t i_layer, struct oracle_pass *p)
{
    const struct oracle_config *c = &oracle->config;
    const struct oracle_layer *l = &oracle->weights.layers[i_layer];
    const struct oracle_layer_config *of = &c->layers[i_layer];
    int64_t dim = of->head_dim, q_dim = c->n_heads * dim;
    double *q = oracle_rows(p->n, q_dim), *a = oracle_rows(p->n, q_dim);
    double *scores = oracle_rows(p->n, 1);
    if (of->kv_layer == i_layer)
        make_kv(oracle, i_layer, p);
    oracle_product(q, p->normed, l->q, l->q_bias, p->n, q_dim, c->hidden);
    norm_heads(q, l->q_norm, c, p->n, c->n_heads, dim);
    rotate(q, oracle, of, p, c->n_heads);
    scale_queries(q, c, p->positions, p->n, q_dim);
    for (int64_t i = 0; i < p->n; i++)
        for (int64_t h = 0; h < c->n_heads; h++) {
            int64_t at = (i * c->n_heads + h) * dim;
            attend_row(a + at, scores, q + at, oracle, i_layer, p, i, h);
        }
    if (l->attention_gate) { /* q is used up */
        oracle_product(q, p->normed, l->attention_gate, l->attention_gate_bias, p->n, q_dim,
                       c->hidden);
        for (int64_t i = 0; i < p->n * q_dim; i++)
            a[i] *= oracle_sigmoid(q[i]);
    }
    oracle_product(p->h, a, l->o, l->o_bias, p->n, c->hidden, q_dim);
    free(q), free(a), free(scores);
}
