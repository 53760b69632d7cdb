#!/bin/sh
# tokenizers 0.23.3: two added tokens that normalise to the same text: which id it gets is drawn anew for each
# tokenizer.
#
# Behaviour: added tokens with normalized true are searched for in their normalised form. With a lowercase normalizer,
# "ABC" and "abc" are both added, get two ids, and are both searched for as "abc". Which of the two a text gets
# depends on chance, as from a hash table with a random seed: it differs between two tokenizers that one process
# builds alike, and between two loads of one file. Within one tokenizer it stays.
# Expected: one rule, such as the first added or the last, and in any case the same ids for the same file and text.
# What it means: ids made by such a tokenizer cannot be reproduced, cached by their text or compared with another
# implementation; a test passes every other time. Vocabulary lists that hold one word in two spellings are enough.
#
# Seen (the counts vary):
#   40 tokenizers built alike: 19 give id 1, 21 give id 2
#   40 loads of one file:      22 give id 1, 18 give id 2
#   one tokenizer asked 40 times: 1 answer
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

from tokenizers import AddedToken, Tokenizer, models, normalizers

TIMES = 40


def build():
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.add_tokens([AddedToken("ABC", normalized=True), AddedToken("abc", normalized=True)])
    return tokenizer


def id_of(tokenizer):
    token, = tokenizer.encode("abc").ids
    return token


one = build()
file = one.to_str()
built = [id_of(build()) for _ in range(TIMES)]
loaded = [id_of(Tokenizer.from_str(file)) for _ in range(TIMES)]
same = {id_of(one) for _ in range(TIMES)}
print(f"{TIMES} tokenizers built alike: {built.count(1)} give id 1, {built.count(2)} give id 2")
print(f"{TIMES} loads of one file:      {loaded.count(1)} give id 1, {loaded.count(2)} give id 2")
print(f"one tokenizer asked {TIMES} times: {len(same)} answer")

stated = set(built) == set(loaded) == {1, 2} and len(same) == 1
sys.exit(0 if stated else "not as stated above")
EOF
