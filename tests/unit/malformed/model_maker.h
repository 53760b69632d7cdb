/*
 * model_maker.h: model directories for tests, made at run time: a temporary directory, a tiny valid
 * model in it, and the means to spoil either.
 */
#ifndef TEST_MODEL_MAKER_H
#define TEST_MODEL_MAKER_H

#include "model/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A path inside a temporary directory. */
struct path {
    char text[512];
};

#define SINGLE_FILE "model.safetensors"
#define INDEX_FILE  "model.safetensors.index.json"
#define SHARD_1     "model-00001-of-00002.safetensors"
#define SHARD_2     "model-00002-of-00002.safetensors"

/* The tiny model: 12 bf16 tensors in this order, model.norm.weight last. */
#define TINY_N_TENSORS  12
#define TINY_DATA_BYTES 392 /* of which the last 8 are model.norm.weight */
extern const char tiny_config[];

/* A new directory under TMPDIR; failing ends the test. remove_dir takes it away with all in it. */
struct path make_dir(void);
void remove_dir(const char *dir);
struct path path_in(const char *dir, const char *name);

void write_file(const char *dir, const char *name, const void *bytes, size_t len);

/* The whole of a file; the caller frees it. */
char *read_file(const char *dir, const char *name, size_t *len);

/* The header of tensors [first, end) of the tiny model, lead bytes of a U8 tensor before them
 * (0: none). The caller frees it. */
char *make_header(int first, int end, int lead);

/* Length, header, data_len bytes of data in which byte i is (7 i + 3) mod 256. */
void write_safetensors(const char *dir, const char *name, const char *header, size_t header_len,
                       size_t data_len);

/* The tiny model in one file, and in two shards (the last 3 tensors in the second). */
void write_single(const char *dir);
void write_sharded(const char *dir);

/* text with the first `find` (it must be there) replaced; the caller frees it. */
char *replaced(const char *text, const char *find, const char *with);

/* A model directory as pp_model_open holds it. */
struct opened_model {
    struct ppi_mem mem;
    struct ppi_config config;
    struct ppi_tensors tensors;
};
pp_status open_files(const char *dir, const struct ppi_log *log, struct opened_model *model,
                     pp_error *err);
void close_files(struct opened_model *model);

/* Opens and closes again. Leaks of memory counted by mem, or of descriptors, end the test. */
pp_status open_and_close(const char *dir, const struct ppi_log *log, pp_error *err);

/* Open descriptors of the process. */
int count_fds(void);

#endif
