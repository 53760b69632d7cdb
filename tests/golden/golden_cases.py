"""The golden cases: which tiny checkpoints make.py writes, and what must matter in each.

A case is a dict:

    family    model_type of the configuration class; "gemma3" is the one with text_config inside
    config    its arguments (of text_config for gemma3); `shape` gives the usual ones
    lengths   of the prompts
    spelling  "classic" (the default): rope_theta, rope_scaling and torch_dtype, as releases before
              5 wrote them; "new": rope_parameters and dtype
    omit      keys taken out of config.json: the reader's default has to be the same
    put       keys put into config.json as they stand
    dtype     of the stored tensors, float32 when not said
    bf16      True: computed in bfloat16 as well
    shard     the largest shard
    fresh     True: what a prompt's rotation is depends on the prompts before; start anew for each
    off       what must matter: {label: change}, a change being keys of the configuration, or
              (pattern of tensors, function of their values)
"""

import torch

BF16, F16 = torch.bfloat16, torch.float16
SHORT = (1, 3, 7, 12, 20)
LONG = (1, 2, 17, 65, 130)
BLOCKS = (1, 17, 66)  # past a page of 16 tokens and a block of 64
FULL, SLIDING = "full_attention", "sliding_attention"
PLAIN = {"rope_type": "default", "rope_theta": 10000.0}


def shape(hidden, inner, heads, kv_heads, head_dim, vocab, layers=2, **more):
    keys = dict(
        vocab_size=vocab, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_dim,
        max_position_embeddings=256, rms_norm_eps=1e-5, rope_parameters=PLAIN,
        tie_word_embeddings=False, bos_token_id=1, eos_token_id=2)
    return keys | more


def scaled(rope_type, theta=10000.0, **more):
    return dict(rope_type=rope_type, rope_theta=theta, **more)


def layers(text):
    """"sf" is one sliding layer and one full."""
    return [{"s": SLIDING, "f": FULL}[letter] for letter in text]


def one(weight):
    return torch.ones_like(weight)


def zero(weight):
    return torch.zeros_like(weight)


