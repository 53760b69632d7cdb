/*
 * test_invariance.c: packing changes nothing, bit for bit. Logits and KV caches of every prompt are
 * compared by memcmp between a run alone and runs packed with others, in any order, policy,
 * capacity, pass size (chunking) and number of threads, for every kernel set of this machine.
 */
#include "support/flat_params.h"
#include "support/make_checkpoint.h"
#include "support/run.h"
#include "support/tap.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PROMPTS 140

static struct rng rng;

/* The bits of each prompt run alone on a fresh one-thread session. */
static void run_alone(pp_model *model, struct run_target target, const pp_prompt *prompts, size_t n,
                      struct run_bits *alone)
{
    pp_session *session = run_session(model, target, 1, 0);
    for (size_t i = 0; i < n; i++) {
        pp_kvcache *cache;
        const float *logits;
        OK(pp_prefill(session, NULL, &prompts[i], 1, &cache, &logits, perr));
        alone[i] = run_collect(model, session, cache, logits);
        pp_kvcache_destroy(cache);
    }
    pp_session_destroy(session);
}

static void shuffle(size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rng_between(&rng, 0, (int64_t)i - 1), t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
}

/* Any way to plan n prompts; in a third of them more bins than prompts are possible. */
static struct flat_params any_packing(size_t n)
{
    struct flat_params params;
    flat_init(&params);
    params.capacity = rng_between(&rng, 0, 1) ? rng_between(&rng, 1, 700) : 0;
    params.max_prompts = rng_between(&rng, 0, 3) ? 0 : rng_between(&rng, 1, 5);
    params.policy = (int32_t)rng_between(&rng, PP_POLICY_FFD, PP_POLICY_AUTO);
    if (rng_between(&rng, 0, 2) == 0) {
        params.objective = PP_OBJECTIVE_BALANCED;
        params.policy = PP_POLICY_AUTO;
        params.capacity = params.max_prompts = 0;
        params.n_bins = rng_between(&rng, 1, (int64_t)n + 3);
    }
    return params;
}

/* Packs `n` prompts in the given order and compares each with its bits alone. */
static void compare_packed(pp_model *model, pp_session *session, const pp_prompt *prompts,
                           const size_t *order, size_t n, struct flat_params params,
                           const struct run_bits *alone, const char *what)
{
    pp_prompt packed[MAX_PROMPTS];
    int64_t lengths[MAX_PROMPTS];
    pp_kvcache *caches[MAX_PROMPTS];
    const float *logits;
    pp_packer *packer;
    pp_plan *plan;
    pp_model_config config = {.struct_size = sizeof config};
    OK(pp_model_get_config(model, &config, perr));
    for (size_t i = 0; i < n; i++) {
        packed[i] = prompts[order[i]];
        lengths[i] = packed[i].n_tokens;
        if (params.capacity && lengths[i] > params.capacity)
            params.capacity = lengths[i];
    }
    OK(flat_create(&params, &packer, perr));
    OK(pp_packer_plan(packer, lengths, n, &plan, perr));
    OK(pp_prefill(session, plan, packed, n, caches, &logits, perr));
    for (size_t i = 0; i < n; i++) {
        struct run_bits bits =
            run_collect(model, session, caches[i], logits + i * (size_t)config.vocab_size);
        const struct run_bits *expected = &alone[order[i]];
        ck_assert_uint_eq(bits.kv_bytes, expected->kv_bytes);
        ck_assert_msg(memcmp(bits.kv, expected->kv, bits.kv_bytes) == 0,
                      "%s: KV of the prompt of %lld tokens differs from its run alone", what,
                      (long long)lengths[i]);
        ck_assert_msg(memcmp(bits.logits, expected->logits, bits.logits_bytes) == 0,
                      "%s: logits of the prompt of %lld tokens differ from its run alone", what,
                      (long long)lengths[i]);
        run_bits_free(&bits);
        pp_kvcache_destroy(caches[i]);
    }
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
}

