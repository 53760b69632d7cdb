/*
 * pattern_parse.c: groups, alternatives, repetitions, anchors and options of regular expressions;
 * see pattern_parse.h.
 */
#include "tokenizer/pattern/pattern_parse.h"

#include "tokenizer/pattern/pattern_class.h"

/* What (?im) sets. */
struct options {
    bool any_case, dot_is_all;
};

/* A group that is open. */
struct open_group {
    struct options options; /* to go back to behind it */
    int32_t n_inner;        /* groups that (?i) opened inside, which end with it */
    bool looks;             /* ahead or behind: may not be repeated */
};

struct parser {
    struct ppi_pattern_source source;
    struct ppi_parsed *out;
    struct options options;
    struct open_group groups[PPI_PATTERN_MAX_DEPTH];
    int depth, n_nested; /* groups written that are open, and with those that (?i) opened */
    bool may_repeat, was_anchor, was_repeat, was_plain_repeat;
    uint32_t literal; /* the letter before, in lower case, where case does not matter; else 0 */
};

static pp_status malformed(const struct parser *parser, const char *what)
{
    return ppi_pattern_refuse(&parser->source, PP_ERR_FORMAT, what);
}

static pp_status not_known(const struct parser *parser, const char *what)
{
    return ppi_pattern_refuse(&parser->source, PP_ERR_UNSUPPORTED, what);
}

static char peek(const struct parser *parser, size_t ahead)
{
    const size_t at = parser->source.at + ahead;
    return at < parser->source.n ? parser->source.bytes[at] : '\0';
}

/* ---- writing items ---- */

static void put_item(struct parser *parser, struct ppi_item item)
{
    struct ppi_parsed *out = parser->out;
    if (out->failed)
        return;
    if (out->n == out->room) {
        const size_t room = out->room ? 2 * out->room : 64;
        struct ppi_item *items = ppi_alloc(out->mem, room, sizeof *items);
        if (!items) {
            out->failed = true;
            return;
        }
        if (out->n)
            memcpy(items, out->items, out->n * sizeof *items);
        ppi_free(out->mem, out->items);
        out->items = items;
        out->room = room;
    }
    out->items[out->n++] = item;
}

/* kind: what comes next may not be repeated, unless the caller says so. */
static void put(struct parser *parser, int32_t kind, int32_t detail)
{
    put_item(parser, (struct ppi_item){.kind = kind, .detail = detail});
    parser->may_repeat = false;
    parser->was_anchor = kind == PPI_ITEM_ANCHOR;
    parser->was_repeat = parser->was_plain_repeat = false;
}

static pp_status put_set(struct parser *parser, struct ppi_spans *set)
{
    struct ppi_spans *sets = &parser->out->sets;
    const uint32_t begin = (uint32_t)sets->n;
    ppi_charset_add(sets, set);
    put(parser, PPI_ITEM_SET, 0);
    if (!parser->out->failed) {
        struct ppi_item *item = &parser->out->items[parser->out->n - 1];
        item->set_begin = begin;
        item->set_count = (uint32_t)sets->n - begin;
    }
    parser->may_repeat = true;
    parser->literal = 0;
    ppi_spans_free(set);
    return PP_OK;
}

/* Two letters that Oniguruma takes for one character as well where case does not matter: ss for a
 * sharp s, and ligatures. */
static bool is_one_in_another_case(uint32_t first, uint32_t second)
{
    return (first == 's' && (second == 's' || second == 't')) ||
           (first == 'f' && (second == 'f' || second == 'i' || second == 'l'));
}

static pp_status put_literal(struct parser *parser, uint32_t code)
{
    struct ppi_spans set = {.mem = parser->out->mem};
    const uint32_t lower = code >= 'A' && code <= 'Z' ? code + 32 : code;
    const uint32_t before = parser->literal;
    pp_status status = PP_OK;
    ppi_spans_put(&set, code, code + 1);
    if (parser->options.any_case) {
        if (is_one_in_another_case(before, lower))
            status = not_known(parser, "letters that are one character in another case");
        else if (!set.failed)
            status = ppi_pattern_any_case(&parser->source, &set);
    }
    if (status < 0) {
        ppi_spans_free(&set);
        return status;
    }
    put_set(parser, &set);
    parser->literal = parser->options.any_case ? lower : 0;
    return PP_OK;
}

