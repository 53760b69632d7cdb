/*
 * device_experts.c: the seam's route and experts. Experts run over slices of rows: lists of each
 * expert's rows, the gated products, the products down into a buffer in the order of the lists,
 * then each row adds up its own. How many launches that takes depends on the number of rows alone:
 * the lists never leave the device.
 */
#include "cuda/cuda_impl.h"

/* Most rows of a slice; the bytes are bounded for wide models. */
#define SLICE_ROWS  8192
#define SLICE_BYTES ((size_t)512 << 20)
#define ALIGNMENT   256

/* Takes n elements behind *bytes. */
static size_t place(size_t *bytes, int64_t n, size_t size)
{
    size_t begin = *bytes;
    *bytes += ((size_t)n * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return begin;
}

/* Tiles of n_rows rows, of either shape. */
static int64_t most_tiles(const struct ppi_backend_params *params, int64_t n_rows)
{
    int64_t n_places = n_rows * params->top_k, most = 0;
    for (int32_t tile = 0; tile < PPI_CUDA_PRODUCT_TILES; tile++) {
        int64_t n = ppi_cuda_expert_tiles(tile, n_places, params->n_experts);
        most = n > most ? n : most;
    }
    return most;
}

/* Where everything is in a block for slices of n_rows rows; block NULL: its size alone. */
static struct ppi_cuda_experts_room lay_out(const struct ppi_backend *b, char *block,
                                            int32_t n_rows)
{
    const struct ppi_backend_params *params = &b->params;
    int64_t n_places = (int64_t)n_rows * params->top_k;
    size_t bytes = 0;
    size_t counts = place(&bytes, params->n_experts, sizeof(int32_t));
    size_t rows = place(&bytes, n_places, sizeof(int32_t));
    size_t places = place(&bytes, n_places, sizeof(int32_t));
    size_t tiles = place(&bytes, most_tiles(params, n_rows), sizeof(struct ppi_cuda_expert_tile));
    size_t gated = place(&bytes, n_places * params->expert_size, b->act_bytes);
    size_t down = place(&bytes, n_places * params->hidden_size, sizeof(float));
    struct ppi_cuda_experts_room room = {.block = block, .bytes = bytes, .n_rows = n_rows};
    if (!block)
        return room;
    room.counts = (int32_t *)(void *)(block + counts);
    room.rows = (int32_t *)(void *)(block + rows);
    room.places = (int32_t *)(void *)(block + places);
    room.tiles = (struct ppi_cuda_expert_tile *)(void *)(block + tiles);
    room.gated = block + gated;
    room.down = (float *)(void *)(block + down);
    return room;
}

pp_status ppi_cuda_experts_create(struct ppi_backend *b, pp_error *err)
{
    if (b->params.n_experts == 0)
        return PP_OK;
    int32_t n_rows = b->max_pass_tokens < SLICE_ROWS ? b->max_pass_tokens : SLICE_ROWS;
    while (n_rows > PPI_CUDA_ROW_PADDING && lay_out(b, NULL, n_rows).bytes > SLICE_BYTES)
        n_rows -= PPI_CUDA_ROW_PADDING;
    size_t bytes = lay_out(b, NULL, n_rows).bytes;
    char *block = ppi_cuda_alloc(b, bytes);
    if (!block)
        return ppi_error(err, PP_ERR_DEVICE_NOMEM, "no device memory for experts (%zu bytes)",
                         bytes);
    b->experts = lay_out(b, block, n_rows);
    return PP_OK;
}

void ppi_cuda_experts_destroy(struct ppi_backend *b)
{
    ppi_cuda_release(b, b->experts.block, b->experts.bytes);
    b->experts = (struct ppi_cuda_experts_room){.block = NULL};
}

pp_status ppi_cuda_run_route(struct ppi_backend *b, const struct ppi_router *router,
                             const float *logits, int64_t n_rows, const struct ppi_routing *routing,
                             pp_error *err)
{
    struct ppi_cuda_route_args args = {
        .logits = logits,
        .correction = ppi_cuda_vector(router->correction),
        .expert_scale = ppi_cuda_vector(router->expert_scale),
        .chosen = routing->chosen,
        .weights = routing->weights,
        .n_rows = (int32_t)n_rows,
        .n = router->n,
        .top_k = router->top_k,
        .scoring = router->scoring == PPI_SCORING_SOFTMAX  ? PPI_CUDA_SCORING_SOFTMAX
                   : router->scoring == PPI_SCORING_CHOSEN ? PPI_CUDA_SCORING_CHOSEN
                                                           : PPI_CUDA_SCORING_SIGMOID,
        .normalize = router->normalize,
        .sum_eps = router->sum_eps,
        .scale = router->scale};
    return ppi_cuda_launch(b, &ppi_cuda_route[0], ppi_cuda_route_blocks(n_rows), &args, err);
}

/* Rows of a slice, and how they are cut. */
struct slice {
    const int32_t *chosen;
    const float *weights;
    const void *a;
    float *out;
    int32_t n_rows, tile, n_tiles;
};

static pp_status make_lists(struct ppi_backend *b, const struct ppi_experts *experts,
                            const struct slice *slice, pp_error *err)
{
    const struct ppi_cuda_experts_room *room = &b->experts;
    struct ppi_cuda_expert_lists_args args = {.chosen = slice->chosen,
                                              .counts = room->counts,
                                              .rows = room->rows,
                                              .places = room->places,
                                              .tiles = room->tiles,
                                              .n_rows = slice->n_rows,
                                              .n = experts->n,
                                              .top_k = experts->top_k,
                                              .tile_rows = ppi_cuda_experts_tile_rows(slice->tile),
                                              .n_tiles = slice->n_tiles};
    PP_TRY(ppi_cuda_launch(b, &ppi_cuda_count_experts[0], experts->n, &args, err));
    return ppi_cuda_launch(b, &ppi_cuda_place_experts[0], experts->n, &args, err);
}

static pp_status multiply(struct ppi_backend *b, const struct ppi_experts *experts,
                          const struct slice *slice, pp_error *err)
{
    const struct ppi_cuda_experts_room *room = &b->experts;
    const struct ppi_matrix *gate_up = experts->gate_up, *down = experts->down;
    int32_t activation = experts->activation;
    struct ppi_cuda_experts_args gated = {
        .a = slice->a,
        .w = gate_up->data,
        .bias = ppi_cuda_vector(experts->gate_up_bias),
        .out = room->gated,
        .rows = room->rows,
        .tiles = room->tiles,
        .n_tiles = slice->n_tiles,
        .n = (int32_t)gate_up->n,
        .k = (int32_t)gate_up->k,
        .activation = activation == PPI_ACTIVATION_SILU        ? PPI_CUDA_SILU
                      : activation == PPI_ACTIVATION_GELU_TANH ? PPI_CUDA_GELU_TANH
                                                               : PPI_CUDA_SWIGLU_CLAMPED,
        .limit = experts->limit,
        .alpha = experts->alpha};
    struct ppi_cuda_experts_args to_hidden = {.a = room->gated,
                                              .w = down->data,
                                              .bias = ppi_cuda_vector(experts->down_bias),
                                              .out = room->down,
                                              .tiles = room->tiles,
                                              .n_tiles = slice->n_tiles,
                                              .n = (int32_t)down->n,
                                              .k = (int32_t)down->k};
    PP_TRY(ppi_cuda_launch(b, &ppi_cuda_experts_gated[b->act][slice->tile],
                           ppi_cuda_experts_blocks(slice->tile, true, slice->n_tiles, gated.n),
                           &gated, err));
    return ppi_cuda_launch(b, &ppi_cuda_experts_down[b->act][slice->tile],
                           ppi_cuda_experts_blocks(slice->tile, false, slice->n_tiles, to_hidden.n),
                           &to_hidden, err);
}

static pp_status run_slice(struct ppi_backend *b, const struct ppi_experts *experts,
                           const struct slice *slice, pp_error *err)
{
    struct ppi_cuda_combine_args combine = {.down = b->experts.down,
                                            .weights = slice->weights,
                                            .places = b->experts.places,
                                            .out = slice->out,
                                            .n_rows = slice->n_rows,
                                            .top_k = experts->top_k,
                                            .dim = (int32_t)experts->down->n,
                                            .accumulate = experts->accumulate,
                                            .scale = experts->scale};
    PP_TRY(make_lists(b, experts, slice, err));
    PP_TRY(multiply(b, experts, slice, err));
    return ppi_cuda_launch(b, &ppi_cuda_combine[0], slice->n_rows, &combine, err);
}

pp_status ppi_cuda_run_experts(struct ppi_backend *b, const struct ppi_experts *experts,
                               const struct ppi_routing *routing, const void *a, int64_t n_rows,
                               float *out, pp_error *err)
{
    const struct ppi_backend_params *params = &b->params;
    if (experts->n != params->n_experts || experts->top_k > params->top_k ||
        experts->gate_up->n > params->expert_size || experts->down->n > params->hidden_size)
        return ppi_error(err, PP_ERR_INTERNAL,
                         "%d experts of %lld, %d of them for a row; room is for %d of %d, %d",
                         experts->n, (long long)experts->gate_up->n, experts->top_k,
                         params->n_experts, params->expert_size, params->top_k);
    for (int64_t first = 0; first < n_rows; first += b->experts.n_rows) {
        int64_t left = n_rows - first;
        int32_t n = (int32_t)(left < b->experts.n_rows ? left : b->experts.n_rows);
        int64_t n_places = (int64_t)n * experts->top_k;
        struct slice slice = {.chosen = routing->chosen + first * experts->top_k,
                              .weights = routing->weights + first * experts->top_k,
                              .a = (const char *)a +
                                   (size_t)(first * experts->gate_up->k) * b->act_bytes,
                              .out = out + first * experts->down->n,
                              .n_rows = n,
                              .tile = ppi_cuda_experts_tile(n_places, experts->n)};
        slice.n_tiles = (int32_t)ppi_cuda_expert_tiles(slice.tile, n_places, experts->n);
        PP_TRY(run_slice(b, experts, &slice, err));
    }
    return PP_OK;
}
