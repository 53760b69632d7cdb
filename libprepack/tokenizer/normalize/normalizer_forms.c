/*
 * normalizer_forms.c: NFC, NFD, NFKC and NFKD (Unicode Standard Annex 15), of Unicode 9, which is
 * what the library knows that tokenizer.json was written for. Text that a form cannot change is
 * copied; the rest is taken apart, sorted and joined in pieces that begin with a character which
 * never joins one before it.
 */
#include "tokenizer/normalize/normalizer_steps.h"

#include "tokenizer/unicode/unicode_tables.h"

#include <utf8proc.h>

#define HANGUL_FIRST 0xac00u
#define HANGUL_COUNT 11172u
#define LEADS        0x1100u
#define VOWELS       0x1161u
#define TAILS        0x11a7u
#define N_VOWELS     21u
#define N_TAILS      28u

/* The longest decomposition has 18. */
#define MAX_PARTS 20

struct part {
    uint32_t code;
    int32_t change; /* as ppi_change */
    uint32_t class;
};

/* Parts of one piece: usually few. */
struct piece {
    struct part few[64];
    struct part *parts; /* [room] twice, the second for sorting */
    size_t n, room;
    struct ppi_mem *mem;
    bool failed;
};

static uint32_t class_of(uint32_t code)
{
    size_t low = 0, high = PPI_UNICODE_CLASS_RUNS;
    if (code < 0x300 || (code >= 0x3400 && code < 0xa000))
        return 0;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (ppi_unicode_classes[middle] >> 11 <= code)
            low = middle;
        else
            high = middle;
    }
    return ppi_unicode_classes[low] & 0x7ff;
}

static bool is_hangul(uint32_t code)
{
    return code - HANGUL_FIRST < HANGUL_COUNT;
}

/* ---- apart ---- */

/* What decomposes in newer versions of Unicode only. */
static bool is_young(uint32_t code)
{
    static const struct ppi_span young[] = {
        {0x32ff, 0x3300},   {0xa7f1, 0xa7f5},   {0xab69, 0xab6a},   {0x105c9, 0x105e5},
        {0x10781, 0x107bb}, {0x11383, 0x11392}, {0x113c5, 0x113c9}, {0x11938, 0x11939},
        {0x16121, 0x16129}, {0x16d68, 0x16d6b}, {0x1ccd6, 0x1ccfa}, {0x1e030, 0x1e06e},
        {0x1f16c, 0x1f16d}, {0x1fbf0, 0x1fbfa}};
    for (size_t i = 0; code >= 0x32ff && i < PPI_COUNT(young); i++) {
        if (code >= young[i].begin && code < young[i].end)
            return true;
    }
    return false;
}

/* The characters that one decomposes into; it itself when it does not. */
static size_t take_apart(uint32_t code, uint32_t form, uint32_t parts[MAX_PARTS])
{
    utf8proc_int32_t found[MAX_PARTS];
    int last = 0;
    parts[0] = code;
    if (code < 0xa0 || (code >= 0x3400 && code < 0xa000))
        return 1;
    if (is_hangul(code)) {
        const uint32_t i = code - HANGUL_FIRST, tail = i % N_TAILS;
        parts[0] = LEADS + i / (N_VOWELS * N_TAILS);
        parts[1] = VOWELS + i / N_TAILS % N_VOWELS;
        parts[2] = TAILS + tail;
        return tail ? 3 : 2;
    }
    if (is_young(code))
        return 1;
    const utf8proc_option_t options =
        UTF8PROC_DECOMPOSE | (form & PPI_FORM_COMPATIBLE ? UTF8PROC_COMPAT : 0);
    const utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)code, found, MAX_PARTS, options, &last);
    if (n < 1 || n > MAX_PARTS)
        return 1;
    for (utf8proc_ssize_t i = 0; i < n; i++)
        parts[i] = (uint32_t)found[i];
    return (size_t)n;
}

static void grow(struct piece *piece)
{
    const size_t room = piece->room ? 2 * piece->room : 4 * PPI_COUNT(piece->few);
    struct part *parts = ppi_alloc(piece->mem, 2 * room, sizeof *parts);
    if (!parts) {
        piece->failed = true;
        return;
    }
    memcpy(parts, piece->parts, piece->n * sizeof *parts);
    if (piece->room)
        ppi_free(piece->mem, piece->parts);
    piece->parts = parts;
    piece->room = room;
}

static void put_parts(struct piece *piece, uint32_t code, uint32_t form)
{
    uint32_t codes[MAX_PARTS];
    const size_t n = take_apart(code, form, codes);
    for (size_t i = 0; i < n && !piece->failed; i++) {
        if (piece->n == (piece->room ? piece->room : PPI_COUNT(piece->few) / 2))
            grow(piece);
        if (!piece->failed)
            piece->parts[piece->n++] =
                (struct part){.code = codes[i], .change = i > 0, .class = class_of(codes[i])};
    }
}

/* ---- sorted ---- */

/* Sorts parts[0, n) by class, equal ones as they stand; other: room for n. */
static void sort_marks(struct part *parts, size_t n, struct part *other)
{
    size_t first[257] = {0};
    for (size_t i = 0; i < n; i++)
        first[parts[i].class + 1]++;
    for (size_t class = 1; class < 257; class ++)
        first[class] += first[class - 1];
    for (size_t i = 0; i < n; i++)
        other[first[parts[i].class]++] = parts[i];
    memcpy(parts, other, n * sizeof *parts);
}

