/*
 * methods.c: the four ways to run the prompts. A method is an order of the prompts and a cut of
 * that order into steps; what is timed is marked by span_begin and span_end. A pass that only
 * counts walks the same steps, with nothing prefilled.
 */
#include "methods.h"
#include "by_prefix.h"
#include "interrupt.h"
#include "choose.h"
#include "engine.h"
#include "say.h"
#include "stopwatch.h"

#include <stdlib.h>
#include <string.h>

/* One pass and its buffers, each as large as the largest step. */
struct pass {
    const struct workload *work;
    pp_session *session;         /* NULL: a pass that only counts */
    const pp_session_info *info; /* of such a pass */
    struct needs *needs;         /* of such a pass */
    const pp_packer *packer;
    struct usage *usage; /* NULL: a pass that only counts */
    struct pass_figures *figures;
    size_t *order;      /* [n_prompts] */
    pp_item *items;     /* [n_prompts] of a step */
    pp_prompt *prompts; /* [n_prompts] of a step that is packed */
    int64_t *lengths;   /* [n_prompts] of a step */
    int32_t *padded;    /* [padded_room] */
    size_t padded_room;
    double began;
};

static void span_begin(struct pass *pass)
{
    if (pass->usage)
        usage_resume(pass->usage);
    pass->began = seconds_now();
}

static void span_end(struct pass *pass)
{
    pass->figures->seconds += seconds_now() - pass->began;
    if (pass->usage)
        usage_pause(pass->usage);
}

/* For a call over the prompts of order[0..n) that failed over one of them. */
static int fail_call(const struct workload *work, const size_t *order, size_t n,
                     const pp_error *err)
{
    if (err->index < 0 || (size_t)err->index >= n)
        return fail_library(err);
    return dataset_fail_library(work->dataset, order[err->index], err);
}

static pp_run_params run_params(void)
{
    pp_run_params params;
    pp_run_params_init(&params, sizeof params);
    params.cancel = interrupt_token();
    return params;
}

/* Timed: the caches of n prompts, and their first tokens if the metric wants them. */
static int prefill(struct pass *pass, const pp_plan *plan, const size_t *order, size_t n)
{
    pp_error err = {.struct_size = sizeof err, .index = -1};
    const pp_run_params params = run_params();
    if (!pass->session)
        return needs_add_step(pass->needs, pass->info, NULL, plan, pass->lengths, n);
    if (pp_run(pass->session, plan, pass->items, (int64_t)n, &params, &err) < 0)
        return fail_call(pass->work, order, n, &err);
    return pp_session_synchronize(pass->session, &err) < 0 ? fail_library(&err) : STATUS_OK;
}

static void drop_caches(struct pass *pass, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pp_kvcache_destroy(pass->items[i].cache);
}

/* Timed: a plan of n prompts that lie in the step. */
static int make_plan(struct pass *pass, const size_t *order, size_t n, pp_plan **plan)
{
    pp_error err = {.struct_size = sizeof err, .index = -1};
    return packer_plan(pass->packer, pass->prompts, pass->lengths, n, plan, &err) < 0
               ? fail_call(pass->work, order, n, &err)
               : STATUS_OK;
}

/* Lays the prompts of order[0..n) out as a step. */
static void load_step(struct pass *pass, const size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const pp_prompt *prompt = &pass->work->prompts->prompts[order[i]];
        pass->items[i] =
            (pp_item){.struct_size = sizeof(pp_item),
                      .output = pass->work->first_tokens ? PP_OUTPUT_TOKEN : PP_OUTPUT_NONE,
                      .tokens = prompt->tokens,
                      .n_tokens = prompt->n_tokens};
        pass->prompts[i] = *prompt;
        pass->lengths[i] = prompt->n_tokens;
        pass->figures->tokens_real += pass->lengths[i];
    }
}

static int add_plan_figures(struct pass *pass, const pp_plan *plan)
{
    pp_error err = {.struct_size = sizeof err};
    pp_plan_info info = {.struct_size = sizeof info};
    if (pp_plan_get_info(plan, &info, &err) < 0)
        return fail_library(&err);
    pass->figures->bins += info.n_bins;
    pass->figures->capacity_total += info.n_bins * info.capacity;
    pass->figures->placed_total += info.placed_tokens;
    return STATUS_OK;
}

static int run_packed(struct pass *pass, const size_t *order, size_t n)
{
    pp_plan *plan = NULL;
    load_step(pass, order, n);
    span_begin(pass);
    int status = make_plan(pass, order, n, &plan);
    if (!status)
        status = prefill(pass, plan, order, n);
    span_end(pass);
    if (!status) {
        drop_caches(pass, n);
        status = add_plan_figures(pass, plan);
    }
    pp_plan_destroy(plan);
    return status;
}

