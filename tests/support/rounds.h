/*
 * rounds.h: how often random cases are tried. Under a sanitizer everything takes many times as
 * long; what it looks for shows in few rounds, and the build without one does them all.
 */
#ifndef TEST_ROUNDS_H
#define TEST_ROUNDS_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RUN_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define RUN_SANITIZED 1
#endif

static inline int rounds(int n)
{
#ifdef RUN_SANITIZED
    return (n + 5) / 6;
#else
    return n;
#endif
}

#endif
