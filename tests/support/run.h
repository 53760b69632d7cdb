/*
 * run.h: what tests of sessions share: opening models, the kernel sets of this machine, collecting
 * the bits that a prefill leaves behind.
 */
#ifndef TEST_RUN_H
#define TEST_RUN_H

#include <prepack/prepack.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Fails the running test with the call and its message. */
#define OK(call)                                                                                   \
    do {                                                                                           \
        pp_error err = {.struct_size = sizeof err};                                                \
        pp_error *perr = &err;                                                                     \
        ck_assert_msg((call) >= 0, "%s: %s", #call, err.message);                                  \
        (void)perr;                                                                                \
    } while (0)

/* What a test runs on: a device and a dtype it computes in. */
struct run_target {
    const char *device;
    int32_t dtype;
};

/* The i-th target to try: the CPU's kernel sets in f32 and bf16, or, when the environment variable
 * PREPACK_TEST_DEVICE is "cuda", the GPU (or its emulation) in bf16 and f16. NULL ends the list. */
const struct run_target *run_target(int i);
#define FOR_EACH_TARGET(target)                                                                    \
    for (int target_ = 0; run_target(target_); target_++)                                          \
        for (const struct run_target *target = run_target(target_); target; target = NULL)

/* true when the targets are a GPU or its emulation: shapes are multiples of 8, sizes small. */
static inline bool run_on_cuda(void)
{
    const char *device = getenv("PREPACK_TEST_DEVICE");
    return device && strcmp(device, "cuda") == 0;
}

/* A session, or NULL where the machine lacks the CPU's kernel set or a GPU cannot do the model's
 * shapes. max_pass_tokens 0: default. */
pp_session *run_session(pp_model *model, struct run_target target, int32_t n_threads,
                        int32_t max_pass_tokens);

/* The bits of one prompt after a prefill: K and V of every layer in the session's dtype, NHD, then
 * the logits. malloced. */
struct run_bits {
    void *kv;
    size_t kv_bytes;
    float *logits;
    size_t logits_bytes;
};

struct run_bits run_collect(const pp_model *model, const pp_session *session,
                            const pp_kvcache *cache, const float *logits);
void run_bits_free(struct run_bits *bits);

/* Prompts of the given lengths with random ids; free with run_prompts_free. */
pp_prompt *run_prompts(const pp_model *model, uint64_t seed, const int64_t *lengths, size_t n);
void run_prompts_free(pp_prompt *prompts, size_t n);

#endif
