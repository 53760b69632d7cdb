/*
 * test_cost_fit.c: the fit of a cost model: it finds the coefficients that made the times, none is
 * ever negative, no other choice of them is better, samples that cannot tell terms apart do no
 * harm; the shapes that are measured; the reader of its JSON when memory runs out.
 */
#include "measure/cost_fit.h"
#include "measure/cost_shapes.h"
#include "malformed/failing.h"
#include "support/rng.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <string.h>

enum { N_SAMPLES = 60 };

static void draw_samples(struct rng *rng, struct ppi_cost_sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        samples[i] = (struct ppi_cost_sample){.n_prompts = rng_between(rng, 1, 40)};
        int64_t longest = rng_between(rng, 1, 700);
        for (int64_t k = 0; k < samples[i].n_prompts; k++) {
            int64_t length = rng_between(rng, 1, longest);
            samples[i].tokens += length;
            samples[i].squares += (double)(length * length);
        }
    }
}

/* Seconds by a model. */
static void set_times(const pp_cost_model *model, struct ppi_cost_sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        samples[i].seconds =
            ppi_cost(model, samples[i].tokens, samples[i].squares, samples[i].n_prompts);
}

static double squared_error(const pp_cost_model *model, const struct ppi_cost_sample *samples,
                            size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double miss = ppi_cost(model, samples[i].tokens, samples[i].squares, samples[i].n_prompts) /
                          samples[i].seconds -
                      1;
        sum += miss * miss;
    }
    return sum;
}

static const pp_cost_model truths[] = {
    {.per_pass = 1e-3, .per_token = 2e-5, .per_square = 3e-8, .per_prompt = 4e-5, .tile = 1},
    {.per_pass = 1e-3, .per_token = 2e-5, .per_square = 3e-8, .per_prompt = 4e-5, .tile = 64},
    {.per_pass = 5e-6, .per_token = 1e-7, .per_square = 1e-11, .per_prompt = 0, .tile = 16},
    {.per_pass = 0, .per_token = 2e-2, .per_square = 0, .per_prompt = 0, .tile = 1},
    {.per_pass = 0, .per_token = 0, .per_square = 1e-9, .per_prompt = 0, .tile = 1},
    {.per_pass = 7, .per_token = 0, .per_square = 0, .per_prompt = 0, .tile = 1},
    {.per_pass = 0, .per_token = 1, .per_square = 0, .per_prompt = 500, .tile = 256},
};

static void check_near(double value, double truth, double unit)
{
    ck_assert_msg(fabs(value - truth) <= 1e-6 * truth + 1e-9 * unit, "%g, not %g", value, truth);
}

START_TEST(finds_what_made_the_times)
{
    struct rng rng = rng_seeded(11 + (uint64_t)_i);
    const pp_cost_model *truth = &truths[_i];
    struct ppi_cost_sample samples[N_SAMPLES];
    pp_cost_model fitted;
    draw_samples(&rng, samples, N_SAMPLES);
    set_times(truth, samples, N_SAMPLES);
    pp_cost_init(&fitted, sizeof fitted);
    ppi_cost_fit(samples, N_SAMPLES, &fitted);
    double unit = samples[0].seconds;
    check_near(fitted.per_pass, truth->per_pass, unit);
    check_near(fitted.per_token, truth->per_token, unit);
    check_near(fitted.per_square, truth->per_square, unit);
    check_near(fitted.per_prompt, truth->per_prompt, unit);
    ck_assert_int_eq(fitted.tile, truth->per_token > 0 ? truth->tile : 1);
    ck_assert(ppi_cost_error(&fitted, samples, N_SAMPLES) < 1e-6);
}
END_TEST

/* Times with noise, and times that no model with such terms makes: the fit is a minimum, and inside
 * the bounds. */
START_TEST(is_best_and_never_negative)
{
    struct rng rng = rng_seeded(23 + (uint64_t)_i);
    struct ppi_cost_sample samples[N_SAMPLES];
    pp_cost_model fitted;
    draw_samples(&rng, samples, N_SAMPLES);
    set_times(&truths[_i % 2], samples, N_SAMPLES);
    for (size_t i = 0; i < N_SAMPLES; i++) {
        if (_i % 3 == 2) /* the more, the faster */
            samples[i].seconds = 1 / (double)samples[i].tokens;
        else
            samples[i].seconds *= 0.5 + (double)rng_between(&rng, 0, 1000) / 1000;
    }
    pp_cost_init(&fitted, sizeof fitted);
    ppi_cost_fit(samples, N_SAMPLES, &fitted);
    double *terms[] = {&fitted.per_pass, &fitted.per_token, &fitted.per_square, &fitted.per_prompt};
    const double least = squared_error(&fitted, samples, N_SAMPLES);
    const double units[] = {1e-3, 2e-5, 3e-8, 4e-5};
    for (size_t j = 0; j < 4; j++) {
        const double best = *terms[j];
        ck_assert(best >= 0 && isfinite(best));
        for (int step = -1; step <= 1; step += 2) {
            *terms[j] = best + 1e-3 * units[j] * step;
            if (*terms[j] >= 0)
                ck_assert_msg(squared_error(&fitted, samples, N_SAMPLES) >= least * (1 - 1e-9),
                              "term %zu is not the best", j);
        }
        *terms[j] = best;
    }
}
END_TEST

