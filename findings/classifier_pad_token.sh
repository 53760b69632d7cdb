#!/bin/sh
# transformers 5.24.0: a classifier scores a prompt that ends in the padding token by the token before it.
#
# Behaviour: the ...ForSequenceClassification classes of decoders take the scores of the rightmost token that is not
# config.pad_token_id. attention_mask is not asked: one prompt alone, unpadded and with a mask of ones, loses its last
# token where that is the padding token, and all of them at its end if there are more. The same weights with another
# pad_token_id, or with none, score the last token.
# Expected: the last token that the mask has, as for every other output of these classes.
# What it means: padding with the end token is the usual choice for decoders, and chat templates end in it, so a
# reward model in this form reads the answer's last word and not its end. Scores depend on a key of config.json that
# seems to be about batches alone. Whoever computes them by last token has to ask what the file says, and means.
#
# Seen:
#   pad_token_id None           of 5 tokens number 5: [ 1.079, -1.138]
#   pad_token_id 0              of 5 tokens number 5: [ 1.079, -1.138]
#   pad_token_id 2, the end     of 5 tokens number 4: [ 0.293, -1.791]
#   pad_token_id 2, two ends    of 6 tokens number 4: [ 0.293, -1.791]
set -eu
pins=${FINDINGS_PINS:-"torch==2.15.0 transformers==5.24.0 numpy==2.4.6 safetensors==0.8.0"}
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

import torch
from transformers import Qwen3Config, Qwen3ForSequenceClassification

END, PROMPT = 2, [5, 6, 7, 8, 2]


@torch.no_grad()
def scores(pad, tokens):
    """Of a prompt alone, with a mask of ones; and which token of it gives the same."""
    torch.manual_seed(0)
    model = Qwen3ForSequenceClassification(Qwen3Config(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, num_labels=2, initializer_range=0.3, pad_token_id=pad)).eval()
    with torch.no_grad():  # the row of the padding token is zeros at first: as if it had been trained
        model.model.embed_tokens.weight[END] = torch.linspace(-0.5, 0.5, 32)
    tokens = torch.tensor([tokens])
    got = model(tokens, attention_mask=torch.ones_like(tokens)).logits[0]
    of_each = model.score(model.model(tokens).last_hidden_state[0])
    return got, [i + 1 for i, row in enumerate(of_each) if torch.allclose(row, got, atol=1e-5)]


found = {}
for label, pad, tokens in (("None", None, PROMPT), ("0", 0, PROMPT), ("2, the end", END, PROMPT),
                           ("2, two ends", END, PROMPT + [END])):
    got, places = scores(pad, tokens)
    found[label] = places
    print("pad_token_id %-14s of %d tokens number %d: [%6.3f, %6.3f]" % (label, len(tokens), places[0], *got))

as_stated = found == {"None": [5], "0": [5], "2, the end": [4], "2, two ends": [4]}
sys.exit(0 if as_stated else "not as stated above")
EOF
