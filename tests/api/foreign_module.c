/*
 * foreign_module.c: a backend module of another build, which the library must refuse before it
 * touches its table.
 */
#include <stddef.h>

struct module {
    const char *build_id;
    const void *ops;
};

const struct module *ppi_backend_module(void);

const struct module *ppi_backend_module(void)
{
    static const struct module module = {"9.9.9-of-another-build", NULL};
    return &module;
}
