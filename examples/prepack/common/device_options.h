/* device_options.h: the options that say where and how a model runs. */
#ifndef PREPACK_DEVICE_OPTIONS_H
#define PREPACK_DEVICE_OPTIONS_H

#include "option.h"

struct device_options {
    const char *device;
    int64_t dtype;        /* PP_DTYPE_* */
    int64_t threads;      /* 0: every processor */
    int64_t memory_limit; /* bytes of the device; 0: the library's choice */
    int64_t weights;      /* PP_WEIGHTS_* */
};
#define DEVICE_DEFAULTS                                                                            \
    {                                                                                              \
        .device = "cpu"                                                                            \
    }

extern const struct option_rule device_rules[];
/* The rules of a PP_WEIGHTS_* alone; device_rules has them too. */
extern const struct option_rule weights_rules[];

#endif
