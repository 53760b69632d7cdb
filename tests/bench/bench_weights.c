/*
 * bench_weights.c: what the formats of weights change: perplexity of a text, how often the most
 * likely next token is another one than with bf16, and the bytes that the weights take.
 *
 *     bench_weights MODEL TEXT_FILE [TOKENS [LENGTH]]     the text's first TOKENS tokens (4096), in
 *                                                         prompts of LENGTH (512)
 */
#include "support/weight_accuracy.h"

#include <prepack/tokenizer.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void stop(const char *what)
{
    fprintf(stderr, "bench_weights: %s\n", what);
    exit(1);
}

static pp_text read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        stop("the text cannot be read");
    const size_t n = (size_t)ftell(file);
    char *bytes = malloc(n + 1);
    rewind(file);
    if (!bytes || fread(bytes, 1, n, file) != n)
        stop("the text cannot be read");
    fclose(file);
    return (pp_text){bytes, n};
}

static pp_encoding *encode(const char *path, pp_text text, pp_encoded *encoded, pp_error *err)
{
    pp_tokenizer *tokenizer;
    pp_encoding *encoding;
    *encoded = (pp_encoded){.struct_size = sizeof *encoded};
    if (pp_tokenizer_open(path, NULL, &tokenizer, err) < 0 ||
        pp_tokenizer_encode(tokenizer, &text, 1, NULL, &encoding, err) < 0 ||
        pp_encoding_get(encoding, 0, encoded, err) < 0)
        stop(err->message);
    pp_tokenizer_destroy(tokenizer);
    return encoding;
}

static void print_row(const struct readout *readout, const struct readout *plain,
                      const pp_prompt *prompts, int64_t n)
{
    const struct readout_change change = readout_compare(plain, readout, prompts, n);
    printf("%-6s %12.4f %+11.3f %% %14.3f %% %12.1f\n", pp_weights_name(readout->info.weights),
           exp(readout->loss), 100 * change.perplexity,
           100 * (double)change.all / (double)readout->n_tokens,
           1e-6 * (double)readout->info.weight_bytes);
}

static void compare(pp_model *model, const pp_prompt *prompts, int64_t n)
{
    static const int32_t formats[] = {PP_WEIGHTS_BF16, PP_WEIGHTS_INT8, PP_WEIGHTS_INT4,
                                      PP_WEIGHTS_NF4};
    struct readout plain = {.best = NULL};
    printf("%-6s %12s %13s %16s %12s\n", "", "perplexity", "by bf16's", "tokens changed", "MB");
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        pp_error err = {.struct_size = sizeof err};
        struct readout readout;
        pp_session_params params;
        pp_session_params_init(&params, sizeof params);
        params.dtype = PP_DTYPE_BF16;
        params.weights = formats[i];
        if (readout_take(model, &params, prompts, n, &readout, &err) < 0) {
            printf("%-6s left out: %s\n", pp_weights_name(formats[i]), err.message);
            if (i == 0)
                exit(1);
        } else if (readout.info.weights != formats[i]) {
            printf("%-6s left out: the session keeps %s\n", pp_weights_name(formats[i]),
                   pp_weights_name(readout.info.weights));
        } else {
            print_row(&readout, i == 0 ? &readout : &plain, prompts, n);
        }
        if (i == 0)
            plain = readout;
        else
            readout_free(&readout);
    }
    readout_free(&plain);
}

int main(int argc, char **argv)
{
    pp_error err = {.struct_size = sizeof err};
    pp_model *model;
    pp_encoded encoded;
    if (argc < 3)
        stop("MODEL TEXT_FILE [TOKENS [LENGTH]]");
    const int64_t n_tokens = argc > 3 ? atoll(argv[3]) : 4096;
    const int64_t length = argc > 4 ? atoll(argv[4]) : 512;
    const pp_text text = read_text(argv[2]);
    pp_encoding *encoding = encode(argv[1], text, &encoded, &err);
    const int64_t n = (encoded.n < n_tokens ? encoded.n : n_tokens) / (length > 1 ? length : 2);
    pp_prompt *prompts = n > 0 ? calloc((size_t)n, sizeof *prompts) : NULL;
    if (!prompts)
        stop("the text is shorter than one prompt");
    for (int64_t i = 0; i < n; i++)
        prompts[i] = (pp_prompt){encoded.ids + i * length, length};
    if (pp_model_open(argv[1], NULL, &model, &err) < 0)
        stop(err.message);
    printf("%s: %" PRId64 " prompts of %" PRId64 " tokens\n", argv[2], n, length);
    compare(model, prompts, n);
    pp_model_unref(model);
    free(prompts);
    pp_encoding_destroy(encoding);
    free((void *)text.bytes);
    return 0;
}