/* ---- groups ---- */

static pp_status open_group(struct parser *parser, int32_t detail, struct options inside)
{
    if (parser->n_nested++ == PPI_PATTERN_MAX_DEPTH)
        return ppi_pattern_refuse(&parser->source, PP_ERR_LIMIT, "groups that nest too deep");
    parser->groups[parser->depth++] =
        (struct open_group){.options = parser->options, .looks = detail >= PPI_GROUP_AHEAD};
    parser->options = inside;
    put(parser, PPI_ITEM_OPEN, detail);
    return PP_OK;
}

/* (?i) reaches to the end of the group it stands in, alternatives included: a group of its own. */
static pp_status open_rest(struct parser *parser, struct options inside, int32_t *n_inner)
{
    if (parser->n_nested++ == PPI_PATTERN_MAX_DEPTH)
        return ppi_pattern_refuse(&parser->source, PP_ERR_LIMIT, "groups that nest too deep");
    ++*n_inner;
    parser->options = inside;
    put(parser, PPI_ITEM_OPEN, PPI_GROUP_PLAIN);
    return PP_OK;
}

static void close_rest(struct parser *parser, int32_t n_inner)
{
    for (; n_inner > 0; n_inner--, parser->n_nested--)
        put(parser, PPI_ITEM_CLOSE, 0);
}

static pp_status close_group(struct parser *parser)
{
    if (parser->depth == 0)
        return malformed(parser, "a ')' without '('");
    const struct open_group *group = &parser->groups[--parser->depth];
    close_rest(parser, group->n_inner);
    parser->n_nested--;
    put(parser, PPI_ITEM_CLOSE, 0);
    parser->may_repeat = !group->looks;
    parser->was_anchor = group->looks;
    parser->options = group->options;
    return PP_OK;
}

/* Behind "(?": (?im-im) or (?im-im:. */
static pp_status read_options(struct parser *parser, int32_t *n_inner)
{
    struct options options = parser->options;
    bool on = true;
    for (;; parser->source.at++) {
        const char c = peek(parser, 0);
        if (c == 'i')
            options.any_case = on;
        else if (c == 'm')
            options.dot_is_all = on;
        else if (c == '-')
            on = false;
        else
            break;
    }
    const char c = peek(parser, 0);
    parser->source.at += c == ':' || c == ')';
    if (c == ':')
        return open_group(parser, PPI_GROUP_PLAIN, options);
    if (c == ')')
        return open_rest(parser, options, n_inner);
    return not_known(parser, "a group or option that is not implemented");
}

/* Behind "(?<": a name, which nothing here asks for. */
static pp_status read_name(struct parser *parser)
{
    while (peek(parser, 0) && peek(parser, 0) != '>' && peek(parser, 0) != ')')
        parser->source.at++;
    if (peek(parser, 0) != '>')
        return malformed(parser, "a name without '>'");
    parser->source.at++;
    return open_group(parser, PPI_GROUP_PLAIN, parser->options);
}

static pp_status skip_comment(struct parser *parser)
{
    while (parser->source.at < parser->source.n && peek(parser, 0) != ')')
        parser->source.at++;
    if (parser->source.at == parser->source.n)
        return malformed(parser, "a comment without ')'");
    parser->source.at++;
    return PP_OK;
}

/* Behind '('. */
static pp_status read_group(struct parser *parser, int32_t *n_inner)
{
    static const struct {
        const char *begin;
        int32_t detail;
    } kinds[] = {{"?:", PPI_GROUP_PLAIN},   {"?>", PPI_GROUP_ATOMIC},
                 {"?=", PPI_GROUP_AHEAD},   {"?!", PPI_GROUP_NOT_AHEAD},
                 {"?<=", PPI_GROUP_BEHIND}, {"?<!", PPI_GROUP_NOT_BEHIND}};
    if (peek(parser, 0) != '?')
        return open_group(parser, PPI_GROUP_PLAIN, parser->options);
    for (size_t i = 0; i < PPI_COUNT(kinds); i++) {
        const size_t n = strlen(kinds[i].begin);
        if (parser->source.n - parser->source.at >= n &&
            memcmp(parser->source.bytes + parser->source.at, kinds[i].begin, n) == 0) {
            parser->source.at += n;
            return open_group(parser, kinds[i].detail, parser->options);
        }
    }
    parser->source.at++;
    if (peek(parser, 0) == '#')
        return skip_comment(parser);
    if (peek(parser, 0) == '<') {
        parser->source.at++;
        return read_name(parser);
    }
    return read_options(parser, n_inner);
}

