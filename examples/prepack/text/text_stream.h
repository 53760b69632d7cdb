/* text_stream.h: the text of token ids that come one by one, given out as soon as its characters
 * are whole. */
#ifndef PREPACK_TEXT_STREAM_H
#define PREPACK_TEXT_STREAM_H

#include "tokenizer.h"

#include <stdbool.h>

struct text_stream {
    struct tokenizer *tokenizer; /* NULL: the ids themselves are written, as a JSON list */
    int32_t *ids;                /* owned; what came before, then those that came */
    size_t n_before, n_ids, room;
    size_t n_given; /* bytes of the text of ids[n_before..] that were given */
    bool any;       /* an id came */
    char *text;     /* owned; what the last call gave */
};

/* before: the ids that the text follows, copied. The caller closes the stream, also after a
 * failure; the tokenizer outlives it. */
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
