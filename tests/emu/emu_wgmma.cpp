/*
 * emu_wgmma.cpp: products of a warpgroup, and how its warps share registers.
 *
 * Each warp computes its own 16 of the 64 rows, and the four warps are checked to issue the same
 * products. A product reads its operands, and its sums appear, when the warp waits for its group;
 * until then the accumulators hold a NaN of a certain pattern, and writing the operands is an
 * error. Descriptors and fragments are decoded here from the PTX manual's canonical layouts.
 */
#include "emu_block.h"

namespace hw {
namespace emu {

constexpr int MAX_SUMS = 6;      /* accumulators that a warp may have under way */
constexpr int MAX_PRODUCTS = 64; /* products */
constexpr int MAX_AHEAD = 1024;  /* products that a warp may be ahead of its group */
constexpr int MAX_N = 256;
constexpr int N_REGISTERS = 65536;
constexpr uint32_t POISON = 0x7fa5a5a5; /* a NaN that changes when computed with */

struct wgmma_call {
    float *c;
    const uint32_t *a; /* NULL: in shared memory */
    uint64_t desc_a, desc_b;
    int n;
    element type;
    bool transpose_b, accumulate;
};

/* Accumulators under way; tile [16, n], the warp's rows. */
struct sums {
    float *c[32]; /* of the lanes; c[0] NULL: free */
    int n, n_products;
    float tile[16][MAX_N];
};

struct product_under_way {
    wgmma_call call;
    uint32_t a[32][4];
    uint32_t group;
    int reader; /* the lane that stands for the warp */
    sums *to;
};

struct warp_state {
    bool fenced;
    uint32_t group; /* the number of the one that is open */
    uint32_t n_issued;
    int n_products;
    product_under_way products[MAX_PRODUCTS];
    sums accumulators[MAX_SUMS];
    int registers; /* of a thread */
};

static warp_state states[MAX_WARPS];
/* What the four warps of a group issue, by number. */
static wgmma_call issued[MAX_WARPS / 4][MAX_AHEAD];

/* ---- descriptors ---- */

/*
 * The shared address of 8 elements (16 bytes) of an operand whose rows are its M or N.
 * K-major: row i, elements 8 j .. 8 j + 7 along k. MN-major: k = i, rows 8 j .. 8 j + 7.
 */
static uint32_t chunk_address(uint64_t desc, bool mn_major, uint32_t i, uint32_t j)
{
    uint32_t start = (uint32_t)(desc & 0x3fff) << 4;
    uint32_t leading = (uint32_t)(desc >> 16 & 0x3fff) << 4;
    uint32_t stride = (uint32_t)(desc >> 32 & 0x3fff) << 4;
    uint32_t swizzle = (uint32_t)(desc >> 62);
    if (swizzle == 0) {
        /* 8 x 16-byte core matrices, each contiguous. K-major: `leading` apart along k, `stride`
         * along the rows; MN-major: the other way round. */
        uint32_t inside = i % 8 * 16;
        return mn_major ? start + i / 8 * leading + j * stride + inside
                        : start + j * leading + i / 8 * stride + inside;
    }
    if (swizzle != 1)
        fail("wgmma: the emulator knows descriptors without swizzle and with that of 128 bytes");
    /* Atoms of 8 lines of 128 bytes, `stride` apart along the lines. K-major: a line is a row;
     * MN-major: a line is a k, and atoms of further 64 rows are `leading` apart. */
    uint32_t address = mn_major
                           ? start + j / 8 * leading + i / 8 * stride + i % 8 * 128 + j % 8 * 16
                           : start + i / 8 * stride + i % 8 * 128 + j * 16;
    return address ^ (address >> 7 & 7) << 4;
}

static void check_descriptor(uint64_t desc)
{
    if (desc >> 62 == 1 && ((desc & 0x3f) >> 3 != 0 || (desc >> 49 & 7) != 0))
        fail("wgmma: a descriptor starts in the middle of an atom of 8 lines (address %#x)",
             (uint32_t)(desc & 0x3fff) << 4);
}

/* All chunks of an operand: rows x 16, or 16 x rows when MN-major. */
template <typename F>
static void for_chunks(uint64_t desc, bool mn_major, uint32_t first_row, uint32_t n_rows, F visit)
{
    uint32_t n_i = mn_major ? 16 : n_rows, n_j = mn_major ? n_rows / 8 : 2;
    for (uint32_t i = 0; i < n_i; i++)
        for (uint32_t j = 0; j < n_j; j++)
            visit(i, j, chunk_address(desc, mn_major, i + (mn_major ? 0 : first_row), j));
}

/* ---- issue ---- */

static bool same(const wgmma_call &a, const wgmma_call &b)
{
    return !a.a == !b.a && (a.a || a.desc_a == b.desc_a) && a.desc_b == b.desc_b && a.n == b.n &&
           a.type == b.type && a.transpose_b == b.transpose_b && a.accumulate == b.accumulate;
}

/* The other warps of the group must issue the same as their product of this number. */
static void check_group(int warp, const wgmma_call &call)
{
    warp_state *group = &states[warp & ~3];
    if ((warp | 3) >= the.n_warps)
        fail("calls wgmma in a warpgroup of fewer than 128 threads");
    uint32_t number = states[warp].n_issued++;
    bool first = true;
    for (int i = 0; i < 4; i++) {
        first = first && (i == warp % 4 || group[i].n_issued <= number);
        if (number >= group[i].n_issued + MAX_AHEAD)
            fail("wgmma: warp %d is far behind the others of its warpgroup", (warp & ~3) + i);
    }
    wgmma_call *entry = &issued[warp / 4][number % MAX_AHEAD];
    if (first)
        *entry = call;
    else if (!same(*entry, call))
        fail("wgmma: the warps of the warpgroup issue different products (number %u)", number);
}

static sums *find_sums(warp_state *w, float *c, int n)
{
    sums *unused = NULL;
    for (sums &s : w->accumulators) {
        if (s.c[0] == c && s.n == n)
            return &s;
        if (!s.c[0] && !unused)
            unused = &s;
    }
    if (!unused)
        fail("has more than %d accumulators of wgmma under way", MAX_SUMS);
    unused->n = n;
    unused->n_products = 0;
    return unused;
}

/* Where lane's i-th accumulator is: the fragment of m64 nN. */
static float *element_at(sums *s, int lane, int i)
{
    return &s->tile[lane / 4 + 8 * (i / 2 % 2)][8 * (i / 4) + 2 * (lane % 4) + i % 2];
}

static void take_accumulators(sums *s, void *const *args)
{
    for (int lane = 0; lane < 32; lane++) {
        float *c = ((wgmma_call *)args[lane])->c;
        s->c[lane] = c;
        for (int i = 0; i < s->n / 2; i++) {
            *element_at(s, lane, i) = c[i];
            c[i] = bits_float(POISON);
        }
    }
}

static void give_accumulators(sums *s)
{
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < s->n / 2; i++) {
            if (float_bits(s->c[lane][i]) != POISON)
                fail("wgmma: lane %d wrote an accumulator before waiting for its product", lane);
            s->c[lane][i] = *element_at(s, lane, i);
        }
    s->c[0] = NULL;
}

static void do_issue(int warp, void *const *args)
{
    warp_state *w = &states[warp];
    const wgmma_call &call = *(const wgmma_call *)args[0];
    for (int lane = 1; lane < 32; lane++)
        if (!same(call, *(const wgmma_call *)args[lane]))
            fail("wgmma: lane %d has other arguments than lane 0", lane);
    if (!w->fenced)
        fail("wgmma: the group of products does not begin with wgmma_fence");
    if (w->n_products == MAX_PRODUCTS)
        fail("has more than %d products of wgmma under way", MAX_PRODUCTS);
    check_descriptor(call.desc_b);
    check_group(warp, call);
    product_under_way *p = &w->products[w->n_products++];
    p->call = call;
    p->group = w->group;
    p->reader = (int)(draw() % 32);
    const cuda_thread &reader = the.threads[32 * warp + p->reader];
    auto begin = [&](uint32_t, uint32_t, uint32_t address) {
        shared_bytes("wgmma of", address, 16, 16);
        async_begin_read(reader, "wgmma of", address, 16);
    };
    if (call.a) {
        for (int lane = 0; lane < 32; lane++)
            memcpy(p->a[lane], ((wgmma_call *)args[lane])->a, sizeof p->a[lane]);
    } else {
        check_descriptor(call.desc_a);
        for_chunks(call.desc_a, false, 16 * (uint32_t)(warp % 4), 16, begin);
    }
    for_chunks(call.desc_b, call.transpose_b, 0, (uint32_t)call.n, begin);
    p->to = find_sums(w, call.c, call.n);
    if (p->to->n_products++ == 0)
        take_accumulators(p->to, args);
}

static void issue(const wgmma_call &call)
{
    static const collective op = {"wgmma", do_issue};
    wgmma_call c = call;
    meet(&op, &c);
}

void wgmma_ss(float *c, uint64_t desc_a, uint64_t desc_b, int accumulate, int n, element type,
              bool transpose_b, place at)
{
    enter(at);
    issue({c, NULL, desc_a, desc_b, n, type, transpose_b, accumulate != 0});
}

void wgmma_rs(float *c, const uint32_t *a, uint64_t desc_b, int accumulate, int n, element type,
              bool transpose_b, place at)
{
    enter(at);
    issue({c, a, 0, desc_b, n, type, transpose_b, accumulate != 0});
}

/* ---- completion ---- */

static float widened(uint16_t bits, element type)
{
    return type == F16 ? widen(f16{bits}) : widen(bf16{bits});
}

static void load_a(int warp, const product_under_way &p, float (*a)[16])
{
    const cuda_thread &reader = the.threads[32 * warp + p.reader];
    if (p.call.a) {
        for (int lane = 0; lane < 32; lane++)
            for (int i = 0; i < 8; i++) { /* two per register: rows +8, then columns +8 */
                int row = lane / 4 + 8 * (i / 2 % 2), k = 2 * (lane % 4) + 8 * (i / 4) + i % 2;
                a[row][k] = widened((uint16_t)(p.a[lane][i / 2] >> 16 * (i % 2)), p.call.type);
            }
        return;
    }
    for_chunks(p.call.desc_a, false, 16 * (uint32_t)(warp % 4), 16,
               [&](uint32_t row, uint32_t j, uint32_t address) {
                   uint16_t x[8];
                   memcpy(x, shared_bytes("wgmma of", address, 16, 16), 16);
                   async_end_read(reader, address, 16);
                   for (uint32_t k = 0; k < 8; k++)
                       a[row][8 * j + k] = widened(x[k], p.call.type);
               });
}

static void load_b(int warp, const product_under_way &p, float (*b)[MAX_N])
{
    const cuda_thread &reader = the.threads[32 * warp + p.reader];
    bool mn_major = p.call.transpose_b;
    for_chunks(p.call.desc_b, mn_major, 0, (uint32_t)p.call.n,
               [&](uint32_t i, uint32_t j, uint32_t address) {
                   uint16_t x[8];
                   memcpy(x, shared_bytes("wgmma of", address, 16, 16), 16);
                   async_end_read(reader, address, 16);
                   for (uint32_t e = 0; e < 8; e++) {
                       uint32_t n = mn_major ? 8 * j + e : i, k = mn_major ? i : 8 * j + e;
                       b[k][n] = widened(x[e], p.call.type);
                   }
               });
}

/* Every element is one chain of sums over k in order, as in mma_16816. */
static void multiply(int warp, const product_under_way &p)
{
    float a[16][16];
    static float b[16][MAX_N];
    load_a(warp, p, a);
    load_b(warp, p, b);
    for (int row = 0; row < 16; row++) {
        float *__restrict__ sum = p.to->tile[row];
        if (!p.call.accumulate)
            memset(sum, 0, (size_t)p.call.n * sizeof *sum);
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < p.call.n; n++)
                sum[n] += a[row][k] * b[k][n];
    }
    if (--p.to->n_products == 0)
        give_accumulators(p.to);
}

