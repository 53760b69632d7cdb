/*
 * kv_address.cuh: where a token's key and value are. The one reader of struct ppi_cuda_kv on the
 * device (kernels.h has the formulas): pages, a block table, or rows without gap.
 */
#ifndef PPI_CUDA_KV_ADDRESS_CUH
#define PPI_CUDA_KV_ADDRESS_CUH

#include "hw.h"
#include "cuda/kernels.h"

namespace ppi {

/* Device addresses of head 0's key and value of one token. */
struct kv_token {
    uint64_t k, v;
};

/*
 * Token t >= 0 of the prompt whose entry is `first`. For a slot s of rope_kv: first 0, t = s. With
 * pages or a block table it reads one entry of that table and divides once: by page_tokens of any
 * size, in 32 bits where t fits.
 */
HW_DEVICE kv_token kv_find(const struct ppi_cuda_kv &kv, int64_t first, int64_t t)
{
    if (!kv.pages && !kv.block_table)
        return {kv.k + (uint64_t)((first + t) * kv.k_token_stride),
                kv.v + (uint64_t)((first + t) * kv.v_token_stride)};
    int64_t page, slot;
    if (t >> 32 == 0) {
        uint32_t quotient = (uint32_t)t / (uint32_t)kv.page_tokens;
        page = quotient;
        slot = (uint32_t)t - quotient * (uint32_t)kv.page_tokens;
    } else {
        page = t / kv.page_tokens;
        slot = t - page * kv.page_tokens;
    }
    uint64_t k = kv.k + (uint64_t)(slot * kv.k_token_stride);
    uint64_t v = kv.v + (uint64_t)(slot * kv.v_token_stride);
    if (kv.pages) {
        uint64_t base = kv.pages[first + page];
        return {k + base, v + base};
    }
    int64_t number = kv.block_table[first + page];
    return {k + (uint64_t)(number * kv.k_page_stride), v + (uint64_t)(number * kv.v_page_stride)};
}

/* The key or value of a head, for loads and stores of 16 bytes or less. */
HW_DEVICE char *kv_key(const struct ppi_cuda_kv &kv, kv_token token, int32_t head)
{
    return (char *)(token.k + (uint64_t)(head * kv.k_head_stride));
}

HW_DEVICE char *kv_value(const struct ppi_cuda_kv &kv, kv_token token, int32_t head)
{
    return (char *)(token.v + (uint64_t)(head * kv.v_head_stride));
}

} // namespace ppi

#endif
