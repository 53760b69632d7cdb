/*
 * fuzz_cost.c: the reader of cost models: what it accepts it also writes, and reads back the same.
 */
#include "plan/cost/cost_impl.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const fuzz_seeds[] = {
    "{\"format\":\"prepack-cost\",\"version\":1,\"per_pass\":1e-3,\"per_token\":2.5e-5,"
    "\"per_square\":0,\"per_prompt\":4,\"tile\":64}",
    "{\"tile\":1,\"per_prompt\":0.1,\"per_square\":1e-300,\"per_token\":123456789012345678,"
    "\"per_pass\":0.0,\"error\":0.03,\"max_tokens\":9,\"version\":1,\"format\":\"prepack-cost\","
    "\"device\":\"cpu:\\u00e4\",\"model\":\"\\\"\\n\",\"more\":[{}]}",
    NULL,
};

static void fail(const char *what, const uint8_t *bytes, size_t len)
{
    fprintf(stderr, "%s: %.*s\n", what, (int)len, (const char *)bytes);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char text[4096];
    size_t n;
    struct ppi_mem mem;
    pp_cost_model cost, copy;
    pp_error err = {.struct_size = sizeof err};
    ppi_mem_init(&mem, NULL, 0, NULL);
    pp_status status = ppi_cost_parse((const char *)bytes, len, &mem, &cost, &err);
    if (mem.bytes != 0)
        fail("leak", bytes, len);
    if (status < 0 && (err.code != status || strlen(err.message) < 20))
        fail("refused without a sentence", bytes, len);
    if (status < 0)
        return 0;
    if (pp_cost_to_json(&cost, text, sizeof text, &n, &err) < 0)
        fail(err.message, bytes, len);
    if (ppi_cost_parse(text, n, &mem, &copy, &err) < 0 || memcmp(&cost, &copy, sizeof cost) != 0)
        fail("does not read back", bytes, len);
    return 0;
}