static void do_wait(int warp, void *const *args)
{
    warp_state *w = &states[warp];
    int n_left = *(const int *)args[0], n_done = 0;
    while (n_done < w->n_products &&
           (int64_t)w->products[n_done].group < (int64_t)w->group - n_left)
        multiply(warp, w->products[n_done++]);
    w->n_products -= n_done;
    memmove(w->products, w->products + n_done, (size_t)w->n_products * sizeof w->products[0]);
}

void wgmma_wait(int n_groups_left, place at)
{
    static const collective op = {"wgmma_wait", do_wait};
    if (!visit(op.name, at))
        return;
    meet(&op, &n_groups_left);
}

static void do_fence(int warp, void *const *)
{
    states[warp].fenced = true;
}

void wgmma_fence(place at)
{
    static const collective op = {"wgmma_fence", do_fence};
    if (!visit(op.name, at))
        return;
    meet(&op, NULL);
}

static void do_commit(int warp, void *const *)
{
    states[warp].fenced = false;
    states[warp].group++;
}

void wgmma_commit(place at)
{
    static const collective op = {"wgmma_commit", do_commit};
    if (!visit(op.name, at))
        return;
    meet(&op, NULL);
}

/* ---- registers ---- */

static int initial_registers()
{
    int n = N_REGISTERS / (the.n_threads * the.kernel->min_blocks) / 8 * 8;
    return n < 256 ? n : 256;
}

