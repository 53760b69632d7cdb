/*
 * op_device_rope_kv.c: rope_kv against double precision in every place that keys and values may
 * have, what it must not touch, its bits in other company.
 */
#include "kv_place.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- rope_kv ---- */

/* Which elements of a head rotate, and how. */
struct rotation {
    int32_t rotary_dim;
    bool interleaved, scales_q;
};

struct pass {
    struct shape shape;
    struct rotation rotation;
    int32_t n_rows, n_angles; /* rows of the tables */
    float *qkv, *angles, *q_scale;
    int32_t *rope_rows;
    int64_t *slots;
};

static int64_t qkv_dim(const struct shape *s)
{
    return (int64_t)(s->n_heads + 2 * s->n_kv_heads) * s->head_dim;
}

static struct pass make_pass_rotating(struct rng *rng, struct shape shape, struct rotation rotation,
                                      int32_t n_rows, int32_t n_slots)
{
    struct pass pass = {.shape = shape, .rotation = rotation, .n_rows = n_rows, .n_angles = 50};
    int32_t dim = rotation.rotary_dim;
    size_t n = (size_t)n_rows * (size_t)qkv_dim(&shape);
    pass.qkv = device_random(rng, PP_DTYPE_F32, n, 2);
    pass.angles = device_host((size_t)(pass.n_angles * dim + 1) * sizeof(float));
    for (int32_t i = 0; i < pass.n_angles * dim; i++) {
        int32_t half = dim / 2, pair = i % half, position = i / dim;
        double angle = position * pow(100.0, -(double)pair / half) + 0.3;
        pass.angles[i] = (float)(i / half % 2 == 0 ? cos(angle) : sin(angle));
    }
    pass.q_scale = device_host((size_t)pass.n_angles * sizeof(float));
    for (int32_t i = 0; i < pass.n_angles; i++)
        pass.q_scale[i] = rotation.scales_q ? 1 + 0.0625f * (float)(i % 9) : 1;
    /* Slots in random order, each at most once; a fifth of the rows has none. */
    int64_t *order = device_host((size_t)n_slots * sizeof *order);
    for (int32_t i = 0; i < n_slots; i++) {
        int32_t j = (int32_t)rng_between(rng, 0, i);
        order[i] = order[j];
        order[j] = i;
    }
    pass.rope_rows = device_host((size_t)n_rows * sizeof *pass.rope_rows);
    pass.slots = device_host((size_t)n_rows * sizeof *pass.slots);
    for (int32_t i = 0; i < n_rows; i++) {
        pass.rope_rows[i] = (int32_t)rng_between(rng, 0, pass.n_angles - 1);
        pass.slots[i] = rng_between(rng, 0, 4) == 0 ? -1 : order[i];
    }
    free(order);
    return pass;
}

/* Whole heads rotate, halves with each other. */
static struct pass make_pass(struct rng *rng, struct shape shape, int32_t n_rows, int32_t n_slots)
{
    return make_pass_rotating(rng, shape, (struct rotation){shape.head_dim, false, false}, n_rows,
                              n_slots);
}

static void free_pass(struct pass *pass)
{
    free(pass->qkv);
    free(pass->angles);
    free(pass->q_scale);
    free(pass->rope_rows);
    free(pass->slots);
}

/* Rows [first, first + n_rows) of the pass; q [n_rows, n_heads head_dim] on the host. */
static void run_kernel(const struct ppi_cuda_kernel *kernel, const struct pass *pass, int32_t first,
                       int32_t n_rows, struct place *place, uint16_t *q)
{
    const struct shape *s = &pass->shape;
    int64_t dim = qkv_dim(s);
    size_t q_bytes = (size_t)n_rows * (size_t)(s->n_heads * s->head_dim) * sizeof *q;
    void *qkv = device_upload(pass->qkv + first * dim, (size_t)(n_rows * dim) * sizeof(float));
    size_t table = (size_t)(pass->n_angles * pass->rotation.rotary_dim) * sizeof(float);
    void *angles = table > 0 ? device_upload(pass->angles, table) : NULL;
    void *q_scale = pass->rotation.scales_q
                        ? device_upload(pass->q_scale, (size_t)pass->n_angles * sizeof(float))
                        : NULL;
    void *rope_rows = device_upload(pass->rope_rows + first, (size_t)n_rows * sizeof(int32_t));
    void *slots = device_upload(pass->slots + first, (size_t)n_rows * sizeof(int64_t));
    void *out = device_alloc(q_bytes);
    struct ppi_cuda_rope_kv_args args = {.qkv = qkv,
                                         .angles = angles,
                                         .q_scale = q_scale,
                                         .rope_rows = rope_rows,
                                         .slots = slots,
                                         .q = out,
                                         .kv = place->kv,
                                         .n_rows = n_rows,
                                         .n_heads = s->n_heads,
                                         .n_kv_heads = s->n_kv_heads,
                                         .head_dim = s->head_dim,
                                         .rotary_dim = pass->rotation.rotary_dim,
                                         .interleaved = pass->rotation.interleaved};
    device_launch(kernel, n_rows, &args);
    device_download(q, out, q_bytes);
    download_place(place);
    device_free(out);
    device_free(slots);
    device_free(rope_rows);
    if (q_scale)
        device_free(q_scale);
    if (angles)
        device_free(angles);
    device_free(qkv);
}

