/*
 * attention_choice.c: see attention_choice.h. Every prompt of a context goes to kernels of one
 * family: mma.sync and wgmma need not add alike, and a prompt's bits are the same whatever is cut
 * from it.
 */
#include "cuda/attention_choice.h"

/* Without a softcap, with one. Models that cap scores have heads of 128 and 256. */
static const struct ppi_cuda_kernel *const kernels[2][PPI_CUDA_N_HEAD_DIMS] = {
    {ppi_cuda_attention_d64, ppi_cuda_attention_d96, ppi_cuda_attention_d128,
     ppi_cuda_attention_d256},
    {ppi_cuda_attention_capped_d128, ppi_cuda_attention_capped_d128, ppi_cuda_attention_capped_d128,
     ppi_cuda_attention_capped_d256},
};
static const struct ppi_cuda_kernel *const few_kernels[2][PPI_CUDA_N_HEAD_DIMS] = {
    {ppi_cuda_attention_few_d64, ppi_cuda_attention_few_d96, ppi_cuda_attention_few_d128,
     ppi_cuda_attention_few_d256},
    {ppi_cuda_attention_few_capped_d128, ppi_cuda_attention_few_capped_d128,
     ppi_cuda_attention_few_capped_d128, ppi_cuda_attention_few_capped_d256},
};
static const struct ppi_cuda_kernel *const sm90_kernels[2][2] = {
    {ppi_cuda_attention_sm90_d64, ppi_cuda_attention_sm90_d128},
    {ppi_cuda_attention_sm90_capped_d64, ppi_cuda_attention_sm90_capped_d128},
};

struct ppi_cuda_attention ppi_cuda_choose_attention(int32_t compute_capability, int32_t head_dim,
                                                    bool softcap)
{
    bool is_small = head_dim <= 64;
    const struct ppi_cuda_kernel *sm90 = sm90_kernels[softcap][is_small ? 0 : 1];
    if (compute_capability == 90 && head_dim <= 128 && sm90->entry)
        return (struct ppi_cuda_attention){
            .name = "wgmma",
            .tiles = {is_small ? PPI_CUDA_ATTENTION_SM90_ROWS_64 : PPI_CUDA_ATTENTION_SM90_ROWS_128,
                      0},
            .kernel = sm90,
            .is_persistent = true,
        };
    int32_t i = ppi_cuda_head_dim_index(head_dim);
    return (struct ppi_cuda_attention){
        .name = "mma.sync",
        .tiles = {PPI_CUDA_ATTENTION_ROWS, PPI_CUDA_ATTENTION_FEW_ROWS},
        .kernel = kernels[softcap][i],
        .few = few_kernels[softcap][i],
    };
}

int64_t ppi_cuda_attention_blocks(const struct ppi_cuda_attention *attention, int64_t n_items,
                                  int32_t n_kv_heads, int32_t n_sms)
{
    int64_t n = n_items * n_kv_heads;
    return attention->is_persistent && n > n_sms ? n_sms : n;
}
