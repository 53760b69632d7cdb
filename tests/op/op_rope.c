/*
 * op_rope.c: rope_kv into pages of two classes, and kv_read of ranges out of them. Angles are rows
 * of random numbers that begin at another row than the prompt at its position, so nothing but the
 * row that a segment names gives the right ones.
 *
 * Tolerance: two products, a sum and a scale round, then half a unit of 2^-8 in bf16.
 */
#include "checkop.h"

#include <prepack/kvcache.h>

#include <math.h>
#include <string.h>

#define N_TOKENS  75
#define N_PAGES   (N_TOKENS / PPI_CPU_PAGE + 1)
#define ROPE_ROW  9 /* of position 0 */
#define N_LAYERS  CHECKOP_MAX_LAYERS
#define N_CLASSES 2

struct rope_case {
    int32_t head_dim, rotary_dim;
    bool interleaved, has_q_scale;
};

static const struct rope_case cases[] = {
    {2, 2, false, false},    {2, 2, true, true},     {64, 64, false, false},
    {64, 64, true, false},   {64, 16, false, true},  {80, 32, false, false},
    {80, 20, true, true},    {96, 0, false, false},  {128, 64, true, false},
    {20, 0, false, true},    {192, 64, true, false}, {256, 64, false, false},
    {512, 512, false, true}, {512, 6, true, false},
};

/* Three layers of one prompt: what went in, what came out, and the pages. */
struct state {
    const struct rope_case *c;
    const char *variant;
    int32_t dtype;
    struct shape shape;
    float *qkv[N_LAYERS]; /* [N_TOKENS, qkv_dim] */
    float *angles, *q_scale;
    char *q[N_LAYERS];
    void *pages[N_CLASSES][N_PAGES];
};

static int64_t qkv_dim(const struct state *state)
{
    const struct shape *shape = &state->shape;
    return (int64_t)(shape->n_heads + 2 * shape->n_kv_heads) * shape->head_dim;
}

static size_t q_row_bytes(const struct state *state)
{
    return (size_t)(state->shape.n_heads * state->shape.head_dim) * pp_dtype_size(state->dtype);
}

static struct state make_state(struct rng *rng, const struct rope_case *c, const char *variant,
                               int32_t dtype)
{
    struct state state = {.c = c,
                          .variant = variant,
                          .dtype = dtype,
                          .shape = {2, c->rotary_dim % 3 ? 2 : 1, c->head_dim, N_LAYERS}};
    int64_t n_rows = ROPE_ROW + N_TOKENS;
    state.angles = checkop_random(rng, PP_DTYPE_F32, (size_t)(n_rows * (c->rotary_dim + 1)), 0.8);
    state.q_scale = checkop_random(rng, PP_DTYPE_F32, (size_t)n_rows, 1);
    for (int layer = 0; layer < N_LAYERS; layer++) {
        state.qkv[layer] =
            checkop_random(rng, PP_DTYPE_F32, (size_t)(N_TOKENS * qkv_dim(&state)), 1.5);
        state.q[layer] = checkop_alloc(N_TOKENS, q_row_bytes(&state));
    }
    return state;
}

static void free_state(struct state *state)
{
    for (int layer = 0; layer < N_LAYERS; layer++) {
        free(state->qkv[layer]);
        free(state->q[layer]);
    }
    for (int c = 0; c < N_CLASSES; c++)
        for (int i = 0; i < N_PAGES; i++)
            free(state->pages[c][i]);
    free(state->angles);
    free(state->q_scale);
}

static void poison(struct state *state, struct ppi_backend *backend)
{
    struct ppi_backend_info info;
    ppi_cpu_ops.get_info(backend, &info);
    ck_assert_int_eq(info.page_bytes[0], 2 * info.page_bytes[1]); /* layers of the classes */
    for (int c = 0; c < N_CLASSES; c++)
        for (int i = 0; i < N_PAGES; i++) {
            if (!state->pages[c][i])
                state->pages[c][i] = checkop_alloc(1, (size_t)info.page_bytes[c]);
            memset(state->pages[c][i], 0xff, (size_t)info.page_bytes[c]);
        }
}

