/*
 * op_experts.c: rows through their experts: values against a computation in double, and bits
 * against the products of each expert's matrices by themselves, in every form that matrices have.
 *
 * Tolerance: that of op_products.c for both products; what the first is off, and the narrowing of
 * its result, go through the second.
 */
#include "checkop.h"

#include <math.h>
#include <string.h>

struct experts_case {
    int32_t n, top_k;
    int64_t hidden, size;
    int32_t format;
    bool integer, has_bias, overwrites;
    int32_t activation;
    float scale;
};

/* Experts of a context, what they are made of, and rows. */
struct world {
    const struct experts_case *c;
    const char *variant;
    int32_t dtype;
    int64_t n_rows;
    float *gate_up, *down; /* sources: [n, 2 size, hidden], [n, hidden, size] */
    float *gate_up_bias, *down_bias;
    void *a;       /* act [n_rows, hidden] */
    float *before; /* [n_rows, hidden]: what out holds */
    int32_t *chosen;
    float *weights;
};

static struct ppi_backend *open_experts(const struct world *world, int32_t n_threads)
{
    const struct experts_case *c = world->c;
    struct ppi_backend_params params =
        checkop_params(world->variant, world->dtype, n_threads, checkop_any_shape);
    params.n_experts = c->n;
    params.top_k = c->top_k;
    params.hidden_size = (int32_t)c->hidden;
    params.expert_size = (int32_t)c->size;
    params.max_pass_tokens = (int32_t)world->n_rows;
    params.integer_products = c->integer;
    params.unpacked_products = c->format != PPI_FORMAT_ACT && !c->integer;
    return checkop_open_params(&params);
}

/* Some experts get no row, one gets every row. */
static void choose(struct rng *rng, const struct experts_case *c, int32_t *chosen)
{
    bool taken[64] = {false};
    taken[1 % c->n] = true;
    for (int32_t k = 1; k < c->top_k;) {
        int64_t i = rng_between(rng, 0, c->n - 1);
        if (taken[i] || (i == 2 && c->top_k < c->n))
            continue;
        taken[i] = true;
        k++;
    }
    for (int32_t i = 0, k = 0; i < c->n; i++)
        if (taken[i])
            chosen[k++] = i;
}

static struct world make_world(struct rng *rng, const struct experts_case *c, const char *variant,
                               int32_t dtype, int64_t n_rows)
{
    size_t n = (size_t)c->n, hidden = (size_t)c->hidden, size = (size_t)c->size;
    size_t pairs = (size_t)(n_rows * c->top_k);
    struct world world = {.c = c, .variant = variant, .dtype = dtype, .n_rows = n_rows};
    world.gate_up = checkop_random(rng, PP_DTYPE_F32, n * 2 * size * hidden, 0.3);
    world.down = checkop_random(rng, PP_DTYPE_F32, n * size * hidden, 0.3);
    world.gate_up_bias = checkop_random(rng, PP_DTYPE_F32, n * 2 * size, 1);
    world.down_bias = checkop_random(rng, PP_DTYPE_F32, n * hidden, 1);
    world.a = checkop_random(rng, dtype, (size_t)n_rows * hidden, 1);
    world.before = checkop_random(rng, PP_DTYPE_F32, (size_t)n_rows * hidden, 1);
    world.weights = checkop_random(rng, PP_DTYPE_F32, pairs, 1);
    world.chosen = checkop_alloc(pairs, sizeof *world.chosen);
    for (int64_t i = 0; i < n_rows; i++)
        choose(rng, c, world.chosen + i * c->top_k);
    return world;
}

static void free_world(struct world *world)
{
    void *parts[] = {world->gate_up, world->down,   world->gate_up_bias, world->down_bias,
                     world->a,       world->before, world->weights,      world->chosen};
    for (size_t i = 0; i < PPI_COUNT(parts); i++)
        free(parts[i]);
}

/* ---- matrices ---- */

