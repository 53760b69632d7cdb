/*
 * varlen.c: pp_attention_varlen: the tensors of one run are checked, strides become bytes, and the
 * backend runs. Nothing is allocated.
 */
#include "attention/varlen_plan.h"
#include "run/session_impl.h"

#include <inttypes.h>
#include <math.h>

#define ALIGNMENT 16 /* bytes, of tensors and their strides */
#define NAME      "pp_attention_params"

static const pp_attention_params DEFAULT_PARAMS = {.struct_size = sizeof DEFAULT_PARAMS};

void pp_attention_params_init(pp_attention_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULT_PARAMS, sizeof DEFAULT_PARAMS);
}

static pp_status check_pointer(const void *pointer, const char *field, uintptr_t alignment,
                               pp_error *err)
{
    if (!pointer)
        return ppi_error(err, PP_ERR_ARG, NAME ".%s is NULL", field);
    if ((uintptr_t)pointer % alignment != 0)
        return ppi_error(err, PP_ERR_ARG, NAME ".%s is %p; allowed: multiples of %d", field,
                         pointer, (int)alignment);
    return PP_OK;
}

static pp_status check_pointers(const struct pp_attention_plan *plan,
                                const pp_attention_params *params, pp_error *err)
{
    bool paged = plan->shape.page_size > 0;
    PP_TRY(check_pointer(params->q, "q", ALIGNMENT, err));
    PP_TRY(check_pointer(params->out, "out", ALIGNMENT, err));
    if (params->lse)
        PP_TRY(check_pointer(params->lse, "lse", sizeof *params->lse, err));
    if (params->block_table && !paged)
        return ppi_error(err, PP_ERR_ARG,
                         NAME ".block_table is set, but the plan's page_size is 0; allowed: NULL, "
                              "or a plan with pages");
    if (plan->n_keys == 0)
        return PP_OK;
    PP_TRY(check_pointer(params->k, "k", ALIGNMENT, err));
    PP_TRY(check_pointer(params->v, "v", ALIGNMENT, err));
    if (paged)
        PP_TRY(check_pointer(params->block_table, "block_table", sizeof *params->block_table, err));
    return PP_OK;
}

/* One dimension of a tensor: how many there are and how far apart. */
struct dimension {
    const char *field;
    int64_t n;       /* 0: unknown */
    int64_t given;   /* elements; 0: packed */
    int64_t packed;  /* elements */
    int64_t minimum; /* elements, of a given one */
    int64_t *stride; /* bytes */
};

/* Sets the strides; a tensor ends within the address space. */
static pp_status set_strides(const struct dimension *dimensions, int n, size_t element_bytes,
                             int32_t head_dim, pp_error *err)
{
    int64_t end = (int64_t)element_bytes * head_dim;
    for (int i = 0; i < n; i++) {
        const struct dimension *d = &dimensions[i];
        int64_t multiple = ALIGNMENT / (int64_t)element_bytes, length;
        if (d->given < 0 || d->given % multiple != 0 || (d->given > 0 && d->given < d->minimum))
            return ppi_error(err, PP_ERR_ARG,
                             NAME ".%s is %" PRId64 "; allowed: 0 (packed) or at least %" PRId64
                                  ", a multiple of %" PRId64 " elements",
                             d->field, d->given, d->minimum, multiple);
        if (__builtin_mul_overflow(d->given ? d->given : d->packed, (int64_t)element_bytes,
                                   d->stride) ||
            __builtin_mul_overflow(*d->stride, d->n > 0 ? d->n - 1 : 0, &length) ||
            __builtin_add_overflow(end, length, &end))
            return ppi_error(err, PP_ERR_ARG,
                             NAME ".%s is %" PRId64
                                  "; with it the tensor is longer than 2^63 bytes",
                             d->field, d->given);
    }
    return PP_OK;
}

