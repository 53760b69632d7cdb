/*
 * checksum.c: eight lanes take every eighth word each. A step is a bijection of the word and of the
 * lane, and so is what joins the lanes: a change in one of them cannot get lost. Eight products are
 * under way at a time, so that reading the bytes is what takes the time.
 */
#include "checksum.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie");

#define FACTOR 0x9fb21c651e98df25u /* odd, its bits in no order */

static uint64_t turn(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

/* The finalizer of SplitMix64, as in random_weights.c: a bijection. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void add_blocks(uint64_t *lanes, const unsigned char *bytes, size_t n_blocks)
{
    uint64_t lane[PPI_CHECKSUM_LANES];
    memcpy(lane, lanes, sizeof lane);
    for (size_t i = 0; i < n_blocks; i++, bytes += PPI_CHECKSUM_BLOCK)
        for (int j = 0; j < PPI_CHECKSUM_LANES; j++) {
            uint64_t word;
            memcpy(&word, bytes + 8 * j, sizeof word);
            lane[j] = turn(lane[j] ^ word, 29) * FACTOR;
        }
    memcpy(lanes, lane, sizeof lane);
}

void ppi_checksum_begin(struct ppi_checksum *sum)
{
    *sum = (struct ppi_checksum){.n_bytes = 0};
    for (int j = 0; j < PPI_CHECKSUM_LANES; j++)
        sum->lanes[j] = mix((uint64_t)j + 1);
}

void ppi_checksum_add(struct ppi_checksum *sum, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;
    size_t n_held = sum->n_bytes % PPI_CHECKSUM_BLOCK;
    sum->n_bytes += n;
    if (n_held > 0) {
        size_t part = PPI_CHECKSUM_BLOCK - n_held < n ? PPI_CHECKSUM_BLOCK - n_held : n;
        memcpy(sum->held + n_held, from, part);
        if (n_held + part < PPI_CHECKSUM_BLOCK)
            return;
        add_blocks(sum->lanes, sum->held, 1);
        from += part;
        n -= part;
    }
    add_blocks(sum->lanes, from, n / PPI_CHECKSUM_BLOCK);
    if (n % PPI_CHECKSUM_BLOCK > 0)
        memcpy(sum->held, from + n / PPI_CHECKSUM_BLOCK * PPI_CHECKSUM_BLOCK,
               n % PPI_CHECKSUM_BLOCK);
}

uint64_t ppi_checksum_end(const struct ppi_checksum *sum)
{
    uint64_t lanes[PPI_CHECKSUM_LANES], result = mix(sum->n_bytes);
    unsigned char last[PPI_CHECKSUM_BLOCK] = {0};
    memcpy(lanes, sum->lanes, sizeof lanes);
    memcpy(last, sum->held, sum->n_bytes % PPI_CHECKSUM_BLOCK);
    add_blocks(lanes, last, 1);
    for (int j = 0; j < PPI_CHECKSUM_LANES; j++)
        result = mix(result ^ lanes[j]);
    return result;
}
