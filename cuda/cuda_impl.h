/*
 * cuda_impl.h: the device context that the files of this folder share, and what each offers the
 * others. Everything is enqueued on the context's stream; only uploads, download_rows, kv_read,
 * kv_write, sample and score wait for it, so that the staging buffers are free whenever one of them
 * begins.
 */
#ifndef PPI_CUDA_IMPL_H
#define PPI_CUDA_IMPL_H

#include "backend.h"
#include "cuda/attention_choice.h"
#include "cuda/kernels.h"
#include "cuda/kernels_layers.h"

#include <cuda_runtime_api.h>

/* Device memory of one owner (a session, a model): where it comes from. Counting is the caller's.
 */
struct ppi_cuda_memory {
    pp_device_allocator allocator; /* allocate NULL: cudaMalloc */
    int32_t device;
};

struct ppi_matrix {
    int32_t kind;
    int32_t type;      /* PPI_CUDA_F32 (VECTOR), BF16 or F16 */
    int64_t n, k;      /* as matrix_create got them; GATE_UP has 2 n rows */
    int64_t n_stacked; /* 0: one matrix */
    int64_t n_rows;    /* of data: 2 n or n of each */
    void *data;        /* device [n_rows, k] */
    size_t bytes;      /* of data */
    struct ppi_cuda_memory memory;
    struct ppi_mem *mem; /* of this struct */
};

/* Of a VECTOR, or NULL. */
static inline const float *ppi_cuda_vector(const struct ppi_matrix *matrix)
{
    return matrix ? matrix->data : NULL;
}

struct ppi_cuda_products;
struct ppi_cuda_block; /* of device_varlen.c */

/* The work lists of attention, of a pass in layers of one shape. */
struct ppi_cuda_list {
    const struct ppi_cuda_attention_item *items, *few_items; /* device */
    int32_t n_items, n_few_items;
};

/* The device copy of a pass: one blob, copied at once from pinned memory. */
struct ppi_cuda_pass {
    char *host;   /* pinned [capacity] */
    char *device; /* [capacity] */
    size_t capacity;
    cudaEvent_t copied;          /* the host blob may be written again */
    struct ppi_cuda_span *spans; /* host [spans_capacity] */
    int32_t spans_capacity;
    /* device pointers into the blob */
    const int32_t *tokens, *rope_rows, *source_rows;
    const int64_t *slots;
    const int32_t *row_segments; /* with linear layers, as linear_segments */
    const struct ppi_cuda_linear_segment *linear_segments;
    const uint64_t *pages[PPI_MAX_PAGE_CLASSES];
    struct ppi_cuda_list lists[PPI_MAX_PAGE_CLASSES]; /* of each class */
};

/* What experts run in: slices of up to n_rows rows, so that memory is bounded. */
struct ppi_cuda_experts_room {
    void *block; /* all that follows */
    size_t bytes;
    int32_t n_rows;
    int32_t *counts, *rows, *places;
    struct ppi_cuda_expert_tile *tiles;
    void *gated; /* act [n_rows top_k, expert_size] */
    float *down; /* [n_rows top_k, hidden_size] */
};

struct ppi_backend {
    struct ppi_backend_params params;
    struct ppi_cuda_memory memory;
    _Atomic int64_t bytes, peak; /* of device memory held */
    int64_t limit;               /* most bytes; 0: none */
    int32_t device;
    int32_t compute_capability; /* 80, 90, ... */
    int32_t n_sms;
    int64_t cache_bytes;          /* of the second-level cache */
    int32_t attention_capability; /* whose attention kernels run: the GPU's, or any's */
    struct ppi_cuda_attention attention[PPI_MAX_PAGE_CLASSES]; /* for heads of each class */
    char device_name[64];
    char pci_address[16];
    cudaStream_t stream;
    bool owns_stream;
    int32_t act;      /* index of the kernels for act: 0 bf16, 1 f16 */
    int32_t act_type; /* PPI_CUDA_BF16 or F16 */
    size_t act_bytes;
    int32_t max_pass_tokens;
    struct ppi_cuda_pass passes[2]; /* by ppi_pass.slot */
    bool any_attention;             /* variant "mma": attention kernels of every architecture */
    bool own_products;              /* variant "own": products without cuBLASLt */
    struct ppi_cuda_products *products;
    struct ppi_cuda_experts_room experts;
    float *mixed; /* of linear layers: [max_pass_tokens, ..]; or NULL */
    /* For transfers that wait before they return; [PPI_CUDA_STAGING_BYTES] each. */
    char *staging; /* pinned */
    char *device_staging;
    struct ppi_cuda_block *_Atomic spare_block; /* pinned memory for the next plan of attention */
    cudaEvent_t marks[2];                       /* NULL until they are used */
};

