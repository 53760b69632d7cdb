#!/bin/sh
# Everything that needs a GPU: builds libprepack with its CUDA backend, runs the tests of the kernels
# and of whole models on the GPU, the sanitizer, the benchmarks, and the rivals in Python where torch
# is there. Needs nvcc, meson, ninja, a C compiler and a GPU; no network, no root.
#
#     tests/gpu/run.sh [--quick] [--only PART,PART...]
#
#     --quick   about 5 minutes in place of 15: fewer repeats, fewer layers, less under the sanitizer
#     --only    of build, op, e2e, sanitize, bench, rivals; the build is brought up to date for any
#
# BUILD (build-gpu) is the build folder and stays; OUT ($BUILD/out) gets the logs, the figures and
# the table. PYTHON (python3) is the rivals' interpreter. Ends with one table and "N passed, N
# failed".
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
here=tests/gpu

quick=false
only=build,op,e2e,sanitize,bench,rivals
while [ $# -gt 0 ]; do
    case $1 in
        --quick) quick=true ;;
        --only)
            [ $# -gt 1 ] || { echo "--only wants parts" >&2; exit 2; }
            only=$2
            shift
            ;;
        *)
            sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p;}' "$here/run.sh"
            [ "$1" = --help ] && exit 0
            exit 2
            ;;
    esac
    shift
done

for each in $(echo "$only" | tr , ' '); do
    case $each in
        build | op | e2e | sanitize | bench | rivals) ;;
        *) echo "there is no part \"$each\"" >&2; exit 2 ;;
    esac
done

build=${BUILD:-build-gpu}
out=${OUT:-$build/out}
mkdir -p "$build" "$out"
build=$(cd "$build" && pwd)
out=$(cd "$out" && pwd)
scratch=$build/scratch
figures=$out/figures.txt
python=${PYTHON:-python3}
passed=0
failed=0
started=$(date +%s)
: >"$figures"
rm -f "$out/table.txt"
for each in build op e2e sanitize bench rivals; do
    rm -f "$out/$each.log"
done
mkdir -p "$scratch"

# meson and ninja may live beside a Python that is only linked to from PATH.
if ! command -v meson >/dev/null 2>&1 || ! command -v ninja >/dev/null 2>&1; then
    if beside=$("$python" -c 'import sys; print(sys.prefix + "/bin")' 2>/dev/null); then
        export PATH="$PATH:$beside"
    fi
fi

# ---- how things are run ----

wants() {
    case ",$only," in
        *",$1,"*) return 0 ;;
    esac
    return 1
}

# What is said also goes into the file that holds the table.
say() {
    echo "$@" | tee -a "$out/table.txt"
}

part() {
    name=$1
    log=$out/$name.log
    : >"$log"
    say "== $name ($(($(date +%s) - started)) s)"
}

# limited SECONDS COMMAND...: ends it after that time where "timeout" is there.
limited() {
    seconds=$1
    shift
    if command -v timeout >/dev/null 2>&1; then
        timeout -k 10 "$seconds" "$@"
    else
        "$@"
    fi
}

# Our programs find the toolkit's libraries; Python has its own.
ours() {
    seconds=$1
    shift
    limited "$seconds" env "LD_LIBRARY_PATH=$toolkit/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$@"
}

why() {
    case $1 in
        124 | 137) echo "ran past its time" ;;
        *) echo "status $1" ;;
    esac
}

# step WHAT COMMAND...: one thing that works or does not. Its output goes to the part's log, its
# figures to the figures.
step() {
    what=$1
    shift
    began=$(date +%s)
    echo "## $what: $*" >>"$log"
    status=0
    "$@" >"$scratch/output" 2>&1 </dev/null || status=$?
    cat "$scratch/output" >>"$log"
    sed -n 's/^figure //p' "$scratch/output" >>"$figures"
    took=$(($(date +%s) - began))
    if [ "$status" -eq 0 ]; then
        passed=$((passed + 1))
        say "ok    $what ($took s)"
    else
        failed=$((failed + 1))
        say "FAIL  $what ($(why "$status"), $took s)"
        tail -n 4 "$scratch/output" | cut -c 1-160 | sed 's/^/      /'
    fi
    return 0
}

