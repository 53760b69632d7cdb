/*
 * pattern_translate.c: writes a regular expression for PCRE2; see pattern_translate.h. The work is
 * in sets: ranges are exact but long, and PCRE2 looks at them one after the other; its properties
 * are one look, but of another version of Unicode. So a set is written as the properties that lie
 * in it whole, and ranges for the rest and for what changed between the versions.
 */
#include "tokenizer/pattern/pattern_translate.h"

#include "tokenizer/unicode/unicode_tables.h"

#include <stdio.h>

static void put_text(struct ppi_text *out, const char *text)
{
    ppi_text_put(out, text, strlen(text), (struct ppi_span){0, 0});
}

static void put_code(struct ppi_text *out, uint32_t code)
{
    char text[16];
    if ((code >= '0' && code <= '9') || ((code | 0x20) >= 'a' && (code | 0x20) <= 'z'))
        snprintf(text, sizeof text, "%c", (int)code);
    else
        snprintf(text, sizeof text, "\\x{%x}", (unsigned)code);
    put_text(out, text);
}

/* ---- sets ---- */

/* Characters of which all is the same: [begin, end). */
struct stretch {
    uint32_t begin, end;
    uint32_t category;
    uint32_t old; /* 0, or one more than their category of Unicode 14 */
    bool in;      /* of the set */
};

struct stretches {
    const struct ppi_span *ranges; /* [n] of the set */
    size_t n;
    size_t run, change, range; /* where the walk is */
    uint32_t at;
};

