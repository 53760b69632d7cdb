"""Makes the golden cases: tiny random checkpoints and what transformers computes from them.

usage: make.py [case ...]     (all cases when none is named)

Each case of golden_cases.py is a folder beside this script. expected.safetensors holds, for every
prompt p<i>, run alone in float32 with eager attention:

    p<i>.tokens       I32 [len]
    p<i>.logits       F32 [vocab]                      of the last token
    p<i>.k.<layer>    F32 [len, n_kv_heads, head_dim]  after the rotation
    p<i>.v.<layer>    F32 [len, n_kv_heads, head_dim]
    p<i>.s.<layer>    F32 [value heads, key dim, value dim]  the state of a linear layer
    p<i>.c.<layer>    F32 [kernel - 1, channels]       what its convolution still sees: q, k, v
    p<i>.next         I32 [4]                          tokens appended one at a time
    p<i>.step_logits  F32 [4, vocab]                   after each of them

Layers without keys of their own, linear ones and those that see another's, have no k and v. A case
with bf16 has the same once more, computed in bfloat16, as p<i>.bf16.<name>. A prompt whose rotation
would change with each token appended (dynamic, past its maximum) has no next and no step_logits.
"""

import copy
import json
import os
import re
import shutil
import sys

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, Gemma3Config
from transformers.cache_utils import DynamicCache

from golden_cases import CASES as DENSE_CASES
from golden_cases import FULL, SLIDING
from golden_experts import EXPERT_CASES
from golden_gemma4 import GEMMA4_CASES
from golden_linear import LINEAR_CASES
from golden_routing import check_same_choices, draw_clear, routers
from golden_store import round_to_mxfp4, store_fused, store_mxfp4

CASES = DENSE_CASES | EXPERT_CASES | LINEAR_CASES | GEMMA4_CASES
HERE = os.path.dirname(os.path.abspath(__file__))
N_STEPS = 4
EAGER = dict(attn_implementation="eager", experts_implementation="eager")
VISION = dict(model_type="siglip_vision_model", hidden_size=8, intermediate_size=8,
              num_hidden_layers=1, num_attention_heads=1, image_size=8, patch_size=4)
# The parts around a text_config.
OTHERS = {
    "qwen3_5": dict(vision_config=dict(depth=1, hidden_size=8, intermediate_size=8, num_heads=1, patch_size=2,
                                       out_hidden_size=36, num_position_embeddings=4)),
    "gemma4": dict(audio_config=None, vision_config=dict(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1,
        head_dim=8, patch_size=2, position_embedding_size=4))}
OTHERS["qwen3_5_moe"] = OTHERS["qwen3_5"]


def auto_class(case):
    return AutoModelForImageTextToText if case["family"] in OTHERS else AutoModelForCausalLM


def make_config(case):
    keys = copy.deepcopy(case["config"])
    if case["family"] in OTHERS:
        return AutoConfig.for_model(case["family"], text_config=keys, attn_implementation="eager",
                                    tie_word_embeddings=keys["tie_word_embeddings"], **OTHERS[case["family"]])
    if case["family"] != "gemma3":
        return AutoConfig.for_model(case["family"], attn_implementation="eager", **keys)
    return Gemma3Config(text_config=keys, vision_config=VISION, mm_tokens_per_image=4,
                        tie_word_embeddings=keys["tie_word_embeddings"],
                        attn_implementation="eager")


def randomize(model, generator):
    """Weights large enough that attention is uneven and the logits differ by several units."""
    kind = model.config.model_type
    less_1 = kind.startswith(("gemma2", "gemma3", "qwen3_next", "qwen3_5"))
    with torch.no_grad():
        for name, weight in list(model.named_parameters()) + stored_buffers(model):
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("correction_bias"):
                weight.copy_(0.2 * noise)
            elif name.endswith("bias"):
                weight.copy_(0.5 * noise)
            elif name.endswith("sinks"):
                weight.copy_(2.0 + noise)
            elif name.endswith("A_log"):  # some heads keep a token for hundreds of others
                weight.copy_(1.5 * noise - 2.5)
            elif "conv1d" in name:
                weight.copy_(0.4 * noise)
            elif name.endswith("router.proj.weight"):  # its input is divided by the root of its size
                weight.copy_(1.25 * noise)
            elif name.endswith("q_norm.weight") and kind.startswith("gemma4"):  # scores are not divided
                weight.copy_(0.35 + 0.07 * noise)
            elif weight.dim() == 1 and less_1 and "linear_attn" not in name:  # stored less 1
                weight.copy_(0.3 * noise)
            elif weight.dim() == 1:
                weight.copy_(1.0 + 0.2 * noise)
            elif "embed_tokens" in name:
                weight.copy_(0.5 * noise)
            else:
                weight.copy_(0.22 * noise)


