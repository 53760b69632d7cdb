/*
 * test_outputs.c: what an item may ask for besides its cache: log-probabilities, ranks and the most
 * likely tokens against its own logits in double, hidden states and what is pooled from them, and
 * the sentences for what cannot be asked. (That company changes nothing: tests/prop/test_sharing.c;
 * values against other implementations: tests/golden.)
 */
#include "support/rng.h"
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <stddef.h>

#define N_TOKENS 70
#define N_TOP    5

static pp_model *model;
static pp_session *session;
static pp_model_config config;
static int32_t ids[N_TOKENS];

static pp_item new_item(int32_t output)
{
    return (pp_item){.struct_size = sizeof(pp_item),
                     .tokens = ids,
                     .n_tokens = N_TOKENS,
                     .output = output,
                     .discard_cache = 1};
}

static void begin(void)
{
    struct rng rng = rng_seeded(12);
    OK(pp_model_create_random(pp_model_preset("tiny"), 3, NULL, &model, perr));
    config.struct_size = sizeof config;
    OK(pp_model_get_config(model, &config, perr));
    const struct run_target *target = run_target(0);
    session = run_session(model, *target, 2, 0, 0);
    for (int i = 0; i < N_TOKENS; i++)
        ids[i] = (int32_t)rng_between(&rng, 0, config.vocab_size - 1);
}

static void end(void)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, perr));
    ck_assert_int_eq(info.kv_bytes, 0); /* every cache was discarded */
    pp_session_destroy(session);
    pp_model_unref(model);
}

static double log_sum(const float *logits)
{
    double max = -INFINITY, sum = 0;
    for (int32_t t = 0; t < config.vocab_size; t++)
        max = logits[t] > max ? (double)logits[t] : max;
    for (int32_t t = 0; t < config.vocab_size; t++)
        sum += exp((double)logits[t] - max);
    return max + log(sum);
}

static int32_t rank_of(const float *logits, int32_t target)
{
    int32_t rank = 0;
    for (int32_t t = 0; t < config.vocab_size; t++)
        rank += logits[t] > logits[target] || (logits[t] == logits[target] && t < target);
    return rank;
}

/* Every position, beside all logits; the last row is asked for its most likely tokens alone. */
START_TEST(scores_of_every_position)
{
    size_t vocab = (size_t)config.vocab_size;
    float *logits = malloc(N_TOKENS * vocab * sizeof *logits);
    pp_score scores[N_TOKENS];
    int32_t top_tokens[N_TOKENS * N_TOP];
    double top_logprobs[N_TOKENS * N_TOP];
    for (int i = 0; i < N_TOKENS; i++)
        scores[i] = (pp_score){.token = i, .target = i + 1 < N_TOKENS ? ids[i + 1] : PP_NO_TARGET};
    pp_item item = new_item(PP_OUTPUT_ALL_LOGITS);
    item.logits = logits;
    item.scores = scores;
    item.n_scores = N_TOKENS;
    item.n_top = N_TOP;
    item.top_tokens = top_tokens;
    item.top_logprobs = top_logprobs;
    OK(pp_run(session, NULL, &item, 1, NULL, perr));
    ck_assert_ptr_null(item.cache);
    for (int i = 0; i < N_TOKENS; i++) {
        const float *row = logits + (size_t)i * vocab;
        double lse = log_sum(row);
        if (i + 1 < N_TOKENS) {
            ck_assert_double_eq_tol(scores[i].logprob, (double)row[ids[i + 1]] - lse, 2e-6);
            ck_assert_int_eq(scores[i].rank, rank_of(row, ids[i + 1]));
        } else {
            ck_assert_int_eq(scores[i].rank, -1);
            ck_assert_double_eq(scores[i].logprob, 0);
        }
        for (int k = 0; k < N_TOP; k++) {
            int32_t token = top_tokens[i * N_TOP + k];
            ck_assert_int_eq(rank_of(row, token), k);
            ck_assert_double_eq_tol(top_logprobs[i * N_TOP + k], (double)row[token] - lse, 2e-6);
        }
    }
    free(logits);
}
END_TEST

