/*
 * device_varlen.c: the seam's attention over a caller's tensors. A plan is two lists of items in
 * pinned memory, those of prompts with many rows, then those with few; an upload copies both at
 * once, a run launches one kernel for each that is not empty. The caller's current device is left
 * as it was.
 *
 * Taking and freeing pinned memory may wait for the whole device, so a plan that goes leaves its
 * block to the next one. The context keeps one spare block.
 */
#include "cuda/cuda_impl.h"

#define LEAST_BYTES ((size_t)4096) /* of a block; longer ones are powers of two */

struct ppi_cuda_block {
    struct ppi_cuda_attention_item *items; /* pinned */
    size_t bytes;
    cudaEvent_t uploaded; /* the device has passed the last copy out of it */
};

struct ppi_varlen_plan {
    const struct ppi_varlen_shape *shape;
    struct ppi_cuda_block *block;                       /* NULL when there are no items */
    const struct ppi_cuda_attention_item *device_items; /* in the caller's workspace */
    int32_t n_items, n_few;
};

/* Makes the context's device current until leave_device. */
static pp_status enter_device(const struct ppi_backend *b, int *previous, pp_error *err)
{
    PP_TRY(ppi_cuda_check(cudaGetDevice(previous), "asking for the current device", err));
    if (*previous == b->device)
        return PP_OK;
    return ppi_cuda_check(cudaSetDevice(b->device), "cudaSetDevice", err);
}

static void leave_device(const struct ppi_backend *b, int previous)
{
    if (previous != b->device)
        cudaSetDevice(previous);
}

static cudaStream_t choose_stream(const struct ppi_backend *b, void *stream)
{
    return stream ? stream : b->stream;
}

static size_t list_bytes(const struct ppi_varlen_plan *plan)
{
    return ((size_t)plan->n_items + (size_t)plan->n_few) * sizeof *plan->device_items;
}

/* ---- blocks of pinned memory; the context's device is current ---- */

static void free_block(struct ppi_backend *b, struct ppi_cuda_block *block)
{
    if (!block)
        return;
    if (block->uploaded) {
        cudaEventSynchronize(block->uploaded);
        cudaEventDestroy(block->uploaded);
    }
    if (block->items)
        cudaFreeHost(block->items);
    ppi_free(b->params.mem, block);
}

static pp_status fill_block(struct ppi_cuda_block *block, size_t bytes, pp_error *err)
{
    void *items;
    block->bytes = LEAST_BYTES;
    while (block->bytes < bytes)
        block->bytes *= 2;
    cudaError_t error = cudaHostAlloc(&items, block->bytes, cudaHostAllocPortable);
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        return ppi_error_nomem(err, "the work list of attention", block->bytes);
    }
    PP_TRY(ppi_cuda_check(error, "pinned memory for attention", err));
    block->items = items;
    return ppi_cuda_check(cudaEventCreateWithFlags(&block->uploaded, cudaEventDisableTiming),
                          "creating an event", err);
}

/* The spare block if it is long enough and the device is done with it; else NULL. An event that a
 * graph has captured cannot be waited for: such a block goes. */
static struct ppi_cuda_block *take_spare(struct ppi_backend *b, size_t bytes)
{
    struct ppi_cuda_block *block = atomic_exchange(&b->spare_block, NULL);
    if (block && block->bytes >= bytes && cudaEventSynchronize(block->uploaded) == cudaSuccess)
        return block;
    cudaGetLastError();
    free_block(b, block);
    return NULL;
}

/* A block that may be written. */
static pp_status take_block(struct ppi_backend *b, size_t bytes, struct ppi_cuda_block **out,
                            pp_error *err)
{
    *out = take_spare(b, bytes);
    if (*out)
        return PP_OK;
    struct ppi_cuda_block *block = ppi_zalloc(b->params.mem, 1, sizeof *block);
    if (!block)
        return ppi_error_nomem(err, "an attention plan", sizeof *block);
    pp_status status = fill_block(block, bytes, err);
    if (status < 0) {
        free_block(b, block);
        return status;
    }
    *out = block;
    return PP_OK;
}

