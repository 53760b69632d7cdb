/*
 * test_states.c: caches of models with linear layers. A state holds all tokens, so whatever way a
 * prompt goes through the model (cut anywhere, packed, shared, appended, decoded) it must be the
 * same bits; what goes wrong must leave it as it was; and caches go back to the lengths that they
 * say they can.
 */
#include "cache_world.h"
#include "support/tap.h"

#include <stdio.h>

static pp_error refusal = {.struct_size = sizeof refusal};

#define REFUSED(call, status, words)                                                               \
    do {                                                                                           \
        ck_assert_int_eq((call), (status));                                                        \
        ck_assert_int_eq(refusal.code, (status));                                                  \
        ck_assert_msg(strstr(refusal.message, words), "\"%s\" lacks \"%s\"", refusal.message,      \
                      words);                                                                      \
    } while (0)

static const struct run_target plain = {"cpu:ref", PP_DTYPE_F32, PP_WEIGHTS_AUTO};

/* On a GPU, which an emulation may be, one target. */
#define FOR_EACH_OWN(target)                                                                       \
    FOR_EACH_TARGET(target)                                                                        \
    if (!run_on_cuda() || target_ == 0)

/* The session's number of bytes in use by caches. */
static int64_t used(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, perr));
    return info.kv_bytes;
}

static int64_t state_bytes(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, perr));
    ck_assert_int_gt(info.state_bytes, 0);
    return info.state_bytes;
}

/* What n tokens leave that go through the model in one piece. */
static struct run_bits whole(pp_session *session, int64_t n)
{
    pp_kvcache *cache = NULL;
    OK(pp_kvcache_create(session, 0, NULL, &cache, perr));
    struct run_bits bits = cache_continue(session, cache, 0, n);
    pp_kvcache_destroy(cache);
    return bits;
}

static void check_same(struct run_bits *expected, struct run_bits got, const char *what, int64_t n)
{
    const char *difference = run_bits_difference(expected, &got);
    ck_assert_msg(!difference, "%s %lld: %s", what, (long long)n, difference);
    run_bits_free(&got);
}

/* ---- ways through the model ---- */

/* A second run begins at any token. */
static void check_cuts(pp_session *session, int64_t n, int64_t step)
{
    struct run_bits expected = whole(session, n);
    for (int64_t cut = 1; cut < n; cut += step) {
        pp_kvcache *cache = cache_prefill(session, cut);
        check_same(&expected, cache_continue(session, cache, cut, n), "cut at", cut);
        pp_kvcache_destroy(cache);
    }
    run_bits_free(&expected);
}

/* Token by token from the first on. */
static void check_decoding(pp_session *session, int64_t n)
{
    struct run_bits expected = whole(session, n);
    pp_kvcache *cache = cache_prefill(session, 1);
    for (int64_t i = 1; i < n - 1; i++)
        OK(pp_decode(session, &cache, &cache_ids[i], 1, NULL, perr));
    check_same(&expected, cache_continue(session, cache, n - 1, n), "token by token to", n);
    pp_kvcache_destroy(cache);
    run_bits_free(&expected);
}

/* Passes of a session are cut where they are full. */
static void check_passes(pp_model *model, struct run_target target, pp_session *session)
{
    pp_session *small = run_session(model, target, 1, 64, 0);
    for (int64_t n = 60; n <= 200; n += 47) {
        struct run_bits expected = whole(session, n);
        check_same(&expected, whole(small, n), "in passes of 64,", n);
        run_bits_free(&expected);
    }
    pp_session_destroy(small);
}

START_TEST(cuts_do_not_show)
{
    pp_model *model = cache_model(_i, 3);
    FOR_EACH_OWN(target)
    {
        pp_session *session = run_session(model, *target, 2, 0, 0);
        if (!session)
            continue;
        check_cuts(session, 37, run_on_cuda() ? 11 : target_ == 0 ? 1 : 7);
        check_decoding(session, 19);
        check_passes(model, *target, session);
        pp_session_destroy(session);
    }
    pp_model_unref(model);
}
END_TEST

#define N_ITEMS 6

/* Items of several lengths: new ones, one that appends to a cache and one that decodes. */
static void make_items(pp_session *session, pp_item items[N_ITEMS], float logits[][CACHE_VOCAB])
{
    static const int64_t lengths[N_ITEMS] = {1, 50, 3, 90, 20, 1};
    for (int i = 0; i < N_ITEMS; i++)
        items[i] = (pp_item){.struct_size = sizeof *items,
                             .tokens = cache_ids,
                             .n_tokens = lengths[i],
                             .output = PP_OUTPUT_LAST_LOGITS,
                             .logits = logits[i]};
    for (int i = 4; i < N_ITEMS; i++) {
        items[i].cache = cache_prefill(session, 13 * i);
        items[i].tokens += 13 * i;
    }
}

