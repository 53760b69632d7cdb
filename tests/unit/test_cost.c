/*
 * test_cost.c: predictions by hand and in order; the JSON of a cost model: it reads back exactly,
 * everything else is refused with a sentence that says where. Public functions only.
 */
#include "support/flat_params.h"
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

static double predict(const pp_cost_model *cost, const int64_t *lengths, size_t n)
{
    double result = -1;
    OK(pp_cost_predict(cost, lengths, n, &result, perr));
    return result;
}

static pp_cost_model some_model(void)
{
    pp_cost_model cost;
    pp_cost_init(&cost, sizeof cost);
    cost.per_pass = 1.0 / 3;
    cost.per_token = 1e-7 / 7;
    cost.per_square = 5e-324;
    cost.per_prompt = 0.1;
    cost.tile = 64;
    cost.error = 0.034;
    cost.max_tokens = 1536;
    strcpy(cost.device, "cpu:avx2, f32, 8 threads");
    strcpy(cost.model, "\"a\\b\"\n\x7f \xc3\xa4");
    return cost;
}

START_TEST(predicts_by_hand)
{
    const int64_t lengths[] = {3, 5};
    pp_cost_model cost;
    pp_cost_init(&cost, sizeof cost);
    ck_assert(predict(&cost, lengths, 2) == 8);
    cost = (pp_cost_model){.struct_size = sizeof cost,
                           .per_pass = 1000,
                           .per_token = 100,
                           .per_square = 1,
                           .per_prompt = 10,
                           .tile = 16};
    ck_assert(predict(&cost, lengths, 2) == 1000 + 1600 + 34 + 20);
    ck_assert(predict(&cost, NULL, 0) == 0);
    cost.tile = INT64_MAX; /* no overflow */
    ck_assert(predict(&cost, lengths, 2) > 1e20);
}
END_TEST

/* Another prompt or a longer one never makes a pass cheaper. */
START_TEST(is_monotone)
{
    pp_cost_model cost = some_model();
    int64_t lengths[64] = {1};
    double last = 0;
    for (size_t n = 1; n < 64; n++) {
        lengths[n] = (int64_t)(n * 37 % 101) + 1;
        const double with = predict(&cost, lengths, n + 1);
        ck_assert(with >= last);
        lengths[n]++;
        ck_assert(predict(&cost, lengths, n + 1) >= with);
        last = predict(&cost, lengths, n + 1);
    }
}
END_TEST

START_TEST(refuses_models_out_of_range)
{
    const int64_t length = 1;
    double result = -1;
    for (int i = 0; i < 8; i++) {
        pp_cost_model cost = some_model();
        pp_error err = {.struct_size = sizeof err};
        size_t bytes = 7;
        double *terms[] = {&cost.per_pass, &cost.per_token, &cost.per_square, &cost.per_prompt};
        if (i < 4)
            *terms[i] = i % 2 ? -1e-300 : (double)NAN;
        else if (i < 6)
            cost.tile = i - 5;
        else if (i == 6)
            cost.max_tokens = -1;
        else
            cost.error = (double)INFINITY;
        ck_assert_int_eq(pp_cost_predict(&cost, &length, 1, &result, &err), PP_ERR_ARG);
        ck_assert(strlen(err.message) > 20 && result == -1);
        ck_assert_int_eq(pp_cost_to_json(&cost, NULL, 0, &bytes, NULL), PP_ERR_ARG);
        ck_assert_uint_eq(bytes, 7);
    }
}
END_TEST

static char *write_json(const pp_cost_model *cost, size_t *bytes)
{
    OK(pp_cost_to_json(cost, NULL, 0, bytes, perr));
    char *text = malloc(*bytes + 1);
    OK(pp_cost_to_json(cost, text, *bytes + 1, bytes, perr));
    ck_assert_uint_eq(strlen(text), *bytes);
    return text;
}

START_TEST(reads_back_exactly)
{
    pp_cost_model models[3] = {some_model(), some_model(), some_model()};
    pp_cost_init(&models[1], sizeof models[1]);
    memset(models[2].device, 'd', sizeof models[2].device - 1);
    models[2].per_pass = 1.7976931348623157e308;
    models[2].per_token = 12345678901234568;
    models[2].tile = INT64_MAX;
    for (int i = 0; i < 3; i++) {
        size_t bytes;
        char *text = write_json(&models[i], &bytes);
        pp_cost_model copy = {.struct_size = sizeof copy};
        OK(pp_cost_from_json(text, bytes, &copy, perr));
        ck_assert_int_eq(memcmp(&copy, &models[i], sizeof copy), 0);
        free(text);
    }
}
END_TEST

