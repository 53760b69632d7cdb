/*
 * test_guard.c: the self-test of cuBLASLt's algorithms against a cuBLASLt that misbehaves: every
 * fault that a class must not have is found, the next algorithm or our own kernel takes its place,
 * and what runs afterwards is packing-invariant.
 */
#include "device/product_cases.h"

#include <fake_cublaslt.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define HIDDEN       64
#define INNER        96
#define PASS         1280 /* more than cuBLASLt gets at once, more than gate_up takes at once */

static void propose(const int *ids, int n)
{
    fake_lt_propose_few(ids, n);
    fake_lt_propose_many(ids, n);
}

static void prepare(struct product_context *context, const struct ppi_matrix *w)
{
    pp_error err = {.struct_size = sizeof err};
    EXPECT(ppi_cuda_prepare(context->backend, w, &err) == PP_OK, "%s", err.message);
}

static int32_t state_of(const struct product_context *context, const struct ppi_matrix *w,
                        bool accumulate)
{
    const struct ppi_cuda_class *class = product_class(context, w, accumulate);
    return class ? class->state : -1;
}

static struct ppi_matrix *random_matrix(struct product_context *context, struct rng *rng,
                                        int32_t kind, int64_t n, int64_t k)
{
    float *weights = product_weights(rng, (size_t)(2 * n * k), 0.1);
    struct ppi_matrix *w = product_matrix(context, kind, n, k, weights);
    free(weights);
    return w;
}

/* Opens a context with one matrix as wide as the residual and prepares it: two classes. */
static struct ppi_matrix *open_prepared(struct product_context *context, struct rng *rng,
                                        int32_t act)
{
    product_open(context, act, NULL, HIDDEN, INNER, PASS);
    struct ppi_matrix *w = random_matrix(context, rng, PPI_MATRIX_LINEAR, HIDDEN, INNER);
    prepare(context, w);
    return w;
}

static void close_with(struct product_context *context, struct ppi_matrix *w)
{
    ppi_cuda_matrix_destroy(w);
    product_close(context);
    EXPECT(fake_live_objects() == 0, "%ld objects leaked", fake_live_objects());
    propose(NULL, 0);
}

/* Every row of a product of n_rows rows is what it is alone, among others, with NaN behind it. */
static void check_invariance(struct product_context *context, const struct ppi_matrix *w,
                             struct rng *rng, int64_t n_rows, bool accumulate)
{
    size_t row_bytes = product_row_bytes(w), k = (size_t)w->k, n = (size_t)w->n;
    uint16_t *a = device_random(rng, device_act(context->backend->act), (size_t)n_rows * k, 1);
    float *start = accumulate ? device_random(rng, PP_DTYPE_F32, (size_t)n_rows * n, 1) : NULL;
    char *all = product_of(context, w, a, n_rows, start);
    EXPECT(device_value(w->kind == PPI_MATRIX_GATE_UP ? device_act(context->backend->act)
                                                      : PP_DTYPE_F32,
                        all, (size_t)n_rows * n - 1) < INFINITY,
           "the product is not there");
    for (int i = 0; i < 6; i++) {
        int64_t first = rng_between(rng, 0, n_rows - 1);
        int64_t some = rng_between(rng, 1, i % 2 ? n_rows - first : 1);
        char *got = product_of(context, w, a + (size_t)first * k, some,
                               start ? start + (size_t)first * n : NULL);
        EXPECT(memcmp(got, all + (size_t)first * row_bytes, (size_t)some * row_bytes) == 0,
               "%lld rows from %lld of %lld have other bits alone", (long long)some,
               (long long)first, (long long)n_rows);
        free(got);
    }
    free(all);
    free(start);
    free(a);
}

/* ---- tests ---- */

