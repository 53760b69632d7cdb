/*
 * config_file.h: what config.c (ranges) and config_file.c (config.json) share; the functions that
 * others use are in source.h.
 */
#ifndef PPI_CONFIG_FILE_H
#define PPI_CONFIG_FILE_H

#include "checkpoint/source.h"

/* A count of a configuration: its key in config.json, its field in pp_model_config, its range, and
 * what a missing key means for each architecture (0: derived from other counts). */
struct ppi_config_count {
    const char *key, *field;
    size_t offset;
    int32_t min, max;
    int32_t llama, mistral;
};

#define PPI_N_CONFIG_COUNTS 8
extern const struct ppi_config_count ppi_config_counts[PPI_N_CONFIG_COUNTS];

/* config.json from memory, as ppi_config_read. text is changed; label names it in messages. */
pp_status ppi_config_parse(char *text, size_t len, const char *label, struct ppi_mem *mem,
                           const struct ppi_log *log, pp_model_config *config, pp_error *err);

#endif
