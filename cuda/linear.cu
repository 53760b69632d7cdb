/*
 * linear.cu: linear layers over the rows of a pass: the gated delta rule and Mamba 2. The formulas
 * are in libprepack/linear.h, what each kernel does in kernels_layers.h.
 *
 * Everything runs in f32 and token by token: a token's numbers are made of its own row, the rows
 * that its convolution sees and the state before it, in one order, so bits do not depend on where a
 * prompt is cut or what runs beside it. What is parallel: prompts, heads and value columns.
 */
#include "cuda/activation.cuh"
#include "cuda/kernels_layers.h"
#include "cuda/quads.cuh"
#include "cuda/row_sums.cuh"

using namespace ppi;

#define THREADS 256
#define WARPS   (THREADS / 32)

HW_DEVICE int64_t k_size(const struct ppi_cuda_linear_args &args)
{
    return (int64_t)args.n_k_heads * args.k_dim;
}

HW_DEVICE int64_t v_size(const struct ppi_cuda_linear_args &args)
{
    return (int64_t)args.n_v_heads * args.v_dim;
}

HW_DEVICE int64_t n_channels(const struct ppi_cuda_linear_args &args)
{
    return 2 * k_size(args) + v_size(args);
}

/* A channel of the convolution's inputs before a segment: token -1, -2, ... behind it. */
HW_DEVICE float input_before(const struct ppi_cuda_linear_args &args,
                             const struct ppi_cuda_linear_segment &segment, int token,
                             int64_t channel)
{
    if (segment.position == 0)
        return 0;
    const float *seen = (const float *)((const char *)segment.state_before + args.seen_offset);
    return seen[(args.conv_kernel - 1 + token) * n_channels(args) + channel];
}

/* ... and inside it. */
HW_DEVICE float input_of(const struct ppi_cuda_linear_args &args,
                         const struct ppi_cuda_linear_segment &segment, int token, int64_t channel)
{
    return args.rows[(int64_t)(segment.row + token) * args.row_stride + channel];
}

/* ---- linear_mix ----
 * A block takes a row, its warps take key heads (q and k together), then value channels, then value
 * heads' gates. Bound by memory: reads what the convolution sees, most of it from a cache.
 */
#define HELD (PPI_CUDA_MAX_LINEAR_K_DIM / 32) /* elements of a head that a lane has */

/* What the convolution makes of a channel. */
HW_DEVICE float convolve(const struct ppi_cuda_linear_args &args,
                         const struct ppi_cuda_linear_segment &segment, int token, int64_t channel)
{
    const float *weights = args.conv + channel * args.conv_kernel;
    float sum = args.conv_bias ? args.conv_bias[channel] : 0.0f;
    for (int t = 0; t < args.conv_kernel; t++) {
        int from = token - args.conv_kernel + 1 + t;
        float x = from >= 0 ? input_of(args, segment, from, channel)
                            : input_before(args, segment, from, channel);
        sum = fmaf(weights[t], x, sum);
    }
    return silu(sum);
}

/* The head that starts at `channel`: a lane has every 32nd element. */
HW_DEVICE void convolve_head(float (&x)[HELD], const struct ppi_cuda_linear_args &args,
                             const struct ppi_cuda_linear_segment &segment, int token,
                             int64_t channel)
{
    HW_UNROLL
    for (int i = 0; i < HELD; i++) {
        int at = 32 * i + hw::lane();
        x[i] = at < args.k_dim ? convolve(args, segment, token, channel + at) : 0.0f;
    }
}

HW_DEVICE float dot_of_warp(const float (&x)[HELD], const float (&y)[HELD])
{
    float sum = 0;
    HW_UNROLL
    for (int i = 0; i < HELD; i++)
        sum = fmaf(x[i], y[i], sum);
    return sum_of_warp(sum);
}

/* scale x / sqrt(sum of squares + eps) */
HW_DEVICE void normalize_head(float (&x)[HELD], float scale, float eps)
{
    float factor = scale / sqrtf(dot_of_warp(x, x) + eps);
    HW_UNROLL
    for (int i = 0; i < HELD; i++)
        x[i] *= factor;
}

