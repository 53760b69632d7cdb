/*
 * expert_rows.h: the rows of a pass in the order of their experts, and room for those of a block.
 */
#ifndef PPI_CPU_EXPERT_ROWS_H
#define PPI_CPU_EXPERT_ROWS_H

#include "cpu/cpu.h"

/* An expert's rows in a block. */
struct ppi_cpu_expert_part {
    int32_t expert;
    int64_t first, n_rows; /* in the block */
    int64_t first_unit;    /* of the gated products; one part more says where they end */
};

struct ppi_cpu_expert_rows {
    int64_t n_pairs;                   /* room: of rows and experts */
    int32_t *ends;                     /* [n_experts]: where an expert's pairs end in: */
    int32_t *rows;                     /* [n_pairs] by expert, then by row: rows of the pass */
    float *scales;                     /* [n_pairs]: of what the expert gives */
    int64_t n_blocked;                 /* room: rows of a block */
    struct ppi_cpu_expert_part *parts; /* [n_experts + 1], of the block */
    char *a, *gated;                   /* act [n_blocked, hidden size], [n_blocked, expert size] */
    struct ppi_cpu_codes codes;        /* of the rows of either, where there are integer products */
};

/* Sets backend->expert_rows where the context has experts. Errors: PP_ERR_NOMEM; destroy copes with
 * what is there then. */
pp_status ppi_cpu_expert_rows_create(struct ppi_backend *backend, int64_t n_rows, pp_error *err);
void ppi_cpu_expert_rows_destroy(struct ppi_backend *backend);

/* Sorts the rows of a pass. */
void ppi_cpu_expert_rows_sort(struct ppi_cpu_expert_rows *sorted, const struct ppi_experts *experts,
                              const struct ppi_routing *routing, int64_t n_rows);

/* The next block: pairs from `first` on, whose expert is *expert or one behind it; whole experts
 * where they fit. Sets parts and *expert. The number of parts. */
int32_t ppi_cpu_expert_rows_cut(struct ppi_cpu_expert_rows *sorted, int64_t first, int64_t n_pairs,
                                int32_t *expert);

/* Scratch of a thread that routes. */
size_t ppi_cpu_route_scratch(const struct ppi_backend_params *params);

#endif
