"""Golden cases of models whose layers are mostly linear; the form is that of golden_cases.py and golden_experts.py."""

from golden_cases import BF16, QK_NORM, one, scaled, shape, zero
from golden_experts import EXPERTS, GRANITE, GRANITE_OFF, ROUTED, SHARED, SHARED_GATE, experts

# What a linear layer gives is normalised, however little of it is left: a row all but without effect would become
# noise in bf16. The larger eps keeps it small.
EPS = dict(rms_norm_eps=5e-3)
BORDERS = (1, 63, 64, 65, 130)  # of the chunks that other programs cut a prompt into
LINEAR, FULL = "linear_attention", "full_attention"


def kinds(text):
    return [{"l": LINEAR, "f": FULL}[letter] for letter in text]


def delta(k_heads, v_heads, k_dim, v_dim, kernel=4, **more):
    return dict(linear_num_key_heads=k_heads, linear_num_value_heads=v_heads, linear_key_head_dim=k_dim,
                linear_value_head_dim=v_dim, linear_conv_kernel_dim=kernel) | more


def mamba(heads, head_dim, state, groups=1, kernel=4, **more):
    return dict(mamba_n_heads=heads, mamba_d_head=head_dim, mamba_d_state=state, mamba_n_groups=groups,
                mamba_d_conv=kernel) | more


def last_tap(weight):
    """A convolution that sees the token alone."""
    changed = weight.clone()
    changed[..., :-1] = 0
    return changed


def for_ever(weight):
    """No decay."""
    return weight - 30.0


def no_gate(head_dim):
    """The second half of each head of q_proj without effect: its gate stands at a half."""
    def change(weight):
        changed = weight.clone().view(-1, 2, head_dim, weight.shape[-1])
        changed[:, 1] = 0
        return changed.view(weight.shape)
    return change


def rope(theta=10000.0, partial=0.25, **more):
    return scaled("default", theta, partial_rotary_factor=partial, **more)


LINEAR_OFF = {
    "the convolution": (r"conv1d\.weight", last_tap),
    "decay": (r"A_log", for_ever),
    "the bias of time steps": (r"dt_bias", zero),
    "the weights of the norm of linear layers": (r"(linear_attn|mamba)\.norm", one)}
DELTA_OFF = LINEAR_OFF | QK_NORM | {"the norms of layers": (r"layernorm", zero)}
MAMBA_OFF = LINEAR_OFF | GRANITE_OFF | SHARED | {"D": (r"mamba\.D", zero)}


def attention_gate(head_dim):
    return {"the gate of attention": (r"q_proj\.weight", no_gate(head_dim))}


LINEAR_CASES = {
    "qwen3_next": dict(
        family="qwen3_next", lengths=BORDERS, dtype=BF16, omit=("layer_types",), put={"full_attention_interval": 3},
        config=shape(32, 40, 2, 1, 16, 98, 3, layer_types=kinds("llf"), rope_parameters=rope(1e6),
                     **EPS, **delta(2, 4, 16, 12), **experts(6, 2, 16, shared_expert_intermediate_size=24)),
        off=DELTA_OFF | attention_gate(16) | EXPERTS | ROUTED | SHARED | SHARED_GATE | {
            "weights that add up to 1": {"norm_topk_prob": False},
            "the part without rotation": {"rope_parameters": rope(1e6, 1.0)}}),
    "qwen3_next_odd": dict(
        family="qwen3_next", lengths=(1, 5, 18, 66), dtype=BF16, spelling="new",
        config=shape(36, 44, 3, 1, 20, 97, 3, layer_types=kinds("flf"), mlp_only_layers=[0],
                     tie_word_embeddings=True, rope_parameters=rope(1e4, 0.5),
                     **EPS, **delta(1, 3, 10, 7, 3), **experts(5, 3, 20, shared_expert_intermediate_size=28,
                                                         norm_topk_prob=False)),
        off=DELTA_OFF | attention_gate(20) | EXPERTS | ROUTED | SHARED_GATE | {
            "weights that do not add up to 1": {"norm_topk_prob": True}}),
    "qwen3_5": dict(
        family="qwen3_5_text", lengths=BORDERS, dtype=BF16, spelling="new", bf16=True,
        config=shape(32, 40, 2, 1, 16, 98, 3, layer_types=kinds("llf"), rope_parameters=rope(1e3),
                     **EPS, **delta(2, 4, 12, 8)),
        off=DELTA_OFF | attention_gate(16) | {
            "the part without rotation": {"rope_parameters": rope(1e3, 1.0)}}),
    "qwen3_5_nested": dict(
        family="qwen3_5", lengths=(1, 5, 18, 66), dtype=BF16, spelling="new", omit=("layer_types",),
        put={"full_attention_interval": 2},
        config=shape(36, 44, 3, 1, 20, 97, 4, layer_types=kinds("lflf"), tie_word_embeddings=True,
                     rope_parameters=rope(1e4, 0.5, mrope_interleaved=True, mrope_section=[3, 1, 1]),
                     **EPS, **delta(1, 2, 9, 11)),
        off=DELTA_OFF | attention_gate(20)),
    "qwen3_5_moe": dict(
        family="qwen3_5_moe_text", lengths=BORDERS, dtype=BF16, spelling="new",
        config=shape(32, 40, 2, 1, 16, 98, 3, layer_types=kinds("llf"), rope_parameters=rope(1e4),
                     **delta(2, 4, 8, 8), **experts(6, 2, 16, shared_expert_intermediate_size=24)),
        off=DELTA_OFF | attention_gate(16) | EXPERTS | ROUTED | SHARED | SHARED_GATE),
    "qwen3_5_moe_nested": dict(
        family="qwen3_5_moe", lengths=(1, 5, 18, 66), dtype=BF16, spelling="new", fused=True,
        config=shape(36, 44, 3, 1, 20, 97, 2, layer_types=kinds("lf"),
                     rope_parameters=rope(1e4, 0.5, mrope_interleaved=True, mrope_section=[3, 1, 1]),
                     **EPS, **delta(1, 3, 9, 11, 2), **experts(5, 3, 20, shared_expert_intermediate_size=28)),
        off=DELTA_OFF | attention_gate(20) | EXPERTS | ROUTED | SHARED | SHARED_GATE),
    "granitehybrid": dict(
        family="granitemoehybrid", lengths=BORDERS, dtype=BF16, omit=("head_dim", "time_step_limit"),
        put={"layer_types": ["mamba", "mamba", "attention"], "position_embedding_type": "nope"},
        config=shape(32, 16, 2, 1, 16, 98, 3, layer_types=kinds("llf"), num_local_experts=6, num_experts_per_tok=2,
                     shared_intermediate_size=24, mamba_chunk_size=32, **mamba(8, 8, 12), **GRANITE),
        off=MAMBA_OFF | EXPERTS | ROUTED | {"the bias of the convolution": (r"conv1d\.bias", zero)}),
    "granitehybrid_dense": dict(
        family="granitemoehybrid", lengths=(1, 5, 18, 66), dtype=BF16, spelling="new",
        omit=("head_dim",),
        config=shape(36, 44, 3, 1, 12, 97, 3, layer_types=kinds("lfl"), num_local_experts=0, num_experts_per_tok=0,
                     shared_intermediate_size=44, position_embedding_type="rope", tie_word_embeddings=True,
                     mamba_conv_bias=False, mamba_proj_bias=True, **mamba(4, 18, 10, 2, 3), **GRANITE),
        off=MAMBA_OFF | {"biases": (r"(in|out)_proj\.bias", zero),
                         "rotation": {"position_embedding_type": None}}),
}