HW_DEVICE void mix_key_head(const struct ppi_cuda_linear_args &args,
                            const struct ppi_cuda_linear_segment &segment, int token, int head,
                            float *out)
{
    const int64_t of_q = (int64_t)head * args.k_dim, of_k = k_size(args) + of_q;
    float q[HELD], k[HELD];
    convolve_head(q, args, segment, token, of_q);
    convolve_head(k, args, segment, token, of_k);
    if (!args.is_mamba2) {
        normalize_head(q, 1.0f / sqrtf((float)args.k_dim), args.head_eps);
        normalize_head(k, 1.0f, args.head_eps);
    }
    float kq = dot_of_warp(k, q);
    HW_UNROLL
    for (int i = 0; i < HELD; i++) {
        int at = 32 * i + hw::lane();
        if (at < args.k_dim) {
            out[of_q + at] = q[i];
            out[of_k + at] = k[i];
        }
    }
    const int group = args.n_v_heads / args.n_k_heads;
    for (int i = hw::lane(); i < group; i += 32)
        out[n_channels(args) + 4 * (head * group + i) + 2] = kq;
}

/* log(1 + exp(x)), relatively exact where it is small, too: log(1 + e) = 2 atanh(e / (2 + e)). */
HW_DEVICE float softplus(float x)
{
    float e = hw::exp2((x > 0 ? -x : x) * LOG2_E), s = e / (2.0f + e), square = s * s;
    float series = 1.0f / 15.0f;
    HW_UNROLL
    for (int i = 13; i >= 1; i -= 2)
        series = fmaf(series, square, 1.0f / (float)i);
    return (x > 0 ? x : 0.0f) + 2.0f * s * series;
}

/* decay and beta of a value head. */
HW_DEVICE void mix_gates(const struct ppi_cuda_linear_args &args, const float *row, int head,
                         float *out)
{
    const float *gates = row + n_channels(args) + v_size(args) + head;
    const float rate = hw::exp2(args.a_log[head] * LOG2_E);
    float dt, beta;
    if (args.is_mamba2) {
        dt = softplus(gates[0] + args.dt_bias[head]);
        dt = dt < args.dt_min ? args.dt_min : dt > args.dt_max ? args.dt_max : dt;
        beta = dt;
    } else {
        dt = softplus(gates[args.n_v_heads] + args.dt_bias[head]);
        beta = sigmoid(gates[0]);
    }
    out += n_channels(args) + 4 * head;
    out[0] = hw::exp2(-rate * dt * LOG2_E);
    out[1] = beta;
}

HW_KERNEL(linear_mix_kernel, struct ppi_cuda_linear_args, THREADS, 2)
{
    const int64_t row = hw::block();
    if (row >= args.n_rows)
        return;
    const struct ppi_cuda_linear_segment segment = args.segments[args.row_segments[row]];
    const int token = (int)(row - segment.row);
    float *out = args.mixed + row * args.mixed_stride;
    for (int head = hw::warp(); head < args.n_k_heads; head += WARPS)
        mix_key_head(args, segment, token, head, out);
    for (int64_t channel = 2 * k_size(args) + hw::thread(); channel < n_channels(args);
         channel += THREADS)
        out[channel] = convolve(args, segment, token, channel);
    for (int head = hw::thread(); head < args.n_v_heads; head += THREADS)
        mix_gates(args, args.rows + row * args.row_stride, head, out);
}

/* ---- linear_scan ----
 * A block has a segment, a value head and COLS of its value columns, four threads to a column: a
 * lane has the elements of S whose k is 16 i + 4 (lane % 4) .. + 3, in registers. Of each token
 * S^T k and S^T q are made in one pass, then S moves on; S^T q behind it is decay S^T q + (k q) u,
 * u being what k is multiplied by.
 *
 * Tokens come to shared memory TOKENS at a time, the next while these are computed: [2][TOKENS][q
 * [K], k [K], v [COLS], gates [4]] f32, zeros behind k_dim.
 */
#define SCAN_THREADS 128
#define TOKENS       8
#define COLS         PPI_CUDA_LINEAR_COLS
static_assert(SCAN_THREADS == 4 * COLS, "four threads to a column");

