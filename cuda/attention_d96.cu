/*
 * attention_d96.cu: attention_mma.cuh for head_dim up to 96.
 */
#include "cuda/attention_mma.cuh"

HW_KERNEL(attn_varlen_bf16_d96_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 3)
{
    ppi::attend_rows<hw::bf16, 96>(args);
}

HW_KERNEL(attn_varlen_f16_d96_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 3)
{
    ppi::attend_rows<hw::f16, 96>(args);
}

const struct ppi_cuda_kernel ppi_cuda_attention_d96[PPI_CUDA_N_ACT] = {
    {"attn_varlen_bf16_d96_kernel", HW_KERNEL_ENTRY(attn_varlen_bf16_d96_kernel),
     ppi::ATTENTION_THREADS, ppi::attention_shape<96>::SHARED_BYTES},
    {"attn_varlen_f16_d96_kernel", HW_KERNEL_ENTRY(attn_varlen_f16_d96_kernel),
     ppi::ATTENTION_THREADS, ppi::attention_shape<96>::SHARED_BYTES},
};
