"""Makes the golden cases of models without an LM head and of such that give vectors: what transformers computes from
tiny random checkpoints.

usage: make_heads.py [case ...]     (all cases when none is named)

Each case below is a folder beside this script, their names are in heads.txt. expected.safetensors holds for every
prompt p<i>, run alone in float64 (as far as the classes keep to that: norms and softmax are float32) with eager
attention, rounded to float32:

    p<i>.tokens  I32 [len]
    p<i>.hidden  F32 [len, hidden]   behind the last norm
    p<i>.mean    F32 [hidden]        their mean
    p<i>.logits  F32 [vocab]         of the last token, where the model has an LM head
    p<i>.labels  F32 [n_labels]      scores of labels, where it has a head for them
"""

import json
import os
import shutil
import sys

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from golden_cases import BF16, FULL, SLIDING, YARN, layers, scaled, shape
from make import HERE, fingerprint, make_config, randomize, rewrite_config

POOLING = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}],
    "1_Pooling/config.json": {
        "word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False,
        "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False,
        "pooling_mode_weightedmean_tokens": False, "pooling_mode_lasttoken": True, "include_prompt": True},
}

# As in golden_cases.py, and:
#     auto     the class that makes, writes and reads the case
#     labels   num_labels; bare: names lose their "model." when they are written; files: more of them
CASES = {
    "qwen3_embed": dict(  # as embedding models are published: another class than the tensors' names say
        family="qwen3", auto=AutoModelForCausalLM, bare=True, files=POOLING, lengths=(1, 9, 37), dtype=BF16,
        config=shape(32, 40, 2, 1, 24, 98, tie_word_embeddings=True)),
    "mistral_bare": dict(
        family="mistral", auto=AutoModel, lengths=(1, 6, 21), dtype=BF16,
        config=shape(36, 44, 3, 1, 20, 97, sliding_window=6)),
    "qwen3_labels": dict(
        family="qwen3", auto=AutoModelForSequenceClassification, labels=3, lengths=(1, 5, 18, 40), dtype=BF16,
        spelling="new", config=shape(32, 40, 2, 1, 24, 98, tie_word_embeddings=True, rope_parameters=YARN)),
    "gemma2_labels": dict(  # two labels where nothing is said; the cap of logits is not for them
        family="gemma2", auto=AutoModelForSequenceClassification, labels=2, lengths=(1, 8, 21),
        config=shape(36, 44, 3, 1, 20, 97, sliding_window=8, query_pre_attn_scalar=6, final_logit_softcapping=0.5,
                     attn_logit_softcapping=4.0, tie_word_embeddings=True)),
    "gemma3_labels": dict(  # a reward: one score; the text model inside another
        family="gemma3", auto=AutoModelForSequenceClassification, labels=1, lengths=(1, 9, 21), dtype=BF16,
        spelling="new",
        config=shape(36, 44, 3, 1, 20, 97, sliding_window=6, query_pre_attn_scalar=20, layer_types=layers("fs"),
                     tie_word_embeddings=True, rope_parameters={FULL: scaled("default", 1e6),
                                                                SLIDING: scaled("default", 1e4)})),
}


def write_case(folder, case, generator):
    config = make_config(case)
    config.num_labels = case.get("labels", 2)
    made = case["auto"].from_config(config).eval()
    randomize(made, generator)
    made.to(case.get("dtype", torch.float32))
    made.config.dtype = case.get("dtype", torch.float32)
    made.save_pretrained(folder)
    for name in os.listdir(folder):
        if name.startswith("generation_config"):
            os.remove(os.path.join(folder, name))
    rewrite_config(folder, case)
    if case.get("bare"):
        path = os.path.join(folder, "model.safetensors")
        tensors = {name.removeprefix("model."): value for name, value in load_file(path).items()}
        save_file(tensors, path, {"format": "pt"})
    for name, content in case.get("files", {}).items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.write("\n")


def read_case(folder, case):
    model, info = case["auto"].from_pretrained(folder, dtype=torch.float64, attn_implementation="eager",
                                               output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    return model.eval()


@torch.no_grad()
def run_prompt(model, tokens):
    inner = model.model if hasattr(model, "model") else model
    hidden = inner(torch.tensor([tokens]), use_cache=False).last_hidden_state[0]
    found = {"hidden": hidden, "mean": hidden.mean(0)}
    if hasattr(model, "score"):
        found["labels"] = model(torch.tensor([tokens]), use_cache=False).logits[0]
        assert torch.allclose(found["labels"], hidden[-1] @ model.score.weight.T)  # and no cap
    elif hasattr(model, "lm_head"):
        found["logits"] = model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
    return found


def check_stored(folder, case):
    with safe_open(os.path.join(folder, "model.safetensors"), "pt") as file:
        names = set(file.keys())
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    assert not any("lm_head" in name for name in names)
    assert ("score.weight" in names) == ("labels" in case)
    assert any(name.startswith(("model.", "language_model.model.")) for name in names) == (
        "labels" in case or case["auto"] is AutoModelForCausalLM and not case.get("bare"))
    assert len(config.get("id2label", "ab")) == case.get("labels", 2)


def make_case(name, case):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(fingerprint(name))
    write_case(folder, case, generator)
    check_stored(folder, case)
    model = read_case(folder, case)
    tensors = {}
    for i, length in enumerate(case["lengths"]):
        tokens = torch.randint(3, case["config"]["vocab_size"], (length,), generator=generator).tolist()
        tensors[f"p{i}.tokens"] = torch.tensor(tokens, dtype=torch.int32)
        for key, value in run_prompt(model, tokens).items():
            tensors[f"p{i}.{key}"] = value.float().contiguous().clone()
    save_file(tensors, os.path.join(folder, "expected.safetensors"))
    for base, _, files in os.walk(folder):
        for file in files:
            os.chmod(os.path.join(base, file), 0o644)
    print(f"{name:16s} labels {case.get('labels', 0)}  hidden std {tensors['p1.hidden'].std():.2f}", flush=True)


def main():
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name in sys.argv[1:] or list(CASES):
        make_case(name, CASES[name])


if __name__ == "__main__":
    main()
