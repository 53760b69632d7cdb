/*
 * test_exchange_refused.c: texts that are no plans are refused with a sentence that says what and
 * where, and nothing is given.
 */
#include "test_plan_support.h"
#include "test_plan_texts.h"

static const struct {
    const char *text;
    int64_t index;
    const char *says;
} wrong[] = {
    {"", -1, "an object is needed"},
    {"[]", -1, "an object is needed"},
    {"{}", -1, "format is missing"},
    {"{\"format\":\"plan\",\"version\":1}", -1, "format is \"plan\""},
    {"{\"format\":\"prepack-plan\"}", -1, "version is missing"},
    {"{\"format\":\"prepack-plan\",\"version\":0}", -1, "version is 0"},
    {"{\"format\":\"prepack-plan\",\"version\":1.0}", -1, "version is 1.0"},
    {"{\"format\":\"prepack-plan\",\"version\":1}", -1, "lengths is missing"},
    {HEAD "}", -1, "lengths is missing"},
    {HEAD ",\"lengths\":[]}", -1, "bins is missing"},
    {HEAD ",\"lengths\":3,\"bins\":[]}", -1, "lengths is 3"},
    {HEAD ",\"lengths\":[],\"bins\":{}}", -1, "bins is an object"},
    {HEAD ",\"lengths\":[],\"bins\":[],\"notes\":1}", -1, "\"notes\""},
    {HEAD ",\"lengths\":[1],\"bins\":[0]}", 0, "bin 0 is 0, but must be an array"},
    {HEAD ",\"lengths\":[1],\"bins\":[[\"0\"]]}", 0, "bin 0 holds prompt \"0\""},
    {HEAD ",\"lengths\":[1],\"bins\":[[0.0]]}", 0, "bin 0 holds prompt 0.0"},
    {HEAD ",\"lengths\":[1],\"bins\":[[1]]}", 0, "bin 0 holds prompt 1"},
    {HEAD ",\"lengths\":[1],\"bins\":[[-1]]}", 0, "bin 0 holds prompt -1"},
    {HEAD ",\"lengths\":[1],\"bins\":[[4294967296]]}", 0, "bin 0 holds prompt 4294967296"},
    {HEAD ",\"lengths\":[1],\"bins\":[[[]]]}", 0, "bin 0 holds prompt an array"},
    {HEAD ",\"lengths\":[1],\"bins\":[]}", 0, "prompt 0 lies in no bin"},
    {HEAD ",\"lengths\":[1,1],\"bins\":[[0],[0]]}", 0, "prompt 0 lies in bin 0 and again in bin 1"},
    {HEAD ",\"lengths\":[1,1],\"bins\":[[1,1]]}", 1, "prompt 1 lies in bin 0 and again in bin 0"},
    {HEAD ",\"lengths\":[1,1],\"bins\":[[1]]}", 0, "prompt 0 lies in no bin"},
    {HEAD ",\"lengths\":[1],\"bins\":[[],[0]]}", 0, "bin 0 is empty"},
    {HEAD ",\"lengths\":[6,5],\"bins\":[[0,1]]}", 0, "bin 0 holds more than its capacity of 10"},
    {HEAD ",\"lengths\":[1,11],\"bins\":[[0],[1]]}", 1, "bin 1 holds more than its capacity"},
    {HEAD ",\"lengths\":[0],\"bins\":[[0]]}", 0, "lengths[0] is 0"},
    {HEAD ",\"lengths\":[1,-7],\"bins\":[[0,1]]}", 1, "lengths[1] is -7"},
    {HEAD ",\"lengths\":[true],\"bins\":[[0]]}", 0, "lengths[0] is true"},
    {HEAD ",\"lengths\":[9223372036854775808],\"bins\":[[0]]}", -1, "more than 64 bits"},
    {HEAD ",\"lengths\":[9223372036854775807,1],\"bins\":[[0],[1]]}", 1, "2^63 - 1"},
    {HEAD ",\"lengths\":[7],\"bins\":[[0]],\"bin_capacities\":[6]}", 0, "capacity of 6"},
    {HEAD ",\"lengths\":[7],\"bins\":[[0]],\"bin_capacities\":[11]}", 0, "the plan's is 10"},
    {HEAD ",\"lengths\":[7],\"bins\":[[0]],\"bin_capacities\":[]}", -1, "0 values, but needs 1"},
    {HEAD ",\"lengths\":[7],\"bins\":[[0]],\"bin_capacities\":7}", -1, "bin_capacities is 7"},
    {HEAD ",\"lengths\":[7],\"bins\":[[0]],\"figures\":[]}", -1, "figures is an array"},
    {HEAD ",\"lengths\":[7],\"bins\":[[0]],\"figures\":{\"tokens\":8}}", -1, "figures.tokens is 8"},
    {HEAD ",\"lengths\":[7],\"bins\":[[0]],\"figures\":{\"n_bins\":2}}", -1, "figures.n_bins is 2"},
    {HEAD ",\"lengths\":[7],\"bins\":[[0]],\"figures\":{\"used\":7.0}}", -1, "figures.used is 7.0"},
    {HEAD ",\"lengths\":[7],\"bins\":[[0]],\"figures\":{\"seconds\":-1}}", -1, "figures.seconds"},
    {HEAD ",\"lengths\":[7],\"bins\":[[0]],\"figures\":{\"limit_reached\":3}}", -1, "from 0 to 2"},
    {HEAD ",\"lengths\":[7],\"lengths\":[7],\"bins\":[[0]]}", -1, "occurs twice"},
};

