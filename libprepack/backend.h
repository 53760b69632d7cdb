/*
 * backend.h: the only door to a device. One table of operations; cpu/ and cuda/ fill it.
 *
 * The neutral layer (model/, kv/, run/) validates everything; a backend may assert. An operation
 * either runs to its end (CPU) or is enqueued in order on the backend's stream (CUDA);
 * `download_rows`, `sample`, `score`, `kv_read` and `kv_write` wait. Pointers called "device" are
 * in memory of the backend (host memory for the CPU). Shapes name the slowest dimension first;
 * every matrix is row-major with no gap between rows unless stated.
 *
 * "act" is the session's dtype: what products read and KV pages hold. Sums run in f32. Wherever a
 * value narrows it rounds to nearest even.
 *
 * Packing invariance, the duty of every operation: the bits of an output row depend on that row's
 * own inputs only: not on how many rows there are, which row it is, or how threads share the work.
 *
 * To add an operation: its contract here, a plain C version in cpu/ref_*.c, an op test, then the
 * fast versions.
 */
#ifndef PPI_BACKEND_H
#define PPI_BACKEND_H

#include "experts.h"
#include "internal.h"
#include "linear.h"
#include "packed/formats.h"

#include <prepack/device.h>

struct ppi_backend; /* a device context of one session; each backend defines its own */
struct ppi_matrix;  /* a weight matrix in the backend's own layout; each backend defines its own */

/*
 * Pages. A page holds PAGE_TOKENS token slots of keys and values of the layers of one class: those
 * that look equally far back and have heads of the same shape. Classes are numbered from 0.
 */
#define PPI_MAX_PAGE_CLASSES 4

struct ppi_kv_class {
    int32_t window; /* keys that a token sees, itself included; 0: all */
    int32_t n_kv_heads, head_dim;
    int32_t n_layers; /* whose keys and values its pages hold */
};

/* Where a layer's keys and values are. */
struct ppi_layer_place {
    int32_t page_class;
    int32_t index; /* among the layers of its class */
};

/* What a backend needs to know to be opened. */
struct ppi_backend_params {
    const char *variant; /* after the colon of "cpu:ref" or "cuda:1"; NULL: the backend chooses */
    struct ppi_mem *mem; /* host memory of the session */
    struct ppi_log log;
    int32_t dtype;                            /* act; one that supports_dtype took */
    bool integer_products, unpacked_products; /* some matrices have codes, and are multiplied
                                                 as integers, or as numbers */
    int32_t n_threads;                        /* at least 1 */
    int32_t n_heads, n_layers;                /* shapes of attention and of KV pages */
    const struct ppi_layer_place *places;     /* [n_layers], outlive the context */
    int32_t n_page_classes;
    struct ppi_kv_class classes[PPI_MAX_PAGE_CLASSES];
    int32_t hidden_size, intermediate_size;      /* of the model; 0: attention only */
    int32_t n_experts, top_k, expert_size;       /* of its experts; 0: none */
    const struct ppi_linear_shape *linear;       /* of its linear layers; NULL: none */
    int32_t max_pass_tokens;                     /* wanted; 0: the backend's choice */
    void *stream;                                /* the caller's, or NULL */
    const pp_device_allocator *device_allocator; /* NULL: the backend's own */
    ppi_parallel_for_fn parallel_for;            /* the host's threads; NULL: the backend's own */
    void *parallel_user;
};

struct ppi_backend_info {
    char name[32];                            /* "cpu:avx512bf16", "cuda:0" */
    int32_t page_tokens;                      /* token slots of a KV page */
    int64_t page_bytes[PPI_MAX_PAGE_CLASSES]; /* of a page of each class */
    int32_t chunk_tokens;    /* a prompt may be cut between passes at multiples of this */
    int32_t max_pass_tokens; /* most rows of a pass, a multiple of chunk_tokens */
    int32_t row_padding;     /* products may write rows up to the next multiple of this */
    int32_t weight_domain;   /* contexts of one domain share matrices: the GPU's number */
    bool has_own_memory;     /* device memory is not host memory */
    char device_name[64];    /* "NVIDIA H200"; empty on the CPU */
    char attention[32];      /* which attention kernel runs: "mma.sync", "wgmma" */
    char pci_address[16];    /* of the GPU, "0000:3b:00.0"; empty where there is none */
    int64_t cache_bytes;     /* of the last-level cache; 0: unknown */
};