# tap WHAT COMMAND...: a program that prints TAP; each of its tests counts. A test that was skipped,
# or a program that ran none, is a failure here: there is a GPU.
tap() {
    what=$1
    shift
    began=$(date +%s)
    echo "## $what: $*" >>"$log"
    status=0
    "$@" >"$scratch/output" 2>&1 </dev/null || status=$?
    cat "$scratch/output" >>"$log"
    good=$(grep '^ok ' "$scratch/output" | grep -vc '# SKIP' || true)
    bad=$(grep -c -e '^not ok ' -e '# SKIP' "$scratch/output" || true)
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    if [ "$good" -eq 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    took=$(($(date +%s) - began))
    if [ "$bad" -eq 0 ]; then
        say "ok    $what: $good tests ($took s)"
    else
        say "FAIL  $what: $bad of $((good + bad)) tests ($(why "$status"), $took s)"
        grep -B 2 -e '^not ok ' -e '# SKIP' "$scratch/output" | cut -c 1-160 | sed 's/^/      /' |
            head -n 12
    fi
}

finish() {
    if [ -s "$figures" ]; then
        say ""
        awk -f "$here/table.awk" "$figures" "$here/goals.txt" | tee -a "$out/table.txt"
    fi
    say ""
    say "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] || exit 1
    exit 0
}

# ---- parts ----

build_all() {
    part build
    if ! toolkit=$(sh "$here/toolkit.sh" "$build/toolkit" 2>"$scratch/output"); then
        cat "$scratch/output" >>"$log"
        say "FAIL  toolkit: $(cat "$scratch/output")"
        failed=$((failed + 1))
        finish
    fi
    export CUDA_PATH="$toolkit"
    command -v nvcc >/dev/null 2>&1 || export PATH="$toolkit/bin:$PATH"
    if [ ! -f "$build/build.ninja" ]; then
        step "configure" meson setup "$build" -Dcuda=enabled -Dtests=disabled -Dprogram=disabled
    fi
    step "build" ninja -C "$build"
    module=$build/cuda/libprepack-cuda.so
    [ "$failed" -eq 0 ] || finish
    if [ ! -f "$module" ]; then
        say "FAIL  the build made no $module"
        failed=$((failed + 1))
        finish
    fi
    export PREPACK_BACKEND_CUDA="$module" PYTHONDONTWRITEBYTECODE=1
    gpu=$(ours 60 "$build/$here/bench_device_rows" --tiny 2>&1 | head -n 1)
    echo "$gpu" >>"$log"
    if command -v nvidia-smi >/dev/null 2>&1; then
        nvidia-smi >>"$log" 2>&1 || true
    fi
    case $gpu in
        "# "*) say "      ${gpu#\# }" ;;
        *)
            say "FAIL  GPU: $gpu"
            failed=$((failed + 1))
            finish
            ;;
    esac
}

run_op() {
    part op
    for program in "$build/$here"/gpu_*; do
        if [ -f "$program" ] && [ -x "$program" ]; then
            tap "$(basename "$program")" ours 240 "$program"
            case $program in
                *attention*) # the kernels that every GPU has, on this one
                    tap "$(basename "$program") mma.sync" ours 240 \
                        env PREPACK_TEST_CAPABILITY=80 "$program" ;;
            esac
        fi
    done
}

run_e2e() {
    part e2e
    tap "test_device_model" ours 400 "$build/tests/device/test_device_model"
    step "attention_cuda" ours 60 "$build/examples/attention_cuda"
    if "$python" -c 'import torch' >>"$log" 2>&1; then
        step "attention_torch.py" limited 120 env "PREPACK_LIBRARY=$build/libprepack/libprepack.so.0" \
            "$python" examples/python/attention_torch.py
    else
        say "      skipped: attention_torch.py, $python has no torch"
    fi
}

# sanitized TOOL SECONDS PROGRAM [TEST], unless the time for all of them is over.
sanitized() {
    tool=$1
    seconds=$2
    program=$3
    shift 3
    if [ "$(date +%s)" -gt "$sanitize_until" ]; then
        say "      left out, no time: $tool $(basename "$program")${1:+ $1}"
        return 0
    fi
    step "$tool $(basename "$program")${1:+ $1}" ours "$seconds" "$sanitizer" --tool "$tool" \
        --error-exitcode 99 --print-limit 20 "$program" "$@"
}

run_sanitize() {
    part sanitize
    sanitizer=
    for candidate in compute-sanitizer "$toolkit/bin/compute-sanitizer" \
        "$toolkit/compute-sanitizer/compute-sanitizer"; do
        if [ -z "$sanitizer" ] && command -v "$candidate" >/dev/null 2>&1; then
            sanitizer=$candidate
        fi
    done
    if [ -z "$sanitizer" ]; then
        say "      skipped: no compute-sanitizer"
        return
    fi
    tests=$build/$here
    if ! ours 60 "$sanitizer" --tool memcheck --error-exitcode 99 "$tests/gpu_rows" \
        gather_is_exact >"$log" 2>&1; then
        if grep -q -i -e 'not supported' -e 'failed to initialize' "$log"; then
            say "      skipped: $(grep -i -m 1 -e 'not supported' -e 'failed to init' "$log")"
            return
        fi
    fi
    sanitize_until=$(($(date +%s) + 240))
    [ "$quick" = false ] || sanitize_until=$(($(date +%s) + 75))
    # sizes as in emulation: the tools are as slow
    export PREPACK_TEST_DEVICE_EMULATED=1
    while read -r kind tool seconds program test; do
        case $kind in
            always) ;;
            full) [ "$quick" = false ] || continue ;;
            *) continue ;;
        esac
        if [ -x "$tests/$program" ]; then
            # shellcheck disable=SC2086 # no test: the whole program
            sanitized "$tool" "$seconds" "$tests/$program" $test
        fi
    done <"$here/sanitize.txt"
    model=$build/tests/device/test_device_model
    sanitized memcheck 120 "$model" packing_at_tile_borders
    if [ "$quick" = false ]; then
        sanitized memcheck 120 "$model" no_memory_is_a_status
        sanitized racecheck 120 "$model" close_to_the_cpu
    fi
    unset PREPACK_TEST_DEVICE_EMULATED
}

