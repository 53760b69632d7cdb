"""`prepack score`: log-probabilities against logits that `prepack prefill` writes, and the forms of its data."""

import json
import math
import os

import demo_models
from harness import long
from plan_cases import demo_tokenizer
from prefill_cases import prefill

GERMANY = "The capital of Germany is"
VOCAB = 1024


def log_softmax(row):
    most = max(row)
    total = math.log(math.fsum(math.exp(x - most) for x in row))
    return [x - most - total for x in row]


def rows_of(program, prompts, *args):
    """What follows each prompt, as log-probabilities in double, from the logits of a prefill."""
    logits = prefill(program, "rows", prompts, "--force", *args)[0]["logits"][2]
    return [log_softmax(logits[VOCAB * i:VOCAB * (i + 1)]) for i in range(len(prompts))]


def read_lines(path):
    """The header and the items of a file of --out."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    assert [line["item"] for line in lines[1:]] == list(range(len(lines) - 1))
    return lines[0], lines[1:]


def score(program, data, *args, model="demo", says="", name="out"):
    """Runs; the summary and the items."""
    out = os.path.join(program.folder, name)
    content = data if isinstance(data, str) else "".join(json.dumps(item) + "\n" for item in data)
    done = program.run("score", "--model", model, "--data", program.file("data.jsonl", content), "--out", out,
                       "--force", "--json", program.file("json", ""), *args)
    assert done.status == 0, done.err
    assert (says in done.err) if says else done.err == "", done.err
    with open(os.path.join(program.folder, "json"), encoding="utf-8") as file:
        summary = json.load(file)
    items = read_lines(out)[1]
    assert len(summary["results"]) == len(items) == summary["items"]
    return summary, items


def near(a, b, most=1e-5):
    return abs(a - b) <= most * max(1, abs(b))


def agrees_with_logits(program):
    """log-probabilities, ranks and alternatives are those of the logits"""
    contexts = [[1, 262, 309, 270], [1, 5, 700, 31, 8, 44], [9]]
    continuations = [[[854, 969, 282], [349], [10, 11]], [[3], [4], [1023]], [[500, 501]]]
    data = [{"context": c, "continuations": ks} for c, ks in zip(contexts, continuations)]
    prompts = [c + k[:j] for c, ks in zip(contexts, continuations) for k in ks for j in range(len(k))]
    for args in ((), ("--dtype", "f32")):
        _, items = score(program, data, "--top", 3, *args)
        rows = iter(rows_of(program, prompts, *args))
        for ks, item in zip(continuations, items):
            sums = []
            for k, one in zip(ks, item["continuations"]):
                assert one["token_ids"] == k and one["tokens"] == len(k) and one["bytes"] is None
                for j, target in enumerate(k):
                    row = next(rows)
                    assert near(one["logprobs"][j], row[target]), (one, row[target])
                    order = sorted(range(VOCAB), key=lambda i, row=row: (-row[i], i))
                    assert one["ranks"][j] == order.index(target)
                    assert [i for i, _ in one["top"][j]] == order[:3]
                    assert all(near(p, row[i]) for i, p in one["top"][j])
                assert near(one["logprob"], sum(one["logprobs"]), 1e-12)
                assert one["greedy"] == (max(one["ranks"]) == 0)
                sums.append(one["logprob"])
            assert item["best"] == sums.index(max(sums)) and item["best_norm"] is None, item


def forms_of_data(program):
    """contexts, continuations and choices in all their forms, and what is made of them"""
    words = demo_tokenizer(program)
    data = [
        {"context": GERMANY, "continuation": " Berlin"},
        {"context": GERMANY, "continuations": [" Berlin", " Paris", " war"]},
        {"question": "3 + 4 =", "choices": ["6", "7", "8"], "answer": "B", "other": [1, {"a": None}]},
        {"context": "The opposite of peace is", "choices": ["love", "war"], "answer": 0},
        {"context": "The opposite of peace is ", "choices": ["war", " love"], "answer": "a"},
    ]
    summary, items = score(program, data, "--tokens")
    assert [len(i["continuations"]) for i in items] == [1, 3, 3, 2, 2]
    assert items[0]["continuations"][0] == items[1]["continuations"][0]
    assert items[1]["continuations"][0]["greedy"] and items[1]["best"] == 0
    assert [i.get("answer") for i in items] == [None, None, 1, 0, 0]
    assert summary["acc"]["n"] == 3 and near(summary["acc"]["value"], 2 / 3)
    assert near(summary["acc"]["standard_error"], math.sqrt(2 / 3 / 3 / 2))
    assert items[2]["continuations"][0]["bytes"] == 1, "the delimiter is no part of a choice"
    # A space of the context's end, of a delimiter and of a continuation are the same text.
    ids = [items[3]["continuations"][1], items[4]["continuations"][0]]
    assert ids[0]["token_ids"] == ids[1]["token_ids"] and ids[0]["logprobs"] == ids[1]["logprobs"]
    tokens = json.loads(program.works("tokenize", *words, "-p", GERMANY + " Berlin", "--ids-only"))
    before = json.loads(program.works("tokenize", *words, "-p", GERMANY, "--ids-only"))
    assert items[0]["continuations"][0]["token_ids"] == tokens[len(before):]
    by_bytes = [c["logprob"] / c["bytes"] for c in items[1]["continuations"]]
    assert items[1]["best_bytes"] == by_bytes.index(max(by_bytes))
    # Characters are code points: answers that are long in bytes alone lose nothing by acc_norm.
    data_utf8 = [{"question": "3 + 4 =", "choices": ["\u00e9\u00e9\u20ac", "abc"], "answer": 0}]
    utf8_summary, utf8 = score(program, data_utf8)
    each = utf8[0]["continuations"]
    assert [(c["characters"], c["bytes"]) for c in each] == [(3, 7), (3, 3)]
    for name, unit in (("norm", "characters"), ("bytes", "bytes")):
        values = [c["logprob"] / c[unit] for c in each]
        assert utf8[0]["best_" + name] == values.index(max(values))
        assert utf8_summary["acc_" + name]["value"] == float(utf8[0]["best_" + name] == 0)
    every = [c for i in items for c in i["continuations"]]
    assert near(summary["mean_logprob"], sum(c["logprob"] for c in every) / len(every), 1e-8)
    assert near(summary["greedy"]["value"], sum(c["greedy"] for c in every) / len(every), 1e-8)
    renamed = [{"q": d.get("context", d.get("question")), "c": d.get("choices", d.get("continuations")) or
                [d["continuation"]], "right": d.get("answer"), "answer": "?"} for d in data[2:4]]
    fields = ("--field", "q", "--choices-field", "c", "--answer-field", "right")
    assert [i["continuations"] for i in score(program, json.dumps(renamed), *fields, "--tokens")[1]] == \
        [i["continuations"] for i in items[2:4]]
    joined = score(program, [dict(data[2], question="3 + 4")], "--delimiter", " = ", "--tokens")[1]
    assert joined[0]["continuations"][1]["token_ids"][-1] == items[2]["continuations"][1]["token_ids"][-1]
    text = program.works("score", *words, "--data", "-", "--show", 1, stdin=json.dumps(data).encode())
    assert "and 4 more" in text and "acc            66.67 % (2 of 3)" in text, text


@long
def same_bits(program):
    """batches, shared prefixes, threads and passes change no byte of the file"""
    header = "The capital of France is Paris. The capital of Romania is Bucharest. "
    data = [{"context": header * (1 + i % 3) + GERMANY, "continuations": [" Berlin", " Rome.", " a"]}
            for i in range(12)] + [{"context": header, "continuation": header}]
    files = set()
    for args in ((), ("--share-prefixes", 0), ("--share-prefixes", 1), ("--batch-size", 1),
                 ("--batch-size", 7, "--policy", "arrival"), ("--threads", 1, "--capacity", 400)):
        summary, _ = score(program, data, "--top", 2, *args)
        with open(os.path.join(program.folder, "out"), "rb") as file:
            files.add(file.read())
        if not args:
            shared = summary["tokens_computed"]
        if args == ("--share-prefixes", 0):
            assert summary["tokens_computed"] > 3 * shared, (shared, summary["tokens_computed"])
    assert len(files) == 1


def edges_of_contexts(program):
    """empty contexts, tokens across the border, contexts and continuations that do not fit"""
    data = [{"context": "", "continuation": "The capital"}, {"context": "  ", "continuation": "The"},
            {"context": [], "continuation": [5, 6]}, {"context": [1], "continuation": [5, 6]}]
    _, items = score(program, data, "--tokens")
    assert items[2]["continuations"] == items[3]["continuations"], "nothing stands for the model's BOS"
    ids = items[0]["continuations"][0]["token_ids"]
    _, as_ids = score(program, [{"context": [1], "continuation": ids}], "--tokens")
    assert as_ids[0]["continuations"][0]["logprobs"] == items[0]["continuations"][0]["logprobs"]
    # "capital" is one token, "capi" three: of both together what stands behind three is taken, behind "capi".
    _, items = score(program, [{"context": "capi", "continuations": ["tal of Germany is", " war"]}], "--tokens",
                     says="1 of 2 continuations change the last tokens of their context")
    words = ("tokenize", *demo_tokenizer(program), "--ids-only", "-p")
    alone = json.loads(program.works(*words, "capi"))
    rest = json.loads(program.works(*words, "capital of Germany is"))[len(alone):]
    _, as_ids = score(program, [{"context": alone, "continuation": rest}], "--tokens")
    assert as_ids[0]["continuations"][0]["logprobs"] == items[0]["continuations"][0]["logprobs"]
    program.refuses(1, "item 1 (line 1 of standard input): continuation 1 has no tokens", "score", "--model", "demo",
                    "--data", "-", stdin=b'{"context": "capi", "continuation": "tal"}')
    long = list(range(3, 103))
    _, cut = score(program, [{"context": long, "continuation": [7, 8]}], "--max-length", 10, "--tokens",
                   says="1 of 1 continuations did not fit into 10 tokens")
    _, kept = score(program, [{"context": long[-9:], "continuation": [7, 8]}], "--tokens")
    assert cut[0]["continuations"] == kept[0]["continuations"]
    program.refuses(1, "item 2 (line 3 of standard input): continuation 2 has 11 tokens, but at most 10 fit",
                    "score", "--model", "demo", "--data", "-", "--max-length", 10,
                    stdin=b'{"context": [1], "continuation": [2]}\n\n{"context": [1], "continuations": [[2],'
                          b'[1,2,3,4,5,6,7,8,9,10,11]]}')


def windows(ids, most, stride):
    """(tokens seen, targets) of each window, by the two published ways."""
    if stride is None:
        for first in range(0, len(ids) - 1, most):
            part = ids[first:first + most + 1]
            yield part[:-1], len(part) - 1
        return
    done = 0
    for begin in range(0, len(ids), stride):
        part = ids[begin:begin + most]
        yield part[:-1], min(begin + len(part) - done, len(part) - 1)
        done = begin + len(part)
        if done == len(ids):
            return


def perplexities(program):
    """perplexity of ids by rolling and by strided windows is that of the logits"""
    texts = [[1] + [(31 * i) % 1000 + 3 for i in range(n)] for n in (40, 8, 1)]
    path = program.file("texts", "".join(json.dumps(t) for t in texts))
    for stride in (None, 1, 3, 8):
        args = ("--max-length", 8) + (("--stride", stride) if stride else ())
        out = os.path.join(program.folder, "p")
        figures, _ = program.json("score", "--model", "demo", "--perplexity", "--ids", path, "--out", out,
                                  "--force", "--tokens", *args)
        _, items = read_lines(out)
        logprob = n = 0
        for text, item in zip(texts, items):
            prompts = [seen[:len(seen) - i] for seen, targets in windows(text, 8, stride)
                       for i in reversed(range(targets)) if seen]
            assert item["tokens"] == len(prompts) == len(item["token_ids"])
            assert stride == 8 or item["token_ids"] == text[1:], "each token once"
            rows = rows_of(program, prompts)
            wanted = [row[target] for row, target in zip(rows, item["token_ids"])]
            assert all(near(a, b) for a, b in zip(item["logprobs"], wanted))
            assert near(item["token_perplexity"], math.exp(-sum(wanted) / len(wanted)))
            logprob += item["logprob"]
            n += item["tokens"]
        assert figures["tokens"] == n and figures["bytes"] is None
        assert near(figures["token_perplexity"], math.exp(-logprob / n), 1e-8)


def texts(program):
    """texts are files, lines or fields; words and bytes are counted in what they say"""
    words = demo_tokenizer(program)
    text = "The capital of Germany is Berlin.\nThe opposite of peace is war.\n"
    args = ["score", *words, "--perplexity"]
    whole, _ = program.json(*args, "--data", program.file("a.txt", text))
    assert (whole["items"], whole["words"], whole["bytes"]) == (1, 13, len(text)), whole
    logprob = whole["logprob"]
    assert near(whole["word_perplexity"], math.exp(-logprob / 13), 1e-6)
    assert near(whole["byte_perplexity"], math.exp(-logprob / len(text)), 1e-6)
    assert near(whole["bits_per_byte"], -logprob / len(text) / math.log(2), 1e-8)
    assert whole["tokens"] == len(json.loads(program.works(
        "tokenize", *words, "--prompts", program.file("a.json", json.dumps([text])), "--ids-only"))) - 1
    lines, _ = program.json(*args, "--data", program.file("b.txt", text), "--format", "lines")
    assert (lines["items"], lines["words"]) == (2, 12)
    objects = [{"text": line} for line in text.splitlines()]
    for content, more in ((json.dumps(objects), ()), (json.dumps([o["text"] for o in objects]), ()),
                          ("text,n\n" + "".join(f'"{o["text"]}",1\n' for o in objects), ("--format", "csv")),
                          (json.dumps([{"x": o["text"]} for o in objects]), ("--field", "x"))):
        again, _ = program.json(*args, "--data", "-", *more, stdin=content.encode())
        assert again["logprob"] == lines["logprob"] and again["words"] == 12, content
    _, said = program.json(*args, "--data", program.file("c.jsonl", '{"text": ""}\n{"text": "a"}'), "--stride", 4)
    assert "scored" in said
    empty, _ = program.json(*args, "--data", program.file("d.jsonl", '{"text": ""}'))
    assert empty["tokens"] == 0 and empty["token_perplexity"] is None, empty


def without_tokenizer(program):
    """shapes with random weights score ids; a text needs a tokenizer"""
    data = [{"context": [1, 2, 3], "continuations": [[4], [5], [6, 7]], "answer": 1}]
    summary, items = score(program, data, "--seed", 5, model="tiny")
    assert summary["acc"]["n"] == 1 and summary["acc_norm"] is None and len(items) == 1
    assert score(program, data, "--seed", 6, model="tiny")[1] != items
    program.refuses(1, "without tokenizer", "score", "--model", "tiny", "--data", "-",
                    stdin=b'{"context": "a", "continuation": "b"}')


def without_head(program):
    """a model without an LM head is refused in a sentence"""
    data = {"context": [1, 2, 3], "continuation": [4]}
    headless = demo_models.changed(program, "headless", architectures=["LlamaModel"])
    program.refuses(1, "head", "score", "--model", headless, "--data", program.file("d", json.dumps(data)))


CASES = [agrees_with_logits, forms_of_data, same_bits, edges_of_contexts, perplexities, texts,
         without_tokenizer, without_head]
