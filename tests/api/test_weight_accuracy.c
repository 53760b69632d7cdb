/*
 * test_weight_accuracy.c: how much the formats of weights may change on a trained model: the demo
 * model's own prompts, each format against bf16. The folder is the program's argument.
 */
#include "support/tap.h"
#include "support/weight_accuracy.h"

#include <prepack/tokenizer.h>

#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pp_error err = {.struct_size = sizeof err};
static const char *folder;
static pp_model *model;
static json_t *lines; /* of prompts.jsonl */
static pp_encoding *encoding;
static pp_prompt *prompts;
static int64_t n_prompts;

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)

/* The texts of prompts.jsonl, one JSON object a line. */
static void read_lines(void)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/prompts.jsonl", folder);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s cannot be read", path);
    lines = json_array();
    for (json_t *line; (line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL));)
        json_array_append_new(lines, line);
    fclose(file);
    n_prompts = (int64_t)json_array_size(lines);
    ck_assert_int_eq(n_prompts, 256);
}

static void set_up(void)
{
    pp_tokenizer *tokenizer;
    read_lines();
    pp_text *texts = calloc((size_t)n_prompts, sizeof *texts);
    prompts = calloc((size_t)n_prompts, sizeof *prompts);
    ck_assert(texts && prompts);
    for (int64_t i = 0; i < n_prompts; i++) {
        const char *text =
            json_string_value(json_object_get(json_array_get(lines, (size_t)i), "prompt"));
        ck_assert_ptr_nonnull(text);
        texts[i] = (pp_text){text, strlen(text)};
    }
    OK(pp_tokenizer_open(folder, NULL, &tokenizer, &err));
    OK(pp_tokenizer_encode(tokenizer, texts, n_prompts, NULL, &encoding, &err));
    for (int64_t i = 0; i < n_prompts; i++) {
        pp_encoded encoded = {.struct_size = sizeof encoded};
        OK(pp_encoding_get(encoding, i, &encoded, &err));
        prompts[i] = (pp_prompt){encoded.ids, encoded.n};
    }
    pp_tokenizer_destroy(tokenizer);
    free(texts);
    OK(pp_model_open(folder, NULL, &model, &err));
}

static void tear_down(void)
{
    pp_model_unref(model);
    pp_encoding_destroy(encoding);
    json_decref(lines);
    free(prompts);
}

static struct readout read_with(int32_t weights)
{
    struct readout readout;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.dtype = PP_DTYPE_BF16;
    params.weights = weights;
    OK(readout_take(model, &params, prompts, n_prompts, &readout, &err));
    ck_assert_int_eq(readout.info.weights, weights);
    return readout;
}

/* The limits: shares of the prompts' next tokens and of all tokens that may change, and how far the
 * perplexity may move. */
static const struct {
    int32_t weights;
    double last, all, perplexity;
    double bytes; /* of the matrices, by those of bf16, at most */
} limits[] = {
    {PP_WEIGHTS_INT8, 0.005, 0.02, 0.01, 0.55},
    {PP_WEIGHTS_INT4, 0.03, 0.08, 0.03, 0.40},
    {PP_WEIGHTS_NF4, 0.03, 0.08, 0.03, 0.40},
};

START_TEST(answers_stay)
{
    struct readout plain = read_with(PP_WEIGHTS_BF16);
    ck_assert_msg(exp(plain.loss) < 40, "perplexity %.3f: not the model that knows these prompts",
                  exp(plain.loss));
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct readout readout = read_with(limits[i].weights);
        const struct readout_change change = readout_compare(&plain, &readout, prompts, n_prompts);
        const char *name = pp_weights_name(limits[i].weights);
        printf("# %s: %d of %d next tokens and %d of %d tokens changed, perplexity %.4f (%+.2f "
               "%%), %.1f MB\n",
               name, (int)change.last, (int)n_prompts, (int)change.all, (int)readout.n_tokens,
               exp(readout.loss), 100 * change.perplexity,
               1e-6 * (double)readout.info.weight_bytes);
        ck_assert_msg((double)change.last <= limits[i].last * (double)n_prompts,
                      "%s changes the next token of %d prompts", name, (int)change.last);
        ck_assert_msg((double)change.all <= limits[i].all * (double)readout.n_tokens,
                      "%s changes %d of all tokens", name, (int)change.all);
        ck_assert_msg(fabs(change.perplexity) <= limits[i].perplexity,
                      "%s moves the perplexity by %.2f %%", name, 100 * change.perplexity);
        ck_assert_msg(readout.loss != plain.loss, "%s changes nothing at all", name);
        ck_assert_msg((double)readout.info.weight_bytes <=
                          limits[i].bytes * (double)plain.info.weight_bytes,
                      "%s takes %.0f bytes, bf16 %.0f", name, (double)readout.info.weight_bytes,
                      (double)plain.info.weight_bytes);
        readout_free(&readout);
    }
    printf("# bf16: perplexity %.4f, %.1f MB\n", exp(plain.loss),
           1e-6 * (double)plain.info.weight_bytes);
    readout_free(&plain);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2)
        return EXIT_FAILURE;
    folder = argv[1];
    Suite *suite = suite_create("weight accuracy");
    TCase *tcase = tcase_create("demo model");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, answers_stay);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
