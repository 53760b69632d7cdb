#!/bin/sh
# Builds libprepack for aarch64 and runs its suite under qemu-user, which emulates a processor with
# every instruction that the kernels use. Minutes become an hour there, so the suite has a brief part.
#
# usage: tests/cross/run.sh [--brief] [BUILD_DIR]     BUILD_DIR: build-aarch64
#   --brief  what tests/run.sh runs: values of products, attention and rows; tiny models against transformers
#
# Needs meson, ninja, pkg-config and Debian's gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user;
# Check and jansson for arm64 are fetched with apt-get into BUILD_DIR/sysroot, beside the system's own.
# Exits with 77 and a reason where one of them is missing. Prints TAP, as the suite does.
set -eu
cd "$(dirname "$0")/../.."
brief=no
if [ "${1-}" = --brief ]; then
    brief=yes
    shift
fi
build=${1-build-aarch64}

skip() {
    echo "# skipped: $1" >&2
    exit 77
}
for program in aarch64-linux-gnu-gcc qemu-aarch64 meson ninja pkg-config; do
    command -v $program >/dev/null 2>&1 || skip "there is no $program"
done
[ -f /usr/aarch64-linux-gnu/lib/libc.so.6 ] || skip "there is no C library for aarch64"

# apt-get with lists of its own: the system's settings and packages stay as they are.
fetch_libraries() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || return 1
    mkdir -p "$1/lists/partial" "$1/archives/partial" "$1/root"
    folder=$(cd "$1" && pwd)
    (
        cd "$folder"
        set -- -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::Lists="$folder/lists" \
            -o Dir::Cache="$folder" -o APT::Sandbox::User=root
        apt-get "$@" update &&
            apt-get "$@" download check libsubunit-dev libsubunit0 libjansson-dev libjansson4 || exit 1
        for package in *.deb; do
            dpkg -x "$package" root || exit 1
        done
    ) >"$folder/log" 2>&1 || return 1
    rm -rf "$folder/lists" "$folder/archives"
    touch "$folder/complete"
}
sysroot=$build/sysroot
if [ ! -f "$sysroot/complete" ]; then
    fetch_libraries "$sysroot" || skip "Check and jansson for arm64 could not be fetched, see $sysroot/log"
fi
root=$(cd "$sysroot/root" && pwd)
cat >"$sysroot/libraries.ini" <<END
[properties]
sys_root = '$root'
pkg_config_libdir = '$root/usr/lib/aarch64-linux-gnu/pkgconfig'
END

if [ ! -f "$build/build.ninja" ]; then
    meson setup "$build" --cross-file tests/cross/aarch64.ini --cross-file "$sysroot/libraries.ini" \
        -Dtests=enabled -Dcuda=disabled -Dtokenizer=disabled -Dprogram=disabled >"$sysroot/setup.log" ||
        { tail -n 20 "$sysroot/setup.log"; exit 1; }
fi
if [ $brief = yes ]; then
    ninja -C "$build" tests/op/checkop tests/golden/test_golden >"$build/ninja.log" || { tail -n 40 "$build/ninja.log"; exit 1; }
    if grep -n 'warning:' "$build/ninja.log"; then
        echo "not ok - no warnings in the build for aarch64"
        exit 1
    fi
    emulate="qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu"
    status=0
    CK_RUN_CASE=values $emulate "$build/tests/op/checkop" || status=1
    CK_DEFAULT_TIMEOUT=300 PREPACK_GOLDEN_DIR=$PWD/tests/golden $emulate "$build/tests/golden/test_golden" || status=1
    exit $status
fi

# Not: Python programs and what they load, CUDA, and threads that an emulator makes wait for minutes.
tests=$(meson test -C "$build" --list 2>/dev/null | grep -v -E \
    '^(abi|rules|python-example|gpu-table|device-.*|queue-threads|trim|ninja: .*)$')
# shellcheck disable=SC2086 # a list of words
exec meson test -C "$build" --print-errorlogs --timeout-multiplier 30 $tests
