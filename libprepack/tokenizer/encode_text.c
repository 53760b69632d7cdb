/*
 * encode_text.c: the path of one text: added tokens are found, what is between them is normalised,
 * falls into words, and words become tokens.
 */
#include "tokenizer/encode_work.h"
#include "tokenizer/unicode/unicode.h"

#define MAX_TEXT_BYTES ((size_t)1 << 30)

/* One text on its way. */
struct run {
    const pp_tokenizer *tokenizer;
    struct ppi_encode_work *work;
    const struct ppi_encode_how *how;
    struct ppi_tokens *tokens;
    pp_error *err;
    bool by_origin; /* whether a text begins the input is known by where it came from */
};

/* Texts know where their bytes came from. */
static bool is_traced(const struct run *run)
{
    return run->how->offsets || run->by_origin;
}

/* Tokens from `first` on have spans of a text on the way: they become spans of its source. */
static void trace(const struct run *run, const struct ppi_text *text, size_t first)
{
    for (size_t i = first; run->how->offsets && i < run->tokens->n; i++) {
        struct ppi_span *span = &run->tokens->spans[i];
        *span = ppi_text_origin(text, span->begin, span->end);
    }
}

static pp_status encode_words(const struct run *run, struct ppi_text *text, bool is_first)
{
    const pp_tokenizer *tokenizer = run->tokenizer;
    const struct ppi_pieces *pieces = tokenizer->pieces;
    struct ppi_encode_work *work = run->work;
    if (!tokenizer->splitter)
        return pieces->kind->encode(pieces, work->pieces, text->bytes, text->n, 0, run->tokens,
                                    run->err);
    work->words.n = 0;
    PP_TRY(ppi_split(tokenizer->splitter, text, is_first, &work->words, &work->spare,
                     &work->spare_words, work->patterns, run->err));
    for (size_t i = 0; i < work->words.n; i++) {
        const struct ppi_span word = work->words.items[i];
        PP_TRY(pieces->kind->encode(pieces, work->pieces, text->bytes + word.begin,
                                    word.end - word.begin, word.begin, run->tokens, run->err));
    }
    return PP_OK;
}

/* A text in which no added token is left. is_first: nothing of the source stands before it, not
 * even what a normalizer took away. */
static pp_status encode_plain(const struct run *run, struct ppi_text *text, bool is_first)
{
    const size_t first_token = run->tokens->n;
    if (text->n == 0)
        return PP_OK;
    if (run->by_origin)
        is_first = text->origin[0].begin == 0;
    run->tokens->first = is_first;
    PP_TRY(encode_words(run, text, is_first));
    trace(run, text, first_token);
    return PP_OK;
}

/* A normalised text: tokens that are looked for there, and what is between them. */
static pp_status encode_normalized(const struct run *run, struct ppi_text *text, bool is_first)
{
    const struct ppi_added *added = &run->tokenizer->added;
    struct ppi_text *part = &run->work->part;
    struct ppi_added_cursor cursor = {0};
    struct ppi_added_match match;
    if (added->normalized.n == 0)
        return encode_plain(run, text, is_first);
    while (ppi_added_next(&added->normalized, added, text->bytes, text->n, run->how->literal,
                          &cursor, &match)) {
        if (match.token) {
            const size_t first_token = run->tokens->n;
            ppi_tokens_put(run->tokens, match.token->id, match.span.begin, match.span.end);
            if (!run->tokens->failed)
                trace(run, text, first_token);
            continue;
        }
        ppi_text_clear(part, is_traced(run));
        ppi_text_copy(part, text, match.span.begin, match.span.end);
        if (part->failed)
            return ppi_error_nomem(run->err, "a text", match.span.end - match.span.begin);
        PP_TRY(encode_plain(run, part, is_first && match.span.begin == 0));
    }
    return PP_OK;
}

/* Bytes of the source between added tokens. */
static pp_status encode_between(const struct run *run, const char *bytes, struct ppi_span span)
{
    struct ppi_text *text = &run->work->text;
    const size_t n = span.end - span.begin;
    ppi_text_clear(text, is_traced(run));
    if (ppi_text_reserve(text, n)) {
        memcpy(text->bytes, bytes + span.begin, n);
        text->n = n;
    }
    if (text->failed)
        return ppi_error_nomem(run->err, "a text", n);
    size_t n_char;
    for (size_t i = 0; is_traced(run) && i < n; i += n_char) {
        ppi_utf8_get(text->bytes + i, &n_char);
        const uint32_t at = span.begin + (uint32_t)i;
        for (size_t k = 0; k < n_char; k++)
            text->origin[i + k] = (struct ppi_span){at, at + (uint32_t)n_char};
    }
    if (run->tokenizer->normalizer)
        PP_TRY(ppi_normalize(run->tokenizer->normalizer, text, &run->work->spare,
                             run->work->patterns, run->err));
    return encode_normalized(run, text, span.begin == 0);
}

