#!/bin/sh
# tokenizers 0.23.3 and tiktoken 0.14.0: the pattern of cl100k_base takes a number of any length whole when it is put
# into a tokenizer.json.
#
# Behaviour: in tiktoken's cl100k_base, `\p{N}{1,3}+` takes three digits at most, for the `+` makes `{1,3}`
# possessive. In tokenizers' Split(Regex(..)) a `+` behind a counted repeat repeats it once more: the same pattern
# takes all of "1234567". The other possessive forms of the pattern, `?+`, `++` and `*+`, mean the same in both. There
# is no error or warning, and the plain `\p{N}{1,3}` agrees again.
# Expected: a pattern that both compile splits alike, or is refused by one.
# What it means: who carries a tiktoken encoding over by its own pattern gets a tokenizer that is right on prose and
# wrong on every number of four digits or more. An own reader of tokenizer.json with an engine of Perl's kind errs the
# other way round.
#
# Seen:
#   cl100k_base's pattern           tiktoken ['in', ' ', '202', '612', '3', ',', ' it', "'s"]
#   cl100k_base's pattern           tokenizers ['in', ' ', '2026123', ',', ' it', "'s"]
#   the same without that one plus  tiktoken ['in', ' ', '202', '612', '3', ',', ' it', "'s"]
#   the same without that one plus  tokenizers ['in', ' ', '202', '612', '3', ',', ' it', "'s"]
set -eu
pins=${FINDINGS_PINS:-"tokenizers==0.23.3 tiktoken==0.14.0"}
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

import tiktoken
from tiktoken_ext import openai_public
from tokenizers import Regex, pre_tokenizers

TEXT = "in 2026123, it's"
SHORT = ["in", " ", "202", "612", "3", ",", " it", "'s"]
LONG = ["in", " ", "2026123", ",", " it", "'s"]
data = TEXT.encode()
# Every part of the text is a token, so that what the pattern takes is one token.
parts = sorted({data[i:j] for i in range(len(data)) for j in range(i + 2, len(data) + 1)}, key=len)
ranks = {part: rank for rank, part in enumerate([bytes([byte]) for byte in range(256)] + parts)}
openai_public.load_tiktoken_bpe = lambda *_, **__: ranks  # the pattern is wanted, not the vocabulary
pattern = openai_public.cl100k_base()["pat_str"]


def by_tiktoken(pattern):
    encoding = tiktoken.Encoding("parts", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return [encoding.decode([token]) for token in encoding.encode(TEXT)]


def by_tokenizers(pattern):
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return [piece for piece, _ in split.pre_tokenize_str(TEXT)]


results = []
for name, each in (("cl100k_base's pattern", pattern),
                   ("the same without that one plus", pattern.replace("{1,3}+", "{1,3}"))):
    for library, split in (("tiktoken", by_tiktoken), ("tokenizers", by_tokenizers)):
        results.append(split(each))
        print(f"{name:31s} {library} {results[-1]}")

stated = r"\p{N}{1,3}+" in pattern and results == [SHORT, LONG, SHORT, SHORT]
sys.exit(0 if stated else "not as stated above")
EOF