/* Any thread. */
static void leave_block(struct ppi_backend *b, struct ppi_cuda_block *block)
{
    int previous;
    struct ppi_cuda_block *older = atomic_exchange(&b->spare_block, block);
    if (!older)
        return;
    bool entered = enter_device(b, &previous, NULL) >= 0;
    free_block(b, older);
    if (entered)
        leave_device(b, previous);
}

void ppi_cuda_varlen_close(struct ppi_backend *b)
{
    free_block(b, atomic_exchange(&b->spare_block, NULL));
}

/* ---- plans ---- */

static pp_status count_items(struct ppi_varlen_plan *plan, struct ppi_cuda_tiles tiles,
                             const struct ppi_cuda_span *spans, pp_error *err)
{
    const struct ppi_varlen_shape *shape = plan->shape;
    int64_t n_items, n_few;
    ppi_cuda_count_items(tiles, spans, shape->n_prompts, shape->n_heads / shape->n_kv_heads,
                         &n_items, &n_few);
    if (n_items > INT32_MAX / shape->n_kv_heads || n_few > INT32_MAX / shape->n_kv_heads)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "device \"cuda\": %lld tiles for each of %d kv heads; a launch takes %d "
                         "together",
                         (long long)(n_items > n_few ? n_items : n_few), shape->n_kv_heads,
                         INT32_MAX);
    plan->n_items = (int32_t)n_items;
    plan->n_few = (int32_t)n_few;
    return PP_OK;
}

static pp_status fill_plan(struct ppi_backend *b, struct ppi_varlen_plan *plan,
                           const struct ppi_cuda_span *spans, pp_error *err)
{
    const struct ppi_varlen_shape *shape = plan->shape;
    const struct ppi_cuda_tiles tiles =
        ppi_cuda_choose_attention(b->attention_capability, shape->head_dim, false).tiles;
    PP_TRY(count_items(plan, tiles, spans, err));
    if (list_bytes(plan) == 0)
        return PP_OK;
    PP_TRY(take_block(b, list_bytes(plan), &plan->block, err));
    ppi_cuda_make_items(tiles, spans, shape->n_prompts, shape->n_heads / shape->n_kv_heads,
                        shape->window_left, shape->window_right, plan->block->items,
                        plan->block->items + plan->n_items);
    return PP_OK;
}

/* The prompts as the work list takes them; the caller frees *spans. */
static pp_status make_spans(struct ppi_backend *b, const struct ppi_varlen_shape *shape,
                            struct ppi_cuda_span **spans, pp_error *err)
{
    size_t n = (size_t)shape->n_prompts;
    *spans = ppi_alloc(b->params.mem, n, sizeof **spans);
    if (!*spans)
        return ppi_error_nomem(err, "the prompts of a plan", n * sizeof **spans);
    for (int32_t i = 0; i < shape->n_prompts; i++) {
        const struct ppi_varlen_prompt *prompt = &shape->prompts[i];
        (*spans)[i] = (struct ppi_cuda_span){.q_row = prompt->q_row,
                                             .n_rows = prompt->n_rows,
                                             .n_keys = prompt->n_keys,
                                             .first = prompt->first};
    }
    return PP_OK;
}

pp_status ppi_cuda_varlen_plan_create(struct ppi_backend *b, const struct ppi_varlen_shape *shape,
                                      struct ppi_varlen_plan **out,
                                      struct ppi_varlen_figures *figures, pp_error *err)
{
    struct ppi_cuda_span *spans;
    int previous;
    if (shape->dtype != PP_DTYPE_BF16 && shape->dtype != PP_DTYPE_F16)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "device \"cuda\": attention of %s; it computes bf16 and f16",
                         pp_dtype_name(shape->dtype));
    struct ppi_varlen_plan *plan = ppi_zalloc(b->params.mem, 1, sizeof *plan);
    if (!plan)
        return ppi_error_nomem(err, "an attention plan", sizeof *plan);
    plan->shape = shape;
    pp_status status = make_spans(b, shape, &spans, err);
    if (status >= 0) {
        status = enter_device(b, &previous, err);
        if (status >= 0) {
            status = fill_plan(b, plan, spans, err);
            leave_device(b, previous);
        }
        ppi_free(b->params.mem, spans);
    }
    if (status < 0) {
        ppi_cuda_varlen_plan_destroy(b, plan);
        return status;
    }
    *figures = (struct ppi_varlen_figures){.workspace_bytes = list_bytes(plan),
                                           .n_tiles = ((int64_t)plan->n_items + plan->n_few) *
                                                      shape->n_kv_heads,
                                           .n_launches = (plan->n_items > 0) + (plan->n_few > 0)};
    *out = plan;
    return PP_OK;
}

