/*
 * rope.c: the frequencies of the rotary position embedding (Su et al., arXiv 2104.09864) and its
 * scalings: by a constant, by frequency (Llama 3.1; YaRN, arXiv 2309.00071), by lists of factors
 * (LongRoPE, arXiv 2402.13753), by the length of the prompt (dynamic NTK). A value is rounded to
 * f32 after each step in which the code that models are trained with does so.
 */
#include "model/spec.h"

#include <math.h>

#define PI 3.14159265358979323846

/* theta^(2 i / exponent_dim) */
static float wave(const struct ppi_rope_spec *rope, double theta, int32_t i)
{
    float exponent = (float)(2 * i) / (float)rope->exponent_dim;
    return (float)pow(theta, (double)exponent);
}

/* Llama 3.1: long wavelengths are divided by the factor, short ones kept, the rest blended; or what
 * each is divided by is stored. */
static float scale_llama3(const struct ppi_rope_spec *rope, int32_t i, float frequency)
{
    if (rope->short_factors)
        return frequency / rope->short_factors[i];
    float wavelength = (float)(2 * PI) / frequency;
    float original = (float)rope->original_max_position, factor = (float)rope->factor;
    float low = (float)rope->low_freq_factor;
    if (wavelength < (float)(rope->original_max_position / rope->high_freq_factor))
        return frequency;
    if (wavelength > (float)(rope->original_max_position / rope->low_freq_factor))
        return frequency / factor;
    float smooth =
        (original / wavelength - low) / (float)(rope->high_freq_factor - rope->low_freq_factor);
    return (1 - smooth) * frequency / factor + smooth * frequency;
}

/* YaRN: the pair, not a whole number, that turns n_turns times over the original length. */
static double yarn_pair(const struct ppi_rope_spec *rope, double n_turns)
{
    return rope->exponent_dim * log(rope->original_max_position / (n_turns * 2 * PI)) /
           (2 * log(rope->theta));
}

/* Pairs below `low` keep their frequency, those above `high` are divided by the factor, the rest is
 * blended. */
static float scale_yarn(const struct ppi_rope_spec *rope, int32_t i, float pair_wave)
{
    double low = yarn_pair(rope, rope->beta_fast), high = yarn_pair(rope, rope->beta_slow);
    if (rope->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, rope->exponent_dim - 1);
    if (low == high)
        high += 0.001;
    float ramp = ((float)i - (float)low) / (float)(high - low);
    ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
    float kept = 1 - ramp;
    float divided = 1 / ((float)rope->factor * pair_wave);
    return divided * (1 - kept) + 1 / pair_wave * kept;
}

/* Dynamic NTK: the theta for n tokens. */
static double longer_theta(const struct ppi_rope_spec *rope, int64_t n)
{
    float stretch = (float)(rope->factor * (double)n) / (float)rope->original_max_position -
                    (float)(rope->factor - 1);
    double dim = rope->exponent_dim;
    return (float)(rope->theta * (double)(float)pow((double)stretch, dim / (dim - 2)));
}

void ppi_rope_frequencies(const struct ppi_rope_spec *rope, int64_t set, float *frequencies,
                          float *magnitude)
{
    const float *factors = set > 0 ? rope->long_factors : rope->short_factors;
    double theta = rope->type == PP_ROPE_DYNAMIC && set > 0 ? longer_theta(rope, set) : rope->theta;
    for (int32_t i = 0; i < rope->rotary_dim / 2; i++) {
        float pair_wave = wave(rope, theta, i);
        if (rope->type == PP_ROPE_LONGROPE)
            frequencies[i] = 1 / (factors[i] * pair_wave);
        else if (rope->type == PP_ROPE_YARN)
            frequencies[i] = scale_yarn(rope, i, pair_wave);
        else if (rope->type == PP_ROPE_LLAMA3)
            frequencies[i] = scale_llama3(rope, i, 1 / pair_wave);
        else if (rope->type == PP_ROPE_PROPORTIONAL && i >= rope->n_turning)
            frequencies[i] = 0;
        else if (rope->type == PP_ROPE_LINEAR || rope->type == PP_ROPE_PROPORTIONAL)
            frequencies[i] = 1 / pair_wave / (float)rope->factor;
        else
            frequencies[i] = 1 / pair_wave;
    }
    *magnitude = (float)rope->magnitude;
}

int64_t ppi_rope_set(const struct ppi_rope_spec *rope, int64_t n_tokens)
{
    bool longer = n_tokens > rope->original_max_position;
    if (rope->type == PP_ROPE_DYNAMIC)
        return longer ? n_tokens : 0;
    return rope->type == PP_ROPE_LONGROPE && longer;
}

int64_t ppi_spec_rope_set(const struct ppi_model_spec *spec, int64_t n_tokens)
{
    int64_t largest = 0;
    for (int32_t i = 0; i < spec->n_ropes; i++) {
        int64_t set = ppi_rope_set(&spec->ropes[i], n_tokens);
        largest = set > largest ? set : largest;
    }
    return largest;
}

bool ppi_spec_rope_depends_on_length(const struct ppi_model_spec *spec)
{
    for (int32_t i = 0; i < spec->n_ropes; i++)
        if (spec->ropes[i].type == PP_ROPE_DYNAMIC || spec->ropes[i].type == PP_ROPE_LONGROPE)
            return true;
    return false;
}
