#!/bin/sh
# Builds the documentation as a site of HTML: the pages of docs/ and a reference made from the public headers. A
# warning, a link that goes nowhere or a public name without an entry is an error.
#
# usage: build.sh OUT               needs mkdocs (sh examples/install-packages.sh docs)
set -eu
out=$1
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$(sed -n '1s/^#!//p' "$(command -v mkdocs)") # the one that has mkdocs and pygments
$python -B pages.py "$work"
mkdocs build --quiet --strict --clean -f "$work/mkdocs.yml" -d "$out"
$python -B check.py "$out"
