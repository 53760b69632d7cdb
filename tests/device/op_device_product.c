/*
 * op_device_product.c: our own matrix product: values against sums in double precision, and its
 * promise that every element is the same chain of sums whatever tile, row, number of rows and
 * neighbours it has.
 *
 * Tolerance: a k16 step adds sixteen exact products to the sum so far and may cut the result off
 * at 2^-21 of the largest magnitude in it, which the sum of all magnitudes bounds.
 */
#include "under_test.h"

#include <prepack/common.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define GAP          0xFF /* between rows: NaN, which must neither be read nor written */

struct problem {
    int32_t act, n_rows, n, k;
    int32_t lda, ldw, ldo;
    bool to_act, accumulate;
    float scale;
    uint16_t *a, *w; /* [n_rows, lda], [n, ldw] */
    float *start;    /* [n_rows, ldo]: out before */
};

static const int32_t edges[] = {1,  2,  7,  8,  9,  15, 16, 17,  24,  31,  32,  33, 47,
                                48, 63, 64, 65, 80, 95, 96, 113, 127, 128, 129, 130};

static size_t out_size(const struct problem *p)
{
    return p->to_act ? 2 : 4;
}

/* n rows of `values` elements, ld apart. */
static void *spread_rows(struct rng *rng, int32_t dtype, int32_t n, int32_t values, int32_t ld)
{
    size_t size = pp_dtype_size(dtype);
    char *rows = device_host((size_t)n * (size_t)ld * size);
    char *dense = device_random(rng, dtype, (size_t)n * (size_t)values, 1);
    memset(rows, GAP, (size_t)n * (size_t)ld * size);
    for (int32_t i = 0; i < n; i++)
        memcpy(rows + (size_t)i * (size_t)ld * size, dense + (size_t)i * (size_t)values * size,
               (size_t)values * size);
    free(dense);
    return rows;
}

/* extra: elements between rows, in steps of 8 for a and w. */
static struct problem problem_make(struct rng *rng, int32_t act, int32_t n_rows, int32_t n,
                                   int32_t k, int32_t extra)
{
    struct problem p = {.act = act,
                        .n_rows = n_rows,
                        .n = n,
                        .k = k,
                        .lda = k + 8 * extra,
                        .ldw = k + 16 * extra,
                        .ldo = n + extra,
                        .scale = 1};
    p.a = spread_rows(rng, device_act(act), n_rows, k, p.lda);
    p.w = spread_rows(rng, device_act(act), n, k, p.ldw);
    p.start = spread_rows(rng, PP_DTYPE_F32, n_rows, n, p.ldo);
    return p;
}

static void problem_free(struct problem *p)
{
    free(p->a);
    free(p->w);
    free(p->start);
}

/* out [n_rows, ldo], malloc'ed, gaps and all. */
static void *run(const struct problem *p, int32_t tile)
{
    size_t bytes = (size_t)p->n_rows * (size_t)p->ldo * out_size(p);
    void *a = device_upload(p->a, (size_t)p->n_rows * (size_t)p->lda * 2);
    void *w = device_upload(p->w, (size_t)p->n * (size_t)p->ldw * 2);
    void *out = p->accumulate ? device_upload(p->start, bytes) : device_alloc(bytes);
    void *got = device_host(bytes);
    struct ppi_cuda_product_args args = {.a = a,
                                         .w = w,
                                         .out = out,
                                         .lda = p->lda,
                                         .ldw = p->ldw,
                                         .ldo = p->ldo,
                                         .n_rows = p->n_rows,
                                         .n = p->n,
                                         .k = p->k,
                                         .out_type = !p->to_act    ? PPI_CUDA_F32
                                                     : p->act == 0 ? PPI_CUDA_BF16
                                                                   : PPI_CUDA_F16,
                                         .accumulate = p->accumulate,
                                         .scale = p->scale};
    device_launch(&ppi_cuda_product[p->act][tile], ppi_cuda_product_blocks(tile, p->n_rows, p->n),
                  &args);
    device_download(got, out, bytes);
    device_free(out);
    device_free(w);
    device_free(a);
    return got;
}

static void check_element(const struct problem *p, const void *got, int32_t tile, int32_t row,
                          int32_t col)
{
    int32_t dtype = device_act(p->act), out_dtype = p->to_act ? dtype : PP_DTYPE_F32;
    double sum = 0, magnitudes = 0, half_unit = 0x1p-24, floor = 1e-37;
    for (int32_t i = 0; i < p->k; i++) {
        double product = device_value(dtype, p->a, (size_t)row * (size_t)p->lda + (size_t)i) *
                         device_value(dtype, p->w, (size_t)col * (size_t)p->ldw + (size_t)i);
        sum += product;
        magnitudes += fabs(product);
    }
    size_t at = (size_t)row * (size_t)p->ldo + (size_t)col;
    sum *= (double)p->scale;
    magnitudes *= fabs((double)p->scale);
    if (p->accumulate)
        sum += p->start[at];
    if (p->to_act) {
        half_unit = dtype == PP_DTYPE_BF16 ? 0x1p-8 : 0x1p-11;
        floor = dtype == PP_DTYPE_BF16 ? floor : 0x1p-25;
    }
    double allowed = (p->k / 16 + 1) * 0x1p-21 * magnitudes;
    allowed += half_unit * (fabs(sum) + allowed) + floor;
    double value = device_value(out_dtype, got, at);
    EXPECT(fabs(value - sum) <= allowed,
           "tile %d, %d rows, n %d, k %d%s: row %d column %d is %.9g, expected %.9g +- %.2g", tile,
           p->n_rows, p->n, p->k, p->accumulate ? ", added" : "", row, col, value, sum, allowed);
}

