/*
 * gguf_linear.c: linear layers of a GGUF file, those of Mamba 2: layers without heads of keys,
 * whose shape is in the keys ssm.*. Whether projections and convolutions have biases is for tensors
 * to say.
 */
#include "model/gguf_config.h"

#include <stdio.h>

#define KV_HEADS "attention.head_count_kv"
#define INNER    "ssm.inner_size"
#define HEADS    "ssm.time_step_rank"

bool ppi_gguf_some_layer_has(const struct ppi_gguf_reader *reader, int64_t n_layers,
                             const char *name)
{
    for (int64_t i = 0; i < n_layers; i++) {
        char full[PPI_TENSOR_NAME_BYTES];
        struct ppi_stored stored;
        snprintf(full, sizeof full, "blk.%lld.%s", (long long)i, name);
        if (ppi_source_find(reader->source, full, &stored))
            return true;
    }
    return false;
}

/* Heads of keys of a layer; 0: it is linear. A number alone is that of all layers. */
static bool kv_heads_of(const struct ppi_gguf_value *value, int64_t layer, int64_t *n)
{
    struct ppi_gguf_value item;
    if (value->type != PPI_GGUF_ARRAY)
        return ppi_gguf_integer(value, n);
    item = ppi_gguf_item(value, (uint64_t)layer);
    return ppi_gguf_integer(&item, n);
}

static void put(struct ppi_json_out *out, const char *key, int64_t value)
{
    ppi_json_put(out, ",");
    ppi_json_put_string(out, key);
    ppi_json_put(out, ":");
    ppi_json_put_integer(out, value);
}

/* ,"layer_types":[...] and how many heads of keys the others have. */
static pp_status write_kinds(const struct ppi_gguf_reader *reader,
                             const struct ppi_gguf_shape *shape, bool *any,
                             struct ppi_json_out *out)
{
    const struct ppi_gguf_value *value = ppi_gguf_of(reader, KV_HEADS);
    int64_t n_kv_heads = 0, n = 0;
    bool listed = value && value->type == PPI_GGUF_ARRAY;
    if (!value || (listed && (value->item_type == PPI_GGUF_STRING ||
                              value->len != (uint64_t)shape->n_layers)))
        return ppi_gguf_refuse(reader, PP_ERR_FORMAT, KV_HEADS,
                               "an integer, or one for each layer, is needed");
    ppi_json_put(out, ",\"layer_types\":");
    for (int64_t i = 0; i < shape->n_layers; i++) {
        if (!kv_heads_of(value, i, &n) || n < 0)
            return ppi_gguf_refuse(reader, PP_ERR_FORMAT, KV_HEADS,
                                   "integers of at least 0 are needed");
        if (n > 0 && n_kv_heads > 0 && n != n_kv_heads)
            return ppi_gguf_refuse(reader, PP_ERR_UNSUPPORTED, KV_HEADS,
                                   "layers that differ in it, but for 0, are not supported");
        n_kv_heads = n > 0 ? n : n_kv_heads;
        *any |= n == 0;
        ppi_json_put(out, i ? "," : "[");
        ppi_json_put(out, n == 0 ? "\"mamba\"" : "\"attention\"");
    }
    ppi_json_put(out, "]");
    if (n_kv_heads > 0)
        put(out, "num_key_value_heads", n_kv_heads);
    return PP_OK;
}

static pp_status write_shape(const struct ppi_gguf_reader *reader,
                             const struct ppi_gguf_shape *shape, struct ppi_json_out *out)
{
    static const struct ppi_gguf_key keys[] = {{HEADS, "mamba_n_heads", true},
                                               {"ssm.state_size", "mamba_d_state", true},
                                               {"ssm.group_count", "mamba_n_groups", true},
                                               {"ssm.conv_kernel", "mamba_d_conv", true}};
    int64_t inner = 0, heads = 0, value = 0;
    for (size_t i = 0; i < PPI_COUNT(keys); i++) {
        PP_TRY(ppi_gguf_take_integer(reader, keys[i].name, true, &value));
        heads = i == 0 ? value : heads;
        put(out, keys[i].config, value);
    }
    PP_TRY(ppi_gguf_take_integer(reader, INNER, true, &inner));
    if (inner < 1 || heads < 1 || inner % heads != 0 || inner % shape->hidden_size != 0)
        return ppi_gguf_refuse(reader, PP_ERR_FORMAT, INNER,
                               "a multiple of ssm.time_step_rank and of embedding_length is "
                               "needed");
    put(out, "mamba_d_head", inner / heads);
    put(out, "mamba_expand", inner / shape->hidden_size);
    bool conv_bias = ppi_gguf_some_layer_has(reader, shape->n_layers, "ssm_conv1d.bias");
    bool proj_bias = ppi_gguf_some_layer_has(reader, shape->n_layers, "ssm_in.bias");
    ppi_json_put(out, conv_bias ? ",\"mamba_conv_bias\":true" : ",\"mamba_conv_bias\":false");
    ppi_json_put(out, proj_bias ? ",\"mamba_proj_bias\":true" : ",\"mamba_proj_bias\":false");
    return PP_OK;
}

pp_status ppi_gguf_write_linear(const struct ppi_gguf_reader *reader,
                                const struct ppi_gguf_shape *shape, struct ppi_json_out *out)
{
    bool any = false, rotates = true;
    if (!reader->arch->linear)
        return PP_OK;
    ppi_gguf_bool(ppi_gguf_of(reader, "rope.scaling.finetuned"), &rotates);
    ppi_json_put(out, rotates ? ",\"position_embedding_type\":\"rope\""
                              : ",\"position_embedding_type\":\"nope\"");
    PP_TRY(write_kinds(reader, shape, &any, out));
    return any ? write_shape(reader, shape, out) : PP_OK;
}
