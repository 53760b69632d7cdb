/* model_tokenizer.c: finds a model's tokenizer and holds the two against one another. */
#include "model_tokenizer.h"
#include "files.h"
#include "say.h"

#include <stdlib.h>

bool model_has_tokenizer(const struct engine *engine)
{
    char *path = engine->dir ? join_path(engine->dir, "tokenizer.model") : NULL;
    const bool has = path && file_exists(path);
    free(path);
    return has;
}

int model_tokenizer_open(const struct engine *engine, const struct data_options *options,
                         struct tokenizer **tokenizer)
{
    struct tokenizer_config config;
    if (!engine->dir)
        return fail("%s is a shape without tokenizer; text needs a model directory, and a shape a "
                    "list of token counts such as --dataset mmlu",
                    engine->name);
    char *path = join_path(engine->dir, "tokenizer.model");
    if (!path)
        return fail_memory();
    int status;
    if (!file_exists(path)) {
        status = fail("%s has no tokenizer.model (SentencePiece), so text cannot be tokenized",
                      engine->dir);
    } else {
        status = tokenizer_config_read(engine->dir, &config);
        config.split_special |= options->special == SPECIAL_LITERAL;
        if (!status)
            status = tokenizer_open(path, &config, tokenizer);
        tokenizer_config_free(&config);
    }
    free(path);
    return status;
}

int model_tokenizer_join(const struct tokenizer *tokenizer, struct engine *engine)
{
    const int32_t n = tokenizer_size(tokenizer);
    if (n > engine->config.vocab_size)
        return fail("the tokenizer of %s has %d pieces, but the model has only %d", engine->dir, n,
                    engine->config.vocab_size);
    if (engine->n_end_tokens == 0 && tokenizer_eos(tokenizer) >= 0)
        engine->end_tokens[engine->n_end_tokens++] = tokenizer_eos(tokenizer);
    return STATUS_OK;
}