# choose_lengths FILE N: the middles of N equal parts of the sorted lengths, shuffled.
choose_lengths() {
    sort -n "$1" | awk -v n="$2" '
        { sorted[NR] = $1 }
        END {
            for (i = 0; i < n; i++)
                x[i] = sorted[int((i + 0.5) * NR / n) + 1]
            s = 12345
            for (i = n - 1; i > 0; i--) {
                s = s * 16807 % 2147483647
                j = s % (i + 1)
                t = x[i]; x[i] = x[j]; x[j] = t
            }
            for (i = 0; i < n; i++)
                print x[i]
        }'
}

# The program, where its libraries are, in a build of its own, so that nothing else waits for it:
# attention with caches flushed and warm, by kernels of this GPU and of every GPU, over lengths of
# several distributions.
bench_program() {
    own=$build/program
    options="-Dcuda=disabled -Dtests=disabled -Dprogram=enabled"
    # shellcheck disable=SC2086 # several words
    if { [ -f "$own/build.ninja" ] || meson setup "$own" $options; } >>"$log" 2>&1 &&
        ninja -C "$own" >>"$log" 2>&1; then
        each=50,100,200,500,2000,4000,8000,16000,uniform:300,longtail:300,bimodal:300
        step "prepack bench attention" ours 240 "$own/examples/prepack/prepack" bench attention \
            --device cuda --heads 32:8 --head-dim 128 --tokens 32768 --lengths "$each,$lengths" \
            --json "$out/attention.json"
    else
        say "      skipped: prepack bench attention; building the program failed, as bench.log says"
    fi
}

run_bench() {
    part bench
    bin=$build/$here
    repeats=5
    layers=0
    if [ "$quick" = true ]; then
        repeats=3
        layers=8
        say "      quick: llama2-7b with 8 of its 32 layers"
    fi
    step "attention" ours 120 "$bin/bench_device_attention" "$lengths"
    bench_program
    step "rows" ours 60 "$bin/bench_device_rows"
    products=
    [ "$quick" = false ] || products=llama2-7b
    # shellcheck disable=SC2086 # one word or none
    step "products" ours 180 "$bin/bench_cuda_gemm" $products
    step "llama1b, MMLU, batch 64" ours 200 "$bin/bench_device_prefill" llama1b model llama1b \
        lengths "$lengths" repeats "$repeats" methods packed,padded,ordered,logits decode 32
    step "llama2-7b, 16k tokens" ours 240 "$bin/bench_device_prefill" llama2-7b model llama2-7b \
        layers "$layers" lengths "$lengths" repeats "$repeats" forward 16384
    if [ "$quick" = false ]; then
        step "llama1b, own products" ours 200 "$bin/bench_device_prefill" own device cuda:own \
            model llama1b lengths "$lengths" repeats 3 methods packed
        step "llama2-7b, 16k tokens, cuda:own" ours 240 "$bin/bench_device_prefill" own-7b device \
            cuda:own model llama2-7b layers 8 lengths "$lengths" repeats 3 forward 16384
    fi
}

run_rivals() {
    part rivals
    if ! "$python" -c 'import torch' >"$log" 2>&1; then
        say "      skipped: $python has no torch ($(tail -n 1 "$log"))"
        return
    fi
    options=
    [ "$quick" = false ] || options=--quick
    # shellcheck disable=SC2086 # one word or none
    step "torch attention" limited 240 "$python" "$here/gpu_rivals.py" attention \
        --lengths "$lengths" $options
    if ! "$python" -c 'import transformers' >>"$log" 2>&1; then
        say "      skipped: $python has no transformers ($(tail -n 1 "$log"))"
        return
    fi
    models=$scratch/models
    rm -rf "$models"
    mkdir -p "$models"
    step "checkpoint of llama1b's shape" limited 240 "$python" "$here/gpu_rivals.py" checkpoint \
        --lengths "$lengths" --dir "$models"
    step "prepack on it" ours 200 "$build/$here/bench_device_prefill" same-weights \
        model "$models/model" prompts "$models/prompts.txt" methods packed,padded,ordered,logits \
        logits "$models/ours.bin"
    # shellcheck disable=SC2086 # one word or none
    step "transformers on it, same logits" limited 400 "$python" "$here/gpu_rivals.py" models \
        --dir "$models" --logits "$models/ours.bin" $options
    rm -rf "$models"
}

build_all
lengths=$scratch/lengths.txt
choose_lengths examples/data/lengths/mmlu.txt 256 >"$lengths"
if wants op; then run_op; fi
if wants e2e; then run_e2e; fi
if wants sanitize; then run_sanitize; fi
if wants bench; then run_bench; fi
if wants rivals; then run_rivals; fi
finish
