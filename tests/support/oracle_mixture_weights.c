/*
 * oracle_mixture_weights.c: see oracle_reader.h. Experts and linear layers, in every form that
 * files have them in.
 */
#include "oracle_reader.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- experts ---- */

/* The name below the layer of what holds the experts. */
static const char *experts_place(const struct oracle_reader *reader)
{
    static const char *const places[] = {"block_sparse_moe.experts", "mlp.experts", "experts"};
    static const char *const firsts[] = {".0.w1.weight", ".0.gate_proj.weight", ".gate_up_proj",
                                         ".gate_up_proj_blocks"};
    char name[128];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (size_t j = 0; j < sizeof firsts / sizeof *firsts; j++) {
            snprintf(name, sizeof name, "%s%s", places[i], firsts[j]);
            if (oracle_has(reader, name))
                return places[i];
        }
    return NULL;
}

/* A tensor for each: NAME.<i>.PART.weight, one behind the other. */
static double *read_single(const struct oracle_reader *reader, const struct oracle_config *c,
                           const char *place, const char *part, int64_t size)
{
    double *all = oracle_room(reader, c->experts.n * size);
    char name[128];
    for (int64_t i = 0; i < c->experts.n; i++) {
        snprintf(name, sizeof name, "%s.%lld.%s.weight", place, (long long)i, part);
        memcpy(all + i * size, oracle_read(reader, name, size), (size_t)size * sizeof *all);
    }
    return all;
}

/* From [n, 2 inter, cols], gates and ups one below the other or in turns. */
static void split_gates(const struct oracle_reader *reader, const struct oracle_config *c,
                        const double *both, int64_t cols, bool turns, double **gate, double **up)
{
    int64_t inter = c->experts.inter, n = c->experts.n;
    *gate = oracle_room(reader, n * inter * cols);
    *up = oracle_room(reader, n * inter * cols);
    for (int64_t i = 0; i < n * inter; i++) {
        int64_t expert = i / inter, row = i % inter;
        int64_t first = turns ? 2 * row : row, second = turns ? 2 * row + 1 : inter + row;
        const double *from = both + expert * 2 * inter * cols;
        memcpy(*gate + i * cols, from + first * cols, (size_t)cols * sizeof(double));
        memcpy(*up + i * cols, from + second * cols, (size_t)cols * sizeof(double));
    }
}

/* [n, rows, cols] from [n, cols, rows]. */
static double *turned(const struct oracle_reader *reader, const double *a, int64_t n, int64_t rows,
                      int64_t cols)
{
    double *out = oracle_room(reader, n * rows * cols);
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t col = 0; col < cols; col++)
                out[(i * rows + r) * cols + col] = a[(i * cols + col) * rows + r];
    return out;
}

/* Blocks of 32 numbers: 16 bytes with two codes each, the lower half first, and a power of two. */
static double *read_mxfp4(const struct oracle_reader *reader, const char *name, int64_t n_rows,
                          int64_t cols)
{
    static const double magnitudes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    char part[128];
    snprintf(part, sizeof part, "%s_blocks", name);
    const double *blocks = oracle_read(reader, part, n_rows * cols / 2);
    snprintf(part, sizeof part, "%s_scales", name);
    const double *exponents = oracle_read(reader, part, n_rows * cols / 32);
    double *out = oracle_room(reader, n_rows * cols);
    for (int64_t i = 0; i < n_rows * cols; i++) {
        int byte = (int)blocks[i / 2], code = i % 2 ? byte >> 4 : byte & 15;
        double value = ldexp(magnitudes[code & 7], (int)exponents[i / 32] - 127);
        out[i] = code & 8 ? -value : value;
    }
    return out;
}

