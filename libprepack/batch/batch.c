/*
 * batch.c: the arrays of some bins of a plan, laid out one after another or one bin a row.
 * Everything the caller gave is checked before anything is allocated.
 */
#include "arrays.h"
#include "plan/plan.h"

static const pp_batch_params default_params = {
    .struct_size = sizeof(pp_batch_params), .layout = PP_LAYOUT_RAGGED, .n_bins = -1};

void pp_batch_params_init(pp_batch_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &default_params, sizeof default_params);
}

/* Reads the caller's params; n_bins -1 becomes the number. */
static pp_status read_params(pp_batch_params *params, const pp_batch_params *given,
                             const struct pp_plan *plan, pp_error *err)
{
    *params = default_params;
    PP_TRY(ppi_struct_read(params, sizeof *params, given, "pp_batch_params", err));
    if (params->layout != PP_LAYOUT_RAGGED && params->layout != PP_LAYOUT_PADDED)
        return ppi_error(err, PP_ERR_ARG,
                         "layout %d is unknown; there are %d (ragged), %d (padded)", params->layout,
                         PP_LAYOUT_RAGGED, PP_LAYOUT_PADDED);
    if (params->row_len < 0)
        return ppi_error(err, PP_ERR_ARG,
                         "row_len is %lld; it must be positive, or 0 for the "
                         "fullest bin",
                         (long long)params->row_len);
    int64_t n_bins = plan->info.n_bins;
    if (params->first_bin < 0 || params->first_bin > n_bins)
        return ppi_error_at(err, PP_ERR_ARG, params->first_bin,
                            "first_bin %lld is not in the plan, which has %lld bins",
                            (long long)params->first_bin, (long long)n_bins);
    if (params->n_bins < -1 || params->n_bins > n_bins - params->first_bin)
        return ppi_error(err, PP_ERR_ARG,
                         "n_bins is %lld; from bin %lld on the plan has %lld (-1: all of them)",
                         (long long)params->n_bins, (long long)params->first_bin,
                         (long long)(n_bins - params->first_bin));
    if (params->n_bins == -1)
        params->n_bins = n_bins - params->first_bin;
    return PP_OK;
}

/* The prompts of a bin are there and have the tokens that the plan counted. */
static pp_status check_bin(const struct pp_plan *plan, int64_t bin, const pp_prompt *prompts,
                           pp_error *err)
{
    for (int64_t i = plan->bin_starts[bin]; i < plan->bin_starts[bin + 1]; i++) {
        int32_t i_prompt = plan->prompts[i];
        if (!prompts[i_prompt].tokens)
            return ppi_error_at(err, PP_ERR_ARG, i_prompt, "prompt %d: tokens is NULL", i_prompt);
        PP_TRY(ppi_plan_match_length(plan, i_prompt, prompts[i_prompt].n_tokens, err));
    }
    return PP_OK;
}

/* Checks the prompts of the bins and sets the batch's sizes. */
static pp_status measure(struct pp_batch *batch, const struct pp_plan *plan,
                         const pp_prompt *prompts, const pp_batch_params *params, pp_error *err)
{
    int64_t fullest = 0;
    int64_t end_bin = params->first_bin + params->n_bins;
    for (int64_t bin = params->first_bin; bin < end_bin; bin++) {
        PP_TRY(check_bin(plan, bin, prompts, err));
        int64_t tokens = plan->bin_tokens[bin];
        if (tokens > INT32_MAX - batch->n_tokens)
            return ppi_error_at(err, PP_ERR_TOO_LONG, bin,
                                "bins %lld to %lld have more than %d tokens together",
                                (long long)params->first_bin, (long long)bin, INT32_MAX);
        int64_t used = ppi_plan_bin_used(plan, bin);
        if (params->layout == PP_LAYOUT_PADDED && params->row_len > 0 && used > params->row_len)
            return ppi_error_at(err, PP_ERR_TOO_LONG, bin,
                                "bin %lld has %lld tokens%s, but row_len is %lld", (long long)bin,
                                (long long)used, used > tokens ? " with its alignment" : "",
                                (long long)params->row_len);
        fullest = used > fullest ? used : fullest;
        batch->n_tokens += tokens;
    }
    batch->layout = params->layout;
    batch->n_prompts = plan->bin_starts[end_bin] - plan->bin_starts[params->first_bin];
    if (params->layout == PP_LAYOUT_RAGGED) {
        batch->n_rows = 1;
        batch->row_len = batch->n_tokens;
    } else {
        batch->n_rows = params->n_bins;
        batch->row_len = params->row_len > 0 ? params->row_len : fullest;
    }
    return PP_OK;
}

static pp_status allocate_arrays(struct pp_batch *batch, pp_error *err)
{
    size_t n_prompts = (size_t)batch->n_prompts;
    size_t n_slots;
    size_t token_bytes;
    if (!ppi_mul((size_t)batch->n_rows, (size_t)batch->row_len, &n_slots) ||
        !ppi_mul(n_slots, 2 * sizeof(int32_t), &token_bytes) || token_bytes > INT64_MAX)
        return ppi_error(err, PP_ERR_NOMEM, "no memory for %lld rows of %lld tokens",
                         (long long)batch->n_rows, (long long)batch->row_len);
    batch->tokens = ppi_alloc(&batch->mem, n_slots, sizeof *batch->tokens);
    batch->positions = ppi_alloc(&batch->mem, n_slots, sizeof *batch->positions);
    batch->cu_seqlens = ppi_alloc(&batch->mem, n_prompts + 1, sizeof *batch->cu_seqlens);
    batch->starts = ppi_alloc(&batch->mem, n_prompts, sizeof *batch->starts);
    batch->last_rows = ppi_alloc(&batch->mem, n_prompts, sizeof *batch->last_rows);
    batch->prompts = ppi_alloc(&batch->mem, n_prompts, sizeof *batch->prompts);
    if (!batch->tokens || !batch->positions || !batch->cu_seqlens || !batch->starts ||
        !batch->last_rows || !batch->prompts)
        return ppi_error(
            err, PP_ERR_NOMEM, "no memory for a batch of %lld rows of %lld tokens and %lld prompts",
            (long long)batch->n_rows, (long long)batch->row_len, (long long)batch->n_prompts);
    return PP_OK;
}

