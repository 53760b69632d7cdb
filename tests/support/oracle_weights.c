/*
 * oracle_weights.c: see oracle_weights.h.
 */
#include "oracle_weights.h"
#include "tensor_file.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct tensor_file *file;
    const char *model, *head; /* before the model's tensors and before lm_head */
    int64_t layer;            /* -1: outside the layers */
};

static const char *full_name(const struct reader *reader, const char *name)
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

static double *read(const struct reader *reader, const char *name, int64_t n_wanted)
{
    size_t n;
    double *values = tensor_file_read(reader->file, full_name(reader, name), &n);
    ck_assert_msg(n == (size_t)n_wanted, "%s has %zu elements, not %lld", full_name(reader, name),
                  n, (long long)n_wanted);
    return values;
}

/* A matrix and, when it is there to be, its bias. */
static double *read_linear(const struct reader *reader, const char *name, int64_t rows,
                           int64_t cols, bool has_bias, double **bias)
{
    char part[128];
    snprintf(part, sizeof part, "%s.bias", name);
    *bias = has_bias ? read(reader, part, rows) : NULL;
    snprintf(part, sizeof part, "%s.weight", name);
    return read(reader, part, rows * cols);
}

/* Takes the next rows out of a fused matrix. */
static double *cut(const double **fused, int64_t n)
{
    double *part = malloc((size_t)n * sizeof *part);
    memcpy(part, *fused, (size_t)n * sizeof *part);
    *fused += n;
    return part;
}

static void read_attention(const struct reader *reader, const struct oracle_config *c,
                           struct oracle_layer *layer)
{
    int64_t q_dim = c->n_heads * c->head_dim, kv_dim = c->n_kv_heads * c->head_dim;
    if (c->fused_qkv) {
        double *whole = read(reader, "self_attn.qkv_proj.weight", (q_dim + 2 * kv_dim) * c->hidden);
        const double *rest = whole;
        layer->q = cut(&rest, q_dim * c->hidden);
        layer->k = cut(&rest, kv_dim * c->hidden);
        layer->v = cut(&rest, kv_dim * c->hidden);
        free(whole);
    } else {
        layer->q =
            read_linear(reader, "self_attn.q_proj", q_dim, c->hidden, c->qkv_bias, &layer->q_bias);
        layer->k =
            read_linear(reader, "self_attn.k_proj", kv_dim, c->hidden, c->qkv_bias, &layer->k_bias);
        layer->v =
            read_linear(reader, "self_attn.v_proj", kv_dim, c->hidden, c->qkv_bias, &layer->v_bias);
    }
    layer->o = read_linear(reader, "self_attn.o_proj", c->hidden, q_dim, c->o_bias, &layer->o_bias);
    if (c->qk_norm != ORACLE_NO_QK_NORM) {
        bool whole = c->qk_norm == ORACLE_QK_NORM_WHOLE;
        layer->q_norm = read(reader, "self_attn.q_norm.weight", whole ? q_dim : c->head_dim);
        layer->k_norm = read(reader, "self_attn.k_norm.weight", whole ? kv_dim : c->head_dim);
    }
}

static void read_mlp(const struct reader *reader, const struct oracle_config *c,
                     struct oracle_layer *layer)
{
    if (c->fused_gate_up) {
        double *whole = read(reader, "mlp.gate_up_proj.weight", 2 * c->inter * c->hidden);
        const double *rest = whole;
        layer->gate = cut(&rest, c->inter * c->hidden);
        layer->up = cut(&rest, c->inter * c->hidden);
        free(whole);
    } else {
        layer->gate = read_linear(reader, "mlp.gate_proj", c->inter, c->hidden, c->mlp_bias,
                                  &layer->gate_bias);
        layer->up =
            read_linear(reader, "mlp.up_proj", c->inter, c->hidden, c->mlp_bias, &layer->up_bias);
    }
    layer->down =
        read_linear(reader, "mlp.down_proj", c->hidden, c->inter, c->mlp_bias, &layer->down_bias);
}

static void read_norms(const struct reader *reader, const struct oracle_config *c,
                       struct oracle_layer *layer)
{
    for (int place = 0; place < N_PLACES; place++)
        if (c->norms[place]) {
            char name[128];
            snprintf(name, sizeof name, "%s.weight", c->norms[place]);
            layer->norms[place] = read(reader, name, c->hidden);
        }
}

/* Multimodal files put the text model under a name of their own, in one of two ways. */
static void find_prefixes(struct reader *reader)
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

void oracle_weights_read(const char *dir, const struct oracle_config *c,
                         struct oracle_weights *weights)
{
    static const char *const others[] = {"vision_tower.", "multi_modal_projector.",
                                         "model.vision_tower.", "model.multi_modal_projector.",
                                         NULL};
    struct reader reader = {.file = tensor_file_open(dir), .layer = -1};
    find_prefixes(&reader);
    *weights =
        (struct oracle_weights){.embed = read(&reader, "embed_tokens.weight", c->vocab * c->hidden),
                                .norm = read(&reader, "norm.weight", c->hidden)};
    weights->head =
        c->tied ? weights->embed : read(&reader, "lm_head.weight", c->vocab * c->hidden);
    for (reader.layer = 0; reader.layer < c->n_layers; reader.layer++) {
        struct oracle_layer *layer = &weights->layers[reader.layer];
        read_norms(&reader, c, layer);
        read_attention(&reader, c, layer);
        read_mlp(&reader, c, layer);
    }
    const char *left = tensor_file_unread(reader.file, others);
    ck_assert_msg(left == NULL, "%s: nobody used the tensor %s", dir, left);
    tensor_file_close(reader.file);
}

void oracle_weights_free(struct oracle_weights *weights)
{
    for (int i = 0; i < ORACLE_MAX_LAYERS; i++) {
        struct oracle_layer *l = &weights->layers[i];
        for (int place = 0; place < N_PLACES; place++)
            free(l->norms[place]);
        free(l->q), free(l->k), free(l->v), free(l->o), free(l->gate), free(l->up), free(l->down);
        free(l->q_bias), free(l->k_bias), free(l->v_bias), free(l->o_bias), free(l->gate_bias);
        free(l->up_bias), free(l->down_bias), free(l->q_norm), free(l->k_norm);
    }
    if (weights->head != weights->embed)
        free(weights->head);
    free(weights->embed);
    free(weights->norm);
}
