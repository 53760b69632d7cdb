/*
 * rope_kv.cu: rope_kv, which rotates q and k and puts keys and values where attention reads them,
 * kv_read, which copies them out, and kv_write, which copies others in. Contracts are in kernels.h.
 *
 * A quad is four neighbouring elements; head_dim is a multiple of 8, so a head is pairs of quads.
 */
#include "cuda/kv_address.cuh"
#include "cuda/quads.cuh"

using namespace ppi;

#define THREADS 128

/* ---- rope_kv ----
 * A block takes a row. A thread has two quads of every n-th head, n = THREADS / (head_dim / 8),
 * that rotate with each other, or that both stay: cosines and sines are the same for all of its
 * heads. It has HEADS heads under way at once. Moves 4 bytes for each element of qkv and 2 for each
 * of q, k and v, and the row's angles, most likely from a cache.
 */
#define HEADS 4
static_assert(PPI_CUDA_MAX_HEAD_DIM / 8 <= THREADS, "a pair of quads of a head has a thread");

/* Where the thread's quads are in a head. */
struct quad_places {
    int first, second;
    bool rotates;
};

/* Of pair number `pair` of head_dim / 8: first those that rotate, then the others. */
HW_DEVICE quad_places find_quads(const struct ppi_cuda_rope_kv_args &args, int pair)
{
    int n_rotating = args.rotary_dim / 8;
    if (pair >= n_rotating)
        return {8 * pair, 8 * pair + 4, false};
    if (args.interleaved)
        return {8 * pair, 8 * pair + 4, true};
    return {4 * pair, args.rotary_dim / 2 + 4 * pair, true};
}

struct head_pairs {
    raw_quad<float> first[HEADS], second[HEADS];
};

/* Loads heads `head`, head + step, ... below n_heads of x, the row's qkv. */
HW_DEVICE void load_heads(head_pairs &pairs, const float *x, const quad_places &at, int head,
                          int step, int n_heads, int head_dim)
{
    HW_UNROLL
    for (int i = 0; i < HEADS; i++) {
        const float *from = x + (int64_t)(head + i * step) * head_dim;
        if (head + i * step < n_heads) {
            pairs.first[i] = load_quad(from + at.first);
            pairs.second[i] = load_quad(from + at.second);
        }
    }
}

/* What row `row` multiplies its queries by. */
HW_DEVICE float query_scale(const struct ppi_cuda_rope_kv_args &args, int64_t row)
{
    return args.q_scale ? args.q_scale[args.rope_rows[row]] : 1.0f;
}

HW_DEVICE void rotate(float &x, float &y, float cosine, float sine)
{
    float turned = x * cosine - y * sine;
    y = y * cosine + x * sine;
    x = turned;
}

/* Elements of a and of b rotate with each other, or neighbours in each of them. */
HW_DEVICE void rotate_quads(quad &a, quad &b, quad cosines, quad sines, bool interleaved)
{
    if (!interleaved) {
        HW_UNROLL
        for (int i = 0; i < 4; i++)
            rotate(a.x[i], b.x[i], cosines.x[i], sines.x[i]);
        return;
    }
    HW_UNROLL
    for (int i = 0; i < 2; i++) {
        rotate(a.x[2 * i], a.x[2 * i + 1], cosines.x[i], sines.x[i]);
        rotate(b.x[2 * i], b.x[2 * i + 1], cosines.x[2 + i], sines.x[2 + i]);
    }
}

/* Head h of q, k or v of a row, where it goes; NULL: nowhere. */
template <typename T>
HW_DEVICE T *find_head(const struct ppi_cuda_rope_kv_args &args, int64_t row, bool has_slot,
                       kv_token token, int h)
{
    int n_rotated = args.n_heads + args.n_kv_heads;
    if (h < args.n_heads)
        return (T *)args.q + (row * args.n_heads + h) * args.head_dim;
    if (!has_slot)
        return nullptr;
    return h < n_rotated ? (T *)kv_key(args.kv, token, h - args.n_heads)
                         : (T *)kv_value(args.kv, token, h - n_rotated);
}

