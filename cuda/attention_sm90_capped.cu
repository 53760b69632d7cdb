/*
 * attention_sm90_capped.cu: attention_wgmma.cuh with a softcap, for head_dim up to 64 and up to
 * 128. For sm_90a alone.
 */
#include "cuda/attention_wgmma.cuh"

HW_KERNEL(attn_wgmma_capped_bf16_d64_kernel, ppi_cuda_attention_args, ppi::wgmma_shape<64>::THREADS,
          1)
{
    ppi::attend_units<hw::bf16, 64, true>(args);
}

HW_KERNEL(attn_wgmma_capped_f16_d64_kernel, ppi_cuda_attention_args, ppi::wgmma_shape<64>::THREADS,
          1)
{
    ppi::attend_units<hw::f16, 64, true>(args);
}

HW_KERNEL(attn_wgmma_capped_bf16_d128_kernel, ppi_cuda_attention_args,
          ppi::wgmma_shape<128>::THREADS, 1)
{
    ppi::attend_units<hw::bf16, 128, true>(args);
}

HW_KERNEL(attn_wgmma_capped_f16_d128_kernel, ppi_cuda_attention_args,
          ppi::wgmma_shape<128>::THREADS, 1)
{
    ppi::attend_units<hw::f16, 128, true>(args);
}

const struct ppi_cuda_kernel ppi_cuda_attention_sm90_capped_d64[PPI_CUDA_N_ACT] = {
    {"attn_wgmma_capped_bf16_d64_kernel", HW_KERNEL_ENTRY(attn_wgmma_capped_bf16_d64_kernel),
     ppi::wgmma_shape<64>::THREADS, ppi::wgmma_shape<64>::SHARED_BYTES},
    {"attn_wgmma_capped_f16_d64_kernel", HW_KERNEL_ENTRY(attn_wgmma_capped_f16_d64_kernel),
     ppi::wgmma_shape<64>::THREADS, ppi::wgmma_shape<64>::SHARED_BYTES},
};

const struct ppi_cuda_kernel ppi_cuda_attention_sm90_capped_d128[PPI_CUDA_N_ACT] = {
    {"attn_wgmma_capped_bf16_d128_kernel", HW_KERNEL_ENTRY(attn_wgmma_capped_bf16_d128_kernel),
     ppi::wgmma_shape<128>::THREADS, ppi::wgmma_shape<128>::SHARED_BYTES},
    {"attn_wgmma_capped_f16_d128_kernel", HW_KERNEL_ENTRY(attn_wgmma_capped_f16_d128_kernel),
     ppi::wgmma_shape<128>::THREADS, ppi::wgmma_shape<128>::SHARED_BYTES},
};