void ppi_cuda_varlen_plan_destroy(struct ppi_backend *b, struct ppi_varlen_plan *plan)
{
    if (!plan)
        return;
    if (plan->block)
        leave_block(b, plan->block);
    ppi_free(b->params.mem, plan);
}

/* ---- upload and run ---- */

/* The event stands for every copy out of the block, whatever stream it is on. */
static pp_status upload(struct ppi_varlen_plan *plan, void *workspace, cudaStream_t stream,
                        pp_error *err)
{
    const struct ppi_cuda_block *block = plan->block;
    if (plan->device_items)
        PP_TRY(ppi_cuda_check(cudaStreamWaitEvent(stream, block->uploaded, 0),
                              "waiting for an event", err));
    PP_TRY(ppi_cuda_check(
        cudaMemcpyAsync(workspace, block->items, list_bytes(plan), cudaMemcpyHostToDevice, stream),
        "copying a work list to the device", err));
    cudaError_t error = cudaEventRecord(block->uploaded, stream);
    if (error != cudaSuccess)
        cudaStreamSynchronize(stream);
    PP_TRY(ppi_cuda_check(error, "recording an event", err));
    plan->device_items = workspace;
    return PP_OK;
}

pp_status ppi_cuda_varlen_upload(struct ppi_backend *b, struct ppi_varlen_plan *plan,
                                 void *workspace, void *stream, pp_error *err)
{
    int previous;
    if (list_bytes(plan) == 0)
        return PP_OK;
    PP_TRY(enter_device(b, &previous, err));
    pp_status status = upload(plan, workspace, choose_stream(b, stream), err);
    leave_device(b, previous);
    return status;
}

pp_status ppi_cuda_varlen_run(struct ppi_backend *b, const struct ppi_varlen_plan *plan,
                              const struct ppi_varlen_tensors *t, pp_error *err)
{
    const struct ppi_varlen_shape *shape = plan->shape;
    struct ppi_cuda_attention_args args = {
        .q = t->q,
        .out = t->out,
        .lse = t->lse,
        .q_row_stride = t->q_row_stride,
        .q_head_stride = t->q_head_stride,
        .out_row_stride = t->out_row_stride,
        .out_head_stride = t->out_head_stride,
        .lse_stride = t->lse_head_stride,
        .kv = {.k = (uint64_t)(uintptr_t)t->k,
               .v = (uint64_t)(uintptr_t)t->v,
               .block_table = t->block_table,
               .k_page_stride = t->k_page_stride,
               .v_page_stride = t->v_page_stride,
               .k_token_stride = t->k_row_stride,
               .v_token_stride = t->v_row_stride,
               .k_head_stride = t->k_head_stride,
               .v_head_stride = t->v_head_stride,
               .page_tokens = shape->page_size > 0 ? shape->page_size : 1},
        .n_heads = shape->n_heads,
        .n_kv_heads = shape->n_kv_heads,
        .head_dim = shape->head_dim,
        .window_left = shape->window_left,
        .window_right = shape->window_right,
    };
    ppi_cuda_scale_scores(&args, t->softmax_scale, 0);
    int32_t act = shape->dtype == PP_DTYPE_BF16 ? 0 : 1;
    int previous;
    PP_TRY(enter_device(b, &previous, err));
    pp_status status = ppi_cuda_attend(b, choose_stream(b, t->stream), b->attention_capability, act,
                                       &args, plan->device_items, plan->n_items,
                                       plan->device_items + plan->n_items, plan->n_few, err);
    leave_device(b, previous);
    return status;
}