/* The status for device memory that is out. */
static inline pp_status ppi_no_device_memory(const struct ppi_backend_info *info)
{
    return info->has_own_memory ? PP_ERR_DEVICE_NOMEM : PP_ERR_NOMEM;
}

/* The largest of the classes. */
static inline int32_t ppi_params_max_head_dim(const struct ppi_backend_params *params)
{
    int32_t most = 0;
    for (int32_t c = 0; c < params->n_page_classes; c++)
        most = params->classes[c].head_dim > most ? params->classes[c].head_dim : most;
    return most;
}

struct ppi_backend_memory {
    int64_t bytes, peak; /* device memory held by the context, and the most so far */
    int64_t available;   /* free on the device now; 0: unknown */
};

/* Kinds of weight matrix: what the backend may do to the layout. */
#define PPI_MATRIX_LINEAR  1 /* [n, k], multiplies rows of k activations: matmul */
#define PPI_MATRIX_GATE_UP 2 /* [2 * n, k]: n gate rows, then n up rows: gate_up */
#define PPI_MATRIX_TABLE   3 /* [n, k]: rows are looked up: embed */
#define PPI_MATRIX_VECTOR  4 /* [1, k] in f32, whatever act is: weights of norms, biases */

/* A matrix to be made. VECTORs are f32 whatever the format is; the format of a TABLE is ACT, BF16
 * or INT8, and not rotated. */
struct ppi_matrix_spec {
    int32_t kind, format; /* PPI_MATRIX_*, PPI_FORMAT_* */
    /* Of a format with codes: activations become integers row by row (as docs/numerics.md says)
     * and sums of products are exact. INT8 is always multiplied so. Else the numbers that the codes
     * stand for are multiplied as a matrix of ACT would be, with the same bits. */
    bool integer;
    int64_t n, k;
    int64_t n_stacked; /* as many matrices [n, k], one below the other, rows numbered through; 0:
                          one. LINEAR and GATE_UP */
};

/* Rows of a matrix as codes, each as a ppi_code_row has it, one behind the other. */
struct ppi_code_rows {
    const uint8_t *codes;          /* [n_rows, k_padded] */
    const float *scales, *offsets; /* [n_rows, groups]; offsets NULL where the format has none */
};

/*
 * Where the keys or values of a layer are in a page: element d of slot s in kv head h is, counted
 * in elements of act from `offset`, at
 *     h head_stride + s / slot_group slot_stride + s % slot_group
 *                   + d / dim_group dim_stride + d % dim_group
 */
struct ppi_kv_layout {
    size_t offset; /* bytes */
    int64_t head_stride, slot_stride, dim_stride;
    int32_t slot_group, dim_group; /* one of them is 1 */
};

/* A run of consecutive tokens of one prompt inside a pass. */
struct ppi_segment {
    int32_t row;        /* its first row in the pass */
    int32_t n_rows;     /* at least 1 */
    int32_t position;   /* position in the prompt of its first row */
    int32_t first_page; /* index in ppi_pass.pages[] of the page of the prompt's position 0 */
    int32_t rope_row;   /* row of the tables of angles for its first row; one further for each */
    /* Where a model has linear layers: device memory of their states behind the segment's last row,
     * which are written, and before its first, which are read unless its position is 0. One of them
     * may be the other. state NULL: nobody wants those behind it. */
    void *state;
    const void *state_before;
};

/*
 * One forward pass. In a layer of class c, position p of a segment's prompt lives in slot
 * p % page_tokens of page pages[c][first_page + p / page_tokens]. Pages that no row can see any
 * more may be given back; their entry is then a page of zeros, which may be read and never is
 * written.
 */
struct ppi_pass {
    int32_t n_rows;
    int32_t n_segments;
    int32_t slot;                       /* 0 or 1: two passes may be begun at a time */
    const int32_t *tokens;              /* host [n_rows], or NULL: not to be embedded */
    const int32_t *source_rows;         /* host [n_rows]: rows of slot 0's pass, for gather_rows;
                                           or NULL */
    const struct ppi_segment *segments; /* host [n_segments], rows ascending and without gap */
    void *const *pages[PPI_MAX_PAGE_CLASSES]; /* host [n_pages] device pages, for each class */
    int32_t n_pages;
};

