#!/bin/sh
# Installs a build into a scratch folder and tests the Rust crates and the Go module against it, as a
# stranger would use them: their own tests, their programs, and the first steps of their READMEs as
# docs/first-steps.md takes them, in a home of its own. Nothing is written into the tree and nothing is fetched.
#
# usage: bindings.sh BUILD_FOLDER [rust|go]...
set -eu
[ $# -ge 1 ] || { sed -n '2,6s/^# //p' "$0"; exit 2; }
cd "$(dirname "$0")/.."
build=$1
shift
top=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

DESTDIR="$work" meson install -C "$build" --no-rebuild >"$work/install.log"
libdir=$(dirname "$(dirname "$(find "$work" -name prepack.pc)")")
export PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir" # prepack.pc knows where it is

mkdir "$work/home"
ln -s "$top" "$work/home/libprepack"

test_go() {
    export GOCACHE="$work/go-cache" GOPATH="$work/go" GOPROXY=off GOFLAGS=-mod=mod GOTOOLCHAIN=local
    unformatted=$(gofmt -l examples/go)
    [ -z "$unformatted" ] || { echo "gofmt would change $unformatted"; return 1; }
    (cd examples/go && go test -vet=all . && go vet ./cmd/...)
    (cd examples/go && go build -o "$work/prefill" ./cmd/prefill)
    "$work/prefill" -model examples/demo-model generate "The capital of Germany is" | grep -q Berlin
    "$work/prefill" -model examples/demo-model score "The capital of Germany is Berlin." >"$work/go.txt"
    "$work/prefill" -model examples/demo-model embed <examples/demo-model/examples.txt >"$work/go.jsonl"
    [ "$(wc -l <"$work/go.jsonl")" = "$(wc -l <examples/demo-model/examples.txt)" ]
    python3 tests/first_steps.py Go "$work/home"
}

test_rust() {
    export CARGO_TARGET_DIR="$work/target" CARGO_HOME="$work/cargo" CARGO_INCREMENTAL=0
    export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0
    (cd examples/rust && cargo test --offline --locked --workspace)
    examples=$work/target/debug/examples
    "$examples/prefill" examples/demo-model "The capital of Germany is" | grep -q Berlin
    "$examples/score" examples/demo-model "The capital of Germany is Berlin." >"$work/rust.txt"
    "$examples/plan" 512 300 77 210 9 180 | grep -q "6 prompts in 3 bins"
    CARGO_NET_OFFLINE=true python3 tests/first_steps.py Rust "$work/home"
}

[ $# -gt 0 ] || set -- rust go
for language in "$@"; do
    log="$work/$language.log"
    # a shell of its own, which ends at the first command that fails; "if" would keep it from that
    (set -e; "test_$language") >"$log" 2>&1 &
    wait $! || { cat "$log"; echo "the tests of the bindings for $language failed"; exit 1; }
done
if [ -f "$work/go.txt" ] && [ -f "$work/rust.txt" ]; then # the same library says the same
    cmp "$work/go.txt" "$work/rust.txt"
fi
