#!/bin/sh
# transformers 5.24.0: a checkpoint that names a quantisation it does not know is opened, and codes become weights.
#
# Behaviour: where quantization_config.quant_method is a word that transformers has no quantiser for, from_pretrained
# logs a warning that the configuration is skipped, and goes on. Tensors of int8 codes that have the shape of the
# weights are converted to the model's dtype and used as if they were the weights; their scales, under names of
# their own, are left over. No error; logits are hundreds of times too large, or look plausible where codes are small.
# Expected: what cannot be dequantised is refused, as a missing package of a known method is.
# What it means: a format of its own has to make itself unreadable for others: a shape with one dimension more does, since
# a wrong shape is an error.
#
# Seen:
#   two dimensions: opened, largest weight 1.0 became 127.0
#   three dimensions: RuntimeError
set -eu
pins=${FINDINGS_PINS:-"torch==2.15.0 transformers==5.24.0 safetensors==0.8.0"}
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
"$python" -W ignore - "$dir/model" $pins <<'EOF'
import json
import sys
from importlib.metadata import version

directory = sys.argv[1]
for pin in sys.argv[2:]:
    package, wanted = pin.split("==")
    if version(package).split("+")[0] != wanted:
        sys.exit(f"{package} is {version(package)}, not {wanted}: this says nothing about the version stated")
print("with", *sys.argv[2:])

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
config = LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
                     num_attention_heads=2, num_key_value_heads=2, initializer_range=0.3)
LlamaForCausalLM(config).save_pretrained(directory)
file = directory + "/model.safetensors"
plain = load_file(file)
name = "model.layers.0.mlp.down_proj.weight"
described = json.load(open(directory + "/config.json"))
described["quantization_config"] = {"quant_method": "rows-of-bytes", "bits": 8}
json.dump(described, open(directory + "/config.json", "w"))


def open_with(codes, scale):
    save_file({**plain, name: codes.contiguous(), name + "_scale": scale}, file, metadata={"format": "pt"})
    try:
        model = LlamaForCausalLM.from_pretrained(directory)
    except (RuntimeError, ValueError) as error:
        return type(error).__name__, None
    return "opened", float(model.get_parameter(name).abs().max())


weight = plain[name]
scale = weight.abs().amax(1) / 127
codes = (weight / scale[:, None]).round().to(torch.int8)
how, largest = open_with(codes, scale)
print("two dimensions: %s, largest weight %.1f became %s" % (how, weight.abs().max(), largest))
other, _ = open_with(codes[:, :, None], scale)
print("three dimensions: %s" % other)
sys.exit(0 if (how, largest, other) == ("opened", 127.0, "RuntimeError") else "not as stated above")
EOF