template <typename T> HW_DEVICE void rope_kv(const struct ppi_cuda_rope_kv_args &args)
{
    /* 1. What this thread has. */
    int64_t row = hw::block();
    int head_dim = args.head_dim, width = head_dim / 8;
    int step = THREADS / width, head = hw::thread() / width;
    int pair = hw::thread() - head * width;
    int n_rotated = args.n_heads + args.n_kv_heads, n_all = n_rotated + args.n_kv_heads;
    if (row >= args.n_rows || head >= step || head >= n_all)
        return;
    const quad_places at = find_quads(args, pair);

    /* 2. Loads that depend on nothing go first, those of addresses next. */
    const float *x = args.qkv + row * n_all * head_dim;
    int64_t slot = args.slots[row];
    head_pairs pairs = {};
    load_heads(pairs, x, at, head, step, n_all, head_dim);
    quad cosines = {}, sines = {};
    if (at.rotates) {
        const float *angles = args.angles + (int64_t)args.rope_rows[row] * args.rotary_dim;
        cosines = widen_quad(load_quad(angles + 4 * pair));
        sines = widen_quad(load_quad(angles + args.rotary_dim / 2 + 4 * pair));
    }
    const float q_scale = query_scale(args, row);
    kv_token token = slot >= 0 ? kv_find(args.kv, 0, slot) : kv_token{0, 0};

    /* 3. Rotate, scale, narrow, store. */
    for (;;) {
        HW_UNROLL
        for (int i = 0; i < HEADS; i++) {
            int h = head + i * step;
            T *to = h < n_all ? find_head<T>(args, row, slot >= 0, token, h) : nullptr;
            if (!to)
                continue;
            quad a = widen_quad(pairs.first[i]), b = widen_quad(pairs.second[i]);
            if (at.rotates && h < n_rotated)
                rotate_quads(a, b, cosines, sines, args.interleaved);
            float scale = h < args.n_heads ? q_scale : 1.0f;
            store_quad(to + at.first, scale_quad(a, scale));
            store_quad(to + at.second, scale_quad(b, scale));
        }
        head += HEADS * step;
        if (head >= n_all)
            return;
        load_heads(pairs, x, at, head, step, n_all, head_dim);
    }
}

HW_KERNEL(rope_kv_bf16_kernel, struct ppi_cuda_rope_kv_args, THREADS, 8)
{
    rope_kv<hw::bf16>(args);
}

HW_KERNEL(rope_kv_f16_kernel, struct ppi_cuda_rope_kv_args, THREADS, 8)
{
    rope_kv<hw::f16>(args);
}

/* ---- rope_kv_any ----
 * A block takes a row, pairs of elements go to its threads in turn: in a head, first those that
 * rotate, then the others. Bound by the number of its loads, not by bytes.
 */
template <typename T> HW_DEVICE void rope_kv_any(const struct ppi_cuda_rope_kv_args &args)
{
    int64_t row = hw::block();
    if (row >= args.n_rows)
        return;
    int n_rotated = args.n_heads + args.n_kv_heads, n_all = n_rotated + args.n_kv_heads;
    int half = args.rotary_dim / 2, head_pairs = args.head_dim / 2;
    int64_t slot = args.slots[row];
    kv_token token = slot >= 0 ? kv_find(args.kv, 0, slot) : kv_token{0, 0};
    const float *angles =
        half > 0 ? args.angles + (int64_t)args.rope_rows[row] * args.rotary_dim : nullptr;
    const float q_scale = query_scale(args, row);
    for (int i = hw::thread(); i < n_all * head_pairs; i += THREADS) {
        int h = i / head_pairs, pair = i - h * head_pairs;
        T *to = find_head<T>(args, row, slot >= 0, token, h);
        if (!to)
            continue;
        bool is_split = pair < half && !args.interleaved;
        int first = is_split ? pair : 2 * pair, second = is_split ? pair + half : 2 * pair + 1;
        const float *from = args.qkv + (row * n_all + h) * args.head_dim;
        float x = from[first], y = from[second], scale = h < args.n_heads ? q_scale : 1.0f;
        if (pair < half && h < n_rotated)
            rotate(x, y, angles[pair], angles[half + pair]);
        to[first] = hw::narrow<T>(x * scale);
        to[second] = hw::narrow<T>(y * scale);
    }
}

