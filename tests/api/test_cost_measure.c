/*
 * test_cost_measure.c: pp_cost_measure on the CPU or on the device that PREPACK_TEST_DEVICE names:
 * what it fits is a model, the session is as it was before, and cancelling, exhausted memory and
 * wrong params end it with a sentence. How long something took is never tested.
 */
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The preset "tiny". */
enum { VOCAB = 512, PASS = 256 };

/* Allocations are counted; one may fail or cancel the session. One thread. */
static int64_t n_calls, fail_at, cancel_at, n_held;
static pp_session *to_cancel;

static void *counting_allocate(void *user, size_t bytes, size_t alignment)
{
    (void)user;
    if (++n_calls == cancel_at)
        pp_session_cancel(to_cancel);
    if (n_calls == fail_at)
        return NULL;
    n_held++;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void counting_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    n_held--;
    free(memory);
}

static const pp_allocator counting = {
    .struct_size = sizeof counting, .allocate = counting_allocate, .release = counting_release};

static pp_model *new_model(void)
{
    pp_model *model;
    OK(pp_model_create_random(pp_model_preset("tiny"), 1, NULL, &model, perr));
    return model;
}

static pp_session *new_session(pp_model *model, const pp_allocator *allocator, int64_t memory_limit)
{
    pp_session *session;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    if (getenv("PREPACK_TEST_DEVICE"))
        params.device = getenv("PREPACK_TEST_DEVICE");
    params.dtype = PP_DTYPE_BF16;
    params.n_threads = 2;
    params.max_pass_tokens = PASS;
    params.allocator = allocator;
    params.memory_limit = memory_limit;
    OK(pp_session_create(model, &params, &session, perr));
    return session;
}

static pp_session_info read_info(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, perr));
    return info;
}

/* The least that can be measured. */
static pp_cost_params short_params(void)
{
    pp_cost_params params;
    pp_cost_params_init(&params, sizeof params);
    params.max_tokens = 64;
    params.seconds = 1e-9;
    return params;
}

static void check_model_of(const pp_cost_model *cost, const char *name)
{
    const int64_t lengths[] = {10, 20, 30};
    double one, three;
    const double terms[] = {cost->per_pass, cost->per_token, cost->per_square, cost->per_prompt,
                            cost->error};
    for (size_t i = 0; i < 5; i++)
        ck_assert_msg(terms[i] >= 0 && isfinite(terms[i]), "term %zu is %g", i, terms[i]);
    ck_assert(cost->error > 0 && cost->tile >= 1);
    ck_assert_uint_gt(strlen(cost->device), 3);
    ck_assert_str_eq(cost->model, name);
    OK(pp_cost_predict(cost, lengths, 1, &one, perr));
    OK(pp_cost_predict(cost, lengths, 3, &three, perr));
    ck_assert(one > 0 && three >= one);
}

static void check_model(const pp_cost_model *cost)
{
    check_model_of(cost, "llama, 2 layers of 64, vocabulary 512");
}

START_TEST(fits_a_model)
{
    pp_model *model = new_model();
    pp_session *session = new_session(model, NULL, 0);
    pp_cost_params params = short_params();
    for (int cache_only = 0; cache_only < 2; cache_only++) {
        pp_cost_model cost = {.struct_size = sizeof cost};
        params.cache_only = cache_only;
        OK(pp_cost_measure(session, &params, &cost, perr));
        check_model(&cost);
        ck_assert_int_eq(cost.max_tokens, 64);
    }
    /* the planner takes it */
    pp_packer_params packer_params;
    pp_packer *packer;
    pp_cost_model cost = {.struct_size = sizeof cost};
    params.max_length = 5;
    OK(pp_cost_measure(session, &params, &cost, perr));
    pp_packer_params_init(&packer_params, sizeof packer_params);
    packer_params.cost = &cost;
    OK(pp_packer_create(&packer_params, &packer, perr));
    pp_packer_destroy(packer);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* Layers with experts, with a state in the place of keys, that see other layers' keys. */
START_TEST(fits_models_whose_layers_differ)
{
    static const char shared[] =
        "{\"model_type\": \"gemma4_text\", \"vocab_size\": 512, \"hidden_size\": 64, "
        "\"intermediate_size\": 48, \"num_hidden_layers\": 4, \"num_attention_heads\": 2, "
        "\"num_key_value_heads\": 1, \"head_dim\": 16, \"global_head_dim\": 32, "
        "\"max_position_embeddings\": 4096, \"dtype\": \"bfloat16\", \"sliding_window\": 32, "
        "\"num_kv_shared_layers\": 2, \"hidden_size_per_layer_input\": 8, "
        "\"vocab_size_per_layer_input\": 512, \"layer_types\": [\"sliding_attention\", "
        "\"full_attention\", \"sliding_attention\", \"full_attention\"]}";
    const struct {
        const char *config, *name;
    } models[] = {{pp_model_preset("tiny-moe"), "qwen3_moe, 2 layers of 64, vocabulary 512"},
                  {pp_model_preset("tiny-linear"), "qwen3_5_text, 4 layers of 64, vocabulary 512"},
                  {shared, "gemma4_text, 4 layers of 64, vocabulary 512"}};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        pp_model *model;
        OK(pp_model_create_random(models[i].config, 1, NULL, &model, perr));
        pp_session *session = new_session(model, NULL, 0);
        pp_cost_params params = short_params();
        for (int cache_only = 0; cache_only < 2; cache_only++) {
            pp_cost_model cost = {.struct_size = sizeof cost};
            params.cache_only = cache_only;
            OK(pp_cost_measure(session, &params, &cost, perr));
            check_model_of(&cost, models[i].name);
        }
        ck_assert_int_eq(read_info(session).kv_bytes, 0);
        pp_session_destroy(session);
        pp_model_unref(model);
    }
}
END_TEST

