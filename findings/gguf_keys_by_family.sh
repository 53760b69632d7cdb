#!/bin/sh
# transformers 5.24.0 and gguf 0.19.0: which keys of a GGUF file count depends on the family; a rotation's base or a
# window is passed over without a word.
#
# Behaviour: the keys that transformers reads are listed for each architecture. rope.freq_base is read for Llama,
# Qwen2 and Phi-3 and not for StarCoder2 and StableLM, which get their class's 10000; attention.sliding_window for
# Gemma 2 and not for Phi-3, which then has none; attn_logit_softcapping not even for Gemma 2. A key that is not
# listed leaves no trace but at the log level "info".
# Expected: a key that one family obeys is obeyed or refused in the others, since all share the meaning of
# {architecture}.rope.freq_base.
# What it means: StarCoder2 was trained with bases from 100000 to 1000000 and Phi-3 mini 4k with a window of 2047;
# from a GGUF file neither is the model it was. An oracle for such files must be given the config of the original.
#
# Seen (each file says base 123456, window 77, soft caps 7 and 9):
#   llama       base 123456, window none, soft caps none
#   qwen2       base 123456, window none, soft caps none
#   phi3        base 123456, window none, soft caps none
#   starcoder2  base 10000, window none, soft caps none
#   stablelm    base 10000, window none, soft caps none
#   gemma2      base 123456, window 77, soft caps 50 and 30
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
from gguf import GGUFWriter
from transformers import AutoConfig

FOLDER = tempfile.mkdtemp()
STATED = {
    "llama": (123456, None, None, None),
    "qwen2": (123456, None, None, None),
    "phi3": (123456, None, None, None),
    "starcoder2": (10000, None, None, None),
    "stablelm": (10000, None, None, None),
    "gemma2": (123456, 77, 50, 30),
}


def read(architecture):
    writer = GGUFWriter(os.path.join(FOLDER, "m.gguf"), architecture)
    writer.add_name("tiny")
    writer.add_context_length(8192)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(64)
    writer.add_block_count(1)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_layer_norm_eps(1e-6)
    writer.add_vocab_size(64)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(123456.0)
    writer.add_sliding_window(77)
    writer.add_attn_logit_softcapping(7.0)
    writer.add_final_logit_softcapping(9.0)
    writer.add_tensor("token_embd.weight", numpy.zeros((64, 64), numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    config = AutoConfig.from_pretrained(FOLDER, gguf_file="m.gguf")
    assert config.max_position_embeddings == 8192, "the file was not read"
    return (config.rope_parameters["rope_theta"],
            *(getattr(config, name, None) for name in
              ("sliding_window", "attn_logit_softcapping", "final_logit_softcapping")))


stated = True
for architecture, expected in STATED.items():
    seen = base, window, attention, final = read(architecture)
    caps = "none" if attention is final is None else f"{attention:.0f} and {final:.0f}"
    print(f"{architecture:11s} base {base:.0f}, window {'none' if window is None else window}, soft caps {caps}")
    stated &= seen == expected
sys.exit(0 if stated else "not as stated above")
EOF
