/*
 * angles.h: the tables of a session from which rotations take cosines and sines, on its device. All
 * kinds of rotation of a model share one numbering of rows: row first_row + p of a set is position
 * p of a prompt that uses the set (spec.h).
 */
#ifndef PPI_ANGLES_H
#define PPI_ANGLES_H

#include "backend.h"
#include "model/spec.h"

struct pp_session;

struct ppi_angle_set {
    int64_t set;
    int64_t needed; /* positions */
    int64_t len;    /* positions that the tables have */
    int64_t first_row;
};

struct ppi_angles {
    float *tables[PPI_MAX_ROPES]; /* device [n_rows, 2, rotary_dim / 2] */
    float *q_scale;               /* device [n_rows], or NULL where the model has none */
    int64_t n_rows;
    struct ppi_angle_set *sets; /* [n_sets], of [capacity] */
    int64_t n_sets, capacity;
};

/* Begins a call: it says what it needs, then has the tables made. Neither moves rows that are not
 * asked for anew: rows of a set are valid until the next ppi_angles_make. */
void ppi_angles_begin(struct pp_session *session);
pp_status ppi_angles_need(struct pp_session *session, int64_t set, int64_t n_positions,
                          pp_error *err);
pp_status ppi_angles_make(struct pp_session *session, pp_error *err);
/* The row of position 0 of a set that was asked for. */
int64_t ppi_angles_row(const struct pp_session *session, int64_t set);

void ppi_angles_free(struct pp_session *session);

#endif
