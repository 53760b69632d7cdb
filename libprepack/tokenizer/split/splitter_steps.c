/*
 * splitter_steps.c: the steps of a splitter; see splitter_steps.h.
 */
#include "tokenizer/split/splitter_steps.h"

#include "tokenizer/split/byte_level.h"
#include "tokenizer/unicode/unicode.h"

/* ---- cutting ---- */

/* Takes the parts of a word, found and not found in turn, and puts words. */
struct cutter {
    struct ppi_spans *out;
    int32_t behavior;
    bool inverted;
    bool was_found, is_open; /* of the part before; whether `open` is not put yet */
    struct ppi_span open;
};

static void put_word(struct cutter *cutter, size_t begin, size_t end)
{
    if (begin < end)
        ppi_spans_put(cutter->out, begin, end);
}

static void put_open(struct cutter *cutter)
{
    if (cutter->is_open)
        put_word(cutter, cutter->open.begin, cutter->open.end);
    cutter->is_open = false;
}

/* Whether a part belongs to the same word as the one before. */
static bool is_joined(const struct cutter *cutter, bool found)
{
    switch (cutter->behavior) {
    case PPI_MERGED_WITH_PREVIOUS:
        return found && !cutter->was_found;
    case PPI_MERGED_WITH_NEXT:
        return !found && cutter->was_found;
    default:
        return found == cutter->was_found;
    }
}

static void cut(struct cutter *cutter, size_t begin, size_t end, bool found)
{
    found ^= cutter->inverted;
    if (cutter->behavior <= PPI_ISOLATED) {
        if (!found || cutter->behavior == PPI_ISOLATED)
            put_word(cutter, begin, end);
        return;
    }
    if (cutter->is_open && is_joined(cutter, found)) {
        cutter->open.end = (uint32_t)end;
    } else {
        put_open(cutter);
        cutter->open = (struct ppi_span){(uint32_t)begin, (uint32_t)end};
        cutter->is_open = true;
    }
    cutter->was_found = found;
}

static pp_status cut_by_pattern(const struct ppi_split_step *step, const char *bytes, size_t n,
                                size_t at, struct cutter *cutter, struct ppi_pattern_work *work,
                                pp_error *err)
{
    struct ppi_matches matches = {0};
    struct ppi_span match;
    size_t last = 0;
    pp_status status;
    while ((status = ppi_matches_next(&matches, step->pattern, work, bytes, n, &match, err)) > 0) {
        if (match.begin != last)
            cut(cutter, at + last, at + match.begin, false);
        cut(cutter, at + match.begin, at + match.end, true);
        last = match.end;
    }
    if (status == 0 && last != n)
        cut(cutter, at + last, at + n, false);
    return status;
}

static void cut_by_chars(const struct ppi_split_step *step, const char *bytes, size_t n, size_t at,
                         struct cutter *cutter)
{
    size_t last = 0;
    for (size_t i = 0, step_bytes; i < n; i += step_bytes) {
        const uint32_t code = ppi_utf8_get(bytes + i, &step_bytes);
        if (step->wanted ? !step->wanted(code) : code != step->code)
            continue;
        if (last < i)
            cut(cutter, at + last, at + i, false);
        last = i + step_bytes;
        cut(cutter, at + i, at + last, true);
    }
    if (last < n)
        cut(cutter, at + last, at + n, false);
}

/* 0: white, 1: of a word, 2: neither. */
static int run_kind(uint32_t code)
{
    return ppi_is_word(code) ? 1 : ppi_is_white_space(code) ? 0 : 2;
}

static void cut_runs(const char *bytes, size_t n, size_t at, struct cutter *cutter)
{
    int kind = 0;
    size_t begin = 0;
    for (size_t i = 0, step_bytes; i < n; i += step_bytes) {
        const int here = run_kind(ppi_utf8_get(bytes + i, &step_bytes));
        if (here == kind)
            continue;
        if (kind)
            put_word(cutter, at + begin, at + i);
        kind = here;
        begin = i;
    }
    if (kind)
        put_word(cutter, at + begin, at + n);
}

