/*
 * angles.c: tables of cosines and sines, grown as prompts grow. The product of a pair's frequency
 * and the position is rounded to f32, as in the code that models are trained with; cosine and sine
 * of that angle are exact to f32.
 */
#include "run/session_impl.h"

#include <math.h>
#include <string.h>

#define MIN_POSITIONS 1024

void ppi_angles_begin(struct pp_session *session)
{
    for (int64_t i = 0; i < session->angles.n_sets; i++)
        session->angles.sets[i].needed = 0;
}

static struct ppi_angle_set *find_set(const struct ppi_angles *angles, int64_t set)
{
    for (int64_t i = angles->n_sets - 1; i >= 0; i--)
        if (angles->sets[i].set == set)
            return &angles->sets[i];
    return NULL;
}

static pp_status add_set(struct pp_session *session, int64_t set, struct ppi_angle_set **out,
                         pp_error *err)
{
    struct ppi_angles *angles = &session->angles;
    if (angles->n_sets == angles->capacity) {
        int64_t capacity = 2 * angles->capacity + 2;
        struct ppi_angle_set *sets =
            ppi_alloc(&session->mem, (size_t)capacity, sizeof *angles->sets);
        if (!sets)
            return ppi_error_nomem(err, "the list of rotary angles",
                                   (size_t)capacity * sizeof *sets);
        if (angles->n_sets > 0)
            memcpy(sets, angles->sets, (size_t)angles->n_sets * sizeof *sets);
        ppi_free(&session->mem, angles->sets);
        angles->sets = sets;
        angles->capacity = capacity;
    }
    *out = &angles->sets[angles->n_sets++];
    **out = (struct ppi_angle_set){.set = set};
    return PP_OK;
}

pp_status ppi_angles_need(struct pp_session *session, int64_t set, int64_t n_positions,
                          pp_error *err)
{
    struct ppi_angle_set *entry = find_set(&session->angles, set);
    if (!entry)
        PP_TRY(add_set(session, set, &entry, err));
    if (entry->needed < n_positions)
        entry->needed = n_positions;
    return PP_OK;
}

/* ---- making ---- */

/* table: [len, 2, rotary_dim / 2]; frequencies: room for rotary_dim / 2. */
static void fill_table(const struct ppi_rope_spec *rope, int64_t set, int64_t len,
                       float *frequencies, float *table)
{
    int32_t half = rope->rotary_dim / 2;
    float magnitude;
    ppi_rope_frequencies(rope, set, frequencies, &magnitude);
    for (int32_t i = 0; i < half; i++)
        for (int64_t p = 0; p < len; p++) {
            float *row = table + p * rope->rotary_dim;
            float angle = (float)p * frequencies[i];
            row[i] = (float)cos(angle) * magnitude;
            row[half + i] = (float)sin(angle) * magnitude;
        }
}

/* New tables of a session while they are made. */
struct making {
    struct pp_session *session;
    const struct ppi_angle_set *sets;
    int64_t n_sets, n_rows;
    float *host; /* a whole table */
    float *frequencies;
    struct ppi_angles made; /* its tables alone */
};

static size_t rope_bytes(const struct pp_session *session, int32_t i_rope, int64_t n_rows)
{
    return (size_t)n_rows * (size_t)session->model->spec.ropes[i_rope].rotary_dim * sizeof(float);
}

static pp_status take(struct pp_session *session, size_t bytes, float **device, pp_error *err)
{
    *device = session->ops->alloc(session->backend, bytes);
    if (!*device && ppi_store_trim(&session->store) > 0) /* free KV pages are in the way */
        *device = session->ops->alloc(session->backend, bytes);
    if (!*device)
        return ppi_error(err, ppi_no_device_memory(&session->info),
                         "no memory for rotary angles (%zu bytes)", bytes);
    return PP_OK;
}

static pp_status make_rope(struct making *making, int32_t i_rope, pp_error *err)
{
    struct pp_session *session = making->session;
    const struct ppi_rope_spec *rope = &session->model->spec.ropes[i_rope];
    size_t bytes = rope_bytes(session, i_rope, making->n_rows);
    PP_TRY(take(session, bytes, &making->made.tables[i_rope], err));
    for (int64_t i = 0; i < making->n_sets; i++) {
        const struct ppi_angle_set *set = &making->sets[i];
        fill_table(rope, set->set, set->len, making->frequencies,
                   making->host + set->first_row * rope->rotary_dim);
    }
    return session->ops->upload(session->backend, making->made.tables[i_rope], making->host, bytes,
                                err);
}