static void sound_algorithms_are_used(void)
{
    struct rng rng = rng_seeded(1);
    for (int32_t act = 0; act < PPI_CUDA_N_ACT; act++) {
        struct product_context context;
        struct ppi_matrix *w = open_prepared(&context, &rng, act);
        EXPECT(state_of(&context, w, false) == PPI_CUDA_CLASS_LT, "not used: %s", context.warning);
        EXPECT(state_of(&context, w, true) == PPI_CUDA_CLASS_LT, "not used: %s", context.warning);
        EXPECT(context.n_warnings == 0, "%s", context.warning);
        EXPECT(strstr(context.info, "[64, 96], added"), "the class is not named: %s", context.info);
        uint16_t *a = device_random(&rng, device_act(act), 1100 * INNER, 1);
        propose(NULL, 0); /* counts from here */
        free(product_of(&context, w, a, 30, NULL));
        EXPECT(fake_lt_products(FAKE_LT_SMALL) == 1, "30 rows run in their group's algorithm");
        free(product_of(&context, w, a, 1100, NULL));
        EXPECT(fake_lt_products(FAKE_LT_LARGE) == 3, "1100 rows are 512, 512 and 128");
        free(a);
        check_invariance(&context, w, &rng, PASS, false);
        check_invariance(&context, w, &rng, 130, true);
        close_with(&context, w);
    }
}

struct fault {
    int algorithm;
    bool only_accumulate; /* shows there only */
    bool is_run;          /* else it is dropped before it runs */
    bool sound_for_few;   /* does nothing wrong for 64 rows: may serve them */
    const char *name;
};

static const struct fault faults[] = {
    {FAKE_LT_BY_ROW_COUNT, false, true, true, "bits by the number of rows"},
    {FAKE_LT_BY_PLACE, false, true, true, "bits by the place of a row"},
    {FAKE_LT_SPLITS_K, false, false, false, "splits k"},
    {FAKE_LT_DROPS_TAIL, false, true, false, "drops the tail of k"},
    {FAKE_LT_SWAPS_K, false, true, false, "mixes up k"},
    {FAKE_LT_ROUNDS_SUMS, false, true, false, "rounds sums"},
    {FAKE_LT_IGNORES_OUT, true, true, false, "does not add"},
    {FAKE_LT_REFUSES_ROWS, false, false, true, "refuses some row counts"},
    {FAKE_LT_FAILS_ROWS, false, true, true, "fails for some row counts"},
    {FAKE_LT_WRITES_BEYOND, false, true, false, "writes beyond its rows"},
    {FAKE_LT_LEAVES_ROWS, false, true, true, "leaves rows out"},
    {FAKE_LT_WANTS_MUCH, false, false, false, "needs much workspace"},
    {FAKE_LT_HAS_NO_STATE, false, false, false, "proposed as unable"},
};

/* Nothing else is proposed: our own kernel, with one line in the log. */
static void faults_leave_our_own_kernel(void)
{
    struct rng rng = rng_seeded(2);
    for (size_t i = 0; i < COUNT(faults); i++) {
        struct product_context context, own;
        int32_t act = (int32_t)(i % 2), n_classes = faults[i].only_accumulate ? 1 : 2;
        propose(&faults[i].algorithm, 1);
        struct ppi_matrix *w = open_prepared(&context, &rng, act);
        EXPECT(state_of(&context, w, true) == PPI_CUDA_CLASS_OWN,
               "an algorithm is used that has a fault: %s", faults[i].name);
        EXPECT(state_of(&context, w, false) ==
                   (faults[i].only_accumulate ? PPI_CUDA_CLASS_LT : PPI_CUDA_CLASS_OWN),
               "wrong state for the fault: %s", faults[i].name);
        EXPECT(context.n_warnings == n_classes, "%s: %d warnings for %d classes", faults[i].name,
               context.n_warnings, n_classes);
        EXPECT(strstr(context.warning, "[64, 96]"), "the class is not named: %s", context.warning);
        EXPECT((fake_lt_products(faults[i].algorithm) > 0) == faults[i].is_run, "%s: %ld products",
               faults[i].name, fake_lt_products(faults[i].algorithm));
        product_open(&own, act, "own", HIDDEN, INNER, PASS);
        uint16_t *a = device_random(&rng, device_act(act), 200 * INNER, 1);
        float *start = device_random(&rng, PP_DTYPE_F32, 200 * HIDDEN, 1);
        float *expected = product_of(&own, w, a, 200, start);
        float *got = product_of(&context, w, a, 200, start);
        EXPECT(memcmp(got, expected, 200 * HIDDEN * sizeof *got) == 0,
               "%s: not the bits of our own kernel", faults[i].name);
        free(got);
        free(expected);
        free(start);
        free(a);
        product_close(&own);
        close_with(&context, w);
    }
}

