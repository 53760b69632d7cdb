/*
 * device_kv.c: KV pages on the device: their layout, writing them (rope_kv), attention over them.
 * The host's copies are in device_kv_copies.c.
 */
#include "cuda/cuda_impl.h"

/* Keys, or values, of one layer in a page. */
static size_t part_bytes(const struct ppi_backend *b, const struct ppi_kv_class *shape)
{
    return (size_t)shape->n_kv_heads * PPI_CUDA_PAGE_TOKENS * (size_t)shape->head_dim *
           b->act_bytes;
}

int32_t ppi_cuda_first_like(const struct ppi_backend *b, int32_t page_class)
{
    const struct ppi_kv_class *classes = b->params.classes, *shape = &classes[page_class];
    int32_t c = 0;
    while (classes[c].n_kv_heads != shape->n_kv_heads || classes[c].head_dim != shape->head_dim)
        c++;
    return c;
}

const struct ppi_kv_class *ppi_cuda_class(const struct ppi_backend *b, int32_t layer)
{
    return &b->params.classes[b->params.places[layer].page_class];
}

size_t ppi_cuda_page_bytes(const struct ppi_backend *b, int32_t page_class)
{
    const struct ppi_kv_class *shape = &b->params.classes[page_class];
    return (size_t)shape->n_layers * 2 * part_bytes(b, shape);
}

struct ppi_cuda_kv ppi_cuda_page_view(const struct ppi_backend *b, int32_t layer,
                                      const uint64_t *pages)
{
    const struct ppi_kv_class *shape = ppi_cuda_class(b, layer);
    int64_t token = (int64_t)((size_t)shape->head_dim * b->act_bytes);
    uint64_t k = (uint64_t)b->params.places[layer].index * 2 * part_bytes(b, shape);
    return (struct ppi_cuda_kv){.k = k,
                                .v = k + part_bytes(b, shape),
                                .pages = pages,
                                .k_token_stride = token,
                                .v_token_stride = token,
                                .k_head_stride = token * PPI_CUDA_PAGE_TOKENS,
                                .v_head_stride = token * PPI_CUDA_PAGE_TOKENS,
                                .page_tokens = PPI_CUDA_PAGE_TOKENS};
}

/* The same in the pages of a pass. */
static struct ppi_cuda_kv view_layer(const struct ppi_backend *b, const struct ppi_cuda_pass *p,
                                     int32_t layer)
{
    return ppi_cuda_page_view(b, layer, p->pages[b->params.places[layer].page_class]);
}

pp_status ppi_cuda_run_rope_kv(struct ppi_backend *b, const struct ppi_pass *pass,
                               const struct ppi_rope *rope, const float *qkv, void *q,
                               pp_error *err)
{
    const struct ppi_cuda_pass *p = &b->passes[pass->slot];
    const struct ppi_kv_class *shape = ppi_cuda_class(b, rope->layer);
    struct ppi_cuda_rope_kv_args args = {.qkv = qkv,
                                         .angles = rope->angles,
                                         .q_scale = rope->q_scale,
                                         .rope_rows = p->rope_rows,
                                         .slots = p->slots,
                                         .q = q,
                                         .kv = view_layer(b, p, rope->layer),
                                         .n_rows = pass->n_rows,
                                         .n_heads = b->params.n_heads,
                                         .n_kv_heads = rope->q_only ? 0 : shape->n_kv_heads,
                                         .head_dim = shape->head_dim,
                                         .rotary_dim = rope->rotary_dim,
                                         .interleaved = rope->interleaved};
    const struct ppi_cuda_kernel *kernels =
        rope->rotary_dim % 8 == 0 ? ppi_cuda_rope_kv : ppi_cuda_rope_kv_any;
    return ppi_cuda_launch(b, &kernels[b->act], pass->n_rows, &args, err);
}

pp_status ppi_cuda_run_attention(struct ppi_backend *b, const struct ppi_pass *pass,
                                 const struct ppi_attention *attention, const void *q, void *out,
                                 pp_error *err)
{
    const struct ppi_cuda_pass *p = &b->passes[pass->slot];
    const struct ppi_kv_class *shape = ppi_cuda_class(b, attention->layer);
    const struct ppi_cuda_list *list = &p->lists[b->params.places[attention->layer].page_class];
    int64_t head = (int64_t)((size_t)shape->head_dim * b->act_bytes);
    struct ppi_cuda_attention_args args = {.q = q,
                                           .out = out,
                                           .sinks = ppi_cuda_vector(attention->sinks),
                                           .q_row_stride = head * b->params.n_heads,
                                           .q_head_stride = head,
                                           .out_row_stride = head * b->params.n_heads,
                                           .out_head_stride = head,
                                           .kv = view_layer(b, p, attention->layer),
                                           .n_heads = b->params.n_heads,
                                           .n_kv_heads = shape->n_kv_heads,
                                           .head_dim = shape->head_dim,
                                           .window_left =
                                               attention->window > 0 ? attention->window - 1 : -1,
                                           .window_right = 0};
    ppi_cuda_scale_scores(&args, attention->softmax_scale, attention->softcap);
    return ppi_cuda_attend(b, b->stream, b->attention_capability, b->act, &args, list->items,
                           list->n_items, list->few_items, list->n_few_items, err);
}
