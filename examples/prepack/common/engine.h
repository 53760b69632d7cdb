/* engine.h: the model that a command runs, with its name, tokenizer and session. */
#ifndef PREPACK_ENGINE_H
#define PREPACK_ENGINE_H

#include "options.h"
#include "tokenizer.h"

#include <prepack/prepack.h>
#include <stdbool.h>

struct engine {
    char *name;                  /* as it is shown: "demo", "llama1b", "my/dir" */
    char *dir;                   /* NULL for a preset */
    pp_model *model;             /* NULL when only the tokenizer was opened */
    struct tokenizer *tokenizer; /* NULL without need */
    pp_model_config config;
    int32_t eos; /* -1: none */
};

/* What to open. */
enum { ENGINE_MODEL = 1, ENGINE_TOKENIZER = 2 };

/* name: a preset, "demo" or a directory. The caller closes the engine, also after a failure. */
int engine_open(const char *name, int parts, uint64_t seed, struct engine *engine);
/* A preset with other heads, where options has some, and then with positions for prompts of
 * `longest` tokens. */
int engine_open_shape(const char *name, const struct options *options, int64_t longest,
                      struct engine *engine);
void engine_close(struct engine *engine);

/* Loads the weights that sessions of this command line share; the model keeps them. */
int engine_load_weights(struct engine *engine, const struct options *options);

/* A session with the command line's device, dtype, threads and memory limit, and passes of
 * max_pass_tokens (0: the library's choice); Ctrl-C cancels its calls. The caller gives it back
 * with engine_session_close. */
int engine_session_open(struct engine *engine, const struct options *options,
                        int32_t max_pass_tokens, pp_session **session);
void engine_session_close(pp_session *session);
int engine_session_info(const pp_session *session, pp_session_info *info);
/* What such a session would hold, without loading anything. */
int engine_estimate(struct engine *engine, const struct options *options, pp_session_info *info);

/* Whether the session runs on a device with a memory of its own. */
bool is_on_gpu(const pp_session_info *info);
/* "cpu:avx2, f32, 8 threads" or "cuda:0 (NVIDIA H200), bf16, attention by mma.sync". */
void describe_session(const pp_session_info *info, char *out, size_t out_bytes);

#endif
