/*
 * op_shapes.c: layers whose heads differ in number and size. What rope_kv, attention and kv_read
 * give in a context of two shapes has the bits that it has in a context of that shape alone, and
 * where another layer has written the keys (q_only) queries have the same bits and no page changes.
 */
#include "checkop.h"

#include <prepack/kvcache.h>

#include <string.h>

#define N_TOKENS 70
#define N_PAGES  (N_TOKENS / PPI_CPU_PAGE + 1)
#define N_HEADS  8
#define WINDOW   20 /* of the second class */

/* Two layers of a shape each, the second of either class. */
static const struct ppi_layer_place PLACES[] = {{0, 0}, {1, 0}, {1, 1}, {0, 1}};
static const int32_t LAYERS[] = {3, 2}; /* that are looked at, of each class */
#define N_LAYERS 4

struct pair {
    struct ppi_kv_class shapes[2];
};

static const struct pair PAIRS[] = {
    {{{0, 1, 512, 2}, {WINDOW, 1, 256, 2}}},
    {{{0, 2, 32, 2}, {WINDOW, 4, 16, 2}}},
    {{{0, 8, 20, 2}, {WINDOW, 1, 80, 2}}},
};

static struct ppi_backend *open_with(const char *variant, int32_t dtype, const struct pair *pair,
                                     int only)
{
    struct ppi_backend_params params = {.variant = variant,
                                        .mem = &checkop_mem,
                                        .dtype = dtype,
                                        .n_threads = 2,
                                        .n_heads = N_HEADS,
                                        .n_layers = N_LAYERS,
                                        .places = PLACES,
                                        .n_page_classes = 2};
    for (int c = 0; c < 2; c++)
        params.classes[c] = pair->shapes[only < 0 ? c : only];
    pp_error err = {.struct_size = sizeof err};
    struct ppi_backend *backend = NULL;
    ck_assert_msg(ppi_cpu_ops.open(&params, &backend, &err) == PP_OK, "%s", err.message);
    return backend;
}

/* What a layer gives, and its pages. */
struct result {
    char *q, *out;
    size_t q_bytes;
    float *kv; /* keys, then values */
    size_t kv_bytes;
    char *pages[N_PAGES];
    size_t page_bytes;
};

static void free_result(struct result *result)
{
    free(result->q);
    free(result->out);
    free(result->kv);
    for (int i = 0; i < N_PAGES; i++)
        free(result->pages[i]);
}

/* Pages of the layer's class alone; those of the other must not be asked for. */
static struct ppi_pass make_pass(const struct ppi_segment *segment, struct result *result,
                                 int page_class)
{
    struct ppi_pass pass = {
        .n_rows = N_TOKENS, .n_segments = 1, .segments = segment, .n_pages = N_PAGES};
    pass.pages[page_class] = (void *const *)(void *)result->pages;
    return pass;
}

static struct result run_layer(struct ppi_backend *backend, const struct ppi_kv_class *shape,
                               int page_class, int32_t dtype, const float *qkv, const float *angles)
{
    int32_t layer = LAYERS[page_class];
    struct ppi_backend_info info;
    ppi_cpu_ops.get_info(backend, &info);
    size_t head = (size_t)shape->head_dim, kv = N_TOKENS * (size_t)shape->n_kv_heads * head;
    struct result r = {.q_bytes = N_TOKENS * N_HEADS * head * pp_dtype_size(dtype),
                       .kv_bytes = 2 * kv * sizeof(float),
                       .page_bytes = (size_t)info.page_bytes[page_class]};
    const struct ppi_segment segment = {.n_rows = N_TOKENS};
    const struct ppi_rope rope = {.layer = layer, .rotary_dim = 8, .angles = angles};
    const struct ppi_attention attention = {layer, shape->window, 0.3f, 0, NULL};
    r.q = checkop_alloc(1, r.q_bytes);
    r.out = checkop_alloc(1, r.q_bytes);
    r.kv = checkop_alloc(1, r.kv_bytes);
    for (int i = 0; i < N_PAGES; i++) {
        r.pages[i] = checkop_alloc(1, r.page_bytes);
        memset(r.pages[i], 0xff, r.page_bytes);
    }
    struct ppi_pass pass = make_pass(&segment, &r, page_class);
    ppi_cpu_ops.rope_kv(backend, &pass, &rope, qkv, r.q, NULL);
    ppi_cpu_ops.attention(backend, &pass, &attention, r.q, r.out, NULL);
    for (int which = PP_KV_K; which <= PP_KV_V; which++)
        ppi_cpu_ops.kv_read(backend, pass.pages[page_class], 0, N_TOKENS, layer, which, PP_KV_NHD,
                            PP_DTYPE_F32, r.kv + (which == PP_KV_V ? kv : 0), NULL);
    return r;
}

