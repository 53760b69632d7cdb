/*
 * device_kv_copies.c: keys and values between the host's arrays and pages on the device, in pieces
 * that fit the staging buffers: behind the addresses of its pages stand a piece's tokens.
 */
#include "cuda/cuda_impl.h"

#include <prepack/kvcache.h>

#include <string.h>

/* One call of kv_read or kv_write. */
struct transfer {
    struct ppi_backend *b;
    const struct ppi_kv_class *shape; /* of the layer */
    void *const *pages;
    struct ppi_cuda_kv kv; /* k addresses what is wanted, keys or values */
    bool write;
    char *host; /* of the array; only read where write is set */
    int64_t first_token, n_tokens;
    int32_t layout, type; /* PP_KV_*, PPI_CUDA_* of the array */
    size_t head_bytes;    /* of one token of one head in the array */
};

/* Tokens [first, first + n) that move at once. */
struct piece {
    int64_t first, n;
    int64_t first_page;
    size_t table_bytes, bytes;
};

static struct piece cut_piece(const struct transfer *t, int64_t first)
{
    size_t token_bytes = (size_t)t->shape->n_kv_heads * t->head_bytes;
    /* addresses take at most half a byte of staging for each byte of a page's tokens */
    int64_t most = (int64_t)((PPI_CUDA_STAGING_BYTES - 512) / (token_bytes + sizeof(uint64_t)));
    most = most / PPI_CUDA_PAGE_TOKENS * PPI_CUDA_PAGE_TOKENS;
    int64_t left = t->first_token + t->n_tokens - first;
    struct piece piece = {.first = first, .n = left < most ? left : most};
    piece.first_page = first / PPI_CUDA_PAGE_TOKENS;
    int64_t n_pages = ppi_div_up(first + piece.n, PPI_CUDA_PAGE_TOKENS) - piece.first_page;
    uint64_t *table = (uint64_t *)(void *)t->b->staging;
    for (int64_t i = 0; i < n_pages; i++)
        table[i] = (uint64_t)(uintptr_t)t->pages[piece.first_page + i];
    piece.table_bytes = ((size_t)n_pages * sizeof(uint64_t) + 255) & ~(size_t)255;
    piece.bytes = (size_t)piece.n * token_bytes;
    return piece;
}

/* Between the array and a staging buffer that holds the piece alone, in the array's layout. */
static void move_piece(const struct transfer *t, const struct piece *piece, char *staging)
{
    size_t n_heads = (size_t)t->shape->n_kv_heads, first = (size_t)(piece->first - t->first_token);
    size_t n_runs = t->layout == PP_KV_NHD ? 1 : n_heads, run = piece->bytes / n_runs;
    for (size_t i = 0; i < n_runs; i++) {
        size_t row = t->layout == PP_KV_NHD ? first * n_heads : i * (size_t)t->n_tokens + first;
        char *host = t->host + row * t->head_bytes, *staged = staging + i * run;
        memcpy(t->write ? staged : host, t->write ? host : staged, run);
    }
}

static pp_status read_piece(const struct transfer *t, const struct piece *piece, pp_error *err)
{
    struct ppi_backend *b = t->b;
    struct ppi_cuda_kv_read_args args = {.kv = t->kv,
                                         .out = b->device_staging + piece->table_bytes,
                                         .first_token = piece->first -
                                                        piece->first_page * PPI_CUDA_PAGE_TOKENS,
                                         .n_tokens = (int32_t)piece->n,
                                         .n_kv_heads = t->shape->n_kv_heads,
                                         .head_dim = t->shape->head_dim,
                                         .out_type = t->type,
                                         .head_major = t->layout == PP_KV_HND};
    PP_TRY(ppi_cuda_check(cudaMemcpyAsync(b->device_staging, b->staging, piece->table_bytes,
                                          cudaMemcpyHostToDevice, b->stream),
                          "copying page addresses", err));
    PP_TRY(ppi_cuda_launch(b, &ppi_cuda_kv_read[b->act], piece->n, &args, err));
    PP_TRY(ppi_cuda_check(
        cudaMemcpyAsync(b->staging, args.out, piece->bytes, cudaMemcpyDeviceToHost, b->stream),
        "copying from the device", err));
    PP_TRY(ppi_cuda_check(cudaStreamSynchronize(b->stream), "reading a KV cache", err));
    move_piece(t, piece, b->staging);
    return PP_OK;
}

