/* text_stream.h: the text of token ids that come one by one, given out as soon as its characters
 * are whole. */
#ifndef PREPACK_TEXT_STREAM_H
#define PREPACK_TEXT_STREAM_H

#include "text_tokens.h"

#include <stdbool.h>

struct text_stream {
    pp_text_stream *stream; /* NULL: the ids themselves are written, as a JSON list */
    bool any;               /* an id came */
    char *text;             /* owned; what the last call gave */
};

/* tokenizer: NULL where there is none. before: the ids that the text follows. The caller closes the
 * stream, also after a failure; the tokenizer outlives it. */
int text_stream_open(struct tokenizer *tokenizer, const int32_t *before, size_t n_before,
                     struct text_stream *stream);
void text_stream_close(struct text_stream *stream);

/* *text: the UTF-8 text that n more ids complete, maybe none; the stream's, until the next call. */
int text_stream_push(struct text_stream *stream, const int32_t *ids, size_t n, const char **text);
/* *text: what was held back because more might have completed it. */
int text_stream_end(struct text_stream *stream, const char **text);

/* "[1, 15, 27]"; NULL without memory. The caller frees it. */
char *ids_text(const int32_t *ids, size_t n);

#endif
