"""--share-prefixes: what prompts have in common is computed once, and nothing else changes."""

import json
import os

import demo_models
from family_cases import FAMILIES
from harness import long
from plan_cases import demo_tokenizer
from prefill_cases import prefill

GERMANY = "The capital of Germany is"
HEADER = "The capital of Germany is Berlin. The capital of Romania is Bucharest. "


def tree(n=12):
    """Prompts of three families, one of them inside another, and two that are the same."""
    longer, short = [1] + list(range(5, 65)), [1] + list(range(300, 320))
    prompts = [longer + [700 + i, 3] for i in range(n)] + [short + [i + 3] * (i + 1) for i in range(4)]
    return prompts + [longer + list(range(80, 100)) + [i] for i in (4, 5, 6)] + [longer, longer, [9]]


def own_tokens(prompts):
    """Tokens of a tree in which no beginning is computed twice: no plan that shares has fewer."""
    beginnings = {tuple(p[:n]) for p in prompts for n in range(1, len(p) + 1)}
    return len(beginnings)


def the_option(program):
    """the number may be left out, stand behind a space or a '=', and 0 is off"""
    path = program.file("ids", "".join(json.dumps(p) for p in tree()))
    args = ("plan", "--ids", path, "--capacity", 128)
    off = program.json(*args)[0]["placed_tokens"]
    on = program.json(*args, "--share-prefixes", 16)[0]["placed_tokens"]
    assert on < off == sum(map(len, tree()))
    for words, wanted in ((["--share-prefixes"], on), (["--share-prefixes=16"], on), (["--share-prefixes=0"], off),
                          (["--share-prefixes", 0], off), (["--share-prefixes", "--batch-size", 0], on),
                          (["--share-prefixes", 1000], off)):
        assert program.json(*args, *words)[0]["placed_tokens"] == wanted, words
    for value in ("x", "-1", "1.5", "99999999999"):
        program.refuses(2, "must be a whole number", *args, "--share-prefixes=" + value)
    program.refuses(2, "more", *args, "--share-prefixes", "16", "more")
    program.refuses(2, "what to do with '1x'", *args, "--share-prefixes", "1x")


def prefill_and_generate(program):
    """logits, keys, values and texts are the same, bit for bit"""
    prompts = tree()
    window = demo_models.changed(program, "w", architectures=["MistralForCausalLM"], model_type="mistral",
                                 sliding_window=24)
    for model in ("demo", window):
        plain, _ = prefill(program, "a", prompts, "--kv", "--force", model=model)
        for args in (("--share-prefixes",), ("--share-prefixes", 2, "--batch-size", 7)):
            assert prefill(program, "b", prompts, "--kv", "--force", *args, model=model)[0] == plain, (model, args)
    lines = program.file("p.txt", "".join(f"{HEADER}{end}\n" for end in
                                          ("The opposite of peace is", "3 + 4 =", GERMANY, "", GERMANY)))
    args = ("generate", *demo_tokenizer(program), "--prompts", lines, "--max-new-tokens", 8)
    wanted, _ = program.json(*args)
    for more in (("--share-prefixes",), ("--share-prefixes", 2, "--compare")):
        items, _ = program.json(*args, *more)
        assert items == wanted, more


def angles_by_length(program):
    """prompts whose angles differ by their length share nothing, and run all the same"""
    folder = os.path.dirname(program.file("phi3/config.json", json.dumps(FAMILIES["phi3"])))
    prompts = [list(range(3, 203)) + [7] * n for n in (1, 40, 80, 90, 2)]
    rows = ["embed", "--model", folder, "--random-weights", "--seed", 3, "--force", "--ids",
            program.file("ids", json.dumps(prompts))]
    files = []
    for args in ((), ("--share-prefixes", 0), ("--batch-size", 1)):
        out = os.path.join(program.folder, "out.npy")
        program.works(*rows, "--out", out, *args)
        with open(out, "rb") as file:
            files.append(file.read())
    assert files[0] == files[1] == files[2]


@long
def profiles(program):
    """profile computes fewer tokens with it, as many as --dry-run foretells"""
    prompts = tree(16)
    path = program.file("ids", "".join(json.dumps(p) + "\n" for p in prompts))
    args = ("profile", "--model", "demo", "--ids", path, "--num-runs", 1, "--batch-size", 13, "--methods",
            "prepacking,full-batching,dataset-prepacking,shared-prefixes")
    plain = {m["method"]: m for m in program.json(*args)[0]["methods"]}
    report, text = program.json(*args, "--share-prefixes")
    needs, _ = program.json(*args, "--share-prefixes", "--dry-run")
    assert [m["share_prefixes"] for m in report["methods"]] == [16, 0, 16, 16]
    assert text.count("is computed once, from 16 tokens on") == 3, text
    shared = {m["method"]: m for m in report["methods"]}
    least = own_tokens(prompts)
    for needed in needs["methods"]:
        method = shared[needed["method"]]
        assert needed["tokens_computed"] == method["tokens_computed"], (needed, method)
        assert needed["passes"] == method["passes"], (needed, method)
        assert method["tokens_real"] == sum(map(len, prompts))
    assert shared["full-batching"]["tokens_computed"] == plain["full-batching"]["tokens_computed"]
    for name in ("prepacking", "dataset-prepacking"):
        assert plain[name]["tokens_computed"] == sum(map(len, prompts))
        assert plain[name]["share_prefixes"] == 0
        assert least <= shared[name]["tokens_computed"] < plain[name]["tokens_computed"] / 2, shared[name]
    most = max(m["device_bytes"] for m in needs["methods"])
    limited, _ = program.json(*args, "--share-prefixes", "--memory-limit", most)
    assert all(m["peak_session_bytes"] <= most for m in limited["methods"]), (most, limited)
    for key in ("tokens_computed", "passes"):
        assert plain["shared-prefixes"][key] == shared["prepacking"][key] == shared["shared-prefixes"][key], key
    # All prompts sorted by their tokens have no more to compute than batches by chance.
    assert shared["dataset-prepacking"]["tokens_computed"] <= shared["prepacking"]["tokens_computed"]
    counts = ("profile", "--model", "tiny", "--dataset", program.file("a.lengths", "3\n4\n"))
    program.refuses(2, "need the tokens of the prompts", *counts, "--share-prefixes")
    program.refuses(2, "need the tokens of the prompts", *counts, "--methods", "prepacking,shared-prefixes")


CASES = [the_option, prefill_and_generate, angles_by_length, profiles]
