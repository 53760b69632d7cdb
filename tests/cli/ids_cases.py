"""Prompts that are token ids, standard input as any file, and text that appears as it comes."""

import json
import os
import pty
import signal
import subprocess

import demo_models
from harness import TIMEOUT
from plan_cases import demo_tokenizer

GERMANY = "The capital of Germany is"


def kinds_of_ids(program):
    """lists of ids may come one after another, in a list, or in objects, from a file or standard input"""
    prompts = [[5, 6, 7], [9], [1, 1023]]
    kinds = {
        "lines": ("".join(json.dumps(p) + "\n" for p in prompts), ()),
        "list": (json.dumps(prompts, indent=1), ()),
        "ids": ("".join(json.dumps({"id": 1, "ids": p}) + "\n" for p in prompts), ()),
        "tokens": (json.dumps([{"tokens": p, "text": "x"} for p in prompts]), ()),
        "input_ids": ("".join(json.dumps({"input_ids": p}) for p in prompts), ()),
        "field": ("".join(json.dumps({"ids": [1], "x": p}) + "\n" for p in prompts),
                  ("--field", "x")),
    }
    wanted = None
    for kind, (content, more) in kinds.items():
        path = program.file("f/" + kind, content)
        for name in (path, "-"):
            args = ["--ids", name, *more]
            items, _ = program.json("generate", "--model", "demo", "--max-new-tokens", 3, *args,
                                    stdin=content.encode())
            assert [i["prompt_tokens"] for i in items] == prompts, (kind, items)
            assert all(i["prompt"] is None and isinstance(i["text"], str) for i in items), items
            wanted = wanted or items
            assert items == wanted, kind
            plan, _ = program.json("plan", *args, stdin=content.encode())
            assert (plan["prompts"], plan["tokens"]) == (3, 6), (kind, plan)
    profile, _ = program.json("profile", "--model", "demo", "--ids", path, "--num-runs", 1, *more)
    assert profile["methods"][0]["tokens_real"] == 6, profile
    again = program.file("again.json", json.dumps(wanted))
    plan, _ = program.json("plan", "--ids", again, "--field", "prompt_tokens")
    assert plan["tokens"] == 6


def ids_without_tokenizer(program):
    """with ids no tokenizer is needed: ids are printed in place of text"""
    folder = demo_models.copy(program, "m")
    demo_tokenizer(program)
    with_one, _ = program.json("generate", "--model", folder, "--ids", "-", stdin=b"[1, 5, 6]")
    os.remove(os.path.join(folder, "tokenizer.model"))
    args = ["generate", "--model", folder, "--ids", "-"]
    items, _ = program.json(*args, stdin=b"[1, 5, 6]")
    assert items[0]["text"] is None and items[0]["tokens"] == with_one[0]["tokens"], items
    out = program.works(*args, stdin=b"[1, 5, 6]")
    assert out.startswith("> [1, 5, 6]\n" + json.dumps(items[0]["tokens"]) + "\n"), out
    program.file("m/tokenizer.json", b"{")
    broken, said = program.json(*args, stdin=b"[1, 5, 6]")
    assert broken == items and "tokenizer.json" in said and "ids are written" in said, said
    os.remove(os.path.join(folder, "tokenizer.json"))
    out = program.works("generate", "--model", "tiny", "--ids", "-", "--compare", stdin=b"[[1], [2]]")
    assert "2 of 2 prompts continue with the same tokens" in out, out
    program.refuses(1, "tokenizer", "generate", "--model", folder, "-p", "a")


def wrong_ids(program):
    """wrong ids are refused with the prompt's number, its line, the id and what is allowed"""
    for content, says in (
            ("[1]\n\n[2, 1024]\n", "prompt 2 (line 3 of standard input): token id 1024"),
            ("[1]\n\n[2, 1024]\n", "from 0 to 1023"),
            ("[[1],\n[-7]]", "prompt 2 (line 2 of standard input): token id -7"),
            ("[1]\n[]\n", "prompt 2 (line 2 of standard input) has no token ids"),
            ("[]", "prompt 1 (line 1 of standard input) has no token ids"),
            ("[1, 2.5]", "'2.5' is no token id"),
            ("[1, true]", "'true' is no token id"),
            ('["a"]', "is no token id"),
            ("[1,\n\n,2]", "prompt 1 (line 3 of standard input)"),
            ("[1 2]", "',' or ']'"),
            ("[[1, [2]]]", "'[2'"),
            ("[99999999999999999999]", "'99999999999999999999' is no token id"),
            ("[1, 2", "has no end"),
            ('{"ids": [1], "tokens": [2]}', "more than one"),
            ('{"x": [1]}', "'ids', 'tokens' or 'input_ids'"),
            ('{"ids": 4}', "has no list"),
            ("5 6 7", "neither a list of token ids"),
            ("[1]\nx", "line 2"),
            ("", "holds no prompts"),
            (json.dumps([1] * 5000), "has 5000 tokens, but the model takes at most")):
        program.refuses(1, says, "generate", "--model", "demo", "--ids", "-", stdin=content.encode())
    program.refuses(1, "token id 1024", "plan", "--ids", "-", "--predict", "--model", "demo",
                    stdin=b"[1024]")
    program.refuses(1, "token id -1", "plan", "--ids", "-", stdin=b"[-1]")
    program.refuses(1, "--ids reads lists", "generate", "--model", "demo", "--prompts", "-",
                    "--format", "json", stdin=b"[[1, 2]]")
    for args, says in ((["generate", "--model", "demo", "--ids", "a", "-p", "b"], "one of -p"),
                       (["generate", "--model", "demo", "--ids", "a", "--prompts", "b"], "one of -p"),
                       (["generate", "--model", "demo", "--ids", "a", "--format", "csv"], "--format"),
                       (["plan", "--ids", "a", "--dataset", "mmlu"], "one of --dataset"),
                       (["profile", "--ids", "a", "--dataset", "mmlu"], "not both")):
        program.refuses(2, says, *args)


