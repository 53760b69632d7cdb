/*
 * bench_score.c: log-probabilities and most likely tokens of 64 rows of logits: milliseconds, and
 * nanoseconds for a logit.
 *
 *     bench_score [threads [variant [seconds per figure [vocabulary]]]]
 */
#include "backend.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS        64
#define MOST_TOP    256
#define PER_ROW     16 /* most targets */
#define USUAL_VOCAB 128256

static const struct {
    int32_t targets, n_top;
} cases[] = {{0, 0}, {1, 0}, {4, 0}, {PER_ROW, 0}, {1, 1}, {1, 20}, {1, MOST_TOP}};

int main(int argc, char **argv)
{
    struct ppi_mem mem;
    ppi_mem_init(&mem, NULL, 0, NULL);
    double time_limit = argc > 3 ? atof(argv[3]) : 0.3;
    int64_t vocab = argc > 4 ? atol(argv[4]) : USUAL_VOCAB;
    static const struct ppi_layer_place place = {0, 0};
    struct ppi_backend_params params = {
        .variant = argc > 2 && argv[2][0] ? argv[2] : NULL,
        .mem = &mem,
        .dtype = PP_DTYPE_F32,
        .n_threads = argc > 1 ? atoi(argv[1]) : 1,
        .n_heads = 1,
        .n_layers = 1,
        .places = &place,
        .n_page_classes = 1,
        .classes = {{.n_kv_heads = 1, .head_dim = 64, .n_layers = 1}}};
    pp_error err = {.struct_size = sizeof err};
    struct ppi_backend *backend;
    float *logits = ppi_alloc(&mem, (size_t)(ROWS * vocab), sizeof *logits);
    static struct ppi_score scores[ROWS * PER_ROW];
    static int32_t tokens[ROWS * MOST_TOP];
    static double logprobs[ROWS * MOST_TOP];
    if (!logits || vocab < MOST_TOP || ppi_cpu_ops.open(&params, &backend, &err) < 0) {
        fprintf(stderr, "bench_score: %s\n", err.message);
        return 1;
    }
    srand(1);
    for (int64_t i = 0; i < ROWS * vocab; i++) { /* like a normal distribution */
        float sum = 0;
        for (int j = 0; j < 4; j++)
            sum += (float)rand() / (float)RAND_MAX - 0.5f;
        logits[i] = 4 * sum;
    }
    printf("%d threads, %d rows of %ld\n", params.n_threads, ROWS, (long)vocab);
    printf("targets of a row   top      ms   ns a logit\n");
    for (size_t c = 0; c < PPI_COUNT(cases); c++) {
        int64_t n = 0;
        for (int32_t i = 0; i < ROWS * cases[c].targets; i++, n++)
            scores[n] = (struct ppi_score){.row = i / cases[c].targets,
                                           .target = i % cases[c].targets * 997 % (int32_t)vocab};
        double best = 1e9, end = ppi_seconds() + time_limit;
        do {
            double start = ppi_seconds();
            ppi_cpu_ops.score(backend, logits, ROWS, vocab, scores, n, cases[c].n_top, tokens,
                              logprobs, &err);
            double time = ppi_seconds() - start;
            best = time < best ? time : best;
        } while (ppi_seconds() < end);
        printf("%16d   %3d   %5.2f        %5.3f\n", cases[c].targets, cases[c].n_top, 1e3 * best,
               1e9 * best / (double)(ROWS * vocab));
    }
    ppi_cpu_ops.close(backend);
    ppi_free(&mem, logits);
    return 0;
}