START_TEST(company_does_not_show)
{
    static const int orders[][N_ITEMS] = {
        {0, 1, 2, 3, 4, 5}, {5, 3, 1, 4, 0, 2}, {2, 4, 3, 0, 5, 1}};
    static float logits[N_ITEMS][CACHE_VOCAB];
    pp_model *model = cache_model(_i, 3);
    FOR_EACH_OWN(target)
    {
        pp_session *session = run_session(model, *target, 2, 64, 0);
        for (int order = 0; session && order < 3; order++) {
            pp_item made[N_ITEMS], items[N_ITEMS];
            make_items(session, made, logits);
            for (int i = 0; i < N_ITEMS; i++)
                items[i] = made[orders[order][i]];
            OK(pp_run(session, NULL, items, N_ITEMS, NULL, perr));
            for (int i = 0; i < N_ITEMS; i++) {
                struct run_bits alone = whole(session, pp_kvcache_length(items[i].cache));
                check_same(&alone, run_collect(session, items[i].cache, items[i].logits), "packed,",
                           items[i].n_tokens);
                run_bits_free(&alone);
                pp_kvcache_destroy(items[i].cache);
            }
            ck_assert_int_eq(used(session), 0);
        }
        pp_session_destroy(session);
    }
    pp_model_unref(model);
}
END_TEST

/* ---- shared prefixes ---- */

#define N_SHARERS 9

/* Prompts that share 40 and 70 tokens: one ends with the shared ones, one twice, one goes on in the
 * cache that computed them, some leave no cache. */
static void make_sharers(int32_t ids[N_SHARERS][128], pp_item items[N_SHARERS],
                         float logits[][CACHE_VOCAB])
{
    static const int64_t shared[N_SHARERS] = {40, 70, 70, 40, 70, 40, 70, 70, 0};
    static const int64_t lengths[N_SHARERS] = {90, 100, 70, 41, 120, 40, 70, 71, 33};
    for (int i = 0; i < N_SHARERS; i++) {
        for (int64_t t = 0; t < lengths[i]; t++)
            ids[i][t] = t < shared[i] ? cache_ids[t] : (int32_t)((t * 7 + i * 13) % CACHE_VOCAB);
        items[i] = (pp_item){.struct_size = sizeof *items,
                             .tokens = ids[i],
                             .n_tokens = lengths[i],
                             .discard_cache = i % 4 == 3,
                             .output = PP_OUTPUT_LAST_LOGITS,
                             .logits = logits[i]};
    }
}

static void check_alone(pp_session *session, const pp_item *shared, int i)
{
    float logits[CACHE_VOCAB];
    pp_item item = {.struct_size = sizeof item,
                    .tokens = shared->tokens,
                    .n_tokens = shared->n_tokens,
                    .output = PP_OUTPUT_LAST_LOGITS,
                    .logits = logits};
    OK(pp_run(session, NULL, &item, 1, NULL, perr));
    ck_assert_msg(memcmp(logits, shared->logits, sizeof logits) == 0, "logits of sharer %d differ",
                  i);
    for (int32_t next = 5; shared->cache && next < 7; next++) { /* what goes on from it, too */
        struct run_bits alone = run_collect(session, item.cache, NULL);
        check_same(&alone, run_collect(session, shared->cache, NULL), "sharer", i);
        run_bits_free(&alone);
        OK(pp_decode(session, &item.cache, &next, 1, NULL, perr));
        OK(pp_decode(session, &shared->cache, &next, 1, NULL, perr));
    }
    pp_kvcache_destroy(item.cache);
}

START_TEST(sharing_does_not_show)
{
    static float logits[N_SHARERS][CACHE_VOCAB];
    static int32_t ids[N_SHARERS][128];
    pp_model *model = cache_model(_i, 3);
    FOR_EACH_OWN(target)
    for (int32_t max_pass = 64; max_pass <= 1024; max_pass *= 16) {
        pp_session *session = run_session(model, *target, 2, max_pass, 0);
        pp_item items[N_SHARERS];
        const pp_run_params params = {.struct_size = sizeof params, .min_shared_prefix = 16};
        if (!session)
            continue;
        make_sharers(ids, items, logits);
        OK(pp_run(session, NULL, items, N_SHARERS, &params, perr));
        for (int i = 0; i < N_SHARERS; i++) {
            ck_assert_int_eq(items[i].cache == NULL, items[i].discard_cache);
            check_alone(session, &items[i], i);
            pp_kvcache_destroy(items[i].cache);
        }
        ck_assert_int_eq(used(session), 0);
        pp_session_destroy(session);
    }
    pp_model_unref(model);
}
END_TEST

