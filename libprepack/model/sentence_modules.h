/*
 * sentence_modules.h: how files of sentence-transformers beside a model recommend its hidden states
 * to be pooled: reading them, and writing the same again.
 */
#ifndef PPI_SENTENCE_MODULES_H
#define PPI_SENTENCE_MODULES_H

#include "checkpoint/model_file.h"
#include "json/json_write.h"
#include "model/spec.h"

/* Sets spec->pooling and spec->normalize, if the directory has modules.json. What is asked for and
 * not supported is said to the log and recommends nothing. Errors: PP_ERR_IO, PP_ERR_FORMAT,
 * PP_ERR_LIMIT, PP_ERR_PATH, PP_ERR_NOMEM. */
pp_status ppi_sentence_modules_read(const struct ppi_dir *dir, struct ppi_mem *mem,
                                    const struct ppi_log *log, struct ppi_model_spec *spec,
                                    pp_error *err);

/* modules.json, and 1_Pooling/config.json beside it, of a spec with a pooling. One that does not
 * say whether vectors are normalised is written as one where they are not. */
void ppi_sentence_modules_put(struct ppi_json_out *out, const struct ppi_model_spec *spec);
void ppi_sentence_pooling_put(struct ppi_json_out *out, const struct ppi_model_spec *spec);

#endif
