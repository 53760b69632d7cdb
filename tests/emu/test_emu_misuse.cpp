/*
 * test_emu_misuse.cpp: every single rule that the emulation enforces, broken by a kernel that does
 * nothing else, gives the sentence that says so, whatever the seed.
 */
#include "hw.h"

#include "emu_test.h"

constexpr int THREADS = 128;
constexpr uint32_t TILE = 1024, MBARRIER = 8 * TILE, SHARED_BYTES = MBARRIER + 64;
constexpr uint64_t SEEDS = 8;

struct misuse_args {
    hw::tensor_map map, empty;
    const hw::vec16 *global;
    int which;
};

enum misuse {
    WRITE_UNDER_COPY,
    READ_UNDER_COPY,
    COPY_UNDER_COPY,
    COPY_OF_8_BYTES,
    SHUFFLE_MASKS,
    BARRIER_TWICE,
    BARRIER_OF_16,
    BARRIER_NUMBERS,
    BARRIER_0,
    NOT_AN_MBARRIER,
    MBARRIER_TWICE,
    MBARRIER_MISALIGNED,
    MBARRIER_BEFORE_SYNC,
    MBARRIER_OVERWRITTEN,
    ONE_ARRIVAL_TOO_MANY,
    TOO_MANY_BYTES,
    PARITY_2,
    NO_FENCE_OF_INIT,
    READ_UNDER_TMA,
    WRITE_UNDER_TMA,
    TMA_MISALIGNED,
    TMA_OVER_UNFENCED,
    NOT_A_MAP,
    STORE_NOT_WAITED,
    WRITE_UNDER_STORE,
    WRITE_UNDER_WGMMA,
    WGMMA_UNFENCED_GROUP,
    WGMMA_MIDDLE_OF_ATOM,
    WGMMA_OTHER_SWIZZLE,
    WGMMA_NOT_WAITED,
    WGMMA_OUT_OF_BOUNDS,
    REGISTERS_NOT_OF_8,
    REGISTERS_FEWER_IS_MORE,
    NOTHING,
    N_MISUSES
};

static const char *const words[] = {
    "store_shared to shared + 0, which cp.async of thread 0 is still writing",
    "load_shared of shared + 0, which cp.async of thread 0 is still writing",
    "cp_async16 to shared + 0, which cp.async of thread 0 is still writing",
    "calls cp_async16 for 8 bytes",
    "has mask",
    "a second time before that meeting is over",
    "for 16 threads: not a multiple of 32",
    "others said",
    "there are 1 to 15",
    "which is not an mbarrier",
    "which is an mbarrier",
    "which is not aligned to 8",
    "with no barrier since thread 0 initialised it",
    "which is an mbarrier",
    "which has all 1 arrivals of its phase already",
    "counts to 2^20 - 1",
    "for parity 2",
    "which had no fence_mbarrier_init",
    "which TMA",
    "which TMA",
    "which is not aligned to 128",
    "without fence_async_shared",
    "not a tensor map",
    "without waiting for its TMA stores",
    "which wgmma or a TMA store is still reading",
    "which wgmma or a TMA store is still reading",
    "does not begin with wgmma_fence",
    "starts in the middle of an atom",
    "without swizzle and with that of 128 bytes",
    "without waiting for wgmma",
    "outside the",
    "sets 28 registers: not a multiple of 8",
    "registers and sets fewer",
    NULL,
};
static_assert(sizeof words / sizeof words[0] == N_MISUSES, "a sentence for each");

HW_DEVICE uint64_t descriptor(uint32_t address, uint64_t swizzle)
{
    return swizzle << 62 | (uint64_t)(1024 >> 4) << 32 | address >> 4;
}

