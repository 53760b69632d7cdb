/*
 * test_module.c: the CUDA backend as a host program meets it, in emulation: every call of the CUDA
 * runtime and of cuBLASLt fails in turn, device memory runs out, the GPU is missing or too old, the
 * caller brings stream and memory. Every failure is a status, nothing leaks, the session goes on.
 */
#include "support/model_json.h"
#include "support/tap.h"

#include <fake_stream.h>
#include <prepack/prepack.h>

#include <check.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pp_error err = {.struct_size = sizeof err};

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)
#define REFUSED(call, status, words)                                                               \
    do {                                                                                           \
        ck_assert_int_eq((call), (status));                                                        \
        ck_assert_msg(strstr(err.message, words), "\"%s\" lacks \"%s\"", err.message, words);      \
    } while (0)

/* The controls of the fake runtime that is linked into the module. */
static struct {
    void (*fail_at)(long n);
    long (*calls)(void);
    const char *(*failed_call)(void);
    long (*live_objects)(void);
    void (*device_memory)(size_t bytes);
    void (*watch_places)(int on);
    const char *(*place)(int i);
    void (*skip)(const char *place);
    cudaError_t (*allocate)(void **memory, size_t bytes);
    cudaError_t (*release)(void *memory);
    cudaError_t (*stream_create)(cudaStream_t *stream, unsigned flags);
    cudaError_t (*stream_destroy)(cudaStream_t stream);
} fake;

static void find(void *module, const char *name, void *function)
{
    void *symbol = dlsym(module, name);
    if (!symbol) {
        printf("Bail out! the module lacks %s\n", name);
        exit(1);
    }
    memcpy(function, &symbol, sizeof symbol);
}

static void find_controls(void)
{
    const char *path = getenv("PREPACK_BACKEND_CUDA");
    void *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!module) {
        printf("Bail out! PREPACK_BACKEND_CUDA names no emulated module\n");
        exit(1);
    }
    find(module, "fake_fail_at", &fake.fail_at);
    find(module, "fake_calls", &fake.calls);
    find(module, "fake_failed_call", &fake.failed_call);
    find(module, "fake_live_objects", &fake.live_objects);
    find(module, "fake_device_memory", &fake.device_memory);
    find(module, "emu_watch_places", &fake.watch_places);
    find(module, "emu_place", &fake.place);
    find(module, "emu_skip", &fake.skip);
    find(module, "cudaMalloc", &fake.allocate);
    find(module, "cudaFree", &fake.release);
    find(module, "cudaStreamCreateWithFlags", &fake.stream_create);
    find(module, "cudaStreamDestroy", &fake.stream_destroy);
}

static const int32_t ids[20] = {5,  9,  2,  7,  7,  1,  3,  8,  40, 41,
                                42, 43, 44, 45, 46, 47, 48, 49, 50, 51};
static const pp_prompt prompts[3] = {{ids, 20}, {ids, 3}, {ids + 1, 1}};

/* Very small, so that a run takes milliseconds: it is repeated for every call that may fail. */
static pp_model *small_model(void)
{
    pp_model *model = NULL;
    struct model_shape shape = model_shape_of("tiny");
    shape.vocab_size = 64;
    shape.hidden_size = 32;
    shape.intermediate_size = 48;
    shape.n_layers = 1;
    OK(model_random(&shape, 1, NULL, &model, &err));
    return model;
}

static pp_session_params cuda_params(void)
{
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = "cuda";
    params.max_pass_tokens = 64;
    return params;
}

static pp_session_info info_of(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, &err));
    return info;
}

/* Results of one run, for comparing bits. */
struct results {
    float logits[3][64];
    uint16_t k[20 * 2 * 16];
    int32_t next[3];
};

/* Prefill, fork, decode both ways, read; the first failure ends it. */
static pp_status use(pp_session *session, struct results *results)
{
    pp_kvcache *caches[4] = {0};
    const float *logits;
    int32_t next[3] = {1, 2, 3};
    memset(results, 0, sizeof *results);
    pp_status status = pp_prefill(session, NULL, prompts, 3, caches, &logits, &err);
    if (status >= 0)
        memcpy(results->logits, logits, sizeof results->logits);
    if (status >= 0)
        status = pp_kvcache_read(caches[0], 0, PP_KV_K, PP_KV_HND, PP_DTYPE_BF16, 0,
                                 pp_kvcache_length(caches[0]), results->k, sizeof results->k, &err);
    if (status >= 0)
        status = pp_kvcache_fork(caches[0], 5, &caches[3], &err);
    if (status >= 0)
        status = pp_decode(session, &caches[3], next, 1, NULL, &err);
    if (status >= 0)
        status = pp_decode_sample(session, caches, next, 3, NULL, results->next, &err);
    for (int i = 0; i < 4; i++)
        pp_kvcache_destroy(caches[i]);
    return status;
}

