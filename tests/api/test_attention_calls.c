/*
 * test_attention_calls.c: pp_attention_varlen and its plan as calls: what is refused and with which
 * words, that nothing is written then, figures of a plan, lifetimes, older callers' structs, and an
 * allocator that fails at every call in turn.
 */
#include "attention_world.h"
#include "support/tap.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED(call, status, words)                                                               \
    do {                                                                                           \
        ck_assert_int_eq((call), (status));                                                        \
        ck_assert_int_eq(err.code, (status));                                                      \
        ck_assert_msg(strstr(err.message, words), "\"%s\" lacks \"%s\"", err.message, words);      \
    } while (0)

enum { N_HEADS = 4, N_KV_HEADS = 2, HEAD_DIM = 16, N_PROMPTS = 3, TOTAL = 20 };

static const int32_t cu_seqlens[N_PROMPTS + 1] = {0, 5, 12, TOTAL};

static pp_session *session;
static void *tensor; /* device, of any tensor's size */

static void open_session(void)
{
    session = world_session(2);
    if (session)
        tensor = device_take(TOTAL * N_HEADS * HEAD_DIM * sizeof(float));
}

static void close_session(void)
{
    if (session)
        device_give(tensor);
    pp_session_destroy(session);
}

static pp_attention_plan_params plan_params(void)
{
    pp_attention_plan_params params;
    pp_attention_plan_params_init(&params, sizeof params);
    params.n_heads = N_HEADS;
    params.n_kv_heads = N_KV_HEADS;
    params.head_dim = HEAD_DIM;
    params.n_prompts = N_PROMPTS;
    params.cu_seqlens_q = params.cu_seqlens_k = cu_seqlens;
    return params;
}

static pp_attention_plan *new_plan(const pp_attention_plan_params *params)
{
    pp_attention_plan *plan = NULL;
    ck_assert_msg(pp_attention_plan_create(session, params, &plan, &err) >= 0, "%s", err.message);
    return plan;
}

static pp_attention_plan_info info_of(const pp_attention_plan *plan)
{
    pp_attention_plan_info info = {.struct_size = sizeof info};
    OK(pp_attention_plan_get_info(plan, &info, &err));
    return info;
}

/* The workspace, which the caller gives back. */
static void *upload(pp_attention_plan *plan)
{
    size_t bytes = info_of(plan).workspace_bytes;
    void *workspace = device_take(bytes);
    OK(pp_attention_plan_upload(plan, workspace, bytes, NULL, &err));
    return workspace;
}

static pp_attention_params run_params(void)
{
    pp_attention_params params;
    pp_attention_params_init(&params, sizeof params);
    params.q = params.k = params.v = params.out = tensor;
    return params;
}

START_TEST(defaults_and_figures)
{
    pp_attention_plan_params params = plan_params();
    ck_assert_int_eq(params.window_left, -1);
    ck_assert_int_eq(params.window_right, 0);
    ck_assert_int_eq(params.dtype, PP_DTYPE_AUTO);
    if (!session)
        return;
    pp_attention_plan *plan = new_plan(&params);
    pp_attention_plan_info info = info_of(plan);
    pp_session_info session_info = {.struct_size = sizeof session_info};
    OK(pp_session_get_info(session, &session_info, &err));
    ck_assert_int_eq(info.dtype, session_info.dtype);
    ck_assert_int_eq(info.total_q, TOTAL);
    ck_assert_int_eq(info.total_k, TOTAL);
    ck_assert_int_eq(info.max_seqlen_q, 8);
    ck_assert_int_eq(info.max_seqlen_k, 8);
    ck_assert_int_gt(info.n_tiles, 0);
    if (strncmp(session_info.device, "cpu", 3) == 0) {
        ck_assert_uint_eq(info.workspace_bytes, 0);
        ck_assert_int_eq(info.n_launches, 0);
        ck_assert_int_eq(info.n_tiles, N_PROMPTS * N_HEADS);
    } else {
        ck_assert_uint_gt(info.workspace_bytes, 0);
        ck_assert_int_ge(info.n_launches, 1);
        ck_assert_int_le(info.n_launches, 2);
    }
    pp_attention_plan_destroy(plan);
    pp_attention_plan_destroy(NULL);
}
END_TEST

