/*
 * test_pieces.c: a cache is a function of its tokens alone, bit for bit. Prompts of every family
 * come in pieces of random sizes, mixed in one run with pieces of others, in sessions of any pass
 * size and number of threads, with and without the pages behind windows, through forks and cuts,
 * across the lengths at which angles change; what they leave is compared by memcmp with a run of
 * the same tokens in one piece, alone, for every kernel set of this machine.
 */
#include "support/make_checkpoint.h"
#include "support/make_family.h"
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>

#define MAX_PROMPTS 8
#define MAX_CUT     40 /* tokens that every window still holds when they are cut off again */

static struct rng rng;

/* A prompt on its way. */
struct growing {
    pp_prompt prompt;
    pp_kvcache *cache;
    int64_t longest; /* tokens that the cache has had */
};

struct scene {
    pp_model *model;
    int32_t vocab_size;
    pp_session *alone, *session; /* alone: one thread, all pages */
    bool keeps;
    int n;
    struct growing all[MAX_PROMPTS];
    char what[120];
};

static int64_t length_of(const struct growing *g)
{
    return g->cache ? pp_kvcache_length(g->cache) : 0;
}

/* Compares a cache and its logits (NULL: none) with a run of all its tokens at once. */
static void compare_alone(const struct scene *scene, const struct growing *g, const float *logits)
{
    pp_prompt prompt = {g->prompt.tokens, length_of(g)};
    pp_kvcache *cache;
    const float *expected_logits;
    OK(pp_prefill(scene->alone, NULL, &prompt, 1, &cache, &expected_logits, perr));
    struct run_bits expected = run_collect(scene->alone, cache, expected_logits);
    struct run_bits bits = run_collect(scene->session, g->cache, logits);
    const char *difference = run_bits_difference(&bits, &expected);
    ck_assert_msg(!difference, "%s: %s", scene->what, difference);
    run_bits_free(&expected);
    run_bits_free(&bits);
    pp_kvcache_destroy(cache);
}

/* One token, some, or any number up to the rest. */
static int64_t draw_piece(int64_t rest)
{
    static const int64_t most[] = {1, 1, 20, 70, INT64_MAX};
    int64_t limit = most[rng_between(&rng, 0, 4)];
    return rng_between(&rng, 1, rest < limit ? rest : limit);
}

static float *logits_room(const struct scene *scene, const pp_item *item)
{
    int64_t n_rows = item->output == PP_OUTPUT_ALL_LOGITS ? item->n_tokens : 1;
    return malloc((size_t)(n_rows * scene->vocab_size) * sizeof(float));
}

/* Pieces of some prompts that are not whole yet, in any order. Returns their number; which[]: the
 * prompts. */
static int draw_items(const struct scene *scene, pp_item *items, int *which)
{
    static const int32_t outputs[] = {PP_OUTPUT_NONE, PP_OUTPUT_LAST_LOGITS, PP_OUTPUT_ALL_LOGITS,
                                      PP_OUTPUT_TOKEN};
    int n = 0, begin = (int)rng_between(&rng, 0, scene->n - 1);
    for (int j = 0; j < scene->n; j++) {
        const struct growing *g = &scene->all[(begin + j) % scene->n];
        int64_t done = length_of(g), rest = g->prompt.n_tokens - done;
        if (rest == 0 || (n > 0 && rng_between(&rng, 0, 3) == 0))
            continue;
        which[n] = (begin + j) % scene->n;
        items[n] = (pp_item){.struct_size = sizeof *items,
                             .cache = g->cache,
                             .tokens = g->prompt.tokens + done,
                             .n_tokens = draw_piece(rest),
                             .output = outputs[rng_between(&rng, 0, 3)]};
        if (items[n].output != PP_OUTPUT_NONE && items[n].output != PP_OUTPUT_TOKEN)
            items[n].logits = logits_room(scene, &items[n]);
        n++;
    }
    return n;
}

/* A plan of the items, or NULL: as they stand. */
static pp_plan *draw_plan(const pp_item *items, int n)
{
    int64_t lengths[MAX_PROMPTS];
    pp_packer *packer;
    pp_plan *plan;
    if (rng_between(&rng, 0, 1))
        return NULL;
    for (int i = 0; i < n; i++)
        lengths[i] = items[i].n_tokens;
    OK(pp_packer_create(NULL, &packer, perr));
    OK(pp_packer_plan(packer, lengths, (size_t)n, &plan, perr));
    pp_packer_destroy(packer);
    return plan;
}

