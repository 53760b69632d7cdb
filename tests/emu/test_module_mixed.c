/*
 * test_module_mixed.c: a model with experts and linear layers as a host program meets it on CUDA,
 * in emulation: calls of the runtime fail in turn, and every failure is a status that leaks
 * nothing; the session goes on, states and all.
 */
#include "support/tap.h"

#include <fake_stream.h>
#include <prepack/prepack.h>

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static pp_error err = {.struct_size = sizeof err};

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)

enum { VOCAB = 64, N = 2, STEP = 5 }; /* STEP: one call of so many is tried */

static const int32_t ids[20] = {5,  9,  2,  7,  7,  1,  3,  8,  40, 41,
                                42, 43, 44, 45, 46, 47, 48, 49, 50, 51};
static const pp_prompt prompts[N] = {{ids, 20}, {ids, 3}};

/* A linear layer and one of attention, each with experts. */
static const char config[] =
    "{\"architectures\":[\"Qwen3NextForCausalLM\"],\"model_type\":\"qwen3_next\",\"vocab_size\":64,"
    "\"hidden_size\":16,\"num_attention_heads\":1,\"num_key_value_heads\":1,\"head_dim\":16,"
    "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5,\"hidden_act\":\"silu\","
    "\"torch_dtype\":\"bfloat16\",\"num_hidden_layers\":2,\"full_attention_interval\":2,"
    "\"num_experts\":3,\"num_experts_per_tok\":2,\"moe_intermediate_size\":8,"
    "\"shared_expert_intermediate_size\":16,\"intermediate_size\":16,\"norm_topk_prob\":true,"
    "\"linear_conv_kernel_dim\":4,\"linear_key_head_dim\":8,\"linear_num_key_heads\":1,"
    "\"linear_num_value_heads\":2,\"linear_value_head_dim\":8,\"partial_rotary_factor\":0.25,"
    "\"rope_theta\":10000.0,\"tie_word_embeddings\":false,\"bos_token_id\":1,\"eos_token_id\":2}";

/* Results of one run, for comparing bits. */
struct results {
    float logits[N][VOCAB], decoded[N + 1][VOCAB];
};

/* Prefill, fork, decode all; the first failure ends it. */
static pp_status use(pp_session *session, struct results *results)
{
    pp_kvcache *caches[N + 1] = {0};
    const float *logits;
    int32_t next[N + 1] = {1, 2, 3};
    memset(results, 0, sizeof *results);
    pp_status status = pp_prefill(session, NULL, prompts, N, caches, &logits, &err);
    if (status >= 0)
        memcpy(results->logits, logits, sizeof results->logits);
    if (status >= 0)
        status = pp_kvcache_fork(caches[0], 20, &caches[N], &err);
    if (status >= 0)
        status = pp_decode(session, caches, next, N + 1, &logits, &err);
    if (status >= 0)
        memcpy(results->decoded, logits, sizeof results->decoded);
    for (int i = 0; i <= N; i++)
        pp_kvcache_destroy(caches[i]);
    return status;
}

/* Without cuBLASLt, whose self-tests test_module.c has. */
static pp_status open_session(pp_model *model, pp_session **session)
{
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = "cuda:own";
    params.max_pass_tokens = 64;
    return pp_session_create(model, &params, session, &err);
}

static pp_status whole_run(struct results *results)
{
    pp_session *session = NULL;
    pp_model *model;
    OK(pp_model_create_random(config, 1, NULL, &model, &err));
    pp_status status = open_session(model, &session);
    if (status >= 0)
        status = use(session, results);
    pp_session_destroy(session);
    pp_model_unref(model);
    return status;
}

static bool is_device_failure(pp_status status)
{
    return status == PP_ERR_DEVICE || status == PP_ERR_DEVICE_NOMEM || status == PP_ERR_NO_BACKEND;
}

START_TEST(calls_may_fail)
{
    struct results expected, got;
    fake_fail_at(0);
    ck_assert_msg(whole_run(&expected) == PP_OK, "%s", err.message);
    long n_calls = fake_calls(), n_reported = 0, n_tried = 0;
    ck_assert_int_eq(fake_live_objects(), 0);
    for (long n = 1; n <= n_calls; n += STEP, n_tried++) {
        err.message[0] = 0;
        fake_fail_at(n);
        pp_status status = whole_run(&got);
        const char *call = fake_failed_call();
        fake_fail_at(0);
        ck_assert_msg(status == PP_OK || (is_device_failure(status) && err.message[0]),
                      "call %ld (%s): status %d", n, call, status);
        ck_assert_msg(fake_live_objects() == 0, "call %ld (%s): %ld objects leaked", n, call,
                      fake_live_objects());
        ck_assert_msg(status < 0 || memcmp(&got, &expected, sizeof got) == 0,
                      "call %ld (%s) failed and changed the result in silence", n, call);
        n_reported += status < 0;
    }
    ck_assert_int_gt(n_reported, n_tried / 2);
}
END_TEST

/* Its pages and states are given back, and the next run gives the same bits. */
START_TEST(a_session_survives_failures)
{
    struct results expected, got;
    pp_session *session = NULL;
    pp_model *model;
    OK(pp_model_create_random(config, 1, NULL, &model, &err));
    fake_fail_at(0);
    OK(open_session(model, &session));
    fake_fail_at(0);
    OK(use(session, &expected));
    long n_calls = fake_calls(), live = fake_live_objects();
    for (long n = 1; n <= n_calls; n += STEP) {
        fake_fail_at(n);
        pp_status status = use(session, &got);
        fake_fail_at(0);
        ck_assert_msg(status == PP_OK || is_device_failure(status), "call %ld: status %d", n,
                      status);
        ck_assert_msg(use(session, &got) == PP_OK, "after call %ld: %s", n, err.message);
        ck_assert_msg(memcmp(&got, &expected, sizeof got) == 0, "after call %ld: other results", n);
    }
    ck_assert_int_eq(fake_live_objects(), live);
    pp_session_destroy(session);
    pp_model_unref(model);
    ck_assert_int_eq(fake_live_objects(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cuda-module-mixed");
    TCase *tcase = tcase_create("cuda-module-mixed");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, calls_may_fail);
    tcase_add_test(tcase, a_session_survives_failures);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
