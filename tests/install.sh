#!/bin/sh
# Installs a build (made with -Ddefault_library=both) into a scratch folder and uses it as a stranger
# would: C programs through pkg-config, shared and static, a C++ program, and the prepack program.
#
# usage: install.sh BUILD_FOLDER
set -eu
cd "$(dirname "$0")/.."
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

DESTDIR="$work" meson install -C "$build" --no-rebuild >"$work/install.log"
pc=$(find "$work" -name prepack.pc)
libdir=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH="$libdir/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$work"
cc=${CC:-cc}

# shellcheck disable=SC2046 # lists of words
$cc -std=c11 -Wall -Wextra -Wpedantic -Werror examples/pack_and_prefill.c -o "$work/shared" \
    $(pkg-config --cflags --libs prepack)
# shellcheck disable=SC2046
$cc examples/pack_and_prefill.c -o "$work/static" $(pkg-config --cflags prepack) \
    "$libdir/libprepack.a" $(pkg-config --static --libs-only-l prepack | sed 's/-lprepack//')
printf '#include <prepack/prepack.h>\nint main() { return pp_version() ? 0 : 1; }\n' >"$work/cxx.cc"
# shellcheck disable=SC2046
${CXX:-c++} -std=c++11 -Wall -Wextra -Wpedantic -Werror "$work/cxx.cc" -o "$work/cxx" \
    $(pkg-config --cflags --libs prepack)

# with the tokenizer library beside it
# shellcheck disable=SC2046
$cc -std=c11 -Wall -Wextra -Wpedantic -Werror examples/continue_text.c -o "$work/text" \
    $(pkg-config --cflags --libs prepack prepack-tokenizer)
# shellcheck disable=SC2046
$cc examples/continue_text.c -o "$work/text-static" $(pkg-config --cflags prepack prepack-tokenizer) \
    "$libdir/libprepack-tokenizer.a" "$libdir/libprepack.a" \
    $(pkg-config --static --libs-only-l prepack prepack-tokenizer | sed 's/-lprepack[a-z-]*//g')

LD_LIBRARY_PATH="$libdir" "$work/cxx"
LD_LIBRARY_PATH="$libdir" "$work/text" | grep -q Berlin
"$work/text-static" | grep -q Berlin
LD_LIBRARY_PATH="$libdir" "$work/shared" >"$work/shared.txt"
"$work/static" >"$work/static.txt"
[ "$(grep -c "tokens cached" "$work/shared.txt")" = 3 ]
cmp "$work/shared.txt" "$work/static.txt"

if [ -f "$build/cuda/libprepack-cuda.so" ]; then # where the library looks for it
    [ -f "$libdir/prepack/libprepack-cuda.so" ]
fi

program=$(find "$work" -name prepack -type f -perm -u+x)
"$program" --version
"$program" plan --dataset mmlu --batch-size 64 --capacity 2048 >"$work/plan.txt"
"$program" generate --model demo -p 'The capital of Germany is' --max-new-tokens 4 | grep -q Berlin

# man pages, one for each command, and completions
share=$(dirname "$(dirname "$program")")/share
for command in $("$program" help | sed -n 's/^  prepack \([a-z][a-z]*\) .*/-\1/p' | sort -u) ""; do
    [ -s "$share/man/man1/prepack$command.1" ]
done
for file in bash-completion/completions/prepack zsh/site-functions/_prepack \
    fish/vendor_completions.d/prepack.fish; do
    grep -q 'score' "$share/$file"
done

# uninstalled: the shell that meson offers finds library and program
meson devenv -C "$build" sh -c 'pkg-config --modversion prepack && prepack --version' >"$work/devenv.txt"
