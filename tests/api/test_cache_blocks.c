/*
 * test_cache_blocks.c: caches on the host's blocks: the bits of a session with pages of its own, in
 * the blocks that the host chose; what is refused when blocks are missing, and that nothing has
 * happened then; forks, truncation, windows, and blocks that go from cache to cache.
 */
#define _GNU_SOURCE
#include "cache_world.h"
#include "support/tap.h"

#define N_BLOCKS 40

static pp_error refusal = {.struct_size = sizeof refusal};

#define REFUSED(call, status, words)                                                               \
    do {                                                                                           \
        ck_assert_int_eq((call), (status));                                                        \
        ck_assert_int_eq(refusal.code, (status));                                                  \
        ck_assert_msg(strstr(refusal.message, words), "\"%s\" lacks \"%s\"", refusal.message,      \
                      words);                                                                      \
    } while (0)

/* Sessions of one model: with pages of its own, and on blocks. */
struct world {
    pp_model *model;
    pp_session *own, *hosted;
    pp_kv_blocks blocks;
    pp_session_info info;
};

static pp_session_params params_of(struct run_target target)
{
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = target.device;
    params.dtype = target.dtype;
    params.max_pass_tokens = 64;
    params.n_threads = 2;
    return params;
}

static struct world make_world(int i_model, struct run_target target)
{
    struct world w = {.model = cache_model(i_model, 9),
                      .blocks = {.struct_size = sizeof w.blocks},
                      .info = {.struct_size = sizeof w.info}};
    pp_session_params params = params_of(target);
    OK(pp_session_create(w.model, &params, &w.own, perr));
    OK(pp_session_estimate(w.model, &params, &w.info, perr));
    w.blocks.n_classes = w.info.n_page_classes;
    for (int32_t c = 0; c < w.info.n_page_classes; c++) {
        size_t bytes = N_BLOCKS * (size_t)w.info.class_page_bytes[c];
        w.blocks.n_blocks[c] = N_BLOCKS;
        w.blocks.memory[c] = aligned_alloc(64, (bytes + 63) / 64 * 64);
        memset(w.blocks.memory[c], 0xff, bytes); /* nobody counts on zeros */
    }
    params.kv_blocks = &w.blocks;
    OK(pp_session_create(w.model, &params, &w.hosted, perr));
    return w;
}

static void free_world(struct world *w)
{
    pp_session_destroy(w->own);
    pp_session_destroy(w->hosted);
    pp_model_unref(w->model);
    for (int32_t c = 0; c < w->blocks.n_classes; c++)
        free(w->blocks.memory[c]);
}

static pp_status run_ids(pp_session *session, pp_kvcache **cache, int64_t begin, int64_t end,
                         float *logits)
{
    pp_item item = {.struct_size = sizeof item,
                    .cache = *cache,
                    .tokens = cache_ids + begin,
                    .n_tokens = end - begin,
                    .output = PP_OUTPUT_LAST_LOGITS,
                    .logits = logits};
    pp_status status = pp_run(session, NULL, &item, 1, NULL, &refusal);
    *cache = item.cache;
    return status;
}

/* Tokens [0, n) and then up to `end` in both sessions. */
static void expect_same(struct world *w, pp_kvcache *hosted, int64_t n)
{
    pp_kvcache *cache = n > 1 ? cache_prefill(w->own, n - 1) : NULL;
    float logits[CACHE_VOCAB];
    ck_assert_int_ge(run_ids(w->own, &cache, n > 1 ? n - 1 : 0, n, logits), 0);
    struct run_bits a = run_collect(w->own, cache, NULL), b = run_collect(w->hosted, hosted, NULL);
    ck_assert_ptr_null(run_bits_difference(&a, &b));
    run_bits_free(&a);
    run_bits_free(&b);
    pp_kvcache_destroy(cache);
}

