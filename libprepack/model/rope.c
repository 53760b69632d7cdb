/*
 * rope.c: the angles of the rotary position embedding (Su et al., arXiv 2104.09864), with linear
 * and Llama 3.1 scaling. A pair's frequency and its product with the position are rounded to f32,
 * as in the code that models are trained with; cosine and sine of that angle are exact to f32.
 */
#include "model/session_impl.h"

#include <math.h>

#define MIN_POSITIONS 1024

/* Llama 3.1: long wavelengths are divided by the factor, short ones kept, the rest blended. */
static double scale_llama3(const pp_model_config *config, double frequency)
{
    double wavelength = 2 * 3.14159265358979323846 / frequency;
    double original = config->rope_original_max_position;
    if (wavelength < original / config->rope_high_freq_factor)
        return frequency;
    if (wavelength > original / config->rope_low_freq_factor)
        return frequency / config->rope_factor;
    double smooth = (original / wavelength - config->rope_low_freq_factor) /
                    (config->rope_high_freq_factor - config->rope_low_freq_factor);
    return (1 - smooth) * frequency / config->rope_factor + smooth * frequency;
}

/* Radians per position of pair i. */
static float pair_frequency(const pp_model_config *config, int32_t i)
{
    double frequency = pow(config->rope_theta, -2.0 * i / config->head_dim);
    if (config->rope_type == PP_ROPE_LINEAR)
        frequency /= config->rope_factor;
    else if (config->rope_type == PP_ROPE_LLAMA3)
        frequency = scale_llama3(config, (float)frequency);
    return (float)frequency;
}

/* table: [n_positions, 2, head_dim / 2] */
static void fill_table(const pp_model_config *config, int32_t n_positions, float *table)
{
    int32_t half = config->head_dim / 2;
    for (int32_t i = 0; i < half; i++) {
        float frequency = pair_frequency(config, i);
        for (int32_t p = 0; p < n_positions; p++) {
            float *row = table + (int64_t)p * config->head_dim;
            float angle = (float)p * frequency;
            row[i] = (float)cos(angle);
            row[half + i] = (float)sin(angle);
        }
    }
}

void ppi_rope_free(struct pp_session *session)
{
    size_t bytes = (size_t)session->rope_len * sizeof(float);
    if (session->rope)
        session->ops->release(session->backend, session->rope,
                              bytes * (size_t)session->model->config.head_dim);
    session->rope = NULL;
}

pp_status ppi_rope_reserve(struct pp_session *session, int64_t n_positions, pp_error *err)
{
    const pp_model_config *config = &session->model->config;
    if (n_positions <= session->rope_len)
        return PP_OK;
    int64_t len = session->rope_len * 2 > MIN_POSITIONS ? session->rope_len * 2 : MIN_POSITIONS;
    if (len < n_positions)
        len = n_positions;
    if (len > config->max_position)
        len = config->max_position;
    size_t bytes = (size_t)len * (size_t)config->head_dim * sizeof(float);
    float *host = ppi_alloc(&session->mem, 1, bytes);
    float *device = session->ops->alloc(session->backend, bytes);
    if (!device && ppi_pool_trim(&session->pool) > 0) /* free KV pages are in the way */
        device = session->ops->alloc(session->backend, bytes);
    pp_status status = PP_OK;
    if (!host || !device) {
        status = ppi_error(err, host ? ppi_no_device_memory(&session->info) : PP_ERR_NOMEM,
                           "no memory for rotary angles (%zu bytes)", bytes);
    } else {
        fill_table(config, (int32_t)len, host);
        status = session->ops->upload(session->backend, device, host, bytes, err);
    }
    ppi_free(&session->mem, host);
    if (status < 0) {
        session->ops->release(session->backend, device, bytes);
        return status;
    }
    ppi_rope_free(session);
    session->rope = device;
    session->rope_len = (int32_t)len;
    return PP_OK;
}
