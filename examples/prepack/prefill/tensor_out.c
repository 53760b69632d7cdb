/* tensor_out.c: the layout of the file; data is 8-aligned, the larger dtype first. */
#include "tensor_out.h"
#include "json_out.h"
#include "say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Readers of the format refuse longer ones. */
static const int64_t max_header_bytes = 100000000;

/* ---- the layout ---- */

int64_t tensor_state_size(const struct tensor_states *states, int which)
{
    return which ? (int64_t)states->rows * states->channels
                 : (int64_t)states->heads * states->key_dim * states->value_dim;
}

/* Elements of a token's keys in a layer; none in a linear one. */
static int64_t token_size(const pp_layer_config *layer)
{
    return (int64_t)layer->n_kv_heads * layer->head_dim;
}

/* Bytes of a layer's keys (which 0) or values (1) of n tokens, or of its state or convolution. */
static int64_t part_bytes(const struct tensor_plan *plan, int32_t layer, int which, int64_t n)
{
    const pp_layer_config *shape = &plan->layers[layer];
    const int64_t elements = shape->kind == PP_LAYER_LINEAR
                                 ? tensor_state_size(&plan->states, which)
                                 : n * token_size(shape);
    return elements * (int64_t)sizeof(float);
}

/* Bytes of what n tokens of one prompt leave in the layers before `layer`. */
static int64_t layers_bytes(const struct tensor_plan *plan, int32_t layer, int64_t n)
{
    int64_t bytes = 0;
    for (int32_t i = 0; i < layer; i++)
        bytes += part_bytes(plan, i, 0, n) + part_bytes(plan, i, 1, n);
    return bytes;
}

/* The same of the first i prompts, in all layers. */
static int64_t prompts_bytes(const struct tensor_out *out, size_t i)
{
    const struct tensor_plan *plan = &out->plan;
    const int64_t states = layers_bytes(plan, plan->n_layers, 0);
    const int64_t tokens = i < plan->n_prompts
                               ? out->first_tokens[i]
                               : out->first_tokens[i - 1] + plan->prompts[i - 1].n_tokens;
    return (int64_t)i * states + layers_bytes(plan, plan->n_layers, tokens) - states;
}

/* Where the data of a prompt's layer begins, from kv_start on. */
static int64_t kv_place(const struct tensor_out *out, size_t i, int32_t layer, int which)
{
    const struct tensor_plan *plan = &out->plan;
    const int64_t n = plan->prompts[i].n_tokens;
    return prompts_bytes(out, i) + layers_bytes(plan, layer, n) +
           (which ? part_bytes(plan, layer, 0, n) : 0);
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

/* The name of a layer's part, and its shape in JSON's spelling. */
static void write_part(const struct tensor_plan *plan, size_t i, int32_t layer, int which,
                       FILE *file)
{
    const pp_layer_config *shape = &plan->layers[layer];
    const struct tensor_states *states = &plan->states;
    const bool linear = shape->kind == PP_LAYER_LINEAR;
    const char *const names[2][2] = {{"k", "v"}, {"state", "conv"}};
    fprintf(file, ",\"prompt.%zu.layer.%" PRId32 ".%s\":{\"dtype\":\"F32\",\"shape\":[", i, layer,
            names[linear][which]);
    if (!linear)
        fprintf(file, "%" PRId64 ",%" PRId32 ",%" PRId32, plan->prompts[i].n_tokens,
                shape->n_kv_heads, shape->head_dim);
    else if (which)
        fprintf(file, "%" PRId32 ",%" PRId32, states->rows, states->channels);
    else
        fprintf(file, "%" PRId32 ",%" PRId32 ",%" PRId32, states->heads, states->key_dim,
                states->value_dim);
}

static void write_kv_entries(struct tensor_out *out, size_t i, int64_t kv_start, FILE *file)
{
    const struct tensor_plan *plan = &out->plan;
    for (int32_t layer = 0; layer < plan->n_layers; layer++)
        for (int which = 0; which < 2; which++) {
            const int64_t begin = kv_start + kv_place(out, i, layer, which);
            write_part(plan, i, layer, which, file);
            fprintf(file, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", begin,
                    begin + part_bytes(plan, layer, which, plan->prompts[i].n_tokens));
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
        out->file_bytes += prompts_bytes(out, plan->n_prompts);
    for (size_t i = 0; i < plan->n_prompts; i++)
        fwrite(&(int64_t){plan->prompts[i].n_tokens}, sizeof(int64_t), 1, file);
    rewind(file);
    fwrite(&header_bytes, sizeof header_bytes, 1, file);
    return STATUS_OK;
}

/* ---- the file ---- */

static int begin_file(struct tensor_out *out)
{
    FILE *file = partial_file_stream(&out->file);
    if (!file)
        return STATUS_FAILED;
    int status = write_header(out, file);
    const int written = partial_file_end_stream(&out->file, file);
    if (!status)
        status = written;
    return status ? status : partial_file_take_room(&out->file, out->file_bytes);
}

int tensor_out_open(const char *path, bool force, const struct tensor_plan *plan,
                    struct tensor_out *out)
{
    *out = (struct tensor_out){.plan = *plan, .file.fd = -1};
    out->first_tokens = calloc(plan->n_prompts, sizeof *out->first_tokens);
    if (!out->first_tokens)
        return fail_memory();
    for (size_t i = 1; i < plan->n_prompts; i++)
        out->first_tokens[i] = out->first_tokens[i - 1] + plan->prompts[i - 1].n_tokens;
    const int status = partial_file_open(path, force, &out->file);
    return status ? status : begin_file(out);
}

int tensor_out_logits(struct tensor_out *out, size_t i, const float *logits)
{
    const int64_t bytes = out->plan.vocab_size * (int64_t)sizeof *logits;
    return partial_file_write(&out->file, out->logits_start + (int64_t)i * bytes, logits, bytes);
}

int tensor_out_kv(struct tensor_out *out, size_t i, int32_t layer, int which, int64_t first_token,
                  int64_t n_tokens, const float *values)
{
    const int64_t bytes = token_size(&out->plan.layers[layer]) * (int64_t)sizeof *values;
    return partial_file_write(&out->file,
                              out->kv_start + kv_place(out, i, layer, which) + first_token * bytes,
                              values, n_tokens * bytes);
}

int tensor_out_state(struct tensor_out *out, size_t i, int32_t layer, int which,
                     const float *values)
{
    return partial_file_write(&out->file, out->kv_start + kv_place(out, i, layer, which), values,
                              part_bytes(&out->plan, layer, which, 0));
}

int tensor_out_finish(struct tensor_out *out)
{
    return partial_file_finish(&out->file);
}

void tensor_out_close(struct tensor_out *out)
{
    partial_file_close(&out->file);
    free(out->first_tokens);
    *out = (struct tensor_out){.file.fd = -1};
}
