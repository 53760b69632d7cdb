/*
 * normalizer_charsmap.c: SentencePiece's map of characters, as the Rust library reads it: 4 bytes
 * with the size of a trie, the trie (a Darts double array of 32-bit units), then replacements with
 * a NUL behind each.
 *
 * A unit u: its label is u & 0x800000ff; bit 8 says that a value hangs below; its children lie at
 * i ^ ((u >> 10) << ((u & 512) >> 6)) with their label xored in, and a value there with none. The
 * file is not trusted: every step is checked against the size of the array.
 *
 * Of text a grapheme cluster of less than 6 bytes is looked up first, and what the trie knows of
 * its beginning stands for all of it; else its characters are, one by one. SentencePiece itself
 * takes the longest text that the trie has, wherever clusters end: ppi_charsmap_apply_longest.
 */
#include "tokenizer/normalize/normalizer_steps.h"

#include <utf8proc.h>

#define MAX_CLUSTER 6
#define NO_VALUE    SIZE_MAX

struct ppi_charsmap {
    struct ppi_mem *mem;
    unsigned char *blob;
    const unsigned char *units; /* [n_units] of 4 bytes */
    size_t n_units;
    const char *texts; /* [n_texts] */
    size_t n_texts;
    bool first[256]; /* bytes that something in the trie begins with */
};

static uint32_t unit_at(const struct ppi_charsmap *map, size_t i)
{
    const unsigned char *u = map->units + 4 * i;
    return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static size_t children_of(size_t i, uint32_t unit)
{
    return i ^ ((size_t)(unit >> 10) << ((unit & 512) >> 6));
}

/* The value of the shortest beginning of bytes that the trie has. */
static size_t find_value(const struct ppi_charsmap *map, const char *bytes, size_t n)
{
    size_t at = children_of(0, unit_at(map, 0));
    for (size_t i = 0; i < n && bytes[i]; i++) {
        const unsigned char byte = (unsigned char)bytes[i];
        at ^= byte;
        if (at >= map->n_units)
            return NO_VALUE;
        const uint32_t unit = unit_at(map, at);
        if ((unit & 0x800000ffu) != byte)
            return NO_VALUE;
        at = children_of(at, unit);
        if (unit & 256)
            return at < map->n_units ? unit_at(map, at) & 0x7fffffffu : NO_VALUE;
    }
    return NO_VALUE;
}

/* The replacement of bytes; NULL: none. */
static const char *find_text(const struct ppi_charsmap *map, const char *bytes, size_t n,
                             size_t *n_text)
{
    if (!map->first[(unsigned char)bytes[0]])
        return NULL;
    const size_t value = find_value(map, bytes, n);
    if (value >= map->n_texts || ((unsigned char)map->texts[value] & 0xc0) == 0x80)
        return NULL;
    *n_text = strnlen(map->texts + value, map->n_texts - value);
    return map->texts + value;
}

/* The same of the longest beginning that has one; *n_old: its bytes. */
static const char *find_longest(const struct ppi_charsmap *map, const char *bytes, size_t n,
                                size_t *n_old, size_t *n_text)
{
    size_t at = children_of(0, unit_at(map, 0)), value = NO_VALUE;
    for (size_t i = 0; i < n && bytes[i]; i++) {
        const unsigned char byte = (unsigned char)bytes[i];
        at ^= byte;
        if (at >= map->n_units || (unit_at(map, at) & 0x800000ffu) != byte)
            break;
        const bool has_value = unit_at(map, at) & 256;
        at = children_of(at, unit_at(map, at));
        if (has_value && at < map->n_units) {
            value = unit_at(map, at) & 0x7fffffffu;
            *n_old = i + 1;
        }
    }
    if (value >= map->n_texts || ((unsigned char)map->texts[value] & 0xc0) == 0x80)
        return NULL;
    *n_text = strnlen(map->texts + value, map->n_texts - value);
    return map->texts + value;
}

/* ---- reading ---- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* false: it is none. bytes: room for n / 4 * 3. */
static bool decode(const char *base64, size_t n, unsigned char *bytes, size_t *n_bytes)
{
    size_t used = 0;
    if (n % 4)
        return false;
    const size_t n_padding = n == 0 ? 0 : (base64[n - 1] == '=') + (base64[n - 2] == '=');
    for (size_t i = 0; i < n; i += 4) {
        uint32_t bits = 0;
        for (size_t k = i; k < i + 4; k++) {
            const int value = k >= n - n_padding ? 0 : base64_value(base64[k]);
            if (value < 0)
                return false;
            bits = bits << 6 | (uint32_t)value;
        }
        bytes[used++] = (unsigned char)(bits >> 16);
        bytes[used++] = (unsigned char)(bits >> 8);
        bytes[used++] = (unsigned char)bits;
    }
    *n_bytes = used - n_padding;
    return true;
}

static const char *look_at(struct ppi_charsmap *map, size_t n)
{
    if (n < 8)
        return "it is shorter than 8 bytes";
    map->units = map->blob;
    map->n_units = unit_at(map, 0) / 4;
    map->units += 4;
    if (map->n_units == 0 || map->n_units > (n - 4) / 4)
        return "it states an impossible size of its trie";
    map->texts = (const char *)map->blob + 4 + 4 * map->n_units;
    map->n_texts = n - 4 - 4 * map->n_units;
    if (ppi_utf8_check(map->texts, map->n_texts) != map->n_texts)
        return "its replacements are not UTF-8";
    const size_t root = children_of(0, unit_at(map, 0));
    for (size_t byte = 1; byte < 256; byte++)
        map->first[byte] =
            (root ^ byte) < map->n_units && (unit_at(map, root ^ byte) & 0x800000ffu) == byte;
    return NULL;
}

struct ppi_charsmap *ppi_charsmap_create(const char *base64, size_t n, struct ppi_mem *mem,
                                         const char **what)
{
    struct ppi_charsmap *map = ppi_zalloc(mem, 1, sizeof *map);
    size_t n_bytes = 0;
    *what = NULL;
    if (!map)
        return NULL;
    map->mem = mem;
    map->blob = ppi_alloc(mem, n + 1, 1);
    if (map->blob)
        *what =
            decode(base64, n, map->blob, &n_bytes) ? look_at(map, n_bytes) : "it is not in base64";
    if (map->blob && !*what)
        return map;
    ppi_charsmap_destroy(map);
    return NULL;
}

void ppi_charsmap_destroy(struct ppi_charsmap *map)
{
    if (!map)
        return;
    ppi_free(map->mem, map->blob);
    ppi_free(map->mem, map);
}

bool ppi_charsmap_maps(const struct ppi_charsmap *map, unsigned char first, unsigned char last)
{
    for (unsigned byte = first; byte <= last; byte++) {
        const char text = (char)byte;
        size_t n;
        if (find_text(map, &text, 1, &n))
            return true;
    }
    return false;
}

/* ---- applying ---- */

/* Changes, the last of which is held back: what follows may add to it. */
struct held {
    struct ppi_changes changes;
    uint32_t code;
    int32_t change;
    bool is_held;
};

static void put_held(struct held *held)
{
    if (held->is_held)
        ppi_change(&held->changes, held->code, held->change);
    held->is_held = false;
}

static void hold(struct held *held, uint32_t code, int32_t change)
{
    put_held(held);
    held->code = code;
    held->change = change;
    held->is_held = true;
}

static int32_t count_chars(const char *bytes, size_t n)
{
    int32_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)bytes[i] & 0xc0) != 0x80;
    return count;
}