static void read_gpt_oss(const struct oracle_reader *reader, const struct oracle_config *c,
                         struct oracle_expert_weights *w)
{
    int64_t n = c->experts.n, inter = c->experts.inter, hidden = c->hidden;
    double *both, *bias = oracle_read(reader, "mlp.experts.gate_up_proj_bias", n * 2 * inter);
    if (oracle_has(reader, "mlp.experts.gate_up_proj_blocks")) {
        both = read_mxfp4(reader, "mlp.experts.gate_up_proj", n * 2 * inter, hidden);
        w->down = read_mxfp4(reader, "mlp.experts.down_proj", n * hidden, inter);
    } else {
        both =
            turned(reader, oracle_read(reader, "mlp.experts.gate_up_proj", n * hidden * 2 * inter),
                   n, 2 * inter, hidden);
        w->down = turned(reader, oracle_read(reader, "mlp.experts.down_proj", n * inter * hidden),
                         n, hidden, inter);
    }
    split_gates(reader, c, both, hidden, true, &w->gate, &w->up);
    split_gates(reader, c, bias, 1, true, &w->gate_bias, &w->up_bias);
    w->down_bias = oracle_read(reader, "mlp.experts.down_proj_bias", n * hidden);
    w->router = oracle_read(reader, "mlp.router.weight", n * hidden);
    w->router_bias = oracle_read(reader, "mlp.router.bias", n);
}

static void read_granite(const struct oracle_reader *reader, const struct oracle_config *c,
                         struct oracle_expert_weights *w)
{
    int64_t n = c->experts.n, inter = c->experts.inter, hidden = c->hidden;
    double *both =
        oracle_read(reader, "block_sparse_moe.input_linear.weight", n * 2 * inter * hidden);
    split_gates(reader, c, both, hidden, false, &w->gate, &w->up);
    w->down = oracle_read(reader, "block_sparse_moe.output_linear.weight", n * hidden * inter);
    w->router = oracle_read(reader, "block_sparse_moe.router.layer.weight", n * hidden);
    if (c->experts.shared_inter > 0) {
        const double *rest = oracle_read(reader, "shared_mlp.input_linear.weight",
                                         2 * c->experts.shared_inter * hidden);
        w->shared_gate = oracle_cut(reader, &rest, c->experts.shared_inter * hidden);
        w->shared_up = oracle_cut(reader, &rest, c->experts.shared_inter * hidden);
        w->shared_down = oracle_read(reader, "shared_mlp.output_linear.weight",
                                     hidden * c->experts.shared_inter);
    }
}

/* Matrices in one tensor or in one for each expert, as Mixtral, Qwen, GLM and Gemma have them. */
static void read_matrices(const struct oracle_reader *reader, const struct oracle_config *c,
                          struct oracle_expert_weights *w)
{
    int64_t n = c->experts.n, inter = c->experts.inter, hidden = c->hidden;
    const char *place = experts_place(reader);
    ck_assert_msg(place != NULL, "layer %lld has no experts", (long long)reader->layer);
    bool mixtral = strcmp(place, "block_sparse_moe.experts") == 0;
    char name[128];
    snprintf(name, sizeof name, "%s.gate_up_proj", place);
    if (oracle_has(reader, name)) {
        split_gates(reader, c, oracle_read(reader, name, n * 2 * inter * hidden), hidden, false,
                    &w->gate, &w->up);
        snprintf(name, sizeof name, "%s.down_proj", place);
        w->down = oracle_read(reader, name, n * hidden * inter);
        return;
    }
    w->gate = read_single(reader, c, place, mixtral ? "w1" : "gate_proj", inter * hidden);
    w->up = read_single(reader, c, place, mixtral ? "w3" : "up_proj", inter * hidden);
    w->down = read_single(reader, c, place, mixtral ? "w2" : "down_proj", hidden * inter);
}

static void read_shared(const struct oracle_reader *reader, const struct oracle_config *c,
                        struct oracle_expert_weights *w)
{
    int64_t size = c->experts.shared_inter * c->hidden;
    const char *place = oracle_has(reader, "mlp.shared_experts.gate_proj.weight")
                            ? "mlp.shared_experts"
                            : "mlp.shared_expert";
    char name[128];
    snprintf(name, sizeof name, "%s.gate_proj.weight", place);
    w->shared_gate = oracle_read(reader, name, size);
    snprintf(name, sizeof name, "%s.up_proj.weight", place);
    w->shared_up = oracle_read(reader, name, size);
    snprintf(name, sizeof name, "%s.down_proj.weight", place);
    w->shared_down = oracle_read(reader, name, size);
    if (c->experts.shared_gate)
        w->shared_router = oracle_read(reader, "mlp.shared_expert_gate.weight", c->hidden);
}

