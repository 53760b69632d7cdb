#!/usr/bin/env python3
"""Writes unicode_tables.c and unicode_pairs.c: what every character is to the engines behind
tokenizer.json.

usage: unicode_tables.py tables > unicode_tables.c
       unicode_tables.py pairs > unicode_pairs.c

Those engines know different versions of Unicode, so they are asked, character by character, through
the Python package `tokenizers`; python's own unicodedata must be that of Unicode 14, which PCRE2
10.40 to 10.42 has.
"""
import sys
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

CATEGORIES = ("Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po "
              "Sm Sc Sk So Zs Zl Zp Cc Cf Co").split()
SCRIPTS = ("Arabic Bengali Cyrillic Devanagari Greek Han Hangul Hebrew Hiragana Katakana Latin "
           "Tamil Thai").split()
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
TEXT = "".join(map(chr, POINTS))


def left_by(step):
    """The characters that a step which removes some leaves."""
    return {c for _, (a, b) in step.pre_tokenize_str(TEXT) for c in POINTS[a:b]}


def matched(pattern):
    return left_by(pre_tokenizers.Split(Regex(pattern), "removed", invert=True))


def dropped(normalizer):
    return {c for c in POINTS if normalizer.normalize_str(chr(c)) == ""}


def numeric():
    found = set()
    digits = pre_tokenizers.Digits(individual_digits=True)
    for base in range(0, len(POINTS), 20000):
        part = POINTS[base:base + 20000]
        for _, (a, b) in digits.pre_tokenize_str("".join("a" + chr(c) + "a" for c in part)):
            if b - a == 1 and a % 3 == 1:
                found.add(part[a // 3])
    return found


def bert(**on):
    settings = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False,
                    lowercase=False)
    return normalizers.BertNormalizer(**{**settings, **on})


def runs(value):
    """(first character, value) where the value changes."""
    out = []
    for c in range(0x110000):
        if not out or out[-1][1] != value[c]:
            out.append((c, value[c]))
    return out


def write(declaration, numbers):
    print(declaration + " = {")
    line = "   "
    for number in numbers:
        text = f" 0x{number:x},"
        if len(line) + len(text) > 100:
            print(line)
            line = "   "
        line += text
    print(line + "\n};")


def pairs():
    """(second, first, both) of characters that NFC joins."""
    nfc = normalizers.NFC()
    found = []
    for c in POINTS:
        parts = unicodedata.decomposition(chr(c))
        if " " in parts and not parts.startswith("<"):
            first, second = (int(x, 16) for x in parts.split())
            if nfc.normalize_str(chr(first) + chr(second)) == chr(c):
                found.append((second, first, c))
    return sorted(found)


def combining_classes():
    """Those of NFD; a mark that it does not move has none, for it is younger than NFD is."""
    nfd = normalizers.NFD()
    classes = [0] * 0x110000
    for c in POINTS:
        after, before = chr(c) + "\u0334", "\u0345" + chr(c)
        if unicodedata.combining(chr(c)) and nfd.normalize_str(chr(c)) == chr(c) and (
                nfd.normalize_str(after) != after or nfd.normalize_str(before) != before):
            classes[c] = unicodedata.combining(chr(c))
    return classes


def write_pairs():
    print("/*\n * unicode_pairs.c: made by unicode_tables.py; see unicode_tables.h.\n */")
    print('#include "tokenizer/unicode/unicode_tables.h"\n\n/* clang-format off */')
    joined = [number for pair in pairs() for number in pair]
    write("const uint32_t ppi_unicode_pairs[3 * PPI_UNICODE_PAIRS]", joined)
    print()
    classes = [first << 11 | v for first, v in runs(combining_classes())]
    write("const uint32_t ppi_unicode_classes[PPI_UNICODE_CLASS_RUNS]", classes)
    print("/* clang-format on */")
    print(len(joined) // 3, len(classes), file=sys.stderr)


def write_tables():
    category = [0] * 0x110000
    for i, name in enumerate(CATEGORIES):
        for c in matched(r"\p{%s}+" % name):
            category[c] = i
    flags = [
        set(POINTS) - left_by(pre_tokenizers.Punctuation("removed")),
        dropped(bert(clean_text=True)) - {0xFFFD},
        dropped(bert(strip_accents=True)),
        dropped(normalizers.StripAccents()),
        matched("[[:alpha:]]+"),
        numeric(),
    ]
    value = [category[c] | sum(1 << (5 + i) for i, f in enumerate(flags) if c in f)
             for c in range(0x110000)]
    print("/*\n * unicode_tables.c: made by unicode_tables.py; see unicode_tables.h.\n */")
    print('#include "tokenizer/unicode/unicode_tables.h"\n\n/* clang-format off */')
    table = [first << 11 | v for first, v in runs(value)]
    write("const uint32_t ppi_unicode_runs[PPI_UNICODE_RUNS]", table)
    print()
    script = [0] * 0x110000
    for i, name in enumerate(SCRIPTS, 1):
        for c in matched(r"\p{%s}+" % name):
            script[c] = i
    scripts = [first << 11 | v for first, v in runs(script)]
    write("const uint32_t ppi_unicode_scripts[PPI_UNICODE_SCRIPT_RUNS]", scripts)
    print()
    # one more than what Unicode 14 says where that is another category; surrogates are no characters
    changed = [0] * 0x110000
    for c in range(0x110000):
        old = "Cn" if 0xD800 <= c < 0xE000 else unicodedata.category(chr(c))
        if old != CATEGORIES[category[c]] or 0xD800 <= c < 0xE000:
            changed[c] = 1 + CATEGORIES.index(old)
    news = [first << 11 | v for first, v in runs(changed)]
    write("const uint32_t ppi_unicode_changed[PPI_UNICODE_CHANGED_RUNS]", news)
    print("/* clang-format on */")
    print(len(table), len(scripts), len(news), file=sys.stderr)


def main():
    assert unicodedata.unidata_version == "14.0.0"
    {"tables": write_tables, "pairs": write_pairs}[sys.argv[1]]()


if __name__ == "__main__":
    main()