/* Cuts tokens off, down to `least` at most; states of linear layers may be there only of a shorter
 * prompt. */
static void cut(struct growing *g, int64_t least)
{
    int64_t length = length_of(g);
    int64_t n = rng_between(&rng, least < length ? least : length, length);
    int64_t kept = pp_kvcache_kept(g->cache, n);
    pp_error err = {.struct_size = sizeof err};
    pp_status status = pp_kvcache_truncate(g->cache, n, &err);
    ck_assert_msg(status == (kept < n ? PP_SHORTER : PP_OK), "%s", err.message);
    ck_assert_int_eq(length_of(g), kept);
}

/* Forks, or cuts tokens off that come again. */
static void disturb(const struct scene *scene, struct growing *g)
{
    int64_t length = length_of(g);
    if (rng_between(&rng, 0, 5) == 0) {
        pp_kvcache *fork;
        OK(pp_kvcache_fork(g->cache, length, &fork, perr));
        if (rng_between(&rng, 0, 1)) { /* the copy goes on, the first one too but for nobody */
            pp_item item = {.struct_size = sizeof item,
                            .cache = g->cache,
                            .tokens = g->prompt.tokens,
                            .n_tokens = 1};
            OK(pp_run(scene->session, NULL, &item, 1, NULL, perr));
        }
        pp_kvcache_destroy(g->cache);
        g->cache = fork;
    }
    if (rng_between(&rng, 0, 5) == 0)
        cut(g, scene->keeps || g->longest < MAX_CUT ? 0 : g->longest - MAX_CUT);
}

static void run_once(struct scene *scene)
{
    pp_item items[MAX_PROMPTS];
    int which[MAX_PROMPTS], n = draw_items(scene, items, which);
    pp_plan *plan = draw_plan(items, n);
    OK(pp_run(scene->session, plan, items, n, NULL, perr));
    for (int i = 0; i < n; i++) {
        struct growing *g = &scene->all[which[i]];
        bool whole = (g->cache = items[i].cache, length_of(g) == g->prompt.n_tokens);
        if (length_of(g) > g->longest)
            g->longest = length_of(g);
        int64_t last = items[i].output == PP_OUTPUT_ALL_LOGITS ? items[i].n_tokens - 1 : 0;
        if (whole || rng_between(&rng, 0, 3) == 0)
            compare_alone(scene, g,
                          items[i].logits ? items[i].logits + last * scene->vocab_size : NULL);
        free(items[i].logits);
        if (!whole)
            disturb(scene, g);
    }
    pp_plan_destroy(plan);
}

static bool is_done(const struct scene *scene)
{
    for (int i = 0; i < scene->n; i++)
        if (length_of(&scene->all[i]) < scene->all[i].prompt.n_tokens)
            return false;
    return true;
}

static void check_target(pp_model *model, struct run_target target, const pp_prompt *prompts, int n)
{
    static const int32_t pass_tokens[] = {0, 64, 200, 1024};
    int32_t n_threads = (int32_t)rng_between(&rng, 1, 3);
    int32_t tokens = pass_tokens[rng_between(&rng, 0, 3)];
    struct scene scene = {.model = model, .n = n, .keeps = rng_between(&rng, 0, 1) != 0};
    pp_model_config config = {.struct_size = sizeof config};
    OK(pp_model_get_config(model, &config, perr));
    scene.vocab_size = config.vocab_size;
    scene.alone = run_session(model, target, 1, 0, 1);
    if (!scene.alone)
        return;
    scene.session = run_session(model, target, n_threads, tokens, scene.keeps);
    for (int i = 0; i < n; i++)
        scene.all[i].prompt = prompts[i];
    snprintf(scene.what, sizeof scene.what, "%s %s, %d threads, pass %d, keep %d", target.device,
             pp_dtype_name(target.dtype), n_threads, tokens, scene.keeps);
    while (!is_done(&scene))
        run_once(&scene);
    for (int i = 0; i < n; i++)
        pp_kvcache_destroy(scene.all[i].cache);
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(scene.session, &info, perr));
    ck_assert_int_eq(info.kv_bytes, 0);
    pp_session_destroy(scene.session);
    pp_session_destroy(scene.alone);
}

