/* profile_report.h: the figures of `prepack profile`, and their JSON. */
#ifndef PREPACK_PROFILE_REPORT_H
#define PREPACK_PROFILE_REPORT_H

#include "needs.h"
#include "profile_options.h"

#include <jansson.h>
#include <prepack/prepack.h>
#include <stdbool.h>

struct mean_std {
    double mean, std;
};

/* What `profile` found out about one method. */
struct method_report {
    int method; /* METHOD_* */
    struct mean_std seconds;
    struct mean_std max_percent, mean_percent;               /* of the processors, or the GPU */
    struct mean_std max_memory_percent, mean_memory_percent; /* of a GPU's memory */
    int64_t used_bytes;                                      /* of a GPU's memory, at most */
    bool has_utilization;                 /* false: nobody told how busy the GPU was */
    int64_t peak_host_bytes;              /* of the process */
    int64_t peak_session_bytes;           /* of the device, as the session counts it */
    int64_t tokens_real, tokens_computed; /* of one run */
    int64_t passes;                       /* of one run */
    double tokens_per_second;             /* real ones */
    int64_t bins;                         /* of one run; 0 where nothing is packed */
    double waste;                         /* of the capacity of all bins */
};

struct profile_report {
    const char *model, *dataset;
    const struct profile_options *options;
    pp_session_info session;
    struct method_report methods[N_METHODS];
    int n_methods;
};

/* Peak memory that a method's row shows, in units of 1,000,000 bytes: the device's, or on the CPU
 * the process's. */
double peak_memory_mb(const struct profile_report *report, const struct method_report *method);

json_t *profile_json(const struct profile_report *report);

/* What `profile --dry-run` found out about one method. */
struct method_needs {
    int method; /* METHOD_* */
    int64_t tokens_real;
    struct needs needs;
    struct needed_memory memory;
};

struct dry_run_report {
    const char *model, *dataset;
    const struct profile_options *options;
    pp_session_info session; /* as estimated */
    struct method_needs methods[N_METHODS];
    int n_methods;
};

/* The method that needs most of the device. */
const struct method_needs *neediest(const struct dry_run_report *report);
json_t *dry_run_json(const struct dry_run_report *report);

#endif
