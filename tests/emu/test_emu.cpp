/*
 * test_emu.cpp: the emulation itself: conversions, fragments, and that small kernels are right
 * under any seed while every seeded fault in them is seen.
 */
#include "hw.h"

#include "emu_test.h"
#include "support/rng.h"

extern "C" {
#include "dtype.h"
}

#include <math.h>
#include <stdlib.h>

constexpr uint64_t SEEDS = 10;

/* ---- 16-bit types ---- */

static bool conversions_are_exact()
{
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float ours = hw::widen(hw::f16{(uint16_t)bits}), theirs = ppi_f16_to_f32((uint16_t)bits);
        CHECK(memcmp(&ours, &theirs, 4) == 0 || (ours != ours && theirs != theirs),
              "f16 %#x is %a, not %a", bits, ours, theirs);
        CHECK(ours != ours || hw::narrow<hw::f16>(ours).bits == bits, "f16 %#x comes back as %#x",
              bits, hw::narrow<hw::f16>(ours).bits);
        float wide = hw::widen(hw::bf16{(uint16_t)bits});
        CHECK(wide != wide || hw::narrow<hw::bf16>(wide).bits == bits, "bf16 %#x", bits);
    }
    for (uint64_t bits = 0; bits < 1ull << 32; bits += 509) {
        float x = hw::bits_float((uint32_t)bits);
        uint16_t half = hw::narrow<hw::f16>(x).bits, brain = hw::narrow<hw::bf16>(x).bits;
        if (x != x)
            CHECK(half == 0x7fff && brain == 0x7fff, "NaN %#x", (uint32_t)bits);
        else
            CHECK(half == ppi_f32_to_f16(x) && brain == ppi_f32_to_bf16(x), "%a is %#x and %#x", x,
                  half, brain);
    }
    /* Ties, the greatest f16 and what rounds past it, the smallest subnormal and half of it. */
    CHECK(hw::narrow<hw::f16>(2049.0f).bits == hw::narrow<hw::f16>(2048.0f).bits, "tie to even");
    CHECK(hw::narrow<hw::f16>(2051.0f).bits == hw::narrow<hw::f16>(2052.0f).bits, "tie to even");
    CHECK(hw::narrow<hw::f16>(65519.0f).bits == 0x7bff, "65519");
    CHECK(hw::narrow<hw::f16>(65520.0f).bits == 0x7c00, "65520");
    CHECK(hw::narrow<hw::f16>(0x1p-24f).bits == 1, "2^-24");
    CHECK(hw::narrow<hw::f16>(0x1p-25f).bits == 0, "2^-25 is a tie with 0");
    CHECK(hw::narrow<hw::f16>(0x1.8p-25f).bits == 1, "1.5 2^-25");
    CHECK(hw::narrow2<hw::bf16>(1.0f, -2.0f) == 0xc0003f80u, "low half first");
    return true;
}

/*
 * ---- the kernel whose faults are to be seen ----
 *
 * out = a b for one tile: a: T [16, k] with rows `stride` elements apart, b: T [k, 8], out: f32
 * [16, 8]. Two warps take k in steps of 16 in turn, from a ring of STAGES steps that cp.async
 * fills; columns behind k are zeros, whatever the memory behind holds. Warp 1 hands its sums to
 * warp 0 through shared memory.
 */
enum fault {
    NO_FAULT,
    NO_SYNC_BEFORE_READ,
    NO_SYNC_BEFORE_REFILL,
    NO_WAIT,
    ONE_GROUP_LESS,
    NO_TAIL,
    ROW_STRIDE,
    OUT_OF_BOUNDS,
    MISALIGNED,
    MISALIGNED_GLOBAL,
    NO_SYNC_OF_SUMS,
    LANES_APART,
    LANE_LEAVES,
    DEADLOCK,
    BARRIER_COUNT,
    SOME_LANES
};

struct tile_args {
    const uint16_t *a, *b;
    float *out;
    int32_t k, stride;
    int fault;
};

constexpr int TILE_THREADS = 64, STAGES = 3, STEPS = 2; /* 16 columns per warp and stage */
constexpr uint32_t A_BYTES = 16 * 32 * STEPS, B_BYTES = 16 * 16 * STEPS;
constexpr uint32_t STAGE_BYTES = A_BYTES + B_BYTES, SUMS = STAGES * STAGE_BYTES;
constexpr uint32_t TILE_SHARED = SUMS + 32 * 16;

