#!/bin/sh
# tokenizers 0.23.3 and sentencepiece 0.2.3: one stray byte token spoils all byte tokens beside it in tokenizers, only
# itself in sentencepiece.
#
# Behaviour: the decoder "ByteFallback" of tokenizers takes a run of neighbouring byte tokens as a whole. If the run
# is no valid UTF-8 to its end, each of its bytes becomes U+FFFD, those of complete characters too, and plain ASCII.
# The sentencepiece decoder that it stands for keeps what is whole and replaces the rest byte by byte. A text token in
# between ends the run.
# Expected: as in sentencepiece, or as bytes.decode("utf-8", errors="replace").
# What it means: a model that writes rare characters by bytes and stops inside one loses the complete ones before it.
# Text shown while it is generated goes back on itself: what was right one token ago turns to replacement signs and
# becomes right again when the character is complete, so only the end of a run may be shown as final.
#
# Seen (U+E9 is C3 A9, U+20AC is E2 82 AC):
#   C3 A9            sentencepiece '\xe9'                 tokenizers '\xe9'
#   C3 A9 C3         sentencepiece '\xe9\ufffd'           tokenizers '\ufffd\ufffd\ufffd'
#   41 C3            sentencepiece 'A\ufffd'              tokenizers '\ufffd\ufffd'
#   E2 82 AC E2 82   sentencepiece '\u20ac\ufffd\ufffd'   tokenizers '\ufffd\ufffd\ufffd\ufffd\ufffd'
#   C3 A9 a C3       sentencepiece '\xe9a\ufffd'          tokenizers '\xe9a\ufffd'
set -eu
pins=${FINDINGS_PINS:-"tokenizers==0.23.3 sentencepiece==0.2.3"}
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

import io

import sentencepiece
from tokenizers import decoders

BAD = "\ufffd"
STATED = {
    "C3 A9": ("\u00e9", "\u00e9"),
    "C3 A9 C3": ("\u00e9" + BAD, 3 * BAD),
    "41 C3": ("A" + BAD, 2 * BAD),
    "E2 82 AC E2 82": ("\u20ac" + 2 * BAD, 5 * BAD),
    "C3 A9 a C3": ("\u00e9a" + BAD, "\u00e9a" + BAD),
}
written = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(["abc bca cab"] * 50), model_writer=written, vocab_size=270, hard_vocab_limit=False,
    byte_fallback=True, add_dummy_prefix=False, minloglevel=2)
model = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())

stated = True
for parts, expected in STATED.items():
    pieces = [part if part == "a" else f"<0x{part}>" for part in parts.split()]
    seen = model.decode([model.piece_to_id(piece) for piece in pieces]), decoders.ByteFallback().decode(pieces)
    print("%-16s sentencepiece %-22s tokenizers %s" % (parts, *map(ascii, seen)))
    stated &= seen == expected
sys.exit(0 if stated else "not as stated above")
EOF
