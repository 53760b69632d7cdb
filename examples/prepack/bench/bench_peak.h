/*
 * bench_peak.h: what the instructions that products are made of do at most on this processor, with
 * all operands in registers.
 */
#ifndef PREPACK_BENCH_PEAK_H
#define PREPACK_BENCH_PEAK_H

#include <prepack/prepack.h>
#include <stdbool.h>

/* A multiplication and its addition are 2. */
struct peak {
    const char *name; /* of the instruction; NULL: none is known for the session's kernels */
    double flop;      /* a second, by all threads */
};

/* Measures for some milliseconds on the session's number of threads. integers: products with codes
 * of few bits, else with numbers of the session's dtype. */
struct peak bench_peak(const pp_session_info *session, bool integers);

#endif
