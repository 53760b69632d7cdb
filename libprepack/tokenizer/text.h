/*
 * text.h: text that is being changed: bytes that grow, and where each came from. And the characters
 * of UTF-8.
 */
#ifndef PPI_TEXT_H
#define PPI_TEXT_H

#include "internal.h"

#include <string.h>

/* Bytes [begin, end) of some text. */
struct ppi_span {
    uint32_t begin, end;
};

/*
 * A growing text. When memory runs out `failed` is set and stays, and what is put is dropped: who
 * uses it looks once, at the end. With `traced` set, origin[i] says which bytes of the text that it
 * was made from byte i stands for.
 */
struct ppi_text {
    struct ppi_mem *mem;
    char *bytes; /* [n] valid UTF-8, no NUL behind it */
    size_t n, room;
    bool traced, failed;
    struct ppi_span *origin; /* [n] when traced; NULL otherwise */
};

static inline struct ppi_text ppi_text_start(struct ppi_mem *mem, bool traced)
{
    return (struct ppi_text){.mem = mem, .traced = traced};
}
/* Empties a text and keeps its memory. */
void ppi_text_clear(struct ppi_text *text, bool traced);
void ppi_text_free(struct ppi_text *text);
/* Makes room for n more bytes; false, and failed, without. */
bool ppi_text_reserve(struct ppi_text *text, size_t n);
/* Appends n bytes, all of which stand for `origin` (ignored unless traced). */
void ppi_text_put(struct ppi_text *text, const char *bytes, size_t n, struct ppi_span origin);
/* Appends bytes [begin, end) of another text, with their origins. */
void ppi_text_copy(struct ppi_text *text, const struct ppi_text *from, size_t begin, size_t end);
/* Appends a character. */
void ppi_text_put_char(struct ppi_text *text, uint32_t code, struct ppi_span origin);
/* Where byte i came from; {i, i + 1} in a text that is not traced. Of bytes [begin, end): from the
 * beginning of the first to the end of the last. */
struct ppi_span ppi_text_origin(const struct ppi_text *text, size_t begin, size_t end);

/* Spans of a text; failed as above. */
struct ppi_spans {
    struct ppi_mem *mem;
    struct ppi_span *items; /* [n] */
    size_t n, room;
    bool failed;
};
void ppi_spans_put(struct ppi_spans *spans, size_t begin, size_t end);
void ppi_spans_free(struct ppi_spans *spans);

/* ---- UTF-8 ---- */

/* The character at bytes[0] of valid UTF-8, and its length in bytes. */
static inline uint32_t ppi_utf8_get(const char *bytes, size_t *n)
{
    const unsigned char *b = (const unsigned char *)bytes;
    if (b[0] < 0x80) {
        *n = 1;
        return b[0];
    }
    if (b[0] < 0xe0) {
        *n = 2;
        return (b[0] & 0x1fu) << 6 | (b[1] & 0x3fu);
    }
    if (b[0] < 0xf0) {
        *n = 3;
        return (b[0] & 0x0fu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
    }
    *n = 4;
    return (b[0] & 0x07u) << 18 | (b[1] & 0x3fu) << 12 | (b[2] & 0x3fu) << 6 | (b[3] & 0x3fu);
}

/* The character that ends before bytes[n], n above 0. */
static inline uint32_t ppi_utf8_last(const char *bytes, size_t n, size_t *char_bytes)
{
    size_t i = n - 1;
    while (i > 0 && ((unsigned char)bytes[i] & 0xc0) == 0x80)
        i--;
    return ppi_utf8_get(bytes + i, char_bytes);
}

/* Writes a character; its bytes. */
size_t ppi_utf8_put(uint32_t code, char bytes[4]);
/* n, or where the first byte stands that is not UTF-8 (surrogates and overlong forms are not). */
size_t ppi_utf8_check(const char *bytes, size_t n);
/* How many of bytes[0, n) (n above 0) one U+FFFD stands for where bytes[0] begins no character: as
 * the Unicode standard recommends (the maximal subpart), and as Rust does. *cut: the bytes end
 * inside what may yet become a character. */
size_t ppi_utf8_bad_bytes(const char *bytes, size_t n, bool *cut);

#endif
