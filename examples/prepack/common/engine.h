/* engine.h: the model that a command runs, with its name and sessions. */
#ifndef PREPACK_ENGINE_H
#define PREPACK_ENGINE_H

#include "device_options.h"
#include "model_options.h"

#include <prepack/prepack.h>
#include <stdbool.h>

enum { MAX_END_TOKENS = 16 };

struct engine {
    char *name;             /* as it is shown: "demo", "llama1b", "my/dir" */
    char *dir;              /* or the path of a GGUF file; NULL for a preset */
    int32_t sliding_window; /* of a GGUF file; 0: as it says */
    char *shape;     /* config.json of random weights; NULL: the engine has weights of its own */
    pp_model *model; /* NULL before engine_load */
    pp_model_config config;
    bool keep_windows; /* its sessions' caches keep all tokens; set before a session is opened */
    int32_t end_tokens[MAX_END_TOKENS]; /* [n_end_tokens] each ends a text */
    int n_end_tokens;
};

/* options->name: a preset, "demo", a directory or a GGUF file. Opens nothing yet. The caller closes
 * the engine, also after a failure. */
int engine_find(const struct model_options *options, struct engine *engine);
/* Opens the model of an engine that was found. seed: of random weights. */
int engine_load(struct engine *engine, uint64_t seed);
/* Both. */
int engine_open(const struct model_options *options, uint64_t seed, struct engine *engine);
void engine_close(struct engine *engine);

/* Whether the weights are random, so that the shape may be changed before engine_load. */
bool engine_is_shape(const struct engine *engine);
/* A whole number of a shape's config.json is at least `least` from here on. */
int engine_shape_raise(struct engine *engine, const char *key, int64_t least);
/* Sets one. */
int engine_shape_set(struct engine *engine, const char *key, int64_t value);

/* Loads the weights that sessions of this command line share; the model keeps them. */
int engine_load_weights(struct engine *engine, const struct device_options *options);

/* A session with the command line's device, dtype, threads and memory limit, and passes of
 * max_pass_tokens (0: the library's choice); Ctrl-C cancels its calls. The caller gives it back
 * with engine_session_close. */
int engine_session_open(struct engine *engine, const struct device_options *options,
                        int32_t max_pass_tokens, pp_session **session);
void engine_session_close(pp_session *session);
int engine_session_info(const pp_session *session, pp_session_info *info);
/* What such a session would hold, without loading anything. */
int engine_estimate(struct engine *engine, const struct device_options *options,
                    pp_session_info *info);

/* Whether the session runs on a device with a memory of its own. */
bool is_on_gpu(const pp_session_info *info);
/* "cpu:avx2, f32, 8 threads", "cpu:avx2, f32, weights int8, 8 threads" or "cuda:0 (NVIDIA H200),
 * bf16, attention by mma.sync". */
void describe_session(const pp_session_info *info, char *out, size_t out_bytes);

#endif
