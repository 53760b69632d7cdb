"""Makes the golden cases: tiny random checkpoints and what transformers computes from them.

usage: make.py [case ...]     (all cases when none is named)

Each case is a folder beside this script. expected.safetensors holds, for every prompt p<i>, run
alone in float32 with eager attention:

    p<i>.tokens       I32 [len]
    p<i>.logits       F32 [vocab]                      of the last token
    p<i>.k.<layer>    F32 [len, n_kv_heads, head_dim]  after the rotation
    p<i>.v.<layer>    F32 [len, n_kv_heads, head_dim]
    p<i>.next         I32 [4]                          tokens appended one at a time
    p<i>.step_logits  F32 [4, vocab]                   after each of them

Case llama_bf16 has the same once more, computed in bfloat16, as p<i>.bf16.<name>.
"""

import copy
import json
import os
import shutil
import sys

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig
from transformers.cache_utils import DynamicCache

HERE = os.path.dirname(os.path.abspath(__file__))
N_STEPS = 4
SHORT = (1, 3, 7, 12, 20)
LONG = (1, 2, 17, 65, 130)
LLAMA, MISTRAL = LlamaConfig, MistralConfig

# Sizes: hidden, intermediate, heads, kv heads, head_dim, vocab.
CASES = {
    "llama_mha": dict(kind=LLAMA, size=(48, 56, 3, 3, 16, 101), lengths=LONG, bare=True),
    "llama_gqa_tied": dict(kind=LLAMA, size=(72, 40, 6, 2, 16, 104), lengths=SHORT, tied=True),
    "llama_odd_heads": dict(kind=LLAMA, size=(60, 56, 3, 1, 20, 97), lengths=(1, 5, 18, 33)),
    "llama_bf16": dict(kind=LLAMA, size=(64, 96, 4, 2, 32, 128), lengths=(1, 4, 16, 40),
                       dtype=torch.bfloat16),
    "llama_f16": dict(kind=LLAMA, size=(64, 56, 4, 2, 16, 112), lengths=SHORT,
                      dtype=torch.float16),
    "llama_sharded": dict(kind=LLAMA, size=(48, 72, 4, 2, 16, 104), lengths=(2, 9, 21),
                          shard="80KB"),
    "llama_rope_llama3": dict(kind=LLAMA, size=(40, 56, 2, 1, 32, 99), lengths=(1, 15, 48, 70),
                              new_format=True,
                              rope=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                        high_freq_factor=4.0,
                                        original_max_position_embeddings=32)),
    "llama_rope_linear": dict(kind=LLAMA, size=(32, 56, 4, 2, 16, 99), lengths=(1, 10, 40),
                              rope=dict(rope_type="linear", factor=2.0)),
    "mistral_gqa": dict(kind=MISTRAL, size=(48, 80, 4, 1, 20, 110), lengths=SHORT,
                        new_format=True, window=None),
    "mistral_window": dict(kind=MISTRAL, size=(48, 56, 4, 2, 16, 103), lengths=(1, 5, 6, 13, 37),
                           window=5),
}


def make_config(case):
    hidden, inner, heads, kv_heads, head_dim, vocab = case["size"]
    rope = dict(case.get("rope", {"rope_type": "default"}), rope_theta=10000.0)
    extra = {"sliding_window": case["window"]} if "window" in case else {}
    return case["kind"](
        vocab_size=vocab, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=2,
        num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_dim,
        max_position_embeddings=256, rms_norm_eps=1e-5, rope_parameters=rope,
        tie_word_embeddings=case.get("tied", False), bos_token_id=1, eos_token_id=2,
        attn_implementation="eager", **extra)


