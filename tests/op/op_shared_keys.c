/*
 * op_shared_keys.c: attention of a pass whose prompts begin on the same pages gives the bits that
 * each of them has alone.
 */
#include "checkop.h"

#include <math.h>
#include <string.h>

#define MAX_PREFIX  1040
#define MAX_PAGES   (MAX_PREFIX / PPI_CPU_PAGE + 8) /* of a prompt */
#define MAX_PROMPTS 40
#define CLASS       0

/* A prompt: tokens [0, n_first) of one prefix, then tokens of another up to its position, then its
 * own. */
struct suffix {
    int32_t n_first, position, n_tokens;
};

/* One token up to more than a tile; 600: two blocks, and a page that is shared in part. */
static const struct suffix any_length[] = {
    {600, 600, 1}, {600, 600, 5},  {600, 600, 3}, {600, 600, 2},  {600, 600, 1},  {600, 600, 11},
    {600, 600, 1}, {600, 600, 17}, {600, 600, 4}, {600, 600, 60}, {600, 600, 12}, {600, 600, 1}};
/* Borders of blocks and of pages. */
static const struct suffix one_block[] = {{256, 256, 2}, {256, 256, 1}, {256, 256, 3}};
static const struct suffix two_blocks[] = {{512, 512, 1}, {512, 512, 4}, {512, 512, 1}};
static const struct suffix four_blocks[] = {{1030, 1030, 1}, {1030, 1030, 5}, {1030, 1030, 1}};
static const struct suffix too_few[] = {
    {255, 255, 1}, {255, 255, 2}, {240, 700, 1}, {0, 700, 1}, {0, 0, 3}};
/* A tree of prefixes: other positions, other numbers of blocks, more behind fewer. */
static const struct suffix tree[] = {{700, 700, 1}, {700, 530, 2}, {700, 520, 1}, {272, 700, 3},
                                     {272, 900, 1}, {700, 700, 1}, {512, 900, 1}, {528, 900, 2},
                                     {900, 900, 1}, {511, 800, 4}, {800, 256, 1}, {800, 257, 1}};
static const struct suffix more_with_third[] = {{700, 700, 1}, {272, 700, 1}, {700, 700, 1}};

struct shared_case {
    struct shape shape;
    int32_t window;
    float softcap;
    const struct suffix *pattern;
    int32_t pattern_len, n_prompts; /* again and again */
};

#define PATTERN(list) list, PPI_COUNT(list)

static const struct shared_case cases[] = {
    {{2, 2, 64, 1}, 0, 0, PATTERN(any_length), 24},
    {{4, 1, 64, 1}, 0, 4, PATTERN(any_length), 12},
    {{8, 1, 64, 1}, 0, 0, PATTERN(two_blocks), 12},
    {{6, 1, 96, 1}, 0, 0, PATTERN(two_blocks), 9},
    {{2, 1, 96, 1}, 0, 0, PATTERN(one_block), 24},
    {{8, 1, 128, 1}, 0, 0, PATTERN(one_block), 9},
    {{1, 1, 128, 1}, 0, 0, PATTERN(four_blocks), 18},
    {{3, 1, 20, 1}, 0, 0, PATTERN(too_few), 10},
    {{2, 1, 64, 1}, 0, 0, PATTERN(tree), 24},
    {{2, 2, 32, 1}, 0, 0, PATTERN(more_with_third), 40},
    {{5, 1, 32, 1}, 0, 2, PATTERN(any_length), 6},
    {{24, 1, 16, 1}, 0, 0, PATTERN(one_block), 12},
    {{50, 1, 16, 1}, 0, 0, PATTERN(one_block), 3},
    {{2, 1, 64, 1}, 300, 0, PATTERN(two_blocks), 24},
};

struct world {
    const struct shared_case *c;
    const char *variant;
    int32_t dtype;
    size_t page_bytes, row_bytes; /* of a page, of a row of q and out */
    int64_t qkv_dim;
    char *prefixes[2]; /* pages */
    char *own;         /* pages of prompts, from their first token that is no whole shared page */
    void *pages[MAX_PROMPTS * MAX_PAGES];
    struct ppi_segment segments[MAX_PROMPTS];
    int32_t n_rows;
};

static void rotate_nothing(struct ppi_backend *backend, const struct ppi_pass *pass,
                           const struct world *world, struct rng *rng, void *q)
{
    const struct ppi_rope rope = {0};
    float *qkv = checkop_random(rng, PP_DTYPE_F32, (size_t)(pass->n_rows * world->qkv_dim), 1.5);
    ppi_cpu_ops.rope_kv(backend, pass, &rope, qkv, q, NULL);
    free(qkv);
}

static void write_prefix(struct world *world, struct ppi_backend *backend, struct rng *rng,
                         char *pages)
{
    void *list[MAX_PAGES];
    const struct ppi_segment segment = {.n_rows = MAX_PREFIX};
    for (int32_t i = 0; i < MAX_PAGES; i++)
        list[i] = pages + (size_t)i * world->page_bytes;
    struct ppi_pass pass = {
        .n_rows = MAX_PREFIX, .n_segments = 1, .segments = &segment, .pages = {list}};
    void *q = checkop_alloc(MAX_PREFIX, world->row_bytes);
    rotate_nothing(backend, &pass, world, rng, q);
    free(q);
}

/* Pages that end before the prompt's own tokens are the prefixes'; what is behind is the prompt's,
 * a copy at first. */