/* ---- going back ---- */

/* kept(n) for every n: lengths, ascending, are those that a cache can have. */
static void check_kept(const pp_kvcache *cache, const int64_t *lengths, int n_lengths)
{
    int64_t length = pp_kvcache_length(cache);
    ck_assert_int_eq(lengths[n_lengths - 1], length);
    for (int64_t n = 0; n <= length; n++) {
        int64_t expected = 0;
        for (int i = 0; i < n_lengths; i++)
            expected = lengths[i] <= n ? lengths[i] : expected;
        ck_assert_int_eq(pp_kvcache_kept(cache, n), expected);
    }
    ck_assert_int_eq(pp_kvcache_kept(cache, -1), -1);
    ck_assert_int_eq(pp_kvcache_kept(cache, length + 1), -1);
}
#define KEPT(cache, ...)                                                                           \
    check_kept(cache, (const int64_t[]){__VA_ARGS__},                                              \
               sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* A cut of a cache, or a fork, to n tokens leaves `left`, and goes on as if it had never had more.
 */
static void check_cut(pp_session *session, const pp_kvcache *cache, int64_t n, int64_t left)
{
    pp_status status = left < n ? PP_SHORTER : PP_OK;
    struct run_bits expected = whole(session, left + 3);
    struct run_bits before = run_collect(session, cache, NULL);
    for (int truncates = 0; truncates < 2; truncates++) {
        pp_kvcache *cut = NULL;
        if (truncates) {
            OK(pp_kvcache_fork(cache, pp_kvcache_length(cache), &cut, perr));
            ck_assert_int_eq(pp_kvcache_truncate(cut, n, NULL), status);
        } else {
            ck_assert_int_eq(pp_kvcache_fork(cache, n, &cut, NULL), status);
        }
        ck_assert_int_eq(pp_kvcache_length(cut), left);
        ck_assert_int_eq(pp_kvcache_kept(cut, left), left);
        check_same(&expected, cache_continue(session, cut, left, left + 3), "cut to", left);
        if (left > 0)
            KEPT(cut, left, left + 3);
        pp_kvcache_destroy(cut);
    }
    check_same(&before, run_collect(session, cache, NULL), "after forks, of", n);
    run_bits_free(&before);
    run_bits_free(&expected);
}

START_TEST(caches_go_back_where_they_say)
{
    pp_model *model = cache_model(_i, 3);
    FOR_EACH_OWN(target)
    {
        pp_session *session = run_session(model, *target, 2, 0, 0);
        if (!session)
            continue;
        pp_kvcache *cache = cache_prefill(session, 20);
        int64_t state = state_bytes(session), pages = pp_kvcache_bytes(cache) - state;
        ck_assert_int_eq(used(session), pages + state);
        KEPT(cache, 20);
        OK(pp_decode(session, &cache, &cache_ids[20], 1, NULL, perr));
        KEPT(cache, 20, 21);
        ck_assert_int_eq(used(session), pp_kvcache_bytes(cache));
        for (int64_t n = 21; n < 25; n++) {
            OK(pp_decode(session, &cache, &cache_ids[n], 1, NULL, perr));
            KEPT(cache, 20, n + 1);
            ck_assert_int_eq(used(session), pages + 2 * state);
        }
        check_cut(session, cache, 25, 25);
        check_cut(session, cache, 24, 20);
        check_cut(session, cache, 20, 20);
        check_cut(session, cache, 19, 0);
        check_cut(session, cache, 0, 0);
        struct run_bits bits =
            cache_continue(session, cache, 25, 30); /* several: it can be undone */
        run_bits_free(&bits);
        KEPT(cache, 25, 30);
        check_cut(session, cache, 27, 25);
        OK(pp_decode(session, &cache, &cache_ids[30], 1, NULL, perr));
        KEPT(cache, 30, 31);
        ck_assert_int_eq(pp_kvcache_truncate(cache, 29, NULL), PP_SHORTER);
        ck_assert_int_eq(pp_kvcache_length(cache), 0);
        KEPT(cache, 0);
        ck_assert_int_eq(used(session), 0);
        REFUSED(pp_kvcache_truncate(cache, 1, &refusal), PP_ERR_ARG, "the cache holds 0");
        pp_kvcache_destroy(cache);
        pp_session_destroy(session);
    }
    pp_model_unref(model);
}
END_TEST

/* ---- what goes wrong ---- */

struct cancelling {
    pp_session *session;
    int passes_left;
};

static void cancel_later(void *user, int64_t done, int64_t all)
{
    struct cancelling *c = user;
    (void)all;
    ck_assert_int_gt(done, 0);
    if (--c->passes_left == 0)
        pp_session_cancel(c->session);
}

/* A run that is cancelled behind any of its passes. */
START_TEST(a_cancelled_run_leaves_caches_as_they_were)
{
    pp_model *model = cache_model(_i, 3);
    pp_session *session = run_session(model, plain, 2, 64, 0);
    pp_kvcache *cache = cache_prefill(session, 20);
    OK(pp_decode(session, &cache, &cache_ids[20], 1, NULL, perr));
    struct run_bits before = run_collect(session, cache, NULL);
    int64_t bytes = used(session);
    for (int n = 1; n < 4; n++) {
        struct cancelling cancelling = {session, n};
        const pp_run_params params = {.struct_size = sizeof params,
                                      .progress = cancel_later,
                                      .progress_user = &cancelling,
                                      .min_shared_prefix = 16};
        pp_item items[4] = {{.cache = cache, .tokens = cache_ids + 21, .n_tokens = 70},
                            {.tokens = cache_ids, .n_tokens = 100},
                            {.tokens = cache_ids, .n_tokens = 90},
                            {.tokens = cache_ids, .n_tokens = 80, .discard_cache = 1}};
        for (int i = 0; i < 4; i++)
            items[i].struct_size = sizeof *items;
        REFUSED(pp_run(session, NULL, items, 4, &params, &refusal), PP_ERR_CANCELLED, "cancelled");
        ck_assert_ptr_null(items[1].cache);
        ck_assert_int_eq(used(session), bytes);
        KEPT(cache, 20, 21);
        check_same(&before, run_collect(session, cache, NULL), "cancelled behind pass", n);
    }
    run_bits_free(&before);
    before = whole(session, 60);
    check_same(&before, cache_continue(session, cache, 21, 60), "after", 3);
    run_bits_free(&before);
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* States are taken before anything is computed; those of caches that nobody wants go back at once.
 */
START_TEST(too_little_memory_shows_early)
{
    pp_model *model = cache_model(_i, 3);
    pp_session_params params;
    pp_session_info info = {.struct_size = sizeof info};
    pp_session_params_init(&params, sizeof params);
    params.device = "cpu:ref";
    params.max_pass_tokens = 64;
    OK(pp_session_estimate(model, &params, &info, perr));
    params.memory_limit = info.memory_bytes + ((int64_t)1 << 20);
    pp_session *session = NULL;
    OK(pp_session_create(model, &params, &session, perr));
    static pp_item items[1000];
    for (int i = 0; i < 1000; i++)
        items[i] =
            (pp_item){.struct_size = sizeof *items, .tokens = cache_ids, .n_tokens = 1 + i % 9};
    REFUSED(pp_run(session, NULL, items, 1000, NULL, &refusal), PP_ERR_NOMEM,
            "more states of linear layers of");
    OK(pp_session_get_info(session, &info, perr));
    ck_assert_int_eq(info.passes, 0);
    ck_assert_int_eq(info.kv_bytes, 0);
    for (int i = 0; i < 1000; i++)
        items[i].discard_cache = 1;
    OK(pp_run(session, NULL, items, 1000, NULL, perr));
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(runs_take_what_was_predicted)
{
    static const int64_t lengths[4] = {90, 1, 30, 90};
    pp_model *model = cache_model(_i, 3);
    pp_session *session = run_session(model, plain, 1, 64, 0);
    pp_session_info info = {.struct_size = sizeof info};
    pp_prediction prediction = {.struct_size = sizeof prediction};
    pp_item items[4] = {{0}};
    OK(pp_session_get_info(session, &info, perr));
    OK(pp_run_predict(&info, NULL, NULL, lengths, 4, &prediction, perr));
    for (int i = 0; i < 4; i++)
        items[i] =
            (pp_item){.struct_size = sizeof *items, .tokens = cache_ids, .n_tokens = lengths[i]};
    OK(pp_run(session, NULL, items, 4, NULL, perr));
    ck_assert_int_eq(prediction.kv_bytes, used(session));
    ck_assert_int_eq(prediction.state_bytes, 4 * info.state_bytes);
    for (int i = 0; i < 4; i++)
        pp_kvcache_destroy(items[i].cache);
    pp_session_destroy(session);
    info.state_bytes = -1;
    REFUSED(pp_run_predict(&info, NULL, NULL, lengths, 4, &prediction, &refusal), PP_ERR_ARG,
            "states of -1 bytes");
    pp_model_unref(model);
}
END_TEST

/* On the host's blocks states are the session's own memory. */
START_TEST(blocks_hold_no_states)
{
    pp_model *model = cache_model(_i, 3);
    pp_session *own = run_session(model, plain, 1, 0, 0), *session = NULL;
    pp_session_info info = {.struct_size = sizeof info};
    pp_kv_blocks blocks = {.struct_size = sizeof blocks, .n_classes = 1, .n_blocks = {8}};
    pp_session_params params;
    pp_kvcache *cache = NULL;
    OK(pp_session_get_info(own, &info, perr));
    ck_assert_int_eq(info.n_page_classes, 1);
    blocks.memory[0] = aligned_alloc(64, (size_t)(8 * info.class_page_bytes[0]));
    pp_session_params_init(&params, sizeof params);
    params.device = plain.device;
    params.dtype = plain.dtype;
    params.kv_blocks = &blocks;
    OK(pp_session_create(model, &params, &session, perr));
    OK(pp_kvcache_create_on_blocks(session, &cache, perr));
    OK(pp_kvcache_add_blocks(cache, 0, (const int32_t[]){5, 1, 4}, 3, perr));
    struct run_bits expected = whole(own, 40), bits = cache_continue(session, cache, 0, 20);
    run_bits_free(&bits);
    ck_assert_int_eq(used(session), 3 * info.class_page_bytes[0] + info.state_bytes);
    struct run_bits before = run_collect(session, cache, NULL);
    pp_item item = {
        .struct_size = sizeof item, .cache = cache, .tokens = cache_ids, .n_tokens = 60};
    REFUSED(pp_run(session, NULL, &item, 1, NULL, &refusal), PP_ERR_ARG, "more blocks of class 0");
    check_same(&before, run_collect(session, cache, NULL), "too few blocks for", 60);
    ck_assert_int_eq(used(session), 3 * info.class_page_bytes[0] + info.state_bytes);
    check_same(&expected, cache_continue(session, cache, 20, 40), "on blocks,", 40);
    run_bits_free(&before);
    run_bits_free(&expected);
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_session_destroy(own);
    pp_model_unref(model);
    free(blocks.memory[0]);
}
END_TEST

/* ---- what is read and written ---- */

START_TEST(writing_leaves_forks_alone)
{
    pp_model *model = cache_model(_i, 3);
    pp_session *session = run_session(model, plain, 1, 0, 0);
    pp_kvcache *cache = cache_prefill(session, 20), *fork = NULL;
    OK(pp_decode(session, &cache, &cache_ids[20], 1, NULL, perr));
    OK(pp_kvcache_fork(cache, 21, &fork, perr));
    struct run_bits before = run_collect(session, fork, NULL);
    struct run_layer *layer = &before.layers[0];
    float *other = calloc(1, layer->state_bytes[PP_STATE_CONV]);
    OK(pp_kvcache_write_state(cache, 0, PP_STATE_CONV, other, layer->state_bytes[PP_STATE_CONV],
                              perr));
    check_same(&before, run_collect(session, fork, NULL), "fork of", 21);
    struct run_bits written = run_collect(session, cache, NULL);
    ck_assert_str_eq(run_bits_difference(&before, &written),
                     "inputs behind token 20 in layer 0 differ");
    ck_assert_mem_eq(written.layers[0].state[PP_STATE_CONV], other,
                     layer->state_bytes[PP_STATE_CONV]);
    memcpy(written.layers[0].state[PP_STATE_CONV], layer->state[PP_STATE_CONV],
           layer->state_bytes[PP_STATE_CONV]);
    ck_assert_ptr_null(run_bits_difference(&before, &written));
    check_cut(session, fork, 20, 20);
    OK(pp_kvcache_truncate(cache, 20, perr)); /* the earlier state was not written to */
    check_cut(session, cache, 20, 20);
    free(other);
    run_bits_free(&written);
    run_bits_free(&before);
    pp_kvcache_destroy(fork);
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(what_layers_lack_is_refused)
{
    pp_model *model = cache_model(4, 3), *dense = cache_model(0, 3);
    pp_session *session = run_session(model, plain, 1, 0, 0);
    pp_session *other = run_session(dense, plain, 1, 0, 0);
    pp_kvcache *cache = cache_prefill(session, 20), *empty = NULL;
    pp_kvcache *without = cache_prefill(other, 20);
    pp_kvcache_page page = {.struct_size = sizeof page};
    float x[4] = {0};
    size_t bytes;
    OK(pp_kvcache_create(session, 0, NULL, &empty, perr));
    ck_assert_int_eq(pp_kvcache_first_token(cache, 0), 20);
    ck_assert_int_eq(pp_kvcache_first_token(cache, 1), 0);
    REFUSED(pp_kvcache_read(cache, 0, PP_KV_K, PP_KV_NHD, PP_DTYPE_F32, 0, 0, x, 0, &refusal),
            PP_ERR_ARG, "layer 0 is linear: it has a state (pp_kvcache_read_state)");
    REFUSED(pp_kvcache_write(cache, 2, PP_KV_K, PP_KV_NHD, PP_DTYPE_F32, 0, 0, x, 0, &refusal),
            PP_ERR_ARG, "layer 2 is linear");
    REFUSED(pp_kvcache_get_page(cache, 0, PP_KV_K, 0, &page, &refusal), PP_ERR_ARG,
            "layer 0 is linear");
    REFUSED(pp_kvcache_read_state(cache, 1, 0, x, sizeof x, &refusal), PP_ERR_ARG,
            "layer 1 attends");
    REFUSED(pp_kvcache_read_state(without, 0, 0, x, sizeof x, &refusal), PP_ERR_ARG,
            "layer 0 attends");
    REFUSED(pp_kvcache_read_state(cache, 4, 0, x, sizeof x, &refusal), PP_ERR_ARG,
            "layer 4 is outside [0, 4)");
    REFUSED(pp_kvcache_read_state(cache, 0, 2, x, sizeof x, &refusal), PP_ERR_ARG, "which is 2");
    REFUSED(pp_kvcache_read_state(cache, 0, 0, x, sizeof x, &refusal), PP_ERR_ARG,
            "dst buffer has 16 bytes; this state has 1024");
    REFUSED(pp_kvcache_write_state(cache, 0, 1, NULL, 768, &refusal), PP_ERR_ARG, "src is NULL");
    REFUSED(pp_kvcache_write_state(empty, 0, 1, x, 768, &refusal), PP_ERR_ARG,
            "the cache is empty");
    REFUSED(pp_kvcache_write_state(NULL, 0, 1, x, 768, &refusal), PP_ERR_ARG, "cache is NULL");
    REFUSED(pp_kvcache_llamacpp_size(cache, NULL, &bytes, &refusal), PP_ERR_UNSUPPORTED,
            "2 of the model's layers are linear");
    ck_assert_int_eq(pp_kvcache_kept(NULL, 0), -1);
    ck_assert_int_eq(pp_kvcache_kept(without, 7), 7);
    pp_kvcache_destroy(without);
    pp_kvcache_destroy(empty);
    pp_kvcache_destroy(cache);
    pp_session_destroy(other);
    pp_session_destroy(session);
    pp_model_unref(dense);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("states");
    TCase *tcase = tcase_create("states");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, cuts_do_not_show, CACHE_MODELS, CACHE_STATES);
    tcase_add_loop_test(tcase, company_does_not_show, CACHE_MODELS, CACHE_STATES);
    tcase_add_loop_test(tcase, sharing_does_not_show, CACHE_MODELS, CACHE_STATES);
    tcase_add_loop_test(tcase, caches_go_back_where_they_say, CACHE_MODELS, CACHE_STATES);
    if (!run_on_cuda()) {
        tcase_add_loop_test(tcase, a_cancelled_run_leaves_caches_as_they_were, CACHE_MODELS,
                            CACHE_STATES);
        tcase_add_loop_test(tcase, too_little_memory_shows_early, CACHE_MODELS, CACHE_STATES);
        tcase_add_loop_test(tcase, blocks_hold_no_states, CACHE_MODELS, CACHE_STATES);
        tcase_add_loop_test(tcase, runs_take_what_was_predicted, CACHE_MODELS, CACHE_STATES);
        tcase_add_loop_test(tcase, writing_leaves_forks_alone, CACHE_MODELS, CACHE_STATES);
        tcase_add_test(tcase, what_layers_lack_is_refused);
    }
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
