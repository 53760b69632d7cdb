"""prepack profile and generate, and hostile tokenizers."""

import json
import os
import pty
import random
import subprocess

import spm_model
from harness import Skip
from plan_cases import demo_tokenizer

PROFILE_KEYS = ["model", "dataset", "metric", "device", "device_name", "attention", "dtype", "weights",
                "threads", "batch_size", "num_runs", "methods"]
METHOD_KEYS = ["method", "seconds", "tokens_real", "tokens_computed", "passes",
               "tokens_per_second", "peak_memory_mb", "peak_host_bytes", "peak_session_bytes",
               "utilization_percent", "gpu_memory_utilization_percent", "gpu_memory_used_bytes", "share_prefixes"]
METHODS = ["prepacking", "full-batching", "length-ordered", "dataset-prepacking"]


def profile_of_lengths(program):
    """profile of a shape: stable keys, and tokens that add up"""
    lengths = [1 + i * i % 61 for i in range(40)]
    path = program.file("a.lengths", "".join(f"{n}\n" for n in lengths))
    report, text = program.json("profile", "--model", "tiny", "--dataset", path, "--batch-size",
                                16, "--num-runs", 2, "--methods", ",".join(METHODS),
                                "--threads", 1)
    assert list(report) == PROFILE_KEYS, list(report)
    assert report["model"] == "tiny" and report["dataset"] == path
    assert (report["metric"], report["batch_size"], report["num_runs"]) == ("prefill", 16, 2)
    assert report["threads"] == 1 and report["device"].startswith("cpu")
    assert [m["method"] for m in report["methods"]] == METHODS
    for method in report["methods"]:
        assert list(method) == METHOD_KEYS, list(method)
        assert list(method["seconds"]) == ["mean", "std"]
        used = method["utilization_percent"]
        assert method["gpu_memory_utilization_percent"] is None
        assert method["gpu_memory_used_bytes"] is None
        assert list(used) == ["max", "mean", "max_std", "mean_std"]
        assert 0 <= used["mean"] <= used["max"] <= 100
        assert method["tokens_real"] == sum(lengths)
        assert method["peak_memory_mb"] > 1 and method["seconds"]["mean"] > 0
        speed = sum(lengths) / (3 * method["seconds"]["mean"])
        assert abs(method["tokens_per_second"] / speed - 1) < 0.01
    packed, full, ordered, whole = (m["tokens_computed"] for m in report["methods"])
    assert packed == whole == sum(lengths)
    padded = sorted(lengths)
    assert ordered == sum(len(b) * b[-1] for b in (padded[:16], padded[16:32], padded[32:]))
    assert full > ordered > packed
    for part in ("random weights", "random tokens", "dataset-prepacking", "std mean",
                 "computed tokens", "speed-up", "bins (ffd)"):
        assert part in text, part
    assert "\x1b" not in text and "\r" not in text


def profile_of_a_list(program):
    """--max-batches runs the same prompts with every method; --per prompt divides by them"""
    args = ("profile", "--model", "tiny", "--dataset", "mmlu", "--batch-size", 8, "--max-batches",
            1, "--num-runs", 1, "--max-length", 100, "--methods", ",".join(METHODS))
    report, text = program.json(*args, "--per", "prompt", "--metric", "ttft")
    assert report["metric"] == "ttft" and "avg s/prompt" in text
    assert "8 of 14033 prompts in 1 batch of up to 8" in text
    assert "were cut to 100 tokens" in text
    assert len({m["tokens_real"] for m in report["methods"]}) == 1
    full, ordered = report["methods"][1], report["methods"][2]
    assert full["tokens_computed"] == ordered["tokens_computed"]
    for m in report["methods"]:
        speed = m["tokens_real"] / (8 * m["seconds"]["mean"])
        assert abs(m["tokens_per_second"] / speed - 1) < 0.01
    other, _ = program.json(*args, "--policy", "bfd", "--capacity", 150, "--dtype", "f32")
    assert other["dtype"] == "f32"
    assert other["methods"][0]["tokens_real"] == report["methods"][0]["tokens_real"]
    again, _ = program.json(*args, "--seed", 7)
    assert again["methods"][0]["tokens_real"] == report["methods"][0]["tokens_real"]


def prompts_that_stand_for_all(program):
    """--max-batches takes prompts evenly over the sorted lengths, in profile and in plan"""
    lengths = [1 + i * 37 % 101 for i in range(101)]
    path = program.file("a.lengths", "".join(f"{n}\n" for n in lengths))
    wanted = sum(sorted(lengths)[int((i + 0.5) * 101 / 20)] for i in range(20))
    args = ("--dataset", path, "--batch-size", 10, "--max-batches", 2, "--seed", 3)
    report, text = program.json("profile", "--model", "tiny", "--num-runs", 1, *args)
    plan, _ = program.json("plan", *args)
    assert report["methods"][0]["tokens_real"] == plan["tokens"] == wanted
    assert f"prepacking: {plan['bins']} bins" in text
    assert "to stand for all" in text