/* One field of the params is wrong. */
#define PLAN_REFUSED(change, words)                                                                \
    do {                                                                                           \
        pp_attention_plan_params params = plan_params();                                           \
        pp_attention_plan *plan = NULL;                                                            \
        change;                                                                                    \
        REFUSED(pp_attention_plan_create(session, &params, &plan, &err), PP_ERR_ARG, words);       \
        ck_assert_ptr_null(plan);                                                                  \
    } while (0)

START_TEST(plans_are_checked)
{
    static const int32_t late[] = {1, 5, 12, 20}, falling[] = {0, 5, 4, 20};
    static const int32_t negative[] = {5, -1, 8}, longer[] = {5, 8, 8}, fits[] = {5, 7, 1};
    static const int32_t huge[] = {0, 1 << 30, 1 << 30, INT32_MAX};
    static const int32_t too_huge[] = {0, (1 << 30) + 1, (1 << 30) + 1, (1 << 30) + 1};
    if (!session)
        return;
    PLAN_REFUSED(params.dtype = PP_DTYPE_BOOL, ".dtype is bool (4); use auto, f32, f16 or bf16");
    PLAN_REFUSED(params.n_kv_heads = 0, ".n_kv_heads is 0; allowed: 1 to 65536");
    PLAN_REFUSED(params.n_heads = 0, ".n_heads is 0; allowed: multiples of n_kv_heads (2)");
    PLAN_REFUSED(params.n_heads = 5, ".n_heads is 5");
    PLAN_REFUSED(params.n_heads = 65538, ".n_heads is 65538");
    PLAN_REFUSED(params.head_dim = 0, ".head_dim is 0; allowed: multiples of 8 up to 256");
    PLAN_REFUSED(params.head_dim = 20, ".head_dim is 20");
    PLAN_REFUSED(params.head_dim = 264, ".head_dim is 264");
    PLAN_REFUSED(params.window_left = -2, ".window_left is -2; allowed: -1");
    PLAN_REFUSED(params.window_right = -3, ".window_right is -3; allowed: -1");
    PLAN_REFUSED(params.n_prompts = -1, ".n_prompts is -1");
    PLAN_REFUSED(params.cu_seqlens_q = NULL, ".cu_seqlens_q is NULL");
    PLAN_REFUSED(params.cu_seqlens_k = NULL, ".cu_seqlens_k is NULL");
    PLAN_REFUSED(params.cu_seqlens_q = late, ".cu_seqlens_q[0] is 1; it must be 0");
    PLAN_REFUSED(params.cu_seqlens_k = falling, ".cu_seqlens_k[2] is 4, below the 5");
    ck_assert_int_eq(err.index, 1);
    PLAN_REFUSED(params.seqlens_q = negative, ".seqlens_q[1] is -1; allowed: 0 to 7");
    ck_assert_int_eq(err.index, 1);
    PLAN_REFUSED(params.seqlens_k = longer, ".seqlens_k[1] is 8; allowed: 0 to 7");
    PLAN_REFUSED(params.cu_seqlens_k = too_huge, "prompt 0 has length 1073741825");
    PLAN_REFUSED(params.cu_seqlens_q = huge, "prompt 0 has 1073741824 rows; allowed: 1073741823");
    PLAN_REFUSED(params.page_size = -1, ".page_size is -1");
    PLAN_REFUSED(params.n_prompts = INT32_MAX, ".n_prompts is 2147483647; allowed: 0 to");
    PLAN_REFUSED(params.page_size = INT64_C(1) << 32, ".page_size is 4294967296; allowed: 0");
    PLAN_REFUSED(params.head_dim += INT64_C(1) << 32, ".head_dim is 42949673"); /* not cut short */
    PLAN_REFUSED(params.block_table_stride = 1, ".block_table_stride is 1, but page_size is 0");
    PLAN_REFUSED((params.page_size = 4, params.block_table_stride = -1),
                 ".block_table_stride is -1");
    PLAN_REFUSED((params.page_size = 4, params.block_table_stride = INT32_MAX / 2),
                 ".block_table_stride is 1073741823");
    PLAN_REFUSED((params.page_size = 4, params.block_table_stride = 1),
                 ".block_table_stride is 1; prompt 0 has 5 keys in 2 pages");
    ck_assert_int_eq(err.index, 0);
    PLAN_REFUSED((params.page_size = 4, params.block_table_stride = 2, params.seqlens_k = longer,
                  params.seqlens_k = negative),
                 ".seqlens_k[1] is -1; allowed: 0 to 1073741824");
    PLAN_REFUSED((params.page_size = 4, params.block_table_stride = 2, params.cu_seqlens_k = NULL),
                 ".cu_seqlens_k is NULL");

    pp_attention_plan *plan = NULL;
    pp_attention_plan_params params = plan_params();
    REFUSED(pp_attention_plan_create(NULL, &params, &plan, &err), PP_ERR_ARG, "session is NULL");
    REFUSED(pp_attention_plan_create(session, &params, NULL, &err), PP_ERR_ARG, "plan is NULL");
    REFUSED(pp_attention_plan_create(session, NULL, &plan, &err), PP_ERR_ARG, "n_kv_heads is 0");
    params.struct_size = 2;
    REFUSED(pp_attention_plan_create(session, &params, &plan, &err), PP_ERR_STRUCT_SIZE,
            "pp_attention_plan_params.struct_size");
    params = plan_params();
    params.seqlens_q = params.seqlens_k = fits;
    plan = new_plan(&params);
    ck_assert_int_eq(info_of(plan).total_q, TOTAL);
    ck_assert_int_eq(info_of(plan).max_seqlen_q, 7);
    pp_attention_plan_destroy(plan);
}
END_TEST

