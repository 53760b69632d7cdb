/*
 * varlen_plan.c: pp_attention_plan: lengths are checked and become prompts with their first rows,
 * which the backend turns into a work list. Everything here is host work; only the upload touches
 * the device.
 */
#include "attention/varlen_plan.h"
#include "run/session_impl.h"

#include <inttypes.h>

#define MAX_HEAD_DIM 256
#define MAX_SEQLEN   (1 << 30) /* positions and windows add up within int32_t */
#define NAME         "pp_attention_plan_params"

static const pp_attention_plan_params DEFAULT_PARAMS = {.struct_size = sizeof DEFAULT_PARAMS,
                                                        .window_left = -1};

void pp_attention_plan_params_init(pp_attention_plan_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULT_PARAMS, sizeof DEFAULT_PARAMS);
}

static pp_status check_heads(const pp_attention_plan_params *params, pp_error *err)
{
    if (params->dtype != PP_DTYPE_AUTO && params->dtype != PP_DTYPE_F32 &&
        params->dtype != PP_DTYPE_F16 && params->dtype != PP_DTYPE_BF16)
        return ppi_error(err, PP_ERR_ARG, NAME ".dtype is %s (%d); use auto, f32, f16 or bf16",
                         pp_dtype_name(params->dtype), params->dtype);
    if (params->n_kv_heads < 1 || params->n_kv_heads > PPI_VARLEN_MAX_HEADS)
        return ppi_error(err, PP_ERR_ARG, NAME ".n_kv_heads is %" PRId64 "; allowed: 1 to %d",
                         params->n_kv_heads, PPI_VARLEN_MAX_HEADS);
    if (params->n_heads < 1 || params->n_heads > PPI_VARLEN_MAX_HEADS ||
        params->n_heads % params->n_kv_heads != 0)
        return ppi_error(err, PP_ERR_ARG,
                         NAME ".n_heads is %" PRId64 "; allowed: multiples of n_kv_heads (%" PRId64
                              ") up to %d",
                         params->n_heads, params->n_kv_heads, PPI_VARLEN_MAX_HEADS);
    if (params->head_dim < 8 || params->head_dim > MAX_HEAD_DIM || params->head_dim % 8 != 0)
        return ppi_error(err, PP_ERR_ARG,
                         NAME ".head_dim is %" PRId64 "; allowed: multiples of 8 up to %d",
                         params->head_dim, MAX_HEAD_DIM);
    if (params->window_left < -1 || params->window_right < -1)
        return ppi_error(err, PP_ERR_ARG, NAME ".%s is %" PRId64 "; allowed: -1 (no limit) and up",
                         params->window_left < -1 ? "window_left" : "window_right",
                         params->window_left < -1 ? params->window_left : params->window_right);
    return PP_OK;
}

static pp_status check_arrays(const pp_attention_plan_params *params, pp_error *err)
{
    if (params->n_prompts < 0 || params->n_prompts >= INT32_MAX)
        return ppi_error(err, PP_ERR_ARG, NAME ".n_prompts is %" PRId64 "; allowed: 0 to %d",
                         params->n_prompts, INT32_MAX - 1);
    if (params->page_size < 0 || params->page_size > INT32_MAX)
        return ppi_error(err, PP_ERR_ARG,
                         NAME ".page_size is %" PRId64 "; allowed: 0 (no pages) to %d",
                         params->page_size, INT32_MAX);
    if (params->page_size == 0 && params->block_table_stride != 0)
        return ppi_error(err, PP_ERR_ARG,
                         NAME ".block_table_stride is %" PRId64
                              ", but page_size is 0; allowed: 0, or a "
                              "page_size of at least 1",
                         params->block_table_stride);
    if (params->block_table_stride < 0 ||
        (params->n_prompts > 0 && params->block_table_stride > INT32_MAX / params->n_prompts))
        return ppi_error(err, PP_ERR_ARG,
                         NAME ".block_table_stride is %" PRId64
                              "; allowed: 0 and up, and at most %d entries "
                              "for all %" PRId64 " prompts",
                         params->block_table_stride, INT32_MAX, params->n_prompts);
    if (params->n_prompts > 0 && !params->cu_seqlens_q)
        return ppi_error(err, PP_ERR_ARG, NAME ".cu_seqlens_q is NULL");
    if (params->n_prompts > 0 && !params->cu_seqlens_k &&
        (params->page_size == 0 || !params->seqlens_k))
        return ppi_error(err, PP_ERR_ARG,
                         NAME ".cu_seqlens_k is NULL; only pages with seqlens_k do without");
    return PP_OK;
}