/* From nothing to nothing. */
static pp_status whole_run(struct results *results)
{
    pp_session_params params = cuda_params();
    pp_session *session = NULL;
    pp_model *model = small_model();
    pp_status status = pp_session_create(model, &params, &session, &err);
    if (status >= 0)
        status = use(session, results);
    pp_session_destroy(session);
    pp_model_unref(model);
    return status;
}

/* Under a sanitizer every run takes many times as long: only some of the calls are tried. */
static bool is_slow(void)
{
#ifdef __SANITIZE_ADDRESS__
    return true;
#else
    return false;
#endif
}

static bool is_device_failure(pp_status status)
{
    return status == PP_ERR_DEVICE || status == PP_ERR_DEVICE_NOMEM || status == PP_ERR_NO_BACKEND;
}

START_TEST(every_call_may_fail)
{
    struct results expected, got;
    fake.fail_at(0);
    ck_assert_msg(whole_run(&expected) == PP_OK, "%s", err.message);
    long n_calls = fake.calls(), n_reported = 0;
    ck_assert_int_eq(fake.live_objects(), 0);
    long step = is_slow() ? 11 : 1, n_tried = 0;
    ck_assert_int_gt(n_calls, 100);
    for (long n = 1; n <= n_calls; n += step, n_tried++) {
        err.message[0] = 0;
        fake.fail_at(n);
        pp_status status = whole_run(&got);
        const char *call = fake.failed_call();
        fake.fail_at(0);
        ck_assert_msg(call != NULL, "call %ld did not come", n);
        ck_assert_msg(status == PP_OK || is_device_failure(status), "call %ld (%s): status %d", n,
                      call, status);
        ck_assert_msg(status == PP_OK || err.message[0], "call %ld (%s): no sentence", n, call);
        ck_assert_msg(fake.live_objects() == 0, "call %ld (%s): %ld objects leaked", n, call,
                      fake.live_objects());
        if (status == PP_OK) /* what fails without a word must not matter */
            ck_assert_msg(memcmp(&got, &expected, sizeof got) == 0,
                          "call %ld (%s) failed and changed the result in silence", n, call);
        n_reported += status != PP_OK;
    }
    ck_assert_int_gt(n_reported, n_tried / 2);
    ck_assert_int_eq(whole_run(&got), PP_OK);
    ck_assert_mem_eq(&got, &expected, sizeof got);
}
END_TEST

/* A failure leaves the session as it was: the next run gives the same bits. */
START_TEST(a_session_survives_failures)
{
    struct results expected, got;
    pp_session_params params = cuda_params();
    pp_session *session = NULL;
    pp_model *model = small_model();
    fake.fail_at(0);
    OK(pp_session_create(model, &params, &session, &err));
    fake.fail_at(0);
    OK(use(session, &expected));
    long n_calls = fake.calls();
    long live = fake.live_objects();
    for (long n = 1; n <= n_calls; n += is_slow() ? 7 : 1) {
        fake.fail_at(n);
        pp_status status = use(session, &got);
        char call[64];
        snprintf(call, sizeof call, "%s", fake.failed_call() ? fake.failed_call() : "nothing");
        fake.fail_at(0);
        ck_assert_msg(status == PP_OK || is_device_failure(status), "call %ld (%s): status %d", n,
                      call, status);
        ck_assert_msg(info_of(session).kv_bytes == 0, "call %ld (%s): pages are lost", n, call);
        ck_assert_msg(use(session, &got) == PP_OK, "after call %ld (%s): %s", n, call, err.message);
        ck_assert_msg(memcmp(&got, &expected, sizeof got) == 0,
                      "after call %ld (%s): other results", n, call);
    }
    ck_assert_int_eq(fake.live_objects(), live);
    pp_session_destroy(session);
    pp_model_unref(model);
    ck_assert_int_eq(fake.live_objects(), 0);
}
END_TEST