/* Rows of MXFP4, which is not made from numbers: from the bits of the source. */
static void fill_by_codes(struct ppi_backend *backend, struct ppi_matrix *matrix, int64_t first,
                          int64_t n_rows, const float *src, int64_t k)
{
    int64_t k_padded = ppi_format_k(PPI_FORMAT_MXFP4, k), groups = k_padded / 32;
    uint8_t *codes = checkop_alloc((size_t)(n_rows * k_padded), 1);
    float *scales = checkop_alloc((size_t)(n_rows * groups), sizeof *scales);
    memset(codes, 0, (size_t)(n_rows * k_padded));
    for (int64_t i = 0; i < n_rows; i++) {
        for (int64_t j = 0; j < k; j++)
            codes[i * k_padded + j] = (uint8_t)(ppi_f32_bits(src[i * k + j]) >> 12 & 15);
        for (int64_t g = 0; g < groups; g++)
            scales[i * groups + g] =
                ppi_power_of_two((uint8_t)(123 + ppi_f32_bits(src[i * k + 32 * g]) % 4));
    }
    const struct ppi_code_rows rows = {codes, scales, NULL};
    ppi_cpu_ops.matrix_fill_codes(backend, matrix, first, n_rows, &rows, NULL);
    free(codes);
    free(scales);
}

/* A stack, or one matrix of it, filled in pieces whose borders are anywhere. */
static struct ppi_matrix *make_matrix(struct ppi_backend *backend, const struct world *world,
                                      int32_t kind, int64_t n_stacked, const float *src)
{
    const struct experts_case *c = world->c;
    bool gated = kind == PPI_MATRIX_GATE_UP;
    struct ppi_matrix_spec spec = {.kind = kind,
                                   .format = c->format,
                                   .integer = c->integer,
                                   .n = gated ? c->size : c->hidden,
                                   .k = gated ? c->hidden : c->size,
                                   .n_stacked = n_stacked};
    int64_t n_rows = spec.n * (gated ? 2 : 1) * (n_stacked ? n_stacked : 1);
    struct ppi_matrix *matrix;
    int64_t before = atomic_load(&checkop_mem.bytes);
    ck_assert_int_eq(ppi_cpu_ops.matrix_create(backend, &checkop_mem, &spec, &matrix, NULL), PP_OK);
    int64_t taken = atomic_load(&checkop_mem.bytes) - before;
    int64_t told = (int64_t)ppi_cpu_ops.matrix_bytes(backend, &spec);
    ck_assert(taken >= told && taken <= told + 64);
    const int64_t borders[] = {0, n_rows / 5, n_rows * 3 / 4, n_rows};
    for (int i = 0; i < 3; i++) {
        const float *rows = src + borders[i] * spec.k;
        int64_t n = borders[i + 1] - borders[i];
        if (c->format == PPI_FORMAT_MXFP4)
            fill_by_codes(backend, matrix, borders[i], n, rows, spec.k);
        else
            ppi_cpu_ops.matrix_fill(backend, matrix, borders[i], n, rows, PP_DTYPE_F32, NULL);
    }
    return matrix;
}

static struct ppi_matrix *make_bias(struct ppi_backend *backend, const float *numbers, int64_t n,
                                    int64_t k)
{
    struct ppi_matrix *bias;
    ppi_cpu_ops.matrix_create(backend, &checkop_mem,
                              &(struct ppi_matrix_spec){.kind = PPI_MATRIX_VECTOR, .n = n, .k = k},
                              &bias, NULL);
    ppi_cpu_ops.matrix_fill(backend, bias, 0, n, numbers, PP_DTYPE_F32, NULL);
    return bias;
}

/* Matrices of all experts. */
static struct ppi_experts make_experts(struct ppi_backend *backend, const struct world *world)
{
    const struct experts_case *c = world->c;
    struct ppi_experts experts = {
        .n = c->n,
        .top_k = c->top_k,
        .gate_up = make_matrix(backend, world, PPI_MATRIX_GATE_UP, c->n, world->gate_up),
        .down = make_matrix(backend, world, PPI_MATRIX_LINEAR, c->n, world->down),
        .activation = c->activation,
        .limit = 1.5f,
        .alpha = 1.702f,
        .scale = c->scale,
        .accumulate = !c->overwrites,
    };
    if (c->has_bias) {
        experts.gate_up_bias = make_bias(backend, world->gate_up_bias, c->n, 2 * c->size);
        experts.down_bias = make_bias(backend, world->down_bias, c->n, c->hidden);
    }
    return experts;
}

static void destroy_experts(const struct ppi_experts *experts)
{
    const struct ppi_matrix *all[] = {experts->gate_up, experts->down, experts->gate_up_bias,
                                      experts->down_bias};
    for (size_t i = 0; i < PPI_COUNT(all); i++)
        ppi_cpu_ops.matrix_destroy((struct ppi_matrix *)(uintptr_t)all[i]);
}