/* ---- repetitions ---- */

/* What Oniguruma takes. */
#define MAX_COUNT 100000

/* A number at *at; false: there is none, or it is above MAX_COUNT, as *count is then. */
static bool read_count(const struct parser *parser, size_t *at, uint32_t *count)
{
    const size_t begin = *at;
    for (*count = 0; *at < parser->source.n; ++*at) {
        const char c = parser->source.bytes[*at];
        if (c < '0' || c > '9')
            break;
        *count = *count * 10 + (uint32_t)(c - '0');
        if (*count > MAX_COUNT)
            return false;
    }
    return *at > begin;
}

/* At '{': {n}, {n,}, {,m} or {n,m}; anything else is a brace, and *is false. */
static void read_braces(struct parser *parser, struct ppi_item *item, bool *is)
{
    size_t at = parser->source.at + 1;
    const bool has_min = read_count(parser, &at, &item->min);
    bool has_max = has_min;
    *is = false;
    item->max = item->min;
    if (at < parser->source.n && parser->source.bytes[at] == ',') {
        at++;
        has_max = read_count(parser, &at, &item->max);
        if (!has_max && item->max <= MAX_COUNT)
            item->max = PPI_REPEAT_FOREVER;
    }
    if ((!has_min && !has_max) || at >= parser->source.n || parser->source.bytes[at] != '}')
        return;
    parser->source.at = at + 1;
    *is = true;
}

/* At what may be a repetition; *is whether. */
static pp_status read_repeat(struct parser *parser, bool *is)
{
    struct ppi_item item = {.kind = PPI_ITEM_REPEAT};
    const char c = peek(parser, 0);
    const bool braces = c == '{';
    if (braces) {
        read_braces(parser, &item, is);
        if (item.min > MAX_COUNT || (item.max > MAX_COUNT && item.max != PPI_REPEAT_FOREVER))
            return malformed(parser, "a number that is too large for a repetition");
        if (!*is)
            return PP_OK;
    } else {
        *is = c == '?' || c == '*' || c == '+';
        if (!*is)
            return PP_OK;
        parser->source.at++;
        item.min = c == '+';
        item.max = c == '?' ? 1 : PPI_REPEAT_FOREVER;
    }
    if (parser->was_anchor)
        return malformed(parser, "a repetition of what matches no character");
    if (!parser->may_repeat)
        return malformed(parser, "a repetition of nothing");
    if (item.min > item.max)
        return not_known(parser, "a repetition with more at least than at most");
    if (peek(parser, 0) == '?') {
        if (braces && item.min == item.max)
            return not_known(parser, "{n}? with one number");
        item.detail = PPI_REPEAT_LAZY;
        parser->source.at++;
    } else if (peek(parser, 0) == '+' && !braces) {
        item.detail = PPI_REPEAT_POSSESSIVE;
        parser->source.at++;
    }
    const bool plain = item.detail == PPI_REPEAT_GREEDY;
    if (parser->was_repeat && !(plain && parser->was_plain_repeat))
        return not_known(parser, "a repetition of a repetition, one of them not greedy");
    put_item(parser, item);
    parser->was_plain_repeat = plain;
    parser->was_repeat = true;
    parser->literal = 0;
    return PP_OK;
}

/* ---- the whole ---- */

