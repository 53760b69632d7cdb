/*
 * oracle_math.h: what the oracle's layers are made of, row by row and in double precision.
 */
#ifndef TEST_ORACLE_MATH_H
#define TEST_ORACLE_MATH_H

#include "oracle_config.h"

#include <math.h>

/* [n, dim], malloced. */
double *oracle_rows(int64_t n, int64_t dim);

/* out [n, rows] = a [n, cols] w^T + bias; bias may be NULL. */
void oracle_product(double *out, const double *a, const double *w, const double *bias, int64_t n,
                    int64_t rows, int64_t cols);

/* out and x: [n, dim]; they may be the same. weight NULL: 1. */
void oracle_norm(double *out, const double *x, const double *weight, int64_t n, int64_t dim,
                 double eps, enum oracle_norm kind);

double oracle_activate(double x, enum oracle_act act);

static inline double oracle_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static inline double oracle_softplus(double x)
{
    return x > 40 ? x : log1p(exp(x));
}

#endif
