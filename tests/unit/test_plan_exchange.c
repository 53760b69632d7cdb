/*
 * test_plan_exchange.c: plans as JSON: what was written is read back the same, figures are
 * those of the bins, and exhausted memory leaves nothing behind.
 */
#include "test_plan_support.h"
#include "test_plan_texts.h"

#define SEED 41

/* The text of a plan, to be freed. */
static char *text_of(const pp_plan *plan)
{
    pp_error err = {.struct_size = sizeof err};
    size_t bytes = 0, written = 0;
    if (pp_plan_to_json(plan, NULL, 0, &bytes, &err) != PP_OK)
        ck_abort_msg("%s", err.message);
    char *text = malloc(bytes + 1);
    assert_that(pp_plan_to_json(plan, text, bytes + 1, &written, &err) == PP_OK);
    assert_that(written == bytes && strlen(text) == bytes);
    return text;
}

static pp_plan *read_plan(const char *text)
{
    pp_error err = {.struct_size = sizeof err};
    pp_plan *plan = NULL;
    if (pp_plan_from_json(text, strlen(text), NULL, &plan, &err) != PP_OK)
        ck_abort_msg("%s\n%s", err.message, text);
    return plan;
}

/* ---- the same plan ---- */

static void assert_same_bins(const pp_plan *a, const pp_plan *b, int64_t n_bins)
{
    for (int64_t bin = 0; bin < n_bins; bin++) {
        const int32_t *prompts_a, *prompts_b;
        int64_t n_a, n_b, tokens_a, tokens_b;
        assert_that(pp_plan_get_bin(a, bin, &prompts_a, &n_a, &tokens_a, NULL) == PP_OK);
        assert_that(pp_plan_get_bin(b, bin, &prompts_b, &n_b, &tokens_b, NULL) == PP_OK);
        assert_that(n_a == n_b && tokens_a == tokens_b);
        assert_that(memcmp(prompts_a, prompts_b, (size_t)n_a * sizeof *prompts_a) == 0);
        pp_bin_info info_a = {.struct_size = sizeof info_a};
        pp_bin_info info_b = {.struct_size = sizeof info_b};
        assert_that(pp_plan_get_bin_info(a, bin, &info_a, NULL) == PP_OK);
        assert_that(pp_plan_get_bin_info(b, bin, &info_b, NULL) == PP_OK);
        assert_that(memcmp(&info_a, &info_b, sizeof info_a) == 0);
    }
}

static void assert_same_segments(const pp_plan *a, const pp_plan *b, const pp_plan_info *info)
{
    size_t n = (size_t)info->n_prompts;
    int64_t *ends_a = calloc(n + 1, sizeof *ends_a), *ends_b = calloc(n + 1, sizeof *ends_b);
    for (int64_t i = 0; i < info->n_segments; i++) {
        pp_segment segment_a, segment_b;
        assert_that(pp_plan_get_segment(a, i, &segment_a, NULL) == PP_OK);
        assert_that(pp_plan_get_segment(b, i, &segment_b, NULL) == PP_OK);
        assert_that(memcmp(&segment_a, &segment_b, sizeof segment_a) == 0);
    }
    assert_that(pp_plan_get_ends(a, ends_a, n, NULL) == PP_OK);
    assert_that(pp_plan_get_ends(b, ends_b, n, NULL) == PP_OK);
    assert_that(memcmp(ends_a, ends_b, n * sizeof *ends_a) == 0);
    free(ends_a);
    free(ends_b);
}

/* All that a plan says. same_bounds: bounds, too; otherwise those that were read hold, but may be
 * others, because they know neither a solver nor all constraints. */
