/*
 * devices.c: the devices of this machine, kind by kind.
 */
#include "backend.h"

static pp_status describe(const struct ppi_backend_ops *ops, int64_t i, pp_device_info *info,
                          pp_error *err)
{
    *info = (pp_device_info){.struct_size = sizeof *info};
    return ops->describe((int32_t)i, info, err);
}

/* Devices of a kind, as far as the driver describes them. */
static int64_t count_kind(const struct ppi_backend_ops *ops)
{
    pp_device_info info;
    int64_t n = 0;
    while (ops && describe(ops, n, &info, NULL) == PP_OK)
        n++;
    return n;
}

int64_t pp_device_count(void)
{
    int64_t n = 0;
    for (int32_t kind = 0; kind < ppi_backend_n_kinds(); kind++)
        n += count_kind(ppi_backend_kind(kind));
    return n;
}

/* Device i of all, in the order of kinds; PP_GONE behind the last. */
static pp_status find_device(int64_t i, pp_device_info *info, pp_error *err)
{
    for (int32_t kind = 0; kind < ppi_backend_n_kinds(); kind++) {
        const struct ppi_backend_ops *ops = ppi_backend_kind(kind);
        int64_t n = count_kind(ops);
        if (i < n)
            return describe(ops, i, info, err);
        i -= n;
    }
    return PP_GONE;
}

pp_status pp_device_get(int64_t i, pp_device_info *out, pp_error *err)
{
    pp_device_info info;
    pp_status status = i < 0 ? PP_GONE : find_device(i, &info, err);
    if (status == PP_GONE)
        return ppi_error_at(err, PP_ERR_ARG, i,
                            "pp_device_get: there is no device %lld; there are "
                            "%lld",
                            (long long)i, (long long)pp_device_count());
    PP_TRY(status);
    return ppi_struct_write(out, &info, sizeof info, "pp_device_info", err);
}
