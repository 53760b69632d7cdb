/* continue.c: one packed prefill, then decoding steps of all prompts that are not done yet. */
#include "continue.h"
#include "cancel.h"
#include "say.h"

#include <stdbool.h>
#include <stdlib.h>

/* The prompts of a group that still run; the i-th of them is prompt ids[i]. */
struct group {
    const pp_prompt *prompts;
    size_t first_index; /* of prompts[0] in the run */
    struct continuation *items;
    struct rng *rngs;    /* [n] by prompt */
    pp_kvcache **caches; /* [n_running] */
    int32_t *next;       /* [n_running] tokens to decode */
    uint64_t *seeds;     /* [n_running] of what the device draws */
    size_t *ids;         /* [n_running] */
    size_t n_running;
};

/* Most tokens for a prompt: a token that is generated last needs no place in the cache. */
static size_t limit_of(const struct continuer *continuer, const pp_prompt *prompt)
{
    const int64_t places = continuer->max_position - prompt->n_tokens + 1;
    return (size_t)(places < continuer->max_new_tokens ? places : continuer->max_new_tokens);
}

static int fail_no_numbers(const struct continuer *continuer, size_t index)
{
    char name[512];
    dataset_name_prompt(continuer->dataset, index, name, sizeof name);
    return fail("the model computed no finite logits for %s", name);
}

/* For a call over prompts of the group that failed over one of them; ids: which they were, NULL:
 * all. */
static int fail_call(const struct continuer *continuer, const struct group *group,
                     const size_t *ids, size_t n, const pp_error *err)
{
    if (err->index < 0 || (size_t)err->index >= n)
        return fail_library(err);
    const size_t place = (size_t)err->index;
    return dataset_fail_library(continuer->dataset, group->first_index + (ids ? ids[place] : place),
                                err);
}

/* Picks the next token of each running prompt. */
static int pick_tokens(struct continuer *continuer, struct group *group, const float *logits)
{
    const size_t vocab_size = (size_t)continuer->sampler->vocab_size;
    for (size_t i = 0; i < group->n_running; i++) {
        const size_t id = group->ids[i];
        group->next[i] =
            sampler_pick(continuer->sampler, logits + i * vocab_size, &group->rngs[id]);
        if (group->next[i] < 0)
            return fail_no_numbers(continuer, group->first_index + id);
    }
    return STATUS_OK;
}

static bool is_end(const struct continuer *continuer, int32_t token)
{
    for (int i = 0; i < continuer->n_end_tokens; i++)
        if (continuer->end_tokens[i] == token)
            return true;
    return false;
}

/* Takes the tokens picked and lets the prompts go that are done. */
static void take_tokens(struct continuer *continuer, struct group *group)
{
    size_t n_left = 0;
    for (size_t i = 0; i < group->n_running; i++) {
        const size_t id = group->ids[i];
        struct continuation *item = &group->items[id];
        const int32_t token = group->next[i];
        item->ended = is_end(continuer, token);
        if (!item->ended)
            item->tokens[item->n_tokens++] = token;
        if (item->ended || item->n_tokens == limit_of(continuer, &group->prompts[id])) {
            pp_kvcache_destroy(group->caches[i]);
            progress_step(continuer->progress);
            continue;
        }
        group->caches[n_left] = group->caches[i];
        group->next[n_left] = token;
        group->seeds[n_left] = group->seeds[i];
        group->ids[n_left++] = id;
    }
    group->n_running = n_left;
}

/* The device draws from all tokens only; what it hands over then are tokens, not logits. */
static bool draws_on_device(const struct continuer *continuer)
{
    return continuer->sampler->temperature > 0 && continuer->sampler->top_p >= 1;
}

static pp_sample_params sample_params(const struct continuer *continuer, const struct group *group)
{
    pp_sample_params params;
    pp_sample_params_init(&params, sizeof params);
    params.temperature = (float)continuer->sampler->temperature;
    params.seeds = group->seeds;
    return params;
}

/* The caches of all prompts and their first tokens. Greedy ones are picked from logits here, which
 * shows a model that computes no numbers. */