static void run_rope(int act, const struct pass *pass, int32_t first, int32_t n_rows,
                     struct place *place, uint16_t *q)
{
    run_kernel(&ppi_cuda_rope_kv[act], pass, first, n_rows, place, q);
}

/* Element i of a head turned: its two summands, a and b. A pair is named by its angle. */
static void turn(const struct pass *pass, const float *x, const float *angles, int32_t i, double *a,
                 double *b)
{
    int32_t dim = pass->rotation.rotary_dim, half = dim / 2;
    bool is_first = pass->rotation.interleaved ? i % 2 == 0 : i < half;
    int32_t pair = pass->rotation.interleaved ? i / 2 : i % half;
    int32_t partner = pass->rotation.interleaved ? i ^ 1 : is_first ? i + half : i - half;
    *a = (double)x[i] * angles[pair];
    *b = (is_first ? -1.0 : 1.0) * x[partner] * angles[half + pair];
}

/* `got` is head `head` (of q, k and v) of a row, rotated if it is not of v, scaled if it is of q.
 */
static void expect_head(int32_t dtype, const struct pass *pass, int32_t row, int32_t head,
                        const uint16_t *got)
{
    const struct shape *s = &pass->shape;
    int32_t dim = pass->rotation.rotary_dim;
    const float *x = pass->qkv + row * qkv_dim(s) + (int64_t)head * s->head_dim;
    const float *angles = pass->angles + pass->rope_rows[row] * dim;
    double scale = head < s->n_heads ? pass->q_scale[pass->rope_rows[row]] : 1;
    double unit = dtype == PP_DTYPE_BF16 ? 0x1p-8 : 0x1p-11;
    double floor = dtype == PP_DTYPE_BF16 ? 1e-38 : 0x1p-25;
    for (int32_t i = 0; i < s->head_dim; i++) {
        double value = device_value(dtype, got, (size_t)i);
        bool turns = i < dim && head < s->n_heads + s->n_kv_heads;
        if (!turns && scale == 1) {
            uint16_t bits = dtype == PP_DTYPE_BF16 ? ppi_f32_to_bf16(x[i]) : ppi_f32_to_f16(x[i]);
            EXPECT(got[i] == bits, "row %d head %d, element %d that stays: %g, expected %g", row,
                   head, i, value, x[i]);
            continue;
        }
        double a = x[i], b = 0;
        if (turns)
            turn(pass, x, angles, i, &a, &b);
        a *= scale;
        b *= scale;
        /* Three roundings of f32, four when it is scaled, one of act. */
        double allowed = fabs(a + b) * unit + (fabs(a) + fabs(b)) * 0x1p-22 + floor;
        EXPECT(fabs(value - (a + b)) <= allowed,
               "dtype %d head_dim %d row %d head %d element %d: %.9g, expected %.9g", dtype,
               s->head_dim, row, head, i, value, a + b);
    }
}

/* All of q, k and v of rows that have slots; afterwards the image has none of what was checked. */
static void expect_rows(int32_t dtype, const struct pass *pass, struct place *place,
                        const uint16_t *q)
{
    const struct shape *s = &pass->shape;
    size_t head_bytes = (size_t)s->head_dim * sizeof *q;
    for (int32_t row = 0; row < pass->n_rows; row++) {
        for (int32_t h = 0; h < s->n_heads; h++)
            expect_head(dtype, pass, row, h, q + (row * s->n_heads + h) * (int64_t)s->head_dim);
        for (int32_t h = 0; h < 2 * s->n_kv_heads && pass->slots[row] >= 0; h++) {
            uint16_t *at = image_at(place, h >= s->n_kv_heads, pass->slots[row], h % s->n_kv_heads);
            expect_head(dtype, pass, row, s->n_heads + h, at);
            memset(at, 0xff, head_bytes);
        }
    }
    for (size_t i = 0; i < (size_t)place->n_blocks * place->block_bytes; i++)
        EXPECT((unsigned char)place->image[i] == 0xff,
               "byte %zu of keys and values was written and is nobody's", i);
}