template <int K> struct scan_shape {
    static constexpr int PARTS = K / 16; /* quads of a lane */
    static constexpr uint32_t K_PLACE = 4 * K, V_PLACE = 8 * K, GATES = V_PLACE + 4 * COLS;
    static constexpr uint32_t TOKEN_BYTES = GATES + 16, STAGE_BYTES = TOKENS * TOKEN_BYTES;
    static constexpr uint32_t SHARED_BYTES = 2 * STAGE_BYTES;
    static_assert(SHARED_BYTES <= 48 * 1024, "several blocks on a multiprocessor");
};

/* What a block of the scan has. */
struct scan_place {
    struct ppi_cuda_linear_segment segment;
    int head, first_col, n_cols;
};

HW_DEVICE scan_place find_place(const struct ppi_cuda_linear_args &args)
{
    int blocks = (args.v_dim + COLS - 1) / COLS, unit = hw::block() / blocks;
    int first_col = hw::block() % blocks * COLS, left = args.v_dim - first_col;
    return {args.segments[unit / args.n_v_heads], unit % args.n_v_heads, first_col,
            left < COLS ? left : COLS};
}

/* Where the head's value columns are in a row of mixed. */
HW_DEVICE int64_t find_values(const struct ppi_cuda_linear_args &args, const scan_place &place)
{
    return 2 * k_size(args) + (int64_t)place.head * args.v_dim + place.first_col;
}

/* Starts the copies of tokens first .. of the segment, as a group. */
template <int K>
HW_DEVICE void load_tokens(const struct ppi_cuda_linear_args &args, const scan_place &place,
                           int first, uint32_t stage)
{
    using shape = scan_shape<K>;
    constexpr int CHUNKS = shape::TOKEN_BYTES / 16, K_CHUNKS = K / 4;
    const int left = place.segment.n_rows - first, n = left < TOKENS ? left : TOKENS;
    const int key_head = place.head / (args.n_v_heads / args.n_k_heads);
    for (int i = hw::thread(); i < n * CHUNKS; i += SCAN_THREADS) {
        int token = i / CHUNKS, chunk = i - token * CHUNKS;
        const float *from = args.mixed + (place.segment.row + first + token) * args.mixed_stride;
        uint32_t to = stage + (uint32_t)i * 16;
        if (chunk < 2 * K_CHUNKS) {
            int at = 4 * (chunk % K_CHUNKS);
            from += (chunk < K_CHUNKS ? 0 : k_size(args)) + (int64_t)key_head * args.k_dim;
            bool inside = at < args.k_dim;
            hw::cp_async16(to, from + (inside ? at : 0), inside ? 16 : 0);
        } else if (chunk < CHUNKS - 1) {
            int at = 4 * (chunk - 2 * K_CHUNKS);
            if (at < place.n_cols)
                hw::cp_async16(to, from + find_values(args, place) + at, 16);
        } else {
            hw::cp_async16(to, from + n_channels(args) + 4 * place.head, 16);
        }
    }
    hw::cp_async_commit();
}

/* Of the four lanes that share a column. */
HW_DEVICE float add_parts(float x)
{
    x += hw::shuffle_xor(x, 1);
    return x + hw::shuffle_xor(x, 2);
}

/* Moves a lane's part of S on by the token at `from`. Of the column: S^T q behind it. */
template <int K>
HW_DEVICE float step(const struct ppi_cuda_linear_args &args, quad (&s)[K / 16], uint32_t from,
                     int col, float d)
{
    using shape = scan_shape<K>;
    const uint32_t part = from + (uint32_t)hw::lane() % 4 * 16;
    quad k[shape::PARTS];
    float sk = 0, sq = 0;
    HW_UNROLL
    for (int i = 0; i < shape::PARTS; i++) {
        const quad q = hw::load_shared<quad>(part + (uint32_t)i * 64);
        k[i] = hw::load_shared<quad>(part + shape::K_PLACE + (uint32_t)i * 64);
        HW_UNROLL
        for (int j = 0; j < 4; j++) {
            sk = fmaf(s[i].x[j], k[i].x[j], sk);
            sq = fmaf(s[i].x[j], q.x[j], sq);
        }
    }
    sk = add_parts(sk);
    sq = add_parts(sq);
    const float v = hw::load_shared<float>(from + shape::V_PLACE + (uint32_t)col * 4);
    const quad gates = hw::load_shared<quad>(from + shape::GATES);
    const float decay = gates.x[0], beta = gates.x[1], kq = gates.x[2];
    const float u = beta * (args.is_mamba2 ? v : fmaf(-decay, sk, v));
    HW_UNROLL
    for (int i = 0; i < shape::PARTS; i++) {
        HW_UNROLL
        for (int j = 0; j < 4; j++)
            s[i].x[j] = fmaf(k[i].x[j], u, decay * s[i].x[j]);
    }
    return fmaf(kq, u, fmaf(decay, sq, d * v));
}

