/*
 * json_write.c: texts, numbers and strings of JSON into a bounded buffer.
 */
#include "json/json_write.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_bytes(struct ppi_json_out *out, const char *bytes, size_t n)
{
    if (out->text && out->bytes < out->room) {
        size_t left = out->room - out->bytes - 1, kept = n < left ? n : left;
        memcpy(out->text + out->bytes, bytes, kept);
        out->text[out->bytes + kept] = '\0';
    }
    out->bytes += n;
}

void ppi_json_put(struct ppi_json_out *out, const char *text)
{
    put_bytes(out, text, strlen(text));
}

void ppi_json_put_integer(struct ppi_json_out *out, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    ppi_json_put(out, digits);
}

void ppi_json_put_real(struct ppi_json_out *out, double value)
{
    char digits[64], plain[64];
    size_t n = 0;
    int precision = 15;
    do
        snprintf(digits, sizeof digits, "%.*g", precision, value);
    while (precision++ < 17 && strtod(digits, NULL) != value);
    /* the locale's decimal point may be any sequence of bytes */
    for (const char *c = digits; *c; c++) {
        if (strchr("0123456789+-e", *c))
            plain[n++] = *c;
        else if (n > 0 && plain[n - 1] != '.')
            plain[n++] = '.';
    }
    put_bytes(out, plain, n);
}

void ppi_json_put_string(struct ppi_json_out *out, const char *string)
{
    static const char letters[] = "\"\\\b\f\n\r\t", meanings[] = "\"\\bfnrt";
    put_bytes(out, "\"", 1);
    for (size_t left = strlen(string), n; left > 0; string += n, left -= n) {
        const char *letter = strchr(letters, *string);
        char escape[8];
        n = ppi_utf8_sequence(string, left);
        if (letter) {
            put_bytes(out, (char[]){'\\', meanings[letter - letters]}, 2);
        } else if (n == 0) {
            put_bytes(out, "?", n = 1);
        } else if ((unsigned char)*string < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*string);
            ppi_json_put(out, escape);
        } else {
            put_bytes(out, string, n);
        }
    }
    put_bytes(out, "\"", 1);
}
