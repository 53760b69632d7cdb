/*
 * test_golden_gguf.c: golden cases written as GGUF files compute what the directories do: the same
 * bits of logits, keys and values in f32, with the same description. What to_gguf.py marks as close
 * may differ in the last bits of a rotation. Converted, each computes the same bits again.
 */
#define _GNU_SOURCE
#include "golden_list.h"
#include "support/sessions.h"
#include "support/tap.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_FILES 100
#define TOLERANCE 1e-5 /* of the largest logit, where bits cannot be had */

struct gguf_case {
    char name[48], file[96];
    bool same_bits;
    int window; /* that the file does not state */
};

static struct gguf_case cases[MAX_FILES];
static int n_cases;

static const char *file_path(const char *name)
{
    static char path[1200];
    snprintf(path, sizeof path, "%s/%s", getenv("PREPACK_GOLDEN_GGUF"), name);
    return path;
}

/* Ends the program where the list is not what to_gguf.py writes. */
static void read_list(void)
{
    char line[256], kind[16];
    FILE *list = fopen(file_path("list.txt"), "r");
    while (list && n_cases < MAX_FILES && fgets(line, sizeof line, list)) {
        struct gguf_case *c = &cases[n_cases];
        if (sscanf(line, "%47s %95s %15s %d", c->name, c->file, kind, &c->window) == 4)
            n_cases++;
        c->same_bits = strcmp(kind, "bits") == 0;
    }
    if (list)
        fclose(list);
    if (n_cases < 52) {
        printf("Bail out! %s has %d files\n", file_path("list.txt"), n_cases);
        exit(EXIT_FAILURE);
    }
}

/* Keeps the last. */
static void keep_warning(void *user, int32_t level, const char *message)
{
    if (level <= PP_LOG_WARNING)
        snprintf(user, 256, "%s", message);
}

/* The file says nothing that is not understood, and stores nothing that is not used. */
static pp_model *open_file(const struct gguf_case *c)
{
    char warning[256] = "";
    pp_model *model;
    pp_model_params params;
    pp_model_params_init(&params, sizeof params);
    params.log = keep_warning;
    params.log_user = warning;
    params.sliding_window = c->window;
    OK(pp_model_open(file_path(c->file), &params, &model, perr));
    ck_assert_msg(warning[0] == '\0', "%s: %s", c->file, warning);
    return model;
}

static void compare_configs(const struct gguf_case *c, const pp_model *dir, const pp_model *file)
{
    pp_model_config a = {.struct_size = sizeof a}, b = {.struct_size = sizeof b};
    OK(pp_model_get_config(dir, &a, perr));
    OK(pp_model_get_config(file, &b, perr));
    if (strncmp(c->name, "mistral", 7) == 0 && c->window == 0)
        b.arch = a.arch; /* the file says llama, which is the same without a window */
    if (strcmp(c->name, "granitehybrid") == 0) {
        ck_assert_int_eq(b.max_position, 1 << 20); /* where nothing rotates */
        b.max_position = a.max_position;
    }
    if (strstr(c->name, "mxfp4")) {
        ck_assert_int_eq(b.dtype, PP_DTYPE_F32); /* of a file with blocks */
        b.dtype = a.dtype;
    }
    ck_assert_msg(memcmp(&a, &b, sizeof a) == 0, "%s: the descriptions differ", c->file);
    ck_assert_int_eq(pp_model_n_parameters(dir), pp_model_n_parameters(file));
    for (int32_t i = 0; i < a.n_layers; i++) {
        pp_layer_config x = {.struct_size = sizeof x}, y = {.struct_size = sizeof y};
        OK(pp_model_get_layer(dir, i, &x, perr));
        OK(pp_model_get_layer(file, i, &y, perr));
        ck_assert_int_eq(x.sliding_window, y.sliding_window);
        ck_assert_int_eq(x.rope_type, y.rope_type);
        ck_assert_int_eq(x.rotary_dim, y.rotary_dim);
        ck_assert(x.rope_theta == y.rope_theta);
    }
}

