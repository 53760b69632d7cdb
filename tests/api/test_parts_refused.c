/*
 * test_parts_refused.c: plans that hold parts of prompts are made for other engines: everything
 * here that runs a plan says so and does nothing. A plan that could have had parts but has none
 * runs.
 */
#include "support/flat_params.h"
#include "support/tap.h"

#include <prepack/prepack.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

static pp_error err = {.struct_size = sizeof err};

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)
#define REFUSED(call)                                                                              \
    do {                                                                                           \
        ck_assert_int_eq((call), PP_ERR_UNSUPPORTED);                                              \
        ck_assert_int_eq(err.code, PP_ERR_UNSUPPORTED);                                            \
        ck_assert_ptr_nonnull(strstr(err.message, "splits prompts or shares their prefixes"));     \
    } while (0)

#define N         2
#define UNTOUCHED ((void *)0x5a5a)

static const int32_t ids[8] = {5, 9, 2, 7, 7, 1, 3, 8};
static const pp_prompt prompts[N] = {{ids, 8}, {ids, 6}};

static pp_plan *make_plan(int64_t capacity, int32_t share, int32_t oversize)
{
    struct flat_params params;
    flat_init(&params);
    params.capacity = capacity;
    params.oversize = oversize;
    params.min_shared_prefix = share ? 4 : 0;
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    const int64_t lengths[N] = {8, 6};
    pp_plan_input input = {
        .struct_size = sizeof input, .n = N, .lengths = lengths, .prompts = prompts};
    OK(flat_create(&params, &packer, &err));
    OK(pp_packer_plan_input(packer, &input, &plan, &err));
    pp_packer_destroy(packer);
    return plan;
}

static pp_session *new_session(void)
{
    pp_model *model = NULL;
    pp_session *session = NULL;
    OK(pp_model_create_random(pp_model_preset("tiny"), 1, NULL, &model, &err));
    OK(pp_session_create(model, NULL, &session, &err));
    pp_model_unref(model);
    return session;
}

static int64_t tokens_computed(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, &err));
    return info.tokens_computed;
}

START_TEST(plans_with_parts)
{
    pp_plan *plan =
        _i == 0 ? make_plan(8, 1, PP_OVERSIZE_ERROR) : make_plan(5, 0, PP_OVERSIZE_SPLIT);
    pp_plan_info info = {.struct_size = sizeof info};
    OK(pp_plan_get_info(plan, &info, &err));
    ck_assert(info.n_segments > N || info.placed_tokens < info.tokens);
    pp_session *session = new_session();
    pp_kvcache *caches[N] = {UNTOUCHED, UNTOUCHED};
    const float *logits = UNTOUCHED;
    int32_t next[N] = {-7, -7};
    REFUSED(pp_prefill(session, plan, prompts, N, caches, &logits, &err));
    REFUSED(pp_prefill(session, plan, prompts, N, caches, NULL, &err));
    pp_item items[N];
    for (int i = 0; i < N; i++)
        items[i] = (pp_item){.struct_size = sizeof items[i],
                             .tokens = prompts[i].tokens,
                             .n_tokens = prompts[i].n_tokens};
    REFUSED(pp_run(session, plan, items, N, NULL, &err));
    ck_assert_ptr_null(items[0].cache);
    pp_session_info session_info = {.struct_size = sizeof session_info};
    pp_prediction prediction = {.struct_size = sizeof prediction, .passes = 7};
    OK(pp_session_get_info(session, &session_info, &err));
    REFUSED(pp_run_predict(&session_info, NULL, plan, NULL, 0, &prediction, &err));
    ck_assert_int_eq(prediction.passes, 7);
    REFUSED(pp_prefill_sample(session, plan, prompts, N, NULL, caches, next, &err));
    ck_assert_ptr_eq(caches[0], UNTOUCHED);
    ck_assert_ptr_eq(caches[1], UNTOUCHED);
    ck_assert_ptr_eq(logits, UNTOUCHED);
    ck_assert_int_eq(next[0], -7);
    ck_assert_int_eq(tokens_computed(session), 0);
    pp_batch *batch = UNTOUCHED;
    REFUSED(pp_batch_build(plan, prompts, N, NULL, &batch, &err));
    ck_assert_ptr_eq(batch, UNTOUCHED);
    pp_plan_destroy(plan);
    pp_session_destroy(session);
}
END_TEST

/* Room for both in one bin, so that nothing is shared; no prompt longer than a bin. */
START_TEST(plans_that_came_out_whole)
{
    pp_plan *plan =
        _i == 0 ? make_plan(14, 1, PP_OVERSIZE_ERROR) : make_plan(8, 0, PP_OVERSIZE_SPLIT);
    pp_session *session = new_session();
    pp_kvcache *caches[N];
    OK(pp_prefill(session, plan, prompts, N, caches, NULL, &err));
    ck_assert_int_eq(tokens_computed(session), 14);
    pp_batch *batch;
    OK(pp_batch_build(plan, prompts, N, NULL, &batch, &err));
    pp_batch_destroy(batch);
    pp_plan_destroy(plan);
    for (int i = 0; i < N; i++)
        pp_kvcache_destroy(caches[i]);
    pp_session_destroy(session);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plans refused");
    TCase *tcase = tcase_create("plans");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, plans_with_parts, 0, 2);
    tcase_add_loop_test(tcase, plans_that_came_out_whole, 0, 2);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
