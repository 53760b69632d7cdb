/*
 * run.h: what tests of sessions share: opening models, the kernel sets of this machine, collecting
 * the bits that a prefill leaves behind.
 */
#ifndef TEST_RUN_H
#define TEST_RUN_H

#include <prepack/prepack.h>

/* Fails the running test with the call and its message. */
#define OK(call)                                                                                   \
    do {                                                                                           \
        pp_error err = {.struct_size = sizeof err};                                                \
        pp_error *perr = &err;                                                                     \
        ck_assert_msg((call) >= 0, "%s: %s", #call, err.message);                                  \
        (void)perr;                                                                                \
    } while (0)

/* Kernel sets to try, fastest last; NULL ends the list. */
extern const char *const run_devices[];

/* A session, or NULL where the machine lacks the kernel set. max_pass_tokens 0: default. */
pp_session *run_session(pp_model *model, const char *device, int32_t dtype, int32_t n_threads,
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
