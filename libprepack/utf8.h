/*
 * utf8.h: which bytes are UTF-8.
 */
#ifndef PPI_UTF8_H
#define PPI_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed UTF-8 sequence that text[0, len) begins with, 0 if there is none. */
size_t ppi_utf8_sequence(const char *text, size_t len);

#endif
