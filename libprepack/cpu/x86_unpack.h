/*
 * x86_unpack.h: panels of codes taken apart, as packed.h and formats.h define them to the bit: into
 * levels as bytes, for integer products, or into numbers.
 */
#ifndef PPI_CPU_X86_UNPACK_H
#define PPI_CPU_X86_UNPACK_H

#include "cpu/x86_bytes.h"

#include <math.h>

#define PANEL_VECTORS (PPI_CPU_PANEL / LANES)
#define ROW_BYTES     (4 * PPI_CPU_PANEL) /* of a panel: 32 bits of each column */

/* Entries of a table of 16 bytes for the low or the high halves of bytes. */
PPI_INLINE vi pick_halves(vi table, vi x, bool high)
{
    return v_bytes_pick(table, v_bits_and(high ? v_words_right(x, 4) : x, v_bytes_set1(15)));
}

/* Levels of codes of 4 bits, less `zero`. */
PPI_INLINE vi level_table(const struct ppi_format *format, int32_t zero)
{
    uint8_t table[16];
    for (int code = 0; code < 16; code++)
        table[code] = (uint8_t)((format->levels ? format->levels[code] : code) - zero);
    return v_bytes_table(table);
}

/* ppi_power_of_two of bytes: of two exponents the larger, the second is of numbers below the normal
 * ones. */
PPI_INLINE vf load_powers(const char *from)
{
    vi byte = v_load_bytes(from), one = v_bits_set1(1);
    vi normal = v_bits_left(v_bits_sub(byte, one), 23);
    return v_bits_as_f32(v_bits_max(normal, v_bits_left(v_bits_add(byte, one), 21)));
}

/* A NaN becomes the usual one, whose bits survive rounding by addition. */
PPI_INLINE vf load_scale(int32_t bytes, const char *from, int64_t i)
{
    if (bytes == 1)
        return load_powers(from + i);
    vf x = bytes == sizeof(float) ? v_load(from + i * bytes) : v_load_f16(from + i * bytes);
    return v_where_ordered(x, v_set1(NAN));
}

static void unpack_scales(const struct ppi_cpu_unpack *p, const char *from, float *to)
{
    const struct ppi_format *format = &ppi_formats[p->format];
    for (int64_t k = 0; k < p->k_padded; k += PPI_CPU_CODE_GROUP, to += PPI_CPU_PANEL)
        for (int j = 0; j < PPI_CPU_PANEL; j += LANES)
            v_store(to + j,
                    load_scale(format->scale_bytes, from, k / format->group * PPI_CPU_PANEL + j));
}

PPI_INLINE void unpack_levels(const struct ppi_cpu_unpack *p)
{
    const struct ppi_format *format = &ppi_formats[p->format];
    const char *from = p->panel;
    const char *scales = from + ppi_cpu_code_bytes(p->format, p->k_padded);
    uint8_t *to = p->codes;
    if (format->bits == 8) {
        memcpy(to, from, (size_t)p->k_padded * PPI_CPU_PANEL);
    } else {
        vi table = level_table(format, 0);
        for (int64_t k = 0; k < p->k_padded; k += 8, from += ROW_BYTES, to += 2 * ROW_BYTES) {
            UNROLL for (int j = 0; j < PANEL_VECTORS; j++)
            {
                vi x = v_bits_load(from + 4 * LANES * j);
                v_bits_store(to + 4 * LANES * j, pick_halves(table, x, false));
                v_bits_store(to + ROW_BYTES + 4 * LANES * j, pick_halves(table, x, true));
            }
        }
    }
    unpack_scales(p, scales, p->scales);
    if (format->has_offsets)
        unpack_scales(p, scales + ppi_cpu_scale_bytes(p->format, p->k_padded), p->offsets);
}

/* ---- numbers ---- */

/* What levels become numbers with. */
struct measure {
    vf scale, offset;
    bool has_offset;
};

/* The number of byte b of each 32 bits of levels less zero. */
PPI_INLINE vf number_of(const struct measure *m, vi levels, int b)
{
    vi level = v_bits_shift(v_bits_left(levels, 24 - 8 * b), 24);
    vf value = v_mul(m->scale, v_bits_to_f32(level));
    return m->has_offset ? v_add(value, m->offset) : value;
}

/* Its bits with the upper half rounded as bf16; no NaN has bits that overflow. */
PPI_INLINE vi round_bits(vf x)
{
    vi bits = v_bits_of_f32(x), odd = v_bits_and(v_bits_right(bits, 16), v_bits_set1(1));
    return v_bits_add(bits, v_bits_add(odd, v_bits_set1(0x7fff)));
}

