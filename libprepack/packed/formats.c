/*
 * formats.c: the table of formats.
 */
#include "packed/formats.h"

/* round(127 t) + 128 of the 16 values t of NF4, the quantiles of a normal distribution that QLoRA
 * lists, so that integer products read them; what rounding moves is 5 % of the narrowest step at
 * most, less than what four bits lose anyway. */
static const uint8_t nf4_levels[16] = {1,   40,  61,  78,  92,  105, 116, 128,
                                       138, 148, 159, 171, 184, 199, 220, 255};

/* The numbers of MXFP4, doubled, so that they are whole: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their
 * negatives. */
static const uint8_t mxfp4_levels[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

const struct ppi_format ppi_formats[PPI_N_FORMATS] = {
    [PPI_FORMAT_ACT] = {.name = "numbers", .padding = 1},
    [PPI_FORMAT_BF16] = {.name = "bf16", .padding = 1},
    [PPI_FORMAT_INT8] = {.name = "int8", .bits = 8, .padding = 64, .scale_bytes = 4, .zero = 128},
    [PPI_FORMAT_INT4] = {"int4", 4, 32, 32, 2, false, 8, NULL},
    [PPI_FORMAT_NF4] = {"nf4", 4, 64, 64, 4, false, 128, nf4_levels},
    [PPI_FORMAT_Q8_0] = {"Q8_0", 8, 32, 32, 2, false, 128, NULL},
    [PPI_FORMAT_Q4_1] = {"Q4_1", 4, 32, 32, 2, true, 0, NULL},
    [PPI_FORMAT_Q4_K] = {"Q4_K", 4, 32, 32, 4, true, 0, NULL},
    [PPI_FORMAT_MXFP4] = {"MXFP4", 4, 32, 32, 1, false, 12, mxfp4_levels},
};
