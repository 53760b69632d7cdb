#!/bin/sh
# tokenizers 0.23.3: brackets around one class change what a pattern takes: `[\w]` is not `\w`, nor `[\p{Lu}]` the
# same as `\p{Lu}` where case is ignored.
#
# Behaviour: in Split(Regex(..)) `\w` takes the six signs U+B2, B3, B9, BC, BD and BE, superscripts and fractions of
# Latin-1, and `[\w]` does not: it is no union of what is inside. Each of the six is both `\w` and `[^\w]`, though no
# `\W`. Their like elsewhere, such as U+2074 and U+2153, are `[^\w]` only. And under (?i) `\p{Lu}` alone takes
# capitals only, while `[\p{Lu}]` takes small letters too.
# Expected: brackets around a single class are notation, and `\W`, `[^\w]` and "not `\w`" are one thing.
# What it means: a pattern that is tidied up, or printed from a parsed form, is another tokenizer. An implementation
# that keeps one table for each class cannot agree with both spellings.
#
# Seen:
#   \w+              takes in 'm\xb2 \xbd \u2153' ['m\xb2', '\xbd']
#   [\w]+            takes in 'm\xb2 \xbd \u2153' ['m']
#   \W+              takes in 'm\xb2 \xbd \u2153' [' ', ' \u2153']
#   [^\w]+           takes in 'm\xb2 \xbd \u2153' ['\xb2 \xbd \u2153']
#   (?i:\p{Lu}+)     takes in 'aBc' ['B']
#   (?i:[\p{Lu}]+)   takes in 'aBc' ['aBc']
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

from tokenizers import Regex, pre_tokenizers

SIGNS = "\u00b2\u00b3\u00b9\u00bc\u00bd\u00be"
TEXT = "m\u00b2 \u00bd \u2153"
STATED = [
    (r"\w+", TEXT, ["m\u00b2", "\u00bd"]),
    (r"[\w]+", TEXT, ["m"]),
    (r"\W+", TEXT, [" ", " \u2153"]),
    (r"[^\w]+", TEXT, ["\u00b2 \u00bd \u2153"]),
    (r"(?i:\p{Lu}+)", "aBc", ["B"]),
    (r"(?i:[\p{Lu}]+)", "aBc", ["aBc"]),
]


def takes(pattern, text):
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    return [piece for piece, _ in split.pre_tokenize_str(text)]


stated = True
for pattern, text, expected in STATED:
    seen = takes(pattern, text)
    print("%-16s takes in %s %s" % (pattern, ascii(text), ascii(seen)))
    stated &= seen == expected
both = "".join(char for char in map(chr, range(0x10000)) if not "\ud800" <= char <= "\udfff"
               and takes(r"\w", char) and takes(r"[^\w]", char))
stated &= both == SIGNS
sys.exit(0 if stated else "not as stated above")
EOF