/* The device's clock, and memory that is taken for a call. */
START_TEST(a_measurement_survives_failures)
{
    const int64_t lengths[2] = {20, 3};
    const pp_measure_params measure = {.struct_size = sizeof measure,
                                       .operation = PP_MEASURE_ATTENTION,
                                       .lengths = lengths,
                                       .n_prompts = 2,
                                       .n_runs = 1,
                                       .caches = PP_MEASURE_CACHES_FLUSHED};
    pp_measurement measured = {.struct_size = sizeof measured};
    pp_session_params params = cuda_params();
    pp_session *session = NULL;
    pp_model *model = small_model();
    int n_events = 0;
    for (int first = 1; first >= 0; first--) { /* events are made once for a session */
        fake.fail_at(0);
        OK(pp_session_create(model, &params, &session, &err));
        if (!first)
            OK(pp_session_measure(session, &measure, &measured, &err));
        long live = fake.live_objects();
        for (long n = 1;; n++) {
            err.message[0] = 0;
            fake.fail_at(n);
            pp_status status = pp_session_measure(session, &measure, &measured, &err);
            char call[64] = "";
            if (fake.failed_call())
                snprintf(call, sizeof call, "%s", fake.failed_call());
            fake.fail_at(0);
            if (!call[0])
                break;
            ck_assert_msg(status == PP_OK || (is_device_failure(status) && err.message[0]),
                          "call %ld (%s): status %d", n, call, status);
            n_events += status < 0 && strncmp(call, "cudaEvent", 9) == 0;
            if (first) {
                pp_session_destroy(session);
                OK(pp_session_create(model, &params, &session, &err));
            } else {
                ck_assert_msg(fake.live_objects() == live, "call %ld (%s) leaks", n, call);
            }
        }
        pp_session_destroy(session);
    }
    ck_assert_int_ge(n_events, 2 * 4 + 2); /* each makes 4 calls, and the first makes 2 events */
    pp_model_unref(model);
    ck_assert_int_eq(fake.live_objects(), 0);
}
END_TEST

START_TEST(device_memory_runs_out)
{
    pp_session_params params = cuda_params();
    pp_session *session = NULL;
    pp_model *model = small_model();
    enum { N = 300 };
    static int32_t long_ids[600];
    static pp_kvcache *caches[N];
    static pp_prompt many[N];
    for (int i = 0; i < N; i++)
        many[i] = (pp_prompt){long_ids, 600};

    params.memory_limit = 1000;
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_DEVICE_NOMEM, "weights");
    ck_assert_ptr_null(session);
    ck_assert_int_eq(fake.live_objects(), 0);
    params.memory_limit = 0;
    OK(pp_session_create(model, &params, &session, &err));
    int64_t base = info_of(session).memory_bytes;
    pp_session_destroy(session);

    /* a limit of the caller, then the end of the device's memory */
    for (int physical = 0; physical < 2; physical++) {
        params.memory_limit = physical ? 0 : base + (20 << 20);
        OK(pp_session_create(model, &params, &session, &err));
        if (physical)
            fake.device_memory((size_t)base + (20 << 20));
        REFUSED(pp_prefill(session, NULL, many, N, caches, NULL, &err), PP_ERR_DEVICE_NOMEM,
                "KV pages");
        ck_assert_ptr_null(caches[0]);
        if (!physical)
            ck_assert_int_le(info_of(session).peak_memory_bytes, params.memory_limit);
        ck_assert_int_eq(info_of(session).kv_bytes, 0);
        OK(pp_prefill(session, NULL, many, 2, caches, NULL, &err));
        pp_kvcache_destroy(caches[0]);
        pp_kvcache_destroy(caches[1]);
        caches[0] = caches[1] = NULL;
        pp_session_destroy(session);
        fake.device_memory((size_t)4 << 30);
    }
    pp_model_unref(model);
    ck_assert_int_eq(fake.live_objects(), 0);
}
END_TEST