static void assert_same_plans(const pp_plan *a, const pp_plan *b, bool same_bounds)
{
    pp_plan_info info = plan_info(a), read = plan_info(b);
    assert_same_bins(a, b, info.n_bins);
    assert_same_segments(a, b, &info);
    assert_that(read.lower_bound <= info.n_bins && read.bound_lp == 0);
    if (info.objective != PP_OBJECTIVE_FEWEST_BINS) { /* a capacity that was no limit is one now */
        assert_that(read.cost_bound <= info.max_cost * (1 + 1e-9));
        info.bound_l1 = read.bound_l1;
        info.lower_bound = read.lower_bound;
    }
    if (!same_bounds) {
        info.bound_l1 = read.bound_l1;
        info.lower_bound = read.lower_bound;
        info.bound_l2 = read.bound_l2;
        info.bound_dff = read.bound_dff;
        info.bound_lp = read.bound_lp;
        info.cost_bound = read.cost_bound;
        info.proven_optimal = read.proven_optimal;
        info.gap = read.gap;
    }
    assert_that(memcmp(&info, &read, sizeof info) == 0);
}

/* There and back, and once more: the second text is the first but for the bounds. */
static void check_round_trip(const pp_plan *plan, bool same_bounds)
{
    char *text = text_of(plan);
    pp_plan *copy = read_plan(text);
    assert_same_plans(plan, copy, same_bounds);
    char *second = text_of(copy);
    const char *figures = strstr(text, "\"figures\"");
    assert_that(figures && strncmp(text, second, (size_t)(figures - text)) == 0);
    pp_plan *third = read_plan(second);
    char *last = text_of(third);
    ck_assert_str_eq(second, last);
    free(text);
    free(second);
    free(last);
    pp_plan_destroy(copy);
    pp_plan_destroy(third);
}

static void draw_lengths(uint64_t *random, int64_t *lengths, size_t n, int64_t longest)
{
    for (size_t i = 0; i < n; i++)
        lengths[i] = random_between(random, 1, longest);
}

START_TEST(round_trip_of_every_policy)
{
    static const int32_t policies[] = {PP_POLICY_FFD, PP_POLICY_BFD, PP_POLICY_ARRIVAL,
                                       PP_POLICY_FIRST_FIT, PP_POLICY_BEST_FIT};
    uint64_t random = SEED;
    for (int round = 0; round < 60; round++) {
        int64_t lengths[200];
        size_t n = (size_t)random_between(&random, 0, 200);
        draw_lengths(&random, lengths, n, 100);
        for (size_t p = 0; p < sizeof policies / sizeof *policies; p++) {
            pp_plan *plan = make_plan(policies[p], round % 2 ? 0 : 128, lengths, n);
            check_round_trip(plan, true);
            pp_plan_destroy(plan);
        }
    }
}
END_TEST

/* Any settings that the planner takes. */
static pp_plan *draw_plan(uint64_t *random, const pp_plan_input *input)
{
    struct flat_params params;
    flat_init(&params);
    params.objective = (int32_t)random_between(random, 1, 3);
    bool fewest = params.objective == PP_OBJECTIVE_FEWEST_BINS;
    if (next_random(random) % 2)
        params.policy = (int32_t)(fewest ? random_between(random, 0, PP_POLICY_AUTO)
                                         : random_between(random, 0, 1) * PP_POLICY_AUTO);
    params.capacity = random_between(random, 0, 3) * 60;
    params.oversize = (int32_t)random_between(random, 1, 3);
    params.keep_order = next_random(random) % 4 == 0;
    params.min_shared_prefix = fewest && next_random(random) % 4 == 0 ? 2 : 0;
    params.max_prompts = next_random(random) % 3 == 0 ? random_between(random, 1, 9) : 0;
    params.bin_alignment = next_random(random) % 3 == 0 ? random_between(random, 1, 16) : 1;
    params.prompt_alignment = next_random(random) % 3 == 0 ? random_between(random, 1, 16) : 1;
    params.n_bins = params.objective == PP_OBJECTIVE_BALANCED ? random_between(random, 1, 20) : 0;
    static const int64_t capacities[] = {64, 128, 192};
    params.capacities = capacities;
    params.n_capacities = params.objective == PP_OBJECTIVE_CHEAPEST ? 3 : 0;
    params.max_steps = 2000;
    pp_packer *packer;
    pp_plan *plan = NULL;
    pp_error err = {.struct_size = sizeof err};
    if (flat_create(&params, &packer, &err) < 0)
        return NULL;
    pp_status status = pp_packer_plan_input(packer, input, &plan, &err);
    assert_that(status == PP_OK || (status != PP_ERR_INTERNAL && status != PP_ERR_NOMEM));
    pp_packer_destroy(packer);
    return plan;
}

