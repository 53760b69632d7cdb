/*
 * op_device_experts.c: the lists of experts against straight ones, their products and sums against
 * double precision, and their bits against those of other companies of rows and of the other tile.
 */
#include "under_test.h"

#include <prepack/common.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Rows and their experts, on the host. */
struct problem {
    int32_t act, n_rows, n, top_k, hidden, inner, activation;
    bool biases, accumulate;
    float limit, alpha, scale;
    int32_t *chosen;
    float *weights;
    uint16_t *a, *gate_up, *down;
    float *gate_up_bias, *down_bias, *start; /* start: out before */
};

/* top_k of n in ascending order; only the first `popular` where that is enough. */
static void choose(struct rng *rng, int32_t n, int32_t top_k, int32_t popular, int32_t *chosen)
{
    int32_t from = popular > top_k ? popular : top_k, left = top_k;
    from = from < n ? from : n;
    for (int32_t e = 0; e < from; e++)
        if (rng_between(rng, 1, from - e) <= left)
            chosen[top_k - left--] = e;
}

static struct problem problem_make(struct rng *rng, int32_t act, int32_t n_rows, int32_t n,
                                   int32_t top_k, int32_t hidden, int32_t inner)
{
    int32_t dtype = device_act(act);
    size_t rows = (size_t)n_rows, experts = (size_t)n, h = (size_t)hidden, i = (size_t)inner;
    struct problem p = {.act = act,
                        .n_rows = n_rows,
                        .n = n,
                        .top_k = top_k,
                        .hidden = hidden,
                        .inner = inner,
                        .scale = 1};
    p.chosen = device_host(rows * (size_t)top_k * sizeof *p.chosen);
    for (int32_t row = 0; row < n_rows; row++)
        choose(rng, n, top_k, row % 3 ? n : n / 2, p.chosen + row * top_k);
    p.weights = device_random(rng, PP_DTYPE_F32, rows * (size_t)top_k, 1);
    p.a = device_random(rng, dtype, rows * h, 1);
    p.gate_up = device_random(rng, dtype, experts * 2 * i * h, 1 / sqrt(hidden));
    p.down = device_random(rng, dtype, experts * h * i, 1 / sqrt(inner));
    p.gate_up_bias = device_random(rng, PP_DTYPE_F32, experts * 2 * i, 1);
    p.down_bias = device_random(rng, PP_DTYPE_F32, experts * h, 1);
    p.start = device_random(rng, PP_DTYPE_F32, rows * h, 1);
    return p;
}

static void problem_free(struct problem *p)
{
    free(p->chosen);
    free(p->weights);
    free(p->a);
    free(p->gate_up);
    free(p->down);
    free(p->gate_up_bias);
    free(p->down_bias);
    free(p->start);
}

/* ---- on the device ---- */

/* What the kernels make on their way to out. */
struct room {
    int32_t *counts, *rows, *places;
    struct ppi_cuda_expert_tile *tiles;
    int32_t n_tiles;
};

static struct room make_lists(const struct problem *p, int32_t tile, const int32_t *chosen)
{
    int32_t n_places = p->n_rows * p->top_k;
    struct room room = {.n_tiles = (int32_t)ppi_cuda_expert_tiles(tile, n_places, p->n)};
    room.counts = device_alloc((size_t)p->n * sizeof(int32_t));
    room.rows = device_alloc((size_t)n_places * sizeof(int32_t));
    room.places = device_alloc((size_t)n_places * sizeof(int32_t));
    room.tiles = device_alloc((size_t)room.n_tiles * sizeof *room.tiles);
    struct ppi_cuda_expert_lists_args args = {.chosen = chosen,
                                              .counts = room.counts,
                                              .rows = room.rows,
                                              .places = room.places,
                                              .tiles = room.tiles,
                                              .n_rows = p->n_rows,
                                              .n = p->n,
                                              .top_k = p->top_k,
                                              .tile_rows = ppi_cuda_experts_tile_rows(tile),
                                              .n_tiles = room.n_tiles};
    device_launch(&ppi_cuda_count_experts[0], p->n, &args);
    device_launch(&ppi_cuda_place_experts[0], p->n, &args);
    return room;
}

static void free_lists(struct room *room)
{
    device_free(room->counts);
    device_free(room->rows);
    device_free(room->places);
    device_free(room->tiles);
}

