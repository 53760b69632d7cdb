/*
 * checksum.h: a 64-bit sum of bytes that come in any pieces: whether a file is what was written, or
 * two descriptions are the same. Whatever changes within one aligned word of 8 bytes changes it;
 * anything else does with all but a chance of 2^-64. It keeps nobody out who wants to deceive.
 */
#ifndef PPI_CHECKSUM_H
#define PPI_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define PPI_CHECKSUM_LANES 8
#define PPI_CHECKSUM_BLOCK (8 * PPI_CHECKSUM_LANES)

struct ppi_checksum {
    uint64_t lanes[PPI_CHECKSUM_LANES];
    uint64_t n_bytes;
    unsigned char held[PPI_CHECKSUM_BLOCK]; /* the last n_bytes % PPI_CHECKSUM_BLOCK bytes */
};

void ppi_checksum_begin(struct ppi_checksum *sum);
void ppi_checksum_add(struct ppi_checksum *sum, const void *bytes, size_t n);
/* Of all that was added so far; more may follow. */
uint64_t ppi_checksum_end(const struct ppi_checksum *sum);

#endif