START_TEST(blocks_are_those_that_the_host_gave)
{
    static const int32_t blocks[] = {7, 2, 39, 0, 11};
    FOR_EACH_TARGET(target)
    {
        if (strncmp(target->device, "cpu:ref", 7) != 0)
            continue;
        struct world w = make_world(0, *target);
        pp_kvcache *cache = NULL;
        float logits[CACHE_VOCAB];
        int32_t table[7];
        int64_t slots[70];
        OK(pp_kvcache_create_on_blocks(w.hosted, &cache, perr));
        OK(pp_kvcache_add_blocks(cache, 0, blocks, 3, perr));
        REFUSED(run_ids(w.hosted, &cache, 0, 70, logits), PP_ERR_ARG,
                "needs 5 more blocks of class 0 and has 3 spare ones; give it at least 2");
        ck_assert_int_eq(pp_kvcache_length(cache), 0);
        ck_assert_int_eq(pp_kvcache_n_spare_blocks(cache, 0), 3);
        OK(pp_kvcache_add_blocks(cache, 0, blocks + 3, 2, perr));
        ck_assert_int_ge(run_ids(w.hosted, &cache, 0, 70, logits), 0);
        ck_assert_int_eq(pp_kvcache_n_spare_blocks(cache, 0), 0);
        expect_same(&w, cache, 70);
        OK(pp_kvcache_block_table(cache, 0, table, 7, perr));
        ck_assert_mem_eq(table, blocks, sizeof blocks);
        ck_assert_int_eq(table[5], -1);
        OK(pp_kvcache_slot_mapping(cache, 0, 0, 70, slots, perr));
        for (int64_t t = 0; t < 70; t++)
            ck_assert_int_eq(slots[t], blocks[t / 16] * 16 + t % 16);
        pp_kvcache_page page = {.struct_size = sizeof page};
        OK(pp_kvcache_get_page(cache, 0, PP_KV_K, 33, &page, perr));
        ck_assert_ptr_eq(page.data, (char *)w.blocks.memory[0] + 39 * w.info.class_page_bytes[0]);
        /* another token fits into the last block, one behind it does not */
        ck_assert_int_ge(run_ids(w.hosted, &cache, 70, 80, logits), 0);
        REFUSED(run_ids(w.hosted, &cache, 80, 81, logits), PP_ERR_ARG, "give it at least 1");
        expect_same(&w, cache, 80);
        pp_kvcache_destroy(cache);
        free_world(&w);
    }
}
END_TEST

START_TEST(forks_need_a_block_to_write)
{
    struct world w = make_world(0, *run_target(0));
    pp_kvcache *cache = NULL, *fork = NULL;
    float logits[CACHE_VOCAB];
    OK(pp_kvcache_create_on_blocks(w.hosted, &cache, perr));
    OK(pp_kvcache_add_blocks(cache, 0, (int32_t[]){5, 4, 3}, 3, perr));
    ck_assert_int_ge(run_ids(w.hosted, &cache, 0, 40, logits), 0);
    OK(pp_kvcache_fork(cache, 36, &fork, perr));
    REFUSED(run_ids(w.hosted, &fork, 36, 45, logits), PP_ERR_ARG, "has 0 spare ones");
    OK(pp_kvcache_add_blocks(fork, 0, (int32_t[]){9}, 1, perr));
    ck_assert_int_ge(run_ids(w.hosted, &fork, 36, 45, logits), 0);
    int32_t table[3];
    OK(pp_kvcache_block_table(fork, 0, table, 3, perr));
    ck_assert_mem_eq(table, ((int32_t[]){5, 4, 9}), sizeof table);
    expect_same(&w, fork, 45);
    expect_same(&w, cache, 40);
    /* blocks that are shared stay when one of the two goes; those that are not become nobody's */
    pp_kvcache_destroy(cache);
    expect_same(&w, fork, 45);
    cache = NULL;
    OK(pp_kvcache_create_on_blocks(w.hosted, &cache, perr));
    REFUSED(pp_kvcache_add_blocks(cache, 0, (int32_t[]){3, 4}, 2, &refusal), PP_ERR_ARG,
            "block 4 is outside [0, 40), or a cache has it");
    ck_assert_int_eq(refusal.index, 4);
    ck_assert_int_eq(pp_kvcache_n_spare_blocks(cache, 0), 0);
    OK(pp_kvcache_add_blocks(cache, 0, (int32_t[]){3}, 1, perr));
    REFUSED(pp_kvcache_add_blocks(cache, 0, (int32_t[]){3}, 1, &refusal), PP_ERR_ARG, "block 3");
    pp_kvcache_destroy(fork);
    OK(pp_kvcache_add_blocks(cache, 0, (int32_t[]){4, 5, 9}, 3, perr));
    ck_assert_int_eq(pp_kvcache_n_spare_blocks(cache, 0), 4);
    pp_kvcache_destroy(cache);
    free_world(&w);
}
END_TEST