def stored_buffers(model):
    return [(name, buffer) for name, buffer in model.named_buffers()
            if name.endswith(("correction_bias", "layer_scalar"))]


def classic_rope(config):
    """Puts the rotation's keys where releases before 5 put them."""
    rope = config.pop("rope_parameters", None)
    if rope is None:
        return
    nested = FULL in rope
    if nested:  # one for each kind of layer: of these only Gemma 3 had two thetas
        sliding, rope = rope[SLIDING], rope[FULL]
        if config["model_type"].startswith("gemma3"):
            config["rope_local_base_freq"] = sliding["rope_theta"]
    config["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    if rope["rope_type"] in ("linear", "dynamic", "longrope") and not nested:
        rope["type"] = rope.pop("rope_type")  # the oldest of the spellings
    config["rope_scaling"] = None if rope.get("rope_type") == "default" else rope


def rewrite_config(folder, case):
    """config.json in the case's spelling, without the keys to omit, with those to put."""
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as f:
        whole = json.load(f)
    text = whole.get("text_config", whole)
    if case.get("spelling") != "new":
        classic_rope(text)
        whole["torch_dtype"] = whole.pop("dtype")
    for key in case.get("omit", ()):
        assert key in text or key in whole, key
        text.pop(key, None)
        whole.pop(key, None)
    text |= case.get("put", {})
    with open(path, "w", encoding="utf-8") as f:
        json.dump(whole, f, indent=2, sort_keys=True)
        f.write("\n")


def fingerprint(text):
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value


def text_model(model):
    return getattr(model.model, "language_model", model.model)


def start_anew(model):
    """Forgets the lengths seen: the rotation of "dynamic" keeps the longest."""
    inner = text_model(model)
    inner.rotary_emb = type(inner.rotary_emb)(model.config)


def states(layer, config):
    """Of a linear layer: [value heads, key dim, value dim] and [kernel - 1, channels of q, k, v]."""
    state = layer.recurrent_states[0][0].float().clone()  # steps change it in place
    seen = layer.conv_states[0][0].float().clone().T
    if config.model_type == "granitemoehybrid":  # [heads, value dim, key dim]; channels of v, k, q
        state = state.transpose(1, 2)
        k = config.mamba_n_groups * config.mamba_d_state
        v = seen.shape[1] - 2 * k
        seen = torch.cat([seen[:, v + k:], seen[:, v:v + k], seen[:, :v]], 1)
        kernel = config.mamba_d_conv
    else:
        kernel = config.linear_conv_kernel_dim
    return state, seen[1 - kernel:]


@torch.no_grad()
def run_prompt(model, tokens, following):
    """Prefill alone, then a decode step for each token of following. Returns tensors by name."""
    config = model.config.get_text_config()
    linear = "linear_attention" in (getattr(config, "layer_types", None) or ())
    # Without a configuration it keeps every token: a window acts through the mask alone.
    cache = DynamicCache(config=config) if linear else DynamicCache()
    out = model(torch.tensor([tokens]), past_key_values=cache, use_cache=True)
    found = {"logits": out.logits[0, -1].float()}
    for i, layer in enumerate(cache.layers):
        if getattr(layer, "keys", None) is None:
            found[f"s.{i}"], found[f"c.{i}"] = states(layer, config)
            continue
        assert layer.keys.shape[2] == len(tokens)
        found[f"k.{i}"] = layer.keys[0].transpose(0, 1).float().contiguous()
        found[f"v.{i}"] = layer.values[0].transpose(0, 1).float().contiguous()
    got = [found["logits"]]
    for token in following:
        out = model(torch.tensor([[token]]), past_key_values=cache, use_cache=True)
        got.append(out.logits[0, -1].float())
    if following:
        found["step_logits"] = torch.stack(got[1:])

    # The cache must not have changed the meaning: once more without it.
    whole = model(torch.tensor([tokens + following]), use_cache=False).logits[0].float()
    tolerance = 2e-4 if model.dtype == torch.float32 else 1.0
    assert (whole[len(tokens) - 1:] - torch.stack(got)).abs().max() < tolerance
    return found


def draw_prompts(model, case, generator):
    tensors = {}
    config = model.config.get_text_config()
    for i, length in enumerate(case["lengths"]):
        if routers(model):
            drawn = draw_clear(model, length + N_STEPS, generator)
        else:
            drawn = torch.randint(3, config.vocab_size, (length + N_STEPS,), generator=generator)
        tensors[f"p{i}.tokens"] = drawn[:length].int()
        if not case.get("fresh") or length <= config.max_position_embeddings:
            tensors[f"p{i}.next"] = drawn[length:].int()
    return tensors


def expect(model, case, prompts, prefix=""):
    tensors = {}
    for i in range(len(case["lengths"])):
        if case.get("fresh"):
            start_anew(model)
        following = prompts[f"p{i}.next"].tolist() if f"p{i}.next" in prompts else []
        for name, value in run_prompt(model, prompts[f"p{i}.tokens"].tolist(), following).items():
            tensors[f"p{i}.{prefix}{name}"] = value.contiguous().clone()
    return tensors


def check_format(folder, case):
    """The case really is what it is said to be."""
    names = sorted(os.listdir(folder))
    shards = [n for n in names if n.startswith("model-")]
    assert (len(shards) >= 2) == ("shard" in case), names
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    keys = config | config.get("text_config", {})
    new = case.get("spelling") == "new"
    assert ("dtype" in keys, "torch_dtype" in keys) == (new, not new)
    assert not any(key in keys for key in case.get("omit", ()) if key not in case.get("put", ()))
    if "rope_parameters" not in case.get("omit", ()):
        assert ("rope_parameters" in keys) == new
    stored = set()
    for name in shards or ["model.safetensors"]:
        with safe_open(os.path.join(folder, name), "pt") as f:
            stored.update(f.keys())
            assert all(f.get_tensor(k).dtype == case.get("dtype", torch.float32) or case.get("mxfp4")
                       for k in f.keys())
    tied = case["config"]["tie_word_embeddings"]
    assert any(name.endswith("lm_head.weight") for name in stored) != tied


def reload(folder, case, dtype):
    model, info = auto_class(case).from_pretrained(
        folder, dtype=dtype, output_loading_info=True, **EAGER)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    return model.eval()


def changed(model, change):
    """The model with other keys, with other values in the tensors whose names match, or taken to a function."""
    config = copy.deepcopy(model.config)
    config.dtype = torch.float32
    weights = model.state_dict()
    if isinstance(change, dict):
        for key, value in copy.deepcopy(change).items():
            setattr(config.get_text_config(), key, value)
    elif not callable(change):
        pattern, values = change
        found = [name for name in weights if re.search(pattern, name)]
        assert found, pattern
        weights |= {name: values(weights[name]) for name in found}
    other = type(model)._from_config(config, **EAGER).float().eval()
    other.load_state_dict(weights)
    if callable(change):
        change(other)
    return other


@torch.no_grad()
def check_matters(model, case, tensors):
    """What changed nothing would test nothing."""
    last = len(case["lengths"]) - 1
    tokens = tensors[f"p{last}.tokens"].long()[None]
    for label, change in case.get("off", {}).items():
        logits = changed(model, change)(tokens).logits[0, -1]
        difference = (logits - tensors[f"p{last}.logits"]).abs().max()
        assert difference > 0.1, f"{label}: the logits differ by {difference}"


@torch.no_grad()
def check_same(made, read, case):
    """What was read back computes what was made: no key was lost in a spelling or by omission."""
    tokens = torch.arange(case["lengths"][-1])[None] % read.config.get_text_config().vocab_size
    assert torch.equal(changed(made, {})(tokens).logits, read(tokens).logits)


def make_case(name, case):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(fingerprint(name))
    made = auto_class(case).from_config(make_config(case)).eval()
    randomize(made, generator)
    blocks = round_to_mxfp4(made) if case.get("mxfp4") else None
    made.to(case.get("dtype", torch.float32))
    made.config.dtype = case.get("dtype", torch.float32)
    made.save_pretrained(folder, max_shard_size=case.get("shard", "5GB"))
    os.remove(os.path.join(folder, "generation_config.json"))
    rewrite_config(folder, case)
    if case.get("fused"):
        store_fused(folder, made)
    check_format(folder, case)

    # The reference is computed from the folder as saved, so both spellings are read back.
    seed = fingerprint(name + " prompts")
    model = reload(folder, case, torch.float32)
    check_same(made, model, case)
    tensors = draw_prompts(model, case, torch.Generator().manual_seed(seed))
    if routers(model):
        check_same_choices(model, reload(folder, case, torch.bfloat16), tensors)
    tensors |= expect(model, case, tensors)
    check_matters(model, case, tensors)
    if case.get("bf16"):
        tensors |= expect(reload(folder, case, torch.bfloat16), case, tensors, "bf16.")
    if blocks:
        store_mxfp4(folder, blocks)
    save_file(tensors, os.path.join(folder, "expected.safetensors"))
    for entry in os.listdir(folder):
        os.chmod(os.path.join(folder, entry), 0o644)
    spread = max(tensors[k].std().item() for k in tensors if k.endswith(".logits"))
    n_bytes = sum(os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder))
    print(f"{name:20s} {n_bytes:8d} bytes  logits std {spread:.2f}", flush=True)


def main():
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)  # the order of sums, and so the last bits, stay the same
    names = sys.argv[1:] or list(CASES)
    for name in names:
        make_case(name, CASES[name])


if __name__ == "__main__":
    main()
