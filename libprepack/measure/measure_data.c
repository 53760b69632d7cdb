/*
 * measure_data.c: what operations run over while they are measured: operands in more copies than
 * caches hold, prompts with random keys and values in pages of their own, memory to flush caches.
 */
#include "measure/measure_impl.h"

#include "dtype.h"
#include "run/pass.h"

#include <string.h>

#define RING_BYTES     ((size_t)128 << 20) /* of both operands: several times any cache */
#define MAX_COPIES     64
#define BLOCK_ELEMENTS ((size_t)1 << 20) /* random values made at once */
#define LEAST_FLUSH    ((int64_t)32 << 20)
#define MOST_FLUSH     ((int64_t)256 << 20)

/* A generator of splitmix64 (Steele, Lea, Flood): the same values in every run. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform in [-1, 1). */
static void fill_random(void *dst, int32_t dtype, size_t n)
{
    uint64_t state = 1;
    for (size_t i = 0; i < n; i++) {
        float value = (float)((int32_t)(next_random(&state) >> 40) - (1 << 23)) * 0x1p-23f;
        if (dtype == PP_DTYPE_F32)
            ((float *)dst)[i] = value;
        else
            ((uint16_t *)dst)[i] =
                dtype == PP_DTYPE_BF16 ? ppi_f32_to_bf16(value) : ppi_f32_to_f16(value);
    }
}

pp_status ppi_measure_fill(struct pp_session *session, void *device, size_t bytes, int32_t dtype,
                           pp_error *err)
{
    size_t size = pp_dtype_size(dtype), n = bytes / size;
    if (n > BLOCK_ELEMENTS)
        n = BLOCK_ELEMENTS;
    void *block = ppi_alloc(&session->mem, n, size);
    if (!block)
        return ppi_error_nomem(err, "random values", n * size);
    fill_random(block, dtype, n);
    pp_status status = PP_OK;
    for (size_t done = 0; done < bytes && status >= 0; done += n * size) {
        size_t part = bytes - done < n * size ? bytes - done : n * size;
        status = session->ops->upload(session->backend, (char *)device + done, block, part, err);
    }
    ppi_free(&session->mem, block);
    return status;
}

static size_t ring_bytes(const struct ring *ring)
{
    return (size_t)ring->n * ring->stride;
}

static bool take_rings(struct measure *measure, int64_t n)
{
    struct pp_session *session = measure->session;
    measure->in.n = measure->out.n = n;
    measure->in.memory = session->ops->alloc(session->backend, ring_bytes(&measure->in));
    measure->out.memory = session->ops->alloc(session->backend, ring_bytes(&measure->out));
    return measure->in.memory && measure->out.memory;
}

static void free_rings(struct measure *measure)
{
    struct pp_session *session = measure->session;
    struct ring *rings[] = {&measure->in, &measure->out};
    for (size_t i = 0; i < PPI_COUNT(rings); i++) {
        session->ops->release(session->backend, rings[i]->memory, ring_bytes(rings[i]));
        rings[i]->memory = NULL;
    }
}

pp_status ppi_measure_operands(struct measure *measure, size_t in_bytes, int32_t in_dtype,
                               size_t out_bytes, int32_t out_dtype, pp_error *err)
{
    struct pp_session *session = measure->session;
    measure->in.stride = (size_t)ppi_round_up((int64_t)in_bytes, 256);
    measure->out.stride = (size_t)ppi_round_up((int64_t)out_bytes, 256);
    size_t copies = RING_BYTES / (measure->in.stride + measure->out.stride) + 1;
    if (measure->params->caches != PP_MEASURE_CACHES_IN_A_PASS)
        copies = 1;
    for (int64_t n = copies < MAX_COPIES ? (int64_t)copies : MAX_COPIES;; n /= 2) {
        if (take_rings(measure, n))
            break;
        free_rings(measure);
        if (n == 1)
            return ppi_error(err, ppi_no_device_memory(&session->info),
                             "no memory to measure with (%zu bytes)",
                             measure->in.stride + measure->out.stride);
    }
    PP_TRY(ppi_measure_fill(session, measure->in.memory, ring_bytes(&measure->in), in_dtype, err));
    return ppi_measure_fill(session, measure->out.memory, ring_bytes(&measure->out), out_dtype,
                            err);
}