/* Rows [first, first + n) through their experts, onto what was there. */
static float *run(const struct world *world, struct ppi_backend *backend,
                  const struct ppi_experts *experts, int64_t first, int64_t n)
{
    const struct experts_case *c = world->c;
    size_t row = (size_t)c->hidden;
    float *out = checkop_alloc((size_t)n * row, sizeof *out);
    const struct ppi_routing routing = {world->chosen + first * c->top_k,
                                        world->weights + first * c->top_k};
    memcpy(out, world->before + (size_t)first * row, (size_t)n * row * sizeof *out);
    ck_assert_int_eq(
        ppi_cpu_ops.experts(backend, experts, &routing,
                            (char *)world->a + (size_t)first * row * pp_dtype_size(world->dtype), n,
                            out, NULL),
        PP_OK);
    return out;
}

/* ---- values ---- */

static double narrow(int32_t dtype, double x)
{
    return dtype == PP_DTYPE_BF16 ? ppi_bf16_to_f32(ppi_f32_to_bf16((float)x)) : (double)(float)x;
}

static double gate_of(const struct experts_case *c, double gate, double up)
{
    if (c->activation == PPI_ACTIVATION_SILU)
        return gate / (1 + exp(-gate)) * up;
    if (c->activation == PPI_ACTIVATION_GELU_TANH)
        return gate * up /
               (1 + exp(-2 * sqrt(2 / 3.14159265358979323846) *
                        (gate + 0.044715 * gate * gate * gate)));
    gate = fmin(gate, 1.5);
    up = fmin(fmax(up, -1.5), 1.5);
    return (up + 1) * gate / (1 + exp(-(double)1.702f * gate));
}

/* gated [size] of a row and an expert; its own error, about, in off. */
static void expect_gated(const struct world *world, int64_t row, int32_t expert, double *gated,
                         double *off)
{
    const struct experts_case *c = world->c;
    double unit = 8 * sqrt((double)c->hidden) * 0x1p-24;
    for (int64_t j = 0; j < c->size; j++) {
        double sums[2] = {0}, magnitude = 0;
        for (int half = 0; half < 2; half++) {
            const float *w = world->gate_up + ((expert * 2 + half) * c->size + j) * c->hidden;
            if (c->has_bias)
                sums[half] = world->gate_up_bias[(expert * 2 + half) * c->size + j];
            magnitude += fabs(sums[half]);
            for (int64_t i = 0; i < c->hidden; i++) {
                double product = narrow(world->dtype, w[i]) *
                                 checkop_get(world->dtype, world->a, (size_t)(row * c->hidden + i));
                sums[half] += product;
                magnitude += fabs(product);
            }
        }
        gated[j] = gate_of(c, sums[0], sums[1]);
        off[j] = 2 * unit * magnitude * (2 + fabs(sums[0]) + fabs(sums[1])) +
                 fabs(gated[j]) * (world->dtype == PP_DTYPE_BF16 ? 0x1p-8 : 0x1p-18);
    }
}

static void check_row(const struct world *world, int64_t row, const float *out)
{
    const struct experts_case *c = world->c;
    double gated[128], off[128], expected[128] = {0}, allowed[128];
    for (int64_t j = 0; j < c->hidden; j++) {
        expected[j] = c->overwrites ? 0 : world->before[row * c->hidden + j];
        allowed[j] = fabs(expected[j]) * 0x1p-20 + 1e-30;
    }
    for (int32_t k = 0; k < c->top_k; k++) {
        int32_t expert = world->chosen[row * c->top_k + k];
        double weight = (double)c->scale * world->weights[row * c->top_k + k];
        expect_gated(world, row, expert, gated, off);
        for (int64_t j = 0; j < c->hidden; j++) {
            const float *w = world->down + (expert * c->hidden + j) * c->size;
            double sum = c->has_bias ? world->down_bias[expert * c->hidden + j] : 0;
            double error = fabs(sum) * 0x1p-20;
            for (int64_t i = 0; i < c->size; i++) {
                double x = narrow(world->dtype, w[i]);
                sum += x * gated[i];
                error += fabs(x) * (off[i] + fabs(gated[i]) * 0x1p-20);
            }
            expected[j] += weight * sum;
            allowed[j] += fabs(weight) * (error + fabs(sum) * 0x1p-20);
        }
    }
    for (int64_t j = 0; j < c->hidden; j++)
        EXPECT(fabs(out[j] - expected[j]) <= allowed[j],
               "%s dtype %d, %d of %d experts, activation %d: row %ld, column %ld: %.9g, expected "
               "%.9g +- %.2g",
               world->variant, world->dtype, c->top_k, c->n, c->activation, (long)row, (long)j,
               out[j], expected[j], allowed[j]);
}

