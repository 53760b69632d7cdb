/*
 * sample_bounds.cu: what the filters of draws leave of rows of logits. The contract is in
 * kernels.h, the arithmetic in draw.h: whole numbers, so the sums are the same in any order.
 *
 * A block takes a row. The last token in order that stays is found digit by digit of its rank: sums
 * over the tokens that begin like it, by their next four bits, tell which these are. Every thread
 * has the 16 sums of its own tokens in shared memory, so that nobody waits for anybody; then warp w
 * adds up those of digit w. Eight passes for a key, a few more where equals have to be parted; each
 * reads the row, most likely from the L2 cache.
 *
 * Shared memory: [DIGITS][THREADS] sums of threads; [DIGITS] sums; [WARPS] maxima.
 */
#include "cuda/sample_row.cuh"

using namespace ppi;

#define THREADS 512
#define WARPS   (THREADS / 32)
#define IN_HAND 4 /* loads of a thread under way */
#define BITS    4
#define DIGITS  (1 << BITS)

static_assert(DIGITS == WARPS, "a digit for each warp");

#define SUMS         (DIGITS * THREADS * 8)
#define MAXIMA       (SUMS + DIGITS * 8)
#define SHARED_BYTES (MAXIMA + WARPS * 4)

struct logit_row {
    const float *logits;
    int64_t n_quads;
    int32_t vocab;
    bool aligned;
    float max, steepness;
};

/* Which tokens are added up: those from `least` on that begin like `prefix` above bit `shift` +
 * BITS. */
struct selection {
    uint64_t least, prefix;
    int shift;
    bool weighted; /* by their weights, else each is 1 */
};

/* The largest logit but NaN, for every thread. */
HW_DEVICE float find_max(const logit_row &row, uint32_t maxima)
{
    float max = -INFINITY;
    for (int64_t first = hw::thread(); first < row.n_quads; first += IN_HAND * THREADS) {
        raw_quad<float> raw[IN_HAND] = {};
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < row.n_quads)
                raw[i] = load_logits(row.logits, first + i * THREADS, row.vocab, row.aligned);
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++) {
            quad x = widen_quad(raw[i]);
            if (first + i * THREADS < row.n_quads)
                max = fmaxf(max, fmaxf(fmaxf(x.x[0], x.x[1]), fmaxf(x.x[2], x.x[3])));
        }
    }
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2)
        max = fmaxf(max, hw::shuffle_xor(max, mask));
    if (hw::lane() == 0)
        hw::store_shared(maxima + 4 * (uint32_t)hw::warp(), max);
    hw::block_sync();
    HW_UNROLL
    for (uint32_t i = 0; i < WARPS; i++)
        max = fmaxf(max, hw::load_shared<float>(maxima + 4 * i));
    return max;
}

/* Where the thread's own sum for a digit is. */
HW_DEVICE uint32_t own_sum(uint32_t digit)
{
    return hw::shared_base() + (digit * THREADS + (uint32_t)hw::thread()) * 8;
}

HW_DEVICE void add_token(const logit_row &row, const selection &of, float logit, uint32_t token)
{
    uint64_t rank = rank_of(logit, token);
    if (token >= (uint32_t)row.vocab || rank < of.least ||
        (rank ^ of.prefix) >> of.shift >> BITS != 0)
        return;
    uint64_t weight = of.weighted ? ppi_draw_weight(logit, row.max, row.steepness) : 1;
    uint32_t sum = own_sum((uint32_t)(rank >> of.shift) % DIGITS);
    hw::store_shared<uint64_t>(sum, hw::load_shared<uint64_t>(sum) + weight);
}

HW_DEVICE uint64_t add_lanes(uint64_t sum)
{
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2) {
        uint64_t low = hw::shuffle_xor((uint32_t)sum, mask);
        uint64_t high = hw::shuffle_xor((uint32_t)(sum >> 32), mask);
        sum += high << 32 | low;
    }
    return sum;
}

/* The sums of all digits, at SUMS of shared memory for every thread. */
HW_DEVICE void sum_digits(const logit_row &row, const selection &of)
{
    /* 1. Of each thread. */
    HW_UNROLL
    for (uint32_t digit = 0; digit < DIGITS; digit++)
        hw::store_shared<uint64_t>(own_sum(digit), 0);
    for (int64_t first = hw::thread(); first < row.n_quads; first += IN_HAND * THREADS) {
        raw_quad<float> raw[IN_HAND] = {};
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < row.n_quads)
                raw[i] = load_logits(row.logits, first + i * THREADS, row.vocab, row.aligned);
        for (int i = 0; i < IN_HAND; i++) {
            if (first + i * THREADS >= row.n_quads)
                continue;
            quad x = widen_quad(raw[i]);
            HW_UNROLL
            for (int j = 0; j < 4; j++)
                add_token(row, of, x.x[j], (uint32_t)(4 * (first + i * THREADS) + j));
        }
    }
    hw::block_sync();

    /* 2. Of a digit over all threads. */
    uint32_t digit = (uint32_t)hw::warp(), lane = (uint32_t)hw::lane();
    uint64_t sum = 0;
    HW_UNROLL
    for (uint32_t i = 0; i < THREADS / 32; i++)
        sum += hw::load_shared<uint64_t>(hw::shared_base() + (digit * THREADS + 32 * i + lane) * 8);
    sum = add_lanes(sum);
    if (lane == 0)
        hw::store_shared<uint64_t>(hw::shared_base() + SUMS + digit * 8, sum);
    hw::block_sync();
}

