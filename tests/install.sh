#!/bin/sh
# Installs a build (made with -Ddefault_library=both) into a scratch folder, moves what was installed somewhere
# else, and uses it there as a stranger would: C and C++ programs through pkg-config and CMake, shared and
# static, and the prepack program.
#
# usage: install.sh BUILD_FOLDER
set -eu
cd "$(dirname "$0")/.."
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

DESTDIR="$work/first" meson install -C "$build" --no-rebuild >"$work/install.log"
pc=$(find "$work/first" -name prepack.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
installed=$(cd "$(pkg-config --variable=prefix prepack)" && pwd)
mkdir "$work/other"
mv "$installed" "$work/other/place"
rm -r "$work/first"
PKG_CONFIG_PATH="$work/other/place${PKG_CONFIG_PATH#"$installed"}"
libdir=$(dirname "$PKG_CONFIG_PATH")
cc=${CC:-cc} cxx=${CXX:-c++}
strict="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"

# shellcheck disable=SC2046,SC2086 # lists of words
$cc -std=c11 $strict examples/pack_and_prefill.c -o "$work/shared" \
    $(pkg-config --cflags --libs prepack)
# shellcheck disable=SC2046
$cc examples/pack_and_prefill.c -o "$work/static" $(pkg-config --cflags prepack) \
    "$libdir/libprepack.a" $(pkg-config --static --libs-only-l prepack | sed 's/-lprepack//')
printf '#include <prepack/prepack.h>\nint main() { return pp_version() ? 0 : 1; }\n' >"$work/cxx.cc"
# shellcheck disable=SC2046,SC2086
$cxx -std=c++11 $strict "$work/cxx.cc" -o "$work/cxx" $(pkg-config --cflags --libs prepack)
for standard in 17 20; do
    # shellcheck disable=SC2046,SC2086
    $cxx -std=c++$standard $strict examples/pack_and_prefill.cpp -o "$work/cpp$standard" \
        $(pkg-config --cflags --libs prepack)
done

# with the tokenizer library beside it
# shellcheck disable=SC2046,SC2086
$cc -std=c11 $strict examples/continue_text.c -o "$work/text" \
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
for standard in 17 20; do # prints more behind the same lines
    LD_LIBRARY_PATH="$libdir" "$work/cpp$standard" >"$work/cpp.txt"
    head -n 3 "$work/cpp.txt" | cmp - "$work/shared.txt"
    grep -q "prompt 2 goes on: " "$work/cpp.txt"
done

# the commands of a page for newcomers, in a home of their own
mkdir "$work/home"
ln -s "$PWD" "$work/home/libprepack"
ln -s "$work/other/place" "$work/home/prepack"
first_steps() {
    LD_LIBRARY_PATH="$libdir" python3 tests/first_steps.py "$1" "$work/home"
}
first_steps "The program"
first_steps "C and C++"

# CMake: the examples, and a project in C alone with the static libraries
if command -v cmake >/dev/null 2>&1; then
    mkdir "$work/c-only"
    cat >"$work/c-only/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.18)
project(c_only LANGUAGES C)
find_package(prepack 0.1...<0.2 REQUIRED COMPONENTS tokenizer)
add_executable(text "$PWD/examples/continue_text.c")
target_link_libraries(text PRIVATE prepack::prepack_static prepack::tokenizer_static)
END
    cmake_in() { # SOURCE BUILD
        { cmake -S "$1" -B "$2" -DCMAKE_PREFIX_PATH="$work/other/place" && cmake --build "$2"; } \
            >"$2.log" 2>&1 || { cat "$2.log"; return 1; }
    }
    first_steps CMake
    mv "$work/home/cmake-build" "$work/cmake"
    cmake_in "$work/c-only" "$work/cmake-static"
    "$work/cmake/pack_and_prefill" | cmp - "$work/shared.txt"
    "$work/cmake/pack_and_prefill_cpp" | cmp - "$work/cpp.txt"
    "$work/cmake/continue_text" | grep -q Berlin
    "$work/cmake-static/text" | grep -q Berlin
    # what must not be found
    for wanted in "9.0" "0.1 COMPONENTS no_such_part"; do
        mkdir -p "$work/refused"
        printf 'cmake_minimum_required(VERSION 3.18)\nproject(refused LANGUAGES C)\n%s\n' \
            "find_package(prepack $wanted REQUIRED)" >"$work/refused/CMakeLists.txt"
        if cmake -S "$work/refused" -B "$work/refused/build" -DCMAKE_PREFIX_PATH="$work/other/place" \
            >"$work/refused.log" 2>&1; then
            echo "find_package(prepack $wanted) found something" >&2
            exit 1
        fi
        grep -Eq "prepackConfig.cmake, version|no_such_part is not installed" "$work/refused.log"
    done
else
    echo "# skipped: projects with CMake, which is not installed"
fi

# The CUDA module is looked for beside the library, where that is now. A driver and a module that only stand
# there show where.
if [ -f "$build/cuda/libprepack-cuda.so" ]; then
    [ -f "$libdir/prepack/libprepack-cuda.so" ]
fi
mkdir -p "$libdir/prepack" "$work/driver"
$cc -shared -fPIC -o "$libdir/prepack/libprepack-cuda.so" tests/api/foreign_module.c
$cc -shared -fPIC -x c -o "$work/driver/libcuda.so.1" /dev/null
printf '#include <prepack/prepack.h>\n#include <stdio.h>\nint main(void) { pp_error err = {sizeof err};
pp_session_params params; pp_session *session; pp_session_params_init(&params, sizeof params);
params.device = "cuda"; pp_session_create(NULL, &params, &session, &err); puts(err.message); }\n' >"$work/cuda.c"
# shellcheck disable=SC2046
$cc "$work/cuda.c" -o "$work/cuda" $(pkg-config --cflags --libs prepack)
LD_LIBRARY_PATH="$libdir:$work/driver" "$work/cuda" >"$work/cuda.txt"
grep -q "$libdir/prepack/libprepack-cuda.so belongs to another build" "$work/cuda.txt" || {
    cat "$work/cuda.txt"
    exit 1
}

program=$(find "$work/other/place" -name prepack -type f -perm -u+x)
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
