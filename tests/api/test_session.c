/*
 * test_session.c: sessions and caches through the public interface alone: what is refused and how,
 * that nothing is lost when a call fails, forks and truncation, lifetimes in any order, cancelling,
 * memory limits, and an allocator that fails at every call in turn.
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

static pp_model *tiny_model(const pp_allocator *allocator)
{
    pp_model *model = NULL;
    pp_model_params params;
    pp_model_params_init(&params, sizeof params);
    params.allocator = allocator;
    OK(pp_model_create_random(pp_model_preset("tiny"), 1, &params, &model, &err));
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
    pp_model *model = tiny_model(NULL);
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
    pp_model *model = tiny_model(NULL);
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
    pp_model *model = tiny_model(NULL);
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
    pp_model *model = tiny_model(NULL);
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
    pp_model *model = tiny_model(NULL);
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
    pp_model *model = tiny_model(NULL);
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
START_TEST(other_struct_sizes)
{
    pp_model *model = tiny_model(NULL);
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
    pp_model *model = tiny_model(NULL);
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
    pp_model *model = tiny_model(NULL);
    pp_session *session = new_session(model);
    pp_kvcache *cache;
    static float f32[8 * 32];
    static uint16_t nhd[8 * 32], hnd[8 * 32];
    OK(pp_prefill(session, NULL, prompts, 1, &cache, NULL, &err));
    REFUSED(pp_kvcache_read(cache, 2, PP_KV_K, PP_KV_NHD, PP_DTYPE_F32, 0, pp_kvcache_length(cache),
                            f32, sizeof f32, &err),
            PP_ERR_ARG, "layer 2");
    REFUSED(pp_kvcache_read(cache, 0, 2, PP_KV_NHD, PP_DTYPE_F32, 0, pp_kvcache_length(cache), f32,
                            sizeof f32, &err),
            PP_ERR_ARG, "PP_KV_V");
    REFUSED(pp_kvcache_read(cache, 0, PP_KV_K, 0, PP_DTYPE_F32, 0, pp_kvcache_length(cache), f32,
                            sizeof f32, &err),
            PP_ERR_ARG, "PP_KV_HND");
    REFUSED(pp_kvcache_read(cache, 0, PP_KV_K, PP_KV_NHD, PP_DTYPE_F16, 0, pp_kvcache_length(cache),
                            f32, sizeof f32, &err),
            PP_ERR_ARG, "bf16");
    REFUSED(pp_kvcache_read(cache, 0, PP_KV_K, PP_KV_NHD, PP_DTYPE_F32, 0, pp_kvcache_length(cache),
                            f32, 4, &err),
            PP_ERR_ARG, "1024");
    OK(pp_kvcache_read(cache, 1, PP_KV_V, PP_KV_NHD, PP_DTYPE_F32, 0, pp_kvcache_length(cache), f32,
                       sizeof f32, &err));
    OK(pp_kvcache_read(cache, 1, PP_KV_V, PP_KV_NHD, PP_DTYPE_BF16, 0, pp_kvcache_length(cache),
                       nhd, sizeof nhd, &err));
    OK(pp_kvcache_read(cache, 1, PP_KV_V, PP_KV_HND, PP_DTYPE_BF16, 0, pp_kvcache_length(cache),
                       hnd, sizeof hnd, &err));
    for (int t = 0; t < 8; t++)
        for (int h = 0; h < 2; h++)
            for (int d = 0; d < 16; d++) {
                uint32_t bits;
                memcpy(&bits, &f32[(t * 2 + h) * 16 + d], 4);
                ck_assert_uint_eq(bits >> 16, nhd[(t * 2 + h) * 16 + d]);
                ck_assert_uint_eq(hnd[(h * 8 + t) * 16 + d], nhd[(t * 2 + h) * 16 + d]);
            }
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(handles_may_go_in_any_order)
{
    pp_model *model = tiny_model(NULL);
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

START_TEST(cancel_leaves_everything_as_it_was)
{
    pp_model *model = tiny_model(NULL);
    pp_session *session = new_session(model);
    pp_kvcache *caches[3] = {0};
    int32_t next[3] = {1, 2, 3};
    pp_session_cancel(session);
    REFUSED(pp_prefill(session, NULL, prompts, 3, caches, NULL, &err), PP_ERR_CANCELLED,
            "cancelled");
    ck_assert_ptr_null(caches[0]);
    ck_assert_int_eq(info_of(session).kv_bytes, 0);
    OK(pp_prefill(session, NULL, prompts, 3, caches, NULL, &err));
    pp_session_cancel(session);
    REFUSED(pp_decode(session, caches, next, 3, NULL, &err), PP_ERR_CANCELLED, "cancelled");
    ck_assert_int_eq(pp_kvcache_length(caches[0]), 8);
    OK(pp_decode(session, caches, next, 3, NULL, &err));
    for (int i = 0; i < 3; i++)
        pp_kvcache_destroy(caches[i]);
    pp_session_destroy(session);
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
    pp_model *model = tiny_model(NULL);
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

/* Fails the n-th call (transient) or the n-th and all later ones (persistent). */
struct failing {
    pthread_mutex_t lock;
    int64_t calls, fail_at, held;
    int persistent;
};

