/*
 * test_allocations.c: an allocator that fails at every call in turn, once or from then on, while
 * models are opened and run: a status comes back, nothing leaks, caches stay as they were, and what
 * succeeds gives the same bits.
 */
#define _GNU_SOURCE
#include "support/tap.h"

#include <prepack/prepack.h>

#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pp_error err = {.struct_size = sizeof err};

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)

static int32_t ids[256];

/* The CPU, or what PREPACK_TEST_DEVICE names. */
static bool on_cpu(void)
{
    return !getenv("PREPACK_TEST_DEVICE");
}

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

static pp_status open_all(const char *config, const pp_allocator *allocator, pp_model **model,
                          pp_session **session)
{
    pp_model_params model_params;
    pp_session_params params;
    pp_model_params_init(&model_params, sizeof model_params);
    pp_session_params_init(&params, sizeof params);
    if (!on_cpu())
        params.device = getenv("PREPACK_TEST_DEVICE");
    model_params.allocator = allocator;
    params.allocator = allocator;
    params.max_pass_tokens = 64;
    pp_status status = pp_model_create_random(config, 1, &model_params, model, &err);
    return status < 0 ? status : pp_session_create(*model, &params, session, &err);
}

/* Open, prefill, fork, decode; the first failure ends it. */
static pp_status simple_run(const pp_allocator *allocator, float *logit)
{
    pp_model *model = NULL;
    pp_session *session = NULL;
    pp_kvcache *caches[4] = {0};
    const float *logits;
    const int32_t next[4] = {1, 2, 3, 4};
    const pp_prompt prompts[3] = {{ids, 8}, {ids, 3}, {ids + 1, 1}};
    pp_status status = open_all(pp_model_preset("tiny"), allocator, &model, &session);
    if (status >= 0)
        status = pp_prefill(session, NULL, prompts, 3, caches, NULL, &err);
    if (status >= 0)
        status = pp_kvcache_fork(caches[0], 5, &caches[3], &err);
    if (status >= 0)
        status = pp_decode(session, caches, next, 4, &logits, &err);
    if (status >= 0)
        *logit = logits[0];
    for (int i = 0; i < 4; i++)
        pp_kvcache_destroy(caches[i]);
    pp_session_destroy(session);
    pp_model_unref(model);
    return status;
}

/* Two classes of pages, one behind a window; angles that change after 64 tokens. */
static const char GROWING[] =
    "{\"model_type\": \"gemma3_text\", \"num_hidden_layers\": 2, \"sliding_window\": 8, "
    "\"layer_types\": [\"sliding_attention\", \"full_attention\"], \"query_pre_attn_scalar\": 16, "
    "\"max_position_embeddings\": 512, \"vocab_size\": 96, \"hidden_size\": 48, "
    "\"intermediate_size\": 64, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
    "\"head_dim\": 16, \"dtype\": \"bfloat16\", \"rope_parameters\": {\"full_attention\": "
    "{\"rope_type\": \"longrope\", \"rope_theta\": 10000.0, "
    "\"short_factor\": [1, 1, 1, 1, 1, 1, 1, 1], \"long_factor\": [1, 2, 3, 4, 5, 6, 7, 8], "
    "\"original_max_position_embeddings\": 64}, "
    "\"sliding_attention\": {\"rope_type\": \"default\", \"rope_theta\": 500.0}}}";

static int32_t keep_last(void *user, const pp_logits *piece)
{
    if (piece->i_item == 0)
        *(float *)user = piece->logits[(piece->n_rows - 1) * piece->vocab_size];
    return 0;
}

/* A cache that grows by many tokens past the length at which its angles change and out of its
 * window, next to two new ones. A failed run is tried again: its caches are as they were. */
static pp_status grow(pp_session *session, pp_item *items, float *logit)
{
    float last[96];
    pp_run_params params = {.struct_size = sizeof params, .sink = keep_last, .sink_user = logit};
    const pp_item first = {.struct_size = sizeof first, .tokens = ids, .n_tokens = 60};
    items[0] = first;
    pp_status status = pp_run(session, NULL, items, 1, NULL, &err);
    if (status < 0)
        return status;
    items[0].tokens = ids + 60;
    items[0].n_tokens = 150;
    items[0].output = PP_OUTPUT_ALL_LOGITS;
    items[1] = items[2] = first;
    items[1].output = PP_OUTPUT_LAST_LOGITS;
    items[1].logits = last;
    items[2].output = PP_OUTPUT_TOKEN;
    items[2].temperature = 1;
    items[2].top_k = 5;
    for (int attempt = 0; attempt < 2; attempt++) {
        status = pp_run(session, NULL, items, 3, &params, &err);
        if (status >= 0)
            return status;
        ck_assert_int_eq(pp_kvcache_length(items[0].cache), 60);
        ck_assert_ptr_null(items[1].cache);
        ck_assert_ptr_null(items[2].cache);
    }
    return status;
}