static uint32_t run_end(const uint32_t *runs, size_t n, size_t i)
{
    return i + 1 < n ? runs[i + 1] >> 11 : PPI_CHARS_END;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static bool next_stretch(struct stretches *walk, struct stretch *here)
{
    const uint32_t at = walk->at;
    if (at == PPI_CHARS_END)
        return false;
    while (run_end(ppi_unicode_runs, PPI_UNICODE_RUNS, walk->run) <= at)
        walk->run++;
    while (run_end(ppi_unicode_changed, PPI_UNICODE_CHANGED_RUNS, walk->change) <= at)
        walk->change++;
    while (walk->range < walk->n && walk->ranges[walk->range].end <= at)
        walk->range++;
    const struct ppi_span range = walk->range < walk->n
                                      ? walk->ranges[walk->range]
                                      : (struct ppi_span){PPI_CHARS_END, PPI_CHARS_END};
    *here = (struct stretch){.begin = at,
                             .category = ppi_unicode_runs[walk->run] & 31,
                             .old = ppi_unicode_changed[walk->change] & 0x7ff,
                             .in = range.begin <= at};
    here->end = smaller(run_end(ppi_unicode_runs, PPI_UNICODE_RUNS, walk->run),
                        run_end(ppi_unicode_changed, PPI_UNICODE_CHANGED_RUNS, walk->change));
    here->end = smaller(here->end, here->in ? range.end : range.begin);
    if (at < 0x80)
        here->end = smaller(here->end, 0x80);
    walk->at = here->end;
    return true;
}

/* The categories that lie in the set whole, also as PCRE2 sees them, and are worth a look. */
static uint32_t whole_categories(const struct ppi_spans *set)
{
    /* of these PCRE2's bitmap holds most */
    uint32_t left_out = 1u << PPI_CN | 1u << PPI_ZS | 1u << PPI_ZL | 1u << PPI_ZP | 1u << PPI_CC;
    uint32_t n_in[PPI_N_CATEGORIES] = {0};
    uint32_t whole = 0;
    struct stretches walk = {.ranges = set->items, .n = set->n};
    struct stretch here;
    while (next_stretch(&walk, &here)) {
        if (here.in && !here.old)
            n_in[here.category]++;
        if (!here.in)
            left_out |= 1u << (here.old ? here.old - 1 : here.category);
    }
    for (uint32_t i = 0; i < PPI_N_CATEGORIES; i++) {
        if (n_in[i] >= 4)
            whole |= 1u << i;
    }
    return whole & ~left_out;
}

/* Characters [begin, end); surrogates are none. */
static void put_range(struct ppi_text *out, uint32_t begin, uint32_t end)
{
    if (begin >= 0xd800 && begin < 0xe000)
        begin = 0xe000;
    if (end > 0xd800 && end <= 0xe000)
        end = 0xd800;
    if (begin >= end)
        return;
    put_code(out, begin);
    if (end - begin > 2)
        put_text(out, "-");
    if (end - begin > 1)
        put_code(out, end - 1);
}

static void put_ranges(struct ppi_text *out, const struct ppi_spans *set, uint32_t whole)
{
    struct stretches walk = {.ranges = set->items, .n = set->n};
    struct stretch here;
    uint32_t begin = 0, end = 0;
    while (next_stretch(&walk, &here)) {
        if (!here.in) {
            put_range(out, begin, end);
            begin = end = 0;
        } else if (here.begin < 0x80 || here.old || !(whole >> here.category & 1)) {
            /* what lies between is in the set too */
            begin = end ? begin : here.begin;
            end = here.end;
        }
    }
    put_range(out, begin, end);
}

static void put_properties(struct ppi_text *out, uint32_t whole)
{
    static const char names[PPI_N_CATEGORIES][3] = {
        "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps",
        "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co"};
    for (uint32_t first = 0, next; first < PPI_N_CATEGORIES; first = next) {
        /* categories of one letter stand together: \p{L} where all of them are there */
        uint32_t all = 0;
        for (next = first; next < PPI_N_CATEGORIES && names[next][0] == names[first][0]; next++)
            all |= 1u << next;
        char text[16];
        if (first > 0 && (whole & all) == all && names[first][0] != 'C') {
            snprintf(text, sizeof text, "\\p{%c}", names[first][0]);
            put_text(out, text);
            continue;
        }
        for (uint32_t i = first; i < next; i++) {
            if (whole >> i & 1) {
                snprintf(text, sizeof text, "\\p{%s}", names[i]);
                put_text(out, text);
            }
        }
    }
}

static void put_set(struct ppi_text *out, const struct ppi_span *ranges, size_t n)
{
    struct ppi_spans set = {.mem = out->mem};
    if (n == 0) {
        put_text(out, "(?!)");
        return;
    }
    if (n == 1 && ranges[0].end - ranges[0].begin == 1) {
        put_code(out, ranges[0].begin);
        return;
    }
    for (size_t i = 0; i < n; i++)
        ppi_spans_put(&set, ranges[i].begin, ranges[i].end);
    /* the smaller side: unassigned characters are no property that stays */
    const bool inverted = ranges[n - 1].end == PPI_CHARS_END;
    if (inverted)
        ppi_charset_invert(&set);
    if (set.n == 0) {
        put_text(out, "(?s:.)");
    } else {
        const uint32_t whole = whole_categories(&set);
        put_text(out, inverted ? "[^" : "[");
        put_ranges(out, &set, whole);
        put_properties(out, whole);
        put_text(out, "]");
    }
    out->failed |= set.failed;
    ppi_spans_free(&set);
}

/* ---- the rest ---- */

static void put_word_edge(struct ppi_text *out, bool edge)
{
    struct ppi_spans word = {.mem = out->mem};
    ppi_charset_put_posix(&word, "word", 4);
    ppi_spans_put(&word, 0xb2, 0xb4);
    ppi_spans_put(&word, 0xb9, 0xba);
    ppi_spans_put(&word, 0xbc, 0xbf);
    ppi_charset_tidy(&word);
    static const char *const parts[2][4] = {{"(?:(?<=", ")(?=", ")|(?<!", ")(?!"},
                                            {"(?:(?<=", ")(?!", ")|(?<!", ")(?="}};
    for (int i = 0; i < 4; i++) {
        put_text(out, parts[edge][i]);
        put_set(out, word.items, word.n);
    }
    put_text(out, "))");
    out->failed |= word.failed;
    ppi_spans_free(&word);
}

static void put_anchor(struct ppi_text *out, int32_t detail)
{
    static const char *const anchors[] = {"^", "$", "\\A", "\\z", "\\Z"};
    if (detail == PPI_ANCHOR_WORD_EDGE || detail == PPI_ANCHOR_NO_WORD_EDGE)
        put_word_edge(out, detail == PPI_ANCHOR_WORD_EDGE);
    else
        put_text(out, anchors[detail]);
}

static void put_repeat(struct ppi_text *out, const struct ppi_item *item)
{
    static const char *const suffixes[] = {"", "?", "+"};
    char text[40];
    if (item->max != PPI_REPEAT_FOREVER)
        snprintf(text, sizeof text, "{%u,%u}", item->min, item->max);
    else
        snprintf(text, sizeof text, "{%u,}", item->min);
    put_text(out, text);
    put_text(out, suffixes[item->detail]);
}

/* Puts a group around what was written from `begin` on. */
static void wrap(struct ppi_text *out, size_t begin)
{
    static const char open[] = {'(', '?', ':'};
    if (!ppi_text_reserve(out, sizeof open))
        return;
    memmove(out->bytes + begin + sizeof open, out->bytes + begin, out->n - begin);
    memcpy(out->bytes + begin, open, sizeof open);
    out->n += sizeof open;
    put_text(out, ")");
}

void ppi_pattern_translate(const struct ppi_parsed *parsed, struct ppi_text *out)
{
    static const char *const groups[] = {"(?:", "(?>", "(?=", "(?!", "(?<=", "(?<!"};
    size_t begins[PPI_PATTERN_MAX_DEPTH];
    size_t depth = 0, begin = 0; /* where what may be repeated begins */
    for (size_t i = 0; i < parsed->n && !out->failed; i++) {
        const struct ppi_item *item = &parsed->items[i];
        if (item->kind == PPI_ITEM_REPEAT) {
            if (parsed->items[i - 1].kind == PPI_ITEM_REPEAT)
                wrap(out, begin);
            put_repeat(out, item);
            continue;
        }
        if (item->kind == PPI_ITEM_CLOSE)
            begin = begins[--depth];
        else
            begin = out->n;
        if (item->kind == PPI_ITEM_SET)
            put_set(out, item->set_count ? parsed->sets.items + item->set_begin : NULL,
                    item->set_count);
        else if (item->kind == PPI_ITEM_ANCHOR)
            put_anchor(out, item->detail);
        else if (item->kind == PPI_ITEM_OPEN) {
            begins[depth++] = begin;
            put_text(out, groups[item->detail]);
        } else {
            put_text(out, item->kind == PPI_ITEM_BAR ? "|" : ")");
        }
    }
}
