/*
 * imaginary_gpu.c: a backend module for tests of the program where there is no GPU: it calls itself
 * cuda, computes on the CPU, and counts the memory it hands out as a device's own. Loaded through
 * PREPACK_BACKEND_CUDA. Number 1 says that it has attention kernels of its own unless "mma"
 * declines them. One session at a time.
 */
#include "build_id.h"
#include "module.h"

#include <stdio.h>
#include <string.h>

static int64_t device_bytes, device_peak, device_limit;
static char device_variant[16];

static pp_status gpu_open(const struct ppi_backend_params *params, struct ppi_backend **backend,
                          pp_error *err)
{
    struct ppi_backend_params on_cpu = *params;
    on_cpu.variant = NULL;
    snprintf(device_variant, sizeof device_variant, "%s", params->variant ? params->variant : "0");
    device_bytes = device_peak = device_limit = 0;
    return ppi_cpu_ops.open(&on_cpu, backend, err);
}

static void gpu_get_info(const struct ppi_backend *backend, struct ppi_backend_info *info)
{
    ppi_cpu_ops.get_info(backend, info);
    info->has_own_memory = true;
    info->weight_domain = 1;
    snprintf(info->name, sizeof info->name, "cuda:%s", device_variant);
    snprintf(info->device_name, sizeof info->device_name, "Imaginary GPU");
    snprintf(info->attention, sizeof info->attention, "%s",
             device_variant[0] != '1'        ? "thought"
             : strstr(device_variant, "mma") ? "mma.sync"
                                             : "wgmma");
    snprintf(info->pci_address, sizeof info->pci_address, "0000:3b:00.0");
}

static void gpu_get_memory(const struct ppi_backend *backend, struct ppi_backend_memory *memory)
{
    (void)backend;
    *memory = (struct ppi_backend_memory){device_bytes, device_peak, .available = (int64_t)8 << 30};
}

static void gpu_set_limit(struct ppi_backend *backend, int64_t bytes)
{
    (void)backend;
    device_limit = bytes;
}

static void *gpu_alloc(struct ppi_backend *backend, size_t bytes)
{
    if (device_limit > 0 && device_bytes + (int64_t)bytes > device_limit)
        return NULL;
    void *memory = ppi_cpu_ops.alloc(backend, bytes);
    device_bytes += memory ? (int64_t)bytes : 0;
    if (device_peak < device_bytes)
        device_peak = device_bytes;
    return memory;
}

static void gpu_release(struct ppi_backend *backend, void *memory, size_t bytes)
{
    device_bytes -= memory ? (int64_t)bytes : 0;
    ppi_cpu_ops.release(backend, memory, bytes);
}

/* Made up: the guard costs half as much again. */
static pp_status gpu_product_times(struct ppi_backend *backend, const void *a,
                                   const struct ppi_matrix *w, int64_t n_rows, bool accumulate,
                                   void *out, struct ppi_product_times *times, pp_error *err)
{
    (void)backend, (void)a, (void)w, (void)accumulate, (void)out, (void)err;
    *times = (struct ppi_product_times){3e-3 * (double)n_rows, 2e-3 * (double)n_rows, 1};
    return PP_OK;
}

__attribute__((visibility("default"))) const struct ppi_module *ppi_backend_module(void);

const struct ppi_module *ppi_backend_module(void)
{
    static struct ppi_backend_ops ops;
    static const struct ppi_module module = {PPI_BUILD_ID, &ops};
    ops = ppi_cpu_ops;
    ops.name = "cuda";
    ops.open = gpu_open;
    ops.get_info = gpu_get_info;
    ops.get_memory = gpu_get_memory;
    ops.set_limit = gpu_set_limit;
    ops.alloc = gpu_alloc;
    ops.release = gpu_release;
    ops.product_times = gpu_product_times;
    return &module;
}
