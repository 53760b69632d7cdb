/*
 * kernels_attention.h: the kernels of attention as the host sees them; beside kernels.h.
 */
#ifndef PPI_CUDA_KERNELS_ATTENTION_H
#define PPI_CUDA_KERNELS_ATTENTION_H

#include "cuda/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A tile of one prompt's query rows for one kv head. The n_rows query rows of the prompt are rows
 * q_row .. of q and the last n_rows of its n_keys positions (FlashAttention's bottom-right
 * alignment). A tile's rows are (query row, query head of the group) pairs, query heads fastest:
 * packed row r is query row r / group, head kv_head * group + r % group.
 */
struct ppi_cuda_attention_item {
    int32_t q_row;      /* the prompt's first row in q and out */
    int32_t n_rows;     /* query rows of the prompt */
    int32_t n_keys;     /* keys of the prompt */
    int32_t first;      /* the prompt's entry in kv */
    int32_t packed_row; /* first packed row of the tile */
    int32_t reserved[3];
};

/*
 * Query row i of a prompt sees key j when  p - window_left <= j <= p + window_right,  p = i +
 * n_keys - n_rows; -1: no limit on that side (causal: window_right 0). Keys are taken in blocks of
 * 64 from key 0. A row that sees nothing gives 0 and lse -infinity. A scaled score s becomes
 * softcap * tanh(s / softcap), to within 2^-21 softcap, in the kernels that have a softcap. With
 * sinks the sum of a row's weights has exp(sink of the head) beside those of keys; lse has not.
 * Blocks: n_items * n_kv_heads; block b runs item b / n_kv_heads, kv head b % n_kv_heads.
 */
struct ppi_cuda_attention_args {
    const void *q;
    void *out;
    float *lse;         /* f32 [n_heads, lse_stride], natural logarithm, or NULL */
    const float *sinks; /* f32 [n_heads], or NULL */
    int64_t q_row_stride, q_head_stride, out_row_stride, out_head_stride; /* bytes */
    int64_t lse_stride;                                                   /* elements */
    struct ppi_cuda_kv kv;
    const struct ppi_cuda_attention_item *items;
    int32_t n_items;
    int32_t n_heads, n_kv_heads, head_dim;
    float scale_log2; /* softmax_scale * log2(e); with a softcap: softcap * log2(e) */
    float cap_log2;   /* 2 * softmax_scale / softcap * log2(e); 0: no softcap */
    int32_t window_left, window_right;
};

#define PPI_CUDA_ATTENTION_ROWS     64 /* packed rows of a tile of the prefill kernel */
#define PPI_CUDA_ATTENTION_FEW_ROWS 16 /* of the kernel for few rows (decode) */
#define PPI_CUDA_ATTENTION_KEYS     64 /* keys of a block, in both */
#define PPI_CUDA_N_HEAD_DIMS        4  /* tiles for head_dim up to 64, 96, 128, 256 */
/* Which tile a head_dim runs in. */
static inline int32_t ppi_cuda_head_dim_index(int32_t head_dim)
{
    return head_dim <= 64 ? 0 : head_dim <= 96 ? 1 : head_dim <= 128 ? 2 : 3;
}

/* Both kernels give the same bits for a row. The second is for prompts of at most 16 packed rows.
 */
extern const struct ppi_cuda_kernel ppi_cuda_attention_d64[PPI_CUDA_N_ACT],
    ppi_cuda_attention_d96[PPI_CUDA_N_ACT], ppi_cuda_attention_d128[PPI_CUDA_N_ACT],
    ppi_cuda_attention_d256[PPI_CUDA_N_ACT];
extern const struct ppi_cuda_kernel ppi_cuda_attention_few_d64[PPI_CUDA_N_ACT],
    ppi_cuda_attention_few_d96[PPI_CUDA_N_ACT], ppi_cuda_attention_few_d128[PPI_CUDA_N_ACT],
    ppi_cuda_attention_few_d256[PPI_CUDA_N_ACT];
/* The same with a softcap, for head_dim up to 128 and up to 256. */
extern const struct ppi_cuda_kernel ppi_cuda_attention_capped_d128[PPI_CUDA_N_ACT],
    ppi_cuda_attention_capped_d256[PPI_CUDA_N_ACT];
extern const struct ppi_cuda_kernel ppi_cuda_attention_few_capped_d128[PPI_CUDA_N_ACT],
    ppi_cuda_attention_few_capped_d256[PPI_CUDA_N_ACT];

/*
 * For compute capability 9.0, head_dim up to 64 and up to 128: one kernel for prompts of any number
 * of rows, with tiles of more rows. Any number of blocks: they share the work out, and results do
 * not depend on it; best is one for each multiprocessor. entry NULL: the build has no code for it.
 */
#define PPI_CUDA_ATTENTION_SM90_ROWS_64  192 /* packed rows of a tile */
#define PPI_CUDA_ATTENTION_SM90_ROWS_128 128
extern const struct ppi_cuda_kernel ppi_cuda_attention_sm90_d64[PPI_CUDA_N_ACT],
    ppi_cuda_attention_sm90_d128[PPI_CUDA_N_ACT];
extern const struct ppi_cuda_kernel ppi_cuda_attention_sm90_capped_d64[PPI_CUDA_N_ACT],
    ppi_cuda_attention_sm90_capped_d128[PPI_CUDA_N_ACT];

#ifdef __cplusplus
}
#endif
#endif