START_TEST(round_trip_of_any_settings)
{
    static int32_t tokens[100][100];
    int64_t lengths[100];
    pp_prompt prompts[100];
    uint64_t random = SEED;
    int n_plans = 0, n_parts = 0, n_capacities = 0;
    for (int round = 0; round < 3000; round++) {
        int64_t n = random_between(&random, 0, 40);
        for (int64_t i = 0; i < n; i++) {
            lengths[i] = random_between(&random, 1, 100);
            for (int64_t t = 0; t < lengths[i]; t++) /* some prompts begin alike */
                tokens[i][t] = (int32_t)(next_random(&random) % (t < 20 ? 1 : 3));
            prompts[i] = (pp_prompt){tokens[i], lengths[i]};
        }
        pp_plan_input input = {
            .struct_size = sizeof input, .n = n, .lengths = lengths, .prompts = prompts};
        pp_plan *plan = draw_plan(&random, &input);
        if (!plan)
            continue;
        pp_plan_info info = plan_info(plan);
        n_plans++;
        n_parts += info.n_segments != info.n_prompts;
        n_capacities += info.total_capacity != info.n_bins * info.capacity;
        check_round_trip(plan, false);
        pp_plan_destroy(plan);
    }
    ck_assert_int_gt(n_plans, 300);
    ck_assert_int_gt(n_parts, 20);
    ck_assert_int_gt(n_capacities, 20);
}
END_TEST

START_TEST(round_trip_of_balanced_bins)
{
    static const int32_t policies[] = {PPI_POLICY_LPT, PPI_POLICY_KK, PP_POLICY_AUTO};
    uint64_t random = SEED;
    for (int round = 0; round < 30; round++) {
        int64_t lengths[100];
        size_t n = (size_t)random_between(&random, 0, 100);
        draw_lengths(&random, lengths, n, 100);
        struct flat_params params;
        flat_init(&params);
        params.objective = PP_OBJECTIVE_BALANCED;
        params.policy = policies[round % 3];
        params.n_bins = random_between(&random, 1, 20);
        pp_packer *packer = NULL;
        pp_plan *plan = NULL;
        assert_that(flat_create(&params, &packer, NULL) == PP_OK);
        assert_that(pp_packer_plan(packer, lengths, n, &plan, NULL) == PP_OK);
        check_round_trip(plan, true);
        pp_plan_destroy(plan);
        pp_packer_destroy(packer);
    }
}
END_TEST

START_TEST(round_trip_of_a_cost_model)
{
    static const int64_t lengths[] = {5, 3, 2, 7, 7, 1};
    pp_cost_model cost;
    pp_cost_init(&cost, sizeof cost);
    cost.per_pass = 1e-5;
    cost.per_token = 0.1 + 0.2;
    cost.per_square = 5e-324;
    cost.per_prompt = 1e300;
    cost.tile = 16;
    cost.error = 1.0 / 3;
    cost.max_tokens = 8192;
    strcpy(cost.device, "cpu:\"\\\t\xc3\xa4");
    memset(cost.model, 'm', sizeof cost.model - 1);
    struct flat_params params;
    flat_init(&params);
    params.capacity = 10;
    params.cost = &cost;
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    assert_that(flat_create(&params, &packer, NULL) == PP_OK);
    assert_that(pp_packer_plan(packer, lengths, 6, &plan, NULL) == PP_OK);
    check_round_trip(plan, true);
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
}
END_TEST