HW_KERNEL(rope_kv_any_bf16_kernel, struct ppi_cuda_rope_kv_args, THREADS, 8)
{
    rope_kv_any<hw::bf16>(args);
}

HW_KERNEL(rope_kv_any_f16_kernel, struct ppi_cuda_rope_kv_args, THREADS, 8)
{
    rope_kv_any<hw::f16>(args);
}

/* ---- kv_read ----
 * A block takes a token. Moves 4 (act) or 6 (f32) bytes for each element.
 */
template <typename T> HW_DEVICE void kv_read(const struct ppi_cuda_kv_read_args &args)
{
    int64_t i_token = hw::block();
    if (i_token >= args.n_tokens)
        return;
    kv_token token = kv_find(args.kv, 0, args.first_token + i_token);
    int head_quads = args.head_dim / 4, n_quads = args.n_kv_heads * head_quads;
    for (int q = hw::thread(); q < n_quads; q += THREADS) {
        int head = q / head_quads, at = 4 * (q - head * head_quads);
        raw_quad<T> raw = load_quad((const T *)kv_key(args.kv, token, head) + at);
        int64_t to = args.head_major ? head * (int64_t)args.n_tokens + i_token
                                     : i_token * args.n_kv_heads + head;
        if (args.out_type == PPI_CUDA_F32)
            store_quad((float *)args.out + to * args.head_dim + at, widen_quad(raw));
        else
            *(uint64_t *)((T *)args.out + to * args.head_dim + at) = raw.bits;
    }
}

HW_KERNEL(kv_read_bf16_kernel, struct ppi_cuda_kv_read_args, THREADS, 8)
{
    kv_read<hw::bf16>(args);
}

HW_KERNEL(kv_read_f16_kernel, struct ppi_cuda_kv_read_args, THREADS, 8)
{
    kv_read<hw::f16>(args);
}

/* ---- kv_write ----
 * A block takes a token. Moves 4 (act) or 6 (f32) bytes for each element.
 */
template <typename T> HW_DEVICE void kv_write(const struct ppi_cuda_kv_write_args &args)
{
    int64_t i_token = hw::block();
    if (i_token >= args.n_tokens)
        return;
    kv_token token = kv_find(args.kv, 0, args.first_token + i_token);
    int head_quads = args.head_dim / 4, n_quads = args.n_kv_heads * head_quads;
    for (int q = hw::thread(); q < n_quads; q += THREADS) {
        int head = q / head_quads, at = 4 * (q - head * head_quads);
        int64_t from = args.head_major ? head * (int64_t)args.n_tokens + i_token
                                       : i_token * args.n_kv_heads + head;
        T *to = (T *)kv_key(args.kv, token, head) + at;
        if (args.in_type == PPI_CUDA_F32)
            store_quad(to,
                       widen_quad(load_quad((const float *)args.in + from * args.head_dim + at)));
        else
            *(uint64_t *)to = load_quad((const T *)args.in + from * args.head_dim + at).bits;
    }
}

HW_KERNEL(kv_write_bf16_kernel, struct ppi_cuda_kv_write_args, THREADS, 8)
{
    kv_write<hw::bf16>(args);
}

HW_KERNEL(kv_write_f16_kernel, struct ppi_cuda_kv_write_args, THREADS, 8)
{
    kv_write<hw::f16>(args);
}

/* ---- tables ---- */

const struct ppi_cuda_kernel ppi_cuda_rope_kv[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(rope_kv_bf16_kernel, THREADS, 0),
    PPI_KERNEL_ENTRY(rope_kv_f16_kernel, THREADS, 0),
};
const struct ppi_cuda_kernel ppi_cuda_rope_kv_any[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(rope_kv_any_bf16_kernel, THREADS, 0),
    PPI_KERNEL_ENTRY(rope_kv_any_f16_kernel, THREADS, 0),
};
const struct ppi_cuda_kernel ppi_cuda_kv_read[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(kv_read_bf16_kernel, THREADS, 0),
    PPI_KERNEL_ENTRY(kv_read_f16_kernel, THREADS, 0),
};
const struct ppi_cuda_kernel ppi_cuda_kv_write[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(kv_write_bf16_kernel, THREADS, 0),
    PPI_KERNEL_ENTRY(kv_write_f16_kernel, THREADS, 0),
};
