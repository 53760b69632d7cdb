/*
 * test_random_source.c: generated weights: a pure function of seed and place, about normal.
 */
#include "dtype.h"
#include "checkpoint/source.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct ppi_mem mem;

static struct ppi_source *open_random(int32_t dtype, uint64_t seed)
{
    pp_model_config config = {.struct_size = sizeof config};
    struct ppi_source *source = NULL;
    ck_assert_int_eq(pp_model_config_preset("tiny", &config, NULL), PP_OK);
    config.dtype = dtype;
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    ck_assert_int_eq(ppi_source_open_random(&config, seed, &mem, &source, NULL), PP_OK);
    return source;
}

static void close_random(struct ppi_source *source)
{
    ppi_source_close(source);
    ck_assert_int_eq(mem.bytes, 0);
}

/* A whole tensor of the tiny preset: at most 512 x 64. */
struct values {
    float f32[512 * 64];
};

static void read_all(const struct ppi_source *source, enum ppi_tensor tensor, int32_t layer,
                     struct values *values, int64_t n_rows, int64_t n_cols)
{
    static unsigned char raw[sizeof *values];
    int32_t dtype = ppi_source_dtype(source, tensor, layer);
    ck_assert_int_eq(ppi_source_read(source, tensor, layer, 0, n_rows, raw, NULL), PP_OK);
    ppi_to_f32(values->f32, raw, dtype, (size_t)(n_rows * n_cols));
}

START_TEST(is_deterministic)
{
    static struct values a, b;
    for (int32_t dtype = PP_DTYPE_F32; dtype <= PP_DTYPE_BF16; dtype++) {
        struct ppi_source *first = open_random(dtype, 42), *second = open_random(dtype, 42);
        read_all(first, PPI_TENSOR_EMBED, 0, &a, 512, 64);
        read_all(second, PPI_TENSOR_EMBED, 0, &b, 512, 64);
        ck_assert_int_eq(memcmp(&a, &b, sizeof a), 0);
        ppi_source_close(first);
        ppi_source_close(second);
    }
}
END_TEST

/* These bits are the promise that a random model is the same one tomorrow and elsewhere. */
START_TEST(values_are_frozen)
{
    static struct values values;
    struct ppi_source *source = open_random(PP_DTYPE_F32, 1);
    read_all(source, PPI_TENSOR_DOWN, 1, &values, 64, 176);
    uint32_t hash = 0;
    for (size_t i = 0; i < 64 * 176; i++)
        hash = hash * 31 + ppi_f32_bits(values.f32[i]);
    ck_assert_uint_eq(hash, 520734985u);
    close_random(source);
}
END_TEST

/* Rows asked for one by one, and in uneven pieces, are the rows of the whole. */
START_TEST(pieces_make_the_whole)
{
    static uint16_t whole[176 * 64], piece[176 * 64];
    struct ppi_source *source = open_random(PP_DTYPE_BF16, 7);
    ck_assert_int_eq(ppi_source_read(source, PPI_TENSOR_GATE, 1, 0, 176, whole, NULL), PP_OK);
    for (int64_t row = 0, n = 1; row < 176; row += n, n = n * 2 + 1) {
        if (n > 176 - row)
            n = 176 - row;
        ck_assert_int_eq(ppi_source_read(source, PPI_TENSOR_GATE, 1, row, n, piece, NULL), PP_OK);
        ck_assert_int_eq(memcmp(piece, whole + row * 64, (size_t)n * 64 * 2), 0);
    }
    close_random(source);
}
END_TEST

START_TEST(places_differ)
{
    static struct values q0, q1, o0, other, row;
    struct ppi_source *source = open_random(PP_DTYPE_F32, 7), *seed8 = open_random(PP_DTYPE_F32, 8);
    read_all(source, PPI_TENSOR_Q, 0, &q0, 64, 64);
    read_all(source, PPI_TENSOR_Q, 1, &q1, 64, 64);
    read_all(source, PPI_TENSOR_O, 0, &o0, 64, 64);
    read_all(seed8, PPI_TENSOR_Q, 0, &other, 64, 64);
    read_all(source, PPI_TENSOR_EMBED, 0, &row, 512, 64);
    int n_equal = 0;
    for (int i = 0; i < 64 * 64; i++)
        n_equal += (q0.f32[i] == q1.f32[i]) + (q0.f32[i] == o0.f32[i]) +
                   (q0.f32[i] == other.f32[i]) + (q0.f32[i] == row.f32[i]) +
                   (q0.f32[i] == q0.f32[(i + 64) % (64 * 64)]);
    ck_assert_int_lt(n_equal, 10); /* by chance about one value in 10^5 */
    ppi_source_close(source);
    ppi_source_close(seed8);
}
END_TEST

