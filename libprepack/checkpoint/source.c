/*
 * source.c: what all sources share: the shapes, names and numbering of a decoder's tensors, and the
 * way to the kind of source at hand.
 */
#include "checkpoint/source_ops.h"

#include <stdio.h>

bool ppi_tensor_in_layer(enum ppi_tensor tensor)
{
    return tensor != PPI_TENSOR_EMBED && tensor != PPI_TENSOR_FINAL_NORM &&
           tensor != PPI_TENSOR_LM_HEAD;
}

bool ppi_tensor_is_norm(enum ppi_tensor tensor)
{
    return tensor == PPI_TENSOR_ATTN_NORM || tensor == PPI_TENSOR_MLP_NORM ||
           tensor == PPI_TENSOR_FINAL_NORM;
}

enum ppi_tensor ppi_tensor_stored(const pp_model_config *config, enum ppi_tensor tensor)
{
    return tensor == PPI_TENSOR_LM_HEAD && config->tie_embeddings ? PPI_TENSOR_EMBED : tensor;
}

size_t ppi_tensor_n_places(const pp_model_config *config)
{
    return (size_t)config->n_layers * PPI_N_TENSORS;
}

size_t ppi_tensor_place(enum ppi_tensor tensor, int32_t layer)
{
    return (ppi_tensor_in_layer(tensor) ? (size_t)layer * PPI_N_TENSORS : 0) + (size_t)tensor;
}

bool ppi_tensor_at(const pp_model_config *config, size_t place, enum ppi_tensor *tensor,
                   int32_t *layer)
{
    *tensor = (enum ppi_tensor)(place % PPI_N_TENSORS);
    *layer = (int32_t)(place / PPI_N_TENSORS);
    return ppi_tensor_stored(config, *tensor) == *tensor &&
           (*layer == 0 || ppi_tensor_in_layer(*tensor));
}

void ppi_tensor_name(enum ppi_tensor tensor, int32_t layer, char name[PPI_TENSOR_NAME_BYTES])
{
    static const char *const parts[PPI_N_TENSORS] = {
        [PPI_TENSOR_EMBED] = "model.embed_tokens",
        [PPI_TENSOR_ATTN_NORM] = "input_layernorm",
        [PPI_TENSOR_Q] = "self_attn.q_proj",
        [PPI_TENSOR_K] = "self_attn.k_proj",
        [PPI_TENSOR_V] = "self_attn.v_proj",
        [PPI_TENSOR_O] = "self_attn.o_proj",
        [PPI_TENSOR_MLP_NORM] = "post_attention_layernorm",
        [PPI_TENSOR_GATE] = "mlp.gate_proj",
        [PPI_TENSOR_UP] = "mlp.up_proj",
        [PPI_TENSOR_DOWN] = "mlp.down_proj",
        [PPI_TENSOR_FINAL_NORM] = "model.norm",
        [PPI_TENSOR_LM_HEAD] = "lm_head",
    };
    if (ppi_tensor_in_layer(tensor))
        snprintf(name, PPI_TENSOR_NAME_BYTES, "model.layers.%d.%s.weight", layer, parts[tensor]);
    else
        snprintf(name, PPI_TENSOR_NAME_BYTES, "%s.weight", parts[tensor]);
}

void ppi_tensor_shape(const pp_model_config *config, enum ppi_tensor tensor, int64_t *n_rows,
                      int64_t *n_cols)
{
    int64_t hidden = config->hidden_size;
    int64_t q_size = (int64_t)config->n_heads * config->head_dim;
    int64_t kv_size = (int64_t)config->n_kv_heads * config->head_dim;
    int64_t rows = 1, cols = hidden;
    switch (tensor) {
    case PPI_TENSOR_EMBED:
    case PPI_TENSOR_LM_HEAD:
        rows = config->vocab_size;
        break;
    case PPI_TENSOR_Q:
        rows = q_size;
        break;
    case PPI_TENSOR_K:
    case PPI_TENSOR_V:
        rows = kv_size;
        break;
    case PPI_TENSOR_O:
        rows = hidden;
        cols = q_size;
        break;
    case PPI_TENSOR_GATE:
    case PPI_TENSOR_UP:
        rows = config->intermediate_size;
        break;
    case PPI_TENSOR_DOWN:
        rows = hidden;
        cols = config->intermediate_size;
        break;
    default: /* the norms: one row */
        break;
    }
    *n_rows = rows;
    *n_cols = cols;
}

int32_t ppi_source_dtype(const struct ppi_source *source, enum ppi_tensor tensor, int32_t layer)
{
    return source->ops->dtype(source, ppi_tensor_stored(&source->config, tensor), layer);
}

pp_status ppi_source_read(const struct ppi_source *source, enum ppi_tensor tensor, int32_t layer,
                          int64_t first_row, int64_t n_rows, void *dst, pp_error *err)
{
    int64_t rows, cols;
    ppi_tensor_shape(&source->config, tensor, &rows, &cols);
    if ((ppi_tensor_in_layer(tensor) && (layer < 0 || layer >= source->config.n_layers)) ||
        first_row < 0 || n_rows < 0 || first_row > rows - n_rows)
        return ppi_error_at(err, PP_ERR_INTERNAL, layer,
                            "rows [%lld, %lld) of tensor %d in layer %d: there are %lld rows in "
                            "each of %d layers",
                            (long long)first_row, (long long)(first_row + n_rows), tensor, layer,
                            (long long)rows, source->config.n_layers);
    if (n_rows == 0)
        return PP_OK;
    return source->ops->read(source, ppi_tensor_stored(&source->config, tensor), layer, first_row,
                             n_rows, dst, err);
}

void ppi_source_close(struct ppi_source *source)
{
    if (source)
        source->ops->close(source);
}
