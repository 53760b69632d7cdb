/*
 * classes.h: prompts with the same number, as pp_plan_input's together and apart have it.
 */
#ifndef PPI_CLASSES_H
#define PPI_CLASSES_H

#include "internal.h"

/*
 * Classes of at least two prompts, numbered from 0 in the order of their numbers. class_of: [n],
 * receives the class of each prompt, or -1. numbers: [n], below 0: none. Errors: PP_ERR_NOMEM.
 */
pp_status ppi_classes_number(const int32_t *numbers, int64_t n, int32_t *class_of,
                             int64_t *n_classes, struct ppi_mem *mem, pp_error *err);

#endif