/* out [n_rows, hidden], malloc'ed. */
static float *run(const struct problem *p, int32_t tile)
{
    size_t rows = (size_t)p->n_rows, h = (size_t)p->hidden, i = (size_t)p->inner;
    size_t places = rows * (size_t)p->top_k, experts = (size_t)p->n;
    void *chosen = device_upload(p->chosen, places * sizeof *p->chosen);
    void *weights = device_upload(p->weights, places * sizeof *p->weights);
    void *a = device_upload(p->a, rows * h * 2), *out = device_upload(p->start, rows * h * 4);
    void *gate_up = device_upload(p->gate_up, experts * 2 * i * h * 2);
    void *down = device_upload(p->down, experts * h * i * 2);
    void *gate_up_bias = device_upload(p->gate_up_bias, experts * 2 * i * 4);
    void *down_bias = device_upload(p->down_bias, experts * h * 4);
    void *gated = device_alloc(places * i * 2), *products = device_alloc(places * h * 4);
    struct room room = make_lists(p, tile, chosen);
    struct ppi_cuda_experts_args first = {.a = a,
                                          .w = gate_up,
                                          .bias = p->biases ? gate_up_bias : NULL,
                                          .out = gated,
                                          .rows = room.rows,
                                          .tiles = room.tiles,
                                          .n_tiles = room.n_tiles,
                                          .n = p->inner,
                                          .k = p->hidden,
                                          .activation = p->activation,
                                          .limit = p->limit,
                                          .alpha = p->alpha};
    struct ppi_cuda_experts_args second = {.a = gated,
                                           .w = down,
                                           .bias = p->biases ? down_bias : NULL,
                                           .out = products,
                                           .tiles = room.tiles,
                                           .n_tiles = room.n_tiles,
                                           .n = p->hidden,
                                           .k = p->inner};
    struct ppi_cuda_combine_args last = {.down = products,
                                         .weights = weights,
                                         .places = room.places,
                                         .out = out,
                                         .n_rows = p->n_rows,
                                         .top_k = p->top_k,
                                         .dim = p->hidden,
                                         .accumulate = p->accumulate,
                                         .scale = p->scale};
    device_launch(&ppi_cuda_experts_gated[p->act][tile],
                  ppi_cuda_experts_blocks(tile, true, room.n_tiles, p->inner), &first);
    device_launch(&ppi_cuda_experts_down[p->act][tile],
                  ppi_cuda_experts_blocks(tile, false, room.n_tiles, p->hidden), &second);
    device_launch(&ppi_cuda_combine[0], p->n_rows, &last);
    float *got = device_host(rows * h * sizeof *got);
    device_download(got, out, rows * h * sizeof *got);
    free_lists(&room);
    void *blocks[] = {chosen, weights,      a,         out,   gate_up,
                      down,   gate_up_bias, down_bias, gated, products};
    for (size_t block = 0; block < COUNT(blocks); block++)
        device_free(blocks[block]);
    return got;
}

/* ---- what it should give ---- */

static double gate_exactly(const struct problem *p, double gate, double up)
{
    if (p->activation == PPI_CUDA_SWIGLU_CLAMPED) {
        gate = fmin(gate, p->limit);
        up = fmax(fmin(up, p->limit), -p->limit);
        return (up + 1) * gate / (1 + exp(-p->alpha * gate));
    }
    if (p->activation == PPI_CUDA_SILU)
        return up * gate / (1 + exp(-gate));
    return up * gate / (1 + exp(-2 * sqrt(2 / M_PI) * (gate + 0.044715 * gate * gate * gate)));
}

static double narrowed(int32_t act, double x)
{
    return act == 0 ? ppi_bf16_to_f32(ppi_f32_to_bf16((float)x))
                    : ppi_f16_to_f32(ppi_f32_to_f16((float)x));
}

/* Row i of the matrix times x: [.., k] and [k]. */
static double row_times(const struct problem *p, const uint16_t *w, int64_t i, const double *x,
                        int32_t k)
{
    double sum = 0;
    for (int32_t j = 0; j < k; j++)
        sum += device_value(device_act(p->act), w, (size_t)(i * k + j)) * x[j];
    return sum;
}

