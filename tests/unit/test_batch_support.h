/*
 * test_batch_support.h: random prompts, their plan and a batch of some of its bins.
 */
#ifndef TEST_BATCH_SUPPORT_H
#define TEST_BATCH_SUPPORT_H

#include "test_plan_support.h"

#define MAX_PROMPTS  40
#define MAX_LENGTH   70
#define MAX_CAPACITY 160

/* Prompts with random tokens, and a plan of their lengths. */
struct sample {
    size_t n;
    int64_t lengths[MAX_PROMPTS];
    int32_t tokens[MAX_PROMPTS][MAX_LENGTH];
    pp_prompt prompts[MAX_PROMPTS];
    pp_plan *plan;
    int64_t n_bins;
};

static inline void draw_sample(struct sample *sample, uint64_t *random, size_t n)
{
    sample->n = n;
    int64_t longest = random_between(random, 1, MAX_LENGTH);
    for (size_t i = 0; i < n; i++) {
        sample->lengths[i] = random_between(random, 1, longest);
        for (int64_t j = 0; j < sample->lengths[i]; j++)
            sample->tokens[i][j] = (int32_t)next_random(random); /* any value: not inspected */
        sample->prompts[i] =
            (pp_prompt){.tokens = sample->tokens[i], .n_tokens = sample->lengths[i]};
    }
    int32_t policy = (int32_t)random_between(random, PP_POLICY_FFD, PP_POLICY_ARRIVAL);
    sample->plan =
        make_plan(policy, random_between(random, longest, MAX_CAPACITY), sample->lengths, n);
    sample->n_bins = plan_info(sample->plan).n_bins;
}

static inline pp_batch_params batch_params(int32_t layout, int64_t first_bin, int64_t n_bins)
{
    pp_batch_params params;
    pp_batch_params_init(&params, sizeof params);
    params.layout = layout;
    params.first_bin = first_bin;
    params.n_bins = n_bins;
    return params;
}

static inline pp_batch *make_batch(const struct sample *sample, const pp_batch_params *params)
{
    pp_batch *batch = NULL;
    pp_error err = {.struct_size = sizeof err};
    if (pp_batch_build(sample->plan, sample->prompts, sample->n, params, &batch, &err) != PP_OK)
        ck_abort_msg("%s", err.message);
    return batch;
}

static inline pp_batch_view batch_view(const pp_batch *batch)
{
    pp_batch_view view = {.struct_size = sizeof view};
    assert_that(pp_batch_get_view(batch, &view, NULL) == PP_OK);
    return view;
}

/* Which prompt and which of its positions a slot of the batch holds; prompt -1: a pad. */
struct slot {
    int32_t prompt;
    int32_t position;
};

/* What the slots of bins first_bin, first_bin + 1, ... hold by definition: bin by bin, prompt by
 * prompt; row_len 0: ragged. Returns the number of tokens. */
static inline int64_t define_slots(const struct sample *sample, int64_t first_bin, int64_t n_bins,
                                   int64_t row_len, struct slot *slots)
{
    int64_t next = 0;
    int64_t n_tokens = 0;
    for (int64_t i_bin = 0; i_bin < n_bins; i_bin++) {
        const int32_t *prompts;
        int64_t n_prompts;
        assert_that(pp_plan_get_bin(sample->plan, first_bin + i_bin, &prompts, &n_prompts, NULL,
                                    NULL) == PP_OK);
        for (int64_t i = 0; i < n_prompts; i++)
            for (int32_t p = 0; p < sample->lengths[prompts[i]]; p++, n_tokens++)
                slots[next++] = (struct slot){.prompt = prompts[i], .position = p};
        while (row_len > 0 && next < (i_bin + 1) * row_len)
            slots[next++] = (struct slot){.prompt = -1};
    }
    return n_tokens;
}

#endif
