#!/bin/sh
# transformers 5.24.0: a GGUF file's rope scaling is not read; the model loads with plain rotation.
#
# Behaviour: from_pretrained(..., gguf_file=...) of a Llama reads rope.freq_base and passes over rope.scaling.type,
# rope.scaling.factor and the tensor rope_freqs.weight, in which every GGUF file of Llama 3.1, 3.2 and 3.3 has its
# scaling. The files load without a warning, with rope_type "default", and give the logits of the unscaled model.
# The directory that the file was made from gives others.
# Expected: the scaling applied, or the file refused, as an unknown rope_type in config.json is.
# What it means: transformers is no oracle for GGUF files with scaled rotation. A reader that obeys the file differs
# from it and agrees with the original directory. For short prompts the difference is small enough to pass for
# quantisation.
#
# Seen:
#   linear scaling by 8, by keys             rope_type default, logits differ from the directory's by 10.7 of 6.9
#   Llama 3.1's scaling by 8, by a tensor    rope_type default, logits differ from the directory's by 8.5 of 7.2
#   neither                                  rope_type default, logits differ from the directory's by 0.0 of 6.5
set -eu
pins=${FINDINGS_PINS:-"torch==2.15.0 transformers==5.24.0 numpy==2.4.6 safetensors==0.8.0 gguf==0.19.0 accelerate==1.15.0"}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
export TMPDIR="$dir" HF_HUB_OFFLINE=1 TQDM_DISABLE=1 TRANSFORMERS_VERBOSITY=error
python=${FINDINGS_PYTHON:-}
if [ -z "$python" ]; then
    python3 -m venv "$dir/venv"
    python="$dir/venv/bin/python"
    # shellcheck disable=SC2086  # one word for each package
    "$python" -m pip install --quiet $pins
fi
# shellcheck disable=SC2086
"$python" -W ignore - $pins <<'EOF'
import sys
from importlib.metadata import version

for pin in sys.argv[1:]:
    package, wanted = pin.split("==")
    if version(package).split("+")[0] != wanted:
        sys.exit(f"{package} is {version(package)}, not {wanted}: this says nothing about the version stated")
print("with", *sys.argv[1:])

import math
import os
import tempfile

import torch
import transformers
from gguf import GGUFWriter, RopeScalingType
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

transformers.utils.logging.disable_progress_bar()
FOLDER = tempfile.mkdtemp()
HIDDEN, HEADS, HEAD, THETA, LENGTH = 64, 4, 16, 10000.0, 64
TOKENS = (torch.arange(40) * 7 % 60 + 2)[None]
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=LENGTH)


def make(rope):
    config = LlamaConfig(vocab_size=64, hidden_size=HIDDEN, intermediate_size=96, num_hidden_layers=2,
                         num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=512,
                         rope_parameters=dict(rope_theta=THETA, **rope), attn_implementation="eager")
    model = LlamaForCausalLM(config).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            weight.copy_(torch.ones_like(weight) if "norm" in name else 0.25 * torch.randn(weight.shape))
    return model


def rope_factors():
    """What each frequency is divided by, as converters write it."""
    factors = []
    for i in range(HEAD // 2):
        wavelength = 2 * math.pi * THETA ** (2 * i / HEAD)
        smooth = (LENGTH / wavelength - 1) / (4 - 1)
        factors.append(1.0 if wavelength < LENGTH / 4 else 8.0 if wavelength > LENGTH
                       else 1 / ((1 - smooth) / 8 + smooth))
    return torch.tensor(factors, dtype=torch.float32).numpy()


NAMES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
         "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
OUTER = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
         "lm_head.weight": "output.weight"}


def write(path, model, rope):
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(96)
    writer.add_block_count(2)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(THETA)
    writer.add_vocab_size(64)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(8.0)
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_factors())
    for name, weight in model.state_dict().items():
        if "q_proj" in name or "k_proj" in name:  # pairs that rotate become neighbours
            weight = weight.reshape(HEADS, 2, HEAD // 2, HIDDEN).swapaxes(1, 2).reshape(weight.shape)
        if name not in OUTER:
            _, _, layer, inner = name.split(".", 3)
            name = f"blk.{layer}.{NAMES[inner.removesuffix('.weight')]}.weight"
        writer.add_tensor(OUTER.get(name, name), weight.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@torch.no_grad()
def compare(label, rope):
    model = make(rope)
    write(os.path.join(FOLDER, "m.gguf"), model, rope)
    read = AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file="m.gguf", dtype=torch.float32,
                                                attn_implementation="eager").eval()
    expected, plain = model(TOKENS).logits, make(dict(rope_type="default"))(TOKENS).logits
    got = read(TOKENS).logits
    kind = read.config.rope_parameters["rope_type"]
    off, largest = (got - expected).abs().max().item(), expected.abs().max().item()
    print(f"{label:40s} rope_type {kind}, logits differ from the directory's by {off:.1f} of {largest:.1f}")
    return kind == "default" and (got - plain).abs().max() < 1e-4, off


linear = compare("linear scaling by 8, by keys", dict(rope_type="linear", factor=8.0))
llama3 = compare("Llama 3.1's scaling by 8, by a tensor", LLAMA3)
neither = compare("neither", dict(rope_type="default"))
holds = all(plain for plain, _ in (linear, llama3, neither)) and min(linear[1], llama3[1]) > 0.1 > neither[1]
print("as stated" if holds else "NOT as stated")
sys.exit(not holds)
EOF
