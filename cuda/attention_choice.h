/*
 * attention_choice.h: which attention kernels run on which GPU. Plain C; needs no part of CUDA.
 */
#ifndef PPI_CUDA_ATTENTION_CHOICE_H
#define PPI_CUDA_ATTENTION_CHOICE_H

#include "cuda/attention_items.h"

struct ppi_cuda_attention {
    const char *name;                     /* "mma.sync", "wgmma" */
    struct ppi_cuda_tiles tiles;          /* of the work lists */
    const struct ppi_cuda_kernel *kernel; /* [PPI_CUDA_N_ACT], for tiles.rows packed rows */
    const struct ppi_cuda_kernel *few;    /* the same for tiles.few_rows; NULL: not needed */
    bool is_persistent;                   /* kernel: blocks share the work out */
};

#define PPI_CUDA_ANY_CAPABILITY 80 /* its kernels run on every GPU */

/* For compute capability 80, 90, ... and a head_dim, with a softcap or without; name and tiles are
 * the same either way. Of exactly 9.0 wgmma, for what it has. */
struct ppi_cuda_attention ppi_cuda_choose_attention(int32_t compute_capability, int32_t head_dim,
                                                    bool softcap);

/* Blocks of the kernel for a list of items, for all kv heads. */
int64_t ppi_cuda_attention_blocks(const struct ppi_cuda_attention *attention, int64_t n_items,
                                  int32_t n_kv_heads, int32_t n_sms);

#endif
