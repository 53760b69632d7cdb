/*
 * usage.h: what this process uses of the machine. A small thread samples the processor time, and
 * how busy a GPU is, every 20 ms; only what happens between usage_resume and usage_pause counts.
 */
#ifndef PREPACK_USAGE_H
#define PREPACK_USAGE_H

#include "nvml.h"

#include <stdint.h>

struct usage;

struct usage_figures {
    double max_percent;  /* the busiest 20 ms */
    double mean_percent; /* over all of the time that counts */
    /* Of the GPU, over the samples; 0 without one that works. */
    double max_memory_percent, mean_memory_percent; /* of the time its memory was busy */
    int64_t used_bytes;                             /* of its memory, at most */
};

/* n_threads: how many busy threads are 100 %. gpu: the percentages are those of this GPU, which
 * outlives *usage; NULL: those of the processors. The caller stops *usage. */
int usage_start(int n_threads, struct nvml *gpu, struct usage **usage);
void usage_stop(struct usage *usage);

void usage_resume(struct usage *usage);
void usage_pause(struct usage *usage);
/* The figures since the start or the last call of this; to be called while paused. */
struct usage_figures usage_take(struct usage *usage);

/* Starts a new peak of the resident set. Where the system cannot, the peak since the process began
 * goes on. */
void usage_reset_peak(void);
/* The peak of the resident set in bytes, 0 if the system does not tell. */
int64_t usage_peak_bytes(void);

#endif
