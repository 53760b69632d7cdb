/*
 * structs.c: public structs across versions. A caller may have been compiled against an older
 * header (its struct is shorter) or a newer one (longer, harmless while the unknown tail is zero).
 */
#include "internal.h"

#include <string.h>

/* Every public struct starts with its size. */
static uint32_t read_size(const void *any_struct)
{
    uint32_t size;
    memcpy(&size, any_struct, sizeof size);
    return size;
}

static pp_status check_size(uint32_t caller_size, const char *name, pp_error *err)
{
    if (caller_size < sizeof(uint32_t) || caller_size > 65536)
        return ppi_error(err, PP_ERR_STRUCT_SIZE,
                         "%s.struct_size is %u; set it to sizeof(%s) or use the init function",
                         name, caller_size, name);
    return PP_OK;
}

pp_status ppi_struct_read(void *dst, size_t size, const void *src, const char *name, pp_error *err)
{
    if (!src)
        return PP_OK;
    uint32_t caller_size = read_size(src);
    PP_TRY(check_size(caller_size, name, err));
    for (size_t i = size; i < caller_size; i++)
        if (((const unsigned char *)src)[i] != 0)
            return ppi_error(err, PP_ERR_STRUCT_SIZE,
                             "%s has %u bytes and sets byte %zu; this library knows %zu bytes",
                             name, caller_size, i, size);
    memcpy(dst, src, caller_size < size ? caller_size : size);
    memcpy(dst, &(uint32_t){(uint32_t)size}, sizeof(uint32_t));
    return PP_OK;
}

pp_status ppi_struct_write(void *dst, const void *src, size_t size, const char *name, pp_error *err)
{
    if (!dst)
        return ppi_error(err, PP_ERR_ARG, "%s is NULL", name);
    uint32_t caller_size = read_size(dst);
    PP_TRY(check_size(caller_size, name, err));
    size_t known = caller_size < size ? caller_size : size;
    memcpy((char *)dst + sizeof(uint32_t), (const char *)src + sizeof(uint32_t),
           known - sizeof(uint32_t));
    memset((char *)dst + known, 0, caller_size - known);
    return PP_OK;
}

void ppi_struct_init(void *dst, size_t caller_size, const void *defaults, size_t size)
{
    if (!dst || caller_size < sizeof(uint32_t))
        return;
    memset(dst, 0, caller_size);
    memcpy(dst, defaults, caller_size < size ? caller_size : size);
    memcpy(dst, &(uint32_t){(uint32_t)caller_size}, sizeof(uint32_t));
}
