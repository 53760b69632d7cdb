/*
 * sample.cu: the next token of each row of logits: the largest, or the largest after Gumbel noise.
 * The contract is in kernels.h.
 *
 * A block takes a row; quads of tokens go to its threads in turn. Moves 4 bytes for each logit. The
 * largest is the largest in any order, and of equals the smallest token wins, so the shape of the
 * reduction shows nowhere. Shared memory: [WARPS] values, [WARPS] tokens, [WARPS] what was seen.
 */
#include "cuda/sample_row.cuh"

#define PPI_GUMBEL_FUNCTION HW_DEVICE
#define PPI_GUMBEL_LOG2     hw::log2
#include "gumbel.h"

using namespace ppi;

#define THREADS 512
#define WARPS   (THREADS / 32)
#define IN_HAND 4           /* loads of a thread under way */
#define NOTHING 0xffffffffu /* no token yet; minus infinity beats it */

/* What a row has, or'ed. */
#define HAS_NAN    1u
#define HAS_FINITE 2u

static_assert(PPI_GUMBEL_TOKENS == 4, "a quad of logits has one call of the generator");

struct winner {
    float value;
    uint32_t token;
    uint32_t has;
};

/* Takes the larger of two; of equals the smaller token; a NaN never. */
HW_DEVICE void consider(winner &best, float value, uint32_t token)
{
    if (value > best.value || (value == best.value && token < best.token)) {
        best.value = value;
        best.token = token;
    }
}

HW_DEVICE uint32_t kind_of(uint32_t bits)
{
    uint32_t magnitude = bits & ~SIGN;
    return magnitude > INFINITE ? HAS_NAN : magnitude < INFINITE ? HAS_FINITE : 0;
}

template <bool NOISE, bool FILTERS>
HW_DEVICE winner best_of_thread(const struct ppi_cuda_sample_args &args, int64_t row)
{
    const float *logits = args.logits + row * args.stride;
    bool aligned = (uint64_t)logits % 16 == 0;
    int64_t n_quads = ((int64_t)args.vocab + 3) / 4;
    const struct ppi_cuda_draw draw = args.draws[row];
    const struct ppi_cuda_bound bound = FILTERS ? args.bounds[row] : ppi_cuda_bound{0, 0, 0, 0};
    winner best = {-INFINITY, NOTHING, 0};
    for (int64_t first = hw::thread(); first < n_quads; first += IN_HAND * THREADS) {
        raw_quad<float> raw[IN_HAND] = {};
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < n_quads)
                raw[i] = load_logits(logits, first + i * THREADS, args.vocab, aligned);
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++) {
            uint32_t i_quad = (uint32_t)(first + i * THREADS);
            if (i_quad >= n_quads)
                continue;
            quad value = widen_quad(raw[i]);
            bool left[4], any = false;
            HW_UNROLL
            for (int j = 0; j < 4; j++) {
                best.has |= kind_of(raw[i].bits.x[j]);
                left[j] = !FILTERS || stays(bound, value.x[j], 4 * i_quad + (uint32_t)j);
                any = any || left[j];
            }
            if (!any)
                continue;
            uint32_t bits[4];
            if (NOISE)
                ppi_gumbel_bits(draw.seed, draw.position, i_quad, bits);
            HW_UNROLL
            for (int j = 0; j < 4; j++) {
                if (NOISE)
                    value.x[j] = fmaf(draw.temperature, ppi_gumbel(bits[j]), value.x[j]);
                if (left[j])
                    consider(best, value.x[j], 4 * i_quad + (uint32_t)j);
            }
        }
    }
    return best;
}

HW_KERNEL(sample_kernel, struct ppi_cuda_sample_args, THREADS, 2)
{
    int64_t row = hw::block();
    if (row >= args.n_rows)
        return;
    winner best;
    if (args.draws[row].temperature == 0.0f)
        best = best_of_thread<false, false>(args, row);
    else if (!args.bounds)
        best = best_of_thread<true, false>(args, row);
    else
        best = best_of_thread<true, true>(args, row);
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2) {
        float value = hw::shuffle_xor(best.value, mask);
        uint32_t token = hw::shuffle_xor(best.token, mask);
        best.has |= hw::shuffle_xor(best.has, mask);
        consider(best, value, token);
    }
    uint32_t values = hw::shared_base(), tokens = values + 4 * WARPS, seen = tokens + 4 * WARPS;
    uint32_t warp = (uint32_t)hw::warp();
    if (hw::lane() == 0) {
        hw::store_shared(values + 4 * warp, best.value);
        hw::store_shared(tokens + 4 * warp, best.token);
        hw::store_shared(seen + 4 * warp, best.has);
    }
    hw::block_sync();
    if (hw::thread() > 0)
        return;
    for (uint32_t i = 1; i < WARPS; i++) {
        best.has |= hw::load_shared<uint32_t>(seen + 4 * i);
        consider(best, hw::load_shared<float>(values + 4 * i),
                 hw::load_shared<uint32_t>(tokens + 4 * i));
    }
    args.out[row] = best.has == HAS_FINITE ? (int32_t)best.token : -1;
}

const struct ppi_cuda_kernel ppi_cuda_sample[1] = {
    PPI_KERNEL_ENTRY(sample_kernel, THREADS, 12 * WARPS),
};
