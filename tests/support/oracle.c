/*
 * oracle.c: see oracle.h. The forward pass in mathematical order.
 */
#include "oracle_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* The norm at a place of a layer, or a copy where there is none. */
static void norm_at(double *out, const double *x, const struct oracle_config *c,
                    const struct oracle_layer *layer, int place, int64_t n)
{
    if (layer->norms[place])
        oracle_norm(out, x, layer->norms[place], n, c->hidden, c->eps, c->norm);
    else if (out != x)
        memcpy(out, x, (size_t)(n * c->hidden) * sizeof *x);
}

static void add_block(const struct oracle *oracle, int64_t i_layer, struct oracle_pass *p,
                      int place)
{
    const struct oracle_config *c = &oracle->config;
    norm_at(p->h, p->h, c, &oracle->weights.layers[i_layer], place, p->n);
    for (int64_t i = 0; i < p->n * c->hidden; i++)
        p->x[i] += c->residual_multiplier * p->h[i];
}

/* Of each layer, by token and by embedding: [n, n_layers, layer_input]. */
static double *layer_inputs(const struct oracle *oracle, const int32_t *tokens, const double *x,
                            int64_t n)
{
    const struct oracle_config *c = &oracle->config;
    const struct oracle_weights *w = &oracle->weights;
    int64_t size = c->layer_input, all = c->n_layers * size;
    double *inputs = oracle_rows(n, all), by_token = (float)sqrt((double)size);
    oracle_product(inputs, x, w->layer_projection, NULL, n, all, c->hidden);
    for (int64_t i = 0; i < n * all; i++)
        inputs[i] /= sqrt((double)c->hidden);
    oracle_norm(inputs, inputs, w->layer_projection_norm, n * c->n_layers, size, c->eps, c->norm);
    for (int64_t i = 0; i < n * all; i++)
        inputs[i] =
            (inputs[i] + by_token * w->layer_table[tokens[i / all] * all + i % all]) / sqrt(2);
    return inputs;
}

/* x += norm((activation(x Wg^T) input) Wup^T) */
static void add_layer_input(const struct oracle *oracle, int64_t i_layer, struct oracle_pass *p)
{
    const struct oracle_config *c = &oracle->config;
    const struct oracle_layer *l = &oracle->weights.layers[i_layer];
    int64_t size = c->layer_input;
    double *gate = oracle_rows(p->n, size);
    oracle_product(gate, p->x, l->input_gate, NULL, p->n, size, c->hidden);
    for (int64_t i = 0; i < p->n * size; i++)
        gate[i] = oracle_activate(gate[i], c->act) *
                  p->inputs[(i / size * c->n_layers + i_layer) * size + i % size];
    oracle_product(p->h, gate, l->input_up, NULL, p->n, c->hidden, size);
    oracle_norm(p->h, p->h, l->input_norm, p->n, c->hidden, c->eps, c->norm);
    for (int64_t i = 0; i < p->n * c->hidden; i++)
        p->x[i] += p->h[i];
    free(gate);
}

static void run_layer(const struct oracle *oracle, int64_t i_layer, struct oracle_pass *p)
{
    const struct oracle_config *c = &oracle->config;
    const struct oracle_layer *layer = &oracle->weights.layers[i_layer];
    norm_at(p->normed, p->x, c, layer, BEFORE_ATTENTION, p->n);
    if (c->layers[i_layer].linear)
        oracle_linear(oracle, i_layer, p);
    else
        oracle_attention(oracle, i_layer, p);
    add_block(oracle, i_layer, p, AFTER_ATTENTION);
    if (!c->parallel)
        norm_at(p->normed, p->x, c, layer, BEFORE_MLP, p->n);
    if (c->layers[i_layer].inter > 0)
        oracle_mlp(oracle, i_layer, p);
    if (c->layers[i_layer].experts)
        oracle_experts(oracle, i_layer, p);
    add_block(oracle, i_layer, p, AFTER_MLP);
    if (p->inputs)
        add_layer_input(oracle, i_layer, p);
    for (int64_t i = 0; i < p->n * c->hidden && layer->layer_scale; i++)
        p->x[i] *= layer->layer_scale[0];
}

static void compute_logits(const struct oracle *oracle, struct oracle_pass *p, double *logits)
{
    const struct oracle_config *c = &oracle->config;
    oracle_norm(p->h, p->x, oracle->weights.norm, p->n, c->hidden, c->eps, c->norm);
    oracle_product(logits, p->h, oracle->weights.head, NULL, p->n, c->vocab, c->hidden);
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
    double *out[] = {k_out, v_out};
    struct oracle_pass p = {.n = n,
                            .positions = positions,
                            .mask = mask,
                            .x = oracle_rows(n, c->hidden),
                            .h = oracle_rows(n, c->hidden),
                            .normed = oracle_rows(n, c->hidden)};
    for (int which = 0; which < 2; which++)
        p.kv[which] = out[which] ? out[which] : oracle_rows(n, c->n_layers * c->kv_row);
    for (int64_t i = 0; i < n * c->hidden; i++)
        p.x[i] = c->embed_multiplier *
                 oracle->weights.embed[tokens[i / c->hidden] * c->hidden + i % c->hidden];
    if (c->layer_input > 0)
        p.inputs = layer_inputs(oracle, tokens, p.x, n);
    for (int64_t i = 0; i < c->n_layers; i++)
        run_layer(oracle, i, &p);
    if (logits)
        compute_logits(oracle, &p, logits);
    for (int which = 0; which < 2; which++)
        if (!out[which])
            free(p.kv[which]);
    free(p.x), free(p.h), free(p.normed), free(p.inputs);
}
