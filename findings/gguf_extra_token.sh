#!/bin/sh
# transformers 5.24.0 and gguf 0.19.0: a tokenizer made of a GGUF file has one token more than the file.
#
# Behaviour: if the vocabulary of a file of GPT-2's kind holds no "<|endoftext|>", AutoTokenizer.from_pretrained(..,
# gguf_file=..) adds it as a special token, behind the last. A text with that string gets an id for which the model
# has no row. vocab_size does not count it, len() does, and all_special_tokens does not name it.
# Expected: the tokens of the file, and that string cut into pieces like any other.
# What it means: Llama 3's files hold no such token. Texts about language models do hold the string, and it fails in
# the embedding only there. Who sizes an embedding by len(tokenizer) gets a model that no longer fits its file.
#
# Seen:
#   tokens in the file 259, vocab_size 259, len() 260
#   'a<|endoftext|>' has the ids [64, 259]; special tokens: ['<bos>', '<eos>']
#   with the token in the file: tokens in the file 260, vocab_size 260, len() 260
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

from gguf import GGUFWriter, TokenType
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

FOLDER = tempfile.mkdtemp()
END = "<|endoftext|>"
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet()) + ["bc"]


def load(names):
    tokens = BYTES + names
    writer = GGUFWriter(os.path.join(FOLDER, "m.gguf"), "llama")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.NORMAL] * len(BYTES) + [TokenType.CONTROL] * len(names))
    writer.add_token_merges(["b c"])
    writer.add_bos_token_id(len(BYTES))
    writer.add_eos_token_id(len(BYTES) + 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return AutoTokenizer.from_pretrained(FOLDER, gguf_file="m.gguf")


def sizes(names, tokenizer):
    return len(BYTES) + len(names), tokenizer.vocab_size, len(tokenizer)


LINE = "tokens in the file %d, vocab_size %d, len() %d"
without = load(["<bos>", "<eos>"])
first = sizes(["<bos>", "<eos>"], without)
ids, special = without("a" + END).input_ids, without.all_special_tokens
print(LINE % first)
print(f"{'a' + END!r} has the ids {ids}; special tokens: {special}")
within = load(["<bos>", "<eos>", END])
second = sizes(["<bos>", "<eos>", END], within)
print("with the token in the file:", LINE % second)

stated = (first == (259, 259, 260) and ids == [BYTES.index("a"), 259] and special == ["<bos>", "<eos>"]
          and second == (260, 260, 260))
sys.exit(0 if stated else "not as stated above")
EOF
