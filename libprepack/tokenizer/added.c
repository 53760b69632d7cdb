/*
 * added.c: finding added tokens: the leftmost, and of those that begin there the longest; see
 * added.h.
 */
#include "tokenizer/added.h"
#include "tokenizer/unicode/unicode.h"

#include <stdlib.h>

struct ppi_added_entry {
    const char *text; /* [n] as it is looked for */
    uint32_t n;
    uint32_t i_token;
};

/* ---- the list ---- */

pp_status ppi_added_put(struct ppi_added *added, const struct ppi_added_token *token, pp_error *err)
{
    if (token->n == 0)
        return PP_OK;
    if (added->n == PPI_MAX_ADDED)
        return ppi_error(err, PP_ERR_LIMIT, "more than %d added tokens", PPI_MAX_ADDED);
    if (added->n == added->room) {
        size_t room = added->room ? 2 * added->room : 32;
        struct ppi_added_token *tokens = ppi_alloc(added->mem, room, sizeof *tokens);
        if (!tokens)
            return ppi_error_nomem(err, "added tokens", room * sizeof *tokens);
        if (added->n)
            memcpy(tokens, added->tokens, added->n * sizeof *tokens);
        ppi_free(added->mem, added->tokens);
        added->tokens = tokens;
        added->room = room;
    }
    char *text = ppi_reading_copy(added->mem, token->text, token->n);
    if (!text)
        return ppi_error_nomem(err, "an added token", token->n);
    added->tokens[added->n] = *token;
    added->tokens[added->n++].text = text;
    return PP_OK;
}

void ppi_added_free(struct ppi_added *added)
{
    for (size_t i = 0; i < added->n; i++) {
        ppi_free(added->mem, added->tokens[i].text);
        ppi_free(added->mem, added->tokens[i].shown);
    }
    ppi_free(added->mem, added->tokens);
    ppi_free(added->mem, added->raw.entries);
    ppi_free(added->mem, added->normalized.entries);
    if (added->by_text.mem)
        ppi_vocab_free(&added->by_text);
    *added = (struct ppi_added){.mem = added->mem};
}

