/*
 * packed_products.h: what products.c and opening a context need of packed_products.c.
 */
#ifndef PPI_CPU_PACKED_PRODUCTS_H
#define PPI_CPU_PACKED_PRODUCTS_H

#include "cpu/cpu.h"

/* Makes a, act [n_rows, k], the context's rows of codes for products with w. */
void ppi_cpu_quantize_activations(struct ppi_backend *backend, const struct ppi_matrix *w,
                                  const void *a, int64_t n_rows);

/* A product with a panel of w as it is stored, with the rows of `product`, the first of which is
 * row `row` of the context's codes. */
void ppi_cpu_packed_product(const struct ppi_backend *backend, const struct ppi_matrix *w,
                            const struct ppi_cpu_product *product, int64_t row, char *scratch);

/* Scratch of a thread. */
size_t ppi_cpu_packed_scratch(const struct ppi_backend_params *params);

/* Room for n_rows rows of codes, where there are integer products. Errors: PP_ERR_NOMEM. */
pp_status ppi_cpu_codes_create(struct ppi_backend *backend, int64_t n_rows, pp_error *err);

#endif