static int prefill_prompts(struct continuer *continuer, struct group *group, const pp_plan *plan,
                           size_t n)
{
    pp_error err = {.struct_size = sizeof err, .index = -1};
    const bool draws = draws_on_device(continuer);
    const pp_sample_params params = sample_params(continuer, group);
    const float *logits = NULL;
    pp_status done;
    if (draws)
        done = pp_prefill_sample(continuer->session, plan, group->prompts, n, &params,
                                 group->caches, group->next, &err);
    else
        done =
            pp_prefill(continuer->session, plan, group->prompts, n, group->caches, &logits, &err);
    if (done < 0)
        return fail_call(continuer, group, NULL, n, &err);
    for (size_t i = 0; i < n; i++)
        group->ids[i] = i;
    group->n_running = n;
    return draws ? STATUS_OK : pick_tokens(continuer, group, logits);
}

static int prefill_group(struct continuer *continuer, struct group *group, size_t n)
{
    pp_error err = {.struct_size = sizeof err, .index = -1};
    pp_plan *plan = NULL;
    if (continuer->packer) {
        int64_t *lengths = calloc(n, sizeof *lengths);
        if (!lengths)
            return fail_memory();
        for (size_t i = 0; i < n; i++)
            lengths[i] = group->prompts[i].n_tokens;
        const pp_status done = pp_packer_plan(continuer->packer, lengths, n, &plan, &err);
        free(lengths);
        if (done < 0)
            return fail_call(continuer, group, NULL, n, &err);
    }
    const int status = prefill_prompts(continuer, group, plan, n);
    pp_plan_destroy(plan);
    return status;
}

/* One more token for each running prompt. */
static int decode_step(struct continuer *continuer, struct group *group)
{
    pp_error err = {.struct_size = sizeof err, .index = -1};
    const size_t n = group->n_running;
    if (continuer->sampler->temperature == 0 || draws_on_device(continuer)) {
        const pp_sample_params params = sample_params(continuer, group);
        if (pp_decode_sample(continuer->session, group->caches, group->next, n, &params,
                             group->next, &err) < 0)
            return fail_call(continuer, group, group->ids, n, &err);
        return STATUS_OK;
    }
    const float *logits;
    if (pp_decode(continuer->session, group->caches, group->next, n, &logits, &err) < 0)
        return fail_call(continuer, group, group->ids, n, &err);
    return pick_tokens(continuer, group, logits);
}

static int decode_group(struct continuer *continuer, struct group *group)
{
    for (;;) {
        take_tokens(continuer, group);
        if (group->n_running == 0)
            return STATUS_OK;
        if (cancel_requested())
            return fail_interrupted();
        const int status = decode_step(continuer, group);
        if (status)
            return status;
    }
}

static int start_items(struct continuer *continuer, struct group *group, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const size_t limit = limit_of(continuer, &group->prompts[i]);
        group->items[i].tokens = calloc(limit, sizeof *group->items[i].tokens);
        if (!group->items[i].tokens)
            return fail_memory();
        rng_start(&group->rngs[i], continuer->seed, group->first_index + i);
        struct rng copy = group->rngs[i];
        group->seeds[i] = rng_next(&copy);
    }
    return STATUS_OK;
}

int continue_group(struct continuer *continuer, const pp_prompt *prompts, size_t n,
                   size_t first_index, struct continuation *items)
{
    struct group group = {.prompts = prompts,
                          .first_index = first_index,
                          .items = items,
                          .rngs = calloc(n, sizeof *group.rngs),
                          .caches = calloc(n, sizeof(pp_kvcache *)),
                          .next = calloc(n, sizeof *group.next),
                          .seeds = calloc(n, sizeof *group.seeds),
                          .ids = calloc(n, sizeof *group.ids)};
    int status;
    if (!group.rngs || !group.caches || !group.next || !group.seeds || !group.ids)
        status = fail_memory();
    else
        status = start_items(continuer, &group, n);
    if (!status)
        status = prefill_group(continuer, &group, n);
    if (!status)
        status = decode_group(continuer, &group);
    for (size_t i = 0; i < group.n_running; i++)
        pp_kvcache_destroy(group.caches[i]);
    free(group.rngs);
    free(group.caches);
    free(group.next);
    free(group.seeds);
    free(group.ids);
    return status;
}