/* Replaces the prompts of a step by copies padded on the right to the longest. */
static int pad_step(struct pass *pass, size_t n)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        if ((size_t)pass->lengths[i] > longest)
            longest = (size_t)pass->lengths[i];
    if (longest > SIZE_MAX / sizeof *pass->padded / n)
        return fail_memory();
    if (longest * n > pass->padded_room) {
        int32_t *larger = realloc(pass->padded, longest * n * sizeof *larger);
        if (!larger)
            return fail_memory();
        pass->padded = larger;
        pass->padded_room = longest * n;
    }
    for (size_t i = 0; i < n; i++) {
        int32_t *row = pass->padded + i * longest;
        const size_t length = (size_t)pass->lengths[i];
        memcpy(row, pass->items[i].tokens, length * sizeof *row);
        for (size_t t = length; t < longest; t++)
            row[t] = pass->work->pad_token;
        pass->items[i].tokens = row;
        pass->items[i].n_tokens = pass->lengths[i] = (int64_t)longest;
    }
    return STATUS_OK;
}

static int run_padded(struct pass *pass, const size_t *order, size_t n)
{
    load_step(pass, order, n);
    int status = pad_step(pass, n);
    if (status)
        return status;
    span_begin(pass);
    status = prefill(pass, NULL, order, n);
    span_end(pass);
    if (!status)
        drop_caches(pass, n);
    return status;
}

/* Runs the batches of the pass's order one after another. */
static int run_batches(struct pass *pass, int (*run)(struct pass *, const size_t *, size_t))
{
    const struct workload *work = pass->work;
    for (size_t b = 0; b < work->n_batches; b++) {
        const size_t first = b * work->batch_size;
        const size_t left = work->n_prompts - first;
        const size_t n = left < work->batch_size ? left : work->batch_size;
        if (interrupt_requested())
            return fail_interrupted();
        const int status = run(pass, pass->order + first, n);
        if (status)
            return status;
        progress_step(work->progress);
    }
    return STATUS_OK;
}

static int sort_order(struct pass *pass)
{
    span_begin(pass);
    const int status = sort_by_length(pass->work->lengths, pass->order, pass->work->n_prompts);
    span_end(pass);
    return status;
}

/*
 * Puts the prompts in the order of the bins and cuts it after every bin that brings the tokens to
 * the next n-th part, n being the number of batches. cuts: [n_batches + 1]; *n_steps: how many.
 */
static int order_by_bins(struct pass *pass, const pp_plan *plan, size_t *cuts, size_t *n_steps)
{
    pp_error err = {.struct_size = sizeof err};
    pp_plan_info info = {.struct_size = sizeof info};
    const size_t n_batches = pass->work->n_batches;
    if (pp_plan_get_info(plan, &info, &err) < 0)
        return fail_library(&err);
    size_t n = 0, steps = 0;
    int64_t tokens = 0;
    cuts[0] = 0;
    for (int64_t b = 0; b < info.n_bins; b++) {
        const int32_t *members;
        int64_t n_members, bin_tokens;
        if (pp_plan_get_bin(plan, b, &members, &n_members, &bin_tokens, &err) < 0)
            return fail_library(&err);
        for (int64_t i = 0; i < n_members; i++)
            pass->order[n++] = pass->work->order[members[i]];
        tokens += bin_tokens;
        const double share = (double)tokens / (double)info.tokens * (double)n_batches;
        if (b + 1 == info.n_bins || share >= (double)(steps + 1))
            cuts[++steps] = n;
        if (steps == n_batches && b + 1 < info.n_bins)
            steps--; /* rounding: the last step takes the rest */
    }
    *n_steps = steps;
    return STATUS_OK;
}

static int pack_all(struct pass *pass, size_t *cuts, size_t *n_steps)
{
    const struct workload *work = pass->work;
    pp_plan *plan = NULL;
    for (size_t i = 0; i < work->n_prompts; i++) {
        pass->prompts[i] = work->prompts->prompts[work->order[i]];
        pass->lengths[i] = work->lengths[work->order[i]];
    }
    span_begin(pass);
    int status = make_plan(pass, work->order, work->n_prompts, &plan);
    if (!status)
        status = order_by_bins(pass, plan, cuts, n_steps);
    span_end(pass);
    if (!status)
        status = add_plan_figures(pass, plan);
    pp_plan_destroy(plan);
    return status;
}

/* Puts prompts that begin alike beside one another, so that they meet in a step. */
static int sort_prefixes(struct pass *pass, size_t *cuts, size_t *n_steps)
{
    const struct workload *work = pass->work;
    span_begin(pass);
    const int status = order_by_prefix(work->prompts->prompts, work->share_prefixes, pass->order,
                                       work->n_prompts, work->n_batches, cuts, n_steps);
    span_end(pass);
    return status;
}

