/*
 * test_batch.c: the arrays of a batch are what its header says, in both layouts and for any range
 * of bins; errors, structs of other versions, memory that runs out.
 */
#include "test_batch_support.h"

#define SEED      41
#define UNTOUCHED ((void *)0x5a5a)

static struct sample sample;
static struct slot slots[MAX_PROMPTS * 2 * MAX_CAPACITY];

static pp_error new_error(void)
{
    return (pp_error){.struct_size = sizeof(pp_error), .index = -77};
}

/* ---- arrays ---- */

static void check_batch(const pp_batch_params *params, int64_t n_bins, int64_t row_len)
{
    pp_batch *batch = make_batch(&sample, params);
    pp_batch_view view = batch_view(batch);
    bool padded = params->layout == PP_LAYOUT_PADDED;
    int64_t n_tokens =
        define_slots(&sample, params->first_bin, n_bins, padded ? row_len : 0, slots);
    assert_that(view.layout == params->layout);
    assert_that(view.n_tokens == n_tokens);
    assert_that(view.n_rows == (padded ? n_bins : 1));
    assert_that(view.row_len == (padded ? row_len : n_tokens));
    int64_t i_prompt = 0;
    int64_t longest = 0;
    int64_t n_before = 0;
    assert_that(view.cu_seqlens[0] == 0);
    for (int64_t i = 0; i < view.n_rows * view.row_len; i++) {
        struct slot slot = slots[i];
        if (slot.prompt < 0) {
            assert_that(view.tokens[i] == params->pad_token && view.positions[i] == 0);
            continue;
        }
        assert_that(view.tokens[i] == sample.tokens[slot.prompt][slot.position]);
        assert_that(view.positions[i] == slot.position);
        assert_that(view.prompts[i_prompt] == slot.prompt);
        int64_t length = sample.lengths[slot.prompt];
        if (slot.position == 0) {
            assert_that(view.starts[i_prompt] == i);
            longest = length > longest ? length : longest;
        }
        if (slot.position == length - 1) {
            n_before += length;
            assert_that(view.last_rows[i_prompt] == i);
            assert_that(view.cu_seqlens[++i_prompt] == n_before);
        }
    }
    assert_that(view.n_prompts == i_prompt);
    assert_that(view.max_seqlen == longest);
    pp_batch_destroy(batch);
}

START_TEST(arrays_of_random_plans)
{
    uint64_t random = SEED + (uint64_t)_i;
    for (int i = 0; i < 200; i++) {
        draw_sample(&sample, &random, (size_t)random_between(&random, 0, MAX_PROMPTS));
        int64_t first_bin = random_between(&random, 0, sample.n_bins);
        int64_t n_bins = random_between(&random, 0, sample.n_bins - first_bin);
        bool to_the_end = i % 3 == 0;
        n_bins = to_the_end ? sample.n_bins - first_bin : n_bins;
        int64_t fullest = 0;
        for (int64_t bin = first_bin; bin < first_bin + n_bins; bin++) {
            int64_t tokens;
            pp_plan_get_bin(sample.plan, bin, NULL, NULL, &tokens, NULL);
            fullest = tokens > fullest ? tokens : fullest;
        }
        pp_batch_params params =
            batch_params(PP_LAYOUT_RAGGED, first_bin, to_the_end ? -1 : n_bins);
        check_batch(&params, n_bins, 0);
        params.layout = PP_LAYOUT_PADDED;
        params.pad_token = (int32_t)next_random(&random);
        check_batch(&params, n_bins, fullest);
        if (fullest > 0) {
            params.row_len = fullest + random_between(&random, 0, 9);
            check_batch(&params, n_bins, params.row_len);
        }
        pp_plan_destroy(sample.plan);
    }
}
END_TEST

START_TEST(a_batch_needs_neither_plan_nor_prompts)
{
    uint64_t random = SEED;
    draw_sample(&sample, &random, 12);
    pp_batch *batch = make_batch(&sample, NULL);
    struct sample before = sample;
    pp_plan_destroy(sample.plan);
    memset(sample.tokens, 0, sizeof sample.tokens);
    pp_batch_view view = batch_view(batch);
    ck_assert_int_eq(view.layout, PP_LAYOUT_RAGGED); /* the default: every bin, ragged */
    ck_assert_int_eq(view.n_prompts, 12);
    for (int64_t i = 0; i < view.n_prompts; i++)
        ck_assert_mem_eq(view.tokens + view.starts[i], before.tokens[view.prompts[i]],
                         (size_t)before.lengths[view.prompts[i]] * sizeof(int32_t));
    pp_batch_destroy(batch);
    pp_batch_destroy(NULL);
}
END_TEST

/* ---- errors ---- */

