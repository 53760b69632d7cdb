/*
 * packed_products.h: products with a panel of a matrix in whatever form it is kept, and rows of
 * activations as integers.
 */
#ifndef PPI_CPU_PACKED_PRODUCTS_H
#define PPI_CPU_PACKED_PRODUCTS_H

#include "cpu/cpu.h"

/* Makes a, act [n_rows, k], rows of codes for products with w. */
void ppi_cpu_quantize_activations(struct ppi_backend *backend, const struct ppi_matrix *w,
                                  const void *a, int64_t n_rows, const struct ppi_cpu_codes *to);

/* Copies one row of codes for products with w. */
void ppi_cpu_copy_codes(const struct ppi_matrix *w, const struct ppi_cpu_codes *from,
                        int64_t from_row, const struct ppi_cpu_codes *to, int64_t to_row);

/* The gated product, or the other, with a panel of w as it is stored. Where w is multiplied as
 * integers, the rows are those of `codes` from `row` on, and product->a is not read. */
void ppi_cpu_panel_product(const struct ppi_backend *backend, const struct ppi_matrix *w,
                           const struct ppi_cpu_product *product, const struct ppi_cpu_codes *codes,
                           int64_t row, char *scratch);

/* Scratch of a thread. */
size_t ppi_cpu_packed_scratch(const struct ppi_backend_params *params);

/* Room for n_rows rows of codes, where there are integer products; codes->codes is to be freed.
 * Errors: PP_ERR_NOMEM. */
pp_status ppi_cpu_codes_create(const struct ppi_backend_params *params, int64_t n_rows,
                               struct ppi_cpu_codes *codes, pp_error *err);

#endif
