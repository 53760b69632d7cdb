/*
 * make_gguf.h: writes small GGUF files of a Llama with random blocks of few bits.
 */
#ifndef TEST_MAKE_GGUF_H
#define TEST_MAKE_GGUF_H

#include "rng.h"

/* Types of tensors, as the format numbers them. */
enum { GGUF_F32 = 0, GGUF_Q4_0 = 2, GGUF_Q4_1 = 3, GGUF_Q8_0 = 8, GGUF_Q4_K = 12, GGUF_BF16 = 30 };

struct gguf_shape {
    int n_layers, vocab, hidden, inner, n_heads, n_kv_heads; /* rows are multiples of 256 */
    int matrices, values, embedding; /* types: of the matrices, of those of v, of the table, which
                                        is the LM head too */
};

/* Writes the file; ends the program ("Bail out!") on any error. */
void gguf_write(const char *path, const struct gguf_shape *shape, struct rng *rng);

#endif
