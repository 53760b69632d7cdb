/*
 * module.c: finds and opens libprepack-cuda.so when a session asks for it. It stays open: code of a
 * backend must not vanish under its contexts.
 *
 * Looked for in this order, never by a bare name:
 *   1. the path in the environment variable PREPACK_BACKEND_CUDA (ignored in set-user-id programs)
 *   2. the folder "prepack" beside libprepack.so
 *   3. the folder it was installed to
 */
#define _GNU_SOURCE
#include "module.h"
#include "build_id.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE_FILE "libprepack-cuda.so"
#define DRIVER      "libcuda.so.1"

/* "<folder of this library>/prepack/libprepack-cuda.so"; false when that is not known. */
static bool path_beside_library(char *path, size_t size)
{
    Dl_info info;
    if (!dladdr(&ppi_cpu_ops, &info) || !info.dli_fname)
        return false;
    const char *slash = strrchr(info.dli_fname, '/');
    if (!slash)
        return false;
    int n = snprintf(path, size, "%.*s/prepack/" MODULE_FILE, (int)(slash - info.dli_fname),
                     info.dli_fname);
    return n > 0 && (size_t)n < size;
}

/* Where the module is; path may be used as the buffer. */
static pp_status find_module(char *path, size_t size, const char **found, pp_error *err)
{
    *found = secure_getenv("PREPACK_BACKEND_CUDA");
    if (*found)
        return PP_OK;
    void *driver = dlopen(DRIVER, RTLD_NOW | RTLD_LOCAL);
    if (!driver)
        return ppi_error(err, PP_ERR_NO_BACKEND,
                         "device \"cuda\": no NVIDIA driver is installed here (%s was not found); "
                         "install one, or use \"cpu\"",
                         DRIVER);
    *found = path;
    if (path_beside_library(path, size) && access(path, R_OK) == 0)
        return PP_OK;
    *found = PPI_MODULE_DIR "/" MODULE_FILE;
    if (access(*found, R_OK) == 0)
        return PP_OK;
    return ppi_error(err, PP_ERR_NO_BACKEND,
                     "device \"cuda\": " MODULE_FILE " is not installed (looked in prepack/ beside "
                     "libprepack.so and in " PPI_MODULE_DIR "); build with -Dcuda=enabled, or set "
                     "PREPACK_BACKEND_CUDA to its path");
}

pp_status ppi_cuda_module_open(const struct ppi_backend_ops **ops, pp_error *err)
{
    char buffer[4096];
    const char *path;
    PP_TRY(find_module(buffer, sizeof buffer, &path, err));
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        const char *why = dlerror();
        return ppi_error(err, PP_ERR_NO_BACKEND, "device \"cuda\": %s",
                         why ? why : "the module cannot be opened");
    }
    ppi_module_fn get_module;
    void *symbol = dlsym(handle, PPI_MODULE_SYMBOL);
    memcpy(&get_module, &symbol, sizeof get_module);
    const struct ppi_module *module = get_module ? get_module() : NULL;
    if (!module || strcmp(module->build_id, PPI_BUILD_ID) != 0)
        return ppi_error(err, PP_ERR_NO_BACKEND,
                         "device \"cuda\": %s belongs to another build (%s, this library is %s); "
                         "install the two together",
                         path, module ? module->build_id : "unknown", PPI_BUILD_ID);
    *ops = module->ops;
    return PP_OK;
}