/* ---- mixtures ---- */

enum { MIXTURE_TOKENS = 8192 };

/* The weights of an expert are read when some token chooses it: n tokens that choose k of e experts
 * at random want e (1 - (1 - k / e)^n) of them, so that small passes cost less than per_pass says.
 * What reading all of them takes is as long as computing `worth` tokens. */
static const struct mixture {
    int n_experts, top_k;
    double worth;
    double most; /* mean relative error of the shapes that are measured */
} mixtures[] = {{8, 2, 64, 0.01},    {64, 8, 64, 0.01},    {32, 4, 256, 0.01},
                {64, 8, 256, 0.01},  {128, 8, 64, 0.01},   {128, 8, 256, 0.01},
                {512, 10, 64, 0.01}, {512, 10, 256, 0.015}};

static double mixture_seconds(const struct mixture *mixture, const struct ppi_cost_shape *shape)
{
    double share = 1 - pow(1 - (double)mixture->top_k / mixture->n_experts, (double)shape->tokens);
    return 2e-3 + 1e-4 * (mixture->worth * share + (double)shape->tokens) + 2e-8 * shape->squares +
           1e-4 * (double)shape->n_prompts;
}

START_TEST(mixtures_fit_with_a_known_error)
{
    static int64_t lengths[MIXTURE_TOKENS];
    const struct mixture *mixture = &mixtures[_i];
    struct ppi_cost_sample fitted[100];
    size_t n = 0;
    pp_cost_model cost;
    int rung = ppi_cost_first_rung(MIXTURE_TOKENS, mixture->n_experts, mixture->top_k, 3);
    for (; rung < ppi_cost_n_rungs(MIXTURE_TOKENS); rung++)
        for (int kind = 0; kind < PPI_COST_HELD_OUT; kind++) {
            struct ppi_cost_shape shape =
                ppi_cost_shape((enum ppi_cost_kind)kind, rung, MIXTURE_TOKENS, 4096, 7, lengths);
            fitted[n++] = (struct ppi_cost_sample){shape.tokens, shape.n_prompts, shape.squares,
                                                   mixture_seconds(mixture, &shape)};
        }
    pp_cost_init(&cost, sizeof cost);
    ppi_cost_fit(fitted, n, &cost);
    double error = ppi_cost_error(&cost, fitted, n);
    ck_assert_msg(error <= mixture->most, "%d of %d experts: an error of %g", mixture->top_k,
                  mixture->n_experts, error);
}
END_TEST

START_TEST(survives_degenerate_samples)
{
    struct ppi_cost_sample samples[N_SAMPLES];
    pp_cost_model fitted;
    for (int same = 0; same < 3; same++) {
        for (size_t i = 0; i < N_SAMPLES; i++) {
            int64_t n = same == 0 ? 1 : (int64_t)i + 1; /* prompts, of one token or of 64 */
            int64_t length = same == 2 ? 64 : 1;
            samples[i] = (struct ppi_cost_sample){n * length, n, (double)(n * length * length),
                                                  1e-3 * (double)n};
        }
        for (size_t n = 1; n <= N_SAMPLES; n += 59) {
            pp_cost_init(&fitted, sizeof fitted);
            ppi_cost_fit(samples, n, &fitted);
            ck_assert_msg(ppi_cost_error(&fitted, samples, n) < 1e-6, "case %d, %zu samples", same,
                          n);
            ck_assert(fitted.per_pass >= 0 && fitted.per_token >= 0 && fitted.per_square >= 0 &&
                      fitted.per_prompt >= 0);
        }
    }
    ck_assert(ppi_cost_error(&fitted, NULL, 0) == 0);
}
END_TEST

/* Passes that are whole tiles tell nothing about tiles. */
START_TEST(prefers_no_tile)
{
    struct rng rng = rng_seeded(37);
    struct ppi_cost_sample samples[N_SAMPLES];
    pp_cost_model fitted;
    draw_samples(&rng, samples, N_SAMPLES);
    for (size_t i = 0; i < N_SAMPLES; i++)
        samples[i].tokens *= 256;
    set_times(&truths[0], samples, N_SAMPLES);
    pp_cost_init(&fitted, sizeof fitted);
    ppi_cost_fit(samples, N_SAMPLES, &fitted);
    ck_assert_int_eq(fitted.tile, 1);
    check_near(fitted.per_token, truths[0].per_token, samples[0].seconds);
}
END_TEST

