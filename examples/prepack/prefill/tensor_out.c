/* tensor_out.c: the layout of the file; data is 8-aligned, the larger dtype first. */
#include "tensor_out.h"
#include "interrupt.h"
#include "json_out.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Readers of the format refuse longer ones. */
static const int64_t max_header_bytes = 100000000;

static int fail_written(const struct tensor_out *out, int number)
{
    return fail("%s could not be written: %s", out->path,
                number ? strerror(number) : "the device took no more");
}

/* ---- the layout ---- */

/* Elements of a token's keys in a layer. */
static int64_t token_size(const pp_layer_config *layer)
{
    return (int64_t)layer->n_kv_heads * layer->head_dim;
}

/* Bytes of the keys and values that a token has in the layers before `layer`. */
static int64_t token_bytes(const struct tensor_plan *plan, int32_t layer)
{
    int64_t n = 0;
    for (int32_t i = 0; i < layer; i++)
        n += 2 * token_size(&plan->layers[i]);
    return n * (int64_t)sizeof(float);
}

/* Where the data of a prompt's layer begins, from kv_start on. */
static int64_t kv_place(const struct tensor_out *out, size_t i, int32_t layer, int which)
{
    const struct tensor_plan *plan = &out->plan;
    const int64_t n = plan->prompts[i].n_tokens;
    return out->first_tokens[i] * token_bytes(plan, plan->n_layers) + n * token_bytes(plan, layer) +
           which * n * token_size(&plan->layers[layer]) * (int64_t)sizeof(float);
}

/* ---- the header ---- */

/* "name": {"a": "b", ...} of the metadata, in JSON's spelling. */
static int write_metadata(const struct tensor_plan *plan, FILE *file)
{
    json_t *json = json_object();
    json_put(&json, "model", json_lenient(plan->model));
    json_put(&json, "dtype", json_string(plan->dtype));
    json_put(&json, "device", json_lenient(plan->device));
    json_put(&json, "producer", json_string("prepack " PP_VERSION_STRING));
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return fail_memory();
    fprintf(file, "{\"__metadata__\":%s", text);
    free(text);
    return STATUS_OK;
}

static void write_kv_entries(struct tensor_out *out, size_t i, int64_t kv_start, FILE *file)
{
    const struct tensor_plan *plan = &out->plan;
    const int64_t n = plan->prompts[i].n_tokens;
    for (int32_t layer = 0; layer < plan->n_layers; layer++)
        for (int which = 0; which < 2; which++) {
            const pp_layer_config *shape = &plan->layers[layer];
            const int64_t begin = kv_start + kv_place(out, i, layer, which);
            const int64_t bytes = n * token_size(shape) * (int64_t)sizeof(float);
            fprintf(file,
                    ",\"prompt.%zu.layer.%" PRId32 ".%c\":{\"dtype\":\"F32\",\"shape\":[%" PRId64
                    ",%" PRId32 ",%" PRId32 "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}",
                    i, layer, which ? 'v' : 'k', n, shape->n_kv_heads, shape->head_dim, begin,
                    begin + bytes);
        }
}

/* Writes the length, which stands in the first 8 bytes, and the header; the places in `out` are
 * those in the file then. */
static int write_header(struct tensor_out *out, FILE *file)
{
    const struct tensor_plan *plan = &out->plan;
    const int64_t n = (int64_t)plan->n_prompts;
    const int64_t logits = n * (int64_t)sizeof(int64_t);
    const int64_t kv = logits + n * plan->vocab_size * (int64_t)sizeof(float);
    uint64_t header_bytes = 0;
    fwrite(&header_bytes, sizeof header_bytes, 1, file);
    const int status = write_metadata(plan, file);
    if (status)
        return status;
    fprintf(file,
            ",\"lengths\":{\"dtype\":\"I64\",\"shape\":[%" PRId64 "],\"data_offsets\":[0,%" PRId64
            "]},\"logits\":{\"dtype\":\"F32\",\"shape\":[%" PRId64 ",%" PRId32
            "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}",
            n, logits, n, plan->vocab_size, logits, kv);
    for (size_t i = 0; i < plan->n_prompts && ftello(file) <= max_header_bytes; i++)
        write_kv_entries(out, i, kv, file);
    fputc('}', file);
    while (ftello(file) % 8 != 0 && !ferror(file))
        fputc(' ', file);
    const int64_t data = ftello(file);
    header_bytes = (uint64_t)data - sizeof header_bytes;
    if ((int64_t)header_bytes > max_header_bytes)
        return fail("the keys and values of %zu prompts in %" PRId32
                    " layers are too many tensors for one safetensors file; run fewer prompts at "
                    "a time",
                    plan->n_prompts, plan->n_layers);
    out->logits_start = data + logits;
    out->kv_start = data + kv;
    out->file_bytes = out->kv_start;
    if (plan->n_layers > 0)
        out->file_bytes += (out->first_tokens[n - 1] + plan->prompts[n - 1].n_tokens) *
                           token_bytes(plan, plan->n_layers);
    for (size_t i = 0; i < plan->n_prompts; i++)
        fwrite(&(int64_t){plan->prompts[i].n_tokens}, sizeof(int64_t), 1, file);
    rewind(file);
    fwrite(&header_bytes, sizeof header_bytes, 1, file);
    return STATUS_OK;
}

