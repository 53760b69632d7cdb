/* score_run.c: sequences as items: the tokens before the last target go in, and each target is
 * asked for in the row of the token before it. */
#include "score_run.h"
#include "interrupt.h"
#include "packed_run.h"
#include "say.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Room for a batch; what the last one left is lost. */
static int take_room(struct score_runner *runner, size_t n_scores, size_t n_items)
{
    if (n_scores > runner->scores_room) {
        const size_t n_top = n_scores * (size_t)(runner->n_top > 0 ? runner->n_top : 1);
        score_runner_close(runner);
        runner->scores = calloc(n_scores, sizeof *runner->scores);
        runner->top_tokens = calloc(n_top, sizeof *runner->top_tokens);
        runner->top_logprobs = calloc(n_top, sizeof *runner->top_logprobs);
        if (!runner->scores || !runner->top_tokens || !runner->top_logprobs)
            return fail_memory();
        runner->scores_room = n_scores;
    }
    if (n_items > runner->items_room) {
        free(runner->items);
        free(runner->leaders);
        runner->items = calloc(n_items, sizeof *runner->items);
        runner->leaders = calloc(n_items, sizeof *runner->leaders);
        runner->items_room = n_items;
    }
    return runner->items && runner->leaders ? STATUS_OK : fail_memory();
}

static const int32_t *tokens_of(const struct score_work *work, const struct sequence *sequence)
{
    return work->tokens + sequence->first;
}

/* Whether the model sees the same tokens of both. */
static bool sees_same(const struct score_work *work, const struct sequence *a,
                      const struct sequence *b)
{
    return a->n_tokens == b->n_tokens &&
           memcmp(tokens_of(work, a), tokens_of(work, b),
                  (size_t)(a->n_tokens - 1) * sizeof *work->tokens) == 0;
}

static void ask(const struct score_work *work, const struct sequence *sequence, pp_score *scores)
{
    const int32_t *tokens = tokens_of(work, sequence);
    const int64_t first = sequence->n_tokens - sequence->n_targets;
    for (int64_t t = 0; t < sequence->n_targets; t++)
        scores[t] = (pp_score){.token = first + t - 1, .target = tokens[first + t]};
}

/* Lays the sequences out as items; the number of those. */
static int64_t lay_out(struct score_runner *runner, size_t first, size_t n)
{
    const struct score_work *work = runner->work;
    size_t offset = 0;
    int64_t n_items = 0;
    for (size_t i = first; i < first + n; i++) {
        const struct sequence *sequence = &work->sequences[i];
        ask(work, sequence, runner->scores + offset);
        if (i > first && runner->share && sees_same(work, sequence, sequence - 1)) {
            runner->items[n_items - 1].n_scores += sequence->n_targets;
        } else {
            runner->leaders[n_items] = i;
            runner->items[n_items++] =
                (pp_item){.struct_size = sizeof(pp_item),
                          .output = PP_OUTPUT_NONE,
                          .tokens = tokens_of(work, sequence),
                          .n_tokens = sequence->n_tokens - 1,
                          .discard_cache = 1,
                          .scores = runner->scores + offset,
                          .n_scores = sequence->n_targets,
                          .n_top = runner->n_top,
                          .top_tokens = runner->top_tokens + offset * (size_t)runner->n_top,
                          .top_logprobs = runner->top_logprobs + offset * (size_t)runner->n_top};
        }
        offset += (size_t)sequence->n_targets;
    }
    return n_items;
}

/* The record of sequence i. */
static size_t record_of(const struct score_work *work, size_t i)
{
    size_t r = 0;
    while (r + 1 < work->n_records && work->records[r + 1].first_sequence <= i)
        r++;
    return r;
}

static int fail_run(const struct score_runner *runner, int64_t n_items, const pp_error *err)
{
    char name[512];
    if (err->index < 0 || err->index >= n_items || err->code == PP_ERR_CANCELLED)
        return fail_library(err);
    work_name_record(runner->work, record_of(runner->work, runner->leaders[err->index]), name,
                     sizeof name);
    return fail("%s: %s", name, err->message);
}

/* A model whose weights are broken. */
static int check_numbers(const struct score_runner *runner, size_t first, size_t n)
{
    char name[512];
    const pp_score *score = runner->scores;
    for (size_t i = first; i < first + n; i++)
        for (int64_t t = 0; t < runner->work->sequences[i].n_targets; t++, score++) {
            if (!isnan(score->logprob))
                continue;
            work_name_record(runner->work, record_of(runner->work, i), name, sizeof name);
            return fail("%s: the log-probability of a token is not a number", name);
        }
    return STATUS_OK;
}

int score_run(struct score_runner *runner, size_t first, size_t n)
{
    pp_error err = {.struct_size = sizeof err, .index = -1};
    pp_run_params params;
    size_t n_scores = 0;
    for (size_t i = first; i < first + n; i++)
        n_scores += (size_t)runner->work->sequences[i].n_targets;
    const int status = take_room(runner, n_scores, n);
    if (status)
        return status;
    pp_run_params_init(&params, sizeof params);
    params.cancel = interrupt_token();
    const int64_t n_items = lay_out(runner, first, n);
    if (packed_run(runner->session, runner->packer, runner->items, n_items, &params, &err) < 0)
        return fail_run(runner, n_items, &err);
    return check_numbers(runner, first, n);
}

struct sequence_scores score_figures(const struct score_runner *runner, size_t i, size_t offset)
{
    const size_t top = offset * (size_t)runner->n_top;
    return (struct sequence_scores){.scores = runner->scores + offset,
                                    .n = runner->work->sequences[i].n_targets,
                                    .n_top = runner->n_top,
                                    .top_tokens = runner->top_tokens + top,
                                    .top_logprobs = runner->top_logprobs + top};
}

void score_runner_close(struct score_runner *runner)
{
    free(runner->scores);
    free(runner->top_tokens);
    free(runner->top_logprobs);
    free(runner->items);
    free(runner->leaders);
    runner->leaders = NULL;
    runner->scores = NULL;
    runner->top_tokens = NULL;
    runner->top_logprobs = NULL;
    runner->items = NULL;
    runner->scores_room = runner->items_room = 0;
}
