/*
 * vector_file.h: a file of n vectors of one length, f32, in the order of what they are of. The name
 * says its kind: .npy, .safetensors or .jsonl. It has another name until it is whole.
 */
#ifndef PREPACK_VECTOR_FILE_H
#define PREPACK_VECTOR_FILE_H

#include "partial_file.h"

#include <stddef.h>

enum vector_kind { VECTORS_NPY, VECTORS_SAFETENSORS, VECTORS_JSONL };

struct vector_file {
    struct partial_file file;
    enum vector_kind kind;
    const char *name; /* of the tensor, or of each line's list */
    int64_t n, dim;
    int64_t place; /* where the next rows go */
    int64_t n_written;
};

/* The kind that a path's ending says; refuses others. */
int vector_file_kind(const char *path, enum vector_kind *kind);
/* What the metadata of a safetensors file say of the vectors. */
struct vector_facts {
    const char *model, *dtype, *device, *pooling;
};
/* Begins the file of n vectors of dim elements. path and name outlive it. The caller closes it,
 * also after a failure. */
int vector_file_open(const char *path, bool force, const char *name, int64_t n, int64_t dim,
                     const struct vector_facts *facts, struct vector_file *file);
/* Appends n_rows vectors. */
int vector_file_add(struct vector_file *file, const float *rows, int64_t n_rows);
/* Gives the file its name. */
int vector_file_finish(struct vector_file *file);
void vector_file_close(struct vector_file *file);

#endif
