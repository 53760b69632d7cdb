#!/bin/sh
# transformers 5.24.0 and gguf 0.19.0: from a GGUF file of Llama 3, words that are tokens of their own are cut in
# pieces.
#
# Behaviour: in Llama 3 a piece that is in the vocabulary is that token, whether or not merges lead to it; its
# tokenizer.json says so by "ignore_merges": true. A GGUF file has no such key: "llama-bpe" in tokenizer.ggml.pre
# implies it. The tokenizer that transformers makes of the file has the pattern of that name, but merges only.
# Expected: the same ids as from the tokenizer.json that the file was made from, as in llama.cpp.
# What it means: some words, mostly not English, become two or three tokens that the model hardly ever saw together,
# and the text comes back right when decoded. An oracle for GGUF files has to set ignore_merges itself.
#
# Seen:
#   from the GGUF file:         ['xy', 'z', '\u0120', 'xy']
#   ignore_merges set by hand:  ['xyz', '\u0120xy']
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
TEXT = "xyz xy"
MERGES = ["x y"]  # none leads to the last two tokens
TOKENS = sorted(pre_tokenizers.ByteLevel.alphabet()) + ["xy", "xyz", "\u0120xy"]


def load():
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
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(TOKENS)
    writer.add_token_types([1] * len(TOKENS))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return AutoTokenizer.from_pretrained(FOLDER, gguf_file="m.gguf")


tokenizer = load().backend_tokenizer
read = tokenizer.encode(TEXT).tokens
tokenizer.model.ignore_merges = True
meant = tokenizer.encode(TEXT).tokens
print("from the GGUF file:        ", ascii(read))
print("ignore_merges set by hand: ", ascii(meant))

stated = read == ["xy", "z", "\u0120", "xy"] and meant == ["xyz", "\u0120xy"]
sys.exit(0 if stated else "not as stated above")
EOF