/* Rows of a are 64 bytes in shared memory, rows of b are 16. */
HW_DEVICE void fill(const tile_args &args, uint32_t stage, int k0)
{
    const int thread = hw::thread(), row = thread / 4, chunk = thread % 4;
    const int k = k0 + 8 * chunk;
    const bool inside = k < args.k || args.fault == NO_TAIL;
    const uint16_t *from = args.a + row * args.stride + k + (args.fault == MISALIGNED_GLOBAL);
    hw::cp_async16(stage + (uint32_t)thread * 16, from, inside ? 16 : 0);
    if (thread < 32)
        hw::cp_async16(stage + A_BYTES + (uint32_t)thread * 16, args.b + (k0 + thread) * 8,
                       k0 + thread < args.k ? 16 : 0);
}

template <typename T> HW_DEVICE void add_step(float (&c)[4], uint32_t stage, int fault)
{
    const int lane = hw::lane();
    const uint32_t row_bytes = fault == ROW_STRIDE ? 48 : 64;
    uint32_t from = stage + (uint32_t)(lane % 16) * row_bytes + (uint32_t)(lane / 16) * 16 +
                    (uint32_t)hw::warp() * 32;
    if (fault == MISALIGNED)
        from += 8;
    if (fault == OUT_OF_BOUNDS)
        from = hw::shared_base() + TILE_SHARED - 8 * 16 + (uint32_t)lane * 16;
    uint32_t a[4], b[2];
    hw::ldmatrix_x4(a, from);
    hw::ldmatrix_x2_trans(b, stage + A_BYTES + (uint32_t)(lane % 16 + 16 * hw::warp()) * 16);
    hw::mma_16816<T>(c, a, b);
}

template <typename T> HW_DEVICE void tile_product(const tile_args &args)
{
    const int n = (args.k + 31) / 32, fault = args.fault;
    const uint32_t base = hw::shared_base();
    float c[4] = {0, 0, 0, 0};
    for (int i = 0; i < STAGES - 1; i++) {
        if (i < n)
            fill(args, base + (uint32_t)i * STAGE_BYTES, 32 * i);
        hw::cp_async_commit();
    }
    for (int i = 0; i < n; i++) {
        if (fault == ONE_GROUP_LESS)
            hw::cp_async_wait<STAGES - 1>();
        else if (fault != NO_WAIT)
            hw::cp_async_wait<STAGES - 2>();
        if (fault != NO_SYNC_BEFORE_READ)
            hw::block_sync();
        const int next = i + STAGES - 1, ahead = fault == NO_SYNC_BEFORE_REFILL ? -1 : 0;
        if (ahead == 0 && next < n)
            fill(args, base + (uint32_t)(next % STAGES) * STAGE_BYTES, 32 * next);
        add_step<T>(c, base + (uint32_t)(i % STAGES) * STAGE_BYTES, fault);
        if (ahead < 0 && i + STAGES < n) /* the stage that the other warp may still read */
            fill(args, base + (uint32_t)(i % STAGES) * STAGE_BYTES, 32 * (i + STAGES));
        hw::cp_async_commit();
    }
    if (fault == LANES_APART && hw::lane() == 3)
        hw::warp_sync();
    if (fault == LANE_LEAVES && hw::thread() == 40)
        return;
    c[0] += 0.0f * hw::shuffle_xor(c[0], 1);
    const uint32_t sums = base + SUMS + (uint32_t)hw::lane() * 16;
    if (hw::warp() == 1)
        hw::store_shared(sums, hw::vec16{{hw::float_bits(c[0]), hw::float_bits(c[1]),
                                          hw::float_bits(c[2]), hw::float_bits(c[3])}});
    if (fault == DEADLOCK && hw::warp() == 1)
        hw::named_sync(2, 64);
    if (fault == BARRIER_COUNT)
        hw::named_sync(3, hw::warp() == 0 ? 64 : 32);
    if (fault == SOME_LANES && (hw::warp() == 0 || hw::lane() < 16))
        hw::named_sync(4, 32);
    if (fault != NO_SYNC_OF_SUMS)
        hw::block_sync();
    if (hw::warp() == 1)
        return;
    const hw::vec16 other = hw::load_shared<hw::vec16>(sums);
    HW_UNROLL
    for (int i = 0; i < 4; i++)
        args.out[(hw::lane() / 4 + 8 * (i / 2)) * 8 + hw::lane() % 4 * 2 + i % 2] =
            c[i] + hw::bits_float(other.x[i]);
}

