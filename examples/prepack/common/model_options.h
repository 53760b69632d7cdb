/* model_options.h: the options that say which model runs. */
#ifndef PREPACK_MODEL_OPTIONS_H
#define PREPACK_MODEL_OPTIONS_H

#include "option.h"

struct model_options {
    const char *name; /* a directory, a GGUF file, "demo" or a preset; NULL: not given */
    bool random_weights;
    int64_t sliding_window; /* 0: as the file says */
};

extern const struct option_rule model_rules[];

/* Architectures that model directories may have, by name; NULL past the last. */
const char *model_architecture(int64_t i);

#endif
