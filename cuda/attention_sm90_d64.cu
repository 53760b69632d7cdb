/*
 * attention_sm90_d64.cu: attention_wgmma.cuh for head_dim up to 64. For sm_90a alone.
 */
#include "cuda/attention_wgmma.cuh"

HW_KERNEL(attn_wgmma_bf16_d64_kernel, ppi_cuda_attention_args, ppi::wgmma_shape<64>::THREADS, 1)
{
    ppi::attend_units<hw::bf16, 64>(args);
}

HW_KERNEL(attn_wgmma_f16_d64_kernel, ppi_cuda_attention_args, ppi::wgmma_shape<64>::THREADS, 1)
{
    ppi::attend_units<hw::f16, 64>(args);
}

const struct ppi_cuda_kernel ppi_cuda_attention_sm90_d64[PPI_CUDA_N_ACT] = {
    {"attn_wgmma_bf16_d64_kernel", HW_KERNEL_ENTRY(attn_wgmma_bf16_d64_kernel),
     ppi::wgmma_shape<64>::THREADS, ppi::wgmma_shape<64>::SHARED_BYTES},
    {"attn_wgmma_f16_d64_kernel", HW_KERNEL_ENTRY(attn_wgmma_f16_d64_kernel),
     ppi::wgmma_shape<64>::THREADS, ppi::wgmma_shape<64>::SHARED_BYTES},
};
