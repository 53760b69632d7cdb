/*
 * test_plan_sharing.c: plans with parts of prompts case by case: what is shared and what is not,
 * where prompts are cut, what is refused and how, what it costs, memory that runs out.
 */
#include "test_plan_support.h"

#define MAX_N     4000
#define MAX_LEN   2000
#define UNTOUCHED ((void *)0x5a5a)

/* ---- prompts ---- */

static struct {
    struct flat_params params;
    pp_prompt prompts[MAX_N];
    int64_t lengths[MAX_N];
    int32_t tokens[MAX_N * 128];
    int64_t n, n_tokens;
} batch;

static void new_batch(int64_t capacity)
{
    memset(&batch, 0, sizeof batch);
    flat_init(&batch.params);
    batch.params.capacity = capacity;
    batch.params.min_shared_prefix = 16;
}

/* Adds the first n_shared tokens of an earlier prompt and n_own that no other prompt has. */
static void add_prompt(int64_t from, int64_t n_shared, int64_t n_own)
{
    int32_t *tokens = batch.tokens + batch.n_tokens;
    if (n_shared > 0)
        memcpy(tokens, batch.prompts[from].tokens, (size_t)n_shared * sizeof *tokens);
    for (int64_t i = n_shared; i < n_shared + n_own; i++)
        tokens[i] = (int32_t)(batch.n_tokens + i);
    batch.lengths[batch.n] = n_shared + n_own;
    batch.prompts[batch.n] = (pp_prompt){tokens, n_shared + n_own};
    batch.n++;
    batch.n_tokens += n_shared + n_own;
}

static pp_plan_input whole_input(void)
{
    return (pp_plan_input){.struct_size = sizeof(pp_plan_input),
                           .n = batch.n,
                           .lengths = batch.lengths,
                           .prompts = batch.prompts};
}

static pp_plan *plan_batch(void)
{
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    pp_error err = {.struct_size = sizeof err};
    pp_plan_input input = whole_input();
    if (flat_create(&batch.params, &packer, &err) < 0 ||
        pp_packer_plan_input(packer, &input, &plan, &err) < 0)
        ck_abort_msg("%s", err.message);
    pp_packer_destroy(packer);
    return plan;
}

static pp_segment segment_of(const pp_plan *plan, int64_t i)
{
    pp_segment segment;
    ck_assert_int_eq(pp_plan_get_segment(plan, i, &segment, NULL), PP_OK);
    return segment;
}

static void assert_segment(const pp_plan *plan, int64_t i, int32_t prompt, int64_t first_token,
                           int64_t n_tokens, int64_t after)
{
    pp_segment segment = segment_of(plan, i);
    ck_assert_int_eq(segment.prompt, prompt);
    ck_assert_int_eq(segment.first_token, first_token);
    ck_assert_int_eq(segment.n_tokens, n_tokens);
    ck_assert_int_eq(segment.after, after);
}

/* ---- what is shared ---- */