HW_KERNEL(tile_bf16_kernel, tile_args, TILE_THREADS, 1)
{
    tile_product<hw::bf16>(args);
}

HW_KERNEL(tile_f16_kernel, tile_args, TILE_THREADS, 1)
{
    tile_product<hw::f16>(args);
}

/* Small whole numbers: sums are exact, one wrong element shows. Behind k lies NaN. */
constexpr int MAX_K = 232, STRIDE = 256;
static uint16_t tile_a[16 * STRIDE], tile_b[STRIDE * 8];
static double tile_expected[16 * 8];

static void make_tile(int k, int is_f16)
{
    struct rng rng = {(uint64_t)k};
    memset(tile_expected, 0, sizeof tile_expected);
    memset(tile_a, 0xff, sizeof tile_a);
    memset(tile_b, 0xff, sizeof tile_b);
    for (int i = 0; i < k; i++)
        for (int j = 0; j < 8; j++) {
            float x = (float)rng_between(&rng, -9, 9);
            tile_b[i * 8 + j] = is_f16 ? ppi_f32_to_f16(x) : ppi_f32_to_bf16(x);
        }
    for (int row = 0; row < 16; row++)
        for (int i = 0; i < k; i++) {
            float x = (float)rng_between(&rng, -9, 9);
            tile_a[row * STRIDE + i] = is_f16 ? ppi_f32_to_f16(x) : ppi_f32_to_bf16(x);
            for (int j = 0; j < 8; j++)
                tile_expected[row * 8 + j] += x * (is_f16 ? ppi_f16_to_f32(tile_b[i * 8 + j])
                                                          : ppi_bf16_to_f32(tile_b[i * 8 + j]));
        }
}

/* 0: right; 1: wrong; -1: the emulation found an error. */
static int run_tile(int k, int is_f16, int fault, uint64_t seed)
{
    float out[16 * 8];
    tile_args args = {tile_a, tile_b, out, k, STRIDE, fault};
    memset(out, 0xff, sizeof out);
    if (emu_launch(is_f16 ? HW_KERNEL_ENTRY(tile_f16_kernel) : HW_KERNEL_ENTRY(tile_bf16_kernel), 1,
                   TILE_THREADS, TILE_SHARED, &args, seed) != 0)
        return -1;
    for (int i = 0; i < 16 * 8; i++)
        if ((double)out[i] != tile_expected[i])
            return 1;
    return 0;
}

static bool fragments_are_right()
{
    for (int k = 8; k <= MAX_K; k += 8)
        for (int is_f16 = 0; is_f16 < 2; is_f16++) {
            make_tile(k, is_f16);
            for (uint64_t seed = 1; seed <= SEEDS; seed++)
                CHECK(run_tile(k, is_f16, NO_FAULT, seed) == 0, "k %d, seed %d", k, (int)seed);
        }
    return true;
}

static bool every_fault_is_seen()
{
    static const struct {
        int fault;
        const char *words; /* of the error; NULL: wrong results */
    } faults[] = {
        {NO_SYNC_BEFORE_READ, ""},
        {NO_SYNC_BEFORE_REFILL, "no barrier in between"},
        {NO_WAIT, "cp.async of thread"},
        {ONE_GROUP_LESS, "cp.async of thread"},
        {NO_TAIL, NULL},
        {ROW_STRIDE, NULL},
        {OUT_OF_BOUNDS, "outside the"},
        {MISALIGNED, "not aligned to 16"},
        {MISALIGNED_GLOBAL, "not aligned to 16"},
        {NO_SYNC_OF_SUMS, "no barrier in between"},
        {LANES_APART, "calls "},
        {LANE_LEAVES, "lane"},
        {DEADLOCK, "deadlock"},
        {BARRIER_COUNT, ""},
        {SOME_LANES, ""},
    };
    make_tile(MAX_K, 0);
    for (const auto &f : faults)
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            emu_set_quiet(1);
            int result = run_tile(MAX_K, 0, f.fault, seed);
            emu_set_quiet(0);
            CHECK(result != 0, "fault %d, seed %d: nobody noticed", f.fault, (int)seed);
            CHECK(!f.words || (result < 0 && strstr(emu_last_error(), f.words)),
                  "fault %d, seed %d: %s", f.fault, (int)seed,
                  result < 0 ? emu_last_error() : "wrong results only");
            if (seed == 1)
                printf("# fault %d: %s\n", f.fault,
                       result < 0 ? emu_last_error() : "wrong results");
        }
    CHECK(run_tile(MAX_K, 0, NO_FAULT, 1) == 0, "the kernel is not right any more");
    return true;
}

