#!/usr/bin/env python3
"""Tests of the program `prepack` from the outside: test_cli.py PROGRAM. Prints TAP."""

import sys

import harness
import model_cases
import plan_cases
import usage_cases

if __name__ == "__main__":
    sys.exit(harness.run_cases(sys.argv[1],
                               usage_cases.CASES + plan_cases.CASES + model_cases.CASES))
