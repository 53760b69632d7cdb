"""prepack tune, and what plan makes of a cost model."""

import json
import os

from plan_cases import KEYS

COST = """{"format": "prepack-cost", "version": 1, "per_pass": 100, "per_token": 10, "per_square": 1,
"per_prompt": 1000, "tile": 8, "error": 0.034, "device": "%s", "model": "%s"}"""


def prediction(program):
    """--predict gives the time that a hand computes from the cost model, memory and KV caches"""
    lengths = program.file("a.lengths", "30\n20\n10\n")
    args = ("plan", "--dataset", lengths, "--predict", "--model", "tiny", "--threads", 2)
    plan, text = program.json(*args)
    assert list(plan) == KEYS + ["prediction"]
    memory = plan["prediction"]
    assert memory["seconds"] is None and memory["passes"] == 1
    assert "'prepack tune' measures it" in text
    assert memory["kv_bytes"] == memory["all_kv_bytes"] > 0
    # tiny: 2 layers of 64 -> 176, 512 tokens of vocabulary
    assert memory["weight_bytes"] > 2 * 512 * 64
    assert memory["device_bytes"] > sum(memory[k] for k in ("weight_bytes", "workspace_bytes", "kv_bytes"))
    device = text[text.index(" on ") + 4:].split(";")[0]
    cost = program.file("cost.json", COST % (device, "tiny"))
    plan, text = program.json(*args, "--cost", cost)
    assert plan["prediction"] == {**memory, "seconds": 100 + 10 * 64 + 1400 + 3000, "error": 0.034}
    assert "5140 s" in text and "3.4 %" in text and "note" not in text, text
    # each prompt is a batch of its own, and so a pass: 32, 24 and 16 tokens are computed
    plan, text = program.json(*args, "--cost", cost, "--batch-size", 1)
    assert plan["prediction"]["seconds"] == 3 * 100 + 10 * 72 + 1400 + 3000
    assert plan["prediction"]["passes"] == 3
    assert plan["prediction"]["kv_bytes"] < plan["prediction"]["all_kv_bytes"] == memory["kv_bytes"]
    elsewhere = program.file("elsewhere.json", COST % ("abacus", "llama3"))
    _, text = program.json(*args, "--cost", elsewhere)
    assert "measured on abacus" in text and "measured for llama3" in text, text
    few = program.file("few.json", (COST % (device, "tiny")).replace("{", '{"max_tokens": 59, '))
    assert "measured up to 59" in program.works(*args, "--cost", few)


def prediction_and_limits(program):
    """--predict fails where --memory-limit is too low or a prompt too long for the model"""
    lengths = program.file("a.lengths", "4097\n3\n")
    args = ("plan", "--dataset", lengths, "--predict", "--model", "tiny")
    program.refuses(1, "4097 tokens, but tiny takes at most 4096", *args)
    done = program.run(*args, "--max-length", 64, "--memory-limit", "1MB")
    assert done.status == 1 and "--memory-limit is 1.0 MB, but" in done.err, done.err
    program.works(*args, "--max-length", 64, "--memory-limit", "100MB")
    program.refuses(1, "no-model", "plan", "--dataset", lengths, "--predict", "--model", "no-model")


def cost_files(program):
    """--cost gives the planner its costs; a broken file is refused with its name"""
    lengths = program.file("a.lengths", "30\n20\n10\n")
    cost = program.file("cost.json", COST % ("", ""))
    text = program.works("plan", "--dataset", lengths, "--cost", cost)
    # two bins of 30: 30, and 20 + 10
    first, second = 100 + 320 + 900 + 1000, 100 + 320 + 500 + 2000
    assert f"cost of a bin  mean {(first + second) // 2} s, most {second}" in text, text
    for content, says in (("", "cost.json: cost model: malformed JSON"), ("{}", '"format" is missing'),
                          (COST[:40], "malformed JSON"), (COST.replace("100,", "-1,"), '"per_pass" is -1'),
                          ('{"format": "prepack-cost", "version": 2}', '"version" is 2'),
                          (b"\xff" * 70000, "cost.json")):
        path = program.file("cost.json", content)
        for more in ((), ("--predict", "--model", "tiny")):
            program.refuses(1, says, "plan", "--dataset", lengths, "--cost", path, *more)
    program.refuses(1, "nothing.json", "plan", "--dataset", lengths, "--cost",
                    os.path.join(program.folder, "nothing.json"))


def tuned(program):
    """tune writes a cost model that plan takes, and says what its coefficients mean"""
    path = os.path.join(program.folder, "cost.json")
    text = program.works("tune", "--model", "tiny", "--seconds", 0.01, "--max-tokens", 64, "--json",
                         path, "--threads", 1)
    for part in ("per_pass", "per_token", "per_square", "per_prompt", "passes of up to 64 tokens",
                 "1 thread", "% on average"):
        assert part in text, part
    with open(path, encoding="utf-8") as file:
        cost = json.load(file)
    assert (cost["format"], cost["version"], cost["model"]) == ("prepack-cost", 1, "tiny")
    assert cost["max_tokens"] == 64 and cost["tile"] >= 1 and cost["error"] > 0
    assert all(cost[k] >= 0 for k in ("per_pass", "per_token", "per_square", "per_prompt"))
    lengths = program.file("a.lengths", "30\n20\n10\n")
    plan, text = program.json("plan", "--dataset", lengths, "--cost", path, "--predict", "--model",
                              "tiny", "--threads", 1)
    assert plan["prediction"]["seconds"] > 0 and "note" not in text, text
    again, text = program.json("tune", "--model", "tiny", "--seconds", 0.01, "--max-length", 9)
    assert list(again) == list(cost) and "per_square" in text


def tuning_refused(program):
    """tune refuses what it cannot measure"""
    program.refuses(1, "no-model", "tune", "--model", "no-model")
    program.refuses(1, "max_length is 4097", "tune", "--model", "tiny", "--max-length", 4097)
    program.refuses(1, "may be used", "tune", "--model", "tiny", "--memory-limit", "1KB")
    program.refuses(1, "could not be opened", "tune", "--model", "tiny", "--json",
                    os.path.join(program.folder, "no", "folder.json"))


CASES = [prediction, prediction_and_limits, cost_files, tuned, tuning_refused]
