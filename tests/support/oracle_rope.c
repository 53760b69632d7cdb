/*
 * oracle_rope.c: see oracle_rope.h. Su et al. 2021 (rotation), Peng et al. 2023 (yarn, dynamic),
 * Ding et al. 2024 (longrope).
 */
#include "oracle_rope.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

static double given(double value, double fallback)
{
    return isnan(value) ? fallback : value;
}

static double llama3(const struct oracle_rope *rope, double angle)
{
    double wavelength = 2 * PI / angle;
    if (wavelength < rope->original / rope->high)
        return angle;
    if (wavelength > rope->original / rope->low)
        return angle / rope->factor;
    double smooth = (rope->original / wavelength - rope->low) / (rope->high - rope->low);
    return angle * ((1 - smooth) / rope->factor + smooth);
}

static double yarn_magnitude(double factor, double scale)
{
    return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

/* The pair whose wave turns so many times over the original length. */
static double yarn_pair(const struct oracle_rope *rope, double turns)
{
    return (double)rope->dim * log(rope->original / (turns * 2 * PI)) / (2 * log(rope->theta));
}

static double yarn(const struct oracle_rope *rope, double *angles, int64_t n)
{
    double factor = given(rope->factor, rope->max_position / rope->original);
    double low = yarn_pair(rope, rope->beta_fast > 0 ? rope->beta_fast : 32);
    double high = yarn_pair(rope, rope->beta_slow > 0 ? rope->beta_slow : 1);
    if (rope->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, (double)rope->dim - 1);
    if (low == high)
        high += 0.001;
    for (int64_t p = 0; p < n; p++) {
        double ramp = fmin(fmax(((double)p - low) / (high - low), 0), 1);
        angles[p] = angles[p] / factor * ramp + angles[p] * (1 - ramp);
    }
    if (!isnan(rope->attention_factor))
        return rope->attention_factor;
    if (given(rope->mscale, 0) != 0 && given(rope->mscale_all_dim, 0) != 0)
        return yarn_magnitude(factor, rope->mscale) / yarn_magnitude(factor, rope->mscale_all_dim);
    return yarn_magnitude(factor, 1);
}

static double longrope(const struct oracle_rope *rope, int64_t length, double *angles, int64_t n)
{
    double factor = given(rope->factor, rope->max_position / rope->original);
    for (int64_t p = 0; p < n; p++)
        angles[p] /=
            (double)length > rope->original ? rope->long_factors[p] : rope->short_factors[p];
    double magnitude = factor <= 1 ? 1 : sqrt(1 + log(factor) / log(rope->original));
    return given(rope->attention_factor, magnitude);
}

double oracle_rope_angles(const struct oracle_rope *rope, int64_t length, double *angles)
{
    int64_t n = (rope->dim + 1) / 2;
    double dim = (double)rope->dim, theta = rope->theta;
    if (rope->kind == ORACLE_ROPE_DYNAMIC) {
        double seen = fmax((double)length, rope->max_position);
        theta *=
            pow(rope->factor * seen / rope->max_position - (rope->factor - 1), dim / (dim - 2));
    }
    for (int64_t p = 0; p < n; p++) {
        angles[p] = pow(theta, -2.0 * (double)p / dim);
        if (rope->kind == ORACLE_ROPE_LINEAR)
            angles[p] /= rope->factor;
        if (rope->kind == ORACLE_ROPE_LLAMA3)
            angles[p] = llama3(rope, angles[p]);
        if (rope->kind == ORACLE_ROPE_PROPORTIONAL)
            angles[p] = p < rope->turning ? angles[p] / given(rope->factor, 1) : 0;
    }
    if (rope->kind == ORACLE_ROPE_YARN)
        return yarn(rope, angles, n);
    if (rope->kind == ORACLE_ROPE_LONGROPE)
        return longrope(rope, length, angles, n);
    return 1;
}

void oracle_rope_rotate(const struct oracle_rope *rope, const double *angles, double magnitude,
                        int32_t position, double *head)
{
    int64_t n = (rope->dim + 1) / 2;
    for (int64_t p = 0; p < n; p++) {
        double *x = head + (rope->neighbours ? 2 * p : p), *y = rope->neighbours ? x + 1 : x + n;
        double c = magnitude * cos(position * angles[p]), s = magnitude * sin(position * angles[p]);
        double a = *x, b = *y;
        *x = a * c - b * s;
        *y = b * c + a * s;
    }
}
