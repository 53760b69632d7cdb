/*
 * linear.h: layers with a state in the place of keys and values: the gated delta rule (Yang, Kautz,
 * Hatamizadeh, "Gated Delta Networks", ICLR 2025) and Mamba 2 (Dao, Gu, "Transformers are SSMs",
 * ICML 2024), which is the same without the correction. Both stand behind a short causal
 * convolution over their inputs.
 *
 * Token after token, for each value head h with its key head h / (n_v_heads / n_k_heads), in f32:
 *
 *     DELTA   q, k: divided by sqrt(sum of squares + 1e-6), q also by sqrt(k_dim)
 *             decay = exp(-exp(a_log[h]) softplus(a[h] + dt_bias[h])), beta = sigmoid(b[h])
 *             S = decay S + k (beta (v - decay S^T k))^T,  out = S^T q
 *             out = norm(out) * silu(z) of each head
 *     MAMBA2  dt = softplus(dt[h] + dt_bias[h]) within dt_min .. dt_max
 *             S = exp(-exp(a_log[h]) dt) S + k (dt v)^T,  out = S^T q + d[h] v
 *             out = norm(out * silu(z)) over each of norm_groups parts
 *
 * S is [k_dim, v_dim]. The state after a token follows from the tokens before it alone: however a
 * prompt is cut, its bits are the same. (Mamba 2 calls k B, q C and v x.)
 */
#ifndef PPI_LINEAR_H
#define PPI_LINEAR_H

#include "internal.h"

struct ppi_matrix;

enum ppi_linear_rule { PPI_LINEAR_DELTA, PPI_LINEAR_MAMBA2 };

#define PPI_MAX_CONV_KERNEL 8
#define PPI_LINEAR_EPS      1e-6 /* of the norms of q and k */

struct ppi_linear_shape {
    enum ppi_linear_rule rule;
    int32_t n_k_heads, n_v_heads; /* n_v_heads is a multiple */
    int32_t k_dim, v_dim;         /* of a head */
    int32_t conv_kernel;          /* tokens that the convolution sees, itself included */
    int32_t norm_groups;          /* MAMBA2 */
    float dt_min, dt_max;         /* MAMBA2 */
};

static inline int64_t ppi_linear_k_size(const struct ppi_linear_shape *shape)
{
    return (int64_t)shape->n_k_heads * shape->k_dim;
}

static inline int64_t ppi_linear_v_size(const struct ppi_linear_shape *shape)
{
    return (int64_t)shape->n_v_heads * shape->v_dim;
}

/* Channels of the convolution: q, k, v. */
static inline int64_t ppi_linear_channels(const struct ppi_linear_shape *shape)
{
    return 2 * ppi_linear_k_size(shape) + ppi_linear_v_size(shape);
}

/* Elements of a projected row: q, k, v, z [v size], then b, a (DELTA) or dt (MAMBA2), [n_v_heads]
 * each. */
static inline int64_t ppi_linear_row(const struct ppi_linear_shape *shape)
{
    int32_t n_gates = shape->rule == PPI_LINEAR_DELTA ? 2 : 1;
    return ppi_linear_channels(shape) + ppi_linear_v_size(shape) +
           (int64_t)n_gates * shape->n_v_heads;
}

/*
 * A prompt's state of one layer, f32 in the backend's memory: S [n_v_heads, k_dim, v_dim], then
 * what the convolution still sees, [conv_kernel - 1, channels], the latest last: zeros before the
 * first token. Rounded up to 64 bytes. Those of a model's linear layers follow one another.
 */
static inline int64_t ppi_linear_state_bytes(const struct ppi_linear_shape *shape)
{
    int64_t s = (int64_t)shape->n_v_heads * shape->k_dim * shape->v_dim;
    int64_t seen = (shape->conv_kernel - 1) * ppi_linear_channels(shape);
    return ppi_round_up((s + seen) * (int64_t)sizeof(float), 64);
}

/* One layer. */
struct ppi_linear {
    const struct ppi_linear_shape *shape;
    int32_t index;                      /* among the model's linear layers: of its states */
    const struct ppi_matrix *conv;      /* VECTOR [channels, conv_kernel], the latest token last */
    const struct ppi_matrix *conv_bias; /* VECTOR [channels], or NULL */
    const struct ppi_matrix *a_log;     /* VECTOR [n_v_heads] */
    const struct ppi_matrix *dt_bias;   /* VECTOR [n_v_heads] */
    const struct ppi_matrix *d;         /* VECTOR [n_v_heads]; NULL: DELTA */
    const struct ppi_matrix *norm;      /* VECTOR [v_dim] (DELTA), [v size] (MAMBA2) */
    double norm_eps;
};

#endif
