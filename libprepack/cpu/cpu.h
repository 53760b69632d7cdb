/*
 * cpu.h: what the files of the CPU backend share: layouts, the table of kernels that each
 * instruction set fills, and the context.
 *
 * Layouts, the same for every instruction set. "Group" is what one 32-bit lane holds of the summed
 * dimension: one f32, or two neighbouring bf16 (the first in the low half).
 *
 *   weight panel  [groups of k][64 columns], 32 bits each; LINEAR: 64 rows of the matrix; GATE_UP:
 *                 32 gate rows, then the 32 up rows of the same outputs. Missing columns and the
 *                 second half of the last pair of an odd k are zero. A stack has the panels of its
 *                 first matrix, then those of the second, ...
 *   KV page       [layers of its class][n_kv_heads] of K, then V:
 *     K           [groups of head_dim][16 slots], so 16 keys are a slice of a panel
 *     V           [groups of slots][v_columns], v_columns: head_dim rounded up to 16; what is
 *                 behind head_dim is never read as a result
 */
#ifndef PPI_CPU_H
#define PPI_CPU_H

#include "backend.h"
#include "cpu/linear_cpu.h"
#include "cpu/product.h"
#include "cpu/packed.h"
#include "cpu/threads.h"
#include "score.h"

#include <assert.h>

#define PPI_CPU_PAGE         16  /* token slots of a KV page */
#define PPI_CPU_BLOCK        256 /* keys of one step of the online softmax */
#define PPI_CPU_CHUNK        64  /* tokens: chunks of long prompts are multiples */
#define PPI_CPU_TILE         48  /* most query rows of an attention tile */
#define PPI_CPU_MAX_HEAD_DIM 512 /* bounds the scratch of attention */

/*
 * Some tokens of one prompt, in the heads that share one kv head, or some of these. Or tokens of
 * prompts that begin with the same keys: a first tile takes all of them up to end_key, which is not
 * behind any of their positions, and leaves sums in scratch. Then each prompt's tile goes on, the
 * last first: it may spoil what is kept of one row behind it. first_row: the rows (tokens times
 * heads) before it in the first tile. No window then; keys are multiples of PPI_CPU_BLOCK.
 */
struct ppi_cpu_tile {
    const char *q;                  /* act: first token's first head */
    char *out;                      /* act */
    size_t row_stride, head_stride; /* bytes in q and out from token to token, from head to head */
    int32_t n_rows, n_heads;        /* tokens, and heads of each: together at most PPI_CPU_TILE */
    int32_t position;               /* of the first token */
    int32_t window;                 /* 0: none */
    int32_t first_key, first_row;   /* 0: everything begins here */
    int32_t end_key;                /* 0: everything ends here */
    float softmax_scale, softcap;
    const float *sinks; /* of the heads, see ppi_cpu_sink_power; or NULL */
    int32_t head_dim;
    void *const *pages; /* of position 0 on */
    size_t kv_offset;   /* of this layer's and kv head's K in a page; V is behind it */
    size_t kv_bytes;    /* from there to the next kv head, whose tile follows if there is one */
    void *scratch;      /* ppi_cpu_tile_scratch bytes, 64-byte aligned */
};

/* One row of q, k and v of all heads; n_kv_heads 0: of q alone. */
struct ppi_cpu_rope {
    const float *qkv;    /* [(n_heads + 2 n_kv_heads) head_dim] */
    const float *angles; /* [2, rotary_dim / 2] of the row */
    float q_scale;
    int32_t n_heads, n_kv_heads, head_dim;
    int32_t rotary_dim;
    bool interleaved;
    int32_t slot;
    void *q;       /* act [n_heads head_dim] */
    char *kv;      /* the layer's K of kv head 0 in the page */
    size_t stride; /* bytes from kv head to kv head */
};

/* One norm, over rows of dim elements without gap. */
struct ppi_cpu_norm {
    const float *weight; /* norm_parts: or NULL */
    double eps;
    bool center;
    int64_t dim;
};

