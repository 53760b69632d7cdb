"""Golden cases of Gemma 4; the form is that of golden_cases.py."""

from torch import nn

from golden_cases import BF16, FULL, NO_WINDOW, QK_NORM, SLIDING, layers, one, scaled, shape, zero
from golden_experts import EXPERTS

WINDOWED = scaled("default", 10000.0)


def ropes(proportion=0.25, theta=1e6, **more):
    return {FULL: scaled("proportional", theta, partial_rotary_factor=proportion, **more), SLIDING: WINDOWED}


def text(*sizes, kinds, **more):
    """Layers have no inputs of their own where nothing is said."""
    keys = dict(layer_types=layers(kinds), rope_parameters=ropes(), hidden_size_per_layer_input=0,
                tie_word_embeddings=True, pad_token_id=0)
    return shape(*sizes, len(kinds), **(keys | more))


def without_v_norm(model):
    for module in model.modules():
        if hasattr(module, "v_norm"):
            module.v_norm = nn.Identity()


def scale_1(model):
    """Scores divided by the root of the size of a head, as elsewhere."""
    for module in model.modules():
        if hasattr(module, "v_norm") or hasattr(module, "is_kv_shared_layer"):
            module.scaling = module.head_dim ** -0.5


OFF = QK_NORM | {
    "the norm of values": without_v_norm,
    "the scale of 1": scale_1,
    "the scale of layers": (r"layer_scalar", one),
    "norms after the blocks": (r"post_(attention|feedforward)_layernorm\.", one)}
INPUTS_OFF = {
    "inputs of layers by token": (r"embed_tokens_per_layer", zero),
    "inputs of layers by embedding": (r"per_layer_model_projection", zero),
    "the norm of inputs": (r"per_layer_projection_norm", one),
    "the norm of what they add": (r"post_per_layer_input_norm", one)}
# What a published config.json has in the place of "per_layer_config", which release 5.24 writes.
OLD = ("per_layer_config",)

GEMMA4_CASES = {
    "gemma4_shared": dict(
        family="gemma4_text", lengths=(1, 8, 9, 37), dtype=BF16, spelling="new", omit=OLD,
        put={"global_head_dim": 24},
        config=text(32, 40, 2, 1, 16, 98, kinds="sfsf", sliding_window=8, num_kv_shared_layers=2,
                    use_double_wide_mlp=True, hidden_size_per_layer_input=8, vocab_size_per_layer_input=98,
                    global_head_dim=24, final_logit_softcapping=6.0),
        off=OFF | INPUTS_OFF | NO_WINDOW | {
            "the cap of logits": {"final_logit_softcapping": None},
            "rotation of a part": {"rope_parameters": ropes(1.0)}}),
    "gemma4_shared_odd": dict(
        family="gemma4_text", lengths=(1, 5, 18, 33), dtype=BF16, spelling="new",
        config=text(36, 44, 3, 1, 20, 97, kinds="ssfsf", sliding_window=6, num_kv_shared_layers=2,
                    hidden_size_per_layer_input=7, vocab_size_per_layer_input=97, global_head_dim=28,
                    tie_word_embeddings=False, rope_parameters=ropes(0.5, 1e5, factor=2.0)),
        omit=("use_double_wide_mlp", "attention_k_eq_v", "enable_moe_block"),
        off=OFF | INPUTS_OFF | NO_WINDOW),
    "gemma4_k_is_v": dict(
        family="gemma4_text", lengths=(1, 9, 37), dtype=BF16, spelling="new", omit=OLD + ("rope_parameters",),
        put={"global_head_dim": 24, "num_global_key_value_heads": 1},
        config=text(32, 40, 4, 2, 16, 98, kinds="sfsf", sliding_window=8, attention_k_eq_v=True,
                    global_head_dim=24, num_global_key_value_heads=1),
        off=OFF | NO_WINDOW),
    "gemma4_experts": dict(
        family="gemma4_text", lengths=(1, 7, 8, 33), dtype=BF16, spelling="new", omit=OLD + ("layer_types",),
        put={"global_head_dim": 20},
        config=text(36, 28, 3, 1, 12, 97, kinds="sssssf", sliding_window=7, enable_moe_block=True, num_experts=4,
                    top_k_experts=2, moe_intermediate_size=9, global_head_dim=20),
        off=OFF | NO_WINDOW | EXPERTS | {
            "the router's scale": (r"router\.scale", one),
            "the scale of experts": (r"per_expert_scale", one),
            "the norm of the dense MLP": (r"post_feedforward_layernorm_1", one),
            "the norm of experts": (r"post_feedforward_layernorm_2", one),
            "the norm before experts": (r"pre_feedforward_layernorm_2", one)}),
    "gemma4_nested": dict(
        family="gemma4", lengths=(1, 9, 37), dtype=BF16, spelling="new", omit=OLD,
        put={"global_head_dim": 24, "num_global_key_value_heads": None},
        config=text(32, 40, 2, 2, 16, 98, kinds="sfsf", sliding_window=8, num_kv_shared_layers=1,
                    hidden_size_per_layer_input=6, vocab_size_per_layer_input=98, use_double_wide_mlp=True,
                    global_head_dim=24, final_logit_softcapping=6.0),
        off=OFF | INPUTS_OFF | NO_WINDOW | {"the cap of logits": {"final_logit_softcapping": None}}),
}