static void refuse(const char *text, int64_t index, const char *says)
{
    pp_error err = {.struct_size = sizeof err};
    pp_plan *plan = (pp_plan *)&err;
    size_t n = strlen(text);
    char *exact = malloc(n ? n : 1); /* so that reading past the end is noticed */
    memcpy(exact, text, n);
    pp_status status = pp_plan_from_json(exact, n, NULL, &plan, &err);
    assert_error(status, &err, PP_ERR_FORMAT, index, says);
    ck_assert_ptr_eq(err.message, strstr(err.message, "plan: "));
    ck_assert_ptr_eq(plan, &err);
    free(exact);
}

START_TEST(refuses)
{
    refuse(wrong[_i].text, wrong[_i].index, wrong[_i].says);
}
END_TEST

/* Each setting replaced by what it may not be, and left out. */
static const struct {
    const char *member, *instead, *says;
} settings[] = {
    {"\"objective\":\"fewest\"", "\"objective\":\"most\"", "objective is \"most\""},
    {"\"objective\":\"fewest\"", "\"objective\":1", "objective is 1"},
    {"\"policy\":\"ffd\"", "\"policy\":\"\"", "policy is \"\""},
    {"\"policy\":\"ffd\",", "", "policy is missing"},
    {"\"capacity\":10", "\"capacity\":-1", "capacity is -1"},
    {"\"capacity\":10", "\"capacity\":\"10\"", "capacity is \"10\""},
    {"\"capacity\":10,", "", "capacity is missing"},
    {"\"prompt_alignment\":1", "\"prompt_alignment\":0", "prompt_alignment is 0"},
    {"\"prompt_alignment\":1", "\"prompt_alignment\":9223372036854775807", "prompt_alignment is"},
    {"\"bin_alignment\":1", "\"bin_alignment\":0", "bin_alignment is 0"},
    {"\"bin_alignment\":1", "\"bin_alignment\":11", "more than its capacity"},
    {"\"per_pass\":0", "\"per_pass\":-0.5", "cost.per_pass is -0.5"},
    {"\"per_token\":1", "\"per_token\":null", "cost.per_token is null"},
    {"\"per_square\":0,", "", "cost.per_square is missing"},
    {"\"per_prompt\":0", "\"per_prompt\":\"\"", "cost.per_prompt is \"\""},
    {"\"tile\":1", "\"tile\":0", "cost.tile is 0"},
    {"\"tile\":1", "\"tile\":9223372036854775807", "too many for a cost model"},
    {"\"error\":0", "\"error\":true", "cost.error is true"},
    {"\"device\":\"\"", "\"device\":0", "cost.device is 0"},
    {"\"model\":\"\"",
     "\"model\":\"0123456789012345678901234567890123456789012345678901234567890123\"",
     "cost.model is"},
    {"\"model\":\"\"", "\"model\":\"\",\"extra\":1", "cost has a member \"extra\""},
    {"\"cost\":{", "\"cost\":[{", "malformed"},
};

START_TEST(refuses_settings)
{
    static const char good[] = HEAD ",\"lengths\":[7,3],\"bins\":[[0,1]]}";
    char text[2048];
    const char *at = strstr(good, settings[_i].member);
    ck_assert_ptr_nonnull(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, settings[_i].instead,
             at + strlen(settings[_i].member));
    pp_error err = {.struct_size = sizeof err};
    pp_plan *plan;
    pp_status status = pp_plan_from_json(text, strlen(text), NULL, &plan, &err);
    ck_assert_msg(status == PP_ERR_FORMAT && strstr(err.message, settings[_i].says), "%s",
                  err.message);
    ck_assert_int_eq(pp_plan_from_json(good, strlen(good), NULL, &plan, NULL), PP_OK);
    pp_plan_destroy(plan);
}
END_TEST

