/*
 * test_run.c: pp_run through the public interface: items of every kind in one run give the bits of
 * runs of their own; logits in arrays and by the sink; tokens drawn per item; what is refused; that
 * an error leaves caches as they were; windows give pages back; rotations that depend on length.
 */
#include "support/tap.h"

#include <prepack/prepack.h>

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pp_error err = {.struct_size = sizeof err};

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)
#define REFUSED(call, status, item, words)                                                         \
    do {                                                                                           \
        ck_assert_int_eq((call), (status));                                                        \
        ck_assert_int_eq(err.code, (status));                                                      \
        ck_assert_int_eq(err.index, (item));                                                       \
        ck_assert_msg(strstr(err.message, words), "\"%s\" lacks \"%s\"", err.message, words);      \
    } while (0)

#define VOCAB      97
#define MAX_TOKENS 9000

/* Shapes that every device can do; what differs stands in `more`. */
#define SHAPE                                                                                      \
    "\"vocab_size\": 97, \"hidden_size\": 48, \"intermediate_size\": 64, "                         \
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 16, "                   \
    "\"torch_dtype\": \"bfloat16\""
static const char LLAMA[] = "{\"model_type\": \"llama\", \"num_hidden_layers\": 2, " SHAPE "}";
static const char WINDOWED[] = "{\"model_type\": \"mistral\", \"num_hidden_layers\": 3, "
                               "\"sliding_window\": 40, " SHAPE "}";
static const char MIXED[] = /* every sixth layer sees all */
    "{\"model_type\": \"gemma3_text\", \"num_hidden_layers\": 6, \"sliding_window\": 512, "
    "\"max_position_embeddings\": 16384, \"query_pre_attn_scalar\": 16, " SHAPE "}";
static const char LONGROPE[] =
    "{\"model_type\": \"phi3\", \"num_hidden_layers\": 2, \"max_position_embeddings\": 512, "
    "\"original_max_position_embeddings\": 64, \"pad_token_id\": 0, \"rope_scaling\": {\"type\": "
    "\"longrope\", \"short_factor\": [1, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6], \"long_factor\": [1, 2, "
    "3, 4, 5, 6, 7, 8]}, " SHAPE "}";

static int32_t ids[MAX_TOKENS];

static pp_model *make_model(const char *config)
{
    pp_model *model = NULL;
    OK(pp_model_create_random(config, 3, NULL, &model, &err));
    return model;
}

static pp_session *make_session(pp_model *model, int32_t max_pass_tokens, int32_t keep_pages)
{
    pp_session *session = NULL;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    if (getenv("PREPACK_TEST_DEVICE"))
        params.device = getenv("PREPACK_TEST_DEVICE");
    params.max_pass_tokens = max_pass_tokens;
    params.keep_window_pages = keep_pages;
    OK(pp_session_create(model, &params, &session, &err));
    return session;
}

static pp_session_info info_of(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, &err));
    return info;
}

static pp_item make_item(const int32_t *tokens, int64_t n, int32_t output)
{
    return (pp_item){
        .struct_size = sizeof(pp_item), .tokens = tokens, .n_tokens = n, .output = output};
}

/* Last logits and cache of ids[0 .. n), run alone in one piece. */
static pp_kvcache *run_alone(pp_session *session, int64_t n, float *logits)
{
    pp_item item = make_item(ids, n, PP_OUTPUT_LAST_LOGITS);
    item.logits = logits;
    OK(pp_run(session, NULL, &item, 1, NULL, &err));
    ck_assert_ptr_nonnull(item.cache);
    return item.cache;
}

