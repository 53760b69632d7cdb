/*
 * arrival.c: next fit. Prompts keep their order; a prompt that does not fit closes the bin.
 */
#include "policies.h"

pp_status ppi_pack_arrival(struct pp_plan *plan, const int64_t *lengths, int64_t shortest,
                           pp_error *err)
{
    (void)shortest;
    (void)err;
    int64_t capacity = plan->info.capacity;
    int64_t n_bins = 0;
    int64_t tokens = 0;
    for (int64_t i = 0; i < plan->info.n_prompts; i++) {
        if (i == 0 || lengths[i] > capacity - tokens) {
            plan->bin_starts[n_bins++] = i;
            tokens = 0;
        }
        tokens += lengths[i];
        plan->bin_tokens[n_bins - 1] = tokens;
        plan->prompts[i] = (int32_t)i;
    }
    plan->bin_starts[n_bins] = plan->info.n_prompts;
    plan->info.n_bins = n_bins;
    return PP_OK;
}
