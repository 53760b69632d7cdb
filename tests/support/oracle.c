/*
 * oracle.c: see oracle.h. The forward pass in mathematical order.
 */
#include "oracle.h"
#include "oracle_weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct oracle {
    struct oracle_config config;
    struct oracle_weights weights;
    int64_t rope_length;
};

struct oracle *oracle_open(const char *dir)
{
    struct oracle *oracle = calloc(1, sizeof *oracle);
    oracle_config_read(dir, &oracle->config);
    oracle_weights_read(dir, &oracle->config, &oracle->weights);
    return oracle;
}

void oracle_close(struct oracle *oracle)
{
    oracle_weights_free(&oracle->weights);
    free(oracle);
}

const struct oracle_config *oracle_get_config(const struct oracle *oracle)
{
    return &oracle->config;
}

void oracle_set_rope_length(struct oracle *oracle, int64_t length)
{
    oracle->rope_length = length;
}

/* out [n, rows] = a [n, cols] w^T + bias */
static void product(double *out, const double *a, const double *w, const double *bias, int64_t n,
                    int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < rows; r++) {
            double sum = bias ? bias[r] : 0;
            for (int64_t c = 0; c < cols; c++)
                sum += a[i * cols + c] * w[r * cols + c];
            out[i * rows + r] = sum;
        }
}

/* out and x: [n, dim]; they may be the same. */
static void norm(double *out, const double *x, const double *weight, int64_t n, int64_t dim,
                 double eps, enum oracle_norm kind)
{
    for (int64_t i = 0; i < n; i++) {
        double mean = 0, sum = 0;
        for (int64_t c = 0; c < dim && kind == ORACLE_LAYER_NORM; c++)
            mean += x[i * dim + c] / (double)dim;
        for (int64_t c = 0; c < dim; c++)
            sum += (x[i * dim + c] - mean) * (x[i * dim + c] - mean);
        double size = sqrt(sum / (double)dim + eps);
        for (int64_t c = 0; c < dim; c++)
            out[i * dim + c] =
                (x[i * dim + c] - mean) / size * (weight[c] + (kind == ORACLE_RMS_PLUS_ONE));
    }
}

/* The norm at a place of a layer, or a copy where there is none. */
static void norm_at(double *out, const double *x, const struct oracle_config *c,
                    const struct oracle_layer *layer, int place, int64_t n)
{
    if (layer->norms[place])
        norm(out, x, layer->norms[place], n, c->hidden, c->eps, c->norm);
    else if (out != x)
        memcpy(out, x, (size_t)(n * c->hidden) * sizeof *x);
}

static void norm_heads(double *x, const double *weight, const struct oracle_config *c, int64_t n,
                       int64_t heads)
{
    if (c->qk_norm == ORACLE_QK_NORM_HEAD)
        norm(x, x, weight, n * heads, c->head_dim, c->eps, c->norm);
    if (c->qk_norm == ORACLE_QK_NORM_WHOLE)
        norm(x, x, weight, n, heads * c->head_dim, c->eps, c->norm);
}

/* One past the last row of the prompt that begins at a row. */
static int64_t prompt_end(const int32_t *positions, int64_t begin, int64_t n)
{
    int64_t end = begin + 1;
    while (end < n && positions[end] == positions[end - 1] + 1)
        end++;
    return end;
}

/* Rotates each head of x [n, heads, head_dim] in place. */
static void rotate(double *x, const struct oracle *oracle, const struct oracle_rope *rope,
                   const int32_t *positions, int64_t n, int64_t heads)
{
    static double angles[ORACLE_MAX_PAIRS];
    for (int64_t begin = 0, end; begin < n; begin = end) {
        end = prompt_end(positions, begin, n);
        int64_t length = oracle->rope_length > 0 ? oracle->rope_length : positions[end - 1] + 1;
        double magnitude = oracle_rope_angles(rope, length, angles);
        for (int64_t i = begin; i < end; i++)
            for (int64_t h = 0; h < heads; h++)
                oracle_rope_rotate(rope, angles, magnitude, positions[i],
                                   x + (i * heads + h) * oracle->config.head_dim);
    }
}