static void rope_kv_values(void)
{
    struct rng rng = rng_seeded(11);
    for (int act = 0; act < PPI_CUDA_N_ACT; act++)
        for (size_t i = 0; i < N_PLACE_SHAPES * N_MODES; i++) {
            struct shape shape = place_shapes[i / N_MODES];
            int32_t n_slots = device_is_emulated() ? 21 : 1500;
            int32_t page_tokens = page_sizes[rng_between(&rng, 0, COUNT(page_sizes) - 1)];
            struct place place = make_place(&rng, i % N_MODES, shape.n_kv_heads, shape.head_dim,
                                            page_tokens, n_slots);
            struct pass pass = make_pass(&rng, shape, n_slots * 2 / 3, n_slots);
            uint16_t *q = device_host((size_t)(pass.n_rows * qkv_dim(&shape)) * sizeof *q);
            run_rope(act, &pass, 0, pass.n_rows, &place, q);
            expect_rows(device_act(act), &pass, &place, q);
            free(q);
            free_pass(&pass);
            free_place(&place);
        }
}

/* Parts of heads, neighbours, nothing; with queries scaled and not; by the kernel for any number of
 * elements, and where it is one for multiples of 8, by that one too. */
static void rope_kv_rotations(void)
{
    static const int32_t rotary_dims[] = {0, 2, 8, 16, 20, 24, 40, 62, 64, 72, 80};
    struct shape shape = {5, 2, 80};
    struct rng rng = rng_seeded(16);
    for (size_t i = 0; i < 4 * COUNT(rotary_dims); i++) {
        struct rotation rotation = {rotary_dims[i / 4], i % 2, i / 2 % 2};
        int32_t n_slots = device_is_emulated() ? 15 : 700, n_rows = n_slots * 2 / 3;
        int act = (int)(i + i / 8) % PPI_CUDA_N_ACT;
        struct place place = make_place(&rng, i % N_MODES, shape.n_kv_heads, shape.head_dim,
                                        page_sizes[i % COUNT(page_sizes)], n_slots);
        struct pass pass = make_pass_rotating(&rng, shape, rotation, n_rows, n_slots);
        uint16_t *q = device_host((size_t)(n_rows * qkv_dim(&shape)) * sizeof *q);
        run_kernel(&ppi_cuda_rope_kv_any[act], &pass, 0, n_rows, &place, q);
        expect_rows(device_act(act), &pass, &place, q);
        if (rotation.rotary_dim % 8 == 0) {
            run_kernel(&ppi_cuda_rope_kv[act], &pass, 0, n_rows, &place, q);
            expect_rows(device_act(act), &pass, &place, q);
        }
        free(q);
        free_pass(&pass);
        free_place(&place);
    }
}

static void rope_kv_page_sizes(void)
{
    struct rng rng = rng_seeded(12);
    struct shape shape = {3, 2, 64};
    for (size_t i = 0; i < COUNT(page_sizes) * 2; i++) {
        int32_t n_slots = device_is_emulated() ? 150 : 3000;
        struct place place = make_place(&rng, i % 2 ? PAGES : TABLE, shape.n_kv_heads,
                                        shape.head_dim, page_sizes[i / 2], n_slots);
        struct pass pass = make_pass(&rng, shape, n_slots / 2, n_slots);
        uint16_t *q = device_host((size_t)(pass.n_rows * qkv_dim(&shape)) * sizeof *q);
        run_rope(0, &pass, 0, pass.n_rows, &place, q);
        expect_rows(device_act(0), &pass, &place, q);
        free(q);
        free_pass(&pass);
        free_place(&place);
    }
}

