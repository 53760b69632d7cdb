/*
 * oracle_math.c: see oracle_math.h.
 */
#include "oracle_math.h"

#include <stdlib.h>

double *oracle_rows(int64_t n, int64_t dim)
{
    return malloc((size_t)(n * dim + 1) * sizeof(double));
}

void oracle_product(double *out, const double *a, const double *w, const double *bias, int64_t n,
                    int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < rows; r++) {
            double sum = bias ? bias[r] : 0;
            for (int64_t c = 0; c < cols; c++)
                sum += a[i * cols + c] * w[r * cols + c];
            out[i * rows + r] = sum;
        }
}

void oracle_norm(double *out, const double *x, const double *weight, int64_t n, int64_t dim,
                 double eps, enum oracle_norm kind)
{
    for (int64_t i = 0; i < n; i++) {
        double mean = 0, sum = 0;
        for (int64_t c = 0; c < dim && kind == ORACLE_LAYER_NORM; c++)
            mean += x[i * dim + c] / (double)dim;
        for (int64_t c = 0; c < dim; c++)
            sum += (x[i * dim + c] - mean) * (x[i * dim + c] - mean);
        double size = sqrt(sum / (double)dim + eps);
        for (int64_t c = 0; c < dim; c++) {
            double w = weight ? weight[c] + (kind == ORACLE_RMS_PLUS_ONE) : 1;
            out[i * dim + c] = (x[i * dim + c] - mean) / size * w;
        }
    }
}

double oracle_activate(double x, enum oracle_act act)
{
    if (act == ORACLE_SILU)
        return x / (1 + exp(-x));
    if (act == ORACLE_GELU)
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}
