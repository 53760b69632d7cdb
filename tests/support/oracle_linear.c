/*
 * oracle_linear.c: see oracle_impl.h. The gated delta rule and Mamba 2, token after token, as their
 * papers write them: Yang, Kautz, Hatamizadeh, "Gated Delta Networks" (ICLR 2025); Dao, Gu,
 * "Transformers are SSMs" (ICML 2024).
 */
#include "oracle_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* x [n, channels] becomes silu of a causal convolution over the rows of its prompt. */
static void convolve(double *x, const double *w, const double *bias, const struct oracle_pass *p,
                     int64_t channels, int64_t kernel)
{
    double *seen = oracle_rows(p->n, channels);
    memcpy(seen, x, (size_t)(p->n * channels) * sizeof *x);
    for (int64_t begin = 0, end; begin < p->n; begin = end) {
        end = oracle_prompt_end(p->positions, begin, p->n);
        for (int64_t i = begin; i < end; i++)
            for (int64_t ch = 0; ch < channels; ch++) {
                double sum = bias ? bias[ch] : 0;
                for (int64_t t = 0; t < kernel && i - t >= begin; t++)
                    sum += w[ch * kernel + kernel - 1 - t] * seen[(i - t) * channels + ch];
                x[i * channels + ch] = oracle_activate(sum, ORACLE_SILU);
            }
    }
    free(seen);
}

/* Of each head: divided by the length of a vector. */
static void unit(double *x, int64_t n, int64_t dim)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 1e-6;
        for (int64_t d = 0; d < dim; d++)
            sum += x[i * dim + d] * x[i * dim + d];
        for (int64_t d = 0; d < dim; d++)
            x[i * dim + d] /= sqrt(sum);
    }
}

/* The rows of a linear layer. */
struct linear_rows {
    double *q, *k, *v, *z, *b, *a, *out;
};

/* One token of one head: s [k_dim, v_dim] goes on, out [v_dim]. */
static void delta_token(double *s, const struct oracle_linear_config *l,
                        const struct oracle_linear_weights *w, const struct linear_rows *r,
                        int64_t i, int64_t h)
{
    int64_t at = i * l->k_heads + h / (l->v_heads / l->k_heads), vh = i * l->v_heads + h;
    const double *q = r->q + at * l->k_dim, *k = r->k + at * l->k_dim, *v = r->v + vh * l->v_dim;
    double decay = exp(-exp(w->a_log[h]) * oracle_softplus(r->a[vh] + w->dt_bias[h]));
    double beta = oracle_sigmoid(r->b[vh]);
    for (int64_t j = 0; j < l->v_dim; j++) {
        double known = 0, out = 0;
        for (int64_t d = 0; d < l->k_dim; d++)
            known += decay * s[d * l->v_dim + j] * k[d];
        for (int64_t d = 0; d < l->k_dim; d++) {
            s[d * l->v_dim + j] = decay * s[d * l->v_dim + j] + k[d] * beta * (v[j] - known);
            out += s[d * l->v_dim + j] * q[d] / sqrt((double)l->k_dim);
        }
        r->out[vh * l->v_dim + j] = out;
    }
}

static void mamba_token(double *s, const struct oracle_linear_config *l,
                        const struct oracle_linear_weights *w, const struct linear_rows *r,
                        int64_t i, int64_t h)
{
    int64_t at = i * l->k_heads + h / (l->v_heads / l->k_heads), vh = i * l->v_heads + h;
    const double *q = r->q + at * l->k_dim, *k = r->k + at * l->k_dim, *v = r->v + vh * l->v_dim;
    double dt = fmin(fmax(oracle_softplus(r->a[vh] + w->dt_bias[h]), l->dt_min), l->dt_max);
    double decay = exp(-exp(w->a_log[h]) * dt);
    for (int64_t j = 0; j < l->v_dim; j++) {
        double out = w->d[h] * v[j];
        for (int64_t d = 0; d < l->k_dim; d++) {
            s[d * l->v_dim + j] = decay * s[d * l->v_dim + j] + dt * k[d] * v[j];
            out += s[d * l->v_dim + j] * q[d];
        }
        r->out[vh * l->v_dim + j] = out;
    }
}

