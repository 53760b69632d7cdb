#!/bin/sh
# transformers 5.24.0: Gemma 3 reads two soft caps; one is never applied, the other in only one of its two classes.
#
# Behaviour: attn_logit_softcapping is a documented key of Gemma3TextConfig, kept and saved, and changes no logit.
# final_logit_softcapping is applied by Gemma3ForCausalLM and ignored by Gemma3ForConditionalGeneration, which is
# what a published multimodal checkpoint loads as. Gemma 2 applies both.
# Expected: both keys obeyed, as in Gemma 2, or refused; the same text through both classes gives the same logits.
# What it means: a reader that obeys the keys differs from transformers, and a text-only copy of a multimodal
# checkpoint that sets the final cap differs from its original. Published Gemma 3 files hold null for both, so a
# reader may refuse any other value.
#
# Seen:
#   attn_logit_softcapping 0.5  changes the logits by: Gemma 2 5.023, Gemma 3 causal 0.000, Gemma 3 multimodal 0.000
#   final_logit_softcapping 0.5 changes the logits by: Gemma 2 8.427, Gemma 3 causal 8.485, Gemma 3 multimodal 0.000
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
from transformers import (Gemma2Config, Gemma2ForCausalLM, Gemma3Config, Gemma3ForCausalLM,
                          Gemma3ForConditionalGeneration, Gemma3TextConfig)

TEXT = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=8)
VISION = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28,
              patch_size=14)
TOKENS = torch.arange(3, 23)[None]


@torch.no_grad()
def logits(model):
    torch.manual_seed(1)
    for _, weight in sorted(model.named_parameters()):
        weight.normal_(0, 0.3)
    return model.eval()(TOKENS, use_cache=False).logits


def multimodal(**caps):
    return Gemma3ForConditionalGeneration(Gemma3Config(
        text_config={**TEXT, **caps}, vision_config=VISION, image_token_index=63, boi_token_index=61,
        eoi_token_index=62, mm_tokens_per_image=4))


def causal3(**caps):
    return Gemma3ForCausalLM(Gemma3TextConfig(**TEXT, **caps, attn_implementation="eager"))


def causal2(**caps):
    return Gemma2ForCausalLM(Gemma2Config(**TEXT, **caps, attn_implementation="eager"))


def change(make, key, value):
    caps = dict(attn_logit_softcapping=None, final_logit_softcapping=None)
    return (logits(make(**caps)) - logits(make(**{**caps, key: value}))).abs().max().item()


attention = [change(make, "attn_logit_softcapping", 0.5) for make in (causal2, causal3, multimodal)]
final = [change(make, "final_logit_softcapping", 0.5) for make in (causal2, causal3, multimodal)]
line = "%-27s changes the logits by: Gemma 2 %.3f, Gemma 3 causal %.3f, Gemma 3 multimodal %.3f"
print(line % ("attn_logit_softcapping 0.5", *attention))
print(line % ("final_logit_softcapping 0.5", *final))

stated = attention[0] > 0.01 and attention[1:] == [0, 0] and min(final[:2]) > 0.01 and final[2] == 0
sys.exit(0 if stated else "not as stated above")
EOF
