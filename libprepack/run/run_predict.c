/*
 * run_predict.c: pp_run_predict: walks the passes that a run would be cut into and adds up what
 * they cost. Nothing is loaded or run.
 */
#include "plan/cost/cost_impl.h"
#include "kv/store.h"
#include "run/schedule.h"

#include <prepack/run.h>

/* The sums over passes so far, and over the pass at hand. */
struct walk {
    const pp_session_info *info;
    pp_cost_model cost;
    struct ppi_stretches stretches;
    const int64_t *lengths; /* [items] */
    int64_t rows, n_ends;   /* of this pass: tokens; items whose last token is in it */
    double squares;         /* of this pass */
    double seconds;
    int64_t passes, kv_bytes, state_bytes;
};

static void end_pass(struct walk *walk)
{
    walk->seconds += ppi_cost(&walk->cost, walk->rows, walk->squares, walk->n_ends);
    walk->passes++;
    walk->rows = walk->n_ends = 0;
    walk->squares = 0;
}

/* Tokens begin .. end - 1 see those before them too: end^2 - begin^2 of the square that the whole
 * prompt costs. */
static void add_piece(struct walk *walk, const struct ppi_piece *piece)
{
    double from = (double)piece->begin, to = (double)(piece->begin + piece->n_tokens);
    walk->squares += (to - from) * (to + from);
    walk->rows += piece->n_tokens;
    walk->n_ends += piece->is_last && walk->stretches.all[piece->i_stretch].n_ending > 0;
}

/* Pages that a stretch has for itself when all is done: those that its tokens lie in, as far as the
 * shortest of those that share it still needs them. false on overflow. */
static bool add_pages(struct walk *walk, const struct ppi_stretch *stretch)
{
    const pp_session_info *info = walk->info;
    int64_t shortest = INT64_MAX;
    bool goes_on = ppi_stretch_goes_on(&walk->stretches, stretch); /* in the page before */
    for (int64_t j = 0; j < stretch->n_sharers; j++) {
        int64_t length = walk->lengths[walk->stretches.sharers[stretch->first_sharer + j]];
        shortest = length < shortest ? length : shortest;
    }
    for (int32_t c = 0; c < info->n_page_classes; c++) {
        int64_t window = info->keep_window_pages ? 0 : info->class_windows[c], bytes;
        int64_t first = goes_on ? ppi_div_up(stretch->begin, info->page_tokens)
                                : stretch->begin / info->page_tokens;
        int64_t needed = ppi_kv_first_needed(window, shortest, info->page_tokens);
        int64_t end = ppi_div_up(stretch->end, info->page_tokens);
        first = first > needed ? first : needed;
        if (first >= end)
            continue;
        if (__builtin_mul_overflow(end - first, info->class_page_bytes[c], &bytes) ||
            __builtin_add_overflow(walk->kv_bytes, bytes, &walk->kv_bytes))
            return false;
    }
    return true;
}

/* States of linear layers: those that the run writes, and, of whoever ends with the stretch, what
 * stays of them. false on overflow. */
static bool add_states(struct walk *walk, const struct ppi_stretch *stretch)
{
    int64_t needed = ppi_stretch_needs_state(&walk->stretches, stretch);
    int64_t stays = stretch->n_ending > 0, bytes = walk->info->state_bytes;
    return !__builtin_mul_overflow(needed, bytes, &needed) &&
           !__builtin_add_overflow(walk->state_bytes, needed, &walk->state_bytes) &&
           !__builtin_add_overflow(walk->kv_bytes, stays * bytes, &walk->kv_bytes);
}

