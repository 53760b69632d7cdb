/*
 * rows.cu: kernels on single rows and elements: embed, rmsnorm, swiglu, gather, convert, compare.
 * Contracts are in kernels.h. All of them wait for memory, so each reads and writes every byte once
 * and keeps several loads of a thread under way.
 *
 * A row of embed and rmsnorm belongs to a warp up to PPI_CUDA_WARP_ROW elements, else to a block;
 * the row's length alone decides.
 */
#include "cuda/quads.cuh"

using namespace ppi;

#define THREADS 256
#define WARPS   (THREADS / 32)
#define IN_HAND 4 /* loads of a thread under way */

/* The row of a kernel whose rows belong to a warp or to the block. */
HW_DEVICE int64_t row_of(int32_t dim)
{
    return dim <= PPI_CUDA_WARP_ROW ? (int64_t)hw::block() * WARPS + hw::warp() : hw::block();
}

/* ---- embed ----
 * Quads of a row go to its N threads in turn. Moves 6 bytes for each element.
 */
template <typename T, int N>
HW_DEVICE void embed_row(const T *from, float *to, int n_quads, int thread)
{
    for (int first = thread; first < n_quads; first += IN_HAND * N) {
        raw_quad<T> raw[IN_HAND] = {};
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * N < n_quads)
                raw[i] = load_quad(from + 4 * (first + i * N));
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * N < n_quads)
                store_quad(to + 4 * (first + i * N), widen_quad(raw[i]));
    }
}

template <typename T> HW_DEVICE void embed(const struct ppi_cuda_embed_args &args)
{
    int64_t row = row_of(args.dim);
    if (row >= args.n_rows)
        return;
    const T *from = (const T *)args.table + (int64_t)args.tokens[row] * args.dim;
    float *to = args.out + row * args.dim;
    if (args.dim <= PPI_CUDA_WARP_ROW)
        embed_row<T, 32>(from, to, args.dim / 4, hw::lane());
    else
        embed_row<T, THREADS>(from, to, args.dim / 4, hw::thread());
}

HW_KERNEL(embed_bf16_kernel, struct ppi_cuda_embed_args, THREADS, 4)
{
    embed<hw::bf16>(args);
}

HW_KERNEL(embed_f16_kernel, struct ppi_cuda_embed_args, THREADS, 4)
{
    embed<hw::f16>(args);
}

/* ---- rmsnorm ----
 * A thread sums the squares of its quads in order, then a butterfly over the warp, then the warps
 * in order. Up to HELD quads of a thread stay in registers: rows of 1024 in a warp, of 8192 in a
 * block; what is behind is read again, most likely from a cache. Moves 6 bytes for each element.
 * Shared memory: [WARPS] sums.
 */
#define HELD 8
static_assert(HELD * 32 * 4 >= PPI_CUDA_WARP_ROW, "a warp's row is held");

HW_DEVICE float squares(quad v)
{
    return v.x[0] * v.x[0] + v.x[1] * v.x[1] + (v.x[2] * v.x[2] + v.x[3] * v.x[3]);
}

template <int N> HW_DEVICE float sum_of_threads(float sum)
{
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2)
        sum += hw::shuffle_xor(sum, mask);
    if (N == 32)
        return sum;
    uint32_t sums = hw::shared_base(), warp = (uint32_t)hw::warp();
    if (hw::lane() == 0)
        hw::store_shared(sums + 4 * warp, sum);
    hw::block_sync();
    sum = 0;
    HW_UNROLL
    for (int i = 0; i < N / 32; i++)
        sum += hw::load_shared<float>(sums + 4 * (uint32_t)i);
    return sum;
}

template <typename T>
HW_DEVICE void norm_quad(T *out, quad x, const float *weight, float scale, int q)
{
    quad w = widen_quad(load_quad(weight + 4 * q));
    HW_UNROLL
    for (int i = 0; i < 4; i++)
        x.x[i] = x.x[i] * scale * w.x[i];
    store_quad(out + 4 * q, x);
}

template <typename T, int N>
HW_DEVICE void norm_row(const struct ppi_cuda_rmsnorm_args &args, int64_t row, int thread)
{
    const float *x = args.x + row * args.dim;
    T *out = (T *)args.out + row * args.dim;
    int n_quads = args.dim / 4;

    quad held[HELD] = {};
    HW_UNROLL
    for (int i = 0; i < HELD; i++)
        if (thread + i * N < n_quads)
            held[i] = widen_quad(load_quad(x + 4 * (thread + i * N)));
    float sum = 0;
    HW_UNROLL
    for (int i = 0; i < HELD; i++)
        sum += squares(held[i]);
    for (int q = thread + HELD * N; q < n_quads; q += N)
        sum += squares(widen_quad(load_quad(x + 4 * q)));
    float scale = 1.0f / sqrtf(sum_of_threads<N>(sum) / (float)args.dim + args.eps);

    HW_UNROLL
    for (int i = 0; i < HELD; i++)
        if (thread + i * N < n_quads)
            norm_quad(out, held[i], args.weight, scale, thread + i * N);
    for (int q = thread + HELD * N; q < n_quads; q += N)
        norm_quad(out, widen_quad(load_quad(x + 4 * q)), args.weight, scale, q);
}