static void place_prompts(struct world *world)
{
    const struct shared_case *c = world->c;
    world->n_rows = 0;
    for (int32_t i = 0; i < c->n_prompts; i++) {
        const struct suffix *s = &c->pattern[i % c->pattern_len];
        void **pages = world->pages + i * MAX_PAGES;
        char *own = world->own + (size_t)(i * MAX_PAGES) * world->page_bytes;
        for (int32_t page = 0; page < MAX_PAGES; page++) {
            int32_t end = (page + 1) * PPI_CPU_PAGE;
            char *shared = world->prefixes[end <= s->n_first] + (size_t)page * world->page_bytes;
            pages[page] = shared;
            if (end > s->position) {
                pages[page] = own + (size_t)page * world->page_bytes;
                memcpy(pages[page], shared, world->page_bytes);
            }
        }
        world->segments[i] = (struct ppi_segment){.row = world->n_rows,
                                                  .n_rows = s->n_tokens,
                                                  .position = s->position,
                                                  .first_page = i * MAX_PAGES};
        world->n_rows += s->n_tokens;
    }
}

static struct ppi_pass pass_of(const struct world *world, const struct ppi_segment *segments,
                               int32_t n)
{
    const struct ppi_segment *last = &segments[n - 1];
    return (struct ppi_pass){.n_rows = last->row + last->n_rows,
                             .n_segments = n,
                             .segments = segments,
                             .pages = {(void *const *)world->pages},
                             .n_pages = MAX_PROMPTS * MAX_PAGES};
}

static void attend(const struct world *world, struct ppi_backend *backend,
                   const struct ppi_pass *pass, const char *q, char *out)
{
    const struct shared_case *c = world->c;
    struct ppi_attention attention = {.window = c->window,
                                      .softmax_scale = 1 / sqrtf((float)c->shape.head_dim),
                                      .softcap = c->softcap};
    struct ppi_matrix *sinks = NULL;
    if (c->shape.n_kv_heads == 1) { /* the other cases have none */
        float numbers[50];
        for (int i = 0; i < c->shape.n_heads; i++)
            numbers[i] = (float)(i % 7) - 2;
        ppi_cpu_ops.matrix_create(
            backend, &checkop_mem,
            &(struct ppi_matrix_spec){.kind = PPI_MATRIX_VECTOR, .n = 1, .k = c->shape.n_heads},
            &sinks, NULL);
        ppi_cpu_ops.matrix_fill(backend, sinks, 0, 1, numbers, PP_DTYPE_F32, NULL);
    }
    attention.sinks = sinks;
    ppi_cpu_ops.attention(backend, pass, &attention, q, out, NULL);
    ppi_cpu_ops.matrix_destroy(sinks);
}

static void check_case(struct world *world, struct rng *rng)
{
    const struct shared_case *c = world->c;
    struct ppi_backend *backend = checkop_open(world->variant, world->dtype, 1, c->shape);
    struct ppi_backend_info info;
    ppi_cpu_ops.get_info(backend, &info);
    world->page_bytes = (size_t)info.page_bytes[CLASS];
    world->row_bytes = (size_t)(c->shape.n_heads * c->shape.head_dim) * pp_dtype_size(world->dtype);
    world->qkv_dim = (int64_t)(c->shape.n_heads + 2 * c->shape.n_kv_heads) * c->shape.head_dim;
    world->own = checkop_alloc(MAX_PROMPTS * MAX_PAGES, world->page_bytes);
    for (int i = 0; i < 2; i++) {
        world->prefixes[i] = checkop_alloc(MAX_PAGES, world->page_bytes);
        memset(world->prefixes[i], 0xff, MAX_PAGES * world->page_bytes);
        write_prefix(world, backend, rng, world->prefixes[i]);
    }
    place_prompts(world);
    struct ppi_pass all = pass_of(world, world->segments, c->n_prompts);
    size_t bytes = (size_t)world->n_rows * world->row_bytes;
    char *q = checkop_alloc(1, bytes), *out = checkop_alloc(1, bytes);
    char *expected = checkop_alloc(1, bytes);
    rotate_nothing(backend, &all, world, rng, q);

    for (int32_t i = 0; i < c->n_prompts; i++) {
        struct ppi_segment alone = world->segments[i];
        size_t at = (size_t)alone.row * world->row_bytes;
        alone.row = 0;
        struct ppi_pass pass = pass_of(world, &alone, 1);
        attend(world, backend, &pass, q + at, expected + at);
    }
    ppi_cpu_ops.close(backend);
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        backend = checkop_open(world->variant, world->dtype, n_threads, c->shape);
        memset(out, 0xff, bytes);
        attend(world, backend, &all, q, out);
        for (int32_t i = 0; i < c->n_prompts; i++) {
            size_t at = (size_t)world->segments[i].row * world->row_bytes;
            EXPECT(memcmp(out + at, expected + at,
                          (size_t)world->segments[i].n_rows * world->row_bytes) == 0,
                   "%s dtype %d heads %d/%d head_dim %d, %d threads: prompt %d has other bits "
                   "beside those that share its keys",
                   world->variant, world->dtype, c->shape.n_heads, c->shape.n_kv_heads,
                   c->shape.head_dim, n_threads, i);
        }
        ppi_cpu_ops.close(backend);
    }
    void *taken[] = {q, out, expected, world->own, world->prefixes[0], world->prefixes[1]};
    for (size_t i = 0; i < PPI_COUNT(taken); i++)
        free(taken[i]);
}

START_TEST(shared_keys_do_not_show)
{
    struct rng rng = rng_seeded(37);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        struct world world = {.c = &cases[i], .variant = variant, .dtype = dtype};
        check_case(&world, &rng);
    }
}
END_TEST

Suite *checkop_shared_keys_suite(void)
{
    Suite *suite = suite_create("shared keys");
    TCase *tcase = tcase_create("shared keys");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, shared_keys_do_not_show);
    suite_add_tcase(suite, tcase);
    return suite;
}
