#!/bin/sh
# sentence-transformers 6.2.0: truncate_dim takes away what a Normalize module gave: vectors are no longer of length 1.
#
# Behaviour: a model that ends in a Normalize module, as Qwen3-Embedding and EmbeddingGemma do, gives vectors of length
# 1. With truncate_dim, of the constructor or of encode(), they are cut after all modules and not normalised again:
# lengths differ from text to text. normalize_embeddings=True, which such models do not need otherwise, mends it.
# Expected: vectors of length 1 from a model that says it normalises; or a warning.
# What it means: a dot-product index of cut vectors ranks by length as well as by direction, and another order comes
# out than by model.similarity(), which is the cosine. Cut first, normalise then.
#
# Seen:
#   whole                             lengths 1.000 1.000 1.000 1.000
#   truncate_dim 8                    lengths 0.574 0.502 0.398 0.343
#   and normalize_embeddings          lengths 1.000 1.000 1.000 1.000
set -eu
pins=${FINDINGS_PINS:-"sentence-transformers==6.2.0 torch==2.15.0 transformers==5.24.0 numpy==2.4.6 safetensors==0.8.0"}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
export TMPDIR="$dir" HF_HUB_OFFLINE=1 TQDM_DISABLE=1 TRANSFORMERS_VERBOSITY=error
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
import os
import tempfile

import numpy
import torch
import transformers
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

transformers.utils.logging.disable_progress_bar()
folder = tempfile.mkdtemp()
TEXTS = ["a b c", "c a", "b", "b b c a"]


def write(name, content):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)


words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["<pad>", "<unk>", "a", "b", "c"])}, unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", pad_token="<pad>").save_pretrained(folder)
torch.manual_seed(0)
Qwen3Model(Qwen3Config(
    vocab_size=5, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, initializer_range=0.3)).save_pretrained(folder)
kinds = ("Transformer", "Pooling", "Normalize")
write("modules.json", [{"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "",
                        "type": f"sentence_transformers.models.{kind}"} for i, kind in enumerate(kinds)])
write("1_Pooling/config.json", {"word_embedding_dimension": 32, "pooling_mode_lasttoken": True,
                                "pooling_mode_mean_tokens": False})


def lengths(label, truncate_dim=None, **arguments):
    model = SentenceTransformer(folder, device="cpu", truncate_dim=truncate_dim)
    found = numpy.linalg.norm(model.encode(TEXTS, show_progress_bar=False, **arguments), axis=1)
    print("%-33s lengths" % label, *("%.3f" % length for length in found))
    return found


whole = lengths("whole")
cut = lengths("truncate_dim 8", 8)
again = lengths("and normalize_embeddings", 8, normalize_embeddings=True)
as_stated = numpy.allclose(whole, 1) and cut.max() < 0.95 and numpy.ptp(cut) > 0.05 and numpy.allclose(again, 1)
sys.exit(0 if as_stated else "not as stated above")
EOF
