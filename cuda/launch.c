/*
 * launch.c: kernels as the runtime sees them: loading all of them, and enqueueing one. Launches go
 * through cudaLaunchKernel, which returns its own status.
 */
#include "cuda/cuda_impl.h"

#define ACT(table)                                                                                 \
    {                                                                                              \
        table, PPI_CUDA_N_ACT                                                                      \
    }

/* Every kernel of the module but those of attention. */
static const struct {
    const struct ppi_cuda_kernel *kernels;
    int32_t n;
} tables[] = {
    ACT(ppi_cuda_embed),
    ACT(ppi_cuda_norm[0]),
    ACT(ppi_cuda_norm[1]),
    {ppi_cuda_norm_add, 2},
    {ppi_cuda_norm_parts, 2},
    ACT(ppi_cuda_glu),
    {ppi_cuda_add_bias, 1},
    {ppi_cuda_softcap, 1},
    {ppi_cuda_gather, 1},
    {ppi_cuda_convert, 1},
    {ppi_cuda_compare, 1},
    ACT(ppi_cuda_rope_kv),
    ACT(ppi_cuda_rope_kv_any),
    ACT(ppi_cuda_kv_read),
    ACT(ppi_cuda_kv_write),
    {ppi_cuda_sample_bounds, 1},
    {ppi_cuda_sample, 1},
    {ppi_cuda_score, 1},
    {ppi_cuda_product[0], PPI_CUDA_PRODUCT_TILES},
    {ppi_cuda_product[1], PPI_CUDA_PRODUCT_TILES},
    ACT(ppi_cuda_gate),
    ACT(ppi_cuda_activate),
    {ppi_cuda_add_gated, 1},
    {ppi_cuda_multiply, 1},
    {ppi_cuda_route, 1},
    {ppi_cuda_count_experts, 1},
    {ppi_cuda_place_experts, 1},
    {ppi_cuda_experts_gated[0], PPI_CUDA_PRODUCT_TILES},
    {ppi_cuda_experts_gated[1], PPI_CUDA_PRODUCT_TILES},
    {ppi_cuda_experts_down[0], PPI_CUDA_PRODUCT_TILES},
    {ppi_cuda_experts_down[1], PPI_CUDA_PRODUCT_TILES},
    {ppi_cuda_combine, 1},
    {ppi_cuda_linear_mix, 1},
    {ppi_cuda_linear_scan, PPI_CUDA_LINEAR_KS},
    {ppi_cuda_linear_seen, 1},
    ACT(ppi_cuda_linear_norm),
};

static pp_status load_kernel(const struct ppi_cuda_kernel *kernel, int32_t compute_capability,
                             pp_error *err)
{
    struct cudaFuncAttributes attributes;
    cudaError_t error = cudaFuncGetAttributes(&attributes, kernel->entry);
    if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction) {
        cudaGetLastError();
        return ppi_error(err, PP_ERR_NO_BACKEND,
                         "device \"cuda\": this build has no code for compute capability %d.%d; "
                         "build with another -Dgpu_archs",
                         compute_capability / 10, compute_capability % 10);
    }
    PP_TRY(ppi_cuda_check(error, kernel->name, err));
    return ppi_cuda_check(cudaFuncSetAttribute(kernel->entry,
                                               cudaFuncAttributeMaxDynamicSharedMemorySize,
                                               (int)kernel->shared_bytes),
                          kernel->name, err);
}

/* The kernels of that capability. */
static pp_status load_attention(int32_t compute_capability, int32_t head_dim, bool softcap,
                                pp_error *err)
{
    struct ppi_cuda_attention a = ppi_cuda_choose_attention(compute_capability, head_dim, softcap);
    for (int32_t act = 0; act < PPI_CUDA_N_ACT; act++) {
        PP_TRY(load_kernel(&a.kernel[act], compute_capability, err));
        if (a.few)
            PP_TRY(load_kernel(&a.few[act], compute_capability, err));
    }
    return PP_OK;
}

pp_status ppi_cuda_load_kernels(int32_t compute_capability, pp_error *err)
{
    static const int32_t head_dims[PPI_CUDA_N_HEAD_DIMS] = {64, 96, 128, 256};
    for (size_t t = 0; t < PPI_COUNT(tables); t++)
        for (int32_t i = 0; i < tables[t].n; i++)
            PP_TRY(load_kernel(&tables[t].kernels[i], compute_capability, err));
    for (size_t d = 0; d < PPI_COUNT(head_dims); d++)
        for (int softcap = 0; softcap < 2; softcap++) {
            PP_TRY(load_attention(PPI_CUDA_ANY_CAPABILITY, head_dims[d], softcap, err));
            if (compute_capability != PPI_CUDA_ANY_CAPABILITY)
                PP_TRY(load_attention(compute_capability, head_dims[d], softcap, err));
        }
    return PP_OK;
}

pp_status ppi_cuda_launch_on(cudaStream_t stream, const struct ppi_cuda_kernel *kernel,
                             int64_t blocks, const void *args, pp_error *err)
{
    if (blocks == 0)
        return PP_OK;
    if (blocks > INT32_MAX)
        return ppi_error(err, PP_ERR_LIMIT, "%s: %lld blocks; a launch takes at most %d",
                         kernel->name, (long long)blocks, INT32_MAX);
    void *arguments[] = {(void *)(uintptr_t)args};
    const dim3 grid = {(unsigned)blocks, 1, 1}, block = {(unsigned)kernel->threads, 1, 1};
    return ppi_cuda_check(
        cudaLaunchKernel(kernel->entry, grid, block, arguments, kernel->shared_bytes, stream),
        kernel->name, err);
}

pp_status ppi_cuda_launch(struct ppi_backend *backend, const struct ppi_cuda_kernel *kernel,
                          int64_t blocks, const void *args, pp_error *err)
{
    return ppi_cuda_launch_on(backend->stream, kernel, blocks, args, err);
}
