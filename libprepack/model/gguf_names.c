/*
 * gguf_names.c: the names of tensors in GGUF files. They are the same in nearly all architectures,
 * so that the weight and the part that a rule is for say it all.
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
    [PPI_WEIGHT_SINKS] = "attn_sinks.weight",
    [PPI_WEIGHT_LINEAR_IN] = "ssm_in.weight",
    [PPI_WEIGHT_LINEAR_IN_BIAS] = "ssm_in.bias",
    [PPI_WEIGHT_LINEAR_CONV] = "ssm_conv1d.weight",
    [PPI_WEIGHT_LINEAR_CONV_BIAS] = "ssm_conv1d.bias",
    [PPI_WEIGHT_LINEAR_A_LOG] = "ssm_a",
    [PPI_WEIGHT_LINEAR_DT_BIAS] = "ssm_dt.bias",
    [PPI_WEIGHT_LINEAR_D] = "ssm_d",
    [PPI_WEIGHT_LINEAR_NORM] = "ssm_norm.weight",
    [PPI_WEIGHT_LINEAR_OUT] = "ssm_out.weight",
    [PPI_WEIGHT_LINEAR_OUT_BIAS] = "ssm_out.bias",
    [PPI_WEIGHT_ROUTER] = "ffn_gate_inp.weight",
    [PPI_WEIGHT_ROUTER_CORRECTION] = "exp_probs_b.bias",
    [PPI_WEIGHT_ROUTER_BIAS] = "ffn_gate_inp.bias",
    [PPI_WEIGHT_EXPERT_DOWN] = "ffn_down_exps.weight",
    [PPI_WEIGHT_EXPERT_DOWN_BIAS] = "ffn_down_exps.bias",
    [PPI_WEIGHT_SHARED_DOWN] = "ffn_down_shexp.weight",
    [PPI_WEIGHT_SHARED_GATE] = "ffn_gate_inp_shexp.weight",
};

static const char *const PARTS[] = {
    [PPI_PART_Q] = "attn_q",      [PPI_PART_K] = "attn_k",  [PPI_PART_V] = "attn_v",
    [PPI_PART_GATE] = "ffn_gate", [PPI_PART_UP] = "ffn_up",
};

/* What stands behind the name of a part: whose it is. */
static const char *owner_of(enum ppi_weight weight)
{
    switch (weight) {
    case PPI_WEIGHT_EXPERT_GATE_UP:
    case PPI_WEIGHT_EXPERT_GATE_UP_BIAS:
        return "_exps";
    case PPI_WEIGHT_SHARED_GATE_UP:
        return "_shexp";
    default:
        return "";
    }
}

void ppi_gguf_rule_name(const struct ppi_gguf_arch *arch, const struct ppi_tensor_rule *rule,
                        const struct ppi_model_spec *spec, int32_t layer,
                        char name[PPI_TENSOR_NAME_BYTES])
{
    const char *whole = WHOLE[rule->weight];
    if (rule->weight == PPI_WEIGHT_MLP_NORM && arch->mlp_norm)
        whole = arch->mlp_norm;
    const struct ppi_weight_kind *kind = &ppi_weight_kinds[rule->weight];
    const char *ending = kind->meaning == PPI_MEANS_BIAS ? ".bias" : ".weight";
    if (rule->weight == PPI_WEIGHT_LM_HEAD && spec->n_labels > 0)
        snprintf(name, PPI_TENSOR_NAME_BYTES, "%s", PPI_GGUF_LABELS);
    else if (!kind->in_layer)
        snprintf(name, PPI_TENSOR_NAME_BYTES, "%s", whole);
    else if (rule->part == PPI_PART_ALL || rule->as == PPI_AS_SLICE)
        snprintf(name, PPI_TENSOR_NAME_BYTES, "blk.%d.%s", layer, whole);
    else
        snprintf(name, PPI_TENSOR_NAME_BYTES, "blk.%d.%s%s%s", layer, PARTS[rule->part],
                 owner_of(rule->weight), ending);
}
