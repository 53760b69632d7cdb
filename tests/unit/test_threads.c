/*
 * test_threads.c: the pool of the CPU backend: every unit of a job once, whatever their number and
 * that of the threads; scratch of one thread at a time; a host's threads in place of its own. Runs
 * once more with ThreadSanitizer and once with the doorbell that other systems have.
 */
#include "cpu/threads.h"
#include "support/plain_tap.h"
#include "support/rng.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_UNITS   1000
#define MAX_THREADS 64
#define WORTH       1e6 /* ns: a unit that a thread is worth waking for */

static struct ppi_mem mem;

static struct ppi_cpu_pool *make_pool(int32_t n_threads, ppi_parallel_for_fn parallel_for,
                                      void *user)
{
    struct ppi_cpu_pool *pool;
    if (ppi_cpu_pool_create(&mem, n_threads, parallel_for, user, &pool, NULL) != PP_OK)
        abort();
    return pool;
}

/* A job that says who did what. */
struct record {
    int32_t n_threads;
    int64_t n_units;
    int32_t times[MAX_UNITS]; /* each unit was done; by whom it was is not shared */
    _Atomic int32_t inside[MAX_THREADS];
    _Atomic int32_t n_runs, n_by_workers, n_bad;
    int64_t nap_ns; /* of a run; 0: it takes some microseconds */
};

static void do_units(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    struct record *record = arg;
    atomic_fetch_add(&record->n_runs, 1);
    if (i_thread > 0)
        atomic_fetch_add(&record->n_by_workers, 1);
    if (i_thread < 0 || i_thread >= record->n_threads || first < 0 || first >= end ||
        end > record->n_units || atomic_fetch_add(&record->inside[i_thread], 1) != 0)
        atomic_fetch_add(&record->n_bad, 1);
    for (int64_t i = first; i < end; i++)
        record->times[i]++;
    if (record->nap_ns > 0)
        nanosleep(&(struct timespec){0, record->nap_ns}, NULL);
    for (volatile int i = 0; i < 1000; i++)
        ;
    atomic_fetch_sub(&record->inside[i_thread], 1);
}

static int64_t n_by_workers; /* runs, of all jobs */

/* Runs a job and looks at every unit; the record is gone when it returns. */
static int run_job(struct ppi_cpu_pool *pool, int32_t n_threads, int64_t n_units, double unit_ns,
                   int64_t nap_ns)
{
    struct record *record = calloc(1, sizeof *record);
    if (!record)
        abort();
    record->n_threads = n_threads;
    record->n_units = n_units;
    record->nap_ns = nap_ns;
    ppi_cpu_run(pool, n_units, unit_ns, do_units, record);
    for (int64_t i = 0; i < n_units; i++)
        EXPECT(record->times[i] == 1, "unit %lld of %lld was done %d times", (long long)i,
               (long long)n_units, record->times[i]);
    EXPECT(record->n_bad == 0, "%d runs with wrong arguments", record->n_bad);
    int n_runs = record->n_runs;
    n_by_workers += record->n_by_workers;
    memset(record, 0xa5, sizeof *record);
    free(record);
    return n_runs;
}

static void every_unit_once(void)
{
    struct rng rng = rng_seeded(11);
    for (int32_t n_threads = 1; n_threads <= 8; n_threads++) {
        struct ppi_cpu_pool *pool = make_pool(n_threads, NULL, NULL);
        for (int64_t n_units = 0; n_units <= MAX_UNITS; n_units += n_units < 40 ? 1 : 37)
            run_job(pool, n_threads, n_units, WORTH, 0);
        for (int i = 0; i < 200; i++)
            run_job(pool, n_threads, rng_between(&rng, 0, MAX_UNITS),
                    (double)rng_between(&rng, 0, 3000), 0);
        ppi_cpu_pool_destroy(pool);
    }
}

static void jobs_back_to_back(void)
{
    struct rng rng = rng_seeded(12);
    struct ppi_cpu_pool *pool = make_pool(4, NULL, NULL);
    for (int i = 0; i < 5000; i++) {
        run_job(pool, 4, rng_between(&rng, 1, 50), WORTH, 0);
        if (i % 64 == 0) /* workers fall asleep */
            nanosleep(&(struct timespec){0, 200000}, NULL);
    }
    ppi_cpu_pool_destroy(pool);
}

