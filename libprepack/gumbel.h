/*
 * gumbel.h: the noise of the Gumbel-max method: argmax of logits[t] + temperature * gumbel(t) is a
 * draw from softmax(logits / temperature) (Gumbel 1954; Maddison et al., arXiv 1411.0030). A
 * function of the seed, the position and the token id alone, for the C of the CPU and, included
 * with PPI_GUMBEL_FUNCTION and PPI_GUMBEL_LOG2 set, for kernels. The random bits are the same
 * everywhere; the last bits of the noise may differ from device to device, as logarithms do.
 */
#ifndef PPI_GUMBEL_H
#define PPI_GUMBEL_H

#include <math.h>
#include <stdint.h>

#ifndef PPI_GUMBEL_FUNCTION
#define PPI_GUMBEL_FUNCTION static inline
#endif
#ifndef PPI_GUMBEL_LOG2
#define PPI_GUMBEL_LOG2 log2f
#endif

#define PPI_GUMBEL_TOKENS 4 /* tokens 4 i .. 4 i + 3 share one call of ppi_gumbel_bits */

/*
 * Philox 4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11):
 * four words from a counter and a key. Here the counter is the quad of tokens and the position, the
 * key is the seed; word i belongs to token 4 quad + i.
 */
PPI_GUMBEL_FUNCTION void ppi_gumbel_bits(uint64_t seed, int32_t position, uint32_t quad,
                                         uint32_t bits[4])
{
    uint32_t c0 = quad, c1 = (uint32_t)position, c2 = 0, c3 = 0;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    bits[0] = c0;
    bits[1] = c1;
    bits[2] = c2;
    bits[3] = c3;
}

/*
 * -ln(-ln(1 - v)) of v = (bits + 1/2) / 2^32, finite for all bits: -2.9 to 22.9. The largest
 * noises, which decide, come from small v, which floats hold well. There -ln(1 - v) is a series,
 * because hardware logarithms are absolutely, not relatively, exact near 1: 3e-6 of it at the seam.
 */
PPI_GUMBEL_FUNCTION float ppi_gumbel(uint32_t bits)
{
    const float ln2 = 0.6931471805599453f;
    float v = ((float)bits + 0.5f) * 0x1p-32f;
    float series = v * (1.0f + v * (0.5f + v * (0.33333333f + v * 0.25f)));
    float rest = 1.0f - v; /* 0 when v rounds to 1 */
    float logarithm = -ln2 * PPI_GUMBEL_LOG2(rest > 0x1p-25f ? rest : 0x1p-25f);
    return -ln2 * PPI_GUMBEL_LOG2(v < 0.0625f ? series : logarithm);
}

#endif
