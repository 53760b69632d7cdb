/*
 * test_batch_mask.c: every element of a batch's dense mask against the definition, for all dtypes,
 * both layouts and several windows.
 */
#include "test_batch_support.h"

#include "batch/arrays.h"

#define SEED        41
#define GUARD_BYTES 32
#define UNTOUCHED   0x77

static const int32_t dtypes[] = {PP_DTYPE_BOOL, PP_DTYPE_F32, PP_DTYPE_F16, PP_DTYPE_BF16};

static struct sample sample;
static struct slot slots[MAX_PROMPTS * 2 * MAX_CAPACITY];

/* Whether query column i of a row may see key column j. */
static bool may_see(const struct slot *row, int64_t i, int64_t j, int64_t window_left)
{
    if (row[i].prompt < 0)
        return i == j;
    return row[i].prompt == row[j].prompt && j <= i && (window_left < 0 || i - j <= window_left);
}

/* The bits of an element, which may lie at any address. */
static uint32_t element(const unsigned char *mask, int64_t i, int32_t dtype)
{
    uint32_t word = 0;
    uint16_t half = 0;
    switch (dtype) {
    case PP_DTYPE_BOOL:
        return mask[i];
    case PP_DTYPE_F32:
        memcpy(&word, mask + 4 * i, sizeof word);
        return word;
    default:
        memcpy(&half, mask + 2 * i, sizeof half);
        return half;
    }
}

static uint32_t expected_bits(bool seen, int32_t dtype)
{
    switch (dtype) {
    case PP_DTYPE_BOOL:
        return seen;
    case PP_DTYPE_F32:
        return seen ? 0 : 0xff800000u;
    case PP_DTYPE_F16:
        return seen ? 0 : 0xfc00u;
    default:
        return seen ? 0 : 0xff80u;
    }
}

static void check_mask(const pp_batch *batch, int32_t dtype, int64_t window_left, size_t shift)
{
    pp_batch_view view = batch_view(batch);
    int64_t row_len = view.row_len;
    size_t bytes = 0;
    assert_that(pp_batch_mask_bytes(batch, dtype, &bytes, NULL) == PP_OK);
    assert_that(bytes == (size_t)(view.n_rows * row_len * row_len) * pp_dtype_size(dtype));
    unsigned char *memory = malloc(bytes + GUARD_BYTES);
    memset(memory, UNTOUCHED, bytes + GUARD_BYTES);
    unsigned char *mask = memory + shift;
    assert_that(pp_batch_mask(batch, dtype, window_left, mask, bytes, NULL) == PP_OK);
    for (int64_t row = 0; row < view.n_rows; row++)
        for (int64_t i = 0; i < row_len; i++)
            for (int64_t j = 0; j < row_len; j++) {
                bool seen = may_see(slots + row * row_len, i, j, window_left);
                assert_that(element(mask, (row * row_len + i) * row_len + j, dtype) ==
                            expected_bits(seen, dtype));
            }
    for (size_t i = 0; i < GUARD_BYTES; i++) /* nothing outside was written */
        assert_that((i < shift ? memory[i] : mask[bytes + i - shift]) == UNTOUCHED);
    free(memory);
}

START_TEST(masks_of_random_plans)
{
    static const int64_t windows[] = {-1, 0, 1, 5, 1000000};
    uint64_t random = SEED + (uint64_t)_i;
    for (int i = 0; i < 12; i++) {
        draw_sample(&sample, &random, (size_t)random_between(&random, 0, MAX_PROMPTS / 2));
        pp_batch_params params = batch_params(i % 2 ? PP_LAYOUT_PADDED : PP_LAYOUT_RAGGED, 0, -1);
        params.row_len = i % 4 == 1 ? MAX_CAPACITY : 0;
        pp_batch *batch = make_batch(&sample, &params);
        define_slots(&sample, 0, sample.n_bins, i % 2 ? batch_view(batch).row_len : 0, slots);
        size_t shift = next_random(&random) % GUARD_BYTES; /* any alignment will do */
        for (size_t j = 0; j < sizeof windows / sizeof *windows; j++)
            check_mask(batch, dtypes[_i], windows[j], shift);
        pp_batch_destroy(batch);
        pp_plan_destroy(sample.plan);
    }
}
END_TEST

