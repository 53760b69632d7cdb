/* model_tokenizer.h: the tokenizer that belongs to a model. */
#ifndef PREPACK_MODEL_TOKENIZER_H
#define PREPACK_MODEL_TOKENIZER_H

#include "data_options.h"
#include "engine.h"
#include "text_tokens.h"

/* Of an engine that was found; its model need not be open. The caller closes *tokenizer. */
int model_tokenizer_open(const struct engine *engine, const struct data_options *options,
                         struct tokenizer **tokenizer);
/* The same for who can do without: *tokenizer stays where the model has none; one that cannot be
 * used is said in a note. */
int model_tokenizer_try(const struct engine *engine, struct tokenizer **tokenizer);
/* Of an engine whose model is open: ids beyond the model's are said in a note, and the end of a
 * text is the tokenizer's where the model states none. */
int model_tokenizer_join(const struct tokenizer *tokenizer, struct engine *engine);

#endif