/* Scores beside a drawn token, in any order, of one row several times. */
START_TEST(scores_beside_a_token)
{
    pp_score scores[4] = {{.token = 9, .target = 5},
                          {.token = 2, .target = 1},
                          {.token = 9, .target = 5},
                          {.token = 9, .target = 0}};
    pp_item item = new_item(PP_OUTPUT_TOKEN);
    item.n_tokens = 10;
    item.scores = scores;
    item.n_scores = 4;
    OK(pp_run(session, NULL, &item, 1, NULL, perr));
    ck_assert_double_eq(scores[0].logprob, scores[2].logprob);
    ck_assert_int_eq(scores[0].rank, scores[2].rank);
    ck_assert(scores[0].logprob < 0 && scores[1].logprob < 0 && scores[3].logprob < 0);
    ck_assert_int_eq(scores[0].rank == 0, item.next == 5);
    ck_assert_int_eq(scores[3].rank == 0, item.next == 0);
}
END_TEST

/* The log-probability of what is drawn, whatever that is, is that of its id. */
START_TEST(scores_of_the_token_that_is_drawn)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        pp_score drawn[2] = {{.token = 9, .target = PP_DRAWN_TARGET}, {.token = 4, .target = 3}};
        int32_t top_tokens[2];
        double top_logprobs[2];
        pp_item item = new_item(PP_OUTPUT_TOKEN);
        item.n_tokens = 10;
        item.temperature = seed == 0 ? 0 : 2;
        item.seed = seed;
        item.scores = drawn;
        item.n_scores = 2;
        item.n_top = 1;
        item.top_tokens = top_tokens;
        item.top_logprobs = top_logprobs;
        OK(pp_run(session, NULL, &item, 1, NULL, perr));
        pp_score known[2] = {{.token = 9, .target = item.next}, {.token = 4, .target = 3}};
        pp_item again = new_item(PP_OUTPUT_NONE);
        again.n_tokens = 10;
        again.scores = known;
        again.n_scores = 2;
        OK(pp_run(session, NULL, &again, 1, NULL, perr));
        for (int i = 0; i < 2; i++) {
            ck_assert_double_eq(drawn[i].logprob, known[i].logprob);
            ck_assert_int_eq(drawn[i].rank, known[i].rank);
        }
        ck_assert_int_eq(drawn[0].rank == 0, item.next == top_tokens[0]);
    }

    pp_error trouble = {.struct_size = sizeof trouble};
    pp_score score = {.token = 8, .target = PP_DRAWN_TARGET};
    pp_item item = new_item(PP_OUTPUT_TOKEN);
    item.n_tokens = 10;
    item.scores = &score;
    item.n_scores = 1;
    ck_assert_int_eq(pp_run(session, NULL, &item, 1, NULL, &trouble), PP_ERR_ARG);
    ck_assert_ptr_nonnull(strstr(trouble.message, "the row of the last token"));
    score.token = 9;
    item.output = PP_OUTPUT_NONE;
    ck_assert_int_eq(pp_run(session, NULL, &item, 1, NULL, &trouble), PP_ERR_ARG);
}
END_TEST

/* What two continuations of one context are worth, by the scores of items. */
START_TEST(continuations)
{
    int32_t other[N_TOKENS];
    memcpy(other, ids, sizeof other);
    other[60] = (ids[60] + 1) % config.vocab_size;
    pp_continuation all[3] = {{.tokens = ids, .n_tokens = N_TOKENS, .n_context = 60},
                              {.tokens = other, .n_tokens = 62, .n_context = 60},
                              {.tokens = ids, .n_tokens = 61, .n_context = 60}};
    pp_session_info before = {.struct_size = sizeof before}, after = before;
    OK(pp_session_get_info(session, &before, perr));
    OK(pp_score_continuations(session, all, 3, NULL, perr));
    OK(pp_session_get_info(session, &after, perr));
    /* the context once, 9 tokens more of the first and 1 of the second */
    ck_assert_int_eq(after.tokens_computed - before.tokens_computed, 60 + 9 + 1);
    for (int i = 0; i < 3; i++) {
        pp_score scores[N_TOKENS];
        double sum = 0;
        int32_t is_greedy = 1;
        pp_item item = new_item(PP_OUTPUT_NONE);
        item.tokens = all[i].tokens;
        item.n_tokens = all[i].n_tokens;
        item.scores = scores;
        item.n_scores = all[i].n_tokens - 60;
        for (int64_t j = 0; j < item.n_scores; j++)
            scores[j] = (pp_score){.token = 59 + j, .target = all[i].tokens[60 + j]};
        OK(pp_run(session, NULL, &item, 1, NULL, perr));
        for (int64_t j = 0; j < item.n_scores; j++) {
            sum += scores[j].logprob;
            is_greedy &= scores[j].rank == 0;
        }
        ck_assert_double_eq(all[i].logprob, sum);
        ck_assert_int_eq(all[i].is_greedy, is_greedy);
    }

    pp_error trouble = {.struct_size = sizeof trouble};
    const pp_continuation kept = all[1];
    all[1].n_context = 0;
    ck_assert_int_eq(pp_score_continuations(session, all, 3, NULL, &trouble), PP_ERR_ARG);
    ck_assert_ptr_nonnull(
        strstr(trouble.message, "continuation 1 has 62 tokens, 0 of them context"));
    all[1] = kept;
    other[61] = config.vocab_size;
    ck_assert_int_eq(pp_score_continuations(session, all, 3, NULL, &trouble), PP_ERR_ARG);
    ck_assert_int_eq(trouble.index, 1);
    ck_assert_double_eq(all[1].logprob, kept.logprob);
}
END_TEST

