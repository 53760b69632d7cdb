/*
 * op_kv.c: kv_write and kv_read against plain arrays: ranges of any layout and dtype, written over
 * one another, leave what they do not name as it was; every element lies where kv_layout says.
 */
#include "checkop.h"

#include <prepack/kvcache.h>

#include <string.h>

#define N_TOKENS 75
#define N_PAGES  (N_TOKENS / PPI_CPU_PAGE + 1)
#define N_LAYERS CHECKOP_MAX_LAYERS
#define N_HEADS  3
#define MAX_DIM  512

struct state {
    struct ppi_backend *backend;
    const char *variant;
    int32_t dtype, head_dim;
    size_t act_bytes, n_elements;   /* of a layer's keys or values */
    char *expected[N_LAYERS][2];    /* act [N_TOKENS, N_HEADS, head_dim] */
    void *pages[N_LAYERS][N_PAGES]; /* of the layer's class */
    size_t page_bytes[N_LAYERS];
};

static struct state make_state(const char *variant, int32_t dtype, int32_t head_dim)
{
    struct shape shape = {N_HEADS, N_HEADS, head_dim, N_LAYERS};
    struct state state = {.backend = checkop_open(variant, dtype, 3, shape),
                          .variant = variant,
                          .dtype = dtype,
                          .head_dim = head_dim,
                          .act_bytes = pp_dtype_size(dtype),
                          .n_elements = (size_t)(N_TOKENS * N_HEADS * head_dim)};
    struct ppi_backend_info info;
    ppi_cpu_ops.get_info(state.backend, &info);
    for (int32_t layer = 0; layer < N_LAYERS; layer++) {
        int32_t page_class = checkop_places[layer].page_class, first = layer;
        for (int32_t i = 0; i < layer; i++)
            if (checkop_places[i].page_class == page_class)
                first = i;
        state.page_bytes[layer] = (size_t)info.page_bytes[page_class];
        for (int32_t i = 0; i < N_PAGES; i++) {
            state.pages[layer][i] =
                first < layer ? state.pages[first][i] : checkop_alloc(1, state.page_bytes[layer]);
            memset(state.pages[layer][i], 0, state.page_bytes[layer]);
        }
        for (int which = 0; which < 2; which++) {
            state.expected[layer][which] = checkop_alloc(state.n_elements, state.act_bytes);
            memset(state.expected[layer][which], 0, state.n_elements * state.act_bytes);
        }
    }
    return state;
}

static void free_state(struct state *state)
{
    for (int32_t layer = 0; layer < N_LAYERS; layer++) {
        bool own = true;
        for (int32_t i = 0; i < layer; i++)
            own = own && state->pages[i][0] != state->pages[layer][0];
        for (int32_t i = 0; own && i < N_PAGES; i++)
            free(state->pages[layer][i]);
        free(state->expected[layer][0]);
        free(state->expected[layer][1]);
    }
    ppi_cpu_ops.close(state->backend);
}

/* A range of tokens of one layer as a host has it. */
struct range {
    int32_t layer, which, layout, dtype, first, n;
};

static struct range draw_range(struct rng *rng, const struct state *state)
{
    struct range range = {.layer = (int32_t)rng_between(rng, 0, N_LAYERS - 1),
                          .which = (int32_t)rng_between(rng, 0, 1),
                          .layout = (int32_t)rng_between(rng, PP_KV_NHD, PP_KV_HND),
                          .dtype = rng_between(rng, 0, 1) ? PP_DTYPE_F32 : state->dtype,
                          .first = (int32_t)rng_between(rng, 0, N_TOKENS - 1)};
    range.n = (int32_t)rng_between(rng, 0, N_TOKENS - range.first);
    return range;
}

/* Element i of a range's array in the layer's: token, head, element. */
static size_t expected_index(const struct state *state, const struct range *r, size_t i)
{
    size_t d = i % (size_t)state->head_dim, row = i / (size_t)state->head_dim, n = (size_t)r->n;
    size_t token = r->layout == PP_KV_HND ? row % n : row / N_HEADS;
    size_t head = r->layout == PP_KV_HND ? row / n : row % N_HEADS;
    return (((size_t)r->first + token) * N_HEADS + head) * (size_t)state->head_dim + d;
}

static void set_expected(struct state *state, const struct range *r, const void *src)
{
    char *expected = state->expected[r->layer][r->which];
    for (size_t i = 0; i < (size_t)(r->n * N_HEADS * state->head_dim); i++) {
        char *to = expected + expected_index(state, r, i) * state->act_bytes;
        if (r->dtype == state->dtype) {
            memcpy(to, (const char *)src + i * state->act_bytes, state->act_bytes);
        } else {
            uint16_t narrow = ppi_f32_to_bf16(((const float *)src)[i]);
            memcpy(to, &narrow, sizeof narrow);
        }
    }
}

static void write_range(struct rng *rng, struct state *state, const struct range *r)
{
    void *src = checkop_random(rng, r->dtype, (size_t)(r->n * N_HEADS * state->head_dim) + 1, 1);
    set_expected(state, r, src);
    ppi_cpu_ops.kv_write(state->backend, state->pages[r->layer], r->first, r->n, r->layer, r->which,
                         r->layout, r->dtype, src, NULL);
    free(src);
}

