#!/bin/sh
# examples/mpi_score.c over an installed build, with Open MPI and MPICH, those of the two that are here: any number
# of ranks writes the same bytes, those of the prepack program; an error on any rank ends all of them, with one
# sentence, and soon.
#
# usage: mpi.sh BUILD_FOLDER              exits with 77 where there is no MPI
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
model=examples/demo-model
sentence="^mpi_score: "

check_refused() { # N WANTED ARGUMENT...
    n=$1 wanted=$2
    shift 2
    status=0
    # shellcheck disable=SC2086 # a list of words
    timeout 60 $run "$n" "$work/mpi_score" "$@" >"$work/out" 2>"$work/err" || status=$?
    if [ $status -eq 0 ] || [ $status -eq 124 ] || [ "$(grep -c "$sentence" "$work/err")" != 1 ] ||
        ! grep -q "$sentence.*$wanted" "$work/err"; then
        echo "$kind, $n ranks, $*: ended with $status, and wanted: $wanted" >&2
        cat "$work/err" >&2
        exit 1
    fi
}

score() { # N OUT ARGUMENT...
    n=$1 out=$2
    shift 2
    # shellcheck disable=SC2086 # a list of words
    timeout 60 $run "$n" "$work/mpi_score" $model "$@" --threads 1 --out "$out" 2>"$work/err" || {
        cat "$work/err" >&2
        exit 1
    }
}

n_kinds=0
for kind in openmpi mpich; do
    command -v mpicc.$kind >/dev/null 2>&1 || continue
    if [ $n_kinds -eq 0 ]; then
        DESTDIR="$work/tree" meson install -C "$1" --no-rebuild >"$work/install.log"
        PKG_CONFIG_PATH=$(dirname "$(find "$work/tree" -name prepack.pc)")
        LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
        export PKG_CONFIG_PATH LD_LIBRARY_PATH
        program=$(find "$work/tree" -name prepack -type f -perm -u+x)
        "$program" tokenize --model $model --prompts demo --ids-only 2>/dev/null | head -n 60 >"$work/ids"
        head -n 2 "$work/ids" | tr -d '[],' >"$work/two"
        "$program" score --model $model --perplexity --ids "$work/ids" --out "$work/sums.jsonl" >"$work/log"
    fi
    n_kinds=$((n_kinds + 1))
    case $kind in
    openmpi) run="mpirun.openmpi --oversubscribe --bind-to none" ;;
    mpich) run=mpiexec.mpich ;;
    esac
    if [ "$kind,$(id -u)" = openmpi,0 ]; then
        run="$run --allow-run-as-root"
    fi
    run="$run -n"
    # shellcheck disable=SC2046 # a list of words
    mpicc.$kind -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wshadow -Werror examples/mpi_score.c \
        -o "$work/mpi_score" $(pkg-config --cflags --libs prepack)

    for n in 1 2 4; do
        score $n "$work/$kind.$n" "$work/ids"
        cmp "$work/$kind.$n" "$work/$kind.1"
    done
    python3 - "$work/$kind.1" "$work/sums.jsonl" <<'END'
import json
import sys
ours = [line.split("\t") for line in open(sys.argv[1])]
wanted = [json.loads(line) for line in open(sys.argv[2])][1:] # behind the description
assert len(ours) == len(wanted) == 60
for (n, total, each), other in zip(ours, wanted):
    assert int(n) == len(each.split()) + 1 and float(total) == other["logprob"], (total, other)
END
    score 4 "$work/$kind.two" "$work/two" # ranks without a prompt
    head -n 2 "$work/$kind.1" | cmp - "$work/$kind.two"
    : >"$work/none"
    score 2 "$work/$kind.none" "$work/none"
    [ ! -s "$work/$kind.none" ]

    sed '5s/^\[/[99999, /' "$work/ids" >"$work/outside"
    sed '5s/^\[/[x7, /' "$work/ids" >"$work/word"
    sed '5s/.*/ /' "$work/ids" >"$work/empty"
    check_refused 3 "line 5: .*99999" $model "$work/outside" --threads 1
    check_refused 3 "line 5: \"x7" $model "$work/word"
    check_refused 3 "line 5 has no token ids" $model "$work/empty"
    check_refused 2 "no/such/model" no/such/model "$work/ids"
    check_refused 2 "no/such/ids" $model no/such/ids
    check_refused 2 "no/such/out" $model "$work/two" --out no/such/out --threads 1
    check_refused 2 "no option" $model "$work/two" --fast
    echo "mpi_score with $kind: ok"
done
[ $n_kinds -gt 0 ] || exit 77