static void recur(const struct oracle_linear_config *l, const struct oracle_linear_weights *w,
                  const struct linear_rows *r, const struct oracle_pass *p)
{
    size_t size = (size_t)(l->k_dim * l->v_dim);
    double *s = malloc(size * sizeof *s);
    for (int64_t begin = 0, end; begin < p->n; begin = end) {
        end = oracle_prompt_end(p->positions, begin, p->n);
        for (int64_t h = 0; h < l->v_heads; h++) {
            memset(s, 0, size * sizeof *s);
            for (int64_t i = begin; i < end; i++)
                if (l->rule == ORACLE_DELTA)
                    delta_token(s, l, w, r, i, h);
                else
                    mamba_token(s, l, w, r, i, h);
        }
    }
    free(s);
}

/* DELTA: norm of each head, then the gate; MAMBA2: the gate, then norm of each group. */
static void norm_and_gate(const struct oracle_config *c, const struct oracle_linear_weights *w,
                          const struct linear_rows *r, int64_t n)
{
    const struct oracle_linear_config *l = &c->linear;
    int64_t v_size = l->v_heads * l->v_dim, group = v_size / l->k_heads;
    bool delta = l->rule == ORACLE_DELTA;
    if (delta)
        oracle_norm(r->out, r->out, w->norm, n * l->v_heads, l->v_dim, c->eps, ORACLE_RMS);
    for (int64_t i = 0; i < n * v_size; i++)
        r->out[i] *= oracle_activate(r->z[i], ORACLE_SILU);
    for (int64_t g = 0; g < l->k_heads && !delta; g++)
        for (int64_t i = 0; i < n; i++) {
            double *part = r->out + i * v_size + g * group;
            oracle_norm(part, part, w->norm + g * group, 1, group, c->eps, ORACLE_RMS);
        }
}

void oracle_linear(const struct oracle *oracle, int64_t i_layer, struct oracle_pass *p)
{
    const struct oracle_config *c = &oracle->config;
    const struct oracle_linear_config *l = &c->linear;
    const struct oracle_layer *layer = &oracle->weights.layers[i_layer];
    const struct oracle_linear_weights *w = &layer->linear;
    int64_t n = p->n, k = l->k_heads * l->k_dim, v = l->v_heads * l->v_dim;
    struct linear_rows r = {oracle_rows(n, k),          oracle_rows(n, k),
                            oracle_rows(n, v),          oracle_rows(n, v),
                            oracle_rows(n, l->v_heads), oracle_rows(n, l->v_heads),
                            oracle_rows(n, v)};
    oracle_product(r.q, p->normed, w->q, w->q_bias, n, k, c->hidden);
    oracle_product(r.k, p->normed, w->k, w->k_bias, n, k, c->hidden);
    oracle_product(r.v, p->normed, w->v, w->v_bias, n, v, c->hidden);
    oracle_product(r.z, p->normed, w->z, w->z_bias, n, v, c->hidden);
    oracle_product(r.a, p->normed, w->a, w->a_bias, n, l->v_heads, c->hidden);
    if (w->b)
        oracle_product(r.b, p->normed, w->b, NULL, n, l->v_heads, c->hidden);
    convolve(r.q, w->conv_q, w->conv_q_bias, p, k, l->kernel);
    convolve(r.k, w->conv_k, w->conv_k_bias, p, k, l->kernel);
    convolve(r.v, w->conv_v, w->conv_v_bias, p, v, l->kernel);
    if (l->rule == ORACLE_DELTA) {
        unit(r.q, n * l->k_heads, l->k_dim);
        unit(r.k, n * l->k_heads, l->k_dim);
    }
    recur(l, w, &r, p);
    norm_and_gate(c, w, &r, n);
    oracle_product(p->h, r.out, w->out, w->out_bias, n, c->hidden, v);
    free(r.q), free(r.k), free(r.v), free(r.z), free(r.b), free(r.a), free(r.out);
}
