#!/bin/sh
# lm-eval 0.4.13: acc_norm divides by characters, where the tasks' own descriptions say bytes.
#
# Behaviour: of a multiple-choice task acc_norm takes the answer with the largest log-likelihood divided by len() of
# the answer's text, which counts code points, and not the space in front of it. READMEs of tasks in the package
# (multiblimp, turblimp, zhoblimp and others, of languages where it may differ) call it normalized by bytes. There is a
# metric that does that, acc_bytes, and for answers in several scripts it chooses otherwise.
# Expected: what the descriptions say, or descriptions that say characters.
# What it means: an implementation of acc_norm by the descriptions gives other accuracies wherever answers are not
# ASCII. To compare with published numbers count characters, without the delimiter.
#
# Seen:
#   answers of 6 characters and 12 bytes, of 8 characters and 8 bytes: acc 1.0, acc_norm 0.0, acc_bytes 1.0
#   READMEs of tasks that say bytes of acc_norm: 5 bhs blimp_nl multiblimp turblimp zhoblimp
set -eu
pins=${FINDINGS_PINS:-"lm_eval==0.4.13 datasets==5.2.0 numpy==2.4.6"}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
export TMPDIR="$dir" HF_HUB_OFFLINE=1 HF_HOME="$dir"
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

import pathlib
import re

import datasets
import lm_eval
from lm_eval.api.task import ConfigurableTask

METRICS = ("acc", "acc_norm", "acc_bytes")
DOC = {"question": "Where?", "answers": ["Москва", "New York"], "right": 0}
LIKELIHOODS = [-9.0, -10.0]  # by characters -1.5 and -1.25; by bytes -0.75 and -1.25


class Question(ConfigurableTask):
    def download(self, *_, **__):
        self.dataset = {"test": datasets.Dataset.from_list([DOC])}


task = Question(config=dict(
    task="question", dataset_path="none", test_split="test", output_type="multiple_choice",
    doc_to_text="{{question}}", doc_to_choice="{{answers}}", doc_to_target="right",
    metric_list=[{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in METRICS]))
got = task.process_results(DOC, [(likelihood, False) for likelihood in LIKELIHOODS])
sizes = ", of ".join(f"{len(a)} characters and {len(a.encode())} bytes" for a in DOC["answers"])
print(f"answers of {sizes}:", ", ".join(f"{name} {got[name]}" for name in METRICS))

readmes = (pathlib.Path(lm_eval.__file__).parent / "tasks").glob("*/README.md")
claims = [path.parent.name for path in readmes
          for text in [path.read_text(encoding="utf-8")]
          if re.search(r"byte-length-normalized accuracy \(`acc_norm`\)|`acc_norm` \([^)]*normalized by number of bytes",
                       text)]
print("READMEs of tasks that say bytes of acc_norm:", len(claims), *sorted(claims))
as_stated = [got[name] for name in METRICS] == [1.0, 0.0, 1.0] and len(claims) > 0
sys.exit(0 if as_stated else "not as stated above")
EOF