/* Names that are no UTF-8 are written so that they can be read. */
START_TEST(writes_any_name)
{
    pp_cost_model cost = some_model(), copy = {.struct_size = sizeof copy};
    size_t bytes;
    strcpy(cost.model, "\xff\xc3");
    memset(cost.device, '\xe2', sizeof cost.device); /* not ended either */
    char *text = write_json(&cost, &bytes);
    OK(pp_cost_from_json(text, bytes, &copy, perr));
    ck_assert_str_eq(copy.model, "??");
    ck_assert_uint_eq(strlen(copy.device), sizeof copy.device - 1);
    free(text);
}
END_TEST

START_TEST(needs_room)
{
    const pp_cost_model cost = some_model();
    pp_error err = {.struct_size = sizeof err};
    size_t bytes;
    char *text = write_json(&cost, &bytes), wanted[32];
    char *small = malloc(bytes);
    memset(small, '#', bytes);
    size_t untouched = 7;
    ck_assert_int_eq(pp_cost_to_json(&cost, small, bytes, &untouched, &err), PP_ERR_ARG);
    snprintf(wanted, sizeof wanted, "need %zu", bytes + 1);
    ck_assert_msg(strstr(err.message, wanted) != NULL, "%s", err.message);
    ck_assert_uint_eq(untouched, 7);
    for (size_t i = 0; i < bytes; i++)
        ck_assert_int_eq(small[i], '#');
    ck_assert_int_eq(pp_cost_to_json(NULL, NULL, 0, &bytes, NULL), PP_ERR_ARG);
    ck_assert_int_eq(pp_cost_to_json(&cost, NULL, 0, NULL, NULL), PP_ERR_ARG);
    free(small);
    free(text);
}
END_TEST

/* Reads text and returns the status; whatever it is, a failure leaves the model as it was. */
static pp_status read_json(const char *text, size_t n, pp_error *err)
{
    pp_cost_model cost, before;
    memset(&cost, 0x5a, sizeof cost);
    cost.struct_size = sizeof cost;
    before = cost;
    char *exact = malloc(n ? n : 1); /* so that reading past it is noticed */
    memcpy(exact, text, n);
    err->message[0] = '\0';
    pp_status status = pp_cost_from_json(exact, n, &cost, err);
    free(exact);
    if (status < 0) {
        ck_assert_int_eq(memcmp(&cost, &before, sizeof cost), 0);
        ck_assert_uint_gt(strlen(err->message), 20);
    }
    return status;
}

START_TEST(refuses_every_truncation)
{
    const pp_cost_model cost = some_model();
    pp_error err = {.struct_size = sizeof err};
    size_t bytes;
    char *text = write_json(&cost, &bytes);
    ck_assert_int_eq(read_json(text, bytes, &err), PP_OK);
    ck_assert_int_eq(read_json(text, bytes - 1, &err), PP_OK); /* the last byte is a newline */
    for (size_t n = 0; n + 1 < bytes; n++)
        ck_assert_int_eq(read_json(text, n, &err), PP_ERR_FORMAT);
    ck_assert_int_eq(read_json(text, bytes + 1, &err), PP_ERR_FORMAT); /* a NUL is no white space */
    free(text);
}
END_TEST

#define HEAD "{\"format\": \"prepack-cost\", \"version\": 1, "
#define REST "\"per_token\": 2, \"per_square\": 3, \"per_prompt\": 4, \"tile\": 1}"