#define PPI_CUDA_STAGING_BYTES ((size_t)8 << 20)

/* ---- device_memory.c ---- */

/* PP_OK, or PP_ERR_DEVICE_NOMEM, PP_ERR_DEVICE with the runtime's text: "what: text". */
pp_status ppi_cuda_check(cudaError_t error, const char *what, pp_error *err);
/* Counted device memory of the context, 256-byte aligned; NULL: none left, or the limit. */
void *ppi_cuda_alloc(struct ppi_backend *backend, size_t bytes);
void ppi_cuda_release(struct ppi_backend *backend, void *memory, size_t bytes);
/* From and to the allocator alone, uncounted: for what outlives a context. */
void *ppi_cuda_take(const struct ppi_cuda_memory *memory, size_t bytes, cudaStream_t stream);
void ppi_cuda_give_back(const struct ppi_cuda_memory *memory, void *block, size_t bytes,
                        cudaStream_t stream);
/* The seam's upload, download_rows, copy and synchronize. */
pp_status ppi_cuda_upload(struct ppi_backend *backend, void *device, const void *host, size_t bytes,
                          pp_error *err);
pp_status ppi_cuda_download_rows(struct ppi_backend *backend, void *const *rows, const void *device,
                                 int64_t n, size_t row_bytes, pp_error *err);
pp_status ppi_cuda_copy(struct ppi_backend *backend, void *dst, const void *src, size_t bytes,
                        pp_error *err);
pp_status ppi_cuda_synchronize(struct ppi_backend *backend, pp_error *err);

/* ---- device_info.c ---- */

#define PPI_CUDA_OLDEST_CAPABILITY 80

/* The seam's describe. */
pp_status ppi_cuda_describe(int32_t i, pp_device_info *info, pp_error *err);
/* "0000:3b:00.0" */
void ppi_cuda_write_pci_address(const struct cudaDeviceProp *properties, char text[16]);

/* ---- device_clock.c: the seam's marks ---- */

pp_status ppi_cuda_mark(struct ppi_backend *backend, int32_t i, pp_error *err);
pp_status ppi_cuda_marked_seconds(struct ppi_backend *backend, double *seconds, pp_error *err);
void ppi_cuda_marks_free(struct ppi_backend *backend);

/* ---- launch.c ---- */

/* Enqueues a kernel; blocks 0: nothing to do. */
pp_status ppi_cuda_launch(struct ppi_backend *backend, const struct ppi_cuda_kernel *kernel,
                          int64_t blocks, const void *args, pp_error *err);
pp_status ppi_cuda_launch_on(cudaStream_t stream, const struct ppi_cuda_kernel *kernel,
                             int64_t blocks, const void *args, pp_error *err);
/* Loads every kernel into the current device and raises its limit of shared memory, so that nothing
 * is loaded later in the middle of work. Errors: PP_ERR_NO_BACKEND (no code for this GPU), DEVICE.
 */
pp_status ppi_cuda_load_kernels(int32_t compute_capability, pp_error *err);

/* ---- device_matrix.c: the seam's matrices ---- */

size_t ppi_cuda_matrix_bytes(const struct ppi_backend *backend, const struct ppi_matrix_spec *spec);
pp_status ppi_cuda_matrix_create(struct ppi_backend *backend, struct ppi_mem *mem,
                                 const struct ppi_matrix_spec *spec, struct ppi_matrix **matrix,
                                 pp_error *err);
pp_status ppi_cuda_matrix_fill(struct ppi_backend *backend, struct ppi_matrix *matrix,
                               int64_t first_row, int64_t n_rows, const void *src,
                               int32_t src_dtype, pp_error *err);
void ppi_cuda_matrix_destroy(struct ppi_matrix *matrix);

/* ---- device_pass.c ---- */

pp_status ppi_cuda_pass_begin(struct ppi_backend *backend, const struct ppi_pass *pass,
                              pp_error *err);
/* Takes room for passes of max_pass_tokens rows with a page each. */
pp_status ppi_cuda_passes_create(struct ppi_backend *backend, pp_error *err);
void ppi_cuda_passes_free(struct ppi_backend *backend);

/* ---- device_kv.c: the layout of pages, and what moves keys and values ----
 * A page: [layers of its class][K, V][n_kv_heads][PPI_CUDA_PAGE_TOKENS][head_dim] act. */

