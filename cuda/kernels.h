/*
 * kernels.h: the kernels as the host sees them: what each takes and where it is. Shared by C (the
 * launching side) and the .cu files. A kernel takes one plain struct; its contract stands above it.
 *
 * "act" is bf16 or f16; a kernel exists once for each, in this order, unless noted. Shapes name the
 * slowest dimension first. Dimensions of rows (hidden size, head_dim, ...) are multiples of 8 and
 * rows are 16-byte aligned. Address arithmetic is 64-bit.
 */
#ifndef PPI_CUDA_KERNELS_H
#define PPI_CUDA_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ppi_cuda_kernel {
    const char *name;
    const void *entry;
    int32_t threads;       /* of a block */
    uint32_t shared_bytes; /* dynamic shared memory */
};

#define PPI_CUDA_N_ACT 2 /* bf16, f16 */

/* Element types inside argument structs. */
#define PPI_CUDA_F32  0
#define PPI_CUDA_BF16 1
#define PPI_CUDA_F16  2

#define PPI_CUDA_MAX_STRIDING (1 << 20) /* blocks of a kernel whose blocks stride */

/*
 * Where keys and values are. Token t of a prompt whose entry is `first`:
 *   pages != NULL:       k + pages[first + t / page_tokens] + (t % page_tokens) * k_token_stride
 *   block_table != NULL: k + block_table[first + t / page_tokens] * k_page_stride
 *                          + (t % page_tokens) * k_token_stride
 *   neither:             k + (first + t) * k_token_stride
 * and head h is at + h * k_head_stride; v likewise. All strides in bytes. With pages, k and v are
 * byte offsets from the start of a page.
 */
struct ppi_cuda_kv {
    uint64_t k, v;              /* device addresses, or offsets */
    const uint64_t *pages;      /* device addresses of pages */
    const int32_t *block_table; /* page numbers */
    int64_t k_page_stride, v_page_stride;
    int64_t k_token_stride, v_token_stride;
    int64_t k_head_stride, v_head_stride;
    int32_t page_tokens; /* at least 1 */
    int32_t reserved;
};

/* ---- rows.cu: blocks of 256 threads, one for each row unless noted ---- */

/* embed and rmsnorm: rows of up to so many elements belong to a warp, longer ones to a block. */
#define PPI_CUDA_WARP_ROW 1024
static inline int64_t ppi_cuda_row_blocks(int32_t n_rows, int32_t dim)
{
    return dim <= PPI_CUDA_WARP_ROW ? ((int64_t)n_rows + 7) / 8 : n_rows;
}

/* out[i] = table[tokens[i]], widened. table: act [n, dim]; out: f32 [n_rows, dim]. Blocks:
 * ppi_cuda_row_blocks. */
struct ppi_cuda_embed_args {
    const void *table;
    const int32_t *tokens;
    float *out;
    int32_t n_rows, dim;
};
extern const struct ppi_cuda_kernel ppi_cuda_embed[PPI_CUDA_N_ACT];

/* out = x / sqrt(mean(x^2) + eps) * weight. x: f32 [n_rows, dim]; weight: f32 [dim]; out: act
 * [n_rows, dim]. One fixed shape of reduction for a given dim. Blocks: ppi_cuda_row_blocks. */