/* The numbers of n of k, at most four, of some columns to rows of a panel. */
PPI_INLINE void put_numbers(bool bf16, const struct measure *m, vi levels, int64_t n, char *to)
{
    for (int b = 0; !bf16 && b < n; b++)
        v_store(to + b * ROW_BYTES, number_of(m, levels, b));
    for (int b = 0; bf16 && b < n; b += 2) {
        vi pair = v_bits_right(round_bits(number_of(m, levels, b)), 16);
        if (b + 1 < n) /* the second half of an odd k is zero */
            pair = v_bits_or(pair, v_bits_high(round_bits(number_of(m, levels, b + 1))));
        v_bits_store(to + b / 2 * ROW_BYTES, pair);
    }
}

PPI_INLINE void put_four(bool bf16, const struct measure *m, vi levels, int64_t n, char *to)
{
    if (n >= 4)
        put_numbers(bf16, m, levels, 4, to);
    else if (n > 0)
        put_numbers(bf16, m, levels, n, to);
}

/* 32 of k, of which n exist, of some columns. */
PPI_INLINE void unpack_group(bool bf16, bool half_bytes, const struct measure *m, vi table,
                             const char *from, int64_t n, char *to)
{
    const int64_t step = 4 * ROW_BYTES / (bf16 ? 2 : 1);
    for (int64_t k = 0; k < PPI_CPU_CODE_GROUP && k < n; from += ROW_BYTES) {
        vi x = v_bits_load(from);
        if (half_bytes) {
            put_four(bf16, m, pick_halves(table, x, false), n - k, to);
            put_four(bf16, m, pick_halves(table, x, true), n - k - 4, to + step);
            k += 8;
            to += 2 * step;
        } else {
            put_four(bf16, m, v_bytes_sub(x, table), n - k, to);
            k += 4;
            to += step;
        }
    }
}

PPI_INLINE void unpack_columns(bool bf16, bool half_bytes, bool has_offset,
                               const struct ppi_cpu_unpack *p)
{
    const struct ppi_format *format = &ppi_formats[p->format];
    const char *scales = (const char *)p->panel + ppi_cpu_code_bytes(p->format, p->k_padded);
    const char *offsets = scales + ppi_cpu_scale_bytes(p->format, p->k_padded);
    vi table = half_bytes ? level_table(format, format->zero) : v_bytes_set1(format->zero);
    for (int64_t k = 0; k < p->k; k += PPI_CPU_CODE_GROUP)
        for (int j = 0; j < PPI_CPU_PANEL; j += LANES) {
            int64_t at = k / format->group * PPI_CPU_PANEL + j;
            struct measure m = {.has_offset = has_offset,
                                .scale = load_scale(format->scale_bytes, scales, at)};
            if (has_offset)
                m.offset = load_scale(format->scale_bytes, offsets, at);
            unpack_group(bf16, half_bytes, &m, table,
                         (const char *)p->panel + k * PPI_CPU_PANEL / (half_bytes ? 2 : 1) + 4 * j,
                         p->k - k, (char *)p->numbers + k * ROW_BYTES / (bf16 ? 2 : 1) + 4 * j);
        }
}

/* A panel of bf16, as it is or widened. */
PPI_INLINE void unpack_bf16(bool bf16, const struct ppi_cpu_unpack *p)
{
    const char *from = p->panel;
    char *to = p->numbers;
    if (bf16) {
        memcpy(to, from, (size_t)ppi_div_up(p->k, 2) * ROW_BYTES);
        return;
    }
    for (int64_t k = 0; k < p->k; k += 2, from += ROW_BYTES, to += 2 * ROW_BYTES)
        for (int j = 0; j < ROW_BYTES; j += 4 * LANES) {
            vi pairs = v_bits_load(from + j);
            v_bits_store(to + j, v_bits_low(pairs));
            if (k + 1 < p->k)
                v_bits_store(to + ROW_BYTES + j, v_bits_high(pairs));
        }
}

PPI_INLINE void unpack_panel(bool bf16, const struct ppi_cpu_unpack *p)
{
    const struct ppi_format *format = &ppi_formats[p->format];
    if (p->format == PPI_FORMAT_BF16)
        unpack_bf16(bf16, p);
    else if (format->bits == 8)
        unpack_columns(bf16, false, false, p);
    else if (format->has_offsets)
        unpack_columns(bf16, true, true, p);
    else
        unpack_columns(bf16, true, false, p);
}

#endif