template <typename T> HW_DEVICE void rmsnorm(const struct ppi_cuda_rmsnorm_args &args)
{
    int64_t row = row_of(args.dim);
    if (row >= args.n_rows)
        return;
    if (args.dim <= PPI_CUDA_WARP_ROW)
        norm_row<T, 32>(args, row, hw::lane());
    else
        norm_row<T, THREADS>(args, row, hw::thread());
}

HW_KERNEL(rmsnorm_bf16_kernel, struct ppi_cuda_rmsnorm_args, THREADS, 4)
{
    rmsnorm<hw::bf16>(args);
}

HW_KERNEL(rmsnorm_f16_kernel, struct ppi_cuda_rmsnorm_args, THREADS, 4)
{
    rmsnorm<hw::f16>(args);
}

/* ---- swiglu ----
 * Eight neighbouring outputs are a chunk; a block takes SWIGLU_CHUNKS * THREADS chunks at a time.
 * Moves 6 bytes for each output.
 */
#define SWIGLU_CHUNKS 2
static_assert(SWIGLU_CHUNKS * THREADS * 8 == PPI_CUDA_SWIGLU_ELEMENTS, "what kernels.h says");

/* Where gate is minus infinity this is -0, its limit; the first factor only matters there. */
HW_DEVICE float silu_times(float gate, float up)
{
    float e = hw::exp2(gate * -1.4426950408889634f);
    return fmaxf(gate, -1.0e6f) / (1.0f + e) * up;
}

template <typename T> HW_DEVICE hw::vec16 swiglu_chunk(hw::vec16 gate, hw::vec16 up)
{
    hw::vec16 out;
    HW_UNROLL
    for (int i = 0; i < 4; i++) {
        float low = silu_times(hw::widen(T{(uint16_t)gate.x[i]}), hw::widen(T{(uint16_t)up.x[i]}));
        float high = silu_times(hw::widen(T{(uint16_t)(gate.x[i] >> 16)}),
                                hw::widen(T{(uint16_t)(up.x[i] >> 16)}));
        out.x[i] = hw::narrow2<T>(low, high);
    }
    return out;
}

template <typename T> HW_DEVICE void swiglu(const struct ppi_cuda_swiglu_args &args)
{
    int64_t row_chunks = args.n / 8, n_chunks = args.n_rows * row_chunks;
    int64_t at_once = (int64_t)hw::n_blocks() * SWIGLU_CHUNKS * THREADS;
    int64_t first = (int64_t)hw::block() * SWIGLU_CHUNKS * THREADS + hw::thread();
    for (; first < n_chunks; first += at_once) {
        hw::vec16 gate[SWIGLU_CHUNKS] = {}, up[SWIGLU_CHUNKS] = {};
        HW_UNROLL
        for (int i = 0; i < SWIGLU_CHUNKS; i++) {
            int64_t chunk = first + i * THREADS;
            if (chunk >= n_chunks)
                continue;
            /* Rows of gate_up are twice as long: row * n more than in out. */
            const T *from = (const T *)args.gate_up + 8 * chunk + chunk / row_chunks * args.n;
            gate[i] = hw::load16(from);
            up[i] = hw::load16(from + args.n);
        }
        HW_UNROLL
        for (int i = 0; i < SWIGLU_CHUNKS; i++) {
            int64_t chunk = first + i * THREADS;
            if (chunk < n_chunks)
                hw::store16((T *)args.out + 8 * chunk, swiglu_chunk<T>(gate[i], up[i]));
        }
    }
}

HW_KERNEL(swiglu_bf16_kernel, struct ppi_cuda_swiglu_args, THREADS, 4)
{
    swiglu<hw::bf16>(args);
}

HW_KERNEL(swiglu_f16_kernel, struct ppi_cuda_swiglu_args, THREADS, 4)
{
    swiglu<hw::f16>(args);
}

/* ---- gather ---- Moves 2 row_bytes for each row. */

HW_KERNEL(gather_kernel, struct ppi_cuda_gather_args, THREADS, 4)
{
    int64_t row = hw::block();
    if (row >= args.n_rows)
        return;
    const char *from = (const char *)args.src + args.rows[row] * args.row_bytes;
    char *to = (char *)args.out + row * args.row_bytes;
    for (int64_t at = 16 * hw::thread(); at < args.row_bytes; at += 16 * IN_HAND * THREADS) {
        hw::vec16 x[IN_HAND] = {};
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (at + 16 * i * THREADS < args.row_bytes)
                x[i] = hw::load16(from + at + 16 * i * THREADS);
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (at + 16 * i * THREADS < args.row_bytes)
                hw::store16(to + at + 16 * i * THREADS, x[i]);
    }
}