/* ---- what operations take beside their operands ---- */

/* x -> (x - c) / sqrt(mean((x - c)^2) + eps) * weight; c is the mean of x (LayerNorm) when `center`
 * is set, else 0 (RMSNorm). The weight is f32, one for each element. */
struct ppi_norm {
    const struct ppi_matrix *weight; /* VECTOR; in norm_parts NULL: 1 */
    double eps;
    bool center;
};

/* What becomes of a product p = a w^T: out = (accumulate ? out : 0) + scale * (p + bias). */
struct ppi_epilogue {
    const struct ppi_matrix *bias; /* VECTOR [n], or NULL: 0 */
    float scale;
    bool accumulate;
};

#define PPI_ACTIVATION_SILU      1 /* x / (1 + exp(-x)) */
#define PPI_ACTIVATION_GELU_TANH 2 /* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
/* Of a gate g and an up u together, in experts alone: g at most limit, u within -limit .. limit,
 * then (u + 1) g / (1 + exp(-alpha g)) */
#define PPI_ACTIVATION_SWIGLU_CLAMPED 3

/* How queries and keys of a layer are turned by their positions. */
struct ppi_rope {
    int32_t layer;
    int32_t rotary_dim;   /* the first elements of a head, which rotate; the others stay. Even; 0:
                             none rotates */
    bool interleaved;     /* pairs are (2 i, 2 i + 1), else (i, i + rotary_dim / 2) */
    bool q_only;          /* rows of qkv are q alone: another layer has written the keys */
    const float *angles;  /* device f32 [row, 2, rotary_dim / 2]: cosines, then sines; NULL when
                             none rotates */
    const float *q_scale; /* device f32 [row]: queries are multiplied after it; or NULL: 1 */
};

struct ppi_attention {
    int32_t layer;
    int32_t window;                 /* keys that a token sees, itself included; 0: all */
    float softmax_scale;            /* of q k^T */
    float softcap;                  /* c: a scaled score s becomes c tanh(s / c); 0: it stays */
    const struct ppi_matrix *sinks; /* VECTOR [n_heads]: a score of each head that the softmax's
                                       sum has beside the keys'; or NULL */
};

/*
 * How a token is drawn from a row of logits, by the tokens in order of their logits, the smaller id
 * of equals first: the first top_k stay; of those, as many as it takes for a share of top_p of
 * their probability under softmax(logits / temperature), at least one; of those, none whose
 * probability is below min_p times the largest. From what stays, the argmax of
 * logits[t] + temperature * gumbel(seed, position, t) is a sample. temperature 0: the first token.
 */
struct ppi_draw {
    float temperature; /* at least 0 */
    int32_t top_k;     /* 0: all */
    float top_p;       /* in (0, 1]; 1: all */
    float min_p;       /* in [0, 1]; 0: all */
    uint64_t seed;
    int32_t position; /* of the token that is drawn */
};

/* The log-probability of a token in a row of logits, asked for and given. */
struct ppi_score {
    int32_t row;    /* asked */
    int32_t target; /* asked: an id */
    int32_t rank;   /* given: how many ids come before it in the order of their logits, the smaller
                       id of equals first */
    double logprob; /* given: logit - log(sum of exp(logit) over the vocabulary) */
};

/* Ids of a tile of `score`: a sum over the vocabulary is one over tiles in their order. */
#define PPI_SCORE_TILE 2048

/* ---- attention over a caller's tensors: what prepack/attention.h declares, validated ---- */

struct ppi_varlen_plan; /* a work list; each backend defines its own */

/* A prompt that has query rows: the last n_rows of its n_keys positions, or all, and others before
 * them, when there are fewer keys. */
struct ppi_varlen_prompt {
    int32_t q_row;  /* its first row in q and out */
    int32_t n_rows; /* at least 1 */
    int32_t n_keys;
    int32_t first; /* the row of its first key in k and v; with pages: of its first page in
                      block_table */
};

/* n_rows, n_keys and windows are at most 2^30, n_rows n_heads / n_kv_heads fits int32_t. */
struct ppi_varlen_shape {
    const struct ppi_varlen_prompt *prompts; /* host [n_prompts] */
    int32_t n_prompts;
    int32_t dtype;
    int32_t n_heads, n_kv_heads, head_dim;
    int32_t window_left, window_right; /* -1: no limit */
    int32_t page_size;                 /* 0: no pages */
};

