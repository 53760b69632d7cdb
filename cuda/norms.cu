/*
 * norms.cu: RMSNorm and LayerNorm of rows, of parts of rows, and added to a residual. The contract
 * is struct ppi_cuda_norm_args in kernels.h.
 *
 * A vector belongs to a warp up to PPI_CUDA_WARP_ROW elements, else to a block; its length alone
 * decides. A thread sums over its quads in order, then a butterfly over the warp, then the warps in
 * order. Up to HELD quads of a thread stay in registers: vectors of 1024 in a warp, of 8192 in a
 * block; what is behind is read again, most likely from a cache. Moves 6 bytes for each element
 * (norm), 12 (norm_add) or 8 (norm_parts). Shared memory: [2][WARPS] sums.
 */
#include "cuda/quads.cuh"
#include "cuda/row_sums.cuh"

using namespace ppi;

#define THREADS 256
#define WARPS   (THREADS / 32)
#define HELD    8
static_assert(HELD * 32 * 4 >= PPI_CUDA_WARP_ROW, "a warp's vector is held");

HW_DEVICE float add_up(quad v)
{
    return v.x[0] + v.x[1] + (v.x[2] + v.x[3]);
}

HW_DEVICE float squares(quad v)
{
    return v.x[0] * v.x[0] + v.x[1] * v.x[1] + (v.x[2] * v.x[2] + v.x[3] * v.x[3]);
}

HW_DEVICE quad subtract(quad v, float center)
{
    HW_UNROLL
    for (int i = 0; i < 4; i++)
        v.x[i] -= center;
    return v;
}

/* Where a vector is, where its results go, and what becomes of a quad of them there. */
template <typename T> struct norm_out {
    using element = T;
    static HW_MEMBER int64_t find(const struct ppi_cuda_norm_args &args, int64_t vector)
    {
        return vector * args.dim;
    }
    static HW_MEMBER T *find_out(const struct ppi_cuda_norm_args &args, int64_t at)
    {
        return (T *)args.out + at;
    }
    static HW_MEMBER quad weight(const struct ppi_cuda_norm_args &args, int at)
    {
        return widen_quad(load_quad(args.weight + at));
    }
    static HW_MEMBER void put(T *out, quad y, float)
    {
        store_quad(out, y);
    }
};

struct norm_added : norm_out<float> {
    static HW_MEMBER void put(float *out, quad y, float scale)
    {
        store_quad(out, add_quads(widen_quad(load_quad(out)), y, scale));
    }
};

struct norm_in_place : norm_out<float> {
    static HW_MEMBER int64_t find(const struct ppi_cuda_norm_args &args, int64_t vector)
    {
        int32_t row = (int32_t)vector / args.n_parts, part = (int32_t)vector - row * args.n_parts;
        return row * args.row_stride + (int64_t)part * args.dim;
    }
    static HW_MEMBER float *find_out(const struct ppi_cuda_norm_args &args, int64_t at)
    {
        return args.x + at;
    }
    static HW_MEMBER quad weight(const struct ppi_cuda_norm_args &args, int at)
    {
        return args.weight ? norm_out<float>::weight(args, at) : quad{{1, 1, 1, 1}};
    }
};

HW_DEVICE quad norm_quad(quad x, quad w, float scale)
{
    HW_UNROLL
    for (int i = 0; i < 4; i++)
        x.x[i] = x.x[i] * scale * w.x[i];
    return x;
}