/* The rows of q among those of q, k and v. */
static float *take_queries(const struct ppi_kv_class *shape, const float *qkv)
{
    size_t q = (size_t)(N_HEADS * shape->head_dim),
           row = q + 2 * (size_t)(shape->n_kv_heads * shape->head_dim);
    float *rows = checkop_alloc(N_TOKENS * q, sizeof *rows);
    for (size_t t = 0; t < N_TOKENS; t++)
        memcpy(rows + t * q, qkv + t * row, q * sizeof *rows);
    return rows;
}

static void check_q_only(struct ppi_backend *backend, const struct ppi_kv_class *shape,
                         int page_class, const float *qkv, const float *angles,
                         struct result *result)
{
    const struct ppi_segment segment = {.n_rows = N_TOKENS};
    const struct ppi_rope rope = {
        .layer = LAYERS[page_class], .rotary_dim = 8, .angles = angles, .q_only = true};
    float *rows = take_queries(shape, qkv);
    char *q = checkop_alloc(1, result->q_bytes), *before = checkop_alloc(1, result->page_bytes);
    memcpy(before, result->pages[1], result->page_bytes);
    struct ppi_pass pass = make_pass(&segment, result, page_class);
    ppi_cpu_ops.rope_kv(backend, &pass, &rope, rows, q, NULL);
    ck_assert(memcmp(q, result->q, result->q_bytes) == 0);
    ck_assert(memcmp(before, result->pages[1], result->page_bytes) == 0);
    free(before);
    free(q);
    free(rows);
}

static void check_class(const char *variant, int32_t dtype, const struct pair *pair, int page_class,
                        struct rng *rng)
{
    const struct ppi_kv_class *shape = &pair->shapes[page_class];
    struct ppi_backend *both = open_with(variant, dtype, pair, -1),
                       *alone = open_with(variant, dtype, pair, page_class);
    size_t row = (size_t)((N_HEADS + 2 * shape->n_kv_heads) * shape->head_dim);
    float *qkv = checkop_random(rng, PP_DTYPE_F32, N_TOKENS * row, 1);
    float *angles = checkop_random(rng, PP_DTYPE_F32, N_TOKENS * 8, 0.8);
    struct result got = run_layer(both, shape, page_class, dtype, qkv, angles),
                  expected = run_layer(alone, shape, page_class, dtype, qkv, angles);
    ck_assert_uint_eq(got.page_bytes, expected.page_bytes);
    EXPECT(memcmp(got.q, expected.q, got.q_bytes) == 0 &&
               memcmp(got.out, expected.out, got.q_bytes) == 0 &&
               memcmp(got.kv, expected.kv, got.kv_bytes) == 0,
           "%s dtype %d: heads %d of %d have other bits beside others", variant, dtype,
           shape->n_kv_heads, shape->head_dim);
    check_q_only(both, shape, page_class, qkv, angles, &got);
    free_result(&got);
    free_result(&expected);
    free(qkv);
    free(angles);
    ppi_cpu_ops.close(both);
    ppi_cpu_ops.close(alone);
}

START_TEST(bits_of_each_shape)
{
    struct rng rng = rng_seeded(41);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(PAIRS); i++)
        for (int c = 0; c < 2; c++)
            check_class(variant, dtype, &PAIRS[i], c, &rng);
}
END_TEST

Suite *checkop_shapes_suite(void)
{
    Suite *suite = suite_create("shapes");
    TCase *tcase = tcase_create("shapes");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, bits_of_each_shape);
    suite_add_tcase(suite, tcase);
    return suite;
}
