/*
 * nvml.c: the few functions of the NVIDIA Management Library that are used, declared here as its
 * documentation has them and looked up at run time.
 */
#include "nvml.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libnvidia-ml.so.1"

enum { NVML_SUCCESS = 0 };

struct nvml_utilization {
    unsigned gpu, memory;
};

struct nvml_memory {
    unsigned long long total, free, used;
};

struct nvml_calls {
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_string)(int);
    int (*find)(const char *pci_bus_id, void **device);
    int (*utilization)(void *device, struct nvml_utilization *utilization);
    int (*memory)(void *device, struct nvml_memory *memory);
};

static void give_up(struct nvml *nvml, const char *what, const char *why)
{
    nvml->works = false;
    snprintf(nvml->trouble, sizeof nvml->trouble, "%s: %s", what, why ? why : "unknown error");
}

/* Whether a call went well. */
static bool succeeded(struct nvml *nvml, int status, const char *name)
{
    if (status != NVML_SUCCESS)
        give_up(nvml, name, nvml->calls->error_string(status));
    return status == NVML_SUCCESS;
}

static bool look_up(struct nvml *nvml, const char *name, void *function)
{
    void *symbol = dlsym(nvml->library, name);
    if (!symbol)
        give_up(nvml, LIBRARY, "has not all that is needed");
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool look_all_up(struct nvml *nvml, struct nvml_calls *calls)
{
    return look_up(nvml, "nvmlInit_v2", &calls->init) &&
           look_up(nvml, "nvmlShutdown", &calls->shutdown) &&
           look_up(nvml, "nvmlErrorString", &calls->error_string) &&
           look_up(nvml, "nvmlDeviceGetHandleByPciBusId_v2", &calls->find) &&
           look_up(nvml, "nvmlDeviceGetUtilizationRates", &calls->utilization) &&
           look_up(nvml, "nvmlDeviceGetMemoryInfo", &calls->memory);
}

void nvml_open(struct nvml *nvml, const pp_session_info *info)
{
    *nvml = (struct nvml){.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL)};
    struct nvml_calls *calls = calloc(1, sizeof *calls);
    nvml->calls = calls;
    if (!nvml->library)
        give_up(nvml, "not opened", dlerror()); /* which names the library */
    else if (!calls)
        give_up(nvml, LIBRARY, "out of memory");
    else if (look_all_up(nvml, calls) && succeeded(nvml, calls->init(), "nvmlInit")) {
        void *device;
        nvml->works = succeeded(nvml, calls->find(info->pci_address, &device),
                                "nvmlDeviceGetHandleByPciBusId");
        nvml->device = nvml->works ? device : NULL;
        if (!nvml->works)
            calls->shutdown();
    }
}

void nvml_close(struct nvml *nvml)
{
    if (nvml->device)
        nvml->calls->shutdown();
    if (nvml->library)
        dlclose(nvml->library);
    free((void *)nvml->calls);
    *nvml = (struct nvml){0};
}

bool nvml_read(struct nvml *nvml, struct nvml_reading *reading)
{
    struct nvml_utilization utilization;
    struct nvml_memory memory;
    if (!nvml->works ||
        !succeeded(nvml, nvml->calls->utilization(nvml->device, &utilization),
                   "nvmlDeviceGetUtilizationRates") ||
        !succeeded(nvml, nvml->calls->memory(nvml->device, &memory), "nvmlDeviceGetMemoryInfo"))
        return false;
    *reading = (struct nvml_reading){utilization.gpu, utilization.memory, (int64_t)memory.used};
    return true;
}
