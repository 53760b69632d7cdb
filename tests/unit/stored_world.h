/*
 * stored_world.h: a model of one layer made by hand, whose weights are numbers that say their own
 * place, and a file that holds them in some form.
 */
#ifndef TEST_STORED_WORLD_H
#define TEST_STORED_WORLD_H

#include "malformed/model_maker.h"
#include "model/model_impl.h"

#define VOCAB 8

/* The model; its layer has what `kind` and the sizes say. */
struct stored_world {
    struct ppi_layer_spec layer;
    struct ppi_layer_place place;
    struct ppi_arch arch;
    pp_model model;
    struct path dir;
    FILE *data; /* of the tensors, */
    FILE *header;
    char *data_text, *header_text;
    size_t data_bytes, header_bytes;
    int32_t dtype;                 /* of tensors that are added */
    const char *spoil;             /* a tensor that gets one more in its last dimension; or NULL */
    const char *omit;              /* one that is not written; or NULL */
    const char *other;             /* one that is f16; or NULL */
    const pp_allocator *allocator; /* of the model; or NULL */
};

/* The number at a place of a weight; small whole numbers where narrow, which every dtype holds. */
float world_value(const struct stored_world *world, enum ppi_weight weight, int64_t row,
                  int64_t col);

/* An empty file for a model of these sizes and rules. */
void world_begin(struct stored_world *world, const struct ppi_tensor_rule *rules, int32_t dtype);

/* One tensor of `rank` dimensions, its number at an index of these (the last fastest). */
typedef float (*world_number)(const struct stored_world *world, const int64_t *index);
void world_add(struct stored_world *world, const char *name, int32_t rank, const int64_t *shape,
               world_number number);
void world_add_bytes(struct stored_world *world, const char *name, int32_t rank,
                     const int64_t *shape, const uint8_t *bytes);

/* Writes the file and opens the tensors. */
pp_status world_open(struct stored_world *world, pp_error *err);
/* The tensors of a model that has everything else. */
pp_status world_open_dir(pp_model *model, const char *path, int32_t weights, pp_error *err);
void world_close_model(pp_model *model);
void world_end(struct stored_world *world);

#endif
