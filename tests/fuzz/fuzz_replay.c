/*
 * fuzz_replay.c: runs a fuzz target without libFuzzer. With arguments, on those files (to look at
 * a finding); without, on the target's seeds and on thousands of copies spoilt at random, always
 * the same ones, so that every test run fuzzes a little.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef N_COPIES
#define N_COPIES 3000 /* of a seed */
#endif
#define MAX_BYTES 65536

static uint64_t state = 1;

/* SplitMix64. */
static uint64_t next_random(void)
{
    uint64_t x = state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* In a block of its own size, so that reading past its end is noticed. */
static void run(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

/* One change: a byte replaced, a piece cut out, doubled or written over by another. */
static size_t spoil(uint8_t *bytes, size_t len)
{
    static const char likely[] = "{}[]\",:\\0123456789.-eE \n\x80\xff";
    if (len < 2)
        return len;
    size_t from = next_random() % len, n = next_random() % 16 + 1;
    if (n > len - from)
        n = len - from;
    size_t to = next_random() % (len - n + 1);
    switch (next_random() % 5) {
    case 0:
        bytes[from] = (uint8_t)next_random();
        return len;
    case 1:
        bytes[from] = (uint8_t)likely[next_random() % (sizeof likely - 1)];
        return len;
    case 2:
        memmove(bytes + from, bytes + from + n, len - from - n);
        return len - n;
    case 3:
        memmove(bytes + from + n, bytes + from, len - from);
        return len + n;
    default:
        memmove(bytes + to, bytes + from, n);
        return len;
    }
}

static void run_copies(const char *seed)
{
    static uint8_t bytes[MAX_BYTES];
    for (int i = 0; i < N_COPIES; i++) {
        size_t len = strlen(seed), n_changes = next_random() % 4 + 1;
        memcpy(bytes, seed, len);
        while (n_changes-- > 0)
            len = spoil(bytes, len);
        run(bytes, len);
    }
}

int main(int argc, char **argv)
{
    static uint8_t bytes[1 << 20];
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            fprintf(stderr, "cannot open %s\n", argv[i]);
            return EXIT_FAILURE;
        }
        run(bytes, fread(bytes, 1, sizeof bytes, file));
        fclose(file);
    }
    for (size_t i = 0; argc == 1 && fuzz_seeds[i]; i++) {
        run((const uint8_t *)fuzz_seeds[i], strlen(fuzz_seeds[i]));
        run_copies(fuzz_seeds[i]);
    }
    printf("ok 1 - every input was read or refused\n1..1\n");
    return EXIT_SUCCESS;
}
