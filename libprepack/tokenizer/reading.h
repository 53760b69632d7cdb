/*
 * reading.h: reading what a tokenizer.json says: what a value must be, and the sentence when it is
 * not. Nothing here knows what a key means.
 */
#ifndef PPI_READING_H
#define PPI_READING_H

#include "internal.h"
#include "json/json_text.h"

struct ppi_reading {
    const char *label; /* of the file, for messages */
    struct ppi_mem *mem;
    const struct ppi_log *log;
    pp_error *err;
};

/* LABEL: WHERE is VALUE; WANTED. Returns code. where: "decoder.prefix". */
pp_status ppi_reading_refuse(const struct ppi_reading *reading, pp_status code, const char *where,
                             const struct ppi_json_value *value, const char *wanted);
/* PP_ERR_UNSUPPORTED for a part whose "type" is not known: "LABEL: the PART \"TYPE\" is not
 * implemented". */
pp_status ppi_reading_unknown(const struct ppi_reading *reading, const char *part,
                              const struct ppi_json_value *object);

/* The "type" of a part: "" where there is none, so that it can be compared. */
const char *ppi_reading_type(const struct ppi_json_value *object);

/* A member; missing or null leaves *out. where names the object in the sentence: "pre_tokenizer".
 * Errors: PP_ERR_FORMAT. */
pp_status ppi_reading_flag(const struct ppi_reading *reading, const char *where,
                           const struct ppi_json_value *object, const char *key, bool *out);
pp_status ppi_reading_integer(const struct ppi_reading *reading, const char *where,
                              const struct ppi_json_value *object, const char *key, int64_t min,
                              int64_t max, int64_t *out);
/* The string is the JSON's; with its length, since it may hold a NUL. */
pp_status ppi_reading_string(const struct ppi_reading *reading, const char *where,
                             const struct ppi_json_value *object, const char *key, const char **out,
                             size_t *n);

/* A copy of bytes with a NUL behind them; NULL: no memory. */
char *ppi_reading_copy(struct ppi_mem *mem, const char *bytes, size_t n);

/* Parts nest ("Sequence"): a list of them, flat, in order. where: "decoder". array: the name of the
 * list inside a Sequence ("decoders"). Calls `take` for each part that is no Sequence. Errors:
 * those of take, PP_ERR_FORMAT, PP_ERR_LIMIT (more than 64 parts). */
pp_status ppi_reading_parts(const struct ppi_reading *reading, const char *where, const char *array,
                            const struct ppi_json_value *object,
                            pp_status (*take)(const struct ppi_reading *reading,
                                              const struct ppi_json_value *part, void *user),
                            void *user);

#endif
