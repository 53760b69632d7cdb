/*
 * device_attention.c: the two launches that make attention: prompts of many rows, of few rows.
 */
#include "cuda/cuda_impl.h"

static const struct ppi_cuda_kernel *const prefill_kernels[PPI_CUDA_N_HEAD_DIMS] = {
    ppi_cuda_attention_d64, ppi_cuda_attention_d96, ppi_cuda_attention_d128,
    ppi_cuda_attention_d256};
static const struct ppi_cuda_kernel *const few_kernels[PPI_CUDA_N_HEAD_DIMS] = {
    ppi_cuda_attention_few_d64, ppi_cuda_attention_few_d96, ppi_cuda_attention_few_d128,
    ppi_cuda_attention_few_d256};

static pp_status launch(cudaStream_t stream, const struct ppi_cuda_kernel *kernel,
                        const struct ppi_cuda_attention_args *shapes,
                        const struct ppi_cuda_attention_item *items, int32_t n_items, pp_error *err)
{
    struct ppi_cuda_attention_args args = *shapes;
    args.items = items;
    args.n_items = n_items;
    return ppi_cuda_launch_on(stream, kernel, (int64_t)n_items * args.n_kv_heads, &args, err);
}

pp_status ppi_cuda_attend(struct ppi_backend *backend, cudaStream_t stream, int32_t act,
                          const struct ppi_cuda_attention_args *args,
                          const struct ppi_cuda_attention_item *items, int32_t n_items,
                          const struct ppi_cuda_attention_item *few_items, int32_t n_few,
                          pp_error *err)
{
    (void)backend;
    int32_t tile = ppi_cuda_head_dim_index(args->head_dim);
    PP_TRY(launch(stream, &prefill_kernels[tile][act], args, items, n_items, err));
    return launch(stream, &few_kernels[tile][act], args, few_items, n_few, err);
}
