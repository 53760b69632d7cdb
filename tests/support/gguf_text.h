/*
 * gguf_text.h: GGUF files put together from a text of words, so that a test shows every byte that
 * it means and a broken one is a word replaced.
 *
 *     'GGUF'        these bytes            b:1 w:1 d:1 q:1  an integer of 1, 2, 4, 8 bytes
 *     "name"        8 bytes of length,     f:0.5            an f32
 *                   then these             *5  @32          5 zeroes; zeroes to a multiple of 32
 *     nt nk         how often the words `tensor` and `key`, which add nothing, stand in the text
 *
 * No word has a space inside.
 */
#ifndef TEST_GGUF_TEXT_H
#define TEST_GGUF_TEXT_H

#include <stddef.h>

/* The bytes, malloced in a block of exactly *len. Ends the program at a word that is none. */
char *gguf_assemble(const char *text, size_t *len);

/* A Llama of one layer, 8 tokens, width 4, one head, in F32 zeroes. */
extern const char gguf_tiny[];

#endif
