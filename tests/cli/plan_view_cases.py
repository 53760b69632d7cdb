"""prepack plan: objectives, constraints, plans in files and pictures of them."""

import json
import os
import xml.etree.ElementTree as ElementTree

from plan_cases import demo_tokenizer

SVG = "{http://www.w3.org/2000/svg}"


def policies(program):
    """every policy of the objective keeps the capacity and the bounds"""
    path = program.file("a.lengths", "".join(f"{1 + i * 7 % 50}\n" for i in range(300)))
    ffd = program.json("plan", "--dataset", path, "--capacity", 60)[0]["bins"]
    for policy in ("ffd", "bfd", "arrival", "first-fit", "best-fit", "exact", "auto"):
        plan, text = program.json("plan", "--dataset", path, "--policy", policy, "--capacity", 60)
        if policy in ("exact", "auto"):  # the policy is the one that found the bins
            assert plan["bins"] <= ffd
        else:
            assert plan["policy"] == policy and f"({policy})" in text
        assert plan["bound_l1"] <= plan["bound_l2"] <= plan["lower_bound"] <= plan["bins"]
        assert plan["max_cost"] <= 60 and plan["batches"] == 5
        assert plan["padded_tokens"] > plan["tokens"] == plan["placed_tokens"] == plan["used"]
        assert abs(plan["mean_bin_prompts"] - 300 / plan["bins"]) < 1e-6
        assert abs(plan["mean_cost"] - plan["tokens"] / plan["bins"]) < 1e-6


def objectives(program):
    """balanced bins and rows of given shapes"""
    path = program.file("a.lengths", "7\n6\n5\n4\n3\n2\n")
    common = ("plan", "--dataset", path)
    plan, text = program.json(*common, "--objective", "balanced", "--bins", 3)
    assert (plan["bins"], plan["max_cost"], plan["cost_bound"]) == (3, 9, 9), plan
    assert plan["proven_optimal"] and plan["gap"] == 0 and "balanced" in text
    plan, _ = program.json(*common, "--objective", "cheapest", "--shapes", "8,16")
    assert plan["objective"] == "cheapest" and plan["cost"] == 32 and plan["capacity"] <= 16, plan
    program.refuses(2, "needs --bins", *common, "--objective", "balanced")
    program.refuses(2, "goes with", *common, "--bins", 3)
    program.refuses(2, "needs --shapes", *common, "--objective", "cheapest")
    program.refuses(2, "goes with", *common, "--shapes", "8,16")
    balanced = (*common, "--objective", "balanced", "--bins", 3)
    program.refuses(2, "--policy goes with --objective fewest", *balanced, "--policy", "auto")
    program.refuses(2, "--share-prefixes goes with --objective fewest", *balanced, "--share-prefixes")
    program.refuses(2, "--policy", *common, "--policy", "worst")
    program.refuses(2, "--shapes", *common, "--objective", "cheapest", "--shapes", "8,x")


def constraints(program):
    """the number of prompts, their order, and prompts longer than a bin"""
    path = program.file("a.lengths", "9\n1\n1\n1\n1\n25\n")
    common = ("plan", "--dataset", path)
    plan, _ = program.json(*common, "--max-prompts", 2)
    assert plan["max_bin_prompts"] == 2 and plan["bins"] == 4, plan
    plan, _ = program.json(*common, "--keep-order")
    assert plan["bins"] == 2 and plan["policy"] == "arrival", plan
    program.refuses(1, "25 tokens", *common, "--capacity", 10)
    plan, text = program.json(*common, "--capacity", 10, "--oversize", "split")
    assert plan["segments"] > plan["prompts"] == 6 and plan["bins"] == 4, plan
    assert "parts of prompts" in text


def workers(program):
    """--workers spreads bins by cost"""
    path = program.file("a.lengths", "9\n8\n7\n6\n5\n5\n")
    args = ("plan", "--dataset", path, "--capacity", 9)
    plan, text = program.json(*args, "--workers", 2)
    assert plan["bins"] == 6 and "workers        2: the dearest 20 tokens" in text, text
    assert plan["workers"] == {"n": 2, "max_cost": 20, "mean_cost": 20, "cost_bound": 20, "gap": 0,
                               "proven_optimal": True}, plan["workers"]
    plan, _ = program.json(*args, "--workers", 2, "--batch-size", 3)
    assert plan["workers"]["max_cost"] == 15 + 10, plan["workers"]
    program.refuses(2, "--workers", *args, "--workers", 0)


def shared_prefixes(program):
    """prefixes that prompts share are placed once; token counts have none"""
    model = demo_tokenizer(program)
    header = "The following is a long question about the capital of Germany and its rivers. "
    path = program.file("p.txt", "".join(f"{header}{word}\n" for word in ("one", "two", "three")))
    args = ("plan", "--dataset", path, *model, "--capacity", 64)
    plan, text = program.json(*args, "--share-prefixes")
    assert plan["placed_tokens"] < plan["tokens"] and "prefixes" in text, plan
    assert program.json(*args)[0]["placed_tokens"] == plan["tokens"]
    program.refuses(2, "--share-prefixes", "plan", "--dataset", "mmlu", "--share-prefixes")


