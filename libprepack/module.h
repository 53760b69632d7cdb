/*
 * module.h: what a backend that lives in a shared object of its own exports: one function of the
 * name and type below.
 */
#ifndef PPI_MODULE_H
#define PPI_MODULE_H

#include "backend.h"

struct ppi_module {
    const char *build_id; /* PPI_BUILD_ID of the build it comes from */
    const struct ppi_backend_ops *ops;
};

#define PPI_MODULE_SYMBOL "ppi_backend_module"
typedef const struct ppi_module *(*ppi_module_fn)(void);

/* The table of the CUDA backend. The driver is looked for before the module, so that machines
 * without one never load CUDA libraries. Errors: PP_ERR_NO_BACKEND. */
pp_status ppi_cuda_module_open(const struct ppi_backend_ops **ops, pp_error *err);

#endif
