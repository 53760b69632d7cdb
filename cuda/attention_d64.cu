/*
 * attention_d64.cu: attention_mma.cuh for head_dim up to 64.
 */
#include "cuda/attention_mma.cuh"

HW_KERNEL(attn_varlen_bf16_d64_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 4)
{
    ppi::attend_rows<hw::bf16, 64>(args);
}

HW_KERNEL(attn_varlen_f16_d64_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 4)
{
    ppi::attend_rows<hw::f16, 64>(args);
}

const struct ppi_cuda_kernel ppi_cuda_attention_d64[PPI_CUDA_N_ACT] = {
    {"attn_varlen_bf16_d64_kernel", HW_KERNEL_ENTRY(attn_varlen_bf16_d64_kernel),
     ppi::ATTENTION_THREADS, ppi::attention_shape<64>::SHARED_BYTES},
    {"attn_varlen_f16_d64_kernel", HW_KERNEL_ENTRY(attn_varlen_f16_d64_kernel),
     ppi::ATTENTION_THREADS, ppi::attention_shape<64>::SHARED_BYTES},
};
