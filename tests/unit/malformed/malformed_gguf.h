/*
 * malformed_gguf.h: GGUF files that must be refused, each the tiny one (gguf_text.h) with words
 * replaced. The numbers are those of the list of refused safetensors files (malformed.h) where the
 * fault is the same.
 */
#ifndef TEST_MALFORMED_GGUF_H
#define TEST_MALFORMED_GGUF_H

#include <prepack/common.h>

#include <stddef.h>

struct malformed_gguf {
    const char *name; /* number and words */
    pp_status status;
    const char *message;     /* part of the message */
    const char *find, *with; /* the first `find` becomes `with`; NULL: `with` is the whole file */
};

/* Refused by the reader of the format; and by the reader of models. */
extern const struct malformed_gguf malformed_gguf_frames[], malformed_gguf_models[];
extern const size_t n_malformed_gguf_frames, n_malformed_gguf_models;

/* The text of the file. The caller frees it. */
char *malformed_gguf_text(const struct malformed_gguf *entry);

#endif
