/*
 * amx_tile.h: the instructions on tiles (AMX) by names of their own, with two back ends: the
 * processor, and with PPI_AMX_EMULATED plain C functions of the same meaning (amx_emulated.h), with
 * which a test runs what is written against them on any machine.
 *
 * A thread has eight tiles of up to 16 rows of 64 bytes, once it has said their shapes, and gives
 * them back. Tile numbers are literals.
 */
#ifndef PPI_CPU_AMX_TILE_H
#define PPI_CPU_AMX_TILE_H

#include "cpu/row_kernels.h"

#define TILE_ROWS  16
#define TILE_BYTES 64 /* of a row */

/* The layout is the processor's. */
struct tile_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t n_rows[16];
};
_Static_assert(sizeof(struct tile_shapes) == 64, "the size that LDTILECFG reads");

#if defined(PPI_AMX_EMULATED)
#include "amx_emulated.h"
#else
#include <immintrin.h>

/* The intrinsics do not tell a compiler what they read: what they will has to be written by here.
 */
#define tile_memory_is_written()   __asm__ volatile("" ::: "memory")

/* Every tile is zero then. */
#define tile_configure(shapes)     _tile_loadconfig(shapes)
#define tile_release()             _tile_release()
#define tile_zero(t)               _tile_zero(t)
#define tile_load(t, from, stride) _tile_loadd(t, from, stride)
#define tile_store(t, to, stride)  _tile_stored(t, to, stride)
/* sums += a b: pairs of bf16; signed bytes of a, unsigned ones of b. */
#define tile_dot_bf16(sums, a, b)  _tile_dpbf16ps(sums, a, b)
#define tile_dot_codes(sums, a, b) _tile_dpbsud(sums, a, b)
#endif

#endif
