#!/bin/sh
# transformers 5.24.0 and gguf 0.19.0: a GGUF file of architecture "llama" whose general.name is "mistral" cannot be
# loaded; under any other name it can.
#
# Behaviour: general.name is free text for people. If it is exactly "mistral", in small letters, transformers takes
# the architecture "llama" for "mistral", for which the package gguf has no names of tensors, and says that this
# package may be outdated. "Mistral" and "mistral 7b" load as Llama.
# Expected: a name decides nothing.
# What it means: the message sends the reader after another version of a package; what helps is to rename the model in
# the file. Whoever writes such files by a script from a model's directory name meets it.
#
# Seen:
#   general.name 'tiny':       LlamaForCausalLM
#   general.name 'Mistral':    LlamaForCausalLM
#   general.name 'mistral 7b': LlamaForCausalLM
#   general.name 'mistral':    NotImplementedError: Unknown gguf model_type: mistral in gguf-py
set -eu
pins=${FINDINGS_PINS:-"torch==2.15.0 transformers==5.24.0 numpy==2.4.6 gguf==0.19.0 accelerate==1.15.0"}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
export TMPDIR="$dir" HF_HUB_OFFLINE=1 TQDM_DISABLE=1 TRANSFORMERS_VERBOSITY=error
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

import os
import tempfile

import numpy
import torch
import transformers
from gguf import GGUFWriter
from transformers import AutoModelForCausalLM

transformers.utils.logging.disable_progress_bar()
FOLDER = tempfile.mkdtemp()
VOCAB, HIDDEN = 64, 32
SHAPES = {"token_embd": (VOCAB, HIDDEN), "output": (VOCAB, HIDDEN), "output_norm": (HIDDEN,),
          "blk.0.attn_norm": (HIDDEN,), "blk.0.ffn_norm": (HIDDEN,)}
SHAPES |= {f"blk.0.{part}": (HIDDEN, HIDDEN) for part in
           ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}


def load(name):
    writer = GGUFWriter(os.path.join(FOLDER, "m.gguf"), "llama")
    writer.add_name(name)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(VOCAB)
    for tensor, shape in SHAPES.items():
        writer.add_tensor(tensor + ".weight", numpy.ones(shape, numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    try:
        model = AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file="m.gguf", dtype=torch.float32)
    except NotImplementedError as error:
        return f"NotImplementedError: {str(error).split('.')[0]}"
    return type(model).__name__


STATED = {"tiny": "LlamaForCausalLM", "Mistral": "LlamaForCausalLM", "mistral 7b": "LlamaForCausalLM",
          "mistral": "NotImplementedError: Unknown gguf model_type: mistral in gguf-py"}
stated = True
for name, expected in STATED.items():
    seen = load(name)
    print("general.name %-13s %s" % (f"{name!r}:", seen))
    stated &= seen == expected
sys.exit(0 if stated else "not as stated above")
EOF