/* What only thread 0 does. */
HW_DEVICE void alone(const misuse_args &args, uint32_t base, uint32_t mbarrier)
{
    const hw::vec16 zeros = {{0, 0, 0, 0}};
    switch (args.which) {
    case WRITE_UNDER_COPY:
        hw::cp_async16(base, args.global, 16);
        hw::store_shared(base, zeros);
        break;
    case READ_UNDER_COPY:
        hw::cp_async16(base, args.global, 0);
        hw::cp_async_commit();
        hw::cp_async_wait<1>();
        hw::load_shared<uint32_t>(base);
        break;
    case COPY_UNDER_COPY:
        hw::cp_async16(base, args.global, 16);
        hw::cp_async16(base, args.global, 16);
        break;
    case COPY_OF_8_BYTES:
        hw::cp_async16(base, args.global, 8);
        break;
    case NOT_AN_MBARRIER:
        hw::mbarrier_arrive(mbarrier + 8);
        break;
    case MBARRIER_TWICE:
        hw::mbarrier_init(mbarrier, 1);
        break;
    case MBARRIER_MISALIGNED:
        hw::mbarrier_init(mbarrier + 12, 1);
        break;
    case MBARRIER_OVERWRITTEN:
        hw::store_shared(mbarrier + 4, (uint32_t)0);
        break;
    case ONE_ARRIVAL_TOO_MANY:
        hw::mbarrier_expect(mbarrier, 64);
        hw::mbarrier_arrive(mbarrier);
        break;
    case TOO_MANY_BYTES:
        hw::mbarrier_expect(mbarrier, 1 << 20);
        break;
    case PARITY_2:
        hw::mbarrier_wait(mbarrier, 2);
        break;
    case NO_FENCE_OF_INIT:
        hw::mbarrier_init(mbarrier + 8, 1);
        hw::tma_load_3d(base, &args.map, 0, 0, 0, mbarrier + 8);
        break;
    case READ_UNDER_TMA:
        hw::tma_load_3d(base, &args.map, 0, 0, 0, mbarrier);
        hw::load_shared<uint32_t>(base + 512);
        break;
    case WRITE_UNDER_TMA:
        hw::tma_load_3d(base, &args.map, 0, 0, 0, mbarrier);
        hw::store_shared(base + 512, zeros);
        break;
    case TMA_MISALIGNED:
        hw::tma_load_3d(base + 64, &args.map, 0, 0, 0, mbarrier);
        break;
    case TMA_OVER_UNFENCED:
        hw::store_shared(base, zeros);
        hw::tma_load_3d(base, &args.map, 0, 0, 0, mbarrier);
        break;
    case NOT_A_MAP:
        hw::tma_load_3d(base, &args.empty, 0, 0, 0, mbarrier);
        break;
    case STORE_NOT_WAITED:
        hw::tma_store_3d(&args.map, 0, 0, 0, base);
        hw::tma_store_commit();
        break;
    case WRITE_UNDER_STORE:
        hw::tma_store_3d(&args.map, 0, 0, 0, base);
        hw::tma_store_commit();
        hw::tma_store_wait<1>();
        hw::store_shared(base, zeros);
        break;
    }
}

/* What all do. */
HW_DEVICE void together(const misuse_args &args, uint32_t base)
{
    float c[32] = {0};
    uint64_t b = descriptor(base, 1);
    switch (args.which) {
    case SHUFFLE_MASKS:
        hw::shuffle_xor(1.0f, 1 + hw::lane() % 2);
        break;
    case BARRIER_TWICE:
        hw::named_arrive(1, 128);
        hw::named_arrive(1, 128);
        break;
    case BARRIER_OF_16:
        hw::named_sync(1, 16);
        break;
    case BARRIER_NUMBERS:
        hw::named_sync(1, hw::warp() == 0 ? 96 : 128);
        break;
    case BARRIER_0:
        hw::named_sync(0, 128);
        break;
    case WRITE_UNDER_WGMMA:
    case WGMMA_NOT_WAITED:
        hw::wgmma_fence();
        hw::wgmma_ss<hw::bf16, 64, 0>(c, b, b, 0);
        hw::wgmma_commit();
        if (args.which == WGMMA_NOT_WAITED)
            break;
        hw::block_sync();
        if (hw::thread() == 0)
            hw::store_shared(base, 0u);
        hw::block_sync();
        hw::wgmma_wait<0>();
        break;
    case WGMMA_UNFENCED_GROUP:
        hw::wgmma_fence();
        hw::wgmma_ss<hw::bf16, 64, 0>(c, b, b, 0);
        hw::wgmma_commit();
        hw::wgmma_ss<hw::bf16, 64, 0>(c, b, b, 1);
        hw::wgmma_commit();
        hw::wgmma_wait<0>();
        break;
    case WGMMA_MIDDLE_OF_ATOM:
        b += 128 >> 4;
        hw::wgmma_fence();
        hw::wgmma_ss<hw::bf16, 64, 0>(c, b, b, 0);
        break;
    case WGMMA_OTHER_SWIZZLE:
        b = descriptor(base, 2);
        hw::wgmma_fence();
        hw::wgmma_ss<hw::bf16, 64, 0>(c, b, b, 0);
        break;
    case WGMMA_OUT_OF_BOUNDS:
        b = descriptor(base + 60 * TILE, 1);
        hw::wgmma_fence();
        hw::wgmma_ss<hw::bf16, 64, 0>(c, b, b, 0);
        break;
    case REGISTERS_NOT_OF_8:
        hw::set_registers_fewer<28>();
        break;
    case REGISTERS_FEWER_IS_MORE:
        hw::set_registers_fewer<136>();
        break;
    }
}

