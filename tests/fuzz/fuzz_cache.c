/*
 * fuzz_cache.c: any header of a saved cache with any number of data bytes (the first two bytes of
 * the input): refused with a sentence, or it is the header that would have been written of a cache
 * whose parts fill the data.
 */
#include "fuzz.h"
#include "kv/kv_form.h"

#include <stdlib.h>
#include <string.h>

#define METADATA_OF(version, n_layers)                                                             \
    "{\"__metadata__\":{\"format\":\"prepack-kvcache\",\"version\":\"" version "\",\"model\":"     \
    "\"0000000000000000\",\"architecture\":\"llama\",\"n_layers\":\"" n_layers                     \
    "\",\"n_kv_heads\":\"1\","                                                                     \
    "\"head_dim\":\"2\",\"dtype\":\"f32\",\"weights\":\"f32\",\"device\":\"cpu:ref\","             \
    "\"producer\":\"libprepack\","
#define METADATA METADATA_OF("1", "1")

const char *const fuzz_seeds[] = {
    "\x08\"" METADATA
    "\"n_tokens\":\"16\",\"rope_set\":\"0\"},\"layer.0.k\":{\"dtype\":\"F32\",\"shape\":[16,1,2],"
    "\"data_offsets\":[0,128]},\"layer.0.v\":{\"dtype\":\"F32\",\"shape\":[16,1,2],"
    "\"data_offsets\":[128,256]},\"checksum\":{\"dtype\":\"U64\",\"shape\":[1],"
    "\"data_offsets\":[256,264]}}  ",
    "\x5c!" METADATA
    "\"n_tokens\":\"17\",\"rope_set\":\"0\"},\"tokens\":{\"dtype\":\"I32\",\"shape\":[17],"
    "\"data_offsets\":[0,68]},\"layer.0.k\":{\"dtype\":\"F32\",\"shape\":[1,1,2],"
    "\"data_offsets\":[68,76]},\"layer.0.v\":{\"dtype\":\"F32\",\"shape\":[1,1,2],"
    "\"data_offsets\":[76,84]},\"checksum\":{\"dtype\":\"U64\",\"shape\":[1],"
    "\"data_offsets\":[84,92]}}",
    " \"" METADATA_OF(
        "2",
        "2") "\"n_tokens\":\"16\",\"rope_set\":\"0\",\"n_linear\":\"1\"},\"layer.1.k\":{\"dtype\":"
             "\"F32\","
             "\"shape\":[16,1,2],\"data_offsets\":[0,128]},\"layer.1.v\":{\"dtype\":\"F32\","
             "\"shape\":[16,1,2],"
             "\"data_offsets\":[128,256]},\"layer.0.state\":{\"dtype\":\"F32\",\"shape\":[1,1,2],"
             "\"data_offsets\":[256,264]},\"layer.0.conv\":{\"dtype\":\"F32\",\"shape\":[1,4],"
             "\"data_offsets\":[264,280]},\"checksum\":{\"dtype\":\"U64\",\"shape\":[1],"
             "\"data_offsets\":[280,288]}}",
    NULL,
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_form(const struct ppi_kv_form *form, int64_t data_bytes)
{
    struct ppi_kv_part part = {.number = 0};
    int64_t end = 0;
    check(form->n_tokens >= 0 && form->n_tokens <= 64 && form->rope_set >= 0);
    check(form->first_tokens[0] >= 0 && form->first_tokens[0] <= form->n_tokens);
    while (ppi_kv_next_part(form, &part)) {
        check(part.begin == end && part.end >= part.begin);
        end = part.end;
    }
    check(end == data_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const struct ppi_layer_place places[] = {{-1, 0}, {0, 0}}; /* of the last n_layers */
    static const struct ppi_linear_shape linear = {
        .n_k_heads = 1, .n_v_heads = 1, .k_dim = 1, .v_dim = 2, .conv_kernel = 2};
    static const struct ppi_log silence = {NULL, NULL};
    struct ppi_mem mem;
    struct ppi_kv_form form;
    pp_error err = {.struct_size = sizeof err};
    if (len < 2)
        return 0;
    /* '!' counts as 0, so that the seeds are text; inputs are of a model with a window, or without,
     * or with a linear layer in front */
    int64_t data_bytes = bytes[0] + 256 * (bytes[1] - '!');
    ppi_mem_init(&mem, NULL, 0, NULL);
    int32_t n_linear = bytes[0] % 8 == 0 && bytes[0] != 8;
    const pp_model model = {.spec = {.arch = PP_ARCH_LLAMA,
                                     .n_layers = 1 + n_linear,
                                     .n_kv_heads = 1,
                                     .head_dim = 2,
                                     .max_position = 64}};
    struct ppi_kv_store store = {.mem = &mem,
                                 .page_tokens = 16,
                                 .shape = {.n_layers = 1 + n_linear,
                                           .linear = n_linear ? &linear : NULL,
                                           .n_linear = n_linear,
                                           .dtype = PP_DTYPE_F32,
                                           .places = &places[1 - n_linear],
                                           .n_classes = 1,
                                           .classes = {{bytes[0] % 8 == 0 ? 0 : 2, 1, 2, 1}}}};
    struct ppi_kv_origin origin = {
        .model = &model, .weights = 1, .device = "cpu:ref", .log = &silence};
    len -= 2;
    char *header = malloc(len ? len : 1);
    memcpy(header, bytes + 2, len);
    if (data_bytes < 0)
        data_bytes = 0;
    if (ppi_kv_read_header(header, len, data_bytes, "file", &store, &origin, &form, &err) >= 0)
        check_form(&form, data_bytes);
    else
        check(strstr(err.message, "file") != NULL);
    check(mem.bytes == 0);
    free(header);
    return 0;
}
