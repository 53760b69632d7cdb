#!/bin/sh
# transformers 5.24.0: with "dynamic" rope scaling, a prompt's logits depend on the prompts that the model saw
# before.
#
# Behaviour: the frequencies grow with the longest call so far and are kept in the model. A prompt longer than
# max_position_embeddings gets those of its own length in a fresh model, those of the longest earlier call
# afterwards, and its own again once a prompt of less than max_position_embeddings has come in between.
# Expected: a forward pass without a cache is a function of weights and tokens, and running it again changes
# nothing.
# What it means: reference values for a test must come from a fresh model per prompt; a server's answers depend on
# its order of requests. An implementation without such state is right for each prompt alone and still differs from
# a long running process.
#
# Seen:
#   the same 20 tokens, run again:             logits off from the first run 0.00000
#   the same 20 tokens, after 60 other tokens: logits off from the first run 2.38555
#   the same 20 tokens, after 8 other tokens:  logits off from the first run 0.00000
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
    num_key_value_heads=2, initializer_range=0.3, max_position_embeddings=16,
    rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0})).eval()
prompt, longer, short = (torch.randint(50, (1, n)) for n in (20, 60, 8))


@torch.no_grad()
def logits(tokens):
    return model(tokens, use_cache=False).logits


fresh = logits(prompt)
off = {"run again": (logits(prompt) - fresh).abs().max().item()}
logits(longer)
off["after 60 other tokens"] = (logits(prompt) - fresh).abs().max().item()
logits(short)
off["after 8 other tokens"] = (logits(prompt) - fresh).abs().max().item()
for when, gap in off.items():
    print("the same 20 tokens, %-22s logits off from the first run %.5f" % (when + ":", gap))

stated = off["run again"] == off["after 8 other tokens"] == 0 and off["after 60 other tokens"] > 0.001
sys.exit(0 if stated else "not as stated above")
EOF