static void put_edge(struct ppi_tokens *tokens, const int32_t *ids, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        ppi_tokens_put(tokens, ids[i], 0, 0);
}

/* A space of byte level, U+0120, or white space as it is. */
static bool is_space(uint32_t code)
{
    return code == 0x120 || ppi_is_white_space(code);
}

/* How many spaces a token begins and ends with. */
static void count_spaces(struct ppi_token token, uint32_t *n_left, uint32_t *n_right)
{
    size_t n_char;
    *n_left = *n_right = 0;
    for (size_t i = 0; i < token.n && is_space(ppi_utf8_get(token.text + i, &n_char)); i += n_char)
        ++*n_left;
    for (size_t n = token.n; n > 0 && is_space(ppi_utf8_last(token.text, n, &n_char)); n -= n_char)
        ++*n_right;
}

/* How much white space an added token took along. */
static void count_white(struct ppi_span span, const char *source, uint32_t *n_left,
                        uint32_t *n_right)
{
    size_t n_char;
    *n_left = *n_right = 0;
    while (span.begin < span.end &&
           ppi_is_white_space(ppi_utf8_get(source + span.begin, &n_char))) {
        span.begin += (uint32_t)n_char;
        ++*n_left;
    }
    while (span.begin < span.end && ppi_is_white_space(ppi_utf8_last(source, span.end, &n_char))) {
        span.end -= (uint32_t)n_char;
        ++*n_right;
    }
}

/* Moves a span's beginning, or its end, inwards by n characters of the source. */
static void narrow(struct ppi_span *span, const char *source, uint32_t n_left, uint32_t n_right)
{
    size_t n_char;
    for (; n_left > 0 && span->begin < span->end; n_left--) {
        ppi_utf8_get(source + span->begin, &n_char);
        span->begin += (uint32_t)n_char;
    }
    for (; n_right > 0 && span->begin < span->end; n_right--) {
        ppi_utf8_last(source, span->end, &n_char);
        span->end -= (uint32_t)n_char;
    }
}

/* Offsets leave out the spaces that tokens begin and end with; but a single one before the first
 * word may be none of the text's. */
static void trim_offsets(const struct run *run, const char *source, size_t first)
{
    for (size_t i = first; i < run->tokens->n; i++) {
        const int32_t id = run->tokens->ids[i];
        struct ppi_span *span = &run->tokens->spans[i];
        uint32_t n_left, n_right;
        if (ppi_added_find_id(&run->tokenizer->added, id))
            count_white(*span, source, &n_left, &n_right);
        else
            count_spaces(ppi_tokenizer_token(run->tokenizer, id), &n_left, &n_right);
        if (n_left == 1 && i == first && run->tokenizer->edges.add_prefix_space)
            n_left = 0;
        narrow(span, source, n_left, n_right);
    }
}

static pp_status check(const pp_text *text, pp_error *err)
{
    if (!text->bytes && text->n_bytes > 0)
        return ppi_error(err, PP_ERR_ARG, "a text of %zu bytes is NULL", text->n_bytes);
    if (text->n_bytes >= MAX_TEXT_BYTES)
        return ppi_error(err, PP_ERR_LIMIT, "a text has %zu bytes; fewer than %zu are accepted",
                         text->n_bytes, MAX_TEXT_BYTES);
    const size_t bad = ppi_utf8_check(text->bytes, text->n_bytes);
    if (bad < text->n_bytes)
        return ppi_error(err, PP_ERR_ARG, "a text is not UTF-8 at byte %zu (0x%02x)", bad,
                         (unsigned char)text->bytes[bad]);
    return PP_OK;
}

pp_status ppi_encode_text(const pp_tokenizer *tokenizer, struct ppi_encode_work *work,
                          const pp_text *text, const struct ppi_encode_how *how,
                          struct ppi_tokens *tokens, pp_error *err)
{
    const bool by_origin = ppi_splitter_asks_origin(tokenizer->splitter, tokenizer->normalizer);
    const struct run run = {tokenizer, work, how, tokens, err, by_origin};
    struct ppi_added_cursor cursor = {0};
    struct ppi_added_match match;
    PP_TRY(check(text, err));
    if (how->edges)
        put_edge(tokens, tokenizer->edges.before, tokenizer->edges.n_before);
    const size_t first = tokens->n;
    while (ppi_added_next(&tokenizer->added.raw, &tokenizer->added, text->bytes, text->n_bytes,
                          how->literal, &cursor, &match)) {
        if (match.token)
            ppi_tokens_put(tokens, match.token->id, match.span.begin, match.span.end);
        else
            PP_TRY(encode_between(&run, text->bytes, match.span));
    }
    if (how->offsets && tokenizer->edges.trim_offsets && !tokens->failed)
        trim_offsets(&run, text->bytes, first);
    if (how->edges)
        put_edge(tokens, tokenizer->edges.after, tokenizer->edges.n_after);
    return tokens->failed ? ppi_error_nomem(err, "tokens", tokens->room * sizeof *tokens->ids)
                          : PP_OK;
}
