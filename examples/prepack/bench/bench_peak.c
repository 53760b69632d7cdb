/* bench_peak.c: loops over one instruction each, in twelve chains: enough for its latency, and few
 * enough for the registers of AVX2. */
#include "bench_peak.h"
#include "stopwatch.h"

#include <pthread.h>
#include <string.h>

enum { ROUNDS = 1 << 15, CHAINS = 12, MAX_THREADS = 256 };
#define SECONDS 0.03

struct instruction {
    const char *name;
    void (*loop)(void); /* ROUNDS of CHAINS */
    double flop;        /* of one */
};

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/* c = step(c, a) in each chain. The empty assembly hides what a is, that all
 * chains are alike, and that nobody reads them. */
#define LOOP(function, features, vector, number, step)                                             \
    __attribute__((target(features))) static void function(void)                                   \
    {                                                                                              \
        vector a = number;                                                                         \
        __asm__ volatile("" : "+x"(a));                                                            \
        vector c0 = a, c1 = a, c2 = a, c3 = a, c4 = a, c5 = a;                                     \
        vector c6 = a, c7 = a, c8 = a, c9 = a, c10 = a, c11 = a;                                   \
        __asm__ volatile("" : "+x"(c0), "+x"(c1), "+x"(c2), "+x"(c3), "+x"(c4), "+x"(c5));         \
        __asm__ volatile("" : "+x"(c6), "+x"(c7), "+x"(c8), "+x"(c9), "+x"(c10), "+x"(c11));       \
        for (int round = 0; round < ROUNDS; round++) {                                             \
            c0 = step(c0, a), c1 = step(c1, a), c2 = step(c2, a), c3 = step(c3, a);                \
            c4 = step(c4, a), c5 = step(c5, a), c6 = step(c6, a), c7 = step(c7, a);                \
            c8 = step(c8, a), c9 = step(c9, a), c10 = step(c10, a), c11 = step(c11, a);            \
        }                                                                                          \
        __asm__ volatile("" : : "x"(c0), "x"(c1), "x"(c2), "x"(c3), "x"(c4), "x"(c5));             \
        __asm__ volatile("" : : "x"(c6), "x"(c7), "x"(c8), "x"(c9), "x"(c10), "x"(c11));           \
    }

#define ADD_F32_256(c, a) _mm256_fmadd_ps(a, a, c)
#define ADD_F32_512(c, a) _mm512_fmadd_ps(a, a, c)
#define ADD_BF16(c, a)    _mm512_dpbf16_ps(c, (__m512bh)(a), (__m512bh)(a))
#define ADD_INT8(c, a)    _mm512_dpbusd_epi32(c, a, a)

LOOP(loop_f32_256, "avx2,fma", __m256, _mm256_set1_ps(0.5F), ADD_F32_256)
LOOP(loop_f32_512, "avx512f", __m512, _mm512_set1_ps(0.5F), ADD_F32_512)
LOOP(loop_bf16, "avx512f,avx512bf16", __m512, _mm512_set1_ps(0.5F), ADD_BF16)
LOOP(loop_int8, "avx512f,avx512vnni", __m512i, _mm512_set1_epi8(3), ADD_INT8)

/* What the products of the session's kernels are made of; name NULL: not known here. */
static struct instruction instruction_of(const pp_session_info *session, bool integers)
{
    const bool wide = strncmp(session->device, "cpu:avx512", 10) == 0;
    if (integers)
        return wide && __builtin_cpu_supports("avx512vnni")
                   ? (struct instruction){"VPDPBUSD", loop_int8, 128}
                   : (struct instruction){NULL, NULL, 0};
    if (strcmp(session->device, "cpu:avx512bf16") == 0 && session->dtype == PP_DTYPE_BF16)
        return (struct instruction){"VDPBF16PS", loop_bf16, 64};
    if (wide)
        return (struct instruction){"VFMADD, 512 bits", loop_f32_512, 32};
    if (strcmp(session->device, "cpu:avx2") == 0)
        return (struct instruction){"VFMADD, 256 bits", loop_f32_256, 16};
    return (struct instruction){NULL, NULL, 0};
}
#else
static struct instruction instruction_of(const pp_session_info *session, bool integers)
{
    (void)session;
    (void)integers;
    return (struct instruction){NULL, NULL, 0};
}
#endif

struct run {
    const struct instruction *instruction;
    double flop; /* a second, of one thread */
};

/* The best of many short runs: others may take the processor away for some of them. */
static void *run_loop(void *arg)
{
    struct run *run = arg;
    const double flop = (double)ROUNDS * CHAINS * run->instruction->flop;
    const double end = seconds_now() + SECONDS;
    for (double now = seconds_now(), last; now < end;) {
        last = now;
        run->instruction->loop();
        now = seconds_now();
        if (now > last && flop / (now - last) > run->flop)
            run->flop = flop / (now - last);
    }
    return NULL;
}

struct peak bench_peak(const pp_session_info *session, bool integers)
{
    const struct instruction instruction = instruction_of(session, integers);
    struct run runs[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    struct peak peak = {.name = instruction.name};
    int n = 1;
    if (!instruction.name)
        return peak;
    for (int i = 0; i < MAX_THREADS; i++)
        runs[i] = (struct run){.instruction = &instruction};
    while (n < session->n_threads && n < MAX_THREADS &&
           pthread_create(&threads[n], NULL, run_loop, &runs[n]) == 0)
        n++;
    run_loop(&runs[0]);
    for (int i = 1; i < n; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < n; i++)
        peak.flop += runs[i].flop;
    return peak;
}