struct ppi_cuda_rmsnorm_args {
    const float *x;
    const float *weight;
    void *out;
    float eps;
    int32_t n_rows, dim;
    int32_t reserved; /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_rmsnorm[PPI_CUDA_N_ACT];

/* out = silu(gate) * up, silu(x) = x / (1 + exp(-x)). gate_up: act [n_rows, 2 n], gates first;
 * out: act [n_rows, n]. silu of minus infinity is -0. Blocks stride over all elements, any number
 * of them; best is ppi_cuda_swiglu_blocks. */
#define PPI_CUDA_SWIGLU_ELEMENTS 4096 /* that a block takes at once */
static inline int64_t ppi_cuda_swiglu_blocks(int32_t n_rows, int32_t n)
{
    int64_t blocks =
        ((int64_t)n_rows * n + PPI_CUDA_SWIGLU_ELEMENTS - 1) / PPI_CUDA_SWIGLU_ELEMENTS;
    return blocks < PPI_CUDA_MAX_STRIDING ? blocks : PPI_CUDA_MAX_STRIDING;
}
struct ppi_cuda_swiglu_args {
    const void *gate_up;
    void *out;
    int32_t n_rows, n;
};
extern const struct ppi_cuda_kernel ppi_cuda_swiglu[PPI_CUDA_N_ACT];

/* out[i] = src[rows[i]], row_bytes each, a multiple of 16. One kernel. */
struct ppi_cuda_gather_args {
    const void *src;
    const int32_t *rows;
    void *out;
    int64_t row_bytes;
    int32_t n_rows;
    int32_t reserved; /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_gather[1];

/* dst[i] = src[i] converted; types are PPI_CUDA_F32, BF16, F16; any alignment of whole elements,
 * fast where both sides are 16-byte aligned. One kernel. Blocks stride, any number of them; best is
 * ppi_cuda_convert_blocks. */
#define PPI_CUDA_CONVERT_ELEMENTS 4096 /* that a block takes at once */
static inline int64_t ppi_cuda_convert_blocks(int64_t n)
{
    int64_t blocks = (n + PPI_CUDA_CONVERT_ELEMENTS - 1) / PPI_CUDA_CONVERT_ELEMENTS;
    return blocks < PPI_CUDA_MAX_STRIDING ? blocks : PPI_CUDA_MAX_STRIDING;
}
struct ppi_cuda_convert_args {
    const void *src;
    void *dst;
    int64_t n;
    int32_t src_type, dst_type;
};
extern const struct ppi_cuda_kernel ppi_cuda_convert[1];

/* Counts 16-byte groups of rows [0, n_rows) of x [n_rows, row_bytes] that differ from row
 * i % period of expected [period, row_bytes] into *n_different. One kernel. */
struct ppi_cuda_compare_args {
    const void *x;
    const void *expected;
    uint32_t *n_different;
    int64_t row_bytes;
    int32_t n_rows, period;
};
extern const struct ppi_cuda_kernel ppi_cuda_compare[1];

/* ---- rope_kv.cu: a block for each row ---- */

/*
 * Rotates q and k, narrows, writes q, and k and v to their slots.
 * qkv: f32 [n_rows, (n_heads + 2 n_kv_heads) head_dim]: q heads, k heads, v heads.
 * rope: f32 [position, 2, head_dim / 2], cosines then sines; pairs are (i, i + head_dim / 2).
 * slots: [n_rows]: the row's place in kv: slot s is token s % page_tokens of entry s / page_tokens
 * (of `pages`, of the numbered pages, or row s when kv has neither); -1: k and v are not written.
 * q: act [n_rows, n_heads head_dim].
 */
struct ppi_cuda_rope_kv_args {
    const float *qkv;
    const float *rope;
    const int32_t *positions;
    const int64_t *slots;
    void *q;
    struct ppi_cuda_kv kv;
    int32_t n_rows, n_heads, n_kv_heads, head_dim;
};
extern const struct ppi_cuda_kernel ppi_cuda_rope_kv[PPI_CUDA_N_ACT];

/* Copies the keys or values (kv.k addresses the wanted one) of tokens [0, n_tokens) of entry 0 to
 * out: f32 or act (out_type), token-major [n_tokens, n_kv_heads, head_dim] or, head_major,
 * [n_kv_heads, n_tokens, head_dim]. A block per token. */
struct ppi_cuda_kv_read_args {
    struct ppi_cuda_kv kv;
    void *out;
    int64_t first_token; /* the first that is copied, to index 0 of out */
    int32_t n_tokens, n_kv_heads, head_dim;
    int32_t out_type, head_major;
    int32_t reserved; /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_kv_read[PPI_CUDA_N_ACT];

/* ---- sample.cu: a block for each row of logits ---- */

/*
 * out[i] = argmax over t of logits[i, t] (temperature 0), else of logits[i, t] + temperature *
 * gumbel(seeds[i], positions[i], t): a sample of softmax(logits / temperature); gumbel is
 * gumbel.h's. Ties: the smallest t. NaN never wins; a row of NaN gives 0. logits: f32 [n_rows,
 * stride], fastest where rows are 16-byte aligned. What is behind vocab is not read.
 */
struct ppi_cuda_sample_args {
    const float *logits;
    const uint64_t *seeds;
    const int32_t *positions;
    int32_t *out;
    int64_t stride;
    float temperature;
    int32_t n_rows, vocab;
    int32_t reserved; /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_sample[1];

/* ---- product.cu: the product that every other is compared with ---- */

/*
 * out = a w^T, or out += a w^T. a: act [n_rows, k], row stride lda elements; w: act [n, k], row
 * stride ldw; out: f32 or act (out_type), row stride ldo elements; accumulate needs f32. Every
 * element is one chain of mma.sync m16n8k16 over k in order, whatever the tile. k a multiple of 8,
 * any n and n_rows. Blocks: ppi_cuda_product_blocks.
 */
struct ppi_cuda_product_args {
    const void *a;
    const void *w;
    void *out;
    int64_t lda, ldw, ldo;
    int32_t n_rows, n, k;
    int32_t out_type, accumulate;
    int32_t reserved; /* no padding */
};
#define PPI_CUDA_PRODUCT_TILES 2 /* for few rows, for many */
extern const struct ppi_cuda_kernel ppi_cuda_product[PPI_CUDA_N_ACT][PPI_CUDA_PRODUCT_TILES];
int32_t ppi_cuda_product_tile(int32_t n_rows);
int64_t ppi_cuda_product_blocks(int32_t tile, int32_t n_rows, int32_t n);

/* ---- attention_*.cu ---- */

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
 * 64 from key 0. A row that sees nothing gives 0 and lse -infinity.
 * Blocks: n_items * n_kv_heads; block b runs item b / n_kv_heads, kv head b % n_kv_heads.
 */
struct ppi_cuda_attention_args {
    const void *q;
    void *out;
    float *lse; /* f32 [n_heads, lse_stride], natural logarithm, or NULL */
    int64_t q_row_stride, q_head_stride, out_row_stride, out_head_stride; /* bytes */
    int64_t lse_stride;                                                   /* elements */
    struct ppi_cuda_kv kv;
    const struct ppi_cuda_attention_item *items;
    int32_t n_items;
    int32_t n_heads, n_kv_heads, head_dim;
    float scale_log2; /* softmax_scale * log2(e) */
    int32_t window_left, window_right;
    int32_t reserved; /* no padding: what a launch copies is what was set */
};

#define PPI_CUDA_ATTENTION_ROWS     64 /* packed rows of a tile of the prefill kernel */
#define PPI_CUDA_ATTENTION_FEW_ROWS 16 /* of the kernel for few rows (decode) */
#define PPI_CUDA_ATTENTION_KEYS     64 /* keys of a block, in both */
#define PPI_CUDA_MAX_HEAD_DIM       256
#define PPI_CUDA_N_HEAD_DIMS        4 /* tiles for head_dim up to 64, 96, 128, 256 */
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

/*
 * For compute capability 9.0, head_dim up to 64 and up to 128: one kernel for prompts of any number
 * of rows, with tiles of more rows. Any number of blocks: they share the work out, and results do
 * not depend on it; best is one for each multiprocessor. entry NULL: the build has no code for it.
 */
#define PPI_CUDA_ATTENTION_SM90_ROWS_64  192 /* packed rows of a tile */
#define PPI_CUDA_ATTENTION_SM90_ROWS_128 128
extern const struct ppi_cuda_kernel ppi_cuda_attention_sm90_d64[PPI_CUDA_N_ACT],
    ppi_cuda_attention_sm90_d128[PPI_CUDA_N_ACT];

#ifdef __cplusplus
}
#endif
#endif