START_TEST(an_estimate_is_what_a_session_takes)
{
    pp_session_params params = cuda_params();
    pp_session *session = NULL;
    pp_model *model = small_model();
    pp_session_info estimate = {.struct_size = sizeof estimate};
    OK(pp_session_estimate(model, &params, &estimate, &err));
    ck_assert_int_eq(fake.live_objects(), 0);
    OK(pp_session_create(model, &params, &session, &err));
    pp_session_info info = info_of(session);
    ck_assert_int_eq(estimate.weight_bytes, info.weight_bytes);
    ck_assert_int_eq(estimate.workspace_bytes, info.workspace_bytes);
    ck_assert_int_eq(estimate.page_bytes, info.page_bytes);
    ck_assert_int_eq(estimate.memory_bytes, info.memory_bytes);
    ck_assert_str_eq(info.device, "cuda:0");
    ck_assert_str_eq(info.attention, "mma.sync");
    ck_assert_int_ne(info.device_name[0], 0);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

static void count_self_tests(void *user, int32_t level, const char *message)
{
    int *n = user;
    *n += level == PP_LOG_WARNING && strstr(message, "attention by wgmma failed its self-test");
}

/* Runs on an emulated 9.0; the name of the attention kernel that ran goes to name. */
static int run_on_90(const char *device, struct results *results, char *name)
{
    pp_session_params params = cuda_params();
    pp_session *session = NULL;
    pp_model *model = small_model();
    int n_warnings = 0;
    params.device = device;
    params.log = count_self_tests;
    params.log_user = &n_warnings;
    setenv("PREPACK_EMU_CC", "90", 1);
    OK(pp_session_create(model, &params, &session, &err));
    OK(use(session, results));
    strcpy(name, info_of(session).attention);
    pp_session_destroy(session);
    pp_model_unref(model);
    unsetenv("PREPACK_EMU_CC");
    return n_warnings;
}

/* A kernel that computes something else loses its place; nobody gets its results. */
START_TEST(attention_earns_its_place)
{
    struct results expected, got;
    char name[32], place[160] = "";
    ck_assert_int_eq(run_on_90("cuda:mma", &expected, name), 0);
    ck_assert_str_eq(name, "mma.sync");
    fake.watch_places(1);
    ck_assert_int_eq(run_on_90("cuda", &got, name), 0);
    ck_assert_str_eq(name, "wgmma");
    for (int i = 0; fake.place(i); i++)
        if (strstr(fake.place(i), "attention_wgmma") && strstr(fake.place(i), "shuffle_xor"))
            snprintf(place, sizeof place, "%s", fake.place(i));
    fake.watch_places(0);
    ck_assert_int_ne(place[0], 0);
    fake.skip(place); /* sums of weights are no longer those of the whole row */
    ck_assert_int_eq(run_on_90("cuda", &got, name), 1);
    fake.skip(NULL);
    ck_assert_str_eq(name, "mma.sync");
    ck_assert_mem_eq(&got, &expected, sizeof got);
}
END_TEST

START_TEST(what_is_missing_is_said)
{
    pp_session_params params = cuda_params();
    pp_session *session = NULL;
    pp_model *model = small_model();
    params.device = "cuda:7";
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_NO_BACKEND,
            "numbered from 0");
    params.device = "cuda:fast";
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_NO_BACKEND, ":own");
    params.device = "cuda";
    params.dtype = PP_DTYPE_F32;
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_UNSUPPORTED, "f32");
    params.dtype = 0;
    setenv("PREPACK_EMU_CC", "75", 1);
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_NO_BACKEND, "7.5");
    unsetenv("PREPACK_EMU_CC");
    pp_model_unref(model);

    struct model_shape shape = model_shape_of("tiny");
    shape.head_dim = 12;
    OK(model_random(&shape, 1, NULL, &model, &err));
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_UNSUPPORTED, "head_dim");
    pp_model_unref(model);
    shape.head_dim = 16;
    shape.hidden_size = 60;
    OK(model_random(&shape, 1, NULL, &model, &err));
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_UNSUPPORTED, "hidden_size");
    pp_model_unref(model);
    ck_assert_ptr_null(session);
    ck_assert_int_eq(fake.live_objects(), 0);
}
END_TEST

/* wgmma on compute capability 9.0 alone, and up to head_dim 128. */
START_TEST(attention_is_chosen_by_device_and_shape)
{
    static const struct {
        const char *capability, *name;
        int32_t head_dim;
    } cases[] = {{"80", "mma.sync", 64},  {"89", "mma.sync", 128}, {"90", "wgmma", 8},
                 {"90", "wgmma", 64},     {"90", "wgmma", 80},     {"90", "wgmma", 128},
                 {"90", "mma.sync", 136}, {"90", "mma.sync", 256}, {"100", "mma.sync", 128},
                 {"120", "mma.sync", 64}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_session_params params = cuda_params();
        pp_session *session = NULL;
        pp_model *model;
        struct model_shape shape = model_shape_of("tiny");
        shape.head_dim = cases[i].head_dim;
        OK(model_random(&shape, 1, NULL, &model, &err));
        setenv("PREPACK_EMU_CC", cases[i].capability, 1);
        OK(pp_session_create(model, &params, &session, &err));
        ck_assert_str_eq(info_of(session).attention, cases[i].name);
        pp_session_destroy(session);
        unsetenv("PREPACK_EMU_CC");
        pp_model_unref(model);
    }
}
END_TEST

/* A pool of the caller's that counts. */
struct pool {
    int64_t bytes, calls;
    void *stream;
};

static void *pool_allocate(void *user, size_t bytes, void *stream)
{
    struct pool *pool = user;
    void *memory = NULL;
    if (stream != pool->stream || fake.allocate(&memory, bytes) != cudaSuccess)
        return NULL;
    pool->bytes += (int64_t)bytes;
    pool->calls++;
    return memory;
}

