/*
 * oracle_experts.c: see oracle_impl.h. The dense mlp, routing and experts.
 */
#include "oracle_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* out [n, hidden] of a gated mlp whose matrices have no biases. */
static void gated(double *out, const double *a, const double *gate, const double *up,
                  const double *down, const struct oracle_config *c, int64_t n, int64_t inter)
{
    double *g = oracle_rows(n, inter), *u = oracle_rows(n, inter);
    oracle_product(g, a, gate, NULL, n, inter, c->hidden);
    oracle_product(u, a, up, NULL, n, inter, c->hidden);
    for (int64_t i = 0; i < n * inter; i++)
        g[i] = oracle_activate(g[i], c->act) * u[i];
    oracle_product(out, g, down, NULL, n, c->hidden, inter);
    free(g), free(u);
}

void oracle_mlp(const struct oracle *oracle, int64_t i_layer, struct oracle_pass *p)
{
    const struct oracle_config *c = &oracle->config;
    const struct oracle_layer *l = &oracle->weights.layers[i_layer];
    int64_t inter = c->layers[i_layer].inter;
    double *gate = oracle_rows(p->n, inter), *up = oracle_rows(p->n, inter);
    oracle_product(gate, p->normed, l->gate, l->gate_bias, p->n, inter, c->hidden);
    oracle_product(up, p->normed, l->up, l->up_bias, p->n, inter, c->hidden);
    for (int64_t i = 0; i < p->n * inter; i++)
        gate[i] = oracle_activate(gate[i], c->act) * up[i];
    oracle_product(p->h, gate, l->down, l->down_bias, p->n, c->hidden, inter);
    free(gate), free(up);
}

/* Softmax of the logits that are marked; the others become 0. */
static void softmax(double *logits, const bool *marked, int64_t n)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t e = 0; e < n; e++)
        if (marked[e])
            largest = fmax(largest, logits[e]);
    for (int64_t e = 0; e < n; e++)
        sum += logits[e] = marked[e] ? exp(logits[e] - largest) : 0;
    for (int64_t e = 0; e < n; e++)
        logits[e] /= sum;
}

/* Marks the top_k largest; of equal ones the first. */
static void choose(const double *scores, bool *chosen, int64_t n, int64_t top_k)
{
    for (int64_t e = 0; e < n; e++)
        chosen[e] = false;
    for (int64_t t = 0; t < top_k; t++) {
        int64_t best = -1;
        for (int64_t e = 0; e < n; e++)
            if (!chosen[e] && (best < 0 || scores[e] > scores[best]))
                best = e;
        chosen[best] = true;
    }
}

/* A row's weights [n] of its logits, in place; 0: not chosen. */
static void route(double *weights, const struct oracle_experts_config *x,
                  const struct oracle_expert_weights *w)
{
    double *scores = oracle_rows(x->n, 1), sum = 0;
    bool *chosen = malloc((size_t)x->n * sizeof *chosen);
    for (int64_t e = 0; e < x->n; e++)
        chosen[e] = true;
    if (x->scoring == ORACLE_SOFTMAX_ALL)
        softmax(weights, chosen, x->n);
    for (int64_t e = 0; e < x->n; e++) {
        if (x->scoring == ORACLE_SIGMOID)
            weights[e] = oracle_sigmoid(weights[e]);
        scores[e] = weights[e] + (w->correction ? w->correction[e] : 0);
    }
    choose(scores, chosen, x->n, x->top_k);
    if (x->scoring == ORACLE_SOFTMAX_CHOSEN)
        softmax(weights, chosen, x->n);
    for (int64_t e = 0; e < x->n; e++)
        sum += weights[e] *= chosen[e];
    for (int64_t e = 0; e < x->n; e++)
        weights[e] *= x->scale * (w->scale ? w->scale[e] : 1) / (x->normalize ? sum : 1);
    free(scores), free(chosen);
}

