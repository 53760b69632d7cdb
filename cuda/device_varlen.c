/*
 * device_varlen.c: the seam's attention over a caller's tensors. A plan is two lists of items in
 * pinned memory, those of prompts with many rows, then those with few; an upload copies both at
 * once, a run launches one kernel for each that is not empty. The caller's current device is left
 * as it was.
 */
#include "cuda/cuda_impl.h"

#define LOG2_E 1.4426950408889634

struct ppi_varlen_plan {
    const struct ppi_varlen_shape *shape;
    struct ppi_cuda_attention_item *items; /* pinned [n_items + n_few]; NULL when there are none */
    const struct ppi_cuda_attention_item *device_items; /* in the caller's workspace */
    int32_t n_items, n_few;
    cudaEvent_t uploaded; /* the device has passed the last upload */
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
    return ((size_t)plan->n_items + (size_t)plan->n_few) * sizeof *plan->items;
}

/* ---- plans ---- */

static pp_status count_items(struct ppi_varlen_plan *plan, const struct ppi_cuda_span *spans,
                             pp_error *err)
{
    const struct ppi_varlen_shape *shape = plan->shape;
    int64_t n_items, n_few;
    ppi_cuda_count_items(spans, shape->n_prompts, shape->n_heads / shape->n_kv_heads, &n_items,
                         &n_few);
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

static pp_status fill_plan(struct ppi_varlen_plan *plan, const struct ppi_cuda_span *spans,
                           pp_error *err)
{
    const struct ppi_varlen_shape *shape = plan->shape;
    PP_TRY(count_items(plan, spans, err));
    if (list_bytes(plan) == 0)
        return PP_OK;
    void *host;
    cudaError_t error = cudaHostAlloc(&host, list_bytes(plan), cudaHostAllocPortable);
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        return ppi_error_nomem(err, "the work list of attention", list_bytes(plan));
    }
    PP_TRY(ppi_cuda_check(error, "pinned memory for attention", err));
    plan->items = host;
    ppi_cuda_make_items(spans, shape->n_prompts, shape->n_heads / shape->n_kv_heads,
                        shape->window_left, shape->window_right, plan->items,
                        plan->items + plan->n_items);
    return ppi_cuda_check(cudaEventCreateWithFlags(&plan->uploaded, cudaEventDisableTiming),
                          "creating an event", err);
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
            status = fill_plan(plan, spans, err);
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
    int previous;
    if (!plan)
        return;
    bool entered = enter_device(b, &previous, NULL) >= 0;
    if (plan->uploaded) {
        cudaEventSynchronize(plan->uploaded); /* the copy reads plan->items */
        cudaEventDestroy(plan->uploaded);
    }
    if (plan->items)
        cudaFreeHost(plan->items);
    if (entered)
        leave_device(b, previous);
    ppi_free(b->params.mem, plan);
}

/* ---- upload and run ---- */

static pp_status upload(struct ppi_varlen_plan *plan, void *workspace, cudaStream_t stream,
                        pp_error *err)
{
    PP_TRY(ppi_cuda_check(
        cudaMemcpyAsync(workspace, plan->items, list_bytes(plan), cudaMemcpyHostToDevice, stream),
        "copying a work list to the device", err));
    PP_TRY(ppi_cuda_check(cudaEventRecord(plan->uploaded, stream), "recording an event", err));
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
        .scale_log2 = (float)((double)t->softmax_scale * LOG2_E),
        .window_left = shape->window_left,
        .window_right = shape->window_right,
    };
    int32_t act = shape->dtype == PP_DTYPE_BF16 ? 0 : 1;
    int previous;
    PP_TRY(enter_device(b, &previous, err));
    pp_status status =
        ppi_cuda_attend(b, choose_stream(b, t->stream), act, &args, plan->device_items,
                        plan->n_items, plan->device_items + plan->n_items, plan->n_few, err);
    leave_device(b, previous);
    return status;
}
