/*
 * fuzz.h: what a fuzz target has: the entry that libFuzzer calls, and inputs to start from.
 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Ends the process where something is wrong; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

extern const char *const fuzz_seeds[]; /* NULL-terminated */

#endif