#define PPI_CUDA_PAGE_TOKENS 16

/* The first class whose heads have the shape of this one's: work lists are the same for both. */
int32_t ppi_cuda_first_like(const struct ppi_backend *backend, int32_t page_class);
/* The class of a layer. */
const struct ppi_kv_class *ppi_cuda_class(const struct ppi_backend *backend, int32_t layer);
size_t ppi_cuda_page_bytes(const struct ppi_backend *backend, int32_t page_class);
/* Where a layer's keys and values are in pages of its class whose addresses are at `pages`
 * (device). */
struct ppi_cuda_kv ppi_cuda_page_view(const struct ppi_backend *backend, int32_t layer,
                                      const uint64_t *pages);
pp_status ppi_cuda_run_rope_kv(struct ppi_backend *backend, const struct ppi_pass *pass,
                               const struct ppi_rope *rope, const float *qkv, void *q,
                               pp_error *err);
pp_status ppi_cuda_run_attention(struct ppi_backend *backend, const struct ppi_pass *pass,
                                 const struct ppi_attention *attention, const void *q, void *out,
                                 pp_error *err);
pp_status ppi_cuda_run_kv_read(struct ppi_backend *backend, void *const *pages, int64_t first_token,
                               int64_t n_tokens, int32_t layer, int32_t which, int32_t layout,
                               int32_t dst_dtype, void *dst, pp_error *err);
pp_status ppi_cuda_run_kv_write(struct ppi_backend *backend, void *const *pages,
                                int64_t first_token, int64_t n_tokens, int32_t layer, int32_t which,
                                int32_t layout, int32_t src_dtype, const void *src, pp_error *err);
void ppi_cuda_kv_layout(const struct ppi_backend *backend, int32_t layer, int32_t which,
                        struct ppi_kv_layout *layout);

/* ---- device_rows.c: the seam's embed, norms, softcap and gather_rows ---- */

pp_status ppi_cuda_run_embed(struct ppi_backend *backend, const struct ppi_matrix *table,
                             const struct ppi_pass *pass, float scale, float *out, pp_error *err);
pp_status ppi_cuda_run_norm(struct ppi_backend *backend, const float *x,
                            const struct ppi_norm *norm, int64_t n_rows, int64_t dim, void *out,
                            pp_error *err);
pp_status ppi_cuda_run_norm_add(struct ppi_backend *backend, const float *x,
                                const struct ppi_norm *norm, float scale, int64_t n_rows,
                                int64_t dim, float *out, pp_error *err);
pp_status ppi_cuda_run_norm_parts(struct ppi_backend *backend, float *x,
                                  const struct ppi_norm *norm, int64_t n_rows, int64_t row_stride,
                                  int32_t n_parts, int64_t dim, pp_error *err);
pp_status ppi_cuda_run_softcap(struct ppi_backend *backend, float *x, int64_t n, float cap,
                               pp_error *err);
pp_status ppi_cuda_run_gather(struct ppi_backend *backend, const void *src,
                              const struct ppi_pass *pass, size_t row_bytes, void *out,
                              pp_error *err);

/* ---- device_gates.c: the seam's gate, activate, add_gated and multiply ---- */

pp_status ppi_cuda_run_gate(struct ppi_backend *backend, const float *gate, int64_t n_rows,
                            int64_t dim, void *a, pp_error *err);
pp_status ppi_cuda_run_activate(struct ppi_backend *backend, int32_t activation, const float *gate,
                                const float *x, int64_t x_stride, int64_t n_rows, int64_t dim,
                                void *out, pp_error *err);
pp_status ppi_cuda_run_add_gated(struct ppi_backend *backend, const float *gate, const float *x,
                                 float scale, int64_t n_rows, int64_t dim, float *out,
                                 pp_error *err);
pp_status ppi_cuda_run_multiply(struct ppi_backend *backend, float *x, int64_t n,
                                const struct ppi_matrix *factor, pp_error *err);

/* ---- device_experts.c: the seam's route and experts, and their room ---- */

pp_status ppi_cuda_experts_create(struct ppi_backend *backend, pp_error *err);
void ppi_cuda_experts_destroy(struct ppi_backend *backend);
pp_status ppi_cuda_run_route(struct ppi_backend *backend, const struct ppi_router *router,
                             const float *logits, int64_t n_rows, const struct ppi_routing *routing,
                             pp_error *err);
pp_status ppi_cuda_run_experts(struct ppi_backend *backend, const struct ppi_experts *experts,
                               const struct ppi_routing *routing, const void *a, int64_t n_rows,
                               float *out, pp_error *err);

