#!/bin/sh
# bitsandbytes 0.50.2: on a CPU with AVX512-BF16, 4-bit layers whose rows are no multiple of 64 run in training mode
# and fail in inference.
#
# Behaviour: Linear4bit quantises a matrix of any shape, block after block over all its elements, so that a block of 64
# may end in the next row. In training mode, or with an input that needs a gradient, such a layer runs. In inference it
# is first laid out for the CPU, which asks for rows of whole blocks and for a multiple of 32 rows, and ends with an
# error about the shape of the scales or an assertion. The same layer runs in both modes on other processors.
# Expected: the same shapes in both modes; the other way to multiply is there.
# What it means: a hidden size of 288 or 96, or a head of 1000 classes, loads and trains and cannot be evaluated on a
# new server, while a laptop can. Use a block size that divides the rows, or keep such layers out of 4 bits.
#
# Seen:
#     64 rows of 256: training runs; inference runs
#     64 rows of 288: training runs; inference RuntimeError: shape '[64, 4]' is invalid for input of size 288
#     64 rows of  96: training runs; inference RuntimeError: shape '[64, 1]' is invalid for input of size 96
#   1000 rows of 256: training runs; inference AssertionError: N must be divisible by block_n
set -eu
pins=${FINDINGS_PINS:-"bitsandbytes==0.50.2 torch==2.15.0"}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
export TMPDIR="$dir" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error
python=${FINDINGS_PYTHON:-}
if [ -z "$python" ]; then
    python3 -m venv "$dir/venv"
    python="$dir/venv/bin/python"
    # shellcheck disable=SC2086  # one word for each package
    "$python" -m pip install --quiet $pins
fi
# shellcheck disable=SC2086
"$python" -W ignore - $pins <<'EOF'
import sys
from importlib.metadata import version

for pin in sys.argv[1:]:
    package, wanted = pin.split("==")
    if version(package).split("+")[0] != wanted:
        sys.exit(f"{package} is {version(package)}, not {wanted}: this says nothing about the version stated")
print("with", *sys.argv[1:])

import bitsandbytes
import torch
from bitsandbytes import functional

if not functional.has_avx512bf16():
    sys.exit("this processor has no AVX512-BF16: nothing can be said here")


def runs(layer, k):
    try:
        with torch.no_grad():
            layer(torch.randn(2, k))
        return "runs"
    except (RuntimeError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"


torch.manual_seed(0)
stated = True
for n, k, fits in ((64, 256, True), (64, 288, False), (64, 96, False), (1000, 256, False)):
    layer = bitsandbytes.nn.Linear4bit(k, n, bias=False, quant_type="nf4", compute_dtype=torch.float32)
    layer.weight = bitsandbytes.nn.Params4bit(torch.randn(n, k), requires_grad=False, quant_type="nf4")
    layer.to("cpu")
    seen = runs(layer.train(), k), runs(layer.eval(), k)
    print("%4d rows of %3d: training %s; inference %s" % (n, k, *seen))
    stated &= seen[0] == "runs" and (seen[1] == "runs") == fits
sys.exit(0 if stated else "not as stated above")
EOF
