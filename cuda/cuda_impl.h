/*
 * cuda_impl.h: the device context that the files of this folder share, and what each offers the
 * others. Everything is enqueued on the context's stream; only download, kv_read and sample wait
 * for it.
 */
#ifndef PPI_CUDA_IMPL_H
#define PPI_CUDA_IMPL_H

#include "backend.h"
#include "cuda/kernels.h"

#include <cuda_runtime_api.h>

/* Device memory of one owner (a session, a model): where it comes from. Counting is the caller's.
 */
struct ppi_cuda_memory {
    pp_device_allocator allocator; /* allocate NULL: cudaMalloc */
    int32_t device;
};

struct ppi_matrix {
    int32_t kind;
    int32_t type;   /* PPI_CUDA_F32 (VECTOR), BF16 or F16 */
    int64_t n, k;   /* as matrix_create got them; GATE_UP has 2 n rows */
    int64_t n_rows; /* of data: 2 n or n */
    void *data;     /* device [n_rows, k] */
    size_t bytes;   /* of data */
    struct ppi_cuda_memory memory;
    struct ppi_mem *mem; /* of this struct */
};

struct ppi_cuda_products;

/* The device copy of a pass: one blob, copied at once from pinned memory. */
struct ppi_cuda_pass {
    char *host;   /* pinned [capacity] */
    char *device; /* [capacity] */
    size_t capacity;
    cudaEvent_t copied; /* the host blob may be written again */
    /* device pointers into the blob */
    const int32_t *tokens, *positions, *source_rows;
    const int64_t *slots;
    const uint64_t *pages;
    const struct ppi_cuda_attention_item *items, *few_items;
    int32_t n_items, n_few_items;
};

struct ppi_backend {
    struct ppi_backend_params params;
    struct ppi_cuda_memory memory;
    _Atomic int64_t bytes, peak; /* of device memory held */
    int32_t device;
    int32_t compute_capability; /* 80, 90, ... */
    int32_t n_sms;
    char device_name[64];
    cudaStream_t stream;
    bool owns_stream;
    int32_t act;      /* index of the kernels for act: 0 bf16, 1 f16 */
    int32_t act_type; /* PPI_CUDA_BF16 or F16 */
    size_t act_bytes;
    int32_t max_pass_tokens;
    struct ppi_cuda_pass passes[2]; /* by ppi_pass.slot */
    bool own_products;              /* variant "own": products without cuBLASLt */
    struct ppi_cuda_products *products;
    char *staging; /* pinned, STAGING_BYTES */
    char *device_staging;
};

/* ---- device_memory.c ---- */

/* PP_OK, or PP_ERR_DEVICE_NOMEM, PP_ERR_DEVICE with the runtime's text: "what: text". */
pp_status ppi_cuda_check(cudaError_t error, const char *what, pp_error *err);
/* Counted device memory of the context, 256-byte aligned; NULL: none left, or the limit. */
void *ppi_cuda_alloc(struct ppi_backend *backend, size_t bytes);
void ppi_cuda_release(struct ppi_backend *backend, void *memory, size_t bytes);
/* Enqueues a kernel; blocks 0: nothing to do. */
pp_status ppi_cuda_launch(struct ppi_backend *backend, const struct ppi_cuda_kernel *kernel,
                          int64_t blocks, const void *args, pp_error *err);

/* ---- products (product_*.c) ---- */

/* Device bytes that products_create takes. */
size_t ppi_cuda_products_bytes(const struct ppi_backend *backend);
/* Takes what products need: library handle, workspace, room for gate and up values. */
pp_status ppi_cuda_products_create(struct ppi_backend *backend, pp_error *err);
void ppi_cuda_products_destroy(struct ppi_backend *backend);
/* The seam's prepare, matmul and gate_up. */
pp_status ppi_cuda_prepare(struct ppi_backend *backend, const struct ppi_matrix *w, pp_error *err);
pp_status ppi_cuda_matmul(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                          int64_t n_rows, bool accumulate, float *out, pp_error *err);
pp_status ppi_cuda_gate_up(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                           int64_t n_rows, void *out, pp_error *err);

/* ---- attention_items.c: work lists, plain C ---- */

/* A prompt's query rows: the last n_rows of n_keys positions. */
struct ppi_cuda_span {
    int32_t q_row, n_rows, n_keys, first;
};
/* Items that the spans make: prompts of at most PPI_CUDA_ATTENTION_FEW_ROWS packed rows go to
 * *n_few, the others to *n_items. */
void ppi_cuda_count_items(const struct ppi_cuda_span *spans, int32_t n_spans, int32_t group,
                          int64_t *n_items, int64_t *n_few);
/* Writes them, those with the most keys first; ties in the order of the spans. */
void ppi_cuda_make_items(const struct ppi_cuda_span *spans, int32_t n_spans, int32_t group,
                         int32_t window_left, int32_t window_right,
                         struct ppi_cuda_attention_item *items,
                         struct ppi_cuda_attention_item *few_items);

/* ---- device_attention.c ---- */

/* Enqueues both lists. items and few_items are device memory; args needs all but items, n_items. */
pp_status ppi_cuda_attend(struct ppi_backend *backend, cudaStream_t stream, int32_t act,
                          const struct ppi_cuda_attention_args *args,
                          const struct ppi_cuda_attention_item *items, int32_t n_items,
                          const struct ppi_cuda_attention_item *few_items, int32_t n_few,
                          pp_error *err);

#endif
