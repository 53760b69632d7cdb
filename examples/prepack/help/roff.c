/* roff.c: escapes, filled lines and lists of a man page's source. */
#include "roff.h"

#include <string.h>

enum { WIDTH = 70 }; /* of lines of the source */

static const char *escape_of(char c)
{
    switch (c) {
    case '\\':
        return "\\e";
    case '-':
        return "\\-";
    case '\'':
        return "\\(aq";
    case '`':
        return "\\(ga";
    case '^':
        return "\\(ha";
    case '~':
        return "\\(ti";
    default:
        return NULL;
    }
}

static void put(struct roff *roff, const char *text, size_t n)
{
    if (roff->column == 0 && n > 0 && text[0] == '.')
        fputs("\\&", roff->out); /* no request */
    for (size_t i = 0; i < n; i++) {
        const char *escape = escape_of(text[i]);
        if (escape)
            fputs(escape, roff->out);
        else
            fputc(text[i], roff->out);
        roff->column += escape ? strlen(escape) : 1;
    }
}

void roff_end_line(struct roff *roff)
{
    if (roff->column > 0)
        fputc('\n', roff->out);
    roff->column = 0;
    roff->glued = false;
}

void roff_request(struct roff *roff, const char *request)
{
    roff_end_line(roff);
    fprintf(roff->out, "%s\n", request);
}

void roff_font(struct roff *roff, char font, const char *text)
{
    if (roff->column > 0 && !roff->glued)
        fputc(' ', roff->out);
    roff->glued = false;
    fprintf(roff->out, "\\f%c", font);
    roff->column += 3;
    put(roff, text, strlen(text));
    fputs("\\fR", roff->out);
}

/* Where an option begins in a word ("(--model" at 1), and how long it is; 0: the word has none. */
static size_t find_option(const char *word, size_t n, size_t *at)
{
    *at = strspn(word, "('\"[");
    size_t end = *at + 2;
    if (end >= n || strncmp(word + *at, "--", 2) != 0)
        return 0;
    while (end < n && strchr("abcdefghijklmnopqrstuvwxyz-", word[end]))
        end++;
    return end - *at > 2 ? end - *at : 0;
}

static void put_word(struct roff *roff, const char *word, size_t n)
{
    size_t at = 0;
    const size_t option = find_option(word, n, &at);
    if (roff->column + n + 1 > WIDTH && !roff->glued)
        roff_end_line(roff);
    if (roff->column > 0 && !roff->glued) {
        fputc(' ', roff->out);
        roff->column++;
    }
    roff->glued = false;
    if (!option) {
        put(roff, word, n);
        return;
    }
    put(roff, word, at);
    fputs("\\fB", roff->out);
    roff->column += 3;
    put(roff, word + at, option);
    fputs("\\fR", roff->out);
    put(roff, word + at + option, n - at - option);
}

/* The words of the first n bytes. */
static void put_words(struct roff *roff, const char *text, size_t n)
{
    const char *end = text + n;
    for (text += strspn(text, " \n"); text < end; text += strspn(text, " \n")) {
        size_t word = strcspn(text, " \n");
        if (word > (size_t)(end - text))
            word = (size_t)(end - text);
        put_word(roff, text, word);
        text += word;
    }
}

void roff_words(struct roff *roff, const char *text)
{
    put_words(roff, text, strlen(text));
}

/* What the lines before this one were. */
enum state { NOTHING, FILLED, GAP, ITEMS, LINES };

static void leave(struct roff *roff, enum state state)
{
    if (state == LINES) {
        roff_request(roff, ".fi");
        roff_request(roff, ".RE");
    }
    if (state == ITEMS && roff->indented)
        roff_request(roff, ".RE");
}

static enum state put_item(struct roff *roff, enum state state, const char *term, size_t term_len,
                           const char *rest, size_t rest_len)
{
    if (state != ITEMS) {
        leave(roff, state);
        if (roff->indented)
            roff_request(roff, ".RS");
    }
    roff_request(roff, ".TP");
    put(roff, term, term_len);
    roff_end_line(roff);
    put_words(roff, rest, rest_len);
    return ITEMS;
}

static enum state put_line(struct roff *roff, enum state state, const char *line, size_t n)
{
    if (state != LINES) {
        leave(roff, state);
        if (state != NOTHING)
            roff_request(roff, roff->indented ? ".IP" : ".PP");
        roff_request(roff, ".RS");
        roff_request(roff, ".nf");
    }
    put(roff, line, n);
    roff_end_line(roff);
    return LINES;
}

static enum state put_filled(struct roff *roff, enum state state, const char *line, size_t n)
{
    if (state != FILLED && state != NOTHING) {
        leave(roff, state);
        roff_request(roff, roff->indented ? ".IP" : ".PP");
    }
    put_words(roff, line, n);
    return FILLED;
}

void roff_text(struct roff *roff, const char *text)
{
    enum state state = NOTHING;
    size_t item_indent = 0;
    while (*text) {
        const size_t n = strcspn(text, "\n"), indent = strspn(text, " ");
        const char *line = text + indent, *end = text + n, *gap = strstr(line, "  ");
        text = *end ? end + 1 : end;
        if (indent >= n) {
            leave(roff, state);
            state = state == NOTHING ? NOTHING : GAP;
        } else if (indent == 0) {
            state = put_filled(roff, state, line, n);
        } else if (state == ITEMS && indent > item_indent) {
            put_words(roff, line, n - indent);
        } else if (gap && gap < end) {
            item_indent = indent;
            state = put_item(roff, state, line, (size_t)(gap - line), gap, (size_t)(end - gap));
        } else {
            state = put_line(roff, state, line, n - indent);
        }
    }
    leave(roff, state);
}
