/*
 * stored_world.c: see stored_world.h.
 */
#define _GNU_SOURCE
#include "stored_world.h"

#include "dtype.h"
#include "model/arch.h"

#include <check.h>
#include <prepack/session.h>
#include <string.h>

float world_value(const struct stored_world *world, enum ppi_weight weight, int64_t row,
                  int64_t col)
{
    int64_t number = row * 131 + col + (int64_t)weight * 7;
    return (float)(world->dtype == PP_DTYPE_F32 ? number : number % 251);
}

static float embed_number(const struct stored_world *world, const int64_t *index)
{
    return world_value(world, PPI_WEIGHT_EMBED, index[0], index[1]);
}

static float norm_number(const struct stored_world *world, const int64_t *index)
{
    return world_value(world, PPI_WEIGHT_FINAL_NORM, 0, index[0]);
}

void world_begin(struct stored_world *world, const struct ppi_tensor_rule *rules, int32_t dtype)
{
    struct ppi_model_spec *spec = &world->model.spec;
    world->arch.tensors = rules;
    world->arch.model_type = "world";
    world->model.arch = &world->arch;
    world->dtype = dtype;
    spec->vocab_size = VOCAB;
    spec->n_layers = 1;
    spec->layers = &world->layer;
    world->dir = make_dir();
    world->data = open_memstream(&world->data_text, &world->data_bytes);
    world->header = open_memstream(&world->header_text, &world->header_bytes);
    fputc('{', world->header);
    world_add(world, "model.embed_tokens.weight", 2, (int64_t[]){VOCAB, spec->hidden_size},
              embed_number);
    world_add(world, "model.norm.weight", 1, (int64_t[]){spec->hidden_size}, norm_number);
}

/* The header's entry; returns the elements. */
static int64_t add_entry(struct stored_world *world, const char *name, const char *dtype,
                         int64_t size, int32_t rank, const int64_t *shape)
{
    int64_t n = 1, begin = ftell(world->data);
    bool spoiled = world->spoil && strcmp(world->spoil, name) == 0;
    fprintf(world->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", begin > 0 ? "," : "", name,
            dtype);
    for (int32_t i = 0; i < rank; i++) {
        int64_t length = shape[i] + (spoiled && i == rank - 1);
        fprintf(world->header, i ? ",%lld" : "%lld", (long long)length);
        n *= length;
    }
    fprintf(world->header, "],\"data_offsets\":[%lld,%lld]}", (long long)begin,
            (long long)(begin + n * size));
    return n;
}

static void put_number(struct stored_world *world, int32_t dtype, float number)
{
    uint16_t half = dtype == PP_DTYPE_BF16 ? ppi_f32_to_bf16(number) : ppi_f32_to_f16(number);
    if (dtype == PP_DTYPE_F32)
        fwrite(&number, sizeof number, 1, world->data);
    else
        fwrite(&half, sizeof half, 1, world->data);
}

static bool is_left_out(const struct stored_world *world, const char *name)
{
    return world->omit && strcmp(world->omit, name) == 0;
}

void world_add(struct stored_world *world, const char *name, int32_t rank, const int64_t *shape,
               world_number number)
{
    static const char *const names[] = {
        [PP_DTYPE_F32] = "F32", [PP_DTYPE_F16] = "F16", [PP_DTYPE_BF16] = "BF16"};
    int64_t index[PPI_RULE_MAX_RANK] = {0};
    bool other = world->other && strcmp(world->other, name) == 0;
    int32_t dtype = other ? PP_DTYPE_F16 : world->dtype;
    if (is_left_out(world, name))
        return;
    int64_t n = add_entry(world, name, names[dtype], (int64_t)pp_dtype_size(dtype), rank, shape);
    for (int64_t i = 0; i < n; i++) {
        put_number(world, dtype, number(world, index));
        for (int32_t d = rank - 1; d >= 0 && ++index[d] >= shape[d] && d > 0; d--)
            index[d] = 0;
    }
    fflush(world->data);
}

void world_add_bytes(struct stored_world *world, const char *name, int32_t rank,
                     const int64_t *shape, const uint8_t *bytes)
{
    int64_t n = 1;
    if (is_left_out(world, name))
        return;
    for (int32_t i = 0; i < rank; i++)
        n *= shape[i];
    int64_t wanted = add_entry(world, name, "U8", 1, rank, shape);
    fwrite(bytes, 1, (size_t)n, world->data);
    for (; n < wanted; n++)
        fputc(0, world->data);
    fflush(world->data);
}

pp_status world_open(struct stored_world *world, pp_error *err)
{
    fputc('}', world->header);
    fclose(world->header);
    fclose(world->data);
    FILE *file = fopen(path_in(world->dir.text, SINGLE_FILE).text, "wb");
    uint64_t length = world->header_bytes;
    fwrite(&length, sizeof length, 1, file);
    fwrite(world->header_text, 1, world->header_bytes, file);
    fwrite(world->data_text, 1, world->data_bytes, file);
    ck_assert_int_eq(fclose(file), 0);
    free(world->header_text);
    free(world->data_text);
    ck_assert_int_eq(ppi_mem_init(&world->model.mem, world->allocator, 0, NULL), PP_OK);
    pthread_mutex_init(&world->model.lock, NULL);
    return world_open_dir(&world->model, world->dir.text, PP_WEIGHTS_AUTO, err);
}

pp_status world_open_dir(pp_model *model, const char *path, int32_t weights, pp_error *err)
{
    static const struct ppi_log silence;
    struct ppi_dir dir;
    ck_assert_int_eq(ppi_dir_open(path, &dir, NULL), PP_OK);
    struct ppi_config config = {.spec = model->spec, .arch = model->arch, .weights = weights};
    pp_status status = ppi_tensors_open(&dir, &config, &model->mem, &silence, &model->tensors, err);
    model->spec = config.spec;
    return status;
}

void world_close_model(pp_model *model)
{
    while (model->weights) {
        struct ppi_weights *weights = model->weights;
        model->weights = weights->next;
        ppi_weights_free(weights, &model->mem);
    }
    ppi_tensors_close(&model->tensors, &model->mem);
    ck_assert_int_eq(model->mem.bytes, 0);
    pthread_mutex_destroy(&model->lock);
}

void world_end(struct stored_world *world)
{
    world_close_model(&world->model);
    remove_dir(world->dir.text);
}