static double norm_of(const float *x)
{
    double squares = 0;
    for (int32_t d = 0; d < config.hidden_size; d++)
        squares += (double)x[d] * (double)x[d];
    return sqrt(squares);
}

START_TEST(states_and_what_is_pooled)
{
    size_t dim = (size_t)config.hidden_size;
    float *states = malloc(N_TOKENS * dim * sizeof *states);
    float *pooled = malloc(3 * dim * sizeof *pooled);
    static const int64_t chosen[3] = {N_TOKENS - 1, 0, 17};
    pp_item items[5];
    for (int i = 0; i < 5; i++)
        items[i] = new_item(i < 3 ? PP_OUTPUT_POOLED : PP_OUTPUT_HIDDEN);
    for (int i = 0; i < 3; i++) {
        items[i].pooling = PP_POOLING_LAST + i;
        items[i].hidden = pooled + (size_t)i * dim;
    }
    items[3].hidden = states;
    float *some = malloc(3 * dim * sizeof *some);
    items[4].hidden = some;
    items[4].hidden_tokens = chosen;
    items[4].n_hidden = 3;
    items[4].normalize = 1;
    OK(pp_run(session, NULL, items, 5, NULL, perr));
    ck_assert_mem_eq(pooled, states + (N_TOKENS - 1) * dim, dim * sizeof *states);
    ck_assert_mem_eq(pooled + 2 * dim, states, dim * sizeof *states);
    for (size_t d = 0; d < dim; d++) {
        double sum = 0;
        for (size_t t = 0; t < N_TOKENS; t++)
            sum += (double)states[t * dim + d];
        ck_assert_float_eq(pooled[dim + d], (float)(sum / N_TOKENS));
    }
    for (size_t j = 0; j < 3; j++) {
        const float *state = states + (size_t)chosen[j] * dim;
        ck_assert_double_eq_tol(norm_of(some + j * dim), 1, 1e-6);
        for (size_t d = 0; d < dim; d++)
            ck_assert_double_eq_tol((double)some[j * dim + d], (double)state[d] / norm_of(state),
                                    1e-6);
    }
    free(states);
    free(pooled);
    free(some);
}
END_TEST

/* The state of the last token, times the LM head, is what the logits are. */
START_TEST(states_are_behind_the_last_norm)
{
    float *state = malloc((size_t)config.hidden_size * sizeof *state);
    pp_item item = new_item(PP_OUTPUT_POOLED);
    item.hidden = state;
    OK(pp_run(session, NULL, &item, 1, NULL, perr));
    double n = norm_of(state); /* RMSNorm with weights about 1 */
    ck_assert_double_gt(n, 0.5 * sqrt(config.hidden_size));
    ck_assert_double_lt(n, 2 * sqrt(config.hidden_size));
    free(state);
}
END_TEST

/* Callers who were compiled when an item had fewer fields. */
START_TEST(older_items)
{
    enum { OLD = offsetof(pp_item, scores) };
    char memory[2][OLD];
    pp_item *items[2] = {(pp_item *)(void *)memory[0], (pp_item *)(void *)memory[1]};
    pp_item whole = new_item(PP_OUTPUT_TOKEN), newer = whole;
    whole.struct_size = OLD;
    for (int i = 0; i < 2; i++)
        memcpy(items[i], &whole, OLD);
    OK(pp_run(session, NULL, items[0], 2, NULL, perr));
    OK(pp_run(session, NULL, &newer, 1, NULL, perr));
    for (int i = 0; i < 2; i++) {
        pp_kvcache *cache;
        int32_t next;
        memcpy(&cache, memory[i] + offsetof(pp_item, cache), sizeof cache);
        memcpy(&next, memory[i] + offsetof(pp_item, next), sizeof next);
        ck_assert_int_eq(next, newer.next);
        ck_assert_int_eq(pp_kvcache_length(cache), N_TOKENS);
        pp_kvcache_destroy(cache);
    }
}
END_TEST