def any_standard_input(program):
    """standard input may be everything that a file may be"""
    texts = [GERMANY, "3 + 4 ="]
    model = demo_tokenizer(program)
    contents = {
        "lines": "\n".join(texts), "bom": "\ufeff" + "\r\n".join(texts),
        "jsonl": "\n".join(json.dumps({"prompt": t}) for t in texts),
        "array": json.dumps(texts), "objects": json.dumps([{"prompt": t} for t in texts]),
        "csv": "prompt,answer\n" + "".join(f"{t},x\n" for t in texts),
        "tsv": "n\tprompt\n" + "".join(f"1\t{t}\n" for t in texts)}
    for kind, content in contents.items():
        stdin = content.encode()
        items, _ = program.json("generate", *model, "--prompts", "-", "--max-new-tokens", 1, stdin=stdin)
        assert [i["prompt"] for i in items] == texts, (kind, items)
        plan, _ = program.json("plan", *model, "--dataset", "-", stdin=stdin)
        assert plan["prompts"] == 2, kind
        profile, _ = program.json("profile", *model, "--dataset", "-", "--num-runs", 1, stdin=stdin)
        assert profile["methods"][0]["tokens_real"] == plan["tokens"], kind
    lengths = b"3\n\n 14 \r\n"
    plan, _ = program.json("plan", "--dataset", "-", stdin=lengths)
    assert (plan["prompts"], plan["tokens"]) == (2, 17)
    profile, _ = program.json("profile", "--model", "tiny", "--dataset", "-", "--num-runs", 1, stdin=lengths)
    assert profile["methods"][0]["tokens_real"] == 17
    plan, _ = program.json("plan", "--dataset", program.file("numbers", "3\n14\n"))
    assert plan["tokens"] == 17
    items, _ = program.json("generate", *model, "--prompts", "-", "--max-new-tokens", 1, stdin=b"12\n34\n")
    assert [i["prompt"] for i in items] == ["12", "34"]
    program.refuses(1, "line 2 of standard input", "plan", "--dataset", "-", "--format", "lengths",
                    stdin=b"3\nx\n")


def read_all(main):
    """What is written to a terminal until its other side is closed."""
    shown = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:
            piece = b""
        if not piece:
            os.close(main)
            return shown
        shown += piece


def on_terminal(program, *args):
    """What the program writes to a terminal."""
    main, side = pty.openpty()
    with subprocess.Popen([program.path, *map(str, args)], stdin=subprocess.DEVNULL, stdout=side,
                          stderr=side, env=program.environment({"TERM": "dumb"})) as process:
        os.close(side)
        shown = read_all(main)
        assert process.wait(TIMEOUT) == 0, shown
    return shown.decode().replace("\r\n", "\n")


def text_as_it_comes(program):
    """on a terminal the text of a single prompt appears as it comes, and is that of a pipe"""
    model = demo_tokenizer(program)
    args = ["generate", *model, "-p", GERMANY, "--max-new-tokens", 24]
    piped = program.works(*args).rsplit("\n", 3)[0]
    shown = on_terminal(program, *args)
    assert shown.startswith(piped), (shown, piped)
    assert "generating" not in shown, shown
    several = on_terminal(program, *args, "-p", "3 + 4 =")
    assert several.index("> " + GERMANY) < several.index("> 3 + 4 ="), several
    ids = on_terminal(program, "generate", "--model", "tiny", "--ids",
                         program.file("a.json", "[1, 2]"), "--max-new-tokens", 3)
    lines = ids.splitlines()
    assert lines[0] == "> [1, 2]" and len(json.loads(lines[1])) == 3, ids


def characters_stay_whole(program):
    """bytes of a character that come as tokens of their own are shown when it is whole"""
    demo_tokenizer(program)
    args = ["generate", "--model", "demo", "-p", "a", "--temperature", 100, "--max-new-tokens", 200]
    for seed in range(3):
        plain = program.works(*args, "--seed", seed).rsplit("\n", 3)[0]
        shown = on_terminal(program, *args, "--seed", seed)
        assert "\ufffd" in plain, "the draws should have bytes that are no character"
        body = plain.encode().replace(b"\r", b"").decode()
        assert shown.replace("\r", "").startswith(body), (seed, shown, plain)


def interrupted_text(program):
    """Ctrl-C while text appears leaves the text, and the sentence stands on a line of its own"""
    main, side = pty.openpty()
    words = [program.path, "generate", "--model", "demo", "-p", GERMANY, "--temperature", "3",
             "--max-new-tokens", "400", "--device", "cpu:ref", "--threads", "1"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=side, stderr=side,
                          env=program.environment()) as process:
        os.close(side)
        shown = b""
        while shown.count(b"\n") < 1 or not shown.split(b"\n", 1)[1].strip():
            shown += os.read(main, 65536)
        process.send_signal(signal.SIGINT)
        shown += read_all(main)
        assert process.wait(TIMEOUT) == 130, shown
    lines = shown.decode(errors="replace").replace("\r\033[K", "").splitlines()
    assert lines[0] == "> " + GERMANY and lines[-1] == "prepack: interrupted" and lines[1], lines


CASES = [kinds_of_ids, ids_without_tokenizer, wrong_ids, any_standard_input, text_as_it_comes,
         characters_stay_whole, interrupted_text]
