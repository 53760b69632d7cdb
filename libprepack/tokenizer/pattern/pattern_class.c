/*
 * pattern_class.c: escapes and classes of regular expressions; see pattern_class.h.
 */
#include "tokenizer/pattern/pattern_class.h"

#include <stdio.h>
#include <utf8proc.h>

/* Classes inside classes. */
#define MAX_DEPTH 8
/* Where letters of both cases are looked for one by one. */
#define MAX_ANY_CASE 0x1000

pp_status ppi_pattern_refuse(const struct ppi_pattern_source *source, pp_status code,
                             const char *what)
{
    return ppi_error(source->err, code, "%s: the pattern of \"%s\" has %s before byte %zu",
                     source->label, source->where, what, source->at);
}

static pp_status malformed(const struct ppi_pattern_source *source, const char *what)
{
    return ppi_pattern_refuse(source, PP_ERR_FORMAT, what);
}

static pp_status not_known(const struct ppi_pattern_source *source, const char *what)
{
    return ppi_pattern_refuse(source, PP_ERR_UNSUPPORTED, what);
}

uint32_t ppi_pattern_next(struct ppi_pattern_source *source)
{
    size_t n;
    const uint32_t code = ppi_utf8_get(source->bytes + source->at, &n);
    source->at += n;
    return code;
}

static bool at_char(const struct ppi_pattern_source *source, char c)
{
    return source->at < source->n && source->bytes[source->at] == c;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Up to max hexadecimal digits; how many there are. */
static int read_hex(struct ppi_pattern_source *source, int max, uint32_t *code)
{
    int n = 0;
    for (*code = 0; n < max && source->at < source->n; n++, source->at++) {
        const int value = hex_value(source->bytes[source->at]);
        if (value < 0)
            break;
        *code = *code << 4 | (uint32_t)value;
    }
    return n;
}

static bool is_character(uint32_t code)
{
    return code < 0xd800 || (code >= 0xe000 && code < PPI_CHARS_END);
}

/* Behind \x or \u. */
static pp_status read_code(struct ppi_pattern_source *source, char kind, uint32_t *code)
{
    bool fine;
    if (kind == 'u') {
        fine = read_hex(source, 4, code) == 4;
    } else if (at_char(source, '{')) {
        source->at++;
        fine = read_hex(source, 8, code) > 0 && at_char(source, '}');
        source->at += fine;
    } else {
        /* above 0x7f it would be a byte, not a character */
        fine = read_hex(source, 2, code) > 0 && *code < 0x80;
    }
    return fine && is_character(*code) ? PP_OK : malformed(source, "a number that is no character");
}

/* Behind \p or \P. */
static pp_status read_property(struct ppi_pattern_source *source, bool inverted,
                               struct ppi_spans *set)
{
    struct ppi_spans found = {.mem = source->mem};
    if (!at_char(source, '{'))
        return not_known(source, "\\p without braces");
    source->at++;
    if (at_char(source, '^')) {
        source->at++;
        inverted = !inverted;
    }
    const size_t begin = source->at;
    while (source->at < source->n && source->bytes[source->at] != '}')
        source->at++;
    if (source->at == source->n)
        return malformed(source, "a property without '}'");
    const size_t n = source->at++ - begin;
    if (!ppi_charset_put_property(&found, source->bytes + begin, n)) {
        ppi_spans_free(&found);
        char text[96];
        snprintf(text, sizeof text, "the property \"%.*s\", which is not known,",
                 (int)(n < 40 ? n : 40), source->bytes + begin);
        return not_known(source, text);
    }
    ppi_charset_tidy(&found);
    if (inverted)
        ppi_charset_invert(&found);
    ppi_charset_add(set, &found);
    ppi_spans_free(&found);
    return PP_OK;
}

/* \s \d \w \h and the same in upper case, which are all others. */
static void put_kind(struct ppi_pattern_source *source, char letter, bool inside,
                     struct ppi_spans *set)
{
    struct ppi_spans found = {.mem = source->mem};
    const char kind = (char)(letter | 0x20);
    const char *name = kind == 's'   ? "space"
                       : kind == 'd' ? "digit"
                       : kind == 'w' ? "word"
                                     : "xdigit";
    ppi_charset_put_posix(&found, name, strlen(name));
    if (kind == 'w' && !inside) {
        /* outside of brackets Oniguruma asks its table of Latin-1, which has these as well */
        ppi_spans_put(&found, 0xb2, 0xb4);
        ppi_spans_put(&found, 0xb9, 0xba);
        ppi_spans_put(&found, 0xbc, 0xbf);
    }
    ppi_charset_tidy(&found);
    if (letter != kind)
        ppi_charset_invert(&found);
    ppi_charset_add(set, &found);
    ppi_spans_free(&found);
}

pp_status ppi_pattern_escape(struct ppi_pattern_source *source, bool inside, struct ppi_spans *set,
                             uint32_t *code)
{
    static const char controls[] = "t\tn\nr\rf\fv\va\ae\x1b";
    if (source->at == source->n)
        return malformed(source, "a backslash and nothing");
    const uint32_t letter = ppi_pattern_next(source);
    *code = UINT32_MAX;
    for (const char *c = controls; *c; c += 2) {
        if (letter == (unsigned char)c[0]) {
            *code = (unsigned char)c[1];
            return PP_OK;
        }
    }
    if (letter == 'b' && inside) {
        *code = '\b';
        return PP_OK;
    }
    if (letter == 'x' || letter == 'u')
        return read_code(source, (char)letter, code);
    if (letter == 'p' || letter == 'P')
        return read_property(source, letter == 'P', set);
    if (letter && letter < 0x80 && strchr("sSdDwWhH", (int)letter)) {
        put_kind(source, (char)letter, inside, set);
        return PP_OK;
    }
    if ((letter >= '0' && letter <= '9') || ((letter | 0x20) >= 'a' && (letter | 0x20) <= 'z')) {
        char text[40];
        snprintf(text, sizeof text, "\\%c, which is not implemented,", (int)letter);
        return not_known(source, text);
    }
    *code = letter;
    return PP_OK;
}

/* ---- without regard to case ---- */

static bool has_case(uint32_t code)
{
    const utf8proc_int32_t c = (utf8proc_int32_t)code;
    const utf8proc_category_t category = utf8proc_category(c);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ME) ||
           category == UTF8PROC_CATEGORY_CN || utf8proc_tolower(c) != c || utf8proc_toupper(c) != c;
}

