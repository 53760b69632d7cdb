#!/bin/sh
# lm-eval 0.4.13: a chat template chosen by name is written into the results, and the default one is applied.
#
# Behaviour: --apply_chat_template NAME (apply_chat_template="NAME" in Python) chooses one of a tokenizer's templates.
# HFLM.chat_template finds that one, for the results and for the fingerprint of cached prompts; HFLM.apply_chat_template,
# which makes the prompts, never hears the name and applies "default".
# Expected: prompts by the template that was asked for and is recorded.
# What it means: two runs with different names have the same prompts and scores, and results that say otherwise. An
# implementation that honours the name gets other numbers than HFLM.
#
# Seen:
#   recorded for "brief": B:{{ messages[0].content }}
#   the prompt: D:Hi
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

vocabulary = {"<s>": 0, "</s>": 1, "<unk>": 2, "Hi": 3}
words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
                                    pad_token="</s>")
tokenizer.chat_template = {"default": "D:{{ messages[0].content }}", "brief": "B:{{ messages[0].content }}"}
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, initializer_range=0.15, max_position_embeddings=512)).eval()

import os
import tempfile

import datasets
import lm_eval
from lm_eval.api.task import ConfigurableTask
from lm_eval.loggers import EvaluationTracker


class Question(ConfigurableTask):
    def download(self, *_, **__):
        self.dataset = {"test": datasets.Dataset.from_list([{"question": "Hi"}])}


task = Question(config=dict(task="question", dataset_path="none", test_split="test", output_type="loglikelihood",
                            doc_to_text="{{question}}", doc_to_target=" Hi",
                            metric_list=[{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]))
with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
    with tempfile.TemporaryDirectory() as folder:
        tracker = EvaluationTracker(output_path=folder)
        results = lm_eval.simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=tokenizer, device="cpu"), tasks=[task], bootstrap_iters=0,
            apply_chat_template="brief", evaluation_tracker=tracker)
recorded = tracker.general_config_tracker.chat_template
prompt = results["samples"]["question"][0]["arguments"][0][0]
print(f'recorded for "brief": {recorded}')
print("the prompt:", prompt)
sys.exit(0 if recorded.startswith("B:") and prompt == "D:Hi" else "not as stated above")
EOF
