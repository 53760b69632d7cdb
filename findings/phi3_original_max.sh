#!/bin/sh
# transformers 5.24.0: Phi-3 ignores original_max_position_embeddings inside rope_parameters, and takes yarn for
# longrope.
#
# Behaviour: the length above which longrope changes to its long factors is read from the top level of the config.
# If it stands only inside rope_parameters, the class default 4096 of the top-level key wins, and is written over
# the one inside, so the file saved again says 4096 too. Besides, rope_type "yarn" is silently renamed to
# "longrope".
# Expected: the explicit value wins over a default, as it does in a Llama config with longrope; yarn is yarn, or
# refused.
# What it means: a Phi-3 kind of model trained with another original length computes with the wrong factors and the
# wrong attention scale; with both lengths at 4096, as in the published files, nothing shows. Write the key at the
# top level.
#
# Seen:
#   Llama, 16 inside rope_parameters:      20 tokens use the long factors; the config now says 16, longrope
#   Phi-3, 16 inside rope_parameters:      20 tokens use the short factors; the config now says 4096, longrope
#   Phi-3, 16 inside and at the top:       20 tokens use the long factors; the config now says 16, longrope
#   Phi-3, the same with rope_type yarn:   20 tokens use the long factors; the config now says 16, longrope
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
from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

SMALL = dict(vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0)
TOKENS = torch.arange(3, 23)[None]  # 20 tokens: more than the original length 16, which is given


def run(model_class, config_class, kind, **top):
    rope = dict(rope_type=kind, rope_theta=1e4, original_max_position_embeddings=16, factor=4.0,
                short_factor=[1.0] * 4, long_factor=[9.0] * 4)
    model = model_class(config_class(**SMALL, rope_parameters=rope, **top)).eval()
    with torch.no_grad():
        model(TOKENS)
    kept = model.config.rope_parameters
    used = "long" if model.model.rotary_emb.inv_freq[0] < 0.5 else "short"
    return used, kept["original_max_position_embeddings"], kept["rope_type"]


llama = run(LlamaForCausalLM, LlamaConfig, "longrope")
inside = run(Phi3ForCausalLM, Phi3Config, "longrope")
top = run(Phi3ForCausalLM, Phi3Config, "longrope", original_max_position_embeddings=16)
yarn = run(Phi3ForCausalLM, Phi3Config, "yarn", original_max_position_embeddings=16)
line = "%-38s 20 tokens use the %s factors; the config now says %d, %s"
print(line % ("Llama, 16 inside rope_parameters:", *llama))
print(line % ("Phi-3, 16 inside rope_parameters:", *inside))
print(line % ("Phi-3, 16 inside and at the top:", *top))
print(line % ("Phi-3, the same with rope_type yarn:", *yarn))

stated = (llama == ("long", 16, "longrope") and inside == ("short", 4096, "longrope")
          and top == yarn == ("long", 16, "longrope"))
sys.exit(0 if stated else "not as stated above")
EOF
