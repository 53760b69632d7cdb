/*
 * fuzz_gguf.c: any beginning of a GGUF file that goes on for any number of bytes (the first byte of
 * the input): refused with a sentence, or every value can be looked at and every tensor lies in the
 * data. '!' stands for 0, so that the seeds are text.
 */
#include "fuzz.h"
#include "checkpoint/gguf.h"

#include <stdlib.h>
#include <string.h>

#define Q0      "!!!!!!!!"
#define Q(byte) byte "!!!!!!!"
#define D0      "!!!!"
#define D(byte) byte "!!!"

const char *const fuzz_seeds[] = {
    /* two tensors, an alignment, numbers, strings */
    "\x40GGUF" D("\3") Q("\2") Q("\6") Q("\x11") "general.alignment" D("\4") D("\x10")
        Q("\1") "s" D("\x8") Q("\3") "abc" Q("\1") "a" D("\x9") D("\x8") Q("\2")
            Q("\1") "b" Q("\3") "cde" Q("\1") "n" D("\x9") D("\5") Q("\2") D("\1") D("\2")
                Q("\1") "f" D("\6") "abcd" Q("\1") "t" D("\7") "\1" Q("\2") "ab" D("\2") Q("\2")
                    Q("\3") D0 Q0 Q("\1") "q" D("\1") Q("\x20") D("\x8") Q("\x20"),
    /* other sizes of numbers; version 2; no tensors */
    "!GGUF" D("\2") Q0 Q("\5") Q("\1") "a" D0 "\1" Q("\1") "b" D("\3") "\1\2" Q("\1") "c" D("\xa")
        Q("\7") Q("\1") "d" D("\xc") "abcdefgh" Q("\1") "e" D("\x9") D("\7") Q("\3") "\1!\1",
    NULL,
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Everything that a value offers. */
static void look_at(const struct ppi_gguf_value *value)
{
    struct ppi_gguf_cursor cursor = {0};
    int64_t integer;
    double number;
    bool truth;
    size_t len, total = 0;
    const char *text = ppi_gguf_string(value);
    check(!text || strlen(text) == value->len);
    check(!ppi_gguf_integer(value, &integer) || ppi_gguf_number(value, &number));
    check(!ppi_gguf_bool(value, &truth) || value->type == PPI_GGUF_BOOL);
    check(ppi_gguf_describe(value).text[0] != '\0');
    if (ppi_gguf_is_array(value, PPI_GGUF_STRING))
        while (ppi_gguf_next_string(value, &cursor, &text, &len))
            for (size_t i = 0; i < len; i++)
                total += (unsigned char)text[i];
    else if (value->type == PPI_GGUF_ARRAY)
        for (uint64_t i = 0; i < value->len; i++) {
            struct ppi_gguf_value item = ppi_gguf_item(value, i);
            total += ppi_gguf_number(&item, &number);
        }
    check(total <= 256 * value->data_bytes);
}

static void check_gguf(const struct ppi_gguf *gguf, int64_t size)
{
    int64_t sum = 0;
    for (size_t i = 0; i < gguf->n_values; i++) {
        check(ppi_gguf_find(gguf, gguf->values[i].key) == &gguf->values[i]);
        look_at(&gguf->values[i]);
    }
    check(gguf->data_start % gguf->alignment == 0);
    for (size_t i = 0; i < gguf->n_entries; i++) {
        const struct ppi_stored_entry *entry = &gguf->entries[i];
        check(ppi_gguf_find_tensor(gguf, entry->name) == entry);
        check(entry->begin >= 0 && entry->begin < entry->end);
        check(entry->end <= size - gguf->data_start && entry->begin % gguf->alignment == 0);
        check(entry->rank >= 0 && entry->rank <= 4);
        sum += entry->end - entry->begin;
    }
    check(sum <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct ppi_mem mem;
    struct ppi_gguf gguf;
    uint64_t wanted;
    pp_error err = {.struct_size = sizeof err};
    if (len < 1)
        return 0;
    int64_t more = bytes[0] == '!' ? 0 : 16 * bytes[0];
    char *copy = malloc(--len ? len : 1);
    for (size_t i = 0; i < len; i++)
        copy[i] = bytes[1 + i] == '!' ? '\0' : (char)bytes[1 + i];
    ppi_mem_init(&mem, NULL, 0, NULL);
    int64_t size = (int64_t)len + more;
    pp_status status = ppi_gguf_parse(copy, len, size, "file", &mem, &gguf, &wanted, &err);
    if (status >= 0) {
        check(wanted == 0);
        check_gguf(&gguf, size);
        ppi_gguf_free(&gguf, &mem);
    } else {
        check((strstr(err.message, "file") != NULL) == (wanted == 0));
        check(wanted == 0 || (wanted > len && wanted <= (uint64_t)size));
    }
    check(mem.bytes == 0);
    free(copy);
    return 0;
}
