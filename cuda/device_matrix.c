/*
 * device_matrix.c: weights on the device: plain rows of act values (vectors: f32), converted by the
 * device while they are filled. A matrix carries its allocator along and needs no context to go.
 */
#include "cuda/cuda_impl.h"

#include <assert.h>
#include <string.h>

static int32_t type_of(int32_t dtype)
{
    return dtype == PP_DTYPE_F32    ? PPI_CUDA_F32
           : dtype == PP_DTYPE_BF16 ? PPI_CUDA_BF16
                                    : PPI_CUDA_F16;
}

static size_t type_bytes(int32_t type)
{
    return type == PPI_CUDA_F32 ? sizeof(float) : sizeof(uint16_t);
}

/* All but data. */
static struct ppi_matrix describe(const struct ppi_backend *b, const struct ppi_matrix_spec *spec)
{
    assert(spec->format == PPI_FORMAT_ACT);
    int32_t kind = spec->kind;
    int64_t n_matrices = spec->n_stacked > 0 ? spec->n_stacked : 1;
    struct ppi_matrix m = {.kind = kind,
                           .type = kind == PPI_MATRIX_VECTOR ? PPI_CUDA_F32 : b->act_type,
                           .n = spec->n,
                           .k = spec->k,
                           .n_stacked = spec->n_stacked,
                           .n_rows =
                               n_matrices * (kind == PPI_MATRIX_GATE_UP ? 2 * spec->n : spec->n),
                           .memory = b->memory};
    m.bytes = (size_t)m.n_rows * (size_t)m.k * type_bytes(m.type);
    return m;
}

size_t ppi_cuda_matrix_bytes(const struct ppi_backend *b, const struct ppi_matrix_spec *spec)
{
    return describe(b, spec).bytes;
}

pp_status ppi_cuda_matrix_create(struct ppi_backend *b, struct ppi_mem *mem,
                                 const struct ppi_matrix_spec *spec, struct ppi_matrix **out,
                                 pp_error *err)
{
    bool is_factor = spec->kind == PPI_MATRIX_LINEAR || spec->kind == PPI_MATRIX_GATE_UP;
    if (is_factor && spec->k % 8 != 0)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "device \"cuda\": a weight matrix has rows of %lld elements; it needs a "
                         "multiple of 8",
                         (long long)spec->k);
    struct ppi_matrix *m = ppi_alloc(mem, 1, sizeof *m);
    if (!m)
        return ppi_error_nomem(err, "a weight matrix", sizeof *m);
    *m = describe(b, spec);
    m->mem = mem;
    cudaSetDevice(b->device);
    m->data = ppi_cuda_take(&m->memory, m->bytes, b->stream);
    if (!m->data) {
        pp_status status = ppi_error(err, PP_ERR_DEVICE_NOMEM,
                                     "no device memory for a weight matrix of %zu bytes", m->bytes);
        ppi_free(mem, m);
        return status;
    }
    *out = m;
    return PP_OK;
}

void ppi_cuda_matrix_destroy(struct ppi_matrix *m)
{
    if (!m)
        return;
    cudaSetDevice(m->memory.device);
    ppi_cuda_give_back(&m->memory, m->data, m->bytes, NULL);
    ppi_free(m->mem, m);
}

/* One staging buffer's worth: n elements of src to dst. */
static pp_status convert_piece(struct ppi_backend *b, const void *src, int32_t src_type, void *dst,
                               int32_t dst_type, int64_t n, pp_error *err)
{
    size_t bytes = (size_t)n * type_bytes(src_type);
    memcpy(b->staging, src, bytes);
    PP_TRY(ppi_cuda_check(
        cudaMemcpyAsync(b->device_staging, b->staging, bytes, cudaMemcpyHostToDevice, b->stream),
        "copying weights to the device", err));
    struct ppi_cuda_convert_args args = {
        .src = b->device_staging, .dst = dst, .n = n, .src_type = src_type, .dst_type = dst_type};
    PP_TRY(ppi_cuda_launch(b, &ppi_cuda_convert[0], ppi_cuda_striding_blocks(n), &args, err));
    return ppi_cuda_check(cudaStreamSynchronize(b->stream), "converting weights", err);
}

pp_status ppi_cuda_matrix_fill(struct ppi_backend *b, struct ppi_matrix *m, int64_t first_row,
                               int64_t n_rows, const void *src, int32_t src_dtype, pp_error *err)
{
    assert(first_row >= 0 && first_row + n_rows <= m->n_rows);
    PP_TRY(ppi_cuda_check(cudaSetDevice(b->device), "cudaSetDevice", err));
    int32_t src_type = type_of(src_dtype);
    int64_t n = n_rows * m->k;
    int64_t most = (int64_t)(PPI_CUDA_STAGING_BYTES / type_bytes(src_type));
    char *dst = (char *)m->data + (size_t)(first_row * m->k) * type_bytes(m->type);
    for (int64_t done = 0; done < n; done += most)
        PP_TRY(convert_piece(b, (const char *)src + (size_t)done * type_bytes(src_type), src_type,
                             dst + (size_t)done * type_bytes(m->type), m->type,
                             n - done < most ? n - done : most, err));
    return PP_OK;
}