/* Tokens [first, end) through all layers. */
static void run_tokens(struct state *state, struct ppi_backend *backend, int32_t first, int32_t end)
{
    struct ppi_segment segment = {
        .n_rows = end - first, .position = first, .rope_row = ROPE_ROW + first};
    struct ppi_pass pass = {.n_rows = end - first,
                            .n_segments = 1,
                            .segments = &segment,
                            .pages = {state->pages[0], state->pages[1]},
                            .n_pages = N_PAGES};
    for (int32_t layer = 0; layer < N_LAYERS; layer++) {
        const struct ppi_rope rope = {.layer = layer,
                                      .rotary_dim = state->c->rotary_dim,
                                      .interleaved = state->c->interleaved,
                                      .angles = state->c->rotary_dim > 0 ? state->angles : NULL,
                                      .q_scale = state->c->has_q_scale ? state->q_scale : NULL};
        ppi_cpu_ops.rope_kv(backend, &pass, &rope, state->qkv[layer] + first * qkv_dim(state),
                            state->q[layer] + (size_t)first * q_row_bytes(state), NULL);
    }
}

/* Element d of head `head` of a row of qkv: rotated, or for values as it is. */
static double expected_element(const struct state *state, int32_t layer, int32_t token,
                               int32_t head, int32_t d)
{
    const struct rope_case *c = state->c;
    const float *x =
        state->qkv[layer] + token * qkv_dim(state) + (int64_t)head * state->shape.head_dim;
    int32_t half = c->rotary_dim / 2;
    const float *cosine = state->angles + (int64_t)(ROPE_ROW + token) * c->rotary_dim;
    double value = x[d];
    bool is_value = head >= state->shape.n_heads + state->shape.n_kv_heads;
    if (!is_value && d < c->rotary_dim) {
        int32_t pair = c->interleaved ? d / 2 : d % half;
        bool second = c->interleaved ? d % 2 : d >= half;
        int32_t other = c->interleaved ? d ^ 1 : second ? d - half : d + half;
        double sine = cosine[half + pair];
        value = x[d] * (double)cosine[pair] + x[other] * (second ? sine : -sine);
    }
    if (head < state->shape.n_heads && c->has_q_scale)
        value *= state->q_scale[ROPE_ROW + token];
    return value;
}

static void check_element(const struct state *state, double got, int32_t layer, int32_t token,
                          int32_t head, int32_t d)
{
    double expected = expected_element(state, layer, token, head, d);
    double unit = state->dtype == PP_DTYPE_BF16 ? 0x1p-8 : 0;
    EXPECT(fabs(got - expected) <= unit * fabs(expected) + 4e-6,
           "%s dtype %d head_dim %d rotary_dim %d interleaved %d: layer %d token %d head %d "
           "element %d: %.9g, expected %.9g",
           state->variant, state->dtype, state->c->head_dim, state->c->rotary_dim,
           state->c->interleaved, layer, token, head, d, got, expected);
}

static void check_q(const struct state *state)
{
    int32_t head_dim = state->shape.head_dim, n_heads = state->shape.n_heads;
    for (int32_t layer = 0; layer < N_LAYERS; layer++)
        for (int32_t i = 0; i < N_TOKENS * n_heads * head_dim; i++)
            check_element(state, checkop_get(state->dtype, state->q[layer], (size_t)i), layer,
                          i / (n_heads * head_dim), i / head_dim % n_heads, i % head_dim);
}