HW_DEVICE uint64_t digit_sum(uint32_t digit)
{
    return hw::load_shared<uint64_t>(hw::shared_base() + SUMS + digit * 8);
}

/* The logit of a key; draw.h's other way round. */
HW_DEVICE float logit_of(uint32_t key)
{
    return f32_from_bits(key & SIGN ? key ^ SIGN : ~key);
}

/* Moves of.prefix to the next digit: that of the token, in order, with which the sum reaches
 * *target; *target becomes what is to be reached among those that begin like it. The sum of these.
 */
HW_DEVICE uint64_t take_digit(selection &of, uint64_t *target)
{
    uint32_t digit = DIGITS - 1;
    uint64_t sum = digit_sum(digit);
    while (sum < *target && digit > 0) {
        *target -= sum;
        sum = digit_sum(--digit);
    }
    of.prefix |= (uint64_t)digit << of.shift;
    return sum;
}

/* The rank of the last of the first tokens in order, from rank `least` on, whose sum reaches
 * `target`, which the sum of all does. */
HW_DEVICE uint64_t narrow(const logit_row &row, uint64_t least, bool weighted, uint64_t target)
{
    selection of = {least, 0, 0, weighted};
    uint64_t sum = 0;
    for (of.shift = 64 - BITS; of.shift >= 32; of.shift -= BITS) {
        sum_digits(row, of);
        sum = take_digit(of, &target);
        if (sum == target)
            break;
    }
    if (sum != target && weighted) {
        /* Equals weigh the same: from now on they are counted. */
        uint64_t one =
            ppi_draw_weight(logit_of((uint32_t)(of.prefix >> 32)), row.max, row.steepness);
        one = one > 0 ? one : 1;
        target = (target + one - 1) / one;
        sum = sum / one;
        of.weighted = false;
    }
    if (sum != target) {
        int width = BITS; /* bits in which tokens differ */
        while (width < 32 && (uint32_t)(row.vocab - 1) >> width != 0)
            width += BITS;
        of.prefix |= ~(uint64_t)0 >> 32 >> width << width;
        for (of.shift = width - BITS; of.shift >= 0 && sum != target; of.shift -= BITS) {
            sum_digits(row, of);
            sum = take_digit(of, &target);
        }
    }
    return of.prefix > least ? of.prefix : least;
}

HW_DEVICE uint64_t total_weight(const logit_row &row, uint64_t least)
{
    const selection of = {least, 0, 64 - BITS, true};
    sum_digits(row, of);
    uint64_t total = 0;
    for (uint32_t digit = 0; digit < DIGITS; digit++)
        total += digit_sum(digit);
    return total;
}

HW_KERNEL(sample_bounds_kernel, struct ppi_cuda_sample_bounds_args, THREADS, 1)
{
    int64_t i_row = hw::block();
    if (i_row >= args.n_rows)
        return;
    const struct ppi_cuda_draw draw = args.draws[i_row];
    struct ppi_cuda_bound bound = {0, 0, 0, 0};
    if (draw.temperature != 0) {
        logit_row row = {args.logits + i_row * args.stride,
                         ((int64_t)args.vocab + 3) / 4,
                         args.vocab,
                         false,
                         0,
                         ppi_draw_steepness(draw.temperature)};
        row.aligned = (uint64_t)row.logits % 16 == 0;
        row.max = find_max(row, hw::shared_base() + MAXIMA);
        if (draw.top_k > 0 && draw.top_k < args.vocab)
            bound.rank = narrow(row, 0, false, (uint64_t)draw.top_k);
        if (draw.top_p < 1.0f) {
            uint64_t share = ppi_draw_share(draw.top_p, total_weight(row, bound.rank));
            bound.rank = narrow(row, bound.rank, true, share);
        }
        if (draw.min_p > 0.0f)
            bound.weight = ppi_draw_share(draw.min_p, PPI_DRAW_ONE);
        bound.max = row.max;
        bound.steepness = row.steepness;
    }
    if (hw::thread() == 0)
        args.bounds[i_row] = bound;
}

const struct ppi_cuda_kernel ppi_cuda_sample_bounds[1] = {
    PPI_KERNEL_ENTRY(sample_bounds_kernel, THREADS, SHARED_BYTES),
};
