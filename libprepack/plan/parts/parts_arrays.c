/*
 * parts_arrays.c: room for parts of prompts and for their bins.
 */
#include "parts.h"

pp_status ppi_parts_create(struct parts *parts, int64_t n, int64_t n_prompts, struct ppi_mem *mem,
                           pp_error *err)
{
    size_t count = (size_t)n;
    parts->n = n;
    parts->prompts = ppi_alloc(mem, count, sizeof *parts->prompts);
    parts->first_tokens = ppi_alloc(mem, count, sizeof *parts->first_tokens);
    parts->n_tokens = ppi_alloc(mem, count, sizeof *parts->n_tokens);
    parts->after = ppi_alloc(mem, count, sizeof *parts->after);
    parts->ends = ppi_alloc(mem, (size_t)n_prompts, sizeof *parts->ends);
    if (!parts->prompts || !parts->first_tokens || !parts->n_tokens || !parts->after ||
        !parts->ends)
        return ppi_error_nomem(err, "the parts of the prompts",
                               count * (2 * sizeof(int64_t) + 2 * sizeof(int32_t)) +
                                   (size_t)n_prompts * sizeof(int32_t));
    return PP_OK;
}

void ppi_parts_destroy(struct parts *parts, struct ppi_mem *mem)
{
    ppi_free(mem, parts->prompts);
    ppi_free(mem, parts->first_tokens);
    ppi_free(mem, parts->n_tokens);
    ppi_free(mem, parts->after);
    ppi_free(mem, parts->ends);
    *parts = (struct parts){0};
}

pp_status ppi_schedule_create(struct schedule *schedule, int64_t n, struct ppi_mem *mem,
                              pp_error *err)
{
    size_t count = (size_t)n;
    schedule->n_bins = 0;
    schedule->items = ppi_alloc(mem, count, sizeof *schedule->items);
    schedule->starts = ppi_alloc(mem, count + 1, sizeof *schedule->starts);
    if (!schedule->items || !schedule->starts)
        return ppi_error_nomem(err, "the bins of the parts",
                               count * (sizeof(int32_t) + sizeof(int64_t)));
    schedule->starts[0] = 0;
    return PP_OK;
}

void ppi_schedule_destroy(struct schedule *schedule, struct ppi_mem *mem)
{
    ppi_free(mem, schedule->items);
    ppi_free(mem, schedule->starts);
    *schedule = (struct schedule){0};
}