/* A row's values, and what each may be off by: gated values may round the other way. */
static void expect_row(const struct problem *p, int32_t row, const float *got)
{
    double *a = device_host((size_t)p->hidden * sizeof *a);
    double *gated = device_host((size_t)p->inner * sizeof *gated);
    double *sums = device_host((size_t)p->hidden * sizeof *sums), size = 0;
    for (int32_t i = 0; i < p->hidden; i++) {
        a[i] = device_value(device_act(p->act), p->a, (size_t)(row * p->hidden + i));
        sums[i] = p->accumulate ? p->start[row * p->hidden + i] : 0;
    }
    for (int32_t j = 0; j < p->top_k; j++) {
        int64_t e = p->chosen[row * p->top_k + j];
        double weight = p->scale * p->weights[row * p->top_k + j];
        for (int64_t i = 0; i < p->inner; i++) {
            int64_t gate = 2 * e * p->inner + i, up = gate + p->inner;
            gated[i] = narrowed(p->act, gate_exactly(p,
                                                     row_times(p, p->gate_up, gate, a, p->hidden) +
                                                         (p->biases ? p->gate_up_bias[gate] : 0),
                                                     row_times(p, p->gate_up, up, a, p->hidden) +
                                                         (p->biases ? p->gate_up_bias[up] : 0)));
            size += gated[i] * gated[i] * weight * weight / p->inner;
        }
        for (int64_t i = 0; i < p->hidden; i++)
            sums[i] += weight * (row_times(p, p->down, e * p->hidden + i, gated, p->inner) +
                                 (p->biases ? p->down_bias[e * p->hidden + i] : 0));
    }
    double unit = p->act == 0 ? 0x1p-8 : 0x1p-11;
    for (int32_t i = 0; i < p->hidden; i++)
        EXPECT(fabs(got[i] - sums[i]) <= 1e-5 * (1 + fabs(sums[i])) + unit * sqrt(size),
               "%d experts of %d, row %d, element %d: %g, expected %g", p->n, p->inner, row, i,
               (double)got[i], sums[i]);
    free(a);
    free(gated);
    free(sums);
}

/* ---- tests ---- */

static void lists_are_in_order(void)
{
    static const int32_t shapes[][3] = {
        {1, 4, 2}, {70, 5, 3}, {300, 3, 1}, {600, 40, 4}, {9, 300, 8}};
    struct rng rng = rng_seeded(1);
    for (size_t s = 0; s < COUNT(shapes); s++)
        for (int32_t tile = 0; tile < PPI_CUDA_PRODUCT_TILES; tile++) {
            struct problem p =
                problem_make(&rng, 0, shapes[s][0], shapes[s][1], shapes[s][2], 8, 8);
            size_t n = (size_t)(p.n_rows * p.top_k) * sizeof(int32_t);
            void *chosen = device_upload(p.chosen, n);
            struct room room = make_lists(&p, tile, chosen);
            int32_t *rows = device_host(n), *places = device_host(n), place = 0, i_tile = 0;
            size_t tile_bytes = (size_t)room.n_tiles * sizeof *room.tiles;
            struct ppi_cuda_expert_tile *tiles = device_host(tile_bytes);
            device_download(rows, room.rows, n);
            device_download(places, room.places, n);
            device_download(tiles, room.tiles, tile_bytes);
            int32_t tile_rows = ppi_cuda_experts_tile_rows(tile);
            for (int32_t e = 0; e < p.n; e++) {
                int32_t first = place;
                for (int32_t i = 0; i < p.n_rows * p.top_k; i++) {
                    if (p.chosen[i] != e)
                        continue;
                    EXPECT(rows[place] == i / p.top_k && places[i] == place,
                           "place %d: row %d, and %d of row %d", place, rows[place], places[i],
                           i / p.top_k);
                    place++;
                }
                for (; first < place; first += tile_rows, i_tile++) {
                    int32_t n_rows = place - first < tile_rows ? place - first : tile_rows;
                    EXPECT(tiles[i_tile].expert == e && tiles[i_tile].first == first &&
                               tiles[i_tile].n_rows == n_rows,
                           "tile %d: %d places from %d of expert %d", i_tile, tiles[i_tile].n_rows,
                           tiles[i_tile].first, tiles[i_tile].expert);
                }
            }
            for (; i_tile < room.n_tiles; i_tile++)
                EXPECT(tiles[i_tile].n_rows == 0, "tile %d is not empty", i_tile);
            free_lists(&room);
            device_free(chosen);
            free(rows);
            free(places);
            free(tiles);
            problem_free(&p);
        }
}

/* Every expert with a list of one row more than whole tiles, and a single one with all rows. */
static void there_are_tiles_enough(void)
{
    for (int32_t tile = 0; tile < PPI_CUDA_PRODUCT_TILES; tile++) {
        int32_t rows = ppi_cuda_experts_tile_rows(tile);
        EXPECT(ppi_cuda_expert_tiles(tile, 10, 10) == 10, "ten experts of a row");
        EXPECT(ppi_cuda_expert_tiles(tile, 5, 10) == 5, "five experts of a row");
        EXPECT(ppi_cuda_expert_tiles(tile, 3 * (rows + 1), 3) >= 6, "experts of a tile and a row");
        EXPECT(ppi_cuda_expert_tiles(tile, 7 * rows + 1, 2) >= 8, "one expert of everything");
    }
}

