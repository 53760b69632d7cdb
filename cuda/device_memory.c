/*
 * device_memory.c: device memory, counted and limited, and copies between host and device. Copies
 * from and to the caller's memory go through the pinned staging buffer and wait.
 */
#include "cuda/cuda_impl.h"

#include <string.h>

pp_status ppi_cuda_check(cudaError_t error, const char *what, pp_error *err)
{
    if (error == cudaSuccess)
        return PP_OK;
    cudaGetLastError(); /* an error that does not stick must not come up again */
    pp_status status = error == cudaErrorMemoryAllocation ? PP_ERR_DEVICE_NOMEM : PP_ERR_DEVICE;
    ppi_error(err, status, "CUDA: %s: %s", what, cudaGetErrorString(error));
    if (err && err->struct_size > 0)
        err->native_code = (int32_t)error;
    return status;
}

void *ppi_cuda_take(const struct ppi_cuda_memory *memory, size_t bytes, cudaStream_t stream)
{
    void *block = NULL;
    if (bytes == 0)
        bytes = 1;
    if (memory->allocator.allocate)
        return memory->allocator.allocate(memory->allocator.user, bytes, stream);
    if (cudaMalloc(&block, bytes) != cudaSuccess) {
        cudaGetLastError();
        return NULL;
    }
    return block;
}

void ppi_cuda_give_back(const struct ppi_cuda_memory *memory, void *block, size_t bytes,
                        cudaStream_t stream)
{
    if (!block)
        return;
    if (bytes == 0)
        bytes = 1;
    if (memory->allocator.allocate)
        memory->allocator.release(memory->allocator.user, block, bytes, stream);
    else
        cudaFree(block); /* waits for the device */
}

/* Books `bytes` unless that passes the limit. */
static bool book(struct ppi_backend *b, int64_t bytes)
{
    int64_t now = atomic_fetch_add(&b->bytes, bytes) + bytes;
    if (b->limit > 0 && now > b->limit) {
        atomic_fetch_sub(&b->bytes, bytes);
        return false;
    }
    int64_t peak = atomic_load(&b->peak);
    while (now > peak && !atomic_compare_exchange_weak(&b->peak, &peak, now))
        ;
    return true;
}

void *ppi_cuda_alloc(struct ppi_backend *b, size_t bytes)
{
    if (bytes > INT64_MAX || !book(b, (int64_t)bytes))
        return NULL;
    cudaSetDevice(b->device);
    void *block = ppi_cuda_take(&b->memory, bytes, b->stream);
    if (!block)
        atomic_fetch_sub(&b->bytes, (int64_t)bytes);
    return block;
}

void ppi_cuda_release(struct ppi_backend *b, void *memory, size_t bytes)
{
    if (!memory)
        return;
    cudaSetDevice(b->device);
    ppi_cuda_give_back(&b->memory, memory, bytes, b->stream);
    atomic_fetch_sub(&b->bytes, (int64_t)bytes);
}

pp_status ppi_cuda_upload(struct ppi_backend *b, void *device, const void *host, size_t bytes,
                          pp_error *err)
{
    PP_TRY(ppi_cuda_check(cudaSetDevice(b->device), "cudaSetDevice", err));
    for (size_t done = 0; done < bytes;) {
        size_t n = bytes - done;
        if (n > PPI_CUDA_STAGING_BYTES)
            n = PPI_CUDA_STAGING_BYTES;
        memcpy(b->staging, (const char *)host + done, n);
        PP_TRY(ppi_cuda_check(cudaMemcpyAsync((char *)device + done, b->staging, n,
                                              cudaMemcpyHostToDevice, b->stream),
                              "copying to the device", err));
        PP_TRY(ppi_cuda_check(cudaStreamSynchronize(b->stream), "copying to the device", err));
        done += n;
    }
    return PP_OK;
}

/* Copies bytes [begin, begin + n) of the device block, whose rows go to rows[], from staging. */
static void scatter(const struct ppi_backend *b, void *const *rows, size_t row_bytes, size_t begin,
                    size_t n)
{
    for (size_t done = 0; done < n;) {
        size_t row = (begin + done) / row_bytes, column = (begin + done) % row_bytes;
        size_t part = row_bytes - column < n - done ? row_bytes - column : n - done;
        memcpy((char *)rows[row] + column, b->staging + done, part);
        done += part;
    }
}

pp_status ppi_cuda_download_rows(struct ppi_backend *b, void *const *rows, const void *device,
                                 int64_t n, size_t row_bytes, pp_error *err)
{
    size_t bytes = (size_t)n * row_bytes;
    for (size_t done = 0; done < bytes;) {
        size_t part = bytes - done < PPI_CUDA_STAGING_BYTES ? bytes - done : PPI_CUDA_STAGING_BYTES;
        PP_TRY(ppi_cuda_check(cudaMemcpyAsync(b->staging, (const char *)device + done, part,
                                              cudaMemcpyDeviceToHost, b->stream),
                              "copying from the device", err));
        PP_TRY(ppi_cuda_check(cudaStreamSynchronize(b->stream), "computing", err));
        scatter(b, rows, row_bytes, done, part);
        done += part;
    }
    return PP_OK;
}

pp_status ppi_cuda_copy(struct ppi_backend *b, void *dst, const void *src, size_t bytes,
                        pp_error *err)
{
    PP_TRY(ppi_cuda_check(cudaSetDevice(b->device), "cudaSetDevice", err));
    return ppi_cuda_check(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToDevice, b->stream),
                          "copying on the device", err);
}

pp_status ppi_cuda_synchronize(struct ppi_backend *b, pp_error *err)
{
    return ppi_cuda_check(cudaStreamSynchronize(b->stream), "computing", err);
}
