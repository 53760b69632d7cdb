/*
 * test_unwanted_states.c: items that leave no cache in models with linear layers. Nobody wants the
 * states behind their last tokens: they are not written, no bit of anything else changes, and as
 * many such items as one likes run in memory that holds a state or two.
 */
#include "cache_world.h"
#include "support/tap.h"

#include <prepack/common.h>

static pp_error refusal = {.struct_size = sizeof refusal};

/* ---- bits ---- */

#define N_ITEMS  9
#define N_TOKENS 128
#define ALL      ((1 << N_ITEMS) - 1)

/* What items are asked for. */
struct answers {
    float logits[N_ITEMS][CACHE_VOCAB];
    pp_score scores[N_ITEMS][N_TOKENS];
    int32_t top_tokens[N_ITEMS][N_TOKENS * 2];
    double top_logprobs[N_ITEMS][N_TOKENS * 2];
    struct run_bits bits[N_ITEMS]; /* of those that are kept */
};

static int32_t ids[N_ITEMS][N_TOKENS];
static const int64_t lengths[N_ITEMS] = {90, 100, 70, 41, 120, 40, 1, 70, 41};

/* Some prompts begin with the same 40 or 70 tokens; one has no others, and two are twice there:
 * that of 70 tokens, which others continue, and that of 41. */
static void make_ids(void)
{
    static const int64_t shared[N_ITEMS] = {40, 70, 70, 40, 70, 40, 0, 70, 40};
    for (int i = 0; i < N_ITEMS; i++)
        for (int64_t t = 0; t < lengths[i]; t++)
            ids[i][t] =
                t < shared[i] ? cache_ids[t] : (int32_t)((t * 7 + i % 5 * 13) % CACHE_VOCAB);
}

/* Runs all in one call. discarded: a bit for each item. */
static void answer(pp_session *session, int discarded, int64_t min_shared_prefix,
                   struct answers *answers)
{
    const pp_run_params params = {.struct_size = sizeof params,
                                  .min_shared_prefix = min_shared_prefix};
    pp_item items[N_ITEMS];
    memset(answers, 0, sizeof *answers);
    for (int i = 0; i < N_ITEMS; i++) {
        for (int64_t t = 0; t < lengths[i]; t++)
            answers->scores[i][t] =
                (pp_score){.token = t, .target = (int32_t)((t + 5 * i) % CACHE_VOCAB)};
        items[i] = (pp_item){.struct_size = sizeof *items,
                             .tokens = ids[i],
                             .n_tokens = lengths[i],
                             .discard_cache = discarded >> i & 1,
                             .output = PP_OUTPUT_LAST_LOGITS,
                             .logits = answers->logits[i],
                             .scores = answers->scores[i],
                             .n_scores = lengths[i],
                             .n_top = 2,
                             .top_tokens = answers->top_tokens[i],
                             .top_logprobs = answers->top_logprobs[i]};
    }
    OK(pp_run(session, NULL, items, N_ITEMS, &params, perr));
    for (int i = 0; i < N_ITEMS; i++) {
        ck_assert_int_eq(items[i].cache == NULL, items[i].discard_cache);
        if (items[i].cache)
            answers->bits[i] = run_collect(session, items[i].cache, NULL);
        pp_kvcache_destroy(items[i].cache);
    }
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, perr));
    ck_assert_int_eq(info.kv_bytes, 0);
}

static void check_answers(const struct answers *expected, struct answers *got, int discarded)
{
    for (int i = 0; i < N_ITEMS; i++) {
        ck_assert_mem_eq(expected->logits[i], got->logits[i], sizeof expected->logits[i]);
        ck_assert_mem_eq(expected->scores[i], got->scores[i], sizeof expected->scores[i]);
        ck_assert_mem_eq(expected->top_tokens[i], got->top_tokens[i],
                         sizeof expected->top_tokens[i]);
        ck_assert_mem_eq(expected->top_logprobs[i], got->top_logprobs[i],
                         sizeof expected->top_logprobs[i]);
        if (discarded >> i & 1)
            continue;
        const char *difference = run_bits_difference(&expected->bits[i], &got->bits[i]);
        ck_assert_msg(!difference, "item %d, discarded %x: %s", i, discarded, difference);
        run_bits_free(&got->bits[i]);
    }
}

START_TEST(discarding_does_not_show)
{
    /* All but one that another's tokens end in; all; those that a shared prefix is computed for,
     * which others continue; one of two alike, the first or the second. */
    static const int masks[] = {ALL & ~(1 << 5), ALL, 1 << 0 | 1 << 1 | 1 << 3,
                                1 << 2 | 1 << 4 | 1 << 8, 1 << 7};
    static struct answers expected, got;
    pp_model *model = cache_model(_i, 3);
    const size_t n_masks = run_step() > 1 ? 1 : sizeof masks / sizeof *masks; /* where it is slow */
    make_ids();
    FOR_EACH_TARGET(target)
    for (int32_t max_pass = 64; max_pass <= (n_masks > 1 ? 1024 : 64); max_pass *= 16) {
        pp_session *session = NULL;
        if (n_masks > 1 || target_ == 0)
            session = run_session(model, *target, 1, max_pass, 0);
        if (!session)
            continue;
        answer(session, 0, 0, &expected);
        for (size_t m = 0; m < n_masks; m++)
            for (int shares = 0; shares < 2; shares++) {
                answer(session, masks[m], shares ? 16 : 0, &got);
                check_answers(&expected, &got, masks[m]);
            }
        for (int i = 0; i < N_ITEMS; i++)
            run_bits_free(&expected.bits[i]);
        pp_session_destroy(session);
    }
    pp_model_unref(model);
}
END_TEST

