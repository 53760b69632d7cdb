/*
 * device_attention.c: the launches that make attention: one for prompts of any number of rows, or
 * two, for many and for few.
 */
#include "cuda/cuda_impl.h"

void ppi_cuda_scale_scores(struct ppi_cuda_attention_args *args, float softmax_scale, float softcap)
{
    const double log2_e = 1.4426950408889634;
    args->scale_log2 = (float)((softcap > 0 ? softcap : softmax_scale) * log2_e);
    args->cap_log2 = softcap > 0 ? (float)(2.0 * (double)softmax_scale / softcap * log2_e) : 0;
}

static pp_status launch(cudaStream_t stream, const struct ppi_cuda_kernel *kernel,
                        const struct ppi_cuda_attention_args *shapes,
                        const struct ppi_cuda_attention_item *items, int32_t n_items,
                        int64_t blocks, pp_error *err)
{
    struct ppi_cuda_attention_args args = *shapes;
    args.items = items;
    args.n_items = n_items;
    return ppi_cuda_launch_on(stream, kernel, blocks, &args, err);
}

pp_status ppi_cuda_attend(struct ppi_backend *backend, cudaStream_t stream, int32_t capability,
                          int32_t act, const struct ppi_cuda_attention_args *args,
                          const struct ppi_cuda_attention_item *items, int32_t n_items,
                          const struct ppi_cuda_attention_item *few_items, int32_t n_few,
                          pp_error *err)
{
    const struct ppi_cuda_attention attention =
        ppi_cuda_choose_attention(capability, args->head_dim, args->cap_log2 > 0);
    int64_t blocks =
        ppi_cuda_attention_blocks(&attention, n_items, args->n_kv_heads, backend->n_sms);
    PP_TRY(launch(stream, &attention.kernel[act], args, items, n_items, blocks, err));
    if (!attention.few)
        return PP_OK;
    return launch(stream, &attention.few[act], args, few_items, n_few,
                  (int64_t)n_few * args->n_kv_heads, err);
}
