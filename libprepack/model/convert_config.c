/*
 * convert_config.c: the config.json of a converted model: the text that the model was read from,
 * with other values for a few keys of its object. Of numbers it is that of a class in transformers;
 * of codes it has "quantization_config" (config_converted.c), which also says what a config.json
 * has no words for.
 */
#include "model/convert.h"
#include "model/config.h"
#include "model/sentence_modules.h"

#include <prepack/session.h>

#include <string.h>

#define CONFIG_NAME     "config.json"
#define GENERATION_NAME "generation_config.json"
#define MODULES_NAME    "modules.json"
#define POOLING_NAME    "1_Pooling/config.json"

static const struct ppi_log SILENCE;

/* ---- what the text says ---- */

/* Parses the model's text again: what it alone says. */
static pp_status read_again(const pp_model *model, struct ppi_mem *mem, struct ppi_config *config,
                            pp_error *err)
{
    size_t len = strlen(model->config_text);
    char *copy = ppi_alloc(mem, len + 1, 1);
    if (!copy)
        return ppi_error_nomem(err, CONFIG_NAME, len + 1);
    memcpy(copy, model->config_text, len + 1);
    pp_status status = ppi_config_parse(copy, len, CONFIG_NAME, mem, &SILENCE, config, err);
    ppi_free(mem, copy);
    return status;
}

/* What a GGUF file may say and a config.json cannot. */
static pp_status check_plain(const pp_model *model, int32_t weights, pp_error *err)
{
    struct ppi_mem mem = {.allocator = model->mem.allocator};
    struct ppi_config config;
    const struct ppi_model_spec *a = &model->spec, *b = &config.spec;
    PP_TRY(read_again(model, &mem, &config, err));
    const char *lost =
        a->qkv_bias != b->qkv_bias || a->o_bias != b->o_bias || a->mlp_bias != b->mlp_bias
            ? "which projections have biases"
        : a->softmax_scale != b->softmax_scale ? "the scale of its scores"
        : a->ropes[0].type != b->ropes[0].type ? "its factors of the rotation"
                                               : NULL;
    ppi_config_free(&config, &mem);
    return lost ? ppi_error(err, PP_ERR_UNSUPPORTED,
                            "%s says %s, for which a plain config.json has no words; converting to "
                            "%s is not supported, to int8, int4 and nf4 is",
                            ppi_source_label(model->tensors.source), lost, pp_weights_name(weights))
                : PP_OK;
}

/* ---- writing ---- */

static void put_bytes(struct ppi_json_out *out, const char *text, size_t n)
{
    char piece[64];
    while (n > 0) {
        size_t some = n < sizeof piece - 1 ? n : sizeof piece - 1;
        memcpy(piece, text, some);
        piece[some] = '\0';
        ppi_json_put(out, piece);
        text += some;
        n -= some;
    }
}

static const char *after_string(const char *quote)
{
    const char *c = quote + 1;
    while (*c != '"')
        c += *c == '\\' ? 2 : 1;
    return c + 1;
}

/* The end of a member's name and value: the comma behind it, or the brace that ends the object. */
static const char *after_member(const char *c)
{
    for (int64_t depth = 0; depth > 0 || (*c != ',' && *c != '}');) {
        if (*c == '"') {
            c = after_string(c);
            continue;
        }
        depth += *c == '{' || *c == '[';
        depth -= *c == '}' || *c == ']';
        c++;
    }
    return c;
}

static bool is_named(const char *quote, const char *name)
{
    size_t len = strlen(name);
    return strncmp(quote + 1, name, len) == 0 && quote[1 + len] == '"';
}

static bool is_dropped(const char *quote, const char *const *names)
{
    while (*names && !is_named(quote, *names))
        names++;
    return *names != NULL;
}

/* The members of a well-formed object that are not dropped, each with a comma behind it. */
static void copy_members(const char *text, const char *const *dropped, struct ppi_json_out *out)
{
    const char *c = strchr(text, '{') + 1;
    while (*(c += strspn(c, " \t\r\n,")) != '}') {
        const char *end = after_member(c);
        if (!is_dropped(c, dropped)) {
            put_bytes(out, c, (size_t)(end - c));
            ppi_json_put(out, ",");
        }
        c = end;
    }
}

static void put_flag(struct ppi_json_out *out, const char *name, bool flag)
{
    ppi_json_put(out, name);
    ppi_json_put(out, flag ? "true" : "false");
}

