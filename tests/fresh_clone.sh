#!/bin/sh
# Clones the last commit into a new folder and does there what the README tells a new user to do first:
# the quick start must end with the demo's table, in which prepacking is the fastest, and right answers.
# The tarball that `meson dist` makes there must hold the same files, and be enough for `meson setup`.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

grep -q 'sh examples/quickstart.sh' README.md
grep -q 'sh tests/run.sh' README.md
git clone -q . "$work/clone"
cd "$work/clone"
if ! sh examples/quickstart.sh >"$work/out.txt" 2>&1; then
    tail -n 30 "$work/out.txt"
    exit 1
fi
cat "$work/out.txt"
python3 tests/check_quickstart.py "$work/out.txt"

meson dist -C build-quickstart --no-tests --formats gztar >"$work/dist.log"
tar -xzf build-quickstart/meson-dist/prepack-*.tar.gz -C "$work"
diff -r -x .git -x build-quickstart . "$work"/prepack-*/
meson setup "$work/dist" "$work"/prepack-*/ -Dcuda=disabled -Dprogram=enabled >>"$work/dist.log"
