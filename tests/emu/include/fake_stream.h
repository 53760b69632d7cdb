/*
 * fake_stream.h: how the fake libraries put work on a fake stream. Work runs late, as on a device:
 * when somebody waits for the stream.
 */
#ifndef TEST_FAKE_STREAM_H
#define TEST_FAKE_STREAM_H

#include <cuda_runtime_api.h>

/* A test finds these in the emulated module that the library has opened. */
#define FAKE_CONTROL __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* Runs run(arg) when the stream gets there, after everything enqueued before. */
void fake_stream_enqueue(cudaStream_t stream, void (*run)(void *arg), void *arg);

/* Counts one call of the fake runtime or library; true when this is the call that is to fail. */
int fake_call_fails(const char *name);

/* The n-th call from now on fails (1: the next); 0: none does. Counting starts over. */
FAKE_CONTROL void fake_fail_at(long n);
FAKE_CONTROL long fake_calls(void);              /* since then */
FAKE_CONTROL const char *fake_failed_call(void); /* its name, or NULL */
/* Device and pinned memory, streams, events and library handles that were not given back. */
FAKE_CONTROL long fake_live_objects(void);

/* Device memory that there is, in bytes; before: PREPACK_EMU_DEVICE_BYTES of the environment, or 4
 * GiB. */
FAKE_CONTROL void fake_device_memory(size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
