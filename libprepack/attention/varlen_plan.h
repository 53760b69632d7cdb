/*
 * varlen_plan.h: the plan of pp_attention_varlen: what a caller asked for, checked and spelled out,
 * and the backend's work list for it.
 */
#ifndef PPI_VARLEN_PLAN_H
#define PPI_VARLEN_PLAN_H

#include "backend.h"

#include <prepack/attention.h>

#define PPI_VARLEN_MAX_HEADS 65536 /* strides of packed tensors fit int64_t */

struct pp_attention_plan {
    struct pp_session *session; /* counted */
    struct ppi_varlen_shape shape;
    struct ppi_varlen_prompt *prompts; /* shape.prompts */
    struct ppi_varlen_plan *list;      /* the backend's */
    pp_attention_plan_info info;
    int64_t n_keys; /* of the prompts that have query rows */
    bool uploaded;
};

#endif