/* Both caches hold the same tokens and bits, as far as both hold them. */
static void compare_caches(const pp_kvcache *a, const pp_kvcache *b, int32_t n_layers)
{
    int64_t n = pp_kvcache_length(a);
    ck_assert_int_eq(n, pp_kvcache_length(b));
    for (int32_t layer = 0; layer < n_layers; layer++)
        for (int32_t which = PP_KV_K; which <= PP_KV_V; which++) {
            int64_t first = pp_kvcache_first_token(a, layer);
            int64_t other = pp_kvcache_first_token(b, layer);
            first = first > other ? first : other;
            size_t bytes = (size_t)(n - first) * 2 * 16 * 2;
            char *x = malloc(bytes + 1), *y = malloc(bytes + 1);
            OK(pp_kvcache_read(a, layer, which, PP_KV_NHD, PP_DTYPE_BF16, first, n - first, x,
                               bytes, &err));
            OK(pp_kvcache_read(b, layer, which, PP_KV_NHD, PP_DTYPE_BF16, first, n - first, y,
                               bytes, &err));
            ck_assert_msg(memcmp(x, y, bytes) == 0, "layer %d differs", layer);
            free(x);
            free(y);
        }
}

/* ---- items of every kind in one run ---- */

START_TEST(company_changes_nothing)
{
    static const char *const configs[] = {LLAMA, WINDOWED, MIXED, LONGROPE};
    for (size_t c = 0; c < sizeof configs / sizeof *configs; c++) {
        pp_model *model = make_model(configs[c]);
        pp_session *session = make_session(model, 64, 0);
        pp_model_config config = {.struct_size = sizeof config};
        OK(pp_model_get_config(model, &config, &err));
        static float alone[4][VOCAB], got[4][VOCAB];
        static const int64_t lengths[4] = {170, 33, 51, 63};
        pp_kvcache *expected[4];
        for (int i = 0; i < 4; i++)
            expected[i] = run_alone(session, lengths[i], alone[i]);
        /* a new prompt; one that grows by many tokens, twice; one token more; two tokens more */
        pp_item begun[4], items[4];
        static const int64_t first[4] = {0, 7, 50, 61}, then[4] = {100, 20, 1, 2};
        for (int i = 1; i < 4; i++)
            begun[i] = make_item(ids, first[i], PP_OUTPUT_NONE);
        OK(pp_run(session, NULL, begun + 1, 3, NULL, &err));
        for (int i = 0; i < 4; i++) {
            items[i] = make_item(ids + first[i], then[i], PP_OUTPUT_LAST_LOGITS);
            items[i].cache = i == 0 ? NULL : begun[i].cache;
            items[i].logits = got[i];
        }
        OK(pp_run(session, NULL, items, 4, NULL, &err));
        ck_assert_mem_eq(got[2], alone[2], sizeof got[2]);
        ck_assert_mem_eq(got[3], alone[3], sizeof got[3]);
        for (int i = 0; i < 2; i++) {
            items[i].tokens = ids + first[i] + then[i];
            items[i].n_tokens = lengths[i] - first[i] - then[i];
        }
        OK(pp_run(session, NULL, items, 2, NULL, &err));
        for (int i = 0; i < 4; i++) {
            ck_assert_mem_eq(got[i], alone[i], sizeof got[i]);
            compare_caches(items[i].cache, expected[i], config.n_layers);
            ck_assert_ptr_eq(pp_kvcache_session(items[i].cache), session);
            pp_kvcache_destroy(items[i].cache);
            pp_kvcache_destroy(expected[i]);
        }
        ck_assert_ptr_eq(pp_session_model(session), model);
        pp_session_destroy(session);
        pp_model_unref(model);
    }
}
END_TEST

/* ---- logits ---- */

struct sink {
    float rows[3][200][VOCAB];
    int64_t n_rows[3];
    int32_t n_calls, stop_after;
};

static int32_t take_rows(void *user, const pp_logits *piece)
{
    struct sink *sink = user;
    ck_assert_int_eq(piece->vocab_size, VOCAB);
    ck_assert_int_le(piece->n_rows, 64);
    ck_assert_int_ge(piece->i_item, 0);
    ck_assert_int_lt(piece->i_item, 3);
    memcpy(sink->rows[piece->i_item][piece->first_token], piece->logits,
           (size_t)piece->n_rows * VOCAB * sizeof(float));
    sink->n_rows[piece->i_item] += piece->n_rows;
    return ++sink->n_calls == sink->stop_after;
}

