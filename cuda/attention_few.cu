/*
 * attention_few.cu: attention_few.cuh for head_dim up to 64, 96, 128 and 256.
 */
#include "cuda/attention_few.cuh"

HW_KERNEL(attn_few_bf16_d64_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 6)
{
    ppi::attend_few_rows<hw::bf16, 64>(args);
}

HW_KERNEL(attn_few_f16_d64_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 6)
{
    ppi::attend_few_rows<hw::f16, 64>(args);
}

HW_KERNEL(attn_few_bf16_d96_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 5)
{
    ppi::attend_few_rows<hw::bf16, 96>(args);
}

HW_KERNEL(attn_few_f16_d96_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 5)
{
    ppi::attend_few_rows<hw::f16, 96>(args);
}

HW_KERNEL(attn_few_bf16_d128_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 4)
{
    ppi::attend_few_rows<hw::bf16, 128>(args);
}

HW_KERNEL(attn_few_f16_d128_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 4)
{
    ppi::attend_few_rows<hw::f16, 128>(args);
}

HW_KERNEL(attn_few_bf16_d256_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 2)
{
    ppi::attend_few_rows<hw::bf16, 256>(args);
}

HW_KERNEL(attn_few_f16_d256_kernel, ppi_cuda_attention_args, ppi::ATTENTION_THREADS, 2)
{
    ppi::attend_few_rows<hw::f16, 256>(args);
}

const struct ppi_cuda_kernel ppi_cuda_attention_few_d64[PPI_CUDA_N_ACT] = {
    {"attn_few_bf16_d64_kernel", HW_KERNEL_ENTRY(attn_few_bf16_d64_kernel), ppi::ATTENTION_THREADS,
     ppi::few_shape<64>::SHARED_BYTES},
    {"attn_few_f16_d64_kernel", HW_KERNEL_ENTRY(attn_few_f16_d64_kernel), ppi::ATTENTION_THREADS,
     ppi::few_shape<64>::SHARED_BYTES},
};

const struct ppi_cuda_kernel ppi_cuda_attention_few_d96[PPI_CUDA_N_ACT] = {
    {"attn_few_bf16_d96_kernel", HW_KERNEL_ENTRY(attn_few_bf16_d96_kernel), ppi::ATTENTION_THREADS,
     ppi::few_shape<96>::SHARED_BYTES},
    {"attn_few_f16_d96_kernel", HW_KERNEL_ENTRY(attn_few_f16_d96_kernel), ppi::ATTENTION_THREADS,
     ppi::few_shape<96>::SHARED_BYTES},
};

const struct ppi_cuda_kernel ppi_cuda_attention_few_d128[PPI_CUDA_N_ACT] = {
    {"attn_few_bf16_d128_kernel", HW_KERNEL_ENTRY(attn_few_bf16_d128_kernel),
     ppi::ATTENTION_THREADS, ppi::few_shape<128>::SHARED_BYTES},
    {"attn_few_f16_d128_kernel", HW_KERNEL_ENTRY(attn_few_f16_d128_kernel), ppi::ATTENTION_THREADS,
     ppi::few_shape<128>::SHARED_BYTES},
};

const struct ppi_cuda_kernel ppi_cuda_attention_few_d256[PPI_CUDA_N_ACT] = {
    {"attn_few_bf16_d256_kernel", HW_KERNEL_ENTRY(attn_few_bf16_d256_kernel),
     ppi::ATTENTION_THREADS, ppi::few_shape<256>::SHARED_BYTES},
    {"attn_few_f16_d256_kernel", HW_KERNEL_ENTRY(attn_few_f16_d256_kernel), ppi::ATTENTION_THREADS,
     ppi::few_shape<256>::SHARED_BYTES},
};
