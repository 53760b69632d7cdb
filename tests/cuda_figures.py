#!/usr/bin/env python3
"""What ptxas says about every kernel: registers, shared memory, spills. A spill, a wgmma that ptxas
serialised (C75xx), a kernel that cannot be launched or a module of more than 10 MB is a failure.

usage: cuda_figures.py BUILD_LOG [MODULE]
BUILD_LOG is the output of a whole build; prints one row for each kernel and architecture."""
import os
import re
import sys

REGISTERS = 65536  # of a multiprocessor
MODULE_BYTES = 10 << 20


def read_figures(log):
    """[(kernel, arch, registers, spilled bytes, static shared bytes)] in the order of the log"""
    figures, entry, spilled = [], None, 0
    for line in log:
        if found := re.search(r"Compiling entry function '(\w+)' for '(\w+)'", line):
            entry, spilled = found.groups(), 0
        elif found := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            spilled = int(found[1]) + int(found[2])
        elif entry and (found := re.search(r"Used (\d+) registers", line)):
            shared = re.search(r"(\d+) bytes smem", line)
            figures.append((*entry, int(found[1]), spilled, int(shared[1]) if shared else 0))
            entry = None
    return figures


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
        lines = file.readlines()
    figures = read_figures(lines)
    problems = [line.strip() for line in lines if re.search(r"\bC75\d\d\b", line)]
    if not figures:
        problems.append(f"{sys.argv[1]} holds no figures: was it a whole build?")
    archs = sorted({arch for _, arch, *_ in figures})
    print("kernel".ljust(44), *(f"{arch:>8}" for arch in archs), "registers")
    by_kernel = {}
    for kernel, arch, registers, spilled, shared in figures:
        by_kernel.setdefault(kernel, {})[arch] = registers
        if spilled:
            problems.append(f"{kernel} for {arch} spills {spilled} bytes")
        if registers > 255 or registers * 32 > REGISTERS:
            problems.append(f"{kernel} for {arch} needs {registers} registers")
        if shared > 1024:
            problems.append(f"{kernel} for {arch} has {shared} bytes of static shared memory")
    for kernel in sorted(by_kernel):
        print(kernel.ljust(44), *(f"{by_kernel[kernel].get(arch, 0):8}" for arch in archs))
    if len(sys.argv) > 2:
        size = os.path.getsize(sys.argv[2])
        print(f"{os.path.basename(sys.argv[2])}: {size / 1e6:.1f} MB")
        if size > MODULE_BYTES:
            problems.append(f"{sys.argv[2]} has {size} bytes, allowed {MODULE_BYTES}")
    for problem in problems:
        print("not ok:", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
