/*
 * test_trim.c: pp_session_trim gives back what no cache uses, and nothing else.
 */
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { N = 60, LEN = 100, ROW = 2 * 16 }; /* more pages than one block of pages holds */

static pp_session_info info_of(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, perr));
    return info;
}

/* All bits of a cache of LEN tokens of the model "tiny". */
static void read_all(const pp_kvcache *cache, uint16_t *dst)
{
    size_t half = LEN * ROW;
    for (int32_t layer = 0; layer < 2; layer++)
        for (int32_t which = 0; which < 2; which++, dst += half)
            OK(pp_kvcache_read(cache, layer, which, PP_KV_NHD, PP_DTYPE_BF16, 0, LEN, dst, half * 2,
                               perr));
}

START_TEST(free_pages_go_and_used_ones_stay)
{
    pp_session_params params;
    pp_session *session;
    pp_model *model;
    static int32_t ids[N + LEN];
    static uint16_t before[4 * LEN * ROW], after[4 * LEN * ROW];
    pp_prompt prompts[N];
    pp_kvcache *caches[N];
    for (int i = 0; i < N + LEN; i++)
        ids[i] = i;
    for (int i = 0; i < N; i++)
        prompts[i] = (pp_prompt){ids + i, LEN};
    pp_session_params_init(&params, sizeof params);
    if (getenv("PREPACK_TEST_DEVICE"))
        params.device = getenv("PREPACK_TEST_DEVICE");
    OK(pp_model_create_random(pp_model_preset("tiny"), 1, NULL, &model, perr));
    OK(pp_session_create(model, &params, &session, perr));

    OK(pp_prefill(session, NULL, prompts, N, caches, NULL, perr));
    read_all(caches[7], before);
    pp_session_info full = info_of(session);
    ck_assert_int_eq(pp_session_trim(session), 0);
    for (int i = 0; i < N; i++)
        if (i != 7)
            pp_kvcache_destroy(caches[i]);
    int64_t given_back = pp_session_trim(session);
    pp_session_info trimmed = info_of(session);
    ck_assert_int_gt(given_back, 0);
    ck_assert_int_eq(trimmed.kv_pool_bytes, full.kv_pool_bytes - given_back);
    ck_assert_int_le(trimmed.memory_bytes, full.memory_bytes - given_back);
    ck_assert_int_eq(pp_session_trim(session), 0);
    read_all(caches[7], after);
    ck_assert_mem_eq(before, after, sizeof before);

    /* the pool grows again, and what the trimmed pages became is not seen */
    OK(pp_prefill(session, NULL, prompts, 7, caches, NULL, perr));
    pp_kvcache *again;
    OK(pp_prefill(session, NULL, &prompts[7], 1, &again, NULL, perr));
    read_all(again, after);
    ck_assert_mem_eq(before, after, sizeof before);
    pp_kvcache_destroy(again);
    for (int i = 0; i < 8; i++)
        pp_kvcache_destroy(caches[i]);
    ck_assert_int_gt(pp_session_trim(session), 0);
    ck_assert_int_eq(info_of(session).kv_pool_bytes, 0);
    pp_session_destroy(session);
    pp_model_unref(model);
    ck_assert_int_eq(pp_session_trim(NULL), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trim");
    TCase *tcase = tcase_create("trim");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, free_pages_go_and_used_ones_stay);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