static void sort_piece(struct piece *piece)
{
    struct part *other = piece->parts + (piece->room ? piece->room : PPI_COUNT(piece->few) / 2);
    for (size_t i = 0, end; i < piece->n; i = end + 1) {
        bool sorted = true;
        for (end = i; end < piece->n && piece->parts[end].class; end++)
            sorted &= end == i || piece->parts[end - 1].class <= piece->parts[end].class;
        if (!sorted)
            sort_marks(piece->parts + i, end - i, other);
    }
}

/* ---- joined ---- */

/* Where in the pairs those with a second character begin, or would. */
static size_t find_pair(uint32_t second, uint32_t first)
{
    size_t low = 0, high = PPI_UNICODE_PAIRS;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const uint32_t *pair = ppi_unicode_pairs + 3 * middle;
        if (pair[0] < second || (pair[0] == second && pair[1] < first))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What two characters are together, or 0. */
static uint32_t join(uint32_t first, uint32_t second)
{
    if (first - LEADS < 19 && second - VOWELS < N_VOWELS)
        return HANGUL_FIRST + ((first - LEADS) * N_VOWELS + (second - VOWELS)) * N_TAILS;
    if (is_hangul(first) && (first - HANGUL_FIRST) % N_TAILS == 0 && second > TAILS &&
        second < TAILS + N_TAILS)
        return first + (second - TAILS);
    if (second < 0x300)
        return 0;
    const size_t i = find_pair(second, first);
    const uint32_t *pair = ppi_unicode_pairs + 3 * i;
    return i < PPI_UNICODE_PAIRS && pair[0] == second && pair[1] == first ? pair[2] : 0;
}

static bool joins_before(uint32_t code)
{
    if (code - VOWELS < N_VOWELS || (code > TAILS && code < TAILS + N_TAILS))
        return true;
    const size_t i = find_pair(code, 0);
    return i < PPI_UNICODE_PAIRS && ppi_unicode_pairs[3 * i] == code;
}

/* Joins in place; the parts that are left. */
static size_t join_parts(struct part *parts, size_t n)
{
    size_t kept = 0, starter = SIZE_MAX;
    uint32_t last = 0; /* class of the mark before, behind the starter */
    for (size_t i = 0; i < n; i++) {
        const struct part part = parts[i];
        const bool open = starter != SIZE_MAX && (last == 0 || last < part.class);
        const uint32_t both = open ? join(parts[starter].code, part.code) : 0;
        if (both) {
            parts[starter].code = both;
            parts[starter].change += part.change - 1;
            continue;
        }
        if (part.class == 0)
            starter = kept;
        last = part.class;
        parts[kept++] = part;
    }
    return kept;
}

/* ---- the text ---- */

/* Whether a form leaves a character as it is, whatever stands around it but marks behind it. */
static bool stays(uint32_t code, uint32_t form)
{
    uint32_t codes[MAX_PARTS];
    if (code < 0xa0 || (code < 0x300 && form == PPI_FORM_COMPOSED) ||
        (code >= 0x3400 && code < 0xa000))
        return true;
    if (is_hangul(code))
        return form & PPI_FORM_COMPOSED;
    if (class_of(code) || ((form & PPI_FORM_COMPOSED) && joins_before(code)))
        return false;
    const size_t n = take_apart(code, form, codes);
    if (n == 1 && codes[0] == code)
        return true;
    if (!(form & PPI_FORM_COMPOSED))
        return false;
    struct part parts[MAX_PARTS];
    for (size_t i = 0; i < n; i++)
        parts[i] = (struct part){.code = codes[i], .class = class_of(codes[i])};
    return join_parts(parts, n) == 1 && parts[0].code == code;
}

static void write_piece(const struct ppi_text *text, size_t begin, size_t end, uint32_t form,
                        struct piece *piece, struct ppi_text *out)
{
    struct ppi_changes changes = {.from = text, .out = out, .at = begin};
    piece->n = 0;
    for (size_t i = begin, step; i < end; i += step)
        put_parts(piece, ppi_utf8_get(text->bytes + i, &step), form);
    if (piece->failed)
        return;
    sort_piece(piece);
    if (form & PPI_FORM_COMPOSED)
        piece->n = join_parts(piece->parts, piece->n);
    for (size_t i = 0; i < piece->n; i++)
        ppi_change(&changes, piece->parts[i].code, piece->parts[i].change);
}

void ppi_normal_form(const struct ppi_text *text, uint32_t form, struct ppi_text *out)
{
    struct piece piece = {.parts = piece.few, .mem = out->mem};
    size_t copied = 0, before = 0; /* of the text; where the last character that stays begins */
    for (size_t i = 0, step; i < text->n && !piece.failed; i += step) {
        if (stays(ppi_utf8_get(text->bytes + i, &step), form)) {
            before = i;
            continue;
        }
        size_t end = i + step;
        while (end < text->n && !stays(ppi_utf8_get(text->bytes + end, &step), form))
            end += step;
        if (before < copied)
            before = copied;
        ppi_text_copy(out, text, copied, before);
        write_piece(text, before, end, form, &piece, out);
        copied = end;
        step = end - i;
    }
    ppi_text_copy(out, text, copied, text->n);
    out->failed |= piece.failed;
    if (piece.room)
        ppi_free(piece.mem, piece.parts);
}
