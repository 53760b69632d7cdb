/*
 * test_plan_support.h: what the tests of the planner and of the batches share: seeded numbers, an
 * allocator that counts and fails, and a plan in one call.
 */
#ifndef TEST_PLAN_SUPPORT_H
#define TEST_PLAN_SUPPORT_H

#include "support/flat_params.h"
#include "support/tap.h"

#include <prepack/prepack.h>

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For inner loops: each ck_assert writes to a pipe, even when it holds. */
#define assert_that(condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

/* ---- numbers ---- */

/* splitmix64 */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* In [low, high]. */
static inline int64_t random_between(uint64_t *state, int64_t low, int64_t high)
{
    return low + (int64_t)(next_random(state) % ((uint64_t)(high - low) + 1));
}

/* ---- memory ---- */

#define MAX_BLOCKS 64

/* Counts what is held, checks what is released, and fails at one allocation or from it on. */
struct meter {
    int64_t n_allocations;
    int64_t fail_at; /* number of the allocation that fails, from 1; 0: none */
    bool persistent; /* all later ones fail, too */
    size_t n_blocks; /* held now */
    struct {
        void *memory;
        size_t bytes;
    } blocks[MAX_BLOCKS];
};

static inline void *meter_allocate(void *user, size_t bytes, size_t alignment)
{
    struct meter *meter = user;
    int64_t number = ++meter->n_allocations;
    if (meter->fail_at > 0 &&
        (number == meter->fail_at || (meter->persistent && number > meter->fail_at)))
        return NULL;
    assert_that(bytes >= 1 && alignment <= 64 && meter->n_blocks < MAX_BLOCKS);
    void *memory = NULL;
    assert_that(posix_memalign(&memory, alignment, bytes) == 0);
    memset(memory, 0xa5, bytes); /* nobody may count on zeroes */
    meter->blocks[meter->n_blocks].memory = memory;
    meter->blocks[meter->n_blocks++].bytes = bytes;
    return memory;
}

static inline void meter_release(void *user, void *memory, size_t bytes)
{
    struct meter *meter = user;
    size_t i = 0;
    while (i < meter->n_blocks && meter->blocks[i].memory != memory)
        i++;
    assert_that(i < meter->n_blocks); /* a block that is held */
    assert_that(meter->blocks[i].bytes == bytes);
    meter->blocks[i] = meter->blocks[--meter->n_blocks];
    free(memory);
}

static inline pp_allocator meter_allocator(struct meter *meter)
{
    return (pp_allocator){.struct_size = sizeof(pp_allocator),
                          .user = meter,
                          .allocate = meter_allocate,
                          .release = meter_release};
}

/* ---- plans ---- */

static inline pp_packer *make_packer(int32_t policy, int64_t capacity,
                                     const pp_allocator *allocator)
{
    struct flat_params params;
    flat_init(&params);
    params.policy = policy;
    params.capacity = capacity;
    params.allocator = allocator;
    pp_packer *packer = NULL;
    pp_error err = {.struct_size = sizeof err};
    assert_that(flat_create(&params, &packer, &err) == PP_OK);
    return packer;
}

static inline pp_plan *make_plan(int32_t policy, int64_t capacity, const int64_t *lengths, size_t n)
{
    pp_packer *packer = make_packer(policy, capacity, NULL);
    pp_plan *plan = NULL;
    pp_error err = {.struct_size = sizeof err};
    if (pp_packer_plan(packer, lengths, n, &plan, &err) != PP_OK)
        ck_abort_msg("%s", err.message);
    pp_packer_destroy(packer);
    return plan;
}

static inline pp_plan_info plan_info(const pp_plan *plan)
{
    pp_plan_info info = {.struct_size = sizeof info};
    assert_that(pp_plan_get_info(plan, &info, NULL) == PP_OK);
    return info;
}

/* Every prompt is in one bin, no bin is empty or above the capacity, tokens are what they say. */
static inline bool plan_is_a_packing(const pp_plan *plan, int64_t capacity, const int64_t *lengths,
                                     size_t n)
{
    bool *seen = calloc(n + 1, sizeof *seen);
    assert_that(seen != NULL);
    size_t n_seen = 0;
    bool holds = true;
    for (int64_t bin = 0; bin < plan_info(plan).n_bins; bin++) {
        const int32_t *prompts;
        int64_t n_prompts;
        int64_t tokens;
        assert_that(pp_plan_get_bin(plan, bin, &prompts, &n_prompts, &tokens, NULL) == PP_OK);
        for (int64_t i = 0; i < n_prompts; i++) {
            holds = holds && prompts[i] >= 0 && (size_t)prompts[i] < n && !seen[prompts[i]];
            if (!holds)
                break;
            seen[prompts[i]] = true;
            n_seen++;
            tokens -= lengths[prompts[i]];
        }
        holds = holds && n_prompts > 0 && tokens == 0;
        assert_that(pp_plan_get_bin(plan, bin, NULL, NULL, &tokens, NULL) == PP_OK);
        holds = holds && tokens <= capacity;
    }
    free(seen);
    return holds && n_seen == n;
}

/* ---- errors ---- */

/* The call failed with this status and index, and its sentence says this. */
static inline void assert_error(pp_status status, const pp_error *err, pp_status expected,
                                int64_t index, const char *part)
{
    ck_assert_msg(status == expected, "%s instead of %s: %s", pp_strerror(status),
                  pp_strerror(expected), err->message);
    ck_assert_int_eq(err->code, expected);
    ck_assert_int_eq(err->index, index);
    ck_assert_msg(strstr(err->message, part) != NULL, "\"%s\" is not in \"%s\"", part,
                  err->message);
}

/* ---- running ---- */

static inline int run_suite(Suite *suite)
{
    return tap_run(suite, CK_FORK);
}

#endif