static void check_read(struct state *state, const struct range *r)
{
    size_t n = (size_t)(r->n * N_HEADS * state->head_dim);
    void *dst = checkop_alloc(n + 1, pp_dtype_size(r->dtype));
    const char *expected = state->expected[r->layer][r->which];
    ppi_cpu_ops.kv_read(state->backend, state->pages[r->layer], r->first, r->n, r->layer, r->which,
                        r->layout, r->dtype, dst, NULL);
    for (size_t i = 0; i < n; i++) {
        size_t at = expected_index(state, r, i);
        double want = checkop_get(state->dtype, expected, at), got = checkop_get(r->dtype, dst, i);
        EXPECT(want == got,
               "%s dtype %d head_dim %d: layer %d %s tokens %d + %d layout %d dtype %d: element "
               "%zu is %g, expected %g",
               state->variant, state->dtype, state->head_dim, r->layer, r->which ? "V" : "K",
               r->first, r->n, r->layout, r->dtype, i, got, want);
    }
    free(dst);
}

/* Every element of every layer by the formula of ppi_kv_layout. */
static void check_layout(const struct state *state)
{
    for (int32_t layer = 0; layer < N_LAYERS; layer++)
        for (int32_t which = PP_KV_K; which <= PP_KV_V; which++) {
            struct ppi_kv_layout at;
            ppi_cpu_ops.kv_layout(state->backend, layer, which, &at);
            for (int32_t t = 0; t < N_TOKENS; t++)
                for (int32_t h = 0; h < N_HEADS; h++)
                    for (int32_t d = 0; d < state->head_dim; d++) {
                        int32_t slot = t % PPI_CPU_PAGE;
                        int64_t element = h * at.head_stride +
                                          slot / at.slot_group * at.slot_stride +
                                          slot % at.slot_group + d / at.dim_group * at.dim_stride +
                                          d % at.dim_group;
                        const char *page = state->pages[layer][t / PPI_CPU_PAGE];
                        double got = checkop_get(state->dtype, page + at.offset, (size_t)element);
                        double want =
                            checkop_get(state->dtype, state->expected[layer][which],
                                        (size_t)((t * N_HEADS + h) * state->head_dim + d));
                        EXPECT(got == want,
                               "dtype %d head_dim %d layer %d which %d token %d head %d element "
                               "%d: %g where kv_layout says, expected %g",
                               state->dtype, state->head_dim, layer, which, t, h, d, got, want);
                    }
        }
}

START_TEST(kv_ranges)
{
    static const int32_t head_dims[] = {2, 20, 64, 80, 128, MAX_DIM};
    struct rng rng = rng_seeded(38);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(head_dims); i++) {
        struct state state = make_state(variant, dtype, head_dims[i]);
        for (int round = 0; round < 24; round++) {
            struct range range = draw_range(&rng, &state);
            write_range(&rng, &state, &range);
            range = draw_range(&rng, &state);
            check_read(&state, &range);
        }
        for (int32_t layer = 0; layer < N_LAYERS; layer++)
            for (int32_t which = PP_KV_K; which <= PP_KV_V; which++)
                check_read(&state, &(struct range){layer, which, PP_KV_NHD, dtype, 0, N_TOKENS});
        check_layout(&state);
        free_state(&state);
    }
}
END_TEST

/* NaN and infinities are bits like others; what is wider rounds to nearest even. */
START_TEST(kv_rounding)
{
    static const float wide[] = {1.00390625F,  1.01171875F, -3.0e38F, 3.4e38F,
                                 (float)1e-40, 0.0F,        -0.0F,    1.0F};
    struct state state = make_state("ref", PP_DTYPE_BF16, 2);
    float src[N_HEADS * 2 * 2], got[N_HEADS * 2 * 2];
    for (size_t i = 0; i < PPI_COUNT(src); i++)
        src[i] = wide[i % PPI_COUNT(wide)];
    struct range range = {1, PP_KV_V, PP_KV_NHD, PP_DTYPE_F32, 6, 2};
    ppi_cpu_ops.kv_write(state.backend, state.pages[1], 6, 2, 1, PP_KV_V, PP_KV_NHD, PP_DTYPE_F32,
                         src, NULL);
    set_expected(&state, &range, src);
    check_read(&state, &range);
    ppi_cpu_ops.kv_read(state.backend, state.pages[1], 6, 2, 1, PP_KV_V, PP_KV_NHD, PP_DTYPE_F32,
                        got, NULL);
    ck_assert(got[0] == 1.0F && got[1] == 1.015625F); /* ties to the even neighbour */
    ck_assert(got[3] > 3.4e38F);                      /* beyond the largest: infinity */
    free_state(&state);
}
END_TEST

Suite *checkop_kv_suite(void)
{
    Suite *suite = suite_create("kv");
    TCase *tcase = tcase_create("kv");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, kv_ranges);
    tcase_add_test(tcase, kv_rounding);
    suite_add_tcase(suite, tcase);
    return suite;
}
