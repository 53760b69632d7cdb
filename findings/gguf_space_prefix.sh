#!/bin/sh
# transformers 5.24.0 and gguf 0.19.0: a GGUF file's add_space_prefix is passed over, and each text begins with a
# space.
#
# Behaviour: tokenizer.ggml.add_space_prefix says whether a tokenizer of sentencepiece's kind puts a space before the
# text. False, true and no key give one tokenizer, which puts it. The flag beside it, add_bos_token, is obeyed.
# Expected: the key is obeyed, as in llama.cpp, or the file refused.
# What it means: in a model whose file says false, the first token of every prompt is another one, and so is what a
# chat template puts first. All later tokens agree, so a comparison that allows for a few differences passes.
#
# Seen:
#   add_space_prefix absent, add_bos_token absent: ['<s>', '\u2581ab', '\u2581ab']
#   add_space_prefix True, add_bos_token absent:   ['<s>', '\u2581ab', '\u2581ab']
#   add_space_prefix False, add_bos_token absent:  ['<s>', '\u2581ab', '\u2581ab']
#   add_space_prefix False, add_bos_token False:   ['\u2581ab', '\u2581ab']
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
from transformers import AutoTokenizer

FOLDER = tempfile.mkdtemp()
SPACE = "\u2581"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WORDS = [SPACE + "ab", "ab", SPACE + "a", SPACE, "a", "b"]
TOKENS = ["<unk>", "<s>", "</s>"] + BYTES + WORDS
TYPES = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL] + [TokenType.BYTE] * 256
TYPES += [TokenType.NORMAL] * len(WORDS)


def load(space, bos):
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
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_types(TYPES)
    writer.add_token_scores([0.0] * 259 + [-float(rank) for rank in range(len(WORDS))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    if space is not None:
        writer.add_add_space_prefix(space)
    if bos is not None:
        writer.add_add_bos_token(bos)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return AutoTokenizer.from_pretrained(FOLDER, gguf_file="m.gguf")


PREFIXED = [SPACE + "ab", SPACE + "ab"]
stated = True
for space, bos, expected in ((None, None, ["<s>"] + PREFIXED), (True, None, ["<s>"] + PREFIXED),
                             (False, None, ["<s>"] + PREFIXED), (False, False, PREFIXED)):
    tokenizer = load(space, bos)
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("ab ab").input_ids)
    words = ["absent" if value is None else value for value in (space, bos)]
    print("%-46s %s" % ("add_space_prefix %s, add_bos_token %s:" % tuple(words), ascii(tokens)))
    stated &= tokens == expected
sys.exit(0 if stated else "not as stated above")
EOF
