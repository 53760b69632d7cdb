/*
 * test_parallel_for.c: a session on its host's threads: tasks one after another, in the opposite
 * order, or at the same time give the same bits as threads of its own, and it starts none. Devices
 * without threads refuse it.
 */
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define N_PROMPTS 6
#define VOCAB     900
#define N_THREADS 4

/* Large enough for its products, norms and attention to be shared. */
static const char config[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"dtype\":\"bfloat16\","
    "\"rms_norm_eps\":1e-5,\"vocab_size\":900,\"hidden_size\":256,\"intermediate_size\":704,"
    "\"num_hidden_layers\":2,\"num_attention_heads\":8,\"num_key_value_heads\":2,"
    "\"max_position_embeddings\":1024,\"rope_theta\":10000.0}";

static pp_model *model;
static int32_t tokens[800];
static const int64_t lengths[N_PROMPTS] = {200, 1, 77, 300, 16, 130};

enum order { IN_TURN, REVERSED, AT_ONCE };

struct host {
    enum order order;
    int n_calls;
    int32_t max_tasks;
};

struct task {
    void (*run)(void *arg, int32_t i);
    void *arg;
    int32_t i;
};

static void *run_task(void *arg)
{
    struct task *task = arg;
    task->run(task->arg, task->i);
    return NULL;
}

static void run_at_once(int32_t n, void (*run)(void *arg, int32_t i), void *arg)
{
    pthread_t threads[N_THREADS];
    struct task tasks[N_THREADS];
    for (int32_t i = 0; i < n; i++) {
        tasks[i] = (struct task){run, arg, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_task, &tasks[i]), 0);
    }
    for (int32_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

static void parallel_for(void *user, int32_t n, void (*run)(void *arg, int32_t i), void *arg)
{
    struct host *host = user;
    host->n_calls++;
    host->max_tasks = n > host->max_tasks ? n : host->max_tasks;
    if (n > N_THREADS)
        return; /* the test sees max_tasks */
    if (host->order == AT_ONCE)
        run_at_once(n, run, arg);
    for (int32_t i = 0; host->order != AT_ONCE && i < n; i++)
        run(arg, host->order == REVERSED ? n - 1 - i : i);
}

static int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static pp_session *open_session(const char *device, int32_t n_threads, struct host *host)
{
    pp_session_params params;
    pp_session *session;
    pp_session_params_init(&params, sizeof params);
    params.device = device;
    params.n_threads = n_threads;
    if (host) {
        params.parallel_for = parallel_for;
        params.parallel_user = host;
    }
    OK(pp_session_create(model, &params, &session, perr));
    return session;
}

/* Logits of all prompts' last tokens and of one token more for each. */
static void run_all(pp_session *session, float *logits)
{
    pp_prompt prompts[N_PROMPTS];
    pp_kvcache *caches[N_PROMPTS];
    int32_t next[N_PROMPTS];
    const float *view;
    for (int i = 0; i < N_PROMPTS; i++) {
        prompts[i] = (pp_prompt){tokens + 40 * i, lengths[i]};
        next[i] = 7 * i;
    }
    OK(pp_prefill(session, NULL, prompts, N_PROMPTS, caches, &view, perr));
    memcpy(logits, view, N_PROMPTS * VOCAB * sizeof *logits);
    OK(pp_decode(session, caches, next, N_PROMPTS, &view, perr));
    memcpy(logits + N_PROMPTS * VOCAB, view, N_PROMPTS * VOCAB * sizeof *logits);
    for (int i = 0; i < N_PROMPTS; i++)
        pp_kvcache_destroy(caches[i]);
}

static float own[2 * N_PROMPTS * VOCAB], hosted[2 * N_PROMPTS * VOCAB];

static void make_model(void)
{
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        tokens[i] = (int32_t)(i * 31 % VOCAB);
    OK(pp_model_create_random(config, 5, NULL, &model, perr));
}

static void drop_model(void)
{
    pp_model_unref(model);
}

START_TEST(the_same_bits)
{
    pp_session *session = open_session("cpu", 1, NULL);
    run_all(session, own);
    pp_session_destroy(session);
    session = open_session("cpu", N_THREADS, NULL);
    run_all(session, hosted);
    ck_assert_mem_eq(hosted, own, sizeof own);
    pp_session_destroy(session);
    for (int order = IN_TURN; order <= AT_ONCE; order++) {
        struct host host = {.order = (enum order)order};
        session = open_session("cpu", N_THREADS, &host);
        memset(hosted, 0, sizeof hosted);
        run_all(session, hosted);
        ck_assert_mem_eq(hosted, own, sizeof own);
        ck_assert_int_gt(host.n_calls, 0);
        ck_assert_int_gt(host.max_tasks, 1);
        ck_assert_int_le(host.max_tasks, N_THREADS);
        pp_session_destroy(session);
    }
}
END_TEST

START_TEST(no_thread_is_started)
{
    struct host host = {.order = IN_TURN};
    int n_before = count_threads();
    pp_session *session = open_session("cpu", N_THREADS, &host);
    run_all(session, hosted);
    ck_assert_int_eq(count_threads(), n_before);
    pp_session_destroy(session);
    session = open_session("cpu", N_THREADS, NULL); /* the count does see threads */
    ck_assert_int_eq(count_threads(), n_before + N_THREADS - 1);
    pp_session_destroy(session);
}
END_TEST

START_TEST(one_thread_calls_nobody)
{
    struct host host = {.order = IN_TURN};
    pp_session *session = open_session("cpu", 1, &host);
    run_all(session, hosted);
    ck_assert_int_eq(host.n_calls, 0);
    pp_session_destroy(session);
}
END_TEST

START_TEST(a_token_of_a_small_model_calls_nobody)
{
    struct host host = {.order = IN_TURN};
    pp_model *large = model;
    OK(pp_model_create_random(pp_model_preset("tiny"), 1, NULL, &model, perr));
    pp_session *session = open_session("cpu", N_THREADS, &host);
    pp_prompt prompt = {tokens, 1};
    pp_kvcache *cache;
    OK(pp_prefill(session, NULL, &prompt, 1, &cache, NULL, perr));
    int n_calls = host.n_calls; /* the weights were packed by the host's threads, perhaps */
    for (int32_t i = 0; i < 20; i++)
        OK(pp_decode(session, &cache, &i, 1, NULL, perr));
    ck_assert_int_eq(host.n_calls, n_calls);
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
    model = large;
}
END_TEST

START_TEST(the_number_of_threads_is_the_usual_one)
{
    struct host host = {.order = IN_TURN};
    int32_t n_threads[2];
    for (int i = 0; i < 2; i++) {
        pp_session *session = open_session("cpu", 0, i ? &host : NULL);
        pp_session_info info = {.struct_size = sizeof info};
        OK(pp_session_get_info(session, &info, perr));
        n_threads[i] = info.n_threads;
        pp_session_destroy(session);
    }
    ck_assert_int_ge(n_threads[0], 1);
    ck_assert_int_eq(n_threads[1], n_threads[0]);
}
END_TEST

START_TEST(a_device_without_threads_refuses)
{
    const char *device = getenv("PREPACK_TEST_DEVICE");
    pp_session_params params;
    pp_session *session = NULL;
    pp_error said = {.struct_size = sizeof said};
    pp_session_params_init(&params, sizeof params);
    params.device = device;
    params.parallel_for = parallel_for;
    ck_assert_int_eq(pp_session_create(model, &params, &session, &said), PP_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(said.message, "parallel_for"));
    ck_assert_ptr_nonnull(strstr(said.message, device));
    ck_assert_ptr_null(session);
    params.parallel_for = NULL;
    OK(pp_session_create(model, &params, &session, perr));
    pp_session_destroy(session);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parallel_for");
    TCase *tcase = tcase_create("parallel_for");
    tcase_set_timeout(tcase, 100);
    tcase_add_checked_fixture(tcase, make_model, drop_model);
    if (getenv("PREPACK_TEST_DEVICE")) {
        tcase_add_test(tcase, a_device_without_threads_refuses);
    } else {
        tcase_add_test(tcase, the_same_bits);
        tcase_add_test(tcase, no_thread_is_started);
        tcase_add_test(tcase, one_thread_calls_nobody);
        tcase_add_test(tcase, a_token_of_a_small_model_calls_nobody);
        tcase_add_test(tcase, the_number_of_threads_is_the_usual_one);
    }
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
