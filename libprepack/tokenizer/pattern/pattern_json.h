/*
 * pattern_json.h: the "pattern" of a part of tokenizer.json: {"String": ...} or {"Regex": ...}.
 */
#ifndef PPI_PATTERN_JSON_H
#define PPI_PATTERN_JSON_H

#include "tokenizer/pattern/pattern.h"
#include "tokenizer/reading.h"

/* object: the part that has it; where names the part. Errors: those of ppi_pattern_create. */
pp_status ppi_pattern_read(const struct ppi_reading *reading, const char *where,
                           const struct ppi_json_value *object, struct ppi_pattern **pattern);

/* A member that must be one of `names`, a list that ends in NULL; *out is its place. Missing: out
 * stays when it is not negative, and is refused otherwise. */
pp_status ppi_reading_choice(const struct ppi_reading *reading, const char *where,
                             const struct ppi_json_value *object, const char *key,
                             const char *const *names, int32_t *out);

/* A member that must be one character. */
pp_status ppi_reading_char(const struct ppi_reading *reading, const char *where,
                           const struct ppi_json_value *object, const char *key, uint32_t *out);

#endif