/* The next proposal is sound: it is used, in all groups of row counts. */
static void faults_give_way_to_the_next(void)
{
    struct rng rng = rng_seeded(3);
    for (size_t i = 0; i < COUNT(faults); i++) {
        struct product_context context;
        int ids[] = {faults[i].algorithm, FAKE_LT_LARGE};
        propose(ids, 2);
        struct ppi_matrix *w = open_prepared(&context, &rng, (int32_t)(i % 2));
        EXPECT(state_of(&context, w, true) == PPI_CUDA_CLASS_LT, "%s: the next is not used",
               faults[i].name);
        EXPECT(context.n_warnings == 0, "%s", context.warning);
        propose(NULL, 0);
        check_invariance(&context, w, &rng, 700, true);
        EXPECT(faults[i].sound_for_few || fake_lt_products(faults[i].algorithm) == 0,
               "an algorithm was used that has a fault: %s", faults[i].name);
        EXPECT(fake_lt_products(FAKE_LT_LARGE) > 0, "LARGE was not used");
        close_with(&context, w);
    }
}

/* An algorithm of few rows with bits of its own, or with faults, is not used beside the reference.
 */
static void groups_have_the_bits_of_the_reference(void)
{
    static const int large[] = {FAKE_LT_LARGE};
    struct rng rng = rng_seeded(4);
    for (size_t i = 0; i <= COUNT(faults); i++) {
        struct product_context context;
        int few = i < COUNT(faults) ? faults[i].algorithm : FAKE_LT_OTHER_CHAIN;
        if (i < COUNT(faults) && faults[i].sound_for_few)
            continue;
        fake_lt_propose_few(&few, 1);
        fake_lt_propose_many(large, 1);
        struct ppi_matrix *w = open_prepared(&context, &rng, 0);
        EXPECT(state_of(&context, w, true) == PPI_CUDA_CLASS_LT, "%s", context.warning);
        fake_lt_propose_few(NULL, 0);
        check_invariance(&context, w, &rng, 64, true);
        EXPECT(fake_lt_products(few) == 0, "algorithm %d is used beside the reference", few);
        close_with(&context, w);
    }
    struct product_context context; /* for all: then its bits are the class's */
    int other = FAKE_LT_OTHER_CHAIN;
    propose(&other, 1);
    struct ppi_matrix *w = open_prepared(&context, &rng, 0);
    EXPECT(state_of(&context, w, true) == PPI_CUDA_CLASS_LT, "%s", context.warning);
    check_invariance(&context, w, &rng, 600, true);
    close_with(&context, w);
}

