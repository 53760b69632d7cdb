/*
 * attention_meaning.c: the values of prompts and what attention makes of them, in double precision.
 */
#include "attention_world.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

double world_value(uint64_t who, char which, int32_t row, int32_t head, int32_t d)
{
    if (who == 0)
        return NAN;
    struct rng rng = {who * 0x9e3779b97f4a7c15u ^ (uint64_t)which << 56 ^ (uint64_t)row << 32 ^
                      (uint64_t)head << 16 ^ (uint64_t)d};
    double x = rint(rng_normal(&rng) * 16); /* sixteenths below 8: seven bits */
    return fmin(fmax(x, -127), 127) / 16;
}

static double decode(int32_t dtype, const char *src)
{
    float value;
    uint16_t half;
    memcpy(&half, src, sizeof half);
    if (dtype == PP_DTYPE_F32) {
        memcpy(&value, src, sizeof value);
        return value;
    }
    if (dtype == PP_DTYPE_BF16) {
        uint32_t bits = (uint32_t)half << 16;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    int exponent = half >> 10 & 31, mantissa = half & 1023;
    double x = exponent == 31 ? (mantissa ? NAN : INFINITY)
               : exponent     ? ldexp(1024 + mantissa, exponent - 25)
                              : ldexp(mantissa, -24);
    return half & 0x8000 ? -x : x;
}

/* The keys or values of one head of a prompt: [n_k, head_dim]. */
static double *head_values(const struct world *world, const struct prompt *prompt, char which,
                           int32_t kv_head)
{
    double *x = malloc((size_t)(prompt->n_k * world->head_dim + 1) * sizeof *x);
    for (int32_t j = 0; j < prompt->n_k; j++)
        for (int32_t d = 0; d < world->head_dim; d++)
            x[j * world->head_dim + d] = world_value(prompt->who, which, j, kv_head, d);
    return x;
}

/* out [head_dim] of a row; returns its lse. k, v: of its kv head. */
static double expected_row(const struct world *world, const struct prompt *prompt, const double *k,
                           const double *v, int32_t row, int32_t head, double *out)
{
    int64_t position = (int64_t)row + prompt->n_k - prompt->n_q;
    int32_t dim = world->head_dim;
    double scale = world->scale > 0 ? (double)world->scale : 1 / sqrt(dim);
    double *scores = malloc((size_t)(prompt->n_k + dim) * sizeof *scores),
           *q = scores + prompt->n_k;
    double max = -INFINITY, total = 0;
    for (int32_t d = 0; d < dim; d++) {
        q[d] = scale * world_value(prompt->who, 'q', row + world->first_row, head, d);
        out[d] = 0;
    }
    for (int32_t j = 0; j < prompt->n_k; j++) {
        bool seen = (world->window_left < 0 || j >= position - world->window_left) &&
                    (world->window_right < 0 || j <= position + world->window_right);
        scores[j] = seen ? 0 : -INFINITY;
        for (int32_t d = 0; seen && d < dim; d++)
            scores[j] += q[d] * k[j * dim + d];
        max = fmax(max, scores[j]);
    }
    for (int32_t j = 0; j < prompt->n_k && max > -INFINITY; j++) {
        double weight = exp(scores[j] - max);
        total += weight;
        for (int32_t d = 0; weight > 0 && d < dim; d++)
            out[d] += weight * v[j * dim + d];
    }
    for (int32_t d = 0; d < dim && total > 0; d++)
        out[d] /= total;
    free(scores);
    return max + log(total > 0 ? total : 1);
}

/* Row t of head h of prompt i, which a run left at out and lse. */
static void check_row(const struct world *world, int32_t i, const double *k, const double *v,
                      int32_t t, int32_t h, const char *out, float lse)
{
    const struct prompt *prompt = &world->prompts[i];
    double allowed = world->dtype == PP_DTYPE_F32   ? 1e-5
                     : world->dtype == PP_DTYPE_F16 ? 2e-3
                                                    : 1.6e-2;
    double expected[256], expected_lse = expected_row(world, prompt, k, v, t, h, expected);
    for (int32_t d = 0; d < world->head_dim; d++) {
        double got = decode(world->dtype, out + (size_t)d * pp_dtype_size(world->dtype));
        EXPECT(fabs(got - expected[d]) <= allowed * (1 + fabs(expected[d])),
               "%s heads %d/%d of %d window %d, %d page %d layout %d: prompt %d (%d of %d) "
               "row %d head %d element %d: %.9g, expected %.9g",
               pp_dtype_name(world->dtype), world->n_heads, world->n_kv_heads, world->head_dim,
               world->window_left, world->window_right, world->page_size, world->layout, i,
               prompt->n_q, prompt->n_k, t, h, d, got, expected[d]);
    }
    bool same = isinf(expected_lse)
                    ? (double)lse == expected_lse
                    : fabs((double)lse - expected_lse) <= 5e-5 * (1 + fabs(expected_lse));
    EXPECT(same, "prompt %d row %d head %d: lse %.9g, expected %.9g", i, t, h, (double)lse,
           expected_lse);
}

void world_check(const struct world *world, const struct result *result)
{
    size_t head_bytes = (size_t)world->head_dim * pp_dtype_size(world->dtype), at = 0;
    int32_t group = world->n_heads / world->n_kv_heads;
    for (int32_t i = 0; i < world->n_prompts; i++) {
        const struct prompt *prompt = &world->prompts[i];
        for (int32_t h = 0; h < world->n_heads && prompt->who != 0; h++) {
            double *k = head_values(world, prompt, 'k', h / group);
            double *v = head_values(world, prompt, 'v', h / group);
            for (int32_t t = 0; t < prompt->n_q; t++) {
                size_t row = at + (size_t)(t * world->n_heads + h);
                check_row(world, i, k, v, t, h, result->out + row * head_bytes, result->lse[row]);
            }
            free(k);
            free(v);
        }
        at += (size_t)(prompt->n_q * world->n_heads);
    }
}

/* Rows times heads before prompt i. */
static size_t heads_before(const struct world *world, int32_t i)
{
    size_t n = 0;
    for (int32_t j = 0; j < i; j++)
        n += (size_t)(world->prompts[j].n_q * world->n_heads);
    return n;
}

void world_same(const struct world *a, const struct result *in_a, int32_t i, const struct world *b,
                const struct result *in_b, int32_t j, const char *what)
{
    size_t n = heads_before(a, i + 1) - heads_before(a, i);
    size_t at_a = heads_before(a, i), at_b = heads_before(b, j);
    size_t head_bytes = (size_t)a->head_dim * pp_dtype_size(a->dtype);
    ck_assert_uint_eq(a->prompts[i].who, b->prompts[j].who);
    ck_assert_msg(
        memcmp(in_a->out + at_a * head_bytes, in_b->out + at_b * head_bytes, n * head_bytes) == 0,
        "%s: other bits of out, prompt %d", what, i);
    ck_assert_msg(memcmp(in_a->lse + at_a, in_b->lse + at_b, n * sizeof(float)) == 0,
                  "%s: other bits of lse, prompt %d", what, i);
}
