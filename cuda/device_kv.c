/*
 * device_kv.c: KV pages on the device: their layout, writing them (rope_kv), attention over them,
 * reading them back.
 */
#include "cuda/cuda_impl.h"

#include <prepack/kvcache.h>

#include <math.h>
#include <string.h>

/* Keys, or values, of one layer in a page. */
static size_t part_bytes(const struct ppi_backend *b)
{
    return (size_t)b->params.n_kv_heads * PPI_CUDA_PAGE_TOKENS * (size_t)b->params.head_dim *
           b->act_bytes;
}

size_t ppi_cuda_page_bytes(const struct ppi_backend *b)
{
    return (size_t)b->params.n_layers * 2 * part_bytes(b);
}

struct ppi_cuda_kv ppi_cuda_page_view(const struct ppi_backend *b, int32_t layer,
                                      const uint64_t *pages)
{
    int64_t token = (int64_t)((size_t)b->params.head_dim * b->act_bytes);
    uint64_t k = (uint64_t)layer * 2 * part_bytes(b);
    return (struct ppi_cuda_kv){.k = k,
                                .v = k + part_bytes(b),
                                .pages = pages,
                                .k_token_stride = token,
                                .v_token_stride = token,
                                .k_head_stride = token * PPI_CUDA_PAGE_TOKENS,
                                .v_head_stride = token * PPI_CUDA_PAGE_TOKENS,
                                .page_tokens = PPI_CUDA_PAGE_TOKENS};
}

pp_status ppi_cuda_run_rope_kv(struct ppi_backend *b, const struct ppi_pass *pass, int32_t layer,
                               const float *qkv, const float *rope, void *q, pp_error *err)
{
    const struct ppi_cuda_pass *p = &b->passes[pass->slot];
    struct ppi_cuda_rope_kv_args args = {.qkv = qkv,
                                         .rope = rope,
                                         .positions = p->positions,
                                         .slots = p->slots,
                                         .q = q,
                                         .kv = ppi_cuda_page_view(b, layer, p->pages),
                                         .n_rows = pass->n_rows,
                                         .n_heads = b->params.n_heads,
                                         .n_kv_heads = b->params.n_kv_heads,
                                         .head_dim = b->params.head_dim};
    return ppi_cuda_launch(b, &ppi_cuda_rope_kv[b->act], pass->n_rows, &args, err);
}

pp_status ppi_cuda_run_attention(struct ppi_backend *b, const struct ppi_pass *pass, int32_t layer,
                                 const void *q, int32_t window, void *out, pp_error *err)
{
    const struct ppi_cuda_pass *p = &b->passes[pass->slot];
    int64_t head = (int64_t)((size_t)b->params.head_dim * b->act_bytes);
    struct ppi_cuda_attention_args args = {
        .q = q,
        .out = out,
        .q_row_stride = head * b->params.n_heads,
        .q_head_stride = head,
        .out_row_stride = head * b->params.n_heads,
        .out_head_stride = head,
        .kv = ppi_cuda_page_view(b, layer, p->pages),
        .n_heads = b->params.n_heads,
        .n_kv_heads = b->params.n_kv_heads,
        .head_dim = b->params.head_dim,
        .scale_log2 = (float)(1.4426950408889634 / sqrt((double)b->params.head_dim)),
        .window_left = window > 0 ? window - 1 : -1,
        .window_right = 0};
    return ppi_cuda_attend(b, b->stream, b->attention_capability, b->act, &args, p->items,
                           p->n_items, p->few_items, p->n_few_items, err);
}

/* Where kv_read's tokens go. */
struct target {
    char *dst;
    int64_t n_tokens;
    int32_t layout;
    size_t head_bytes; /* of one token of one head in dst */
};

