/*
 * text.c: growing texts with origins, lists of spans, and UTF-8; see text.h.
 */
#include "tokenizer/text.h"

#define MAX_TEXT_BYTES ((size_t)1 << 30)

/* ---- growing ---- */

void ppi_text_clear(struct ppi_text *text, bool traced)
{
    if (text->failed || traced != text->traced) {
        /* bytes and origins are as long as one another, or only one is there */
        ppi_text_free(text);
    }
    text->n = 0;
    text->traced = traced;
    text->failed = false;
}

void ppi_text_free(struct ppi_text *text)
{
    ppi_free(text->mem, text->bytes);
    ppi_free(text->mem, text->origin);
    text->bytes = NULL;
    text->origin = NULL;
    text->n = text->room = 0;
}

/* items of `size` bytes, `n` of which are kept, in a new block of `room`. */
static void *grown(struct ppi_mem *mem, void *items, size_t n, size_t room, size_t size)
{
    void *larger = ppi_alloc(mem, room, size);
    if (larger && n)
        memcpy(larger, items, n * size);
    return larger;
}

bool ppi_text_reserve(struct ppi_text *text, size_t n)
{
    if (text->failed)
        return false;
    if (n <= text->room - text->n)
        return true;
    size_t room = text->room ? text->room : 256;
    while (room - text->n < n && room <= MAX_TEXT_BYTES)
        room *= 2;
    char *bytes = room > MAX_TEXT_BYTES ? NULL : grown(text->mem, text->bytes, text->n, room, 1);
    struct ppi_span *origin = bytes && text->traced
                                  ? grown(text->mem, text->origin, text->n, room, sizeof *origin)
                                  : NULL;
    if (!bytes || (text->traced && !origin)) {
        ppi_free(text->mem, bytes);
        text->failed = true;
        return false;
    }
    ppi_free(text->mem, text->bytes);
    ppi_free(text->mem, text->origin);
    text->bytes = bytes;
    text->origin = origin;
    text->room = room;
    return true;
}

void ppi_text_put(struct ppi_text *text, const char *bytes, size_t n, struct ppi_span origin)
{
    if (n == 0 || !ppi_text_reserve(text, n))
        return;
    memcpy(text->bytes + text->n, bytes, n);
    for (size_t i = 0; text->traced && i < n; i++)
        text->origin[text->n + i] = origin;
    text->n += n;
}

void ppi_text_copy(struct ppi_text *text, const struct ppi_text *from, size_t begin, size_t end)
{
    if (begin == end || !ppi_text_reserve(text, end - begin))
        return;
    memcpy(text->bytes + text->n, from->bytes + begin, end - begin);
    if (text->traced)
        memcpy(text->origin + text->n, from->origin + begin, (end - begin) * sizeof *text->origin);
    text->n += end - begin;
}

void ppi_text_put_char(struct ppi_text *text, uint32_t code, struct ppi_span origin)
{
    char bytes[4];
    ppi_text_put(text, bytes, ppi_utf8_put(code, bytes), origin);
}

struct ppi_span ppi_text_origin(const struct ppi_text *text, size_t begin, size_t end)
{
    struct ppi_span span = {(uint32_t)begin, (uint32_t)end};
    if (!text->traced || text->n == 0)
        return span;
    if (begin == end) {
        uint32_t at = begin < text->n ? text->origin[begin].begin : text->origin[text->n - 1].end;
        return (struct ppi_span){at, at};
    }
    span.begin = text->origin[begin].begin;
    span.end = text->origin[end - 1].end;
    return span;
}

void ppi_spans_put(struct ppi_spans *spans, size_t begin, size_t end)
{
    if (spans->failed)
        return;
    if (spans->n == spans->room) {
        size_t room = spans->room ? spans->room * 2 : 256;
        struct ppi_span *items = grown(spans->mem, spans->items, spans->n, room, sizeof *items);
        if (!items) {
            spans->failed = true;
            return;
        }
        ppi_free(spans->mem, spans->items);
        spans->items = items;
        spans->room = room;
    }
    spans->items[spans->n++] = (struct ppi_span){(uint32_t)begin, (uint32_t)end};
}

void ppi_spans_free(struct ppi_spans *spans)
{
    ppi_free(spans->mem, spans->items);
    *spans = (struct ppi_spans){.mem = spans->mem};
}

/* ---- UTF-8 ---- */

size_t ppi_utf8_put(uint32_t code, char bytes[4])
{
    if (code < 0x80) {
        bytes[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | code);
    return n;
}

/* What may follow a first byte: how many more, and which the second may be. 0 more: it begins
 * nothing. */
static int n_more(unsigned char first, unsigned char *low, unsigned char *high)
{
    *low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return first < 0xc2 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : 0;
}

/* The bytes at the beginning that belong to one character, and how many it has in all; 0 in all
 * where they begin none. */
static size_t sequence(const unsigned char *b, size_t n, size_t *whole)
{
    unsigned char low, high;
    int more = n_more(b[0], &low, &high);
    size_t i = 1;
    *whole = b[0] < 0x80 ? 1 : more ? (size_t)more + 1 : 0;
    for (; i < *whole && i < n && b[i] >= low && b[i] <= high; i++)
        low = 0x80, high = 0xbf;
    return i;
}

size_t ppi_utf8_check(const char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        if (n - i >= sizeof eight) {
            memcpy(&eight, bytes + i, sizeof eight);
            if ((eight & 0x8080808080808080u) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        size_t whole, there = sequence((const unsigned char *)bytes + i, n - i, &whole);
        if (there != whole)
            return i;
        i += whole;
    }
    return n;
}

size_t ppi_utf8_bad_bytes(const char *bytes, size_t n, bool *cut)
{
    size_t whole, there = sequence((const unsigned char *)bytes, n, &whole);
    *cut = whole > there && there == n;
    return there;
}
