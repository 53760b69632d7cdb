/*
 * gguf_blocks.h: the numbers that blocks of GGUF's types stand for.
 */
#ifndef PPI_GGUF_BLOCKS_H
#define PPI_GGUF_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#define PPI_GGUF_MAX_BLOCK_BYTES 256 /* of the types that are decoded */

/* n_blocks blocks of a type (its number, as in ppi_stored_entry.blocks) to f32. `blocks` may lie at
 * the end of the room of dst, where what is read is overwritten only after that. */
void ppi_gguf_decode(uint32_t type, const void *blocks, size_t n_blocks, float *dst);

#endif
