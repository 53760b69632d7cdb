/*
 * emu.h: running a kernel in emulation, for the fake runtime and for tests; C and C++.
 *
 * A kernel that was compiled with hw_emu.h runs on the calling thread, block after block. One
 * launch at a time: callers that have threads take turns.
 */
#ifndef TEST_EMU_H
#define TEST_EMU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What HW_KERNEL_ENTRY points to in emulation. */
struct emu_kernel {
    uint32_t magic; /* EMU_KERNEL_MAGIC */
    int32_t max_threads;
    const char *name;
    void (*body)(const void *args);
    size_t args_bytes;
};
#define EMU_KERNEL_MAGIC 0x6b656d75u

#define EMU_MAX_THREADS 1024
#define EMU_MAX_SHARED  232448 /* bytes of a block */

/*
 * Runs every block to its end. threads: a multiple of 32. The seed chooses the order of blocks and
 * threads and when asynchronous work is done; 0: the environment's PREPACK_EMU_SEED, else 1.
 * 0: all went well. Otherwise one sentence went to stderr and to emu_last_error, and the launch
 * ended there.
 */
int emu_launch(const void *entry, int64_t blocks, int threads, uint32_t shared_bytes,
               const void *args, uint64_t seed);

/* The sentence of the last launch, or NULL when nothing was wrong. Valid until the next launch. */
const char *emu_last_error(void);

/* Nonzero: errors do not go to stderr, for tests that expect them. */
void emu_set_quiet(int quiet);

#ifdef __cplusplus
}
#endif
#endif
