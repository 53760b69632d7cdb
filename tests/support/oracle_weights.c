/*
 * oracle_weights.c: see oracle_weights.h. Ends, attention, norms and the dense mlp.
 */
#include "oracle_reader.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *full_name(const struct oracle_reader *reader, const char *name)
{
    static char full[256];
    if (reader->layer < 0)
        snprintf(full, sizeof full, "%s%s",
                 strncmp(name, "lm_head", 7) == 0 ? reader->head : reader->model, name);
    else
        snprintf(full, sizeof full, "%slayers.%lld.%s", reader->model, (long long)reader->layer,
                 name);
    return full;
}

bool oracle_has(const struct oracle_reader *reader, const char *name)
{
    return tensor_file_has(reader->file, full_name(reader, name));
}

static double *own(const struct oracle_reader *reader, double *values)
{
    struct oracle_weights *weights = reader->weights;
    weights->owned = realloc(weights->owned, (size_t)(weights->n_owned + 1) * sizeof(double *));
    return weights->owned[weights->n_owned++] = values;
}

double *oracle_room(const struct oracle_reader *reader, int64_t n)
{
    return own(reader, malloc((size_t)(n + 1) * sizeof(double)));
}

double *oracle_read(const struct oracle_reader *reader, const char *name, int64_t n_wanted)
{
    size_t n;
    double *values = own(reader, tensor_file_read(reader->file, full_name(reader, name), &n));
    ck_assert_msg(n == (size_t)n_wanted, "%s has %zu elements, not %lld", full_name(reader, name),
                  n, (long long)n_wanted);
    return values;
}

double *oracle_read_linear(const struct oracle_reader *reader, const char *name, int64_t rows,
                           int64_t cols, bool has_bias, double **bias)
{
    char part[128];
    snprintf(part, sizeof part, "%s.bias", name);
    *bias = has_bias ? oracle_read(reader, part, rows) : NULL;
    snprintf(part, sizeof part, "%s.weight", name);
    return oracle_read(reader, part, rows * cols);
}

double *oracle_cut(const struct oracle_reader *reader, const double **fused, int64_t n)
{
    double *part = oracle_room(reader, n);
    memcpy(part, *fused, (size_t)n * sizeof *part);
    *fused += n;
    return part;
}

/* Of each head first what makes its query, then what makes its gate: n_rows [2 n_heads head_dim] of
 * n_cols numbers. */
static void cut_heads(const struct oracle_reader *reader, const struct oracle_config *c,
                      const double *both, int64_t head_dim, int64_t n_cols, double **query,
                      double **gate)
{
    int64_t part = head_dim * n_cols;
    *query = oracle_room(reader, c->n_heads * part);
    *gate = oracle_room(reader, c->n_heads * part);
    for (int64_t h = 0; h < c->n_heads; h++) {
        memcpy(*query + h * part, both + 2 * h * part, (size_t)part * sizeof(double));
        memcpy(*gate + h * part, both + (2 * h + 1) * part, (size_t)part * sizeof(double));
    }
}

static void read_queries(const struct oracle_reader *reader, const struct oracle_config *c,
                         int64_t head_dim, struct oracle_layer *layer)
{
    int64_t rows = c->n_heads * head_dim * (c->attention_gate ? 2 : 1);
    layer->q = oracle_read_linear(reader, "self_attn.q_proj", rows, c->hidden, c->qkv_bias,
                                  &layer->q_bias);
    if (!c->attention_gate)
        return;
    cut_heads(reader, c, layer->q, head_dim, c->hidden, &layer->q, &layer->attention_gate);
    if (c->qkv_bias)
        cut_heads(reader, c, layer->q_bias, head_dim, 1, &layer->q_bias,
                  &layer->attention_gate_bias);
}

static void read_qkv(const struct oracle_reader *reader, const struct oracle_config *c,
                     const struct oracle_layer_config *of, struct oracle_layer *layer)
{
    int64_t q_dim = c->n_heads * of->head_dim, kv_dim = of->n_kv_heads * of->head_dim;
    if (c->fused_qkv) {
        const double *rest =
            oracle_read(reader, "self_attn.qkv_proj.weight", (q_dim + 2 * kv_dim) * c->hidden);
        layer->q = oracle_cut(reader, &rest, q_dim * c->hidden);
        layer->k = oracle_cut(reader, &rest, kv_dim * c->hidden);
        layer->v = oracle_cut(reader, &rest, kv_dim * c->hidden);
        return;
    }
    read_queries(reader, c, of->head_dim, layer);
    if (of->kv_layer != reader->layer)
        return;
    layer->k = oracle_read_linear(reader, "self_attn.k_proj", kv_dim, c->hidden, c->qkv_bias,
                                  &layer->k_bias);
    layer->v = layer->k;
    layer->v_bias = layer->k_bias;
    if (!of->v_is_k)
        layer->v = oracle_read_linear(reader, "self_attn.v_proj", kv_dim, c->hidden, c->qkv_bias,
                                      &layer->v_bias);
}

