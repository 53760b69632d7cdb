#!/bin/sh
# tokenizers 0.23.3: BPE without an unknown token joins what stood on both sides of a character it does not know, and
# the offsets come to overlap.
#
# Behaviour: with neither unk_token nor byte_fallback, a character that no token has is left out before merging. Its
# neighbours then are neighbours: "a\u00e9b" becomes the one token "ab". Offsets are counted as if the character had
# not been there: tokens behind it point too far to the left, and two of them may share a character. No error or
# warning.
# Expected: an error, as WordPiece and WordLevel give, or a gap over which nothing merges; text[start:end] is the
# token.
# What it means: a byte-level vocabulary that lost a few of its 256 characters, or a character-level one fed with new
# text, gives wrong ids and wrong spans in silence. To agree, an implementation must drop such characters first and
# merge afterwards.
#
# Seen:
#   'a\xe9b'   tokens ['ab'], the text at their offsets ['a\xe9']
#   'a\xe9b c' tokens ['ab', ' ', 'c'], the text at their offsets ['a\xe9', '\xe9', 'b']
#   '\xe9abc'  tokens ['ab', 'c'], the text at their offsets ['\xe9', 'a']
#   'abc'      tokens ['ab', 'c'], the text at their offsets ['ab', 'c']
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

from tokenizers import Tokenizer, models

# No token for U+E9, no unk_token, no byte_fallback.
tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "c": 2, " ": 3, "ab": 4}, [("a", "b")]))
STATED = {
    "a\u00e9b": (["ab"], [(0, 2)]),
    "a\u00e9b c": (["ab", " ", "c"], [(0, 2), (1, 2), (2, 3)]),
    "\u00e9abc": (["ab", "c"], [(0, 1), (1, 2)]),
    "abc": (["ab", "c"], [(0, 2), (2, 3)]),
}
stated = True
for text, expected in STATED.items():
    encoding = tokenizer.encode(text)
    spans = [text[start:end] for start, end in encoding.offsets]
    print("%-10s tokens %s, the text at their offsets %s" % (ascii(text), encoding.tokens, ascii(spans)))
    stated &= (encoding.tokens, encoding.offsets) == expected
sys.exit(0 if stated else "not as stated above")
EOF
