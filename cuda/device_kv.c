/*
 * device_kv.c: KV pages on the device: their layout, writing them (rope_kv), attention over them,
 * reading them back.
 */
#include "cuda/cuda_impl.h"

#include <prepack/kvcache.h>

#include <string.h>

/* Keys, or values, of one layer in a page. */
static size_t part_bytes(const struct ppi_backend *b)
{
    return (size_t)b->params.n_kv_heads * PPI_CUDA_PAGE_TOKENS * (size_t)b->params.head_dim *
           b->act_bytes;
}

size_t ppi_cuda_page_bytes(const struct ppi_backend *b, int32_t page_class)
{
    return (size_t)b->params.n_class_layers[page_class] * 2 * part_bytes(b);
}

struct ppi_cuda_kv ppi_cuda_page_view(const struct ppi_backend *b, int32_t layer,
                                      const uint64_t *pages)
{
    int64_t token = (int64_t)((size_t)b->params.head_dim * b->act_bytes);
    uint64_t k = (uint64_t)b->params.places[layer].index * 2 * part_bytes(b);
    return (struct ppi_cuda_kv){.k = k,
                                .v = k + part_bytes(b),
                                .pages = pages,
                                .k_token_stride = token,
                                .v_token_stride = token,
                                .k_head_stride = token * PPI_CUDA_PAGE_TOKENS,
                                .v_head_stride = token * PPI_CUDA_PAGE_TOKENS,
                                .page_tokens = PPI_CUDA_PAGE_TOKENS};
}

/* The same in the pages of a pass. */
static struct ppi_cuda_kv view_layer(const struct ppi_backend *b, const struct ppi_cuda_pass *p,
                                     int32_t layer)
{
    return ppi_cuda_page_view(b, layer, p->pages[b->params.places[layer].page_class]);
}

pp_status ppi_cuda_run_rope_kv(struct ppi_backend *b, const struct ppi_pass *pass,
                               const struct ppi_rope *rope, const float *qkv, void *q,
                               pp_error *err)
{
    const struct ppi_cuda_pass *p = &b->passes[pass->slot];
    struct ppi_cuda_rope_kv_args args = {.qkv = qkv,
                                         .angles = rope->angles,
                                         .q_scale = rope->q_scale,
                                         .rope_rows = p->rope_rows,
                                         .slots = p->slots,
                                         .q = q,
                                         .kv = view_layer(b, p, rope->layer),
                                         .n_rows = pass->n_rows,
                                         .n_heads = b->params.n_heads,
                                         .n_kv_heads = b->params.n_kv_heads,
                                         .head_dim = b->params.head_dim,
                                         .rotary_dim = rope->rotary_dim,
                                         .interleaved = rope->interleaved};
    const struct ppi_cuda_kernel *kernels =
        rope->rotary_dim % 8 == 0 ? ppi_cuda_rope_kv : ppi_cuda_rope_kv_any;
    return ppi_cuda_launch(b, &kernels[b->act], pass->n_rows, &args, err);
}

pp_status ppi_cuda_run_attention(struct ppi_backend *b, const struct ppi_pass *pass,
                                 const struct ppi_attention *attention, const void *q, void *out,
                                 pp_error *err)
{
    const struct ppi_cuda_pass *p = &b->passes[pass->slot];
    int64_t head = (int64_t)((size_t)b->params.head_dim * b->act_bytes);
    struct ppi_cuda_attention_args args = {.q = q,
                                           .out = out,
                                           .q_row_stride = head * b->params.n_heads,
                                           .q_head_stride = head,
                                           .out_row_stride = head * b->params.n_heads,
                                           .out_head_stride = head,
                                           .kv = view_layer(b, p, attention->layer),
                                           .n_heads = b->params.n_heads,
                                           .n_kv_heads = b->params.n_kv_heads,
                                           .head_dim = b->params.head_dim,
                                           .window_left =
                                               attention->window > 0 ? attention->window - 1 : -1,
                                           .window_right = 0};
    ppi_cuda_scale_scores(&args, attention->softmax_scale, attention->softcap);
    return ppi_cuda_attend(b, b->stream, b->attention_capability, b->act, &args, p->items,
                           p->n_items, p->few_items, p->n_few_items, err);
}

/* Where kv_read's tokens go. */
struct target {
    char *dst;
    int64_t first_token; /* that goes to its start */
    int64_t n_tokens;
    int32_t layout;
    size_t head_bytes; /* of one token of one head in dst */
};

/* Copies tokens [first, first + n) of dst, of all heads, from staging, in the layout of dst. */
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
    hand_over(b, target, first - target->first_token, n);
    return PP_OK;
}

pp_status ppi_cuda_run_kv_read(struct ppi_backend *b, void *const *pages, int64_t first_token,
                               int64_t n_tokens, int32_t layer, int32_t which, int32_t layout,
                               int32_t dst_dtype, void *dst, pp_error *err)
{
    PP_TRY(ppi_cuda_check(cudaSetDevice(b->device), "cudaSetDevice", err));
    bool f32 = dst_dtype == PP_DTYPE_F32;
    struct target target = {.dst = dst,
                            .first_token = first_token,
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
    int64_t end = first_token + n_tokens;
    for (int64_t first = first_token; first < end; first += most) {
        args.first_token = first;
        args.n_tokens = (int32_t)(end - first < most ? end - first : most);
        PP_TRY(read_piece(b, &args, pages, &target, err));
    }
    return PP_OK;
}
