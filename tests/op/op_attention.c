/*
 * op_attention.c: attention behind rope_kv, over pages that are poisoned with NaN
 * before anything is written.
 *
 * Tolerance: scores carry the rounding of head_dim products (f32) and weights that of bf16 (half a
 * unit of 2^-8 each, of values about 1): 2e-2 absolute in bf16, 5e-5 in f32.
 */
#include "checkop.h"
#include "support/rounds.h"

#include <math.h>
#include <string.h>

#define MAX_TOKENS 320
#define LAYER      2 /* of 3, the second of its class: the others stay poisoned */
#define CLASS      0

/* One prompt: its inputs, its pages, and the bits of its outputs. */
struct prompt {
    int32_t n_tokens;
    float *qkv; /* [n_tokens, qkv_dim] */
    void *pages[MAX_TOKENS / PPI_CPU_PAGE + 1];
    int32_t n_pages;
    char *out; /* act [n_tokens, n_heads head_dim] */
};

struct world {
    struct shape shape;
    const char *variant;
    int32_t dtype, window;
    float softmax_scale, softcap;
    const float *sinks; /* of the heads, or NULL */
    float *rope;
    struct rng *rng;
};

static int64_t qkv_dim(const struct shape *shape)
{
    return (int64_t)(shape->n_heads + 2 * shape->n_kv_heads) * shape->head_dim;
}

static size_t out_row_bytes(const struct world *world)
{
    return (size_t)(world->shape.n_heads * world->shape.head_dim) * pp_dtype_size(world->dtype);
}

static struct world make_world(struct rng *rng, struct shape shape, const char *variant,
                               int32_t dtype, int32_t window)
{
    struct world world = {.shape = shape,
                          .variant = variant,
                          .dtype = dtype,
                          .window = window,
                          .softmax_scale = 1 / sqrtf((float)shape.head_dim),
                          .rng = rng};
    int32_t half = shape.head_dim / 2;
    world.rope = checkop_alloc((size_t)(MAX_TOKENS * shape.head_dim), sizeof *world.rope);
    for (int p = 0; p < MAX_TOKENS; p++)
        for (int i = 0; i < half; i++) {
            double angle = p * pow(10000, -(double)i / half);
            world.rope[p * 2 * half + i] = (float)cos(angle);
            world.rope[p * 2 * half + half + i] = (float)sin(angle);
        }
    return world;
}

/* Fresh pages full of NaN. */
static void poison_pages(const struct world *world, struct ppi_backend *backend,
                         struct prompt *prompt)
{
    struct ppi_backend_info info;
    ppi_cpu_ops.get_info(backend, &info);
    ck_assert_int_eq(info.page_tokens, PPI_CPU_PAGE);
    prompt->n_pages = (int32_t)ppi_div_up(prompt->n_tokens, info.page_tokens);
    for (int32_t i = 0; i < prompt->n_pages; i++) {
        if (!prompt->pages[i])
            prompt->pages[i] = checkop_alloc(1, (size_t)info.page_bytes[CLASS]);
        memset(prompt->pages[i], 0xff, (size_t)info.page_bytes[CLASS]);
    }
    memset(prompt->out, 0xff, (size_t)prompt->n_tokens * out_row_bytes(world));
}

static struct prompt make_prompt(const struct world *world, int32_t n_tokens)
{
    struct prompt prompt = {.n_tokens = n_tokens};
    ck_assert_int_le(n_tokens, MAX_TOKENS);
    prompt.qkv =
        checkop_random(world->rng, PP_DTYPE_F32, (size_t)(n_tokens * qkv_dim(&world->shape)), 1.5);
    prompt.out = checkop_alloc((size_t)n_tokens, out_row_bytes(world));
    return prompt;
}

static void free_prompt(struct prompt *prompt)
{
    for (size_t i = 0; i < PPI_COUNT(prompt->pages); i++)
        free(prompt->pages[i]);
    free(prompt->qkv);
    free(prompt->out);
}

static struct ppi_matrix *make_sinks(const struct world *world, struct ppi_backend *backend)
{
    struct ppi_matrix *sinks = NULL;
    struct ppi_matrix_spec spec = {.kind = PPI_MATRIX_VECTOR, .n = 1, .k = world->shape.n_heads};
    if (!world->sinks)
        return NULL;
    ppi_cpu_ops.matrix_create(backend, &checkop_mem, &spec, &sinks, NULL);
    ppi_cpu_ops.matrix_fill(backend, sinks, 0, 1, world->sinks, PP_DTYPE_F32, NULL);
    return sinks;
}

