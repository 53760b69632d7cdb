#!/bin/sh
# Ray 2.60.0: preserve_order does nothing for a dataset that was made before it was set, and rows come out of order.
#
# Behaviour: Ray Data gives blocks as they are done. The documentation has the order kept by
# DataContext.get_current().execution_options.preserve_order = True. A dataset copies the context when it is made; what
# is set afterwards, even before anything runs, is not looked at, and nothing says so. The dataset's own context
# (dataset.context) is looked at.
# Expected: that the option counts when the dataset is run, or a word about it.
# What it means: results that are put beside their inputs by position belong to other inputs. Set the option before any
# dataset is made, or on the dataset's context, or carry an id in every row.
#
# Seen:
#   set in the current context after the dataset was made: in order False
#   set in the dataset's own context: in order True
set -eu
pins=${FINDINGS_PINS:-"ray[data]==2.60.0 numpy==2.4.6"}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
export TMPDIR="$dir" RAY_USAGE_STATS_ENABLED=0
python=${FINDINGS_PYTHON:-}
if [ -z "$python" ]; then
    python3 -m venv "$dir/venv"
    python="$dir/venv/bin/python"
    # shellcheck disable=SC2086  # one word for each package
    "$python" -m pip install --quiet $pins
fi
# shellcheck disable=SC2086
"$python" -W ignore - $pins 2>"$dir/log" <<'EOF' || { cat "$dir/log" >&2; exit 1; }
import sys
from importlib.metadata import version

for pin in sys.argv[1:]:
    package, wanted = pin.split("==")
    if version(package.split("[")[0]).split("+")[0] != wanted:
        sys.exit(f"{pin} is asked, and the version here is another: this says nothing about the version stated")
print("with", *sys.argv[1:])

import logging
import time

import ray
import ray.data


def wait(row):
    if row["item"] == 0:  # the first row takes longest
        time.sleep(5)
    return row


def is_in_order(dataset):
    rows = [row["item"] for row in dataset.take_all()]
    return rows == sorted(rows)


def make():
    return ray.data.from_items(list(range(8)), override_num_blocks=8).map(wait)


ray.init(num_cpus=2, object_store_memory=128 << 20, include_dashboard=False, log_to_driver=False,
         logging_level=logging.ERROR)
try:
    late, own = make(), make()
    own.context.execution_options.preserve_order = True
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    seen = is_in_order(late), is_in_order(own)
finally:
    ray.shutdown()
print("set in the current context after the dataset was made: in order", seen[0])
print("set in the dataset's own context: in order", seen[1])
sys.exit(0 if seen == (False, True) else "not as stated above")
EOF
