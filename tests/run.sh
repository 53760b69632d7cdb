#!/bin/sh
# Builds libprepack and runs its whole suite: the normal build, a build with address and undefined
# behaviour sanitizers, an installation, and the quick start in a fresh clone. Installs the Debian packages it needs.
# The last line counts: "N passed, N failed".
set -eu
cd "$(dirname "$0")/.."
passed=0
failed=0

# Runs the suite of one build folder, with more words for meson, and adds its results up. Every test
# prints TAP; a test program that ends badly without a "not ok" line counts as one failure.
run_suite() {
    build=$1
    shift
    log="$build/meson-logs/testlog.txt"
    status=0
    # slow machines are no failure
    meson test -C "$build" "$@" --print-errorlogs --num-processes 2 --timeout-multiplier 3 || status=$?
    ok=$(grep -c '^ok ' "$log" || true)
    bad=$(grep -c '^not ok ' "$log" || true)
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    if [ "$ok" -eq 0 ]; then
        echo "no test of $build ran" >&2
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

# meson compiles through ccache where that is there: the quick start's clone has the same files once more.
export CCACHE_DIR="${CCACHE_DIR:-$PWD/build-ccache}" CCACHE_NOHASHDIR=1

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
    if [ $kind = normal ]; then
        # Those are left to the other build, and to whoever changes CUDA kernels.
        run_suite "$build" --no-suite sanitized-too --no-suite slow
    else
        run_suite "$build"
    fi
done

# What is left are programs that use one processor: two lanes of them. Packages are installed by one lane alone.
bindings() {
    for language in rust go; do
        echo "== the bindings for $language"
        if sh examples/install-packages.sh $language; then
            step "the bindings for $language" sh tests/bindings.sh build-normal $language
        else
            echo "# skipped: the packages for $language could not be installed"
        fi
    done
}

mpi() {
    echo "== an example on several processes"
    if sh examples/install-packages.sh mpi; then
        step "the example for MPI" sh tests/mpi.sh build-normal
    else
        echo "# skipped: no MPI could be installed"
    fi
}

documentation() {
    echo "== the documentation as a site"
    if sh examples/install-packages.sh docs; then
        step "the documentation has no broken link and no gap" sh docs/site/build.sh build-docs
    else
        echo "# skipped: mkdocs could not be installed"
    fi
}

# Kernels of another processor, under an emulator.
aarch64() {
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
}

installation() {
    echo "== an installation"
    step "the installed library and program work" sh tests/install.sh build-normal
}

# The Python package from a wheel, where PyPI can be reached.
wheel() {
    echo "== the Python package in a fresh environment"
    status=0
    sh tests/wheel.sh build-normal || status=$?
    if [ $status -ne 77 ]; then
        step "a wheel of the Python package works" test $status -eq 0
    fi
}

fresh_clone() {
    if [ -d .git ] && command -v git >/dev/null 2>&1; then
        echo "== quick start in a fresh clone"
        step "quick start in a fresh clone" sh tests/fresh_clone.sh
    fi
}

# Runs some of the above; their counts go to a file. usage: lane FILE PART...
lane() {
    counts=$1
    shift
    passed=0
    failed=0
    for part in "$@"; do
        $part
    done
    echo "$passed $failed" >"$counts"
}

rm -f build-lane1.counts build-lane2.counts
(lane build-lane1.counts bindings mpi documentation aarch64) >build-lane1.log 2>&1 &
with_packages=$!
(lane build-lane2.counts installation wheel fresh_clone) &
others=$!
wait $others || true
wait $with_packages || true
cat build-lane1.log
for counts in build-lane1.counts build-lane2.counts; do
    good=0
    bad=1 # a lane that did not reach its end
    [ ! -f $counts ] || read -r good bad <$counts
    passed=$((passed + good))
    failed=$((failed + bad))
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
