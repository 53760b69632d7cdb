#!/bin/sh
# tokenizers 0.23.3: a special token with normalized true is not skipped by skip_special_tokens when the normalizer
# changes it.
#
# Behaviour: once added, such a token has its normalised text wherever ids become text: with a lowercase normalizer
# id_to_token, Encoding.tokens and decode say "<bos>" for a token that was added as "<BOS>". What is special is kept
# under the text as added, so decode(.., skip_special_tokens=True), which compares texts, leaves it in. token_to_id
# and get_vocab know only the text as added: token_to_id(id_to_token(id)) is None.
# Expected: skip_special_tokens goes by ids, and id_to_token is the inverse of token_to_id.
# What it means: control tokens show up in the answers of a model whose tokenizer.json has a normalizer that touches
# them. Besides Lowercase, that is the pair Prepend and Replace of Llama's kind, and NFKC where a token is spelled
# with full-width signs. An implementation that skips by ids gives another text. With normalized false, the default of
# special tokens, all is well.
#
# Seen:
#   Lowercase, normalized True:  id 1 is '<bos>', token_to_id of that None, without special tokens '<bos> hi'
#   Lowercase, normalized False: id 1 is '<BOS>', token_to_id of that 1, without special tokens 'hi'
#   Prepend, normalized True:    id 1 is '\u2581<s>', token_to_id of that None, without special tokens '<s>hi'
#   NFKC, normalized True:       id 1 is '<|end|>', token_to_id of that None, without special tokens '<|end|> hi'
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

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

SPACE = "\u2581"
CASES = [
    ("Lowercase", normalizers.Lowercase(), "<BOS>", True, ("<bos>", None, "<bos> hi")),
    ("Lowercase", normalizers.Lowercase(), "<BOS>", False, ("<BOS>", 1, "hi")),
    ("Prepend", normalizers.Prepend(SPACE), "<s>", True, (SPACE + "<s>", None, "<s>hi")),
    ("NFKC", normalizers.NFKC(), "<\uff5cend\uff5c>", True, ("<|end|>", None, "<|end|> hi")),
]
stated = True
for name, normalizer, content, normalized, expected in CASES:
    tokenizer = Tokenizer(models.WordLevel({"hi": 0}, unk_token="hi"))
    tokenizer.normalizer = normalizer
    if name == "Prepend":
        tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken(content, normalized=normalized)])
    assert tokenizer.token_to_id(content) == 1 and tokenizer.encode(content + "hi").ids == [1, 0]
    text = tokenizer.id_to_token(1)
    seen = text, tokenizer.token_to_id(text), tokenizer.decode([1, 0], skip_special_tokens=True)
    print("%-28s id 1 is %s, token_to_id of that %s, without special tokens %s"
          % (f"{name}, normalized {normalized}:", ascii(text), seen[1], ascii(seen[2])))
    stated &= seen == expected
sys.exit(0 if stated else "not as stated above")
EOF