/* Positions [first, first + n) of every layer, as they are read. */
static void check_range(const struct state *state, struct ppi_backend *backend, int32_t first,
                        int32_t n, int32_t layout, int32_t dst_dtype)
{
    int32_t head_dim = state->shape.head_dim, n_heads = state->shape.n_kv_heads;
    size_t count = (size_t)(n * n_heads * head_dim);
    void *dst = checkop_alloc(count, sizeof(float));
    for (int32_t layer = 0; layer < N_LAYERS; layer++)
        for (int32_t which = PP_KV_K; which <= PP_KV_V; which++) {
            ppi_cpu_ops.kv_read(backend, state->pages[checkop_places[layer].page_class], first, n,
                                layer, which, layout, dst_dtype, dst, NULL);
            for (int32_t i = 0; i < (int32_t)count; i++) {
                int32_t token = layout == PP_KV_HND ? i / head_dim % n : i / head_dim / n_heads;
                int32_t head = layout == PP_KV_HND ? i / head_dim / n : i / head_dim % n_heads;
                head += state->shape.n_heads + (which == PP_KV_V ? n_heads : 0);
                check_element(state, checkop_get(dst_dtype, dst, (size_t)i), layer, first + token,
                              head, i % head_dim);
            }
        }
    free(dst);
}

START_TEST(rope_values)
{
    struct rng rng = rng_seeded(36);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        struct state state = make_state(&rng, &cases[i], variant, dtype);
        struct ppi_backend *backend = checkop_open(variant, dtype, 2, state.shape);
        poison(&state, backend);
        run_tokens(&state, backend, 0, N_TOKENS);
        check_q(&state);
        check_range(&state, backend, 0, N_TOKENS, PP_KV_NHD, PP_DTYPE_F32);
        check_range(&state, backend, 0, N_TOKENS, PP_KV_NHD, dtype);
        check_range(&state, backend, 17, 40, PP_KV_HND, PP_DTYPE_F32);
        check_range(&state, backend, 31, 2, PP_KV_NHD, PP_DTYPE_F32);
        check_range(&state, backend, N_TOKENS - 1, 1, PP_KV_HND, dtype);
        free_state(&state);
        ppi_cpu_ops.close(backend);
    }
}
END_TEST

/* In pieces and on any number of threads: the bits of the whole. */
START_TEST(rope_bits)
{
    struct rng rng = rng_seeded(37);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        struct state state = make_state(&rng, &cases[i], variant, dtype);
        size_t q_bytes = N_TOKENS * q_row_bytes(&state);
        size_t kv_count = (size_t)(N_TOKENS * state.shape.n_kv_heads * state.shape.head_dim);
        char *q = checkop_alloc(1, q_bytes);
        float *kv = checkop_alloc(2 * kv_count, sizeof *kv);
        for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
            struct ppi_backend *backend = checkop_open(variant, dtype, n_threads, state.shape);
            poison(&state, backend);
            for (int32_t first = 0, end; first < N_TOKENS; first = end) {
                end = n_threads == 1 ? N_TOKENS : (int32_t)rng_between(&rng, first + 1, N_TOKENS);
                run_tokens(&state, backend, first, end);
            }
            float *read = n_threads == 1 ? kv : kv + kv_count;
            ppi_cpu_ops.kv_read(backend, state.pages[0], 0, N_TOKENS, 2, PP_KV_K, PP_KV_NHD,
                                PP_DTYPE_F32, read, NULL);
            if (n_threads == 1)
                memcpy(q, state.q[2], q_bytes);
            EXPECT(memcmp(q, state.q[2], q_bytes) == 0 &&
                       memcmp(kv, read, kv_count * sizeof *kv) == 0,
                   "%s dtype %d head_dim %d: bits with %d threads differ", variant, dtype,
                   state.shape.head_dim, n_threads);
            ppi_cpu_ops.close(backend);
        }
        free(kv);
        free(q);
        free_state(&state);
    }
}
END_TEST

Suite *checkop_rope_suite(void)
{
    Suite *suite = suite_create("rope");
    TCase *tcase = tcase_create("rope");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, rope_values);
    tcase_add_test(tcase, rope_bits);
    suite_add_tcase(suite, tcase);
    return suite;
}
