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

/* A test finds these in a shared object that holds the emulator. */
#define EMU_CONTROL __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* What HW_KERNEL_ENTRY points to in emulation. */
struct emu_kernel {
    uint32_t magic;                  /* EMU_KERNEL_MAGIC */
    int32_t max_threads, min_blocks; /* of the launch bounds */
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

/*
 * Makes the tensor map (128 bytes, aligned to 64) that tma_load_3d and tma_store_3d take: a tensor
 * of dims[3] elements, innermost first, dims 1 and 2 strides[2] bytes apart, moved in boxes of
 * box[3]. swizzle: 0, or 128: rows of 128 bytes. -1: no real tensor map could be made of these.
 */
int emu_tensor_map(void *map, const void *base, int element_bytes, const uint64_t *dims,
                   const uint64_t *strides, const uint32_t *box, int swizzle);

/*
 * Mutations. emu_watch_places(1) starts a list of the places from which launches call barriers,
 * waits, fences, loads and the like: emu_place(i), "rows.cu:120 block_sync", NULL at its end.
 * emu_skip: from now on calls from that place do nothing, loads give 0; NULL: all calls count. The
 * environment can do the same for a whole program: with PREPACK_EMU_PLACES set it prints its list
 * when it exits, PREPACK_EMU_SKIP names the place to leave out.
 */
EMU_CONTROL void emu_watch_places(int on);
EMU_CONTROL const char *emu_place(int i);
EMU_CONTROL void emu_skip(const char *place);

/* Nonzero: errors do not go to stderr, for tests that expect them. */
void emu_set_quiet(int quiet);

#ifdef __cplusplus
}
#endif
#endif