/* ---- the file ---- */

int tensor_out_check(const char *path, bool force)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return STATUS_OK;
    if (S_ISDIR(info.st_mode))
        return fail("%s is a directory; --out must be a file", path);
    if (!force)
        return fail("%s is there already; --force replaces it", path);
    return S_ISREG(info.st_mode)
               ? STATUS_OK
               : fail("%s is no regular file, which alone --force replaces", path);
}

/* Makes the partial file, and nothing but it. */
static int create_partial(struct tensor_out *out)
{
    if (asprintf(&out->partial, "%s.partial-%ld", out->path, (long)getpid()) < 0) {
        out->partial = NULL;
        return fail_memory();
    }
    out->fd = open(out->partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (out->fd >= 0) {
        interrupt_remove(out->partial);
        return STATUS_OK;
    }
    const int number = errno;
    return fail("%s could not be opened for writing: %s", out->partial, strerror(number));
}

/* Takes the room of the whole file, where the file system can: better now than after the run. */
static int take_room(struct tensor_out *out)
{
    if (fallocate(out->fd, 0, 0, out->file_bytes) == 0)
        return STATUS_OK;
    const int number = errno;
    if (number != ENOSPC && number != EFBIG && number != EDQUOT)
        return STATUS_OK;
    return fail("%s would have %" PRId64 " bytes: %s", out->path, out->file_bytes,
                strerror(number));
}

static int begin_file(struct tensor_out *out)
{
    const int copy = dup(out->fd); /* the stream closes its own */
    FILE *file = copy < 0 ? NULL : fdopen(copy, "w");
    if (!file) {
        const int number = errno;
        if (copy >= 0)
            close(copy);
        return fail_written(out, number);
    }
    int status = write_header(out, file);
    errno = 0;
    const bool failed = fflush(file) != 0 || ferror(file);
    const int number = errno;
    fclose(file);
    if (!status && failed)
        status = fail_written(out, number);
    return status ? status : take_room(out);
}

int tensor_out_open(const char *path, bool force, const struct tensor_plan *plan,
                    struct tensor_out *out)
{
    *out = (struct tensor_out){.plan = *plan, .path = path, .fd = -1, .force = force};
    out->first_tokens = calloc(plan->n_prompts, sizeof *out->first_tokens);
    if (!out->first_tokens)
        return fail_memory();
    for (size_t i = 1; i < plan->n_prompts; i++)
        out->first_tokens[i] = out->first_tokens[i - 1] + plan->prompts[i - 1].n_tokens;
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files becomes an error of the write */
    int status = tensor_out_check(path, force);
    if (!status)
        status = create_partial(out);
    return status ? status : begin_file(out);
}

static int write_at(struct tensor_out *out, int64_t place, const void *bytes, int64_t n)
{
    const char *next = bytes;
    while (n > 0) {
        const size_t most = (size_t)1 << 30;
        const ssize_t written = pwrite(out->fd, next, n < (int64_t)most ? (size_t)n : most, place);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail_written(out, written < 0 ? errno : 0);
        next += written;
        place += written;
        n -= written;
    }
    return STATUS_OK;
}

int tensor_out_logits(struct tensor_out *out, size_t i, const float *logits)
{
    const int64_t bytes = out->plan.vocab_size * (int64_t)sizeof *logits;
    return write_at(out, out->logits_start + (int64_t)i * bytes, logits, bytes);
}

int tensor_out_kv(struct tensor_out *out, size_t i, int32_t layer, int which, int64_t first_token,
                  int64_t n_tokens, const float *values)
{
    const int64_t bytes = token_size(&out->plan.layers[layer]) * (int64_t)sizeof *values;
    return write_at(out, out->kv_start + kv_place(out, i, layer, which) + first_token * bytes,
                    values, n_tokens * bytes);
}

/* Gives the file its name, and takes no other's unless that was asked for. */
static bool rename_partial(const struct tensor_out *out)
{
    if (!out->force &&
        renameat2(AT_FDCWD, out->partial, AT_FDCWD, out->path, RENAME_NOREPLACE) == 0)
        return true;
    if (!out->force && errno != EINVAL && errno != ENOSYS)
        return false;
    return rename(out->partial, out->path) == 0;
}

int tensor_out_finish(struct tensor_out *out)
{
    const int closed = close(out->fd);
    out->fd = -1;
    if (closed != 0)
        return fail_written(out, errno);
    if (!rename_partial(out))
        return fail("%s could not be renamed to %s: %s", out->partial, out->path, strerror(errno));
    interrupt_remove(NULL);
    free(out->partial);
    out->partial = NULL;
    return STATUS_OK;
}

void tensor_out_close(struct tensor_out *out)
{
    if (out->fd >= 0)
        close(out->fd);
    out->fd = -1;
    if (out->partial) {
        unlink(out->partial);
        interrupt_remove(NULL);
    }
    free(out->partial);
    free(out->first_tokens);
    *out = (struct tensor_out){.fd = -1};
}