/* Runs tokens [first[i], end[i]) of each prompt as one pass. */
static void run_pass(const struct world *world, struct ppi_backend *backend,
                     struct prompt *const *prompts, const int32_t *first, const int32_t *end,
                     int32_t n_prompts)
{
    struct ppi_segment segments[8];
    void *pages[8 * (MAX_TOKENS / PPI_CPU_PAGE + 1)];
    struct ppi_pass pass = {.n_segments = n_prompts, .segments = segments, .pages = {pages}};
    size_t qkv_bytes = (size_t)qkv_dim(&world->shape) * sizeof(float);
    size_t row_bytes = out_row_bytes(world);
    for (int32_t s = 0; s < n_prompts; s++) {
        segments[s] = (struct ppi_segment){.row = pass.n_rows,
                                           .n_rows = end[s] - first[s],
                                           .position = first[s],
                                           .first_page = pass.n_pages,
                                           .rope_row = first[s]};
        memcpy(pages + pass.n_pages, prompts[s]->pages,
               (size_t)prompts[s]->n_pages * sizeof *pages);
        pass.n_pages += prompts[s]->n_pages;
        pass.n_rows += end[s] - first[s];
    }
    char *qkv = checkop_alloc((size_t)pass.n_rows, qkv_bytes);
    char *q = checkop_alloc((size_t)pass.n_rows, row_bytes);
    char *out = checkop_alloc((size_t)pass.n_rows, row_bytes);
    for (int32_t s = 0; s < n_prompts; s++)
        memcpy(qkv + (size_t)segments[s].row * qkv_bytes,
               (char *)prompts[s]->qkv + (size_t)first[s] * qkv_bytes,
               (size_t)segments[s].n_rows * qkv_bytes);
    ppi_cpu_ops.pass_begin(backend, &pass, NULL);
    struct ppi_matrix *sinks = make_sinks(world, backend);
    const struct ppi_rope rope = {
        .layer = LAYER, .rotary_dim = world->shape.head_dim, .angles = world->rope};
    const struct ppi_attention attention = {LAYER, world->window, world->softmax_scale,
                                            world->softcap, sinks};
    ppi_cpu_ops.rope_kv(backend, &pass, &rope, (float *)(void *)qkv, q, NULL);
    ppi_cpu_ops.attention(backend, &pass, &attention, q, out, NULL);
    for (int32_t s = 0; s < n_prompts; s++)
        memcpy(prompts[s]->out + (size_t)first[s] * row_bytes,
               out + (size_t)segments[s].row * row_bytes, (size_t)segments[s].n_rows * row_bytes);
    ppi_cpu_ops.matrix_destroy(sinks);
    free(out);
    free(q);
    free(qkv);
}

/* q, k or v of a token as the backend has it: rotated (which < 2) and narrowed. */
static void expected_head(const struct world *world, const struct prompt *prompt, int32_t token,
                          int32_t head, bool rotate, double *x)
{
    int32_t head_dim = world->shape.head_dim, half = head_dim / 2;
    const float *from = prompt->qkv + token * qkv_dim(&world->shape) + head * head_dim;
    const float *rope = world->rope + token * head_dim;
    for (int32_t i = 0; i < head_dim; i++) {
        x[i] = from[i];
        if (rotate && i < half)
            x[i] = (double)from[i] * rope[i] - (double)from[i + half] * rope[half + i];
        else if (rotate)
            x[i] = (double)from[i] * rope[i - half] + (double)from[i - half] * rope[i];
        if (world->dtype == PP_DTYPE_BF16)
            x[i] = ppi_bf16_to_f32(ppi_f32_to_bf16((float)x[i]));
    }
}