def saved_plans(program):
    """a plan that was saved and loaded has the same figures"""
    path = program.file("a.lengths", "".join(f"{1 + i * 7 % 50}\n" for i in range(300)))
    out = program.file("plan.json", "x" * 100000)
    plan, _ = program.json("plan", "--dataset", path, "--batch-size", 0, "--save", out)
    loaded, text = program.json("plan", "--load", out)
    assert loaded == plan and out in text
    with open(out, encoding="utf-8") as file:
        saved = json.load(file)
    assert saved["format"] == "prepack-plan" and sum(map(len, saved["bins"])) == 300
    again = os.path.join(program.folder, "again.json")
    program.works("plan", "--load", out, "--save", again)
    with open(out, "rb") as first, open(again, "rb") as second:
        assert first.read() == second.read()
    program.refuses(2, "--save", "plan", "--dataset", path, "--save", out)
    program.refuses(2, "one of --dataset", "plan", "--dataset", path, "--load", out)
    program.refuses(1, "could not be opened", "plan", "--load", out + ".no")
    program.refuses(1, "could not be opened", "plan", "--load", out, "--save", "/no/such/folder/x")
    saved["bins"][0].append(saved["bins"][1][0])
    broken = program.file("broken.json", json.dumps(saved))
    program.refuses(1, broken + ": plan: ", "plan", "--load", broken)
    program.refuses(1, "malformed JSON", "plan", "--load", path)


def picture(program):
    """--draw shows padded rows and bins at one scale, in ASCII or in blocks as the locale has it"""
    path = program.file("a.lengths", "10\n6\n4\n5\n")
    args = ("plan", "--dataset", path, "--draw")
    lines = program.works(*args, env={"COLUMNS": "48"}).splitlines()
    assert lines[:10] == ["# = prompts, . unused; 20 cells are 10 tokens",
                          "full batching: 4 rows of 10 tokens, 37.50 % padding",
                          "    0 ####################    1 prompt       10",
                          "    1 ############........    1 prompt        6",
                          "    2 ########............    1 prompt        4",
                          "    3 ##########..........    1 prompt        5",
                          "packed: 3 bins of 10 tokens, 16.67 % unused",
                          "    0 ####################    1 prompt       10",
                          "    1 ############========    2 prompts      10",
                          "    2 ##########..........    1 prompt        5"], lines[:10]
    blocks = program.works(*args, env={"COLUMNS": "48", "LC_ALL": "C.UTF-8"}).splitlines()
    assert blocks[8] == "    1 " + "\u2588" * 12 + "\u2593" * 8 + "    2 prompts      10", blocks
    lines = program.works(*args, "--capacity", 20, env={"COLUMNS": "48"}).splitlines()
    assert lines[3] == "    1 ######....              1 prompt        6", lines
    lines = program.works(*args, "--capacity", 8, "--oversize", "split",
                          env={"COLUMNS": "48"}).splitlines()
    assert "+ parts of prompts" in lines[0] and any("+" in line for line in lines[7:])
    assert program.works(*args, env={"COLUMNS": "1"}) and \
        program.works(*args, env={"COLUMNS": "99999999999"})


def bars(root):
    """Rows of a picture: for each height the bars as (class, x, width)."""
    rows = {}
    for rect in root.iter(SVG + "rect"):
        if rect.get("class") and rect.get("height") == "10":
            rows.setdefault(int(rect.get("y")), []).append(
                (rect.get("class"), float(rect.get("x")), float(rect.get("width"))))
    return [rows[y] for y in sorted(rows)]


def svg(program):
    """--svg is well-formed, at one scale, and bars are as long as prompts"""
    path = program.file("a<&>\".lengths", "10\n6\n4\n5\n")
    out = os.path.join(program.folder, "a.svg")
    program.works("plan", "--dataset", path, "--svg", out)
    root = ElementTree.parse(out).getroot()
    assert root.tag == SVG + "svg" and path in root.find(SVG + "title").text
    texts = [t.text for t in root.iter(SVG + "text")]
    assert "full batching: 4 rows of 10 tokens, 37.50 % padding" in texts
    assert "packed: 3 bins of 10 tokens, 16.67 % unused" in texts and "tokens" in texts
    assert {"prompts, in turn", "padding, unused"} < set(texts) and "part of a prompt" not in texts
    rows = bars(root)
    assert [len(row) for row in rows] == [2, 2, 2, 2, 2, 3, 2], rows
    scale = rows[0][0][2] / 10
    widths = [[round(width / scale) for _, _, width in row] for row in rows]
    assert widths == [[10, 10], [10, 6], [10, 4], [10, 5], [10, 10], [10, 6, 4], [10, 5]], widths
    assert [kind for kind, _, _ in rows[5]] == ["unused", "even", "odd"]
    assert abs(rows[5][1][1] + rows[5][1][2] - rows[5][2][1]) < 0.02
    for element in root.iter():  # everything lies inside
        for name, most in (("x", root.get("width")), ("y", root.get("height"))):
            assert 0 <= float(element.get(name, 0)) <= float(most)
    many = program.file("b.lengths", "3\n" * 150)
    program.works("plan", "--dataset", many, "--batch-size", 0, "--svg", out)
    root = ElementTree.parse(out).getroot()
    assert len(bars(root)) == 200
    assert [t.text for t in root.iter(SVG + "text")].count("and 50 more, not drawn") == 2
    program.works("plan", "--dataset", many, "--max-batches", 2, "--svg", out)
    assert "first batch" in ElementTree.parse(out).getroot().find(SVG + "title").text
    name = os.path.join(os.fsencode(program.folder), b"\xff\x01.lengths")
    with open(name, "wb") as file:
        file.write(b"3\n")
    assert program.run("plan", "--dataset", name, "--svg", out, text=False).status == 0
    ElementTree.parse(out)
    program.refuses(1, "could not be opened", "plan", "--dataset", path, "--svg", "/no/folder/x.svg")


CASES = [policies, objectives, constraints, workers, shared_prefixes, saved_plans, picture, svg]