/* ---- memory ---- */

/* A state has 1 MiB and more, a page of keys some KiB. */
static const char large_states[] =
    "{\"model_type\": \"qwen3_5_text\", \"num_hidden_layers\": 2, \"full_attention_interval\": 2, "
    "\"linear_num_key_heads\": 2, \"linear_num_value_heads\": 16, \"linear_key_head_dim\": 128, "
    "\"linear_value_head_dim\": 128, \"linear_conv_kernel_dim\": 4, "
    "\"max_position_embeddings\": 512, \"vocab_size\": 96, \"hidden_size\": 48, "
    "\"intermediate_size\": 64, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
    "\"head_dim\": 16, \"dtype\": \"bfloat16\"}";

#define MANY 120

/* What a session has that may hold `n_states` states and a half, and pages for MANY prompts. */
static pp_session *make_session(pp_model *model, int64_t n_states, pp_session_info *info)
{
    pp_session *session = NULL;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = "cpu";
    params.n_threads = 1;
    params.max_pass_tokens = 128;
    *info = (pp_session_info){.struct_size = sizeof *info};
    OK(pp_session_estimate(model, &params, info, perr));
    int64_t pages = 256 * info->page_bytes; /* as many as are taken at once */
    ck_assert_int_gt(info->state_bytes, 1 << 20);
    params.memory_limit =
        info->memory_bytes + pages + n_states * info->state_bytes + info->state_bytes / 2;
    OK(pp_session_create(model, &params, &session, perr));
    return session;
}

static void make_many(pp_item *items, int64_t n_tokens)
{
    for (int i = 0; i < MANY; i++)
        items[i] = (pp_item){.struct_size = sizeof *items,
                             .tokens = cache_ids,
                             .n_tokens = n_tokens + i % 5,
                             .discard_cache = 1,
                             .output = PP_OUTPUT_TOKEN};
}

/* Bytes that caches and runs have held; none is in use now. */
static int64_t held(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, perr));
    ck_assert_int_eq(info.kv_bytes, 0);
    return info.kv_pool_bytes;
}

/* Prompts that a pass takes need no state; those of several passes one at a time, from the first
 * pass to the last but one, while the next begins. */
START_TEST(many_run_in_little_memory)
{
    pp_model *model = NULL;
    pp_session_info info;
    static pp_item items[MANY];
    OK(pp_model_create_random(large_states, 3, NULL, &model, perr));
    pp_session *session = make_session(model, 0, &info);
    make_many(items, 1);
    OK(pp_run(session, NULL, items, MANY, NULL, perr));
    ck_assert_int_eq(held(session) % info.page_bytes, 0);
    ck_assert_int_le(held(session), 256 * info.page_bytes);
    items[3].n_tokens = 129; /* one that needs a state, for which there is no room */
    ck_assert_int_eq(pp_run(session, NULL, items, MANY, NULL, &refusal), PP_ERR_NOMEM);
    ck_assert_msg(strstr(refusal.message, "1 more states of linear layers"), "\"%s\"",
                  refusal.message);
    items[3].n_tokens = 4;
    items[4].discard_cache = 0; /* and one that is kept */
    ck_assert_int_eq(pp_run(session, NULL, items, MANY, NULL, &refusal), PP_ERR_NOMEM);
    pp_session_destroy(session);

    session = make_session(model, 2, &info);
    make_many(items, 130);
    OK(pp_run(session, NULL, items, MANY / 10, NULL, perr));
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* Items that continue a prefix read its state, and write none. */
START_TEST(a_prefix_has_one_state)
{
    const pp_run_params params = {.struct_size = sizeof params, .min_shared_prefix = 16};
    pp_model *model = NULL;
    pp_session_info info;
    static pp_item items[MANY];
    static int32_t texts[MANY][24];
    OK(pp_model_create_random(large_states, 3, NULL, &model, perr));
    pp_session *session = make_session(model, 1, &info);
    make_many(items, 20);
    for (int i = 0; i < MANY; i++) {
        memcpy(texts[i], cache_ids, sizeof texts[i]);
        texts[i][18] = i % CACHE_VOCAB;
        texts[i][19] = i / CACHE_VOCAB;
        items[i].tokens = texts[i];
    }
    OK(pp_run(session, NULL, items, MANY, &params, perr));
    ck_assert_int_ge(held(session), info.state_bytes);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unwanted_states");
    TCase *tcase = tcase_create("unwanted_states");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, discarding_does_not_show, CACHE_MODELS, CACHE_STATES);
    if (!run_on_cuda()) {
        tcase_add_test(tcase, many_run_in_little_memory);
        tcase_add_test(tcase, a_prefix_has_one_state);
    }
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