static bool has_letters_beyond_ascii(const struct ppi_spans *set)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct ppi_span range = set->items[i];
        if (range.end - range.begin > MAX_ANY_CASE)
            return true;
        for (uint32_t c = range.begin; c < range.end; c++) {
            if (c >= 0x80 && has_case(c))
                return true;
        }
    }
    return false;
}

pp_status ppi_pattern_any_case(const struct ppi_pattern_source *source, struct ppi_spans *set)
{
    struct ppi_spans more = {.mem = source->mem};
    if (has_letters_beyond_ascii(set))
        return not_known(source, "letters beyond ASCII without regard to case");
    for (uint32_t c = 'a'; c <= 'z'; c++) {
        if (!ppi_charset_has(set->items, set->n, c) && !ppi_charset_has(set->items, set->n, c - 32))
            continue;
        ppi_spans_put(&more, c, c + 1);
        ppi_spans_put(&more, c - 32, c - 31);
        if (c == 's')
            ppi_spans_put(&more, 0x17f, 0x180); /* the long s */
        if (c == 'k')
            ppi_spans_put(&more, 0x212a, 0x212b); /* the sign of kelvin */
    }
    ppi_charset_add(set, &more);
    ppi_spans_free(&more);
    ppi_charset_tidy(set);
    return PP_OK;
}

/* ---- [classes] ---- */

/* Behind "[:": a class of POSIX, when one is written there; *is whether. */
static pp_status read_posix(struct ppi_pattern_source *source, struct ppi_spans *set, bool *is)
{
    const char *bytes = source->bytes;
    size_t begin = source->at, end;
    const bool inverted = begin < source->n && bytes[begin] == '^';
    begin += inverted;
    for (end = begin; end < source->n && end - begin < 20 && (bytes[end] | 0x20) >= 'a' &&
                      (bytes[end] | 0x20) <= 'z';)
        end++;
    *is = end + 1 < source->n && bytes[end] == ':' && bytes[end + 1] == ']';
    if (!*is)
        return PP_OK;
    struct ppi_spans found = {.mem = source->mem};
    source->at = end + 2;
    if (!ppi_charset_put_posix(&found, bytes + begin, end - begin)) {
        ppi_spans_free(&found);
        return not_known(source, "a [:class:] that is not known");
    }
    ppi_charset_tidy(&found);
    if (inverted)
        ppi_charset_invert(&found);
    ppi_charset_add(set, &found);
    ppi_spans_free(&found);
    return PP_OK;
}

/* A class that is open: what && has left, what was put since, and the character that a '-' would
 * make a range of. */
struct open_class {
    struct ppi_spans kept, here;
    bool inverted, has_kept, is_empty;
    uint32_t from; /* UINT32_MAX: none */
};