/* Ministral 3: queries grow with the logarithm of their position. */
static void scale_queries(double *q, const struct oracle_config *c, const int32_t *positions,
                          int64_t n)
{
    int64_t dim = c->n_heads * c->head_dim;
    for (int64_t i = 0; i < n && c->query_beta != 0; i++)
        for (int64_t d = 0; d < dim; d++)
            q[i * dim + d] *= 1 + c->query_beta * log(1 + floor(positions[i] / c->query_length));
}

/* -INFINITY where row i may not see row j. */
static double score(const double *q, const double *k, const struct oracle_config *c, bool seen)
{
    double sum = 0;
    if (!seen)
        return -INFINITY;
    for (int64_t d = 0; d < c->head_dim; d++)
        sum += q[d] * k[d];
    sum *= c->scale;
    return c->score_cap > 0 ? c->score_cap * tanh(sum / c->score_cap) : sum;
}

/* out [n, heads, dim]; softmax over the columns that the mask and the window allow. */
static void attend(double *out, const double *q, const double *k, const double *v,
                   const uint8_t *mask, const int32_t *positions, int64_t window, int64_t n,
                   const struct oracle_config *c)
{
    int64_t dim = c->head_dim, group = c->n_heads / c->n_kv_heads;
    double *scores = malloc((size_t)n * sizeof *scores);
    for (int64_t i = 0; i < n; i++)
        for (int64_t h = 0; h < c->n_heads; h++) {
            double largest = -INFINITY, sum = 0;
            for (int64_t j = 0; j < n; j++) {
                bool seen =
                    mask[i * n + j] && (window == 0 || positions[i] - positions[j] < window);
                scores[j] = score(q + (i * c->n_heads + h) * dim,
                                  k + (j * c->n_kv_heads + h / group) * dim, c, seen);
                largest = fmax(largest, scores[j]);
            }
            for (int64_t j = 0; j < n; j++)
                sum += scores[j] = exp(scores[j] - largest);
            for (int64_t d = 0; d < dim; d++) {
                double value = 0;
                for (int64_t j = 0; j < n; j++)
                    value += scores[j] * v[(j * c->n_kv_heads + h / group) * dim + d];
                out[(i * c->n_heads + h) * dim + d] = value / sum;
            }
        }
    free(scores);
}

