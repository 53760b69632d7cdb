/*
 * charset.c: sets of characters and the properties that have names; see charset.h.
 */
#include "tokenizer/pattern/charset.h"

#include "tokenizer/unicode/unicode_tables.h"

#include <stdlib.h>

static int by_begin(const void *a, const void *b)
{
    const struct ppi_span *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

void ppi_charset_tidy(struct ppi_spans *set)
{
    size_t n = 0;
    if (set->n == 0)
        return;
    qsort(set->items, set->n, sizeof *set->items, by_begin);
    for (size_t i = 1; i < set->n; i++) {
        if (set->items[i].begin > set->items[n].end)
            set->items[++n] = set->items[i];
        else if (set->items[i].end > set->items[n].end)
            set->items[n].end = set->items[i].end;
    }
    set->n = n + 1;
}

void ppi_charset_invert(struct ppi_spans *set)
{
    const size_t n = set->n;
    uint32_t at = 0;
    size_t kept = 0;
    /* room for one more: the gaps are written over the ranges they follow */
    const uint32_t last = n ? set->items[n - 1].end : 0;
    if (last < PPI_CHARS_END) {
        ppi_spans_put(set, 0, 0);
        if (set->failed)
            return;
    }
    for (size_t i = 0; i < n; i++) {
        const struct ppi_span range = set->items[i];
        if (range.begin > at)
            set->items[kept++] = (struct ppi_span){at, range.begin};
        at = range.end;
    }
    if (at < PPI_CHARS_END)
        set->items[kept++] = (struct ppi_span){at, PPI_CHARS_END};
    set->n = kept;
}

void ppi_charset_intersect(struct ppi_spans *set, const struct ppi_spans *other)
{
    struct ppi_spans both = {.mem = set->mem};
    for (size_t i = 0, j = 0; i < set->n && j < other->n;) {
        const struct ppi_span a = set->items[i], b = other->items[j];
        const uint32_t begin = a.begin > b.begin ? a.begin : b.begin;
        const uint32_t end = a.end < b.end ? a.end : b.end;
        if (begin < end)
            ppi_spans_put(&both, begin, end);
        if (a.end < b.end)
            i++;
        else
            j++;
    }
    both.failed |= set->failed || other->failed;
    ppi_spans_free(set);
    *set = both;
}

void ppi_charset_add(struct ppi_spans *set, const struct ppi_spans *other)
{
    for (size_t i = 0; i < other->n; i++)
        ppi_spans_put(set, other->items[i].begin, other->items[i].end);
    set->failed |= other->failed;
}

bool ppi_charset_has(const struct ppi_span *ranges, size_t n, uint32_t code)
{
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (code < ranges[middle].begin)
            high = middle;
        else if (code >= ranges[middle].end)
            low = middle + 1;
        else
            return true;
    }
    return false;
}

/* ---- properties ---- */

static void put_runs(struct ppi_spans *set, const uint32_t *runs, size_t n_runs,
                     bool (*wanted)(uint32_t value, uint32_t of), uint32_t of)
{
    for (size_t i = 0; i < n_runs; i++) {
        if (wanted(runs[i] & 0x7ff, of))
            ppi_spans_put(set, runs[i] >> 11, i + 1 < n_runs ? runs[i + 1] >> 11 : PPI_CHARS_END);
    }
}

static bool in_categories(uint32_t value, uint32_t categories)
{
    return categories >> (value & 31) & 1;
}

static bool has_flag(uint32_t value, uint32_t flag)
{
    return (value & flag) != 0;
}

static bool is_equal(uint32_t value, uint32_t of)
{
    return value == of;
}

static void put_categories(struct ppi_spans *set, uint32_t categories)
{
    put_runs(set, ppi_unicode_runs, PPI_UNICODE_RUNS, in_categories, categories);
}

#define BITS(first, last) ((1u << ((last) + 1)) - (1u << (first)))

static const struct {
    const char *names; /* squeezed, a NUL behind each */
    uint32_t categories;
} categories[] = {
    {"l\0letter\0", BITS(PPI_LU, PPI_LO)},
    {"lu\0uppercaseletter\0", 1u << PPI_LU},
    {"ll\0lowercaseletter\0", 1u << PPI_LL},
    {"lt\0titlecaseletter\0", 1u << PPI_LT},
    {"lm\0modifierletter\0", 1u << PPI_LM},
    {"lo\0otherletter\0", 1u << PPI_LO},
    {"m\0mark\0combiningmark\0", BITS(PPI_MN, PPI_ME)},
    {"mn\0nonspacingmark\0", 1u << PPI_MN},
    {"mc\0spacingmark\0", 1u << PPI_MC},
    {"me\0enclosingmark\0", 1u << PPI_ME},
    {"n\0number\0", BITS(PPI_ND, PPI_NO)},
    {"nd\0decimalnumber\0digit\0", 1u << PPI_ND},
    {"nl\0letternumber\0", 1u << PPI_NL},
    {"no\0othernumber\0", 1u << PPI_NO},
    {"p\0punctuation\0punct\0", BITS(PPI_PC, PPI_PO)},
    {"pc\0connectorpunctuation\0", 1u << PPI_PC},
    {"pd\0dashpunctuation\0", 1u << PPI_PD},
    {"ps\0openpunctuation\0", 1u << PPI_PS},
    {"pe\0closepunctuation\0", 1u << PPI_PE},
    {"pi\0initialpunctuation\0", 1u << PPI_PI},
    {"pf\0finalpunctuation\0", 1u << PPI_PF},
    {"po\0otherpunctuation\0", 1u << PPI_PO},
    {"s\0symbol\0", BITS(PPI_SM, PPI_SO)},
    {"sm\0mathsymbol\0", 1u << PPI_SM},
    {"sc\0currencysymbol\0", 1u << PPI_SC},
    {"sk\0modifiersymbol\0", 1u << PPI_SK},
    {"so\0othersymbol\0", 1u << PPI_SO},
    {"z\0separator\0", BITS(PPI_ZS, PPI_ZP)},
    {"zs\0spaceseparator\0", 1u << PPI_ZS},
    {"zl\0lineseparator\0", 1u << PPI_ZL},
    {"zp\0paragraphseparator\0", 1u << PPI_ZP},
    {"c\0other\0", BITS(PPI_CC, PPI_CO) | 1u << PPI_CN},
    {"cc\0control\0", 1u << PPI_CC},
    {"cf\0format\0", 1u << PPI_CF},
    {"cn\0unassigned\0", 1u << PPI_CN},
    {"co\0privateuse\0", 1u << PPI_CO},
};

