"""prepack plan, and the files that hold prompts."""

import json
import os

from harness import Skip

KEYS = ["prompts", "tokens", "capacity", "bins", "lower_bound", "gap", "proven_optimal", "waste",
        "seconds", "objective", "policy", "batches", "batches_proven", "segments", "placed_tokens",
        "used", "padded_tokens", "bound_l1", "bound_l2", "bound_dff", "bound_lp", "max_bin_prompts",
        "limit_reached", "mean_bin_prompts", "max_cost", "mean_cost", "cost", "cost_bound"]

# Name: prompts, tokens, the longest prompt.
LISTS = {
    "mmlu": (14033, 944231, 1130),
    "wikitext256": (2861, 312376, 256),
    "wikitext512": (2861, 337952, 512),
    "rlhf": (2312, 414953, 1036),
    "alpaca": (5000, 639571, 793),
    "samsum": (14731, 2535572, 1175),
}


def built_in_lists(program):
    """every built-in list has its known totals, in batches and at once"""
    for name, (prompts, tokens, longest) in LISTS.items():
        for policy in ("ffd", "bfd", "arrival"):
            plan, text = program.json("plan", "--dataset", name, "--policy", policy)
            assert list(plan) == KEYS, list(plan)
            assert (plan["prompts"], plan["tokens"]) == (prompts, tokens), (name, plan)
            assert plan["capacity"] == longest
            assert plan["lower_bound"] <= plan["bins"] <= 2 * plan["lower_bound"]
            assert abs(plan["gap"] - (plan["bins"] / plan["lower_bound"] - 1)) < 1e-6
            assert 0 <= plan["waste"] < 1 and plan["seconds"] > 0
            assert str(tokens) in text
        plan, _ = program.json("plan", "--dataset", name, "--batch-size", 0, "--capacity", 2048)
        assert plan["bound_l1"] == -(-tokens // 2048) <= plan["lower_bound"]
        assert plan["proven_optimal"] == (plan["bins"] == plan["lower_bound"])
        assert abs(plan["waste"] - (1 - tokens / (plan["bins"] * 2048))) < 1e-6


def small_plans(program):
    """small lists give the bins that a hand computes"""
    path = program.file("a.lengths", "6\n5\n4\n5\n\n 3 \r\n")
    for policy, bins in (("ffd", 3), ("bfd", 3), ("arrival", 3)):
        plan, _ = program.json("plan", "--dataset", path, "--capacity", 10, "--policy", policy)
        assert (plan["prompts"], plan["tokens"], plan["bins"]) == (5, 23, bins), (policy, plan)
    path = program.file("b.lengths", "6\n5\n4\n5\n")
    for policy, bins in (("ffd", 2), ("bfd", 2), ("arrival", 3)):
        plan, _ = program.json("plan", "--dataset", path, "--capacity", 10, "--policy", policy)
        assert plan["bins"] == bins and plan["proven_optimal"] == (bins == 2), (policy, plan)
        assert plan["lower_bound"] == 2
    plan, _ = program.json("plan", "--dataset", path, "--batch-size", 2)
    assert (plan["bins"], plan["capacity"]) == (4, 6), plan
    plan, _ = program.json("plan", "--dataset", path, "--batch-size", 2, "--max-batches", 1)
    assert (plan["prompts"], plan["bins"]) == (2, 2), plan
    plan, text = program.json("plan", "--dataset", path, "--max-length", 5)
    assert (plan["tokens"], plan["capacity"]) == (19, 5), plan
    assert "1 prompts, to 5 tokens" in text


def order_and_seed(program):
    """a file keeps its order unless a seed is given; equal seeds give equal plans"""
    path = program.file("a.lengths", "".join(f"{1 + i * 7 % 50}\n" for i in range(300)))
    def bins(*args):
        return program.json("plan", "--dataset", path, "--policy", "arrival", *args)[0]["bins"]
    assert bins("--seed", 1) == bins("--seed", 1)
    assert len({bins("--seed", s) for s in range(8)} | {bins()}) > 1
    assert program.json("plan", "--dataset", "mmlu")[0]["bins"] == \
        program.json("plan", "--dataset", "mmlu", "--seed", 41)[0]["bins"]


def json_file(program):
    """--json FILE replaces what the file held and leaves the text on standard output"""
    lengths = program.file("a.lengths", "3\n4\n")
    out = program.file("out.json", "x" * 10000)
    text = program.works("plan", "--dataset", lengths, "--json", out)
    assert "lower bound" in text
    with open(out, encoding="utf-8") as file:
        assert list(json.load(file)) == KEYS


def bad_lengths(program):
    """a broken list of lengths is refused with its line"""
    for content, says in ((b"", "no prompts"), (b"\n\n", "no prompts"), (b"3\nx\n", "line 2"),
                          (b"3\n0\n", "line 2"), (b"-1\n", "line 1"), (b"3 4\n", "line 1"),
                          (b"3\n99999999999999999999\n", "line 2"), (b"2147483648\n", "line 1"),
                          (b"3\n\xff\n", "not UTF-8"), (b"3\0\n", "it has a NUL byte"),
                          (b"1.5\n", "line 1"), (b"\x1b[2J\n", "line 1")):
        program.refuses(1, says, "plan", "--dataset", program.file("bad.lengths", content))


def demo_tokenizer(program):
    """The arguments that name the demo model; skips without it."""
    done = program.run("plan", "--dataset", "demo")
    if done.status != 0:
        raise Skip("the demo model is not there")
    return ["--model", "demo"]


def text_formats(program):
    """the same prompts as lines, JSONL and CSV have the same tokens"""
    model = demo_tokenizer(program)
    prompts = ["The capital of Germany is", 'He said "3 + 4", twice', "caf\u00e9 \u2014 a, b"]
    rows = "".join('%d,"%s",x\r\n' % (i, p.replace('"', '""')) for i, p in enumerate(prompts))
    lines = "\ufeff" + "\r\n".join(prompts) + "\n\n"
    jsonl = "".join(json.dumps({"id": i, "text": p}) + "\n" for i, p in enumerate(prompts))
    files = [(program.file("p.txt", lines), []),
             (program.file("p.jsonl", jsonl), ["--field", "text"]),
             (program.file("p.csv", "id,text,more\r\n" + rows), ["--field", "text"]),
             (program.file("q.csv", "id,prompt,more\n" + rows.rstrip()), [])]
    totals = {(plan["prompts"], plan["tokens"])
              for path, field in files
              for plan, _ in [program.json("plan", "--dataset", path, *field, *model)]}
    assert len(totals) == 1 and totals.pop()[0] == 3, totals
    path = program.file("n.csv", 'prompt\n"two\nlines"\n\nthree\n')
    plan, _ = program.json("plan", "--dataset", path, *model)
    assert plan["prompts"] == 2


def bad_text_files(program):
    """broken JSONL, CSV and text files are refused with their line"""
    model = demo_tokenizer(program)
    cases = [
        ("a.jsonl", '{"prompt": "x"}\n{"prompt": 5}\n', [], "line 2"),
        ("a.jsonl", '{"prompt": "x"}\n{"prompt"\n', [], "line 2"),
        ("a.jsonl", '{"prompt": "x", "prompt": "y"}\n', [], "line 1"),
        ("a.jsonl", "[1]\n", [], "neither a JSON object nor a string"),
        ("a.jsonl", '{"prompt": "\\u0000"}\n', [], "line 1"),
        ("a.jsonl", "[" * 100000, [], "line 1"),
        ("a.jsonl", '{"a": "x"}\n', ["--field", "b"], "'b'"),
        ("a.jsonl", b'{"prompt": "\xff"}\n', [], "not UTF-8"),
        ("a.jsonl", b'{"prompt": "a\\u0000b"}\n', [], "may not have the character \\u0000"),
        ("a.jsonl", "", [], "no prompts"),
        ("a.csv", "", [], "first line"),
        ("a.csv", "prompt\n", [], "no prompts"),
        ("a.csv", "a,b\n1,2\n", ["--field", "c"], "'c'"),
        ("a.csv", "a,b\n1,2\n", [], "'prompt'"),
        ("a.csv", "prompt,b\n1\n", [], "line 2"),
        ("a.csv", "prompt,b\n1,2,3\n", [], "line 2"),
        ("a.csv", 'prompt\n"never closed\n', [], "never closed"),
        ("a.csv", 'prompt\n"closed"x\n', [], "after a closing quote"),
        ("a.csv", b"prompt\n\xc3\n", [], "not UTF-8"),
        ("a.txt", "", [], "no prompts"),
        ("a.txt", b"ok\n\xed\xa0\x80\n", [], "line 2"),
        ("a.txt", b"a\0b\n", [], "line 1"),
    ]
    for name, content, args, says in cases:
        path = program.file(name, content)
        program.refuses(1, says, "plan", "--dataset", path, *args, *model)
    program.refuses(2, "--model", "plan", "--dataset", program.file("b.txt", "hello\n"))


def standard_input(program):
    """prompts can come from standard input"""
    model = demo_tokenizer(program)
    plan, _ = program.json("plan", "--dataset", "-", *model, stdin=b"one\ntwo\n")
    assert plan["prompts"] == 2


def odd_file_names(program):
    """names that are no UTF-8 are no obstacle"""
    path = os.path.join(os.fsencode(program.folder), b"\xff.lengths")
    with open(path, "wb") as file:
        file.write(b"3\n")
    done = program.run("plan", "--dataset", path, "--json", "-", text=False)
    assert done.status == 0 and json.loads(done.out)["prompts"] == 1, done.err


CASES = [built_in_lists, small_plans, order_and_seed, json_file, bad_lengths,
         text_formats, bad_text_files, standard_input, odd_file_names]