template <int K> HW_DEVICE void scan(const struct ppi_cuda_linear_args &args)
{
    using shape = scan_shape<K>;
    const uint32_t shared = hw::shared_base();
    const scan_place place = find_place(args);
    const int part = hw::lane() % 4, col = hw::thread() / 4;
    const bool has_col = col < place.n_cols;
    const float d = args.d ? args.d[place.head] : 0.0f;

    /* 1. The first tokens; the state before them. */
    load_tokens<K>(args, place, 0, shared);
    const int64_t first = (int64_t)place.head * args.k_dim * args.v_dim + place.first_col + col;
    const float *before =
        (const float *)((const char *)place.segment.state_before + args.s_offset) + first;
    quad s[shape::PARTS];
    HW_UNROLL
    for (int i = 0; i < shape::PARTS; i++) {
        HW_UNROLL
        for (int j = 0; j < 4; j++) {
            int k = 16 * i + 4 * part + j;
            bool is_there = has_col && k < args.k_dim && place.segment.position > 0;
            s[i].x[j] = is_there ? before[(int64_t)k * args.v_dim] : 0.0f;
        }
    }

    /* 2. Token by token. A stage is loaded again when every thread has left it. */
    float *out =
        args.mixed + place.segment.row * args.mixed_stride + find_values(args, place) + col;
    uint32_t stage = 0;
    for (int token = 0; token < place.segment.n_rows; token += TOKENS) {
        hw::cp_async_wait<0>();
        hw::block_sync();
        load_tokens<K>(args, place, token + TOKENS, shared + (shape::STAGE_BYTES - stage));
        for (int t = 0; t < TOKENS && token + t < place.segment.n_rows; t++) {
            float x = step<K>(args, s, shared + stage + (uint32_t)t * shape::TOKEN_BYTES, col, d);
            if (has_col && part == 0)
                out[(int64_t)(token + t) * args.mixed_stride] = x;
        }
        stage = shape::STAGE_BYTES - stage;
    }

    /* 3. The state behind them, if somebody wants it. */
    if (!place.segment.state)
        return;
    float *state = (float *)((char *)place.segment.state + args.s_offset) + first;
    HW_UNROLL
    for (int i = 0; i < shape::PARTS; i++) {
        HW_UNROLL
        for (int j = 0; j < 4; j++) {
            int k = 16 * i + 4 * part + j;
            if (has_col && k < args.k_dim)
                state[(int64_t)k * args.v_dim] = s[i].x[j];
        }
    }
}

HW_KERNEL(linear_scan_k64_kernel, struct ppi_cuda_linear_args, SCAN_THREADS, 4)
{
    scan<64>(args);
}

HW_KERNEL(linear_scan_k128_kernel, struct ppi_cuda_linear_args, SCAN_THREADS, 4)
{
    scan<128>(args);
}

HW_KERNEL(linear_scan_k256_kernel, struct ppi_cuda_linear_args, SCAN_THREADS, 2)
{
    scan<256>(args);
}

/* ---- linear_seen ----
 * A thread has a channel of a segment. What is read is never in front of what is written, so that
 * both states may be one.
 */
