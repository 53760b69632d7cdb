#!/bin/sh
# llama-cpp-python 0.3.36 (llama.cpp of 2026): the saved state of one sequence only fits a context that keeps sequences in
# the same way. The same model, tokens and types are not enough.
#
# Behaviour: llama_state_seq_get_data writes how many streams the context has, which is n_seq_max unless kv_unified is
# set, and whether values are transposed, which they are without flash attention. llama_state_seq_set_data of a context
# that differs in one of the two reads nothing and returns 0. With flash attention left to the library ("auto", the
# default) two contexts of one program agree; those of two builds or devices need not.
# Expected: the keys and values of one sequence are the same numbers in each of these contexts, so one state for all.
# What it means: a server with several slots cannot hand a prompt's state to a program with one, nor keep it on disk for
# its own next start with another number of slots, unless both set kv_unified. Who writes such states by another engine
# has to know n_seq_max, kv_unified and flash attention of the reader; the model does not tell.
#
# Seen (sequence 0 of 12 tokens; rows: saved by, columns: read by; 1 sequence, 4 sequences, 4 unified, 1 without flash
# attention):
#   saved by 1 sequence:           read, refused, read, refused
#   saved by 4 sequences:          refused, read, refused, refused
#   saved by 4 unified:            read, refused, read, refused
#   saved by 1, no flash attention: refused, refused, refused, read
set -eu
pins=${FINDINGS_PINS:-"llama-cpp-python==0.3.36 gguf==0.19.0 numpy==2.4.6"}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
export TMPDIR="$dir"
python=${FINDINGS_PYTHON:-}
if [ -z "$python" ]; then # it is compiled: about ten minutes on two cores
    python3 -m venv "$dir/venv"
    python="$dir/venv/bin/python"
    # shellcheck disable=SC2086  # one word for each package
    "$python" -m pip install --quiet $pins
fi
# shellcheck disable=SC2086
"$python" -W ignore - $pins <<'PYTHON'
import sys
from importlib.metadata import version

for pin in sys.argv[1:]:
    package, wanted = pin.split("==")
    if version(package).split("+")[0] != wanted:
        sys.exit(f"{package} is {version(package)}, not {wanted}: this says nothing about the version stated")
print("with", *sys.argv[1:])

import ctypes
import os
import tempfile

import llama_cpp as L
import numpy
from gguf import GGUFWriter

VOCAB, HIDDEN, HEADS = 64, 64, 2
path = os.path.join(tempfile.mkdtemp(), "small.gguf")
rng = numpy.random.default_rng(5)
writer = GGUFWriter(path, "llama")
writer.add_context_length(256)
writer.add_embedding_length(HIDDEN)
writer.add_block_count(1)
writer.add_feed_forward_length(HIDDEN)
writer.add_head_count(HEADS)
writer.add_head_count_kv(HEADS)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_vocab_size(VOCAB)
writer.add_tokenizer_model("none")
shapes = {"token_embd": (VOCAB, HIDDEN), "output": (VOCAB, HIDDEN), "output_norm": (HIDDEN,),
          "blk.0.attn_norm": (HIDDEN,), "blk.0.ffn_norm": (HIDDEN,)}
shapes |= {f"blk.0.{part}": (HIDDEN, HIDDEN) for part in
           ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}
for name, shape in shapes.items():
    writer.add_tensor(name + ".weight", (rng.standard_normal(shape) / 8).astype(numpy.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

silent = L.llama_log_callback(lambda level, text, user: None)
L.llama_log_set(silent, ctypes.c_void_p(0))
model = L.llama_model_load_from_file(path.encode(), L.llama_model_default_params())


def new_context(n_sequences, unified, flash):
    params = L.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = 64 * n_sequences, 64, 64
    params.n_seq_max, params.kv_unified = n_sequences, unified
    params.flash_attn_type = 1 if flash else 0
    params.n_threads = params.n_threads_batch = 1
    return L.llama_init_from_model(model, params)


def prefill(context):
    batch = L.llama_batch_init(12, 0, 1)
    batch.n_tokens = 12
    for i in range(12):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = 3 * i + 1, i, 1
        batch.seq_id[i][0], batch.logits[i] = 0, i == 11
    if L.llama_decode(context, batch) != 0:
        sys.exit("llama_decode failed")


def save(context):
    size = L.llama_state_seq_get_size(context, 0)
    memory = (ctypes.c_uint8 * size)()
    if L.llama_state_seq_get_data(context, memory, size, 0) != size:
        sys.exit("llama_state_seq_get_data wrote another number of bytes than it had said")
    return bytes(memory)


def reads(context, state):
    memory = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
    taken = L.llama_state_seq_set_data(context, memory, len(state), 0)
    held = L.llama_memory_seq_pos_max(L.llama_get_memory(context), 0) + 1
    if (taken, held) not in ((len(state), 12), (0, 0)):
        sys.exit(f"{taken} of {len(state)} bytes taken, {held} tokens held")
    return "read" if taken else "refused"


KINDS = {"1 sequence": (1, False, True), "4 sequences": (4, False, True), "4 unified": (4, True, True),
         "1, no flash attention": (1, False, False)}
EXPECTED = {"1 sequence": "read refused read refused", "4 sequences": "refused read refused refused",
            "4 unified": "read refused read refused", "1, no flash attention": "refused refused refused read"}
same = True
for saved_by, kind in KINDS.items():
    context = new_context(*kind)
    prefill(context)
    state = save(context)
    seen = [reads(new_context(*other), state) for other in KINDS.values()]
    print(f"saved by {saved_by}:", ", ".join(seen))
    same = same and seen == EXPECTED[saved_by].split()
sys.exit(0 if same else "this is not what was stated")
PYTHON
