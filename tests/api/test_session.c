/*
 * test_session.c: sessions and caches through the public interface alone: what is refused and how,
 * that nothing is lost when a call fails, forks and truncation, lifetimes in any order, cancelling,
 * memory limits.
 */
#include "support/tap.h"

#include <prepack/prepack.h>

#include <check.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pp_error err = {.struct_size = sizeof err};

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)
#define REFUSED(call, status, words)                                                               \
    do {                                                                                           \
        ck_assert_int_eq((call), (status));                                                        \
        ck_assert_int_eq(err.code, (status));                                                      \
        ck_assert_msg(strstr(err.message, words), "\"%s\" lacks \"%s\"", err.message, words);      \
    } while (0)

static pp_model *tiny_model(void)
{
    pp_model *model = NULL;
    OK(pp_model_create_random(pp_model_preset("tiny"), 1, NULL, &model, &err));
    return model;
}

/* The device under test: the CPU, or what PREPACK_TEST_DEVICE names. */
static pp_session_params default_params(void)
{
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    if (getenv("PREPACK_TEST_DEVICE"))
        params.device = getenv("PREPACK_TEST_DEVICE");
    return params;
}

static bool on_cpu(void)
{
    return strcmp(default_params().device, "cpu") == 0;
}

static pp_session *new_session(pp_model *model)
{
    pp_session *session = NULL;
    pp_session_params params = default_params();
    OK(pp_session_create(model, &params, &session, &err));
    return session;
}

static const int32_t ids[8] = {5, 9, 2, 7, 7, 1, 3, 8};
static const pp_prompt prompts[3] = {{ids, 8}, {ids, 3}, {ids + 1, 1}};

static pp_session_info info_of(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, &err));
    return info;
}

