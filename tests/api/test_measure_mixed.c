/*
 * test_measure_mixed.c: pp_session_measure of experts and of linear layers counts what a hand
 * counts, and says which operations a model has not.
 */
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HIDDEN = 64, Q_DIM = 64, QKV = 128, PASS = 128 };

static pp_session *open_preset(const char *name, pp_model **model)
{
    pp_session *session;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    if (getenv("PREPACK_TEST_DEVICE"))
        params.device = getenv("PREPACK_TEST_DEVICE");
    params.dtype = PP_DTYPE_BF16;
    params.n_threads = 2;
    params.max_pass_tokens = PASS;
    OK(pp_model_create_random(pp_model_preset(name), 1, NULL, model, perr));
    OK(pp_session_create(*model, &params, &session, perr));
    return session;
}

static pp_measurement measure(pp_session *session, int32_t operation, int64_t n_rows)
{
    const pp_measure_params params = {
        .struct_size = sizeof params, .operation = operation, .n_rows = n_rows, .n_runs = 1};
    pp_measurement result = {.struct_size = sizeof result};
    OK(pp_session_measure(session, &params, &result, perr));
    ck_assert(result.seconds > 1e-9 && result.seconds < 60);
    return result;
}

static void refuse(pp_session *session, int32_t operation)
{
    pp_error err = {.struct_size = sizeof err};
    pp_measure_params params = {.struct_size = sizeof params, .operation = operation, .n_runs = 1};
    pp_measurement m = {.struct_size = sizeof m, .seconds = -1};
    ck_assert_int_eq(pp_session_measure(session, &params, &m, &err), PP_ERR_UNSUPPORTED);
    ck_assert_msg(strstr(err.message, "no layer of the model has"), "%s", err.message);
    ck_assert(m.seconds == -1);
}

/* "tiny-moe": 2 of 8 experts of 48. */
START_TEST(experts_by_hand)
{
    enum { N = 8, TOP_K = 2, SIZE = 48 };
    pp_model *model;
    pp_session *session = open_preset("tiny-moe", &model);
    const int64_t row_counts[] = {1, 7, PASS};
    for (size_t i = 0; i < 3; i++) {
        const int64_t r = row_counts[i];
        const pp_measurement experts = measure(session, PP_MEASURE_EXPERTS, r);
        const pp_measurement route = measure(session, PP_MEASURE_ROUTE, r);
        const double chosen = N * (1 - pow(1 - (double)TOP_K / N, (double)r));
        const double bytes = (double)(r * HIDDEN * (2 + 2 * 4)) + chosen * 3 * SIZE * HIDDEN * 2;
        ck_assert(experts.flop == (double)(2 * r * TOP_K * 3 * SIZE * HIDDEN));
        ck_assert_msg(fabs(experts.bytes / bytes - 1) < 1e-9, "%g bytes, not %g", experts.bytes,
                      bytes);
        ck_assert(route.flop == (double)(2 * r * N * HIDDEN));
        ck_assert(route.bytes ==
                  (double)(r * (HIDDEN * 2 + (2 * N + 2 * TOP_K) * 4) + N * HIDDEN * 2));
    }
    ck_assert(measure(session, PP_MEASURE_QKV, 7).flop == 2 * 7 * QKV * HIDDEN);
    refuse(session, PP_MEASURE_GATE_UP);
    refuse(session, PP_MEASURE_DOWN);
    refuse(session, PP_MEASURE_LINEAR);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* "tiny-linear": the first three of four layers have 2 key heads and 4 value heads of 16. */
START_TEST(linear_layers_by_hand)
{
    enum { K_HEADS = 2, V_HEADS = 4, DIM = 16, KERNEL = 4 };
    enum { V_SIZE = V_HEADS * DIM, CHANNELS = 2 * K_HEADS * DIM + V_SIZE };
    enum { ROW = CHANNELS + V_SIZE + 2 * V_HEADS };
    enum { STATE = 4 * (V_HEADS * DIM * DIM + (KERNEL - 1) * CHANNELS) };
    pp_model *model;
    pp_session *session = open_preset("tiny-linear", &model);
    const int64_t row_counts[] = {1, 7, PASS};
    for (size_t i = 0; i < 3; i++) {
        const int64_t r = row_counts[i];
        const pp_measurement linear = measure(session, PP_MEASURE_LINEAR, r);
        const pp_measurement in = measure(session, PP_MEASURE_LINEAR_IN, r);
        const pp_measurement out = measure(session, PP_MEASURE_LINEAR_OUT, r);
        ck_assert(linear.flop == (double)(r * (2 * KERNEL * CHANNELS + 7 * V_HEADS * DIM * DIM)));
        ck_assert(linear.bytes == (double)(r * (4 * ROW + 2 * V_SIZE) + STATE));
        ck_assert(in.flop == (double)(2 * r * ROW * HIDDEN));
        ck_assert(out.flop == (double)(2 * r * HIDDEN * V_SIZE));
        ck_assert(out.bytes == (double)(2 * (r * V_SIZE + HIDDEN * V_SIZE) + r * 2 * 4 * HIDDEN));
    }
    /* the only layer that attends is the last */
    ck_assert(measure(session, PP_MEASURE_QKV, 7).flop == 2 * 7 * QKV * HIDDEN);
    const pp_measure_params three = {.struct_size = sizeof three,
                                     .operation = PP_MEASURE_ATTENTION,
                                     .lengths = (int64_t[]){3},
                                     .n_prompts = 1,
                                     .n_runs = 1};
    pp_measurement attention = {.struct_size = sizeof attention};
    OK(pp_session_measure(session, &three, &attention, perr));
    ck_assert(attention.flop == 4 * 6 * Q_DIM);
    refuse(session, PP_MEASURE_EXPERTS);
    refuse(session, PP_MEASURE_ROUTE);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("measure-mixed");
    TCase *tcase = tcase_create("measure-mixed");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, experts_by_hand);
    tcase_add_test(tcase, linear_layers_by_hand);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
