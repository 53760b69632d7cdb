/*
 * json_scalar.c: strings, numbers and words of JSON, strictly by RFC 8259.
 */
#define _GNU_SOURCE
#include "json/json_scalar.h"
#include "utf8.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NUMBER_BYTES 127

/* The byte i after the cursor, or -1 past the end. */
static int byte_at(const struct ppi_json_cursor *cursor, size_t i)
{
    return i < cursor->len - cursor->at ? (unsigned char)cursor->text[cursor->at + i] : -1;
}

int ppi_json_peek(struct ppi_json_cursor *cursor)
{
    for (;; cursor->at++) {
        int c = byte_at(cursor, 0);
        if (c == '\n') {
            cursor->line++;
            cursor->line_start = cursor->at + 1;
        } else if (c != ' ' && c != '\t' && c != '\r') {
            return c;
        }
    }
}

const char *ppi_json_scan_word(struct ppi_json_cursor *cursor, const char *word)
{
    for (; *word; word++, cursor->at++)
        if (byte_at(cursor, 0) != *word)
            return "true, false or null is misspelt";
    return NULL;
}

/* ---- strings ---- */

/* Four hexadecimal digits, i bytes after the cursor; -1 if they are not. */
static int32_t hex4(const struct ppi_json_cursor *cursor, size_t i)
{
    int32_t value = 0;
    for (size_t end = i + 4; i < end; i++) {
        int c = byte_at(cursor, i);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *dst, int32_t code)
{
    if (code < 0x80) {
        *dst++ = (char)code;
        return dst;
    }
    int n_more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xc0, 0xe0, 0xf0};
    *dst++ = (char)(leads[n_more] | code >> 6 * n_more);
    while (n_more-- > 0)
        *dst++ = (char)(0x80 | (code >> 6 * n_more & 0x3f));
    return dst;
}

/* \uXXXX, or two of them for a character beyond the first 65536; the cursor stands at the '\'.
 * The encoding is never longer than the escape, so *dst cannot overtake the cursor. */
static const char *scan_unicode(struct ppi_json_cursor *cursor, bool allow_nul, char **dst)
{
    int32_t code = hex4(cursor, 2), low = -1;
    if (code < 0)
        return "\\u needs four hexadecimal digits";
    if (code == 0 && !allow_nul)
        return "\\u0000 is not accepted";
    if (code >= 0xd800 && code <= 0xdbff && byte_at(cursor, 6) == '\\' && byte_at(cursor, 7) == 'u')
        low = hex4(cursor, 8);
    bool is_pair = low >= 0xdc00 && low <= 0xdfff;
    if (code >= 0xd800 && code <= 0xdfff && !is_pair)
        return "half of a surrogate pair";
    if (is_pair)
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    cursor->at += is_pair ? 12 : 6;
    *dst = put_utf8(*dst, code);
    return NULL;
}

static const char *scan_escape(struct ppi_json_cursor *cursor, bool allow_nul, char **dst)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    int c = byte_at(cursor, 1);
    if (c == 'u')
        return scan_unicode(cursor, allow_nul, dst);
    const char *letter = c > 0 ? strchr(letters, c) : NULL;
    if (!letter)
        return "an unknown escape";
    *(*dst)++ = meanings[letter - letters];
    cursor->at += 2;
    return NULL;
}

const char *ppi_json_scan_string(struct ppi_json_cursor *cursor, bool allow_nul,
                                 const char **string, uint32_t *len)
{
    char *begin = cursor->text + ++cursor->at, *dst = begin;
    for (int c; (c = byte_at(cursor, 0)) != '"';) {
        if (c < 0)
            return "a string does not end";
        if (c < 0x20)
            return "a control character in a string";
        if (c == '\\') {
            const char *reason = scan_escape(cursor, allow_nul, &dst);
            if (reason)
                return reason;
            continue;
        }
        size_t n = ppi_utf8_sequence(cursor->text + cursor->at, cursor->len - cursor->at);
        if (n == 0)
            return "not UTF-8";
        for (; n > 0; n--)
            *dst++ = cursor->text[cursor->at++];
    }
    *dst = '\0'; /* at the closing quote at the latest */
    cursor->at++;
    *string = begin;
    *len = (uint32_t)(dst - begin);
    return NULL;
}

/* ---- numbers ---- */

static size_t count_digits(const struct ppi_json_cursor *cursor, size_t i)
{
    size_t begin = i;
    while (byte_at(cursor, i) >= '0' && byte_at(cursor, i) <= '9')
        i++;
    return i - begin;
}

/* Bytes of the number at the cursor by the grammar, 0 if there is none. */
static size_t number_bytes(const struct ppi_json_cursor *cursor, bool *is_integer)
{
    size_t n = byte_at(cursor, 0) == '-';
    size_t n_digits = count_digits(cursor, n);
    if (n_digits == 0 || (n_digits > 1 && byte_at(cursor, n) == '0'))
        return 0;
    n += n_digits;
    *is_integer = true;
    if (byte_at(cursor, n) == '.') {
        *is_integer = false;
        n_digits = count_digits(cursor, n + 1);
        if (n_digits == 0)
            return 0;
        n += 1 + n_digits;
    }
    if (byte_at(cursor, n) == 'e' || byte_at(cursor, n) == 'E') {
        *is_integer = false;
        n += 1 + (byte_at(cursor, n + 1) == '+' || byte_at(cursor, n + 1) == '-');
        n_digits = count_digits(cursor, n);
        if (n_digits == 0)
            return 0;
        n += n_digits;
    }
    return n;
}

/* Exact, or false outside int64. */
static bool to_integer(const char *digits, int64_t *value)
{
    bool is_negative = *digits == '-';
    *value = 0;
    for (digits += is_negative; *digits; digits++) {
        int64_t digit = is_negative ? '0' - *digits : *digits - '0';
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, digit, value))
            return false;
    }
    return true;
}

/* As strtod where the decimal point is a point, whatever the program's locale says; false without
 * memory for that. */
static bool to_real(const char *digits, double *value)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale)
        return false;
    *value = strtod_l(digits, NULL, c_locale);
    freelocale(c_locale);
    return true;
}

/* The words that Python's json has for numbers that are not finite. */
static bool scan_nonfinite(struct ppi_json_cursor *cursor, double *value)
{
    static const struct {
        const char *word;
        double value;
    } words[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t len = strlen(words[i].word);
        if (len <= cursor->len - cursor->at &&
            memcmp(cursor->text + cursor->at, words[i].word, len) == 0) {
            cursor->at += len;
            *value = words[i].value;
            return true;
        }
    }
    return false;
}

const char *ppi_json_scan_number(struct ppi_json_cursor *cursor, bool any,
                                 struct ppi_json_value *value)
{
    char digits[MAX_NUMBER_BYTES + 1];
    bool is_integer = false;
    value->type = PPI_JSON_REAL;
    if (any && scan_nonfinite(cursor, &value->real))
        return NULL;
    size_t n = number_bytes(cursor, &is_integer);
    if (n == 0)
        return "a value is needed";
    if (n > MAX_NUMBER_BYTES)
        return "a number of more than 127 characters";
    memcpy(digits, cursor->text + cursor->at, n);
    digits[n] = '\0';
    if (is_integer && to_integer(digits, &value->integer))
        value->type = PPI_JSON_INTEGER;
    else if (is_integer && !any)
        return "an integer of more than 64 bits";
    else if (!to_real(digits, &value->real) || (!any && !isfinite(value->real)))
        return "a number beyond the range of double";
    cursor->at += n;
    return NULL;
}
