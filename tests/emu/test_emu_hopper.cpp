/*
 * test_emu_hopper.cpp: the Hopper primitives in emulation: a kernel that uses all of them is right,
 * and every seeded fault and every call left out is seen, whatever the seed.
 */
static int hopper_fault;
#define HOPPER_FAULT hopper_fault
#include "hopper_kernel.cuh"
#include "hopper_product.cuh"

#include "emu_test.h"
#include "support/rng.h"

#include <math.h>
#include <stdlib.h>

constexpr int HEADS = 2, DIM = 64;
constexpr int LENGTHS[] = {5, 64, 130, 1, 63, 65, 192, 17};
constexpr int N_PROMPTS = sizeof LENGTHS / sizeof LENGTHS[0];
constexpr int NAN_PROMPT = 3; /* its q, k and v are NaN */
constexpr float SCALE = 0.125f * 1.44269504f;

/* q, k, v, out of packed prompts, [tokens, HEADS, DIM]. */
struct batch {
    int n_tokens, n_items;
    int first[N_PROMPTS]; /* token; -1: not in the batch */
    uint16_t *q, *k, *v, *out;
    hopper_item items[2 * N_PROMPTS * HEADS * 4];
    hopper_args args;
};

static uint16_t value(int prompt, int token, int head, int d, int which)
{
    struct rng rng = {(uint64_t)((((prompt * 1000 + token) * HEADS + head) * DIM + d) * 3 + which)};
    return prompt == NAN_PROMPT ? 0x7fc1 : hw::narrow<hw::bf16>((float)rng_normal(&rng)).bits;
}

static uint16_t *tensor(const batch &b, int which)
{
    size_t n = (size_t)b.n_tokens * HEADS * DIM;
    uint16_t *x = (uint16_t *)aligned_alloc(64, (n * 2 + 63) / 64 * 64);
    memset(x, 0xff, n * 2);
    for (int p = 0; p < N_PROMPTS && which < 3; p++)
        for (int i = 0; b.first[p] >= 0 && i < LENGTHS[p] * HEADS * DIM; i++)
            x[(size_t)b.first[p] * HEADS * DIM + (size_t)i] =
                value(p, i / (HEADS * DIM), i / DIM % HEADS, i % DIM, which);
    return x;
}

/* The prompts of the list, in its order. */
static batch make_batch(const int *prompts, int n_prompts)
{
    batch b = {};
    for (int &first : b.first)
        first = -1;
    for (int i = 0; i < n_prompts; i++) {
        int p = prompts[i];
        b.first[p] = b.n_tokens;
        for (int tile = 0; 64 * tile < LENGTHS[p]; tile++)
            for (int head = 0; head < HEADS; head++)
                b.items[b.n_items++] = {b.n_tokens, LENGTHS[p], tile, head};
        b.n_tokens += LENGTHS[p];
    }
    b.q = tensor(b, 0);
    b.k = tensor(b, 1);
    b.v = tensor(b, 2);
    b.out = tensor(b, 3);
    const uint64_t dims[3] = {DIM, HEADS, (uint64_t)b.n_tokens};
    const uint64_t strides[2] = {DIM * 2, HEADS * DIM * 2};
    const uint32_t box[3] = {DIM, 1, 64};
    if (emu_tensor_map(&b.args.q, b.q, 2, dims, strides, box, 128) != 0 ||
        emu_tensor_map(&b.args.k, b.k, 2, dims, strides, box, 128) != 0 ||
        emu_tensor_map(&b.args.v, b.v, 2, dims, strides, box, 128) != 0 ||
        emu_tensor_map(&b.args.out, b.out, 2, dims, strides, box, 128) != 0)
        abort();
    b.args.out_rows = b.out;
    b.args.n_items = b.n_items;
    b.args.n_heads = HEADS;
    b.args.scale_log2 = SCALE;
    return b;
}

static void free_batch(batch *b)
{
    free(b->q);
    free(b->k);
    free(b->v);
    free(b->out);
}

static int run(batch *b, int blocks, uint64_t seed)
{
    b->args.items = b->items;
    memset(b->out, 0xff, (size_t)b->n_tokens * HEADS * DIM * 2);
    return emu_launch(HW_KERNEL_ENTRY(hopper_bf16_kernel), blocks, hopper::THREADS,
                      hopper::SHARED_BYTES, &b->args, seed);
}