static pp_status growing_run(const pp_allocator *allocator, float *logit)
{
    pp_model *model = NULL;
    pp_session *session = NULL;
    pp_item items[3] = {{0}};
    pp_status status = open_all(GROWING, allocator, &model, &session);
    if (status >= 0)
        status = grow(session, items, logit);
    for (int i = 0; i < 3; i++)
        pp_kvcache_destroy(items[i].cache);
    pp_session_destroy(session);
    pp_model_unref(model);
    return status;
}

/* A cache that is saved, in a file and in memory, loaded, written to and continued. */
static pp_status travel(pp_session *session, pp_kvcache **caches, char *path, float *logit)
{
    static char memory[1 << 17];
    const pp_prompt prompt = {ids, 70};
    const float *logits;
    float row[2 * 16] = {1};
    size_t bytes;
    pp_status status = pp_prefill(session, NULL, &prompt, 1, caches, NULL, &err);
    if (status >= 0)
        status = pp_kvcache_save(caches[0], path, NULL, &err);
    if (status >= 0)
        status = pp_kvcache_load(session, path, &caches[1], &err);
    if (status >= 0)
        status = pp_kvcache_export_size(caches[1], NULL, &bytes, &err);
    if (status >= 0)
        status = pp_kvcache_export(caches[1], NULL, memory, bytes, &err);
    if (status >= 0)
        status = pp_kvcache_import(session, memory, bytes, &caches[2], &err);
    if (status >= 0)
        status = pp_kvcache_create(session, 70, ids, &caches[3], &err);
    if (status >= 0)
        status = pp_kvcache_fork(caches[2], 70, &caches[4], &err);
    if (status >= 0)
        status = pp_kvcache_write(caches[2], 0, PP_KV_V, PP_KV_NHD, PP_DTYPE_F32, 69, 1, row,
                                  sizeof row, &err);
    if (status >= 0)
        status = pp_decode(session, caches + 2, ids, 1, &logits, &err);
    if (status >= 0)
        *logit = logits[0];
    return status;
}

/* Linear layers beside attention. */
static const char HYBRID[] =
    "{\"model_type\": \"qwen3_5_text\", \"num_hidden_layers\": 2, \"full_attention_interval\": 2, "
    "\"linear_num_key_heads\": 2, \"linear_num_value_heads\": 4, \"linear_key_head_dim\": 8, "
    "\"linear_value_head_dim\": 8, \"linear_conv_kernel_dim\": 4, "
    "\"max_position_embeddings\": 512, \"vocab_size\": 96, \"hidden_size\": 48, "
    "\"intermediate_size\": 64, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
    "\"head_dim\": 16, \"dtype\": \"bfloat16\"}";

/* A part of the first layer's state; NAN where there is none. */
static float state_of(const pp_kvcache *cache)
{
    float state[4 * 8 * 8] = {0};
    pp_status status =
        pp_kvcache_read_state(cache, 0, PP_STATE_RECURRENT, state, sizeof state, NULL);
    return status < 0 ? NAN : state[37];
}

/* A cache with an earlier state grows in passes, beside items that share a prefix; then it is cut,
 * written to and travels. A failed run is tried again: its caches are as they were. */