static int registers_taken(int except)
{
    int sum = 0;
    for (int i = 0; i < the.n_warps; i++)
        sum += i == except ? 0 : 32 * states[i].registers;
    return sum;
}

static const char WAITS_FOR_REGISTERS[] = "set_registers_more";

void set_registers(int n, bool more, place at)
{
    enter(at);
    cuda_thread &t = me();
    warp_state *w = &states[t.warp];
    static const collective ops[2] = {{"set_registers_fewer", [](int, void *const *) {}},
                                      {"set_registers_more", [](int, void *const *) {}}};
    if (n < 24 || n > 256 || n % 8 != 0)
        fail("sets %d registers: not a multiple of 8 in 24 to 256", n);
    if (more ? n < w->registers : n > w->registers)
        fail("has %d registers and sets %s, %d", w->registers, more ? "more" : "fewer", n);
    meet(&ops[more], NULL);
    while (registers_taken(t.warp) + 32 * n > initial_registers() * the.n_threads)
        wait_in(WAITS_FOR_REGISTERS, (uint32_t)n);
    w->registers = n;
    for (int i = 0; i < the.n_threads; i++)
        if (the.threads[i].waits_in == WAITS_FOR_REGISTERS)
            make_ready(the.threads[i].warp, 1u << the.threads[i].lane);
}

/* ---- a block ---- */

void wgmma_begin()
{
    for (int i = 0; i < the.n_warps; i++) {
        warp_state *w = &states[i];
        w->fenced = false;
        w->group = w->n_issued = 0;
        w->n_products = 0;
        w->registers = initial_registers();
        for (sums &s : w->accumulators)
            s.c[0] = NULL;
    }
}

void wgmma_leave()
{
    int warp = me().warp;
    if (states[warp].n_products)
        fail("leaves the kernel without waiting for wgmma");
    for (int i = warp & ~3; i < (warp & ~3) + 4 && i < the.n_warps; i++)
        if (the.warps[i].left == ALL_LANES && states[i].n_issued != states[warp].n_issued)
            fail("leaves the kernel after %u products of wgmma; warp %d issued %u",
                 states[warp].n_issued, i, states[i].n_issued);
}

} // namespace emu
} // namespace hw