static pp_status check_offsets(const int32_t *offsets, int32_t n, const char *field, pp_error *err)
{
    if (n > 0 && offsets[0] != 0)
        return ppi_error(err, PP_ERR_ARG, NAME ".%s[0] is %d; it must be 0", field, offsets[0]);
    for (int32_t i = 0; i < n; i++)
        if (offsets[i + 1] < offsets[i])
            return ppi_error_at(err, PP_ERR_ARG, i,
                                NAME ".%s[%d] is %d, below the %d before it; offsets never fall",
                                field, i + 1, offsets[i + 1], offsets[i]);
    return PP_OK;
}

/* The length of prompt i: given, or the difference of the offsets, which bounds a given one. */
static pp_status read_length(const int32_t *lengths, const int32_t *offsets, int32_t i,
                             const char *side, int32_t *length, pp_error *err)
{
    int32_t most = offsets ? offsets[i + 1] - offsets[i] : MAX_SEQLEN;
    *length = lengths ? lengths[i] : most;
    if (*length < 0 || *length > most)
        return ppi_error_at(err, PP_ERR_ARG, i, NAME ".seqlens_%s[%d] is %d; allowed: 0 to %d",
                            side, i, *length, most);
    if (*length > MAX_SEQLEN)
        return ppi_error_at(err, PP_ERR_ARG, i,
                            NAME ".cu_seqlens_%s: prompt %d has length %d; allowed: 0 to %d", side,
                            i, *length, MAX_SEQLEN);
    return PP_OK;
}

/* Prompt i of params, with or without query rows. */
static pp_status read_prompt(const pp_attention_plan_params *params, int32_t i,
                             struct ppi_varlen_prompt *prompt, pp_error *err)
{
    bool paged = params->page_size > 0;
    const int32_t *k_offsets = paged && params->seqlens_k ? NULL : params->cu_seqlens_k;
    PP_TRY(read_length(params->seqlens_q, params->cu_seqlens_q, i, "q", &prompt->n_rows, err));
    PP_TRY(read_length(params->seqlens_k, k_offsets, i, "k", &prompt->n_keys, err));
    int32_t group = (int32_t)(params->n_heads / params->n_kv_heads);
    if ((int64_t)prompt->n_rows * group > INT32_MAX)
        return ppi_error_at(err, PP_ERR_ARG, i,
                            NAME ".cu_seqlens_q: prompt %d has %d rows; allowed: %d for %d query "
                                 "heads a kv head",
                            i, prompt->n_rows, INT32_MAX / group, group);
    int64_t n_pages = paged ? ppi_div_up(prompt->n_keys, params->page_size) : 0;
    if (n_pages > params->block_table_stride)
        return ppi_error_at(err, PP_ERR_ARG, i,
                            NAME ".block_table_stride is %" PRId64
                                 "; prompt %d has %d keys in %" PRId64 " pages",
                            params->block_table_stride, i, prompt->n_keys, n_pages);
    prompt->q_row = params->cu_seqlens_q[i];
    prompt->first = paged ? i * (int32_t)params->block_table_stride : params->cu_seqlens_k[i];
    return PP_OK;
}

/* Fills plan->prompts and the figures that come with them. */
static pp_status read_prompts(pp_attention_plan *plan, const pp_attention_plan_params *params,
                              pp_error *err)
{
    int32_t n = (int32_t)params->n_prompts;
    pp_attention_plan_info *info = &plan->info;
    PP_TRY(check_offsets(params->cu_seqlens_q, n, "cu_seqlens_q", err));
    if (params->page_size == 0 || !params->seqlens_k)
        PP_TRY(check_offsets(params->cu_seqlens_k, n, "cu_seqlens_k", err));
    for (int32_t i = 0; i < n; i++) {
        struct ppi_varlen_prompt prompt;
        PP_TRY(read_prompt(params, i, &prompt, err));
        if (prompt.n_rows > info->max_seqlen_q)
            info->max_seqlen_q = prompt.n_rows;
        if (prompt.n_keys > info->max_seqlen_k)
            info->max_seqlen_k = prompt.n_keys;
        if (params->page_size > 0)
            info->total_k += prompt.n_keys;
        if (prompt.n_rows == 0)
            continue;
        plan->n_keys += prompt.n_keys;
        plan->prompts[plan->shape.n_prompts++] = prompt;
    }
    info->total_q = n > 0 ? params->cu_seqlens_q[n] : 0;
    if (params->page_size == 0)
        info->total_k = n > 0 ? params->cu_seqlens_k[n] : 0;
    return PP_OK;
}