START_TEST(round_trip_of_parts_and_capacities)
{
    pp_plan *plan = read_plan(PARTS);
    pp_plan_info info = plan_info(plan);
    ck_assert_int_eq(info.n_segments, 7);
    ck_assert_int_eq(info.tokens, 42);
    ck_assert_int_eq(info.placed_tokens, 38);
    ck_assert_int_eq(info.bound_l1, 3); /* of the longest: others may share more */
    ck_assert_int_eq(info.lower_bound, 3);
    ck_assert_int_eq(info.proven_optimal, 0);
    pp_segment segment;
    assert_that(pp_plan_get_segment(plan, 3, &segment, NULL) == PP_OK);
    assert_that(segment.prompt == 1 && segment.first_token == 4 && segment.n_tokens == 2 &&
                segment.start == 3 && segment.after == 0);
    check_round_trip(plan, true);
    pp_plan_destroy(plan);
    plan = read_plan(HEAD ",\"lengths\":[7,6],\"bins\":[[0],[1]],\"bin_capacities\":[10,6]}");
    ck_assert_int_eq(plan_info(plan).total_capacity, 16);
    check_round_trip(plan, true);
    pp_plan_destroy(plan);
}
END_TEST

/* The arrays that engines get. */
START_TEST(batches_are_the_same)
{
    uint64_t random = SEED;
    int64_t lengths[50];
    pp_prompt prompts[50];
    int32_t tokens[100];
    draw_lengths(&random, lengths, 50, 100);
    for (int i = 0; i < 100; i++)
        tokens[i] = i;
    for (int i = 0; i < 50; i++)
        prompts[i] = (pp_prompt){tokens, lengths[i]};
    pp_plan *plan = make_plan(PP_POLICY_BFD, 128, lengths, 50);
    char *text = text_of(plan);
    pp_plan *copy = read_plan(text);
    pp_batch *batches[2];
    pp_batch_view views[2] = {{.struct_size = sizeof *views}, {.struct_size = sizeof *views}};
    ck_assert_int_eq(pp_batch_build(plan, prompts, 50, NULL, &batches[0], NULL), PP_OK);
    ck_assert_int_eq(pp_batch_build(copy, prompts, 50, NULL, &batches[1], NULL), PP_OK);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pp_batch_get_view(batches[i], &views[i], NULL), PP_OK);
    ck_assert_int_eq(views[0].n_tokens, views[1].n_tokens);
    size_t n = (size_t)views[0].n_tokens;
    assert_that(memcmp(views[0].tokens, views[1].tokens, n * sizeof(int32_t)) == 0);
    assert_that(memcmp(views[0].positions, views[1].positions, n * sizeof(int32_t)) == 0);
    assert_that(memcmp(views[0].cu_seqlens, views[1].cu_seqlens, 51 * sizeof(int32_t)) == 0);
    assert_that(memcmp(views[0].prompts, views[1].prompts, 50 * sizeof(int32_t)) == 0);
    for (int i = 0; i < 2; i++)
        pp_batch_destroy(batches[i]);
    pp_plan_destroy(plan);
    pp_plan_destroy(copy);
    free(text);
}
END_TEST

/* ---- figures ---- */

