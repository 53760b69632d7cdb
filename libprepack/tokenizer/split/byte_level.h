/*
 * byte_level.h: GPT-2's alphabet, in which every byte is a printable character.
 */
#ifndef PPI_BYTE_LEVEL_H
#define PPI_BYTE_LEVEL_H

#include <stddef.h>
#include <stdint.h>

/* The character that stands for a byte. */
uint32_t ppi_byte_level_char(unsigned char byte);
/* The byte that a character stands for, or -1. */
int ppi_byte_level_byte(uint32_t code);
/* The bytes that a token spells: bytes[n] at most. SIZE_MAX where a character stands for none. */
size_t ppi_byte_level_decode(const char *token, size_t n, char *bytes);

#endif