struct ppi_cpu_kernels {
    /* packed.h */
    void (*quantize)(const struct ppi_cpu_quantize *rows);
    void (*integer_products)(const struct ppi_cpu_integer *product);
    void (*integer_gated)(const struct ppi_cpu_integer *product);
    int64_t packed_rows; /* up to how many rows integer products read panels in groups as they are
                          * (faster); 0: never, they cannot */
    void (*unpack_codes)(const struct ppi_cpu_unpack *panel);
    void (*unpack_numbers)(const struct ppi_cpu_unpack *panel);
    void (*products)(const struct ppi_cpu_product *product);
    void (*gated)(const struct ppi_cpu_product *product);
    void (*attend)(const struct ppi_cpu_tile *tile);
    void (*rope)(const struct ppi_cpu_rope *row);
    /* out = norm(x): act; out += scale norm(x); x = norm(x) */
    void (*norm)(const struct ppi_cpu_norm *norm, const float *x, int64_t n_rows, void *out);
    void (*norm_add)(const struct ppi_cpu_norm *norm, float scale, const float *x, int64_t n_rows,
                     float *out);
    void (*norm_parts)(const struct ppi_cpu_norm *norm, float *x, int64_t n_parts);
    void (*softcap)(float *x, int64_t n, float cap);
    /* linear_cpu.h */
    void (*convolve)(const struct ppi_cpu_conv *conv);
    void (*scan)(const struct ppi_cpu_scan *scan);
    int32_t scan_columns; /* of a state that a scan takes */
    void (*norm_gated)(const struct ppi_cpu_linear_norm *norm);
    /* a = a sigmoid(gate); out = activation(gate) x. a, out: act */
    void (*gate)(const float *gate, int64_t n, void *a);
    void (*activate)(int32_t activation, const float *gate, const float *x, int64_t n, void *out);
    struct ppi_score_part (*sum_exp)(const float *x, int64_t n);
    /* How many of x are above the bound, or with `equals` not below it. */
    int32_t (*count_values)(const float *x, int64_t n, float bound, bool equals);
    /* The first of x that is not below the bound; n: there is none. */
    int64_t (*find_value)(const float *x, int64_t n, float bound);
    float gflops; /* of products on one thread, about: how many threads a product is worth */
};

struct ppi_cpu_variant {
    const char *name;
    struct ppi_cpu_kernels f32, bf16;
};

extern const struct ppi_cpu_variant ppi_cpu_ref, ppi_cpu_avx2, ppi_cpu_avxvnni, ppi_cpu_avx512,
    ppi_cpu_avx512vnni, ppi_cpu_avx512bf16, ppi_cpu_avx512amx, ppi_cpu_neon, ppi_cpu_neondot,
    ppi_cpu_neonbf16;

/* ---- variants.c and the list of this processor ---- */

/* The variant of that name, or the fastest (NULL). Errors: PP_ERR_NO_BACKEND with the names that
 * are possible here. */
pp_status ppi_cpu_find_variant(const char *name, const struct ppi_cpu_variant **variant,
                               pp_error *err);
/* The i-th variant that this machine can run, slowest first; NULL behind the last. */
const struct ppi_cpu_variant *ppi_cpu_variant_at(int32_t i);

/* ---- the context ---- */

struct ppi_backend {
    struct ppi_backend_params params;
    const struct ppi_cpu_variant *variant;
    const struct ppi_cpu_kernels *kernels; /* of the variant, for act */
    struct ppi_cpu_pool *pool;
    char *scratch; /* [n_threads, scratch_bytes] */
    size_t scratch_bytes;
    struct ppi_cpu_codes codes; /* of the rows of a pass, where there are integer products */
    struct ppi_cpu_expert_rows *expert_rows; /* expert_rows.h; NULL: no experts */
    struct ppi_score_part *score_parts;      /* of the rows and tiles of a `score` */
    int64_t n_score_parts;
    size_t act_bytes; /* of one element */
};

struct ppi_matrix {
    struct ppi_mem *mem;
    int32_t kind, format;
    bool integer;
    int32_t dtype;      /* of its numbers, where it has no codes */
    int64_t n, k;       /* of one of a stack; GATE_UP: n gate rows */
    int64_t n_stacked;  /* matrices, at least 1; their panels follow each other */
    int64_t n_panels;   /* of one; 0 for tables and vectors */
    size_t panel_bytes; /* tables and vectors: of a row */
    char *data;
};

/* Rows of one matrix of a stack. */
static inline int64_t ppi_cpu_rows_of_one(const struct ppi_matrix *matrix)
{
    return matrix->kind == PPI_MATRIX_GATE_UP ? 2 * matrix->n : matrix->n;
}

/* The numbers of a VECTOR; NULL of none. */
static inline const float *ppi_cpu_vector(const struct ppi_matrix *vector)
{
    return vector ? (const float *)(const void *)vector->data : NULL;
}

static inline size_t ppi_cpu_k_bytes(size_t act_bytes, int32_t head_dim)
{
    return (size_t)head_dim * PPI_CPU_PAGE * act_bytes;
}

static inline int32_t ppi_cpu_v_columns(int32_t head_dim)
{
    return (head_dim + 15) & ~15;
}

