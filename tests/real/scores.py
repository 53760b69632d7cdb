#!/usr/bin/env python3
"""Log-probabilities, hidden states, pooled vectors and scores of labels against transformers, on tiny random
checkpoints of every family, through the Python package of examples/python.

usage: scores.py LIBRARY [--seed N] [family ...]
LIBRARY: a libprepack.so. transformers computes every prompt alone, in float64 (its norms and softmax in float64 too,
see exact()); the library all prompts of a family in one run, in float32, at times with shared prefixes. Allowed: 1e-4 of a log-probability and of the
largest value of a vector; ranks and the order of alternatives as far as log-probabilities differ by more than that.
Prints TAP; ends with status 0 and a sentence where a package is missing."""
import argparse
import contextlib
import json
import math
import os
import random
import shutil
import sys
import tempfile

try:
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification
except ImportError as missing:
    print(f"1..0 # SKIP {missing}; install torch, transformers, safetensors")
    sys.exit(0)

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../golden"), os.path.join(HERE, "../../examples/python")]
sys.dont_write_bytecode = True
TOLERANCE = 1e-4
N_TOP = 5
LM, LABELS, BARE, PUBLISHED = "lm", "labels", "bare", "published"
results = []


def report(name, problems):
    results.append(not problems)
    print("ok" if not problems else "not ok", len(results), "-", name, flush=True)
    for problem in problems[:10]:
        print("#", problem)


# ---- the reference ----

@contextlib.contextmanager
def exact():
    """transformers widens to torch.float32 inside norms, rotations and the softmax of attention, by that name: while
    this lasts the name means float64, so that nothing is rounded on the way."""
    single = torch.float32
    to = torch.Tensor.float
    torch.float32 = torch.float64
    torch.Tensor.float = torch.Tensor.double
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.float32, torch.Tensor.float = single, to
        torch.set_default_dtype(single)


def reference(folder, auto, prompts):
    """By prompt: hidden states, and logits of all rows or scores of labels where there are any."""
    model, info = auto.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager",
                                       output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    model.eval()
    found = []
    with torch.no_grad(), exact():
        for tokens in prompts:
            inputs = torch.tensor([tokens])
            inner = model.model if hasattr(model, "model") else model
            hidden = inner(inputs, use_cache=False).last_hidden_state[0]
            assert hidden.dtype == torch.float64
            heads = model(inputs, use_cache=False).logits[0] if hasattr(model, "model") else None
            found.append((hidden, heads))
    return found


# ---- checkpoints ----

def draw_config(family, rng):
    """Shapes that are multiples of nothing, and what only the family has."""
    from golden_cases import FULL, SLIDING, layers, scaled, shape
    heads, kv_heads, head_dim = rng.choice([(3, 1, 20), (4, 2, 16), (6, 2, 12)])
    hidden = heads * rng.choice([10, 12])
    more = {"tie_word_embeddings": rng.random() < 0.5}
    n_layers = rng.choice([2, 3])
    if family in ("mistral", "phi3", "ministral3"):
        more["sliding_window"] = rng.choice([None, 7])
    if family in ("phi3", "smollm3", "glm4", "cohere2"):
        more["pad_token_id"] = 0
    if family in ("gemma2", "gemma3_text", "gemma3", "cohere2", "exaone4", "olmo3", "ministral"):
        more |= {"sliding_window": 7, "layer_types": layers("sf" if n_layers == 2 else "ssf")}
    if family.startswith("gemma"):
        more |= {"query_pre_attn_scalar": 12, "final_logit_softcapping": 3.0}
    if family in ("gemma3_text", "gemma3"):
        more["rope_parameters"] = {FULL: scaled("default", 1e6), SLIDING: scaled("default", 1e4)}
    if family == "olmo3":
        more["rope_parameters"] = {FULL: scaled("default"), SLIDING: scaled("default")}
    if family == "ministral3":
        more["rope_parameters"] = scaled("yarn", factor=4.0, original_max_position_embeddings=16,
                                         llama_4_scaling_beta=0.1)
    if family == "granite":
        more |= {"embedding_multiplier": 3.0, "attention_multiplier": 0.2, "residual_multiplier": 0.5,
                 "logits_scaling": 0.8}
    return shape(hidden, rng.choice([44, 52]), heads, kv_heads, head_dim, rng.choice([97, 300]), n_layers, **more)


def write_checkpoint(folder, family, kind, rng):
    """Returns the class to read it with and the size of the vocabulary."""
    from make import make_config, randomize
    auto = {LM: AutoModelForCausalLM, PUBLISHED: AutoModelForCausalLM, BARE: AutoModel,
            LABELS: AutoModelForSequenceClassification}[kind]
    keys = draw_config(family, rng)
    if kind == PUBLISHED:
        keys["tie_word_embeddings"] = True
    config = make_config({"family": family, "config": keys})
    config.num_labels = rng.choice([1, 2, 5])
    model = auto.from_config(config).eval()
    randomize(model, torch.Generator().manual_seed(rng.randrange(1 << 30)))
    model.config.dtype = rng.choice([torch.float32, torch.bfloat16, torch.float16])
    model.to(model.config.dtype).save_pretrained(folder)
    if kind == PUBLISHED:  # names as a model without its head has them
        path = os.path.join(folder, "model.safetensors")
        save_file({name.removeprefix("model."): value for name, value in load_file(path).items()}, path,
                  {"format": "pt"})
    return auto, keys["vocab_size"]