def randomize(model, generator):
    """Weights large enough that attention is uneven and the logits differ by several units."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.dim() == 1:
                weight.copy_(1.0 + 0.2 * noise)
            elif "embed_tokens" in name:
                weight.copy_(0.5 * noise)
            else:
                weight.copy_(0.22 * noise)


def rewrite_classic(folder, bare):
    """Puts the rotation's and the dtype's keys where older writers put them.

    bare leaves out what the oldest writers left out: the readers' defaults apply.
    """
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    if rope["rope_type"] == "linear":  # the oldest of the spellings
        rope["type"] = rope.pop("rope_type")
    config["rope_scaling"] = None if rope.get("rope_type") == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    if bare:
        for key in ("head_dim", "num_key_value_heads", "rope_scaling", "attention_bias",
                    "mlp_bias"):
            del config[key]
    with open(path, "w", encoding="utf-8") as f:
        json.dump(config, f, indent=2, sort_keys=True)
        f.write("\n")


def fingerprint(text):
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value


@torch.no_grad()
def run_prompt(model, tokens, following):
    """Prefill alone, then N_STEPS decode steps. Returns tensors by name."""
    cache = DynamicCache()  # keeps every token: a window acts through the mask alone
    out = model(torch.tensor([tokens]), past_key_values=cache, use_cache=True)
    found = {"logits": out.logits[0, -1].float()}
    for i, layer in enumerate(cache.layers):
        assert layer.keys.shape[2] == len(tokens)
        found[f"k.{i}"] = layer.keys[0].transpose(0, 1).float().contiguous()
        found[f"v.{i}"] = layer.values[0].transpose(0, 1).float().contiguous()
    steps = []
    for token in following:
        out = model(torch.tensor([[token]]), past_key_values=cache, use_cache=True)
        steps.append(out.logits[0, -1].float())
    found["step_logits"] = torch.stack(steps)

    # The cache must not have changed the meaning: once more without it.
    whole = model(torch.tensor([tokens + following]), use_cache=False).logits[0].float()
    tolerance = 2e-4 if model.dtype == torch.float32 else 1.0
    got = torch.cat((found["logits"][None], found["step_logits"]))
    assert (whole[len(tokens) - 1:] - got).abs().max() < tolerance
    return found


def expect(model, lengths, generator, prefix=""):
    tensors = {}
    for i, length in enumerate(lengths):
        drawn = torch.randint(3, model.config.vocab_size, (length + N_STEPS,), generator=generator)
        tokens, following = drawn[:length].tolist(), drawn[length:].tolist()
        for name, value in run_prompt(model, tokens, following).items():
            tensors[f"p{i}.{prefix}{name}"] = value.contiguous().clone()
        tensors[f"p{i}.tokens"] = torch.tensor(tokens, dtype=torch.int32)
        tensors[f"p{i}.next"] = torch.tensor(following, dtype=torch.int32)
    return tensors


def check_format(folder, case):
    """The case really is what its name says."""
    names = sorted(os.listdir(folder))
    shards = [n for n in names if n.startswith("model-")]
    assert (len(shards) >= 2) == ("shard" in case), names
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    assert ("rope_parameters" in config) == case.get("new_format", False)
    assert ("rope_theta" in config) != case.get("new_format", False)
    stored = set()
    for name in shards or ["model.safetensors"]:
        with safe_open(os.path.join(folder, name), "pt") as f:
            stored.update(f.keys())
            assert all(f.get_tensor(k).dtype == case.get("dtype", torch.float32)
                       for k in f.keys())
    assert ("lm_head.weight" in stored) != case.get("tied", False)


def reload(folder, dtype):
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    return model.eval()


@torch.no_grad()
def check_matters(model, case, tensors):
    """A window or a scaled rotation that changed nothing would test nothing."""
    config = copy.deepcopy(model.config)
    if case.get("window"):
        config.sliding_window = None
    elif "rope" in case:
        config.rope_parameters = {"rope_type": "default", "rope_theta": 10000.0}
    else:
        return
    plain = AutoModelForCausalLM.from_config(config).float().eval()
    plain.load_state_dict(model.state_dict())
    last = len(case["lengths"]) - 1
    logits = plain(tensors[f"p{last}.tokens"].long()[None]).logits[0, -1]
    assert (logits - tensors[f"p{last}.logits"]).abs().max() > 0.1


def make_case(name, case):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(fingerprint(name))
    model = AutoModelForCausalLM.from_config(make_config(case))
    randomize(model, generator)
    model.to(case.get("dtype", torch.float32))
    model.config.dtype = case.get("dtype", torch.float32)
    model.save_pretrained(folder, max_shard_size=case.get("shard", "5GB"))
    os.remove(os.path.join(folder, "generation_config.json"))
    if not case.get("new_format"):
        rewrite_classic(folder, case.get("bare", False))
    check_format(folder, case)

    # The reference is computed from the folder as saved, so both formats are read back.
    seed = fingerprint(name + " prompts")
    model = reload(folder, torch.float32)
    tensors = expect(model, case["lengths"], torch.Generator().manual_seed(seed))
    check_matters(model, case, tensors)
    if case.get("dtype") == torch.bfloat16:
        tensors |= expect(reload(folder, torch.bfloat16), case["lengths"],
                          torch.Generator().manual_seed(seed), "bf16.")
    save_file(tensors, os.path.join(folder, "expected.safetensors"))
    for entry in os.listdir(folder):
        os.chmod(os.path.join(folder, entry), 0o644)
    spread = max(tensors[k].std().item() for k in tensors if k.endswith(".logits"))
    n_bytes = sum(os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder))
    print(f"{name:18s} {n_bytes:8d} bytes  logits std {spread:.2f}")


def main():
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)  # the order of sums, and so the last bits, stay the same
    names = sys.argv[1:] or list(CASES)
    for name in names:
        make_case(name, CASES[name])


if __name__ == "__main__":
    main()