/* Strides in bytes, but lse_head_stride in elements. */
struct ppi_varlen_tensors {
    const char *q, *k, *v;
    char *out;
    float *lse;                 /* or NULL */
    const int32_t *block_table; /* NULL without pages */
    int64_t q_row_stride, q_head_stride, out_row_stride, out_head_stride;
    int64_t k_page_stride, k_row_stride, k_head_stride;
    int64_t v_page_stride, v_row_stride, v_head_stride;
    int64_t lse_head_stride;
    float softmax_scale;
    void *stream; /* NULL: the context's */
};

/* What a work list asks for. */
struct ppi_varlen_figures {
    size_t workspace_bytes;
    int64_t n_tiles;
    int32_t n_launches;
};

/* Seconds of a product; 0: there is no such way to compute it. */
struct ppi_product_times {
    double guarded;   /* as it runs in a pass */
    double unguarded; /* the fastest for just this many rows, whatever it does to the bits */
    double own;       /* by the backend's own kernel */
};

struct ppi_backend_ops {
    const char *name; /* "cpu" */

    bool (*supports_dtype)(int32_t dtype); /* as act */
    bool has_threads;                      /* operations run on threads of this process */
    int32_t default_dtype;                 /* act where the model's own dtype is not supported */
    bool (*supports_format)(int32_t dtype, int32_t format); /* of a matrix beside this act */

    /* Device i of this kind, the name that opens it included; PP_GONE behind the last. info is
     * whole, struct_size set. */
    pp_status (*describe)(int32_t i, pp_device_info *info, pp_error *err);

    /* Opens a context. Errors: PP_ERR_NO_BACKEND (variant unknown or not possible here), NOMEM,
     * PP_ERR_UNSUPPORTED (shapes it cannot do). */
    pp_status (*open)(const struct ppi_backend_params *params, struct ppi_backend **backend,
                      pp_error *err);
    void (*close)(struct ppi_backend *backend);
    void (*get_info)(const struct ppi_backend *backend, struct ppi_backend_info *info);
    void (*get_memory)(const struct ppi_backend *backend, struct ppi_backend_memory *memory);
    /* From now on the context holds at most `bytes` of device memory; 0: no limit. */
    void (*set_limit)(struct ppi_backend *backend, int64_t bytes);

    /* Device memory, 64-byte aligned, contents undefined. NULL when there is none; release takes
     * the same size, and NULL. */
    void *(*alloc)(struct ppi_backend *backend, size_t bytes);
    void (*release)(struct ppi_backend *backend, void *memory, size_t bytes);
    pp_status (*upload)(struct ppi_backend *backend, void *device, const void *host, size_t bytes,
                        pp_error *err);
    /* Row i of device goes to rows[i], host memory; row_bytes each. Waits. */
    pp_status (*download_rows)(struct ppi_backend *backend, void *const *rows, const void *device,
                               int64_t n, size_t row_bytes, pp_error *err);

    /* ---- weights ----
     * A matrix belongs to `mem`, not to the context that made it: every context of the same kind
     * and dtype may use it, and matrix_destroy needs none. matrix_bytes: what matrix_create will
     * take. */
    size_t (*matrix_bytes)(const struct ppi_backend *backend, const struct ppi_matrix_spec *spec);
    pp_status (*matrix_create)(struct ppi_backend *backend, struct ppi_mem *mem,
                               const struct ppi_matrix_spec *spec, struct ppi_matrix **matrix,
                               pp_error *err);
    /* Sets rows [first_row, first_row + n_rows) of the logical matrix from src [n_rows, k], host
     * memory of src_dtype (PP_DTYPE_F32, F16, BF16): converted, or quantised where the format is
     * INT8, INT4 or NF4. Every row is set once before use. */
    pp_status (*matrix_fill)(struct ppi_backend *backend, struct ppi_matrix *matrix,
                             int64_t first_row, int64_t n_rows, const void *src, int32_t src_dtype,
                             pp_error *err);
    /* The same from codes of the matrix's format. NULL: no format with codes is supported. */
    pp_status (*matrix_fill_codes)(struct ppi_backend *backend, struct ppi_matrix *matrix,
                                   int64_t first_row, int64_t n_rows,
                                   const struct ppi_code_rows *rows, pp_error *err);
    void (*matrix_destroy)(struct ppi_matrix *matrix);
    /* Called once for every LINEAR and GATE_UP matrix of a context before matmul or gate_up get it:
     * the place to choose and to check an algorithm. The matrix is filled. NULL: nothing to do. */
    pp_status (*prepare)(struct ppi_backend *backend, const struct ppi_matrix *w, pp_error *err);