pp_status ppi_measure_take_flush(struct measure *measure, pp_error *err)
{
    struct pp_session *session = measure->session;
    int64_t bytes = session->info.cache_bytes;
    bytes = bytes < LEAST_FLUSH ? LEAST_FLUSH : bytes < MOST_FLUSH ? bytes : MOST_FLUSH;
    measure->flush_bytes = (size_t)bytes;
    measure->flush = session->ops->alloc(session->backend, 2 * measure->flush_bytes);
    if (!measure->flush)
        return ppi_error(err, ppi_no_device_memory(&session->info),
                         "no memory to flush caches with (%zu bytes)", 2 * measure->flush_bytes);
    return ppi_measure_fill(session, measure->flush, measure->flush_bytes, PP_DTYPE_F32, err);
}

static pp_status create_caches(struct measure *measure, const int64_t *lengths, int64_t n,
                               pp_error *err)
{
    struct pp_session *session = measure->session;
    measure->caches = ppi_zalloc(&session->mem, (size_t)n, sizeof(pp_kvcache *));
    if (!measure->caches)
        return ppi_error_nomem(err, "a list of caches", (size_t)n * sizeof(pp_kvcache *));
    ppi_angles_begin(session);
    for (; measure->n_caches < n; measure->n_caches++) {
        int64_t length = lengths[measure->n_caches];
        pp_kvcache **cache = &measure->caches[measure->n_caches];
        PP_TRY(ppi_kvcache_create(&session->store, cache, err));
        (*cache)->rope_set = ppi_spec_rope_set(&session->model->spec, length);
        PP_TRY(ppi_angles_need(session, (*cache)->rope_set, length, err));
    }
    PP_TRY(ppi_angles_make(session, err));
    for (int64_t i = 0; i < n; i++)
        PP_TRY(ppi_kvcache_reserve(measure->caches[i], 0, lengths[i], err));
    return PP_OK;
}

/* Runs what was added to the pass, only to write keys and values of every layer. */
static pp_status write_pages(struct pp_session *session, pp_error *err)
{
    struct ppi_workspace *ws = &session->workspace;
    struct ppi_pass pass = ppi_pass_drafted(session);
    ppi_pass_reset(session);
    PP_TRY(session->ops->pass_begin(session->backend, &pass, err));
    const struct ppi_kv_shape *shape = &session->store.shape;
    for (int32_t layer = ppi_kv_next_layer(shape, 0); layer < shape->n_layers;
         layer = ppi_kv_next_layer(shape, layer + 1)) {
        struct ppi_rope rope = ppi_layer_rope(session, layer);
        PP_TRY(session->ops->rope_kv(session->backend, &pass, &rope, ws->wide, ws->q, err));
    }
    /* The arrays of the pass are written again for the next. */
    return ppi_session_wait(session, err);
}

/* Tokens of which no logits are wanted. */
static pp_status add_tokens(struct pp_session *session, const pp_kvcache *cache,
                            const int32_t *tokens, int64_t begin, int64_t n, pp_error *err)
{
    return ppi_pass_add(session, cache, tokens, begin, n, NULL, 0, err);
}

/* tokens: [longest] any ids. */
static pp_status fill_pages(struct measure *measure, const int64_t *lengths, const int32_t *tokens,
                            pp_error *err)
{
    struct pp_session *session = measure->session;
    int64_t most = session->info.max_pass_tokens;
    for (int64_t i = 0; i < measure->n_caches; i++)
        for (int64_t begin = 0, n; begin < lengths[i]; begin += n) {
            n = lengths[i] - begin < most ? lengths[i] - begin : most;
            if (session->draft.n_rows + n > most)
                PP_TRY(write_pages(session, err));
            PP_TRY(add_tokens(session, measure->caches[i], tokens, begin, n, err));
        }
    return write_pages(session, err);
}

/* Elements of the widest row of q, k and v. */
static size_t widest_qkv(const struct ppi_model_spec *spec)
{
    int64_t widest = 0;
    for (int32_t c = 0; c < spec->n_page_classes; c++) {
        const struct ppi_kv_class *shape = &spec->classes[c];
        int64_t row = (int64_t)(spec->n_heads + 2 * shape->n_kv_heads) * shape->head_dim;
        widest = row > widest ? row : widest;
    }
    return (size_t)widest;
}

