/*
 * byte_level.c: GPT-2's alphabet: printable bytes of Latin-1 stand for themselves, the others, in
 * order, for the characters from U+0100 on.
 */
#include "tokenizer/split/byte_level.h"

#include "tokenizer/text.h"

/* Bytes 0..0x20 are U+0100.., 0x7f..0xa0 follow them, and 0xad is the last. */
#define N_LOW  0x21
#define N_HIGH 0x22

uint32_t ppi_byte_level_char(unsigned char byte)
{
    if (byte < N_LOW)
        return 0x100u + byte;
    if (byte >= 0x7f && byte <= 0xa0)
        return 0x100u + N_LOW + (byte - 0x7fu);
    return byte == 0xad ? 0x100u + N_LOW + N_HIGH : byte;
}

int ppi_byte_level_byte(uint32_t code)
{
    if (code < 0x100) {
        const bool stands = (code > ' ' && code < 0x7f) || (code > 0xa0 && code != 0xad);
        return stands ? (int)code : -1;
    }
    const uint32_t i = code - 0x100;
    if (i < N_LOW)
        return (int)i;
    if (i < N_LOW + N_HIGH)
        return (int)(0x7f + i - N_LOW);
    return i == N_LOW + N_HIGH ? 0xad : -1;
}

size_t ppi_byte_level_decode(const char *token, size_t n, char *bytes)
{
    size_t used = 0;
    for (size_t i = 0, step; i < n; i += step) {
        const int byte = ppi_byte_level_byte(ppi_utf8_get(token + i, &step));
        if (byte < 0)
            return SIZE_MAX;
        bytes[used++] = (char)byte;
    }
    return used;
}