/* ---- producer and consumer with named barriers ---- */

struct hand_over_args {
    uint32_t *out;
    int32_t n;
    int fault; /* 1: no full barrier, 2: no empty barrier, 3: the consumer never says empty */
};

/* Warp 0 writes numbers into one slot per lane, warp 1 adds them up. */
HW_KERNEL(hand_over_kernel, hand_over_args, 64, 1)
{
    constexpr int FULL = 1, EMPTY = 2;
    const uint32_t slot = hw::shared_base() + (uint32_t)hw::lane() * 4;
    uint32_t sum = 0;
    for (int i = 0; i < args.n; i++)
        if (hw::warp() == 0) {
            if (i > 0 && args.fault != 2)
                hw::named_sync(EMPTY, 64);
            hw::store_shared(slot, (uint32_t)(i * 32 + hw::lane()));
            if (args.fault != 1)
                hw::named_arrive(FULL, 64);
        } else {
            if (args.fault != 1)
                hw::named_sync(FULL, 64);
            sum += hw::load_shared<uint32_t>(hw::shared_base() + (uint32_t)(hw::lane() ^ 1) * 4);
            if (i + 1 < args.n && args.fault != 3 && args.fault != 2)
                hw::named_arrive(EMPTY, 64);
        }
    if (hw::warp() == 1)
        hw::atomic_add(args.out, sum);
}

static bool barriers_hand_over()
{
    for (int fault = 0; fault < 4; fault++)
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            uint32_t out = 0;
            hand_over_args args = {&out, 5, fault};
            emu_set_quiet(fault != 0);
            int failed = emu_launch(HW_KERNEL_ENTRY(hand_over_kernel), 3, 64, 128, &args, seed);
            emu_set_quiet(0);
            CHECK((failed != 0) == (fault != 0), "fault %d, seed %d: %d", fault, (int)seed, failed);
            CHECK(fault || out == 3 * (160 * 159 / 2), "seed %d: sum %u", (int)seed, out);
        }
    return true;
}

/* ---- what a launch refuses, and what comes after an error ---- */

static bool launches_are_checked()
{
    uint32_t out = 0;
    hand_over_args args = {&out, 0, 0};
    int not_a_kernel[8] = {0};
    emu_set_quiet(1);
    const void *entry = HW_KERNEL_ENTRY(hand_over_kernel);
    bool refused = emu_launch(entry, 1, 48, 128, &args, 1) &&
                   emu_launch(entry, 1, 96, 128, &args, 1) &&
                   emu_launch(entry, 0, 64, 128, &args, 1) &&
                   emu_launch(entry, 1, 64, EMU_MAX_SHARED + 1, &args, 1) &&
                   emu_launch(not_a_kernel, 1, 64, 128, &args, 1);
    emu_set_quiet(0);
    CHECK(refused, "a launch that cannot be was not refused");
    CHECK(emu_launch(entry, 2, 64, 128, &args, 1) == 0 && !emu_last_error(), "%s",
          emu_last_error() ? emu_last_error() : "");
    return true;
}

int main()
{
    static const emu_test tests[] = {
        {"conversions_are_exact", conversions_are_exact},
        {"fragments_are_right", fragments_are_right},
        {"every_fault_is_seen", every_fault_is_seen},
        {"barriers_hand_over", barriers_hand_over},
        {"launches_are_checked", launches_are_checked},
    };
    return run_tests(tests);
}