static void the_caller_sleeps_until_all_are_done(void)
{
    struct ppi_cpu_pool *pool = make_pool(3, NULL, NULL);
    n_by_workers = 0;
    for (int i = 0; i < 100; i++)
        run_job(pool, 3, 3, WORTH, i % 2 ? 300000 : 30000);
    EXPECT(n_by_workers > 0, "no worker did anything");
    ppi_cpu_pool_destroy(pool);
}

static void more_threads_than_processors(void)
{
    struct ppi_cpu_pool *pool = make_pool(MAX_THREADS, NULL, NULL);
    for (int i = 0; i < 100; i++)
        run_job(pool, MAX_THREADS, MAX_UNITS, WORTH, 0);
    ppi_cpu_pool_destroy(pool);
}

static void pools_come_and_go(void)
{
    for (int i = 0; i < 100; i++) {
        struct ppi_cpu_pool *pool = make_pool(1 + i % 6, NULL, NULL);
        for (int job = 0; job < i % 3; job++)
            run_job(pool, 1 + i % 6, 7, WORTH, 0);
        ppi_cpu_pool_destroy(pool);
    }
    ppi_cpu_pool_destroy(NULL);
    EXPECT(mem.bytes == 0, "%lld bytes are left", (long long)mem.bytes);
}

static void a_small_job_is_one_run(void)
{
    struct ppi_cpu_pool *pool = make_pool(4, NULL, NULL);
    EXPECT(run_job(pool, 4, MAX_UNITS, 1, 0) == 1, "1 us was shared");
    EXPECT(run_job(pool, 4, MAX_UNITS, 1000, 0) > 1, "1 ms was not shared");
    EXPECT(run_job(pool, 4, 1, WORTH, 0) == 1, "one unit was not one run");
    ppi_cpu_pool_destroy(pool);
}

/* ---- a host's threads ---- */

struct host {
    int n_calls, n_tasks; /* of the last call */
    bool reversed;
};

static void run_in_turn(void *user, int32_t n_tasks, void (*task)(void *arg, int32_t i), void *arg)
{
    struct host *host = user;
    host->n_calls++;
    host->n_tasks = n_tasks;
    for (int32_t i = 0; i < n_tasks; i++)
        task(arg, host->reversed ? n_tasks - 1 - i : i);
}

static void a_host_in_any_order(void)
{
    for (int reversed = 0; reversed < 2; reversed++) {
        struct host host = {.reversed = reversed != 0};
        struct ppi_cpu_pool *pool = make_pool(5, run_in_turn, &host);
        for (int64_t n_units = 2; n_units <= MAX_UNITS; n_units = n_units * 3 / 2) {
            run_job(pool, 5, n_units, WORTH, 0);
            EXPECT(host.n_tasks == (n_units < 5 ? (int)n_units : 5), "%d tasks for %lld units",
                   host.n_tasks, (long long)n_units);
        }
        int n_calls = host.n_calls;
        run_job(pool, 5, MAX_UNITS, 1, 0);
        run_job(pool, 5, 1, WORTH, 0);
        run_job(pool, 5, 0, WORTH, 0);
        EXPECT(host.n_calls == n_calls, "a small job went to the host");
        ppi_cpu_pool_destroy(pool);
    }
}

int main(int argc, char **argv)
{
    static const struct plain_test tests[] = {
        {"every_unit_once", every_unit_once},
        {"jobs_back_to_back", jobs_back_to_back},
        {"the_caller_sleeps_until_all_are_done", the_caller_sleeps_until_all_are_done},
        {"more_threads_than_processors", more_threads_than_processors},
        {"pools_come_and_go", pools_come_and_go},
        {"a_small_job_is_one_run", a_small_job_is_one_run},
        {"a_host_in_any_order", a_host_in_any_order},
    };
    if (ppi_mem_init(&mem, NULL, 0, NULL) != PP_OK)
        return 1;
    return plain_main(tests, PPI_COUNT(tests), argc, argv);
}
