/*
 * device_rows.c: operations on rows that share nothing: embed, rmsnorm, gather_rows, sample.
 */
#include "cuda/cuda_impl.h"

#include <string.h>

pp_status ppi_cuda_run_embed(struct ppi_backend *b, const struct ppi_matrix *table,
                             const struct ppi_pass *pass, float *out, pp_error *err)
{
    struct ppi_cuda_embed_args args = {.table = table->data,
                                       .tokens = b->passes[pass->slot].tokens,
                                       .out = out,
                                       .n_rows = pass->n_rows,
                                       .dim = (int32_t)table->k};
    return ppi_cuda_launch(b, &ppi_cuda_embed[b->act], ppi_cuda_row_blocks(args.n_rows, args.dim),
                           &args, err);
}

pp_status ppi_cuda_run_rmsnorm(struct ppi_backend *b, const float *x,
                               const struct ppi_matrix *weight, double eps, int64_t n_rows,
                               int64_t dim, void *out, pp_error *err)
{
    struct ppi_cuda_rmsnorm_args args = {.x = x,
                                         .weight = weight->data,
                                         .out = out,
                                         .eps = (float)eps,
                                         .n_rows = (int32_t)n_rows,
                                         .dim = (int32_t)dim};
    return ppi_cuda_launch(b, &ppi_cuda_rmsnorm[b->act], ppi_cuda_row_blocks(args.n_rows, args.dim),
                           &args, err);
}

pp_status ppi_cuda_run_gather(struct ppi_backend *b, const void *src, const struct ppi_pass *pass,
                              size_t row_bytes, void *out, pp_error *err)
{
    struct ppi_cuda_gather_args args = {.src = src,
                                        .rows = b->passes[pass->slot].source_rows,
                                        .out = out,
                                        .row_bytes = (int64_t)row_bytes,
                                        .n_rows = pass->n_rows};
    return ppi_cuda_launch(b, &ppi_cuda_gather[0], pass->n_rows, &args, err);
}

#define SAMPLE_ROWS 4096 /* at a time: seeds, positions and tokens lie in the staging buffers */

static pp_status sample_some(struct ppi_backend *b, const float *logits, int32_t n, int64_t vocab,
                             float temperature, const uint64_t *seeds, const int32_t *positions,
                             int32_t *tokens, pp_error *err)
{
    size_t seed_bytes = (size_t)n * sizeof *seeds, word_bytes = (size_t)n * sizeof *tokens;
    memcpy(b->staging, seeds, seed_bytes);
    memcpy(b->staging + seed_bytes, positions, word_bytes);
    PP_TRY(ppi_cuda_check(cudaMemcpyAsync(b->device_staging, b->staging, seed_bytes + word_bytes,
                                          cudaMemcpyHostToDevice, b->stream),
                          "copying seeds", err));
    int32_t *device_positions = (int32_t *)(void *)(b->device_staging + seed_bytes);
    struct ppi_cuda_sample_args args = {.logits = logits,
                                        .seeds = (const uint64_t *)(void *)b->device_staging,
                                        .positions = device_positions,
                                        .out = device_positions + n,
                                        .stride = vocab,
                                        .temperature = temperature,
                                        .n_rows = n,
                                        .vocab = (int32_t)vocab};
    PP_TRY(ppi_cuda_launch(b, &ppi_cuda_sample[0], n, &args, err));
    PP_TRY(ppi_cuda_check(
        cudaMemcpyAsync(b->staging, args.out, word_bytes, cudaMemcpyDeviceToHost, b->stream),
        "copying tokens", err));
    PP_TRY(ppi_cuda_check(cudaStreamSynchronize(b->stream), "computing", err));
    memcpy(tokens, b->staging, word_bytes);
    return PP_OK;
}

pp_status ppi_cuda_run_sample(struct ppi_backend *b, const float *logits, int64_t n_rows,
                              int64_t vocab, float temperature, const uint64_t *seeds,
                              const int32_t *positions, int32_t *tokens, pp_error *err)
{
    for (int64_t first = 0; first < n_rows; first += SAMPLE_ROWS) {
        int32_t n = (int32_t)(n_rows - first < SAMPLE_ROWS ? n_rows - first : SAMPLE_ROWS);
        PP_TRY(sample_some(b, logits + first * vocab, n, vocab, temperature, seeds + first,
                           positions + first, tokens + first, err));
    }
    return PP_OK;
}