/* What a text claims about the optimum is not believed. */
START_TEST(bounds_are_recomputed)
{
    pp_plan *plan = read_plan(
        HEAD ",\"lengths\":[6,4,6],\"bins\":[[0],[1],[2]],\"figures\":{\"lower_bound\":3,"
             "\"bound_l1\":3,\"bound_lp\":3,\"proven_optimal\":true,\"waste\":0,\"gap\":0,"
             "\"cost_bound\":9,\"max_cost\":1,\"seconds\":0.5,\"limit_reached\":2}}");
    pp_plan_info info = plan_info(plan);
    ck_assert_int_eq(info.bound_l1, 2);
    ck_assert_int_eq(info.bound_l2, 2);
    ck_assert_int_eq(info.lower_bound, 2);
    ck_assert_int_eq(info.bound_lp, 0);
    ck_assert_int_eq(info.proven_optimal, 0);
    assert_that(info.waste == 1.0 - 16.0 / 30.0 && info.gap == 0.5 && info.cost_bound == 0);
    assert_that(info.max_cost == 6 && info.mean_cost == 16.0 / 3);
    /* how it was made is the text's to say */
    assert_that(info.seconds == 0.5 && info.limit_reached == 2);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(alignment_counts)
{
    static const char format[] =
        "{\"format\":\"prepack-plan\",\"version\":1,\"objective\":\"fewest\",\"policy\":\"auto\","
        "\"capacity\":%d,\"prompt_alignment\":4,\"bin_alignment\":8,\"cost\":{\"per_pass\":0,"
        "\"per_token\":1,\"per_square\":0,\"per_prompt\":0,\"tile\":1,\"error\":0,\"device\":\"\","
        "\"model\":\"\"},\"lengths\":[5,1],\"bins\":[[0,1]]}";
    char text[sizeof format + 16];
    pp_error err = {.struct_size = sizeof err};
    snprintf(text, sizeof text, format, 16);
    pp_plan *plan = read_plan(text);
    pp_plan_info info = plan_info(plan);
    ck_assert_int_eq(info.used, 16); /* 8 + 4 */
    ck_assert_int_eq(info.policy, PP_POLICY_AUTO);
    check_round_trip(plan, true);
    pp_plan_destroy(plan);
    snprintf(text, sizeof text, format, 15);
    pp_status status = pp_plan_from_json(text, strlen(text), NULL, &plan, &err);
    assert_error(status, &err, PP_ERR_FORMAT, 0, "more than its capacity of 15");
}
END_TEST

/* Numbers at the end of what 64 bits hold: refused or right, never undefined. */
START_TEST(huge_numbers)
{
    static const char format[] =
        "{\"format\":\"prepack-plan\",\"version\":1,\"objective\":\"fewest\",\"policy\":\"ffd\","
        "\"capacity\":9223372036854775807,\"prompt_alignment\":%s,\"bin_alignment\":%s,\"cost\":"
        "{\"per_pass\":0,\"per_token\":1e308,\"per_square\":1e308,\"per_prompt\":0,\"tile\":%s,"
        "\"error\":0,\"device\":\"\",\"model\":\"\"},\"lengths\":[9223372036854775806,1],"
        "\"bins\":[[0],[1]]}";
    static const struct {
        const char *prompt, *bin, *tile;
        pp_status status;
    } cases[] = {
        {"1", "1", "1", PP_OK},
        {"2", "1", "1", PP_ERR_FORMAT},
        {"1", "2", "1", PP_ERR_FORMAT},
        {"1", "1", "2", PP_ERR_FORMAT},
        {"2305843009213693951", "2305843009213693951", "1", PP_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[sizeof format + 64];
        pp_plan *plan = NULL;
        snprintf(text, sizeof text, format, cases[i].prompt, cases[i].bin, cases[i].tile);
        ck_assert_int_eq(pp_plan_from_json(text, strlen(text), NULL, &plan, NULL), cases[i].status);
        if (plan)
            check_round_trip(plan, true); /* costs are infinite: null in the text */
        pp_plan_destroy(plan);
    }
}
END_TEST

/* ---- calls ---- */

START_TEST(arguments)
{
    static const int64_t lengths[] = {1, 2};
    pp_error err = {.struct_size = sizeof err};
    pp_plan *plan = make_plan(PP_POLICY_FFD, 0, lengths, 2);
    char text[4096] = "unchanged";
    size_t bytes = 0, other = 7;
    pp_status status = pp_plan_to_json(NULL, NULL, 0, &bytes, &err);
    assert_error(status, &err, PP_ERR_ARG, -1, "plan is NULL");
    status = pp_plan_to_json(plan, NULL, 0, NULL, &err);
    assert_error(status, &err, PP_ERR_ARG, -1, "bytes is NULL");
    ck_assert_int_eq(pp_plan_to_json(plan, NULL, 0, &bytes, &err), PP_OK);
    assert_that(bytes < sizeof text);
    status = pp_plan_to_json(plan, text, bytes, &other, &err);
    assert_error(status, &err, PP_ERR_ARG, -1, "and a NUL");
    ck_assert_str_eq(text, "unchanged");
    ck_assert_uint_eq(other, 7);
    status = pp_plan_to_json(plan, text, 0, &other, &err);
    assert_error(status, &err, PP_ERR_ARG, -1, "room for 0 bytes");
    ck_assert_int_eq(pp_plan_to_json(plan, text, bytes + 1, &other, &err), PP_OK);
    pp_plan *copy = NULL;
    status = pp_plan_from_json(NULL, 0, NULL, &copy, &err);
    assert_error(status, &err, PP_ERR_ARG, -1, "text is NULL");
    status = pp_plan_from_json(text, other, NULL, NULL, &err);
    assert_error(status, &err, PP_ERR_ARG, -1, "plan is NULL");
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    const char *text = _i % 2 ? PARTS
                              : HEAD ",\"lengths\":[6,6],\"bins\":[[0],[1]],"
                                     "\"bin_capacities\":[7,10]}";
    pp_status status = PP_ERR_NOMEM;
    int64_t n = 0;
    while (status == PP_ERR_NOMEM) {
        struct meter meter = {.fail_at = ++n, .persistent = _i / 2};
        pp_allocator allocator = meter_allocator(&meter);
        pp_error err = {.struct_size = sizeof err};
        pp_plan *plan = NULL;
        status = pp_plan_from_json(text, strlen(text), &allocator, &plan, &err);
        if (status == PP_OK)
            pp_plan_destroy(plan);
        else
            assert_that(err.code == PP_ERR_NOMEM && !plan);
        ck_assert_uint_eq(meter.n_blocks, 0);
    }
    ck_assert_int_eq(status, PP_OK);
    ck_assert_int_gt(n, 8);
}
END_TEST

/* Its bins, prompts and segments stay within what the reader takes. */
START_TEST(large_plans)
{
    size_t n = 1000000;
    int64_t *lengths = malloc(n * sizeof *lengths);
    uint64_t random = SEED;
    draw_lengths(&random, lengths, n, 2000);
    pp_plan *plan = make_plan(PP_POLICY_FFD, 2048, lengths, n);
    char *text = text_of(plan);
    pp_plan *copy = read_plan(text);
    ck_assert_int_eq(plan_info(plan).n_bins, plan_info(copy).n_bins);
    ck_assert_int_eq(plan_info(plan).used, plan_info(copy).used);
    pp_plan_destroy(copy);
    pp_plan_destroy(plan);
    free(text);
    free(lengths);
    n = 7400000;
    lengths = malloc(n * sizeof *lengths);
    for (size_t i = 0; i < n; i++)
        lengths[i] = 1;
    pp_error err = {.struct_size = sizeof err};
    size_t bytes;
    plan = make_plan(PP_POLICY_ARRIVAL, 10, lengths, n);
    assert_error(pp_plan_to_json(plan, NULL, 0, &bytes, &err), &err, PP_ERR_LIMIT, -1, "7400000");
    pp_plan_destroy(plan);
    free(lengths);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exchange");
    TCase *tests = tcase_create("exchange");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, round_trip_of_every_policy);
    tcase_add_test(tests, round_trip_of_any_settings);
    tcase_add_test(tests, round_trip_of_balanced_bins);
    tcase_add_test(tests, round_trip_of_a_cost_model);
    tcase_add_test(tests, round_trip_of_parts_and_capacities);
    tcase_add_test(tests, batches_are_the_same);
    tcase_add_test(tests, bounds_are_recomputed);
    tcase_add_test(tests, alignment_counts);
    tcase_add_test(tests, huge_numbers);
    tcase_add_test(tests, arguments);
    tcase_add_loop_test(tests, every_allocation_may_fail, 0, 4);
    tcase_add_test(tests, large_plans);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