static inline size_t ppi_cpu_v_bytes(size_t act_bytes, int32_t head_dim)
{
    return (size_t)ppi_cpu_v_columns(head_dim) * PPI_CPU_PAGE * act_bytes;
}

static inline const struct ppi_layer_place *ppi_cpu_place(const struct ppi_backend *backend,
                                                          int32_t layer)
{
    assert(layer >= 0 && layer < backend->params.n_layers);
    return &backend->params.places[layer];
}

static inline const struct ppi_kv_class *ppi_cpu_class(const struct ppi_backend *backend,
                                                       int32_t layer)
{
    return &backend->params.classes[ppi_cpu_place(backend, layer)->page_class];
}

/* K and V of one kv head of one layer in a page. */
static inline size_t ppi_cpu_head_kv_bytes(const struct ppi_backend *backend,
                                           const struct ppi_kv_class *shape)
{
    return ppi_cpu_k_bytes(backend->act_bytes, shape->head_dim) +
           ppi_cpu_v_bytes(backend->act_bytes, shape->head_dim);
}

/* Of the layer's K of kv head 0 in a page of its class. */
static inline size_t ppi_cpu_layer_offset(const struct ppi_backend *backend, int32_t layer)
{
    const struct ppi_kv_class *shape = ppi_cpu_class(backend, layer);
    return (size_t)ppi_cpu_place(backend, layer)->index * (size_t)shape->n_kv_heads *
           ppi_cpu_head_kv_bytes(backend, shape);
}

/* Weights of the softmax are 2^(factor (s - max s)); s is a product q k^T or, with a softcap,
 * tanh(inner q k^T). inner 0: no softcap. */
static inline float ppi_cpu_score_factor(const struct ppi_cpu_tile *tile)
{
    float scale = tile->softcap > 0 ? tile->softcap : tile->softmax_scale;
    return (float)(1.4426950408889634 * (double)scale);
}

static inline float ppi_cpu_score_inner(const struct ppi_cpu_tile *tile)
{
    return tile->softcap > 0 ? tile->softmax_scale / tile->softcap : 0;
}

/* A sink has, in the sum of the weights of a row, 2^(that). What it leaves of a row is next to
 * nothing from 2^100 on, and then the power is one that f32 has. max: the row's largest score. */
static inline float ppi_cpu_sink_power(float sink, float factor, float max)
{
    float power = 1.4426950408889634f * sink - factor * max;
    return power > 100.0f ? 100.0f : power;
}

/* Scores of a block for the rows of a product tile; of all rows, and one behind them: sums, and up
 * to 17 figures. */
static inline size_t ppi_cpu_tile_scratch(int32_t head_dim)
{
    size_t row = (size_t)ppi_cpu_v_columns(head_dim) + 17;
    return sizeof(float) * (PPI_CPU_ROWS * PPI_CPU_BLOCK + (PPI_CPU_TILE + 1) * row);
}

/* Bytes of a thread; 0 without linear layers. */
size_t ppi_cpu_linear_scratch(const struct ppi_linear_shape *shape);

/* ---- entries of the table, each documented in backend.h ---- */

size_t ppi_cpu_matrix_bytes(const struct ppi_backend *backend, const struct ppi_matrix_spec *spec);
pp_status ppi_cpu_matrix_create(struct ppi_backend *backend, struct ppi_mem *mem,
                                const struct ppi_matrix_spec *spec, struct ppi_matrix **matrix,
                                pp_error *err);
pp_status ppi_cpu_matrix_fill(struct ppi_backend *backend, struct ppi_matrix *matrix,
                              int64_t first_row, int64_t n_rows, const void *src, int32_t src_dtype,
                              pp_error *err);
pp_status ppi_cpu_matrix_fill_codes(struct ppi_backend *backend, struct ppi_matrix *matrix,
                                    int64_t first_row, int64_t n_rows,
                                    const struct ppi_code_rows *rows, pp_error *err);
void ppi_cpu_matrix_destroy(struct ppi_matrix *matrix);
pp_status ppi_cpu_embed(struct ppi_backend *backend, const struct ppi_matrix *table,
                        const struct ppi_pass *pass, float scale, float *out, pp_error *err);
pp_status ppi_cpu_norm(struct ppi_backend *backend, const float *x, const struct ppi_norm *norm,
                       int64_t n_rows, int64_t dim, void *out, pp_error *err);
pp_status ppi_cpu_norm_add(struct ppi_backend *backend, const float *x, const struct ppi_norm *norm,
                           float scale, int64_t n_rows, int64_t dim, float *out, pp_error *err);
