/*
 * config.h: from config.json to a spec. config.c holds it together and reads what is the same in
 * all; config_layers.c reads windows and which layers rotate, config_rope.c how, config_experts.c
 * mixtures of experts, config_linear.c layers with a state, config_tokens.c which tokens begin and
 * end a text, config_head.c what stands behind the last norm.
 *
 * Both spellings are read: that of transformers 5 (rope_parameters, dtype) and the one before
 * (rope_theta, rope_scaling, torch_dtype). A missing key means what it means to its class there. A
 * key that would change what is computed and is not implemented is refused; one that its class
 * passes over is said to the log.
 */
#ifndef PPI_CONFIG_H
#define PPI_CONFIG_H

#include "checkpoint/model_file.h"
#include "model/arch.h"

struct ppi_config {
    const struct ppi_arch *arch;
    const struct ppi_wrapper *wrapper; /* NULL: a text model on its own */
    struct ppi_model_spec spec;
    bool states_dtype; /* spec.dtype is what the file says; else f32 */
    bool states_bos, states_eos;
    int32_t weights; /* PP_WEIGHTS_*: what a converted model was converted to; else AUTO */
    char *text;      /* as it was read; the config's, in its mem */
};

/* config.json from memory. text is changed; label names it in messages. Errors: PP_ERR_FORMAT,
 * PP_ERR_LIMIT, PP_ERR_UNSUPPORTED, PP_ERR_NOMEM. ppi_config_free releases what it made. */
pp_status ppi_config_parse(char *text, size_t len, const char *label, struct ppi_mem *mem,
                           const struct ppi_log *log, struct ppi_config *config, pp_error *err);

/* A model directory's config.json, generation_config.json and modules.json if they are there.
 * Further errors: PP_ERR_IO, PP_ERR_PATH. */
pp_status ppi_config_read(const struct ppi_dir *dir, struct ppi_mem *mem, const struct ppi_log *log,
                          struct ppi_config *config, pp_error *err);

void ppi_config_free(struct ppi_config *config, struct ppi_mem *mem);

/* ---- between the files of config ---- */

/* config_head.c: what stands behind the last norm. */
pp_status ppi_config_head(const struct ppi_config_reader *reader, enum ppi_head head,
                          struct ppi_model_spec *spec);
/* spec->layers, with i_rope 0, 1 (with rope_by_type: where there is a window) or -1. */
pp_status ppi_config_layers(const struct ppi_config_reader *reader, const struct ppi_arch *arch,
                            struct ppi_model_spec *spec);
/* The kinds of spec->layers, and spec->linear; of a class that has both kinds. */
pp_status ppi_config_linear(const struct ppi_config_reader *reader, const struct ppi_arch *arch,
                            struct ppi_model_spec *spec);
/* spec->experts, and which layers have them or a dense MLP. */
pp_status ppi_config_experts(const struct ppi_config_reader *reader, const struct ppi_arch *arch,
                             struct ppi_model_spec *spec);
/* Whether "quantization_config" says that the experts are in MXFP4, where the class may have such;
 * and then that nothing else is said by it. */
bool ppi_config_is_packed(const struct ppi_config_reader *reader, const struct ppi_arch *arch);
pp_status ppi_config_check_packed(const struct ppi_config_reader *reader);
/* spec->ropes, and spec->max_position where a rope changes it. */
pp_status ppi_config_ropes(const struct ppi_config_reader *reader, const struct ppi_arch *arch,
                           struct ppi_model_spec *spec);
/* Tokens that reader->top and reader->root state; what is stated already stays, the same token is
 * taken once. */
pp_status ppi_config_tokens(const struct ppi_config_reader *reader, struct ppi_config *config);
/* "quantization_config" of a model that pp_model_convert wrote, and what it adds to the spec. */
bool ppi_config_is_converted(const struct ppi_config_reader *reader);
pp_status ppi_config_converted(const struct ppi_config_reader *reader, struct ppi_config *config);
/* Those of the class, where nothing is stated. */
void ppi_config_default_tokens(struct ppi_config *config);

#endif
