/*
 * fake_cublaslt.h: what a test tells the fake cuBLASLt: which algorithms its heuristic proposes.
 * The first three are sound; each of the others breaks one thing that a class must not do.
 */
#ifndef TEST_FAKE_CUBLASLT_CONTROLS_H
#define TEST_FAKE_CUBLASLT_CONTROLS_H

#include <fake_stream.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    FAKE_LT_LARGE,         /* a chain over k */
    FAKE_LT_SMALL,         /* the same chain: another tile */
    FAKE_LT_OTHER_CHAIN,   /* rows do not matter, but other bits than LARGE: two chains added */
    FAKE_LT_BY_ROW_COUNT,  /* two chains where there are more than 128 rows */
    FAKE_LT_BY_PLACE,      /* two chains in rows 64 .. 127 of every 128 */
    FAKE_LT_SPLITS_K,      /* three parts of k, proposed although the preference excludes it */
    FAKE_LT_DROPS_TAIL,    /* the last 16 of k are not there */
    FAKE_LT_SWAPS_K,       /* takes a[0] for a[1] and the other way round */
    FAKE_LT_ROUNDS_SUMS,   /* keeps sums in 16 bits */
    FAKE_LT_IGNORES_OUT,   /* what was in out is not added */
    FAKE_LT_REFUSES_ROWS,  /* AlgoCheck: odd multiples of 64 rows beyond 64 are not supported */
    FAKE_LT_FAILS_ROWS,    /* AlgoCheck has no objection, the product then has */
    FAKE_LT_WRITES_BEYOND, /* writes to the next multiple of 128 rows */
    FAKE_LT_LEAVES_ROWS,   /* of more than 256 rows the last is not written */
    FAKE_LT_WANTS_MUCH,    /* needs more workspace than was allowed */
    FAKE_LT_HAS_NO_STATE,  /* proposed, but the heuristic's own state says that it cannot run */
    FAKE_LT_N_ALGORITHMS
};

/* The heuristic proposes these, best first, for up to 128 rows, then in the second list for more.
 * n 0: as at the start: {SMALL, LARGE} and {LARGE, SMALL}. */
FAKE_CONTROL void fake_lt_propose_few(const int *algorithms, int n);
FAKE_CONTROL void fake_lt_propose_many(const int *algorithms, int n);
/* Products enqueued with an algorithm since the last fake_lt_propose call. */
FAKE_CONTROL long fake_lt_products(int algorithm);

#ifdef __cplusplus
}
#endif
#endif