START_TEST(truncation_frees_blocks)
{
    struct world w = make_world(0, *run_target(0));
    pp_kvcache *cache = NULL;
    float logits[CACHE_VOCAB];
    int32_t removed[4];
    OK(pp_kvcache_create_on_blocks(w.hosted, &cache, perr));
    OK(pp_kvcache_add_blocks(cache, 0, (int32_t[]){5, 4, 3, 2}, 4, perr));
    ck_assert_int_ge(run_ids(w.hosted, &cache, 0, 50, logits), 0);
    OK(pp_kvcache_truncate(cache, 20, perr));
    ck_assert_int_eq(pp_kvcache_n_spare_blocks(cache, 0), 2);
    ck_assert_int_eq(pp_kvcache_remove_blocks(cache, 0, removed, 1), 1);
    ck_assert_int_eq(removed[0], 2);
    ck_assert_int_ge(run_ids(w.hosted, &cache, 20, 48, logits), 0); /* block 3 again */
    expect_same(&w, cache, 48);
    ck_assert_int_eq(pp_kvcache_remove_blocks(cache, 0, removed, 4), 0);
    OK(pp_kvcache_truncate(cache, 0, perr));
    ck_assert_int_eq(pp_kvcache_remove_blocks(cache, 0, removed, 4), 3);
    ck_assert_mem_eq(removed, ((int32_t[]){3, 4, 5}), 3 * sizeof *removed);
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(w.hosted, &info, perr));
    ck_assert_int_eq(info.kv_bytes, 0);
    ck_assert_int_eq(pp_session_trim(w.hosted), 0);
    pp_kvcache_destroy(cache);
    free_world(&w);
}
END_TEST

/* Pages behind a window are a cache's spare ones again, also within a run. */
START_TEST(windows_free_blocks)
{
    struct world w = make_world(1, *run_target(0));
    pp_kvcache *cache = NULL;
    float logits[CACHE_VOCAB];
    int32_t many[N_BLOCKS];
    for (int32_t i = 0; i < N_BLOCKS; i++)
        many[i] = N_BLOCKS - 1 - i;
    ck_assert_int_eq(w.info.n_page_classes, 2);
    OK(pp_kvcache_create_on_blocks(w.hosted, &cache, perr));
    OK(pp_kvcache_add_blocks(cache, 0, many, 25, perr));
    OK(pp_kvcache_add_blocks(cache, 1, many, 11, perr)); /* of 25 that the tokens fill */
    ck_assert_int_ge(run_ids(w.hosted, &cache, 0, 400, logits), 0);
    expect_same(&w, cache, 400);
    ck_assert_int_eq(pp_kvcache_n_spare_blocks(cache, 0), 0);
    ck_assert_int_ge(pp_kvcache_n_spare_blocks(cache, 1), 4);
    int64_t slots[400];
    OK(pp_kvcache_slot_mapping(cache, 1, 0, 400, slots, perr));
    ck_assert_int_eq(slots[0], -1);
    ck_assert_int_ge(slots[399], 0);
    pp_kvcache_destroy(cache);
    free_world(&w);
}
END_TEST