/* plan is zero but for its session. */
static pp_status build(pp_attention_plan *plan, const pp_attention_plan_params *params,
                       pp_error *err)
{
    struct pp_session *session = plan->session;
    struct ppi_varlen_shape *shape = &plan->shape;
    size_t n_prompts = (size_t)params->n_prompts;
    plan->prompts = ppi_alloc(&session->mem, n_prompts, sizeof *plan->prompts);
    if (!plan->prompts)
        return ppi_error_nomem(err, "the prompts of a plan", n_prompts * sizeof *plan->prompts);
    PP_TRY(read_prompts(plan, params, err));
    shape->prompts = plan->prompts;
    shape->dtype = params->dtype == PP_DTYPE_AUTO ? session->dtype : params->dtype;
    shape->n_heads = (int32_t)params->n_heads;
    shape->n_kv_heads = (int32_t)params->n_kv_heads;
    shape->head_dim = (int32_t)params->head_dim;
    shape->page_size = (int32_t)params->page_size;
    /* A window as wide as the longest prompt is none, so that what is left is at most 2^30. */
    shape->window_left =
        params->window_left < plan->info.max_seqlen_k ? (int32_t)params->window_left : -1;
    shape->window_right =
        params->window_right < plan->info.max_seqlen_q ? (int32_t)params->window_right : -1;

    struct ppi_varlen_figures figures;
    PP_TRY(session->ops->varlen_plan_create(session->backend, shape, &plan->list, &figures, err));
    plan->info.struct_size = sizeof plan->info;
    plan->info.dtype = shape->dtype;
    plan->info.workspace_bytes = figures.workspace_bytes;
    plan->info.n_tiles = figures.n_tiles;
    plan->info.n_launches = figures.n_launches;
    return PP_OK;
}

pp_status pp_attention_plan_create(pp_session *session,
                                   const pp_attention_plan_params *caller_params,
                                   pp_attention_plan **out, pp_error *err)
{
    if (!session || !out)
        return ppi_error(err, PP_ERR_ARG, "pp_attention_plan_create: %s is NULL",
                         session ? "plan" : "session");
    pp_attention_plan_params params = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, NAME, err));
    PP_TRY(check_heads(&params, err));
    PP_TRY(check_arrays(&params, err));
    pp_attention_plan *plan = ppi_zalloc(&session->mem, 1, sizeof *plan);
    if (!plan)
        return ppi_error_nomem(err, "an attention plan", sizeof *plan);
    ppi_store_ref(&session->store);
    plan->session = session;
    pp_status status = build(plan, &params, err);
    if (status < 0) {
        pp_attention_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return PP_OK;
}

void pp_attention_plan_destroy(pp_attention_plan *plan)
{
    if (!plan)
        return;
    struct pp_session *session = plan->session;
    session->ops->varlen_plan_destroy(session->backend, plan->list);
    ppi_free(&session->mem, plan->prompts);
    ppi_free(&session->mem, plan);
    ppi_store_unref(&session->store);
}

pp_status pp_attention_plan_get_info(const pp_attention_plan *plan, pp_attention_plan_info *info,
                                     pp_error *err)
{
    if (!plan)
        return ppi_error(err, PP_ERR_ARG, "pp_attention_plan_get_info: plan is NULL");
    return ppi_struct_write(info, &plan->info, sizeof plan->info, "pp_attention_plan_info", err);
}

pp_status pp_attention_plan_upload(pp_attention_plan *plan, void *workspace, size_t workspace_bytes,
                                   void *stream, pp_error *err)
{
    if (!plan)
        return ppi_error(err, PP_ERR_ARG, "pp_attention_plan_upload: plan is NULL");
    size_t needed = plan->info.workspace_bytes;
    if (workspace_bytes < needed)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_attention_plan_upload: workspace_bytes is %zu; this plan needs %zu",
                         workspace_bytes, needed);
    if (needed > 0 && (!workspace || (uintptr_t)workspace % 16 != 0))
        return ppi_error(err, PP_ERR_ARG,
                         "pp_attention_plan_upload: workspace is %p; allowed: device memory, a "
                         "multiple of 16",
                         workspace);
    plan->uploaded = false;
    PP_TRY(plan->session->ops->varlen_upload(plan->session->backend, plan->list, workspace, stream,
                                             err));
    plan->uploaded = true;
    return PP_OK;
}
