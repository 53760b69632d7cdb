#!/bin/sh
# transformers 5.24.0: a key sliding_window in a Llama config leaves the prefill alone and cuts the cache while
# decoding.
#
# Behaviour: Llama has no sliding window, and its forward pass ignores the key: every token of a prompt sees all
# tokens before it. The cache, however, is made from the config whatever the class, and keeps only the last tokens
# of the window: the tokens generated after the prompt see no more than these. No warning.
# Expected: the key is obeyed in both or in neither, and a cache changes the speed and not the result.
# What it means: configs copied from a windowed family, or written by a converter, may hold such a key. The first
# generated token is right and the others are not, so a test of a prefill's logits does not see it. Compare a
# decoded step with the same tokens without a cache, and drop the key where the family has no window.
#
# Seen:
#   no such key:        logits off from a run without cache: after the prompt 0.00000, second 0.00000, third 0.00000
#   sliding_window 4:   logits off from a run without cache: after the prompt 0.00000, second 6.46314, third 4.76136
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

PROMPT = torch.arange(3, 27)[None]


def steps_off(**keys):
    """How far the logits of three generated tokens are from those of a run without a cache."""
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.3, pad_token_id=0, eos_token_id=None, **keys)).eval()
    made = model.generate(PROMPT, max_new_tokens=3, do_sample=False, output_logits=True,
                          return_dict_in_generate=True)
    with torch.no_grad():
        whole = model(made.sequences[:, :-1], use_cache=False).logits[0, -3:]
    return [(step[0] - right).abs().max().item() for step, right in zip(made.logits, whole)]


plain, stray = steps_off(), steps_off(sliding_window=4)
line = "%-19s logits off from a run without cache: after the prompt %.5f, second %.5f, third %.5f"
print(line % ("no such key:", *plain))
print(line % ("sliding_window 4:", *stray))

stated = max(plain) < 1e-4 and stray[0] < 1e-4 and min(stray[1:]) > 0.01
sys.exit(0 if stated else "not as stated above")
EOF
