/* model_tokenizer.h: the tokenizer that belongs to a model. */
#ifndef PREPACK_MODEL_TOKENIZER_H
#define PREPACK_MODEL_TOKENIZER_H

#include "data_options.h"
#include "engine.h"
#include "text_tokens.h"

/* Whether there is a tokenizer beside the model. */
bool model_has_tokenizer(const struct engine *engine);
/* Of an engine that was found; its model need not be open. The caller closes *tokenizer. */
int model_tokenizer_open(const struct engine *engine, const struct data_options *options,
                         struct tokenizer **tokenizer);
/* Of an engine whose model is open: every id must be one of the model's, and the end of a text is
 * the tokenizer's where the model states none. */
int model_tokenizer_join(const struct tokenizer *tokenizer, struct engine *engine);

#endif