static void replace(struct held *held, int32_t n_old, const char *text, size_t n)
{
    const int32_t n_new = count_chars(text, n);
    int32_t i = 0;
    for (size_t at = 0, step; at < n; at += step, i++)
        hold(held, ppi_utf8_get(text + at, &step), i >= n_old);
    /* those that are gone belong to the character before, whichever it is */
    if (n_new < n_old)
        held->change += n_new - n_old;
}

static void apply_to_cluster(const struct ppi_charsmap *map, const char *bytes, size_t n,
                             struct held *held)
{
    size_t n_text;
    const char *text = n < MAX_CLUSTER ? find_text(map, bytes, n, &n_text) : NULL;
    if (text) {
        replace(held, count_chars(bytes, n), text, n_text);
        return;
    }
    for (size_t i = 0, step; i < n; i += step) {
        const uint32_t code = ppi_utf8_get(bytes + i, &step);
        text = find_text(map, bytes + i, step, &n_text);
        if (text)
            replace(held, 1, text, n_text);
        else
            hold(held, code, 0);
    }
}

/* A character that breaks clusters as one does, for marks that are younger than utf8proc 2.8. */
static utf8proc_int32_t breaking_as(uint32_t code)
{
    const bool young =
        code == 0x897 || (code >= 0x1acf && code <= 0x1add) || (code >= 0x1ae0 && code <= 0x1aeb);
    return young ? 0x898 : (utf8proc_int32_t)code;
}

/* Where the grapheme cluster that begins at `at` ends. */
static size_t cluster_end(const char *bytes, size_t n, size_t at)
{
    size_t step;
    utf8proc_int32_t state = 0;
    uint32_t code = ppi_utf8_get(bytes + at, &step);
    for (at += step; at < n; at += step) {
        const uint32_t next = ppi_utf8_get(bytes + at, &step);
        if (code < 0x80 && next < 0x80) {
            if (code != '\r' || next != '\n')
                return at;
        } else if (utf8proc_grapheme_break_stateful(breaking_as(code), breaking_as(next), &state)) {
            return at;
        }
        code = next;
    }
    return n;
}

void ppi_charsmap_apply(const struct ppi_charsmap *map, const struct ppi_text *text,
                        struct ppi_text *out)
{
    struct held held = {.changes = {.from = text, .out = out}};
    for (size_t at = 0, end; at < text->n; at = end) {
        end = cluster_end(text->bytes, text->n, at);
        apply_to_cluster(map, text->bytes + at, end - at, &held);
    }
    put_held(&held);
}

void ppi_charsmap_apply_longest(const struct ppi_charsmap *map, const struct ppi_text *text,
                                struct ppi_text *out)
{
    for (size_t at = 0, n_old = 0, n_new = 0; at < text->n; at += n_old) {
        const char *bytes = text->bytes + at;
        const char *found = map->first[(unsigned char)bytes[0]]
                                ? find_longest(map, bytes, text->n - at, &n_old, &n_new)
                                : NULL;
        if (!found || (at + n_old < text->n && ((unsigned char)bytes[n_old] & 0xc0) == 0x80)) {
            ppi_utf8_get(bytes, &n_old);
            ppi_text_copy(out, text, at, at + n_old);
        } else {
            ppi_text_put(out, found, n_new, ppi_text_origin(text, at, at + n_old));
        }
    }
}
