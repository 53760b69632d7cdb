/*
 * gguf_names.c: the names of tensors in GGUF files. They are the same in all architectures, so that
 * the weight and the part that a rule is for say it all.
 */
#include "model/gguf_arch.h"

#include <stdio.h>

static const char *const WHOLE[PPI_N_WEIGHTS] = {
    [PPI_WEIGHT_EMBED] = "token_embd.weight",
    [PPI_WEIGHT_FINAL_NORM] = "output_norm.weight",
    [PPI_WEIGHT_LM_HEAD] = "output.weight",
    [PPI_WEIGHT_ATTN_NORM] = "attn_norm.weight",
    [PPI_WEIGHT_QKV] = "attn_qkv.weight",
    [PPI_WEIGHT_QKV_BIAS] = "attn_qkv.bias",
    [PPI_WEIGHT_Q_NORM] = "attn_q_norm.weight",
    [PPI_WEIGHT_K_NORM] = "attn_k_norm.weight",
    [PPI_WEIGHT_O] = "attn_output.weight",
    [PPI_WEIGHT_O_BIAS] = "attn_output.bias",
    [PPI_WEIGHT_ATTN_POST_NORM] = "post_attention_norm.weight",
    [PPI_WEIGHT_MLP_NORM] = "ffn_norm.weight",
    [PPI_WEIGHT_GATE_UP] = "ffn_up.weight", /* gate and up in one */
    [PPI_WEIGHT_GATE_UP_BIAS] = "ffn_up.bias",
    [PPI_WEIGHT_DOWN] = "ffn_down.weight",
    [PPI_WEIGHT_DOWN_BIAS] = "ffn_down.bias",
    [PPI_WEIGHT_MLP_POST_NORM] = "post_ffw_norm.weight",
};

static const char *const PARTS[] = {
    [PPI_PART_Q] = "attn_q",      [PPI_PART_K] = "attn_k",  [PPI_PART_V] = "attn_v",
    [PPI_PART_GATE] = "ffn_gate", [PPI_PART_UP] = "ffn_up",
};

void ppi_gguf_rule_name(const struct ppi_tensor_rule *rule, const struct ppi_model_spec *spec,
                        int32_t layer, char name[PPI_TENSOR_NAME_BYTES])
{
    const struct ppi_weight_kind *kind = &ppi_weight_kinds[rule->weight];
    const char *ending = kind->meaning == PPI_MEANS_BIAS ? ".bias" : ".weight";
    if (rule->weight == PPI_WEIGHT_LM_HEAD && spec->n_labels > 0)
        snprintf(name, PPI_TENSOR_NAME_BYTES, "%s", PPI_GGUF_LABELS);
    else if (!kind->in_layer)
        snprintf(name, PPI_TENSOR_NAME_BYTES, "%s", WHOLE[rule->weight]);
    else if (rule->part == PPI_PART_ALL)
        snprintf(name, PPI_TENSOR_NAME_BYTES, "blk.%d.%s", layer, WHOLE[rule->weight]);
    else
        snprintf(name, PPI_TENSOR_NAME_BYTES, "blk.%d.%s%s", layer, PARTS[rule->part], ending);
}
