#!/bin/sh
# transformers 5.24.0: a key per_layer_config in Gemma 4's config, null too, makes its global_head_dim a dead letter.
#
# Behaviour: full layers of Gemma 4 have heads of global_head_dim (512 where it is missing) unless there is a key
# per_layer_config. That it is there is enough: with null every layer has heads of head_dim. What transformers saves
# has per_layer_config in the place of global_head_dim, with numbers of layers as strings, padded by zeros to the
# width of the largest.
# Expected: null means what a missing key means, as in the other keys of the class.
# What it means: a reader of such files has to look at both keys and at the presence of one; a tool that fills in null
# for keys it does not know changes the shapes of a model.
#
# Seen:
#   global_head_dim 24: 48 rows of q in a full layer; with per_layer_config null 32
#   saved: {'05': {'head_dim': 24}}, global_head_dim not saved
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

import json

from transformers import Gemma4ForCausalLM, Gemma4TextConfig

shape = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=12, num_attention_heads=2,
             num_key_value_heads=1, head_dim=16, global_head_dim=24, hidden_size_per_layer_input=0, sliding_window=8)


def rows(**more):
    """Rows of the query projection of a full layer."""
    return Gemma4ForCausalLM(Gemma4TextConfig(**shape, **more)).model.layers[5].self_attn.q_proj.weight.shape[0]


saved = json.loads(Gemma4TextConfig(**shape).to_json_string())
plain, null = rows(), rows(per_layer_config=None)
first = dict(list(saved["per_layer_config"].items())[:1])
print(f"global_head_dim 24: {plain} rows of q in a full layer; with per_layer_config null {null}")
print(f"saved: {first}, global_head_dim {saved.get('global_head_dim', 'not saved')}")
stated = (plain, null) == (48, 32) and first == {"05": {"head_dim": 24}} and "global_head_dim" not in saved
sys.exit(0 if stated else "not as stated above")
EOF
