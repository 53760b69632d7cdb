#!/bin/sh
# tokenizers 0.23.3: one library, four versions of Unicode, from 8 to 17.
#
# Behaviour: each part has the tables of the crate that it was built with. Digits and Lowercase know Unicode 17,
# regular expressions and Whitespace 16, NFC to NFKD and StripAccents 9, Punctuation and all that BERT needs 8, which
# is of 2015. BertNormalizer even holds two: it lowers the capitals of 2025 and knows the accents of 2015.
# tokenizer.json does not say which version its author had.
# Expected: one version per release, or the current one.
# What it means: two parts of one pipeline disagree on a character, such as the Japanese era sign U+32FF, which NFKC
# leaves whole. An implementation on one Unicode library cannot agree in all parts, and agreement cannot be bought by
# a newer library: it needs the tables of each version.
#
# Seen (the newest Unicode of which a character is known, and the next that is not):
#   Digits                         17
#   Lowercase                      17
#   BertNormalizer, lowercase      17
#   Whitespace                     16, not 17
#   Split by \p{N}                 16, not 17
#   Split by \p{M}                 16, not 17
#   StripAccents                   9, not 10
#   NFKC                           9, not 12
#   BertNormalizer, strip_accents  8, not 9
#   Punctuation                    8, not 9
#   BertPreTokenizer               8, not 9
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

from tokenizers import Regex, normalizers, pre_tokenizers

# A character that came with each version of Unicode. No version from 8 on brought one of every kind.
DIGITS = {8: 0x11730, 9: 0x11C50, 10: 0x11D50, 11: 0x11DA0, 12: 0x1E140, 13: 0x11950, 15: 0x11F50, 16: 0x10D40,
          17: 0x11DE0}
MARKS = {8: 0x8E3, 9: 0x8D4, 10: 0xAFA, 11: 0x7FD, 12: 0xEBA, 13: 0x1ABF, 14: 0x898, 15: 0x10EFD, 16: 0x897,
         17: 0x1ACF}
CAPITALS = {8: 0x13A0, 9: 0x1E900, 11: 0x1C90, 12: 0xA7BA, 13: 0xA7C7, 14: 0xA7C0, 16: 0x10D50, 17: 0x16EA0}
PUNCTUATION = {8: 0xA8FC, 9: 0x1E95E, 10: 0x11A3F, 11: 0x10F55, 12: 0x119E2, 13: 0x10EAD, 14: 0x2E53, 15: 0x11B00,
               16: 0x1B4E}
COMPATIBLE = {9: 0x1F23B, 12: 0x32FF, 13: 0x1FBF0, 14: 0xA7F2, 15: 0x1E030, 16: 0x1CCD6}


def pieces(pre_tokenizer):
    return lambda char: len(pre_tokenizer.pre_tokenize_str("a" + char))


def splits(pre_tokenizer):
    return lambda char: pieces(pre_tokenizer)(char) == 2


def changes(normalizer):
    return lambda char: normalizer.normalize_str("a" + char) != "a" + char


def bert(**parts):
    every = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**every, **parts})


def by(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


PARTS = {
    "Digits": (splits(pre_tokenizers.Digits()), DIGITS, 17),
    "Lowercase": (changes(normalizers.Lowercase()), CAPITALS, 17),
    "BertNormalizer, lowercase": (changes(bert(lowercase=True)), CAPITALS, 17),
    "Whitespace": (lambda char: pieces(pre_tokenizers.Whitespace())(char) == 1, DIGITS, 16),
    r"Split by \p{N}": (splits(by(r"\p{N}")), DIGITS, 16),
    r"Split by \p{M}": (splits(by(r"\p{M}")), MARKS, 16),
    "StripAccents": (changes(normalizers.StripAccents()), MARKS, 9),
    "NFKC": (changes(normalizers.NFKC()), COMPATIBLE, 9),
    "BertNormalizer, strip_accents": (changes(bert(strip_accents=True)), MARKS, 8),
    "Punctuation": (splits(pre_tokenizers.Punctuation()), PUNCTUATION, 8),
    "BertPreTokenizer": (splits(pre_tokenizers.BertPreTokenizer()), PUNCTUATION, 8),
}
stated = True
for name, (knows, characters, newest) in PARTS.items():
    known = [unicode for unicode, char in characters.items() if knows(chr(char))]
    later = [unicode for unicode in characters if unicode not in known]
    print(f"{name:30s} {max(known)}" + (f", not {min(later)}" if later else ""))
    stated &= max(known) == newest and known == [unicode for unicode in characters if unicode <= newest]
sys.exit(0 if stated else "not as stated above")
EOF
