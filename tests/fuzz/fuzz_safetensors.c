/*
 * fuzz_safetensors.c: any header with any number of data bytes (the first two bytes of the input):
 * refused with a sentence, or every tensor lies in the data and the tensors fill it.
 */
#include "fuzz.h"
#include "checkpoint/safetensors.h"

#include <stdlib.h>
#include <string.h>

const char *const fuzz_seeds[] = {
    "\x18!{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}",
    "\x1c!{\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[1,25]},\"__metadata__\":"
    "{\"k\":\"v\"},\"a\":{\"data_offsets\":[0,1],\"shape\":[],\"dtype\":\"BOOL\"},\"n\":{\"dtype\":"
    "\"F16\",\"shape\":[7,0],\"data_offsets\":[25,25]},\"h\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],"
    "\"data_offsets\":[25,28]}}  ",
    NULL,
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_table(const struct ppi_safetensors *table, int64_t data_bytes)
{
    int64_t sum = 0;
    for (size_t i = 0; i < table->n_entries; i++) {
        const struct ppi_stored_entry *entry = &table->entries[i];
        check(entry->begin >= 0 && entry->begin <= entry->end && entry->end <= data_bytes);
        check(entry->rank >= 0 && entry->rank <= PPI_STORED_MAX_RANK);
        check(ppi_safetensors_find(table, entry->name) == entry);
        sum += entry->end - entry->begin;
        if (entry->dtype == 0)
            continue;
        int64_t bytes = (int64_t)pp_dtype_size(entry->dtype);
        for (int32_t j = 0; j < entry->rank; j++)
            bytes *= entry->shape[j];
        check(bytes == entry->end - entry->begin);
    }
    check(sum == data_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct ppi_mem mem;
    struct ppi_safetensors table;
    pp_error err = {.struct_size = sizeof err};
    if (len < 2)
        return 0;
    /* '!' counts as 0, so that the seeds are text */
    int64_t data_bytes = bytes[0] + 256 * (bytes[1] - '!');
    len -= 2;
    char *header = malloc(len ? len : 1);
    memcpy(header, bytes + 2, len);
    ppi_mem_init(&mem, NULL, 0, NULL);
    if (data_bytes < 0)
        data_bytes = 0;
    if (ppi_safetensors_parse(header, len, data_bytes, "file", &mem, &table, &err) >= 0) {
        check_table(&table, data_bytes);
        ppi_safetensors_free(&table, &mem);
    } else {
        check(strstr(err.message, "file") != NULL);
    }
    check(mem.bytes == 0);
    free(header);
    return 0;
}