    /* ---- a pass: called once before the operations that take it; the backend may copy its arrays
     * to the device. The arrays outlive the pass. ---- */
    pp_status (*pass_begin)(struct ppi_backend *backend, const struct ppi_pass *pass,
                            pp_error *err);

    /* out[i] = scale * table[tokens[i]], widened: f32 [n_rows, k] */
    pp_status (*embed)(struct ppi_backend *backend, const struct ppi_matrix *table,
                       const struct ppi_pass *pass, float scale, float *out, pp_error *err);

    /* out = norm(x), or x narrowed when norm is NULL. x: f32 [n_rows, dim]; out: act [n_rows, dim].
     */
    pp_status (*norm)(struct ppi_backend *backend, const float *x, const struct ppi_norm *norm,
                      int64_t n_rows, int64_t dim, void *out, pp_error *err);
    /* out += scale * norm(x). x, out: f32 [n_rows, dim]. */
    pp_status (*norm_add)(struct ppi_backend *backend, const float *x, const struct ppi_norm *norm,
                          float scale, int64_t n_rows, int64_t dim, float *out, pp_error *err);
    /* x = norm(x) for each of n_parts neighbouring parts of dim elements of each row; rows are
     * row_stride elements apart. x: f32 [n_rows, row_stride]. */
    pp_status (*norm_parts)(struct ppi_backend *backend, float *x, const struct ppi_norm *norm,
                            int64_t n_rows, int64_t row_stride, int32_t n_parts, int64_t dim,
                            pp_error *err);

    /* The product a w^T and what `epilogue` says. a: act [n_rows, k]; w: LINEAR [n, k]; out: f32
     * [n_rows, n]. Every element is one chain of sums over k in order; of an integer matrix, over
     * its groups, whose own sums are exact. */
    pp_status (*matmul)(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                        int64_t n_rows, const struct ppi_epilogue *epilogue, float *out,
                        pp_error *err);

    /* out = activation(a gate^T + bias) * (a up^T + bias); a device may narrow the products to act
     * before it adds. a: act [n_rows, k]; w: GATE_UP with n gate rows; bias: VECTOR [2 n], gates
     * first, or NULL; activation: PPI_ACTIVATION_*; out: act [n_rows, n]. */
    pp_status (*gate_up)(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                         const struct ppi_matrix *bias, int32_t activation, int64_t n_rows,
                         void *out, pp_error *err);

    /*
     * Experts. route: which experts each row goes through, by the logits f32 [n_rows, n]; of equal
     * scores the smaller number. experts: adds to out f32 [n_rows, hidden], for each of a row's
     * experts e in ascending order, scale * weight * (down_e(gated_e(a)) + bias), the gated product
     * narrowed to act; a: act [n_rows, hidden]. NULL: the device has no experts.
     */
    pp_status (*route)(struct ppi_backend *backend, const struct ppi_router *router,
                       const float *logits, int64_t n_rows, const struct ppi_routing *routing,
                       pp_error *err);
    pp_status (*experts)(struct ppi_backend *backend, const struct ppi_experts *experts,
                         const struct ppi_routing *routing, const void *a, int64_t n_rows,
                         float *out, pp_error *err);

    /* A linear layer (linear.h) over the rows of a pass, behind its projection. rows: f32 [n_rows,
     * ppi_linear_row], used up; out: act [n_rows, v size]. NULL: the device has none. */
    pp_status (*linear)(struct ppi_backend *backend, const struct ppi_pass *pass,
                        const struct ppi_linear *linear, float *rows, void *out, pp_error *err);