static void refuse(pp_item item, pp_status code, const char *words)
{
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(pp_run(session, NULL, &item, 1, NULL, &err), code);
    ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
    ck_assert_int_eq(err.index, 0);
    ck_assert_ptr_null(item.cache);
}

START_TEST(refused)
{
    pp_score score = {.token = 0, .target = 0};
    int32_t token;
    double logprob;
    float room[4096];
    const pp_item plain = new_item(PP_OUTPUT_NONE);
    pp_item item = plain;
    item.n_scores = 1;
    refuse(item, PP_ERR_ARG, "item 0 wants scores, but its scores is NULL");
    item.scores = &score;
    score.token = N_TOKENS;
    refuse(item, PP_ERR_ARG, "score 0 of item 0 names token 70, which is outside [0, 70)");
    score.token = -1;
    refuse(item, PP_ERR_ARG, "names token -1");
    score = (pp_score){.token = 0, .target = config.vocab_size};
    refuse(item, PP_ERR_ARG, "which is outside [0, ");
    score.target = -3;
    refuse(item, PP_ERR_ARG, "token id -3");
    score.target = 0;
    item.n_top = PP_MAX_TOP + 1;
    refuse(item, PP_ERR_ARG, "n_top of item 0 is 257");
    item.n_top = 1;
    refuse(item, PP_ERR_ARG, "its top_tokens is NULL");
    item.top_tokens = &token;
    refuse(item, PP_ERR_ARG, "its top_logprobs is NULL");
    item.top_logprobs = &logprob;
    item.n_scores = -1;
    refuse(item, PP_ERR_ARG, "n_scores of item 0 is -1");

    item = plain;
    item.output = PP_OUTPUT_POOLED;
    refuse(item, PP_ERR_ARG, "wants hidden states, but its hidden is NULL");
    item.hidden = room;
    item.pooling = 3;
    refuse(item, PP_ERR_ARG, "pooling of item 0 is 3");
    item.output = PP_OUTPUT_HIDDEN;
    item.n_hidden = 1;
    refuse(item, PP_ERR_ARG, "n_hidden of item 0 is 1");
    item.hidden_tokens = &(int64_t){N_TOKENS};
    refuse(item, PP_ERR_ARG, "hidden_tokens 0 of item 0 names token 70");
    item = plain;
    item.output = PP_OUTPUT_LABELS;
    refuse(item, PP_ERR_ARG, "wants the scores of labels, but its logits is NULL");
    item.logits = room;
    refuse(item, PP_ERR_UNSUPPORTED, "no classification head");
    item = plain;
    item.output = 7;
    refuse(item, PP_ERR_ARG, "output of item 0 is 7");
}
END_TEST

START_TEST(discarding_needs_a_new_cache)
{
    pp_error trouble = {.struct_size = sizeof trouble};
    pp_item item = new_item(PP_OUTPUT_NONE);
    item.discard_cache = 0;
    OK(pp_run(session, NULL, &item, 1, NULL, perr));
    item.discard_cache = 1;
    ck_assert_int_eq(pp_run(session, NULL, &item, 1, NULL, &trouble), PP_ERR_ARG);
    ck_assert_ptr_nonnull(strstr(trouble.message, "cannot be discarded"));
    ck_assert_int_eq(pp_kvcache_length(item.cache), N_TOKENS);
    pp_kvcache_destroy(item.cache);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outputs");
    TCase *tcase = tcase_create("outputs");
    tcase_set_timeout(tcase, 0);
    tcase_add_unchecked_fixture(tcase, begin, end);
    tcase_add_test(tcase, scores_of_every_position);
    tcase_add_test(tcase, scores_beside_a_token);
    tcase_add_test(tcase, scores_of_the_token_that_is_drawn);
    tcase_add_test(tcase, continuations);
    tcase_add_test(tcase, states_and_what_is_pooled);
    tcase_add_test(tcase, states_are_behind_the_last_norm);
    tcase_add_test(tcase, older_items);
    tcase_add_test(tcase, refused);
    tcase_add_test(tcase, discarding_needs_a_new_cache);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
