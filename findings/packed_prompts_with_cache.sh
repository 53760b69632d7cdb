#!/bin/sh
# transformers 5.24.0: prompts packed into one row by their position_ids see each other as soon as a cache is made.
#
# Behaviour: positions that start again at 0 inside a row are taken for packed prompts, and attention keeps these
# apart, but only in a call without attention_mask and without a cache. With use_cache=True, which is the default of
# a call, or with an attention_mask of ones, the same row is computed as one long causal prompt. No warning.
# Expected: the same logits with and without a cache, or an error.
# What it means: prefilling packed prompts this way to fill a KV cache gives every prompt after the first wrong
# logits, and wrong keys and values from the second layer on. Pass a block-diagonal 4-D mask, and compare with the
# prompt run alone, never only with use_cache=False, where all is well.
#
# Seen:
#   no cache, no mask         logits off from the prompt alone: first 0.00000, second 0.00000
#   default (cache), no mask  logits off from the prompt alone: first 0.00000, second 7.39400
#   no cache, mask of ones    logits off from the prompt alone: first 0.00000, second 7.39400
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
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(1)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, initializer_range=0.3)).eval()
first, second = torch.randint(50, (1, 9)), torch.randint(50, (1, 7))
packed = torch.cat([first, second], 1)
positions = torch.cat([torch.arange(9), torch.arange(7)])[None]


@torch.no_grad()
def logits(tokens, **arguments):
    return model(tokens, **arguments).logits


alone = torch.cat([logits(first), logits(second)], 1)
calls = {
    "no cache, no mask": {"use_cache": False},
    "default (cache), no mask": {},
    "no cache, mask of ones": {"use_cache": False, "attention_mask": torch.ones_like(packed)},
}
error = {}
for name, arguments in calls.items():
    gap = (logits(packed, position_ids=positions, **arguments) - alone).abs()[0]
    error[name] = (gap[:9].max().item(), gap[9:].max().item())
    print("%-25s logits off from the prompt alone: first %.5f, second %.5f" % (name, *error[name]))

apart = max(error["no cache, no mask"]) < 1e-4
mixed = all(error[name][0] < 1e-4 and error[name][1] > 0.01 for name in list(calls)[1:])
sys.exit(0 if apart and mixed else "not as stated above")
EOF