static void pool_release(void *user, void *memory, size_t bytes, void *stream)
{
    (void)stream;
    struct pool *pool = user;
    pool->bytes -= (int64_t)bytes;
    fake.release(memory);
}

START_TEST(stream_and_memory_of_the_caller)
{
    struct results expected, got;
    ck_assert_int_eq(whole_run(&expected), PP_OK);
    pp_session_params params = cuda_params();
    pp_session *session = NULL;
    pp_model *model = small_model();
    cudaStream_t stream;
    ck_assert_int_eq(fake.stream_create(&stream, 0), cudaSuccess);
    struct pool pool = {.stream = stream};
    pp_device_allocator allocator = {.struct_size = sizeof allocator,
                                     .user = &pool,
                                     .allocate = pool_allocate,
                                     .release = pool_release};
    params.stream = stream;
    params.device_allocator = &allocator;
    OK(pp_session_create(model, &params, &session, &err));
    ck_assert_int_eq(info_of(session).memory_bytes, pool.bytes); /* counted exactly */
    OK(use(session, &got));
    ck_assert_mem_eq(&got, &expected, sizeof got);
    ck_assert_int_eq(info_of(session).memory_bytes, pool.bytes);
    int64_t calls = pool.calls;
    OK(use(session, &got));
    ck_assert_int_eq(pool.calls, calls); /* a warm session takes nothing more */
    pp_session_destroy(session);
    pp_model_unref(model);
    ck_assert_int_eq(pool.bytes, 0);
    allocator.release = NULL;
    model = small_model();
    REFUSED(pp_session_create(model, &params, &session, &err), PP_ERR_ARG, "release");
    pp_model_unref(model);
    ck_assert_int_eq(fake.stream_destroy(stream), cudaSuccess);
    ck_assert_int_eq(fake.live_objects(), 0);
}
END_TEST

START_TEST(tokens_are_those_of_the_logits)
{
    pp_session_params params = cuda_params();
    pp_session *session = NULL;
    pp_model *model = small_model();
    pp_kvcache *caches[3], *others[3];
    const float *logits;
    int32_t next[3], again[3];
    OK(pp_session_create(model, &params, &session, &err));
    OK(pp_prefill(session, NULL, prompts, 3, caches, &logits, &err));
    OK(pp_prefill_sample(session, NULL, prompts, 3, NULL, others, next, &err));
    for (int i = 0; i < 3; i++) {
        int32_t best = 0;
        for (int32_t t = 1; t < 64; t++)
            if (logits[i * 64 + t] > logits[i * 64 + best])
                best = t;
        ck_assert_int_eq(next[i], best);
        pp_kvcache_destroy(others[i]);
    }
    /* with a temperature: the same seed gives the same token in other company */
    pp_sample_params sample;
    pp_sample_params_init(&sample, sizeof sample);
    uint64_t seeds[3] = {11, 12, 13};
    sample.temperature = 2;
    sample.seeds = seeds;
    int n_changed = 0;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 3; i++)
            seeds[i] += 3;
        OK(pp_prefill_sample(session, NULL, prompts, 3, &sample, others, next, &err));
        for (int i = 0; i < 3; i++)
            pp_kvcache_destroy(others[i]);
        sample.seeds = seeds + 1;
        OK(pp_prefill_sample(session, NULL, prompts + 1, 1, &sample, others, again, &err));
        sample.seeds = seeds;
        pp_kvcache_destroy(others[0]);
        ck_assert_int_eq(again[0], next[1]);
        n_changed += next[0] != next[1];
    }
    ck_assert_int_gt(n_changed, 3);
    sample.temperature = -1;
    REFUSED(pp_decode_sample(session, caches, next, 3, &sample, next, &err), PP_ERR_ARG,
            "temperature");
    for (int i = 0; i < 3; i++)
        pp_kvcache_destroy(caches[i]);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    find_controls();
    Suite *suite = suite_create("cuda-module");
    TCase *tcase = tcase_create("cuda-module");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, every_call_may_fail);
    tcase_add_test(tcase, a_session_survives_failures);
    tcase_add_test(tcase, a_measurement_survives_failures);
    tcase_add_test(tcase, device_memory_runs_out);
    tcase_add_test(tcase, an_estimate_is_what_a_session_takes);
    tcase_add_test(tcase, what_is_missing_is_said);
    tcase_add_test(tcase, attention_is_chosen_by_device_and_shape);
    tcase_add_test(tcase, attention_earns_its_place);
    tcase_add_test(tcase, stream_and_memory_of_the_caller);
    tcase_add_test(tcase, tokens_are_those_of_the_logits);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
