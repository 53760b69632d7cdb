"""What table.awk says about figures and goals: test_table.py TABLE_AWK GOALS. Prints TAP."""

import os
import re
import subprocess
import sys
import tempfile

TABLE, GOALS = sys.argv[1:3]
SHAPE = "gqa-d128"
# TFLOP/s to reach by prompt length: bf16, causal, 32 on 8 heads of 128.
TO_REACH = {50: 70, 100: 140, 200: 280, 500: 450, 2000: 500, 4000: 590, 8000: 640, 16000: 670}


def table(figures, goals):
    """The table's lines: {what: last column}."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "figures")
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"{key} {value}\n" for key, value in figures.items())
        if not os.path.exists(goals):
            text, goals = goals, os.path.join(folder, "goals")
            with open(goals, "w", encoding="ascii") as file:
                file.write(text)
        return subprocess.run(["awk", "-f", TABLE, path, goals], check=True, text=True,
                              capture_output=True).stdout.splitlines()


def row(goal, ours, theirs):
    """The end of the line of one row."""
    figures = {"a": ours} if theirs is None else {"a": ours, "b": theirs}
    lines = table(figures, f"x | a | ms | higher | rival | b | {goal}\n")
    return lines[1]


def goals_are_held_against_figures():
    """a goal is met, not met or not measured"""
    for goal, ours, theirs, says in (
            (">70", 70, None, ">70 met"), (">70", 69.9, None, ">70 NOT MET"),
            ("2x", 8, 4, "2x met"), ("2x", 7.9, 4, "2x NOT MET"), ("2x", 8, None, "2x not measured"),
            (">70 1x", 71, 71, ">70 1x met"), (">70 1x", 71, 72, ">70 1x NOT MET"),
            (">70 1x", 69, 60, ">70 1x NOT MET"), (">70 1x", 71, None, ">70 1x not measured"),
            (">70 1x", 69, None, ">70 1x NOT MET")):
        assert row(goal, ours, theirs).endswith(says), (goal, ours, theirs, row(goal, ours, theirs))
    assert re.search(r" 2\.00x *$", row("", 8, 4))


def attention_has_its_goals():
    """attention's goals of TFLOP/s are those that were set, against the best rival"""
    for factor, faster, says in ((1, 1.01, "met"), (0.99, 0.5, "NOT MET"), (1.2, 1.3, "NOT MET")):
        figures = {}
        for n, rate in TO_REACH.items():
            figures[f"attention.{SHAPE}.l{n}.tflops"] = rate * factor
            best = rate * faster if says == "NOT MET" else rate / faster
            figures[f"torch.{SHAPE}.l{n}.tflops"] = best
        lines = [line for line in table(figures, GOALS) if "best of torch" in line]
        assert len(lines) == len(TO_REACH), lines
        for line, rate in zip(lines, TO_REACH.values()):
            assert line.endswith(f">{rate} 1x {says}"), line
    assert table(figures, GOALS)[-1] == f"goals: 0 met, {len(TO_REACH)} not met, 0 not measured"


def rows_are_well_formed():
    """every row has seven fields and a sense of better"""
    with open(GOALS, encoding="ascii") as file:
        rows = [line.rstrip("\n").split("|") for line in file if line.strip() and line[0] != "#"]
    for fields in rows:
        assert len(fields) == 7 and fields[3].strip() in ("lower", "higher"), fields
    for kernel in ("mma-l", "l"):
        for n in TO_REACH:
            assert any(f"attention.{SHAPE}.{kernel}{n}.tflops" in "|".join(r) for r in rows), (kernel, n)


CASES = [goals_are_held_against_figures, attention_has_its_goals, rows_are_well_formed]
print(f"1..{len(CASES)}")
failed = 0
for number, case in enumerate(CASES, 1):
    try:
        case()
        print(f"ok {number} - {case.__doc__}")
    except Exception as problem:  # each case is reported
        failed += 1
        print(f"not ok {number} - {case.__doc__}\n# {problem!r}")
sys.exit(1 if failed else 0)
