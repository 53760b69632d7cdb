/*
 * device_rows.c: operations on rows that share nothing: embed, norms, softcap, gather_rows.
 */
#include "cuda/cuda_impl.h"

pp_status ppi_cuda_run_embed(struct ppi_backend *b, const struct ppi_matrix *table,
                             const struct ppi_pass *pass, float scale, float *out, pp_error *err)
{
    struct ppi_cuda_embed_args args = {.table = table->data,
                                       .tokens = b->passes[pass->slot].tokens,
                                       .out = out,
                                       .n_rows = pass->n_rows,
                                       .dim = (int32_t)table->k,
                                       .scale = scale};
    return ppi_cuda_launch(b, &ppi_cuda_embed[b->act], ppi_cuda_row_blocks(args.n_rows, args.dim),
                           &args, err);
}

/* Everything but where vectors are and go. */
static struct ppi_cuda_norm_args norm_args(const struct ppi_norm *norm, int64_t n, int64_t dim)
{
    return (struct ppi_cuda_norm_args){.weight = ppi_cuda_vector(norm->weight),
                                       .n = (int32_t)n,
                                       .n_parts = 1,
                                       .dim = (int32_t)dim,
                                       .eps = (float)norm->eps,
                                       .scale = 1};
}

pp_status ppi_cuda_run_norm(struct ppi_backend *b, const float *x, const struct ppi_norm *norm,
                            int64_t n_rows, int64_t dim, void *out, pp_error *err)
{
    if (!norm) {
        struct ppi_cuda_convert_args narrow = {.src = x,
                                               .dst = out,
                                               .n = n_rows * dim,
                                               .src_type = PPI_CUDA_F32,
                                               .dst_type = b->act_type};
        return ppi_cuda_launch(b, &ppi_cuda_convert[0], ppi_cuda_striding_blocks(narrow.n), &narrow,
                               err);
    }
    struct ppi_cuda_norm_args args = norm_args(norm, n_rows, dim);
    args.x = (float *)(uintptr_t)x;
    args.out = out;
    return ppi_cuda_launch(b, &ppi_cuda_norm[norm->center][b->act],
                           ppi_cuda_row_blocks(n_rows, args.dim), &args, err);
}

pp_status ppi_cuda_run_norm_add(struct ppi_backend *b, const float *x, const struct ppi_norm *norm,
                                float scale, int64_t n_rows, int64_t dim, float *out, pp_error *err)
{
    struct ppi_cuda_norm_args args = norm_args(norm, n_rows, dim);
    args.x = (float *)(uintptr_t)x;
    args.out = out;
    args.scale = scale;
    return ppi_cuda_launch(b, &ppi_cuda_norm_add[norm->center],
                           ppi_cuda_row_blocks(n_rows, args.dim), &args, err);
}

pp_status ppi_cuda_run_norm_parts(struct ppi_backend *b, float *x, const struct ppi_norm *norm,
                                  int64_t n_rows, int64_t row_stride, int32_t n_parts, int64_t dim,
                                  pp_error *err)
{
    if (n_rows > INT32_MAX / n_parts)
        return ppi_error(err, PP_ERR_LIMIT,
                         "norm_parts: %lld rows of %d parts; at most %d together",
                         (long long)n_rows, n_parts, INT32_MAX);
    struct ppi_cuda_norm_args args = norm_args(norm, n_rows * n_parts, dim);
    args.x = x;
    args.row_stride = row_stride;
    args.n_parts = n_parts;
    return ppi_cuda_launch(b, &ppi_cuda_norm_parts[norm->center],
                           ppi_cuda_row_blocks(args.n, args.dim), &args, err);
}

pp_status ppi_cuda_run_softcap(struct ppi_backend *b, float *x, int64_t n, float cap, pp_error *err)
{
    struct ppi_cuda_softcap_args args = {.x = x, .n = n, .cap = cap};
    return ppi_cuda_launch(b, &ppi_cuda_softcap[0], ppi_cuda_striding_blocks(n), &args, err);
}

pp_status ppi_cuda_run_gather(struct ppi_backend *b, const void *src, const struct ppi_pass *pass,
                              size_t row_bytes, void *out, pp_error *err)
{
    struct ppi_cuda_gather_args args = {.src = src,
                                        .rows = b->passes[pass->slot].source_rows,
                                        .out = out,
                                        .row_bytes = (int64_t)row_bytes,
                                        .n_rows = pass->n_rows};
    return ppi_cuda_launch(b, &ppi_cuda_gather[0], pass->n_rows, &args, err);
}
