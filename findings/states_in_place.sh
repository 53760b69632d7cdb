#!/bin/sh
# transformers 5.24.0: what a cache of a hybrid hands out as its state changes under one's hands, its keys do not.
#
# Behaviour: keys that a cache handed out before a step stay as they are (the step makes new tensors), so they can be
# kept to go back to. The convolution state and the recurrent state of a linear layer (Qwen 3 Next) are overwritten in
# place: a reference that was kept shows the state after the step.
# Expected: the same of both, or a word about it beside get_conv_state and get_recurrent_state.
# What it means: branching or rolling back a hybrid by keeping references works for its attention layers, and goes on
# from the wrong state in the others without a word. Clone states before every step.
#
# Seen:
#   after one more token: keys handed out before changed by 0.0000, conv state by 6.3623, recurrent state by 0.7980
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
from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

torch.manual_seed(0)
model = Qwen3NextForCausalLM(Qwen3NextConfig(
    vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=2,
    num_key_value_heads=1, head_dim=16, linear_num_key_heads=2, linear_num_value_heads=2, linear_key_head_dim=8,
    linear_value_head_dim=8, num_experts=0, mlp_only_layers=[0, 1, 2, 3], initializer_range=0.3)).eval()
with torch.no_grad():
    cache = model(torch.arange(20)[None], use_cache=True).cache
    kept = {"keys": cache.layers[3].keys, "conv": cache.get_conv_state(0, state_idx=0),
            "recurrent": cache.get_recurrent_state(0, state_idx=0)}
    before = {name: tensor.clone() for name, tensor in kept.items()}
    model(torch.tensor([[7]]), cache=cache, use_cache=True)
changed = {name: (kept[name] - before[name]).abs().max().item() for name in kept}
print(f"after one more token: keys handed out before changed by {changed['keys']:.4f}, conv state by "
      f"{changed['conv']:.4f}, recurrent state by {changed['recurrent']:.4f}")
stated = changed["keys"] == 0 and changed["conv"] > 0.1 and changed["recurrent"] > 0.1
sys.exit(0 if stated else "not as stated above")
EOF