static const struct {
    const char *text;
    pp_status status;
    const char *message;
} texts[] = {
    {HEAD "\"per_pass\": 1, " REST, PP_OK, NULL},
    {HEAD "\"per_pass\": 1e-3, \"comment\": {\"x\": [null]}, " REST, PP_OK, NULL},
    {HEAD "\"per_pass\": 0.0, \"error\": 0, \"max_tokens\": 0, " REST, PP_OK, NULL},
    {"[]", PP_ERR_FORMAT, "cost model: malformed JSON"},
    {"{}", PP_ERR_FORMAT, "\"format\" is missing; \"prepack-cost\" is needed"},
    {"{\"format\": \"prepack-plan\", \"version\": 1}", PP_ERR_FORMAT,
     "\"format\" is \"prepack-plan\""},
    {"{\"format\": 1, \"version\": 1}", PP_ERR_FORMAT, "\"format\" is 1"},
    {"{\"format\": \"prepack-cost\"}", PP_ERR_FORMAT, "\"version\" is missing"},
    {"{\"format\": \"prepack-cost\", \"version\": \"1\"}", PP_ERR_FORMAT, "\"version\" is \"1\""},
    {"{\"format\": \"prepack-cost\", \"version\": 1.0}", PP_ERR_FORMAT, "\"version\" is 1.0"},
    {"{\"format\": \"prepack-cost\", \"version\": 2}", PP_ERR_UNSUPPORTED, "\"version\" is 2"},
    {"{\"format\": \"prepack-cost\", \"version\": 0}", PP_ERR_UNSUPPORTED, "\"version\" is 0"},
    {HEAD "\"per_pas\": 1, " REST, PP_ERR_FORMAT, "\"per_pass\" is missing"},
    {HEAD "\"per_pass\": \"1\", " REST, PP_ERR_FORMAT,
     "\"per_pass\" is \"1\"; a number of at least 0"},
    {HEAD "\"per_pass\": null, " REST, PP_ERR_FORMAT, "\"per_pass\" is null"},
    {HEAD "\"per_pass\": -1, " REST, PP_ERR_FORMAT, "\"per_pass\" is -1"},
    {HEAD "\"per_pass\": -1e-300, " REST, PP_ERR_FORMAT, "\"per_pass\" is -1e-300"},
    {HEAD "\"per_pass\": NaN, " REST, PP_ERR_FORMAT, "a value is needed"},
    {HEAD "\"per_pass\": Infinity, " REST, PP_ERR_FORMAT, "a value is needed"},
    {HEAD "\"per_pass\": 1e999, " REST, PP_ERR_FORMAT, "beyond the range of double"},
    {HEAD "\"per_pass\": 99999999999999999999, " REST, PP_ERR_FORMAT, "more than 64 bits"},
    {HEAD "\"per_pass\": 1, \"per_pass\": 1, " REST, PP_ERR_FORMAT, "occurs twice"},
    {HEAD "\"per_pass\": 1, \"tile\": 0}", PP_ERR_FORMAT, "\"per_token\" is missing"},
    {HEAD "\"per_pass\": 1, \"per_token\": 2, \"per_square\": 3, \"per_prompt\": 4}", PP_ERR_FORMAT,
     "\"tile\" is missing"},
    {HEAD "\"per_pass\": 1, \"per_token\": 2, \"per_square\": 3, \"per_prompt\": 4, \"tile\": 0}",
     PP_ERR_FORMAT, "\"tile\" is 0; a whole number of at least 1"},
    {HEAD "\"per_pass\": 1, \"per_token\": 2, \"per_square\": 3, \"per_prompt\": 4, \"tile\": 1.5}",
     PP_ERR_FORMAT, "\"tile\" is 1.5"},
    {HEAD "\"per_pass\": 1, \"error\": -0.5, " REST, PP_ERR_FORMAT, "\"error\" is -0.5"},
    {HEAD "\"per_pass\": 1, \"max_tokens\": -5, " REST, PP_ERR_FORMAT, "\"max_tokens\" is -5"},
    {HEAD "\"per_pass\": 1, \"device\": 5, " REST, PP_ERR_FORMAT, "\"device\" is 5; a string"},
    {HEAD "\"per_pass\": 1, \"model\": \"a\\u0000b\", " REST, PP_ERR_FORMAT, "\\u0000"},
    {HEAD "\"model\": \"0123456789012345678901234567890123456789012345678901234567890123\", "
          "\"per_pass\": 1, " REST,
     PP_ERR_LIMIT, "\"model\" has 64 bytes; at most 63"},
};

START_TEST(refuses_what_is_wrong)
{
    pp_error err = {.struct_size = sizeof err};
    pp_status status = read_json(texts[_i].text, strlen(texts[_i].text), &err);
    ck_assert_msg(status == texts[_i].status, "%s: %d, %s", texts[_i].text, status, err.message);
    if (texts[_i].message)
        ck_assert_msg(strstr(err.message, texts[_i].message) != NULL, "%s", err.message);
}
END_TEST

