#!/bin/sh
# transformers 5.24.0 with torch 2.15.0 on the CPU: a mixture of experts whose sizes are no multiples of 16 bytes is
# made, saved and loaded, and its forward pass raises.
#
# Behaviour: the experts of Qwen 3 MoE run by torch's grouped product, which takes rows that are multiples of 16 bytes
# alone (4 elements in f32, 8 in bf16) and says "strides should be multiple of 16 bytes", from the first forward pass
# on. With experts_implementation "eager" the same model runs.
# Expected: the fallback is taken, or the configuration is refused when the model is made.
# What it means: reference values for odd sizes need the eager implementation; that a checkpoint was saved does not
# say that it ever ran.
#
# Seen:
#   expert size 26: RuntimeError: strides should be multiple of 16 bytes; eager: runs; expert size 32: runs
set -eu
pins=${FINDINGS_PINS:-"torch==2.15.0 transformers==5.24.0 numpy==2.4.6 safetensors==0.8.0"}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
export TMPDIR="$dir" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error
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

import torch
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM


@torch.no_grad()
def run(size, **options):
    """What comes of a forward pass of experts of that size."""
    config = Qwen3MoeConfig(
        vocab_size=50, hidden_size=32, intermediate_size=32, moe_intermediate_size=size, num_experts=4,
        num_experts_per_tok=2, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16)
    try:
        Qwen3MoeForCausalLM._from_config(config, **options).eval()(torch.arange(5)[None])
    except RuntimeError as error:
        return f"RuntimeError: {str(error).splitlines()[0]}"
    return "runs"


odd, eager, even = run(26), run(26, experts_implementation="eager"), run(32)
print(f"expert size 26: {odd}; eager: {eager}; expert size 32: {even}")
stated = "multiple of 16 bytes" in odd and eager == even == "runs"
sys.exit(0 if stated else "not as stated above")
EOF