static double element(const uint16_t *x, int row, int head, int d)
{
    return hw::widen(hw::bf16{x[(row * HEADS + head) * DIM + d]});
}

/* The greatest error against double precision; NaN counts as infinite. */
static double error_of(const batch &b)
{
    double worst = 0.0;
    for (int p = 0; p < N_PROMPTS; p++)
        for (int i = 0; b.first[p] >= 0 && p != NAN_PROMPT && i < LENGTHS[p] * HEADS; i++) {
            int first = b.first[p], row = first + i / HEADS, head = i % HEADS;
            double weights[256], total = 0.0;
            for (int key = first; key <= row; key++) {
                double score = 0.0;
                for (int d = 0; d < DIM; d++)
                    score += element(b.q, row, head, d) * element(b.k, key, head, d);
                total += weights[key - first] = ::exp2(score * SCALE);
            }
            for (int d = 0; d < DIM; d++) {
                double sum = 0.0;
                for (int key = first; key <= row; key++)
                    sum += weights[key - first] / total * element(b.v, key, head, d);
                double error = fabs(sum - element(b.out, row, head, d));
                worst = error <= worst ? worst : error == error ? error : (double)INFINITY;
            }
        }
    return worst;
}

constexpr int EVERY[N_PROMPTS] = {0, 1, 2, 3, 4, 5, 6, 7};
constexpr double ALLOWED = 0.03; /* weights of 8 bits, values up to about 4 */

static bool right_under_any_seed()
{
    batch b = make_batch(EVERY, N_PROMPTS);
    size_t bytes = (size_t)b.n_tokens * HEADS * DIM * 2;
    uint16_t *first = (uint16_t *)malloc(bytes);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        CHECK(run(&b, 1 + (int)(seed % 5), seed) == 0, "seed %d fails", (int)seed);
        if (seed == 1)
            memcpy(first, b.out, bytes);
        CHECK(error_of(b) < ALLOWED, "seed %d: error %g", (int)seed, error_of(b));
        CHECK(memcmp(first, b.out, bytes) == 0, "seed %d: other bits", (int)seed);
    }
    free(first);
    free_batch(&b);
    return true;
}

static bool packing_changes_no_bit()
{
    static const int other_order[N_PROMPTS] = {6, 3, 0, 7, 2, 4, 1, 5};
    batch b = make_batch(EVERY, N_PROMPTS), c = make_batch(other_order, N_PROMPTS);
    CHECK(run(&b, 3, 1) == 0 && run(&c, 2, 2) == 0, "a run fails");
    for (int p = 0; p < N_PROMPTS; p++) {
        batch alone = make_batch(&p, 1);
        CHECK(run(&alone, 1, 3) == 0, "a run fails");
        size_t row = HEADS * DIM, bytes = (size_t)LENGTHS[p] * row * 2;
        CHECK(p == NAN_PROMPT || (memcmp(alone.out, b.out + (size_t)b.first[p] * row, bytes) == 0 &&
                                  memcmp(alone.out, c.out + (size_t)c.first[p] * row, bytes) == 0),
              "prompt %d has other bits in a pack", p);
        free_batch(&alone);
    }
    free_batch(&b);
    free_batch(&c);
    return true;
}

constexpr uint64_t SEEDS = 6;

/* What gives a fault away: an error with these words, or NULL: wrong results. */
static bool seen(batch *b, const char *words, const char *name)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        emu_set_quiet(1);
        int failed = run(b, 2, seed);
        emu_set_quiet(0);
        CHECK(failed || error_of(*b) > ALLOWED, "%s, seed %d: nobody noticed", name, (int)seed);
        CHECK(!words || (failed && strstr(emu_last_error(), words)), "%s, seed %d: %s", name,
              (int)seed, failed ? emu_last_error() : "wrong results only");
    }
    return true;
}

