/*
 * cost_prefill.c: pp_prefill_predict: walks a plan by the rules of pp_prefill and adds up what its
 * passes cost. Nothing is loaded or run.
 */
#include "plan/cost/cost_impl.h"
#include "plan/plan.h"

#include <prepack/session.h>

/* A pass while it fills, and the sums over those before it. */
struct walk {
    const pp_session_info *info;
    pp_cost_model cost;
    int64_t rows, n_ends; /* of this pass: tokens; prompts whose last token is in it */
    double squares;       /* of this pass */
    double seconds;
    int64_t passes, pages;
};

static void run_pass(struct walk *walk)
{
    if (walk->rows == 0)
        return;
    walk->seconds += ppi_cost(&walk->cost, walk->rows, walk->squares, walk->n_ends);
    walk->passes++;
    walk->rows = walk->n_ends = 0;
    walk->squares = 0;
}

/* A bin that fits into a pass, but not into what is left of this one, starts a new one. */
static void start_bin(struct walk *walk, int64_t bin_tokens)
{
    int64_t most = walk->info->max_pass_tokens;
    if (bin_tokens <= most && bin_tokens > most - walk->rows)
        run_pass(walk);
}

/* What does not fit is cut at multiples of the session's chunk. Tokens begin .. end - 1 see those
 * before them too: end^2 - begin^2 of the square that the whole prompt costs. */
static void add_prompt(struct walk *walk, int64_t n_tokens)
{
    int64_t chunk = walk->info->chunk_tokens, begin = 0;
    while (begin < n_tokens) {
        int64_t room = walk->info->max_pass_tokens - walk->rows;
        int64_t n = n_tokens - begin;
        if (n > room)
            n = (begin + room) / chunk * chunk - begin;
        if (n <= 0) {
            run_pass(walk);
            continue;
        }
        double from = (double)begin, to = (double)(begin + n);
        walk->squares += (to - from) * (to + from);
        walk->rows += n;
        begin += n;
    }
    walk->n_ends++;
    walk->pages += (n_tokens - 1) / walk->info->page_tokens + 1;
}

static pp_status check_info(const pp_session_info *info, pp_error *err)
{
    if (info->page_tokens < 1 || info->page_bytes < 0)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_prefill_predict: pages of %d tokens, %lld bytes; fill the info with "
                         "pp_session_get_info or pp_session_estimate",
                         info->page_tokens, (long long)info->page_bytes);
    if (info->chunk_tokens < 1 || info->chunk_tokens > info->max_pass_tokens)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_prefill_predict: passes of up to %d tokens, cut at multiples of %d; "
                         "fill the info with pp_session_get_info or pp_session_estimate",
                         info->max_pass_tokens, info->chunk_tokens);
    return PP_OK;
}

pp_status pp_prefill_predict(const pp_session_info *caller_info, const pp_cost_model *cost,
                             const pp_plan *plan, pp_prediction *prediction, pp_error *err)
{
    pp_session_info info = {.struct_size = sizeof info};
    struct walk walk = {.info = &info};
    if (!caller_info || !plan)
        return ppi_error(err, PP_ERR_ARG, "pp_prefill_predict: %s is NULL", plan ? "info" : "plan");
    PP_TRY(ppi_struct_read(&info, sizeof info, caller_info, "pp_session_info", err));
    PP_TRY(check_info(&info, err));
    PP_TRY(ppi_cost_read(&walk.cost, cost, err));
    if (ppi_plan_has_parts(plan))
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "pp_prefill_predict: the plan splits prompts or shares their prefixes; "
                         "pp_prefill does not run such plans");
    for (int64_t bin = 0; bin < plan->info.n_bins; bin++) {
        start_bin(&walk, plan->bin_tokens[bin]);
        for (int64_t i = plan->bin_starts[bin]; i < plan->bin_starts[bin + 1]; i++)
            add_prompt(&walk, plan->lengths[plan->prompts[i]]);
    }
    run_pass(&walk);
    pp_prediction result = {.struct_size = sizeof result,
                            .seconds = walk.seconds,
                            .passes = walk.passes,
                            .pages = walk.pages};
    if (__builtin_mul_overflow(walk.pages, info.page_bytes, &result.kv_bytes))
        return ppi_error(err, PP_ERR_ARG,
                         "pp_prefill_predict: %lld pages of %lld bytes are more "
                         "than 2^63 - 1 bytes",
                         (long long)walk.pages, (long long)info.page_bytes);
    return ppi_struct_write(prediction, &result, sizeof result, "pp_prediction", err);
}
