/*
 * pieces.c: lists of tokens; see pieces.h.
 */
#include "tokenizer/pieces.h"

/* Doubles what both arrays hold. */
static bool grow(struct ppi_tokens *tokens)
{
    size_t room = tokens->room ? tokens->room * 2 : 256;
    int32_t *ids = ppi_alloc(tokens->mem, room, sizeof *ids);
    struct ppi_span *spans =
        ids && tokens->traced ? ppi_alloc(tokens->mem, room, sizeof *spans) : NULL;
    if (!ids || (tokens->traced && !spans)) {
        ppi_free(tokens->mem, ids);
        return false;
    }
    if (tokens->n)
        memcpy(ids, tokens->ids, tokens->n * sizeof *ids);
    if (tokens->n && spans)
        memcpy(spans, tokens->spans, tokens->n * sizeof *spans);
    ppi_free(tokens->mem, tokens->ids);
    ppi_free(tokens->mem, tokens->spans);
    tokens->ids = ids;
    tokens->spans = spans;
    tokens->room = room;
    return true;
}

bool ppi_tokens_reserve(struct ppi_tokens *tokens, size_t n)
{
    while (!tokens->failed && tokens->room - tokens->n < n)
        tokens->failed = !grow(tokens);
    return !tokens->failed;
}

void ppi_tokens_free(struct ppi_tokens *tokens)
{
    ppi_free(tokens->mem, tokens->ids);
    ppi_free(tokens->mem, tokens->spans);
    *tokens = (struct ppi_tokens){.mem = tokens->mem};
}
