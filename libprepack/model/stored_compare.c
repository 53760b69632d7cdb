/*
 * stored_compare.c: whether two stored tensors have the same values, chunk by chunk.
 */
#include "dtype.h"
#include "model/tensors.h"

#include <string.h>

#define CHUNK_ELEMENTS ((int64_t)1 << 20)

pp_status ppi_stored_compare(const struct ppi_stored *a, const struct ppi_stored *b,
                             struct ppi_mem *mem, bool *equal, pp_error *err)
{
    int64_t n = ppi_stored_n_elements(a);
    *equal = a->entry->dtype && b->entry->dtype && a->entry->rank == b->entry->rank &&
             memcmp(a->entry->shape, b->entry->shape, sizeof a->entry->shape) == 0;
    float *values = ppi_alloc(mem, 4 * (size_t)CHUNK_ELEMENTS, sizeof *values);
    if (!values)
        return ppi_error_nomem(err, "comparing the LM head with the embedding",
                               4 * (size_t)CHUNK_ELEMENTS * sizeof *values);
    pp_status status = PP_OK;
    for (int64_t first = 0; status >= 0 && *equal && first < n; first += CHUNK_ELEMENTS) {
        size_t count = (size_t)(n - first < CHUNK_ELEMENTS ? n - first : CHUNK_ELEMENTS);
        const struct ppi_stored *both[] = {a, b};
        for (int i = 0; status >= 0 && i < 2; i++) {
            float *raw = values + (2 * i + 1) * CHUNK_ELEMENTS;
            status = ppi_stored_read(both[i], first, (int64_t)count, raw, err);
            if (status >= 0)
                ppi_to_f32(values + 2 * i * CHUNK_ELEMENTS, raw, both[i]->entry->dtype, count);
        }
        if (status >= 0)
            *equal = memcmp(values, values + 2 * CHUNK_ELEMENTS, count * sizeof *values) == 0;
    }
    ppi_free(mem, values);
    return status;
}