/* One model, one kernel set: several packings with several sessions. */
static void check_target(pp_model *model, struct run_target target, const pp_prompt *prompts,
                         size_t n, int n_packings)
{
    static const int32_t pass_tokens[] = {0, 64, 200, 1024};
    struct run_bits alone[MAX_PROMPTS];
    size_t order[MAX_PROMPTS];
    pp_session *probe = run_session(model, target, 1, 0);
    if (!probe)
        return;
    pp_session_destroy(probe);
    run_alone(model, target, prompts, n, alone);
    for (int p = 0; p < n_packings; p++) {
        int32_t n_threads = (int32_t)rng_between(&rng, 1, 3);
        int32_t tokens = pass_tokens[rng_between(&rng, 0, 3)];
        size_t n_packed = (size_t)(p == 0 ? (int64_t)n : rng_between(&rng, 1, (int64_t)n));
        struct flat_params params = any_packing(n_packed);
        char what[200];
        snprintf(what, sizeof what,
                 "%s %s, %d threads, pass %d, policy %d, capacity %lld, at most %lld prompts, %lld "
                 "balanced bins",
                 target.device, pp_dtype_name(target.dtype), n_threads, tokens, params.policy,
                 (long long)params.capacity, (long long)params.max_prompts,
                 (long long)params.n_bins);
        pp_session *session = run_session(model, target, n_threads, tokens);
        shuffle(order, n);
        compare_packed(model, session, prompts, order, n_packed, params, alone, what);
        pp_session_destroy(session);
    }
    for (size_t i = 0; i < n; i++)
        run_bits_free(&alone[i]);
}

static void check_model(const pp_model_config *config, const int64_t *lengths, size_t n,
                        int n_packings)
{
    char *dir = checkpoint_write(config, &rng);
    pp_model *model;
    OK(pp_model_open(dir, NULL, &model, perr));
    pp_prompt *prompts = run_prompts(model, rng_next(&rng), lengths, n);
    FOR_EACH_TARGET(target)
    check_target(model, *target, prompts, n, n_packings);
    run_prompts_free(prompts, n);
    pp_model_unref(model);
    checkpoint_remove(dir);
}

/* A small fixed model, for the runs with many tokens. */
static pp_model_config small_config(void)
{
    pp_model_config config = checkpoint_random_config(&rng);
    config.hidden_size = 40;
    config.intermediate_size = 72;
    config.n_layers = 2;
    config.n_kv_heads = 2;
    config.n_heads = 4;
    config.head_dim = 16;
    config.vocab_size = 60;
    return config;
}

START_TEST(every_length_up_to_130)
{
    int64_t lengths[130];
    for (int64_t i = 0; i < 130; i++)
        lengths[i] = i + 1;
    pp_model_config config = small_config();
    check_model(&config, lengths, 130, 3);
}
END_TEST

START_TEST(tile_borders)
{
    static const int64_t lengths[] = {15,  16,  17,  47,  48,  49,  63,  64,  65,  95,  96,
                                      97,  127, 128, 129, 143, 144, 145, 191, 192, 193, 255,
                                      256, 257, 287, 288, 289, 383, 384, 385, 511, 512, 513};
    pp_model_config config = small_config();
    check_model(&config, lengths, sizeof lengths / sizeof *lengths, 3);
    config.arch = PP_ARCH_MISTRAL;
    config.sliding_window = 70;
    check_model(&config, lengths, sizeof lengths / sizeof *lengths, 2);
}
END_TEST

START_TEST(random_models)
{
    for (int i = 0; i < 8; i++) {
        int64_t lengths[24];
        size_t n = (size_t)rng_between(&rng, 2, 24);
        for (size_t j = 0; j < n; j++)
            lengths[j] = rng_between(&rng, 1, rng_between(&rng, 0, 3) ? 60 : 300);
        pp_model_config config = checkpoint_random_config(&rng);
        check_model(&config, lengths, n, 3);
    }
}
END_TEST

