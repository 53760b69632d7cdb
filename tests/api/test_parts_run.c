/*
 * test_parts_run.c: plans that hold parts of prompts: they run, a prediction knows what they take,
 * and what does not fit them is refused with nothing changed. Arrays for other engines have no
 * place for parts. (That no bit changes: tests/prop/test_sharing.c.)
 */
#include "support/flat_params.h"
#include "support/tap.h"

#include <prepack/prepack.h>

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static pp_error err = {.struct_size = sizeof err};

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)
#define REFUSED(code, call, words)                                                                 \
    do {                                                                                           \
        ck_assert_int_eq((call), (code));                                                          \
        ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);                      \
    } while (0)

#define N         3
#define UNTOUCHED ((void *)0x5a5a)

/* 40 tokens, the first 20 of them, and the first 30 with others behind. */
static int32_t ids[40], others[37];
static const pp_prompt prompts[N] = {{ids, 40}, {ids, 20}, {others, 37}};
static const int64_t lengths[N] = {40, 20, 37};

static pp_plan *make_plan(int64_t capacity, int64_t min_shared_prefix, int32_t oversize)
{
    struct flat_params params;
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    flat_init(&params);
    params.capacity = capacity;
    params.oversize = oversize;
    params.min_shared_prefix = min_shared_prefix;
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

static pp_session_info info_of(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, &err));
    return info;
}

static void make_items(pp_item *items)
{
    for (int i = 0; i < N; i++)
        items[i] = (pp_item){.struct_size = sizeof items[i],
                             .tokens = prompts[i].tokens,
                             .n_tokens = prompts[i].n_tokens};
}

static void destroy_caches(pp_item *items)
{
    for (int i = 0; i < N; i++)
        pp_kvcache_destroy(items[i].cache);
}

/* The prediction of a plan, of which the run then takes just as much. */
static void check_prediction(pp_session *session, const pp_plan *plan, int64_t n_tokens)
{
    pp_session_info before = info_of(session);
    pp_prediction prediction = {.struct_size = sizeof prediction};
    pp_item items[N];
    OK(pp_run_predict(&before, NULL, plan, lengths, plan ? 0 : N, &prediction, &err));
    make_items(items);
    OK(pp_run(session, plan, items, N, NULL, &err));
    pp_session_info after = info_of(session);
    ck_assert_int_eq(after.tokens_computed - before.tokens_computed, n_tokens);
    ck_assert_int_eq(after.passes - before.passes, prediction.passes);
    ck_assert_int_eq((int64_t)prediction.seconds, n_tokens); /* a pass costs its tokens */
    int64_t kv_bytes = 0;
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(pp_kvcache_length(items[i].cache), lengths[i]);
        kv_bytes += pp_kvcache_bytes(items[i].cache); /* shared pages count for each */
    }
    ck_assert_int_eq(after.kv_bytes, prediction.kv_bytes);
    ck_assert_int_le(after.kv_bytes, kv_bytes);
    destroy_caches(items);
}

START_TEST(runs_as_predicted)
{
    pp_session *session = new_session();
    pp_plan *shared = make_plan(40, 8, PP_OVERSIZE_ERROR);
    pp_plan *split = make_plan(25, 0, PP_OVERSIZE_SPLIT);
    pp_plan_info info = {.struct_size = sizeof info};
    OK(pp_plan_get_info(shared, &info, &err));
    ck_assert_int_lt(info.placed_tokens, 97);
    check_prediction(session, shared, info.placed_tokens);
    check_prediction(session, split, 97);
    check_prediction(session, NULL, 97);
    pp_plan_destroy(shared);
    pp_plan_destroy(split);
    pp_session_destroy(session);
}
END_TEST

/* The short forms take such plans too. */
START_TEST(short_forms)
{
    pp_session *session = new_session();
    pp_plan *plan = make_plan(40, 8, PP_OVERSIZE_ERROR);
    pp_kvcache *caches[N];
    const float *logits;
    int32_t next[N];
    OK(pp_prefill(session, plan, prompts, N, caches, &logits, &err));
    for (int i = 0; i < N; i++)
        pp_kvcache_destroy(caches[i]);
    OK(pp_prefill_sample(session, plan, prompts, N, NULL, caches, next, &err));
    for (int i = 0; i < N; i++)
        pp_kvcache_destroy(caches[i]);
    pp_plan_destroy(plan);
    pp_session_destroy(session);
}
END_TEST

