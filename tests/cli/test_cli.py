#!/usr/bin/env python3
"""Tests of the program `prepack` from the outside: test_cli.py PROGRAM GPU_MODULE NVML. Prints TAP.
GPU_MODULE: the backend of imaginary_gpu.c; NVML: the library of nvml/fake_nvml.c."""

import sys

import bench_cases
import convert_cases
import cost_cases
import device_cases
import embed_cases
import family_cases
import harness
import ids_cases
import manual_cases
import model_cases
import path_cases
import plan_cases
import plan_view_cases
import prefill_cases
import resume_cases
import score_cases
import sharing_cases
import text_cases
import tokenize_cases
import usage_cases

if __name__ == "__main__":
    sys.exit(harness.run_cases(sys.argv[1:4],
                               usage_cases.CASES + plan_cases.CASES + plan_view_cases.CASES +
                               text_cases.CASES + tokenize_cases.CASES + ids_cases.CASES + prefill_cases.CASES + path_cases.CASES +
                               score_cases.CASES + resume_cases.CASES + embed_cases.CASES + sharing_cases.CASES +
                               model_cases.CASES + family_cases.CASES + device_cases.CASES + bench_cases.CASES +
                               cost_cases.CASES + convert_cases.CASES + manual_cases.CASES))
