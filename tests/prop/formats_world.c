/* formats_world.c: sessions with a format of weights, and what they compute. */
#define _GNU_SOURCE
#include "formats_world.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

char *make_folder(void)
{
    char pattern[] = "/tmp/prepack-formats-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(pattern));
    return strdup(pattern);
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *at)
{
    (void)about;
    (void)kind;
    (void)at;
    return remove(path);
}

void remove_folder(char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(folder);
}

const char *in_folder(const char *folder, const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

pp_model *open_model(const char *path)
{
    pp_model *model;
    OK(pp_model_open(path, NULL, &model, perr));
    return model;
}

pp_session *open_session(pp_model *model, int32_t dtype, int32_t weights)
{
    pp_session *session;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.dtype = dtype;
    params.weights = weights;
    params.n_threads = 1;
    OK(pp_session_create(model, &params, &session, perr));
    return session;
}

pp_session_info info_of(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, perr));
    return info;
}

struct run_bits bits_of(pp_model *model, int32_t dtype, int32_t weights)
{
    static const int64_t length = 37;
    pp_session *session = open_session(model, dtype, weights);
    pp_prompt *prompts = run_prompts(model, 5, &length, 1);
    const float *logits;
    pp_kvcache *cache;
    OK(pp_prefill(session, NULL, prompts, 1, &cache, &logits, perr));
    struct run_bits bits = run_collect(session, cache, logits);
    pp_kvcache_destroy(cache);
    run_prompts_free(prompts, 1);
    pp_session_destroy(session);
    return bits;
}

void expect_same_bits(const char *what, pp_model *a, int32_t a_weights, pp_model *b,
                      int32_t b_weights, int32_t dtype)
{
    struct run_bits x = bits_of(a, dtype, a_weights), y = bits_of(b, dtype, b_weights);
    const char *difference = run_bits_difference(&x, &y);
    ck_assert_msg(difference == NULL, "%s: %s with %s, %s and %s", what, difference,
                  pp_dtype_name(dtype), pp_weights_name(a_weights), pp_weights_name(b_weights));
    run_bits_free(&x);
    run_bits_free(&y);
}
