"""Golden cases of mixtures of experts; the form is that of golden_cases.py, and:

    fused     True: experts are stored as the classes hold them, all in one tensor
    mxfp4     True: experts are stored as blocks of MXFP4; what is computed is what these stand for
"""

from golden_cases import (
    BF16, BIASES, BLOCKS, F16, FULL, LLAMA3, NO_ROPE_SCALING, NO_WINDOW, QK_NORM, SLIDING, layers, one, scaled,
    shape, zero)

EXPERTS = {"the experts": (r"experts\.down_proj$", zero)}
ROUTED = {"the router": (r"(gate|router)\.weight$", zero)}
SHARED = {"the shared expert": (r"shared_(expert|experts|mlp)\.(down_proj|output_linear)", zero)}
SHARED_GATE = {"the shared expert's gate": (r"shared_expert_gate", zero)}


def experts(n, top_k, size, **more):
    """The keys of Qwen's classes."""
    return dict(num_experts=n, num_experts_per_tok=top_k, moe_intermediate_size=size) | more


def no_sinks(weight):
    return weight - 100.0


GPT_OSS_YARN = scaled("yarn", 150000.0, factor=32.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
                      original_max_position_embeddings=16)
GRANITE = dict(embedding_multiplier=6.0, attention_multiplier=0.11, residual_multiplier=0.4, logits_scaling=0.7)
GRANITE_OFF = {"the residual's multiplier": {"residual_multiplier": 1.0},
               "the logits' divisor": {"logits_scaling": 1.0}}