/* Weights that tell nothing settle nothing; the next matrix of the class does. */
static void weights_must_tell(void)
{
    static const float weights[] = {0, 1e38f};
    struct rng rng = rng_seeded(5);
    for (size_t i = 0; i < COUNT(weights); i++) {
        struct product_context context;
        product_open(&context, 0, NULL, HIDDEN, INNER, PASS);
        float same[HIDDEN * INNER];
        for (size_t j = 0; j < COUNT(same); j++)
            same[j] = weights[i];
        struct ppi_matrix *mute = product_matrix(&context, PPI_MATRIX_LINEAR, HIDDEN, INNER, same);
        prepare(&context, mute);
        EXPECT(state_of(&context, mute, true) == PPI_CUDA_CLASS_UNTESTED, "weights of %g settled",
               weights[i]);
        check_invariance(&context, mute, &rng, 70, true);
        struct ppi_matrix *w = random_matrix(&context, &rng, PPI_MATRIX_LINEAR, HIDDEN, INNER);
        prepare(&context, w);
        EXPECT(state_of(&context, mute, true) == PPI_CUDA_CLASS_LT, "the next settled nothing");
        ppi_cuda_matrix_destroy(mute);
        close_with(&context, w);
    }
}

static void other_shapes_run_on_our_own_kernel(void)
{
    struct rng rng = rng_seeded(6);
    struct product_context context;
    product_open(&context, 1, NULL, 40, 24, PASS);
    struct ppi_matrix *w = random_matrix(&context, &rng, PPI_MATRIX_LINEAR, 40, 24);
    prepare(&context, w);
    EXPECT(context.backend->products->n_classes == 0, "[40, 24] is no shape for cuBLASLt");
    check_invariance(&context, w, &rng, 140, true);
    ppi_cuda_matrix_destroy(w);
    w = random_matrix(&context, &rng, PPI_MATRIX_LINEAR, 48, 32);
    check_invariance(&context, w, &rng, 140, false); /* not prepared */
    close_with(&context, w);
}

/* More classes than there is room for run on our own kernel. */
static void many_classes(void)
{
    struct rng rng = rng_seeded(7);
    struct product_context context;
    product_open(&context, 0, NULL, HIDDEN, INNER, PASS);
    for (int32_t i = 1; i <= PPI_CUDA_MAX_CLASSES + 1; i++) {
        struct ppi_matrix *w =
            random_matrix(&context, &rng, PPI_MATRIX_LINEAR, 16 * i + HIDDEN, 16);
        prepare(&context, w);
        int32_t expected = i <= PPI_CUDA_MAX_CLASSES ? PPI_CUDA_CLASS_LT : -1;
        EXPECT(state_of(&context, w, false) == expected, "class %d", i);
        check_invariance(&context, w, &rng, 65, false);
        ppi_cuda_matrix_destroy(w);
    }
    product_close(&context);
}

static void gate_up_is_invariant(void)
{
    struct rng rng = rng_seeded(8);
    static const char *const variants[] = {NULL, "own"};
    for (size_t i = 0; i < COUNT(variants); i++)
        for (int32_t act = 0; act < PPI_CUDA_N_ACT; act++) {
            struct product_context context;
            product_open(&context, act, variants[i], HIDDEN, INNER, PASS);
            struct ppi_matrix *w = random_matrix(&context, &rng, PPI_MATRIX_GATE_UP, INNER, HIDDEN);
            prepare(&context, w);
            EXPECT(state_of(&context, w, false) == (variants[i] ? -1 : PPI_CUDA_CLASS_LT),
                   "variant %s", variants[i] ? variants[i] : "none");
            check_invariance(&context, w, &rng, PASS, false);
            close_with(&context, w);
        }
}

/* A product enqueues and does nothing else. */
static void products_only_enqueue(void)
{
    struct rng rng = rng_seeded(9);
    struct product_context context;
    struct ppi_matrix *w = open_prepared(&context, &rng, 0);
    char *a = device_alloc(64 * INNER * 2), *out = device_alloc(64 * HIDDEN * 4);
    for (int own = 0; own < 2; own++) {
        if (own)
            ((struct ppi_cuda_class *)(uintptr_t)product_class(&context, w, false))->state =
                PPI_CUDA_CLASS_OWN;
        fake_fail_at(0); /* counts from here */
        const struct ppi_epilogue plain = {.scale = 1};
        EXPECT(ppi_cuda_matmul(context.backend, a, w, 10, &plain, (float *)(void *)out, NULL) ==
                   PP_OK,
               "matmul");
        EXPECT(fake_calls() == (own ? 1 : 3), "%ld calls", fake_calls());
    }
    EXPECT(cudaStreamSynchronize(context.backend->stream) == cudaSuccess, "the stream failed");
    device_free(out);
    device_free(a);
    close_with(&context, w);
}