static pp_status check_info(const pp_session_info *info, pp_error *err)
{
    static const char fill[] = "fill the info with pp_session_get_info or pp_session_estimate";
    if (info->page_tokens < 1 || info->n_page_classes < 1 ||
        info->n_page_classes > (int32_t)PPI_COUNT(info->class_page_bytes))
        return ppi_error(err, PP_ERR_ARG, "pp_run_predict: pages of %d tokens in %d classes; %s",
                         info->page_tokens, info->n_page_classes, fill);
    for (int32_t c = 0; c < info->n_page_classes; c++)
        if (info->class_page_bytes[c] < 0 || info->class_windows[c] < 0)
            return ppi_error(err, PP_ERR_ARG,
                             "pp_run_predict: pages of %lld bytes, a window of %d; %s",
                             (long long)info->class_page_bytes[c], info->class_windows[c], fill);
    if (info->state_bytes < 0)
        return ppi_error(err, PP_ERR_ARG, "pp_run_predict: states of %lld bytes; %s",
                         (long long)info->state_bytes, fill);
    if (info->chunk_tokens < 1 || info->chunk_tokens > info->max_pass_tokens)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_run_predict: passes of up to %d tokens, cut at multiples of %d; %s",
                         info->max_pass_tokens, info->chunk_tokens, fill);
    return PP_OK;
}

static pp_status check_lengths(const pp_plan *plan, const int64_t *lengths, int64_t n,
                               pp_error *err)
{
    if (plan)
        return ppi_plan_match_number(plan, plan->info.n_prompts, err);
    if (n < 0 || (n > 0 && !lengths))
        return ppi_error(err, PP_ERR_ARG, "pp_run_predict: there is neither a plan nor lengths");
    for (int64_t i = 0; i < n; i++)
        if (lengths[i] < 1)
            return ppi_error_at(err, PP_ERR_ARG, i,
                                "pp_run_predict: prompt %lld has %lld tokens; at least 1 is needed",
                                (long long)i, (long long)lengths[i]);
    return PP_OK;
}

static pp_status walk_passes(struct walk *walk, pp_error *err)
{
    struct ppi_schedule schedule = {.max_pass_tokens = walk->info->max_pass_tokens,
                                    .chunk_tokens = walk->info->chunk_tokens,
                                    .stretches = &walk->stretches};
    struct ppi_piece piece;
    for (enum ppi_step step; (step = ppi_schedule_next(&schedule, &piece)) != PPI_STEP_DONE;) {
        if (step == PPI_STEP_PASS)
            end_pass(walk);
        else
            add_piece(walk, &piece);
        if (step == PPI_STEP_PIECE && piece.is_last &&
            !(add_pages(walk, &walk->stretches.all[piece.i_stretch]) &&
              add_states(walk, &walk->stretches.all[piece.i_stretch])))
            return ppi_error_at(err, PP_ERR_ARG, walk->stretches.all[piece.i_stretch].i_item,
                                "pp_run_predict: the caches are more than 2^63 - 1 bytes");
    }
    return PP_OK;
}

/* lengths: [n] of the prompts, in the plan's order of prompts if there is one. */
static pp_status predict(struct walk *walk, const pp_plan *plan, const int64_t *lengths, int64_t n,
                         pp_error *err)
{
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, plan ? &plan->mem.allocator : NULL, 0, err));
    walk->lengths = lengths;
    PP_TRY(ppi_stretches_of_plan(&walk->stretches, plan, NULL, lengths, n, &mem, err));
    pp_status status = walk_passes(walk, err);
    ppi_stretches_free(&walk->stretches, &mem);
    return status;
}

pp_status pp_run_predict(const pp_session_info *caller_info, const pp_cost_model *cost,
                         const pp_plan *plan, const int64_t *lengths, int64_t n,
                         pp_prediction *prediction, pp_error *err)
{
    pp_session_info info = {.struct_size = sizeof info};
    struct walk walk = {.info = &info};
    if (!caller_info)
        return ppi_error(err, PP_ERR_ARG, "pp_run_predict: info is NULL");
    PP_TRY(ppi_struct_read(&info, sizeof info, caller_info, "pp_session_info", err));
    PP_TRY(check_info(&info, err));
    PP_TRY(check_lengths(plan, lengths, n, err));
    PP_TRY(ppi_cost_read(&walk.cost, cost, err));
    PP_TRY(plan ? predict(&walk, plan, plan->lengths, plan->info.n_prompts, err)
                : predict(&walk, NULL, lengths, n, err));
    pp_prediction result = {.struct_size = sizeof result,
                            .seconds = walk.seconds,
                            .passes = walk.passes,
                            .kv_bytes = walk.kv_bytes,
                            .state_bytes = walk.state_bytes};
    return ppi_struct_write(prediction, &result, sizeof result, "pp_prediction", err);
}
