#!/usr/bin/env python3
"""Writes golden cases as GGUF files: keys, names and orders of rows as in the files that people have.

usage: to_gguf.py CASES_DIR OUT_DIR

The cases of heads.txt go to OUT_DIR/heads, and mixtures of random blocks to OUT_DIR/blocks. OUT_DIR/list.txt has a
line for each file: the case, the file, "bits" or "close", and the window that is to be given along. Matrices keep
their type, all else is F32. A case that GGUF has no keys for is left out: REFUSED says why. "close": Llama 3.1's
rotation is stored as rounded factors, and A_log of Mamba 2 as what it stands for, from which the last bits cannot be
had back."""
import json
import math
import os
import random
import struct
import sys

# What an omitted key means to its class, where a file has to say it.
DEFAULTS = {
    "gemma2": {"head_dim": 256, "query_pre_attn_scalar": 256, "period": 2, "rms_norm_eps": 1e-6, "bos_token_id": 2,
               "eos_token_id": 1, "tie_word_embeddings": True},
    "gemma3_text": {"head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 4096, "period": 6,
                    "rope_theta": 1e6, "tie_word_embeddings": True},
    "olmo3": {"sliding_window": 4096, "period": 4, "rope_theta": 5e5},
    "cohere2": {"sliding_window": 4096, "period": 4, "logit_scale": 0.0625, "tie_word_embeddings": True},
    "exaone4": {"sliding_window": 4096, "period": 4},
    "smollm3": {"rope_theta": 2e6, "tie_word_embeddings": True},
    "glm4": {"partial_rotary_factor": 0.5, "rms_norm_eps": 1.5625e-7},
    "glm4_moe": {"partial_rotary_factor": 0.5},
    "qwen3": {"head_dim": 128},
    "gpt_oss": {"sliding_window": 128, "rope_theta": 150000.0, "swiglu_limit": 7.0, "rope_scaling": {
        "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0,
        "original_max_position_embeddings": 4096}},
}
NAMES = {"mistral": "llama", "ministral3": "mistral3", "gemma3_text": "gemma3", "olmo3": "olmo2", "mixtral": "llama",
         "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "granitemoeshared": "granitemoe", "gpt_oss": "gpt-oss",
         "granitemoehybrid": "granitehybrid", "glm4_moe": "glm4moe"}
PERMUTED = ("llama", "mistral3", "granite", "granitemoe", "granitehybrid", "smollm3")
MIXTURES = ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "granitemoe", "granitemoeshared", "gpt_oss",
            "granitemoehybrid", "glm4_moe")
NORMALIZED = {"qwen2_moe": False, "qwen3_moe": True, "olmoe": False, "glm4_moe": None}  # where a file does not say it
REFUSED = {
    "llama_yarn_edges": "truncate false",
    "llama_dynamic": "dynamic scaling",
    "ministral": "a window on some layers of Mistral",
    "mistral_layer_types": "a window on some layers of Mistral",
    "qwen2_window": "a window on some layers of Qwen 2",
    "olmo3_nested": "another theta behind windows of OLMo 3, Llama 3.1's scaling on some layers",
    "smollm3_window": "windows, and a list of layers that rotate",
    "mistral_bare": "no head at all",
    "qwen2_moe_dense": "layers without experts",
    "gpt_oss": "another limit of the clamped SwiGLU",
}
FAMILIES_REFUSED = {
    "qwen3_next": "linear layers",
    "qwen3_5_text": "linear layers",
    "qwen3_5_moe_text": "linear layers",
    "gemma4_text": "layers that differ in their heads",
}
DTYPES = {"F32": (0, 4), "F16": (1, 2), "BF16": (30, 2)}
MXFP4 = 39
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


# ---- the format ----

def text(value):
    value = value.encode()
    return struct.pack("<Q", len(value)) + value


