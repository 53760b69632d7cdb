#!/usr/bin/env python3
"""Mutants of the real kernels: runs an emulated test program once for every place where its kernels call a
primitive (a barrier, a wait, a fence, a load, a fill), with the calls from that place left out. The program
must notice each time.

usage: mutants.py PROGRAM [FILE]...
With files, only the places in them. Prints TAP."""
import os
import subprocess
import sys

PROGRAM = sys.argv[1]
FILES = sys.argv[2:]
TIMEOUT = 120


def places():
    run = subprocess.run([PROGRAM], env={**os.environ, "PREPACK_EMU_PLACES": "1"}, capture_output=True,
                         text=True, check=False)
    if run.returncode != 0:
        print("Bail out! the program fails without any mutation")
        sys.exit(1)
    every = [line[len("place: "):] for line in run.stderr.splitlines() if line.startswith("place: ")]
    return [place for place in every if not FILES or place.split(":")[0] in FILES]


def notices(place):
    """Whether the program fails; what it said first."""
    run = subprocess.Popen([PROGRAM], env={**os.environ, "PREPACK_EMU_SKIP": place}, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = ""
    for line in run.stdout:
        said = said or (line.strip() if line.startswith(("emulation:", "# ")) and "seed" not in line else "")
        if line.startswith("not ok"):
            run.kill()
            run.wait()
            return True, said
    return run.wait(timeout=TIMEOUT) != 0, said


found = places()
if not found:
    print("Bail out! the program reached no primitive")
    sys.exit(1)
print(f"1..{len(found)}")
blind = 0
for i, place in enumerate(found, 1):
    noticed, said = notices(place)
    blind += not noticed
    print("ok" if noticed else "not ok", i, "-", place)
    print("#", said, flush=True)
sys.exit(1 if blind else 0)