/* With time, larger passes are measured too: up to what a pass holds. */
START_TEST(climbs_while_there_is_time)
{
    pp_model *model = new_model();
    pp_session *session = new_session(model, NULL, 0);
    pp_cost_params params;
    pp_cost_model cost = {.struct_size = sizeof cost};
    pp_cost_params_init(&params, sizeof params);
    params.seconds = getenv("PREPACK_TEST_DEVICE") ? 1e-9 : 60; /* ends when all shapes ran often */
    OK(pp_cost_measure(session, &params, &cost, perr));
    check_model(&cost);
    ck_assert_int_eq(cost.max_tokens, getenv("PREPACK_TEST_DEVICE") ? 64 : PASS);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(the_session_stays_as_it_was)
{
    pp_model *model = new_model();
    pp_session *session = new_session(model, NULL, 0);
    static int32_t ids[70];
    for (int i = 0; i < 70; i++)
        ids[i] = i * 7 % VOCAB;
    const pp_prompt prompts[] = {{ids, 70}, {ids + 9, 3}};
    const pp_cost_params params = short_params();
    pp_cost_model cost = {.struct_size = sizeof cost};
    pp_kvcache *caches[2], *again[2];
    const float *logits;
    struct run_bits before[2], after[2], repeated[2];
    OK(pp_prefill(session, NULL, prompts, 2, caches, &logits, perr));
    for (int i = 0; i < 2; i++)
        before[i] = run_collect(session, caches[i], logits + i * VOCAB);
    const pp_session_info was = read_info(session);
    OK(pp_cost_measure(session, &params, &cost, perr));
    OK(pp_session_synchronize(session, perr));
    ck_assert_int_eq(read_info(session).kv_bytes, was.kv_bytes);
    OK(pp_prefill(session, NULL, prompts, 2, again, &logits, perr));
    for (int i = 0; i < 2; i++) {
        after[i] = run_collect(session, caches[i], NULL);
        repeated[i] = run_collect(session, again[i], logits + i * VOCAB);
        ck_assert_ptr_null(run_bits_difference(&before[i], &after[i]));
        ck_assert_ptr_null(run_bits_difference(&before[i], &repeated[i]));
        run_bits_free(&before[i]);
        run_bits_free(&after[i]);
        run_bits_free(&repeated[i]);
        pp_kvcache_destroy(caches[i]);
        pp_kvcache_destroy(again[i]);
    }
    ck_assert_int_eq(read_info(session).kv_bytes, 0);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* At any allocation in the middle of it. */
START_TEST(cancels)
{
    pp_model *model = new_model();
    pp_session *session = new_session(model, &counting, 0);
    const pp_cost_params params = short_params();
    pp_cost_model cost = {.struct_size = sizeof cost, .tile = 77};
    pp_cost_model first = {.struct_size = sizeof first};
    pp_error error = {.struct_size = sizeof error};
    OK(pp_cost_measure(session, &params, &first, perr));
    const int64_t held = n_held;
    to_cancel = session;
    for (cancel_at = 5; cancel_at < 60; cancel_at += 11) {
        n_calls = 0;
        ck_assert_int_eq(pp_cost_measure(session, &params, &cost, &error), PP_ERR_CANCELLED);
        ck_assert_ptr_nonnull(strstr(error.message, "cancelled"));
        if (!getenv("PREPACK_TEST_DEVICE")) /* a device's tables grow as passes need them */
            ck_assert_int_eq(n_held, held);
    }
    cancel_at = 0;
    ck_assert_int_eq(cost.tile, 77);
    ck_assert_int_eq(read_info(session).kv_bytes, 0);
    pp_session_cancel(session); /* meets no call */
    OK(pp_cost_measure(session, &params, &cost, perr));
    check_model(&cost);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    pp_model *model = new_model();
    pp_session *session = new_session(model, &counting, 0);
    const pp_cost_params params = short_params();
    pp_cost_model cost = {.struct_size = sizeof cost};
    OK(pp_cost_measure(session, &params, &cost, perr)); /* what the session keeps */
    const int64_t held = n_held;
    n_calls = 0;
    OK(pp_cost_measure(session, &params, &cost, perr));
    const int64_t n_all = n_calls;
    ck_assert_int_gt(n_all, 20);
    for (int64_t at = 1; at <= n_all; at += getenv("PREPACK_TEST_DEVICE") ? 7 : 1) {
        pp_cost_model refused = {.struct_size = sizeof refused, .tile = 77};
        n_calls = 0;
        fail_at = at;
        ck_assert_int_eq(pp_cost_measure(session, &params, &refused, NULL), PP_ERR_NOMEM);
        fail_at = 0;
        ck_assert_int_eq(refused.tile, 77);
        if (!getenv("PREPACK_TEST_DEVICE"))
            ck_assert_int_eq(n_held, held);
    }
    OK(pp_cost_measure(session, &params, &cost, perr));
    check_model(&cost);
    pp_session_destroy(session);
    ck_assert_int_eq(n_held, 0);
    pp_model_unref(model);
}
END_TEST

/* Larger passes than the memory limit allows are left out, without a word in err; with no room for
 * any the call fails. */
START_TEST(keeps_the_memory_limit)
{
    if (getenv("PREPACK_TEST_DEVICE"))
        return; /* sizes of the CPU's tables */
    pp_model *model = new_model();
    pp_session *session = new_session(model, NULL, 0);
    const int64_t empty = read_info(session).memory_bytes;
    pp_cost_params params;
    pp_cost_params_init(&params, sizeof params);
    params.seconds = 0.2;
    pp_session_destroy(session);
    int n_measured = 0, n_partly = 0;
    for (int64_t room = 0; room <= 1 << 20; room += 1 << 15) {
        pp_cost_model cost = {.struct_size = sizeof cost};
        pp_error err = {.struct_size = sizeof err};
        session = new_session(model, NULL, empty + room);
        const pp_status status = pp_cost_measure(session, &params, &cost, &err);
        ck_assert(status == PP_OK || status == PP_ERR_NOMEM);
        ck_assert_int_le(read_info(session).peak_memory_bytes, empty + room);
        if (status == PP_OK) {
            check_model(&cost);
            ck_assert_str_eq(err.message, "");
            n_measured++;
            n_partly += cost.max_tokens < PASS;
            pp_session_destroy(session);
            continue;
        }
        ck_assert_uint_gt(strlen(err.message), 20);
        pp_session_destroy(session);
    }
    ck_assert_int_gt(n_measured, 0);
    ck_assert_int_gt(n_partly, 0);
    pp_model_unref(model);
}
END_TEST

#define REFUSED(change, status, words)                                                             \
    do {                                                                                           \
        pp_error err = {.struct_size = sizeof err};                                                \
        pp_cost_params params = short_params();                                                    \
        change;                                                                                    \
        ck_assert_int_eq(pp_cost_measure(session, &params, &cost, &err), (status));                \
        ck_assert_msg(strstr(err.message, words), "\"%s\" lacks \"%s\"", err.message, words);      \
    } while (0)

START_TEST(bad_params_are_refused)
{
    pp_model *model = new_model();
    pp_session *session = new_session(model, NULL, 0);
    pp_cost_model cost = {.struct_size = sizeof cost, .tile = 77};
    REFUSED(params.max_tokens = 63, PP_ERR_ARG, "max_tokens is 63; allowed: 0, or 64 to 256");
    REFUSED(params.max_tokens = PASS + 1, PP_ERR_ARG, "max_tokens is 257");
    REFUSED(params.max_tokens = -1, PP_ERR_ARG, "max_tokens");
    REFUSED(params.max_length = -1, PP_ERR_ARG, "max_length is -1; allowed: 0 to 4096");
    REFUSED(params.max_length = 4097, PP_ERR_ARG, "max_length is 4097");
    REFUSED(params.seconds = -1, PP_ERR_ARG, "seconds is -1");
    REFUSED(params.seconds = (double)NAN, PP_ERR_ARG, "seconds");
    REFUSED(params.seconds = (double)INFINITY, PP_ERR_ARG, "seconds");
    REFUSED(params.struct_size = 1, PP_ERR_STRUCT_SIZE, "struct_size");
    const pp_cost_params params = short_params();
    ck_assert_int_eq(pp_cost_measure(session, &params, NULL, NULL), PP_ERR_ARG);
    ck_assert_int_eq(pp_cost_measure(NULL, &params, &cost, NULL), PP_ERR_ARG);
    pp_cost_model small = {.struct_size = 1};
    ck_assert_int_eq(pp_cost_measure(session, &params, &small, NULL), PP_ERR_STRUCT_SIZE);
    pp_session_destroy(session);
    OK(pp_session_create(NULL, NULL, &session, perr)); /* without a model */
    ck_assert_int_eq(pp_cost_measure(session, &params, &cost, NULL), PP_ERR_ARG);
    pp_session_destroy(session);
    ck_assert_int_eq(cost.tile, 77);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cost-measure");
    TCase *tcase = tcase_create("cost-measure");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, fits_a_model);
    tcase_add_test(tcase, fits_models_whose_layers_differ);
    tcase_add_test(tcase, climbs_while_there_is_time);
    tcase_add_test(tcase, the_session_stays_as_it_was);
    tcase_add_test(tcase, cancels);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, keeps_the_memory_limit);
    tcase_add_test(tcase, bad_params_are_refused);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
