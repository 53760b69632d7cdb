#!/bin/sh
# Takes over what the headers say: exports.txt, libprepack/prepack.map and the dump of the ABI that
# test_abi.py compares with. For a change of the ABI that is meant; the difference belongs into the
# commit that makes it.
#
# usage: sh tests/abi/refresh.sh BUILD_DIR     a build with debug information (meson's default)
set -eu
[ $# -eq 1 ] || { sed -n '2,6s/^# //p' "$0"; exit 2; }
build=$1
here=$(dirname "$0")
root=$here/../..

sed -n 's/^PP_API[^(]*[ *]\(pp_[a-z0-9_]*\)(.*/\1/p' "$root"/include/prepack/*.h "$root"/include/prepack/*.h.in |
    LC_ALL=C sort > "$here/exports.txt"
{
    echo 'PREPACK_0.1 {'
    echo '    global:'
    sed 's/.*/        &;/' "$here/exports.txt"
    echo '    local:'
    echo '        *;'
    echo '};'
} > "$root/libprepack/prepack.map"

meson compile -C "$build" prepack:shared_library > /dev/null
python3 "$here/test_abi.py" --dump "$build/libprepack/libprepack.so" "$here/libprepack.abi"
