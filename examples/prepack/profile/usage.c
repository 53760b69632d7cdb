/* usage.c: processor time and memory of this process, from the kernel's own accounts. */
#include "usage.h"
#include "say.h"
#include "stopwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLE_NS = 20 * 1000 * 1000 };
/* Shorter spans say more about the clock than about the load. */
static const double least_span = 0.005;

struct usage {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    int n_threads;
    bool running;                   /* between resume and pause */
    double span_wall, span_cpu;     /* when the running span began */
    double sample_wall, sample_cpu; /* when the running sample began */
    double wall, cpu;               /* of the spans that ended */
    double max_share;               /* of one sample, 1 is every thread busy */
    struct nvml *gpu;               /* or NULL */
    int64_t n_readings;             /* of the GPU */
    double gpu_sum, memory_sum;     /* of their percentages */
    struct nvml_reading most;       /* of each figure */
};

static double process_seconds(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* With the lock held. */
static void read_gpu(struct usage *usage)
{
    struct nvml_reading reading;
    struct nvml_reading *most = &usage->most;
    if (!usage->gpu || !nvml_read(usage->gpu, &reading))
        return;
    usage->n_readings++;
    usage->gpu_sum += reading.gpu_percent;
    usage->memory_sum += reading.memory_percent;
    if (most->gpu_percent < reading.gpu_percent)
        most->gpu_percent = reading.gpu_percent;
    if (most->memory_percent < reading.memory_percent)
        most->memory_percent = reading.memory_percent;
    if (most->used_bytes < reading.used_bytes)
        most->used_bytes = reading.used_bytes;
}

/* With the lock held: ends the sample that runs and begins the next. */
static void take_sample(struct usage *usage)
{
    const double wall = seconds_now(), cpu = process_seconds();
    const double span = wall - usage->sample_wall;
    if (span < least_span)
        return;
    const double share = (cpu - usage->sample_cpu) / (span * usage->n_threads);
    if (share > usage->max_share)
        usage->max_share = share;
    usage->sample_wall = wall;
    usage->sample_cpu = cpu;
}

static void *sample(void *argument)
{
    struct usage *usage = argument;
    pthread_mutex_lock(&usage->lock);
    while (!usage->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += SAMPLE_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        if (usage->running)
            pthread_cond_timedwait(&usage->wake, &usage->lock, &until);
        else
            pthread_cond_wait(&usage->wake, &usage->lock);
        if (usage->running) {
            take_sample(usage);
            read_gpu(usage);
        }
    }
    pthread_mutex_unlock(&usage->lock);
    return NULL;
}

int usage_start(int n_threads, struct nvml *gpu, struct usage **usage)
{
    struct usage *made = calloc(1, sizeof *made);
    if (!made)
        return fail_memory();
    made->n_threads = n_threads > 0 ? n_threads : 1;
    made->gpu = gpu;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    const int number = pthread_create(&made->thread, NULL, sample, made);
    if (number) {
        pthread_cond_destroy(&made->wake);
        pthread_mutex_destroy(&made->lock);
        free(made);
        return fail("no thread could be started: %s", strerror(number));
    }
    *usage = made;
    return STATUS_OK;
}

void usage_stop(struct usage *usage)
{
    if (!usage)
        return;
    pthread_mutex_lock(&usage->lock);
    usage->stopping = true;
    pthread_cond_signal(&usage->wake);
    pthread_mutex_unlock(&usage->lock);
    pthread_join(usage->thread, NULL);
    pthread_cond_destroy(&usage->wake);
    pthread_mutex_destroy(&usage->lock);
    free(usage);
}

void usage_resume(struct usage *usage)
{
    pthread_mutex_lock(&usage->lock);
    usage->running = true;
    usage->span_wall = usage->sample_wall = seconds_now();
    usage->span_cpu = usage->sample_cpu = process_seconds();
    pthread_cond_signal(&usage->wake);
    pthread_mutex_unlock(&usage->lock);
}

void usage_pause(struct usage *usage)
{
    pthread_mutex_lock(&usage->lock);
    take_sample(usage);
    if (usage->n_readings == 0)
        read_gpu(usage); /* spans shorter than a sample */
    usage->running = false;
    usage->wall += seconds_now() - usage->span_wall;
    usage->cpu += process_seconds() - usage->span_cpu;
    pthread_mutex_unlock(&usage->lock);
}

static double as_percent(double share)
{
    return share < 0 ? 0 : share > 1 ? 100 : 100 * share;
}

/* With the lock held. */
static struct usage_figures gpu_figures(const struct usage *usage)
{
    const double n = usage->n_readings > 0 ? (double)usage->n_readings : 1;
    return (struct usage_figures){.max_percent = usage->most.gpu_percent,
                                  .mean_percent = usage->gpu_sum / n,
                                  .max_memory_percent = usage->most.memory_percent,
                                  .mean_memory_percent = usage->memory_sum / n,
                                  .used_bytes = usage->most.used_bytes};
}

static struct usage_figures processor_figures(const struct usage *usage)
{
    const double mean = usage->wall > 0 ? usage->cpu / (usage->wall * usage->n_threads) : 0;
    const double max = usage->max_share > mean ? usage->max_share : mean;
    return (struct usage_figures){.max_percent = as_percent(max), .mean_percent = as_percent(mean)};
}

struct usage_figures usage_take(struct usage *usage)
{
    pthread_mutex_lock(&usage->lock);
    const struct usage_figures figures = usage->gpu ? gpu_figures(usage) : processor_figures(usage);
    usage->wall = usage->cpu = usage->max_share = 0;
    usage->gpu_sum = usage->memory_sum = 0;
    usage->n_readings = 0;
    usage->most = (struct nvml_reading){0};
    pthread_mutex_unlock(&usage->lock);
    return figures;
}

void usage_reset_peak(void)
{
    malloc_trim(0);
    const int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return;
    const ssize_t written = write(file, "5", 1);
    (void)written;
    close(file);
}

int64_t usage_peak_bytes(void)
{
    char line[256];
    long long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lld kB", &kilobytes) == 1)
            break;
    if (file)
        fclose(file);
    struct rusage usage;
    if (kilobytes == 0 && getrusage(RUSAGE_SELF, &usage) == 0)
        kilobytes = usage.ru_maxrss;
    return kilobytes * 1024;
}
