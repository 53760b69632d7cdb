#!/bin/sh
# lm-eval 0.4.13: with a bf16 model a log-likelihood is a bf16 number, and answers of several tokens tie.
#
# Behaviour: HFLM takes the log-softmax in the model's dtype, gathers the tokens of a continuation and adds them up in
# that dtype: the log-likelihood of a whole answer is rounded to 8 bits. From 128 nats on it is an integer, from 512 on
# a multiple of 4, from 2048 on of 16. Different answers get the same number, and the first of equals counts as chosen.
# Rolling log-likelihoods, of which perplexity is made, are rounded window by window in the same way.
# Expected: sums in float32 or wider, whatever the weights are; or a word about it. The option softmax_dtype=float32
# cures both, and its description speaks of numerical stability.
# What it means: accuracies in bf16 (the default for most models, by dtype="auto") carry ties and flips that have
# nothing to do with the model. An implementation that adds in double differs in some answers, and is right.
#
# Seen:
#   continuations of  1: 50 of 50 are bf16 numbers, off from float32 by up to 0.02
#   continuations of 64: 50 of 50 are bf16 numbers, off from float32 by up to 0.99
#   a text of 400 tokens: -2544.00, in float32 -2543.63
#   of 200 questions with 4 answers 12 have no single best one (in float32 0), 6 get another answer
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

WORDS = [f"w{i}" for i in range(300)]
vocabulary = {word: i for i, word in enumerate(["<s>", "</s>", "<unk>"] + WORDS)}
words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
                                    pad_token="</s>")
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=303, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, initializer_range=0.15, max_position_embeddings=512)).to(torch.bfloat16).eval()
draw = torch.Generator().manual_seed(1)


def text(n):
    return " ".join(WORDS[i] for i in torch.randint(300, (n,), generator=draw).tolist())


def ask(kind, requests, dtype):
    with contextlib.redirect_stderr(io.StringIO()):
        harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=8, softmax_dtype=dtype, device="cpu")
        instances = [Instance(kind, {}, request, i) for i, request in enumerate(requests)]
        return getattr(harness, kind)(instances, disable_tqdm=True)


def likelihoods(requests, dtype):
    return [likelihood for likelihood, _ in ask("loglikelihood", requests, dtype)]


def is_rounded(value):
    return torch.tensor(value, dtype=torch.float64).to(torch.bfloat16).item() == value


rounded = True
for n in (1, 4, 16, 64):
    requests = [(text(5), " " + text(n)) for _ in range(50)]
    narrow, wide = likelihoods(requests, None), likelihoods(requests, "float32")
    count = sum(map(is_rounded, narrow))
    off = max(abs(a - b) for a, b in zip(narrow, wide))
    print(f"continuations of {n:2d}: {count} of 50 are bf16 numbers, off from float32 by up to {off:.2f}")
    rounded = rounded and count == 50
rolling = [(text(400),)]
narrow, wide = (ask("loglikelihood_rolling", rolling, dtype)[0] for dtype in (None, "float32"))
print(f"a text of 400 tokens: {narrow:.2f}, in float32 {wide:.2f}")
rounded = rounded and is_rounded(narrow) and not is_rounded(wide)

questions = [(context, [" " + text(12) for _ in range(4)]) for context in (text(5) for _ in range(200))]
requests = [(context, answer) for context, answers in questions for answer in answers]
both = []
for dtype in (None, "float32"):
    values = likelihoods(requests, dtype)
    both.append([values[i:i + 4] for i in range(0, 800, 4)])
ties, ties_wide = (sum(sorted(v)[-1] == sorted(v)[-2] for v in side) for side in both)
other = sum(a.index(max(a)) != b.index(max(b)) for a, b in zip(*both))
print(f"of 200 questions with 4 answers {ties} have no single best one (in float32 {ties_wide}), "
      f"{other} get another answer")
sys.exit(0 if rounded and ties > 0 and ties_wide == 0 else "not as stated above")
EOF