/* Blocks of the session serve whoever has none, and come back. */
START_TEST(sessions_may_have_blocks)
{
    struct world w = make_world(0, *run_target(0));
    pp_kvcache *caches[3] = {NULL}, *own = cache_prefill(w.own, 50);
    float logits[CACHE_VOCAB];
    int32_t removed[12];
    size_t bytes;
    OK(pp_session_add_blocks(w.hosted, 0, (int32_t[]){1, 2, 3, 4, 5, 6, 7, 8}, 8, perr));
    REFUSED(pp_session_add_blocks(w.hosted, 0, (int32_t[]){9, 8}, 2, &refusal), PP_ERR_ARG,
            "somebody has it");
    ck_assert_int_ge(run_ids(w.hosted, &caches[0], 0, 50, logits), 0);
    expect_same(&w, caches[0], 50);
    OK(pp_kvcache_export_size(own, NULL, &bytes, perr));
    char *saved = malloc(bytes);
    OK(pp_kvcache_export(own, NULL, saved, bytes, perr));
    OK(pp_kvcache_import(w.hosted, saved, bytes, &caches[1], perr));
    expect_same(&w, caches[1], 50);
    REFUSED(run_ids(w.hosted, &caches[2], 0, 1, logits), PP_ERR_ARG, "has 0 spare ones");
    REFUSED(pp_kvcache_add_blocks(caches[0], 0, (int32_t[]){2}, 1, &refusal), PP_ERR_ARG,
            "block 2 is");
    /* a block of its own comes before the session's */
    OK(pp_kvcache_truncate(caches[1], 20, perr));
    OK(pp_kvcache_add_blocks(caches[0], 0, (int32_t[]){30}, 1, perr));
    ck_assert_int_ge(run_ids(w.hosted, &caches[0], 50, 85, logits), 0);
    int32_t table[6];
    OK(pp_kvcache_block_table(caches[0], 0, table, 6, perr));
    ck_assert_int_eq(table[4], 30);
    ck_assert_int_ge(table[5], 1);
    ck_assert_int_le(table[5], 8);
    expect_same(&w, caches[0], 85);
    ck_assert_int_eq(pp_session_remove_blocks(w.hosted, 0, removed, 12), 1);
    pp_kvcache_destroy(caches[0]);
    pp_kvcache_destroy(caches[1]);
    ck_assert_int_eq(pp_session_remove_blocks(w.hosted, 0, removed + 1, 12), 7);
    int32_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum += removed[i];
    ck_assert_int_eq(sum, 36);
    ck_assert_int_eq(pp_session_remove_blocks(w.hosted, 0, removed, 12), 0);
    OK(pp_session_add_blocks(w.hosted, 0, (int32_t[]){30, 1}, 2, perr));
    REFUSED(pp_session_add_blocks(w.own, 0, removed, 1, &refusal), PP_ERR_ARG, "pages of its own");
    free(saved);
    pp_kvcache_destroy(own);
    free_world(&w);
}
END_TEST

/* A prefix that is computed once: blocks that caches share are counted, and partly shared ones are
 * copied into blocks of the session. */
START_TEST(shared_prefixes_take_blocks)
{
    struct world w = make_world(0, *run_target(0));
    pp_item items[2][3] = {{{0}}};
    float logits[2][3][CACHE_VOCAB];
    int32_t all[20];
    const pp_run_params params = {.struct_size = sizeof params, .min_shared_prefix = 8};
    for (int32_t i = 0; i < 20; i++)
        all[i] = i;
    OK(pp_session_add_blocks(w.hosted, 0, all, 20, perr));
    for (int hosted = 0; hosted < 2; hosted++) {
        for (int i = 0; i < 3; i++)
            items[hosted][i] = (pp_item){.struct_size = sizeof(pp_item),
                                         .tokens = cache_ids,
                                         .n_tokens = 37 + 9 * i,
                                         .output = PP_OUTPUT_LAST_LOGITS,
                                         .logits = logits[hosted][i]};
        OK(pp_run(hosted ? w.hosted : w.own, NULL, items[hosted], 3, &params, perr));
    }
    ck_assert_mem_eq(logits[0], logits[1], sizeof logits[0]);
    for (int i = 0; i < 3; i++)
        expect_same(&w, items[1][i].cache, 37 + 9 * i);
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(w.hosted, &info, perr));
    ck_assert_int_le(info.kv_bytes / info.page_bytes, 2 + 3 * 2); /* two are shared by all */
    for (int i = 0; i < 3; i++) {
        pp_kvcache_destroy(items[0][i].cache);
        pp_kvcache_destroy(items[1][i].cache);
    }
    ck_assert_int_eq(pp_session_remove_blocks(w.hosted, 0, all, 20), 20);
    free_world(&w);
}
END_TEST