START_TEST(all_logits_are_those_of_every_prefix)
{
    static struct sink sink;
    static float array[150][VOCAB], expected[VOCAB];
    memset(&sink, 0, sizeof sink);
    pp_model *model = make_model(LLAMA);
    pp_session *session = make_session(model, 128, 0);
    pp_run_params params;
    pp_run_params_init(&params, sizeof params);
    params.sink = take_rows;
    params.sink_user = &sink;
    pp_item items[3] = {make_item(ids, 150, PP_OUTPUT_ALL_LOGITS),
                        make_item(ids, 90, PP_OUTPUT_ALL_LOGITS),
                        make_item(ids, 40, PP_OUTPUT_LAST_LOGITS)};
    items[0].logits = array[0];
    OK(pp_run(session, NULL, items, 3, &params, &err));
    ck_assert_int_eq(sink.n_rows[0], 0);
    ck_assert_int_eq(sink.n_rows[1], 90);
    ck_assert_int_eq(sink.n_rows[2], 1);
    for (int64_t n = 1; n <= 150; n++) {
        pp_kvcache_destroy(run_alone(session, n, expected));
        ck_assert_mem_eq(array[n - 1], expected, sizeof expected);
        if (n <= 90)
            ck_assert_mem_eq(sink.rows[1][n - 1], expected, sizeof expected);
        if (n == 40)
            ck_assert_mem_eq(sink.rows[2][n - 1], expected, sizeof expected);
    }
    /* appended to a cache: rows are numbered by the item's own tokens */
    memset(&sink, 0, sizeof sink);
    items[2].tokens = ids + 40;
    items[2].n_tokens = 30;
    items[2].output = PP_OUTPUT_ALL_LOGITS;
    OK(pp_run(session, NULL, &items[2], 1, &params, &err));
    ck_assert_int_eq(sink.n_rows[0], 30);
    for (int i = 0; i < 30; i++)
        ck_assert_mem_eq(sink.rows[0][i], array[40 + i], sizeof array[0]);
    /* a sink that has had enough */
    int64_t length = pp_kvcache_length(items[1].cache);
    sink.n_calls = 0;
    sink.stop_after = 1;
    REFUSED(pp_run(session, NULL, &items[1], 1, &params, &err), PP_ERR_CANCELLED, 0, "sink");
    ck_assert_int_eq(pp_kvcache_length(items[1].cache), length);
    for (int i = 0; i < 3; i++)
        pp_kvcache_destroy(items[i].cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* ---- tokens ---- */

START_TEST(each_item_draws_for_itself)
{
    enum { N = 6 };
    pp_model *model = make_model(LLAMA);
    pp_session *session = make_session(model, 0, 0);
    pp_item together[N], alone;
    static float logits[VOCAB];
    for (int i = 0; i < N; i++) {
        together[i] = make_item(ids, 20, PP_OUTPUT_TOKEN);
        together[i].temperature = i == 0 ? 0 : (float)i;
        together[i].seed = (uint64_t)(100 + i);
        together[i].top_k = i == 2 ? 1 : i == 3 ? 5 : 0;
        together[i].top_p = i == 4 ? 0.2f : 0;
        together[i].min_p = i == 5 ? 0.9f : 0;
    }
    OK(pp_run(session, NULL, together, N, NULL, &err));
    pp_kvcache_destroy(run_alone(session, 20, logits));
    int32_t best = 0;
    for (int32_t t = 1; t < VOCAB; t++)
        best = logits[t] > logits[best] ? t : best;
    ck_assert_int_eq(together[0].next, best);
    ck_assert_int_eq(together[2].next, best); /* top_k of 1 */
    for (int i = 0; i < N; i++) {
        alone = together[i];
        alone.cache = NULL;
        alone.next = -7;
        OK(pp_run(session, NULL, &alone, 1, NULL, &err));
        ck_assert_int_eq(alone.next, together[i].next);
        pp_kvcache_destroy(alone.cache);
        pp_kvcache_destroy(together[i].cache);
    }
    /* the short form draws the same */
    pp_sample_params params;
    pp_sample_params_init(&params, sizeof params);
    const uint64_t seeds[1] = {103};
    const pp_prompt prompt = {ids, 20};
    pp_kvcache *cache;
    int32_t next;
    params.temperature = 3;
    params.top_k = 5;
    params.seeds = seeds;
    OK(pp_prefill_sample(session, NULL, &prompt, 1, &params, &cache, &next, &err));
    ck_assert_int_eq(next, together[3].next);
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* ---- what is refused ---- */

static void expect_refusal(pp_session *session, const pp_item *good, const pp_item *bad,
                           pp_status status, const char *words)
{
    pp_item items[2] = {*good, *bad};
    pp_kvcache *const caches[2] = {items[0].cache, items[1].cache};
    REFUSED(pp_run(session, NULL, items, 2, NULL, &err), status, 1, words);
    ck_assert_ptr_eq(items[0].cache, caches[0]);
    ck_assert_ptr_eq(items[1].cache, caches[1]);
}

START_TEST(bad_items_are_refused)
{
    pp_model *model = make_model(LLAMA);
    pp_session *session = make_session(model, 0, 0), *other = make_session(model, 0, 0);
    const pp_item good = make_item(ids, 9, PP_OUTPUT_NONE);
    pp_item bad = good;
    int32_t outside[3] = {1, VOCAB, 2};
    bad.n_tokens = 0;
    expect_refusal(session, &good, &bad, PP_ERR_ARG, "no tokens");
    bad.n_tokens = 3;
    bad.tokens = NULL;
    expect_refusal(session, &good, &bad, PP_ERR_ARG, "NULL");
    bad.tokens = outside;
    expect_refusal(session, &good, &bad, PP_ERR_ARG, "token 97 at 1");
    bad = good;
    bad.output = 9;
    expect_refusal(session, &good, &bad, PP_ERR_ARG, "PP_OUTPUT_");
    bad.output = PP_OUTPUT_LAST_LOGITS;
    expect_refusal(session, &good, &bad, PP_ERR_ARG, "sink");
    bad.output = PP_OUTPUT_TOKEN;
    bad.temperature = -1;
    expect_refusal(session, &good, &bad, PP_ERR_ARG, "temperature");
    bad.temperature = NAN;
    expect_refusal(session, &good, &bad, PP_ERR_ARG, "temperature");
    bad.temperature = 1;
    bad.top_k = -1;
    expect_refusal(session, &good, &bad, PP_ERR_ARG, "top_k");
    bad.top_k = 0;
    bad.top_p = 1.5f;
    expect_refusal(session, &good, &bad, PP_ERR_ARG, "top_p");
    bad.top_p = 0;
    bad.min_p = -0.5f;
    expect_refusal(session, &good, &bad, PP_ERR_ARG, "min_p");
    bad = good;
    bad.struct_size = sizeof bad + 8;
    pp_item sizes[2] = {good, bad};
    REFUSED(pp_run(session, NULL, sizes, 2, NULL, &err), PP_ERR_STRUCT_SIZE, 1, "struct_size");
    sizes[0].struct_size = 4;
    ck_assert_int_eq(pp_run(session, NULL, sizes, 1, NULL, &err), PP_ERR_STRUCT_SIZE);
    ck_assert_int_eq(pp_run(session, NULL, NULL, 1, NULL, &err), PP_ERR_ARG);
    ck_assert_int_eq(pp_run(session, NULL, sizes, -1, NULL, &err), PP_ERR_ARG);
    ck_assert_int_eq(pp_run(NULL, NULL, sizes, 1, NULL, &err), PP_ERR_ARG);
    /* caches: another session's, and one that is there twice */
    pp_item foreign = good;
    OK(pp_run(other, NULL, &foreign, 1, NULL, &err));
    expect_refusal(session, &good, &foreign, PP_ERR_ARG, "another session");
    pp_item own = good;
    OK(pp_run(session, NULL, &own, 1, NULL, &err));
    expect_refusal(session, &own, &own, PP_ERR_ARG, "before");
    ck_assert_int_eq(pp_kvcache_length(own.cache), 9);
    pp_kvcache_destroy(own.cache);
    pp_kvcache_destroy(foreign.cache);
    pp_session_destroy(session);
    pp_session_destroy(other);
    pp_model_unref(model);
}
END_TEST

START_TEST(too_many_positions)
{
    pp_model *model = make_model("{\"model_type\": \"llama\", \"num_hidden_layers\": 1, "
                                 "\"max_position_embeddings\": 50, " SHAPE "}");
    pp_session *session = make_session(model, 0, 0);
    pp_item item = make_item(ids, 30, PP_OUTPUT_NONE);
    OK(pp_run(session, NULL, &item, 1, NULL, &err));
    item.n_tokens = 21;
    REFUSED(pp_run(session, NULL, &item, 1, NULL, &err), PP_ERR_TOO_LONG, 0, "51 tokens");
    item.n_tokens = 20;
    OK(pp_run(session, NULL, &item, 1, NULL, &err));
    pp_kvcache_destroy(item.cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* ---- ending early ---- */

struct watcher {
    pp_session *session;
    pp_cancel *cancel;
    int64_t calls, n_tokens, n_all;
    int64_t cancel_at; /* call of progress that cancels; 0: none */
};

static void watch(void *user, int64_t n_tokens, int64_t n_all)
{
    struct watcher *w = user;
    ck_assert_int_gt(n_tokens, w->n_tokens);
    w->n_tokens = n_tokens;
    w->n_all = n_all;
    if (++w->calls != w->cancel_at)
        return;
    if (w->cancel)
        pp_cancel_request(w->cancel);
    else
        pp_session_cancel(w->session);
}

/* A cancel between the passes of a run leaves a cache with a window as it was. */
START_TEST(cancelled_runs_change_nothing)
{
    pp_model *model = make_model(WINDOWED);
    pp_session *session = make_session(model, 64, 0);
    static float expected[VOCAB], got[VOCAB];
    for (int by_token = 0; by_token < 2; by_token++) {
        pp_kvcache *whole = run_alone(session, 500, expected);
        pp_cancel *cancel = NULL;
        if (by_token)
            OK(pp_cancel_create(&cancel, &err));
        struct watcher w = {.session = session, .cancel = cancel, .cancel_at = 4};
        pp_run_params params = {
            .struct_size = sizeof params, .progress = watch, .progress_user = &w, .cancel = cancel};
        pp_item item = make_item(ids, 100, PP_OUTPUT_NONE);
        OK(pp_run(session, NULL, &item, 1, NULL, &err));
        item.tokens = ids + 100;
        item.n_tokens = 400;
        item.output = PP_OUTPUT_LAST_LOGITS;
        item.logits = got;
        ck_assert_int_eq(pp_run(session, NULL, &item, 1, &params, &err), PP_ERR_CANCELLED);
        ck_assert_int_eq(pp_kvcache_length(item.cache), 100);
        ck_assert_int_eq(w.calls, 4);
        ck_assert_int_eq(w.n_all, 400);
        ck_assert_int_eq(pp_cancel_is_requested(cancel), by_token);
        w = (struct watcher){0};
        params.cancel = NULL; /* a token stays requested */
        OK(pp_run(session, NULL, &item, 1, &params, &err));
        ck_assert_int_eq(w.n_tokens, 400);
        ck_assert_mem_eq(got, expected, sizeof got);
        compare_caches(item.cache, whole, 3);
        pp_kvcache_destroy(item.cache);
        pp_kvcache_destroy(whole);
        pp_cancel_destroy(cancel);
    }
    ck_assert_int_eq(info_of(session).kv_bytes, 0);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(a_late_cancel_meets_no_call)
{
    pp_model *model = make_model(LLAMA);
    pp_session *session = make_session(model, 0, 0);
    pp_item item = make_item(ids, 10, PP_OUTPUT_NONE);
    pp_session_cancel(session);
    OK(pp_run(session, NULL, &item, 1, NULL, &err));
    pp_session_cancel(session);
    OK(pp_run(session, NULL, &item, 1, NULL, &err));
    pp_cancel *cancel;
    OK(pp_cancel_create(&cancel, &err));
    pp_run_params params = {.struct_size = sizeof params, .cancel = cancel};
    OK(pp_run(session, NULL, &item, 1, &params, &err));
    pp_cancel_request(cancel);
    ck_assert_int_eq(pp_run(session, NULL, &item, 1, &params, &err), PP_ERR_CANCELLED);
    ck_assert_int_eq(pp_kvcache_length(item.cache), 30);
    pp_cancel_destroy(cancel);
    pp_cancel_destroy(NULL);
    pp_kvcache_destroy(item.cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* ---- windows ---- */

START_TEST(windows_give_pages_back)
{
    pp_model *model = make_model(MIXED);
    pp_session *session = make_session(model, 1024, 0), *keeping = make_session(model, 1024, 1);
    static float expected[VOCAB], got[VOCAB];
    pp_kvcache *all = run_alone(keeping, 8192, expected), *cache = run_alone(session, 8192, got);
    ck_assert_mem_eq(got, expected, sizeof got);
    compare_caches(all, cache, 6);
    ck_assert_int_eq(pp_kvcache_bytes(all),
                     8192 / info_of(keeping).page_tokens * info_of(keeping).page_bytes);
    ck_assert_msg(pp_kvcache_bytes(cache) <= pp_kvcache_bytes(all) * 30 / 100, "%lld of %lld bytes",
                  (long long)pp_kvcache_bytes(cache), (long long)pp_kvcache_bytes(all));
    ck_assert_int_eq(info_of(session).kv_bytes, pp_kvcache_bytes(cache));
    ck_assert_int_eq(pp_kvcache_first_token(cache, 5), 0);
    ck_assert_int_gt(pp_kvcache_first_token(cache, 0), 7500);
    ck_assert_int_eq(pp_kvcache_first_token(all, 0), 0);
    /* what is foretold is what is held */
    pp_session_info info = info_of(session);
    pp_prediction prediction = {.struct_size = sizeof prediction};
    const int64_t length = 8192;
    OK(pp_run_predict(&info, NULL, NULL, &length, 1, &prediction, &err));
    ck_assert_int_eq(prediction.kv_bytes, pp_kvcache_bytes(cache));
    ck_assert_int_eq(prediction.passes, 8);
    /* what is gone is not read, not cut to, not forked */
    char one[64];
    REFUSED(pp_kvcache_read(cache, 0, PP_KV_K, PP_KV_NHD, PP_DTYPE_BF16, 0, 1, one, 64, &err),
            PP_ERR_ARG, -1, "holds [");
    OK(pp_kvcache_read(cache, 5, PP_KV_K, PP_KV_NHD, PP_DTYPE_BF16, 0, 1, one, 64, &err));
    pp_kvcache *fork = NULL;
    REFUSED(pp_kvcache_truncate(cache, 4000, &err), PP_ERR_ARG, -1, "keep_window_pages");
    REFUSED(pp_kvcache_fork(cache, 4000, &fork, &err), PP_ERR_ARG, -1, "window of 512");
    OK(pp_kvcache_fork(cache, 8150, &fork, &err));
    OK(pp_kvcache_truncate(cache, 8140, &err));
    /* regrown: the same */
    pp_item items[2] = {make_item(ids + 8140, 52, PP_OUTPUT_LAST_LOGITS),
                        make_item(ids + 8150, 42, PP_OUTPUT_LAST_LOGITS)};
    static float regrown[2][VOCAB];
    for (int i = 0; i < 2; i++)
        items[i].logits = regrown[i];
    items[0].cache = cache;
    items[1].cache = fork;
    OK(pp_run(session, NULL, items, 2, NULL, &err));
    for (int i = 0; i < 2; i++) {
        ck_assert_mem_eq(regrown[i], expected, sizeof expected);
        compare_caches(items[i].cache, all, 6);
    }
    OK(pp_kvcache_truncate(cache, 0, &err));
    ck_assert_int_eq(pp_kvcache_bytes(cache), 0);
    OK(pp_kvcache_truncate(all, 1, &err));
    pp_kvcache_destroy(cache);
    pp_kvcache_destroy(fork);
    pp_kvcache_destroy(all);
    ck_assert_int_eq(info_of(session).kv_bytes, 0);
    pp_session_destroy(session);
    pp_session_destroy(keeping);
    pp_model_unref(model);
}
END_TEST

/* ---- rotations that depend on length ---- */

/* One token at a time across the length at which the angles change, and back by truncation. */
START_TEST(state_is_a_function_of_the_tokens)
{
    pp_model *model = make_model(LONGROPE);
    pp_session *session = make_session(model, 64, 0);
    static float expected[VOCAB], got[VOCAB];
    pp_item item = make_item(ids, 60, PP_OUTPUT_NONE);
    OK(pp_run(session, NULL, &item, 1, NULL, &err));
    item.output = PP_OUTPUT_LAST_LOGITS;
    item.logits = got;
    item.n_tokens = 1;
    for (int64_t n = 61; n <= 70; n++) {
        item.tokens = ids + n - 1;
        OK(pp_run(session, NULL, &item, 1, NULL, &err));
        pp_kvcache *whole = run_alone(session, n, expected);
        ck_assert_msg(memcmp(got, expected, sizeof got) == 0, "logits at %lld", (long long)n);
        compare_caches(item.cache, whole, 2);
        pp_kvcache_destroy(whole);
    }
    pp_kvcache *fork;
    OK(pp_kvcache_fork(item.cache, 50, &fork, &err));
    OK(pp_kvcache_truncate(item.cache, 40, &err));
    item.tokens = ids + 40;
    item.n_tokens = 20;
    OK(pp_run(session, NULL, &item, 1, NULL, &err));
    pp_kvcache_destroy(run_alone(session, 60, expected));
    ck_assert_mem_eq(got, expected, sizeof got);
    pp_kvcache_destroy(item.cache);
    item.cache = fork;
    item.tokens = ids + 50;
    item.n_tokens = 40;
    OK(pp_run(session, NULL, &item, 1, NULL, &err));
    pp_kvcache_destroy(run_alone(session, 90, expected));
    ck_assert_mem_eq(got, expected, sizeof got);
    pp_kvcache_destroy(item.cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    for (int i = 0; i < MAX_TOKENS; i++)
        ids[i] = (int32_t)((uint32_t)i * 2654435761u >> 7) % VOCAB;
    Suite *suite = suite_create("run");
    TCase *tcase = tcase_create("run");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, company_changes_nothing);
    tcase_add_test(tcase, all_logits_are_those_of_every_prefix);
    tcase_add_test(tcase, each_item_draws_for_itself);
    tcase_add_test(tcase, bad_items_are_refused);
    tcase_add_test(tcase, too_many_positions);
    tcase_add_test(tcase, cancelled_runs_change_nothing);
    tcase_add_test(tcase, a_late_cancel_meets_no_call);
    if (!getenv("PREPACK_TEST_DEVICE")) /* 8,192 tokens */
        tcase_add_test(tcase, windows_give_pages_back);
    tcase_add_test(tcase, state_is_a_function_of_the_tokens);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
