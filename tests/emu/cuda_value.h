/*
 * cuda_value.h: a constant of the CUDA runtime as a header declares it; tables end with name NULL.
 */
#ifndef TEST_CUDA_VALUE_H
#define TEST_CUDA_VALUE_H

struct cuda_value {
    const char *name;
    long long value;
};
extern const struct cuda_value fake_cuda_values[], real_cuda_values[];

#endif
