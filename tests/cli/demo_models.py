"""Changed copies of the demo model."""

import json
import os
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden"))
import to_gguf  # noqa: E402
from spm_fields import fields  # noqa: E402

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/demo-model")
EMBEDDINGS = "model.embed_tokens.weight"


def scaled(row, factor):
    """A row of bf16, each value times factor, cut to bf16 again."""
    out = []
    for (bits,) in struct.iter_unpack("<H", row):
        (value,) = struct.unpack("<f", struct.pack("<I", bits << 16))
        out.append(struct.unpack("<I", struct.pack("<f", value * factor))[0] >> 16)
    return struct.pack(f"<{len(out)}H", *out)


def read_weights():
    with open(os.path.join(SOURCE, "model.safetensors"), "rb") as file:
        raw = file.read()
    (n,) = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8:8 + n])
    return {name: [t["dtype"], t["shape"], raw[8 + n:][slice(*t["data_offsets"])]]
            for name, t in head.items() if name != "__metadata__"}


def write_weights(path, tensors):
    head, place, data = {}, 0, b""
    for name, (dtype, shape, values) in sorted(tensors.items()):
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, place + len(values)]}
        place += len(values)
        data += values
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def copy(program, name="model", files=None, weights=True):
    """A copy of the demo model in a folder of its own, with files of these names and JSON contents beside it."""
    folder = os.path.join(program.folder, name)
    os.makedirs(folder, exist_ok=True)
    for file in ("config.json", "tokenizer.model") + (("model.safetensors",) if weights else ()):
        shutil.copy(os.path.join(SOURCE, file), folder)
    for file, content in (files or {}).items():
        program.file(f"{name}/{file}", json.dumps(content))
    return folder


def read_config():
    with open(os.path.join(SOURCE, "config.json"), encoding="utf-8") as file:
        return json.load(file)


def changed(program, name, tensors=None, **keys):
    """A copy with other keys in config.json and, where given, other weights."""
    folder = copy(program, name, {"config.json": {**read_config(), **keys}}, weights=tensors is None)
    if tensors:
        write_weights(os.path.join(folder, "model.safetensors"), tensors)
    return folder


def padded(program, rows, row, like, factor):
    """The demo model with more embeddings than its tokenizer has pieces: `row` is that of `like`, enlarged."""
    tensors = read_weights()
    dtype, (n, width), values = tensors[EMBEDDINGS]
    table = [values[i * width * 2:(i + 1) * width * 2] for i in range(n)]
    table += [bytes(width * 2)] * (rows - n)
    table[row] = scaled(table[like], factor)
    tensors[EMBEDDINGS] = [dtype, [rows, width], b"".join(table)]
    return changed(program, "padded", tensors, vocab_size=rows)


def as_gguf(program, name="demo.gguf"):
    """The demo model with its tokenizer as one GGUF file, its weights in f32: the path."""
    keys, tensors, _, _ = to_gguf.convert(SOURCE)
    with open(os.path.join(SOURCE, "tokenizer.model"), "rb") as file:
        pieces = [dict(fields(value)) for number, value in fields(file.read()) if number == 1]
    path = os.path.join(program.folder, name)
    to_gguf.write_gguf(path, {
        **keys, "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": [piece[1].decode() for piece in pieces],
        "tokenizer.ggml.scores": [struct.unpack("<f", piece.get(2, bytes(4)))[0] for piece in pieces],
        "tokenizer.ggml.token_type": [piece.get(3, 1) for piece in pieces],
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2}, tensors)
    return path
