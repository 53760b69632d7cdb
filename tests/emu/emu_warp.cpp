/*
 * emu_warp.cpp: what the lanes of a warp compute together: shuffles, ldmatrix, mma. Fragment
 * layouts are those of the PTX manual, written down here once more and not shared with any kernel.
 */
#include "emu_block.h"

namespace hw {
namespace emu {

uint32_t atomic_add(uint32_t *address, uint32_t x, place at)
{
    enter(at);
    give_way();
    uint32_t old = *address;
    *address = old + x;
    return old;
}

/* ---- shuffles ---- */

struct shuffle {
    uint32_t value, result;
    int mask;
};

static void do_shuffle_xor(int warp, void *const *args)
{
    (void)warp;
    int mask = ((shuffle *)args[0])->mask;
    for (int lane = 0; lane < 32; lane++) {
        shuffle *s = (shuffle *)args[lane];
        if (s->mask != mask)
            fail("shuffle_xor: lane %d has mask %d, lane 0 has %d", lane, s->mask, mask);
        s->result = ((shuffle *)args[lane ^ mask])->value;
    }
}

uint32_t shuffle_xor(uint32_t x, int mask, place at)
{
    static const collective op = {"shuffle_xor", do_shuffle_xor};
    if (!visit(op.name, at))
        return x;
    if (mask < 1 || mask > 31)
        fail("calls shuffle_xor with mask %d", mask);
    shuffle s = {x, 0, mask};
    meet(&op, &s);
    return s.result;
}

/* ---- ldmatrix: 8 x 8 matrices of 16-bit elements ---- */

struct matrix_load {
    uint32_t address;
    int n_matrices;
    bool transpose;
    uint32_t *result;
};

static void do_ldmatrix(int warp, void *const *args)
{
    const matrix_load *first = (const matrix_load *)args[0];
    for (int m = 0; m < first->n_matrices; m++) {
        uint16_t matrix[8][8];
        for (int row = 0; row < 8; row++) {
            int lane = 8 * m + row;
            uint32_t address = ((const matrix_load *)args[lane])->address;
            memcpy(matrix[row], shared_bytes("ldmatrix of", address, 16, 16), 16);
            note_read(the.threads[32 * warp + lane], "ldmatrix of", address, 16);
        }
        /* Lane i receives elements 2 (i % 4) and the next of row i / 4, or of that column. */
        for (int lane = 0; lane < 32; lane++) {
            int i = lane / 4, j = 2 * (lane % 4);
            uint32_t low = first->transpose ? matrix[j][i] : matrix[i][j];
            uint32_t high = first->transpose ? matrix[j + 1][i] : matrix[i][j + 1];
            ((const matrix_load *)args[lane])->result[m] = low | high << 16;
        }
    }
}

void ldmatrix(uint32_t *r, uint32_t address, int n_matrices, bool transpose, place at)
{
    if (!visit("ldmatrix", at)) {
        memset(r, 0, (size_t)n_matrices * sizeof *r);
        return;
    }
    static const collective ops[4] = {{"ldmatrix_x2", do_ldmatrix},
                                      {"ldmatrix_x2_trans", do_ldmatrix},
                                      {"ldmatrix_x4", do_ldmatrix},
                                      {"ldmatrix_x4_trans", do_ldmatrix}};
    matrix_load load = {address, n_matrices, transpose, r};
    meet(&ops[2 * (n_matrices == 4) + transpose], &load);
}

/* ---- mma m16n8k16 ---- */

struct product {
    float *c;
    const uint32_t *a, *b;
};

static float value(uint32_t bits, bool is_f16)
{
    return is_f16 ? widen(f16{(uint16_t)bits}) : widen(bf16{(uint16_t)bits});
}

typedef float row8 __attribute__((vector_size(32))); /* compilers do the rest */

/* The sum of each element runs over k in order, every step rounded. */
template <bool IS_F16> static void do_mma(int warp, void *const *args)
{
    (void)warp;
    float a[16][16];
    row8 b[16], c[16];
    for (int lane = 0; lane < 32; lane++) {
        const product *p = (const product *)args[lane];
        int group = lane / 4, pair = 2 * (lane % 4);
        for (int i = 0; i < 4; i++) { /* registers of a: rows +8, then columns +8 */
            int row = group + 8 * (i % 2), k = pair + 8 * (i / 2);
            a[row][k] = value(p->a[i] & 0xffff, IS_F16);
            a[row][k + 1] = value(p->a[i] >> 16, IS_F16);
        }
        for (int i = 0; i < 2; i++) {
            b[pair + 8 * i][group] = value(p->b[i] & 0xffff, IS_F16);
            b[pair + 8 * i + 1][group] = value(p->b[i] >> 16, IS_F16);
        }
        for (int i = 0; i < 4; i++)
            c[group + 8 * (i / 2)][pair + i % 2] = p->c[i];
    }
    for (int row = 0; row < 16; row++) {
        row8 sum = c[row];
        for (int k = 0; k < 16; k++)
            sum += b[k] * a[row][k];
        c[row] = sum;
    }
    for (int lane = 0; lane < 32; lane++) {
        const product *p = (const product *)args[lane];
        for (int i = 0; i < 4; i++)
            p->c[i] = c[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2];
    }
}

void mma_16816(float *c, const uint32_t *a, const uint32_t *b, element type, place at)
{
    if (!visit("mma_16816", at))
        return;
    static const collective ops[2] = {{"mma_16816<bf16>", do_mma<false>},
                                      {"mma_16816<f16>", do_mma<true>}};
    product p = {c, a, b};
    meet(&ops[type == F16], &p);
}

} // namespace emu
} // namespace hw
