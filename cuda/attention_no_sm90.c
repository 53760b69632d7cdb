/*
 * attention_no_sm90.c: in place of attention_sm90_*.cu in a build without sm_90a.
 */
#include "cuda/kernels_attention.h"

const struct ppi_cuda_kernel ppi_cuda_attention_sm90_d64[PPI_CUDA_N_ACT] = {{0}, {0}};
const struct ppi_cuda_kernel ppi_cuda_attention_sm90_d128[PPI_CUDA_N_ACT] = {{0}, {0}};
const struct ppi_cuda_kernel ppi_cuda_attention_sm90_capped_d64[PPI_CUDA_N_ACT] = {{0}, {0}};
const struct ppi_cuda_kernel ppi_cuda_attention_sm90_capped_d128[PPI_CUDA_N_ACT] = {{0}, {0}};
