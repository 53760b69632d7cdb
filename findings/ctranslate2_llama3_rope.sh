#!/bin/sh
# ctranslate2 4.8.5 and transformers 5.24.0: the rotation of Llama 3.1 is converted without its factor, and is plain.
#
# Behaviour: a config with rope_type "llama3" converts without an error or warning. The converted model is marked as of
# that kind and has its low_freq_factor and high_freq_factor, but neither factor nor
# original_max_position_embeddings, and computes the logits of a model without scaling, to rounding. "linear" keeps its
# factor and is obeyed, "yarn" and "dynamic" are refused.
# Expected: the scaling applied, or refused.
# What it means: every Llama 3.1, 3.2 and 3.3 has this scaling. Converted, their logits differ at every length, for
# short prompts by so little that it passes for rounding or quantisation; long prompts lose what the scaling is for.
#
# Seen:
#   default            logits off from the source's by 0.00000, from those of plain rotation by 0.00000
#   linear, factor 8   logits off from the source's by 0.00000, from those of plain rotation by 3.94161
#   llama3, from 8192  logits off from the source's by 0.05617, from those of plain rotation by 0.00000
#   llama3, from 64    logits off from the source's by 3.36137, from those of plain rotation by 0.00000
set -eu
pins=${FINDINGS_PINS:-"ctranslate2==4.8.5 torch==2.15.0 transformers==5.24.0"}
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

import os
import tempfile

import ctranslate2
import numpy
import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

logging.disable_progress_bar()
VOCAB = 64
PROMPT = [(7 * i) % VOCAB for i in range(40)]


def make(folder, keys):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**{
        "vocab_size": VOCAB, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 131072, "bos_token_id": 0,
        "eos_token_id": 1, **keys})).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_()
        elif parameter.dim() == 2:
            parameter.data.mul_(5)  # far from uniform, so that a difference shows
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({f"t{i}": i for i in range(VOCAB)}, unk_token="t0"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="t0", bos_token="t0",
                            eos_token="t1").save_pretrained(folder)
    with torch.no_grad():
        return model(torch.tensor([PROMPT])).logits[0]


def converted(folder):
    output = os.path.join(folder, "converted")
    ctranslate2.converters.TransformersConverter(folder).convert(output)
    generator = ctranslate2.Generator(output, device="cpu", compute_type="float32")
    ids = ctranslate2.StorageView.from_array(numpy.array([PROMPT], dtype=numpy.int32))
    lengths = ctranslate2.StorageView.from_array(numpy.array([len(PROMPT)], dtype=numpy.int32))
    return torch.tensor(numpy.array(generator.forward_batch(ids, lengths)))[0]


LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0}
ROTATIONS = {  # and whether the converted model agrees with the source, and with a plain one
    "default": ({"rope_type": "default", "rope_theta": 10000.0}, True, True),
    "linear, factor 8": ({"rope_type": "linear", "rope_theta": 10000.0, "factor": 8.0}, True, False),
    "llama3, from 8192": ({**LLAMA3, "original_max_position_embeddings": 8192}, False, True),
    "llama3, from 64": ({**LLAMA3, "original_max_position_embeddings": 64}, False, True),
}
with tempfile.TemporaryDirectory() as folder:
    plain = make(folder, {})
stated = True
for name, (rotation, as_source, as_plain) in ROTATIONS.items():
    with tempfile.TemporaryDirectory() as folder:
        source = make(folder, {"rope_parameters": rotation})
        logits = converted(folder)
    off = [(logits - other).abs().max().item() for other in (source, plain)]
    print("%-18s logits off from the source's by %.5f, from those of plain rotation by %.5f" % (name, *off))
    stated &= (off[0] < 1e-4) == as_source and (off[1] < 1e-4) == as_plain
sys.exit(0 if stated else "not as stated above")
EOF
