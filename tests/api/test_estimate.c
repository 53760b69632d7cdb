/*
 * test_estimate.c: what pp_session_estimate foretells is what a session then holds, on the CPU or
 * on the device that PREPACK_TEST_DEVICE names.
 */
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const char *device(void)
{
    return getenv("PREPACK_TEST_DEVICE") ? getenv("PREPACK_TEST_DEVICE") : "cpu";
}

static pp_model *random_model(const char *config)
{
    pp_model *model;
    OK(pp_model_create_random(config, 1, NULL, &model, perr));
    return model;
}

static pp_session_info real_info(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, perr));
    return info;
}

static void compare(pp_model *model, const pp_session_params *params)
{
    enum { HEADERS = 4096 }; /* what the allocator adds to blocks */
    pp_session_info guess = {.struct_size = sizeof guess};
    pp_session *session;
    OK(pp_session_estimate(model, params, &guess, perr));
    OK(pp_session_create(model, params, &session, perr));
    const pp_session_info real = real_info(session);
    ck_assert_str_eq(guess.device, real.device);
    ck_assert_str_eq(guess.attention, real.attention);
    ck_assert_int_eq(guess.dtype, real.dtype);
    ck_assert_int_eq(guess.max_pass_tokens, real.max_pass_tokens);
    ck_assert_int_eq(guess.chunk_tokens, real.chunk_tokens);
    ck_assert_int_gt(real.chunk_tokens, 0);
    ck_assert_int_eq(real.max_pass_tokens % real.chunk_tokens, 0);
    ck_assert_int_eq(guess.page_tokens, real.page_tokens);
    ck_assert_int_eq(guess.page_bytes, real.page_bytes);
    ck_assert_int_eq(guess.n_page_classes, real.n_page_classes);
    ck_assert_int_eq(guess.keep_window_pages, real.keep_window_pages);
    ck_assert_int_eq(real.keep_window_pages, params->keep_window_pages);
    ck_assert_mem_eq(guess.class_page_bytes, real.class_page_bytes, sizeof guess.class_page_bytes);
    ck_assert_mem_eq(guess.class_windows, real.class_windows, sizeof guess.class_windows);
    ck_assert_int_eq(guess.weight_bytes, real.weight_bytes);
    ck_assert_int_eq(guess.workspace_bytes, real.workspace_bytes);
    ck_assert_int_eq(guess.kv_pool_bytes, 0);
    ck_assert_int_le(guess.memory_bytes, real.memory_bytes);
    ck_assert_int_ge(guess.memory_bytes, real.memory_bytes - HEADERS);
    ck_assert_int_eq(guess.peak_memory_bytes, guess.memory_bytes);
    pp_session_destroy(session);
}

START_TEST(a_session_holds_what_was_foretold)
{
    pp_model *model = random_model(pp_model_preset("tiny"));
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = device();
    const int32_t unknown = strcmp(device(), "cpu") == 0 ? PP_DTYPE_F16 : PP_DTYPE_F32;
    for (int32_t pass = 0; pass <= 256; pass += 64)
        for (int32_t dtype = PP_DTYPE_AUTO; dtype <= PP_DTYPE_BF16; dtype++) {
            params.max_pass_tokens = pass;
            params.dtype = dtype;
            params.n_threads = 1 + pass / 64;
            if (dtype != unknown)
                compare(model, &params);
        }
    pp_model_unref(model);
}
END_TEST

/* One layer of three sees everything: two classes of pages, in the order of their first layers. */
START_TEST(windows_make_classes)
{
    pp_model *model = random_model(
        "{\"model_type\": \"gemma3_text\", \"num_hidden_layers\": 3, \"sliding_window\": 24, "
        "\"layer_types\": [\"sliding_attention\", \"sliding_attention\", \"full_attention\"], "
        "\"query_pre_attn_scalar\": 16, \"vocab_size\": 96, \"hidden_size\": 48, "
        "\"intermediate_size\": 64, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
        "\"head_dim\": 16, \"dtype\": \"bfloat16\", \"max_position_embeddings\": 512}");
    pp_session_params params;
    pp_session_info info = {.struct_size = sizeof info};
    pp_session_params_init(&params, sizeof params);
    params.device = device();
    params.dtype = PP_DTYPE_BF16;
    for (int32_t keep = 0; keep < 2; keep++) {
        params.keep_window_pages = keep;
        compare(model, &params);
    }
    OK(pp_session_estimate(model, &params, &info, perr));
    ck_assert_int_eq(info.n_page_classes, 2);
    int windowed = info.class_windows[0] == 0; /* the class that has the window */
    ck_assert_int_eq(info.class_windows[windowed], 24);
    ck_assert_int_eq(info.class_windows[!windowed], 0);
    const int64_t layer_bytes = (int64_t)info.page_tokens * 2 * 2 * 16 * 2;
    ck_assert_int_eq(info.class_page_bytes[windowed], 2 * layer_bytes);
    ck_assert_int_eq(info.class_page_bytes[!windowed], layer_bytes);
    ck_assert_int_eq(info.page_bytes, 3 * layer_bytes);
    params.keep_window_pages = 2;
    ck_assert_int_eq(pp_session_estimate(model, &params, &info, NULL), PP_ERR_ARG);
    pp_model_unref(model);
}
END_TEST

START_TEST(nothing_is_loaded)
{
    pp_model *model =
        random_model(pp_model_preset("llama2-13b")); /* whose weights fit nowhere here */
    pp_session_info guess = {.struct_size = sizeof guess};
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = device();
    params.memory_limit = 1; /* is not applied */
    OK(pp_session_estimate(model, &params, &guess, perr));
    ck_assert_int_gt(guess.weight_bytes, (int64_t)13000000000);
    ck_assert_int_gt(guess.memory_bytes, guess.weight_bytes + guess.workspace_bytes);
    ck_assert_int_eq(guess.tokens_computed, 0);
    pp_model_unref(model);
}
END_TEST

START_TEST(bad_calls_are_refused)
{
    pp_model *model = random_model(pp_model_preset("tiny"));
    pp_session_info guess = {.struct_size = sizeof guess};
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    ck_assert_int_eq(pp_session_estimate(NULL, NULL, &guess, NULL), PP_ERR_ARG);
    ck_assert_int_eq(pp_session_estimate(model, NULL, NULL, NULL), PP_ERR_ARG);
    params.n_threads = -1;
    ck_assert_int_eq(pp_session_estimate(model, &params, &guess, NULL), PP_ERR_ARG);
    params.n_threads = 0;
    params.device = "abacus";
    ck_assert_int_eq(pp_session_estimate(model, &params, &guess, NULL), PP_ERR_NO_BACKEND);
    params.device = "cpu";
    guess.struct_size = 0;
    ck_assert_int_eq(pp_session_estimate(model, &params, &guess, NULL), PP_ERR_STRUCT_SIZE);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("estimate");
    TCase *tcase = tcase_create("estimate");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, a_session_holds_what_was_foretold);
    tcase_add_test(tcase, windows_make_classes);
    tcase_add_test(tcase, nothing_is_loaded);
    tcase_add_test(tcase, bad_calls_are_refused);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