static void check_attention(const struct world *world, const struct prompt *prompt)
{
    const struct shape *shape = &world->shape;
    int32_t head_dim = shape->head_dim, n = prompt->n_tokens;
    double *q = checkop_alloc((size_t)head_dim, sizeof *q), weights[MAX_TOKENS];
    double *k = checkop_alloc((size_t)(n * head_dim), sizeof *k);
    double *v = checkop_alloc((size_t)(n * head_dim), sizeof *v);
    double allowed = world->dtype == PP_DTYPE_BF16 ? 2e-2 : 5e-5;
    for (int32_t h = 0; h < shape->n_heads; h++) {
        int32_t kv_head = h / (shape->n_heads / shape->n_kv_heads);
        for (int32_t t = 0; t < n; t++) {
            expected_head(world, prompt, t, shape->n_heads + kv_head, true, k + t * head_dim);
            expected_head(world, prompt, t, shape->n_heads + shape->n_kv_heads + kv_head, false,
                          v + t * head_dim);
        }
        for (int32_t t = 0; t < n; t++) {
            int32_t low = world->window > 0 && t >= world->window ? t - world->window + 1 : 0;
            double max = -INFINITY, total = 0;
            expected_head(world, prompt, t, h, true, q);
            for (int32_t j = low; j <= t; j++) {
                double score = 0;
                for (int32_t d = 0; d < head_dim; d++)
                    score += q[d] * k[j * head_dim + d];
                weights[j] = score * world->softmax_scale;
                if (world->softcap > 0)
                    weights[j] = world->softcap * tanh(weights[j] / world->softcap);
                max = fmax(max, weights[j]);
            }
            for (int32_t j = low; j <= t; j++)
                total += weights[j] = exp(weights[j] - max);
            total += world->sinks ? exp(world->sinks[h] - max) : 0;
            for (int32_t d = 0; d < head_dim; d++) {
                double expected = 0;
                for (int32_t j = low; j <= t; j++)
                    expected += weights[j] / total * v[j * head_dim + d];
                double got = checkop_get(world->dtype, prompt->out,
                                         (size_t)((t * shape->n_heads + h) * head_dim + d));
                EXPECT(fabs(got - expected) <= allowed * (1 + fabs(expected)),
                       "%s dtype %d heads %d/%d head_dim %d window %d: token %d of %d head "
                       "%d element %d: %.9g, expected %.9g",
                       world->variant, world->dtype, shape->n_heads, shape->n_kv_heads, head_dim,
                       world->window, t, n, h, d, got, expected);
            }
        }
    }
    free(v);
    free(k);
    free(q);
}

static void check_prompt(const struct world *world, int32_t n_tokens)
{
    struct ppi_backend *backend = checkop_open(world->variant, world->dtype, 2, world->shape);
    struct prompt prompt = make_prompt(world, n_tokens), *list[] = {&prompt};
    int32_t zero = 0;
    poison_pages(world, backend, &prompt);
    run_pass(world, backend, list, &zero, &n_tokens, 1);
    check_attention(world, &prompt);
    free_prompt(&prompt);
    ppi_cpu_ops.close(backend);
}

START_TEST(values_by_head_dim)
{
    static const int32_t head_dims[] = {2, 20, 32, 48, 64, 80, 96, 112, 128, 192, 256, 512};
    struct rng rng = rng_seeded(31);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(head_dims); i++) {
        struct shape shape = {2, 1, head_dims[i], 3};
        struct world world = make_world(&rng, shape, variant, dtype, 0);
        check_prompt(&world, (int32_t)rng_between(&rng, 60, 90));
        free(world.rope);
    }
}
END_TEST

START_TEST(values_by_length)
{
    struct rng rng = rng_seeded(32);
    FOR_EACH_KERNEL_SET(variant, dtype)
    {
        struct world world = make_world(&rng, (struct shape){1, 1, 16, 3}, variant, dtype, 0);
        for (int32_t n = 1; n <= 130; n += n < 20 ? 1 : 3)
            check_prompt(&world, n);
        check_prompt(&world, 127);
        check_prompt(&world, 128);
        check_prompt(&world, 129);
        for (int32_t n = 255; n <= 258; n++) /* the border of a block */
            check_prompt(&world, n);
        check_prompt(&world, 300);
        free(world.rope);
    }
}
END_TEST

/* Heads that share keys fill product tiles together: every remainder of rows, and tiles that hold
 * no whole number of tokens. */
START_TEST(values_by_group)
{
    static const int32_t groups[] = {2, 3, 4, 5, 6, 7, 8, 12, 50};
    struct rng rng = rng_seeded(36);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(groups); i++) {
        struct shape shape = {groups[i], 1, 16, 3};
        struct world world = make_world(&rng, shape, variant, dtype, 0);
        for (int32_t n = 1; n <= 14; n++)
            check_prompt(&world, n);
        check_prompt(&world, groups[i] < 10 ? 262 : 30);
        free(world.rope);
    }
}
END_TEST

START_TEST(values_by_window_and_group)
{
    static const int32_t windows[] = {1, 2, 16, 17, 63, 64, 65, 100, 1000};
    static const int32_t kv_heads[] = {1, 3, 8, 4};
    struct rng rng = rng_seeded(33);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(windows); i++) {
        static const int32_t groups[] = {1, 3, 4, 8};
        struct shape shape = {groups[i % 4] * kv_heads[i % 4] / (i % 4 == 2 ? 4 : 1),
                              kv_heads[i % 4] / (i % 4 == 2 ? 4 : 1), 20, 3};
        struct world world = make_world(&rng, shape, variant, dtype, windows[i]);
        check_prompt(&world, 140);
        free(world.rope);
    }
}
END_TEST