    /* a = a sigmoid(gate): act [n_rows, dim] in place; gate: f32 [n_rows, dim]. */
    pp_status (*gate)(struct ppi_backend *backend, const float *gate, int64_t n_rows, int64_t dim,
                      void *a, pp_error *err);
    /* out = activation(gate) x: gate f32 [n_rows, dim], x f32 [n_rows, dim] in rows x_stride
     * elements apart, out act [n_rows, dim]. */
    pp_status (*activate)(struct ppi_backend *backend, int32_t activation, const float *gate,
                          const float *x, int64_t x_stride, int64_t n_rows, int64_t dim, void *out,
                          pp_error *err);
    /* out[i] += scale sigmoid(gate[i]) x[i]: gate f32 [n_rows], x and out f32 [n_rows, dim]. */
    pp_status (*add_gated)(struct ppi_backend *backend, const float *gate, const float *x,
                           float scale, int64_t n_rows, int64_t dim, float *out, pp_error *err);
    /* x = factor x for n elements of f32. factor: VECTOR [1]. */
    pp_status (*multiply)(struct ppi_backend *backend, float *x, int64_t n,
                          const struct ppi_matrix *factor, pp_error *err);

    /* x = cap * tanh(x / cap) for n elements of f32. */
    pp_status (*softcap)(struct ppi_backend *backend, float *x, int64_t n, float cap,
                         pp_error *err);

    /* Rotates q and k by their rows of angles, narrows, writes k and v into the pages of
     * rope->layer. qkv: f32 [n_rows, (n_heads + 2 n_kv_heads) head_dim], rows of q, then k, then v
     * heads; with q_only [n_rows, n_heads head_dim], and no page is written. A pair (x, y) becomes
     * (x cos - y sin, y cos + x sin). q: act [n_rows, n_heads head_dim]. */
    pp_status (*rope_kv)(struct ppi_backend *backend, const struct ppi_pass *pass,
                         const struct ppi_rope *rope, const float *qkv, void *q, pp_error *err);

    /*
     * Causal attention of each row over its own prompt: a row at position p sees positions
     * max(0, p - window + 1) .. p (window 0: from 0), which are in the pages of the layer. Query
     * head h uses kv head h / (n_heads / n_kv_heads). q, out: act [n_rows, n_heads head_dim]. Key
     * blocks are anchored at position 0.
     */
    pp_status (*attention)(struct ppi_backend *backend, const struct ppi_pass *pass,
                           const struct ppi_attention *attention, const void *q, void *out,
                           pp_error *err);

    /* out[i] = src[pass->source_rows[i]]: device [n_rows, row_bytes]. */
    pp_status (*gather_rows)(struct ppi_backend *backend, const void *src,
                             const struct ppi_pass *pass, size_t row_bytes, void *out,
                             pp_error *err);

    /* tokens[i] is drawn from logits[i] as draws[i] says; -1 where a logit is NaN or none is
     * finite. +infinity wins over all that is finite. logits: device f32 [n_rows, vocab]; draws,
     * tokens: host [n_rows]. gumbel: gumbel.h; probabilities that filters compare: draw.h. Waits.
     */
    pp_status (*sample)(struct ppi_backend *backend, const float *logits, int64_t n_rows,
                        int64_t vocab, const struct ppi_draw *draws, int32_t *tokens,
                        pp_error *err);

    /*
     * What rows of logits say of tokens. scores: host [n_scores], by row, then target, no pair
     * twice. top: of every row the first n_top ids in the order of their logits, the smaller id of
     * equals first, and their log-probabilities: host [n_rows, n_top], NULL where n_top is 0;
     * n_top is at most vocab and 256. logits: device f32 [n_rows, vocab], n_rows at most 64.
     * The log of a row's sum: a tile's is its maximum and a sum in f32 in a fixed order (an
     * infinite logit below counts nothing); tiles are joined in double, in order. All that is given
     * for a row is NaN (ids and ranks are -1) where a logit is NaN or +infinity, or none is finite.
     * Waits.
     */
    pp_status (*score)(struct ppi_backend *backend, const float *logits, int64_t n_rows,
                       int64_t vocab, struct ppi_score *scores, int64_t n_scores, int32_t n_top,
                       int32_t *top_tokens, double *top_logprobs, pp_error *err);