static void cut_lengths(const struct ppi_split_step *step, const char *bytes, size_t n, size_t at,
                        struct cutter *cutter)
{
    size_t begin = 0, i = 0;
    while (begin < n) {
        for (int64_t k = 0; k < step->length && i < n; k++) {
            size_t step_bytes;
            ppi_utf8_get(bytes + i, &step_bytes);
            i += step_bytes;
        }
        put_word(cutter, at + begin, at + i);
        begin = i;
    }
}

pp_status ppi_split_words(const struct ppi_split_step *step, const struct ppi_text *text,
                          const struct ppi_spans *words, struct ppi_spans *out,
                          struct ppi_pattern_work *work, pp_error *err)
{
    for (size_t i = 0; i < words->n; i++) {
        const size_t at = words->items[i].begin;
        const size_t n = words->items[i].end - at;
        const char *bytes = text->bytes + at;
        struct cutter cutter = {.out = out, .behavior = step->behavior, .inverted = step->inverted};
        switch (step->kind) {
        case PPI_SPLIT_PATTERN:
            PP_TRY(cut_by_pattern(step, bytes, n, at, &cutter, work, err));
            break;
        case PPI_SPLIT_CHARS:
            cut_by_chars(step, bytes, n, at, &cutter);
            break;
        case PPI_SPLIT_RUNS:
            cut_runs(bytes, n, at, &cutter);
            break;
        default:
            cut_lengths(step, bytes, n, at, &cutter);
        }
        put_open(&cutter);
    }
    return PP_OK;
}

/* ---- writing anew ---- */

bool ppi_split_rewrites(const struct ppi_split_step *step)
{
    return step->kind >= PPI_SPLIT_META;
}

static struct ppi_span origin_of(const struct ppi_text *text, size_t i)
{
    return text->traced ? text->origin[i] : (struct ppi_span){0, 0};
}

/* Whether a word begins the input; of a text that is not traced, the text. */
static bool is_at_start(const struct ppi_text *text, struct ppi_span word)
{
    return text->traced ? text->origin[word.begin].begin == 0 : word.begin == 0;
}

static void write_meta(const struct ppi_split_step *step, const struct ppi_text *text, bool first,
                       struct ppi_span word, struct ppi_text *out)
{
    char meta[4];
    const size_t n_meta = ppi_utf8_put(step->code, meta);
    const bool has_one =
        text->bytes[word.begin] == ' ' ||
        (word.end - word.begin >= n_meta && memcmp(text->bytes + word.begin, meta, n_meta) == 0);
    if (!has_one && (step->prepend == PPI_PREPEND_ALWAYS ||
                     (step->prepend == PPI_PREPEND_FIRST && first && is_at_start(text, word))))
        ppi_text_put(out, meta, n_meta, origin_of(text, word.begin));
    size_t last = word.begin;
    for (size_t i = word.begin; i < word.end; i++) {
        if (text->bytes[i] != ' ')
            continue;
        ppi_text_copy(out, text, last, i);
        ppi_text_put(out, meta, n_meta, origin_of(text, i));
        last = i + 1;
    }
    ppi_text_copy(out, text, last, word.end);
}

static void write_prefixed(const struct ppi_text *text, struct ppi_span word, struct ppi_text *out)
{
    if (text->bytes[word.begin] != ' ')
        ppi_text_put(out, " ", 1, origin_of(text, word.begin));
    ppi_text_copy(out, text, word.begin, word.end);
}

static void write_spelled(const struct ppi_text *text, struct ppi_span word, struct ppi_text *out)
{
    for (size_t i = word.begin; i < word.end; i++)
        ppi_text_put_char(out, ppi_byte_level_char((unsigned char)text->bytes[i]),
                          origin_of(text, i));
}

void ppi_split_rewrite(const struct ppi_split_step *step, const struct ppi_text *text, bool first,
                       const struct ppi_spans *words, struct ppi_text *out,
                       struct ppi_spans *new_words)
{
    for (size_t i = 0; i < words->n; i++) {
        const size_t begin = out->n;
        if (step->kind == PPI_SPLIT_META)
            write_meta(step, text, first, words->items[i], out);
        else if (step->kind == PPI_SPLIT_PREFIX)
            write_prefixed(text, words->items[i], out);
        else
            write_spelled(text, words->items[i], out);
        ppi_spans_put(new_words, begin, out->n);
    }
}