/* A scale of its own, and caps that bend the scores a little and much. */
START_TEST(values_by_scale_and_softcap)
{
    static const float softcaps[] = {50, 2, 0.3f};
    struct rng rng = rng_seeded(35);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(softcaps); i++) {
        struct shape shape = {2, 1, 40, 3};
        struct world world = make_world(&rng, shape, variant, dtype, i == 1 ? 30 : 0);
        world.softmax_scale = 0.11f;
        check_prompt(&world, 90);
        world.softcap = softcaps[i];
        check_prompt(&world, 90);
        free(world.rope);
    }
}
END_TEST

/* Sinks that take little, half and nearly all; one so large that its power has no f32, and one that
 * is nothing. */
static const float five_sinks[] = {0.5f, 3, 7, 1e4f, -INFINITY};

START_TEST(values_with_sinks)
{
    static const int32_t tokens[] = {1, 7, 90, 262};
    struct rng rng = rng_seeded(38);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(tokens); i++) {
        struct world world =
            make_world(&rng, (struct shape){5, 1, 32, 3}, variant, dtype, i == 2 ? 30 : 0);
        world.sinks = five_sinks;
        world.softcap = i == 1 ? 2 : 0;
        check_prompt(&world, tokens[i]);
        free(world.rope);
    }
}
END_TEST

static void assert_rows_equal(const struct world *world, const char *got, const char *expected,
                              int32_t first, int32_t end, const char *what)
{
    size_t row_bytes = out_row_bytes(world);
    for (int32_t t = first; t < end; t++)
        EXPECT(memcmp(got + (size_t)t * row_bytes, expected + (size_t)t * row_bytes, row_bytes) ==
                   0,
               "%s dtype %d head_dim %d window %d: token %d: other bits %s", world->variant,
               world->dtype, world->shape.head_dim, world->window, t, what);
}

/* Pages that no row at or behind `position` sees are given back: `nowhere` takes their places. */
static void give_back(const struct world *world, struct prompt *prompt, int32_t position,
                      void *nowhere)
{
    int32_t first_key = world->window > 0 ? position - world->window + 1 : 0;
    for (int32_t i = 0; (i + 1) * PPI_CPU_PAGE <= first_key; i++) {
        if (prompt->pages[i] != nowhere)
            free(prompt->pages[i]);
        prompt->pages[i] = nowhere;
    }
}

/* In chunks, with pages given back before each: `kept` is what their places hold. */
static void run_giving_back(const struct world *world, struct ppi_backend *backend,
                            struct prompt *prompt, int kept)
{
    struct prompt *alone[] = {prompt};
    struct ppi_backend_info info;
    ppi_cpu_ops.get_info(backend, &info);
    void *nowhere = checkop_alloc(1, (size_t)info.page_bytes[CLASS]);
    memset(nowhere, kept, (size_t)info.page_bytes[CLASS]);
    poison_pages(world, backend, prompt);
    for (int32_t first = 0, end; first < prompt->n_tokens; first = end) {
        end = (int32_t)rng_between(world->rng, first + 1, first + (first % 2 ? 9 : 70));
        end = end < prompt->n_tokens ? end : prompt->n_tokens;
        give_back(world, prompt, first, nowhere);
        run_pass(world, backend, alone, &first, &end, 1);
    }
    for (int32_t i = 0; i < prompt->n_pages; i++)
        if (prompt->pages[i] == nowhere)
            prompt->pages[i] = NULL;
    free(nowhere);
}

/* The whole prompt alone on one thread is the model; then among others, in chunks, token by token,
 * on other numbers of threads, always over poisoned pages. */
