#!/bin/sh
# Builds libprepack and runs its whole suite: the normal build, a build with address and undefined
# behaviour sanitizers, an installation, and the quick start in a fresh clone. Installs the Debian packages it needs.
# The last line counts: "N passed, N failed".
set -eu
cd "$(dirname "$0")/.."
passed=0
failed=0

# Runs the suite of one build folder and adds its results up. Every test prints TAP; a test program
# that ends badly without a "not ok" line counts as one failure.
run_suite() {
    log="$1/meson-logs/testlog.txt"
    status=0
    # slow machines are no failure
    meson test -C "$1" --print-errorlogs --num-processes 2 --timeout-multiplier 3 || status=$?
    ok=$(grep -c '^ok ' "$log" || true)
    bad=$(grep -c '^not ok ' "$log" || true)
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    if [ "$ok" -eq 0 ]; then
        echo "no test of $1 ran" >&2
        bad=$((bad + 1))
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
}

# One step that is a test by itself.
step() {
    name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "not ok: $name" >&2
    fi
}

sh examples/install-packages.sh tests

for kind in normal sanitized; do
    build=build-$kind
    options="-Dtests=enabled -Dprogram=enabled"
    if [ $kind = normal ]; then
        options="$options -Ddefault_library=both"
    else
        # GPU kernels cannot be sanitized; their emulation is
        options="$options -Db_sanitize=address,undefined -Db_ndebug=false -Dcuda=disabled"
    fi
    if [ ! -f "$build/build.ninja" ]; then
        # shellcheck disable=SC2086 # a list of words
        meson setup "$build" $options >/dev/null
    fi
    echo "== $kind build"
    ninja -C "$build" >"$build/ninja.log" || { tail -n 40 "$build/ninja.log"; exit 1; }
    step "no warnings in the $kind build" sh -c "! grep -n 'warning:' '$build/ninja.log'"
    if [ -f "$build/cuda/libprepack-cuda.so" ]; then
        step "CUDA kernels neither spill nor are too large" \
            python3 tests/cuda_figures.py "$build/ninja.log" "$build/cuda/libprepack-cuda.so"
    fi
    run_suite "$build"
done
step "the installed library and program work" sh tests/install.sh build-normal

# The Python package from a wheel, where PyPI can be reached.
echo "== the Python package in a fresh environment"
status=0
sh tests/wheel.sh build-normal || status=$?
if [ $status -ne 77 ]; then
    step "a wheel of the Python package works" test $status -eq 0
fi

# Kernels of another processor, under an emulator; where its packages cannot be had, a reason instead.
echo "== aarch64 under qemu-user"
if sh examples/install-packages.sh aarch64; then
    log="build-aarch64.log"
    status=0
    sh tests/cross/run.sh --brief build-aarch64 >$log 2>&1 || status=$?
    grep -v '^# seed' $log || true
    if [ $status -ne 77 ]; then
        step "the kernels for aarch64" test $status -eq 0
    fi
else
    echo "# skipped: the packages for aarch64 could not be installed"
fi

if [ -d .git ] && command -v git >/dev/null 2>&1; then
    echo "== quick start in a fresh clone"
    step "quick start in a fresh clone" sh tests/fresh_clone.sh
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
