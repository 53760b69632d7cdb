/*
 * classes.c: numbers that callers chose become numbers that count from 0.
 */
#include "classes.h"

#include "histogram.h"

pp_status ppi_classes_number(const int32_t *numbers, int64_t n, int32_t *class_of,
                             int64_t *n_classes, struct ppi_mem *mem, pp_error *err)
{
    *n_classes = 0;
    int64_t *chosen = ppi_alloc(mem, (size_t)n, sizeof *chosen);
    int32_t *members = ppi_alloc(mem, (size_t)n, sizeof *members);
    pp_status status = PP_OK;
    struct histogram histogram = {0};
    if (!chosen || !members) {
        status = ppi_error_nomem(err, "classes of prompts",
                                 (size_t)n * (sizeof *chosen + sizeof *members));
        goto done;
    }
    int64_t n_members = 0, least = INT64_MAX, most = 0;
    for (int64_t i = 0; i < n; i++) {
        class_of[i] = -1;
        if (numbers[i] < 0)
            continue;
        least = numbers[i] < least ? numbers[i] : least;
        most = numbers[i] > most ? numbers[i] : most;
        members[n_members] = (int32_t)i;
        chosen[n_members++] = numbers[i];
    }
    if (n_members == 0)
        goto done;
    status = ppi_histogram_create(&histogram, chosen, n_members, least, most, mem, err);
    if (status < 0)
        goto done;
    for (int64_t slot = 0; slot < histogram.n_slots; slot++) {
        struct bucket bucket = histogram.buckets[slot];
        if (bucket.end - bucket.next < 2)
            continue;
        for (int32_t i = bucket.next; i < bucket.end; i++)
            class_of[members[histogram.order[i]]] = (int32_t)*n_classes;
        ++*n_classes;
    }
done:
    ppi_histogram_destroy(&histogram, mem);
    ppi_free(mem, members);
    ppi_free(mem, chosen);
    return status;
}
