/*
 * attention_capped_d128.cu: attention_mma.cuh and attention_few.cuh with a softcap, for head_dim up
 * to 128.
 */
#include "cuda/attention_few.cuh"
#include "cuda/attention_mma.cuh"

HW_KERNEL(attn_capped_bf16_d128_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 3)
{
    ppi::attend_rows<hw::bf16, 128, true>(args);
}

HW_KERNEL(attn_capped_f16_d128_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 3)
{
    ppi::attend_rows<hw::f16, 128, true>(args);
}

HW_KERNEL(attn_few_capped_bf16_d128_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 4)
{
    ppi::attend_few_rows<hw::bf16, 128, true>(args);
}

HW_KERNEL(attn_few_capped_f16_d128_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 4)
{
    ppi::attend_few_rows<hw::f16, 128, true>(args);
}

const struct ppi_cuda_kernel ppi_cuda_attention_capped_d128[PPI_CUDA_N_ACT] = {
    {"attn_capped_bf16_d128_kernel", HW_KERNEL_ENTRY(attn_capped_bf16_d128_kernel),
     ppi::ATTENTION_THREADS, ppi::attention_shape<128>::SHARED_BYTES},
    {"attn_capped_f16_d128_kernel", HW_KERNEL_ENTRY(attn_capped_f16_d128_kernel),
     ppi::ATTENTION_THREADS, ppi::attention_shape<128>::SHARED_BYTES},
};

const struct ppi_cuda_kernel ppi_cuda_attention_few_capped_d128[PPI_CUDA_N_ACT] = {
    {"attn_few_capped_bf16_d128_kernel", HW_KERNEL_ENTRY(attn_few_capped_bf16_d128_kernel),
     ppi::ATTENTION_THREADS, ppi::few_shape<128>::SHARED_BYTES},
    {"attn_few_capped_f16_d128_kernel", HW_KERNEL_ENTRY(attn_few_capped_f16_d128_kernel),
     ppi::ATTENTION_THREADS, ppi::few_shape<128>::SHARED_BYTES},
};
