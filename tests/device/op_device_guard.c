/*
 * op_device_guard.c: the products of a context, as models have them: values against sums in double
 * precision, every row the same bits alone and in company. On a GPU it says, as comments, which
 * classes of well-known models cuBLASLt computes and by which algorithms.
 */
#include "product_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct model {
    const char *name;
    int32_t hidden, inner, qkv, q, vocab;
};

static const struct model real_models[] = {
    {"llama-3.2-1b", 2048, 8192, 3072, 2048, 128256},
    {"llama2-7b", 4096, 11008, 12288, 4096, 32000},
    {"llama3-8b", 4096, 14336, 6144, 4096, 128256},
    {"qwen2.5-0.5b", 896, 4864, 1152, 896, 151936},
};
static const struct model small_models[] = {{"small", 64, 160, 96, 64, 208},
                                            {"odd", 72, 104, 120, 72, 100},
                                            {"narrow", 48, 16, 16, 32, 64}};

static int32_t rows_for_test(int32_t emulated, int32_t real)
{
    return device_is_emulated() ? emulated : real;
}

static double seconds_now(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void tell(const struct product_context *context, const struct ppi_matrix *w,
                 const char *what, bool accumulate, double seconds)
{
    const struct ppi_cuda_class *class = product_class(context, w, accumulate);
    char name[96] = "";
    if (device_is_emulated())
        return;
    printf("# %-8s [%lld, %lld]%s %s, %d tried", what, (long long)w->n_rows, (long long)w->k,
           accumulate ? " added" : "",
           !class                                    ? "our own kernel"
           : class->state == PPI_CUDA_CLASS_LT       ? "cuBLASLt"
           : class->state == PPI_CUDA_CLASS_UNTESTED ? "untested"
                                                     : "our own kernel",
           class ? class->n_tried : 0);
    for (int32_t i = 0; class && class->state == PPI_CUDA_CLASS_LT && i < PPI_CUDA_LT_GROUPS; i++) {
        ppi_cuda_lt_name(&class->algorithms[i], name, sizeof name);
        printf("%s%s", i ? " | " : ": ", name);
    }
    printf("; at most %d rows; prepared in %.0f ms\n",
           class && class->state == PPI_CUDA_CLASS_LT ? class->max_rows : 0, seconds * 1e3);
}

/* A product, and rows of it that are wanted again elsewhere. */
struct trial {
    struct product_context *context;
    const struct ppi_matrix *w;
    const float *weights;
    uint16_t *a;  /* [n_rows, k]; some rows are NaN */
    float *start; /* [n_rows, n], or NULL */
    char *out;
    int32_t n_rows;
};

static bool is_nan_row(int32_t row)
{
    return row % 11 == 5;
}

static double act_of(const struct trial *t, float weight)
{
    return t->context->backend->act == 0 ? ppi_bf16_to_f32(ppi_f32_to_bf16(weight))
                                         : ppi_f16_to_f32(ppi_f32_to_f16(weight));
}

/* A row of a times row `col` of the weights; the sum of magnitudes in *scale. */
static double dot(const struct trial *t, int32_t row, int64_t col, double *scale)
{
    double sum = 0;
    int32_t dtype = device_act(t->context->backend->act);
    *scale = 0;
    for (int64_t i = 0; i < t->w->k; i++) {
        double product = device_value(dtype, t->a, (size_t)(row * t->w->k + i)) *
                         act_of(t, t->weights[col * t->w->k + i]);
        sum += product;
        *scale += fabs(product);
    }
    return sum;
}

/*
 * Tolerance of a sum over k: every 16 products round once, at 2^-21 of the sum of magnitudes,
 * whoever sums. Gates and ups are narrowed to act, then multiplied and narrowed again; silu has a
 * slope of at most 1.1.
 */
static void check_value(const struct trial *t, int32_t row, int64_t col)
{
    int32_t act = device_act(t->context->backend->act);
    double unit = act == PP_DTYPE_BF16 ? 0x1p-8 : 0x1p-11,
           chain = (double)(t->w->k / 16 + 2) * 0x1p-21;
    double scale, sum = dot(t, row, col, &scale), value, allowed = chain * scale;
    size_t at = (size_t)(row * t->w->n + col);
    if (t->w->kind == PPI_MATRIX_GATE_UP) {
        double up_scale, up = dot(t, row, t->w->n + col, &up_scale), silu = sum / (1 + exp(-sum));
        double gate_error = allowed + unit * fabs(sum),
               up_error = chain * up_scale + unit * fabs(up);
        value = device_value(act, t->out, at);
        allowed = 1.1 * gate_error * (fabs(up) + up_error) + fabs(silu) * up_error;
        sum = silu * up;
        allowed += (unit + 0x1p-18) * (fabs(sum) + allowed) + 0x1p-24;
    } else {
        value = device_value(PP_DTYPE_F32, t->out, at);
        sum += t->start ? t->start[at] : 0;
        allowed += 0x1p-23 * (fabs(sum) + allowed);
    }
    EXPECT(fabs(value - sum) <= allowed,
           "[%lld, %lld], %d rows: row %d column %lld is %.9g, expected %.9g +- %.2g",
           (long long)t->w->n_rows, (long long)t->w->k, t->n_rows, row, (long long)col, value, sum,
           allowed);
}

/* Rows [first, first + n) alone: the same bits, but for those of NaN. */
static void check_alone(const struct trial *t, int32_t first, int32_t n)
{
    size_t row_bytes = product_row_bytes(t->w), k = (size_t)t->w->k;
    char *got = product_of(t->context, t->w, t->a + (size_t)first * k, n,
                           t->start ? t->start + (size_t)first * (size_t)t->w->n : NULL);
    for (int32_t i = 0; i < n; i++)
        EXPECT(is_nan_row(first + i) ||
                   memcmp(got + (size_t)i * row_bytes, t->out + (size_t)(first + i) * row_bytes,
                          row_bytes) == 0,
               "[%lld, %lld]: row %d of %d has other bits among %d", (long long)t->w->n_rows,
               (long long)t->w->k, first + i, t->n_rows, n);
    free(got);
}

static void check(struct product_context *context, struct rng *rng, const struct ppi_matrix *w,
                  const float *weights, bool accumulate)
{
    int32_t act = context->backend->act, dtype = device_act(act);
    struct trial t = {context, w, weights, NULL, NULL, NULL, rows_for_test(200, 1300)};
    size_t elements = (size_t)t.n_rows * (size_t)w->k,
           out_elements = (size_t)t.n_rows * (size_t)w->n;
    float *values = product_weights(rng, elements, 1);
    t.a = device_host(elements * sizeof *t.a);
    for (size_t i = 0; i < elements; i++) {
        t.a[i] = dtype == PP_DTYPE_BF16 ? ppi_f32_to_bf16(values[i]) : ppi_f32_to_f16(values[i]);
        if (is_nan_row((int32_t)(i / (size_t)w->k)))
            t.a[i] = 0xFFFF;
    }
    free(values);
    t.start = accumulate ? product_weights(rng, out_elements, 1) : NULL;
    t.out = product_of(context, w, t.a, t.n_rows, t.start);
    for (int i = 0; i < 100; i++) {
        int32_t row = (int32_t)rng_between(rng, 0, t.n_rows - 1);
        if (!is_nan_row(row))
            check_value(&t, row, rng_between(rng, 0, w->n - 1));
    }
    check_value(&t, 0, w->n - 1);
    for (int32_t n = 1; n <= t.n_rows; n = n * 3 + 1) {
        int32_t first = (int32_t)rng_between(rng, 0, t.n_rows - n);
        check_alone(&t, first, n);
    }
    check_alone(&t, t.n_rows - 64, 64);
    free(t.out);
    free(t.start);
    free(t.a);
}

static void check_matrix(struct product_context *context, struct rng *rng, const char *what,
                         int32_t kind, int64_t n, int64_t k, bool accumulate)
{
    pp_error err = {.struct_size = sizeof err};
    size_t rows = (size_t)(kind == PPI_MATRIX_GATE_UP ? 2 * n : n);
    float *weights = product_weights(rng, rows * (size_t)k, 1 / sqrt((double)k));
    struct ppi_matrix *w = product_matrix(context, kind, n, k, weights);
    double start = seconds_now();
    EXPECT(ppi_cuda_prepare(context->backend, w, &err) == PP_OK, "%s", err.message);
    tell(context, w, what, accumulate, seconds_now() - start);
    check(context, rng, w, weights, accumulate);
    ppi_cuda_matrix_destroy(w);
    free(weights);
}

static void check_model(const struct model *model, int32_t act, const char *variant)
{
    struct rng rng = rng_seeded(1);
    struct product_context context;
    product_open(&context, act, variant, model->hidden, model->inner, rows_for_test(256, 2048));
    printf("# products of %s, %s%s\n", model->name, act == 0 ? "bf16" : "f16",
           variant ? ", own" : "");
    check_matrix(&context, &rng, "qkv", PPI_MATRIX_LINEAR, model->qkv, model->hidden, false);
    check_matrix(&context, &rng, "o", PPI_MATRIX_LINEAR, model->hidden, model->q, true);
    check_matrix(&context, &rng, "gate, up", PPI_MATRIX_GATE_UP, model->inner, model->hidden,
                 false);
    check_matrix(&context, &rng, "down", PPI_MATRIX_LINEAR, model->hidden, model->inner, true);
    if (model->vocab <= 40000 || act == 0) /* one large head is enough */
        check_matrix(&context, &rng, "head", PPI_MATRIX_LINEAR, model->vocab, model->hidden, false);
    if (context.n_warnings)
        printf("# %d warnings, the last: %s\n", context.n_warnings, context.warning);
    product_close(&context);
}

static void check_models(int32_t act, const char *variant)
{
    if (device_is_emulated()) {
        for (size_t i = 0; i < COUNT(small_models); i++)
            check_model(&small_models[i], act, variant);
        return;
    }
    for (size_t i = 0; i < (variant ? 1 : COUNT(real_models)); i++)
        check_model(&real_models[i], act, variant);
}

/* ---- tests ---- */

static void products_of_models_bf16(void)
{
    check_models(0, NULL);
}

static void products_of_models_f16(void)
{
    check_models(1, NULL);
}

static void products_of_models_own(void)
{
    check_models(0, "own");
    check_models(1, "own");
}

/* Products with a scale and a bias, added or not, are the plain product's numbers so treated. */
static void check_ends(int32_t act, const char *variant)
{
    enum { N = 96, K = 64, ROWS = 77 };
    struct rng rng = rng_seeded(3);
    struct product_context context;
    pp_error err = {.struct_size = sizeof err};
    product_open(&context, act, variant, N, N, 256);
    float *weights = product_weights(&rng, (size_t)N * K, 0.2);
    float *bias_values = product_weights(&rng, N, 1), *start = product_weights(&rng, ROWS * N, 1);
    uint16_t *a = device_random(&rng, device_act(act), ROWS * K, 1);
    struct ppi_matrix *w = product_matrix(&context, PPI_MATRIX_LINEAR, N, K, weights);
    struct ppi_matrix *bias = product_matrix(&context, PPI_MATRIX_VECTOR, 1, N, bias_values);
    EXPECT(ppi_cuda_prepare(context.backend, w, &err) == PP_OK, "%s", err.message);
    float *plain = product_of(&context, w, a, ROWS, NULL);
    for (int kind = 0; kind < 8; kind++) {
        bool added = kind & 1, scaled = kind & 2, has_bias = kind & 4;
        const struct product_end end = {.bias = has_bias ? bias : NULL,
                                        .scale = scaled ? 0.22f : 1};
        float *got = product_ending(&context, w, a, ROWS, added ? start : NULL, &end);
        for (int32_t i = 0; i < ROWS * N; i++) {
            double part = (double)plain[i] + (has_bias ? bias_values[i % N] : 0.0f);
            double expected = (added ? start[i] : 0) + (double)end.scale * part;
            double allowed = 0x1p-22 * (fabs(plain[i]) + 2 * fabs(part) + fabs(start[i]) + 1);
            EXPECT(fabs(got[i] - expected) <= allowed,
                   "added %d scaled %d bias %d: element %d is %.9g, expected %.9g", added, scaled,
                   has_bias, i, (double)got[i], expected);
        }
        free(got);
    }
    ppi_cuda_matrix_destroy(bias);
    ppi_cuda_matrix_destroy(w);
    free(plain);
    free(a);
    free(start);
    free(bias_values);
    free(weights);
    product_close(&context);
}

/* Gates and ups of weights 0 are their biases alone, activated. */
static void check_gate_ends(int32_t act, const char *variant)
{
    enum { N = 48, K = 32, ROWS = 5 };
    struct rng rng = rng_seeded(4);
    struct product_context context;
    double unit = act == 0 ? 0x1p-8 : 0x1p-11;
    product_open(&context, act, variant, K, N, 256);
    float *zeros = device_host(2 * (size_t)N * K * sizeof *zeros);
    memset(zeros, 0, 2 * (size_t)N * K * sizeof *zeros);
    float *values = product_weights(&rng, 2 * N, 2);
    uint16_t *a = device_random(&rng, device_act(act), ROWS * K, 1);
    struct ppi_matrix *w = product_matrix(&context, PPI_MATRIX_GATE_UP, N, K, zeros);
    struct ppi_matrix *bias = product_matrix(&context, PPI_MATRIX_VECTOR, 1, 2 * N, values);
    for (int32_t activation = PPI_ACTIVATION_SILU; activation <= PPI_ACTIVATION_GELU_TANH;
         activation++) {
        const struct product_end end = {bias, 1, activation};
        uint16_t *got = product_ending(&context, w, a, ROWS, NULL, &end);
        for (int32_t i = 0; i < ROWS * N; i++) {
            double x = values[i % N], u = sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
            double gate =
                activation == PPI_ACTIVATION_SILU ? x / (1 + exp(-x)) : x / 2 * (1 + tanh(u));
            double expected = gate * values[N + i % N];
            double value = device_value(device_act(act), got, (size_t)i);
            EXPECT(fabs(value - expected) <= 2 * unit * fabs(expected) + 0x1p-20,
                   "activation %d element %d: %.9g, expected %.9g", activation, i, value, expected);
        }
        free(got);
    }
    ppi_cuda_matrix_destroy(bias);
    ppi_cuda_matrix_destroy(w);
    free(a);
    free(values);
    free(zeros);
    product_close(&context);
}

static void ends_of_products(void)
{
    for (int32_t act = 0; act < PPI_CUDA_N_ACT; act++)
        for (int own = 0; own < 2; own++) {
            check_ends(act, own ? "own" : NULL);
            check_gate_ends(act, own ? "own" : NULL);
        }
}

/* A choice must not depend on how large passes may be: two contexts, the same bits. */
static void capacity_changes_no_bit(void)
{
    static const int32_t capacities[] = {64, 1000, 4096};
    enum { N = 256, K = 512, ROWS = 64 };
    struct rng rng = rng_seeded(2);
    float *weights = product_weights(&rng, (size_t)N * K, 0.05);
    uint16_t *a = device_random(&rng, PP_DTYPE_BF16, (size_t)ROWS * K, 1);
    float *expected = NULL;
    for (size_t i = 0; i < COUNT(capacities); i++) {
        struct product_context context;
        product_open(&context, 0, NULL, N, K, capacities[i]);
        struct ppi_matrix *w = product_matrix(&context, PPI_MATRIX_LINEAR, N, K, weights);
        EXPECT(ppi_cuda_prepare(context.backend, w, NULL) == PP_OK, "prepare");
        float *got = product_of(&context, w, a, ROWS, NULL);
        if (i == 0)
            expected = got;
        EXPECT(memcmp(got, expected, ROWS * N * sizeof *got) == 0, "other bits with %d tokens",
               capacities[i]);
        if (i > 0)
            free(got);
        ppi_cuda_matrix_destroy(w);
        product_close(&context);
    }
    free(expected);
    free(a);
    free(weights);
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"products_of_models_bf16", products_of_models_bf16},
        {"products_of_models_f16", products_of_models_f16},
        {"products_of_models_own", products_of_models_own},
        {"ends_of_products", ends_of_products},
        {"capacity_changes_no_bit", capacity_changes_no_bit},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
