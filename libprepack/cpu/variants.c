/*
 * variants.c: finds a kernel set by its name among those that this machine can run.
 */
#include "cpu/variants.h"

#include <string.h>

const struct ppi_cpu_variant *ppi_cpu_pick_variant(const struct ppi_cpu_built *built, size_t n,
                                                   uint32_t has, int32_t i)
{
    for (size_t b = 0; b < n; b++)
        if ((built[b].needs & ~has) == 0 && i-- == 0)
            return built[b].variant;
    return NULL;
}

pp_status ppi_cpu_find_variant(const char *name, const struct ppi_cpu_variant **variant,
                               pp_error *err)
{
    const struct ppi_cpu_variant *found = NULL, *each;
    char names[128] = "";
    for (int32_t i = 0; (each = ppi_cpu_variant_at(i)) != NULL; i++) {
        if (!name || strcmp(each->name, name) == 0)
            found = each;
        if (i > 0)
            strncat(names, ", ", sizeof names - strlen(names) - 1);
        strncat(names, each->name, sizeof names - strlen(names) - 1);
    }
    if (!found)
        return ppi_error(err, PP_ERR_NO_BACKEND,
                         "device \"cpu:%s\" is not possible here; this machine can run cpu:{%s}",
                         name, names);
    *variant = found;
    return PP_OK;
}
