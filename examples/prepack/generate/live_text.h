/* live_text.h: the text of a single prompt on a terminal, as it is generated. */
#ifndef PREPACK_LIVE_TEXT_H
#define PREPACK_LIVE_TEXT_H

#include "text_stream.h"

#include <prepack/prepack.h>
#include <stdio.h>

struct live_text {
    struct text_stream stream;
    FILE *out;
};

/* Writes what comes before the text. tokenizer: NULL: ids are written. The caller closes it, also
 * after a failure. */
int live_text_open(struct tokenizer *tokenizer, const pp_prompt *prompt, const char *label,
                   FILE *out, struct live_text *live);
void live_text_close(struct live_text *live);

int live_text_push(struct live_text *live, int32_t token);
/* The last of the text, and the lines below it. */
int live_text_end(struct live_text *live);

#endif