/* A few per cent of noise must not look like a tile. */
START_TEST(noise_is_no_tile)
{
    struct rng rng = rng_seeded(31);
    int n_tiles = 0;
    for (int i = 0; i < 50; i++) {
        struct ppi_cost_sample samples[N_SAMPLES];
        pp_cost_model fitted;
        draw_samples(&rng, samples, N_SAMPLES);
        set_times(&truths[0], samples, N_SAMPLES);
        for (size_t k = 0; k < N_SAMPLES; k++)
            samples[k].seconds *= 1 + 0.03 * rng_normal(&rng) / 3;
        pp_cost_init(&fitted, sizeof fitted);
        ppi_cost_fit(samples, N_SAMPLES, &fitted);
        n_tiles += fitted.tile > 1;
        ck_assert(fabs(fitted.per_token / truths[0].per_token - 1) < 0.05);
        ck_assert(ppi_cost_error(&fitted, samples, N_SAMPLES) < 0.02);
    }
    ck_assert_int_le(n_tiles, 5);
}
END_TEST

/* Sizes double from rung to rung; every shape keeps to its size and to the longest prompt, and is
 * the same when it is asked for again. */
START_TEST(shapes_keep_their_limits)
{
    static const int64_t sizes[] = {16, 64, 100, 1536, 4096};
    static int64_t lengths[4096], again[4096];
    for (size_t s = 0; s < PPI_COUNT(sizes); s++)
        for (int64_t max_length = 1; max_length <= 4096; max_length *= 16) {
            int n_rungs = ppi_cost_n_rungs(sizes[s]);
            ck_assert_int_ge(n_rungs, 1);
            ck_assert_int_eq(ppi_cost_rung_tokens(sizes[s], n_rungs - 1), sizes[s]);
            ck_assert_int_ge(ppi_cost_rung_tokens(sizes[s], 0), PPI_COST_LEAST_TOKENS);
            for (int i = 0; i < n_rungs * PPI_COST_KINDS; i++) {
                int kind = i % PPI_COST_KINDS, rung = i / PPI_COST_KINDS;
                struct ppi_cost_shape shape = ppi_cost_shape((enum ppi_cost_kind)kind, rung,
                                                             sizes[s], max_length, 5, lengths);
                int64_t tokens = 0;
                double squares = 0;
                for (int64_t k = 0; k < shape.n_prompts; k++) {
                    ck_assert(lengths[k] >= 1 && lengths[k] <= max_length);
                    tokens += lengths[k];
                    squares += (double)(lengths[k] * lengths[k]);
                }
                ck_assert_int_eq(tokens, shape.tokens);
                ck_assert(squares == shape.squares);
                int64_t most = ppi_cost_rung_tokens(sizes[s], rung);
                ck_assert(tokens <= most && tokens >= most - most / 4);
                if (kind == PPI_COST_LONG)
                    ck_assert_int_eq(tokens, most);
                struct ppi_cost_shape same =
                    ppi_cost_shape((enum ppi_cost_kind)kind, rung, sizes[s], max_length, 5, again);
                ck_assert_int_eq(same.n_prompts, shape.n_prompts);
                ck_assert_int_eq(memcmp(again, lengths, sizeof *again * (size_t)same.n_prompts), 0);
            }
        }
}
END_TEST

START_TEST(survives_failing_allocations)
{
    static const char text[] =
        "{\"format\": \"prepack-cost\", \"version\": 1, \"per_pass\": 1, \"per_token\": 2,"
        " \"per_square\": 3, \"per_prompt\": 4, \"tile\": 1, \"a\": [1, 2, 3], \"b\": {}}";
    pp_status status = PP_ERR_NOMEM;
    int n = 0;
    while (status == PP_ERR_NOMEM) {
        struct failing failing = {.n_left = ++n, .persistent = _i};
        const pp_allocator allocator = {.struct_size = sizeof allocator,
                                        .user = &failing,
                                        .allocate = failing_allocate,
                                        .release = failing_release};
        struct ppi_mem mem;
        pp_cost_model cost;
        ck_assert_int_eq(ppi_mem_init(&mem, &allocator, 0, NULL), PP_OK);
        status = ppi_cost_parse(text, strlen(text), &mem, &cost, NULL);
        ck_assert_int_eq(failing.n_blocks, 0);
    }
    ck_assert_int_eq(status, PP_OK);
    ck_assert_int_gt(n, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cost-fit");
    TCase *tests = tcase_create("cost-fit");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, finds_what_made_the_times, 0, (int)PPI_COUNT(truths));
    tcase_add_loop_test(tests, is_best_and_never_negative, 0, 12);
    tcase_add_loop_test(tests, mixtures_fit_with_a_known_error, 0, (int)PPI_COUNT(mixtures));
    tcase_add_test(tests, survives_degenerate_samples);
    tcase_add_test(tests, prefers_no_tile);
    tcase_add_test(tests, noise_is_no_tile);
    tcase_add_test(tests, shapes_keep_their_limits);
    tcase_add_loop_test(tests, survives_failing_allocations, 0, 2);
    suite_add_tcase(suite, tests);
    return tap_run(suite, CK_FORK);
}
