/*
 * golden_values.c: see golden_values.h.
 */
#include "golden_values.h"
#include "golden_list.h"
#include "support/sessions.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

struct golden golden_open(const char *case_name)
{
    char path[1100];
    struct golden golden;
    snprintf(path, sizeof path, "%s/expected.safetensors", golden_dir(case_name));
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    golden.bytes = malloc((size_t)size);
    ck_assert_uint_eq(fread(golden.bytes, 1, (size_t)size, file), (size_t)size);
    fclose(file);
    uint64_t header;
    memcpy(&header, golden.bytes, sizeof header);
    OK(ppi_mem_init(&golden.mem, NULL, 0, perr));
    OK(ppi_safetensors_parse(golden.bytes + 8, header, size - 8 - (int64_t)header, path,
                             &golden.mem, &golden.table, perr));
    golden.table.data_start = 8 + (int64_t)header;
    return golden;
}

void golden_close(struct golden *golden)
{
    ppi_safetensors_free(&golden->table, &golden->mem);
    free(golden->bytes);
}

const void *golden_get(const struct golden *golden, int prompt, const char *name, size_t *n)
{
    char full[64];
    snprintf(full, sizeof full, "p%d.%s", prompt, name);
    const struct ppi_stored_entry *entry = ppi_safetensors_find(&golden->table, full);
    if (!entry)
        return NULL;
    *n = (size_t)(entry->end - entry->begin) / 4;
    return golden->bytes + golden->table.data_start + entry->begin;
}

void golden_expect(const float *ours, const struct golden *golden, int prompt, const char *name,
                   size_t offset, size_t n, double tolerance, const char *what)
{
    size_t total;
    const char *raw = golden_get(golden, prompt, name, &total);
    ck_assert_msg(raw != NULL, "%s: p%d.%s is missing", what, prompt, name);
    ck_assert_uint_ge(total, offset + n);
    double largest = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        float theirs;
        memcpy(&theirs, raw + (offset + i) * 4, 4);
        largest = fmax(largest, fabs((double)theirs));
        double error = fabs((double)ours[i] - (double)theirs);
        if (!(error <= worst))
            worst = error;
    }
    ck_assert_msg(worst <= tolerance * largest, "%s: p%d.%s is off by %g of %g, allowed %g", what,
                  prompt, name, worst, largest, tolerance * largest);
}
