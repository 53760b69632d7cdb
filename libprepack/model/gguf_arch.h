/*
 * gguf_arch.h: the architectures of GGUF, one constant row each: which class of transformers a file
 * holds, what the keys of that class's config.json are called in it, and what its tensors differ
 * in. The class's own row (arch.h) says all the rest.
 */
#ifndef PPI_GGUF_ARCH_H
#define PPI_GGUF_ARCH_H

#include "checkpoint/source.h"
#include "model/config.h"

/* A number of the file that is a number of config.json. */
struct ppi_gguf_key {
    const char *name;   /* without the architecture in front; NULL: the end of a list */
    const char *config; /* its key there */
    bool required;
};

struct ppi_gguf_arch {
    const char *name;          /* general.architecture */
    const char *model_type;    /* of the class */
    const char *windowed_type; /* of a file that states a window; NULL: the same */
    const char *tempered_type; /* of one that states attention.temperature_scale; NULL: refused */
    const struct ppi_gguf_key *keys; /* beside those that all have */

    /* Rows of q and k stand in the order in which pairs that rotate are neighbours. */
    bool permuted;

    bool windows;         /* attention.sliding_window counts; else it is refused */
    int32_t window;       /* what an omitted one means; 0: none */
    bool window_option;   /* the file may keep silent about one: pp_model_params.sliding_window */
    int32_t full_every;   /* with a window every n-th layer has none, unless the file says which; 0:
                             all have it */
    double sliding_theta; /* rope.freq_base_swa where omitted; 0: as rope.freq_base */
    int32_t n_layers_wider; /* scores of a model of so many layers are divided by the square root of
                               hidden size / heads, those of others by that of the head's size: the
                               file does not say it; 0: the class has no such number */
    const char *mlp_norm;   /* the norm before MLP or experts; NULL: as in most files */
    bool experts;           /* a file may have them: keys expert_* count */
    const char *experts_type; /* class of a file that has some; NULL: the same */
    const char *shared_type;  /* and of one with an expert of every row; NULL: the same */
    bool normalize; /* what a file means that does not say whether weights of experts are divided by
                       their sum */
    bool deepseek;  /* as DeepSeek has them: the first layers may be dense, experts of every row are
                       counted, layers behind the last predict further tokens */
    bool qk_norm_by_tensor; /* q and k are normed where the file has the weights */
    bool linear;            /* layers without heads of keys are linear: keys ssm.* count */
    bool split_mlp;         /* gate and up of dense MLPs are two tensors though the class has one */
    bool exact_yarn;        /* ends of yarn's ramp are not rounded */
    bool needs_rope;        /* rope.scaling.finetuned false means that nothing rotates */
};

/* NULL for a name that is not known. */
const struct ppi_gguf_arch *ppi_gguf_arch_of(const char *name);
/* A row whose files hold that class of transformers, by its model_type; NULL where there is none.
 * Rows of one class have the same order of q and k. */
const struct ppi_gguf_arch *ppi_gguf_arch_of_class(const char *model_type);
/* The i-th row; NULL past the last. */
const struct ppi_gguf_arch *ppi_gguf_arch_at(size_t i);

/* gguf_config.c: what the keys and tensors of a source's file describe, through the reader of
 * config.json. window: pp_model_params.sliding_window. Errors: PP_ERR_ARG (window), PP_ERR_FORMAT,
 * PP_ERR_LIMIT, PP_ERR_UNSUPPORTED, PP_ERR_IO, PP_ERR_NOMEM. ppi_config_free releases what it made.
 */
pp_status ppi_gguf_config(struct ppi_source *source, int32_t window, struct ppi_mem *mem,
                          const struct ppi_log *log, struct ppi_config *config,
                          const struct ppi_gguf_arch **arch, pp_error *err);

/* The tensor that scores labels. */
#define PPI_GGUF_LABELS "cls.output.weight"

/* gguf_names.c: what a rule's tensor is called in a GGUF file: it follows from the weight. */
void ppi_gguf_rule_name(const struct ppi_gguf_arch *arch, const struct ppi_tensor_rule *rule,
                        const struct ppi_model_spec *spec, int32_t layer,
                        char name[PPI_TENSOR_NAME_BYTES]);

#endif
