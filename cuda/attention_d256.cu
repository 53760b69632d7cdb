/*
 * attention_d256.cu: attention_mma.cuh for head_dim up to 256.
 */
#include "cuda/attention_mma.cuh"

HW_KERNEL(attn_varlen_bf16_d256_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 2)
{
    ppi::attend_rows<hw::bf16, 256>(args);
}

HW_KERNEL(attn_varlen_f16_d256_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 2)
{
    ppi::attend_rows<hw::f16, 256>(args);
}

const struct ppi_cuda_kernel ppi_cuda_attention_d256[PPI_CUDA_N_ACT] = {
    {"attn_varlen_bf16_d256_kernel", HW_KERNEL_ENTRY(attn_varlen_bf16_d256_kernel),
     ppi::ATTENTION_THREADS, ppi::attention_shape<256>::SHARED_BYTES},
    {"attn_varlen_f16_d256_kernel", HW_KERNEL_ENTRY(attn_varlen_f16_d256_kernel),
     ppi::ATTENTION_THREADS, ppi::attention_shape<256>::SHARED_BYTES},
};