START_TEST(values)
{
    static const struct experts_case cases[] = {
        {4, 2, 64, 32, .activation = PPI_ACTIVATION_SILU, .scale = 1},
        {5, 3, 40, 33, .activation = PPI_ACTIVATION_SILU, .scale = 0.22f, .has_bias = true},
        {8, 4, 96, 72, .activation = PPI_ACTIVATION_SWIGLU_CLAMPED, .scale = 1, .has_bias = true},
        {3, 3, 17, 5, .activation = PPI_ACTIVATION_GELU_TANH, .scale = -2, .overwrites = true},
        {6, 1, 65, 64, .activation = PPI_ACTIVATION_SWIGLU_CLAMPED, .scale = 1, .overwrites = true},
    };
    struct rng rng = rng_seeded(62);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        struct world world = make_world(&rng, &cases[i], variant, dtype, 14);
        struct ppi_backend *backend = open_experts(&world, 2);
        struct ppi_experts experts = make_experts(backend, &world);
        float *out = run(&world, backend, &experts, 0, world.n_rows);
        for (int64_t row = 0; row < world.n_rows; row++)
            check_row(&world, row, out + row * cases[i].hidden);
        free(out);
        destroy_experts(&experts);
        ppi_cpu_ops.close(backend);
        free_world(&world);
    }
}
END_TEST

/* ---- bits ---- */

/* Each expert's matrices by themselves, all rows through each, and sums by the routing. */
static float *compose(const struct world *world, struct ppi_backend *backend)
{
    const struct experts_case *c = world->c;
    size_t n = (size_t)(world->n_rows * c->hidden);
    float *out = checkop_alloc(n, sizeof *out), *product = checkop_alloc(n, sizeof *product);
    void *gated = checkop_alloc((size_t)(world->n_rows * c->size), sizeof(float));
    memcpy(out, world->before, n * sizeof *out);
    for (int32_t e = 0; e < c->n; e++) {
        int64_t one = c->hidden * c->size;
        struct ppi_matrix *gate_up =
            make_matrix(backend, world, PPI_MATRIX_GATE_UP, 0, world->gate_up + 2 * e * one);
        struct ppi_matrix *down =
            make_matrix(backend, world, PPI_MATRIX_LINEAR, 0, world->down + e * one);
        struct ppi_matrix *biases[2] = {NULL, NULL};
        if (c->has_bias) {
            biases[0] = make_bias(backend, world->gate_up_bias + 2 * e * c->size, 1, 2 * c->size);
            biases[1] = make_bias(backend, world->down_bias + e * c->hidden, 1, c->hidden);
        }
        const struct ppi_epilogue epilogue = {biases[1], 1, false};
        ppi_cpu_ops.gate_up(backend, world->a, gate_up, biases[0], c->activation, world->n_rows,
                            gated, NULL);
        ppi_cpu_ops.matmul(backend, gated, down, world->n_rows, &epilogue, product, NULL);
        for (int64_t i = 0; i < world->n_rows * c->top_k; i++) {
            int64_t row = i / c->top_k;
            float scale = c->scale * world->weights[i];
            for (int64_t j = 0; world->chosen[i] == e && j < c->hidden; j++)
                out[row * c->hidden + j] += scale * product[row * c->hidden + j];
        }
        ppi_cpu_ops.matrix_destroy(gate_up);
        ppi_cpu_ops.matrix_destroy(down);
        ppi_cpu_ops.matrix_destroy(biases[0]);
        ppi_cpu_ops.matrix_destroy(biases[1]);
    }
    free(gated);
    free(product);
    return out;
}