/* The arrays of PARTS with one thing wrong each. */
static const struct {
    const char *member, *instead, *says;
} parts[] = {
    {"\"after\":[-1,-1,0,0,-1,1,5]", "\"after\":[-1,-1,0,0,-1,1,6]", "not in an earlier bin"},
    {"\"after\":[-1,-1,0,0,-1,1,5]", "\"after\":[-1,-1,0,0,-1,1,7]", "not in an earlier bin"},
    {"\"after\":[-1,-1,0,0,-1,1,5]", "\"after\":[-1,-1,1,0,-1,1,5]", "ends at 6"},
    {"\"after\":[-1,-1,0,0,-1,1,5]", "\"after\":[-1,-1,-1,0,-1,1,5]", "ends at 0"},
    {"\"after\":[-1,-1,0,0,-1,1,5]", "\"after\":[-1,-1,0,2,-1,1,5]", "not in an earlier bin"},
    {"\"after\":[-1,-1,0,0,-1,1,5]", "\"after\":[-2,-1,0,0,-1,1,5]", "segments.after[0] is -2"},
    {"\"after\":[-1,-1,0,0,-1,1,5]", "\"after\":[-1,-1,0,0,-1,1]", "6 values, but needs 7"},
    {"\"after\":[-1,-1,0,0,-1,1,5]", "\"behind\":[]", "segments has a member \"behind\""},
    {"\"n_tokens\":[4,6,3,2,4,10,9]", "\"n_tokens\":[4,6,3,2,4,10,8]", "does not end with"},
    {"\"n_tokens\":[4,6,3,2,4,10,9]", "\"n_tokens\":[4,6,3,2,4,9,9]", "ends at 15"},
    {"\"n_tokens\":[4,6,3,2,4,10,9]", "\"n_tokens\":[4,6,3,2,4,10,10]", "prompt 3 has 25"},
    {"\"n_tokens\":[4,6,3,2,4,10,9]", "\"n_tokens\":[4,6,3,2,0,10,9]", "n_tokens[4] is 0"},
    {"\"first_tokens\":[0,0,4,4,0,6,16]", "\"first_tokens\":[1,0,4,4,0,6,16]", "begins with token"},
    {"\"first_tokens\":[0,0,4,4,0,6,16]", "\"first_tokens\":[0,0,4,4,0,6,9223372036854775807]",
     "from token 9223372036854775807 on"},
    {"\"ends\":[2,3,4,6]", "\"ends\":[2,3,4,5]", "prompt 3 of 25 tokens does not end"},
    {"\"ends\":[2,3,4,6]", "\"ends\":[2,3,4,7]", "which is not there"},
    {"\"ends\":[2,3,4,6]", "\"ends\":[2,3,4]", "3 values, but needs 4"},
    {"\"bins\":[[0,3],[0,1,2],[3],[3]]", "\"bins\":[[1,3],[0,1,2],[3],[3]]", "not the lowest"},
    {"\"bins\":[[0,3],[0,1,2],[3],[3]]", "\"bins\":[[0,3],[0,1,3],[3],[3]]", "not the lowest"},
    {"\"lengths\":[7,6,4,25]", "\"lengths\":[7,6,4,26]", "does not end with"},
    {"\"segments\":{", "\"segments\":[{", "malformed"},
};

START_TEST(refuses_parts)
{
    char text[2048];
    const char *at = strstr(PARTS, parts[_i].member);
    ck_assert_ptr_nonnull(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - PARTS), PARTS, parts[_i].instead,
             at + strlen(parts[_i].member));
    pp_error err = {.struct_size = sizeof err};
    pp_plan *plan;
    pp_status status = pp_plan_from_json(text, strlen(text), NULL, &plan, &err);
    ck_assert_msg(status == PP_ERR_FORMAT && strstr(err.message, parts[_i].says), "%s",
                  err.message);
}
END_TEST

/* A segment that no prompt needs would be computed for nothing. */
START_TEST(refuses_orphans)
{
    refuse(HEAD ",\"lengths\":[4],\"bins\":[[0,0]],\"segments\":{\"first_tokens\":[0,0],"
                "\"n_tokens\":[4,4],\"after\":[-1,-1],\"ends\":[0]}}",
           0, "no prompt needs it");
}
END_TEST

START_TEST(refuses_versions_to_come)
{
    static const char text[] = "{\"format\":\"prepack-plan\",\"version\":2,\"more\":{}}";
    pp_error err = {.struct_size = sizeof err};
    pp_plan *plan;
    pp_status status = pp_plan_from_json(text, strlen(text), NULL, &plan, &err);
    assert_error(status, &err, PP_ERR_UNSUPPORTED, -1, "version 2");
}
END_TEST

/* A text that was cut anywhere is no plan. */
START_TEST(refuses_every_truncation)
{
    for (size_t n = 0; n < strlen(PARTS); n++) {
        pp_error err = {.struct_size = sizeof err};
        pp_plan *plan;
        char *exact = malloc(n ? n : 1);
        memcpy(exact, PARTS, n);
        ck_assert_int_eq(pp_plan_from_json(exact, n, NULL, &plan, &err), PP_ERR_FORMAT);
        free(exact);
    }
}
END_TEST

START_TEST(deep_nesting_is_refused)
{
    char *text = malloc(200001);
    memset(text, '[', 200000);
    text[200000] = '\0';
    memcpy(text, "{\"format\":", 10);
    refuse(text, -1, "nested deeper");
    free(text);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

int main(void)
{
    Suite *suite = suite_create("refused");
    TCase *tests = tcase_create("refused");
    tcase_add_loop_test(tests, refuses, 0, COUNT(wrong));
    tcase_add_loop_test(tests, refuses_settings, 0, COUNT(settings));
    tcase_add_loop_test(tests, refuses_parts, 0, COUNT(parts));
    tcase_add_test(tests, refuses_orphans);
    tcase_add_test(tests, refuses_versions_to_come);
    tcase_add_test(tests, refuses_every_truncation);
    tcase_add_test(tests, deep_nesting_is_refused);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