/* Caches of random keys and values, then a pass of each prompt's tokens from `begin` on: 0, or the
 * last. */
static pp_status make_prompts(struct measure *measure, const int64_t *lengths, int64_t n,
                              bool last_only, const int32_t *tokens, pp_error *err)
{
    struct pp_session *session = measure->session;
    size_t bytes =
        (size_t)session->info.max_pass_tokens * widest_qkv(&session->model->spec) * sizeof(float);
    PP_TRY(create_caches(measure, lengths, n, err));
    PP_TRY(ppi_measure_fill(session, session->workspace.wide, bytes, PP_DTYPE_F32, err));
    ppi_pass_reset(session);
    PP_TRY(fill_pages(measure, lengths, tokens, err));
    for (int64_t i = 0; i < n; i++) {
        int64_t begin = last_only ? lengths[i] - 1 : 0;
        char *state = measure->states ? measure->states + i * measure->state_bytes : NULL;
        PP_TRY(add_tokens(session, measure->caches[i], tokens, begin, lengths[i] - begin, err));
        if (state) /* of prompts from their first token on: there is none before */
            ppi_pass_set_state(session, state, state);
    }
    measure->pass = ppi_pass_drafted(session);
    ppi_pass_reset(session);
    measure->n_rows = measure->pass.n_rows;
    return session->ops->pass_begin(session->backend, &measure->pass, err);
}

static pp_status begin_pass(struct measure *measure, const int64_t *lengths, int64_t n,
                            bool last_only, pp_error *err)
{
    struct pp_session *session = measure->session;
    const struct ppi_model_spec *spec = &session->model->spec;
    uint64_t state = 2;
    int32_t *tokens = ppi_alloc(&session->mem, (size_t)spec->max_position, sizeof *tokens);
    if (!tokens)
        return ppi_error_nomem(err, "token ids", (size_t)spec->max_position * sizeof *tokens);
    for (int32_t i = 0; i < spec->max_position; i++)
        tokens[i] = (int32_t)(next_random(&state) % (uint64_t)spec->vocab_size);
    pp_status status = make_prompts(measure, lengths, n, last_only, tokens, err);
    ppi_free(&session->mem, tokens);
    return status;
}

pp_status ppi_measure_prompts(struct measure *measure, const int64_t *lengths, int64_t n,
                              pp_error *err)
{
    return begin_pass(measure, lengths, n, false, err);
}

pp_status ppi_measure_last_tokens(struct measure *measure, const int64_t *lengths, int64_t n,
                                  pp_error *err)
{
    return begin_pass(measure, lengths, n, true, err);
}

pp_status ppi_measure_rows(struct measure *measure, int64_t most, pp_error *err)
{
    struct pp_session *session = measure->session;
    int64_t longest = session->model->spec.max_position;
    if (longest > most)
        longest = most;
    int64_t n = ppi_div_up(measure->n_rows, longest);
    int64_t *lengths = ppi_alloc(&session->mem, (size_t)n, sizeof *lengths);
    if (!lengths)
        return ppi_error_nomem(err, "lengths", (size_t)n * sizeof *lengths);
    for (int64_t i = 0; i < n; i++)
        lengths[i] = longest;
    lengths[n - 1] = measure->n_rows - (n - 1) * longest;
    pp_status status = ppi_measure_prompts(measure, lengths, n, err);
    ppi_free(&session->mem, lengths);
    return status;
}

void ppi_measure_free(struct measure *measure)
{
    struct pp_session *session = measure->session;
    ppi_session_wait(session, NULL); /* nothing may use what is freed below */
    ppi_pass_reset(session);
    free_rings(measure);
    session->ops->release(session->backend, measure->flush, 2 * measure->flush_bytes);
    session->ops->release(session->backend, measure->states, measure->states_bytes);
    for (int64_t i = 0; i < measure->n_caches; i++)
        pp_kvcache_destroy(measure->caches[i]);
    ppi_free(&session->mem, measure->caches);
    ppi_free(&session->mem, measure->source_rows);
}
