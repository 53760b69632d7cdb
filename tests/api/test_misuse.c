/*
 * test_misuse.c: a session in the wrong hands says so at once: two threads, a child after fork, NaN
 * where a token is to be drawn; and the list of devices.
 */
#include "support/tap.h"

#include <prepack/prepack.h>

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pp_error err = {.struct_size = sizeof err};

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)

static const int32_t ids[5] = {1, 2, 3, 4, 5};

static pp_model *make_model(void)
{
    pp_model *model = NULL;
    OK(pp_model_create_random(pp_model_preset("tiny"), 1, NULL, &model, &err));
    return model;
}

static pp_session *make_session(pp_model *model, int32_t n_threads)
{
    pp_session *session = NULL;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.n_threads = n_threads;
    OK(pp_session_create(model, &params, &session, &err));
    return session;
}

static pp_item make_item(void)
{
    return (pp_item){
        .struct_size = sizeof(pp_item), .tokens = ids, .n_tokens = 5, .output = PP_OUTPUT_TOKEN};
}

/* ---- fork ---- */

/* In the child: 0 when every call of the parent's session refuses and its own session works. */
static int try_in_child(pp_model *model, pp_session *session, pp_kvcache *cache)
{
    pp_error child_err = {.struct_size = sizeof child_err};
    pp_item item = make_item();
    pp_kvcache *fork_of = NULL;
    if (pp_run(session, NULL, &item, 1, NULL, &child_err) != PP_ERR_ARG ||
        !strstr(child_err.message, "child after fork"))
        return 1;
    if (pp_kvcache_fork(cache, 2, &fork_of, &child_err) != PP_ERR_ARG ||
        pp_kvcache_truncate(cache, 2, &child_err) != PP_ERR_ARG ||
        pp_session_synchronize(session, &child_err) != PP_ERR_ARG || pp_session_trim(session) != 0)
        return 2;
    pp_kvcache_destroy(cache); /* nothing happens, and nothing hangs */
    pp_session_destroy(session);
    pp_session *own = NULL;
    if (pp_session_create(model, NULL, &own, &child_err) < 0 ||
        pp_run(own, NULL, &item, 1, NULL, &child_err) < 0)
        return 3;
    return 0;
}

START_TEST(a_child_is_told)
{
    pp_model *model = make_model();
    pp_session *session = make_session(model, 2);
    pp_item item = make_item();
    OK(pp_run(session, NULL, &item, 1, NULL, &err));
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        alarm(20); /* a hang is a failure */
        _exit(try_in_child(model, session, item.cache));
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child's status is %d",
                  status);
    OK(pp_run(session, NULL, &item, 1, NULL, &err)); /* the parent goes on */
    pp_kvcache_destroy(item.cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* ---- threads ---- */

struct other_thread {
    pp_session *session;
    pp_status status;
    char message[488];
};

static void *call_from_thread(void *argument)
{
    struct other_thread *other = argument;
    pp_error thread_err = {.struct_size = sizeof thread_err};
    pp_item item = make_item();
    other->status = pp_run(other->session, NULL, &item, 1, NULL, &thread_err);
    memcpy(other->message, thread_err.message, sizeof other->message);
    pp_kvcache_destroy(item.cache);
    return NULL;
}

/* While the session is inside a call. */
static void call_meanwhile(void *user, int64_t n_tokens, int64_t n_all)
{
    pthread_t thread;
    (void)n_tokens;
    (void)n_all;
    ck_assert_int_eq(pthread_create(&thread, NULL, call_from_thread, user), 0);
    pthread_join(thread, NULL);
}

START_TEST(a_second_thread_is_told)
{
    pp_model *model = make_model();
    pp_session *session = make_session(model, 1);
    struct other_thread other = {.session = session};
    pp_run_params params = {
        .struct_size = sizeof params, .progress = call_meanwhile, .progress_user = &other};
    pp_item item = make_item();
    OK(pp_run(session, NULL, &item, 1, &params, &err));
    ck_assert_int_eq(other.status, PP_ERR_ARG);
    ck_assert_msg(strstr(other.message, "another thread"), "\"%s\"", other.message);
    call_from_thread(&other); /* one after another is fine */
    ck_assert_int_eq(other.status, PP_OK);
    pp_kvcache_destroy(item.cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* ---- devices ---- */

START_TEST(devices_are_listed)
{
    int64_t n = pp_device_count();
    ck_assert_int_ge(n, 1);
    pp_device_info info = {.struct_size = sizeof info};
    for (int64_t i = 0; i < n; i++) {
        OK(pp_device_get(i, &info, &err));
        ck_assert_int_gt((int)strlen(info.device), 0);
        ck_assert_int_ge(info.n_units, 1);
        if (i == 0) {
            ck_assert_str_eq(info.device, "cpu");
            ck_assert_int_gt((int)strlen(info.kernels), 0);
            ck_assert_int_gt(info.memory_bytes, 0);
        }
    }
    ck_assert_int_eq(pp_device_get(n, &info, &err), PP_ERR_ARG);
    ck_assert_int_eq(pp_device_get(-1, &info, &err), PP_ERR_ARG);
    ck_assert_int_eq(pp_device_get(0, NULL, &err), PP_ERR_ARG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("misuse");
    TCase *tcase = tcase_create("misuse");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, a_child_is_told);
    tcase_add_test(tcase, a_second_thread_is_told);
    tcase_add_test(tcase, devices_are_listed);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
