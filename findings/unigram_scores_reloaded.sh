#!/bin/sh
# tokenizers 0.23.3: a Unigram tokenizer that is saved and loaded has other scores in one of seven pieces, and can
# give other ids.
#
# Behaviour: to_str() and save() write the shortest decimal of each score, as Python does, but the reader behind
# from_str() and from_file() does not give the nearest double back: of random scores about 14 % come back one unit in
# the last place off. Loading once more changes nothing further. Scores passed to models.Unigram() stay as they are.
# Where a piece is exactly as likely as its two halves, that unit decides, and the text is segmented differently.
# Expected: a number read as written, as by json.loads or strtod; a file that is only written and read changes
# nothing.
# What it means: an implementation with a correct reader of numbers differs from tokenizers on such ties, although
# both read one file. To agree to the last tie, it must repeat the same rounding. Tests that build a tokenizer in
# memory do not see it.
#
# Seen:
#   scores that came back different: 415 of 3000, by 1 unit in the last place at most; loaded once more: 0
#   ab in memory -12.261358401230375: one piece ['ab']
#   ab loaded    -12.261358401230376: two pieces ['a', 'b']
set -eu
pins=${FINDINGS_PINS:-"tokenizers==0.23.3"}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
export TMPDIR="$dir"
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

import json
import math
import random

from tokenizers import Tokenizer, models


def unigram(scores):
    vocab = [("<unk>", 0.0)] + list(scores.items())
    return Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=False))


def scores_of(tokenizer):
    return [score for _, score in json.loads(tokenizer.to_str())["model"]["vocab"]]


random.seed(1)
made = unigram({f"t{i}": -random.uniform(1, 20) for i in range(3000)})
loaded = Tokenizer.from_str(made.to_str())
before, after, again = (scores_of(each) for each in (made, loaded, Tokenizer.from_str(loaded.to_str())))
off = [abs(old - new) / math.ulp(new) for old, new in zip(before, after) if old != new]
print(f"scores that came back different: {len(off)} of {len(before) - 1}, by {max(off, default=0):.0f} unit in the "
      f"last place at most; loaded once more: {sum(old != new for old, new in zip(after, again))}")

a, b = -7.969513848573239, -4.291844552657135
made = unigram({"a": a, "b": b, "ab": a + b})
loaded = Tokenizer.from_str(made.to_str())
for where, count, tokenizer in (("in memory", "one piece", made), ("loaded   ", "two pieces", loaded)):
    print(f"ab {where} {scores_of(tokenizer)[3]!r}: {count} {tokenizer.encode('ab').tokens}")

stated = (300 < len(off) < 600 and max(off) == 1 and after == again
          and made.encode("ab").tokens == ["ab"] and loaded.encode("ab").tokens == ["a", "b"])
sys.exit(0 if stated else "not as stated above")
EOF