/* One prompt in a session of its own that keeps everything. */
static struct run_bits run_one(pp_model *model, pp_prompt prompt, int32_t weights)
{
    const float *logits;
    pp_kvcache *cache;
    pp_packer *packer;
    pp_plan *plan;
    pp_session *session;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.dtype = PP_DTYPE_F32;
    params.n_threads = params.keep_window_pages = 1;
    params.weights = weights;
    OK(pp_session_create(model, &params, &session, perr));
    OK(pp_packer_create(NULL, &packer, perr));
    OK(pp_packer_plan(packer, &prompt.n_tokens, 1, &plan, perr));
    OK(pp_prefill(session, plan, &prompt, 1, &cache, &logits, perr));
    struct run_bits bits = run_collect(session, cache, logits);
    pp_kvcache_destroy(cache);
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
    pp_session_destroy(session);
    return bits;
}

static void expect_close(const struct gguf_case *c, const float *a, const float *b, size_t n)
{
    double largest = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)a[i]));
        double error = fabs((double)a[i] - (double)b[i]);
        if (!(error <= worst))
            worst = error;
    }
    ck_assert_msg(worst <= TOLERANCE * largest, "%s: logits are off by %g of %g", c->file, worst,
                  largest);
}

static void compare_runs(const struct gguf_case *c, pp_model *dir, pp_model *file, int64_t length)
{
    pp_prompt *prompts = run_prompts(dir, (uint64_t)length, &length, 1);
    struct run_bits a = run_one(dir, prompts[0], PP_WEIGHTS_AUTO);
    struct run_bits b = run_one(file, prompts[0], PP_WEIGHTS_AUTO);
    if (c->same_bits) {
        const char *difference = run_bits_difference(&a, &b);
        ck_assert_msg(difference == NULL, "%s, %d tokens: %s", c->file, (int)length, difference);
    } else {
        expect_close(c, a.logits, b.logits, a.logits_bytes / sizeof *a.logits);
    }
    run_bits_free(&a);
    run_bits_free(&b);
    run_prompts_free(prompts, 1);
}

START_TEST(computes_what_the_directory_does)
{
    static const int64_t lengths[] = {1, 41, 90}; /* on both sides of windows, original lengths */
    const struct gguf_case *c = &cases[_i];
    pp_model *dir, *file = open_file(c);
    pp_model_params params;
    pp_model_params_init(&params, sizeof params);
    OK(pp_model_open(golden_dir(c->name), &params, &dir, perr));
    compare_configs(c, dir, file);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        compare_runs(c, dir, file, lengths[i]);
    pp_model_unref(dir);
    pp_model_unref(file);
}
END_TEST

/* ---- converted ---- */

/* Converts the file; false where a plain config.json has no words for what it says. */
static bool convert(pp_model *file, int32_t weights, const char *dir)
{
    pp_convert_params params;
    pp_error err = {.struct_size = sizeof err};
    pp_convert_params_init(&params, sizeof params);
    params.weights = weights;
    params.n_threads = 1;
    pp_status status = pp_model_convert(file, dir, &params, &err);
    bool plain = weights == PP_WEIGHTS_F32;
    ck_assert_msg(status >= 0 || (plain && strstr(err.message, "a plain config.json has no words")),
                  "%s", err.message);
    return status >= 0;
}

static void remove_model(const char *dir)
{
    static const char *const names[] = {"/config.json", "/generation_config.json",
                                        "/model.safetensors"};
    char path[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s%s", dir, names[i]);
        unlink(path);
    }
    ck_assert_int_eq(rmdir(dir), 0);
}