static void read_gemma(const struct oracle_reader *reader, const struct oracle_config *c,
                       struct oracle_expert_weights *w)
{
    w->router = oracle_read(reader, "router.proj.weight", c->experts.n * c->hidden);
    w->router_norm = oracle_read(reader, "router.scale", c->hidden);
    w->scale = oracle_read(reader, "router.per_expert_scale", c->experts.n);
    w->own_norm = oracle_read(reader, "post_feedforward_layernorm_1.weight", c->hidden);
    w->before_norm = oracle_read(reader, "pre_feedforward_layernorm_2.weight", c->hidden);
    w->after_norm = oracle_read(reader, "post_feedforward_layernorm_2.weight", c->hidden);
}

void oracle_read_experts(const struct oracle_reader *reader, const struct oracle_config *c,
                         struct oracle_layer *layer)
{
    struct oracle_expert_weights *w = &layer->experts;
    if (c->experts.clamped) {
        read_gpt_oss(reader, c, w);
        return;
    }
    if (oracle_has(reader, "block_sparse_moe.input_linear.weight")) {
        read_granite(reader, c, w);
        return;
    }
    read_matrices(reader, c, w);
    if (oracle_has(reader, "router.proj.weight")) {
        read_gemma(reader, c, w);
        return;
    }
    bool mixtral = oracle_has(reader, "block_sparse_moe.gate.weight");
    w->router = oracle_read(reader, mixtral ? "block_sparse_moe.gate.weight" : "mlp.gate.weight",
                            c->experts.n * c->hidden);
    if (c->experts.scoring == ORACLE_SIGMOID)
        w->correction = oracle_read(reader, "mlp.gate.e_score_correction_bias", c->experts.n);
    if (c->experts.shared_inter > 0)
        read_shared(reader, c, w);
}

/* ---- linear layers ---- */

/* [rows] out of the rows of a matrix with cols columns, from row `from` on every `step` rows a run
 * of `run`. */
static double *pick(const struct oracle_reader *reader, const double *a, int64_t cols, int64_t from,
                    int64_t step, int64_t run, int64_t n_runs)
{
    double *out = oracle_room(reader, n_runs * run * cols);
    for (int64_t i = 0; i < n_runs; i++)
        memcpy(out + i * run * cols, a + (from + i * step) * cols,
               (size_t)(run * cols) * sizeof *out);
    return out;
}

/* Qwen 3 Next: key head after key head, of each its q, k, v, z, and its b, a. */
static void read_key_heads(const struct oracle_reader *reader, const struct oracle_config *c,
                           struct oracle_linear_weights *w)
{
    const struct oracle_linear_config *l = &c->linear;
    int64_t per_key = l->v_heads / l->k_heads, v = per_key * l->v_dim, k = l->k_dim;
    int64_t step = 2 * k + 2 * v, heads = l->k_heads, cols = c->hidden;
    double *qkvz = oracle_read(reader, "linear_attn.in_proj_qkvz.weight", heads * step * cols);
    double *ba = oracle_read(reader, "linear_attn.in_proj_ba.weight", 2 * l->v_heads * cols);
    w->q = pick(reader, qkvz, cols, 0, step, k, heads);
    w->k = pick(reader, qkvz, cols, k, step, k, heads);
    w->v = pick(reader, qkvz, cols, 2 * k, step, v, heads);
    w->z = pick(reader, qkvz, cols, 2 * k + v, step, v, heads);
    w->b = pick(reader, ba, cols, 0, 2 * per_key, per_key, heads);
    w->a = pick(reader, ba, cols, per_key, 2 * per_key, per_key, heads);
}