def draw_prompts(vocab, rng):
    """Some begin alike, one is another's beginning, two are the same."""
    prompts = [[rng.randrange(3, vocab) for _ in range(n)] for n in (1, 2, 9, 17, 33, 70)]
    return prompts + [prompts[-1][:40], prompts[-1][:40] + prompts[3], prompts[4]]


# ---- comparisons ----

def far(name, ours, theirs):
    """What is wrong with a vector or a list of them, in a list."""
    ours = torch.tensor(ours, dtype=torch.float64)
    off, largest = (ours - theirs).abs().max().item(), theirs.abs().max().item()
    return [] if off <= TOLERANCE * largest else [f"{name}: off by {off:g} of {largest:g}"]


def check_scores(i, tokens, scores, logits):
    """Of each token but the first."""
    problems = []
    logprobs = logits.log_softmax(-1)
    for t, (logprob, rank, top) in enumerate(scores):
        row, target = logprobs[t], tokens[t + 1]
        where = f"prompt {i}, token {t + 1}"
        if not abs(logprob - row[target].item()) <= TOLERANCE:
            problems.append(f"{where}: log-probability {logprob} is {row[target].item()}")
        surely = int((row > row[target] + 2 * TOLERANCE).sum())
        perhaps = int((row > row[target] - 2 * TOLERANCE).sum())
        if not surely <= rank <= perhaps:
            problems.append(f"{where}: rank {rank} is {surely} to {perhaps}")
        best = row.sort(descending=True).values
        for j, (token, value) in enumerate(top):
            if not (abs(value - best[j].item()) <= TOLERANCE and abs(value - row[token].item()) <= TOLERANCE):
                problems.append(f"{where}: alternative {j} is {token} with {value}, not {best[j].item()}")
        if len({token for token, _ in top}) != len(top):
            problems.append(f"{where}: an alternative stands twice")
    return problems


def check_vectors(session, prompts, shared, expected):
    problems = []
    hidden = session.hidden(prompts)
    poolings = {"last": lambda h: h[-1], "first": lambda h: h[0], "mean": lambda h: h.mean(0)}
    for i, (states, _) in enumerate(expected):
        problems += far(f"hidden states of prompt {i}", hidden[i], states)
    for name, pool in poolings.items():
        for normalize in (False, True):
            vectors = session.embed(prompts, pooling=name, normalize=normalize, min_shared_prefix=shared)
            for i, (states, _) in enumerate(expected):
                vector = pool(states)
                vector = vector / vector.norm() if normalize else vector
                problems += far(f"{name} of prompt {i}, normalized {normalize}", vectors[i], vector)
    return problems


def check_model(libprepack, folder, kind, auto, vocab, rng):
    prompts = draw_prompts(vocab, rng)
    expected = reference(folder, auto, prompts)
    session = libprepack.Session(folder, dtype="f32", threads=2)
    config, shared = session.model.config, rng.choice([0, 4])
    problems = check_vectors(session, prompts, shared, expected)
    wanted = {LM: (True, 0), PUBLISHED: (True, 0), BARE: (False, 0)}.get(kind)
    if wanted and wanted != (config.has_lm_head, config.n_labels):
        problems.append(f"has_lm_head {config.has_lm_head}, n_labels {config.n_labels}")
    if kind in (LM, PUBLISHED):
        for i, found in enumerate(session.logprobs(prompts, top=N_TOP, min_shared_prefix=shared)):
            if found.logprobs.size != len(prompts[i]):
                problems.append(f"prompt {i}: {found.logprobs.size} scores")
            scores = zip(found.logprobs[1:], found.ranks[1:], map(zip, found.top_tokens[1:], found.top_logprobs[1:]))
            problems += check_scores(i, prompts[i], [(a, b, list(top)) for a, b, top in scores], expected[i][1])
    if kind == LABELS:
        for i, labels in enumerate(session.classify(prompts, min_shared_prefix=shared)):
            problems += far(f"labels of prompt {i}", labels, expected[i][1])
    return problems


# ---- the whole ----

FAMILIES = ["llama", "mistral", "ministral", "ministral3", "qwen2", "qwen3", "gemma2", "gemma3_text", "gemma3", "phi3",
            "olmo2", "olmo3", "granite", "smollm3", "cohere2", "glm4", "exaone4"]
WITHOUT_LABELS = ("granite", "cohere2")


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("library")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("families", nargs="*")
    options = parser.parse_args()
    os.environ["PREPACK_LIBRARY"] = os.path.abspath(options.library)
    import libprepack
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    print(f"# transformers {transformers.__version__}, torch {torch.__version__}, seed {options.seed}")
    for family in options.families or FAMILIES:
        for kind in (LM, PUBLISHED, BARE, LABELS):
            if kind == LABELS and family in WITHOUT_LABELS or kind == PUBLISHED and family == "gemma3":
                continue
            rng = random.Random(f"{options.seed} {family} {kind}")
            folder = tempfile.mkdtemp(prefix="prepack-scores-")
            try:
                auto, vocab = write_checkpoint(folder, family, kind, rng)
                report(f"{family} {kind}", check_model(libprepack, folder, kind, auto, vocab, rng))
            finally:
                shutil.rmtree(folder)
    print(f"1..{len(results)}")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
