#!/usr/bin/env python3
"""Checks what the quick start printed: full batching computes at least 3 times the tokens of prepacking,
length-ordered batches more than it, and is slower; the continuations are the same packed and alone, and they are
right. How many times as fast it is depends on what else the machine does: the benchmarks say.

usage: check_quickstart.py OUTPUT"""
import re
import sys

text = open(sys.argv[1], encoding="utf-8").read()
seconds, computed = {}, {}
for method in ("prepacking", "full-batching", "length-ordered"):
    time = re.search(rf"^\s*{method}\s+([0-9.]+)", text, re.M)
    tokens = re.search(rf"^\s*{method}\s+[0-9]+\s+([0-9]+)\s+[0-9.]+\s+[0-9.]+\s+[0-9.]+x", text, re.M)
    if not time or not tokens:
        sys.exit(f"a table has no row {method}")
    seconds[method], computed[method] = float(time[1]), int(tokens[1])
if computed["full-batching"] < 3 * computed["prepacking"]:
    sys.exit(f"full batching computes less than 3 times the tokens of prepacking: {computed}")
if computed["length-ordered"] <= computed["prepacking"]:
    sys.exit(f"length-ordered batches compute no more tokens than prepacking: {computed}")
if seconds["full-batching"] <= seconds["prepacking"]:
    sys.exit(f"full batching was not slower than prepacking: {seconds}")
same = re.search(r"(\d+) of (\d+) .*same", text)
if not same or same[1] != same[2] or int(same[2]) < 4:
    sys.exit("packed and lone continuations are not the same")
for answer in ("Berlin.", "7.", "cold.", "4 7 1."):
    if f" {answer} " not in text:
        sys.exit(f"the answer {answer} is missing")
print("# quick start:", seconds)
