/* convert_cmd.c: `prepack convert`: a model as a directory with weights of another format. */
#include "convert_options.h"
#include "engine.h"
#include "files.h"
#include "interrupt.h"
#include "progress.h"
#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { STEPS = 1000, MAX_TOKENIZER_BYTES = 1 << 28 };

/* The library counts weights, the bar thousandths. */
static int32_t show_progress(void *user, int64_t done, int64_t total)
{
    struct progress *progress = user;
    while (progress->done < (int64_t)((double)done / (double)total * STEPS))
        progress_step(progress);
    return interrupt_requested();
}

static int write_model(struct engine *engine, const struct convert_options *options)
{
    pp_error err = {.struct_size = sizeof err};
    struct progress progress;
    pp_convert_params params;
    pp_convert_params_init(&params, sizeof params);
    params.weights = (int32_t)options->weights;
    params.n_threads = (int32_t)options->threads;
    params.progress = show_progress;
    params.user = &progress;
    progress_start(&progress, "converting", STEPS);
    const pp_status done = pp_model_convert(engine->model, options->out, &params, &err);
    progress_clear(&progress);
    if (done == PP_ERR_CANCELLED)
        return fail_interrupted();
    return done < 0 ? fail_library(&err) : STATUS_OK;
}

static int write_file(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "wbe");
    const bool good = file && fwrite(bytes, 1, n, file) == n;
    if (file && (fclose(file) != 0 || !good))
        return fail("%s could not be written: %s", path, strerror(errno));
    return file ? STATUS_OK : fail("%s could not be written: %s", path, strerror(errno));
}

static int copy_file(const char *from, const char *to)
{
    char *bytes;
    size_t n;
    int status = read_file(from, MAX_TOKENIZER_BYTES, &bytes, &n);
    if (status)
        return status;
    status = write_file(to, bytes, n);
    free(bytes);
    return status;
}

/* What belongs to the model beside its weights, as far as the directory has it. */
static int copy_beside(const char *from, const char *to, int *n_copied)
{
    static const char *const names[] = {"tokenizer.json",
                                        "tokenizer.model",
                                        "tokenizer_config.json",
                                        "tekken.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "chat_template.jinja",
                                        "generation_config.json"};
    int status = STATUS_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && !status; i++) {
        char *source = join_path(from, names[i]), *target = join_path(to, names[i]);
        if (!source || !target) {
            status = fail_memory();
        } else if (file_exists(source)) {
            status = copy_file(source, target);
            *n_copied += 1;
        }
        free(source);
        free(target);
    }
    return status;
}

static int64_t file_bytes(const char *dir)
{
    struct stat about;
    char *path = join_path(dir, "model.safetensors");
    const bool good = path && stat(path, &about) == 0;
    free(path);
    return good ? (int64_t)about.st_size : 0;
}

int run_convert(const void *line)
{
    const struct convert_options *options = line;
    struct engine engine;
    int n_copied = 0;
    int status = engine_open(&options->model, options->seed.value, &engine);
    if (!status)
        status = write_model(&engine, options);
    const bool from_directory = !status && engine.dir && is_directory(engine.dir);
    if (from_directory)
        status = copy_beside(engine.dir, options->out, &n_copied);
    if (!status) {
        printf("model       %s, %.3g parameters\n", engine.name,
               (double)pp_model_n_parameters(engine.model));
        printf("weights     %s, %.1f MB\n", pp_weights_name((int32_t)options->weights),
               (double)file_bytes(options->out) / 1e6);
        printf("written     %s", options->out);
        if (from_directory)
            printf(", with %d more file%s of %s\n", n_copied, n_copied == 1 ? "" : "s", engine.dir);
        else if (engine.dir)
            printf("; the tokenizer stays in %s: --tokenizer %s\n", engine.dir, engine.dir);
        else
            printf("\n");
    }
    engine_close(&engine);
    return status;
}