HW_KERNEL(linear_seen_kernel, struct ppi_cuda_linear_args, THREADS, 4)
{
    const int64_t channels = n_channels(args), blocks = (channels + THREADS - 1) / THREADS;
    const int64_t channel = hw::block() % blocks * THREADS + hw::thread();
    if (channel >= channels)
        return;
    const struct ppi_cuda_linear_segment segment = args.segments[hw::block() / blocks];
    if (!segment.state)
        return;
    float *seen = (float *)((char *)segment.state + args.seen_offset);
    for (int i = 0; i < args.conv_kernel - 1; i++) {
        int token = segment.n_rows - args.conv_kernel + 1 + i;
        seen[i * channels + channel] = token >= 0 ? input_of(args, segment, token, channel)
                                                  : input_before(args, segment, token, channel);
    }
}

/* ---- linear_norm ----
 * A norm belongs to a warp up to PPI_CUDA_WARP_ROW elements, else to a block. Moves 10 bytes for
 * each element.
 */

/* Of element i of a norm that starts at `first` of a row's values: what is normed. */
HW_DEVICE float norm_input(const struct ppi_cuda_linear_args &args, const float *x, const float *z,
                           int i)
{
    return args.is_mamba2 ? x[i] * silu(z[i]) : x[i];
}

template <typename T, int N>
HW_DEVICE void norm_vector(const struct ppi_cuda_linear_args &args, int64_t vector, int thread)
{
    const int64_t row_norms = v_size(args) / args.norm_dim, row = vector / row_norms;
    const int64_t first = (vector - row * row_norms) * args.norm_dim;
    const float *x = args.mixed + row * args.mixed_stride + 2 * k_size(args) + first;
    const float *z = args.rows + row * args.row_stride + n_channels(args) + first;
    const float *weight = args.norm + (args.is_mamba2 ? first : 0);
    T *out = (T *)args.out + row * v_size(args) + first;
    float sum = 0;
    for (int i = thread; i < args.norm_dim; i += N) {
        float y = norm_input(args, x, z, i);
        sum = fmaf(y, y, sum);
    }
    sum = sum_of_threads<N>(sum, hw::shared_base());
    const float scale = 1.0f / sqrtf(sum / (float)args.norm_dim + args.norm_eps);
    for (int i = thread; i < args.norm_dim; i += N) {
        float y = norm_input(args, x, z, i) * scale * weight[i];
        out[i] = hw::narrow<T>(args.is_mamba2 ? y : y * silu(z[i]));
    }
}

template <typename T> HW_DEVICE void linear_norm(const struct ppi_cuda_linear_args &args)
{
    const int64_t vector = row_of<WARPS>(args.norm_dim);
    if (vector >= args.n_rows * (v_size(args) / args.norm_dim))
        return;
    if (args.norm_dim <= PPI_CUDA_WARP_ROW)
        norm_vector<T, 32>(args, vector, hw::lane());
    else
        norm_vector<T, THREADS>(args, vector, hw::thread());
}

HW_KERNEL(linear_norm_bf16_kernel, struct ppi_cuda_linear_args, THREADS, 4)
{
    linear_norm<hw::bf16>(args);
}

HW_KERNEL(linear_norm_f16_kernel, struct ppi_cuda_linear_args, THREADS, 4)
{
    linear_norm<hw::f16>(args);
}

/* ---- tables ---- */

const struct ppi_cuda_kernel ppi_cuda_linear_mix[1] = {
    PPI_KERNEL_ENTRY(linear_mix_kernel, THREADS, 0)};
const struct ppi_cuda_kernel ppi_cuda_linear_scan[PPI_CUDA_LINEAR_KS] = {
    PPI_KERNEL_ENTRY(linear_scan_k64_kernel, SCAN_THREADS, scan_shape<64>::SHARED_BYTES),
    PPI_KERNEL_ENTRY(linear_scan_k128_kernel, SCAN_THREADS, scan_shape<128>::SHARED_BYTES),
    PPI_KERNEL_ENTRY(linear_scan_k256_kernel, SCAN_THREADS, scan_shape<256>::SHARED_BYTES),
};
const struct ppi_cuda_kernel ppi_cuda_linear_seen[1] = {
    PPI_KERNEL_ENTRY(linear_seen_kernel, THREADS, 0)};
const struct ppi_cuda_kernel ppi_cuda_linear_norm[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(linear_norm_bf16_kernel, THREADS, 4 * WARPS),
    PPI_KERNEL_ENTRY(linear_norm_f16_kernel, THREADS, 4 * WARPS),
};