static pp_status make_q_scale(struct making *making, pp_error *err)
{
    struct pp_session *session = making->session;
    size_t bytes = (size_t)making->n_rows * sizeof(float);
    PP_TRY(take(session, bytes, &making->made.q_scale, err));
    for (int64_t i = 0; i < making->n_sets; i++)
        for (int64_t p = 0; p < making->sets[i].len; p++)
            making->host[making->sets[i].first_row + p] =
                ppi_spec_q_scale(&session->model->spec, p);
    return session->ops->upload(session->backend, making->made.q_scale, making->host, bytes, err);
}

/* Of a table in f32, the factors of queries included. */
static size_t widest_row(const struct ppi_model_spec *spec)
{
    size_t widest = 1;
    for (int32_t i = 0; i < spec->n_ropes; i++)
        if ((size_t)spec->ropes[i].rotary_dim > widest)
            widest = (size_t)spec->ropes[i].rotary_dim;
    return widest;
}

static pp_status make_tables(struct making *making, pp_error *err)
{
    const struct ppi_model_spec *spec = &making->session->model->spec;
    for (int32_t i = 0; i < spec->n_ropes; i++)
        PP_TRY(make_rope(making, i, err));
    return spec->q_scale_period > 0 ? make_q_scale(making, err) : PP_OK;
}

static void free_tables(struct pp_session *session, const struct ppi_angles *angles)
{
    for (int32_t i = 0; i < PPI_MAX_ROPES; i++)
        if (angles->tables[i])
            session->ops->release(session->backend, angles->tables[i],
                                  rope_bytes(session, i, angles->n_rows));
    if (angles->q_scale)
        session->ops->release(session->backend, angles->q_scale,
                              (size_t)angles->n_rows * sizeof(float));
}

/* Positions to make of a set: some to spare, where the model has them. */
static int64_t choose_len(const struct ppi_model_spec *spec, const struct ppi_angle_set *set)
{
    int64_t len = set->len;
    if (set->needed > len) {
        len = 2 * len > MIN_POSITIONS ? 2 * len : MIN_POSITIONS;
        len = len < set->needed ? set->needed : len;
    }
    return len < spec->max_position ? len : spec->max_position;
}

/* Drops the sets of single lengths that this call does not need (there may be one for each length)
 * and numbers the rows of the others. */
static int64_t lay_out_sets(struct ppi_angles *angles, const struct ppi_model_spec *spec)
{
    int64_t n_rows = 0, n_sets = 0;
    for (int64_t i = 0; i < angles->n_sets; i++) {
        struct ppi_angle_set set = angles->sets[i];
        if (set.needed == 0 && set.set > 1)
            continue;
        set.len = set.set > 1 ? set.needed : choose_len(spec, &set);
        set.first_row = n_rows;
        n_rows += set.len;
        angles->sets[n_sets++] = set;
    }
    angles->n_sets = n_sets;
    return n_rows;
}

static bool is_enough(const struct ppi_angles *angles)
{
    for (int64_t i = 0; i < angles->n_sets; i++)
        if (angles->sets[i].needed > angles->sets[i].len)
            return false;
    return true;
}

pp_status ppi_angles_make(struct pp_session *session, pp_error *err)
{
    struct ppi_angles *angles = &session->angles;
    const struct ppi_model_spec *spec = &session->model->spec;
    if (is_enough(angles))
        return PP_OK;
    struct ppi_angles old = *angles;
    struct making making = {.session = session, .n_rows = lay_out_sets(angles, spec)};
    making.sets = angles->sets;
    making.n_sets = angles->n_sets;
    making.made.n_rows = making.n_rows;
    size_t widest = widest_row(spec);
    making.host = ppi_alloc(&session->mem, (size_t)making.n_rows, widest * sizeof(float));
    making.frequencies = ppi_alloc(&session->mem, widest, sizeof(float));
    pp_status status = PP_ERR_NOMEM;
    if (making.host && making.frequencies)
        status = make_tables(&making, err);
    else
        ppi_error_nomem(err, "rotary angles", (size_t)making.n_rows * widest * sizeof(float));
    ppi_free(&session->mem, making.host);
    ppi_free(&session->mem, making.frequencies);
    if (status < 0) { /* the old tables no longer match the numbering: none is better */
        free_tables(session, &making.made);
        making.made = (struct ppi_angles){0};
        angles->n_sets = 0;
    }
    free_tables(session, &old);
    memcpy(angles->tables, making.made.tables, sizeof angles->tables);
    angles->q_scale = making.made.q_scale;
    angles->n_rows = making.made.n_rows;
    return status;
}

int64_t ppi_angles_row(const struct pp_session *session, int64_t set)
{
    return find_set(&session->angles, set)->first_row;
}

void ppi_angles_free(struct pp_session *session)
{
    free_tables(session, &session->angles);
    ppi_free(&session->mem, session->angles.sets);
    session->angles = (struct ppi_angles){0};
}