template <typename RESULT, bool CENTER, int N>
HW_DEVICE void norm_vector(const struct ppi_cuda_norm_args &args, int64_t vector, int thread)
{
    const int64_t place = RESULT::find(args, vector);
    const float *x = args.x + place;
    typename RESULT::element *out = RESULT::find_out(args, place);
    const int n_quads = args.dim / 4;
    const uint32_t shared = hw::shared_base();

    /* 1. The mean, if it is wanted, taken away. */
    quad held[HELD] = {};
    HW_UNROLL
    for (int i = 0; i < HELD; i++)
        if (thread + i * N < n_quads)
            held[i] = widen_quad(load_quad(x + 4 * (thread + i * N)));
    float center = 0;
    if (CENTER) {
        float sum = 0;
        HW_UNROLL
        for (int i = 0; i < HELD; i++)
            sum += add_up(held[i]);
        for (int q = thread + HELD * N; q < n_quads; q += N)
            sum += add_up(widen_quad(load_quad(x + 4 * q)));
        center = sum_of_threads<N>(sum, shared) / (float)args.dim;
        HW_UNROLL
        for (int i = 0; i < HELD; i++)
            if (thread + i * N < n_quads)
                held[i] = subtract(held[i], center);
    }

    /* 2. The mean square. */
    float sum = 0;
    HW_UNROLL
    for (int i = 0; i < HELD; i++)
        sum += squares(held[i]);
    for (int q = thread + HELD * N; q < n_quads; q += N)
        sum += squares(subtract(widen_quad(load_quad(x + 4 * q)), center));
    sum = sum_of_threads<N>(sum, shared + 4 * WARPS);
    float scale = 1.0f / sqrtf(sum / (float)args.dim + args.eps);

    /* 3. Every thread writes what it alone has read. */
    HW_UNROLL
    for (int i = 0; i < HELD; i++) {
        int at = 4 * (thread + i * N);
        if (thread + i * N < n_quads)
            RESULT::put(out + at, norm_quad(held[i], RESULT::weight(args, at), scale), args.scale);
    }
    for (int q = thread + HELD * N; q < n_quads; q += N) {
        quad y = subtract(widen_quad(load_quad(x + 4 * q)), center);
        RESULT::put(out + 4 * q, norm_quad(y, RESULT::weight(args, 4 * q), scale), args.scale);
    }
}

template <typename RESULT, bool CENTER> HW_DEVICE void norm(const struct ppi_cuda_norm_args &args)
{
    int64_t vector = row_of<WARPS>(args.dim);
    if (vector >= args.n)
        return;
    if (args.dim <= PPI_CUDA_WARP_ROW)
        norm_vector<RESULT, CENTER, 32>(args, vector, hw::lane());
    else
        norm_vector<RESULT, CENTER, THREADS>(args, vector, hw::thread());
}

HW_KERNEL(rmsnorm_bf16_kernel, struct ppi_cuda_norm_args, THREADS, 4)
{
    norm<norm_out<hw::bf16>, false>(args);
}

HW_KERNEL(rmsnorm_f16_kernel, struct ppi_cuda_norm_args, THREADS, 4)
{
    norm<norm_out<hw::f16>, false>(args);
}

HW_KERNEL(rmsnorm_add_kernel, struct ppi_cuda_norm_args, THREADS, 4)
{
    norm<norm_added, false>(args);
}

HW_KERNEL(rmsnorm_parts_kernel, struct ppi_cuda_norm_args, THREADS, 3)
{
    norm<norm_in_place, false>(args);
}

HW_KERNEL(layernorm_bf16_kernel, struct ppi_cuda_norm_args, THREADS, 2)
{
    norm<norm_out<hw::bf16>, true>(args);
}

HW_KERNEL(layernorm_f16_kernel, struct ppi_cuda_norm_args, THREADS, 2)
{
    norm<norm_out<hw::f16>, true>(args);
}

HW_KERNEL(layernorm_add_kernel, struct ppi_cuda_norm_args, THREADS, 2)
{
    norm<norm_added, true>(args);
}

HW_KERNEL(layernorm_parts_kernel, struct ppi_cuda_norm_args, THREADS, 2)
{
    norm<norm_in_place, true>(args);
}

#define SHARED_BYTES (8 * WARPS)

const struct ppi_cuda_kernel ppi_cuda_norm[2][PPI_CUDA_N_ACT] = {
    {PPI_KERNEL_ENTRY(rmsnorm_bf16_kernel, THREADS, SHARED_BYTES),
     PPI_KERNEL_ENTRY(rmsnorm_f16_kernel, THREADS, SHARED_BYTES)},
    {PPI_KERNEL_ENTRY(layernorm_bf16_kernel, THREADS, SHARED_BYTES),
     PPI_KERNEL_ENTRY(layernorm_f16_kernel, THREADS, SHARED_BYTES)},
};
const struct ppi_cuda_kernel ppi_cuda_norm_add[2] = {
    PPI_KERNEL_ENTRY(rmsnorm_add_kernel, THREADS, SHARED_BYTES),
    PPI_KERNEL_ENTRY(layernorm_add_kernel, THREADS, SHARED_BYTES),
};
const struct ppi_cuda_kernel ppi_cuda_norm_parts[2] = {
    PPI_KERNEL_ENTRY(rmsnorm_parts_kernel, THREADS, SHARED_BYTES),
    PPI_KERNEL_ENTRY(layernorm_parts_kernel, THREADS, SHARED_BYTES),
};
