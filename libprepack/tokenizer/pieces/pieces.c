/*
 * pieces.c: lists of tokens; see pieces.h.
 */
#include "tokenizer/pieces/pieces.h"

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

pp_status ppi_error_no_token(const char *bytes, size_t n, pp_error *err)
{
    char text[64];
    size_t n_shown = n < sizeof text ? n : sizeof text - 1;
    while (n_shown < n && n_shown > 0 && ((unsigned char)bytes[n_shown] & 0xc0) == 0x80)
        n_shown--;
    if (n_shown)
        memcpy(text, bytes, n_shown);
    text[n_shown] = '\0';
    return ppi_error(err, PP_ERR_UNSUPPORTED,
                     "no token has \"%s\"%s, and the vocabulary has no unknown token", text,
                     n_shown < n ? " and what follows" : "");
}