static void check_family(const char *family, int i_family, const int64_t *lengths, int n)
{
    printf("# %s, state %llu\n", family, (unsigned long long)rng.state);
    char *dir = checkpoint_write_family(family, &rng);
    pp_model *model;
    OK(pp_model_open(dir, NULL, &model, perr));
    pp_prompt *prompts = run_prompts(model, rng_next(&rng), lengths, (size_t)n);
    FOR_EACH_TARGET(target)
    if (run_takes(i_family, target_))
        check_target(model, *target, prompts, n);
    run_prompts_free(prompts, (size_t)n);
    pp_model_unref(model);
    checkpoint_remove(dir);
}

/* One prompt longer than passes and windows, others around a page and shorter. Experts take their
 * time on an emulated GPU. */
START_TEST(every_family)
{
    int i_family = _i * run_step();
    bool brief = run_on_cuda() && i_family >= checkpoint_n_plain_families();
    int64_t lengths[6] = {brief ? 70 : rng_between(&rng, 150, run_on_cuda() ? 160 : 400)};
    for (int i = 1; i < 6; i++)
        lengths[i] = rng_between(&rng, 1, brief ? 20 : 80);
    check_family(checkpoint_families[i_family], _i, lengths, 6);
}
END_TEST

/* The first n tokens, then the rest, and what they leave. */
static void run_cut(struct scene *scene, struct growing *g, int64_t n)
{
    for (int64_t done = 0; done < g->prompt.n_tokens; done = length_of(g)) {
        float *logits = malloc((size_t)scene->vocab_size * sizeof *logits);
        pp_item item = {.struct_size = sizeof item,
                        .cache = g->cache,
                        .tokens = g->prompt.tokens + done,
                        .n_tokens = done ? g->prompt.n_tokens - n : n,
                        .output = PP_OUTPUT_LAST_LOGITS,
                        .logits = logits};
        OK(pp_run(scene->session, NULL, &item, 1, NULL, perr));
        g->cache = item.cache;
        if (length_of(g) == g->prompt.n_tokens)
            compare_alone(scene, g, logits);
        free(logits);
    }
    pp_kvcache_destroy(g->cache);
    g->cache = NULL;
}

/* Layers of other kinds, cut at every token: convolutions, states, shared keys. */
START_TEST(every_cut)
{
    static const char *const families[] = {"qwen3_next", "granitemoehybrid", "gemma4_text"};
    const int64_t length = run_on_cuda() ? 8 : run_step() > 1 ? 24 : 70;
    const struct run_target target = *run_target(_i % 2);
    printf("# %s, state %llu\n", families[_i], (unsigned long long)rng.state);
    char *dir = checkpoint_write_family(families[_i], &rng);
    struct scene scene = {.keeps = true};
    pp_model_config config = {.struct_size = sizeof config};
    OK(pp_model_open(dir, NULL, &scene.model, perr));
    OK(pp_model_get_config(scene.model, &config, perr));
    scene.vocab_size = config.vocab_size;
    scene.alone = run_session(scene.model, target, 1, 0, 1);
    scene.session = run_session(scene.model, target, 1, 0, 1);
    pp_prompt *prompt = run_prompts(scene.model, rng_next(&rng), &length, 1);
    struct growing g = {.prompt = *prompt};
    snprintf(scene.what, sizeof scene.what, "%s %s", target.device, pp_dtype_name(target.dtype));
    for (int64_t n = 1; n < length && scene.session; n++)
        run_cut(&scene, &g, n);
    run_prompts_free(prompt, 1);
    pp_session_destroy(scene.session);
    pp_session_destroy(scene.alone);
    pp_model_unref(scene.model);
    checkpoint_remove(dir);
}
END_TEST

/* The length at which the angles change lies between 12 and 40. */
START_TEST(angles_by_length)
{
    static const char *const families[] = {"llama/dynamic",  "llama/longrope", "qwen3/dynamic",
                                           "gemma3/dynamic", "phi3/longrope",  "mistral/longrope"};
    int64_t lengths[MAX_PROMPTS];
    for (int i = 0; i < MAX_PROMPTS; i++)
        lengths[i] = rng_between(&rng, 1, 60);
    check_family(families[_i], _i, lengths, MAX_PROMPTS);
}
END_TEST

int main(void)
{
    int n_families = 0;
    while (checkpoint_families[n_families])
        n_families++;
    rng = rng_seeded(20251129);
    Suite *suite = suite_create("pieces");
    TCase *tcase = tcase_create("pieces");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, every_family, 0, (n_families - 1) / run_step() + 1);
    tcase_add_loop_test(tcase, every_cut, 0, 3);
    tcase_add_loop_test(tcase, angles_by_length, 0, 6 / run_step());
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
