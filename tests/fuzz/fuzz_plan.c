/*
 * fuzz_plan.c: any text as a plan: refused with a sentence, or a plan that keeps what plans promise
 * and that its own text gives again.
 */
#include "fuzz.h"

#include <prepack/prepack.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HEAD                                                                                       \
    "{\"format\":\"prepack-plan\",\"version\":1,\"objective\":\"fewest\",\"policy\":\"ffd\","      \
    "\"capacity\":10,\"prompt_alignment\":1,\"bin_alignment\":1,\"cost\":{\"per_pass\":0,"         \
    "\"per_token\":1,\"per_square\":1,\"per_prompt\":0,\"tile\":1,\"error\":0,\"device\":\"\","    \
    "\"model\":\"\"}"

const char *const fuzz_seeds[] = {
    HEAD ",\"lengths\":[7,3,6,1],\"bins\":[[0,1],[2,3]],\"bin_capacities\":[10,7],\"figures\":"
         "{\"n_prompts\":4,\"tokens\":17,\"used\":17,\"seconds\":1e-3}}",
    HEAD ",\"lengths\":[7,6,4,25],\"bins\":[[0,3],[0,1,2],[3],[3]],\"segments\":{\"first_tokens\":"
         "[0,0,4,4,0,6,16],\"n_tokens\":[4,6,3,2,4,10,9],\"after\":[-1,-1,0,0,-1,1,5],"
         "\"ends\":[2,3,4,6]}}",
    NULL,
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static char *text_of(const pp_plan *plan, size_t *bytes)
{
    check(pp_plan_to_json(plan, NULL, 0, bytes, NULL) == PP_OK);
    char *text = malloc(*bytes + 1);
    check(pp_plan_to_json(plan, text, *bytes + 1, bytes, NULL) == PP_OK);
    return text;
}

/* Every prompt's tokens lie in its segments, and no bin holds more than its capacity. */
static void check_plan(const pp_plan *plan)
{
    pp_plan_info info = {.struct_size = sizeof info};
    check(pp_plan_get_info(plan, &info, NULL) == PP_OK);
    size_t n = (size_t)info.n_prompts;
    int64_t *ends = malloc((n + 1) * sizeof *ends), tokens = 0, placed = 0;
    check(pp_plan_get_ends(plan, ends, n, NULL) == PP_OK);
    for (size_t i = 0; i < n; i++) {
        for (int64_t at = ends[i]; at >= 0;) {
            pp_segment segment;
            check(pp_plan_get_segment(plan, at, &segment, NULL) == PP_OK);
            check(segment.after < at && segment.prompt <= (int64_t)i && segment.start >= 0);
            tokens += segment.n_tokens;
            at = segment.after;
        }
    }
    for (int64_t bin = 0; bin < info.n_bins; bin++) {
        pp_bin_info found = {.struct_size = sizeof found};
        check(pp_plan_get_bin_info(plan, bin, &found, NULL) == PP_OK);
        check(found.tokens <= found.used && found.used <= found.capacity);
        placed += found.tokens;
    }
    check(tokens == info.tokens && placed == info.placed_tokens && placed <= tokens);
    check(info.lower_bound <= info.n_bins);
    free(ends);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    pp_error err = {.struct_size = sizeof err};
    pp_plan *plan, *copy;
    if (pp_plan_from_json((const char *)bytes, len, NULL, &plan, &err) < 0) {
        check(strncmp(err.message, "plan: ", 6) == 0);
        return 0;
    }
    check_plan(plan);
    size_t n_first, n_second;
    char *first = text_of(plan, &n_first);
    check(pp_plan_from_json(first, n_first, NULL, &copy, NULL) == PP_OK);
    char *second = text_of(copy, &n_second);
    check(n_first == n_second && memcmp(first, second, n_first) == 0);
    free(first);
    free(second);
    pp_plan_destroy(plan);
    pp_plan_destroy(copy);
    return 0;
}