START_TEST(few_shot_headers)
{
    enum { N_HEADERS = 8, N_QUESTIONS = 40, HEADER = 60 };
    new_batch(300);
    int64_t placed = N_HEADERS * HEADER;
    for (int64_t i = 0; i < N_HEADERS * N_QUESTIONS; i++) {
        int64_t own = 10 + i * 7 % 30;
        placed += own;
        if (i < N_HEADERS)
            add_prompt(0, 0, HEADER + own);
        else
            add_prompt(i % N_HEADERS, HEADER, own);
    }
    pp_plan *plan = plan_batch();
    pp_plan_info info = plan_info(plan);
    ck_assert_int_eq(info.n_segments, N_HEADERS * (N_QUESTIONS + 1));
    ck_assert_int_eq(info.tokens, batch.n_tokens);
    ck_assert_int_eq(info.placed_tokens, placed);
    ck_assert_int_eq(info.lower_bound, (placed + 299) / 300);
    ck_assert_int_eq(info.n_bins, info.lower_bound);
    ck_assert_int_eq(info.proven_optimal, 1);
    pp_plan_destroy(plan);
    batch.params.min_shared_prefix = 0;
    plan = plan_batch();
    ck_assert_int_gt(plan_info(plan).n_bins, 2 * info.n_bins);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(identical_prompts)
{
    new_batch(100);
    add_prompt(0, 0, 30);
    for (int i = 0; i < 4; i++)
        add_prompt(0, 30, 0);
    pp_plan *plan = plan_batch();
    pp_plan_info info = plan_info(plan);
    ck_assert_int_eq(info.n_segments, 1);
    ck_assert_int_eq(info.tokens, 150);
    ck_assert_int_eq(info.placed_tokens, 30);
    ck_assert_int_eq(info.n_bins, 1);
    int64_t ends[5] = {9, 9, 9, 9, 9};
    ck_assert_int_eq(pp_plan_get_ends(plan, ends, 5, NULL), PP_OK);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(ends[i], 0);
    assert_segment(plan, 0, 0, 0, 30, -1);
    pp_plan_destroy(plan);

    batch.params.min_shared_prefix = 31; /* more than they have */
    plan = plan_batch();
    info = plan_info(plan);
    ck_assert_int_eq(info.n_segments, 5);
    ck_assert_int_eq(info.placed_tokens, 150);
    pp_plan_destroy(plan);

    /* with a header, and questions below min_prefix: the whole is long enough */
    new_batch(60);
    for (int i = 0; i < 6; i++)
        add_prompt(0, i == 0 ? 0 : 40, i == 0 ? 44 : 4);
    for (int i = 0; i < 6; i++)
        add_prompt(i, 44, 0);
    plan = plan_batch();
    info = plan_info(plan);
    ck_assert_int_eq(info.n_segments, 7);
    ck_assert_int_eq(info.placed_tokens, 40 + 6 * 4);
    ck_assert_int_eq(info.n_bins, 2);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(one_prompt_begins_another)
{
    new_batch(30);
    add_prompt(0, 0, 30);
    add_prompt(0, 20, 0);
    pp_plan *plan = plan_batch();
    ck_assert_int_eq(plan_info(plan).placed_tokens, 30);
    ck_assert_int_eq(plan_info(plan).n_bins, 2);
    int64_t ends[2];
    ck_assert_int_eq(pp_plan_get_ends(plan, ends, 2, NULL), PP_OK);
    ck_assert_int_eq(ends[0], 1);
    ck_assert_int_eq(ends[1], 0);
    assert_segment(plan, 0, 0, 0, 20, -1);
    assert_segment(plan, 1, 0, 20, 10, 0);
    pp_plan_destroy(plan);

    /* one bin holds both: sharing would need two */
    batch.params.capacity = 50;
    plan = plan_batch();
    ck_assert_int_eq(plan_info(plan).n_bins, 1);
    ck_assert_int_eq(plan_info(plan).placed_tokens, 50);
    ck_assert_int_eq(plan_info(plan).n_segments, 2);
    ck_assert_int_eq(plan_info(plan).lower_bound, 1);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(short_prefixes_are_not_shared)
{
    for (int64_t common = 15; common <= 16; common++) {
        new_batch(20);
        for (int i = 0; i < 3; i++)
            add_prompt(0, i == 0 ? 0 : common, i == 0 ? 20 : 20 - common);
        pp_plan *plan = plan_batch();
        ck_assert_int_eq(plan_info(plan).placed_tokens, common == 16 ? 16 + 3 * 4 : 60);
        ck_assert_int_eq(plan_info(plan).n_bins, common == 16 ? 2 : 3);
        pp_plan_destroy(plan);
    }
}
END_TEST

/* All begin alike, two halves go on alike, and in each two pairs do. */
START_TEST(prefixes_of_prefixes)
{
    new_batch(64);
    add_prompt(0, 0, 80);
    add_prompt(0, 60, 20);
    add_prompt(0, 40, 40);
    add_prompt(2, 60, 20);
    add_prompt(0, 20, 60);
    add_prompt(4, 60, 20);
    add_prompt(4, 40, 40);
    add_prompt(6, 60, 20);
    batch.params.oversize = PP_OVERSIZE_SPLIT;
    pp_plan *plan = plan_batch();
    pp_plan_info info = plan_info(plan);
    ck_assert_int_eq(info.placed_tokens, 20 + 2 * 20 + 4 * 20 + 8 * 20);
    ck_assert_int_eq(info.n_segments, 15);
    int64_t ends[8], steps = 0;
    ck_assert_int_eq(pp_plan_get_ends(plan, ends, 8, NULL), PP_OK);
    for (int64_t at = ends[7]; at >= 0; at = segment_of(plan, at).after)
        steps++;
    ck_assert_int_eq(steps, 4);
    pp_plan_destroy(plan);
}
END_TEST

/* Each prompt goes on where the one before ended: as many steps as prompts, unless fewer levels
 * are shared. */
START_TEST(a_long_conversation)
{
    new_batch(0);
    add_prompt(0, 0, 16);
    for (int i = 1; i < 100; i++)
        add_prompt(i - 1, 16 * i, 16);
    pp_plan *plan = plan_batch();
    batch.params.min_shared_prefix = 0;
    pp_plan *plain = plan_batch();
    ck_assert_int_eq(plan_info(plan).capacity, 1600);
    ck_assert_int_lt(plan_info(plan).n_bins, plan_info(plain).n_bins);
    ck_assert_int_lt(plan_info(plan).placed_tokens, batch.n_tokens);
    ck_assert_int_gt(plan_info(plan).placed_tokens, 1600);
    pp_plan_destroy(plan);
    pp_plan_destroy(plain);
}
END_TEST

START_TEST(many_prompts)
{
    enum { N = 4000 };
    new_batch(512);
    int64_t placed = 100;
    for (int64_t i = 0; i < N; i++) {
        add_prompt(0, i == 0 ? 0 : 100, i == 0 ? 120 : 1 + i % 27);
        placed += i == 0 ? 20 : 1 + i % 27;
    }
    pp_plan *plan = plan_batch();
    ck_assert_int_eq(plan_info(plan).placed_tokens, placed);
    ck_assert_int_eq(plan_info(plan).n_segments, N + 1);
    ck_assert_int_le(plan_info(plan).n_bins, plan_info(plan).lower_bound + 1);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(nothing)
{
    new_batch(10);
    pp_plan *plan = plan_batch();
    ck_assert_int_eq(plan_info(plan).n_bins, 0);
    ck_assert_int_eq(plan_info(plan).n_segments, 0);
    pp_plan_destroy(plan);
    batch.params.oversize = PP_OVERSIZE_SPLIT;
    pp_packer *packer;
    ck_assert_int_eq(flat_create(&batch.params, &packer, NULL), PP_OK);
    ck_assert_int_eq(pp_packer_plan(packer, NULL, 0, &plan, NULL), PP_OK);
    ck_assert_int_eq(plan_info(plan).n_bins, 0);
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
}
END_TEST

/* ---- where prompts are cut ---- */

static pp_plan *split(int64_t capacity, int64_t max_prompts, const int64_t *lengths, size_t n)
{
    struct flat_params params;
    flat_init(&params);
    params.capacity = capacity;
    params.max_prompts = max_prompts;
    params.oversize = PP_OVERSIZE_SPLIT;
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    pp_error err = {.struct_size = sizeof err};
    if (flat_create(&params, &packer, &err) < 0 ||
        pp_packer_plan(packer, lengths, n, &plan, &err) < 0)
        ck_abort_msg("%s", err.message);
    pp_packer_destroy(packer);
    return plan;
}

START_TEST(chunks)
{
    pp_plan *plan = split(10, 0, (const int64_t[]){25}, 1);
    ck_assert_int_eq(plan_info(plan).n_bins, 3);
    ck_assert_int_eq(plan_info(plan).proven_optimal, 1);
    ck_assert_int_eq(plan_info(plan).longest_prompt, 25);
    assert_segment(plan, 0, 0, 0, 10, -1);
    assert_segment(plan, 1, 0, 10, 10, 0);
    assert_segment(plan, 2, 0, 20, 5, 1);
    pp_plan_destroy(plan);

    /* whole bins leave 5, which fits beside neither 6 */
    plan = split(10, 0, (const int64_t[]){15, 6, 6}, 3);
    ck_assert_int_eq(plan_info(plan).n_bins, 3);
    ck_assert_int_eq(plan_info(plan).proven_optimal, 1);
    pp_plan_destroy(plan);

    /* 25 needs two bins more; the rest goes into the largest gaps, not into every one */
    plan = split(10, 0, (const int64_t[]){25, 6, 6, 9, 9, 9}, 6);
    ck_assert_int_eq(plan_info(plan).n_bins, 7);
    ck_assert_int_eq(plan_info(plan).n_segments, 5 + 4);
    pp_plan_destroy(plan);

    /* nothing to cut: an ordinary plan */
    plan = split(10, 0, (const int64_t[]){10, 3, 7}, 3);
    ck_assert_int_eq(plan_info(plan).n_bins, 2);
    ck_assert_int_eq(plan_info(plan).n_segments, 3);
    pp_plan_destroy(plan);

    /* one prompt a bin: 15 takes two, whatever room the others leave */
    plan = split(10, 1, (const int64_t[]){15, 6, 1}, 3);
    ck_assert_int_eq(plan_info(plan).n_bins, 4);
    ck_assert_int_eq(plan_info(plan).max_bin_prompts, 1);
    pp_plan_destroy(plan);
}
END_TEST

/* Long prompts that fill what the others leave need no bin more than their tokens do. */
START_TEST(full_bins)
{
    uint64_t random = 7;
    for (int k = 0; k < 500; k++) {
        int64_t lengths[40], tokens = 0;
        size_t n = (size_t)random_between(&random, 4, 40);
        for (size_t i = 0; i < n; i++) {
            lengths[i] =
                i < n / 4 ? random_between(&random, 101, 900) : random_between(&random, 1, 100);
            tokens += lengths[i];
        }
        /* enough to fill a bin for each of the others */
        tokens += lengths[n / 4] = 101 * (int64_t)n - lengths[n / 4];
        tokens = 0;
        for (size_t i = 0; i < n; i++)
            tokens += lengths[i];
        pp_plan *plan = split(100, 0, lengths, n);
        ck_assert_int_eq(plan_info(plan).n_bins, (tokens + 99) / 100);
        pp_plan_destroy(plan);
    }
}
END_TEST

START_TEST(costs_add_up)
{
    pp_cost_model cost;
    pp_cost_init(&cost, sizeof cost);
    cost.per_token = 0;
    cost.per_square = 1;
    new_batch(30);
    batch.params.cost = &cost;
    batch.params.oversize = PP_OVERSIZE_SPLIT;
    add_prompt(0, 0, 100);
    pp_plan *plan = plan_batch(); /* each part sees what was before it */
    pp_plan_info info = plan_info(plan);
    ck_assert_int_eq(info.n_bins, 4);
    ck_assert_double_eq_tol(info.mean_cost * 4, 100.0 * 100, 1e-6);
    pp_plan_destroy(plan);
    new_batch(60);
    batch.params.cost = &cost;
    add_prompt(0, 0, 60);
    add_prompt(0, 40, 20);
    plan = plan_batch();
    info = plan_info(plan);
    ck_assert_int_eq(info.n_bins, 2);
    ck_assert_double_eq_tol(info.mean_cost * 2, 60.0 * 60 * 2 - 40 * 40, 1e-6);
    pp_plan_destroy(plan);
}
END_TEST

/* ---- refused ---- */

static void assert_create_fails(pp_status status, const char *part)
{
    pp_error err = {.struct_size = sizeof err};
    pp_packer *packer = UNTOUCHED;
    assert_error(flat_create(&batch.params, &packer, &err), &err, status, -1, part);
    ck_assert_ptr_eq(packer, UNTOUCHED);
}

static void assert_plan_fails(const pp_plan_input *input, pp_status status, int64_t index,
                              const char *part)
{
    pp_error err = {.struct_size = sizeof err, .index = -1};
    pp_packer *packer = NULL;
    pp_plan *plan = UNTOUCHED;
    ck_assert_int_eq(flat_create(&batch.params, &packer, &err), PP_OK);
    assert_error(pp_packer_plan_input(packer, input, &plan, &err), &err, status, index, part);
    ck_assert_ptr_eq(plan, UNTOUCHED);
    pp_packer_destroy(packer);
}

START_TEST(what_does_not_go_together)
{
    new_batch(10);
    batch.params.objective = PP_OBJECTIVE_BALANCED;
    batch.params.n_bins = 2;
    assert_create_fails(PP_ERR_ARG, "fewest is set, but the objective is BALANCED");
    batch.params.min_shared_prefix = 0;
    batch.params.oversize = PP_OVERSIZE_SPLIT;
    assert_create_fails(PP_ERR_UNSUPPORTED, "oversize SPLIT serves the objective FEWEST_BINS only");
    new_batch(10);
    batch.params.oversize = PP_OVERSIZE_OWN_BIN;
    assert_create_fails(PP_ERR_UNSUPPORTED, "min_shared_prefix does not go with oversize OWN_BIN");
    new_batch(0);
    batch.params.capacities = (const int64_t[]){10, 20};
    batch.params.n_capacities = 2;
    assert_create_fails(PP_ERR_UNSUPPORTED, "min_shared_prefix needs bins of one capacity");
    new_batch(10);
    batch.params.min_shared_prefix = -1;
    assert_create_fails(PP_ERR_ARG, "min_shared_prefix is -1; it must be at least 0");
}
END_TEST

START_TEST(inputs_are_checked)
{
    new_batch(40);
    add_prompt(0, 0, 30);
    add_prompt(0, 20, 10);
    pp_plan_input input = whole_input();
    const int32_t groups[] = {0, 0};
    input.together = groups;
    assert_plan_fails(&input, PP_ERR_UNSUPPORTED, -1, "cannot be kept together");
    input = whole_input();
    input.apart = groups;
    assert_plan_fails(&input, PP_ERR_UNSUPPORTED, -1, "cannot be kept apart");
    input = whole_input();
    input.prompts = NULL;
    assert_plan_fails(&input, PP_ERR_ARG, -1, "min_shared_prefix needs the prompts' tokens");
    input = whole_input();
    batch.prompts[1].tokens = NULL;
    assert_plan_fails(&input, PP_ERR_ARG, 1, "prompt 1: tokens is NULL");
    batch.prompts[1].tokens = batch.tokens;
    batch.lengths[1] = 29;
    assert_plan_fails(&input, PP_ERR_ARG, 1, "prompt 1 has 30 tokens, but");
    batch.lengths[1] = 30;
    batch.params.capacity = 29; /* long prompts are refused, even if their parts would fit */
    assert_plan_fails(&input, PP_ERR_TOO_LONG, 0, "prompt 0 has 30 tokens, but a bin holds 29");

    new_batch(1);
    batch.params.min_shared_prefix = 0;
    batch.params.oversize = PP_OVERSIZE_SPLIT;
    input = (pp_plan_input){
        .struct_size = sizeof input, .n = 2, .lengths = (const int64_t[]){INT64_C(1) << 62, 5}};
    assert_plan_fails(&input, PP_ERR_TOO_LONG, -1, "more than 2147483647 parts of at most 1 token");
}
END_TEST

/* ---- memory ---- */

/* Plans with every allocation failing in turn, once and from there on; returns how many there
 * are. */
static int64_t fail_everywhere(void)
{
    int64_t n_allocations = 0;
    for (int persistent = 0; persistent <= 1; persistent++) {
        for (int64_t fail_at = 1;; fail_at++) {
            struct meter meter = {0};
            pp_allocator allocator = meter_allocator(&meter);
            struct flat_params params = batch.params;
            params.allocator = &allocator;
            pp_packer *packer = NULL;
            ck_assert_int_eq(flat_create(&params, &packer, NULL), PP_OK);
            size_t n_blocks = meter.n_blocks;
            n_allocations = meter.n_allocations;
            meter.fail_at = n_allocations + fail_at;
            meter.persistent = persistent;
            pp_plan *plan = UNTOUCHED;
            pp_error err = {.struct_size = sizeof err};
            pp_plan_input input = whole_input();
            pp_status status = pp_packer_plan_input(packer, &input, &plan, &err);
            n_allocations = meter.n_allocations - n_allocations;
            if (status == PP_OK) {
                ck_assert_int_lt(n_allocations, fail_at);
                pp_plan_destroy(plan);
            } else {
                assert_error(status, &err, PP_ERR_NOMEM, -1, "");
                ck_assert_ptr_eq(plan, UNTOUCHED);
            }
            ck_assert_uint_eq(meter.n_blocks, n_blocks);
            pp_packer_destroy(packer);
            ck_assert_uint_eq(meter.n_blocks, 0);
            if (status == PP_OK)
                break;
        }
    }
    return n_allocations;
}

START_TEST(memory_runs_out)
{
    new_batch(64); /* prefixes, of several levels; then chunks too */
    for (int i = 0; i < 12; i++)
        add_prompt(i / 2, i == 0 ? 0 : 20 + i % 3 * 10, i == 0 ? 60 : 10);
    ck_assert_int_gt(fail_everywhere(), 30);
    batch.params.oversize = PP_OVERSIZE_SPLIT;
    batch.params.capacity = 25;
    ck_assert_int_gt(fail_everywhere(), 40);
    batch.params.policy = PP_POLICY_ARRIVAL;
    ck_assert_int_gt(fail_everywhere(), 20);
    new_batch(10); /* cut where bins end */
    batch.params.oversize = PP_OVERSIZE_SPLIT;
    add_prompt(0, 0, 15);
    add_prompt(0, 0, 6);
    add_prompt(0, 0, 6);
    ck_assert_int_gt(fail_everywhere(), 30);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan sharing");
    TCase *tcase = tcase_create("cases");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, few_shot_headers);
    tcase_add_test(tcase, identical_prompts);
    tcase_add_test(tcase, one_prompt_begins_another);
    tcase_add_test(tcase, short_prefixes_are_not_shared);
    tcase_add_test(tcase, prefixes_of_prefixes);
    tcase_add_test(tcase, a_long_conversation);
    tcase_add_test(tcase, many_prompts);
    tcase_add_test(tcase, nothing);
    tcase_add_test(tcase, chunks);
    tcase_add_test(tcase, full_bins);
    tcase_add_test(tcase, costs_add_up);
    tcase_add_test(tcase, what_does_not_go_together);
    tcase_add_test(tcase, inputs_are_checked);
    tcase_add_test(tcase, memory_runs_out);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
