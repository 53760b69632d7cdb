#!/bin/sh
# Builds the Debian packages of the last commit, source and binary, has lintian look at them, and uses what
# is in them, unpacked in a scratch folder. Takes minutes, so it is no part of run.sh.
#
# usage: packages.sh [FOLDER]    FOLDER: where the packages shall stay
set -eu
cd "$(dirname "$0")/.."
for tool in dpkg-buildpackage dh lintian; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "$tool is missing; the packages dpkg-dev, debhelper and lintian have what is needed" >&2
        exit 77
    fi
done
keep=${1-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

git clone -q . "$work/prepack"
(
    cd "$work/prepack"
    if ! DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" DEB_BUILD_PROFILES=nocheck \
        dpkg-buildpackage -us -uc >"$work/build.log" 2>&1; then
        tail -n 40 "$work/build.log"
        exit 1
    fi
)
[ -z "$keep" ] || { mkdir -p "$keep" && cp "$work"/*prepack*_* "$keep"; }
lintian --allow-root --info --pedantic --fail-on error,warning,info,pedantic "$work"/prepack_*.changes
lintian --allow-root --info --pedantic --fail-on error,warning,info,pedantic "$work"/prepack_*.dsc

# What autopkgtest runs on the installed packages, on the unpacked ones.
root="$work/root"
for package in "$work"/*prepack*.deb; do
    dpkg-deb -x "$package" "$root"
done
libdir="$root/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)"
export PKG_CONFIG_LIBDIR="$libdir/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root" LD_LIBRARY_PATH="$libdir"
export PREPACK_DATA="$root/usr/share/prepack" AUTOPKGTEST_TMP="$work"
sh debian/tests/compile
PATH="$root/usr/bin:$PATH" MANPATH="$root/usr/share/man" PREPACK_ROOT="$root" sh debian/tests/program
echo "the packages build, are clean and work"
