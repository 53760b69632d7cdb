/* continue.c: one packed run of whole prompts, then runs of a token each of those that are not done
 * yet. */
#include "continue.h"
#include "interrupt.h"
#include "packed_run.h"
#include "random.h"
#include "say.h"

#include <stdbool.h>
#include <stdlib.h>

/* The prompts of a group that still run; the i-th of them is prompt ids[i]. */
struct group {
    const pp_prompt *prompts;
    size_t first_index; /* of prompts[0] in the run */
    struct continuation *continuations;
    pp_item *running; /* [n_running] */
    int32_t *last;    /* [n] by prompt: the token to go on with */
    size_t *ids;      /* [n_running] */
    size_t n_running;
};

/* Most tokens for a prompt: a token that is generated last needs no place in the cache. */
static size_t limit_of(const struct continuer *continuer, const pp_prompt *prompt)
{
    const int64_t places = continuer->max_position - prompt->n_tokens + 1;
    return (size_t)(places < continuer->max_new_tokens ? places : continuer->max_new_tokens);
}

/* For a call over the running prompts that failed over one of them. */
static int fail_call(const struct continuer *continuer, const struct group *group,
                     const pp_error *err)
{
    if (err->index < 0 || (size_t)err->index >= group->n_running)
        return fail_library(err);
    return dataset_fail_library(continuer->dataset, group->first_index + group->ids[err->index],
                                err);
}

/* The next token of each running prompt; pack: they are whole prompts. */
static int run(const struct continuer *continuer, struct group *group, bool pack)
{
    pp_error err = {.struct_size = sizeof err, .index = -1};
    const int64_t n = (int64_t)group->n_running;
    pp_run_params params;
    pp_run_params_init(&params, sizeof params);
    params.cancel = interrupt_token();
    const pp_status done =
        pack ? packed_run(continuer->session, continuer->packer, group->running, n, &params, &err)
             : pp_run(continuer->session, NULL, group->running, n, &params, &err);
    return done < 0 ? fail_call(continuer, group, &err) : STATUS_OK;
}

static bool is_end(const struct continuer *continuer, int32_t token)
{
    for (int i = 0; i < continuer->n_end_tokens; i++)
        if (continuer->end_tokens[i] == token)
            return true;
    return false;
}

/* Takes the tokens drawn and lets the prompts go that are done; the others go on with theirs. */
static int take_tokens(struct continuer *continuer, struct group *group)
{
    size_t n_left = 0;
    int status = STATUS_OK;
    for (size_t i = 0; i < group->n_running; i++) {
        const size_t id = group->ids[i];
        pp_item item = group->running[i];
        struct continuation *continuation = &group->continuations[id];
        continuation->ended = is_end(continuer, item.next);
        if (!continuation->ended)
            continuation->tokens[continuation->n_tokens++] = item.next;
        if (!continuation->ended && !status && continuer->live)
            status = live_text_push(continuer->live, item.next);
        if (continuation->ended ||
            continuation->n_tokens == limit_of(continuer, &group->prompts[id])) {
            pp_kvcache_destroy(item.cache);
            progress_step(continuer->progress);
            continue;
        }
        group->last[id] = item.next;
        item.tokens = &group->last[id];
        item.n_tokens = 1;
        group->running[n_left] = item;
        group->ids[n_left++] = id;
    }
    group->n_running = n_left;
    return status;
}

static int start(const struct continuer *continuer, struct group *group, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const pp_prompt *prompt = &group->prompts[i];
        struct continuation *continuation = &group->continuations[i];
        struct rng rng;
        continuation->tokens = calloc(limit_of(continuer, prompt), sizeof *continuation->tokens);
        if (!continuation->tokens)
            return fail_memory();
        rng_start(&rng, continuer->seed, group->first_index + i);
        group->ids[i] = i;
        group->running[i] = continuer->drawing;
        group->running[i].tokens = prompt->tokens;
        group->running[i].n_tokens = prompt->n_tokens;
        group->running[i].seed = rng_next(&rng);
    }
    group->n_running = n;
    return STATUS_OK;
}

int continue_group(struct continuer *continuer, const pp_prompt *prompts, size_t n,
                   size_t first_index, struct continuation *items)
{
    struct group group = {.prompts = prompts,
                          .first_index = first_index,
                          .continuations = items,
                          .running = calloc(n, sizeof *group.running),
                          .last = calloc(n, sizeof *group.last),
                          .ids = calloc(n, sizeof *group.ids)};
    int status;
    if (!group.running || !group.last || !group.ids)
        status = fail_memory();
    else
        status = start(continuer, &group, n);
    if (!status)
        status = run(continuer, &group, continuer->packer != NULL);
    if (!status)
        status = take_tokens(continuer, &group);
    while (!status && group.n_running > 0) {
        status = run(continuer, &group, false);
        if (!status)
            status = take_tokens(continuer, &group);
    }
    for (size_t i = 0; i < group.n_running; i++)
        pp_kvcache_destroy(group.running[i].cache);
    free(group.running);
    free(group.last);
    free(group.ids);
    return status;
}
