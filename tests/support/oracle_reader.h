/*
 * oracle_reader.h: how the oracle takes tensors out of a checkpoint; oracle_weights.c begins,
 * oracle_mixture_weights.c reads experts and linear layers.
 */
#ifndef TEST_ORACLE_READER_H
#define TEST_ORACLE_READER_H

#include "oracle_weights.h"
#include "tensor_file.h"

struct oracle_reader {
    struct tensor_file *file;
    const char *model, *head; /* before the model's tensors and before lm_head */
    int64_t layer;            /* -1: outside the layers */
    struct oracle_weights *weights;
};

/* Whether the layer (or the model) has a tensor. */
bool oracle_has(const struct oracle_reader *reader, const char *name);

/* A tensor of so many elements; the weights own it. */
double *oracle_read(const struct oracle_reader *reader, const char *name, int64_t n_wanted);

/* Room that the weights own. */
double *oracle_room(const struct oracle_reader *reader, int64_t n);

/* A matrix NAME.weight and, when it is there to be, NAME.bias. */
double *oracle_read_linear(const struct oracle_reader *reader, const char *name, int64_t rows,
                           int64_t cols, bool has_bias, double **bias);

/* Takes the next n elements out of a fused tensor. */
double *oracle_cut(const struct oracle_reader *reader, const double **fused, int64_t n);

void oracle_read_experts(const struct oracle_reader *reader, const struct oracle_config *config,
                         struct oracle_layer *layer);
void oracle_read_linear_layer(const struct oracle_reader *reader,
                              const struct oracle_config *config, struct oracle_layer *layer);

#endif