static void values(void)
{
    static const struct {
        int32_t n_rows, n, top_k, hidden, inner, activation, biases;
        float scale;
    } cases[] = {
        {1, 4, 2, 64, 32, PPI_CUDA_SILU, 0, 1},
        {70, 3, 2, 40, 72, PPI_CUDA_GELU_TANH, 1, 0.5f},
        {33, 8, 3, 136, 24, PPI_CUDA_SWIGLU_CLAMPED, 1, 1},
        {150, 2, 1, 72, 136, PPI_CUDA_SILU, 1, 1},
        {5, 6, 6, 8, 8, PPI_CUDA_SWIGLU_CLAMPED, 0, 2},
    };
    struct rng rng = rng_seeded(2);
    for (size_t c = 0; c < COUNT(cases); c++)
        for (int32_t tile = 0; tile < PPI_CUDA_PRODUCT_TILES; tile++) {
            struct problem p =
                problem_make(&rng, (int32_t)(c + (size_t)tile) % 2, cases[c].n_rows, cases[c].n,
                             cases[c].top_k, cases[c].hidden, cases[c].inner);
            p.activation = cases[c].activation;
            p.biases = cases[c].biases;
            p.accumulate = c % 2 == 0;
            p.scale = cases[c].scale;
            p.limit = 0.75f;
            p.alpha = 1.702f;
            float *got = run(&p, tile);
            for (int32_t row = 0; row < p.n_rows; row += device_is_emulated() ? 7 : 1)
                expect_row(&p, row, got + row * p.hidden);
            free(got);
            problem_free(&p);
        }
}

/* A row alone, in the other tile, and among others that hold NaN and infinity. */
static void bits_do_not_depend_on_company(void)
{
    static const int32_t counts[] = {1, 65, 140};
    enum { BASE = 5, N = 4, TOP_K = 2, HIDDEN = 72, INNER = 40 };
    struct rng rng = rng_seeded(3);
    for (int32_t act = 0; act < PPI_CUDA_N_ACT; act++) {
        struct problem base = problem_make(&rng, act, BASE, N, TOP_K, HIDDEN, INNER);
        float *expected = run(&base, 0);
        for (size_t c = 0; c < COUNT(counts); c++)
            for (int32_t tile = 0; tile < PPI_CUDA_PRODUCT_TILES; tile++) {
                struct problem p = problem_make(&rng, act, counts[c], N, TOP_K, HIDDEN, INNER);
                int32_t *from = device_host((size_t)p.n_rows * sizeof *from);
                memcpy(p.gate_up, base.gate_up, (size_t)N * 2 * INNER * HIDDEN * 2);
                memcpy(p.down, base.down, (size_t)N * INNER * HIDDEN * 2);
                for (int32_t row = 0; row < p.n_rows; row++) {
                    from[row] = row == 0 ? BASE - 1 : (int32_t)rng_between(&rng, -1, BASE - 1);
                    for (int32_t i = 0; i < HIDDEN && from[row] < 0; i++)
                        p.a[row * HIDDEN + i] = row % 2 ? 0xFFFF : act == 0 ? 0x7F80 : 0x7C00;
                    if (from[row] < 0)
                        continue;
                    memcpy(p.a + row * HIDDEN, base.a + from[row] * HIDDEN, HIDDEN * 2);
                    memcpy(p.chosen + row * TOP_K, base.chosen + from[row] * TOP_K, TOP_K * 4);
                    memcpy(p.weights + row * TOP_K, base.weights + from[row] * TOP_K, TOP_K * 4);
                }
                float *got = run(&p, tile);
                for (int32_t row = 0; row < p.n_rows; row++)
                    EXPECT(from[row] < 0 || memcmp(got + row * HIDDEN,
                                                   expected + from[row] * HIDDEN, HIDDEN * 4) == 0,
                           "row %d of %d, tile %d: not the bits it has alone", row, p.n_rows, tile);
                free(got);
                free(from);
                problem_free(&p);
            }
        free(expected);
        problem_free(&base);
    }
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"lists_are_in_order", lists_are_in_order},
        {"there_are_tiles_enough", there_are_tiles_enough},
        {"values", values},
        {"bits_do_not_depend_on_company", bits_do_not_depend_on_company},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