static bool same_choice(const struct ppi_cuda_class *x, const struct ppi_cuda_class *y)
{
    return x->state == y->state && x->max_rows == y->max_rows && x->n_tried == y->n_tried &&
           memcmp(x->algorithms, y->algorithms, sizeof x->algorithms) == 0;
}

/* Every call of the self-test fails in turn: a status, nothing lost, the class still open. */
static void the_self_test_may_fail(void)
{
    struct rng rng = rng_seeded(10);
    struct product_context context;
    product_open(&context, 0, NULL, HIDDEN, INNER, PASS);
    struct ppi_matrix *w = random_matrix(&context, &rng, PPI_MATRIX_LINEAR, 32, 32);
    struct ppi_cuda_products *products = context.backend->products;
    fake_fail_at(0);
    prepare(&context, w);
    long n_calls = fake_calls(), n_failed = 0, live = fake_live_objects();
    struct ppi_cuda_class expected = products->classes[0];
    for (long n = 1; n <= n_calls; n++) {
        pp_error err = {.struct_size = sizeof err};
        int64_t bytes = context.backend->bytes;
        products->n_classes = 0;
        fake_fail_at(n);
        pp_status status = ppi_cuda_prepare(context.backend, w, &err);
        char call[64];
        snprintf(call, sizeof call, "%s", fake_failed_call() ? fake_failed_call() : "none");
        n_failed += status < 0;
        EXPECT(status == PP_OK ||
                   (err.message[0] && (status == PP_ERR_DEVICE || status == PP_ERR_DEVICE_NOMEM)),
               "call %ld (%s): status %d, %s", n, call, status, err.message);
        EXPECT(status < 0 || same_choice(products->classes, &expected),
               "call %ld (%s) changed the choice in silence", n, call);
        EXPECT(status == PP_OK || products->n_classes == 0 ||
                   products->classes[0].state == PPI_CUDA_CLASS_UNTESTED,
               "call %ld (%s): the class is settled", n, call);
        EXPECT(context.backend->bytes == bytes && fake_live_objects() == live,
               "call %ld (%s): memory is lost", n, call);
        fake_fail_at(0);
        prepare(&context, w);
        EXPECT(same_choice(products->classes, &expected), "after call %ld (%s): another choice", n,
               call);
    }
    EXPECT(n_failed > n_calls * 9 / 10, "%ld of %ld failures were told", n_failed, n_calls);
    fake_fail_at(0);
    ppi_cuda_set_limit(context.backend, context.backend->bytes + 1000);
    products->n_classes = 0;
    EXPECT(ppi_cuda_prepare(context.backend, w, NULL) == PP_ERR_DEVICE_NOMEM, "no memory");
    ppi_cuda_set_limit(context.backend, 0);
    close_with(&context, w);
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"sound_algorithms_are_used", sound_algorithms_are_used},
        {"faults_leave_our_own_kernel", faults_leave_our_own_kernel},
        {"faults_give_way_to_the_next", faults_give_way_to_the_next},
        {"groups_have_the_bits_of_the_reference", groups_have_the_bits_of_the_reference},
        {"weights_must_tell", weights_must_tell},
        {"other_shapes_run_on_our_own_kernel", other_shapes_run_on_our_own_kernel},
        {"many_classes", many_classes},
        {"gate_up_is_invariant", gate_up_is_invariant},
        {"products_only_enqueue", products_only_enqueue},
        {"the_self_test_may_fail", the_self_test_may_fail},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
