/*
 * attention_d128.cu: attention_mma.cuh for head_dim up to 128.
 */
#include "cuda/attention_mma.cuh"

HW_KERNEL(attn_varlen_bf16_d128_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 3)
{
    ppi::attend_rows<hw::bf16, 128>(args);
}

HW_KERNEL(attn_varlen_f16_d128_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 3)
{
    ppi::attend_rows<hw::f16, 128>(args);
}

const struct ppi_cuda_kernel ppi_cuda_attention_d128[PPI_CUDA_N_ACT] = {
    {"attn_varlen_bf16_d128_kernel", HW_KERNEL_ENTRY(attn_varlen_bf16_d128_kernel),
     ppi::ATTENTION_THREADS, ppi::attention_shape<128>::SHARED_BYTES},
    {"attn_varlen_f16_d128_kernel", HW_KERNEL_ENTRY(attn_varlen_f16_d128_kernel),
     ppi::ATTENTION_THREADS, ppi::attention_shape<128>::SHARED_BYTES},
};
