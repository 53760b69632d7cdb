/*
 * fake_impl.h: what the files of the fake CUDA runtime share.
 *
 *   fake_device.cpp   devices, errors, faults on demand
 *   fake_memory.cpp   device and pinned memory, copies
 *   fake_queue.cpp    streams and events
 *   fake_launch.cpp   kernels
 *
 * One lock around everything; every entry point takes it, so that host threads take turns as with
 * one device.
 */
#ifndef TEST_FAKE_IMPL_H
#define TEST_FAKE_IMPL_H

#include "fake_stream.h"

#include <stdint.h>

struct fake_lock {
    fake_lock();
    ~fake_lock();
    fake_lock(const fake_lock &) = delete;
};

/* Opens an entry point: the lock, and the error that it returns when it is the one to fail. */
#define FAKE_CALL(error)                                                                           \
    fake_lock lock;                                                                                \
    if (fake_call_fails(__func__))                                                                 \
    return fake_result(error)

/* Remembers an error for cudaGetLastError and returns it. */
cudaError_t fake_result(cudaError_t error);
/* Device memory that a block may ask for beyond the usual 48 KiB. */
int fake_shared_optin(void);
void fake_object_born(void);
void fake_object_gone(void);

/* ---- fake_memory.cpp ---- */

/* Is the pointer in device memory, in pinned memory? */
bool fake_is_device(const void *pointer, size_t bytes);
bool fake_is_pinned(const void *pointer, size_t bytes);

/* ---- fake_queue.cpp ---- */

bool fake_is_stream(cudaStream_t stream);
/* Runs what is on the stream; its error, once. */
cudaError_t fake_drain(cudaStream_t stream);
/* All streams, or only those that wait for the NULL stream. */
cudaError_t fake_drain_all(bool non_blocking_too);
/* Of the work that runs now: the stream has failed, what follows has no meaning. */
void fake_work_failed(cudaError_t error);
bool fake_work_has_failed(void);

#endif
