#!/bin/sh
# Takes over what the headers say: the lists of exported functions, the maps for the linker and the
# dumps of the ABI that test_abi.py compares with. For a change of the ABI that is meant; the
# difference belongs into the commit that makes it.
#
# usage: sh tests/abi/refresh.sh BUILD_DIR     a build with debug information (meson's default)
set -eu
[ $# -eq 1 ] || { sed -n '2,6s/^# //p' "$0"; exit 2; }
build=$1
here=$(dirname "$0")
root=$here/../..

# The functions that the headers on standard input declare.
functions() {
    sed -n 's/^PP_API[^(]*[ *]\(pp_[a-z0-9_]*\)(.*/\1/p' | LC_ALL=C sort
}

# A map of version $1 with the functions of list $2.
map() {
    echo "$1 {"
    echo '    global:'
    sed 's/.*/        &;/' "$2"
    echo '    local:'
    echo '        *;'
    echo '};'
}

headers=$(ls "$root"/include/prepack/*.h "$root"/include/prepack/*.h.in | grep -v /tokenizer.h)
# shellcheck disable=SC2086 # a list of files
cat $headers | functions > "$here/exports.txt"
functions < "$root/include/prepack/tokenizer.h" > "$here/exports-tokenizer.txt"
map PREPACK_0.1 "$here/exports.txt" > "$root/libprepack/prepack.map"
map PREPACK_TOKENIZER_0.1 "$here/exports-tokenizer.txt" > "$root/libprepack/tokenizer/tokenizer.map"

for name in prepack prepack-tokenizer; do
    folder=libprepack
    [ "$name" = prepack ] || folder=libprepack/tokenizer
    meson compile -C "$build" "$name:shared_library" > /dev/null
    python3 "$here/test_abi.py" --dump "$build/$folder/lib$name.so" "$here/lib$name.abi"
done
python3 "$here/python_abi.py"
python3 "$here/rust_abi.py"