START_TEST(norms_are_one)
{
    static const enum ppi_tensor norms[] = {PPI_TENSOR_ATTN_NORM, PPI_TENSOR_MLP_NORM,
                                            PPI_TENSOR_FINAL_NORM};
    static struct values values;
    for (int32_t dtype = PP_DTYPE_F32; dtype <= PP_DTYPE_BF16; dtype++) {
        struct ppi_source *source = open_random(dtype, 7);
        for (size_t i = 0; i < PPI_COUNT(norms); i++) {
            read_all(source, norms[i], 1, &values, 1, 64);
            for (int j = 0; j < 64; j++)
                ck_assert(values.f32[j] == 1.0f);
        }
        close_random(source);
    }
}
END_TEST

/* Mean, deviation and tails of 32,768 values; bounds are five standard errors and more. */
START_TEST(values_are_about_normal)
{
    static struct values values;
    const int n = 512 * 64;
    for (int32_t dtype = PP_DTYPE_F32; dtype <= PP_DTYPE_BF16; dtype++) {
        struct ppi_source *source = open_random(dtype, 1234);
        read_all(source, PPI_TENSOR_EMBED, 0, &values, 512, 64);
        double sum = 0, squares = 0;
        int n_positive = 0, n_within = 0;
        for (int i = 0; i < n; i++) {
            double value = (double)values.f32[i];
            sum += value;
            squares += value * value;
            n_positive += value > 0;
            n_within += fabs(value) < 0.02;
            ck_assert(fabs(value) < 0.02 * 3.5);
        }
        ck_assert(fabs(sum / n) < 0.02 * 0.03);
        ck_assert(fabs(sqrt(squares / n) - 0.02) < 0.02 * 0.02);
        ck_assert(abs(n_positive - n / 2) < 500);
        ck_assert(fabs((double)n_within / n - 0.67) < 0.03);
        close_random(source);
    }
}
END_TEST

START_TEST(tied_heads_are_the_embedding)
{
    static uint16_t head[512 * 64], embed[512 * 64];
    pp_model_config config = {.struct_size = sizeof config};
    struct ppi_source *source;
    ck_assert_int_eq(pp_model_config_preset("tiny", &config, NULL), PP_OK);
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    for (config.tie_embeddings = 0; config.tie_embeddings < 2; config.tie_embeddings++) {
        ck_assert_int_eq(ppi_source_open_random(&config, 3, &mem, &source, NULL), PP_OK);
        ck_assert_int_eq(ppi_source_read(source, PPI_TENSOR_LM_HEAD, 0, 0, 512, head, NULL), PP_OK);
        ck_assert_int_eq(ppi_source_read(source, PPI_TENSOR_EMBED, 0, 0, 512, embed, NULL), PP_OK);
        ck_assert_int_eq(memcmp(head, embed, sizeof head) == 0, config.tie_embeddings);
        close_random(source);
    }
}
END_TEST

START_TEST(refuses_bad_configs)
{
    pp_model_config config = {.struct_size = sizeof config};
    struct ppi_source *source = NULL;
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    ck_assert_int_eq(ppi_source_open_random(&config, 3, &mem, &source, &err), PP_ERR_ARG);
    ck_assert_int_eq(pp_model_config_preset("tiny", &config, NULL), PP_OK);
    mem.limit = 64;
    ck_assert_int_eq(ppi_source_open_random(&config, 3, &mem, &source, &err), PP_ERR_NOMEM);
    ck_assert_ptr_null(source);
    ck_assert_int_eq(mem.bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random_source");
    TCase *values = tcase_create("values");
    tcase_set_timeout(values, 60);
    tcase_add_test(values, is_deterministic);
    tcase_add_test(values, values_are_frozen);
    tcase_add_test(values, pieces_make_the_whole);
    tcase_add_test(values, places_differ);
    tcase_add_test(values, norms_are_one);
    tcase_add_test(values, values_are_about_normal);
    tcase_add_test(values, tied_heads_are_the_embedding);
    tcase_add_test(values, refuses_bad_configs);
    suite_add_tcase(suite, values);
    return tap_run(suite, CK_FORK);
}
