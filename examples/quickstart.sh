#!/bin/sh
# The main job on a fresh Debian machine: installs what is missing, builds, measures prepacking against
# padding on the bundled model and prompts, and continues a few prompts, packed and alone.
set -eu
cd "$(dirname "$0")/.."
build="build-quickstart"

sh examples/install-packages.sh
if [ ! -f "$build/build.ninja" ]; then
    # on the CPU alone: the module for GPUs would take longer to compile than all the rest to run
    meson setup "$build" -Dtests=disabled -Dprogram=enabled -Dcuda=disabled >/dev/null
fi
ninja -C "$build" >/dev/null

prepack="$build/examples/prepack/prepack"
echo
echo "== 256 prompts, batches of 64: packed, padded, sorted and padded"
"$prepack" profile --model examples/demo-model --dataset demo --batch-size 64 --num-runs 3
echo
echo "== A few of them continued, packed together and each alone"
"$prepack" generate --model examples/demo-model --prompts examples/demo-model/examples.txt \
    --max-new-tokens 12 --compare
