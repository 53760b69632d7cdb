/*
 * rows.cu: kernels on single rows and elements: embed, glu, add_bias, softcap, gather, convert,
 * compare. Contracts are in kernels.h. All of them wait for memory, so each reads and writes every
 * byte once and keeps several loads of a thread under way.
 */
#include "cuda/activation.cuh"
#include "cuda/quads.cuh"
#include "cuda/softcap.cuh"

using namespace ppi;

#define THREADS 256
#define WARPS   (THREADS / 32)
#define IN_HAND 4 /* loads of a thread under way */

/* ---- embed ----
 * A row belongs to a warp up to PPI_CUDA_WARP_ROW elements, else to a block. Quads of a row go to
 * its N threads in turn. Moves 6 bytes for each element.
 */
template <typename T, int N>
HW_DEVICE void embed_row(const T *from, float scale, float *to, int n_quads, int thread)
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
                store_quad(to + 4 * (first + i * N), scale_quad(widen_quad(raw[i]), scale));
    }
}

template <typename T> HW_DEVICE void embed(const struct ppi_cuda_embed_args &args)
{
    int64_t row = row_of<WARPS>(args.dim);
    if (row >= args.n_rows)
        return;
    const T *from = (const T *)args.table + (int64_t)args.tokens[row] * args.dim;
    float *to = args.out + row * args.dim;
    if (args.dim <= PPI_CUDA_WARP_ROW)
        embed_row<T, 32>(from, args.scale, to, args.dim / 4, hw::lane());
    else
        embed_row<T, THREADS>(from, args.scale, to, args.dim / 4, hw::thread());
}

HW_KERNEL(embed_bf16_kernel, struct ppi_cuda_embed_args, THREADS, 4)
{
    embed<hw::bf16>(args);
}

HW_KERNEL(embed_f16_kernel, struct ppi_cuda_embed_args, THREADS, 4)
{
    embed<hw::f16>(args);
}

/* ---- glu ----
 * Eight neighbouring outputs are a chunk; a block takes GLU_CHUNKS * THREADS chunks at a time.
 * Moves 6 bytes for each output, and its biases, most likely from a cache.
 */
#define GLU_CHUNKS 2
static_assert(GLU_CHUNKS * THREADS * 8 == PPI_CUDA_STRIDING_ELEMENTS, "what kernels.h says");

/* Eight biases, 16-byte aligned, or zeros. */
struct biases {
    quad low, high;
};

HW_DEVICE biases load_biases(const float *bias)
{
    return {widen_quad(load_quad(bias)), widen_quad(load_quad(bias + 4))};
}

template <typename T, int ACTIVATION>
HW_DEVICE hw::vec16 glu_chunk(hw::vec16 gate, hw::vec16 up, const biases &of_gate,
                              const biases &of_up)
{
    hw::vec16 out;
    HW_UNROLL
    for (int i = 0; i < 4; i++) {
        const quad &g = i < 2 ? of_gate.low : of_gate.high, &u = i < 2 ? of_up.low : of_up.high;
        float low = activate<ACTIVATION>(hw::widen(T{(uint16_t)gate.x[i]}) + g.x[i % 2 * 2]) *
                    (hw::widen(T{(uint16_t)up.x[i]}) + u.x[i % 2 * 2]);
        float high =
            activate<ACTIVATION>(hw::widen(T{(uint16_t)(gate.x[i] >> 16)}) + g.x[i % 2 * 2 + 1]) *
            (hw::widen(T{(uint16_t)(up.x[i] >> 16)}) + u.x[i % 2 * 2 + 1]);
        out.x[i] = hw::narrow2<T>(low, high);
    }
    return out;
}

template <typename T, int ACTIVATION> HW_DEVICE void glu_with(const struct ppi_cuda_glu_args &args)
{
    int64_t row_chunks = args.n / 8, n_chunks = args.n_rows * row_chunks;
    int64_t at_once = (int64_t)hw::n_blocks() * GLU_CHUNKS * THREADS;
    int64_t first = (int64_t)hw::block() * GLU_CHUNKS * THREADS + hw::thread();
    for (; first < n_chunks; first += at_once) {
        hw::vec16 gate[GLU_CHUNKS] = {}, up[GLU_CHUNKS] = {};
        biases of_gate[GLU_CHUNKS] = {}, of_up[GLU_CHUNKS] = {};
        HW_UNROLL
        for (int i = 0; i < GLU_CHUNKS; i++) {
            int64_t chunk = first + i * THREADS;
            if (chunk >= n_chunks)
                continue;
            /* Rows of gate_up are twice as long: row * n more than in out. */
            int64_t row = chunk / row_chunks;
            const T *from = (const T *)args.gate_up + 8 * chunk + row * args.n;
            gate[i] = hw::load16(from);
            up[i] = hw::load16(from + args.n);
            if (args.bias) {
                const float *bias = args.bias + 8 * (chunk - row * row_chunks);
                of_gate[i] = load_biases(bias);
                of_up[i] = load_biases(bias + args.n);
            }
        }
        HW_UNROLL
        for (int i = 0; i < GLU_CHUNKS; i++) {
            int64_t chunk = first + i * THREADS;
            if (chunk < n_chunks)
                hw::store16((T *)args.out + 8 * chunk,
                            glu_chunk<T, ACTIVATION>(gate[i], up[i], of_gate[i], of_up[i]));
        }
    }
}

