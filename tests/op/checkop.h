/*
 * checkop.h: what the tests of the CPU's operations share. Every operation is compared with a
 * straight computation in double precision, for every kernel set of this machine and both dtypes,
 * and its bits are compared between numbers of rows, positions, companies and threads.
 */
#ifndef TEST_CHECKOP_H
#define TEST_CHECKOP_H

#include "backend.h"
#include "cpu/cpu.h"
#include "dtype.h"
#include "support/rng.h"

#include <check.h>

/* ck_assert_msg for every element: that one writes a note to a pipe even when it holds. */
#define EXPECT(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

/* Shapes of attention; {1, 1, 64} where they do not matter. */
struct shape {
    int32_t n_heads, n_kv_heads, head_dim, n_layers;
};

extern struct ppi_mem checkop_mem;
extern const struct shape checkop_any_shape;

/* Where the layers of every context are: two in the first class of pages, one in the second. */
#define CHECKOP_MAX_LAYERS 3
extern const struct ppi_layer_place checkop_places[CHECKOP_MAX_LAYERS];

/* The i-th kernel set of this machine, or NULL. */
const char *checkop_variant(int i);
struct ppi_backend *checkop_open(const char *variant, int32_t dtype, int32_t n_threads,
                                 struct shape shape);
struct ppi_backend *checkop_open_linear(const char *variant, int32_t dtype, int32_t n_threads,
                                        const struct ppi_linear_shape *linear);

/* The parameters that checkop_open takes, to be changed and opened. */
struct ppi_backend_params checkop_params(const char *variant, int32_t dtype, int32_t n_threads,
                                         struct shape shape);
struct ppi_backend *checkop_open_params(const struct ppi_backend_params *params);

/* n act values: random, mean 0; NaN; as double. */
void *checkop_random(struct rng *rng, int32_t dtype, size_t n, double deviation);
double checkop_get(int32_t dtype, const void *x, size_t i);

/* malloc that fails the test instead of returning NULL. */
void *checkop_alloc(size_t count, size_t size);

/* Runs `body` for every kernel set and both dtypes. */
#define FOR_EACH_KERNEL_SET(variant, dtype)                                                        \
    for (int set_ = 0; checkop_variant(set_ / 2); set_++)                                          \
        for (const char *variant = checkop_variant(set_ / 2); variant; variant = NULL)             \
            for (int32_t dtype = set_ % 2 ? PP_DTYPE_BF16 : PP_DTYPE_F32; dtype; dtype = 0)

/* The test case "values" of a suite is what an emulated processor runs in every suite
 * (tests/cross/run.sh): some seconds of it. */
Suite *checkop_products_suite(void);
Suite *checkop_experts_suite(void);
Suite *checkop_norms_suite(void);
Suite *checkop_packed_suite(void);
Suite *checkop_rows_suite(void);
Suite *checkop_rope_suite(void);
Suite *checkop_route_suite(void);
Suite *checkop_kv_suite(void);
Suite *checkop_attention_suite(void);
Suite *checkop_shapes_suite(void);
Suite *checkop_shared_keys_suite(void);
Suite *checkop_sample_suite(void);
Suite *checkop_draw_suite(void);
Suite *checkop_score_suite(void);
Suite *checkop_linear_suite(void);
Suite *checkop_linear_bits_suite(void);
Suite *checkop_gates_suite(void);
Suite *checkop_amx_suite(void);

#endif
