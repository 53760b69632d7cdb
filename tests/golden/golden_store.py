"""Other forms in which a checkpoint's experts are stored than the one that save_pretrained writes."""

import json
import os

import numpy as np
import torch
from safetensors.torch import load_file, save_file

FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
BLOCK = 32


def store_fused(folder, model):
    """All experts of a layer in one tensor, under the names of the class; the ends keep theirs."""
    path = os.path.join(folder, "model.safetensors")
    dtype = next(iter(load_file(path).values())).dtype
    tied = model.config.get_text_config().tie_word_embeddings
    tensors = {name: value.detach().to(dtype).contiguous().clone() for name, value in model.state_dict().items()
               if not (tied and name == "lm_head.weight")}
    save_file(tensors, path, metadata={"format": "pt"})


def to_blocks(values):
    """Rows of a multiple of 32 numbers as codes [..., blocks, 16] and powers of two [..., blocks]."""
    blocks = values.reshape(*values.shape[:-1], -1, BLOCK)
    largest = np.abs(blocks).max(-1)
    exponent = np.floor(np.log2(largest)).astype(np.int64) - 2
    scaled = blocks / np.exp2(exponent)[..., None]
    codes = np.abs(scaled[..., None] - FP4).argmin(-1).astype(np.uint8)
    return codes[..., 0::2] | codes[..., 1::2] << 4, (exponent + 127).astype(np.uint8)


def from_blocks(codes, exponents):
    values = np.stack([FP4[codes & 15], FP4[codes >> 4]], -1).reshape(*codes.shape[:-1], BLOCK)
    values = values * np.exp2(exponents.astype(np.float64) - 127)[..., None]
    return values.reshape(*codes.shape[:-2], -1)


def round_to_mxfp4(model):
    """Experts become numbers that blocks of MXFP4 have. Returns the blocks by name."""
    stored = {}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
                continue
            codes, exponents = to_blocks(weight.transpose(1, 2).double().numpy())
            weight.copy_(torch.from_numpy(from_blocks(codes, exponents)).transpose(1, 2))
            stored[name + "_blocks"] = torch.from_numpy(codes).contiguous()
            stored[name + "_scales"] = torch.from_numpy(exponents).contiguous()
    return stored


def store_mxfp4(folder, blocks):
    path, config = os.path.join(folder, "model.safetensors"), os.path.join(folder, "config.json")
    tensors = {name: value for name, value in load_file(path).items() if name + "_blocks" not in blocks}
    save_file(tensors | blocks, path, metadata={"format": "pt"})
    with open(config, encoding="utf-8") as f:
        keys = json.load(f)
    keys["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": [
        "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}
    with open(config, "w", encoding="utf-8") as f:
        json.dump(keys, f, indent=2, sort_keys=True)
        f.write("\n")
