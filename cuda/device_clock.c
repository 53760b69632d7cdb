/*
 * device_clock.c: the device's own clock: two events on the context's stream, made when they are
 * first used.
 */
#include "cuda/cuda_impl.h"

pp_status ppi_cuda_mark(struct ppi_backend *b, int32_t i, pp_error *err)
{
    PP_TRY(ppi_cuda_check(cudaSetDevice(b->device), "cudaSetDevice", err));
    if (!b->marks[i])
        PP_TRY(ppi_cuda_check(cudaEventCreate(&b->marks[i]), "cudaEventCreate", err));
    return ppi_cuda_check(cudaEventRecord(b->marks[i], b->stream), "cudaEventRecord", err);
}

pp_status ppi_cuda_marked_seconds(struct ppi_backend *b, double *seconds, pp_error *err)
{
    float milliseconds;
    PP_TRY(ppi_cuda_check(cudaEventSynchronize(b->marks[1]), "computing", err));
    PP_TRY(ppi_cuda_check(cudaEventElapsedTime(&milliseconds, b->marks[0], b->marks[1]),
                          "cudaEventElapsedTime", err));
    *seconds = milliseconds * 1e-3;
    return PP_OK;
}

void ppi_cuda_marks_free(struct ppi_backend *b)
{
    for (int i = 0; i < 2; i++)
        if (b->marks[i])
            cudaEventDestroy(b->marks[i]);
}
