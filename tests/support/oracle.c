/*
 * oracle.c: see oracle.h.
 */
#include "oracle.h"

#include "dtype.h"
#include "model/model_impl.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct oracle {
    pp_model_config config;
    double *tensors[PPI_N_TENSORS][3]; /* at most 3 layers; outside layers: [0] */
};

static double *read_tensor(const pp_model *model, enum ppi_tensor tensor, int32_t layer)
{
    int64_t n_rows, n_cols;
    ppi_tensor_shape(&model->config, tensor, &n_rows, &n_cols);
    size_t n = (size_t)(n_rows * n_cols);
    int32_t dtype = ppi_source_dtype(model->source, tensor, layer);
    void *raw = malloc(n * pp_dtype_size(dtype));
    float *f32 = malloc(n * sizeof *f32);
    double *values = malloc(n * sizeof *values);
    pp_error err = {.struct_size = sizeof err};
    ck_assert_msg(ppi_source_read(model->source, tensor, layer, 0, n_rows, raw, &err) == PP_OK,
                  "%s", err.message);
    ppi_to_f32(f32, raw, dtype, n);
    for (size_t i = 0; i < n; i++)
        values[i] = f32[i];
    free(raw);
    free(f32);
    return values;
}

struct oracle *oracle_create(const pp_model *model)
{
    struct oracle *oracle = calloc(1, sizeof *oracle);
    oracle->config = model->config;
    ck_assert_int_le(model->config.n_layers, 3);
    for (int t = 0; t < PPI_N_TENSORS; t++)
        for (int32_t layer = 0; layer < model->config.n_layers; layer++)
            oracle->tensors[t][layer] = read_tensor(model, (enum ppi_tensor)t, layer);
    return oracle;
}

void oracle_destroy(struct oracle *oracle)
{
    for (int t = 0; t < PPI_N_TENSORS; t++)
        for (int32_t layer = 0; layer < 3; layer++)
            free(oracle->tensors[t][layer]);
    free(oracle);
}

/* out [n, rows] = a [n, cols] w^T, or += */
static void product(double *out, const double *a, const double *w, int64_t n, int64_t rows,
                    int64_t cols, int add)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < rows; r++) {
            double sum = 0;
            for (int64_t c = 0; c < cols; c++)
                sum += a[i * cols + c] * w[r * cols + c];
            out[i * rows + r] = (add ? out[i * rows + r] : 0) + sum;
        }
}

static void norm(double *out, const double *x, const double *weight, int64_t n, int64_t dim,
                 double eps)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t c = 0; c < dim; c++)
            sum += x[i * dim + c] * x[i * dim + c];
        for (int64_t c = 0; c < dim; c++)
            out[i * dim + c] = x[i * dim + c] / sqrt(sum / (double)dim + eps) * weight[c];
    }
}

/* Rotates each head of x [n, heads, dim] in place. */
static void rotate(double *x, const int32_t *positions, int64_t n, int64_t heads, int64_t dim,
                   double theta)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t p = 0; p < dim / 2; p++) {
                double angle = positions[i] * pow(theta, -2.0 * (double)p / (double)dim);
                double *head = x + (i * heads + h) * dim;
                double a = head[p], b = head[p + dim / 2];
                head[p] = a * cos(angle) - b * sin(angle);
                head[p + dim / 2] = b * cos(angle) + a * sin(angle);
            }
}