static void start_class(struct ppi_pattern_source *source, struct open_class *open)
{
    *open = (struct open_class){
        .kept.mem = source->mem, .here.mem = source->mem, .is_empty = true, .from = UINT32_MAX};
    if (at_char(source, '^')) {
        source->at++;
        open->inverted = true;
    }
}

/* What stands before && or ']' is a set of its own. */
static void cut_class(struct open_class *open)
{
    ppi_charset_tidy(&open->here);
    if (!open->has_kept) {
        const struct ppi_spans kept = open->kept;
        open->kept = open->here;
        open->here = kept;
    } else {
        ppi_charset_intersect(&open->kept, &open->here);
    }
    open->kept.failed |= open->here.failed;
    open->here.n = 0;
    open->has_kept = true;
    open->from = UINT32_MAX;
}

static void put_one(struct open_class *open, uint32_t code)
{
    ppi_spans_put(&open->here, code, code + 1);
    open->from = code;
}

/* Behind a '-'. */
static pp_status read_range(struct ppi_pattern_source *source, struct open_class *open)
{
    uint32_t to;
    if (open->from == UINT32_MAX || at_char(source, ']') || source->at == source->n) {
        put_one(open, '-');
        open->from = UINT32_MAX;
        return PP_OK;
    }
    if (at_char(source, '['))
        return not_known(source, "a range that ends in a class");
    to = ppi_pattern_next(source);
    if (to == '\\')
        PP_TRY(ppi_pattern_escape(source, true, &open->here, &to));
    if (to == UINT32_MAX || to < open->from)
        return malformed(source, "a range that ends before it begins");
    ppi_spans_put(&open->here, open->from, to + 1);
    open->from = UINT32_MAX;
    return PP_OK;
}

/* One part of a class that is no bracket. */
static pp_status read_part(struct ppi_pattern_source *source, struct open_class *open)
{
    uint32_t code = ppi_pattern_next(source);
    open->is_empty = false;
    if (code == '-')
        return read_range(source, open);
    if (code == '&' && at_char(source, '&')) {
        source->at++;
        cut_class(open);
        return PP_OK;
    }
    if (code == '\\') {
        PP_TRY(ppi_pattern_escape(source, true, &open->here, &code));
        if (code == UINT32_MAX) {
            open->from = UINT32_MAX;
            return PP_OK;
        }
    }
    put_one(open, code);
    return PP_OK;
}

/* Closes the innermost class into the one around it, or into *set. */
static pp_status close_class(struct ppi_pattern_source *source, bool any_case,
                             struct open_class *open, struct ppi_spans *set)
{
    pp_status status = PP_OK;
    cut_class(open);
    if (any_case)
        status = ppi_pattern_any_case(source, &open->kept);
    if (open->inverted)
        ppi_charset_invert(&open->kept);
    ppi_charset_add(set, &open->kept);
    ppi_spans_free(&open->kept);
    ppi_spans_free(&open->here);
    return status;
}

static pp_status read_class(struct ppi_pattern_source *source, bool any_case,
                            struct open_class open[MAX_DEPTH], int *depth, struct ppi_spans *set)
{
    while (*depth > 0) {
        struct open_class *inner = &open[*depth - 1];
        if (source->at == source->n)
            return malformed(source, "a class without ']'");
        const char c = source->bytes[source->at];
        if (c == ']' && !(inner->is_empty && source->at + 1 < source->n)) {
            if (inner->is_empty)
                return malformed(source, "an empty class");
            source->at++;
            --*depth;
            PP_TRY(close_class(source, any_case, inner, *depth ? &open[*depth - 1].here : set));
            continue;
        }
        if (c != '[') {
            PP_TRY(read_part(source, inner));
            continue;
        }
        source->at++;
        inner->is_empty = false;
        inner->from = UINT32_MAX;
        bool is_posix = false;
        if (at_char(source, ':')) {
            source->at++;
            PP_TRY(read_posix(source, &inner->here, &is_posix));
            source->at -= !is_posix;
        }
        if (is_posix)
            continue;
        if (*depth == MAX_DEPTH)
            return ppi_pattern_refuse(source, PP_ERR_LIMIT, "classes that nest too deep");
        start_class(source, &open[(*depth)++]);
    }
    ppi_charset_tidy(set);
    return PP_OK;
}

pp_status ppi_pattern_class(struct ppi_pattern_source *source, bool any_case, struct ppi_spans *set)
{
    struct open_class open[MAX_DEPTH];
    int depth = 1;
    start_class(source, &open[0]);
    pp_status status = read_class(source, any_case, open, &depth, set);
    for (int i = 0; i < depth; i++) {
        ppi_spans_free(&open[i].kept);
        ppi_spans_free(&open[i].here);
    }
    return status;
}