static void check_gaps(const struct problem *p, const void *got)
{
    size_t size = out_size(p), row_bytes = (size_t)p->ldo * size, used = (size_t)p->n * size;
    for (int32_t row = 0; row < p->n_rows; row++)
        for (size_t i = used; i < row_bytes; i++)
            EXPECT(((const unsigned char *)got)[(size_t)row * row_bytes + i] == GAP,
                   "n %d, ldo %d: something was written behind row %d", p->n, p->ldo, row);
}

/* Both tiles: the values of a sample of at most `sample` elements, all gaps, the same bits. */
static void check(struct rng *rng, const struct problem *p, int32_t sample)
{
    int64_t n_elements = (int64_t)p->n_rows * p->n;
    void *first = run(p, 0), *second = run(p, 1);
    for (int64_t i = 0; i < n_elements && i < sample; i++) {
        int64_t at = n_elements <= sample ? i : rng_between(rng, 0, n_elements - 1);
        check_element(p, first, 0, (int32_t)(at / p->n), (int32_t)(at % p->n));
    }
    check_element(p, first, 0, p->n_rows - 1, p->n - 1);
    check_gaps(p, first);
    EXPECT(memcmp(first, second, (size_t)p->n_rows * (size_t)p->ldo * out_size(p)) == 0,
           "%d rows, n %d, k %d%s: the tiles differ", p->n_rows, p->n, p->k,
           p->accumulate ? ", added" : "");
    free(first);
    free(second);
}

static void check_kinds(struct rng *rng, struct problem *p, int32_t sample)
{
    check(rng, p, sample);
    p->accumulate = true;
    check(rng, p, sample);
    p->scale = 0.22f;
    check(rng, p, sample);
    p->accumulate = false;
    p->to_act = true;
    check(rng, p, sample);
    p->to_act = false;
    p->scale = 1;
}

/* ---- tests ---- */

/* Every edge as the number of rows and as n, with any of the others and any k. On a GPU every
 * number up to 130. */
static void edges_of_tiles(void)
{
    struct rng rng = rng_seeded(1);
    bool all = !device_is_emulated();
    for (int32_t i = 0; i < (all ? 130 : (int32_t)COUNT(edges)); i++)
        for (int turned = 0; turned < 2; turned++) {
            int32_t one = all ? i + 1 : edges[i];
            int32_t other = edges[rng_between(&rng, 0, (int64_t)COUNT(edges) - 1)];
            int32_t k = 8 * (int32_t)rng_between(&rng, 1, 38);
            struct problem p =
                problem_make(&rng, (i + turned) % 2, turned ? one : other, turned ? other : one, k,
                             (int32_t)rng_between(&rng, 0, 3));
            check_kinds(&rng, &p, all ? 4000 : 500);
            problem_free(&p);
        }
}

/* Every k up to 304 has its tail of zeros. */
static void every_k(void)
{
    struct rng rng = rng_seeded(2);
    for (int32_t k = 8; k <= 304; k += 8) {
        struct problem p = problem_make(&rng, k / 8 % 2, 5, 19, k, 1);
        check(&rng, &p, 95);
        problem_free(&p);
    }
}

static void ones_count_k(void)
{
    static const int32_t ks[] = {8, 16, 64, 72, 128, 136, 200, 1000};
    struct rng rng = rng_seeded(3);
    for (size_t i = 0; i < COUNT(ks); i++)
        for (int32_t tile = 0; tile < PPI_CUDA_PRODUCT_TILES; tile++) {
            struct problem p = problem_make(&rng, (int32_t)(i % 2), 70, 70, ks[i], 0);
            uint16_t one = p.act == 0 ? ppi_f32_to_bf16(1) : ppi_f32_to_f16(1);
            for (int32_t j = 0; j < 70 * ks[i]; j++)
                p.a[j] = p.w[j] = one;
            float *got = run(&p, tile);
            for (int32_t j = 0; j < 70 * 70; j++)
                EXPECT(got[j] == (float)ks[i], "k %d, tile %d: %g ones", ks[i], tile, got[j]);
            free(got);
            problem_free(&p);
        }
}

