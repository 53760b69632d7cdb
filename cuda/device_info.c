/*
 * device_info.c: the GPUs of this machine that sessions can be created on, without opening any.
 */
#include "cuda/cuda_impl.h"

#include <stdio.h>

void ppi_cuda_write_pci_address(const struct cudaDeviceProp *properties, char text[16])
{
    snprintf(text, 16, "%04x:%02x:%02x.0", (unsigned)properties->pciDomainID & 0xffff,
             (unsigned)properties->pciBusID & 0xff, (unsigned)properties->pciDeviceID & 0xff);
}

/* The number of the i-th GPU that is new enough. Without a driver or a GPU there is none. */
static pp_status find_number(int32_t i, int *number, pp_error *err)
{
    int n;
    if (cudaGetDeviceCount(&n) != cudaSuccess) {
        cudaGetLastError();
        return PP_GONE;
    }
    for (*number = 0; *number < n; ++*number) {
        int major;
        PP_TRY(ppi_cuda_check(
            cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, *number),
            "reading the compute capability", err));
        if (10 * major >= PPI_CUDA_OLDEST_CAPABILITY && i-- == 0)
            return PP_OK;
    }
    return PP_GONE;
}

/* Free memory stays unknown: asking for it takes some of it, on every GPU that is listed. */
pp_status ppi_cuda_describe(int32_t i, pp_device_info *info, pp_error *err)
{
    struct cudaDeviceProp properties;
    int number;
    pp_status status = find_number(i, &number, err);
    if (status != PP_OK)
        return status;
    PP_TRY(ppi_cuda_check(cudaGetDeviceProperties(&properties, number), "reading the GPU's name",
                          err));
    info->n_units = properties.multiProcessorCount;
    info->memory_bytes = (int64_t)properties.totalGlobalMem;
    snprintf(info->device, sizeof info->device, "cuda:%d", number);
    snprintf(info->device_name, sizeof info->device_name, "%.63s", properties.name);
    snprintf(info->kernels, sizeof info->kernels, "%d.%d", properties.major, properties.minor);
    ppi_cuda_write_pci_address(&properties, info->pci_address);
    return PP_OK;
}
