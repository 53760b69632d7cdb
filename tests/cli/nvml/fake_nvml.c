/*
 * fake_nvml.c: an NVML of one made-up GPU at 0000:3b:00.0, busy 20 and 80 percent in turn, its
 * memory 10 percent, 5 GB of it in use. FAKE_NVML names a function that fails ("nvmlInit_v2"), from
 * a call on ("nvmlDeviceGetMemoryInfo:4").
 */
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_FOUND = 6, DRIVER_NOT_LOADED = 9 };

static int gpu;
static int n_open;

/* Whether this call of the function is to fail. */
static int fails(const char *name, int *n_calls)
{
    const char *wish = getenv("FAKE_NVML");
    const size_t n = strlen(name);
    ++*n_calls;
    if (!wish || strncmp(wish, name, n) != 0)
        return 0;
    return wish[n] == '\0' || (wish[n] == ':' && *n_calls >= atoi(wish + n + 1));
}

int nvmlInit_v2(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int status);
int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **device);
int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates);
int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *memory);

int nvmlInit_v2(void)
{
    static int n_calls;
    if (fails("nvmlInit_v2", &n_calls))
        return DRIVER_NOT_LOADED;
    n_open++;
    return SUCCESS;
}

int nvmlShutdown(void)
{
    if (--n_open < 0)
        abort(); /* closed more often than opened */
    return SUCCESS;
}

const char *nvmlErrorString(int status)
{
    return status == NOT_FOUND ? "Not Found" : "Driver Not Loaded";
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **device)
{
    static int n_calls;
    if (fails("nvmlDeviceGetHandleByPciBusId_v2", &n_calls) || n_open != 1 ||
        strcmp(address, "0000:3b:00.0") != 0)
        return NOT_FOUND;
    *device = &gpu;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates)
{
    static int n_calls;
    if (fails("nvmlDeviceGetUtilizationRates", &n_calls) || device != &gpu)
        return DRIVER_NOT_LOADED;
    rates[0] = n_calls % 2 ? 20 : 80;
    rates[1] = 10;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *memory)
{
    static int n_calls;
    if (fails("nvmlDeviceGetMemoryInfo", &n_calls) || device != &gpu)
        return DRIVER_NOT_LOADED;
    memory[0] = 80000000000;
    memory[1] = 75000000000;
    memory[2] = 5000000000;
    return SUCCESS;
}
