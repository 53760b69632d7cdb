/*
 * cost_json.c: cost models as JSON text.
 */
#include "plan/cost/cost_impl.h"
#include "json/json_text.h"
#include "json/json_write.h"

#include <string.h>

#define FORMAT    "prepack-cost"
#define VERSION   1
#define LABEL     "cost model"
#define MAX_BYTES 65536

/* ---- writing ---- */

static void put_name(struct ppi_json_out *out, const char *name)
{
    ppi_json_put(out, ",\n  ");
    ppi_json_put_string(out, name);
    ppi_json_put(out, ": ");
}

static void put_real(struct ppi_json_out *out, const char *name, double value)
{
    put_name(out, name);
    ppi_json_put_real(out, value);
}

static void put_model(struct ppi_json_out *out, const pp_cost_model *cost)
{
    ppi_json_put(out, "{\n  \"format\": \"" FORMAT "\"");
    put_name(out, "version");
    ppi_json_put_integer(out, VERSION);
    put_name(out, "device");
    ppi_json_put_string(out, cost->device);
    put_name(out, "model");
    ppi_json_put_string(out, cost->model);
    put_real(out, "per_pass", cost->per_pass);
    put_real(out, "per_token", cost->per_token);
    put_real(out, "per_square", cost->per_square);
    put_real(out, "per_prompt", cost->per_prompt);
    put_name(out, "tile");
    ppi_json_put_integer(out, cost->tile);
    put_real(out, "error", cost->error);
    put_name(out, "max_tokens");
    ppi_json_put_integer(out, cost->max_tokens);
    ppi_json_put(out, "\n}\n");
}

pp_status pp_cost_to_json(const pp_cost_model *cost, char *text, size_t room, size_t *bytes,
                          pp_error *err)
{
    if (!cost || !bytes)
        return ppi_error(err, PP_ERR_ARG, "pp_cost_to_json: %s is NULL", cost ? "bytes" : "cost");
    pp_cost_model model;
    struct ppi_json_out counted = {0};
    PP_TRY(ppi_cost_read(&model, cost, err));
    put_model(&counted, &model);
    if (text && room <= counted.bytes)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_cost_to_json: room for %zu bytes; the text and its NUL need %zu", room,
                         counted.bytes + 1);
    if (text)
        put_model(&(struct ppi_json_out){.text = text, .room = room}, &model);
    *bytes = counted.bytes;
    return PP_OK;
}

/* ---- reading ---- */

static pp_status refuse(const char *name, const struct ppi_json_value *value, const char *wanted,
                        pp_error *err)
{
    return ppi_error(err, PP_ERR_FORMAT, LABEL ": \"%s\" is %s; %s is needed", name,
                     ppi_json_describe(value).text, wanted);
}

static pp_status read_real(const struct ppi_json_value *root, const char *name, double *out,
                           pp_error *err)
{
    const struct ppi_json_value *value = ppi_json_get(root, name);
    double number;
    if (!ppi_json_number(value, &number) || !(number >= 0))
        return refuse(name, value, "a number of at least 0", err);
    *out = number;
    return PP_OK;
}

static pp_status read_count(const struct ppi_json_value *root, const char *name, int64_t least,
                            int64_t *out, pp_error *err)
{
    const struct ppi_json_value *value = ppi_json_get(root, name);
    if (!ppi_json_is(value, PPI_JSON_INTEGER) || value->integer < least)
        return refuse(name, value,
                      least ? "a whole number of at least 1" : "a whole number of at least 0", err);
    *out = value->integer;
    return PP_OK;
}

/* dst: [64]. A missing name leaves it. */
static pp_status read_text(const struct ppi_json_value *root, const char *name, char *dst,
                           pp_error *err)
{
    enum { ROOM = sizeof((pp_cost_model *)0)->device };
    const struct ppi_json_value *value = ppi_json_get(root, name);
    if (!value)
        return PP_OK;
    if (!ppi_json_string(value))
        return refuse(name, value, "a string", err);
    if (value->len >= ROOM)
        return ppi_error(err, PP_ERR_LIMIT, LABEL ": \"%s\" has %u bytes; at most %d are accepted",
                         name, value->len, ROOM - 1);
    memcpy(dst, value->string, value->len + 1);
    return PP_OK;
}

static pp_status check_format(const struct ppi_json_value *root, pp_error *err)
{
    const struct ppi_json_value *format = ppi_json_get(root, "format");
    const struct ppi_json_value *version = ppi_json_get(root, "version");
    if (!ppi_json_string(format) || strcmp(format->string, FORMAT) != 0)
        return refuse("format", format, "\"" FORMAT "\"", err);
    if (!ppi_json_is(version, PPI_JSON_INTEGER))
        return refuse("version", version, "a whole number", err);
    if (version->integer != VERSION)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         LABEL ": \"version\" is %lld; this library reads version %d",
                         (long long)version->integer, VERSION);
    return PP_OK;
}

static pp_status read_model(const struct ppi_json_value *root, pp_cost_model *cost, pp_error *err)
{
    pp_cost_init(cost, sizeof *cost);
    PP_TRY(check_format(root, err));
    PP_TRY(read_text(root, "device", cost->device, err));
    PP_TRY(read_text(root, "model", cost->model, err));
    PP_TRY(read_real(root, "per_pass", &cost->per_pass, err));
    PP_TRY(read_real(root, "per_token", &cost->per_token, err));
    PP_TRY(read_real(root, "per_square", &cost->per_square, err));
    PP_TRY(read_real(root, "per_prompt", &cost->per_prompt, err));
    PP_TRY(read_count(root, "tile", 1, &cost->tile, err));
    if (ppi_json_get(root, "error"))
        PP_TRY(read_real(root, "error", &cost->error, err));
    if (ppi_json_get(root, "max_tokens"))
        PP_TRY(read_count(root, "max_tokens", 0, &cost->max_tokens, err));
    return PP_OK;
}

pp_status ppi_cost_parse(const char *text, size_t n_bytes, struct ppi_mem *mem, pp_cost_model *cost,
                         pp_error *err)
{
    struct ppi_json json;
    if (n_bytes > MAX_BYTES)
        return ppi_error(err, PP_ERR_LIMIT, LABEL ": %zu bytes of JSON; at most %d are accepted",
                         n_bytes, MAX_BYTES);
    char *copy = ppi_alloc(mem, n_bytes, 1);
    if (!copy)
        return ppi_error_nomem(err, "the text of a cost model", n_bytes);
    if (n_bytes > 0)
        memcpy(copy, text, n_bytes);
    pp_status status = ppi_json_parse(copy, n_bytes, LABEL, NULL, mem, &json, err);
    if (status >= 0) {
        status = read_model(json.root, cost, err);
        ppi_json_free(&json, mem);
    }
    ppi_free(mem, copy);
    return status;
}

pp_status pp_cost_from_json(const char *text, size_t n_bytes, pp_cost_model *cost, pp_error *err)
{
    if (!text || !cost)
        return ppi_error(err, PP_ERR_ARG, "pp_cost_from_json: %s is NULL", text ? "cost" : "text");
    struct ppi_mem mem;
    pp_cost_model model;
    PP_TRY(ppi_mem_init(&mem, NULL, 0, err));
    PP_TRY(ppi_cost_parse(text, n_bytes, &mem, &model, err));
    return ppi_struct_write(cost, &model, sizeof model, "pp_cost_model", err);
}