/* A step that was cut from all prompts; where prefixes are shared it gets a plan of its own. */
static int run_cut(struct pass *pass, const size_t *order, size_t n)
{
    if (pass->work->share_prefixes > 0)
        return run_packed(pass, order, n);
    load_step(pass, order, n);
    span_begin(pass);
    const int status = prefill(pass, NULL, order, n);
    span_end(pass);
    if (!status)
        drop_caches(pass, n);
    return status;
}

static int run_dataset(struct pass *pass)
{
    size_t n_steps = 0;
    size_t *cuts = calloc(pass->work->n_batches + 1, sizeof *cuts);
    if (!cuts)
        return fail_memory();
    int status = pass->work->share_prefixes > 0 ? sort_prefixes(pass, cuts, &n_steps)
                                                : pack_all(pass, cuts, &n_steps);
    for (size_t s = 0; s < n_steps && !status; s++) {
        status = interrupt_requested()
                     ? fail_interrupted()
                     : run_cut(pass, pass->order + cuts[s], cuts[s + 1] - cuts[s]);
        progress_step(pass->work->progress);
    }
    free(cuts);
    return status;
}

static int run_method(enum method method, struct pass *pass)
{
    const struct workload *work = pass->work;
    memcpy(pass->order, work->order, work->n_prompts * sizeof *pass->order);
    switch (method) {
    case METHOD_PREPACKING:
    case METHOD_SHARED:
        return run_batches(pass, run_packed);
    case METHOD_ORDERED: {
        const int status = sort_order(pass);
        return status ? status : run_batches(pass, run_padded);
    }
    case METHOD_DATASET:
        return run_dataset(pass);
    default:
        return run_batches(pass, run_padded);
    }
}

/* Runs or counts, with buffers of its own. */
static int walk(enum method method, struct pass *pass)
{
    const size_t n = pass->work->n_prompts;
    int status = STATUS_OK;
    pass->order = calloc(n, sizeof *pass->order);
    pass->items = calloc(n, sizeof *pass->items);
    pass->prompts = calloc(n, sizeof *pass->prompts);
    pass->lengths = calloc(n, sizeof *pass->lengths);
    *pass->figures = (struct pass_figures){0};
    if (!pass->order || !pass->items || !pass->prompts || !pass->lengths)
        status = fail_memory();
    else
        status = run_method(method, pass);
    free(pass->order);
    free(pass->items);
    free(pass->prompts);
    free(pass->lengths);
    free(pass->padded);
    return status;
}

int methods_run(enum method method, const struct workload *work, pp_session *session,
                const struct packers *packers, struct usage *usage, struct pass_figures *figures)
{
    pp_session_info before, after;
    struct pass pass = {.work = work,
                        .session = session,
                        .packer = packers_of(packers, method),
                        .usage = usage,
                        .figures = figures};
    int status = engine_session_info(session, &before);
    if (!status)
        status = walk(method, &pass);
    if (!status)
        status = engine_session_info(session, &after);
    if (status)
        return status;
    figures->tokens_computed = after.tokens_computed - before.tokens_computed;
    figures->passes = after.passes - before.passes;
    return STATUS_OK;
}

int methods_count(enum method method, const struct workload *work, const pp_session_info *info,
                  const struct packers *packers, struct needs *needs, struct pass_figures *figures)
{
    struct pass pass = {.work = work,
                        .info = info,
                        .needs = needs,
                        .packer = packers_of(packers, method),
                        .figures = figures};
    *needs = (struct needs){0};
    const int status = walk(method, &pass);
    figures->tokens_computed = needs->tokens;
    figures->passes = needs->passes;
    return status;
}

int methods_warm_up(const struct workload *work, pp_session *session)
{
    enum { MAX_PROMPTS = 4, MAX_TOKENS = 16 };
    pp_error err = {.struct_size = sizeof err, .index = -1};
    const pp_run_params params = run_params();
    pp_item items[MAX_PROMPTS];
    size_t n = 0;
    for (; n < MAX_PROMPTS && n < work->n_prompts; n++) {
        const pp_prompt *prompt = &work->prompts->prompts[work->order[n]];
        items[n] =
            (pp_item){.struct_size = sizeof *items,
                      .output = PP_OUTPUT_TOKEN,
                      .tokens = prompt->tokens,
                      .n_tokens = prompt->n_tokens < MAX_TOKENS ? prompt->n_tokens : MAX_TOKENS};
    }
    if (pp_run(session, NULL, items, (int64_t)n, &params, &err) < 0)
        return fail_call(work, work->order, n, &err);
    for (size_t i = 0; i < n; i++)
        pp_kvcache_destroy(items[i].cache);
    return STATUS_OK;
}