static pp_status write_piece(const struct transfer *t, const struct piece *piece, pp_error *err)
{
    struct ppi_backend *b = t->b;
    struct ppi_cuda_kv_write_args args = {.kv = t->kv,
                                          .in = b->device_staging + piece->table_bytes,
                                          .first_token = piece->first -
                                                         piece->first_page * PPI_CUDA_PAGE_TOKENS,
                                          .n_tokens = (int32_t)piece->n,
                                          .n_kv_heads = t->shape->n_kv_heads,
                                          .head_dim = t->shape->head_dim,
                                          .in_type = t->type,
                                          .head_major = t->layout == PP_KV_HND};
    move_piece(t, piece, b->staging + piece->table_bytes);
    PP_TRY(ppi_cuda_check(cudaMemcpyAsync(b->device_staging, b->staging,
                                          piece->table_bytes + piece->bytes, cudaMemcpyHostToDevice,
                                          b->stream),
                          "copying to the device", err));
    PP_TRY(ppi_cuda_launch(b, &ppi_cuda_kv_write[b->act], piece->n, &args, err));
    return ppi_cuda_check(cudaStreamSynchronize(b->stream), "writing a KV cache", err);
}

static pp_status run(struct transfer *t, int32_t layer, int32_t which, int32_t dtype, pp_error *err)
{
    struct ppi_backend *b = t->b;
    PP_TRY(ppi_cuda_check(cudaSetDevice(b->device), "cudaSetDevice", err));
    t->type = dtype == PP_DTYPE_F32 ? PPI_CUDA_F32 : b->act_type;
    t->shape = ppi_cuda_class(b, layer);
    t->head_bytes = (size_t)t->shape->head_dim * pp_dtype_size(dtype);
    t->kv = ppi_cuda_page_view(b, layer, (const uint64_t *)(void *)b->device_staging);
    if (which == PP_KV_V)
        t->kv.k = t->kv.v;
    for (int64_t first = t->first_token; first < t->first_token + t->n_tokens;) {
        struct piece piece = cut_piece(t, first);
        PP_TRY((t->write ? write_piece : read_piece)(t, &piece, err));
        first += piece.n;
    }
    return PP_OK;
}

pp_status ppi_cuda_run_kv_read(struct ppi_backend *b, void *const *pages, int64_t first_token,
                               int64_t n_tokens, int32_t layer, int32_t which, int32_t layout,
                               int32_t dst_dtype, void *dst, pp_error *err)
{
    struct transfer t = {.b = b,
                         .pages = pages,
                         .host = dst,
                         .first_token = first_token,
                         .n_tokens = n_tokens,
                         .layout = layout};
    return run(&t, layer, which, dst_dtype, err);
}

pp_status ppi_cuda_run_kv_write(struct ppi_backend *b, void *const *pages, int64_t first_token,
                                int64_t n_tokens, int32_t layer, int32_t which, int32_t layout,
                                int32_t src_dtype, const void *src, pp_error *err)
{
    struct transfer t = {.b = b,
                         .pages = pages,
                         .write = true,
                         .host = (char *)(uintptr_t)src,
                         .first_token = first_token,
                         .n_tokens = n_tokens,
                         .layout = layout};
    return run(&t, layer, which, src_dtype, err);
}

void ppi_cuda_kv_layout(const struct ppi_backend *b, int32_t layer, int32_t which,
                        struct ppi_kv_layout *layout)
{
    struct ppi_cuda_kv kv = ppi_cuda_page_view(b, layer, NULL);
    *layout = (struct ppi_kv_layout){.offset = (size_t)(which == PP_KV_V ? kv.v : kv.k),
                                     .head_stride = kv.k_head_stride / (int64_t)b->act_bytes,
                                     .slot_stride = kv.k_token_stride / (int64_t)b->act_bytes,
                                     .dim_stride = 1,
                                     .slot_group = 1,
                                     .dim_group = 1};
}
