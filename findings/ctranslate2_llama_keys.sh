#!/bin/sh
# ctranslate2 4.8.5 and transformers 5.24.0: head_dim and hidden_act of a Llama config are passed over by the converter.
#
# Behaviour: TransformersConverter takes the size of a head for hidden_size / num_attention_heads and the activation for
# SiLU, whatever config.json says. A model whose keys say otherwise converts and runs without an error or warning and
# computes something else: with a head_dim twice as large, pairs of heads are taken for one. Other keys of the same
# file, such as rms_norm_eps and attention_bias, are obeyed.
# Expected: a key that changes the result is obeyed or refused, as a rope_type "yarn" is refused.
# What it means: pruned and distilled Llamas, in which a head is no quotient any more, and those of other activations
# give wrong logits that look plausible. The output projection still fits, so no shape betrays it. Compare logits with
# the source before trusting a conversion.
#
# Seen:
#   as the defaults                                    logits off by 0.00000 of 4.2
#   rms_norm_eps 0.1                                   logits off by 0.00000 of 4.1
#   attention_bias true                                logits off by 0.00000 of 2.9
#   head_dim 64, hidden_size / num_attention_heads 32  logits off by 1.74914 of 4.2
#   hidden_act gelu                                    logits off by 0.82046 of 4.2
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


MODELS = {
    "as the defaults": ({}, True),
    "rms_norm_eps 0.1": ({"rms_norm_eps": 0.1}, True),
    "attention_bias true": ({"attention_bias": True}, True),
    "head_dim 64, hidden_size / num_attention_heads 32": ({"head_dim": 64}, False),
    "hidden_act gelu": ({"hidden_act": "gelu"}, False),
}
stated = True
for name, (keys, agrees) in MODELS.items():
    with tempfile.TemporaryDirectory() as folder:
        expected = make(folder, keys)
        off = (converted(folder) - expected).abs().max().item()
    print("%-50s logits off by %.5f of %.1f" % (name, off, expected.abs().max()))
    stated &= off < 1e-4 if agrees else off > 0.1
sys.exit(0 if stated else "not as stated above")
EOF
