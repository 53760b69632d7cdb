#!/bin/sh
# transformers 5.24.0 and gguf 0.19.0: a model read from a GGUF file of F32 tensors counts as quantised and is not
# saved.
#
# Behaviour: what from_pretrained(.., gguf_file=..) returns has plain float32 parameters and layers, even when there
# was nothing to dequantise. save_pretrained refuses it: "quantized with gguf and is not serializable". To clear
# quantization_config in the config does not help, and model.dequantize() is not implemented. The same call with
# GgufConfig(dequantize=True) returns the same bits and saves them.
# Expected: what is not quantised is saved, all the more as conversion is what such files are loaded for.
# What it means: the refusal comes at the end, after a training run perhaps, and for a reason that is not there. Ask
# for dequantize=True when loading, or copy the state into a model made from the config.
#
# Seen:
#   by default:      parameters float32, saved: False
#   dequantize=True: parameters float32, saved: True
#   the same bits in both: True
#   config cleared:  parameters float32, saved: False
set -eu
pins=${FINDINGS_PINS:-"torch==2.15.0 transformers==5.24.0 numpy==2.4.6 safetensors==0.8.0 gguf==0.19.0 accelerate==1.15.0"}
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
from transformers import AutoModelForCausalLM, GgufConfig

transformers.utils.logging.disable_progress_bar()
FOLDER = tempfile.mkdtemp()
VOCAB, HIDDEN = 64, 32
SHAPES = {"token_embd": (VOCAB, HIDDEN), "output": (VOCAB, HIDDEN), "output_norm": (HIDDEN,),
          "blk.0.attn_norm": (HIDDEN,), "blk.0.ffn_norm": (HIDDEN,)}
SHAPES |= {f"blk.0.{part}": (HIDDEN, HIDDEN) for part in
           ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}

writer = GGUFWriter(os.path.join(FOLDER, "m.gguf"), "llama")
writer.add_name("tiny")
writer.add_context_length(64)
writer.add_embedding_length(HIDDEN)
writer.add_feed_forward_length(HIDDEN)
writer.add_block_count(1)
writer.add_head_count(2)
writer.add_head_count_kv(2)
writer.add_layer_norm_rms_eps(1e-6)
writer.add_vocab_size(VOCAB)
random = numpy.random.default_rng(1)
for name, shape in SHAPES.items():
    writer.add_tensor(name + ".weight", random.normal(size=shape).astype(numpy.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()


def load(**options):
    return AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file="m.gguf", dtype=torch.float32, **options)


def saved(name, model):
    kind, = {str(tensor.dtype).removeprefix("torch.") for tensor in model.state_dict().values()}
    try:
        model.save_pretrained(os.path.join(FOLDER, "again"))
        done = True
    except ValueError as error:
        if "not serializable" not in str(error):
            raise
        done = False
    print("%-16s parameters %s, saved: %s" % (name + ":", kind, done))
    return done, kind


plain, asked = load(), load(quantization_config=GgufConfig(dequantize=True))
results = saved("by default", plain), saved("dequantize=True", asked)
others = asked.state_dict()
same = all(torch.equal(tensor, others[name]) for name, tensor in plain.state_dict().items())
print("the same bits in both:", same)
plain.config.quantization_config = None
cleared, _ = saved("config cleared", plain)
try:
    plain.dequantize()
    implemented = True
except NotImplementedError:
    implemented = False

stated = results == ((False, "float32"), (True, "float32")) and same and not cleared and not implemented
sys.exit(0 if stated else "not as stated above")
EOF
