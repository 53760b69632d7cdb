/*
 * malformed.h: the corpus of model directories that must be refused. Each entry says how to make
 * one from the tiny valid model, and what the refusal must be. The numbers are those of the list
 * of refused inputs that the loader was written against; an entry of one number per way to break
 * that rule.
 */
#ifndef TEST_MALFORMED_H
#define TEST_MALFORMED_H

#include "malformed/model_maker.h"

/* Which text of the tiny model is changed; with MAKE nothing is: make() does it all. */
enum malformed_target { HEADER, CONFIG, INDEX, MAKE };

struct malformed {
    const char *name; /* number and words */
    pp_status status;
    const char *message; /* part of the message */
    enum malformed_target target;
    const char *find, *with;       /* the first `find` becomes `with` */
    int data_delta;                /* HEADER: bytes more or less of data */
    void (*make)(const char *dir); /* called with the valid model in place (MAKE: single file) */
};

extern const struct malformed malformed_framing[], malformed_tensors[], malformed_index[],
    malformed_config[];
extern const size_t n_malformed_framing, n_malformed_tensors, n_malformed_index, n_malformed_config;

/* Makes the directory, opens it and checks the refusal: status, message (which must also name the
 * directory), nothing leaked. */
void check_refused(const struct malformed *entry);

#endif