/* out [n, heads, dim]; softmax over the columns that the mask allows. */
static void attend(double *out, const double *q, const double *k, const double *v,
                   const uint8_t *mask, int64_t n, const pp_model_config *config)
{
    int64_t heads = config->n_heads, kv_heads = config->n_kv_heads, dim = config->head_dim;
    double *scores = malloc((size_t)n * sizeof *scores);
    for (int64_t i = 0; i < n; i++)
        for (int64_t h = 0; h < heads; h++) {
            int64_t kv = h / (heads / kv_heads);
            double largest = -INFINITY, sum = 0;
            for (int64_t j = 0; j < n; j++) {
                scores[j] = -INFINITY;
                if (!mask[i * n + j])
                    continue;
                scores[j] = 0;
                for (int64_t d = 0; d < dim; d++)
                    scores[j] += q[(i * heads + h) * dim + d] * k[(j * kv_heads + kv) * dim + d];
                scores[j] /= sqrt((double)dim);
                largest = fmax(largest, scores[j]);
            }
            for (int64_t j = 0; j < n; j++)
                sum += scores[j] = exp(scores[j] - largest);
            for (int64_t d = 0; d < dim; d++) {
                double value = 0;
                for (int64_t j = 0; j < n; j++)
                    value += scores[j] * v[(j * kv_heads + kv) * dim + d];
                out[(i * heads + h) * dim + d] = value / sum;
            }
        }
    free(scores);
}

void oracle_forward(const struct oracle *oracle, int64_t n, const int32_t *tokens,
                    const int32_t *positions, const uint8_t *mask, double *logits, double *k_out,
                    double *v_out)
{
    const pp_model_config *c = &oracle->config;
    int64_t hidden = c->hidden_size, inter = c->intermediate_size;
    int64_t q_dim = (int64_t)c->n_heads * c->head_dim,
            kv_dim = (int64_t)c->n_kv_heads * c->head_dim;
    double *x = malloc((size_t)(n * hidden) * sizeof *x);
    double *h = malloc((size_t)(n * hidden) * sizeof *h);
    double *q = malloc((size_t)(n * q_dim) * sizeof *q);
    double *k = malloc((size_t)(n * kv_dim) * sizeof *k);
    double *v = malloc((size_t)(n * kv_dim) * sizeof *v);
    double *a = malloc((size_t)(n * q_dim) * sizeof *a);
    double *gate = malloc((size_t)(n * inter) * sizeof *gate);
    double *up = malloc((size_t)(n * inter) * sizeof *up);

    for (int64_t i = 0; i < n; i++)
        memcpy(x + i * hidden, oracle->tensors[PPI_TENSOR_EMBED][0] + tokens[i] * hidden,
               (size_t)hidden * sizeof *x);
    for (int32_t layer = 0; layer < c->n_layers; layer++) {
#define W(name) oracle->tensors[PPI_TENSOR_##name][layer]
        norm(h, x, W(ATTN_NORM), n, hidden, c->rms_norm_eps);
        product(q, h, W(Q), n, q_dim, hidden, 0);
        product(k, h, W(K), n, kv_dim, hidden, 0);
        product(v, h, W(V), n, kv_dim, hidden, 0);
        rotate(q, positions, n, c->n_heads, c->head_dim, c->rope_theta);
        rotate(k, positions, n, c->n_kv_heads, c->head_dim, c->rope_theta);
        if (k_out)
            memcpy(k_out + layer * n * kv_dim, k, (size_t)(n * kv_dim) * sizeof *k);
        if (v_out)
            memcpy(v_out + layer * n * kv_dim, v, (size_t)(n * kv_dim) * sizeof *v);
        attend(a, q, k, v, mask, n, c);
        product(x, a, W(O), n, hidden, q_dim, 1);
        norm(h, x, W(MLP_NORM), n, hidden, c->rms_norm_eps);
        product(gate, h, W(GATE), n, inter, hidden, 0);
        product(up, h, W(UP), n, inter, hidden, 0);
        for (int64_t i = 0; i < n * inter; i++)
            gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
        product(x, gate, W(DOWN), n, hidden, inter, 1);
#undef W
    }
    if (logits) {
        norm(h, x, oracle->tensors[PPI_TENSOR_FINAL_NORM][0], n, hidden, c->rms_norm_eps);
        product(logits, h, oracle->tensors[PPI_TENSOR_LM_HEAD][0], n, c->vocab_size, hidden, 0);
    }
    free(x), free(h), free(q), free(k), free(v), free(a), free(gate), free(up);
}