/* ---- convert ---- Quads where both sides are aligned; else, and at the end, single elements. */

static_assert(IN_HAND * THREADS * 4 == PPI_CUDA_CONVERT_ELEMENTS, "what kernels.h says");

HW_DEVICE float widen_one(float x)
{
    return x;
}

template <typename T> HW_DEVICE float widen_one(T x)
{
    return hw::widen(x);
}

template <typename T> HW_DEVICE T narrow_one(float x)
{
    return hw::narrow<T>(x);
}

template <> HW_MEMBER float narrow_one<float>(float x)
{
    return x;
}

template <typename S, typename D> HW_DEVICE void convert(const struct ppi_cuda_convert_args &args)
{
    const S *from = (const S *)args.src;
    D *to = (D *)args.dst;
    bool aligned = (uint64_t)from % (4 * sizeof(S)) == 0 && (uint64_t)to % (4 * sizeof(D)) == 0;
    int64_t n_quads = aligned ? args.n / 4 : 0;
    int64_t first = (int64_t)hw::block() * IN_HAND * THREADS + hw::thread();
    for (; first < n_quads; first += (int64_t)hw::n_blocks() * IN_HAND * THREADS) {
        raw_quad<S> raw[IN_HAND] = {};
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < n_quads)
                raw[i] = load_quad(from + 4 * (first + i * THREADS));
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < n_quads)
                store_quad(to + 4 * (first + i * THREADS), widen_quad(raw[i]));
    }
    int64_t i = 4 * n_quads + (int64_t)hw::block() * THREADS + hw::thread();
    for (; i < args.n; i += (int64_t)hw::n_blocks() * THREADS)
        to[i] = narrow_one<D>(widen_one(from[i]));
}

template <typename S> HW_DEVICE void convert_from(const struct ppi_cuda_convert_args &args)
{
    if (args.dst_type == PPI_CUDA_F32)
        convert<S, float>(args);
    else if (args.dst_type == PPI_CUDA_BF16)
        convert<S, hw::bf16>(args);
    else
        convert<S, hw::f16>(args);
}

HW_KERNEL(convert_kernel, struct ppi_cuda_convert_args, THREADS, 4)
{
    if (args.src_type == PPI_CUDA_F32)
        convert_from<float>(args);
    else if (args.src_type == PPI_CUDA_BF16)
        convert_from<hw::bf16>(args);
    else
        convert_from<hw::f16>(args);
}

/* ---- compare ---- Reads 2 row_bytes for each row; one addition for each warp that differs. */

HW_KERNEL(compare_kernel, struct ppi_cuda_compare_args, THREADS, 4)
{
    int64_t row = hw::block();
    if (row >= args.n_rows)
        return;
    const char *x = (const char *)args.x + row * args.row_bytes;
    const char *expected = (const char *)args.expected + row % args.period * args.row_bytes;
    uint32_t count = 0;
    for (int64_t at = 16 * hw::thread(); at < args.row_bytes; at += 16 * THREADS) {
        hw::vec16 a = hw::load16(x + at), b = hw::load16(expected + at);
        uint32_t difference = 0;
        HW_UNROLL
        for (int i = 0; i < 4; i++)
            difference |= a.x[i] ^ b.x[i];
        count += difference != 0;
    }
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2)
        count += hw::shuffle_xor(count, mask);
    if (hw::lane() == 0 && count > 0)
        hw::atomic_add(args.n_different, count);
}

/* ---- tables ---- */

const struct ppi_cuda_kernel ppi_cuda_embed[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(embed_bf16_kernel, THREADS, 0),
    PPI_KERNEL_ENTRY(embed_f16_kernel, THREADS, 0),
};
const struct ppi_cuda_kernel ppi_cuda_rmsnorm[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(rmsnorm_bf16_kernel, THREADS, 4 * WARPS),
    PPI_KERNEL_ENTRY(rmsnorm_f16_kernel, THREADS, 4 * WARPS),
};
const struct ppi_cuda_kernel ppi_cuda_swiglu[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(swiglu_bf16_kernel, THREADS, 0),
    PPI_KERNEL_ENTRY(swiglu_f16_kernel, THREADS, 0),
};
const struct ppi_cuda_kernel ppi_cuda_gather[1] = {PPI_KERNEL_ENTRY(gather_kernel, THREADS, 0)};
const struct ppi_cuda_kernel ppi_cuda_convert[1] = {PPI_KERNEL_ENTRY(convert_kernel, THREADS, 0)};
const struct ppi_cuda_kernel ppi_cuda_compare[1] = {PPI_KERNEL_ENTRY(compare_kernel, THREADS, 0)};