/* A row alone, and the same row at another place among others that hold NaN and infinity. */
static void bits_do_not_depend_on_company(void)
{
    static const int32_t counts[] = {1, 3, 64, 65, 128, 129, 200, 300};
    enum { BASE = 7, N = 72, K = 136 };
    struct rng rng = rng_seeded(4);
    for (int32_t act = 0; act < PPI_CUDA_N_ACT; act++) {
        struct problem base = problem_make(&rng, act, BASE, N, K, 0);
        float *expected = run(&base, 0);
        for (size_t c = 0; c < COUNT(counts); c++)
            for (int32_t tile = 0; tile < PPI_CUDA_PRODUCT_TILES; tile++) {
                struct problem p = problem_make(&rng, act, counts[c], N, K, 0);
                int32_t *from = device_host((size_t)p.n_rows * sizeof *from);
                memcpy(p.w, base.w, (size_t)N * K * 2);
                for (int32_t row = 0; row < p.n_rows; row++) {
                    from[row] = (int32_t)rng_between(&rng, -1, BASE - 1);
                    for (int32_t i = 0; i < K && from[row] < 0; i++) /* NaN or infinity */
                        p.a[row * K + i] = row % 2 ? 0xFFFF : act == 0 ? 0x7F80 : 0x7C00;
                    if (from[row] >= 0)
                        memcpy(p.a + row * K, base.a + from[row] * K, K * 2);
                }
                float *got = run(&p, tile);
                for (int32_t row = 0; row < p.n_rows; row++)
                    EXPECT(from[row] < 0 ||
                               memcmp(got + row * N, expected + from[row] * N, N * 4) == 0,
                           "row %d of %d, tile %d: not the bits it has alone", row, p.n_rows, tile);
                free(got);
                free(from);
                problem_free(&p);
            }
        free(expected);
        problem_free(&base);
    }
}

/* More row tiles than a group has, the last group smaller. */
static void many_tiles(void)
{
    struct rng rng = rng_seeded(5);
    int32_t scale = device_is_emulated() ? 1 : 8;
    struct problem p = problem_make(&rng, 0, 1300 * scale, 150 * scale, 24 * scale, 0);
    check_kinds(&rng, &p, 3000);
    problem_free(&p);
}

static void tile_for_rows(void)
{
    EXPECT(ppi_cuda_product_tile(1) == 0, "one row runs in the tile for few");
    EXPECT(ppi_cuda_product_tile(100000) == 1, "100000 rows run in the tile for many");
    for (int32_t tile = 0; tile < PPI_CUDA_PRODUCT_TILES; tile++) {
        EXPECT(ppi_cuda_product_blocks(tile, 0, 100) == 0, "no rows, no blocks");
        EXPECT(ppi_cuda_product_blocks(tile, 1, 1) == 1, "one element, one block");
        EXPECT(ppi_cuda_product_blocks(tile, 1 << 30, 1 << 20) > (int64_t)1 << 35,
               "blocks overflow");
        for (int32_t act = 0; act < PPI_CUDA_N_ACT; act++)
            EXPECT(ppi_cuda_product[act][tile].shared_bytes <= 99 * 1024, "shared memory");
    }
}

/* Rows of a more than 2^31 elements from its start. Takes 6 GiB. */
static void rows_far_apart(void)
{
    struct rng rng = rng_seeded(6);
    size_t far = (size_t)1 << 30;
    enum { ROWS = 3, N = 40, K = 64 };
    if (device_is_emulated()) {
        printf("# rows_far_apart needs the memory of a GPU\n");
        return;
    }
    struct problem p = problem_make(&rng, 0, ROWS, N, K, 0);
    float *expected = run(&p, 0), got[ROWS * N];
    char *a = device_alloc(ROWS * far * 2);
    for (size_t row = 0; row < ROWS; row++)
        EXPECT(cudaMemcpy(a + row * far * 2, p.a + row * K, K * 2, cudaMemcpyHostToDevice) ==
                   cudaSuccess,
               "copy");
    void *w = device_upload(p.w, N * K * 2), *out = device_alloc(sizeof got);
    for (int32_t tile = 0; tile < PPI_CUDA_PRODUCT_TILES; tile++) {
        struct ppi_cuda_product_args args = {a,    w, out, (int64_t)far, K, N,
                                             ROWS, N, K,   PPI_CUDA_F32, 0, 0};
        device_launch(&ppi_cuda_product[0][tile], ppi_cuda_product_blocks(tile, ROWS, N), &args);
        device_download(got, out, sizeof got);
        EXPECT(memcmp(got, expected, sizeof got) == 0, "tile %d: other bits far away", tile);
    }
    device_free(out);
    device_free(w);
    device_free(a);
    free(expected);
    problem_free(&p);
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"edges_of_tiles", edges_of_tiles},
        {"every_k", every_k},
        {"ones_count_k", ones_count_k},
        {"bits_do_not_depend_on_company", bits_do_not_depend_on_company},
        {"many_tiles", many_tiles},
        {"tile_for_rows", tile_for_rows},
        {"rows_far_apart", rows_far_apart},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
