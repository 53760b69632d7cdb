/* model_tokenizer.c: finds a model's tokenizer and holds the two against one another. */
#include "model_tokenizer.h"
#include "say.h"

int model_tokenizer_open(const struct engine *engine, const struct data_options *options,
                         struct tokenizer **tokenizer)
{
    if (!engine->dir)
        return fail("%s is a shape without tokenizer; text needs a model directory, and a shape a "
                    "list of token counts such as --dataset mmlu",
                    engine->name);
    return tokenizer_open(engine->dir, options->special == SPECIAL_LITERAL, tokenizer);
}

int model_tokenizer_try(const struct engine *engine, struct tokenizer **tokenizer)
{
    return engine->dir ? tokenizer_try(engine->dir, tokenizer) : STATUS_OK;
}

int model_tokenizer_join(const struct tokenizer *tokenizer, struct engine *engine)
{
    const int32_t n = tokenizer_size(tokenizer);
    if (n > engine->config.vocab_size)
        note("the tokenizer of %s has ids up to %d, but the model only %d tokens; a prompt with "
             "one that is too large is refused",
             engine->dir, n - 1, engine->config.vocab_size);
    if (engine->n_end_tokens == 0 && tokenizer_eos(tokenizer) >= 0)
        engine->end_tokens[engine->n_end_tokens++] = tokenizer_eos(tokenizer);
    return STATUS_OK;
}