START_TEST(bounds_the_text)
{
    pp_error err = {.struct_size = sizeof err};
    pp_cost_model cost = {.struct_size = sizeof cost};
    const char *text = HEAD "\"per_pass\": 1, " REST;
    for (size_t n = 65536; n <= 65537; n++) {
        char *padded = malloc(n);
        memset(padded, ' ', n);
        memcpy(padded, text, strlen(text));
        ck_assert_int_eq(read_json(padded, n, &err), n == 65536 ? PP_OK : PP_ERR_LIMIT);
        free(padded);
    }
    ck_assert_int_eq(pp_cost_from_json(NULL, 0, &cost, NULL), PP_ERR_ARG);
    ck_assert_int_eq(pp_cost_from_json(text, strlen(text), NULL, NULL), PP_ERR_ARG);
    cost.struct_size = 3;
    ck_assert_int_eq(pp_cost_from_json(text, strlen(text), &cost, NULL), PP_ERR_STRUCT_SIZE);
}
END_TEST

/* ---- pp_run_predict ---- */

static pp_plan *new_plan(int64_t capacity, const int64_t *lengths, size_t n)
{
    struct flat_params params;
    pp_packer *packer;
    pp_plan *plan;
    flat_init(&params);
    params.capacity = capacity;
    params.policy = PP_POLICY_ARRIVAL;
    OK(flat_create(&params, &packer, perr));
    OK(pp_packer_plan(packer, lengths, n, &plan, perr));
    pp_packer_destroy(packer);
    return plan;
}

START_TEST(walks_the_passes_of_a_prefill)
{
    /* passes of 100 tokens, cut at 32; bins of 60: 50 | 30 20 | 60 | 10, then one prompt of 250 */
    const int64_t lengths[] = {50, 30, 20, 60, 10}, long_one = 250;
    const pp_session_info info = {.struct_size = sizeof info,
                                  .max_pass_tokens = 100,
                                  .chunk_tokens = 32,
                                  .page_tokens = 16,
                                  .n_page_classes = 1,
                                  .class_page_bytes = {1000}};
    const pp_cost_model cost = {.struct_size = sizeof cost,
                                .per_pass = 1e9,
                                .per_token = 1e6,
                                .per_square = 1,
                                .per_prompt = 1e12,
                                .tile = 64};
    pp_prediction prediction = {.struct_size = sizeof prediction};
    pp_plan *plan = new_plan(60, lengths, 5);
    OK(pp_run_predict(&info, &cost, plan, NULL, 0, &prediction, perr));
    /* 50 + 30 + 20 fill the first pass, 60 + 10 the second */
    ck_assert_int_eq(prediction.passes, 2);
    ck_assert_int_eq(prediction.kv_bytes, 1000 * (4 + 2 + 2 + 4 + 1));
    ck_assert(prediction.seconds == 2e9 + 2 * 128e6 + (2500 + 900 + 400 + 3600 + 100) + 5e12);
    OK(pp_run_predict(&info, NULL, plan, NULL, 0, &prediction, perr));
    ck_assert(prediction.seconds == 170);
    pp_plan_destroy(plan);
    /* 60 would be cut after 50: a bin that fits into a pass gets one */
    plan = new_plan(60, (int64_t[]){50, 60}, 2);
    OK(pp_run_predict(&info, &cost, plan, NULL, 0, &prediction, perr));
    ck_assert_int_eq(prediction.passes, 2);
    ck_assert(prediction.seconds == 2e9 + (64 + 64) * 1e6 + 2500 + 3600 + 2e12);
    pp_plan_destroy(plan);
    /* 0..96, 96..192, 192..250: the squares add up to the prompt's */
    plan = new_plan(250, &long_one, 1);
    OK(pp_run_predict(&info, &cost, plan, NULL, 0, &prediction, perr));
    ck_assert_int_eq(prediction.passes, 3);
    ck_assert(prediction.seconds == 3e9 + (128 + 128 + 64) * 1e6 + 250 * 250 + 1e12);
    pp_plan_destroy(plan);
    /* without a plan: one after another, the second in what the first has left */
    OK(pp_run_predict(&info, &cost, NULL, (int64_t[]){50, 100}, 2, &prediction, perr));
    ck_assert_int_eq(prediction.passes, 2);
    ck_assert_int_eq(prediction.kv_bytes, 1000 * (4 + 7));
    plan = new_plan(0, NULL, 0);
    OK(pp_run_predict(&info, &cost, plan, NULL, 0, &prediction, perr));
    ck_assert(prediction.seconds == 0 && prediction.passes == 0 && prediction.kv_bytes == 0);
    pp_plan_destroy(plan);
}
END_TEST