START_TEST(prefill_then_decode)
{
    pp_model *model = tiny_model();
    pp_session *session = new_session(model);
    pp_kvcache *caches[3];
    const float *logits = NULL;
    int32_t next[3] = {4, 5, 6};
    OK(pp_prefill(session, NULL, prompts, 3, caches, &logits, &err));
    ck_assert_ptr_nonnull(logits);
    ck_assert_int_eq(pp_kvcache_length(caches[0]), 8);
    ck_assert_int_eq(pp_kvcache_length(caches[2]), 1);
    OK(pp_decode(session, caches, next, 3, &logits, &err));
    ck_assert_int_eq(pp_kvcache_length(caches[0]), 9);
    pp_session_info info = info_of(session);
    ck_assert_int_eq(info.tokens_computed, 12 + 3);
    ck_assert_int_eq(info.passes, 2);
    ck_assert_int_eq(info.kv_bytes, 3 * info.page_bytes);
    ck_assert_int_le(info.memory_bytes, info.peak_memory_bytes);
    for (int i = 0; i < 3; i++)
        pp_kvcache_destroy(caches[i]);
    ck_assert_int_eq(info_of(session).kv_bytes, 0);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(nothing_to_do_is_fine)
{
    pp_model *model = tiny_model();
    pp_session *session = new_session(model);
    const float *logits = NULL;
    OK(pp_prefill(session, NULL, NULL, 0, NULL, &logits, &err));
    OK(pp_decode(session, NULL, NULL, 0, &logits, &err));
    pp_session_destroy(session);
    pp_session_destroy(NULL);
    pp_kvcache_destroy(NULL);
    pp_model_unref(model);
    pp_model_unref(NULL);
}
END_TEST

START_TEST(bad_prompts_are_refused)
{
    pp_model *model = tiny_model();
    pp_session *session = new_session(model);
    pp_kvcache *caches[3] = {0};
    int32_t bad_ids[3] = {1, 512, 2};
    int32_t *long_ids = calloc(4097, sizeof *long_ids);
    pp_prompt bad[2] = {{ids, 2}, {bad_ids, 3}};
    REFUSED(pp_prefill(session, NULL, bad, 2, caches, NULL, &err), PP_ERR_ARG, "512");
    ck_assert_int_eq(err.index, 1);
    bad_ids[1] = -1;
    REFUSED(pp_prefill(session, NULL, bad, 2, caches, NULL, &err), PP_ERR_ARG, "-1");
    bad[1] = (pp_prompt){ids, 0};
    REFUSED(pp_prefill(session, NULL, bad, 2, caches, NULL, &err), PP_ERR_ARG, "no tokens");
    bad[1] = (pp_prompt){NULL, 4};
    REFUSED(pp_prefill(session, NULL, bad, 2, caches, NULL, &err), PP_ERR_ARG, "NULL");
    bad[1] = (pp_prompt){long_ids, 4097};
    REFUSED(pp_prefill(session, NULL, bad, 2, caches, NULL, &err), PP_ERR_TOO_LONG, "4097");
    bad[1] = (pp_prompt){ids, INT64_MAX};
    REFUSED(pp_prefill(session, NULL, bad, 2, caches, NULL, &err), PP_ERR_TOO_LONG, "positions");
    REFUSED(pp_prefill(NULL, NULL, bad, 2, caches, NULL, &err), PP_ERR_ARG, "session is NULL");
    REFUSED(pp_prefill(session, NULL, NULL, 2, caches, NULL, &err), PP_ERR_ARG, "prompts is NULL");
    REFUSED(pp_prefill(session, NULL, prompts, 2, NULL, NULL, &err), PP_ERR_ARG, "caches is NULL");
    int32_t next[2];
    REFUSED(pp_prefill_sample(session, NULL, NULL, 2, NULL, caches, next, &err), PP_ERR_ARG,
            "prompts is NULL");
    REFUSED(pp_prefill_sample(session, NULL, prompts, 2, NULL, caches, NULL, &err), PP_ERR_ARG,
            "next is NULL");
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_null(caches[i]);
    OK(pp_prefill(session, NULL, prompts, 3, caches, NULL, &err)); /* still usable */
    for (int i = 0; i < 3; i++)
        pp_kvcache_destroy(caches[i]);
    free(long_ids);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(plan_of_other_prompts_is_refused)
{
    pp_model *model = tiny_model();
    pp_session *session = new_session(model);
    pp_packer *packer;
    pp_plan *plan;
    pp_kvcache *caches[3] = {0};
    int64_t lengths[3] = {8, 3, 2};
    OK(pp_packer_create(NULL, &packer, &err));
    OK(pp_packer_plan(packer, lengths, 3, &plan, &err));
    ck_assert_int_eq(pp_prefill(session, plan, prompts, 3, caches, NULL, &err), PP_ERR_ARG);
    ck_assert_int_eq(pp_prefill(session, plan, prompts, 2, caches, NULL, &err), PP_ERR_ARG);
    ck_assert_ptr_null(caches[0]);
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(bad_decodes_are_refused)
{
    pp_model *model = tiny_model();
    pp_session *session = new_session(model), *other = new_session(model);
    pp_kvcache *caches[3], *foreign;
    int32_t next[3] = {1, 2, 3};
    OK(pp_prefill(session, NULL, prompts, 3, caches, NULL, &err));
    OK(pp_prefill(other, NULL, prompts, 1, &foreign, NULL, &err));
    pp_kvcache *twice[3] = {caches[0], caches[1], caches[0]};
    REFUSED(pp_decode(session, twice, next, 3, NULL, &err), PP_ERR_ARG, "before in the same call");
    ck_assert_int_eq(err.index, 2);
    ck_assert_int_eq(pp_kvcache_length(caches[0]), 8);
    ck_assert_int_eq(pp_kvcache_length(caches[1]), 3);
    pp_kvcache *mixed[2] = {caches[0], foreign};
    REFUSED(pp_decode(session, mixed, next, 2, NULL, &err), PP_ERR_ARG, "another session");
    mixed[1] = NULL;
    REFUSED(pp_decode(session, mixed, next, 2, NULL, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_decode(session, NULL, next, 2, NULL, &err), PP_ERR_ARG, "caches is NULL");
    REFUSED(pp_decode(session, caches, NULL, 2, NULL, &err), PP_ERR_ARG, "tokens is NULL");
    next[1] = 512;
    REFUSED(pp_decode(session, caches, next, 3, NULL, &err), PP_ERR_ARG, "512");
    ck_assert_int_eq(pp_kvcache_length(caches[0]), 8);
    for (int i = 0; i < 3; i++)
        pp_kvcache_destroy(caches[i]);
    pp_kvcache_destroy(foreign);
    pp_session_destroy(session);
    pp_session_destroy(other);
    pp_model_unref(model);
}
END_TEST

START_TEST(session_params_are_checked)
{
    pp_model *model = tiny_model();
    pp_session *session = NULL;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = "cuda";
    setenv("PREPACK_BACKEND_CUDA", "/no/such/module.so", 1);
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_NO_BACKEND, "/no/such");
    setenv("PREPACK_BACKEND_CUDA", getenv("PREPACK_TEST_FOREIGN_MODULE"), 1);
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_NO_BACKEND,
            "another build (9.9.9-of-another-build");
    unsetenv("PREPACK_BACKEND_CUDA");
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY);
    if (driver)
        dlclose(driver);
    else
        REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_NO_BACKEND,
                "no NVIDIA driver");
    params.device = "tpu";
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_NO_BACKEND, "tpu");
    params.device = "cpu:sse9";
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_NO_BACKEND, "sse9");
    params.device = "cpu";
    params.dtype = PP_DTYPE_F16;
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_UNSUPPORTED, "f16");
    params.dtype = 0;
    params.n_threads = 257;
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_ARG, "256");
    params.n_threads = 0;
    params.max_pass_tokens = 63;
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_ARG, "63");
    params.max_pass_tokens = 0;
    params.memory_limit = -1;
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_ARG, "memory_limit");
    params.memory_limit = 1000;
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_NOMEM, "weights");
    params.memory_limit = 0;
    params.struct_size = 3;
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_STRUCT_SIZE, "struct_size");
    ck_assert_ptr_null(session);
    pp_model_unref(model);
}
END_TEST