LLAMA3 = scaled("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=32)
YARN = scaled("yarn", factor=4.0, original_max_position_embeddings=64)
YARN_EDGES = scaled("yarn", factor=None, original_max_position_embeddings=32, truncate=False,
                    beta_fast=4.0, beta_slow=0.5, mscale=1.5, mscale_all_dim=0.5)
LONGROPE = scaled("longrope", original_max_position_embeddings=32,
                  short_factor=[1.0, 1.1, 1.3, 1.6, 2.0, 2.5, 3.0, 3.5],
                  long_factor=[1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 16.0, 20.0])
# Each side of the original length, with room for the steps: no prompt crosses it while decoding.
SIDES = (5, 28, 33, 70)


def longrope(n, **more):
    """The factors of a rotation of n pairs."""
    pick = [i * 8 // n for i in range(n)]
    return LONGROPE | {k: [LONGROPE[k][i] for i in pick] for k in ("short_factor", "long_factor")} \
        | more


NO_WINDOW = {"the window": {"sliding_window": 4096}}
NO_ROPE_SCALING = {"the scaling": {"rope_parameters": PLAIN}}
BIASES = {"biases": (r"\.bias$", zero)}
QK_NORM = {"the weights of the q and k norms": (r"[qk]_norm", one)}
GEMMA_NORMS = {
    "1 + w": (r"norm", lambda w: w - 1.0),
    "norms after the blocks": (r"post_(attention|feedforward)_layernorm", zero)}

LLAMA_CASES = {
    "llama_mha": dict(family="llama", config=shape(48, 56, 3, 3, 16, 101), lengths=LONG,
                      omit=("head_dim", "num_key_value_heads", "rope_scaling", "attention_bias",
                            "mlp_bias")),
    "llama_gqa_tied": dict(family="llama", lengths=SHORT,
                           config=shape(72, 40, 6, 2, 16, 104, tie_word_embeddings=True)),
    "llama_odd_heads": dict(family="llama", config=shape(60, 56, 3, 1, 20, 97),
                            lengths=(1, 5, 18, 33)),
    "llama_bf16": dict(family="llama", config=shape(64, 96, 4, 2, 32, 128), lengths=(1, 4, 16, 40),
                       dtype=BF16, bf16=True),
    "llama_f16": dict(family="llama", config=shape(64, 56, 4, 2, 16, 112), lengths=SHORT,
                      dtype=F16),
    "llama_sharded": dict(family="llama", config=shape(48, 72, 4, 2, 16, 104), lengths=(2, 9, 21),
                          shard="80KB"),
    "llama_rope_llama3": dict(family="llama", lengths=(1, 15, 48, 70), spelling="new",
                              config=shape(40, 56, 2, 1, 32, 99, rope_parameters=LLAMA3),
                              off=NO_ROPE_SCALING),
    "llama_rope_linear": dict(family="llama", lengths=(1, 10, 40), off=NO_ROPE_SCALING,
                              config=shape(32, 56, 4, 2, 16, 99,
                                           rope_parameters=scaled("linear", factor=2.0))),
    "mistral_gqa": dict(family="mistral", lengths=SHORT, spelling="new",
                        config=shape(48, 80, 4, 1, 20, 110, sliding_window=None)),
    "mistral_window": dict(family="mistral", lengths=(1, 5, 6, 13, 37), off=NO_WINDOW,
                           config=shape(48, 56, 4, 2, 16, 103, sliding_window=5)),
    "llama_bias": dict(family="llama", lengths=BLOCKS, dtype=F16,
                       config=shape(32, 40, 2, 1, 16, 98, attention_bias=True, mlp_bias=True),
                       off={"biases of attention": (r"self_attn.*\.bias$", zero),
                            "the bias of o": (r"o_proj\.bias$", zero),
                            "biases of the mlp": (r"mlp.*\.bias$", zero),
                            "the bias of down": (r"down_proj\.bias$", zero)}),
    "llama_yarn": dict(family="llama", lengths=BLOCKS, dtype=BF16, put={"model_max_length": 256},
                       config=shape(32, 40, 2, 1, 16, 98, rope_parameters=YARN),
                       off=NO_ROPE_SCALING),
    "llama_yarn_edges": dict(
        family="llama", lengths=BLOCKS, dtype=BF16, spelling="new",
        config=shape(32, 40, 2, 1, 24, 98, rope_parameters=YARN_EDGES),
        off={"a factor from the lengths": {"rope_parameters": YARN_EDGES | {"factor": 2.0}},
             "truncate": {"rope_parameters": YARN_EDGES | {"truncate": True}},
             "the betas": {"rope_parameters": YARN_EDGES | {"beta_fast": 0, "beta_slow": None}},
             "mscale": {"rope_parameters": YARN_EDGES | {"mscale": 0.0}}}),
    "llama_longrope": dict(
        family="llama", lengths=SIDES, dtype=BF16,
        config=shape(36, 40, 3, 1, 20, 97,
                     rope_parameters=longrope(10, original_max_position_embeddings=32)),
        off=NO_ROPE_SCALING | {
            "the long factors": {"rope_parameters": longrope(
                10, long_factor=longrope(10)["short_factor"])},
            "the magnitude": {"rope_parameters": longrope(10, attention_factor=1.0)}}),
    "llama_dynamic": dict(family="llama", lengths=SIDES, dtype=BF16, fresh=True,
                          config=shape(32, 40, 2, 1, 16, 98, max_position_embeddings=32,
                                       rope_parameters=scaled("dynamic", factor=4.0)),
                          off=NO_ROPE_SCALING),
    "ministral": dict(family="ministral", lengths=BLOCKS, dtype=BF16, spelling="new",
                      config=shape(32, 40, 2, 1, 16, 98, 3, sliding_window=7,
                                   layer_types=layers("sfs")),
                      off=NO_WINDOW | {"full layers": {"layer_types": layers("sss")}}),
    "mistral_layer_types": dict(
        family="ministral", lengths=(1, 9, 21), dtype=BF16,
        config=shape(32, 40, 2, 1, 16, 98, sliding_window=5, layer_types=layers("fs")),
        put={"model_type": "mistral", "architectures": ["MistralForCausalLM"]},
        off=NO_WINDOW | {"the full layer": {"layer_types": layers("ss")}}),
    "ministral3": dict(
        family="ministral3", lengths=BLOCKS, dtype=BF16, spelling="new", omit=("sliding_window",),
        config=shape(32, 40, 2, 1, 16, 98, pad_token_id=0, rope_parameters=scaled(
            "yarn", 1e6, factor=16.0, original_max_position_embeddings=16, beta_fast=32.0,
            beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.3)),
        off={"the queries' scale": {"rope_parameters": scaled(
            "yarn", 1e6, factor=16.0, original_max_position_embeddings=16, beta_fast=32.0,
            beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.0)}}),
}

QWEN_CASES = {
    "qwen2": dict(family="qwen2", lengths=BLOCKS, off=BIASES,
                  config=shape(32, 40, 2, 1, 16, 98), omit=("layer_types",)),
    "qwen2_window": dict(family="qwen2", lengths=(1, 9, 10, 30), dtype=BF16, omit=("layer_types",),
                         config=shape(32, 40, 2, 1, 16, 98, 3, use_sliding_window=True,
                                      sliding_window=9, max_window_layers=1,
                                      tie_word_embeddings=True),
                         off=BIASES | NO_WINDOW | {
                             "the full layer": {"layer_types": layers("sss")}}),
    "qwen3": dict(family="qwen3", lengths=BLOCKS, dtype=BF16, bf16=True, spelling="new",
                  config=shape(32, 40, 2, 1, 32, 98), off=QK_NORM),
    "qwen3_odd": dict(family="qwen3", lengths=(1, 5, 18, 70), dtype=BF16,
                      config=shape(36, 44, 3, 1, 20, 97, attention_bias=True,
                                   tie_word_embeddings=True, rope_parameters=YARN),
                      off=QK_NORM | BIASES | NO_ROPE_SCALING),
}

GEMMA_CASES = {
    "gemma2": dict(
        family="gemma2", lengths=(1, 8, 9, 37), dtype=BF16, omit=("layer_types", "rope_scaling"),
        config=shape(36, 44, 3, 1, 20, 97, 3, sliding_window=8, query_pre_attn_scalar=6,
                     attn_logit_softcapping=4.0, final_logit_softcapping=6.0,
                     tie_word_embeddings=True),
        off=NO_WINDOW | GEMMA_NORMS | {
            "the full layer": {"layer_types": layers("sss")},
            "the cap of scores": {"attn_logit_softcapping": None},
            "the cap of logits": {"final_logit_softcapping": None},
            "the scale": {"query_pre_attn_scalar": 20}}),
    "gemma2_defaults": dict(
        family="gemma2", lengths=(1, 9, 20), dtype=BF16,
        config=shape(32, 40, 2, 1, 256, 98, rms_norm_eps=1e-6, tie_word_embeddings=True,
                     bos_token_id=2, eos_token_id=1),
        omit=("head_dim", "query_pre_attn_scalar", "attn_logit_softcapping", "rms_norm_eps",
              "final_logit_softcapping", "sliding_window", "layer_types", "tie_word_embeddings",
              "hidden_activation", "rope_theta", "rope_scaling", "attention_bias", "bos_token_id",
              "eos_token_id", "pad_token_id"),
        put={"hidden_act": "gelu"},
        off={"the cap of logits": {"final_logit_softcapping": None},
             "the scale": {"query_pre_attn_scalar": 64},
             "the activation": {"hidden_activation": "silu"}}),
    "gemma3_text": dict(
        family="gemma3_text", lengths=(1, 8, 9, 66), dtype=BF16, bf16=True,
        config=shape(32, 40, 2, 1, 16, 98, 3, sliding_window=8, query_pre_attn_scalar=8,
                     layer_types=layers("sfs"), tie_word_embeddings=True,
                     rope_parameters={FULL: scaled("linear", 50000.0, factor=8.0),
                                      SLIDING: scaled("default", 1000.0)}),
        omit=("layer_types", "_sliding_window_pattern"), put={"sliding_window_pattern": 2},
        off=NO_WINDOW | GEMMA_NORMS | {
            "the full layer": {"layer_types": layers("sss")},
            "the weights of the q and k norms": (r"[qk]_norm", zero),
            "theta of windowed layers": {"rope_parameters": {
                FULL: scaled("linear", 50000.0, factor=8.0), SLIDING: scaled("default", 10000.0)}},
            "the scaling of full layers": {"rope_parameters": {
                FULL: scaled("default", 50000.0), SLIDING: scaled("default", 1000.0)}}}),
    "gemma3_nested": dict(
        family="gemma3", lengths=(1, 17, 40), dtype=BF16, spelling="new",
        config=shape(32, 40, 2, 1, 24, 98, 6, sliding_window=16, query_pre_attn_scalar=24,
                     attention_bias=True, tie_word_embeddings=True,
                     rope_parameters={FULL: scaled("default", 1e6),
                                      SLIDING: scaled("default", 1e4)}),
        omit=("layer_types", "_sliding_window_pattern", "rope_parameters", "hidden_activation",
              "tie_word_embeddings"),
        off=NO_WINDOW | GEMMA_NORMS | {
            "biases": (r"self_attn.*\.bias$", zero),
            "theta of the full layer": {"rope_parameters": {
                FULL: scaled("default", 1e3), SLIDING: scaled("default", 1e4)}}}),
    "gemma3_untied": dict(
        family="gemma3_text", lengths=(1, 9, 21), dtype=BF16, spelling="new",
        config=shape(36, 44, 3, 1, 20, 97, sliding_window=6, query_pre_attn_scalar=20,
                     layer_types=layers("fs"), final_logit_softcapping=5.0,
                     rope_parameters={FULL: scaled("default", 1e6),
                                      SLIDING: scaled("default", 1e4)}),
        off=NO_WINDOW | GEMMA_NORMS | {"the cap of logits": {"final_logit_softcapping": None}}),
}

NORM_AFTER_CASES = {
    "olmo2": dict(family="olmo2", lengths=BLOCKS, dtype=BF16, omit=("head_dim",),
                  config=shape(32, 40, 2, 1, 16, 98, attention_bias=True),
                  off=QK_NORM | BIASES | {
                      "norms after the blocks": (r"post_(attention|feedforward)_layernorm", one)}),
    "olmo2_odd": dict(family="olmo2", lengths=(1, 5, 18, 33), spelling="new", off=QK_NORM,
                      config=shape(36, 44, 3, 1, 20, 97, tie_word_embeddings=True)),
    "olmo3": dict(family="olmo3", lengths=(1, 7, 8, 66), dtype=BF16, omit=("layer_types",),
                  config=shape(32, 40, 2, 1, 16, 98, 4, sliding_window=7, rope_parameters={
                      FULL: scaled("yarn", 500000.0, factor=8.0, attention_factor=1.2,
                                   original_max_position_embeddings=32, beta_fast=32.0,
                                   beta_slow=1.0),
                      SLIDING: scaled("default", 500000.0)}),
                  off=NO_WINDOW | QK_NORM | {
                      "the full layer": {"layer_types": layers("ssss")},
                      "the scaling of full layers": {"rope_parameters": {
                          FULL: scaled("default", 500000.0),
                          SLIDING: scaled("default", 500000.0)}}}),
    "olmo3_nested": dict(family="olmo3", lengths=(1, 9, 37), dtype=BF16, spelling="new",
                         config=shape(36, 44, 3, 1, 20, 97, sliding_window=8,
                                      layer_types=layers("fs"), rope_parameters={
                                          FULL: scaled("llama3", 1e4, factor=8.0,
                                                       low_freq_factor=1.0, high_freq_factor=4.0,
                                                       original_max_position_embeddings=32),
                                          SLIDING: scaled("default", 100.0)}),
                         off=NO_WINDOW | {"the scaling of full layers": {"rope_parameters": {
                             FULL: scaled("default", 1e4), SLIDING: scaled("default", 100.0)}}}),
    "exaone4": dict(family="exaone4", lengths=(1, 8, 9, 37), dtype=BF16, spelling="new",
                    config=shape(32, 40, 2, 1, 16, 98, 3, sliding_window=8,
                                 sliding_window_pattern=3, tie_word_embeddings=True),
                    omit=("layer_types",),
                    off=NO_WINDOW | QK_NORM | {
                        "the layer without rotation": {"layer_types": layers("sss"),
                                                       "sliding_window": 4096}}),
    "exaone4_full": dict(family="exaone4", lengths=(1, 5, 18, 66), dtype=BF16,
                         config=shape(36, 44, 3, 1, 20, 97, sliding_window=None,
                                      layer_types=layers("ff"), rope_parameters=LLAMA3),
                         off=QK_NORM | NO_ROPE_SCALING),
}

OTHER_CASES = {
    "phi3": dict(family="phi3", lengths=(1, 9, 10, 66), dtype=BF16, spelling="new",
                 config=shape(32, 40, 2, 1, 16, 98, sliding_window=9, pad_token_id=0,
                              rope_parameters=PLAIN | {"partial_rotary_factor": 0.75}),
                 off=NO_WINDOW | {"the part without rotation": {
                     "rope_parameters": PLAIN | {"partial_rotary_factor": 1.0}}}),
    "phi3_longrope": dict(
        family="phi3", lengths=SIDES, dtype=BF16, omit=("sliding_window", "head_dim"),
        config=shape(32, 40, 2, 1, 16, 98, pad_token_id=0, original_max_position_embeddings=32,
                     rope_parameters=longrope(6, partial_rotary_factor=0.75)),
        off={"the scaling": {"rope_parameters": PLAIN | {"partial_rotary_factor": 0.75}},
             "the long factors": {"rope_parameters": longrope(
                 6, partial_rotary_factor=0.75, long_factor=longrope(6)["short_factor"])},
             "the part without rotation": {"rope_parameters": longrope(
                 8, partial_rotary_factor=1.0)},
             "the magnitude": {"rope_parameters": longrope(
                 6, partial_rotary_factor=0.75, attention_factor=1.0)}}),
    "phi3_odd": dict(
        family="phi3", lengths=(5, 28, 33, 50), dtype=BF16, omit=("head_dim",),
        config=shape(60, 44, 3, 1, 20, 97, pad_token_id=0, tie_word_embeddings=True,
                     original_max_position_embeddings=32,
                     rope_parameters=longrope(5, partial_rotary_factor=0.5, factor=4.0)),
        put={"rope_scaling": {k: v for k, v in longrope(5, type="su", factor=4.0).items()
                              if k not in ("rope_type", "rope_theta")}},
        off={"the scaling": {"rope_parameters": PLAIN | {"partial_rotary_factor": 0.5}},
             "a factor beside the lengths": {"rope_parameters": longrope(
                 5, partial_rotary_factor=0.5)}}),
    "granite": dict(
        family="granite", lengths=BLOCKS, dtype=BF16, omit=("head_dim",),
        config=shape(32, 40, 2, 1, 16, 98, 3, embedding_multiplier=6.0, attention_multiplier=0.11,
                     residual_multiplier=0.4, logits_scaling=0.7, attention_bias=True,
                     mlp_bias=True),
        off=BIASES | {"the embeddings' multiplier": {"embedding_multiplier": 1.0},
                      "the scale": {"attention_multiplier": 0.25},
                      "the residual's multiplier": {"residual_multiplier": 1.0},
                      "the logits' divisor": {"logits_scaling": 1.0}}),
    "smollm3": dict(
        family="smollm3", lengths=BLOCKS, dtype=BF16,
        config=shape(32, 40, 2, 1, 16, 98, 4, pad_token_id=0, tie_word_embeddings=True,
                     rope_parameters=scaled("default", 2000000.0)),
        omit=("head_dim", "layer_types", "no_rope_layers", "no_rope_layer_interval", "rope_theta",
              "rope_scaling", "tie_word_embeddings", "sliding_window", "use_sliding_window"),
        off={"the layer without rotation": {"no_rope_layers": [1, 1, 1, 1]},
             "theta": {"rope_parameters": PLAIN}}),
    "smollm3_window": dict(
        family="smollm3", lengths=(1, 6, 7, 37), dtype=BF16, omit=("layer_types",), spelling="new",
        config=shape(36, 44, 3, 1, 20, 97, 3, pad_token_id=0, use_sliding_window=True,
                     sliding_window=6, no_rope_layers=[1, 0, 1], attention_bias=True,
                     mlp_bias=True),
        off=NO_WINDOW | BIASES | {"the layer without rotation": {"no_rope_layers": [1, 1, 1]}}),
    "cohere2": dict(
        family="cohere2", lengths=(1, 8, 9, 66), dtype=BF16, omit=("layer_types",),
        config=shape(32, 40, 2, 1, 16, 98, 4, sliding_window=8, logit_scale=0.5,
                     layer_norm_eps=1e-4, attention_bias=True, tie_word_embeddings=True),
        off=NO_WINDOW | BIASES | {
            "the logits' multiplier": {"logit_scale": 1.0},
            "the layer without rotation": {"layer_types": layers("ssss"),
                                           "sliding_window": 4096}}),
    "cohere2_odd": dict(
        family="cohere2", lengths=(1, 5, 18, 33), spelling="new",
        config=shape(60, 44, 3, 1, 20, 97, sliding_window=12, layer_types=layers("fs"),
                     pad_token_id=0, rope_parameters=scaled("linear", factor=4.0)),
        omit=("head_dim", "logit_scale"), off=NO_WINDOW | NO_ROPE_SCALING),
    "glm4": dict(
        family="glm4", lengths=BLOCKS, dtype=BF16,
        config=shape(32, 40, 2, 1, 16, 98, pad_token_id=0, rms_norm_eps=1.5625e-7),
        omit=("partial_rotary_factor", "attention_bias", "rope_scaling", "rms_norm_eps"),
        off=BIASES | {
            "the part without rotation": {
                "rope_parameters": PLAIN | {"partial_rotary_factor": 1.0}},
            "norms after the blocks": (r"post_(self_attn|mlp)_layernorm", one)}),
    "glm4_odd": dict(
        family="glm4", lengths=(1, 5, 18, 33), dtype=BF16, spelling="new",
        config=shape(36, 44, 3, 1, 20, 97, pad_token_id=0, tie_word_embeddings=True,
                     attention_bias=False, rope_parameters=scaled(
                         "linear", 10000.0, factor=2.0, partial_rotary_factor=0.8)),
        off={"the part without rotation": {"rope_parameters": scaled(
                 "linear", 10000.0, factor=2.0, partial_rotary_factor=1.0)},
             "the scaling": {"rope_parameters": PLAIN | {"partial_rotary_factor": 0.8}}}),
}

CASES = LLAMA_CASES | QWEN_CASES | GEMMA_CASES | NORM_AFTER_CASES | OTHER_CASES