static void check_invariance(const struct world *world, int32_t n)
{
    size_t bytes = (size_t)n * out_row_bytes(world);
    struct prompt prompt = make_prompt(world, n);
    struct prompt others[3] = {make_prompt(world, 77), make_prompt(world, 1),
                               make_prompt(world, 200)};
    struct prompt *alone[] = {&prompt}, *packed[] = {&others[0], &prompt, &others[1], &others[2]};
    char *expected = checkop_alloc(1, bytes);
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        struct ppi_backend *backend =
            checkop_open(world->variant, world->dtype, n_threads, world->shape);
        poison_pages(world, backend, &prompt);
        run_pass(world, backend, alone, (int32_t[]){0}, &n, 1);
        if (n_threads == 1)
            memcpy(expected, prompt.out, bytes);
        assert_rows_equal(world, prompt.out, expected, 0, n, "by threads");

        poison_pages(world, backend, &prompt);
        for (int i = 0; i < 3; i++)
            poison_pages(world, backend, &others[i]);
        run_pass(world, backend, packed, (int32_t[4]){0}, (int32_t[]){77, n, 1, 200}, 4);
        assert_rows_equal(world, prompt.out, expected, 0, n, "among others");

        poison_pages(world, backend, &prompt);
        for (int32_t first = 0, end; first < n; first = end) {
            end = (int32_t)rng_between(world->rng, first + 1, first + 70);
            end = end < n ? end : n;
            run_pass(world, backend, alone, &first, &end, 1);
        }
        assert_rows_equal(world, prompt.out, expected, 0, n, "in chunks");

        /* Pages of zeros are promised; here not even NaN shows, they are not read. */
        run_giving_back(world, backend, &prompt, 0);
        assert_rows_equal(world, prompt.out, expected, 0, n, "with pages of zeros");
        run_giving_back(world, backend, &prompt, 0xff);
        assert_rows_equal(world, prompt.out, expected, 0, n, "with pages of NaN");

        poison_pages(world, backend, &prompt);
        run_pass(world, backend, alone, (int32_t[]){0}, &n, 1);
        /* The last tokens one by one over pages that have them all, and over pages that do not. */
        for (int32_t t = n - 1; t >= 0 && t >= n - 20; t--)
            run_pass(world, backend, alone, &t, &(int32_t){t + 1}, 1);
        assert_rows_equal(world, prompt.out, expected, 0, n, "one by one, backwards");
        poison_pages(world, backend, &prompt);
        for (int32_t t = 0; t < n && n_threads == 1; t++)
            run_pass(world, backend, alone, &t, &(int32_t){t + 1}, 1);
        if (n_threads == 1)
            assert_rows_equal(world, prompt.out, expected, 0, n, "one by one");
        ppi_cpu_ops.close(backend);
    }
    free(expected);
    free_prompt(&prompt);
    for (int i = 0; i < 3; i++)
        free_prompt(&others[i]);
}

START_TEST(bits_do_not_depend_on_company)
{
    static const struct {
        struct shape shape;
        int32_t window, n_tokens;
        float softcap;
    } cases[] = {
        {{2, 2, 64, 3}, 0, 150, 0}, {{4, 1, 20, 3}, 0, 129, 3},   {{6, 2, 32, 3}, 50, 200, 0},
        {{2, 1, 128, 3}, 0, 97, 0}, {{1, 1, 80, 3}, 7, 70, 0},    {{3, 1, 20, 3}, 64, 300, 0},
        {{2, 2, 48, 3}, 17, 90, 1}, {{1, 1, 16, 3}, 100, 310, 0}, {{1, 1, 192, 3}, 0, 66, 0},
        {{8, 2, 16, 3}, 0, 271, 0}, {{5, 1, 16, 3}, 0, 83, 0},    {{7, 1, 32, 3}, 33, 288, 2},
        {{50, 1, 16, 3}, 0, 40, 0}, {{6, 1, 16, 3}, 250, 300, 0}, {{2, 1, 512, 3}, 0, 70, 0},
    };
    struct rng rng = rng_seeded(34);
    int n = 0,
        step = rounds(6) < 6 ? 4 : 1; /* under a sanitizer each kernel set takes some cases */
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        if (n++ % step != 0)
            continue;
        struct world world = make_world(&rng, cases[i].shape, variant, dtype, cases[i].window);
        world.softcap = cases[i].softcap;
        world.sinks = cases[i].shape.n_heads == 5 ? five_sinks : NULL;
        check_invariance(&world, cases[i].n_tokens);
        free(world.rope);
    }
}
END_TEST

Suite *checkop_attention_suite(void)
{
    Suite *suite = suite_create("attention");
    TCase *brief = tcase_create("values");
    tcase_set_timeout(brief, 300);
    tcase_add_test(brief, values_by_head_dim);
    tcase_add_test(brief, values_by_length);
    tcase_add_test(brief, values_by_group);
    tcase_add_test(brief, values_by_window_and_group);
    tcase_add_test(brief, values_by_scale_and_softcap);
    tcase_add_test(brief, values_with_sinks);
    suite_add_tcase(suite, brief);
    TCase *tcase = tcase_create("attention");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, bits_do_not_depend_on_company);
    suite_add_tcase(suite, tcase);
    return suite;
}
