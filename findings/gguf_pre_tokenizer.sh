#!/bin/sh
# transformers 5.24.0 and gguf 0.19.0: of a GGUF file of SmolLM, the tokenizer that transformers makes splits digits
# and spaces another way.
#
# Behaviour: a GGUF file names its splitting rule in tokenizer.ggml.pre. AutoTokenizer.from_pretrained(..,
# gguf_file=..) obeys "llama-bpe" and passes over "smollm", which means: every digit is a piece of its own. Such files
# get the rule of GPT-2, without an error or a warning, exactly as if they named "gpt-2".
# Expected: the rule of the file, or an unknown one refused, as llama.cpp does it.
# What it means: ids differ wherever a number stands, and also at spaces before one, for GPT-2's rule keeps one space
# for the next piece. With the vocabulary of SmolLM2, which has no token of two digits, only the spaces betray it, so
# a short trial passes. For these files transformers is no oracle; the tokenizer.json that the file was made from is.
#
# Seen:
#   tokenizer.ggml.pre gpt-2:     ['x', '\u0120', '\u0120', '12', '34', '\u01203']
#   tokenizer.ggml.pre smollm:    ['x', '\u0120', '\u0120', '12', '34', '\u01203']
#   what smollm means:            ['x', '\u0120\u0120', '1', '2', '3', '4', '\u0120', '3']
#   tokenizer.ggml.pre llama-bpe: ['x', '\u0120', '\u0120', '12', '3', '4', '\u0120', '3']
set -eu
pins=${FINDINGS_PINS:-"torch==2.15.0 transformers==5.24.0 tokenizers==0.23.3 numpy==2.4.6 gguf==0.19.0 accelerate==1.15.0"}
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

from gguf import GGUFWriter
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

FOLDER = tempfile.mkdtemp()
TEXT = "x  1234 3"
MERGES = ["1 2", "3 4", "\u0120 3", "\u0120 \u0120"]
TOKENS = sorted(pre_tokenizers.ByteLevel.alphabet()) + [merge.replace(" ", "") for merge in MERGES]


def load(pre):
    writer = GGUFWriter(os.path.join(FOLDER, "m.gguf"), "llama")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types([1] * len(TOKENS))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return AutoTokenizer.from_pretrained(FOLDER, gguf_file="m.gguf").backend_tokenizer


def show(name, tokenizer):
    tokens = tokenizer.encode(TEXT).tokens
    print("%-29s %s" % (name + ":", ascii(tokens)))
    return tokens


gpt2 = show("tokenizer.ggml.pre gpt-2", load("gpt-2"))
smollm = show("tokenizer.ggml.pre smollm", load("smollm"))
right = load("gpt-2")
right.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
meant = show("what smollm means", right)
llama = show("tokenizer.ggml.pre llama-bpe", load("llama-bpe"))

stated = (smollm == gpt2 == ["x", "\u0120", "\u0120", "12", "34", "\u01203"]
          and meant == ["x", "\u0120\u0120", "1", "2", "3", "4", "\u0120", "3"] and llama not in (gpt2, meant))
sys.exit(0 if stated else "not as stated above")
EOF
