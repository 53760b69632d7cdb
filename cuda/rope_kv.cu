/*
 * rope_kv.cu: rope_kv, which rotates q and k and puts keys and values where attention reads them,
 * and kv_read, which copies them out. Contracts are in kernels.h.
 *
 * A quad is four neighbouring elements; head_dim is a multiple of 8, so half a head is whole quads.
 */
#include "cuda/kv_address.cuh"
#include "cuda/quads.cuh"

using namespace ppi;

#define THREADS 128

/* ---- rope_kv ----
 * A block takes a row. A thread has one quad of the first half of a head and its partner in the
 * second half, of every n-th head, n = THREADS / (head_dim / 8): cosines and sines are the same for
 * all of its heads. It has HEADS heads under way at once. Moves 4 bytes for each element of qkv and
 * 2 for each of q, k and v, and the row's part of `rope`, most likely from a cache.
 */
#define HEADS 4
static_assert(PPI_CUDA_MAX_HEAD_DIM / 8 <= THREADS, "a pair of quads of a head has a thread");

struct head_pairs {
    raw_quad<float> first[HEADS], second[HEADS];
};

/* Loads heads `head`, head + step, ... below n_heads; x is the thread's quad of head 0. */
HW_DEVICE void load_heads(head_pairs &pairs, const float *x, int head, int step, int n_heads,
                          int head_dim)
{
    HW_UNROLL
    for (int i = 0; i < HEADS; i++) {
        const float *from = x + (int64_t)(head + i * step) * head_dim;
        if (head + i * step < n_heads) {
            pairs.first[i] = load_quad(from);
            pairs.second[i] = load_quad(from + head_dim / 2);
        }
    }
}

HW_DEVICE void rotate(quad &a, quad &b, quad cosines, quad sines)
{
    HW_UNROLL
    for (int i = 0; i < 4; i++) {
        float x = a.x[i], y = b.x[i];
        a.x[i] = x * cosines.x[i] - y * sines.x[i];
        b.x[i] = y * cosines.x[i] + x * sines.x[i];
    }
}

template <typename T> HW_DEVICE void rope_kv(const struct ppi_cuda_rope_kv_args &args)
{
    /* 1. What this thread has. */
    int64_t row = hw::block();
    int head_dim = args.head_dim, half = head_dim / 2, width = half / 4;
    int step = THREADS / width, head = hw::thread() / width;
    int at = 4 * (hw::thread() - head * width); /* in the head; the partner is at + half */
    int n_rotated = args.n_heads + args.n_kv_heads, n_all = n_rotated + args.n_kv_heads;
    if (row >= args.n_rows || head >= step || head >= n_all)
        return;

    /* 2. Loads that depend on nothing go first, those of addresses next. */
    const float *x = args.qkv + row * n_all * head_dim + at;
    int32_t position = args.positions[row];
    int64_t slot = args.slots[row];
    head_pairs pairs = {};
    load_heads(pairs, x, head, step, n_all, head_dim);
    const float *rope = args.rope + (int64_t)position * head_dim + at;
    quad cosines = widen_quad(load_quad(rope)), sines = widen_quad(load_quad(rope + half));
    kv_token token = slot >= 0 ? kv_find(args.kv, 0, slot) : kv_token{0, 0};
    T *q = (T *)args.q + row * args.n_heads * head_dim;

    /* 3. Rotate, narrow, store. */
    for (;;) {
        HW_UNROLL
        for (int i = 0; i < HEADS; i++) {
            int h = head + i * step;
            if (h >= n_all || (h >= args.n_heads && slot < 0))
                continue;
            quad a = widen_quad(pairs.first[i]), b = widen_quad(pairs.second[i]);
            if (h < n_rotated)
                rotate(a, b, cosines, sines);
            T *to = h < args.n_heads ? q + (int64_t)h * head_dim
                    : h < n_rotated  ? (T *)kv_key(args.kv, token, h - args.n_heads)
                                     : (T *)kv_value(args.kv, token, h - n_rotated);
            store_quad(to + at, a);
            store_quad(to + at + half, b);
        }
        head += HEADS * step;
        if (head >= n_all)
            return;
        load_heads(pairs, x, head, step, n_all, head_dim);
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

/* ---- tables ---- */

const struct ppi_cuda_kernel ppi_cuda_rope_kv[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(rope_kv_bf16_kernel, THREADS, 0),
    PPI_KERNEL_ENTRY(rope_kv_f16_kernel, THREADS, 0),
};
const struct ppi_cuda_kernel ppi_cuda_kv_read[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(kv_read_bf16_kernel, THREADS, 0),
    PPI_KERNEL_ENTRY(kv_read_f16_kernel, THREADS, 0),
};