static void *failing_allocate(void *user, size_t bytes, size_t alignment)
{
    struct failing *f = user;
    pthread_mutex_lock(&f->lock);
    f->calls++;
    int fail = f->fail_at && (f->persistent ? f->calls >= f->fail_at : f->calls == f->fail_at);
    if (!fail)
        f->held += (int64_t)bytes;
    pthread_mutex_unlock(&f->lock);
    return fail ? NULL : aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void failing_release(void *user, void *memory, size_t bytes)
{
    struct failing *f = user;
    pthread_mutex_lock(&f->lock);
    f->held -= (int64_t)bytes;
    pthread_mutex_unlock(&f->lock);
    free(memory);
}

/* Open, prefill, fork, decode; the first failure ends it. */
static pp_status whole_run(const pp_allocator *allocator, float *first_logit)
{
    pp_model_params model_params;
    pp_session_params params = default_params();
    pp_model *model = NULL;
    pp_session *session = NULL;
    pp_kvcache *caches[4] = {0};
    const float *logits;
    int32_t next[4] = {1, 2, 3, 4};
    pp_model_params_init(&model_params, sizeof model_params);
    model_params.allocator = allocator;
    params.allocator = allocator;
    params.max_pass_tokens = 64;
    pp_status status =
        pp_model_create_random(pp_model_preset("tiny"), 1, &model_params, &model, &err);
    if (status >= 0)
        status = pp_session_create(model, &params, &session, &err);
    if (status >= 0)
        status = pp_prefill(session, NULL, prompts, 3, caches, NULL, &err);
    if (status >= 0)
        status = pp_kvcache_fork(caches[0], 5, &caches[3], &err);
    if (status >= 0)
        status = pp_decode(session, caches, next, 4, &logits, &err);
    if (status >= 0)
        *first_logit = logits[0];
    for (int i = 0; i < 4; i++)
        pp_kvcache_destroy(caches[i]);
    pp_session_destroy(session);
    pp_model_unref(model);
    return status;
}

START_TEST(every_allocation_may_fail)
{
    for (int persistent = 0; persistent < 2; persistent++) {
        float expected = 0, got = 0;
        struct failing f = {.lock = PTHREAD_MUTEX_INITIALIZER};
        pp_allocator allocator = {.struct_size = sizeof allocator,
                                  .user = &f,
                                  .allocate = failing_allocate,
                                  .release = failing_release};
        OK(whole_run(&allocator, &expected));
        int64_t n_calls = f.calls;
        ck_assert_int_eq(f.held, 0);
        ck_assert_int_gt(n_calls, 20);
        for (int64_t n = 1; n <= n_calls; n++) {
            f.calls = 0;
            f.fail_at = n;
            f.persistent = persistent;
            pp_status status = whole_run(&allocator, &got);
            bool told = status == PP_ERR_NOMEM || (!on_cpu() && status == PP_ERR_DEVICE_NOMEM);
            ck_assert_msg(told || status == PP_OK, "call %lld: status %d", (long long)n, status);
            ck_assert_msg(f.held == 0, "call %lld: %lld bytes leaked", (long long)n,
                          (long long)f.held);
        }
        f.fail_at = 0;
        OK(whole_run(&allocator, &got));
        ck_assert_mem_eq(&expected, &got, sizeof got);
    }
}
END_TEST

START_TEST(memory_limit_is_a_status)
{
    pp_model *model = tiny_model(NULL);
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
    tcase_add_test(tcase, other_struct_sizes);
    tcase_add_test(tcase, forks_share_and_diverge);
    tcase_add_test(tcase, reads_are_checked);
    tcase_add_test(tcase, handles_may_go_in_any_order);
    tcase_add_test(tcase, cancel_leaves_everything_as_it_was);
    tcase_add_test(tcase, sessions_share_a_model_between_threads);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, memory_limit_is_a_status);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
