#!/bin/sh
# Installs the Debian packages that building libprepack needs and that are missing, and says which.
# Does nothing where everything is there.
set -eu

missing=""
need_program() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need_library() {
    pkg-config --exists "$1" 2>/dev/null || missing="$missing $2"
}
need_module() {
    python3 -c "import $1" >/dev/null 2>&1 || /usr/bin/python3 -c "import $1" >/dev/null 2>&1 || missing="$missing $2"
}
need_program cc gcc
need_program c++ g++
need_program python3 python3
need_program meson meson
need_program ninja ninja-build
need_program pkg-config pkg-config
need_library jansson libjansson-dev
need_library sentencepiece libsentencepiece-dev
need_library libpcre2-8 libpcre2-dev
need_library libutf8proc libutf8proc-dev
if [ "${1-}" = tests ]; then
    need_library check check
    need_program git git
    need_program nm binutils
    need_program abidiff abigail-tools
    need_program cmake cmake
    need_program ccache ccache
    need_program mypy mypy
    need_module numpy python3-numpy
    need_module uvicorn python3-uvicorn
    need_module starlette python3-starlette
    need_module ensurepip python3-venv
fi
if [ "${1-}" = rust ]; then
    need_program cargo cargo
    need_program rustc rustc
fi
if [ "${1-}" = go ]; then
    need_program go golang-go
fi
if [ "${1-}" = aarch64 ]; then
    missing=""
    need_program aarch64-linux-gnu-gcc "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
    need_program qemu-aarch64 qemu-user
fi
if [ "${1-}" = mpi ]; then
    missing=""
    command -v mpicc.mpich >/dev/null 2>&1 || need_program mpicc.openmpi "libopenmpi-dev openmpi-bin"
fi
if [ "${1-}" = docs ]; then
    missing=""
    need_program mkdocs mkdocs
    need_program pygmentize python3-pygments
fi
[ -n "$missing" ] || exit 0

# A C library's headers come with the compiler only as a recommendation.
missing="$missing libc6-dev"
echo "installing Debian packages:$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "there is no apt-get here; please install the equivalents of:$missing" >&2
    exit 1
fi
as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root=sudo
    if ! command -v sudo >/dev/null 2>&1; then
        echo "root is needed: run apt-get install$missing" >&2
        exit 1
    fi
fi
log=$(mktemp)
# shellcheck disable=SC2086 # a list of words
if ! { $as_root apt-get update -q && DEBIAN_FRONTEND=noninteractive \
    $as_root apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get failed; its whole output is in $log" >&2
    exit 1
fi
rm -f "$log"
