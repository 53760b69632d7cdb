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
    int32_t eos;        /* -1: none */
    pp_session *holder; /* keeps the weights loaded; NULL: they go with the last session */
};

/* What to open. */
enum { ENGINE_MODEL = 1, ENGINE_TOKENIZER = 2 };

/* name: a preset, "demo" or a directory. The caller closes the engine, also after a failure. */
int engine_open(const char *name, int parts, uint64_t seed, struct engine *engine);
void engine_close(struct engine *engine);

/* Loads the weights that sessions of this command line share, and keeps them until engine_close. */
int engine_hold_weights(struct engine *engine, const struct options *options);

/* A session with the command line's device, dtype and threads; Ctrl-C cancels its calls. The caller
 * gives it back with engine_session_close. */
int engine_session_open(struct engine *engine, const struct options *options, pp_session **session);
void engine_session_close(pp_session *session);

/* A packer with the command line's policy and capacity. The caller destroys it. */
int packer_open(const struct options *options, pp_packer **packer);

#endif