static void put_converted(struct ppi_json_out *out, const pp_model *model, int32_t weights)
{
    const struct ppi_model_spec *spec = &model->spec;
    const struct ppi_rope_spec *rope = &spec->ropes[0];
    ppi_json_put(out,
                 "\"quantization_config\":{\"quant_method\":\"prepack\",\"version\":1,\"format\":");
    ppi_json_put_string(out, pp_weights_name(weights));
    ppi_json_put(out, ",\"dtype\":");
    ppi_json_put_string(out, pp_dtype_name(spec->dtype));
    put_flag(out, ",\"tie_word_embeddings\":", spec->tie_embeddings);
    put_flag(out, ",\"qkv_bias\":", spec->qkv_bias);
    put_flag(out, ",\"o_bias\":", spec->o_bias);
    put_flag(out, ",\"mlp_bias\":", spec->mlp_bias);
    ppi_json_put(out, ",\"softmax_scale\":");
    ppi_json_put_real(out, (double)spec->softmax_scale);
    for (int32_t i = 0;
         rope->type == PP_ROPE_LLAMA3 && rope->short_factors && i < rope->rotary_dim / 2; i++) {
        ppi_json_put(out, i ? "," : ",\"rope_factors\":[");
        ppi_json_put_real(out, (double)rope->short_factors[i]);
        if (i + 1 == rope->rotary_dim / 2)
            ppi_json_put(out, "]");
    }
    ppi_json_put(out, "}}\n");
}

/* Without an LM head it stays as it was whether one would be tied. */
static void put_plain(struct ppi_json_out *out, const pp_model *model, int32_t weights)
{
    if (model->spec.has_lm_head)
        put_flag(out, "\"tie_word_embeddings\":", model->spec.tie_embeddings);
    ppi_json_put(out, model->spec.has_lm_head ? "," : "");
    ppi_json_put(out, weights == PP_WEIGHTS_BF16 ? "\"dtype\":\"bfloat16\"}\n"
                                                 : "\"dtype\":\"float32\"}\n");
}

static void put_config(struct ppi_json_out *out, const pp_model *model, int32_t weights)
{
    static const char *const by_codes[] = {"quantization_config", NULL};
    static const char *const by_numbers[] = {"quantization_config", "compression_config",  "dtype",
                                             "torch_dtype",         "tie_word_embeddings", NULL};
    static const char *const headless[] = {"quantization_config", "compression_config", "dtype",
                                           "torch_dtype", NULL};
    bool codes = weights >= PP_WEIGHTS_INT8;
    ppi_json_put(out, "{");
    copy_members(model->config_text,
                 codes                     ? by_codes
                 : model->spec.has_lm_head ? by_numbers
                                           : headless,
                 out);
    (codes ? put_converted : put_plain)(out, model, weights);
}

static void put_modules(struct ppi_json_out *out, const pp_model *model, int32_t weights)
{
    (void)weights;
    ppi_sentence_modules_put(out, &model->spec);
}

static void put_pooling(struct ppi_json_out *out, const pp_model *model, int32_t weights)
{
    (void)weights;
    ppi_sentence_pooling_put(out, &model->spec);
}

/* The tokens that begin and end a text, wherever the model had them from. */
static void put_generation(struct ppi_json_out *out, const pp_model *model, int32_t weights)
{
    const struct ppi_model_spec *spec = &model->spec;
    (void)weights;
    ppi_json_put(out, "{\"eos_token_id\":[");
    for (int32_t i = 0; i < spec->n_eos_tokens; i++) {
        ppi_json_put(out, i ? "," : "");
        ppi_json_put_integer(out, spec->eos_tokens[i]);
    }
    ppi_json_put(out, "]");
    if (spec->bos_token >= 0) {
        ppi_json_put(out, ",\"bos_token_id\":");
        ppi_json_put_integer(out, spec->bos_token);
    }
    ppi_json_put(out, "}\n");
}

static pp_status write_text(const pp_model *model, int32_t weights, const struct ppi_new_dir *dir,
                            const char *name,
                            void (*put)(struct ppi_json_out *, const pp_model *, int32_t),
                            pp_error *err)
{
    struct ppi_mem mem = {.allocator = model->mem.allocator};
    struct ppi_json_out out = {0};
    int fd;
    put(&out, model, weights);
    size_t room = out.bytes + 1;
    char *text = ppi_alloc(&mem, room, 1);
    if (!text)
        return ppi_error_nomem(err, name, room);
    out = (struct ppi_json_out){.text = text, .room = room};
    put(&out, model, weights);
    pp_status status = ppi_new_file(dir, name, &fd, err);
    if (status >= 0) {
        status = ppi_new_file_write(fd, name, 0, text, (int64_t)out.bytes, err);
        pp_status closed = ppi_new_file_close(fd, name, status < 0 ? NULL : err);
        status = status < 0 ? status : closed;
    }
    ppi_free(&mem, text);
    return status;
}

pp_status ppi_convert_configs(const pp_model *model, int32_t weights, const struct ppi_new_dir *dir,
                              pp_error *err)
{
    if (weights < PP_WEIGHTS_INT8)
        PP_TRY(check_plain(model, weights, err));
    PP_TRY(write_text(model, weights, dir, CONFIG_NAME, put_config, err));
    PP_TRY(write_text(model, weights, dir, GENERATION_NAME, put_generation, err));
    if (model->spec.pooling < 0)
        return PP_OK;
    PP_TRY(write_text(model, weights, dir, MODULES_NAME, put_modules, err));
    return write_text(model, weights, dir, POOLING_NAME, put_pooling, err);
}
