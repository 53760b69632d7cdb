/*
 * context.h: opening and closing a context: the seam's open, close, get_info, get_memory,
 * set_limit.
 */
#ifndef PPI_CUDA_CONTEXT_H
#define PPI_CUDA_CONTEXT_H

#include "cuda/cuda_impl.h"

pp_status ppi_cuda_open(const struct ppi_backend_params *params, struct ppi_backend **backend,
                        pp_error *err);
void ppi_cuda_close(struct ppi_backend *backend);
void ppi_cuda_get_info(const struct ppi_backend *backend, struct ppi_backend_info *info);
void ppi_cuda_get_memory(const struct ppi_backend *backend, struct ppi_backend_memory *memory);
void ppi_cuda_set_limit(struct ppi_backend *backend, int64_t bytes);

#endif