def pack_value(value):
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", U32, value)
    if isinstance(value, float):
        return struct.pack("<If", F32, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + text(value)
    kind, pack = {bool: (BOOL, lambda x: struct.pack("<?", x)), int: (I32, lambda x: struct.pack("<i", x)),
                  float: (F32, lambda x: struct.pack("<f", x)), str: (STRING, text)}[type(value[0])]
    return struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(map(pack, value))


def write_gguf(path, keys, tensors):
    """tensors: (name, shape slowest first, number of the type, bytes)."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for key, value in keys.items():
        head += text(key) + pack_value(value)
    offset = 0
    for name, shape, kind, data in tensors:
        head += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
        head += struct.pack("<IQ", kind, offset)
        offset += (len(data) + 31) // 32 * 32
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % 32))
        for _, _, _, data in tensors:
            file.write(data + bytes(-len(data) % 32))


def write_split(stem, keys, tensors, n_parts):
    """The first part has the keys, tensors are dealt out in order."""
    share = (len(tensors) + n_parts - 1) // n_parts
    for i in range(n_parts):
        split = {"split.no": i, "split.count": n_parts, "split.tensors.count": len(tensors)}
        write_gguf(f"{stem}-{i + 1:05d}-of-{n_parts:05d}.gguf", (keys if i == 0 else {}) | split,
                   tensors[i * share:(i + 1) * share])


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
            for name, entry in header.items()}


def widened(dtype, data):
    """The numbers as f32."""
    if dtype == "F32":
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    if dtype == "F16":
        return list(struct.unpack(f"<{len(data) // 2}e", data))
    return list(struct.unpack(f"<{len(data) // 2}f", b"".join(b"\0\0" + data[i:i + 2] for i in range(0, len(data), 2))))


def f32_bytes(values):
    return struct.pack(f"<{len(values)}f", *values)


# ---- tensors ----

def stored_name(name, model_type):
    """The name in GGUF of a tensor of the class; None for the parts of a model around it."""
    for prefix in ("language_model.model.", "model.language_model.", "model."):
        if name.startswith(prefix):
            name = name[len(prefix):]
            break
    after = model_type in ("gemma2", "gemma3_text", "olmo2", "olmo3", "exaone4")
    norms = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "post_attention_norm" if after else "ffn_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
        "post_self_attn_layernorm": "post_attention_norm",
        "post_mlp_layernorm": "post_ffw_norm",
    }
    inner = norms | {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        "mlp.gate": "ffn_gate_inp", "mlp.router": "ffn_gate_inp", "block_sparse_moe.gate": "ffn_gate_inp",
        "block_sparse_moe.router.layer": "ffn_gate_inp", "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
        "mlp.shared_expert.gate_proj": "ffn_gate_shexp", "mlp.shared_expert.up_proj": "ffn_up_shexp",
        "mlp.shared_expert.down_proj": "ffn_down_shexp",
        "mamba.in_proj": "ssm_in", "mamba.conv1d": "ssm_conv1d", "mamba.norm": "ssm_norm", "mamba.out_proj": "ssm_out",
    }
    if model_type == "glm4_moe":
        inner |= {f"mlp.shared_experts.{part}_proj": f"ffn_{part}_shexp" for part in ("gate", "up", "down")}
    if model_type in ("gpt_oss", "glm4_moe"):
        inner["post_attention_layernorm"] = "post_attention_norm"
    outer = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight", "score.weight": "cls.output.weight"}
    if name in outer:
        return outer[name]
    parts = name.split(".", 2)
    if parts[0] != "layers":
        return None
    if parts[2] in ("mamba.A_log", "mamba.D", "mamba.dt_bias"):
        return f"blk.{parts[1]}." + {"A_log": "ssm_a", "D": "ssm_d", "dt_bias": "ssm_dt.bias"}[parts[2][6:]]
    if parts[2] == "mlp.gate.e_score_correction_bias":
        return f"blk.{parts[1]}.exp_probs_b.bias"
    if parts[2] == "self_attn.sinks":
        return f"blk.{parts[1]}.attn_sinks.weight"
    stem, _, ending = parts[2].rpartition(".")
    return f"blk.{parts[1]}.{inner[stem]}.{ending}"


def permuted(data, n_heads, n_rows):
    """Rows of each head in the order in which those of the two halves alternate."""
    size, head = len(data) // n_rows, n_rows // n_heads
    order = [h * head + j * head // 2 + i for h in range(n_heads) for i in range(head // 2) for j in range(2)]
    return b"".join(data[row * size:(row + 1) * size] for row in order)


def convert_tensor(name, tensor, model_type, config):
    dtype, shape, data = tensor
    arch = NAMES.get(model_type, model_type)
    kind, size = DTYPES[dtype]
    if len(shape) == 1:
        values = widened(dtype, data)
        if model_type.startswith("gemma") and name.endswith("norm.weight"):
            values = [value + 1 for value in values]
        if name.endswith("ssm_a"):
            values = [-math.exp(value) for value in values]
        if name.endswith(("ssm_a", "ssm_d")):
            shape = shape + [1]
        if name.endswith("ssm_norm.weight"):
            shape = [config["mamba_n_groups"], shape[0] // config["mamba_n_groups"]]
        kind, data = 0, f32_bytes(values)
    if name.endswith("ssm_conv1d.weight"):
        shape, kind, data = [shape[0], shape[2]], 0, f32_bytes(widened(dtype, data))
    for part, count in ((".attn_q.", "num_attention_heads"), (".attn_k.", "num_key_value_heads")):
        if arch in PERMUTED and part in name:
            data = permuted(data, config.get(count) or config["num_attention_heads"], shape[0])
    return name, shape, kind, data


# ---- experts ----

EXPERTS = (".experts.", "block_sparse_moe.input_linear", "block_sparse_moe.output_linear", "shared_mlp.")
SINGLE = {"w1": "gate", "w2": "down", "w3": "up", "gate_proj": "gate", "up_proj": "up", "down_proj": "down"}


def halves(data, n):
    """The gate's and the other rows of n experts, which are one below the other."""
    size = len(data) // n
    each = [data[i * size:(i + 1) * size] for i in range(n)]
    return b"".join(e[:size // 2] for e in each), b"".join(e[size // 2:] for e in each)


def in_blocks(blocks, scales):
    """Rows of MXFP4 as in GGUF: the scale, then codes i and i + 16 in one byte."""
    out = bytearray()
    for i, scale in enumerate(scales):
        codes = [half for byte in blocks[16 * i:16 * i + 16] for half in (byte & 15, byte >> 4)]
        out.append(scale)
        out += bytes(codes[j] | codes[j + 16] << 4 for j in range(16))
    return bytes(out)


def single_experts(layer, tensors):
    """tensors: of one tensor for each expert and part."""
    of_part = {}
    for name, tensor in tensors.items():
        expert, part = name.split(".experts.")[1].split(".")[:2]
        of_part.setdefault(SINGLE[part], {})[int(expert)] = tensor
    for part, experts in of_part.items():
        dtype, shape, _ = experts[0]
        yield (f"blk.{layer}.ffn_{part}_exps.weight", [len(experts)] + shape, DTYPES[dtype][0],
               b"".join(experts[i][2] for i in range(len(experts))))


def packed_experts(layer, tensors):
    """Of gpt-oss: gate and up in turns, in MXFP4, with biases."""
    def named(ending):
        return next(tensor for name, tensor in tensors.items() if name.endswith(ending))
    for matrix, parts in (("gate_up_proj", ("gate", "up")), ("down_proj", ("down",))):
        (_, shape, blocks), (_, _, scales), bias = (named(matrix + end) for end in ("_blocks", "_scales", "_bias"))
        n, rows, groups = shape[:3]
        values = widened(bias[0], bias[2])
        for i, part in enumerate(parts):
            chosen = range(i, n * rows, len(parts))
            data = b"".join(in_blocks(blocks[r * groups * 16:(r + 1) * groups * 16],
                                      scales[r * groups:(r + 1) * groups]) for r in chosen)
            of_part = rows // len(parts)
            yield f"blk.{layer}.ffn_{part}_exps.weight", [n, of_part, groups * 32], MXFP4, data
            yield f"blk.{layer}.ffn_{part}_exps.bias", [n, of_part], 0, f32_bytes([values[r] for r in chosen])


def fused_experts(layer, tensors):
    has_experts = any("block_sparse_moe" in name or "mlp.experts" in name for name in tensors)
    for name, (dtype, shape, data) in tensors.items():
        kind = DTYPES[dtype][0]
        owner = "" if not has_experts else "_shexp" if "shared_mlp" in name else "_exps"
        if "down_proj" in name or "output_linear" in name:
            yield f"blk.{layer}.ffn_down{owner}.weight", shape, kind, data
            continue
        n = shape[0] if len(shape) == 3 else 1
        for part, rows in zip(("gate", "up"), halves(data, n)):
            yield f"blk.{layer}.ffn_{part}{owner}.weight", shape[:-2] + [shape[-2] // 2, shape[-1]], kind, rows


def expert_tensors(tensors):
    """tensors: all of a layer that hold gates and the like, by name."""
    layer = next(iter(tensors)).split("layers.")[1].split(".")[0]
    if any(name.endswith("_blocks") for name in tensors):
        return list(packed_experts(layer, tensors))
    if any(part.isdigit() for name in tensors for part in name.split(".experts.")[-1].split(".")[:1]):
        return list(single_experts(layer, tensors))
    return list(fused_experts(layer, tensors))


def expert_keys(config, model_type):
    if model_type not in MIXTURES:
        return {}
    n_experts = config.get("num_local_experts")
    if n_experts is None:
        n_experts = config["n_routed_experts" if model_type == "glm4_moe" else "num_experts"]
    keys = {"expert_count": n_experts,
            "expert_used_count": config["num_experts_per_tok"]}
    for ours, theirs in (("moe_intermediate_size", "expert_feed_forward_length"),
                         ("shared_expert_intermediate_size", "expert_shared_feed_forward_length"),
                         ("shared_intermediate_size", "expert_shared_feed_forward_length")):
        if ours in config:
            keys[theirs] = config[ours]
    if model_type == "glm4_moe":
        keys |= {"expert_gating_func": 2, "expert_weights_scale": float(config["routed_scaling_factor"]),
                 "expert_shared_count": config["n_shared_experts"],
                 "leading_dense_block_count": config["first_k_dense_replace"],
                 "nextn_predict_layers": config["num_nextn_predict_layers"],
                 "block_count": config["num_hidden_layers"] + config["num_nextn_predict_layers"]}
    if model_type == "gpt_oss":
        keys["expert_feed_forward_length"] = config["intermediate_size"]
    normalized = config.get("norm_topk_prob", False)
    if normalized != NORMALIZED.get(model_type, normalized):
        keys["expert_weights_norm"] = normalized
    return keys


# ---- keys ----

def linear_keys(config, model_type):
    if model_type != "granitemoehybrid":
        return {}
    rotates = config["position_embedding_type"] == "rope"
    keys = {"rope.scaling.finetuned": rotates,
            "attention.head_count_kv": [config["num_key_value_heads"] if "attention" in kind and "linear" not in kind
                                        else 0 for kind in config["layer_types"]],
            "ssm.conv_kernel": config["mamba_d_conv"], "ssm.state_size": config["mamba_d_state"],
            "ssm.group_count": config["mamba_n_groups"], "ssm.time_step_rank": config["mamba_n_heads"],
            "ssm.inner_size": config["mamba_expand"] * config["hidden_size"]}
    return keys if rotates else keys | {"context_length": 1 << 20}


def rope_of(config):
    """The rope parameters of full layers and the theta of sliding ones."""
    rope = dict(config.get("rope_parameters") or {})
    if "full_attention" in rope:
        return dict(rope["full_attention"]), rope["sliding_attention"]["rope_theta"]
    rope |= config.get("rope_scaling") or {}
    rope.setdefault("rope_theta", config.get("rope_theta", 1e4))
    if "type" in rope:
        rope["rope_type"] = rope.pop("type")
    return rope, config.get("rope_local_base_freq")


def rope_keys(config, head_dim, extra):
    """The keys; factors become tensors in `extra`."""
    rope, sliding = rope_of(config)
    kind, keys = rope.get("rope_type", "default"), {"rope.freq_base": float(rope["rope_theta"])}
    if sliding is not None:
        keys["rope.freq_base_swa"] = float(sliding)
    share = rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))
    rotary = int(head_dim * share)
    keys["rope.dimension_count"] = rotary
    length = config.get("original_max_position_embeddings") or rope.get("original_max_position_embeddings")
    if kind in ("linear", "yarn"):
        keys |= {"rope.scaling.type": kind, "rope.scaling.factor": float(rope["factor"])}
    if kind == "yarn":
        keys["rope.scaling.original_context_length"] = length
        for ours, theirs in (("attention_factor", "attn_factor"), ("beta_fast", "beta_fast"),
                             ("beta_slow", "beta_slow")):
            if rope.get(ours) is not None:
                keys["rope.scaling.yarn_" + theirs] = float(rope[ours])
        if "mscale_all_dim" in rope:
            keys["rope.scaling.yarn_log_multiplier"] = float(rope["mscale_all_dim"])
    if "llama_4_scaling_beta" in rope:
        keys["attention.temperature_scale"] = float(rope["llama_4_scaling_beta"])
    if kind in ("longrope", "su"):
        scale = rope.get("factor", config["max_position_embeddings"] / length)
        keys["rope.scaling.original_context_length"] = length
        keys["rope.scaling.attn_factor"] = math.sqrt(1 + math.log(scale) / math.log(length))
        for which in ("long", "short"):
            extra.append((f"rope_factors_{which}.weight", [rotary // 2], 0, f32_bytes(rope[which + "_factor"])))
    if kind == "llama3":
        extra.append(("rope_freqs.weight", [rotary // 2], 0, f32_bytes(llama3_factors(rope, rotary, length))))
    return keys


def llama3_factors(rope, rotary, length):
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    factors = []
    for i in range(rotary // 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (2 * i / rotary)
        smooth = (length / wavelength - low) / (high - low)
        smooth = 1 if wavelength < length / high else 0 if wavelength > length / low else smooth
        factors.append(1 / ((1 - smooth) / factor + smooth))
    return factors


def window_keys(config, model_type):
    """Which layers have a window, if any has."""
    window = config.get("sliding_window")
    if window is None or model_type not in ("gemma2", "gemma3_text", "olmo3", "cohere2", "exaone4", "phi3",
                                            "gpt_oss"):
        return {}
    keys = {"attention.sliding_window": window}
    period = config.get("sliding_window_pattern") or config.get("period")
    n_layers = config["num_hidden_layers"]
    if "layer_types" in config:
        keys["attention.sliding_window_pattern"] = [kind == "sliding_attention" for kind in config["layer_types"]]
    elif period and period != config["period"]:
        keys["attention.sliding_window_pattern"] = [(i + 1) % period != 0 for i in range(n_layers)]
    return keys


def own_keys(config, model_type):
    """What one class alone has."""
    keys = {}
    if model_type in ("gemma2", "gemma3_text"):
        keys["attention.scale"] = 1 / math.sqrt(config["query_pre_attn_scalar"])
    for ours, theirs in (("attn_logit_softcapping", "attn_logit_softcapping"),
                         ("final_logit_softcapping", "final_logit_softcapping"),
                         ("attention_multiplier", "attention.scale"), ("embedding_multiplier", "embedding_scale"),
                         ("residual_multiplier", "residual_scale"), ("logits_scaling", "logit_scale"),
                         ("logit_scale", "logit_scale")):
        if config.get(ours) is not None:
            keys[theirs] = float(config[ours])
    return keys


def head_keys(case, config):
    """What a model of scores, or of vectors, has beside its tensors."""
    keys = {}
    if config["architectures"][0].endswith("ForSequenceClassification"):
        keys["pooling_type"] = 4
        keys["classifier.output_labels"] = list(config.get("id2label", {"0": "LABEL_0", "1": "LABEL_1"}).values())
    pooling = os.path.join(case, "1_Pooling", "config.json")
    if os.path.exists(pooling):
        with open(pooling, encoding="utf-8") as file:
            modes = json.load(file)
        keys["pooling_type"] = 3 if modes["pooling_mode_lasttoken"] else 2 if modes["pooling_mode_cls_token"] else 1
    return keys


def convert(case):
    """(keys, tensors, class, the window that the file cannot have)."""
    with open(os.path.join(case, "config.json"), encoding="utf-8") as file:
        whole = json.load(file)
    config = whole.get("text_config", whole)
    model_type = config["model_type"]
    config = DEFAULTS.get(model_type, {}) | {"tie_word_embeddings": whole.get("tie_word_embeddings", False)} | config
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    norm = "attention.layer_norm_epsilon" if model_type == "cohere2" else "attention.layer_norm_rms_epsilon"
    keys = {
        "context_length": config["max_position_embeddings"], "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"], "block_count": config["num_hidden_layers"],
        "attention.head_count": heads, "attention.head_count_kv": config.get("num_key_value_heads") or heads,
        "attention.key_length": head_dim, "attention.value_length": head_dim,
        norm: config["layer_norm_eps" if model_type == "cohere2" else "rms_norm_eps"],
    }
    tensors = []
    keys |= rope_keys(config, head_dim, tensors) | window_keys(config, model_type) | own_keys(config, model_type)
    keys |= expert_keys(config, model_type) | linear_keys(config, model_type)
    arch = NAMES.get(model_type, model_type)
    keys = {"general.architecture": arch, "general.type": "model"} | {f"{arch}.{k}": v for k, v in keys.items()}
    keys |= {f"{arch}.{k}": v for k, v in head_keys(case, whole).items()}
    keys |= {"tokenizer.ggml.bos_token_id": config["bos_token_id"],
             "tokenizer.ggml.eos_token_id": config["eos_token_id"]}
    for file in sorted(os.listdir(case)):
        if not file.startswith("model") or not file.endswith(".safetensors"):
            continue
        stored_tensors = read_safetensors(os.path.join(case, file))
        layers = {}
        for name in [name for name in stored_tensors if any(part in name for part in EXPERTS)]:
            layers.setdefault(name.split("layers.")[1].split(".")[0], {})[name] = stored_tensors.pop(name)
        tensors += [tensor for layer in layers.values() for tensor in expert_tensors(layer)]
        for name, tensor in stored_tensors.items():
            stored = stored_name(name, model_type)
            if stored:
                tensors.append(convert_tensor(stored, tensor, model_type, config))
    if model_type == "glm4_moe":  # of a layer that predicts further tokens
        name = f"blk.{config['num_hidden_layers']}.nextn.enorm.weight"
        tensors.append((name, [config["hidden_size"]], 0, f32_bytes([1.0] * config["hidden_size"])))
    silent = model_type in ("mistral", "mixtral") and config.get("sliding_window")
    return keys, tensors, rope_of(config)[0].get("rope_type"), silent or 0


# ---- experts in blocks ----

BLOCKS = {"q4_0": (2, 32, 18), "q8_0": (8, 32, 34), "q4_k": (12, 256, 144), "mxfp4": (39, 32, 17)}
HIDDEN, SIZE, N_EXPERTS, HEAD_DIM = 256, 256, 4, 64


def random_blocks(rng, kind, n_values):
    """Blocks of any codes, whose scales make numbers of the size of weights."""
    _, length, n_bytes = BLOCKS[kind]
    scale = {"q4_0": struct.pack("<e", 0.01), "q8_0": struct.pack("<e", 0.0005), "mxfp4": bytes([121]),
             "q4_k": struct.pack("<ee", 0.0002, 0.0015)}[kind]
    return b"".join(scale + rng.randbytes(n_bytes - len(scale)) for _ in range(n_values // length))


def write_mixture(path, arch, kind, rng):
    """One layer of random numbers, its experts in blocks."""
    own = {"granitemoe": {"attention.scale": 0.125, "expert_shared_feed_forward_length": SIZE}}.get(arch, {})
    keys = {"vocab_size": 64, "context_length": 128, "embedding_length": HIDDEN, "feed_forward_length": SIZE,
            "block_count": 1, "attention.head_count": 4, "attention.head_count_kv": 2, "attention.key_length": HEAD_DIM,
            "attention.value_length": HEAD_DIM, "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 10000.0,
            "expert_count": N_EXPERTS, "expert_used_count": 2, "expert_feed_forward_length": SIZE} | own
    keys = {"general.architecture": arch} | {f"{arch}.{key}": value for key, value in keys.items()}
    tensors = []

    def numbers(name, *shape):
        values = [rng.gauss(0, 0.06) if len(shape) > 1 else 1.0 for _ in range(math.prod(shape))]
        tensors.append((name, list(shape), 0, f32_bytes(values)))

    def blocks(name, *shape):
        tensors.append((name, list(shape), BLOCKS[kind][0], random_blocks(rng, kind, math.prod(shape))))
    numbers("token_embd.weight", 64, HIDDEN)
    numbers("output_norm.weight", HIDDEN)
    for name, rows in (("attn_q", 256), ("attn_k", 128), ("attn_v", 128), ("attn_output", HIDDEN),
                       ("ffn_gate_inp", N_EXPERTS)):
        numbers(f"blk.0.{name}.weight", rows, HIDDEN)
    for name in ("attn_norm", "ffn_norm"):
        numbers(f"blk.0.{name}.weight", HIDDEN)
    if arch == "qwen3moe":
        for name in ("attn_q_norm", "attn_k_norm"):
            numbers(f"blk.0.{name}.weight", HEAD_DIM)
    for part in ("gate", "up", "down"):
        blocks(f"blk.0.ffn_{part}_exps.weight", N_EXPERTS, SIZE, HIDDEN)
        if arch == "granitemoe":
            blocks(f"blk.0.ffn_{part}_shexp.weight", SIZE, HIDDEN)
    write_gguf(path, keys, tensors)


def write_mixtures(out):
    """A file for each kind of blocks and each of two architectures: OUT_DIR/blocks, with a list."""
    os.makedirs(out, exist_ok=True)
    rng, names = random.Random(5), [f"{arch}-{kind}" for arch in ("qwen3moe", "granitemoe") for kind in BLOCKS]
    for name in names:
        write_mixture(os.path.join(out, name + ".gguf"), *name.split("-"), rng)
    with open(os.path.join(out, "list.txt"), "w", encoding="utf-8") as file:
        file.writelines(name + ".gguf\n" for name in names)


def is_refused(cases, name):
    with open(os.path.join(cases, name, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    return name in REFUSED or config.get("text_config", config)["model_type"] in FAMILIES_REFUSED


def names_of(cases, name):
    """The cases of a list that GGUF has words for."""
    with open(os.path.join(cases, name), encoding="utf-8") as file:
        names = [line.strip() for line in file if not line.startswith("#")]
    return [name for name in names if not is_refused(cases, name)]


def main():
    cases, out = sys.argv[1:]
    os.makedirs(out, exist_ok=True)
    write_mixtures(os.path.join(out, "blocks"))
    lines = []
    os.makedirs(os.path.join(out, "heads"), exist_ok=True)
    for name in names_of(cases, "heads.txt"):
        keys, tensors, _, _ = convert(os.path.join(cases, name))
        write_gguf(os.path.join(out, "heads", name + ".gguf"), keys, tensors)
    for name in names_of(cases, "cases.txt") + names_of(cases, "mixed.txt"):
        keys, tensors, rope, window = convert(os.path.join(cases, name))
        write_gguf(os.path.join(out, name + ".gguf"), keys, tensors)
        lines.append(f"{name} {name}.gguf {'close' if rope == 'llama3' or name.startswith('granitehybrid') else 'bits'} {window}\n")
        if name == "llama_sharded":
            os.makedirs(os.path.join(out, "split"), exist_ok=True)
            write_split(os.path.join(out, "split", name), keys, tensors, 3)
            lines.append(f"{name} split bits 0\n{name} split/{name}-00001-of-00003.gguf bits 0\n")
    with open(os.path.join(out, "list.txt"), "w", encoding="utf-8") as file:
        file.writelines(lines)


if __name__ == "__main__":
    main()