template <typename T> HW_DEVICE void glu(const struct ppi_cuda_glu_args &args)
{
    if (args.activation == PPI_CUDA_SILU)
        glu_with<T, PPI_CUDA_SILU>(args);
    else
        glu_with<T, PPI_CUDA_GELU_TANH>(args);
}

HW_KERNEL(glu_bf16_kernel, struct ppi_cuda_glu_args, THREADS, 4)
{
    glu<hw::bf16>(args);
}

HW_KERNEL(glu_f16_kernel, struct ppi_cuda_glu_args, THREADS, 4)
{
    glu<hw::f16>(args);
}

/* ---- add_bias ---- Quads where rows are whole ones, else single elements. Moves 8 bytes for each.
 */

HW_KERNEL(add_bias_kernel, struct ppi_cuda_add_bias_args, THREADS, 4)
{
    int64_t row = hw::block();
    if (row >= args.n_rows)
        return;
    float *out = args.out + row * args.n;
    if (args.n % 4 != 0) {
        for (int64_t j = hw::thread(); j < args.n; j += THREADS)
            out[j] += args.scale * args.bias[j];
        return;
    }
    for (int64_t first = hw::thread(); first < args.n / 4; first += IN_HAND * THREADS) {
        raw_quad<float> x[IN_HAND] = {}, bias[IN_HAND] = {};
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < args.n / 4) {
                x[i] = load_quad(out + 4 * (first + i * THREADS));
                bias[i] = load_quad(args.bias + 4 * (first + i * THREADS));
            }
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < args.n / 4)
                store_quad(out + 4 * (first + i * THREADS),
                           add_quads(widen_quad(x[i]), widen_quad(bias[i]), args.scale));
    }
}

/* ---- softcap ---- Quads where x is aligned; else, and at the end, single elements. */

static_assert(IN_HAND * THREADS * 4 == PPI_CUDA_STRIDING_ELEMENTS, "what kernels.h says");

HW_KERNEL(softcap_kernel, struct ppi_cuda_softcap_args, THREADS, 4)
{
    const float factor = 2.0f * 1.4426950408889634f / args.cap;
    int64_t n_quads = (uint64_t)args.x % 16 == 0 ? args.n / 4 : 0;
    int64_t first = (int64_t)hw::block() * IN_HAND * THREADS + hw::thread();
    for (; first < n_quads; first += (int64_t)hw::n_blocks() * IN_HAND * THREADS) {
        raw_quad<float> raw[IN_HAND] = {};
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < n_quads)
                raw[i] = load_quad(args.x + 4 * (first + i * THREADS));
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++) {
            quad x = widen_quad(raw[i]);
            HW_UNROLL
            for (int j = 0; j < 4; j++)
                x.x[j] = args.cap * soft_tanh(x.x[j], factor);
            if (first + i * THREADS < n_quads)
                store_quad(args.x + 4 * (first + i * THREADS), x);
        }
    }
    int64_t i = 4 * n_quads + (int64_t)hw::block() * THREADS + hw::thread();
    for (; i < args.n; i += (int64_t)hw::n_blocks() * THREADS)
        args.x[i] = args.cap * soft_tanh(args.x[i], factor);
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
const struct ppi_cuda_kernel ppi_cuda_glu[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(glu_bf16_kernel, THREADS, 0),
    PPI_KERNEL_ENTRY(glu_f16_kernel, THREADS, 0),
};
const struct ppi_cuda_kernel ppi_cuda_add_bias[1] = {PPI_KERNEL_ENTRY(add_bias_kernel, THREADS, 0)};
const struct ppi_cuda_kernel ppi_cuda_softcap[1] = {PPI_KERNEL_ENTRY(softcap_kernel, THREADS, 0)};
const struct ppi_cuda_kernel ppi_cuda_gather[1] = {PPI_KERNEL_ENTRY(gather_kernel, THREADS, 0)};
const struct ppi_cuda_kernel ppi_cuda_convert[1] = {PPI_KERNEL_ENTRY(convert_kernel, THREADS, 0)};
const struct ppi_cuda_kernel ppi_cuda_compare[1] = {PPI_KERNEL_ENTRY(compare_kernel, THREADS, 0)};
