/*
 * device_sample.c: drawing tokens from rows of logits. Draws go up and tokens come down through the
 * staging buffers.
 */
#include "cuda/cuda_impl.h"

#include <string.h>

#define SAMPLE_ROWS 4096 /* at a time */

static struct ppi_cuda_draw as_device(const struct ppi_draw *draw)
{
    return (struct ppi_cuda_draw){.seed = draw->seed,
                                  .temperature = draw->temperature,
                                  .top_p = draw->top_p,
                                  .min_p = draw->min_p,
                                  .top_k = draw->top_k,
                                  .position = draw->position};
}

static bool is_filtered(const struct ppi_draw *draw, int64_t vocab)
{
    return draw->temperature != 0 &&
           ((draw->top_k > 0 && draw->top_k < vocab) || draw->top_p < 1 || draw->min_p > 0);
}

static pp_status sample_some(struct ppi_backend *b, const float *logits, int32_t n, int64_t vocab,
                             const struct ppi_draw *draws, int32_t *tokens, pp_error *err)
{
    struct ppi_cuda_draw *staged = (struct ppi_cuda_draw *)(void *)b->staging;
    size_t draw_bytes = (size_t)n * sizeof *staged, token_bytes = (size_t)n * sizeof *tokens;
    bool any_filtered = false;
    for (int32_t i = 0; i < n; i++) {
        staged[i] = as_device(&draws[i]);
        any_filtered = any_filtered || is_filtered(&draws[i], vocab);
    }
    PP_TRY(ppi_cuda_check(cudaMemcpyAsync(b->device_staging, b->staging, draw_bytes,
                                          cudaMemcpyHostToDevice, b->stream),
                          "copying draws", err));
    const struct ppi_cuda_draw *device_draws = (void *)b->device_staging;
    struct ppi_cuda_bound *bounds = (void *)(b->device_staging + draw_bytes);
    if (any_filtered) {
        struct ppi_cuda_sample_bounds_args filters = {.logits = logits,
                                                      .draws = device_draws,
                                                      .bounds = bounds,
                                                      .stride = vocab,
                                                      .n_rows = n,
                                                      .vocab = (int32_t)vocab};
        PP_TRY(ppi_cuda_launch(b, &ppi_cuda_sample_bounds[0], n, &filters, err));
    }
    struct ppi_cuda_sample_args args = {.logits = logits,
                                        .draws = device_draws,
                                        .bounds = any_filtered ? bounds : NULL,
                                        .out = (int32_t *)(void *)(bounds + n),
                                        .stride = vocab,
                                        .n_rows = n,
                                        .vocab = (int32_t)vocab};
    PP_TRY(ppi_cuda_launch(b, &ppi_cuda_sample[0], n, &args, err));
    PP_TRY(ppi_cuda_check(
        cudaMemcpyAsync(b->staging, args.out, token_bytes, cudaMemcpyDeviceToHost, b->stream),
        "copying tokens", err));
    PP_TRY(ppi_cuda_check(cudaStreamSynchronize(b->stream), "computing", err));
    memcpy(tokens, b->staging, token_bytes);
    return PP_OK;
}

pp_status ppi_cuda_run_sample(struct ppi_backend *b, const float *logits, int64_t n_rows,
                              int64_t vocab, const struct ppi_draw *draws, int32_t *tokens,
                              pp_error *err)
{
    for (int64_t first = 0; first < n_rows; first += SAMPLE_ROWS) {
        int32_t n = (int32_t)(n_rows - first < SAMPLE_ROWS ? n_rows - first : SAMPLE_ROWS);
        PP_TRY(
            sample_some(b, logits + first * vocab, n, vocab, draws + first, tokens + first, err));
    }
    return PP_OK;
}
