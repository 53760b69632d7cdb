/* continuation.h: a prompt continued, and the JSON of all. */
#ifndef PREPACK_CONTINUATION_H
#define PREPACK_CONTINUATION_H

#include <jansson.h>
#include <prepack/prepack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct continuation {
    char *prompt;    /* owned; as it is shown: a text, or a list of ids */
    char *text;      /* owned; as it is shown, too */
    int32_t *tokens; /* [n_tokens], owned */
    size_t n_tokens;
    bool is_text;               /* text is one, and no list of ids */
    const pp_prompt *given_ids; /* the prompt; NULL: it was given as text */
    bool ended;                 /* by an end-of-text token, which is not among the tokens */
};

/* NULL without memory. Its keys are added to, never renamed. */
json_t *generate_json(const struct continuation *items, size_t n);

#endif
