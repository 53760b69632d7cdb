/*
 * fuzz_pattern.c: any pattern: refused with a sentence, or its matches in a few texts follow one
 * another, begin and end between characters, and are the same when it is searched again.
 */
#include "fuzz.h"
#include "fuzz_tokens.h"
#include "tokenizer/pattern/pattern.h"

#include <string.h>

const char *const fuzz_seeds[] = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    "(?i:'s|'t|'re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+",
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{M}]*[\\p{Ll}\\p{Lo}]+(?i:'s|'d)?|[\\p{L}&&[^\\p{Han}]"
    "]+",
    "[!\"#$%&'()*+,\\-./"
    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[\xe4\xb8\x80-\xe9\xbe\xa5]+|\\x{4E00}|\\u00e9",
    "(?<=a)b|(?<!a)b|(?>a+)b|a{2,3}?|a{,2}+|^a$|\\A\\b\\w\\W\\d\\D\\h\\R\\X\\z",
    "[[:alpha:][^a-c]\\w]+|.(?m:.)|(a|b|ab)*c|\\P{L}|\\p{^N}|\\p{Alphabetic}|(a(?:b)(?=c))",
    "[^\\x{0}-\\x{10FFFF}]*?|[a&&b]+", /* no character at all */
    NULL,
};

#define TEXT(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct {
    const char *bytes;
    size_t n;
} TEXTS[] = {
    TEXT(""),
    TEXT("It's 1234 ABC's\r\n\r\n  x\t\ty  "),
    TEXT("e\xcc\x81\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd "
         "\xce\xa3\xc5\xbf "
         "\xc2\xbd\xc2\xa0"),
    TEXT("aaaaabababacc\0aaaaaaaaaaab"),
};

/* A hash of all matches in a text. */
static uint64_t search(const struct ppi_pattern *pattern, struct ppi_pattern_work *work,
                       const char *bytes, size_t n)
{
    struct ppi_matches matches = {0};
    struct ppi_span match;
    pp_error err = {.struct_size = sizeof err};
    pp_status status;
    uint64_t hash = 0;
    uint32_t last = 0;
    while ((status = ppi_matches_next(&matches, pattern, work, bytes, n, &match, &err)) == 1) {
        fuzz_check(match.begin >= last && match.begin <= match.end && match.end <= n,
                   "a match that is out of order");
        fuzz_check((match.begin == n || (bytes[match.begin] & 0xc0) != 0x80) &&
                       (match.end == n || (bytes[match.end] & 0xc0) != 0x80),
                   "a match of half a character");
        last = match.end;
        hash = hash * 1000003 + match.begin * 31 + match.end + 7;
    }
    fuzz_check(status == PP_OK || status == PP_ERR_LIMIT || status == PP_ERR_NOMEM, err.message);
    return status == PP_OK ? hash : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz_memory memory = {.limit = (int64_t)64 << 20};
    const pp_allocator allocator = fuzz_allocator(&memory);
    struct ppi_mem mem;
    struct ppi_pattern *pattern = NULL;
    struct ppi_pattern_work *work = NULL;
    pp_error err = {.struct_size = sizeof err};
    if (ppi_utf8_check((const char *)bytes, len) != len)
        return 0;
    ppi_mem_init(&mem, &allocator, 0, NULL);
    const pp_status status =
        ppi_pattern_create((const char *)bytes, len, true, "file", "place", &mem, &pattern, &err);
    fuzz_check(status >= 0 || status == PP_ERR_NOMEM || strstr(err.message, "place") != NULL,
               err.message);
    fuzz_check(status != PP_ERR_INTERNAL, err.message);
    if (status >= 0 && ppi_pattern_work_create(&mem, &work, &err) >= 0)
        for (size_t i = 0; i < PPI_COUNT(TEXTS); i++)
            fuzz_check(search(pattern, work, TEXTS[i].bytes, TEXTS[i].n) ==
                           search(pattern, work, TEXTS[i].bytes, TEXTS[i].n),
                       "other matches the second time");
    ppi_pattern_work_destroy(work);
    ppi_pattern_destroy(pattern);
    fuzz_check(mem.bytes == 0 && memory.held == 0, "a leak");
    return 0;
}