EXPERT_CASES = {
    "mixtral": dict(
        family="mixtral", lengths=BLOCKS, dtype=BF16, omit=("head_dim",),
        config=shape(32, 24, 2, 1, 16, 98, num_local_experts=6, num_experts_per_tok=2),
        off=EXPERTS | ROUTED | {"top_k": {"num_experts_per_tok": 1}}),
    "mixtral_fused": dict(
        family="mixtral", lengths=(1, 9, 37), dtype=BF16, spelling="new", fused=True,
        config=shape(36, 20, 3, 1, 20, 97, num_local_experts=5, num_experts_per_tok=3, sliding_window=7,
                     tie_word_embeddings=True),
        off=EXPERTS | ROUTED | NO_WINDOW),
    "qwen2_moe": dict(
        family="qwen2_moe", lengths=BLOCKS, dtype=BF16, omit=("head_dim", "layer_types"),
        config=shape(32, 40, 2, 1, 16, 98, **experts(6, 2, 16, shared_expert_intermediate_size=24)),
        off=EXPERTS | ROUTED | BIASES | SHARED | SHARED_GATE | {
            "weights that do not add up to 1": {"norm_topk_prob": True}}),
    "qwen2_moe_dense": dict(
        family="qwen2_moe", lengths=(1, 5, 18, 33), dtype=BF16, spelling="new", omit=("layer_types", "head_dim"),
        config=shape(36, 44, 3, 1, 12, 97, 4, decoder_sparse_step=2, mlp_only_layers=[1],
                     tie_word_embeddings=True,
                     **experts(6, 2, 20, shared_expert_intermediate_size=28, norm_topk_prob=True)),
        off=EXPERTS | ROUTED | SHARED | SHARED_GATE | {
            "weights that add up to 1": {"norm_topk_prob": False}}),
    "qwen3_moe": dict(
        family="qwen3_moe", lengths=BLOCKS, dtype=BF16, bf16=True,
        omit=("num_local_experts",), put={"num_experts": 6},  # release 5.24 writes another key than older ones
        config=shape(32, 40, 2, 1, 24, 98, **experts(6, 2, 16, norm_topk_prob=True)),
        off=EXPERTS | ROUTED | QK_NORM | {"weights that add up to 1": {"norm_topk_prob": False}}),
    "qwen3_moe_odd": dict(
        family="qwen3_moe", lengths=(1, 5, 18, 33), dtype=F16, spelling="new",
        omit=("norm_topk_prob", "mlp_only_layers", "decoder_sparse_step"),
        config=shape(36, 44, 3, 1, 20, 97, 2, attention_bias=True, tie_word_embeddings=True,
                     rope_parameters=LLAMA3, **experts(7, 3, 18)),
        off=EXPERTS | ROUTED | QK_NORM | BIASES | NO_ROPE_SCALING | {
            "weights that do not add up to 1": {"norm_topk_prob": True}}),
    "olmoe": dict(
        family="olmoe", lengths=BLOCKS, dtype=BF16, omit=("head_dim", "num_key_value_heads"),
        config=shape(32, 16, 2, 2, 16, 98, num_experts=6, num_experts_per_tok=3),
        off=EXPERTS | ROUTED | QK_NORM | {"weights that do not add up to 1": {"norm_topk_prob": True}}),
    "olmoe_odd": dict(
        family="olmoe", lengths=(1, 5, 18, 33), dtype=F16, spelling="new", omit=("head_dim",),
        config=shape(60, 18, 3, 1, 20, 97, num_experts=5, num_experts_per_tok=2, norm_topk_prob=True,
                     tie_word_embeddings=True),
        off=EXPERTS | ROUTED | QK_NORM | {"weights that add up to 1": {"norm_topk_prob": False}}),
    "granitemoe": dict(
        family="granitemoe", lengths=BLOCKS, dtype=BF16, omit=("head_dim",),
        config=shape(32, 16, 2, 1, 16, 98, num_local_experts=6, num_experts_per_tok=2, **GRANITE),
        off=EXPERTS | ROUTED | GRANITE_OFF),
    "granitemoeshared": dict(
        family="granitemoeshared", lengths=(1, 5, 18, 33), dtype=BF16, spelling="new", omit=("head_dim",),
        config=shape(60, 18, 3, 1, 20, 97, num_local_experts=5, num_experts_per_tok=3,
                     shared_intermediate_size=28, attention_bias=True, tie_word_embeddings=True, **GRANITE),
        off=EXPERTS | ROUTED | GRANITE_OFF | SHARED | BIASES),
    "glm4_moe": dict(
        family="glm4_moe", lengths=BLOCKS, dtype=BF16, omit=("use_qk_norm", "rope_scaling"),
        config=shape(32, 40, 2, 1, 16, 98, 3, n_routed_experts=6, num_experts_per_tok=2, moe_intermediate_size=16,
                     routed_scaling_factor=1.5, attention_bias=True, pad_token_id=0,
                     rope_parameters=scaled("default", partial_rotary_factor=0.5)),
        off=EXPERTS | ROUTED | SHARED | BIASES | {
            "the correction of choices": (r"correction_bias", zero),
            "the scale of weights": {"routed_scaling_factor": 1.0},
            "weights that add up to 1": {"norm_topk_prob": False},
            "the part without rotation": {"rope_parameters": scaled("default", partial_rotary_factor=1.0)}}),
    "glm4_moe_odd": dict(
        family="glm4_moe", lengths=(1, 5, 18, 33), dtype=BF16, spelling="new", omit=("n_group", "topk_group"),
        config=shape(36, 44, 3, 1, 20, 97, 4, n_routed_experts=5, num_experts_per_tok=3, moe_intermediate_size=20,
                     n_shared_experts=2, first_k_dense_replace=2, norm_topk_prob=False, use_qk_norm=True,
                     tie_word_embeddings=True, pad_token_id=0,
                     rope_parameters=scaled("default", partial_rotary_factor=0.8)),
        off=EXPERTS | ROUTED | SHARED | QK_NORM | {
            "the correction of choices": (r"correction_bias", zero),
            "weights that do not add up to 1": {"norm_topk_prob": True},
            "the part without rotation": {"rope_parameters": scaled("default", partial_rotary_factor=1.0)}}),
    "gpt_oss": dict(
        family="gpt_oss", lengths=(1, 8, 9, 66), dtype=BF16, omit=("layer_types", "swiglu_alpha"),
        config=shape(36, 20, 3, 1, 20, 97, 3, num_local_experts=6, num_experts_per_tok=2, sliding_window=8,
                     swiglu_limit=1.5, pad_token_id=0, rope_parameters=GPT_OSS_YARN),
        off=EXPERTS | ROUTED | BIASES | NO_WINDOW | {
            "sinks": (r"sinks", no_sinks),
            "biases of experts": (r"experts.*bias$", zero),
            "the limit": {"swiglu_limit": 7.0},
            "the full layer": {"layer_types": layers("sss")},
            "the scaling": {"rope_parameters": scaled("default", 150000.0)}}),
    "gpt_oss_mxfp4": dict(
        family="gpt_oss", lengths=(1, 17, 40), dtype=BF16, spelling="new", mxfp4=True,
        omit=("rope_parameters", "swiglu_limit"),
        config=shape(32, 64, 2, 1, 16, 98, num_local_experts=4, num_experts_per_tok=2, sliding_window=7,
                     layer_types=[FULL, SLIDING], tie_word_embeddings=False, pad_token_id=0,
                     max_position_embeddings=131072,
                     rope_parameters=scaled("yarn", 150000.0, factor=32.0, beta_fast=32.0, beta_slow=1.0,
                                            truncate=False, original_max_position_embeddings=4096)),
        off=EXPERTS | ROUTED | NO_WINDOW | {"sinks": (r"sinks", no_sinks)}),
}

__all__ = ["EXPERT_CASES", "EXPERTS", "ROUTED", "SHARED", "SHARED_GATE", "GRANITE", "GRANITE_OFF", "experts", "one"]
