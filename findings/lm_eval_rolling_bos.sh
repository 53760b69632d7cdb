#!/bin/sh
# lm-eval 0.4.13: rolling log-likelihoods of a model whose tokenizer adds BOS have it twice, and score the second.
#
# Behaviour: loglikelihood_rolling tokenizes a text as the tokenizer likes, with BOS where it adds one, and puts the
# prefix token, which is BOS, before it as the first context. The model sees BOS BOS text, and the log-likelihood of BOS
# after BOS is part of the sum, of which perplexity is made.
# Expected: BOS once, as the first context, not scored: what a text without BOS of its own gets.
# What it means: word and byte perplexities of Llama, Gemma and Mistral models are of a text that no training has seen,
# plus one token that is none of the text's; those of models without BOS (GPT-2, Qwen) are not. add_bos_token=False
# cures rolling tasks, and takes BOS from the others.
#
# Seen:
#   a text of 3 words: -17.3354; add_bos_token=False: -14.5459; BOS after BOS alone: -3.7185
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
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

logging.disable(logging.WARNING)

vocabulary = {word: i for i, word in enumerate(["<s>", "</s>", "<unk>"] + [f"w{i}" for i in range(40)])}
words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
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


TEXT = "w3 w17 w5"


def likelihood(ids, first):
    """Of the tokens from `first` on, each after all before it."""
    with torch.no_grad():
        logprobs = torch.log_softmax(model(torch.tensor([ids])).logits[0], -1)
    return sum(logprobs[i - 1, ids[i]].item() for i in range(first, len(ids)))


[usual] = ask("loglikelihood_rolling", [(TEXT,)])
[without] = ask("loglikelihood_rolling", [(TEXT,)], add_bos_token=False)
ids = [vocabulary[word] for word in TEXT.split()]
print(f"a text of {len(ids)} words: {usual:.4f}; add_bos_token=False: {without:.4f}; BOS after BOS alone: "
      f"{likelihood([0, 0], 1):.4f}")
as_stated = abs(usual - likelihood([0, 0] + ids, 1)) < 1e-4 and abs(without - likelihood([0] + ids, 1)) < 1e-4
sys.exit(0 if as_stated and abs(usual - without) > 0.1 else "not as stated above")
EOF