/* In the order of the script's SCRIPTS. */
static const char *const scripts[] = {"arabic", "bengali", "cyrillic", "devanagari", "greek",
                                      "han",    "hangul",  "hebrew",   "hiragana",   "katakana",
                                      "latin",  "tamil",   "thai"};

#define MAX_NAME 32

/* Lower case without spaces, '-' and '_'; false: longer than any name. */
static bool squeeze(char squeezed[MAX_NAME], const char *name, size_t n)
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        const char c = name[i];
        if (c == ' ' || c == '-' || c == '_')
            continue;
        if (c == '\0' || used + 1 == MAX_NAME)
            return false;
        squeezed[used++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    squeezed[used] = '\0';
    return used > 0;
}

static bool is_one_of(const char *names, const char *name)
{
    for (; *names; names += strlen(names) + 1) {
        if (strcmp(names, name) == 0)
            return true;
    }
    return false;
}

static void put_word(struct ppi_spans *set)
{
    put_runs(set, ppi_unicode_runs, PPI_UNICODE_RUNS, has_flag, PPI_CHAR_ALPHABETIC);
    put_categories(set, BITS(PPI_MN, PPI_ME) | 1u << PPI_ND | 1u << PPI_PC);
}

static void put_white(struct ppi_spans *set)
{
    static const struct ppi_span white[] = {
        {9, 14},          {' ', ' ' + 1},   {0x85, 0x86},     {0xa0, 0xa1},     {0x1680, 0x1681},
        {0x2000, 0x200b}, {0x2028, 0x202a}, {0x202f, 0x2030}, {0x205f, 0x2060}, {0x3000, 0x3001}};
    for (size_t i = 0; i < PPI_COUNT(white); i++)
        ppi_spans_put(set, white[i].begin, white[i].end);
}

static void put_hex_digits(struct ppi_spans *set)
{
    ppi_spans_put(set, '0', '9' + 1);
    ppi_spans_put(set, 'A', 'F' + 1);
    ppi_spans_put(set, 'a', 'f' + 1);
}

bool ppi_charset_put_posix(struct ppi_spans *set, const char *name, size_t n)
{
    char squeezed[MAX_NAME];
    if (!squeeze(squeezed, name, n))
        return false;
    if (strcmp(squeezed, "alpha") == 0 || strcmp(squeezed, "alnum") == 0) {
        put_runs(set, ppi_unicode_runs, PPI_UNICODE_RUNS, has_flag, PPI_CHAR_ALPHABETIC);
        if (squeezed[2] == 'n')
            put_categories(set, 1u << PPI_ND);
    } else if (strcmp(squeezed, "word") == 0) {
        put_word(set);
    } else if (strcmp(squeezed, "space") == 0) {
        put_white(set);
    } else if (strcmp(squeezed, "blank") == 0) {
        ppi_spans_put(set, '\t', '\t' + 1);
        put_categories(set, 1u << PPI_ZS);
    } else if (strcmp(squeezed, "digit") == 0) {
        put_categories(set, 1u << PPI_ND);
    } else if (strcmp(squeezed, "punct") == 0) {
        put_categories(set, BITS(PPI_PC, PPI_PO) | BITS(PPI_SM, PPI_SO));
    } else if (strcmp(squeezed, "cntrl") == 0) {
        put_categories(set, 1u << PPI_CC);
    } else if (strcmp(squeezed, "xdigit") == 0) {
        put_hex_digits(set);
    } else if (strcmp(squeezed, "ascii") == 0) {
        ppi_spans_put(set, 0, 0x80);
    } else {
        return false;
    }
    return true;
}

bool ppi_charset_put_property(struct ppi_spans *set, const char *name, size_t n)
{
    char squeezed[MAX_NAME];
    if (!squeeze(squeezed, name, n))
        return false;
    for (size_t i = 0; i < PPI_COUNT(categories); i++) {
        if (is_one_of(categories[i].names, squeezed)) {
            put_categories(set, categories[i].categories);
            return true;
        }
    }
    for (uint32_t i = 0; i < PPI_COUNT(scripts); i++) {
        if (strcmp(scripts[i], squeezed) == 0) {
            put_runs(set, ppi_unicode_scripts, PPI_UNICODE_SCRIPT_RUNS, is_equal, i + 1);
            return true;
        }
    }
    if (strcmp(squeezed, "any") == 0) {
        ppi_spans_put(set, 0, PPI_CHARS_END);
        return true;
    }
    if (strcmp(squeezed, "alphabetic") == 0) {
        put_runs(set, ppi_unicode_runs, PPI_UNICODE_RUNS, has_flag, PPI_CHAR_ALPHABETIC);
        return true;
    }
    /* \p{Word} is another set in brackets than outside of them */
    return strcmp(squeezed, "word") != 0 && ppi_charset_put_posix(set, name, n);
}
