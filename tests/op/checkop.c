/*
 * checkop.c: runs the tests of the CPU's operations.
 */
#include "checkop.h"

#include <string.h>

struct ppi_mem checkop_mem;
const struct shape checkop_any_shape = {1, 1, 64, 1};
const struct ppi_layer_place checkop_places[CHECKOP_MAX_LAYERS] = {{0, 0}, {1, 0}, {0, 1}};

const char *checkop_variant(int i)
{
    const struct ppi_cpu_variant *variant = ppi_cpu_variant_at(i);
    return variant ? variant->name : NULL;
}

struct ppi_backend_params checkop_params(const char *variant, int32_t dtype, int32_t n_threads,
                                         struct shape shape)
{
    struct ppi_backend_params params = {
        .variant = variant,
        .mem = &checkop_mem,
        .dtype = dtype,
        .n_threads = n_threads,
        .n_heads = shape.n_heads,
        .n_layers = shape.n_layers,
        .places = checkop_places,
        .n_page_classes = 2,
    };
    for (int32_t c = 0; c < params.n_page_classes; c++) {
        params.classes[c].n_kv_heads = shape.n_kv_heads;
        params.classes[c].head_dim = shape.head_dim;
    }
    for (int32_t layer = 0; layer < shape.n_layers; layer++)
        params.classes[checkop_places[layer].page_class].n_layers++;
    return params;
}

struct ppi_backend *checkop_open_params(const struct ppi_backend_params *params)
{
    pp_error err = {.struct_size = sizeof err};
    struct ppi_backend *backend = NULL;
    ck_assert_msg(ppi_cpu_ops.open(params, &backend, &err) == PP_OK, "%s", err.message);
    return backend;
}

struct ppi_backend *checkop_open(const char *variant, int32_t dtype, int32_t n_threads,
                                 struct shape shape)
{
    struct ppi_backend_params params = checkop_params(variant, dtype, n_threads, shape);
    return checkop_open_params(&params);
}

struct ppi_backend *checkop_open_linear(const char *variant, int32_t dtype, int32_t n_threads,
                                        const struct ppi_linear_shape *linear)
{
    struct ppi_backend_params params = checkop_params(variant, dtype, n_threads, checkop_any_shape);
    params.linear = linear;
    return checkop_open_params(&params);
}

void *checkop_alloc(size_t count, size_t size)
{
    void *memory = aligned_alloc(64, (count * size + 127) & ~(size_t)63);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

void *checkop_random(struct rng *rng, int32_t dtype, size_t n, double deviation)
{
    void *x = checkop_alloc(n, pp_dtype_size(dtype));
    for (size_t i = 0; i < n; i++) {
        float value = (float)(rng_normal(rng) * deviation);
        if (dtype == PP_DTYPE_F32)
            ((float *)x)[i] = value;
        else if (dtype == PP_DTYPE_F16)
            ((uint16_t *)x)[i] = ppi_f32_to_f16(value);
        else
            ((uint16_t *)x)[i] = ppi_f32_to_bf16(value);
    }
    return x;
}

double checkop_get(int32_t dtype, const void *x, size_t i)
{
    if (dtype == PP_DTYPE_F32)
        return ((const float *)x)[i];
    if (dtype == PP_DTYPE_F16)
        return ppi_f16_to_f32(((const uint16_t *)x)[i]);
    return ppi_bf16_to_f32(((const uint16_t *)x)[i]);
}

static void check_unknown_variant(void)
{
    struct ppi_backend_params params = {
        .variant = "vax",
        .mem = &checkop_mem,
        .dtype = PP_DTYPE_F32,
        .n_threads = 1,
        .n_heads = 1,
        .n_layers = 1,
        .places = checkop_places,
        .n_page_classes = 1,
        .classes = {{.n_kv_heads = 1, .head_dim = 64, .n_layers = 1}}};
    pp_error err = {.struct_size = sizeof err};
    struct ppi_backend *backend = NULL;
    ck_assert_int_eq(ppi_cpu_ops.open(&params, &backend, &err), PP_ERR_NO_BACKEND);
    ck_assert_ptr_null(backend);
    ck_assert_ptr_nonnull(strstr(err.message, "ref"));
}

START_TEST(unknown_variant_names_the_known)
{
    check_unknown_variant();
}
END_TEST

START_TEST(memory_comes_back)
{
    ck_assert_int_eq(atomic_load(&checkop_mem.bytes), 0);
}
END_TEST

static Suite *open_suite(void)
{
    Suite *suite = suite_create("open");
    TCase *tcase = tcase_create("open");
    tcase_add_test(tcase, unknown_variant_names_the_known);
    suite_add_tcase(suite, tcase);
    return suite;
}

static Suite *close_suite(void)
{
    Suite *suite = suite_create("close");
    TCase *tcase = tcase_create("close");
    tcase_add_test(tcase, memory_comes_back);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    ppi_mem_init(&checkop_mem, NULL, 0, NULL);
    SRunner *runner = srunner_create(open_suite());
    srunner_add_suite(runner, checkop_products_suite());
    srunner_add_suite(runner, checkop_experts_suite());
    srunner_add_suite(runner, checkop_norms_suite());
    srunner_add_suite(runner, checkop_packed_suite());
    srunner_add_suite(runner, checkop_rows_suite());
    srunner_add_suite(runner, checkop_rope_suite());
    srunner_add_suite(runner, checkop_route_suite());
    srunner_add_suite(runner, checkop_kv_suite());
    srunner_add_suite(runner, checkop_attention_suite());
    srunner_add_suite(runner, checkop_shapes_suite());
    srunner_add_suite(runner, checkop_shared_keys_suite());
    srunner_add_suite(runner, checkop_sample_suite());
    srunner_add_suite(runner, checkop_draw_suite());
    srunner_add_suite(runner, checkop_score_suite());
    srunner_add_suite(runner, checkop_linear_suite());
    srunner_add_suite(runner, checkop_linear_bits_suite());
    srunner_add_suite(runner, checkop_gates_suite());
#if defined(HAVE_TILES)
    if (ppi_cpu_variant_at(1)) /* the vectors that the tiles are compiled with */
        srunner_add_suite(runner, checkop_amx_suite());
#endif
    srunner_add_suite(runner, close_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? 1 : 0;
}