const struct ppi_added_token *ppi_added_find_id(const struct ppi_added *added, int32_t id)
{
    size_t low = 0, high = added->n;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (added->tokens[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < added->n && added->tokens[low].id == id ? &added->tokens[low] : NULL;
}

const struct ppi_added_token *ppi_added_find_text(const struct ppi_added *added, const char *text,
                                                  size_t n)
{
    int32_t i = added->by_text.table ? ppi_vocab_find(&added->by_text, text, n) : -1;
    return i < 0 ? NULL : &added->tokens[i];
}

/* ---- preparing ---- */

static int by_id(const void *a, const void *b)
{
    const struct ppi_added_token *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int by_text(const void *a, const void *b)
{
    const struct ppi_added_entry *x = a, *y = b;
    const int order = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    if (order || x->n != y->n)
        return order ? order : x->n > y->n ? 1 : -1;
    return (x->i_token > y->i_token) - (x->i_token < y->i_token);
}

static void note_pair(struct ppi_added_set *set, const struct ppi_added_entry *entry)
{
    const unsigned char first = (unsigned char)entry->text[0];
    for (unsigned second = 0; second < 256; second++)
        if (entry->n == 1 || second == (unsigned char)entry->text[1])
            set->pairs[first * 32u + second / 8] |= (uint8_t)(1u << second % 8);
}

/* The normalised text of a token. */
static pp_status normalize_token(const struct ppi_added *added,
                                 const struct ppi_normalizer *normalizer,
                                 struct ppi_added_token *token, pp_error *err)
{
    struct ppi_text text = ppi_text_start(added->mem, false);
    struct ppi_text spare = ppi_text_start(added->mem, false);
    struct ppi_pattern_work *work = NULL;
    ppi_text_put(&text, token->text, token->n, (struct ppi_span){0, 0});
    pp_status status = text.failed ? ppi_error_nomem(err, "an added token", token->n)
                                   : ppi_pattern_work_create(added->mem, &work, err);
    if (status >= 0)
        status = ppi_normalize(normalizer, &text, &spare, work, err);
    if (status >= 0) {
        token->shown = ppi_reading_copy(added->mem, text.bytes, text.n);
        token->n_shown = (uint32_t)text.n;
        if (!token->shown)
            status = ppi_error_nomem(err, "an added token", text.n);
    }
    ppi_pattern_work_destroy(work);
    ppi_text_free(&text);
    ppi_text_free(&spare);
    return status;
}

static pp_status fill_set(const struct ppi_added *added, const struct ppi_normalizer *normalizer,
                          bool normalized, struct ppi_added_set *set, pp_error *err)
{
    set->entries = ppi_alloc(added->mem, added->n, sizeof *set->entries);
    if (!set->entries)
        return ppi_error_nomem(err, "added tokens", added->n * sizeof *set->entries);
    for (size_t i = 0; i < added->n; i++) {
        struct ppi_added_token *token = &added->tokens[i];
        if (token->normalized != normalized)
            continue;
        if (normalized && normalizer)
            PP_TRY(normalize_token(added, normalizer, token, err));
        struct ppi_added_entry *entry = &set->entries[set->n++];
        *entry = token->shown ? (struct ppi_added_entry){token->shown, token->n_shown, (uint32_t)i}
                              : (struct ppi_added_entry){token->text, token->n, (uint32_t)i};
        if (entry->n > 0)
            note_pair(set, entry);
    }
    if (set->n)
        qsort(set->entries, set->n, sizeof *set->entries, by_text);
    return PP_OK;
}

/* by_text of the tokens as they stand. */
static pp_status index_texts(struct ppi_added *added, pp_error *err)
{
    struct ppi_token *texts = ppi_alloc(added->mem, added->n, sizeof *texts);
    if (!texts)
        return ppi_error_nomem(err, "added tokens", added->n * sizeof *texts);
    for (size_t i = 0; i < added->n; i++)
        texts[i] = (struct ppi_token){added->tokens[i].text, added->tokens[i].n};
    if (added->by_text.mem)
        ppi_vocab_free(&added->by_text);
    return ppi_vocab_build(&added->by_text, added->mem, texts, (int32_t)added->n, NULL, err);
}

/* Of tokens with one text the last stays, in the place of the first. */
static void drop_replaced(struct ppi_added *added)
{
    size_t n = 0;
    for (size_t i = 0; i < added->n; i++) {
        struct ppi_added_token *token = &added->tokens[i];
        const int32_t i_first = ppi_vocab_find(&added->by_text, token->text, token->n);
        if ((size_t)i_first == i)
            continue;
        char *text = added->tokens[i_first].text;
        added->tokens[i_first] = *token;
        added->tokens[i_first].text = text;
        ppi_free(added->mem, token->text);
        token->text = NULL;
    }
    for (size_t i = 0; i < added->n; i++)
        if (added->tokens[i].text)
            added->tokens[n++] = added->tokens[i];
    added->n = n;
}

pp_status ppi_added_finish(struct ppi_added *added, const struct ppi_normalizer *normalizer,
                           pp_error *err)
{
    PP_TRY(index_texts(added, err));
    drop_replaced(added);
    if (added->n)
        qsort(added->tokens, added->n, sizeof *added->tokens, by_id);
    PP_TRY(index_texts(added, err));
    PP_TRY(fill_set(added, NULL, false, &added->raw, err));
    return fill_set(added, normalizer, true, &added->normalized, err);
}

/* ---- finding ---- */

/* The longest entry that bytes[0, n) begins with, or NULL: the range of entries that agree with the
 * bytes so far grows narrower byte by byte, and its first is the shortest. */
static const struct ppi_added_entry *longest(const struct ppi_added_set *set, const char *bytes,
                                             size_t n)
{
    const struct ppi_added_entry *best = NULL;
    size_t low = 0, high = set->n;
    for (size_t depth = 0; low < high; depth++) {
        while (low < high && set->entries[low].n == depth) {
            best = depth > 0 ? &set->entries[low] : best;
            low++;
        }
        if (depth == n)
            break;
        const unsigned char byte = (unsigned char)bytes[depth];
        size_t end = high;
        for (size_t a = low, b = high; a < b;) { /* the first that is not below */
            const size_t middle = (a + b) / 2;
            if ((unsigned char)set->entries[middle].text[depth] < byte)
                a = middle + 1;
            else
                b = middle;
            low = a;
        }
        for (size_t a = low, b = high; a < b;) { /* the first that is above */
            const size_t middle = (a + b) / 2;
            if ((unsigned char)set->entries[middle].text[depth] <= byte)
                a = middle + 1;
            else
                b = middle;
            end = a;
        }
        high = low < high ? end : low;
    }
    return best;
}

static bool may_begin(const struct ppi_added_set *set, const char *bytes, size_t n)
{
    const unsigned char first = (unsigned char)bytes[0];
    const unsigned second = n > 1 ? (unsigned char)bytes[1] : 0;
    if (n > 1)
        return set->pairs[first * 32u + second / 8] >> second % 8 & 1;
    for (int i = 0; i < 32; i++)
        if (set->pairs[first * 32 + i])
            return true;
    return false;
}

static bool is_inside_word(const char *bytes, size_t n, struct ppi_span span)
{
    size_t n_char;
    if (span.begin > 0 && ppi_is_word(ppi_utf8_last(bytes, span.begin, &n_char)))
        return true;
    return span.end < n && ppi_is_word(ppi_utf8_get(bytes + span.end, &n_char));
}

/* The span with the white space that the token takes along. Where it may have none before it, white
 * space that the token before took along, up to `at`, belongs to both. */
static struct ppi_span widen(const struct ppi_added_token *token, const char *bytes, size_t n,
                             struct ppi_span span, size_t at)
{
    size_t n_char;
    while (token->lstrip && span.begin > at &&
           ppi_is_white_space(ppi_utf8_last(bytes, span.begin, &n_char)))
        span.begin -= (uint32_t)n_char;
    if (token->lstrip && span.begin < at)
        span.begin = (uint32_t)at;
    while (token->rstrip && span.end < n &&
           ppi_is_white_space(ppi_utf8_get(bytes + span.end, &n_char)))
        span.end += (uint32_t)n_char;
    return span;
}

/* The next token from cursor->from on. */
static bool find_token(const struct ppi_added_set *set, const struct ppi_added *added,
                       const char *bytes, size_t n, bool literal, struct ppi_added_cursor *cursor)
{
    while (set->n > 0 && cursor->from < n) {
        const size_t at = cursor->from;
        const struct ppi_added_entry *entry =
            may_begin(set, bytes + at, n - at) ? longest(set, bytes + at, n - at) : NULL;
        if (!entry) {
            cursor->from++;
            continue;
        }
        const struct ppi_added_token *token = &added->tokens[entry->i_token];
        struct ppi_span span = {(uint32_t)at, (uint32_t)at + entry->n};
        cursor->from = span.end;
        if ((literal && token->special) || (token->single_word && is_inside_word(bytes, n, span)))
            continue;
        span = widen(token, bytes, n, span, cursor->at);
        if (span.begin >= span.end)
            continue; /* all of it is white space that the token before took along */
        cursor->token = (struct ppi_added_match){span, token};
        return true;
    }
    return false;
}

bool ppi_added_next(const struct ppi_added_set *set, const struct ppi_added *added,
                    const char *bytes, size_t n, bool literal, struct ppi_added_cursor *cursor,
                    struct ppi_added_match *match)
{
    if (!cursor->has_token) {
        cursor->has_token = find_token(set, added, bytes, n, literal, cursor);
        const size_t end = cursor->has_token ? cursor->token.span.begin : n;
        if (cursor->at < end) {
            *match = (struct ppi_added_match){{(uint32_t)cursor->at, (uint32_t)end}, NULL};
            cursor->at = end;
            return true;
        }
        if (!cursor->has_token)
            return false;
    }
    *match = cursor->token;
    cursor->at = cursor->token.span.end;
    cursor->has_token = false;
    return true;
}
