/*
 * test_invariance.c: packing changes nothing, bit for bit. Logits and KV caches of every prompt are
 * compared by memcmp between a run alone and runs packed with others, in any order, policy,
 * capacity, pass size (chunking) and number of threads, with and without pages behind windows, for
 * every family and every kernel set of this machine. Runs in pieces: test_pieces.c.
 */
#include "support/flat_params.h"
#include "support/make_checkpoint.h"
#include "support/make_family.h"
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PROMPTS 140

static struct rng rng;

/* The bits of each prompt run alone on a fresh one-thread session that keeps all of them. */
static void run_alone(pp_model *model, struct run_target target, const pp_prompt *prompts, size_t n,
                      struct run_bits *alone)
{
    pp_session *session = run_session(model, target, 1, 0, 1);
    for (size_t i = 0; i < n; i++) {
        pp_kvcache *cache;
        const float *logits;
        OK(pp_prefill(session, NULL, &prompts[i], 1, &cache, &logits, perr));
        alone[i] = run_collect(session, cache, logits);
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
            run_collect(session, caches[i], logits + i * (size_t)config.vocab_size);
        const char *difference = run_bits_difference(&bits, &alone[order[i]]);
        ck_assert_msg(!difference, "%s: %s", what, difference);
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
    pp_session *probe = run_session(model, target, 1, 0, 0);
    if (!probe)
        return;
    pp_session_destroy(probe);
    run_alone(model, target, prompts, n, alone);
    for (int p = 0; p < n_packings; p++) {
        int32_t n_threads = (int32_t)rng_between(&rng, 1, 3);
        int32_t tokens = pass_tokens[rng_between(&rng, 0, 3)];
        size_t n_packed = (size_t)(p == 0 ? (int64_t)n : rng_between(&rng, 1, (int64_t)n));
        struct flat_params params = any_packing(n_packed);
        int32_t keep_window_pages = (int32_t)rng_between(&rng, 0, 1);
        char what[200];
        snprintf(what, sizeof what,
                 "%s %s, weights %s, %d threads, pass %d, keep %d, policy %d, capacity %lld, at "
                 "most %lld "
                 "prompts, %lld balanced bins",
                 target.device, pp_dtype_name(target.dtype), pp_weights_name(target.weights),
                 n_threads, tokens, keep_window_pages, params.policy, (long long)params.capacity,
                 (long long)params.max_prompts, (long long)params.n_bins);
        pp_session *session = run_session(model, target, n_threads, tokens, keep_window_pages);
        shuffle(order, n);
        compare_packed(model, session, prompts, order, n_packed, params, alone, what);
        pp_session_destroy(session);
    }
    for (size_t i = 0; i < n; i++)
        run_bits_free(&alone[i]);
}

/* Removes dir. i_family: of many; below 0: on every target. */
static void check_dir(char *dir, int i_family, const int64_t *lengths, size_t n, int n_packings)
{
    pp_model *model;
    OK(pp_model_open(dir, NULL, &model, perr));
    pp_prompt *prompts = run_prompts(model, rng_next(&rng), lengths, n);
    FOR_EACH_TARGET(target)
    if (i_family < 0 || run_takes(i_family, target_))
        check_target(model, *target, prompts, n, n_packings);
    run_prompts_free(prompts, n);
    pp_model_unref(model);
    checkpoint_remove(dir);
}

static void check_model(const struct model_shape *shape, const int64_t *lengths, size_t n,
                        int n_packings)
{
    check_dir(checkpoint_write(shape, &rng), -1, lengths, n, n_packings);
}

/* A small fixed model, for the runs with many tokens. */
static struct model_shape small_config(void)
{
    struct model_shape shape = checkpoint_random_shape(&rng);
    shape.hidden_size = 40;
    shape.intermediate_size = 72;
    shape.n_layers = 2;
    shape.n_kv_heads = 2;
    shape.n_heads = 4;
    shape.head_dim = 16;
    shape.vocab_size = 60;
    return shape;
}

START_TEST(every_length_up_to_130)
{
    int64_t lengths[130];
    for (int64_t i = 0; i < 130; i++)
        lengths[i] = i + 1;
    struct model_shape shape = small_config();
    check_model(&shape, lengths, 130, 3);
}
END_TEST

START_TEST(tile_borders)
{
    static const int64_t lengths[] = {15,  16,  17,  47,  48,  49,  63,  64,  65,  95,  96,
                                      97,  127, 128, 129, 143, 144, 145, 191, 192, 193, 255,
                                      256, 257, 287, 288, 289, 383, 384, 385, 511, 512, 513};
    struct model_shape shape = small_config();
    check_model(&shape, lengths, sizeof lengths / sizeof *lengths, 3);
    shape.arch = PP_ARCH_MISTRAL;
    shape.sliding_window = 70;
    check_model(&shape, lengths, sizeof lengths / sizeof *lengths, 2);
}
END_TEST

/* Weights in few bits, on every set that this machine can run. */
START_TEST(formats)
{
    static const int32_t weights[] = {PP_WEIGHTS_INT8, PP_WEIGHTS_INT4, PP_WEIGHTS_NF4};
    static const char *const devices[] = {"cpu:ref",        "cpu:avx2",       "cpu:avx512",
                                          "cpu:avx512vnni", "cpu:avx512bf16", "cpu:avx512amx",
                                          "cpu:neon",       "cpu:neonbf16"};
    static const int64_t lengths[] = {1, 5, 6, 7, 13, 40, 100};
    const size_t n = sizeof lengths / sizeof *lengths, n_devices = sizeof devices / sizeof *devices;
    struct model_shape shape = small_config();
    char *dir = checkpoint_write(&shape, &rng);
    pp_model *model;
    OK(pp_model_open(dir, NULL, &model, perr));
    pp_prompt *prompts = run_prompts(model, rng_next(&rng), lengths, n);
    for (size_t d = 0; d < n_devices && !run_on_cuda(); d++)
        for (size_t w = 0; w < sizeof weights / sizeof *weights; w++) {
            int32_t dtype = (d + w) % 2 ? PP_DTYPE_BF16 : PP_DTYPE_F32;
            struct run_target target = {devices[d], dtype, weights[w]};
            check_target(model, target, prompts, n, 2);
        }
    run_prompts_free(prompts, n);
    pp_model_unref(model);
    checkpoint_remove(dir);
}
END_TEST

START_TEST(random_models)
{
    for (int i = 0; i < 8 / run_step(); i++) {
        int64_t lengths[24];
        size_t n = (size_t)rng_between(&rng, 2, 24);
        for (size_t j = 0; j < n; j++)
            lengths[j] = rng_between(&rng, 1, rng_between(&rng, 0, 3) ? 60 : 300);
        struct model_shape shape = checkpoint_random_shape(&rng);
        check_model(&shape, lengths, n, 3);
    }
}
END_TEST

/* Prompts longer than a pass and than any window, on each side of the lengths at which angles
 * change. */
START_TEST(every_family)
{
    enum { N = 7 };
    int i_family = _i * run_step();
    const char *family = checkpoint_families[i_family];
    bool brief = run_on_cuda() && i_family >= checkpoint_n_plain_families(); /* experts take time */
    int64_t lengths[N];
    for (int i = 0; i < N; i++)
        lengths[i] = rng_between(&rng, 1, i < N - 2 ? (brief ? 20 : 70) : brief ? 70 : 300);
    printf("# %s, state %llu\n", family, (unsigned long long)rng.state);
    check_dir(checkpoint_write_family(family, &rng), _i, lengths, N, brief ? 1 : 2);
}
END_TEST

START_TEST(angles_by_length)
{
    static const char *const families[] = {"llama/dynamic", "llama/longrope", "phi3/longrope"};
    int64_t lengths[10];
    for (int i = 0; i < 10; i++)
        lengths[i] = rng_between(&rng, 1, 60);
    check_dir(checkpoint_write_family(families[_i], &rng), -1, lengths, 10, 3);
}
END_TEST

static int n_families(void)
{
    int n = 0;
    while (checkpoint_families[n])
        n++;
    return n;
}

static void add_case(Suite *suite, const char *name, const TTest *test, int n)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, test, 0, n);
    suite_add_tcase(suite, tcase);
}

/* CK_RUN_CASE chooses one of the cases. */
int main(void)
{
    rng = rng_seeded(20240429);
    Suite *suite = suite_create("invariance");
    add_case(suite, "lengths", every_length_up_to_130, 1);
    add_case(suite, "borders", tile_borders, 1);
    add_case(suite, "formats", formats, 1);
    add_case(suite, "models", random_models, 1);
    add_case(suite, "families", every_family, (n_families() - 1) / run_step() + 1);
    add_case(suite, "angles", angles_by_length, 3);
    return tap_run(suite, CK_NOFORK);
}
