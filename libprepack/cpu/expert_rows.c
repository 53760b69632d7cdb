/*
 * expert_rows.c: sorts the rows of a pass by their experts and cuts them into blocks that fit the
 * room there is. Of equal experts the smaller row is first.
 */
#include "cpu/expert_rows.h"
#include "cpu/packed_products.h"

#include <assert.h>
#include <string.h>

#define BLOCK_ROWS 1536 /* two experts of most models where a pass is full */

static pp_status no_room(pp_error *err, size_t bytes)
{
    return ppi_error_nomem(err, "the rows of experts", bytes);
}

pp_status ppi_cpu_expert_rows_create(struct ppi_backend *backend, int64_t n_rows, pp_error *err)
{
    const struct ppi_backend_params *params = &backend->params;
    struct ppi_mem *mem = params->mem;
    if (params->n_experts == 0)
        return PP_OK;
    struct ppi_cpu_expert_rows *sorted = ppi_zalloc(mem, 1, sizeof *sorted);
    if (!sorted)
        return no_room(err, sizeof *sorted);
    backend->expert_rows = sorted;
    sorted->n_pairs = n_rows * params->top_k;
    sorted->n_blocked = sorted->n_pairs < BLOCK_ROWS ? sorted->n_pairs : BLOCK_ROWS;
    size_t n_experts = (size_t)params->n_experts, n_pairs = (size_t)sorted->n_pairs;
    size_t n_blocked = (size_t)sorted->n_blocked;
    size_t a_bytes = (size_t)params->hidden_size * backend->act_bytes;
    size_t gated_bytes = (size_t)params->expert_size * backend->act_bytes;
    sorted->ends = ppi_alloc(mem, n_experts, sizeof *sorted->ends);
    sorted->rows = ppi_alloc(mem, n_pairs, sizeof *sorted->rows);
    sorted->scales = ppi_alloc(mem, n_pairs, sizeof *sorted->scales);
    sorted->parts = ppi_alloc(mem, n_experts + 1, sizeof *sorted->parts);
    sorted->a = ppi_alloc(mem, n_blocked, a_bytes);
    sorted->gated = ppi_alloc(mem, n_blocked, gated_bytes);
    if (!sorted->ends || !sorted->rows || !sorted->scales || !sorted->parts || !sorted->a ||
        !sorted->gated)
        return no_room(err, n_blocked * (a_bytes + gated_bytes) + n_pairs * 8 +
                                n_experts * (sizeof *sorted->parts + 4));
    return ppi_cpu_codes_create(params, sorted->n_blocked, &sorted->codes, err);
}

void ppi_cpu_expert_rows_destroy(struct ppi_backend *backend)
{
    struct ppi_mem *mem = backend->params.mem;
    struct ppi_cpu_expert_rows *sorted = backend->expert_rows;
    if (!sorted)
        return;
    ppi_free(mem, sorted->codes.codes);
    ppi_free(mem, sorted->gated);
    ppi_free(mem, sorted->a);
    ppi_free(mem, sorted->parts);
    ppi_free(mem, sorted->scales);
    ppi_free(mem, sorted->rows);
    ppi_free(mem, sorted->ends);
    ppi_free(mem, sorted);
}

void ppi_cpu_expert_rows_sort(struct ppi_cpu_expert_rows *sorted, const struct ppi_experts *experts,
                              const struct ppi_routing *routing, int64_t n_rows)
{
    int64_t n_pairs = n_rows * experts->top_k;
    int32_t *ends = sorted->ends, begin = 0;
    assert(n_pairs <= sorted->n_pairs);
    memset(ends, 0, (size_t)experts->n * sizeof *ends);
    for (int64_t i = 0; i < n_pairs; i++) {
        assert(routing->chosen[i] >= 0 && routing->chosen[i] < experts->n);
        ends[routing->chosen[i]]++;
    }
    for (int32_t e = 0; e < experts->n; e++) { /* begins, which the rows move to the ends */
        int32_t n = ends[e];
        ends[e] = begin;
        begin += n;
    }
    for (int64_t i = 0; i < n_pairs; i++) {
        int32_t at = ends[routing->chosen[i]]++;
        sorted->rows[at] = (int32_t)(i / experts->top_k);
        sorted->scales[at] = experts->scale * routing->weights[i];
    }
}

int32_t ppi_cpu_expert_rows_cut(struct ppi_cpu_expert_rows *sorted, int64_t first, int64_t n_pairs,
                                int32_t *expert)
{
    int32_t n_parts = 0;
    for (int64_t at = first; at < n_pairs;) {
        int64_t end = sorted->ends[*expert];
        if (end - first > sorted->n_blocked) {
            if (n_parts > 0)
                break;
            end = first + sorted->n_blocked;
        }
        if (end > at)
            sorted->parts[n_parts++] = (struct ppi_cpu_expert_part){
                .expert = *expert, .first = at - first, .n_rows = end - at};
        at = end;
        *expert += at == sorted->ends[*expert];
    }
    return n_parts;
}