static void read_delta(const struct oracle_reader *reader, const struct oracle_config *c,
                       struct oracle_linear_weights *w)
{
    const struct oracle_linear_config *l = &c->linear;
    int64_t k_size = l->k_heads * l->k_dim, v_size = l->v_heads * l->v_dim, hidden = c->hidden;
    if (oracle_has(reader, "linear_attn.in_proj_qkvz.weight")) {
        read_key_heads(reader, c, w);
    } else {
        const double *rest =
            oracle_read(reader, "linear_attn.in_proj_qkv.weight", (2 * k_size + v_size) * hidden);
        w->q = oracle_cut(reader, &rest, k_size * hidden);
        w->k = oracle_cut(reader, &rest, k_size * hidden);
        w->v = oracle_cut(reader, &rest, v_size * hidden);
        w->z = oracle_read(reader, "linear_attn.in_proj_z.weight", v_size * hidden);
        w->b = oracle_read(reader, "linear_attn.in_proj_b.weight", l->v_heads * hidden);
        w->a = oracle_read(reader, "linear_attn.in_proj_a.weight", l->v_heads * hidden);
    }
    const double *rest =
        oracle_read(reader, "linear_attn.conv1d.weight", (2 * k_size + v_size) * l->kernel);
    w->conv_q = oracle_cut(reader, &rest, k_size * l->kernel);
    w->conv_k = oracle_cut(reader, &rest, k_size * l->kernel);
    w->conv_v = oracle_cut(reader, &rest, v_size * l->kernel);
    w->a_log = oracle_read(reader, "linear_attn.A_log", l->v_heads);
    w->dt_bias = oracle_read(reader, "linear_attn.dt_bias", l->v_heads);
    w->norm = oracle_read(reader, "linear_attn.norm.weight", l->v_dim);
    w->out = oracle_read(reader, "linear_attn.out_proj.weight", hidden * v_size);
}

/* z, x, B, C, dt of one tensor; channels of the convolution are x, B, C. */
static void read_mamba(const struct oracle_reader *reader, const struct oracle_config *c,
                       struct oracle_linear_weights *w)
{
    const struct oracle_linear_config *l = &c->linear;
    int64_t k_size = l->k_heads * l->k_dim, v_size = l->v_heads * l->v_dim, hidden = c->hidden;
    int64_t channels = v_size + 2 * k_size;
    double *bias;
    const double *rest = oracle_read_linear(reader, "mamba.in_proj", v_size + channels + l->v_heads,
                                            hidden, l->bias, &bias);
    w->z = oracle_cut(reader, &rest, v_size * hidden);
    w->v = oracle_cut(reader, &rest, v_size * hidden);
    w->k = oracle_cut(reader, &rest, k_size * hidden);
    w->q = oracle_cut(reader, &rest, k_size * hidden);
    w->a = oracle_cut(reader, &rest, l->v_heads * hidden);
    if (bias) {
        w->z_bias = bias;
        w->v_bias = bias + v_size;
        w->k_bias = w->v_bias + v_size;
        w->q_bias = w->k_bias + k_size;
        w->a_bias = w->q_bias + k_size;
    }
    w->conv_v = oracle_read_linear(reader, "mamba.conv1d", channels, l->kernel, l->conv_bias,
                                   &w->conv_v_bias);
    w->conv_k = w->conv_v + v_size * l->kernel;
    w->conv_q = w->conv_k + k_size * l->kernel;
    if (l->conv_bias) {
        w->conv_k_bias = w->conv_v_bias + v_size;
        w->conv_q_bias = w->conv_k_bias + k_size;
    }
    w->a_log = oracle_read(reader, "mamba.A_log", l->v_heads);
    w->dt_bias = oracle_read(reader, "mamba.dt_bias", l->v_heads);
    w->d = oracle_read(reader, "mamba.D", l->v_heads);
    w->norm = oracle_read(reader, "mamba.norm.weight", v_size);
    w->out = oracle_read_linear(reader, "mamba.out_proj", hidden, v_size, l->bias, &w->out_bias);
}

void oracle_read_linear_layer(const struct oracle_reader *reader, const struct oracle_config *c,
                              struct oracle_layer *layer)
{
    if (c->linear.rule == ORACLE_DELTA)
        read_delta(reader, c, &layer->linear);
    else
        read_mamba(reader, c, &layer->linear);
}
