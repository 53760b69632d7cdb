/* continuation.h: a prompt continued, and the JSON of all. */
#ifndef PREPACK_CONTINUATION_H
#define PREPACK_CONTINUATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct continuation {
    const char *prompt;
    char *text;      /* owned */
    int32_t *tokens; /* [n_tokens], owned */
    size_t n_tokens;
    bool ended; /* by an end-of-text token, which is not among the tokens */
};

/* NULL without memory. Its keys are added to, never renamed. */
json_t *generate_json(const struct continuation *items, size_t n);

#endif