/* Rows alone and among NaN give the bits that they gave together. */
static void rope_kv_bits(void)
{
    struct rng rng = rng_seeded(13);
    for (size_t i = 0; i < 3 * N_MODES; i++) {
        int act = (int)(i / N_MODES) % PPI_CUDA_N_ACT;
        struct shape shape = place_shapes[4 + i / N_MODES];
        int32_t n_slots = device_is_emulated() ? 16 : 700, n_rows = n_slots * 2 / 3;
        struct place place =
            make_place(&rng, i % N_MODES, shape.n_kv_heads, shape.head_dim, 5, n_slots);
        struct pass pass = make_pass(&rng, shape, n_rows, n_slots);
        size_t image_bytes = (size_t)place.n_blocks * place.block_bytes;
        int64_t dim = qkv_dim(&shape), q_dim = shape.n_heads * shape.head_dim;
        uint16_t *whole = device_host((size_t)(n_rows * q_dim) * sizeof *whole);
        uint16_t *got = device_host((size_t)(n_rows * q_dim) * sizeof *got);
        char *image = device_host(image_bytes);
        run_rope(act, &pass, 0, n_rows, &place, whole);
        memcpy(image, place.image, image_bytes);
        for (int round = 0; round < 3; round++) {
            int32_t first = (int32_t)rng_between(&rng, 0, n_rows - 1);
            int32_t n_part = (int32_t)rng_between(&rng, 1, n_rows - first);
            size_t part_bytes = (size_t)(n_part * q_dim) * sizeof *got;
            /* The same slots are written once more: with NaN by the other rows first. */
            struct pass poisoned = pass;
            size_t qkv_bytes = (size_t)(n_rows * dim) * sizeof(float);
            poisoned.qkv = device_host(qkv_bytes);
            for (int64_t j = 0; j < n_rows * dim; j++)
                poisoned.qkv[j] = j / dim >= first && j / dim < first + n_part ? pass.qkv[j] : NAN;
            run_rope(act, &poisoned, 0, n_rows, &place, got);
            EXPECT(memcmp(got + first * q_dim, whole + first * q_dim, part_bytes) == 0,
                   "rows %d + %d among NaN have another q", first, n_part);
            run_rope(act, &pass, 0, first, &place, got);
            run_rope(act, &pass, first + n_part, n_rows - first - n_part, &place, got);
            EXPECT(memcmp(image, place.image, image_bytes) == 0,
                   "rows %d + %d among NaN have other keys or values", first, n_part);
            run_rope(act, &pass, first, n_part, &place, got);
            EXPECT(memcmp(got, whole + first * q_dim, part_bytes) == 0,
                   "rows %d + %d alone have another q", first, n_part);
            EXPECT(memcmp(image, place.image, image_bytes) == 0,
                   "rows %d + %d alone have other keys or values", first, n_part);
            free(poisoned.qkv);
        }
        free(image);
        free(got);
        free(whole);
        free_pass(&pass);
        free_place(&place);
    }
}

/* Slots behind 2^32: pages that would be huge, of which the first tokens are there. */
static void rope_kv_far_slots(void)
{
    struct rng rng = rng_seeded(14);
    struct shape shape = {2, 1, 16};
    int32_t n_pages = 9, n_tokens = 3, n_slots = n_pages * n_tokens, far_page = 1 << 30;
    for (int mode = PAGES; mode <= TABLE; mode++) {
        struct place place =
            make_place(&rng, mode, shape.n_kv_heads, shape.head_dim, n_tokens, n_slots);
        struct pass pass = make_pass(&rng, shape, n_slots, n_slots);
        uint16_t *q = device_host((size_t)(n_slots * qkv_dim(&shape)) * sizeof *q);
        for (int32_t i = 0; i < n_slots; i++)
            if (pass.slots[i] >= 0)
                pass.slots[i] = pass.slots[i] / n_tokens * far_page + pass.slots[i] % n_tokens;
        place.kv.page_tokens = far_page;
        run_rope(0, &pass, 0, n_slots, &place, q);
        for (int32_t i = 0; i < n_slots; i++)
            if (pass.slots[i] >= 0)
                pass.slots[i] = pass.slots[i] / far_page * n_tokens + pass.slots[i] % far_page;
        expect_rows(device_act(0), &pass, &place, q);
        free(q);
        free_pass(&pass);
        free_place(&place);
    }
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"rope_kv_values", rope_kv_values},         {"rope_kv_rotations", rope_kv_rotations},
        {"rope_kv_page_sizes", rope_kv_page_sizes}, {"rope_kv_bits", rope_kv_bits},
        {"rope_kv_far_slots", rope_kv_far_slots},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
