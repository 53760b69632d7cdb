#!/usr/bin/env python3
"""Checks what the quick start printed: prepacking is at least 3 times as fast as full batching and not
slower than length-ordered batches (within 5 %), the continuations are
the same packed and alone, and they are right.

usage: check_quickstart.py OUTPUT"""
import re
import sys

text = open(sys.argv[1], encoding="utf-8").read()
seconds = {}
for method in ("prepacking", "full-batching", "length-ordered"):
    row = re.search(rf"^\s*{method}\s+([0-9.]+)", text, re.M)
    if not row:
        sys.exit(f"the table has no row {method}")
    seconds[method] = float(row[1])
if seconds["full-batching"] < 3 * seconds["prepacking"]:
    sys.exit(f"prepacking is less than 3 times as fast as full batching: {seconds}")
if seconds["length-ordered"] < 0.95 * seconds["prepacking"]:
    sys.exit(f"length-ordered batches were faster than prepacking: {seconds}")
same = re.search(r"(\d+) of (\d+) .*same", text)
if not same or same[1] != same[2] or int(same[2]) < 4:
    sys.exit("packed and lone continuations are not the same")
for answer in ("Berlin.", "7.", "cold.", "4 7 1."):
    if f" {answer} " not in text:
        sys.exit(f"the answer {answer} is missing")
print("# quick start:", seconds)