HW_KERNEL(misuse_kernel, misuse_args, THREADS, 4)
{
    const uint32_t base = hw::shared_base(), mbarrier = base + MBARRIER;
    if (hw::thread() == 0) {
        hw::mbarrier_init(mbarrier, 1);
        hw::fence_mbarrier_init();
    }
    if (args.which == MBARRIER_BEFORE_SYNC && hw::thread() == THREADS - 1)
        hw::mbarrier_wait(mbarrier, 0);
    hw::block_sync();
    if (hw::thread() == 0)
        alone(args, base, mbarrier);
    hw::block_sync();
    together(args, base);
}

static bool every_rule_is_enforced()
{
    alignas(64) static uint16_t tensor[8 * 64];
    static hw::vec16 global[2];
    misuse_args args = {};
    const uint64_t dims[3] = {64, 8, 1}, strides[2] = {128, 1024};
    const uint32_t box[3] = {64, 8, 1};
    CHECK(emu_tensor_map(&args.map, tensor, 2, dims, strides, box, 128) == 0, "the map");
    args.global = global;
    bool good = true;
    for (args.which = 0; args.which < N_MISUSES; args.which++)
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            emu_set_quiet(1);
            int failed =
                emu_launch(HW_KERNEL_ENTRY(misuse_kernel), 1, THREADS, SHARED_BYTES, &args, seed);
            emu_set_quiet(0);
            const char *expected = words[args.which], *said = emu_last_error();
            /* A barrier or mbarrier may be asked for before there is one. */
            bool also = args.which == MBARRIER_BEFORE_SYNC && said && strstr(said, words[9]);
            bool right = expected ? failed && (strstr(said, expected) || also) : !failed;
            if (!right)
                printf("# misuse %d, seed %d: %s\n", args.which, (int)seed, said ? said : "fine");
            good = good && right;
        }
    return good;
}

static bool tensor_maps_are_checked()
{
    alignas(64) static uint16_t tensor[64 * 64];
    alignas(64) hw::tensor_map map;
    const uint64_t dims[3] = {64, 8, 8}, strides[2] = {128, 1024}, odd[2] = {120, 1024};
    const uint32_t box[3] = {64, 8, 1}, wide[3] = {128, 8, 1}, many[3] = {64, 512, 1};
    CHECK(emu_tensor_map(&map, tensor, 2, dims, strides, box, 128) == 0, "a good one");
    CHECK(emu_tensor_map(&map, tensor + 4, 2, dims, strides, box, 128) != 0, "base");
    CHECK(emu_tensor_map(&map, tensor, 2, dims, odd, box, 128) != 0, "strides");
    CHECK(emu_tensor_map(&map, tensor, 2, dims, strides, wide, 128) != 0, "more than a swizzle");
    CHECK(emu_tensor_map(&map, tensor, 2, dims, strides, many, 128) != 0, "box");
    return true;
}

int main()
{
    static const emu_test tests[] = {
        {"every_rule_is_enforced", every_rule_is_enforced},
        {"tensor_maps_are_checked", tensor_maps_are_checked},
    };
    return run_tests(tests);
}
