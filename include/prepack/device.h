/*
 * prepack/device.h: the devices that sessions can be created on.
 *
 *     int64_t n = pp_device_count();
 *     pp_device_info info = {.struct_size = sizeof info};
 *     for (int64_t i = 0; i < n; i++)
 *         if (pp_device_get(i, &info, &err) == PP_OK)
 *             printf("%s: %s\n", info.device, info.device_name);
 */
#ifndef PREPACK_DEVICE_H
#define PREPACK_DEVICE_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_device_info {
    uint32_t struct_size;
    int32_t n_units;         /* processors that this process may use; multiprocessors of a GPU */
    char device[32];         /* what pp_session_params.device takes: "cpu", "cuda:0" */
    char device_name[64];    /* of the maker: "NVIDIA H200"; empty where nobody says */
    char kernels[32];        /* the kernels that would run: "avx512bf16"; of a GPU its compute
                                capability: "9.0" */
    char pci_address[16];    /* of a GPU, "0000:3b:00.0"; else empty */
    int64_t memory_bytes;    /* of the device; 0: not known */
    int64_t available_bytes; /* free now; 0: not known */
} pp_device_info;

/* Devices that this machine has, the CPU first; at least 1. The first call looks for GPUs, which
 * opens the CUDA module where there is one. Thread-safety: safe. */
PP_API int64_t pp_device_count(void);

/* Fills *info with device i of 0 .. pp_device_count() - 1; the caller sets info->struct_size.
 * Errors: PP_ERR_ARG (i; NULL), PP_ERR_DEVICE (the driver does not say), PP_ERR_STRUCT_SIZE.
 * Thread-safety: safe. */
PP_API pp_status pp_device_get(int64_t i, pp_device_info *info, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