START_TEST(what_needs_own_pages_is_refused)
{
    struct world w = make_world(0, *run_target(0));
    pp_kvcache *cache = NULL, *own = cache_prefill(w.own, 20), *on_blocks = NULL;
    pp_session_params params = params_of(*run_target(0));
    pp_session *session = NULL;
    float logits[CACHE_VOCAB];
    int64_t slot;
    REFUSED(run_ids(w.hosted, &cache, 0, 5, logits), PP_ERR_ARG, "needs 1 more blocks of class 0");
    REFUSED(pp_kvcache_create(w.hosted, 5, NULL, &cache, &refusal), PP_ERR_ARG, "needs 1 more");
    REFUSED(pp_kvcache_create_on_blocks(w.own, &cache, &refusal), PP_ERR_ARG,
            "the session has pages of its own");
    REFUSED(pp_kvcache_add_blocks(own, 0, (int32_t[]){0}, 1, &refusal), PP_ERR_ARG,
            "the session has pages of its own");
    REFUSED(pp_kvcache_slot_mapping(own, 0, 0, 1, &slot, &refusal), PP_ERR_ARG, "pages of its own");
    ck_assert_ptr_null(cache);
    OK(pp_kvcache_create_on_blocks(w.hosted, &on_blocks, perr));
    REFUSED(pp_kvcache_add_blocks(on_blocks, 1, (int32_t[]){0}, 1, &refusal), PP_ERR_ARG,
            "class 1 is outside [0, 1)");
    REFUSED(pp_kvcache_add_blocks(on_blocks, 0, (int32_t[]){-1}, 1, &refusal), PP_ERR_ARG,
            "block -1 is outside [0, 40)");
    REFUSED(pp_kvcache_slot_mapping(on_blocks, 0, 0, 1, &slot, &refusal), PP_ERR_ARG,
            "1 tokens from 0 on; the cache has 0");
    pp_kv_blocks blocks = w.blocks;
    params.kv_blocks = &blocks;
    blocks.n_classes = 2;
    REFUSED(pp_session_create(w.model, &params, &session, &refusal), PP_ERR_ARG,
            "n_classes is 2; the model has 1 classes");
    blocks.n_classes = 1;
    blocks.n_blocks[0] = 0;
    REFUSED(pp_session_create(w.model, &params, &session, &refusal), PP_ERR_ARG, "has 0 blocks");
    blocks.n_blocks[0] = 4;
    blocks.memory[0] = (char *)blocks.memory[0] + 32;
    REFUSED(pp_session_create(w.model, &params, &session, &refusal), PP_ERR_ARG,
            "that is a multiple of 64");
    pp_model *growing = cache_model(3, 1);
    REFUSED(pp_session_create(growing, &params, &session, &refusal), PP_ERR_UNSUPPORTED,
            "computed anew as they grow");
    ck_assert_ptr_null(session);
    pp_model_unref(growing);
    pp_kvcache_destroy(on_blocks);
    pp_kvcache_destroy(own);
    free_world(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache blocks");
    TCase *tcase = tcase_create("cache blocks");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, blocks_are_those_that_the_host_gave);
    tcase_add_test(tcase, forks_need_a_block_to_write);
    tcase_add_test(tcase, truncation_frees_blocks);
    tcase_add_test(tcase, windows_free_blocks);
    tcase_add_test(tcase, sessions_may_have_blocks);
    tcase_add_test(tcase, shared_prefixes_take_blocks);
    tcase_add_test(tcase, what_needs_own_pages_is_refused);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