static pp_status go_on(pp_session *session, pp_item items[5], pp_kvcache **caches, char *path,
                       float *logit)
{
    const pp_run_params params = {.struct_size = sizeof params, .min_shared_prefix = 8};
    const pp_item first = {.struct_size = sizeof first, .tokens = ids, .n_tokens = 20};
    const float *logits;
    items[0] = first;
    pp_status status = pp_run(session, NULL, items, 1, NULL, &err);
    if (status >= 0)
        status = pp_decode(session, &items[0].cache, ids, 1, NULL, &err);
    if (status < 0)
        return status;
    float before = state_of(items[0].cache);
    items[0].n_tokens = 90;
    for (int i = 1; i < 5; i++) {
        items[i] = first;
        items[i].n_tokens = 60 + i / 2;
        items[i].discard_cache = i == 3;
    }
    for (int attempt = 0, done = 0; attempt < 2 && !done; attempt++) {
        status = pp_run(session, NULL, items, 5, &params, &err);
        done = status >= 0;
        ck_assert_int_eq(pp_kvcache_length(items[0].cache), done ? 111 : 21);
        ck_assert_int_eq(pp_kvcache_kept(items[0].cache, 21 - !done), done ? 21 : 20);
        ck_assert(done || memcmp(&before, &(float){state_of(items[0].cache)}, sizeof before) == 0);
        ck_assert(done || !items[1].cache);
    }
    if (status >= 0)
        status = pp_kvcache_fork(items[0].cache, 50, &caches[0], &err);
    ck_assert(status < 0 || status == PP_SHORTER);
    if (status >= 0)
        status = pp_kvcache_write_state(caches[0], 0, PP_STATE_RECURRENT, (float[4 * 8 * 8]){1},
                                        4 * 8 * 8 * sizeof(float), &err);
    if (status >= 0)
        status = pp_kvcache_save(caches[0], path, NULL, &err);
    if (status >= 0)
        status = pp_kvcache_load(session, path, &caches[1], &err);
    if (status >= 0)
        status = pp_kvcache_create(session, 20, NULL, &caches[2], &err);
    if (status >= 0)
        status = pp_kvcache_truncate(items[0].cache, 21, &err);
    if (status >= 0)
        status = pp_decode(session, (pp_kvcache *[]){items[0].cache, caches[1], caches[2]}, ids, 3,
                           &logits, &err);
    if (status >= 0)
        *logit = logits[0] + logits[96] + logits[2 * 96];
    return status;
}

static pp_status hybrid_run(const pp_allocator *allocator, float *logit)
{
    pp_model *model = NULL;
    pp_session *session = NULL;
    pp_item items[5] = {{0}};
    pp_kvcache *caches[3] = {0};
    char path[] = "/tmp/prepack-cache-XXXXXX";
    close(mkstemp(path));
    pp_status status = open_all(HYBRID, allocator, &model, &session);
    if (status >= 0)
        status = go_on(session, items, caches, path, logit);
    for (int i = 0; i < 3; i++)
        pp_kvcache_destroy(caches[i]);
    for (int i = 0; i < 5; i++)
        pp_kvcache_destroy(items[i].cache);
    pp_session_destroy(session);
    pp_model_unref(model);
    unlink(path);
    return status;
}

static pp_status travelling_run(const pp_allocator *allocator, float *logit)
{
    pp_model *model = NULL;
    pp_session *session = NULL;
    pp_kvcache *caches[5] = {0};
    char path[] = "/tmp/prepack-cache-XXXXXX";
    close(mkstemp(path));
    pp_status status = open_all(GROWING, allocator, &model, &session);
    if (status >= 0)
        status = travel(session, caches, path, logit);
    for (int i = 0; i < 5; i++)
        pp_kvcache_destroy(caches[i]);
    pp_session_destroy(session);
    pp_model_unref(model);
    unlink(path);
    return status;
}

START_TEST(every_allocation_may_fail)
{
    pp_status (*const runs[])(const pp_allocator *, float *) = {simple_run, growing_run,
                                                                travelling_run, hybrid_run};
    pp_status (*const whole_run)(const pp_allocator *, float *) = runs[_i];
    const int64_t step = on_cpu() || _i == 0 ? 1 : 11; /* an emulated device is slow */
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
        for (int64_t n = 1; n <= n_calls; n += step) {
            f.calls = 0;
            f.fail_at = n;
            f.persistent = persistent;
            pp_status status = whole_run(&allocator, &got);
            bool told = status == PP_ERR_NOMEM || (!on_cpu() && status == PP_ERR_DEVICE_NOMEM);
            ck_assert_msg(told || status == PP_OK, "call %lld: status %d", (long long)n, status);
            ck_assert_msg(f.held == 0, "call %lld: %lld bytes leaked", (long long)n,
                          (long long)f.held);
            if (status == PP_OK)
                ck_assert_mem_eq(&expected, &got, sizeof got);
        }
        f.fail_at = 0;
        OK(whole_run(&allocator, &got));
        ck_assert_mem_eq(&expected, &got, sizeof got);
    }
}
END_TEST

int main(void)
{
    for (int i = 0; i < 256; i++)
        ids[i] = i * 37 % 96;
    Suite *suite = suite_create("allocations");
    TCase *tcase = tcase_create("allocations");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, every_allocation_may_fail, 0, on_cpu() ? 4 : 3);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
