/*
 * kernels.h: the kernels as the host sees them: what each takes and where it is; those of attention
 * are in kernels_attention.h, those of gates, experts and linear layers in kernels_layers.h. Shared
 * by C (the launching side) and the .cu files. A kernel takes one plain struct; its contract stands
 * above it.
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

#define PPI_CUDA_N_ACT        2 /* bf16, f16 */
#define PPI_CUDA_MAX_HEAD_DIM 256

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

/* embed and norms: rows of up to so many elements belong to a warp, longer ones to a block. */
#define PPI_CUDA_WARP_ROW 1024
static inline int64_t ppi_cuda_row_blocks(int64_t n_rows, int32_t dim)
{
    return dim <= PPI_CUDA_WARP_ROW ? (n_rows + 7) / 8 : n_rows;
}

/* out[i] = scale * table[tokens[i]], widened. table: act [n, dim]; out: f32 [n_rows, dim]. Blocks:
 * ppi_cuda_row_blocks. */
struct ppi_cuda_embed_args {
    const void *table;
    const int32_t *tokens;
    float *out;
    int32_t n_rows, dim;
    float scale;
    int32_t reserved; /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_embed[PPI_CUDA_N_ACT];

/*
 * norm(x) = (x - c) / sqrt(mean((x - c)^2) + eps) * weight, c 0 (RMSNorm) or the mean of x
 * (LayerNorm); each table has the former first. weight: f32 [dim]; n vectors. One fixed shape of
 * reduction for a given dim. Blocks: ppi_cuda_row_blocks.
 *   norm:       out = norm(x)            x: f32 [n, dim]; out: act [n, dim]
 *   norm_add:   out += scale * norm(x)   x, out: f32 [n, dim]
 *   norm_parts: x = norm(x)              vector i is part i % n_parts of row i / n_parts of x, f32
 *                                        [.., row_stride]; n < 2^31; weight NULL: 1
 * What a kernel does not name it does not read.
 */
struct ppi_cuda_norm_args {
    float *x; /* written by norm_parts alone */
    const float *weight;
    void *out;
    int64_t row_stride;
    int32_t n, n_parts, dim;
    float eps, scale;
    int32_t reserved; /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_norm[2][PPI_CUDA_N_ACT];
extern const struct ppi_cuda_kernel ppi_cuda_norm_add[2], ppi_cuda_norm_parts[2];

#define PPI_CUDA_STRIDING_ELEMENTS 4096 /* that a block of a striding kernel takes at once */
static inline int64_t ppi_cuda_striding_blocks(int64_t n)
{
    int64_t blocks = (n + PPI_CUDA_STRIDING_ELEMENTS - 1) / PPI_CUDA_STRIDING_ELEMENTS;
    return blocks < PPI_CUDA_MAX_STRIDING ? blocks : PPI_CUDA_MAX_STRIDING;
}

/*
 * out = activation(gate + bias) * (up + bias). gate_up: act [n_rows, 2 n], gates first; bias: f32
 * [2 n], or NULL: 0; out: act [n_rows, n]. silu(x) = x / (1 + exp(-x)); gelu(x) = x / 2 (1 +
 * tanh(sqrt(2 / pi) (x + 0.044715 x^3))); either is -0 at minus infinity. Blocks stride over all
 * elements, any number of them; best is ppi_cuda_striding_blocks of n_rows n.
 */
#define PPI_CUDA_SILU      0
#define PPI_CUDA_GELU_TANH 1
struct ppi_cuda_glu_args {
    const void *gate_up;
    const float *bias;
    void *out;
    int32_t n_rows, n;
    int32_t activation;
    int32_t reserved; /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_glu[PPI_CUDA_N_ACT];

/* out[i, j] += scale * bias[j]. out: f32 [n_rows, n], any n; bias: f32 [n]. A block for each row.
 * One kernel. */
struct ppi_cuda_add_bias_args {
    float *out;
    const float *bias;
    int64_t n;
    int32_t n_rows;
    float scale;
};
extern const struct ppi_cuda_kernel ppi_cuda_add_bias[1];

/* x = cap * tanh(x / cap), to within 2^-21 cap, for n elements of f32; fastest where x is 16-byte
 * aligned. Blocks stride, any number of them; best is ppi_cuda_striding_blocks. One kernel. */
struct ppi_cuda_softcap_args {
    float *x;
    int64_t n;
    float cap;
    int32_t reserved; /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_softcap[1];

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
 * ppi_cuda_striding_blocks. */
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
 * Rotates the first rotary_dim elements of q and k heads, narrows, writes q, and k and v to their
 * slots.
 * qkv: f32 [n_rows, (n_heads + 2 n_kv_heads) head_dim]: q heads, k heads, v heads.
 * rotary_dim: even, up to head_dim; 0: none rotates. Its pairs are (i, i + rotary_dim / 2), or
 * (2 i, 2 i + 1) when interleaved; a pair (x, y) becomes (x cos - y sin, y cos + x sin).
 * angles: f32 [.., 2, rotary_dim / 2], cosines then sines, of which row i takes row rope_rows[i];
 * not read when rotary_dim is 0. q_scale: f32 [..], as angles: q is multiplied by it at last; or
 * NULL: 1.
 * slots: [n_rows]: the row's place in kv: slot s is token s % page_tokens of entry s / page_tokens
 * (of `pages`, of the numbered pages, or row s when kv has neither); -1: k and v are not written.
 * q: act [n_rows, n_heads head_dim].
 * rope_kv: for a rotary_dim that is a multiple of 8. rope_kv_any: for any.
 */
struct ppi_cuda_rope_kv_args {
    const float *qkv;
    const float *angles;
    const float *q_scale;
    const int32_t *rope_rows;
    const int64_t *slots;
    void *q;
    struct ppi_cuda_kv kv;
    int32_t n_rows, n_heads, n_kv_heads, head_dim;
    int32_t rotary_dim, interleaved;
};
extern const struct ppi_cuda_kernel ppi_cuda_rope_kv[PPI_CUDA_N_ACT],
    ppi_cuda_rope_kv_any[PPI_CUDA_N_ACT];

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

/* The other way: from in, which is laid out as kv_read's out. */
struct ppi_cuda_kv_write_args {
    struct ppi_cuda_kv kv;
    const void *in;
    int64_t first_token;
    int32_t n_tokens, n_kv_heads, head_dim;
    int32_t in_type, head_major;
    int32_t reserved; /* no padding */
};
extern const struct ppi_cuda_kernel ppi_cuda_kv_write[PPI_CUDA_N_ACT];

/* ---- sample_bounds.cu, sample.cu: a block for each row of logits ----
 * logits: f32 [n_rows, stride], fastest where rows are 16-byte aligned. What is behind vocab is not
 * read. */

/* struct ppi_draw of backend.h, as the device has it. */
struct ppi_cuda_draw {
    uint64_t seed;
    float temperature, top_p, min_p;
    int32_t top_k, position;
    int32_t reserved; /* no padding */
};

/* What filters leave of a row: the tokens t whose rank, key << 32 | (uint32_t)~t, key being
 * draw.h's, is at least `rank`, and whose weight, if `weight` is not 0, is at least that. */
struct ppi_cuda_bound {
    uint64_t rank, weight;
    float max, steepness; /* what draw.h's weights take */
};

/* bounds[i] = what the filters of draws[i] leave, or everything when its temperature is 0. Rows
 * with NaN, or of nothing finite, have any bound. One kernel. */
struct ppi_cuda_sample_bounds_args {
    const float *logits;
    const struct ppi_cuda_draw *draws; /* [n_rows] */
    struct ppi_cuda_bound *bounds;     /* [n_rows] */
    int64_t stride;
    int32_t n_rows, vocab;
};
extern const struct ppi_cuda_kernel ppi_cuda_sample_bounds[1];

/*
 * out[i] = argmax over t of logits[i, t] (temperature 0), else, of the tokens that bounds[i]
 * leaves, of logits[i, t] + temperature * gumbel(seed, position, t): a sample of softmax(logits /
 * temperature); gumbel is gumbel.h's. Ties: the smallest t. -1 where a logit is NaN or none is
 * finite. One kernel.
 */
struct ppi_cuda_sample_args {
    const float *logits;
    const struct ppi_cuda_draw *draws;   /* [n_rows] */
    const struct ppi_cuda_bound *bounds; /* [n_rows]; NULL: everything stays */
    int32_t *out;
    int64_t stride;
    int32_t n_rows, vocab;
};
extern const struct ppi_cuda_kernel ppi_cuda_sample[1];

/* ---- score.cu: a block for each tile of ids of each row of logits ---- */

#define PPI_CUDA_SCORE_TILE 2048

struct ppi_score_part; /* of score.h */

struct ppi_cuda_score {
    int32_t target;
    uint32_t rank; /* 0 before */
    float logit;
    int32_t reserved; /* no padding */
};

struct ppi_cuda_choice {
    float logit;
    int32_t token;
};

/*
 * parts[i, tile] = what score.h wants of a tile of row i. Scores [first_score[i], first_score[i +
 * 1]) are of row i: logit is their target's, rank becomes the number of tokens before it, by the
 * logits, the smaller of equals first. With bounds, those tokens of row i whose rank (struct
 * ppi_cuda_bound) is at least bounds[i].rank are at choices[i], in any order, n_top at most. A row
 * with a NaN has any rank and choices. One kernel; n_rows n_tiles blocks.
 */
struct ppi_cuda_score_args {
    const float *logits;          /* f32 [n_rows, stride] */
    struct ppi_score_part *parts; /* [n_rows, n_tiles] */
    struct ppi_cuda_score *scores;
    const int32_t *first_score;          /* [n_rows + 1] */
    const struct ppi_cuda_bound *bounds; /* [n_rows], or NULL: no choices */
    struct ppi_cuda_choice *choices;     /* [n_rows, n_top] */
    uint32_t *n_choices;                 /* [n_rows], 0 before */
    int64_t stride;
    int32_t n_rows, n_tiles, vocab, n_top;
};
extern const struct ppi_cuda_kernel ppi_cuda_score[1];

/* ---- product.cu: the product that every other is compared with ---- */

/*
 * out = scale * a w^T, or out += scale * a w^T. a: act [n_rows, k], row stride lda elements; w: act
 * [n, k], row stride ldw; out: f32 or act (out_type), row stride ldo elements; accumulate needs
 * f32. Every element is one chain of mma.sync m16n8k16 over k in order, whatever the tile. k a
 * multiple of 8, any n and n_rows. Blocks: ppi_cuda_product_blocks.
 */
struct ppi_cuda_product_args {
    const void *a;
    const void *w;
    void *out;
    int64_t lda, ldw, ldo;
    int32_t n_rows, n, k;
    int32_t out_type, accumulate;
    float scale;
};
#define PPI_CUDA_PRODUCT_TILES 2 /* for few rows, for many */
extern const struct ppi_cuda_kernel ppi_cuda_product[PPI_CUDA_N_ACT][PPI_CUDA_PRODUCT_TILES];
int32_t ppi_cuda_product_tile(int32_t n_rows);
int64_t ppi_cuda_product_blocks(int32_t tile, int32_t n_rows, int32_t n);

#ifdef __cplusplus
}
#endif

#endif