/* Copies tokens [first, first + n) of all heads from staging, in the layout of dst. */
static void hand_over(const struct ppi_backend *b, const struct target *target, int64_t first,
                      int64_t n)
{
    size_t n_heads = (size_t)b->params.n_kv_heads;
    size_t run = (size_t)n * target->head_bytes;
    if (target->layout == PP_KV_NHD) {
        memcpy(target->dst + (size_t)first * n_heads * target->head_bytes, b->staging,
               run * n_heads);
        return;
    }
    for (size_t head = 0; head < n_heads; head++)
        memcpy(target->dst + (head * (size_t)target->n_tokens + (size_t)first) * target->head_bytes,
               b->staging + head * run, run);
}

/* Tokens [first, first + n), whose pages' addresses fit the staging buffer in front of them. */
static pp_status read_piece(struct ppi_backend *b, struct ppi_cuda_kv_read_args *args,
                            void *const *pages, const struct target *target, pp_error *err)
{
    int64_t first = args->first_token, n = args->n_tokens;
    int64_t first_page = first / PPI_CUDA_PAGE_TOKENS;
    int64_t n_pages = ppi_div_up(first + n, PPI_CUDA_PAGE_TOKENS) - first_page;
    size_t table_bytes = ((size_t)n_pages * sizeof(uint64_t) + 255) & ~(size_t)255;
    size_t bytes = (size_t)n * (size_t)b->params.n_kv_heads * target->head_bytes;
    uint64_t *table = (uint64_t *)(void *)b->staging;
    for (int64_t i = 0; i < n_pages; i++)
        table[i] = (uint64_t)(uintptr_t)pages[first_page + i];
    args->first_token = first - first_page * PPI_CUDA_PAGE_TOKENS;
    args->kv.pages = (const uint64_t *)(void *)b->device_staging;
    args->out = b->device_staging + table_bytes;
    PP_TRY(ppi_cuda_check(cudaMemcpyAsync(b->device_staging, b->staging, table_bytes,
                                          cudaMemcpyHostToDevice, b->stream),
                          "copying page addresses", err));
    PP_TRY(ppi_cuda_launch(b, &ppi_cuda_kv_read[b->act], n, args, err));
    PP_TRY(ppi_cuda_check(
        cudaMemcpyAsync(b->staging, args->out, bytes, cudaMemcpyDeviceToHost, b->stream),
        "copying from the device", err));
    PP_TRY(ppi_cuda_check(cudaStreamSynchronize(b->stream), "reading a KV cache", err));
    hand_over(b, target, first, n);
    return PP_OK;
}

pp_status ppi_cuda_run_kv_read(struct ppi_backend *b, void *const *pages, int64_t n_tokens,
                               int32_t layer, int32_t which, int32_t layout, int32_t dst_dtype,
                               void *dst, pp_error *err)
{
    PP_TRY(ppi_cuda_check(cudaSetDevice(b->device), "cudaSetDevice", err));
    bool f32 = dst_dtype == PP_DTYPE_F32;
    struct target target = {.dst = dst,
                            .n_tokens = n_tokens,
                            .layout = layout,
                            .head_bytes = (size_t)b->params.head_dim * pp_dtype_size(dst_dtype)};
    struct ppi_cuda_kv_read_args args = {.kv = ppi_cuda_page_view(b, layer, NULL),
                                         .n_kv_heads = b->params.n_kv_heads,
                                         .head_dim = b->params.head_dim,
                                         .out_type = f32 ? PPI_CUDA_F32 : b->act_type,
                                         .head_major = layout == PP_KV_HND};
    if (which == PP_KV_V)
        args.kv.k = args.kv.v;
    size_t token_bytes = (size_t)b->params.n_kv_heads * target.head_bytes;
    /* addresses take at most half a byte of staging for each byte of a page's tokens */
    int64_t most = (int64_t)((PPI_CUDA_STAGING_BYTES - 512) / (token_bytes + sizeof(uint64_t)));
    most = most / PPI_CUDA_PAGE_TOKENS * PPI_CUDA_PAGE_TOKENS;
    for (int64_t first = 0; first < n_tokens; first += most) {
        args.first_token = first;
        args.n_tokens = (int32_t)(n_tokens - first < most ? n_tokens - first : most);
        PP_TRY(read_piece(b, &args, pages, &target, err));
    }
    return PP_OK;
}
