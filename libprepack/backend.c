/*
 * backend.c: finds the table of operations for a device name. The list of backends is here and
 * nowhere else.
 */
#include "backend.h"

#include <string.h>

static const struct ppi_backend_ops *const backends[] = {&ppi_cpu_ops};

pp_status ppi_backend_find(const char *device, const struct ppi_backend_ops **ops,
                           const char **variant, pp_error *err)
{
    size_t kind_len = strcspn(device, ":");
    for (size_t i = 0; i < PPI_COUNT(backends); i++) {
        if (strlen(backends[i]->name) == kind_len &&
            memcmp(backends[i]->name, device, kind_len) == 0) {
            *ops = backends[i];
            *variant = device[kind_len] ? device + kind_len + 1 : NULL;
            return PP_OK;
        }
    }
    if (kind_len == 4 && memcmp(device, "cuda", 4) == 0)
        return ppi_error(err, PP_ERR_NO_BACKEND,
                         "device \"%s\": this version has no CUDA backend yet; use \"cpu\"",
                         device);
    return ppi_error(err, PP_ERR_NO_BACKEND, "device \"%s\" is unknown; this library has \"cpu\"",
                     device);
}