pp_status ppi_cpu_norm_parts(struct ppi_backend *backend, float *x, const struct ppi_norm *norm,
                             int64_t n_rows, int64_t row_stride, int32_t n_parts, int64_t dim,
                             pp_error *err);
pp_status ppi_cpu_matmul(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                         int64_t n_rows, const struct ppi_epilogue *epilogue, float *out,
                         pp_error *err);
pp_status ppi_cpu_gate_up(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                          const struct ppi_matrix *bias, int32_t activation, int64_t n_rows,
                          void *out, pp_error *err);
pp_status ppi_cpu_route(struct ppi_backend *backend, const struct ppi_router *router,
                        const float *logits, int64_t n_rows, const struct ppi_routing *routing,
                        pp_error *err);
pp_status ppi_cpu_experts(struct ppi_backend *backend, const struct ppi_experts *experts,
                          const struct ppi_routing *routing, const void *a, int64_t n_rows,
                          float *out, pp_error *err);
pp_status ppi_cpu_linear(struct ppi_backend *backend, const struct ppi_pass *pass,
                         const struct ppi_linear *linear, float *rows, void *out, pp_error *err);
pp_status ppi_cpu_gate(struct ppi_backend *backend, const float *gate, int64_t n_rows, int64_t dim,
                       void *a, pp_error *err);
pp_status ppi_cpu_activate(struct ppi_backend *backend, int32_t activation, const float *gate,
                           const float *x, int64_t x_stride, int64_t n_rows, int64_t dim, void *out,
                           pp_error *err);
pp_status ppi_cpu_add_gated(struct ppi_backend *backend, const float *gate, const float *x,
                            float scale, int64_t n_rows, int64_t dim, float *out, pp_error *err);
pp_status ppi_cpu_multiply(struct ppi_backend *backend, float *x, int64_t n,
                           const struct ppi_matrix *factor, pp_error *err);
pp_status ppi_cpu_softcap(struct ppi_backend *backend, float *x, int64_t n, float cap,
                          pp_error *err);
pp_status ppi_cpu_rope_kv(struct ppi_backend *backend, const struct ppi_pass *pass,
                          const struct ppi_rope *rope, const float *qkv, void *q, pp_error *err);
pp_status ppi_cpu_attention(struct ppi_backend *backend, const struct ppi_pass *pass,
                            const struct ppi_attention *attention, const void *q, void *out,
                            pp_error *err);
pp_status ppi_cpu_gather_rows(struct ppi_backend *backend, const void *src,
                              const struct ppi_pass *pass, size_t row_bytes, void *out,
                              pp_error *err);
pp_status ppi_cpu_sample(struct ppi_backend *backend, const float *logits, int64_t n_rows,
                         int64_t vocab, const struct ppi_draw *draws, int32_t *tokens,
                         pp_error *err);
pp_status ppi_cpu_score(struct ppi_backend *backend, const float *logits, int64_t n_rows,
                        int64_t vocab, struct ppi_score *scores, int64_t n_scores, int32_t n_top,
                        int32_t *top_tokens, double *top_logprobs, pp_error *err);
pp_status ppi_cpu_kv_read(struct ppi_backend *backend, void *const *pages, int64_t first_token,
                          int64_t n_tokens, int32_t layer, int32_t which, int32_t layout,
                          int32_t dst_dtype, void *dst, pp_error *err);
pp_status ppi_cpu_kv_write(struct ppi_backend *backend, void *const *pages, int64_t first_token,
                           int64_t n_tokens, int32_t layer, int32_t which, int32_t layout,
                           int32_t src_dtype, const void *src, pp_error *err);
void ppi_cpu_kv_layout(const struct ppi_backend *backend, int32_t layer, int32_t which,
                       struct ppi_kv_layout *layout);
pp_status ppi_cpu_copy(struct ppi_backend *backend, void *dst, const void *src, size_t bytes,
                       pp_error *err);
pp_status ppi_cpu_varlen_plan_create(struct ppi_backend *backend,
                                     const struct ppi_varlen_shape *shape,
                                     struct ppi_varlen_plan **plan,
                                     struct ppi_varlen_figures *figures, pp_error *err);
void ppi_cpu_varlen_plan_destroy(struct ppi_backend *backend, struct ppi_varlen_plan *plan);
pp_status ppi_cpu_varlen_upload(struct ppi_backend *backend, struct ppi_varlen_plan *plan,
                                void *workspace, void *stream, pp_error *err);
pp_status ppi_cpu_varlen_run(struct ppi_backend *backend, const struct ppi_varlen_plan *plan,
                             const struct ppi_varlen_tensors *tensors, pp_error *err);

#endif