/* out [hidden] += weight * expert e of a row. */
static void add_expert(double *out, const double *a, const struct oracle_config *c,
                       const struct oracle_expert_weights *w, int64_t e, double weight)
{
    const struct oracle_experts_config *x = &c->experts;
    int64_t inter = x->inter, size = inter * c->hidden;
    double *g = oracle_rows(1, inter), *u = oracle_rows(1, inter), *d = oracle_rows(1, c->hidden);
    oracle_product(g, a, w->gate + e * size, w->gate_bias ? w->gate_bias + e * inter : NULL, 1,
                   inter, c->hidden);
    oracle_product(u, a, w->up + e * size, w->up_bias ? w->up_bias + e * inter : NULL, 1, inter,
                   c->hidden);
    for (int64_t i = 0; i < inter; i++)
        if (x->clamped) {
            double limited = fmin(g[i], x->limit);
            g[i] = (fmax(fmin(u[i], x->limit), -x->limit) + 1) * limited *
                   oracle_sigmoid(x->alpha * limited);
        } else {
            g[i] = oracle_activate(g[i], c->act) * u[i];
        }
    oracle_product(d, g, w->down + e * size, w->down_bias ? w->down_bias + e * c->hidden : NULL, 1,
                   c->hidden, inter);
    for (int64_t i = 0; i < c->hidden; i++)
        out[i] += weight * d[i];
    free(g), free(u), free(d);
}

/* out [n, hidden]: routed by what `router_in` says, computed of `in`. */
static void routed(double *out, const double *router_in, const double *in,
                   const struct oracle_config *c, const struct oracle_expert_weights *w, int64_t n)
{
    int64_t n_experts = c->experts.n;
    double *weights = oracle_rows(n, n_experts);
    oracle_product(weights, router_in, w->router, w->router_bias, n, n_experts, c->hidden);
    memset(out, 0, (size_t)(n * c->hidden) * sizeof *out);
    for (int64_t i = 0; i < n; i++) {
        route(weights + i * n_experts, &c->experts, w);
        for (int64_t e = 0; e < n_experts; e++)
            if (weights[i * n_experts + e] != 0)
                add_expert(out + i * c->hidden, in + i * c->hidden, c, w, e,
                           weights[i * n_experts + e]);
    }
    free(weights);
}

static void add_shared(const struct oracle_config *c, const struct oracle_expert_weights *w,
                       struct oracle_pass *p)
{
    double *out = oracle_rows(p->n, c->hidden), *gate = oracle_rows(p->n, 1);
    gated(out, p->normed, w->shared_gate, w->shared_up, w->shared_down, c, p->n,
          c->experts.shared_inter);
    if (w->shared_router)
        oracle_product(gate, p->normed, w->shared_router, NULL, p->n, 1, c->hidden);
    for (int64_t i = 0; i < p->n * c->hidden; i++)
        p->h[i] += out[i] * (w->shared_router ? oracle_sigmoid(gate[i / c->hidden]) : 1);
    free(out), free(gate);
}

/* Gemma 4: h = norm(mlp) + norm(experts(norm(x))), routed by another norm of x; h is the mlp's. */
static void side_by_side(const struct oracle_config *c, const struct oracle_expert_weights *w,
                         struct oracle_pass *p)
{
    double *in = oracle_rows(p->n, c->hidden), *by = oracle_rows(p->n, c->hidden);
    double *out = oracle_rows(p->n, c->hidden);
    oracle_norm(p->h, p->h, w->own_norm, p->n, c->hidden, c->eps, c->norm);
    oracle_norm(by, p->x, w->router_norm, p->n, c->hidden, c->eps, ORACLE_RMS);
    for (int64_t i = 0; i < p->n * c->hidden; i++)
        by[i] /= sqrt((double)c->hidden);
    oracle_norm(in, p->x, w->before_norm, p->n, c->hidden, c->eps, c->norm);
    routed(out, by, in, c, w, p->n);
    oracle_norm(out, out, w->after_norm, p->n, c->hidden, c->eps, c->norm);
    for (int64_t i = 0; i < p->n * c->hidden; i++)
        p->h[i] += out[i];
    free(in), free(by), free(out);
}

void oracle_experts(const struct oracle *oracle, int64_t i_layer, struct oracle_pass *p)
{
    const struct oracle_config *c = &oracle->config;
    const struct oracle_expert_weights *w = &oracle->weights.layers[i_layer].experts;
    if (w->own_norm) {
        side_by_side(c, w, p);
        return;
    }
    routed(p->h, p->normed, p->normed, c, w, p->n);
    if (w->shared_down)
        add_shared(c, w, p);
}
