#!/bin/sh
# lm-eval 0.4.13: a request's log-likelihood is wrong when another one has the same words split at another place.
#
# Behaviour: HFLM's logits_cache, which is on, runs requests once whose context and continuation together are the same
# but for the last token. Which of the logits belong to the continuation is taken from one request of such a group; the
# others' continuations are looked up in those rows, the last ones where the lengths differ. A request whose
# continuation is shorter than the group's is gathered from the group's first rows, not its own.
# Expected: the log-likelihood that the request gets when it is asked alone.
# What it means: tasks that move the border through a sentence (which words are likely after which part) get wrong
# sums. logits_cache=False cures it. An implementation that shares work between requests groups by the split, too.
#
# Seen:
#   Answer: A | thing               together -4.1487, alone -2.1627
#   Answer: | A thing             together -4.6159, alone -4.6159
#   with logits_cache=False both are as alone
set -eu
pins=${FINDINGS_PINS:-"torch==2.15.0 transformers==5.24.0 lm_eval==0.4.13 accelerate==1.15.0 numpy==2.4.6 safetensors==0.8.0"}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
export TMPDIR="$dir" HF_HUB_OFFLINE=1 TQDM_DISABLE=1 TRANSFORMERS_VERBOSITY=error LMEVAL_LOG_LEVEL=ERROR
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
    package = package.split("[")[0]
    if version(package).split("+")[0] != wanted:
        sys.exit(f"{package} is {version(package)}, not {wanted}: this says nothing about the version stated")
print("with", *sys.argv[1:])

import contextlib
import io
import logging

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

logging.disable(logging.WARNING)

vocabulary = {word: i for i, word in enumerate(["<s>", "</s>", "<unk>", "Answer:", "A", "thing", "is", "it"])}
words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
                                    pad_token="</s>")
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, initializer_range=0.15, max_position_embeddings=512)).eval()


def ask(kind, requests, **options):
    with contextlib.redirect_stderr(io.StringIO()):
        harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4, device="cpu", **options)
        return getattr(harness, kind)([Instance(kind, {}, request, i) for i, request in enumerate(requests)])


REQUESTS = [("Answer: A", " thing"), ("Answer:", " A thing")]
together = [likelihood for likelihood, _ in ask("loglikelihood", REQUESTS)]
uncached = [likelihood for likelihood, _ in ask("loglikelihood", REQUESTS, logits_cache=False)]
alone = [ask("loglikelihood", [request])[0][0] for request in REQUESTS]
for request, one, other in zip(REQUESTS, together, alone):
    print(f"{request[0]} |{request[1]:<20} together {one:.4f}, alone {other:.4f}")
off = max(abs(a - b) for a, b in zip(together, alone))
off_uncached = max(abs(a - b) for a, b in zip(uncached, alone))
if off_uncached < 1e-4:
    print("with logits_cache=False both are as alone")
sys.exit(0 if off > 0.1 and off_uncached < 1e-4 else "not as stated above")
EOF
