#!/bin/sh
# safetensors 0.8.0 and transformers 5.24.0: tie_word_embeddings true does not tie when the file holds two tensors.
#
# Behaviour: a config that says tie_word_embeddings true, beside a file with both model.embed_tokens.weight and a
# different lm_head.weight, loads as an untied model with a logged warning. One different element is enough. With
# lm_head.weight alone, the embedding is taken from it. Saved again, the config still says true and the file still
# holds both.
# Expected: the config decides, as in a reader that ties whenever the key is true and skips lm_head.weight.
# What it means: whether such a model is tied can be told only from the values of both tensors, not from its config
# or from the header of its file. Two readers of one valid pair of files compute different logits; a reader has to
# compare the tensors, or refuse.
#
# Seen:
#   tie_word_embeddings true, two equal tensors:   tied in memory: True
#   tie_word_embeddings true, one element differs: tied in memory: False
#   tie_word_embeddings true, only lm_head.weight: tied in memory: True
#   saved again: tie_word_embeddings True, both tensors in the file: True
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
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"
logging.disable_progress_bar()
folder = tempfile.mkdtemp()
torch.manual_seed(1)
LlamaForCausalLM(LlamaConfig(
    vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
    num_key_value_heads=2, tie_word_embeddings=True)).save_pretrained(folder)
written = load_file(folder + "/model.safetensors")
assert HEAD not in written, "a tied model was expected to be saved with one tensor"


def load(**tensors):
    others = {name: tensor for name, tensor in written.items() if name != EMBED}
    save_file({**others, **tensors}, folder + "/model.safetensors", metadata={"format": "pt"})
    return AutoModelForCausalLM.from_pretrained(folder)


embed = written[EMBED]
other = embed.clone()
other[7, 3] += 1
models = {
    "two equal tensors": load(**{EMBED: embed, HEAD: embed.clone()}),
    "one element differs": load(**{EMBED: embed, HEAD: other}),
    "only lm_head.weight": load(**{HEAD: other}),
}
tied = {}
for name, model in models.items():
    tied[name] = model.lm_head.weight is model.model.embed_tokens.weight
    print("tie_word_embeddings true, %-20s tied in memory: %s" % (name + ":", tied[name]))
models["one element differs"].save_pretrained(folder + "/again")
config = json.load(open(folder + "/again/config.json"))["tie_word_embeddings"]
both = {EMBED, HEAD} <= set(load_file(folder + "/again/model.safetensors"))
print("saved again: tie_word_embeddings %s, both tensors in the file: %s" % (config, both))

stated = (list(tied.values()) == [True, False, True] and config is True and both
          and torch.equal(models["one element differs"].lm_head.weight, other)
          and torch.equal(models["only lm_head.weight"].model.embed_tokens.weight, other))
sys.exit(0 if stated else "not as stated above")
EOF