/* A caller compiled against a header with more, or fewer, fields. */
/* Pairs of a row and an expert are numbered with 32 bits. */
START_TEST(passes_of_many_experts_are_limited)
{
    static const char config[] =
        "{\"model_type\": \"mixtral\", \"num_hidden_layers\": 1, \"vocab_size\": 8, "
        "\"hidden_size\": 4, \"intermediate_size\": 2, \"num_attention_heads\": 1, "
        "\"num_key_value_heads\": 1, \"head_dim\": 4, \"num_local_experts\": 2048, "
        "\"num_experts_per_tok\": 2048}";
    pp_model *model;
    pp_session *session = NULL;
    pp_session_params params;
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_model_create_random(config, 1, NULL, &model, &err));
    pp_session_params_init(&params, sizeof params);
    params.max_pass_tokens = 1 << 20;
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_ARG, "at most 1048575");
    REFUSED(pp_session_estimate(model, &params, &info, &err), PP_ERR_ARG, "2048 experts");
    params.max_pass_tokens = 64;
    OK(pp_session_estimate(model, &params, &info, &err));
    ck_assert_ptr_null(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(other_struct_sizes)
{
    pp_model *model = tiny_model();
    pp_session *session = NULL;
    struct {
        pp_session_params known;
        int64_t newer;
    } params;
    memset(&params, 0, sizeof params);
    pp_session_params_init(&params.known, sizeof params);
    OK(pp_session_create(model, &params.known, &session, &err));
    pp_session_destroy(session);
    params.newer = 1;
    REFUSED(pp_session_create(model, &params.known, &session, &err), PP_ERR_STRUCT_SIZE, "byte");
    params.known.struct_size = offsetof(pp_session_params, n_threads);
    OK(pp_session_create(model, &params.known, &session, &err));
    pp_session_info small;
    memset(&small, 0xee, sizeof small);
    small.struct_size = offsetof(pp_session_info, max_pass_tokens);
    OK(pp_session_get_info(session, &small, &err));
    ck_assert_int_eq(small.dtype, PP_DTYPE_BF16);
    ck_assert_int_eq(small.max_pass_tokens, (int32_t)0xeeeeeeee); /* untouched */
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* All bits of a cache, for comparing. */
static void read_all(const pp_kvcache *cache, uint16_t *dst)
{
    size_t half = (size_t)pp_kvcache_length(cache) * 2 * 16;
    for (int32_t layer = 0; layer < 2; layer++)
        for (int32_t which = 0; which < 2; which++, dst += half)
            OK(pp_kvcache_read(cache, layer, which, PP_KV_HND, PP_DTYPE_BF16, 0,
                               pp_kvcache_length(cache), dst, half * 2, &err));
}

START_TEST(forks_share_and_diverge)
{
    pp_model *model = tiny_model();
    pp_session *session = new_session(model);
    pp_kvcache *cache, *fork, *whole;
    const float *logits;
    static uint16_t before[8 * 128], after[9 * 128], expected[9 * 128];
    OK(pp_prefill(session, NULL, prompts, 1, &cache, NULL, &err));
    read_all(cache, before);
    OK(pp_kvcache_fork(cache, 8, &fork, &err));
    ck_assert_int_eq(info_of(session).kv_bytes, info_of(session).page_bytes);
    int32_t token = 77;
    OK(pp_decode(session, &fork, &token, 1, &logits, &err)); /* copies the shared page */
    ck_assert_int_eq(info_of(session).kv_bytes, 2 * info_of(session).page_bytes);
    read_all(cache, after);
    ck_assert_mem_eq(before, after, sizeof before);
    int32_t longer[9];
    memcpy(longer, ids, sizeof ids);
    longer[8] = 77;
    pp_prompt prompt = {longer, 9};
    OK(pp_prefill(session, NULL, &prompt, 1, &whole, NULL, &err));
    read_all(whole, expected);
    read_all(fork, after);
    ck_assert_mem_eq(after, expected, sizeof after);
    REFUSED(pp_kvcache_fork(cache, 9, &fork, &err), PP_ERR_ARG, "9");
    REFUSED(pp_kvcache_truncate(cache, -1, &err), PP_ERR_ARG, "-1");
    /* cut and regrown: the same bits as before */
    OK(pp_kvcache_truncate(whole, 7, &err));
    OK(pp_decode(session, &whole, &longer[7], 1, NULL, &err));
    OK(pp_decode(session, &whole, &longer[8], 1, NULL, &err));
    read_all(whole, after);
    ck_assert_mem_eq(after, expected, sizeof after);
    OK(pp_kvcache_truncate(whole, 0, &err));
    ck_assert_int_eq(pp_kvcache_bytes(whole), 0);
    pp_kvcache_destroy(whole);
    pp_kvcache_destroy(cache);
    pp_kvcache_destroy(fork);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(reads_are_checked)
{
    pp_model *model = tiny_model();
    pp_session *session = new_session(model);
    pp_kvcache *cache;
    static float f32[8 * 32];
    static uint16_t nhd[8 * 32], hnd[8 * 32];
    OK(pp_prefill(session, NULL, prompts, 1, &cache, NULL, &err));
    REFUSED(
        pp_kvcache_read(cache, 2, PP_KV_K, PP_KV_NHD, PP_DTYPE_F32, 0, 8, f32, sizeof f32, &err),
        PP_ERR_ARG, "layer 2");
    REFUSED(pp_kvcache_read(cache, 0, 2, PP_KV_NHD, PP_DTYPE_F32, 0, 8, f32, sizeof f32, &err),
            PP_ERR_ARG, "PP_KV_V");
    REFUSED(pp_kvcache_read(cache, 0, PP_KV_K, 0, PP_DTYPE_F32, 0, 8, f32, sizeof f32, &err),
            PP_ERR_ARG, "PP_KV_HND");
    REFUSED(
        pp_kvcache_read(cache, 0, PP_KV_K, PP_KV_NHD, PP_DTYPE_F16, 0, 8, f32, sizeof f32, &err),
        PP_ERR_ARG, "bf16");
    REFUSED(pp_kvcache_read(cache, 0, PP_KV_K, PP_KV_NHD, PP_DTYPE_F32, 0, 8, f32, 4, &err),
            PP_ERR_ARG, "1024");
    REFUSED(
        pp_kvcache_read(cache, 0, PP_KV_K, PP_KV_NHD, PP_DTYPE_F32, 1, 8, f32, sizeof f32, &err),
        PP_ERR_ARG, "[0, 8)");
    REFUSED(pp_kvcache_read(cache, 0, PP_KV_K, PP_KV_NHD, PP_DTYPE_F32, -1, 2, f32, 256, &err),
            PP_ERR_ARG, "[0, 8)");
    REFUSED(pp_kvcache_read(cache, 0, PP_KV_K, PP_KV_NHD, PP_DTYPE_F32, 8, -1, f32, 0, &err),
            PP_ERR_ARG, "-1");
    OK(pp_kvcache_read(cache, 1, PP_KV_V, PP_KV_NHD, PP_DTYPE_F32, 0, 8, f32, sizeof f32, &err));
    OK(pp_kvcache_read(cache, 1, PP_KV_V, PP_KV_NHD, PP_DTYPE_BF16, 0, 8, nhd, sizeof nhd, &err));
    OK(pp_kvcache_read(cache, 1, PP_KV_V, PP_KV_HND, PP_DTYPE_BF16, 0, 8, hnd, sizeof hnd, &err));
    for (int t = 0; t < 8; t++)
        for (int h = 0; h < 2; h++)
            for (int d = 0; d < 16; d++) {
                uint32_t bits;
                memcpy(&bits, &f32[(t * 2 + h) * 16 + d], 4);
                ck_assert_uint_eq(bits >> 16, nhd[(t * 2 + h) * 16 + d]);
                ck_assert_uint_eq(hnd[(h * 8 + t) * 16 + d], nhd[(t * 2 + h) * 16 + d]);
            }
    /* a part of them */
    static uint16_t part[3 * 32];
    OK(pp_kvcache_read(cache, 1, PP_KV_V, PP_KV_NHD, PP_DTYPE_BF16, 4, 3, part, sizeof part, &err));
    ck_assert_mem_eq(part, nhd + 4 * 32, sizeof part);
    OK(pp_kvcache_read(cache, 1, PP_KV_V, PP_KV_HND, PP_DTYPE_BF16, 4, 3, part, sizeof part, &err));
    ck_assert_mem_eq(part, hnd + 4 * 16, sizeof part / 2);
    ck_assert_mem_eq(part + 3 * 16, hnd + (8 + 4) * 16, sizeof part / 2);
    OK(pp_kvcache_read(cache, 1, PP_KV_V, PP_KV_NHD, PP_DTYPE_F32, 8, 0, NULL, 0, &err));
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(handles_may_go_in_any_order)
{
    pp_model *model = tiny_model();
    pp_session *session = new_session(model);
    pp_kvcache *caches[3];
    OK(pp_prefill(session, NULL, prompts, 3, caches, NULL, &err));
    pp_model_unref(model);
    pp_session_destroy(session);
    pp_kvcache_destroy(caches[1]);
    static uint16_t bits[8 * 128];
    read_all(caches[0], bits); /* still there */
    pp_kvcache_destroy(caches[0]);
    pp_kvcache_destroy(caches[2]);
}
END_TEST

/* An allocator that cancels the session at its n-th call: in the middle of what allocates. */
static pp_session *to_cancel;
static int64_t cancel_in;

static void *cancelling_allocate(void *user, size_t bytes, size_t alignment)
{
    (void)user;
    if (cancel_in > 0 && --cancel_in == 0)
        pp_session_cancel(to_cancel);
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void plain_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

START_TEST(cancel_leaves_everything_as_it_was)
{
    const pp_allocator allocator = {
        .struct_size = sizeof allocator, .allocate = cancelling_allocate, .release = plain_release};
    pp_model *model = tiny_model();
    pp_session_params params = default_params();
    params.allocator = &allocator;
    OK(pp_session_create(model, &params, &to_cancel, &err));
    pp_kvcache *caches[3] = {0};
    int32_t next[3] = {1, 2, 3};
    cancel_in = 1;
    REFUSED(pp_prefill(to_cancel, NULL, prompts, 3, caches, NULL, &err), PP_ERR_CANCELLED,
            "cancelled");
    ck_assert_ptr_null(caches[0]);
    ck_assert_int_eq(info_of(to_cancel).kv_bytes, 0);
    OK(pp_prefill(to_cancel, NULL, prompts, 3, caches, NULL, &err));
    cancel_in = 1;
    REFUSED(pp_decode(to_cancel, caches, next, 3, NULL, &err), PP_ERR_CANCELLED, "cancelled");
    ck_assert_int_eq(pp_kvcache_length(caches[0]), 8);
    pp_session_cancel(to_cancel); /* meets no call */
    OK(pp_decode(to_cancel, caches, next, 3, NULL, &err));
    for (int i = 0; i < 3; i++)
        pp_kvcache_destroy(caches[i]);
    pp_session_destroy(to_cancel);
    pp_model_unref(model);
}
END_TEST

/* Two threads, each with its own session of one model. */
static void *run_thread(void *argument)
{
    pp_model *model = argument;
    pp_session *session;
    pp_session_params params = default_params();
    pp_kvcache *caches[3];
    if (pp_session_create(model, &params, &session, NULL) < 0)
        return argument;
    for (int round = 0; round < 5; round++) {
        if (pp_prefill(session, NULL, prompts, 3, caches, NULL, NULL) < 0)
            return argument;
        for (int i = 0; i < 3; i++)
            pp_kvcache_destroy(caches[i]);
    }
    pp_session_destroy(session);
    return NULL;
}

START_TEST(sessions_share_a_model_between_threads)
{
    pp_model *model = tiny_model();
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_thread, model), 0);
    for (int i = 0; i < 2; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    pp_model_unref(model);
}
END_TEST

START_TEST(memory_limit_is_a_status)
{
    pp_model *model = tiny_model();
    pp_session *session;
    pp_session_params params = default_params();
    params.max_pass_tokens = 64;
    OK(pp_session_create(model, &params, &session, &err));
    int64_t base = info_of(session).memory_bytes;
    pp_session_destroy(session);
    params.memory_limit = base + (4 << 20);
    OK(pp_session_create(model, &params, &session, &err));
    enum { N = 400 };
    static int32_t long_ids[600];
    pp_prompt many[N];
    pp_kvcache *caches[N] = {0};
    for (int i = 0; i < N; i++)
        many[i] = (pp_prompt){long_ids, 600};
    REFUSED(pp_prefill(session, NULL, many, N, caches, NULL, &err),
            on_cpu() ? PP_ERR_NOMEM : PP_ERR_DEVICE_NOMEM, "KV pages");
    ck_assert_ptr_null(caches[0]);
    ck_assert_int_le(info_of(session).peak_memory_bytes, params.memory_limit);
    OK(pp_prefill(session, NULL, many, 2, caches, NULL, &err)); /* the session goes on */
    pp_kvcache_destroy(caches[0]);
    pp_kvcache_destroy(caches[1]);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *tcase = tcase_create("session");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, prefill_then_decode);
    tcase_add_test(tcase, nothing_to_do_is_fine);
    tcase_add_test(tcase, bad_prompts_are_refused);
    tcase_add_test(tcase, plan_of_other_prompts_is_refused);
    tcase_add_test(tcase, bad_decodes_are_refused);
    if (on_cpu())
        tcase_add_test(tcase, session_params_are_checked);
    if (on_cpu())
        tcase_add_test(tcase, passes_of_many_experts_are_limited);
    tcase_add_test(tcase, other_struct_sizes);
    tcase_add_test(tcase, forks_share_and_diverge);
    tcase_add_test(tcase, reads_are_checked);
    tcase_add_test(tcase, handles_may_go_in_any_order);
    tcase_add_test(tcase, cancel_leaves_everything_as_it_was);
    tcase_add_test(tcase, sessions_share_a_model_between_threads);
    tcase_add_test(tcase, memory_limit_is_a_status);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
