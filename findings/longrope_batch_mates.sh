#!/bin/sh
# transformers 5.24.0: with "longrope" scaling, a short prompt's logits depend on the longest prompt of its batch.
#
# Behaviour: short or long factors are chosen once for a whole call, by its largest position. A short prompt beside
# one that is longer than original_max_position_embeddings is computed with the long factors, although its own
# attention mask and positions are those of a short prompt. Alone, or beside another short one, it gets the short
# factors.
# Expected: padding and batching change a row's logits by rounding only.
# What it means: batched and single results of such a model (the Phi-3 family of 128k, for one) differ far beyond
# rounding as soon as one prompt of the batch is long, and the keys in a cache depend on who shared the call. A
# library that packs prompts has to choose per prompt, and can be compared with single calls only.
#
# Seen:
#   10 tokens beside a prompt of 16 (original length 16): logits off from alone 0.00001
#   10 tokens beside a prompt of 17 (original length 16): logits off from alone 6.96878
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
from transformers import Phi3Config, Phi3ForCausalLM

torch.manual_seed(1)
model = Phi3ForCausalLM(Phi3Config(
    vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, initializer_range=0.3, pad_token_id=0, max_position_embeddings=64,
    original_max_position_embeddings=16,
    rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 16,
                     "short_factor": [1.0] * 4, "long_factor": [4.0] * 4})).eval()
prompt = torch.randint(1, 50, (10,))


@torch.no_grad()
def off_beside(n_tokens):
    """How far the prompt's logits move when it is right-padded beside another prompt of n_tokens."""
    alone = model(prompt[None], use_cache=False).logits[0]
    tokens = torch.randint(1, 50, (2, n_tokens))
    tokens[0] = 0
    tokens[0, :10] = prompt
    mask = torch.ones_like(tokens)
    mask[0, 10:] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    beside = model(tokens, attention_mask=mask, position_ids=positions, use_cache=False).logits[0, :10]
    return (beside - alone).abs().max().item()


off = {n: off_beside(n) for n in (16, 17)}
for n, gap in off.items():
    print("10 tokens beside a prompt of %d (original length 16): logits off from alone %.5f" % (n, gap))
sys.exit(0 if off[16] < 1e-4 and off[17] > 0.01 else "not as stated above")
EOF