def bar_on_a_terminal(program):
    """a terminal gets a progress bar, which is wiped away at the end"""
    path = program.file("a.lengths", "9\n" * 8)
    terminal, inside = pty.openpty()
    running = subprocess.Popen(
        [program.path, "profile", "--model", "tiny", "--dataset", path, "--num-runs", "1",
         "--methods", "prepacking"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=inside, env=program.environment())
    os.close(inside)
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    assert running.wait(60) == 0
    assert b"] 0 of 1" in shown, shown
    assert shown.endswith(b"\r\x1b[K"), shown


def profile_of_text(program):
    """profile without arguments is about the demo model and its prompts"""
    demo_tokenizer(program)
    report, text = program.json("profile", "--max-batches", 1, "--num-runs", 1)
    assert (report["model"], report["dataset"]) == ("demo", "demo")
    assert [m["method"] for m in report["methods"]] == METHODS[:3]
    assert "random" not in text


def generate_compared(program):
    """packed and lone prompts of the demo continue alike and right"""
    demo_tokenizer(program)
    path = program.folder + "/out.json"
    text = program.works("generate", "--model", "demo", "--prompts", "demo", "--max-new-tokens",
                         8, "--compare", "--json", path)
    with open(path, encoding="utf-8") as file:
        items = json.load(file)
    n = len(items)
    assert f"{n} of {n} prompts continue with the same tokens" in text, text[-300:]
    right, answers = next(line.split()[0:3:2] for line in text.splitlines()
                          if line.endswith("answers right"))
    assert int(answers) == n and int(right) >= 0.95 * n, (right, answers)
    for item in items:
        assert list(item) == ["prompt", "text", "tokens"], list(item)
        assert 0 < len(item["tokens"]) <= 8


def generate_texts(program):
    """prompts of the command line continue in their order"""
    demo_tokenizer(program)
    prompts = ["The capital of Germany is", "3 + 4 ="]
    args = ["generate", "--model", "demo", "-p", prompts[0], "--prompt", prompts[1]]
    items, text = program.json(*args)
    assert [i["prompt"] for i in items] == prompts
    assert items[0]["text"].startswith(" Berlin"), items[0]
    assert items[1]["text"].strip().startswith("7"), items[1]
    assert text.startswith("> The capital of Germany is\n Berlin")
    short, _ = program.json(*args, "--max-new-tokens", 1)
    assert [i["tokens"] for i in short] == [i["tokens"][:1] for i in items]


def generate_samples(program):
    """what is sampled depends on the seed and not on the batch"""
    demo_tokenizer(program)
    args = ["generate", "--model", "demo", "--max-new-tokens", 6, "--temperature", 5]
    for word in ("The", "Anna", "A", "Count: one", "In", "Peter works"):
        args += ["-p", word]
    def tokens(*more):
        return [i["tokens"] for i in program.json(*args, *more)[0]]
    batched = tokens()
    assert batched == tokens("--batch-size", 1) == tokens("--batch-size", 4, "--policy", "arrival")
    assert batched == tokens("--compare")
    assert batched != tokens("--seed", 1)
    greedy = [i["tokens"] for i in program.json(*args, "--temperature", 0)[0]]
    assert greedy == tokens("--top-p", "0.000001") == tokens("--temperature", "0.0001")
    for option, value in (("--top-p", 0.9), ("--top-k", 2), ("--min-p", 0.5)):
        drawn = tokens(option, value)
        assert drawn == tokens(option, value, "--batch-size", 1) != greedy, option
        assert drawn != batched, option
    assert greedy == tokens("--top-k", 1) == tokens("--min-p", 1)


def model_folder(program, content):
    program.file("m/tokenizer.model", content)
    return program.folder + "/m"


def sound_tokenizers(program):
    """sound tokenizers of every kind are taken"""
    path = program.file("p.txt", "abc a\n")
    count = {}
    byte_pieces = b"".join(spm_model.piece(f"<0x{i:02X}>", kind=spm_model.BYTE)
                           for i in range(256))
    pieces = spm_model.special() + spm_model.letters()
    for name, content in {
            "bpe": spm_model.model(),
            "unigram": spm_model.model(train=spm_model.training(model_type=1)),
            "charsmap": spm_model.model(norm=spm_model.normalizer(spm_model.charsmap())),
            "bytes": spm_model.model(pieces=pieces + byte_pieces,
                                     train=spm_model.training(byte_fallback=1)),
            "32 matches": spm_model.model(norm=spm_model.normalizer(spm_model.nested_matches(32))),
    }.items():
        plan, _ = program.json("plan", "--dataset", path, "--model",
                               model_folder(program, content))
        count[name] = plan["tokens"]
    # The beginning, a space (and "a" or its replacement) for each word's letters.
    assert count["bpe"] == count["unigram"] == count["charsmap"] == count["bytes"] == 7, count


def hostile_tokenizers(program):
    """hostile tokenizers are refused with their reason"""
    path = program.file("p.txt", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa abc\n")
    for name, (content, says) in spm_model.broken_models().items():
        folder = model_folder(program, content)
        try:
            program.refuses(1, says, "plan", "--dataset", path, "--model", folder)
        except AssertionError as problem:
            raise AssertionError(f"{name}: {problem}") from None


def garbled_tokenizers(program):
    """truncated and garbled tokenizers never crash the program"""
    path = program.file("p.txt", "aaaaaaaa abc \u00e9\n")
    whole = spm_model.model(norm=spm_model.normalizer(spm_model.charsmap()))
    rng = random.Random(41)
    variants = [whole[:rng.randrange(len(whole))] for _ in range(60)]
    for _ in range(240):
        garbled = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            garbled[rng.randrange(len(garbled))] = rng.randrange(256)
        variants.append(bytes(garbled))
    refused = 0
    for content in variants:
        done = program.run("plan", "--dataset", path, "--model", model_folder(program, content))
        assert done.status in (0, 1), f"status {done.status} for {content.hex()[:4000]}"
        refused += done.status
    assert refused > 60, refused


CASES = [profile_of_lengths, bar_on_a_terminal, profile_of_a_list, prompts_that_stand_for_all,
         profile_of_text, generate_compared, generate_texts, generate_samples, sound_tokenizers,
         hostile_tokenizers, garbled_tokenizers]
