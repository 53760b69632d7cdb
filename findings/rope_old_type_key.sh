#!/bin/sh
# transformers 5.24.0: Gemma 3 and Olmo 3 ignore a rope_scaling whose kind is spelled with the older key "type".
#
# Behaviour: {"type": "linear", "factor": 8} in rope_scaling is obeyed by Llama, as is the newer {"rope_type": ...}.
# Gemma 3 and Olmo 3 merge the entry into a dictionary that already says rope_type "default", and rope_type wins:
# the factor is kept in the config and has no effect. The only sign is a warning that factor is no key of rope_type
# "default".
# Expected: one spelling of a key is read by all families of a library, or refused by the one that does not know it.
# What it means: a file with the old key loads, and full attention then works at positions that lie 8 times further
# apart than the file says. A reader that obeys "type" in these families differs from transformers, one that ignores
# it differs from the file: ask for rope_type.
#
# Seen:
#   llama        factor 8 spelled with type: positions / 8; with rope_type: positions / 8
#   gemma3_text  factor 8 spelled with type: positions / 1; with rope_type: positions / 8
#   olmo3        factor 8 spelled with type: positions / 1; with rope_type: positions / 8
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

from transformers import AutoConfig, AutoModelForCausalLM

SMALL = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8, pad_token_id=0)
MIXED = dict(SMALL, layer_types=["sliding_attention", "full_attention"])


def slowed(family, spelled, keys):
    """By how much the first frequency of full attention (1 when unscaled) is divided."""
    config = AutoConfig.for_model(family, **keys, rope_scaling={spelled: "linear", "factor": 8.0})
    rotary = AutoModelForCausalLM.from_config(config).model.rotary_emb
    frequencies = getattr(rotary, "full_attention_inv_freq" if "layer_types" in keys else "inv_freq")
    return 1 / frequencies[0].item()


stated = True
for family, keys, wanted in (("llama", SMALL, (8, 8)), ("gemma3_text", MIXED, (1, 8)), ("olmo3", MIXED, (1, 8))):
    seen = slowed(family, "type", keys), slowed(family, "rope_type", keys)
    print("%-12s factor 8 spelled with type: positions / %g; with rope_type: positions / %g" % (family, *seen))
    stated = stated and seen == wanted
sys.exit(0 if stated else "not as stated above")
EOF