/* Whole, and rows in other numbers, at other places and with other threads. */
static void check_bits(struct rng *rng, const struct experts_case *c, const char *variant,
                       int32_t dtype, int64_t n_rows)
{
    struct world world = make_world(rng, c, variant, dtype, n_rows);
    size_t row_bytes = (size_t)c->hidden * sizeof(float);
    float *expected = NULL;
    struct ppi_experts experts = {0};
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        struct ppi_backend *backend = open_experts(&world, n_threads);
        if (!expected) {
            expected = compose(&world, backend);
            experts = make_experts(backend, &world);
        }
        for (int try = 0; try < 5; try++) {
            static const int64_t most[] = {0, 1, 2, 9, 70};
            int64_t n = most[try] == 0 || most[try] > n_rows ? n_rows : most[try];
            int64_t first = rng_between(rng, 0, n_rows - n);
            float *out = run(&world, backend, &experts, first, n);
            EXPECT(memcmp(out, (char *)expected + (size_t)first * row_bytes,
                          (size_t)n * row_bytes) == 0,
                   "%s dtype %d, %d of %d experts, %s, integer %d: rows %ld + %ld with %d threads "
                   "have other bits",
                   variant, dtype, c->top_k, c->n, ppi_formats[c->format].name, c->integer,
                   (long)first, (long)n, n_threads);
            free(out);
        }
        ppi_cpu_ops.close(backend);
    }
    destroy_experts(&experts);
    free(expected);
    free_world(&world);
}

START_TEST(bits_are_those_of_single_products)
{
    struct rng rng = rng_seeded(63);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (int32_t format = PPI_FORMAT_ACT; format < PPI_N_FORMATS; format++)
        for (int integer = 0; integer < 2; integer++) {
            bool from_numbers = format <= PPI_FORMAT_NF4 || format == PPI_FORMAT_MXFP4;
            struct experts_case c = {5,
                                     2,
                                     70,
                                     45,
                                     format,
                                     .integer = integer == 1,
                                     .has_bias = integer == 0,
                                     .activation = PPI_ACTIVATION_SILU,
                                     .scale = 0.7f};
            if (!from_numbers || !ppi_cpu_ops.supports_format(dtype, format) ||
                (integer == 1 && !ppi_format_has_codes(format)) ||
                (integer == 0 && format == PPI_FORMAT_INT8))
                continue;
            check_bits(&rng, &c, variant, dtype, 30);
        }
}
END_TEST

/* More pairs of rows and experts than a block has, more rows of one expert too. */
START_TEST(blocks_are_cut)
{
    static const struct experts_case cases[] = {
        {6, 3, 8, 4, .activation = PPI_ACTIVATION_SILU, .scale = 1},
        {2, 1, 130, 3, .activation = PPI_ACTIVATION_SILU, .scale = 1},
    };
    struct rng rng = rng_seeded(64);
    for (int v = 0; checkop_variant(v); v++)
        for (size_t i = 0; i < PPI_COUNT(cases); i++)
            check_bits(&rng, &cases[i], checkop_variant(v), PP_DTYPE_BF16, i == 0 ? 700 : 1700);
}
END_TEST

/* Opening with ever more memory: a status until it is enough, and nothing is kept. */
START_TEST(memory_is_out)
{
    struct ppi_mem mem;
    struct ppi_backend_params params = checkop_params(NULL, PP_DTYPE_BF16, 1, checkop_any_shape);
    params.mem = &mem;
    params.n_experts = 16;
    params.top_k = 4;
    params.hidden_size = params.expert_size = 256;
    params.max_pass_tokens = 64;
    params.integer_products = true;
    pp_status status = PP_ERR_NOMEM;
    int n_failed = 0;
    for (int64_t limit = 1024; status != PP_OK; limit += limit / 8, n_failed++) {
        struct ppi_backend *backend = NULL;
        pp_error err = {.struct_size = sizeof err};
        ppi_mem_init(&mem, NULL, limit, NULL);
        status = ppi_cpu_ops.open(&params, &backend, &err);
        EXPECT(status == PP_OK || (status == PP_ERR_NOMEM && err.message[0]),
               "with %ld bytes: status %d", (long)limit, status);
        ppi_cpu_ops.close(backend);
        EXPECT(atomic_load(&mem.bytes) == 0, "with %ld bytes: some are kept", (long)limit);
    }
    EXPECT(n_failed > 20, "only %d limits are too small", n_failed);
}
END_TEST

Suite *checkop_experts_suite(void)
{
    Suite *suite = suite_create("experts");
    TCase *brief = tcase_create("values");
    tcase_set_timeout(brief, 300);
    tcase_add_test(brief, values);
    suite_add_tcase(suite, brief);
    TCase *tcase = tcase_create("experts");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, bits_are_those_of_single_products);
    tcase_add_test(tcase, blocks_are_cut);
    tcase_add_test(tcase, memory_is_out);
    suite_add_tcase(suite, tcase);
    return suite;
}
