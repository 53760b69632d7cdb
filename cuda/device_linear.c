/*
 * device_linear.c: the seam's linear: the launches of a linear layer over the rows of a pass.
 */
#include "cuda/cuda_impl.h"

/* Of a row of mixed, in elements. */
static int64_t mixed_stride(const struct ppi_linear_shape *shape)
{
    return ppi_linear_channels(shape) + 4 * (int64_t)shape->n_v_heads;
}

static size_t mixed_bytes(const struct ppi_backend *b)
{
    return (size_t)b->max_pass_tokens * (size_t)mixed_stride(b->params.linear) * sizeof(float);
}

pp_status ppi_cuda_linear_create(struct ppi_backend *b, pp_error *err)
{
    if (!b->params.linear)
        return PP_OK;
    b->mixed = ppi_cuda_alloc(b, mixed_bytes(b));
    if (!b->mixed)
        return ppi_error(err, PP_ERR_DEVICE_NOMEM, "no device memory for linear layers (%zu bytes)",
                         mixed_bytes(b));
    return PP_OK;
}

void ppi_cuda_linear_destroy(struct ppi_backend *b)
{
    if (b->mixed)
        ppi_cuda_release(b, b->mixed, mixed_bytes(b));
    b->mixed = NULL;
}

/* All but the pass. */
static struct ppi_cuda_linear_args describe(const struct ppi_linear *linear)
{
    const struct ppi_linear_shape *shape = linear->shape;
    bool is_mamba2 = shape->rule == PPI_LINEAR_MAMBA2;
    int64_t state = linear->index * ppi_linear_state_bytes(shape);
    int64_t s = (int64_t)shape->n_v_heads * shape->k_dim * shape->v_dim;
    return (struct ppi_cuda_linear_args){
        .conv = ppi_cuda_vector(linear->conv),
        .conv_bias = ppi_cuda_vector(linear->conv_bias),
        .a_log = ppi_cuda_vector(linear->a_log),
        .dt_bias = ppi_cuda_vector(linear->dt_bias),
        .d = ppi_cuda_vector(linear->d),
        .norm = ppi_cuda_vector(linear->norm),
        .s_offset = state,
        .seen_offset = state + s * (int64_t)sizeof(float),
        .row_stride = ppi_linear_row(shape),
        .mixed_stride = mixed_stride(shape),
        .n_k_heads = shape->n_k_heads,
        .n_v_heads = shape->n_v_heads,
        .k_dim = shape->k_dim,
        .v_dim = shape->v_dim,
        .conv_kernel = shape->conv_kernel,
        .norm_dim =
            is_mamba2 ? (int32_t)(ppi_linear_v_size(shape) / shape->norm_groups) : shape->v_dim,
        .is_mamba2 = is_mamba2,
        .dt_min = shape->dt_min,
        .dt_max = shape->dt_max,
        .head_eps = (float)PPI_LINEAR_EPS,
        .norm_eps = (float)linear->norm_eps};
}

pp_status ppi_cuda_run_linear(struct ppi_backend *b, const struct ppi_pass *pass,
                              const struct ppi_linear *linear, float *rows, void *out,
                              pp_error *err)
{
    const struct ppi_linear_shape *shape = linear->shape;
    const struct ppi_cuda_pass *p = &b->passes[pass->slot];
    struct ppi_cuda_linear_args args = describe(linear);
    args.segments = p->linear_segments;
    args.row_segments = p->row_segments;
    args.rows = rows;
    args.mixed = b->mixed;
    args.out = out;
    args.n_rows = pass->n_rows;
    args.n_segments = pass->n_segments;
    int64_t channel_blocks = (ppi_linear_channels(shape) + 255) / 256;
    int64_t n_norms = pass->n_rows * (ppi_linear_v_size(shape) / args.norm_dim);
    PP_TRY(ppi_cuda_launch(b, &ppi_cuda_linear_mix[0], pass->n_rows, &args, err));
    PP_TRY(ppi_cuda_launch(
        b, &ppi_cuda_linear_scan[ppi_cuda_linear_k_index(shape->k_dim)],
        ppi_cuda_linear_scan_blocks(pass->n_segments, shape->n_v_heads, shape->v_dim), &args, err));
    PP_TRY(ppi_cuda_launch(b, &ppi_cuda_linear_seen[0], pass->n_segments * channel_blocks, &args,
                           err));
    return ppi_cuda_launch(b, &ppi_cuda_linear_norm[b->act],
                           ppi_cuda_row_blocks(n_norms, args.norm_dim), &args, err);
}