static double activate(double x, enum oracle_act act)
{
    if (act == ORACLE_SILU)
        return x / (1 + exp(-x));
    if (act == ORACLE_GELU)
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

/* What the rows of a pass go through. */
struct pass {
    int64_t n;
    const int32_t *positions;
    const uint8_t *mask;
    double *x, *h, *normed; /* [n, hidden]: the stream, a block's result, its input */
    double *q, *k, *v, *a, *gate, *up;
};

static void run_attention(const struct oracle *oracle, int64_t i_layer, struct pass *p)
{
    const struct oracle_config *c = &oracle->config;
    const struct oracle_layer *l = &oracle->weights.layers[i_layer];
    int64_t q_dim = c->n_heads * c->head_dim, kv_dim = c->n_kv_heads * c->head_dim;
    int rope = c->layers[i_layer].rope;
    product(p->q, p->normed, l->q, l->q_bias, p->n, q_dim, c->hidden);
    product(p->k, p->normed, l->k, l->k_bias, p->n, kv_dim, c->hidden);
    product(p->v, p->normed, l->v, l->v_bias, p->n, kv_dim, c->hidden);
    norm_heads(p->q, l->q_norm, c, p->n, c->n_heads);
    norm_heads(p->k, l->k_norm, c, p->n, c->n_kv_heads);
    if (rope >= 0) {
        rotate(p->q, oracle, &c->ropes[rope], p->positions, p->n, c->n_heads);
        rotate(p->k, oracle, &c->ropes[rope], p->positions, p->n, c->n_kv_heads);
    }
    scale_queries(p->q, c, p->positions, p->n);
    attend(p->a, p->q, p->k, p->v, p->mask, p->positions, c->layers[i_layer].window, p->n, c);
    product(p->h, p->a, l->o, l->o_bias, p->n, c->hidden, q_dim);
}

static void run_mlp(const struct oracle *oracle, int64_t i_layer, struct pass *p)
{
    const struct oracle_config *c = &oracle->config;
    const struct oracle_layer *l = &oracle->weights.layers[i_layer];
    product(p->gate, p->normed, l->gate, l->gate_bias, p->n, c->inter, c->hidden);
    product(p->up, p->normed, l->up, l->up_bias, p->n, c->inter, c->hidden);
    for (int64_t i = 0; i < p->n * c->inter; i++)
        p->gate[i] = activate(p->gate[i], c->act) * p->up[i];
    product(p->h, p->gate, l->down, l->down_bias, p->n, c->hidden, c->inter);
}

static void add_block(const struct oracle *oracle, int64_t i_layer, struct pass *p, int place)
{
    const struct oracle_config *c = &oracle->config;
    norm_at(p->h, p->h, c, &oracle->weights.layers[i_layer], place, p->n);
    for (int64_t i = 0; i < p->n * c->hidden; i++)
        p->x[i] += c->residual_multiplier * p->h[i];
}

static double *rows(int64_t n, int64_t dim)
{
    return malloc((size_t)(n * dim) * sizeof(double));
}

static void compute_logits(const struct oracle *oracle, struct pass *p, double *logits)
{
    const struct oracle_config *c = &oracle->config;
    norm(p->h, p->x, oracle->weights.norm, p->n, c->hidden, c->eps, c->norm);
    product(logits, p->h, oracle->weights.head, NULL, p->n, c->vocab, c->hidden);
    for (int64_t i = 0; i < p->n * c->vocab; i++) {
        logits[i] *= c->logit_multiplier;
        if (c->logit_cap > 0)
            logits[i] = c->logit_cap * tanh(logits[i] / c->logit_cap);
    }
}

void oracle_forward(const struct oracle *oracle, int64_t n, const int32_t *tokens,
                    const int32_t *positions, const uint8_t *mask, double *logits, double *k_out,
                    double *v_out)
{
    const struct oracle_config *c = &oracle->config;
    int64_t q_dim = c->n_heads * c->head_dim, kv_dim = c->n_kv_heads * c->head_dim;
    struct pass p = {n,
                     positions,
                     mask,
                     rows(n, c->hidden),
                     rows(n, c->hidden),
                     rows(n, c->hidden),
                     rows(n, q_dim),
                     rows(n, kv_dim),
                     rows(n, kv_dim),
                     rows(n, q_dim),
                     rows(n, c->inter),
                     rows(n, c->inter)};
    for (int64_t i = 0; i < n * c->hidden; i++)
        p.x[i] = c->embed_multiplier *
                 oracle->weights.embed[tokens[i / c->hidden] * c->hidden + i % c->hidden];
    for (int64_t i = 0; i < c->n_layers; i++) {
        const struct oracle_layer *layer = &oracle->weights.layers[i];
        norm_at(p.normed, p.x, c, layer, BEFORE_ATTENTION, n);
        run_attention(oracle, i, &p);
        if (k_out)
            memcpy(k_out + i * n * kv_dim, p.k, (size_t)(n * kv_dim) * sizeof *k_out);
        if (v_out)
            memcpy(v_out + i * n * kv_dim, p.v, (size_t)(n * kv_dim) * sizeof *v_out);
        add_block(oracle, i, &p, AFTER_ATTENTION);
        if (!c->parallel)
            norm_at(p.normed, p.x, c, layer, BEFORE_MLP, n);
        run_mlp(oracle, i, &p);
        add_block(oracle, i, &p, AFTER_MLP);
    }
    if (logits)
        compute_logits(oracle, &p, logits);
    free(p.x), free(p.h), free(p.normed), free(p.q), free(p.k), free(p.v), free(p.a);
    free(p.gate), free(p.up);
}