static pp_status set_query_strides(const struct pp_attention_plan *plan,
                                   const pp_attention_params *params,
                                   struct ppi_varlen_tensors *tensors, pp_error *err)
{
    const struct ppi_varlen_shape *shape = &plan->shape;
    size_t element_bytes = pp_dtype_size(shape->dtype);
    int64_t n_rows = plan->info.total_q, head = shape->head_dim, row = head * shape->n_heads;
    struct dimension q[] = {
        {"q_row_stride", n_rows, params->q_row_stride, row, 0, &tensors->q_row_stride},
        {"q_head_stride", shape->n_heads, params->q_head_stride, head, 0, &tensors->q_head_stride}};
    struct dimension out[] = {
        {"out_row_stride", n_rows, params->out_row_stride, row, head, &tensors->out_row_stride},
        {"out_head_stride", shape->n_heads, params->out_head_stride, head, head,
         &tensors->out_head_stride}};
    PP_TRY(set_strides(q, PPI_COUNT(q), element_bytes, shape->head_dim, err));
    PP_TRY(set_strides(out, PPI_COUNT(out), element_bytes, shape->head_dim, err));
    int64_t most = INT64_MAX / (int64_t)sizeof *params->lse / shape->n_heads;
    tensors->lse_head_stride = params->lse_head_stride ? params->lse_head_stride : n_rows;
    if (tensors->lse_head_stride < n_rows || tensors->lse_head_stride > most)
        return ppi_error(err, PP_ERR_ARG,
                         NAME ".lse_head_stride is %" PRId64 "; allowed: 0 (packed) or %" PRId64
                              " to %" PRId64,
                         params->lse_head_stride, n_rows, most);
    return PP_OK;
}

static pp_status set_key_strides(const struct pp_attention_plan *plan,
                                 const pp_attention_params *params,
                                 struct ppi_varlen_tensors *tensors, pp_error *err)
{
    const struct ppi_varlen_shape *shape = &plan->shape;
    size_t element_bytes = pp_dtype_size(shape->dtype);
    bool paged = shape->page_size > 0;
    int64_t n_rows = paged ? shape->page_size : plan->info.total_k;
    int64_t head = shape->head_dim, row = head * shape->n_kv_heads, page = row * shape->page_size;
    struct dimension k[] = {
        {"k_page_stride", 0, params->k_page_stride, page, 0, &tensors->k_page_stride},
        {"k_row_stride", n_rows, params->k_row_stride, row, 0, &tensors->k_row_stride},
        {"k_head_stride", shape->n_kv_heads, params->k_head_stride, head, 0,
         &tensors->k_head_stride}};
    struct dimension v[] = {
        {"v_page_stride", 0, params->v_page_stride, page, 0, &tensors->v_page_stride},
        {"v_row_stride", n_rows, params->v_row_stride, row, 0, &tensors->v_row_stride},
        {"v_head_stride", shape->n_kv_heads, params->v_head_stride, head, 0,
         &tensors->v_head_stride}};
    if (!paged && (params->k_page_stride || params->v_page_stride))
        return ppi_error(err, PP_ERR_ARG,
                         NAME ".%s is set, but the plan's page_size is 0; allowed: 0",
                         params->k_page_stride ? "k_page_stride" : "v_page_stride");
    PP_TRY(set_strides(k, PPI_COUNT(k), element_bytes, shape->head_dim, err));
    return set_strides(v, PPI_COUNT(v), element_bytes, shape->head_dim, err);
}

static pp_status run_plan(pp_session *session, const pp_attention_plan *plan,
                          const pp_attention_params *caller_params, pp_error *err)
{
    if (!plan)
        return ppi_error(err, PP_ERR_ARG, "pp_attention_varlen: plan is NULL");
    if (plan->session != session)
        return ppi_error(err, PP_ERR_ARG, "pp_attention_varlen: the plan is another session's");
    if (!plan->uploaded)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_attention_varlen: the plan has not been uploaded; call "
                         "pp_attention_plan_upload before");
    pp_attention_params params = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, NAME, err));
    if (!(params.softmax_scale >= 0) || isinf(params.softmax_scale))
        return ppi_error(err, PP_ERR_ARG,
                         NAME ".softmax_scale is %g; allowed: above 0, or 0 for 1 / sqrt(head_dim)",
                         (double)params.softmax_scale);
    if (plan->shape.n_prompts == 0)
        return PP_OK;
    PP_TRY(check_pointers(plan, &params, err));
    struct ppi_varlen_tensors tensors = {
        .q = params.q,
        .k = params.k,
        .v = params.v,
        .out = params.out,
        .lse = params.lse,
        .block_table = params.block_table,
        .softmax_scale = params.softmax_scale > 0 ? params.softmax_scale
                                                  : (float)(1 / sqrt(plan->shape.head_dim)),
        .stream = params.stream,
    };
    PP_TRY(set_query_strides(plan, &params, &tensors, err));
    PP_TRY(set_key_strides(plan, &params, &tensors, err));
    return session->ops->varlen_run(session->backend, plan->list, &tensors, err);
}

pp_status pp_attention_varlen(pp_session *session, const pp_attention_plan *plan,
                              const pp_attention_params *params, pp_error *err)
{
    PP_TRY(ppi_session_enter(session, "pp_attention_varlen", false, err));
    pp_status status = run_plan(session, plan, params, err);
    ppi_session_leave(session);
    return status;
}
