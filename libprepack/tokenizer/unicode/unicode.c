/*
 * unicode.c: what characters are; see unicode.h. ASCII is answered at once, the
 * rest by a search in runs.
 */
#include "tokenizer/unicode/unicode.h"

#include "tokenizer/unicode/unicode_tables.h"

#include <stddef.h>
#include <utf8proc.h>

/* The value of the run that holds a character. */
static uint32_t value_of(uint32_t code)
{
    size_t low = 0, high = PPI_UNICODE_RUNS;
    /* most of Chinese and Korean */
    if (code - 0x4e00 < 0x5200 || code - 0xac00 < 11172)
        return PPI_LO | PPI_CHAR_ALPHABETIC;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (ppi_unicode_runs[middle] >> 11 <= code)
            low = middle;
        else
            high = middle;
    }
    return ppi_unicode_runs[low] & 0x7ff;
}

bool ppi_is_white_space(uint32_t code)
{
    if (code < 0x80)
        return code == ' ' || (code >= 9 && code <= 13);
    return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
           code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

static bool is_ascii_alnum(uint32_t code)
{
    return (code >= '0' && code <= '9') || ((code | 0x20) >= 'a' && (code | 0x20) <= 'z');
}

bool ppi_is_word(uint32_t code)
{
    if (code < 0x80)
        return is_ascii_alnum(code) || code == '_';
    if (code == 0x200c || code == 0x200d)
        return true;
    const uint32_t value = value_of(code);
    const uint32_t word = 1u << PPI_MN | 1u << PPI_MC | 1u << PPI_ME | 1u << PPI_ND | 1u << PPI_PC;
    return (value & PPI_CHAR_ALPHABETIC) || (word >> (value & 31) & 1);
}

bool ppi_is_numeric(uint32_t code)
{
    return code < 0x80 ? code >= '0' && code <= '9' : (value_of(code) & PPI_CHAR_NUMERIC) != 0;
}

bool ppi_is_punctuation(uint32_t code)
{
    if (code < 0x80)
        return code > ' ' && code < 0x7f && !is_ascii_alnum(code);
    return (value_of(code) & PPI_CHAR_PUNCTUATION) != 0;
}

bool ppi_is_other(uint32_t code)
{
    if (code < 0x80)
        return (code < ' ' && code != '\t' && code != '\n' && code != '\r') || code == 0x7f;
    return (value_of(code) & PPI_CHAR_OTHER) != 0;
}

bool ppi_is_chinese(uint32_t code)
{
    return code >= 0x3400 &&
           ((code >= 0x4e00 && code <= 0x9fff) || code <= 0x4dbf ||
            (code >= 0x20000 && code <= 0x2a6df) || (code >= 0x2a700 && code <= 0x2b73f) ||
            (code >= 0x2b740 && code <= 0x2b81f) || (code >= 0x2b920 && code <= 0x2ceaf) ||
            (code >= 0xf900 && code <= 0xfaff) || (code >= 0x2f800 && code <= 0x2fa1f));
}

bool ppi_is_mark_nonspacing(uint32_t code)
{
    return code >= 0x300 && (value_of(code) & PPI_CHAR_MARK_NONSPACING);
}

bool ppi_is_combining(uint32_t code)
{
    return code >= 0x300 && (value_of(code) & PPI_CHAR_COMBINING);
}

/* Upper case that is younger than Unicode 15, which utf8proc 2.8 has. */
static const struct {
    uint32_t first, last, lower, step;
} young[] = {
    {0x1c89, 0x1c89, 0x1c8a, 1},    {0xa7cb, 0xa7cb, 0x264, 1},     {0xa7cc, 0xa7cc, 0xa7cd, 1},
    {0xa7ce, 0xa7d4, 0xa7cf, 2},    {0xa7da, 0xa7da, 0xa7db, 1},    {0xa7dc, 0xa7dc, 0x19b, 1},
    {0x10d50, 0x10d65, 0x10d70, 1}, {0x16ea0, 0x16eb8, 0x16ebb, 1},
};

int ppi_to_lower(uint32_t code, uint32_t lower[2])
{
    lower[0] = code;
    if (code < 0x80) {
        if (code >= 'A' && code <= 'Z')
            lower[0] = code + 32;
        return 1;
    }
    if (code == 0x130) {
        lower[0] = 'i';
        lower[1] = 0x307;
        return 2;
    }
    for (size_t i = 0; code >= 0x1c89 && i < sizeof young / sizeof *young; i++) {
        if (code < young[i].first || code > young[i].last ||
            (code - young[i].first) % young[i].step)
            continue;
        lower[0] = young[i].lower + (code - young[i].first);
        return 1;
    }
    lower[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
    return 1;
}