static void write_pads(struct pp_batch *batch, int64_t begin, int64_t end, int32_t pad_token)
{
    for (int64_t i = begin; i < end; i++) {
        batch->tokens[i] = pad_token;
        batch->positions[i] = 0;
    }
}

/* A prompt's tokens and their positions in it. */
static void lay_out_prompt(const pp_prompt *prompt, int32_t *tokens, int32_t *positions)
{
    for (int64_t i = 0; i < prompt->n_tokens; i++) {
        tokens[i] = prompt->tokens[i];
        positions[i] = (int32_t)i;
    }
}

/* Fills the arrays, prompt after prompt in the order of the bins. */
static void write_arrays(struct pp_batch *batch, const struct pp_plan *plan,
                         const pp_prompt *prompts, const pp_batch_params *params)
{
    int64_t i_out = 0; /* of the prompts */
    int64_t next = 0;  /* index in tokens */
    batch->cu_seqlens[0] = 0;
    for (int64_t i_bin = 0; i_bin < params->n_bins; i_bin++) {
        int64_t bin = params->first_bin + i_bin;
        for (int64_t i = plan->bin_starts[bin]; i < plan->bin_starts[bin + 1]; i++, i_out++) {
            const pp_prompt *prompt = &prompts[plan->prompts[i]];
            int64_t length = prompt->n_tokens;
            lay_out_prompt(prompt, batch->tokens + next, batch->positions + next);
            batch->prompts[i_out] = plan->prompts[i];
            batch->starts[i_out] = next;
            next += length;
            batch->last_rows[i_out] = next - 1;
            batch->cu_seqlens[i_out + 1] = batch->cu_seqlens[i_out] + (int32_t)length;
            batch->max_seqlen = length > batch->max_seqlen ? length : batch->max_seqlen;
            if (batch->layout == PP_LAYOUT_PADDED) {
                int64_t end = next + ppi_round_up(length, plan->prompt_alignment) - length;
                write_pads(batch, next, end, params->pad_token);
                next = end;
            }
        }
        if (batch->layout == PP_LAYOUT_PADDED) {
            int64_t row_end = (i_bin + 1) * batch->row_len;
            write_pads(batch, next, row_end, params->pad_token);
            next = row_end;
        }
    }
}

pp_status pp_batch_build(const pp_plan *plan, const pp_prompt *prompts, int64_t n,
                         const pp_batch_params *params, pp_batch **batch, pp_error *err)
{
    if (!plan || !batch)
        return ppi_error(err, PP_ERR_ARG, "pp_batch_build: %s is NULL", plan ? "batch" : "plan");
    PP_TRY(ppi_plan_match_number(plan, n, err));
    if (ppi_plan_has_parts(plan))
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "the plan splits prompts or shares their prefixes: its bins need the keys "
                         "and values of earlier ones, for which these arrays have no place");
    if (!prompts && n > 0)
        return ppi_error(err, PP_ERR_ARG, "prompts is NULL, but there are %lld", (long long)n);
    pp_batch_params chosen;
    PP_TRY(read_params(&chosen, params, plan, err));
    struct pp_batch sizes = {0};
    PP_TRY(measure(&sizes, plan, prompts, &chosen, err));
    PP_TRY(ppi_mem_init(&sizes.mem, &plan->mem.allocator, 0, err));
    struct pp_batch *new_batch = ppi_alloc(&sizes.mem, 1, sizeof *new_batch);
    if (!new_batch)
        return ppi_error_nomem(err, "a batch", sizeof *new_batch);
    *new_batch = sizes;
    pp_status status = allocate_arrays(new_batch, err);
    if (status < 0) {
        pp_batch_destroy(new_batch);
        return status;
    }
    write_arrays(new_batch, plan, prompts, &chosen);
    *batch = new_batch;
    return PP_OK;
}

void pp_batch_destroy(pp_batch *batch)
{
    if (!batch)
        return;
    ppi_free(&batch->mem, batch->tokens);
    ppi_free(&batch->mem, batch->positions);
    ppi_free(&batch->mem, batch->cu_seqlens);
    ppi_free(&batch->mem, batch->starts);
    ppi_free(&batch->mem, batch->last_rows);
    ppi_free(&batch->mem, batch->prompts);
    struct ppi_mem mem = batch->mem;
    ppi_free(&mem, batch);
}

pp_status pp_batch_get_view(const pp_batch *batch, pp_batch_view *view, pp_error *err)
{
    if (!batch)
        return ppi_error(err, PP_ERR_ARG, "pp_batch_get_view: batch is NULL");
    pp_batch_view full = {
        .struct_size = sizeof full,
        .layout = batch->layout,
        .n_rows = batch->n_rows,
        .row_len = batch->row_len,
        .n_prompts = batch->n_prompts,
        .n_tokens = batch->n_tokens,
        .max_seqlen = batch->max_seqlen,
        .tokens = batch->tokens,
        .positions = batch->positions,
        .cu_seqlens = batch->cu_seqlens,
        .starts = batch->starts,
        .last_rows = batch->last_rows,
        .prompts = batch->prompts,
    };
    return ppi_struct_write(view, &full, sizeof full, "pp_batch_view", err);
}
