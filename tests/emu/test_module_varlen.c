/*
 * test_module_varlen.c: pp_attention_varlen as a host program on CUDA meets it, in emulation: calls
 * of the runtime that fail in turn, what a run calls and that it does not wait, the caller's
 * stream, plans that go while their upload is still to come.
 */
#include "support/tap.h"

#include <fake_stream.h>
#include <prepack/prepack.h>

#include <check.h>
#include <stdio.h>
#include <string.h>

static pp_error err = {.struct_size = sizeof err};

#define OK(call)   ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)
#define CUDA(call) ck_assert_int_eq((call), cudaSuccess)

enum { N_HEADS = 4, N_KV_HEADS = 2, HEAD_DIM = 8, N_PROMPTS = 3, TOTAL = 40 };
enum { OUT_BYTES = TOTAL * N_HEADS * HEAD_DIM * 2 };

/* A prompt of many rows for one kernel, of few for the other. */
static const int32_t cu_seqlens[N_PROMPTS + 1] = {0, 30, 33, TOTAL};

static cudaStream_t stream; /* the caller's */
static void *qkv, *out, *workspace;

/* cudaMemset returns before the bytes are there, and streams like ours do not wait for it. */
static void set_bytes(void *memory, int byte, size_t n)
{
    CUDA(cudaMemset(memory, byte, n));
    CUDA(cudaDeviceSynchronize());
}

static void take_memory(void)
{
    static uint16_t host[TOTAL * N_HEADS * HEAD_DIM];
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        host[i] = (uint16_t)(0x3f00 + i * 37 % 256); /* bf16, 0.5 to 2 */
    CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CUDA(cudaMalloc(&qkv, sizeof host));
    CUDA(cudaMalloc(&out, OUT_BYTES));
    CUDA(cudaMalloc(&workspace, 4096));
    CUDA(cudaMemcpy(qkv, host, sizeof host, cudaMemcpyHostToDevice));
    set_bytes(out, 0xa5, OUT_BYTES);
    set_bytes(workspace, 0, 4096);
}

static void give_memory(void)
{
    CUDA(cudaFree(qkv));
    CUDA(cudaFree(out));
    CUDA(cudaFree(workspace));
    CUDA(cudaStreamDestroy(stream));
    ck_assert_int_eq(fake_live_objects(), 0);
}

static pp_session *open_session(void)
{
    pp_session *session = NULL;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = "cuda";
    OK(pp_session_create(NULL, &params, &session, &err));
    return session;
}

static pp_status make_plan(pp_session *session, const int32_t *offsets, pp_attention_plan **plan)
{
    pp_attention_plan_params params;
    pp_attention_plan_params_init(&params, sizeof params);
    params.n_heads = N_HEADS;
    params.n_kv_heads = N_KV_HEADS;
    params.head_dim = HEAD_DIM;
    params.n_prompts = N_PROMPTS;
    params.cu_seqlens_q = params.cu_seqlens_k = offsets;
    return pp_attention_plan_create(session, &params, plan, &err);
}

static size_t workspace_bytes(const pp_attention_plan *plan)
{
    pp_attention_plan_info info = {.struct_size = sizeof info};
    OK(pp_attention_plan_get_info(plan, &info, &err));
    ck_assert_int_eq(info.n_launches, 2);
    ck_assert_int_le(info.workspace_bytes, 4096);
    return (size_t)info.workspace_bytes;
}

static pp_status run(pp_session *session, const pp_attention_plan *plan)
{
    pp_attention_params tensors = {
        .struct_size = sizeof tensors, .q = qkv, .k = qkv, .v = qkv, .out = out, .stream = stream};
    return pp_attention_varlen(session, plan, &tensors, &err);
}

/* From a plan to its end. */
static pp_status use(pp_session *session)
{
    pp_attention_plan *plan = NULL;
    pp_status status = make_plan(session, cu_seqlens, &plan);
    if (status >= 0)
        status = pp_attention_plan_upload(plan, workspace, 4096, stream, &err);
    if (status >= 0)
        status = run(session, plan);
    pp_attention_plan_destroy(plan);
    return status;
}

static void read_out(unsigned char *bytes)
{
    CUDA(cudaStreamSynchronize(stream));
    CUDA(cudaMemcpy(bytes, out, OUT_BYTES, cudaMemcpyDeviceToHost));
}

