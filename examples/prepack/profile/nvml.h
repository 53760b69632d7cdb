/*
 * nvml.h: how busy a GPU is, as its driver says: NVML is opened when a run wants it and is needed
 * neither for building nor for running.
 */
#ifndef PREPACK_NVML_H
#define PREPACK_NVML_H

#include <prepack/prepack.h>
#include <stdbool.h>
#include <stdint.h>

/* What is known of a GPU; all zero is a closed one. */
struct nvml {
    void *library; /* NULL: NVML is not there */
    void *device;
    bool works;
    char trouble[160]; /* one phrase, where it does not */
    const struct nvml_calls *calls;
};

struct nvml_reading {
    unsigned gpu_percent, memory_percent; /* of the time since the driver's last sample */
    int64_t used_bytes;                   /* of the GPU's memory, by every process */
};

/* Opens NVML for the GPU of a session. Where that cannot be, nvml->works is false and
 * nvml->trouble says why: no failure of the program. The caller closes it. */
void nvml_open(struct nvml *nvml, const pp_session_info *info);
void nvml_close(struct nvml *nvml);
/* false, and works is false from now on: the driver did not tell. */
bool nvml_read(struct nvml *nvml, struct nvml_reading *reading);

#endif