static void assert_build_fails(const pp_batch_params *params, pp_status status, int64_t index,
                               const char *part)
{
    pp_error err = new_error();
    pp_batch *batch = UNTOUCHED;
    assert_error(pp_batch_build(sample.plan, sample.prompts, sample.n, params, &batch, &err), &err,
                 status, index, part);
    ck_assert_ptr_eq(batch, UNTOUCHED);
    ck_assert_int_eq(pp_batch_build(sample.plan, sample.prompts, sample.n, params, &batch, NULL),
                     status);
}

/* Prompts of 6, 3 and 5 tokens in the bins {0, 1} and {2}. */
static void make_small_sample(void)
{
    memset(&sample, 0, sizeof sample);
    sample.n = 3;
    for (int i = 0; i < 3; i++) {
        sample.lengths[i] = (const int64_t[]){6, 3, 5}[i];
        sample.prompts[i] = (pp_prompt){sample.tokens[i], sample.lengths[i]};
    }
    sample.plan = make_plan(PP_POLICY_FFD, 10, sample.lengths, 3);
    sample.n_bins = 2;
}

START_TEST(params_are_checked)
{
    make_small_sample();
    pp_batch_params params = batch_params(3, 0, -1);
    assert_build_fails(&params, PP_ERR_ARG, -1, "layout 3 is unknown");
    params = batch_params(PP_LAYOUT_RAGGED, 3, -1);
    assert_build_fails(&params, PP_ERR_ARG, 3, "first_bin 3 is not in the plan, which has 2 bins");
    params = batch_params(PP_LAYOUT_RAGGED, -1, -1);
    assert_build_fails(&params, PP_ERR_ARG, -1, "first_bin -1");
    params = batch_params(PP_LAYOUT_PADDED, 1, 2);
    assert_build_fails(&params, PP_ERR_ARG, -1, "n_bins is 2; from bin 1 on the plan has 1");
    params = batch_params(PP_LAYOUT_PADDED, 0, INT64_MAX);
    assert_build_fails(&params, PP_ERR_ARG, -1, "n_bins is 9223372036854775807");
    params = batch_params(PP_LAYOUT_PADDED, 0, -2);
    assert_build_fails(&params, PP_ERR_ARG, -1, "n_bins is -2");
    params = batch_params(PP_LAYOUT_PADDED, 0, -1);
    params.row_len = -1;
    assert_build_fails(&params, PP_ERR_ARG, -1, "row_len is -1");
    params.row_len = 8;
    assert_build_fails(&params, PP_ERR_TOO_LONG, 0, "bin 0 has 9 tokens, but row_len is 8");
    params.row_len = INT64_MAX / 2;
    assert_build_fails(&params, PP_ERR_NOMEM, -1, "no memory for 2 rows of 4611686018427387903");
    params = batch_params(PP_LAYOUT_RAGGED, 0, -1);
    params.struct_size = 1;
    assert_build_fails(&params, PP_ERR_STRUCT_SIZE, -1, "pp_batch_params.struct_size is 1");
    pp_plan_destroy(sample.plan);
}
END_TEST

START_TEST(prompts_are_checked)
{
    make_small_sample();
    sample.prompts[1].tokens = NULL;
    assert_build_fails(NULL, PP_ERR_ARG, 1, "prompt 1: tokens is NULL");
    pp_batch_params second = batch_params(PP_LAYOUT_RAGGED, 1, 1); /* prompt 1 is not in it */
    pp_batch_destroy(make_batch(&sample, &second));
    sample.prompts[1] = (pp_prompt){sample.tokens[1], 0};
    assert_build_fails(NULL, PP_ERR_ARG, 1, "prompt 1 has 0 tokens");
    sample.prompts[1].n_tokens = 4;
    assert_build_fails(NULL, PP_ERR_ARG, 1, "prompt 1 has ");
    sample.prompts[1].n_tokens = 3;
    sample.prompts[2].n_tokens = 4;
    assert_build_fails(NULL, PP_ERR_ARG, 2, "prompt 2 has 4 tokens");
    sample.prompts[2].n_tokens = 5;
    sample.n = 4;
    assert_build_fails(NULL, PP_ERR_ARG, -1, "4 prompts given, but the plan was made from 3");

    pp_error err = new_error();
    pp_batch *batch = UNTOUCHED;
    assert_error(pp_batch_build(NULL, sample.prompts, 3, NULL, &batch, &err), &err, PP_ERR_ARG, -1,
                 "plan is NULL");
    assert_error(pp_batch_build(sample.plan, NULL, 3, NULL, &batch, &err), &err, PP_ERR_ARG, -1,
                 "prompts is NULL");
    ck_assert_ptr_eq(batch, UNTOUCHED);
    assert_error(pp_batch_build(sample.plan, sample.prompts, 3, NULL, NULL, &err), &err, PP_ERR_ARG,
                 -1, "batch is NULL");
    pp_plan_destroy(sample.plan);

    /* more tokens than int32 prefix sums can count; refused before any token is read */
    const int64_t long_one = (INT64_C(1) << 31) - 2;
    sample.plan = make_plan(PP_POLICY_ARRIVAL, long_one, (const int64_t[]){long_one, 2, 2}, 3);
    sample.n = 3;
    sample.prompts[0].n_tokens = long_one;
    sample.prompts[1].n_tokens = sample.prompts[2].n_tokens = 2;
    assert_build_fails(NULL, PP_ERR_TOO_LONG, 1, "bins 0 to 1 have more than 2147483647 tokens");
    pp_plan_destroy(sample.plan);
}
END_TEST