START_TEST(every_call_may_fail)
{
    static unsigned char expected[OUT_BYTES], got[OUT_BYTES];
    pp_session *session = open_session();
    OK(use(session));
    read_out(expected);
    pp_session_destroy(session);
    long live = fake_live_objects(), n_calls = 1, n_reported = 0;
    for (long n = 1; n <= n_calls; n++) {
        char call[64];
        session = open_session(); /* with no memory of earlier plans */
        err.message[0] = 0;
        fake_fail_at(n);
        pp_status status = use(session);
        n_calls = status == PP_OK ? fake_calls() : n + 1;
        snprintf(call, sizeof call, "%s", fake_failed_call() ? fake_failed_call() : "nothing");
        fake_fail_at(0);
        ck_assert_msg(status == PP_OK || status == PP_ERR_DEVICE || status == PP_ERR_NOMEM ||
                          status == PP_ERR_DEVICE_NOMEM,
                      "call %ld (%s): status %d", n, call, status);
        ck_assert_msg(status == PP_OK || err.message[0], "call %ld (%s): no sentence", n, call);
        n_reported += status != PP_OK;
        CUDA(cudaStreamSynchronize(stream));
        set_bytes(out, 0xa5, OUT_BYTES);
        OK(use(session)); /* the session goes on */
        read_out(got);
        pp_session_destroy(session);
        ck_assert_msg(fake_live_objects() == live, "call %ld (%s): %ld objects leaked", n, call,
                      fake_live_objects() - live);
        ck_assert_msg(memcmp(got, expected, OUT_BYTES) == 0, "after call %ld (%s): other bits", n,
                      call);
    }
    ck_assert_int_ge(n_reported, 9);
}
END_TEST

/* An upload that failed is none. */
START_TEST(a_failed_upload_counts_as_none)
{
    pp_session *session = open_session();
    pp_attention_plan *plan = NULL;
    OK(make_plan(session, cu_seqlens, &plan));
    OK(pp_attention_plan_upload(plan, workspace, 4096, stream, &err));
    fake_fail_at(2); /* behind the question for the current device */
    ck_assert_int_eq(pp_attention_plan_upload(plan, workspace, 4096, stream, &err), PP_ERR_DEVICE);
    fake_fail_at(0);
    ck_assert_int_eq(run(session, plan), PP_ERR_ARG);
    OK(pp_attention_plan_upload(plan, workspace, 4096, stream, &err));
    OK(run(session, plan));
    pp_attention_plan_destroy(plan);
    pp_session_destroy(session);
    CUDA(cudaStreamSynchronize(stream));
}
END_TEST

START_TEST(a_run_is_its_launches)
{
    static unsigned char bytes[OUT_BYTES], untouched[OUT_BYTES];
    pp_session *session = open_session();
    pp_attention_plan *plan = NULL;
    OK(make_plan(session, cu_seqlens, &plan));
    fake_fail_at(0);
    OK(pp_attention_plan_upload(plan, workspace, workspace_bytes(plan), stream, &err));
    ck_assert_int_eq(fake_calls(), 3); /* which device, copy, event */
    fake_fail_at(0);
    OK(run(session, plan));
    ck_assert_int_eq(fake_calls(), 3); /* which device, two kernels */
    memset(untouched, 0xa5, OUT_BYTES);
    ck_assert_mem_eq(out, untouched, OUT_BYTES); /* nobody has waited */
    read_out(bytes);
    for (int i = 0; i < TOTAL * N_HEADS; i++)
        ck_assert_mem_ne(bytes + i * HEAD_DIM * 2, untouched, HEAD_DIM * 2);
    pp_attention_plan_destroy(plan);
    pp_session_destroy(session);
}
END_TEST

/* The upload reads the plan's memory when the stream gets there; the next plan takes that memory
 * over. */