/* Prefill of a part and decode of the rest give the bits of a prefill of the whole. */
static void check_decode(pp_model *model, struct run_target target)
{
    static const int64_t whole[] = {2, 17, 40, 65, 130};
    enum { N = 5, STEPS = 20 };
    pp_session *session = run_session(model, target, 2, 0);
    if (!session)
        return;
    pp_model_config config = {.struct_size = sizeof config};
    OK(pp_model_get_config(model, &config, perr));
    pp_prompt *prompts = run_prompts(model, 7, whole, N);
    pp_prompt parts[N];
    pp_kvcache *caches[N], *expected[N];
    const float *logits;
    for (size_t i = 0; i < N; i++) {
        parts[i] = prompts[i];
        parts[i].n_tokens = whole[i] > STEPS ? whole[i] - STEPS : 1;
    }
    OK(pp_prefill(session, NULL, parts, N, caches, NULL, perr));
    for (int step = 0; step < STEPS; step++) {
        pp_kvcache *live[N];
        int32_t tokens[N];
        size_t index[N], n = 0;
        for (size_t i = 0; i < N; i++)
            if (pp_kvcache_length(caches[i]) < whole[i]) {
                index[n] = i;
                live[n] = caches[i];
                tokens[n++] = prompts[i].tokens[pp_kvcache_length(caches[i])];
            }
        if (n == 0)
            break;
        OK(pp_decode(session, live, tokens, n, &logits, perr));
        struct run_bits decoded[N];
        for (size_t j = 0; j < n; j++)
            decoded[j] =
                run_collect(model, session, live[j], logits + j * (size_t)config.vocab_size);
        for (size_t j = 0; j < n; j++) {
            pp_prompt prefix = {prompts[index[j]].tokens, pp_kvcache_length(live[j])};
            OK(pp_prefill(session, NULL, &prefix, 1, &expected[0], &logits, perr));
            struct run_bits bits = run_collect(model, session, expected[0], logits);
            ck_assert_msg(memcmp(bits.kv, decoded[j].kv, bits.kv_bytes) == 0,
                          "%s: KV after decode differs from prefill at %lld tokens", target.device,
                          (long long)prefix.n_tokens);
            ck_assert_msg(memcmp(bits.logits, decoded[j].logits, bits.logits_bytes) == 0,
                          "%s: logits after decode differ from prefill at %lld tokens",
                          target.device, (long long)prefix.n_tokens);
            run_bits_free(&bits);
            run_bits_free(&decoded[j]);
            pp_kvcache_destroy(expected[0]);
        }
    }
    for (size_t i = 0; i < N; i++)
        pp_kvcache_destroy(caches[i]);
    run_prompts_free(prompts, N);
    pp_session_destroy(session);
}

START_TEST(decode_equals_prefill)
{
    for (int i = 0; i < 4; i++) {
        pp_model_config config = checkpoint_random_config(&rng);
        char *dir = checkpoint_write(&config, &rng);
        pp_model *model;
        OK(pp_model_open(dir, NULL, &model, perr));
        FOR_EACH_TARGET(target)
        check_decode(model, *target);
        pp_model_unref(model);
        checkpoint_remove(dir);
    }
}
END_TEST

static void add_case(Suite *suite, const char *name, const TTest *test)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, test);
    suite_add_tcase(suite, tcase);
}

/* CK_RUN_CASE chooses one of the cases. */
int main(void)
{
    rng = rng_seeded(20240429);
    Suite *suite = suite_create("invariance");
    add_case(suite, "lengths", every_length_up_to_130);
    add_case(suite, "borders", tile_borders);
    add_case(suite, "models", random_models);
    add_case(suite, "decode", decode_equals_prefill);
    return tap_run(suite, CK_NOFORK);
}