/* ---- device_linear.c: the seam's linear, and its room ---- */

pp_status ppi_cuda_linear_create(struct ppi_backend *backend, pp_error *err);
void ppi_cuda_linear_destroy(struct ppi_backend *backend);
pp_status ppi_cuda_run_linear(struct ppi_backend *backend, const struct ppi_pass *pass,
                              const struct ppi_linear *linear, float *rows, void *out,
                              pp_error *err);

/* ---- device_sample.c: the seam's sample ---- */

pp_status ppi_cuda_run_sample(struct ppi_backend *backend, const float *logits, int64_t n_rows,
                              int64_t vocab, const struct ppi_draw *draws, int32_t *tokens,
                              pp_error *err);

/* ---- device_score.c: the seam's score ---- */

pp_status ppi_cuda_run_score(struct ppi_backend *backend, const float *logits, int64_t n_rows,
                             int64_t vocab, struct ppi_score *scores, int64_t n_scores,
                             int32_t n_top, int32_t *top_tokens, double *top_logprobs,
                             pp_error *err);

/* ---- products (product_*.c) ---- */

/* cuBLASLt gets a multiple of this many rows: its kernels for fewer sum in other orders. So this is
 * the context's row_padding. */
#define PPI_CUDA_ROW_PADDING 64

/* Device bytes that products_create takes. */
size_t ppi_cuda_products_bytes(const struct ppi_backend *backend);
/* Takes what products need: library handle, workspace, room for gate and up values. */
pp_status ppi_cuda_products_create(struct ppi_backend *backend, pp_error *err);
void ppi_cuda_products_destroy(struct ppi_backend *backend);
/* The seam's prepare, matmul and gate_up. */
pp_status ppi_cuda_prepare(struct ppi_backend *backend, const struct ppi_matrix *w, pp_error *err);
pp_status ppi_cuda_matmul(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                          int64_t n_rows, const struct ppi_epilogue *epilogue, float *out,
                          pp_error *err);
pp_status ppi_cuda_gate_up(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                           const struct ppi_matrix *bias, int32_t activation, int64_t n_rows,
                           void *out, pp_error *err);
/* The seam's product_times (product_times.c). */
pp_status ppi_cuda_compare_products(struct ppi_backend *backend, const void *a,
                                    const struct ppi_matrix *w, int64_t n_rows, bool accumulate,
                                    void *out, struct ppi_product_times *times, pp_error *err);

/* ---- attention_guard.c ---- */

/* Sets attention_capability back to PPI_CUDA_ANY_CAPABILITY unless the kernels it chooses agree
 * with those. Waits. Errors: PP_ERR_DEVICE_NOMEM, PP_ERR_NOMEM, PP_ERR_DEVICE. */
pp_status ppi_cuda_guard_attention(struct ppi_backend *backend, pp_error *err);

/* ---- device_attention.c ---- */

/* Sets what multiplies and caps scores; softcap 0: none. */
void ppi_cuda_scale_scores(struct ppi_cuda_attention_args *args, float softmax_scale,
                           float softcap);

/* Enqueues both lists, made for the tiles that ppi_cuda_choose_attention has for the capability and
 * args->head_dim.
 * items and few_items are device memory; args needs all but items, n_items. */
pp_status ppi_cuda_attend(struct ppi_backend *backend, cudaStream_t stream, int32_t capability,
                          int32_t act, const struct ppi_cuda_attention_args *args,
                          const struct ppi_cuda_attention_item *items, int32_t n_items,
                          const struct ppi_cuda_attention_item *few_items, int32_t n_few,
                          pp_error *err);

/* ---- device_varlen.c: the seam's attention over a caller's tensors ---- */

pp_status ppi_cuda_varlen_plan_create(struct ppi_backend *backend,
                                      const struct ppi_varlen_shape *shape,
                                      struct ppi_varlen_plan **plan,
                                      struct ppi_varlen_figures *figures, pp_error *err);
void ppi_cuda_varlen_close(struct ppi_backend *backend); /* frees what plans left behind */
void ppi_cuda_varlen_plan_destroy(struct ppi_backend *backend, struct ppi_varlen_plan *plan);
pp_status ppi_cuda_varlen_upload(struct ppi_backend *backend, struct ppi_varlen_plan *plan,
                                 void *workspace, void *stream, pp_error *err);
pp_status ppi_cuda_varlen_run(struct ppi_backend *backend, const struct ppi_varlen_plan *plan,
                              const struct ppi_varlen_tensors *tensors, pp_error *err);

#endif
