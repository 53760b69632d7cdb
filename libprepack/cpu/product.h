/*
 * product.h: what a product kernel gets: one weight panel and some rows.
 */
#ifndef PPI_CPU_PRODUCT_H
#define PPI_CPU_PRODUCT_H

#include "internal.h"

#define PPI_CPU_PANEL 64 /* columns of a weight panel */
#define PPI_CPU_GATED 32 /* outputs of a GATE_UP panel */
#define PPI_CPU_ROWS  6  /* rows of a product tile: 6 x 64 sums fill 24 vector registers */

/* One panel times some rows. */
struct ppi_cpu_product {
    const void *a; /* act [n_rows, k] */
    int64_t n_rows, k;
    const void *panel;
    const void *next_panel; /* read next by this thread, brought nearer on the way; or NULL */
    void *out;              /* f32 (products), act (gated) [n_rows, out_stride]; first column */
    int64_t out_stride;     /* elements */
    int32_t n_columns;      /* outputs that exist: at most 64 (products), 32 (gated) */
    const float *bias;      /* of the first column (gated: of its gate); or NULL */
    const float *up_bias;   /* gated: of its up; NULL with bias */
    float scale;            /* products: of the sum and its bias */
    bool accumulate;        /* products: out += */
    const int32_t *rows;    /* products: the rows of out, no two the same, that are added to, and */
    const float *scales;    /* what for, in place of scale and accumulate; [n_rows]; or NULL */
    int32_t activation;     /* gated: PPI_ACTIVATION_* */
    float limit, alpha;     /* SWIGLU_CLAMPED */
};

#endif