static void read_attention(const struct oracle_reader *reader, const struct oracle_config *c,
                           struct oracle_layer *layer)
{
    const struct oracle_layer_config *of = &c->layers[reader->layer];
    int64_t q_dim = c->n_heads * of->head_dim, kv_dim = of->n_kv_heads * of->head_dim;
    read_qkv(reader, c, of, layer);
    layer->o =
        oracle_read_linear(reader, "self_attn.o_proj", c->hidden, q_dim, c->o_bias, &layer->o_bias);
    if (c->sinks)
        layer->sinks = oracle_read(reader, "self_attn.sinks", c->n_heads);
    if (c->qk_norm == ORACLE_NO_QK_NORM)
        return;
    bool whole = c->qk_norm == ORACLE_QK_NORM_WHOLE;
    layer->q_norm = oracle_read(reader, "self_attn.q_norm.weight", whole ? q_dim : of->head_dim);
    if (of->kv_layer == reader->layer)
        layer->k_norm =
            oracle_read(reader, "self_attn.k_norm.weight", whole ? kv_dim : of->head_dim);
}

static void read_mlp(const struct oracle_reader *reader, const struct oracle_config *c,
                     struct oracle_layer *layer)
{
    int64_t inter = c->layers[reader->layer].inter;
    bool shared = oracle_has(reader, "shared_mlp.input_linear.weight");
    if (c->fused_gate_up || shared) {
        const double *rest = oracle_read(
            reader, shared ? "shared_mlp.input_linear.weight" : "mlp.gate_up_proj.weight",
            2 * inter * c->hidden);
        layer->gate = oracle_cut(reader, &rest, inter * c->hidden);
        layer->up = oracle_cut(reader, &rest, inter * c->hidden);
    } else {
        layer->gate = oracle_read_linear(reader, "mlp.gate_proj", inter, c->hidden, c->mlp_bias,
                                         &layer->gate_bias);
        layer->up = oracle_read_linear(reader, "mlp.up_proj", inter, c->hidden, c->mlp_bias,
                                       &layer->up_bias);
    }
    layer->down = oracle_read_linear(reader, shared ? "shared_mlp.output_linear" : "mlp.down_proj",
                                     c->hidden, inter, c->mlp_bias, &layer->down_bias);
}

static void read_norms(const struct oracle_reader *reader, const struct oracle_config *c,
                       struct oracle_layer *layer)
{
    for (int place = 0; place < N_PLACES; place++)
        if (c->norms[place]) {
            char name[128];
            snprintf(name, sizeof name, "%s.weight", c->norms[place]);
            layer->norms[place] = oracle_read(reader, name, c->hidden);
        }
}

static void read_layer(const struct oracle_reader *reader, const struct oracle_config *c,
                       struct oracle_layer *layer)
{
    const struct oracle_layer_config *of = &c->layers[reader->layer];
    int64_t size = c->layer_input;
    read_norms(reader, c, layer);
    if (of->linear)
        oracle_read_linear_layer(reader, c, layer);
    else
        read_attention(reader, c, layer);
    if (of->inter > 0)
        read_mlp(reader, c, layer);
    if (of->experts)
        oracle_read_experts(reader, c, layer);
    if (size > 0) {
        layer->input_gate = oracle_read(reader, "per_layer_input_gate.weight", size * c->hidden);
        layer->input_up = oracle_read(reader, "per_layer_projection.weight", c->hidden * size);
        layer->input_norm = oracle_read(reader, "post_per_layer_input_norm.weight", c->hidden);
    }
    if (c->layer_scale)
        layer->layer_scale = oracle_read(reader, "layer_scalar", 1);
}

/* Multimodal files put the text model under a name of their own, in one of two ways. */
static void find_prefixes(struct oracle_reader *reader)
{
    reader->model = "model.";
    reader->head = "";
    if (tensor_file_has(reader->file, "language_model.model.norm.weight")) {
        reader->model = "language_model.model.";
        reader->head = "language_model.";
    } else if (tensor_file_has(reader->file, "model.language_model.norm.weight")) {
        reader->model = "model.language_model.";
    }
}

static void read_ends(const struct oracle_reader *reader, const struct oracle_config *c,
                      struct oracle_weights *weights)
{
    int64_t all = c->n_layers * c->layer_input;
    weights->embed = oracle_read(reader, "embed_tokens.weight", c->vocab * c->hidden);
    weights->norm = oracle_read(reader, "norm.weight", c->hidden);
    weights->head =
        c->tied ? weights->embed : oracle_read(reader, "lm_head.weight", c->vocab * c->hidden);
    if (all == 0)
        return;
    weights->layer_table =
        oracle_read(reader, "embed_tokens_per_layer.weight", c->layer_input_vocab * all);
    weights->layer_projection =
        oracle_read(reader, "per_layer_model_projection.weight", all * c->hidden);
    weights->layer_projection_norm =
        oracle_read(reader, "per_layer_projection_norm.weight", c->layer_input);
}

void oracle_weights_read(const char *dir, const struct oracle_config *c,
                         struct oracle_weights *weights)
{
    static const char *const others[] = {"vision_tower.",
                                         "multi_modal_projector.",
                                         "model.vision_tower.",
                                         "model.multi_modal_projector.",
                                         "model.visual.",
                                         "model.embed_vision.",
                                         NULL};
    struct oracle_reader reader = {.file = tensor_file_open(dir), .layer = -1, .weights = weights};
    *weights = (struct oracle_weights){0};
    find_prefixes(&reader);
    read_ends(&reader, c, weights);
    for (reader.layer = 0; reader.layer < c->n_layers; reader.layer++)
        read_layer(&reader, c, &weights->layers[reader.layer]);
    const char *left = tensor_file_unread(reader.file, others);
    ck_assert_msg(left == NULL, "%s: nobody used the tensor %s", dir, left);
    tensor_file_close(reader.file);
}

void oracle_weights_free(struct oracle_weights *weights)
{
    for (int i = 0; i < weights->n_owned; i++)
        free(weights->owned[i]);
    free(weights->owned);
}
