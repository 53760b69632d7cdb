/*
 * kernels_layers.h: the kernels of gates, experts and linear layers as the host sees them; beside
 * kernels.h.
 */
#ifndef PPI_CUDA_KERNELS_LAYERS_H
#define PPI_CUDA_KERNELS_LAYERS_H

#include "cuda/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- gates.cu: blocks of 256 threads that stride over all elements, any number of them; best is
 * ppi_cuda_striding_blocks ---- */

/*
 * gate:      a = a sigmoid(gate)              a: act [n_rows, dim]
 * activate:  a = activation(gate) x           activation: PPI_CUDA_SILU, GELU_TANH
 * add_gated: out += scale sigmoid(gate) x     gate: f32 [n_rows], one for each row
 * gate: f32 [n_rows, dim] but there; x: f32 [n_rows, x_stride]; out: f32 [n_rows, dim].
 * What a kernel does not name it does not read.
 */
struct ppi_cuda_gate_args {
    const float *gate, *x;
    void *a;
    float *out;
    int64_t n_rows, x_stride;
    int32_t dim, activation;
    float scale;
    int32_t reserved; /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_gate[PPI_CUDA_N_ACT],
    ppi_cuda_activate[PPI_CUDA_N_ACT];
extern const struct ppi_cuda_kernel ppi_cuda_add_gated[1];

/* x = *factor x for n elements of f32, 16-byte aligned. One kernel. */
struct ppi_cuda_multiply_args {
    float *x;
    const float *factor;
    int64_t n;
};
extern const struct ppi_cuda_kernel ppi_cuda_multiply[1];

/* ---- experts_lists.cu ---- */

#define PPI_CUDA_MAX_EXPERTS 1024

#define PPI_CUDA_SCORING_SOFTMAX 0
#define PPI_CUDA_SCORING_CHOSEN  1
#define PPI_CUDA_SCORING_SIGMOID 2

/*
 * What ppi_router of libprepack/experts.h says, for logits f32 [n_rows, n]. A logit that is NaN
 * counts as the smallest score; chosen are always top_k different experts. A warp for each row;
 * blocks: ppi_cuda_route_blocks. One kernel.
 */
struct ppi_cuda_route_args {
    const float *logits;
    const float *correction, *expert_scale; /* [n], or NULL */
    int32_t *chosen;                        /* [n_rows, top_k], ascending in each row */
    float *weights;                         /* [n_rows, top_k] */
    int32_t n_rows, n, top_k;
    int32_t scoring, normalize;
    float sum_eps, scale;
    int32_t reserved; /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_route[1];
static inline int64_t ppi_cuda_route_blocks(int64_t n_rows)
{
    return (n_rows + 7) / 8;
}

/*
 * The lists of the experts' rows, one behind the other, rows ascending in each: place p of them is
 * row rows[p], and places[i, j] is the place of row i's j-th expert. They are cut into tiles of up
 * to tile_rows places of one expert, which stand in front of empty ones. No order comes from
 * atomics. A block for each expert; one kernel each, count_experts first.
 */
struct ppi_cuda_expert_tile {
    int32_t expert, first; /* place */
    int32_t n_rows;        /* 0: empty */
    int32_t reserved;
};
struct ppi_cuda_expert_lists_args {
    const int32_t *chosen;              /* [n_rows, top_k] */
    int32_t *counts;                    /* [n]: written by count_experts, read by place_experts */
    int32_t *rows;                      /* [n_rows top_k] */
    int32_t *places;                    /* [n_rows, top_k] */
    struct ppi_cuda_expert_tile *tiles; /* [n_tiles] */
    int32_t n_rows, n, top_k;
    int32_t tile_rows, n_tiles; /* ppi_cuda_expert_tiles */
    int32_t reserved;           /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_count_experts[1], ppi_cuda_place_experts[1];

/* ---- experts.cu ---- */

/*
 * Of each place p of the lists, by its expert e:
 *   experts_gated: out = activation(a gate_e^T + bias, a up_e^T + bias), a: row rows[p]; w: act
 *                  [.., 2 n, k], gates first; bias f32 [.., 2 n]; out: act [places, n]
 *   experts_down:  out = a w_e^T + bias, a: row p; w: act [.., n, k]; bias: f32 [.., n]; out: f32
 *                  [places, n]
 * bias: or NULL. n and k are multiples of 8. Every product is the chain of sums of product.cu.
 * Two tiles each, as product.cu has them. Blocks: ppi_cuda_experts_blocks.
 */
#define PPI_CUDA_SWIGLU_CLAMPED 2 /* beside PPI_CUDA_SILU, GELU_TANH */
struct ppi_cuda_experts_args {
    const void *a, *w;
    const float *bias;
    void *out;
    const int32_t *rows;
    const struct ppi_cuda_expert_tile *tiles;
    int32_t n_tiles, n, k;
    int32_t activation;
    float limit, alpha; /* SWIGLU_CLAMPED */
};
extern const struct ppi_cuda_kernel ppi_cuda_experts_gated[PPI_CUDA_N_ACT][PPI_CUDA_PRODUCT_TILES],
    ppi_cuda_experts_down[PPI_CUDA_N_ACT][PPI_CUDA_PRODUCT_TILES];
/* By the rows that an expert has on average. */
int32_t ppi_cuda_experts_tile(int64_t n_places, int32_t n_experts);
int32_t ppi_cuda_experts_tile_rows(int32_t tile);
/* Tiles that n_places places can need at most, however rows choose. */
int64_t ppi_cuda_expert_tiles(int32_t tile, int64_t n_places, int32_t n_experts);
int64_t ppi_cuda_experts_blocks(int32_t tile, int32_t is_gated, int64_t n_tiles, int32_t n);

/* out = (accumulate ? out : 0) + for each of a row's experts in order, scale weight down[place].
 * out: f32 [n_rows, dim]; down: f32 [places, dim]. A block for each row; one kernel. */
struct ppi_cuda_combine_args {
    const float *down, *weights;
    const int32_t *places;
    float *out;
    int32_t n_rows, top_k, dim, accumulate;
    float scale;
    int32_t reserved; /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_combine[1];

/* ---- linear.cu: linear layers (libprepack/linear.h) over the rows of a pass ---- */

#define PPI_CUDA_MAX_LINEAR_K_DIM 256
#define PPI_CUDA_LINEAR_KS        3  /* scans for k_dim up to 64, 128, 256 */
#define PPI_CUDA_LINEAR_COLS      32 /* value columns of a block of a scan */

/* The run of tokens of one prompt, and the states of all its linear layers. */
struct ppi_cuda_linear_segment {
    void *state;              /* NULL: not wanted */
    const void *state_before; /* not read at position 0 */
    int32_t row, n_rows, position;
    int32_t reserved;
};

/*
 * In this order:
 *   linear_mix:  convolution, norms and gates of each row: mixed. A block for each row.
 *   linear_scan: S, token by token; in mixed S^T q takes the place of v. For k_dim up to 64, 128,
 *                256. Blocks: ppi_cuda_linear_scan_blocks.
 *   linear_seen: the convolution's part of the state. n_segments times blocks of 256 channels.
 *   linear_norm: out. Blocks: ppi_cuda_row_blocks of all norms, of their elements.
 * k_dim and v_dim are multiples of 4. All but linear_norm are one kernel.
 */
struct ppi_cuda_linear_args {
    const struct ppi_cuda_linear_segment *segments;
    const int32_t *row_segments; /* [n_rows]: the segment of each row */
    const float *rows;           /* [n_rows, row_stride] */
    float *mixed; /* [n_rows, mixed_stride]: q, k, v, then {decay, beta, k q} of each value head in
                     four elements; beta is dt for MAMBA2 */
    const float *conv, *conv_bias, *a_log, *dt_bias, *d, *norm;
    void *out;                        /* act [n_rows, v size] */
    int64_t s_offset, seen_offset;    /* bytes, of this layer in a state */
    int64_t row_stride, mixed_stride; /* elements; mixed_stride a multiple of 4 */
    int32_t n_rows, n_segments;
    int32_t n_k_heads, n_v_heads, k_dim, v_dim;
    int32_t conv_kernel, norm_dim; /* elements of a norm */
    int32_t is_mamba2;
    float dt_min, dt_max;
    float head_eps, norm_eps; /* of the norms of q and k, and of what is given */
};
extern const struct ppi_cuda_kernel ppi_cuda_linear_mix[1],
    ppi_cuda_linear_scan[PPI_CUDA_LINEAR_KS], ppi_cuda_linear_seen[1],
    ppi_cuda_linear_norm[PPI_CUDA_N_ACT];
static inline int32_t ppi_cuda_linear_k_index(int32_t k_dim)
{
    return k_dim <= 64 ? 0 : k_dim <= 128 ? 1 : 2;
}
static inline int64_t ppi_cuda_linear_scan_blocks(int64_t n_segments, int32_t n_v_heads,
                                                  int32_t v_dim)
{
    return n_segments * n_v_heads * ((v_dim + PPI_CUDA_LINEAR_COLS - 1) / PPI_CUDA_LINEAR_COLS);
}

#ifdef __cplusplus
}
#endif

#endif