START_TEST(a_plan_may_go_before_its_upload_came)
{
    static const int32_t other[N_PROMPTS + 1] = {0, 3, 36, TOTAL};
    static unsigned char list[4096], again[4096], untouched[OUT_BYTES];
    pp_session *session = open_session();
    pp_attention_plan *plan = NULL, *next = NULL;
    OK(make_plan(session, cu_seqlens, &plan));
    size_t bytes = workspace_bytes(plan);
    OK(pp_attention_plan_upload(plan, workspace, bytes, stream, &err));
    CUDA(cudaStreamSynchronize(stream));
    CUDA(cudaMemcpy(list, workspace, bytes, cudaMemcpyDeviceToHost));
    set_bytes(workspace, 0, bytes);
    OK(pp_attention_plan_upload(plan, workspace, bytes, stream, &err));
    OK(run(session, plan));
    long live = fake_live_objects();
    pp_attention_plan_destroy(plan);
    memset(untouched, 0xa5, OUT_BYTES);
    ck_assert_mem_eq(out, untouched, OUT_BYTES); /* nobody has waited */
    ck_assert_mem_ne(workspace, list, bytes);
    OK(make_plan(session, other, &next));
    ck_assert_int_eq(fake_live_objects(), live); /* and nothing was taken */
    CUDA(cudaStreamSynchronize(stream));
    CUDA(cudaMemcpy(again, workspace, bytes, cudaMemcpyDeviceToHost));
    ck_assert_mem_eq(again, list, bytes);
    pp_attention_plan_destroy(next);
    pp_session_destroy(session);
}
END_TEST

/* The memory of a plan is free when its uploads on all streams have passed. */
START_TEST(a_plan_may_be_uploaded_to_two_places)
{
    static const int32_t other[N_PROMPTS + 1] = {0, 3, 36, TOTAL};
    static unsigned char first[4096], second[4096];
    cudaStream_t quick;
    void *place;
    pp_session *session = open_session();
    pp_attention_plan *plan = NULL, *next = NULL;
    CUDA(cudaStreamCreateWithFlags(&quick, cudaStreamNonBlocking));
    CUDA(cudaMalloc(&place, 4096));
    OK(make_plan(session, cu_seqlens, &plan));
    size_t bytes = workspace_bytes(plan);
    OK(pp_attention_plan_upload(plan, workspace, bytes, stream, &err));
    OK(pp_attention_plan_upload(plan, place, bytes, quick, &err));
    pp_attention_plan_destroy(plan);
    OK(make_plan(session, other, &next));
    CUDA(cudaDeviceSynchronize());
    CUDA(cudaMemcpy(first, workspace, bytes, cudaMemcpyDeviceToHost));
    CUDA(cudaMemcpy(second, place, bytes, cudaMemcpyDeviceToHost));
    ck_assert_mem_eq(first, second, bytes);
    pp_attention_plan_destroy(next);
    pp_session_destroy(session);
    CUDA(cudaFree(place));
    CUDA(cudaStreamDestroy(quick));
}
END_TEST

/* More plans at a time than the session keeps memory for, of growing length. */
START_TEST(plans_of_any_length_and_number)
{
    enum { N = 5 };
    pp_session *session = open_session();
    pp_attention_plan *plans[N];
    static int32_t longer[N_PROMPTS + 1] = {0, 1 << 20, 2 << 20, 3 << 20};
    OK(make_plan(session, cu_seqlens, &plans[0]));
    pp_attention_plan_destroy(plans[0]);
    OK(make_plan(session, longer, &plans[0])); /* far more than the first left */
    pp_attention_plan_destroy(plans[0]);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            for (int p = 1; p <= N_PROMPTS; p++)
                longer[p] = p * (100 << (2 * round + i));
            OK(make_plan(session, longer, &plans[i]));
        }
        for (int i = 0; i < N; i++)
            pp_attention_plan_destroy(plans[(i * 3 + round) % N]);
    }
    pp_session_destroy(session);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cuda-module-varlen");
    TCase *tcase = tcase_create("cuda-module-varlen");
    tcase_set_timeout(tcase, 0);
    tcase_add_checked_fixture(tcase, take_memory, give_memory);
    tcase_add_test(tcase, every_call_may_fail);
    tcase_add_test(tcase, a_failed_upload_counts_as_none);
    tcase_add_test(tcase, a_run_is_its_launches);
    tcase_add_test(tcase, a_plan_may_go_before_its_upload_came);
    tcase_add_test(tcase, a_plan_may_be_uploaded_to_two_places);
    tcase_add_test(tcase, plans_of_any_length_and_number);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
