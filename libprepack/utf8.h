/*
 * utf8.h: which bytes are UTF-8.
 */
#ifndef PPI_UTF8_H
#define PPI_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed UTF-8 sequence (Unicode, table 3-7) that text[0, len) begins with, 0 if
 * there is none. */
static inline size_t ppi_utf8_sequence(const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    int lead = len > 0 ? bytes[0] : 0xff;
    size_t n = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    int low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    int high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead > 0xf4 || n > len || (n > 1 && (bytes[1] < low || bytes[1] > high)))
        return 0;
    for (size_t i = 2; i < n; i++)
        if (bytes[i] < 0x80 || bytes[i] > 0xbf)
            return 0;
    return n;
}

#endif