START_TEST(unknown_dtypes_are_refused)
{
    if (!session)
        return;
    for (int32_t dtype = PP_DTYPE_F32; dtype <= PP_DTYPE_BF16; dtype++) {
        pp_attention_plan_params params = plan_params();
        pp_attention_plan *plan = NULL;
        bool known = false;
        params.dtype = dtype;
        for (const int32_t *d = world_dtypes(); *d; d++)
            known |= *d == dtype;
        if (known)
            OK(pp_attention_plan_create(session, &params, &plan, &err));
        else
            REFUSED(pp_attention_plan_create(session, &params, &plan, &err), PP_ERR_UNSUPPORTED,
                    "bf16");
        pp_attention_plan_destroy(plan);
    }
}
END_TEST

START_TEST(uploads_are_checked)
{
    if (!session)
        return;
    pp_attention_plan_params params = plan_params();
    pp_attention_params tensors = run_params();
    pp_attention_plan *plan = new_plan(&params);
    size_t bytes = info_of(plan).workspace_bytes;
    char *workspace = device_take(bytes + 8);
    REFUSED(pp_attention_varlen(session, plan, &tensors, &err), PP_ERR_ARG, "not been uploaded");
    REFUSED(pp_attention_plan_upload(NULL, workspace, bytes, NULL, &err), PP_ERR_ARG, "plan");
    if (bytes > 0) {
        REFUSED(pp_attention_plan_upload(plan, workspace, bytes - 1, NULL, &err), PP_ERR_ARG,
                "this plan needs");
        REFUSED(pp_attention_plan_upload(plan, NULL, bytes, NULL, &err), PP_ERR_ARG, "workspace");
        REFUSED(pp_attention_plan_upload(plan, workspace + 8, bytes, NULL, &err), PP_ERR_ARG,
                "a multiple of 16");
        REFUSED(pp_attention_varlen(session, plan, &tensors, &err), PP_ERR_ARG, "uploaded");
    }
    OK(pp_attention_plan_upload(plan, workspace, bytes, NULL, &err));
    pp_attention_plan_info info = {.struct_size = 2};
    REFUSED(pp_attention_plan_get_info(plan, &info, &err), PP_ERR_STRUCT_SIZE, "struct_size");
    REFUSED(pp_attention_plan_get_info(plan, NULL, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_attention_plan_get_info(NULL, &info, &err), PP_ERR_ARG, "plan is NULL");
    pp_attention_plan_destroy(plan);
    device_give(workspace);
}
END_TEST

/* One field of the run's params is wrong; out stays as it was. */
#define RUN_REFUSED(change, words)                                                                 \
    do {                                                                                           \
        pp_attention_params params = run_params();                                                 \
        change;                                                                                    \
        REFUSED(pp_attention_varlen(session, plan, &params, &err), PP_ERR_ARG, words);             \
    } while (0)

START_TEST(runs_are_checked)
{
    static unsigned char before[TOTAL * N_HEADS * HEAD_DIM * 4], after[sizeof before];
    if (!session)
        return;
    pp_attention_plan_params shape = plan_params();
    pp_attention_plan *plan = new_plan(&shape);
    void *workspace = upload(plan);
    memset(before, 0x5a, sizeof before);
    device_put(tensor, before, sizeof before);
    char *odd = (char *)tensor + 8;
    RUN_REFUSED(params.q = NULL, ".q is NULL");
    RUN_REFUSED(params.k = NULL, ".k is NULL");
    RUN_REFUSED(params.v = NULL, ".v is NULL");
    RUN_REFUSED(params.out = NULL, ".out is NULL");
    RUN_REFUSED(params.q = odd, ".q is 0x");
    RUN_REFUSED(params.k = odd, "allowed: multiples of 16");
    RUN_REFUSED(params.v = odd, ".v is 0x");
    RUN_REFUSED(params.out = odd, ".out is 0x");
    RUN_REFUSED(params.lse = (float *)(void *)((char *)tensor + 2), ".lse is 0x");
    RUN_REFUSED(params.block_table = tensor, ".block_table is set, but the plan's page_size is 0");
    RUN_REFUSED(params.softmax_scale = -1, ".softmax_scale is -1; allowed: above 0");
    RUN_REFUSED(params.softmax_scale = 1.0f / 0.0f, ".softmax_scale is inf");
    RUN_REFUSED(params.softmax_scale = 0.0f / 0.0f, "nan");
    RUN_REFUSED(params.q_row_stride = -64, ".q_row_stride is -64; allowed: 0 (packed) or");
    RUN_REFUSED(params.q_head_stride = 17, ".q_head_stride is 17");
    RUN_REFUSED(params.k_row_stride = 34, ".k_row_stride is 34");
    RUN_REFUSED(params.k_head_stride = INT64_MIN, ".k_head_stride is -9223372036854775808");
    RUN_REFUSED(params.v_row_stride = 2, ".v_row_stride is 2");
    RUN_REFUSED(params.v_head_stride = 1, ".v_head_stride is 1");
    RUN_REFUSED(params.out_row_stride = 8, ".out_row_stride is 8");
    RUN_REFUSED(params.out_head_stride = 8, "at least 16, a multiple of");
    RUN_REFUSED(params.k_page_stride = 64, ".k_page_stride is set");
    RUN_REFUSED(params.v_page_stride = 64, ".v_page_stride is set");
    RUN_REFUSED(params.lse_head_stride = TOTAL - 1, ".lse_head_stride is 19; allowed: 0");
    RUN_REFUSED(params.lse_head_stride = INT64_MAX, ".lse_head_stride is 9223372036854775807");
    RUN_REFUSED(params.lse_head_stride = -1, ".lse_head_stride is -1");
    RUN_REFUSED(params.q_row_stride = INT64_MAX / 16 * 8, "longer than 2^63 bytes");
    RUN_REFUSED(params.out_head_stride = INT64_MAX / 32 * 8, "longer than 2^63 bytes");
    RUN_REFUSED(params.k_row_stride = INT64_MAX / 64 * 8, ".k_row_stride is");
    pp_attention_params params = run_params();
    REFUSED(pp_attention_varlen(session, plan, NULL, &err), PP_ERR_ARG, ".q is NULL");
    REFUSED(pp_attention_varlen(NULL, plan, &params, &err), PP_ERR_ARG, "session is NULL");
    REFUSED(pp_attention_varlen(session, NULL, &params, &err), PP_ERR_ARG, "plan is NULL");
    params.struct_size = 0;
    REFUSED(pp_attention_varlen(session, plan, &params, &err), PP_ERR_STRUCT_SIZE, "struct_size");
    pp_session *other = world_session(1);
    params = run_params();
    REFUSED(pp_attention_varlen(other, plan, &params, &err), PP_ERR_ARG, "another session's");
    pp_session_destroy(other);
    device_get(after, tensor, sizeof after);
    ck_assert_mem_eq(before, after, sizeof before);
    pp_attention_plan_destroy(plan);
    device_give(workspace);
}
END_TEST

START_TEST(runs_with_pages_are_checked)
{
    if (!session)
        return;
    pp_attention_plan_params shape = plan_params();
    shape.page_size = 4;
    shape.block_table_stride = 2;
    pp_attention_plan *plan = new_plan(&shape);
    void *workspace = upload(plan);
    RUN_REFUSED((void)0, ".block_table is NULL");
    RUN_REFUSED(params.block_table = (int32_t *)(void *)((char *)tensor + 1), ".block_table is 0x");
    RUN_REFUSED((params.block_table = tensor, params.v_page_stride = 2), ".v_page_stride is 2");
    RUN_REFUSED((params.block_table = tensor, params.k_page_stride = INT64_MAX / 8 * 8),
                ".k_page_stride is");
    pp_attention_plan_destroy(plan);
    device_give(workspace);
}
END_TEST

/* No prompts, no rows, no keys: the tensors that are then empty may be NULL. */
START_TEST(nothing_to_do_is_fine)
{
    static const int32_t none[] = {0, 0, 0, 0};
    if (!session)
        return;
    pp_attention_params empty;
    pp_attention_params_init(&empty, sizeof empty);
    for (int which = 0; which < 2; which++) {
        pp_attention_plan_params shape = plan_params();
        shape.cu_seqlens_q = none;
        if (which == 0) {
            shape.n_prompts = 0;
            shape.cu_seqlens_q = shape.cu_seqlens_k = NULL;
        }
        pp_attention_plan *plan = new_plan(&shape);
        ck_assert_uint_eq(info_of(plan).workspace_bytes, 0);
        ck_assert_int_eq(info_of(plan).n_tiles, 0);
        ck_assert_int_eq(info_of(plan).total_k, which == 0 ? 0 : TOTAL);
        OK(pp_attention_plan_upload(plan, NULL, 0, NULL, &err));
        OK(pp_attention_varlen(session, plan, &empty, &err));
        OK(pp_attention_varlen(session, plan, NULL, &err));
        pp_attention_plan_destroy(plan);
    }
    pp_attention_plan_params shape = plan_params();
    shape.cu_seqlens_k = none;
    pp_attention_plan *plan = new_plan(&shape);
    void *workspace = upload(plan);
    static unsigned char bytes[TOTAL * N_HEADS * HEAD_DIM * 4], zeros[sizeof bytes];
    size_t written = TOTAL * N_HEADS * HEAD_DIM * pp_dtype_size(info_of(plan).dtype);
    memset(bytes, 0x5a, sizeof bytes);
    device_put(tensor, bytes, sizeof bytes);
    pp_attention_params params = run_params();
    params.q = device_take(written);
    params.k = params.v = NULL;
    OK(pp_attention_varlen(session, plan, &params, &err));
    device_get(bytes, tensor, sizeof bytes);
    ck_assert_mem_eq(bytes, zeros, written);
    device_give((void *)params.q);
    pp_attention_plan_destroy(plan);
    device_give(workspace);
}
END_TEST

/* A plan keeps its session; an older caller's structs are shorter. */
START_TEST(lifetimes_and_older_callers)
{
    pp_session *short_lived = world_session(1);
    if (!short_lived)
        return;
    pp_attention_plan_params params = plan_params();
    pp_attention_plan *plan = NULL;
    params.struct_size = offsetof(pp_attention_plan_params, seqlens_q);
    params.page_size = 7; /* behind what this caller knows */
    OK(pp_attention_plan_create(short_lived, &params, &plan, &err));
    pp_session_destroy(short_lived);
    pp_attention_plan_info info;
    memset(&info, 0xee, sizeof info);
    info.struct_size = offsetof(pp_attention_plan_info, max_seqlen_q);
    OK(pp_attention_plan_get_info(plan, &info, &err));
    ck_assert_int_gt(info.n_tiles, 0);
    ck_assert_int_eq(info.max_seqlen_q, (int64_t)0xeeeeeeeeeeeeeeee);
    pp_attention_plan_destroy(plan);
}
END_TEST

/* Fails the n-th call. Threads of a session allocate nothing while it runs. */
struct failing {
    int64_t calls, fail_at, held;
};

static void *failing_allocate(void *user, size_t bytes, size_t alignment)
{
    struct failing *f = user;
    if (++f->calls == f->fail_at)
        return NULL;
    f->held += (int64_t)bytes;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void failing_release(void *user, void *memory, size_t bytes)
{
    struct failing *f = user;
    f->held -= (int64_t)bytes;
    free(memory);
}

/* The session's memory is used as long as the session or a plan lives. */
START_TEST(every_allocation_may_fail)
{
    struct failing f = {0};
    pp_allocator allocator = {.struct_size = sizeof allocator,
                              .user = &f,
                              .allocate = failing_allocate,
                              .release = failing_release};
    pp_session_params session_params;
    pp_session_params_init(&session_params, sizeof session_params);
    session_params.allocator = &allocator;
    session_params.n_threads = 1;
    pp_session *own = NULL;
    OK(pp_session_create(NULL, &session_params, &own, &err));
    pp_attention_plan_params params = plan_params();
    pp_attention_plan *plan = NULL;
    int64_t held = f.held, n_calls = f.calls;
    OK(pp_attention_plan_create(own, &params, &plan, &err));
    n_calls = f.calls - n_calls;
    pp_attention_plan_destroy(plan);
    ck_assert_int_ge(n_calls, 2);
    ck_assert_int_eq(f.held, held);
    for (int64_t n = 1; n <= n_calls; n++) {
        plan = NULL;
        f.calls = 0;
        f.fail_at = n;
        REFUSED(pp_attention_plan_create(own, &params, &plan, &err), PP_ERR_NOMEM, "no memory for");
        ck_assert_ptr_null(plan);
        ck_assert_int_eq(f.held, held);
    }
    f.fail_at = 0;
    OK(pp_attention_plan_create(own, &params, &plan, &err));
    OK(pp_attention_plan_upload(plan, NULL, 0, NULL, &err));
    int64_t calls = f.calls;
    static float x[TOTAL * N_HEADS * HEAD_DIM] __attribute__((aligned(16))),
        out[sizeof x / 4] __attribute__((aligned(16)));
    pp_attention_params run = {.struct_size = sizeof run, .q = x, .k = x, .v = x, .out = out};
    OK(pp_attention_varlen(own, plan, &run, &err));
    ck_assert_int_eq(f.calls, calls); /* a run allocates nothing */
    pp_session_destroy(own);
    pp_attention_plan_destroy(plan);
    ck_assert_int_eq(f.held, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attention calls");
    TCase *tcase = tcase_create("attention calls");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, open_session, close_session);
    tcase_add_test(tcase, defaults_and_figures);
    tcase_add_test(tcase, plans_are_checked);
    tcase_add_test(tcase, unknown_dtypes_are_refused);
    tcase_add_test(tcase, uploads_are_checked);
    tcase_add_test(tcase, runs_are_checked);
    tcase_add_test(tcase, runs_with_pages_are_checked);
    tcase_add_test(tcase, nothing_to_do_is_fine);
    tcase_add_test(tcase, lifetimes_and_older_callers);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