/* Pages behind a window go back, all but those of some 64 tokens. */
START_TEST(predicts_what_windows_keep)
{
    const int64_t length = 1000;
    pp_session_info info = {.struct_size = sizeof info,
                            .max_pass_tokens = 100,
                            .chunk_tokens = 32,
                            .page_tokens = 16,
                            .n_page_classes = 2,
                            .class_page_bytes = {1000, 10},
                            .class_windows = {0, 32}};
    pp_prediction prediction = {.struct_size = sizeof prediction};
    OK(pp_run_predict(&info, NULL, NULL, &length, 1, &prediction, perr));
    /* token 1000 sees 969 and later; 64 before that are kept, from the page of 905 on */
    ck_assert_int_eq(prediction.kv_bytes, 1000 * 63 + 10 * (63 - 905 / 16));
    info.keep_window_pages = 1;
    OK(pp_run_predict(&info, NULL, NULL, &length, 1, &prediction, perr));
    ck_assert_int_eq(prediction.kv_bytes, 1010 * 63);
    const int64_t bad = 0;
    ck_assert_int_eq(pp_run_predict(&info, NULL, NULL, &bad, 1, &prediction, NULL), PP_ERR_ARG);
    ck_assert_int_eq(pp_run_predict(&info, NULL, NULL, &length, -1, &prediction, NULL), PP_ERR_ARG);
}
END_TEST

START_TEST(predicts_only_from_sessions)
{
    const int64_t length = 50;
    const pp_session_info good = {.struct_size = sizeof good,
                                  .max_pass_tokens = 100,
                                  .chunk_tokens = 32,
                                  .page_tokens = 16,
                                  .n_page_classes = 1,
                                  .class_page_bytes = {1000}};
    pp_plan *plan = new_plan(60, &length, 1);
    pp_prediction prediction = {.struct_size = sizeof prediction, .passes = 7};
    for (int i = 0; i < 7; i++) {
        pp_session_info info = good;
        pp_error err = {.struct_size = sizeof err};
        if (i == 0)
            info.chunk_tokens = 0;
        else if (i == 1)
            info.chunk_tokens = 101; /* would never get on */
        else if (i == 2)
            info.page_tokens = 0;
        else if (i == 3)
            info.n_page_classes = 5;
        else if (i == 4)
            info.class_windows[0] = -1;
        else if (i == 5)
            info.class_page_bytes[0] = -1;
        else
            info.class_page_bytes[0] = INT64_MAX;
        ck_assert_int_eq(pp_run_predict(&info, NULL, plan, NULL, 0, &prediction, &err), PP_ERR_ARG);
        ck_assert_uint_gt(strlen(err.message), 20);
    }
    ck_assert_int_eq(pp_run_predict(NULL, NULL, plan, NULL, 0, &prediction, NULL), PP_ERR_ARG);
    ck_assert_int_eq(pp_run_predict(&good, NULL, NULL, NULL, 1, &prediction, NULL), PP_ERR_ARG);
    ck_assert_int_eq(pp_run_predict(&good, NULL, plan, NULL, 0, NULL, NULL), PP_ERR_ARG);
    ck_assert_int_eq(prediction.passes, 7);
    pp_plan_destroy(plan);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cost");
    TCase *tests = tcase_create("cost");
    tcase_add_test(tests, predicts_by_hand);
    tcase_add_test(tests, is_monotone);
    tcase_add_test(tests, refuses_models_out_of_range);
    tcase_add_test(tests, reads_back_exactly);
    tcase_add_test(tests, writes_any_name);
    tcase_add_test(tests, needs_room);
    tcase_add_test(tests, refuses_every_truncation);
    tcase_add_loop_test(tests, refuses_what_is_wrong, 0, (int)(sizeof texts / sizeof *texts));
    tcase_add_test(tests, bounds_the_text);
    tcase_add_test(tests, walks_the_passes_of_a_prefill);
    tcase_add_test(tests, predicts_what_windows_keep);
    tcase_add_test(tests, predicts_only_from_sessions);
    suite_add_tcase(suite, tests);
    return tap_run(suite, CK_FORK);
}
