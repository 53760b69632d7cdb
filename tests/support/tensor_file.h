/*
 * tensor_file.h: a second reader of safetensors, for tests that must not take the library's word.
 * It trusts its files: they are the tests' own. Whatever is wrong fails the running test.
 */
#ifndef TEST_TENSOR_FILE_H
#define TEST_TENSOR_FILE_H

#include <stddef.h>
#include <stdint.h>

struct tensor_file;

/* path: one file, or a directory with model.safetensors or model.safetensors.index.json. */
struct tensor_file *tensor_file_open(const char *path);
void tensor_file_close(struct tensor_file *file);

int tensor_file_has(const struct tensor_file *file, const char *name);

/* The values of a tensor, malloced, and their number; F32, F16, BF16, I32 and U8 are read. Marks
 * the tensor as used. */
double *tensor_file_read(struct tensor_file *file, const char *name, size_t *n);

/* The name of a tensor that was never read and does not begin with one of the prefixes (ended by
 * NULL), or NULL. */
const char *tensor_file_unread(const struct tensor_file *file, const char *const *prefixes);

#endif