/* Everything that a file says goes over, also what a config.json has no words for. */
START_TEST(converts_to_the_same_bits)
{
    static const int64_t length = 90;
    const struct gguf_case *c = &cases[_i];
    const int32_t formats[] = {PP_WEIGHTS_F32, PP_WEIGHTS_INT8 + _i % 3};
    pp_model *file = open_file(c), *model;
    pp_prompt *prompts = run_prompts(file, 3, &length, 1);
    for (int f = 0; f < 2; f++) {
        char dir[] = "/tmp/prepack-golden-XXXXXX";
        ck_assert_ptr_nonnull(mkdtemp(dir));
        if (convert(file, formats[f], dir)) {
            OK(pp_model_open(dir, NULL, &model, perr));
            if (formats[f] != PP_WEIGHTS_F32) /* that one has another dtype */
                compare_configs(c, file, model);
            struct run_bits a = run_one(file, prompts[0], formats[f]);
            struct run_bits b = run_one(model, prompts[0], PP_WEIGHTS_AUTO);
            const char *difference = run_bits_difference(&a, &b);
            ck_assert_msg(difference == NULL, "%s to %s: %s", c->file, pp_weights_name(formats[f]),
                          difference);
            run_bits_free(&a);
            run_bits_free(&b);
            pp_model_unref(model);
        }
        remove_model(dir);
    }
    run_prompts_free(prompts, 1);
    pp_model_unref(file);
}
END_TEST

/* ---- experts in blocks ---- */

static char mixtures[MAX_FILES][64];
static int n_mixtures;

static void read_mixtures(void)
{
    FILE *list = fopen(file_path("blocks/list.txt"), "r");
    while (list && n_mixtures < MAX_FILES && fscanf(list, "%63s", mixtures[n_mixtures]) == 1)
        n_mixtures++;
    if (list)
        fclose(list);
    if (n_mixtures != 8) {
        printf("Bail out! %s has %d files\n", file_path("blocks/list.txt"), n_mixtures);
        exit(EXIT_FAILURE);
    }
}

static int64_t weight_bytes(pp_model *model, int32_t weights)
{
    pp_session *session;
    pp_session_params params;
    pp_session_info info = {.struct_size = sizeof info};
    pp_session_params_init(&params, sizeof params);
    params.dtype = PP_DTYPE_F32;
    params.n_threads = 1;
    params.weights = weights;
    OK(pp_session_create(model, &params, &session, perr));
    OK(pp_session_get_info(session, &info, perr));
    pp_session_destroy(session);
    return info.weight_bytes;
}

/* Stacks of experts stay as they are stored, a shared expert too, and compute what their numbers
 * do. */
START_TEST(keeps_experts_in_blocks)
{
    static const int64_t length = 41;
    struct gguf_case c = {.window = 0};
    snprintf(c.file, sizeof c.file, "blocks/%s", mixtures[_i]);
    pp_model *model = open_file(&c);
    pp_prompt *prompts = run_prompts(model, 3, &length, 1);
    struct run_bits a = run_one(model, prompts[0], PP_WEIGHTS_AUTO);
    struct run_bits b = run_one(model, prompts[0], PP_WEIGHTS_F32);
    expect_close(&c, a.logits, b.logits, a.logits_bytes / sizeof *a.logits);
    int64_t blocks = weight_bytes(model, PP_WEIGHTS_AUTO);
    int64_t numbers = weight_bytes(model, PP_WEIGHTS_F32);
    const int64_t stacks = 3 * 4 * 256 * 256 * (int64_t)sizeof(float);
    ck_assert_msg(numbers - blocks > stacks * 6 / 10, "%s: %lld bytes, of numbers %lld", c.file,
                  (long long)blocks, (long long)numbers);
    run_bits_free(&a);
    run_bits_free(&b);
    run_prompts_free(prompts, 1);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    read_list();
    read_mixtures();
    Suite *suite = suite_create("golden-gguf");
    TCase *tcase = tcase_create("golden-gguf");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, computes_what_the_directory_does, 0, n_cases);
    tcase_add_loop_test(tcase, converts_to_the_same_bits, 0, n_cases);
    tcase_add_loop_test(tcase, keeps_experts_in_blocks, 0, n_mixtures);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