START_TEST(what_does_not_fit)
{
    pp_session *session = new_session();
    pp_plan *plan = make_plan(40, 8, PP_OVERSIZE_ERROR);
    pp_item items[N];
    pp_run_params params;
    pp_run_params_init(&params, sizeof params);
    params.min_shared_prefix = 4;
    make_items(items);
    REFUSED(PP_ERR_ARG, pp_run(session, plan, items, N, &params, &err),
            "min_shared_prefix is 4 and there is a plan");
    params.min_shared_prefix = -1;
    REFUSED(PP_ERR_ARG, pp_run(session, NULL, items, N, &params, &err), "min_shared_prefix is -1");

    int32_t changed[37];
    memcpy(changed, others, sizeof changed);
    changed[4] = 99;
    items[2].tokens = changed;
    REFUSED(PP_ERR_ARG, pp_run(session, plan, items, N, NULL, &err), "token 4 is 99 in place of");
    ck_assert_int_eq(err.index, 2);

    make_items(items);
    OK(pp_run(session, NULL, items, 1, NULL, &err)); /* item 0 has a cache now */
    REFUSED(PP_ERR_ARG, pp_run(session, plan, items, N, NULL, &err),
            "but its cache holds tokens already");
    ck_assert_int_eq(pp_kvcache_length(items[0].cache), 40);
    ck_assert_ptr_null(items[1].cache);

    pp_batch *batch = UNTOUCHED;
    REFUSED(PP_ERR_UNSUPPORTED, pp_batch_build(plan, prompts, N, NULL, &batch, &err),
            "splits prompts or shares their prefixes");
    ck_assert_ptr_eq(batch, UNTOUCHED);
    ck_assert_int_eq(info_of(session).tokens_computed, 40);
    destroy_caches(items);
    pp_plan_destroy(plan);
    pp_session_destroy(session);
}
END_TEST

/* Items with caches and new ones in one run that shares: the latter share among themselves. */
START_TEST(some_have_caches)
{
    pp_session *session = new_session();
    pp_item items[N];
    pp_run_params params;
    pp_run_params_init(&params, sizeof params);
    params.min_shared_prefix = 10;
    make_items(items);
    OK(pp_run(session, NULL, &items[1], 1, NULL, &err));
    int64_t before = info_of(session).tokens_computed;
    OK(pp_run(session, NULL, items, N, &params, &err));
    ck_assert_int_eq(info_of(session).tokens_computed - before, 30 + 10 + 7 + 20);
    ck_assert_int_eq(pp_kvcache_length(items[1].cache), 40);
    destroy_caches(items);
    ck_assert_int_eq(info_of(session).kv_bytes, 0);
    pp_session_destroy(session);
}
END_TEST

/* Memory ends at any place: nothing is left of the run. */
START_TEST(no_memory)
{
    pp_model *model = NULL;
    pp_session *session = NULL, *probe = new_session();
    pp_session_params params;
    pp_run_params run_params;
    OK(pp_model_create_random(pp_model_preset("tiny"), 1, NULL, &model, &err));
    pp_session_params_init(&params, sizeof params);
    pp_run_params_init(&run_params, sizeof run_params);
    run_params.min_shared_prefix = 8;
    int64_t held = info_of(probe).memory_bytes, n_failed = 0;
    pp_session_destroy(probe);
    bool done = false;
    for (int64_t more = 0; !done; more += 8192) {
        pp_item items[N];
        make_items(items);
        params.memory_limit = held + more;
        if (pp_session_create(model, &params, &session, &err) < 0)
            continue;
        pp_status status = pp_run(session, NULL, items, N, &run_params, &err);
        done = status >= 0;
        n_failed += !done;
        if (!done) {
            ck_assert_int_eq(status, PP_ERR_NOMEM);
            for (int i = 0; i < N; i++)
                ck_assert_ptr_null(items[i].cache);
        } else {
            destroy_caches(items);
        }
        ck_assert_int_eq(info_of(session).kv_bytes, 0);
        pp_session_destroy(session);
    }
    ck_assert_int_gt(n_failed, 0);
    pp_model_unref(model);
}
END_TEST

/* Room for all in one bin, so that nothing is shared; no prompt longer than a bin. */
START_TEST(plans_that_came_out_whole)
{
    pp_plan *plan =
        _i == 0 ? make_plan(97, 8, PP_OVERSIZE_ERROR) : make_plan(40, 0, PP_OVERSIZE_SPLIT);
    pp_session *session = new_session();
    check_prediction(session, plan, 97);
    pp_batch *batch;
    OK(pp_batch_build(plan, prompts, N, NULL, &batch, &err));
    pp_batch_destroy(batch);
    pp_plan_destroy(plan);
    pp_session_destroy(session);
}
END_TEST

int main(void)
{
    for (int32_t i = 0; i < 40; i++)
        ids[i] = (7 * i + 3) % 90;
    memcpy(others, ids, 30 * sizeof *ids);
    for (int32_t i = 30; i < 37; i++)
        others[i] = 91;
    Suite *suite = suite_create("plans with parts");
    TCase *tcase = tcase_create("plans");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, runs_as_predicted);
    tcase_add_test(tcase, short_forms);
    tcase_add_test(tcase, what_does_not_fit);
    tcase_add_test(tcase, some_have_caches);
    tcase_add_test(tcase, no_memory);
    tcase_add_loop_test(tcase, plans_that_came_out_whole, 0, 2);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
