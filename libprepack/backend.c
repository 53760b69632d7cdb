/*
 * backend.c: finds the table of operations for a device name. The list of backends is here and
 * nowhere else.
 */
#include "backend.h"
#include "module.h"

#include <string.h>

static bool is_kind(const char *device, size_t kind_len, const char *kind)
{
    return strlen(kind) == kind_len && memcmp(device, kind, kind_len) == 0;
}

pp_status ppi_backend_find(const char *device, const struct ppi_backend_ops **ops,
                           const char **variant, pp_error *err)
{
    size_t kind_len = strcspn(device, ":");
    if (is_kind(device, kind_len, "cpu"))
        *ops = &ppi_cpu_ops;
    else if (is_kind(device, kind_len, "cuda"))
        PP_TRY(ppi_cuda_module_open(ops, err));
    else
        return ppi_error(err, PP_ERR_NO_BACKEND,
                         "device \"%s\" is unknown; this library has \"cpu\" and \"cuda\"", device);
    *variant = device[kind_len] ? device + kind_len + 1 : NULL;
    return PP_OK;
}

int32_t ppi_backend_n_kinds(void)
{
    return 2;
}

const struct ppi_backend_ops *ppi_backend_kind(int32_t kind)
{
    const struct ppi_backend_ops *ops = &ppi_cpu_ops;
    if (kind == 1 && ppi_cuda_module_open(&ops, NULL) < 0)
        return NULL;
    return ops;
}