    /* Copies one layer's keys (which PP_KV_K) or values of positions first_token .. first_token +
     * n_tokens - 1 to the host:
     * dst [n_tokens, n_kv_heads, head_dim] (PP_KV_NHD) or [n_kv_heads, n_tokens, head_dim]
     * (PP_KV_HND) of dst_dtype: PP_DTYPE_F32 or act. pages: [..] of the layer's class, that of
     * position 0 first. */
    pp_status (*kv_read)(struct ppi_backend *backend, void *const *pages, int64_t first_token,
                         int64_t n_tokens, int32_t layer, int32_t which, int32_t layout,
                         int32_t dst_dtype, void *dst, pp_error *err);

    /* The other way: writes keys or values from the host into pages that no other cache has. The
     * arguments are those of kv_read, src in the place of dst; what is wider than act rounds to
     * nearest even. Other slots keep what they hold. Waits. */
    pp_status (*kv_write)(struct ppi_backend *backend, void *const *pages, int64_t first_token,
                          int64_t n_tokens, int32_t layer, int32_t which, int32_t layout,
                          int32_t src_dtype, const void *src, pp_error *err);
    /* Where a layer's keys or values lie in a page of its class. */
    void (*kv_layout)(const struct ppi_backend *backend, int32_t layer, int32_t which,
                      struct ppi_kv_layout *layout);

    /* Copies device memory, at the device's best rate; the two places do not overlap. */
    pp_status (*copy)(struct ppi_backend *backend, void *dst, const void *src, size_t bytes,
                      pp_error *err);
    /* Waits for everything that was enqueued. NULL: operations run to their end. */
    pp_status (*synchronize)(struct ppi_backend *backend, pp_error *err);
    /* Marks the moment at which the device has done what was enqueued so far: mark i, 0 or 1. NULL:
     * the host's clock tells, operations run to their end. */
    pp_status (*mark)(struct ppi_backend *backend, int32_t i, pp_error *err);
    /* The device's seconds from its last mark 0 to its last mark 1. Waits. There with mark. */
    pp_status (*marked_seconds)(struct ppi_backend *backend, double *seconds, pp_error *err);
    /* Times the product of n_rows rows of a with a prepared matrix; out: room for f32 [n_rows, all
     * rows of w]. Both hold n_rows rounded up to row_padding. Waits. NULL: products are the same
     * with and without the guard of packing invariance. */
    pp_status (*product_times)(struct ppi_backend *backend, const void *a,
                               const struct ppi_matrix *w, int64_t n_rows, bool accumulate,
                               void *out, struct ppi_product_times *times, pp_error *err);

    /* ---- attention over a caller's tensors ---- */

    /* Makes the work list of a shape, which outlives it, on the host. Errors: PP_ERR_UNSUPPORTED
     * (dtype, number of tiles), PP_ERR_NOMEM. */
    pp_status (*varlen_plan_create)(struct ppi_backend *backend,
                                    const struct ppi_varlen_shape *shape,
                                    struct ppi_varlen_plan **plan,
                                    struct ppi_varlen_figures *figures, pp_error *err);
    /* Any thread; NULL is allowed. What was enqueued stays valid. */
    void (*varlen_plan_destroy)(struct ppi_backend *backend, struct ppi_varlen_plan *plan);
    /* Enqueues the copy of the list to workspace, device memory of workspace_bytes; never waits. */
    pp_status (*varlen_upload)(struct ppi_backend *backend, struct ppi_varlen_plan *plan,
                               void *workspace, void *stream, pp_error *err);
    /* Attention of an uploaded list that has prompts; neither allocates nor waits. */
    pp_status (*varlen_run)(struct ppi_backend *backend, const struct ppi_varlen_plan *plan,
                            const struct ppi_varlen_tensors *tensors, pp_error *err);
};

extern const struct ppi_backend_ops ppi_cpu_ops;

/* Finds the table for "cpu", "cpu:avx2", ...; *variant points into device or is NULL. Errors:
 * PP_ERR_NO_BACKEND with the list of devices there are. */
pp_status ppi_backend_find(const char *device, const struct ppi_backend_ops **ops,
                           const char **variant, pp_error *err);

/* The kinds of device that this library knows, and the table of one: NULL where it cannot be had.
 */
int32_t ppi_backend_n_kinds(void);
const struct ppi_backend_ops *ppi_backend_kind(int32_t kind);

#endif