/* ---- structs of other versions ---- */

START_TEST(older_and_newer_callers)
{
    make_small_sample();
    struct {
        pp_batch_params params;
        int64_t later_field;
    } newer;
    pp_batch_params_init(&newer.params, sizeof newer);
    pp_batch_destroy(make_batch(&sample, &newer.params));
    newer.later_field = 1;
    assert_build_fails(&newer.params, PP_ERR_STRUCT_SIZE, -1, "this library knows");

    pp_batch_params older;
    memset(&older, 0x11, sizeof older);
    pp_batch_params_init(&older, offsetof(pp_batch_params, n_bins));
    older.first_bin = 1;
    pp_batch *batch = make_batch(&sample, &older);
    pp_batch_view view = batch_view(batch);
    ck_assert_int_eq(view.n_prompts, 1); /* n_bins has its default: all from first_bin on */
    ck_assert_int_eq(view.prompts[0], 2);

    memset(&view, 0x11, sizeof view);
    view.struct_size = offsetof(pp_batch_view, starts);
    ck_assert_int_eq(pp_batch_get_view(batch, &view, NULL), PP_OK);
    ck_assert_int_eq(view.cu_seqlens[1], 5);
    ck_assert_mem_eq(&view.starts, "\x11\x11\x11\x11\x11\x11\x11\x11", sizeof view.starts);
    pp_error err = new_error();
    view.struct_size = 0;
    assert_error(pp_batch_get_view(batch, &view, &err), &err, PP_ERR_STRUCT_SIZE, -1,
                 "pp_batch_view.struct_size is 0");
    assert_error(pp_batch_get_view(batch, NULL, &err), &err, PP_ERR_ARG, -1, "pp_batch_view");
    assert_error(pp_batch_get_view(NULL, &view, &err), &err, PP_ERR_ARG, -1, "batch is NULL");
    pp_batch_destroy(batch);
    pp_plan_destroy(sample.plan);
}
END_TEST

/* ---- memory ---- */

START_TEST(memory_runs_out_while_building)
{
    uint64_t random = SEED;
    draw_sample(&sample, &random, 20);
    pp_plan_destroy(sample.plan);
    for (int persistent = 0; persistent <= 1; persistent++) {
        struct meter meter = {0};
        pp_allocator allocator = meter_allocator(&meter);
        pp_packer *packer = make_packer(PP_POLICY_FFD, MAX_CAPACITY, &allocator);
        ck_assert_int_eq(pp_packer_plan(packer, sample.lengths, 20, &sample.plan, NULL), PP_OK);
        pp_packer_destroy(packer);
        size_t n_held = meter.n_blocks;
        pp_batch *batch = UNTOUCHED;
        pp_batch_params params = batch_params(PP_LAYOUT_PADDED, 0, -1);
        for (int64_t fail_at = 1; batch == UNTOUCHED; fail_at++) {
            meter.n_allocations = 0;
            meter.fail_at = fail_at;
            meter.persistent = persistent;
            pp_error err = new_error();
            pp_status status =
                pp_batch_build(sample.plan, sample.prompts, 20, &params, &batch, &err);
            if (status < 0) {
                assert_error(status, &err, PP_ERR_NOMEM, -1, "no memory for");
                ck_assert_ptr_eq(batch, UNTOUCHED);
                ck_assert_uint_eq(meter.n_blocks, n_held);
            } else {
                ck_assert_int_eq(fail_at, 8); /* the batch and its six arrays */
            }
        }
        pp_plan_destroy(sample.plan);
        ck_assert_int_eq(batch_view(batch).n_prompts, 20);
        pp_batch_destroy(batch);
        ck_assert_uint_eq(meter.n_blocks, 0);
    }
}
END_TEST

int main(void)
{
    printf("# seed %d\n", SEED);
    fflush(stdout);
    Suite *suite = suite_create("batch");
    TCase *tcase = tcase_create("batch");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, arrays_of_random_plans, 0, 6);
    tcase_add_test(tcase, a_batch_needs_neither_plan_nor_prompts);
    tcase_add_test(tcase, params_are_checked);
    tcase_add_test(tcase, prompts_are_checked);
    tcase_add_test(tcase, older_and_newer_callers);
    tcase_add_test(tcase, memory_runs_out_while_building);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
