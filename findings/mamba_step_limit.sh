#!/bin/sh
# transformers 5.24.0: Granite 4 (GraniteMoeHybrid) obeys time_step_limit in a prefill and not where it decodes.
#
# Behaviour: a forward pass of several tokens, with or without a cache before it, clamps the steps of its Mamba 2
# layers into time_step_limit; one of a single token behind a cache does not. With limits that matter the two
# computations of the same token differ.
# Expected: a token's logits follow from the tokens before it, however these came into the cache.
# What it means: the default limits (0, infinity) hide it, and so do Granite 4's own files. Models with other
# limits generate something else than they score; reference values must come from a prefill. An implementation that
# clamps every step is right for both.
#
# Seen:
#   limits (0.0, inf):    decoded off from prefilled 0.00000, prefilled in two halves 0.00001
#   limits (0.001, 0.05): decoded off from prefilled 4.80387, prefilled in two halves 0.00000
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
from transformers import GraniteMoeHybridConfig, GraniteMoeHybridForCausalLM


@torch.no_grad()
def differences(limits):
    """Of the last token's logits: decoded from prefilled, prefilled in two halves from prefilled."""
    torch.manual_seed(1)
    model = GraniteMoeHybridForCausalLM(GraniteMoeHybridConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, shared_intermediate_size=48, num_local_experts=0,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3, mamba_n_heads=4,
        mamba_d_state=8, layer_types=["linear_attention", "full_attention"], time_step_limit=limits)).eval()
    tokens = torch.randint(50, (1, 20))
    whole = model(tokens).logits[0, -1]

    def behind(n):
        first = model(tokens[:, :n], use_cache=True)
        return model(tokens[:, n:], cache=first.cache, use_cache=True).logits[0, -1]

    return [(behind(n) - whole).abs().max().item() for n in (19, 10)]


free, clamped = differences((0.0, float("inf"))), differences((0.001, 0.05))
for name, (decoded, halves) in {"(0.0, inf)": free, "(0.001, 0.05)": clamped}.items():
    print(f"limits {name + ':':14} decoded off from prefilled {decoded:.5f}, prefilled in two halves {halves:.5f}")

stated = max(free + [clamped[1]]) < 1e-3 and clamped[0] > 0.01
sys.exit(0 if stated else "not as stated above")
EOF
