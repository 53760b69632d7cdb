/*
 * test_cuda_values.c: every constant of the fake CUDA header is that of the real one.
 */
#include "cuda_value.h"

#include <stdio.h>

int main(void)
{
    int n = 0, n_wrong = 0;
    for (; fake_cuda_values[n].name; n++)
        if (fake_cuda_values[n].value != real_cuda_values[n].value) {
            printf("# %s is %lld, really %lld\n", fake_cuda_values[n].name,
                   fake_cuda_values[n].value, real_cuda_values[n].value);
            n_wrong++;
        }
    printf("1..1\n%s 1 - %d constants\n", n > 50 && n_wrong == 0 ? "ok" : "not ok", n);
    return n_wrong ? 1 : 0;
}
