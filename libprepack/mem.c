/*
 * mem.c: counted host memory. Every block carries its size in a header of one cache line in front
 * of it, so that releasing needs no size from the caller.
 */
#define _GNU_SOURCE
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT    64
#define HEADER_BYTES 64
#define HUGE_PAGE    ((size_t)2 << 20)

static void *default_allocate(void *user, size_t bytes, size_t alignment)
{
    (void)user;
    void *memory = NULL;
    bool large = bytes >= 2 * HUGE_PAGE;
    if (posix_memalign(&memory, large ? HUGE_PAGE : alignment, bytes) != 0)
        return NULL;
    if (large)
        madvise(memory, bytes, MADV_HUGEPAGE); /* a wish; failure changes nothing */
    return memory;
}

static void default_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

pp_status ppi_mem_init(struct ppi_mem *mem, const pp_allocator *allocator, int64_t limit,
                       pp_error *err)
{
    pp_allocator chosen = {
        .struct_size = sizeof chosen, .allocate = default_allocate, .release = default_release};
    PP_TRY(ppi_struct_read(&chosen, sizeof chosen, allocator, "pp_allocator", err));
    if (!chosen.allocate || !chosen.release)
        return ppi_error(err, PP_ERR_ARG, "pp_allocator needs both allocate and release");
    mem->allocator = chosen;
    mem->limit = limit;
    atomic_init(&mem->bytes, 0);
    atomic_init(&mem->peak, 0);
    return PP_OK;
}

/* Books `bytes` unless that passes the limit. */
static bool book(struct ppi_mem *mem, int64_t bytes)
{
    int64_t now = atomic_fetch_add(&mem->bytes, bytes) + bytes;
    if (mem->limit > 0 && now > mem->limit) {
        atomic_fetch_sub(&mem->bytes, bytes);
        return false;
    }
    int64_t peak = atomic_load(&mem->peak);
    while (now > peak && !atomic_compare_exchange_weak(&mem->peak, &peak, now))
        ;
    return true;
}

void *ppi_alloc(struct ppi_mem *mem, size_t count, size_t size)
{
    size_t bytes;
    if (!ppi_mul(count, size, &bytes) || !ppi_add(bytes, HEADER_BYTES, &bytes) ||
        bytes > INT64_MAX || !book(mem, (int64_t)bytes))
        return NULL;
    char *block = mem->allocator.allocate(mem->allocator.user, bytes, ALIGNMENT);
    if (!block) {
        atomic_fetch_sub(&mem->bytes, (int64_t)bytes);
        return NULL;
    }
    memcpy(block, &bytes, sizeof bytes);
    return block + HEADER_BYTES;
}

void *ppi_zalloc(struct ppi_mem *mem, size_t count, size_t size)
{
    void *memory = ppi_alloc(mem, count, size);
    if (memory)
        memset(memory, 0, count * size);
    return memory;
}

void ppi_free(struct ppi_mem *mem, void *memory)
{
    if (!memory)
        return;
    char *block = (char *)memory - HEADER_BYTES;
    size_t bytes;
    memcpy(&bytes, block, sizeof bytes);
    mem->allocator.release(mem->allocator.user, block, bytes);
    atomic_fetch_sub(&mem->bytes, (int64_t)bytes);
}