/* Rows longer than the block that the unseen part is copied from. */
START_TEST(mask_of_long_rows)
{
    static int32_t tokens[700];
    const int64_t lengths[] = {700, 1, 650};
    const pp_prompt prompts[] = {{tokens, 700}, {tokens, 1}, {tokens, 650}};
    static struct slot all[1351];
    pp_plan *plan = make_plan(PP_POLICY_ARRIVAL, 1351, lengths, 3);
    pp_batch *batch = NULL;
    ck_assert_int_eq(pp_batch_build(plan, prompts, 3, NULL, &batch, NULL), PP_OK);
    for (int32_t i = 0; i < 1351; i++)
        all[i].prompt = i < 700 ? 0 : i < 701 ? 1 : 2;
    memcpy(slots, all, sizeof all);
    check_mask(batch, dtypes[_i], _i == 1 ? 600 : -1, 0);
    pp_batch_destroy(batch);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(mask_arguments_are_checked)
{
    uint64_t random = SEED;
    draw_sample(&sample, &random, 5);
    pp_batch *batch = make_batch(&sample, NULL);
    size_t bytes = 0;
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(pp_batch_mask_bytes(batch, PP_DTYPE_BOOL, &bytes, &err), PP_OK);
    unsigned char *mask = malloc(bytes + 1);
    memset(mask, UNTOUCHED, bytes + 1);

    assert_error(pp_batch_mask(batch, PP_DTYPE_AUTO, -1, mask, bytes, &err), &err, PP_ERR_ARG, -1,
                 "not auto (0)");
    assert_error(pp_batch_mask(batch, 99, -1, mask, bytes, &err), &err, PP_ERR_ARG, -1, "(99)");
    assert_error(pp_batch_mask(batch, PP_DTYPE_BOOL, -2, mask, bytes, &err), &err, PP_ERR_ARG, -1,
                 "window_left is -2");
    assert_error(pp_batch_mask(batch, PP_DTYPE_BOOL, -1, mask, bytes - 1, &err), &err, PP_ERR_ARG,
                 -1, "mask_bytes is");
    assert_error(pp_batch_mask(batch, PP_DTYPE_BOOL, -1, mask, bytes + 1, &err), &err, PP_ERR_ARG,
                 -1, "mask_bytes is");
    assert_error(pp_batch_mask(batch, PP_DTYPE_BOOL, -1, NULL, bytes, &err), &err, PP_ERR_ARG, -1,
                 "mask is NULL");
    assert_error(pp_batch_mask(NULL, PP_DTYPE_BOOL, -1, mask, bytes, &err), &err, PP_ERR_ARG, -1,
                 "batch is NULL");
    for (size_t i = 0; i <= bytes; i++)
        assert_that(mask[i] == UNTOUCHED);
    free(mask);

    size_t untouched = 5;
    assert_error(pp_batch_mask_bytes(batch, PP_DTYPE_AUTO, &untouched, &err), &err, PP_ERR_ARG, -1,
                 "a mask has dtype");
    assert_error(pp_batch_mask_bytes(NULL, PP_DTYPE_BOOL, &untouched, &err), &err, PP_ERR_ARG, -1,
                 "batch is NULL");
    const struct pp_batch vast = {.n_rows = 1, .row_len = INT64_C(1) << 32};
    assert_error(pp_batch_mask_bytes(&vast, PP_DTYPE_BOOL, &untouched, &err), &err, PP_ERR_LIMIT,
                 -1, "1 x 4294967296 x 4294967296 elements");
    const struct pp_batch large = {.n_rows = 2, .row_len = INT64_C(1) << 31};
    ck_assert_uint_eq(untouched, 5);
    ck_assert_int_eq(pp_batch_mask_bytes(&large, PP_DTYPE_BOOL, &untouched, &err), PP_OK);
    ck_assert_uint_eq(untouched, (size_t)1 << 63);
    assert_error(pp_batch_mask_bytes(&large, PP_DTYPE_F16, &untouched, &err), &err, PP_ERR_LIMIT,
                 -1, "SIZE_MAX");
    assert_error(pp_batch_mask_bytes(batch, PP_DTYPE_BOOL, NULL, &err), &err, PP_ERR_ARG, -1,
                 "bytes is NULL");
    pp_batch_destroy(batch);
    pp_plan_destroy(sample.plan);
}
END_TEST

START_TEST(mask_without_prompts)
{
    uint64_t random = SEED;
    draw_sample(&sample, &random, 0);
    pp_batch *batch = make_batch(&sample, NULL);
    size_t bytes = 5;
    ck_assert_int_eq(pp_batch_mask_bytes(batch, PP_DTYPE_F32, &bytes, NULL), PP_OK);
    ck_assert_uint_eq(bytes, 0);
    ck_assert_int_eq(pp_batch_mask(batch, PP_DTYPE_F32, -1, NULL, 0, NULL), PP_OK);
    pp_batch_destroy(batch);
    pp_plan_destroy(sample.plan);
}
END_TEST

int main(void)
{
    printf("# seed %d\n", SEED);
    fflush(stdout);
    Suite *suite = suite_create("batch mask");
    TCase *tcase = tcase_create("mask");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, masks_of_random_plans, 0, 4);
    tcase_add_loop_test(tcase, mask_of_long_rows, 0, 4);
    tcase_add_test(tcase, mask_arguments_are_checked);
    tcase_add_test(tcase, mask_without_prompts);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
