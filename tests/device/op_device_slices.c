/*
 * op_device_slices.c: experts through the seam: a context of few rows takes many rows in slices,
 * with the bits of a context that takes them at once; and what it has no room for it says.
 */
#include "cuda/context.h"
#include "under_test.h"

#include <prepack/common.h>

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { N = 5, TOP_K = 3, HIDDEN = 40, INNER = 24, ROWS = 200 };

struct world {
    struct ppi_mem mem;
    struct ppi_backend *backend;
    struct ppi_matrix *gate_up, *down;
};

static void expect_ok(pp_status status, const char *what, const pp_error *err)
{
    EXPECT(status >= 0, "%s: %s", what, err->message);
}

static struct ppi_matrix *matrix(struct world *world, int32_t kind, int64_t n, int64_t k)
{
    pp_error err = {.struct_size = sizeof err};
    struct rng rng = {(uint64_t)kind};
    int64_t n_rows = N * (kind == PPI_MATRIX_GATE_UP ? 2 * n : n);
    float *weights = device_random(&rng, PP_DTYPE_F32, (size_t)(n_rows * k), 0.2);
    struct ppi_matrix *m;
    const struct ppi_matrix_spec spec = {.kind = kind, .n = n, .k = k, .n_stacked = N};
    expect_ok(ppi_cuda_matrix_create(world->backend, &world->mem, &spec, &m, &err), "a stack",
              &err);
    expect_ok(ppi_cuda_matrix_fill(world->backend, m, 0, n_rows, weights, PP_DTYPE_F32, &err),
              "weights", &err);
    expect_ok(ppi_cuda_prepare(world->backend, m, &err), "preparing a stack", &err);
    free(weights);
    return m;
}

static void world_open(struct world *world, int32_t act, int32_t max_pass_tokens)
{
    static const struct ppi_layer_place place;
    pp_error err = {.struct_size = sizeof err};
    expect_ok(ppi_mem_init(&world->mem, NULL, 0, &err), "memory", &err);
    struct ppi_backend_params params = {
        .variant = "own",
        .mem = &world->mem,
        .dtype = device_act(act),
        .n_threads = 1,
        .n_heads = 1,
        .n_layers = 1,
        .places = &place,
        .n_page_classes = 1,
        .classes = {{.n_kv_heads = 1, .head_dim = 64, .n_layers = 1}},
        .hidden_size = HIDDEN,
        .n_experts = N,
        .top_k = TOP_K,
        .expert_size = INNER,
        .max_pass_tokens = max_pass_tokens};
    expect_ok(ppi_cuda_open(&params, &world->backend, &err), "opening", &err);
    world->gate_up = matrix(world, PPI_MATRIX_GATE_UP, INNER, HIDDEN);
    world->down = matrix(world, PPI_MATRIX_LINEAR, HIDDEN, INNER);
}

static void world_close(struct world *world)
{
    ppi_cuda_matrix_destroy(world->gate_up);
    ppi_cuda_matrix_destroy(world->down);
    ppi_cuda_close(world->backend);
    EXPECT(world->mem.bytes == 0, "%lld bytes of host memory leaked", (long long)world->mem.bytes);
}

static struct ppi_experts experts_of(const struct world *world)
{
    return (struct ppi_experts){.n = N,
                                .top_k = TOP_K,
                                .gate_up = world->gate_up,
                                .down = world->down,
                                .activation = PPI_ACTIVATION_SILU,
                                .scale = 1};
}

/* Routes and runs n_rows rows; out [n_rows, HIDDEN], malloc'ed. */
static float *run(int32_t act, int32_t max_pass_tokens, const float *logits, const uint16_t *a,
                  int64_t n_rows)
{
    struct world world;
    world_open(&world, act, max_pass_tokens);
    const struct ppi_experts experts = experts_of(&world);
    const struct ppi_router router = {
        .n = N, .top_k = TOP_K, .scoring = PPI_SCORING_CHOSEN, .scale = 1};
    pp_error err = {.struct_size = sizeof err};
    size_t rows = (size_t)n_rows, bytes = rows * HIDDEN * sizeof(float);
    void *device_logits = device_upload(logits, rows * N * sizeof *logits);
    void *device_a = device_upload(a, rows * HIDDEN * sizeof *a), *out = device_alloc(bytes);
    const struct ppi_routing routing = {device_alloc(rows * TOP_K * sizeof(int32_t)),
                                        device_alloc(rows * TOP_K * sizeof(float))};
    EXPECT(cudaDeviceSynchronize() == cudaSuccess, "filling memory");
    expect_ok(ppi_cuda_run_route(world.backend, &router, device_logits, n_rows, &routing, &err),
              "routing", &err);
    expect_ok(ppi_cuda_run_experts(world.backend, &experts, &routing, device_a, n_rows, out, &err),
              "experts", &err);
    expect_ok(ppi_cuda_synchronize(world.backend, &err), "waiting", &err);
    float *got = device_host(bytes);
    device_download(got, out, bytes);
    device_free(device_logits);
    device_free(device_a);
    device_free(out);
    device_free(routing.chosen);
    device_free(routing.weights);
    world_close(&world);
    return got;
}

static void slices_keep_bits(void)
{
    struct rng rng = rng_seeded(1);
    for (int32_t act = 0; act < PPI_CUDA_N_ACT; act++) {
        float *logits = device_random(&rng, PP_DTYPE_F32, ROWS * N, 1);
        uint16_t *a = device_random(&rng, device_act(act), ROWS * HIDDEN, 1);
        float *whole = run(act, 256, logits, a, ROWS), *sliced = run(act, 64, logits, a, ROWS);
        float *last = run(act, 64, logits + (ROWS - 1) * N, a + (ROWS - 1) * HIDDEN, 1);
        for (int32_t i = 0; i < ROWS * HIDDEN; i++)
            EXPECT(whole[i] == sliced[i] && whole[i] - whole[i] == 0,
                   "row %d, element %d: %g, in slices %g", i / HIDDEN, i % HIDDEN, (double)whole[i],
                   (double)sliced[i]);
        EXPECT(memcmp(last, whole + (ROWS - 1) * HIDDEN, HIDDEN * sizeof *last) == 0,
               "the last row has other bits alone");
        free(logits);
        free(a);
        free(whole);
        free(sliced);
        free(last);
    }
}

static void what_there_is_no_room_for(void)
{
    pp_error err = {.struct_size = sizeof err};
    struct world world;
    world_open(&world, 0, 64);
    struct ppi_experts experts = experts_of(&world);
    const struct ppi_routing routing = {NULL, NULL};
    experts.top_k = TOP_K + 1;
    EXPECT(ppi_cuda_run_experts(world.backend, &experts, &routing, NULL, 1, NULL, &err) ==
                   PP_ERR_INTERNAL &&
               strstr(err.message, "room is for"),
           "four experts for a row: \"%s\"", err.message);
    const struct ppi_matrix_spec odd = {.kind = PPI_MATRIX_LINEAR, .n = 8, .k = 12};
    struct ppi_matrix *m;
    EXPECT(ppi_cuda_matrix_create(world.backend, &world.mem, &odd, &m, &err) ==
                   PP_ERR_UNSUPPORTED &&
               strstr(err.message, "rows of 12 elements"),
           "rows of 12 elements: \"%s\"", err.message);
    world_close(&world);
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"slices_keep_bits", slices_keep_bits},
        {"what_there_is_no_room_for", what_there_is_no_room_for},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