static pp_status read_escape(struct parser *parser)
{
    static const struct {
        char letter;
        int32_t detail;
    } anchors[] = {{'A', PPI_ANCHOR_BEGIN},
                   {'z', PPI_ANCHOR_END},
                   {'Z', PPI_ANCHOR_LAST_END},
                   {'b', PPI_ANCHOR_WORD_EDGE},
                   {'B', PPI_ANCHOR_NO_WORD_EDGE}};
    for (size_t i = 0; i < PPI_COUNT(anchors); i++) {
        if (peek(parser, 0) == anchors[i].letter) {
            parser->source.at++;
            parser->literal = 0;
            put(parser, PPI_ITEM_ANCHOR, anchors[i].detail);
            return PP_OK;
        }
    }
    struct ppi_spans set = {.mem = parser->out->mem};
    uint32_t code;
    const pp_status status = ppi_pattern_escape(&parser->source, false, &set, &code);
    if (status < 0) {
        ppi_spans_free(&set);
        return status;
    }
    if (code == UINT32_MAX) {
        ppi_charset_tidy(&set);
        return put_set(parser, &set);
    }
    ppi_spans_free(&set);
    return put_literal(parser, code);
}

static pp_status read_class(struct parser *parser)
{
    struct ppi_spans set = {.mem = parser->out->mem};
    const pp_status status = ppi_pattern_class(&parser->source, parser->options.any_case, &set);
    if (status < 0) {
        ppi_spans_free(&set);
        return status;
    }
    return put_set(parser, &set);
}

static pp_status put_dot(struct parser *parser)
{
    struct ppi_spans set = {.mem = parser->out->mem};
    ppi_spans_put(&set, 0, parser->options.dot_is_all ? PPI_CHARS_END : '\n');
    if (!parser->options.dot_is_all)
        ppi_spans_put(&set, '\n' + 1, PPI_CHARS_END);
    return put_set(parser, &set);
}

static pp_status read_one(struct parser *parser, int32_t *n_inner)
{
    bool is_repeat;
    PP_TRY(read_repeat(parser, &is_repeat));
    if (is_repeat)
        return PP_OK;
    const uint32_t code = ppi_pattern_next(&parser->source);
    switch (code) {
    case '\\':
        return read_escape(parser);
    case '[':
        return read_class(parser);
    case '.':
        return put_dot(parser);
    case '(':
        return read_group(parser, n_inner);
    case ')':
        return close_group(parser);
    case '|':
        parser->literal = 0;
        put(parser, PPI_ITEM_BAR, 0);
        return PP_OK;
    case '^':
    case '$':
        parser->literal = 0;
        put(parser, PPI_ITEM_ANCHOR, code == '^' ? PPI_ANCHOR_LINE_BEGIN : PPI_ANCHOR_LINE_END);
        return PP_OK;
    default:
        return put_literal(parser, code);
    }
}

pp_status ppi_pattern_parse(const char *bytes, size_t n, const char *label, const char *where,
                            struct ppi_mem *mem, struct ppi_parsed *parsed, pp_error *err)
{
    struct parser parser = {
        .source = {.bytes = bytes, .n = n, .label = label, .where = where, .mem = mem, .err = err},
        .out = parsed};
    int32_t n_inner = 0; /* groups that (?i) opened outside of all others */
    *parsed = (struct ppi_parsed){.mem = mem, .sets.mem = mem};
    if (n > PPI_PATTERN_MAX_BYTES)
        return ppi_error(err, PP_ERR_LIMIT, "%s: the pattern of \"%s\" has %zu bytes, allowed %d",
                         label, where, n, PPI_PATTERN_MAX_BYTES);
    while (parser.source.at < n) {
        int32_t *inner = parser.depth ? &parser.groups[parser.depth - 1].n_inner : &n_inner;
        PP_TRY(read_one(&parser, inner));
        if (parsed->failed || parsed->sets.failed)
            return ppi_error_nomem(err, "a pattern", n);
    }
    if (parser.depth)
        return malformed(&parser, "a '(' without ')'");
    close_rest(&parser, n_inner);
    return parsed->failed ? ppi_error_nomem(err, "a pattern", n) : PP_OK;
}

void ppi_parsed_free(struct ppi_parsed *parsed)
{
    ppi_free(parsed->mem, parsed->items);
    ppi_spans_free(&parsed->sets);
    *parsed = (struct ppi_parsed){.mem = parsed->mem};
}