static bool every_fault_is_seen()
{
    static const struct {
        int fault;
        const char *words;
    } faults[] = {
        {FAULT_K_STEP, NULL},        {FAULT_V_STEP, NULL},
        {FAULT_V_TAIL, NULL},        {FAULT_EMPTY_COUNT, NULL},
        {FAULT_EXPECT_LESS, NULL},   {FAULT_PARITY, NULL},
        {FAULT_EARLY_RELEASE, NULL}, {FAULT_SCALE_EARLY, "wrote an accumulator before waiting"},
        {FAULT_STORE_SWIZZLE, NULL}, {FAULT_ONE_WARP, "different products"},
    };
    batch b = make_batch(EVERY, N_PROMPTS);
    bool good = true;
    for (const auto &f : faults) {
        char name[16];
        snprintf(name, sizeof name, "fault %d", f.fault);
        hopper_fault = f.fault;
        good = seen(&b, f.words, name) && good;
        hopper_fault = 0;
        if (emu_last_error())
            printf("# %s: %s\n", name, emu_last_error());
    }
    free_batch(&b);
    return good;
}

static bool every_call_is_needed()
{
    batch b = make_batch(EVERY, N_PROMPTS);
    static char names[128][160];
    int n = 0;
    emu_watch_places(1);
    CHECK(run(&b, 2, 1) == 0, "a run fails");
    for (; n < 128 && emu_place(n); n++)
        snprintf(names[n], sizeof names[n], "%s", emu_place(n));
    emu_watch_places(0);
    CHECK(n > 20, "only %d places", n);
    bool good = true;
    for (int i = 0; i < n; i++) {
        emu_skip(names[i]);
        good = seen(&b, NULL, names[i]) && good;
        emu_skip(NULL);
        printf("# without %s: %s\n", names[i],
               emu_last_error() ? emu_last_error() : "wrong results");
    }
    free_batch(&b);
    return good;
}

/* ---- every shape of wgmma ---- */

struct shape {
    const char *name;
    const void *entry;
    bool is_f16, mn_major;
    int n;
};

static uint16_t small_number(struct rng *rng, bool is_f16, float *value)
{
    *value = (float)rng_between(rng, -9, 9);
    return is_f16 ? hw::narrow<hw::f16>(*value).bits : hw::narrow<hw::bf16>(*value).bits;
}

/* Small whole numbers: sums are exact. */
static bool check_shape(const shape &s)
{
    alignas(16) static uint16_t a[64 * 64], b[256 * 64];
    static float a_values[64][64], b_values[64][256], out[64 * 256];
    struct rng rng = {(uint64_t)s.n};
    for (int i = 0; i < 64 * 64; i++)
        a[i] = small_number(&rng, s.is_f16, &a_values[i / 64][i % 64]);
    for (int n = 0; n < s.n; n++)
        for (int k = 0; k < 64; k++)
            b[s.mn_major ? k * s.n + n : n * 64 + k] =
                small_number(&rng, s.is_f16, &b_values[k][n]);
    hopper_product_args args = {a, b, out};
    for (uint64_t seed = 1; seed <= 3; seed++) {
        memset(out, 0xff, sizeof out);
        CHECK(emu_launch(s.entry, 1, 128, hopper_product::SHARED_BYTES, &args, seed) == 0, "%s",
              s.name);
        for (int i = 0; i < 64 * s.n; i++) {
            float sum = 0.0f;
            for (int k = 0; k < 64; k++)
                sum += a_values[i / s.n][k] * b_values[k][i % s.n];
            CHECK(out[i] == sum, "%s: row %d, column %d is %g, not %g", s.name, i / s.n, i % s.n,
                  out[i], sum);
        }
    }
    return true;
}

static bool every_shape_is_right()
{
#define SHAPE(T, N, TRANS_B, FROM_REGISTERS)                                                       \
    {#T " " #N " " #TRANS_B " " #FROM_REGISTERS,                                                   \
     HW_KERNEL_ENTRY(hopper_product_##T##_##N##_##TRANS_B##_##FROM_REGISTERS),                     \
     strcmp(#T, "f16") == 0, TRANS_B, N},
    static const shape shapes[] = {HOPPER_PRODUCTS(SHAPE)};
    bool good = true;
    for (const shape &s : shapes)
        good = check_shape(s) && good;
    return good;
}

int main()
{
    static const emu_test tests[] = {
        {"right_under_any_seed", right_under_any_seed},
        {"packing_changes_no_bit", packing_changes_no_bit},
        {"every_fault_is_seen", every_fault_is_seen},
        {"every_call_is_needed", every_call_is_needed},
        {"every_shape_is_right", every_shape_is_right},
    };
    return run_tests(tests);
}
