/*
 * oracle_rope.h: the rotation as the oracle knows it: kinds, their keys, their frequencies.
 */
#ifndef TEST_ORACLE_ROPE_H
#define TEST_ORACLE_ROPE_H

#include <stdint.h>

#define ORACLE_MAX_PAIRS 512

enum oracle_rope_kind {
    ORACLE_ROPE_DEFAULT,
    ORACLE_ROPE_LINEAR,
    ORACLE_ROPE_LLAMA3,
    ORACLE_ROPE_YARN,
    ORACLE_ROPE_LONGROPE,
    ORACLE_ROPE_DYNAMIC,
    ORACLE_ROPE_PROPORTIONAL
};

/* NAN stands for a number that config.json does not give. */
struct oracle_rope {
    enum oracle_rope_kind kind;
    int64_t dim;    /* elements of a head that are meant to rotate: pairs are (dim + 1) / 2 */
    int neighbours; /* pairs are elements 2p and 2p + 1, else p and p + pairs */
    double theta, factor, original, max_position, attention_factor;
    int64_t turning;  /* proportional: the first pairs, the others stay */
    double low, high; /* llama3 */
    double beta_fast, beta_slow, mscale, mscale_all_dim;                    /* yarn */
    int truncate;                                                           /* yarn */
    double short_factors[ORACLE_MAX_PAIRS], long_factors[ORACLE_MAX_PAIRS]; /* longrope */
};

/* Angles per position of the pairs of a prompt with length tokens; returns what cos and sin are
 * multiplied with. */
double oracle_rope_angles(const struct oracle_rope *rope, int64_t length, double *angles);

/* Rotates one head of head_dim elements at a position. */
void oracle_rope_rotate(const struct oracle_rope *rope, const double *angles, double magnitude,
                        int32_t position, double *head);

#endif
