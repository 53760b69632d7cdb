/*
 * spm_charsmap.c: checks a SentencePiece model's precompiled_charsmap: 4 bytes with the trie's
 * size, the trie (a Darts double array of 32-bit units), then NUL-ended replacement strings.
 *
 * A unit u: bit 31 set: a value (the low 31 bits, an offset into the strings). Otherwise bits 0..7
 * are its label, bit 8 says that a value hangs below it, and the offset of its children is
 * (u >> 10) << ((u & 512) >> 6). From the unit at i the byte b leads to the unit at
 * j = i ^ offset ^ b if that one's label is b; a value is at i ^ offset. The library looks at j for
 * whatever byte the text holds, so every j must be inside the array for every reachable i.
 */
#include "tokenizer/source/spm_check.h"

/* The library keeps at most 32 matches of one walk. */
enum { MAX_MATCHES = 32 };

struct trie {
    const unsigned char *units;
    size_t n_units;
    const unsigned char *strings;
    size_t n_strings; /* bytes */
};

static uint32_t read_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t unit_at(const struct trie *trie, size_t i)
{
    return read_u32(trie->units + 4 * i);
}

/* Where the children of unit i lie; a child's place is this with its label xored in. */
static size_t children_of(const struct trie *trie, size_t i)
{
    const uint32_t unit = unit_at(trie, i);
    return i ^ ((size_t)(unit >> 10) << ((unit & 512) >> 6));
}

/* Checks the unit's own place: its children's block and its value. */
static const char *check_unit(const struct trie *trie, size_t i)
{
    const size_t base = children_of(trie, i);
    if ((base | 0xff) >= trie->n_units)
        return "its normalisation trie points outside itself";
    if (!(unit_at(trie, i) & 256))
        return NULL;
    const uint32_t value = unit_at(trie, base) & 0x7fffffffu;
    if (value >= trie->n_strings)
        return "its normalisation trie names a replacement outside the table";
    return NULL;
}

/* A place on the way from the root: the unit and the next byte to try below it. */
struct visit {
    size_t unit;
    int next_byte;
    int matches; /* most values on a way from this unit down, its own included */
};

enum {
    UNSEEN,
    OPEN, /* on the way from the root to here */
    DONE
};

/*
 * Walks everything that can be reached, each unit once. state: [n_units] zeros; matches: [n_units];
 * way: room for a visit to each unit.
 */
static const char *walk(const struct trie *trie, unsigned char *state, unsigned char *matches,
                        struct visit *way)
{
    size_t depth = 0;
    const char *wrong = check_unit(trie, 0);
    way[0] = (struct visit){0, 0, 0};
    state[0] = OPEN;
    while (!wrong) {
        struct visit *here = &way[depth];
        if (here->next_byte == 256) {
            const int total = here->matches + ((unit_at(trie, here->unit) & 256) != 0);
            if (total > MAX_MATCHES)
                return "its normalisation trie has more than 32 matches of one text";
            state[here->unit] = DONE;
            matches[here->unit] = (unsigned char)total;
            if (depth == 0)
                return NULL;
            depth--;
            if (way[depth].matches < total)
                way[depth].matches = total;
            continue;
        }
        const unsigned byte = (unsigned)here->next_byte++;
        const size_t child = children_of(trie, here->unit) ^ byte;
        if ((unit_at(trie, child) & 0x800000ffu) != byte)
            continue;
        if (state[child] == OPEN)
            return "its normalisation trie runs in a circle";
        if (state[child] == DONE) {
            if (here->matches < matches[child])
                here->matches = matches[child];
            continue;
        }
        wrong = check_unit(trie, child);
        state[child] = OPEN;
        way[++depth] = (struct visit){child, 0, 0};
    }
    return wrong;
}

const char *ppi_spm_check_charsmap(const unsigned char *blob, size_t n_bytes, struct ppi_mem *mem)
{
    if (n_bytes == 0)
        return NULL;
    if (n_bytes <= 4)
        return "its normalisation table is shorter than 5 bytes";
    const size_t n_trie = read_u32(blob);
    if (n_trie >= n_bytes - 4 || n_trie % 4 || n_trie < 1024)
        return "its normalisation table states an impossible size";
    const struct trie trie = {.units = blob + 4,
                              .n_units = n_trie / 4,
                              .strings = blob + 4 + n_trie,
                              .n_strings = n_bytes - 4 - n_trie};
    if (trie.strings[trie.n_strings - 1] != 0)
        return "its normalisation table does not end in NUL";
    if (unit_at(&trie, 0) & 0x80000100u)
        return "its normalisation trie matches the empty text";
    unsigned char *state = ppi_zalloc(mem, trie.n_units, 1);
    unsigned char *matches = ppi_zalloc(mem, trie.n_units, 1);
    struct visit *way = ppi_zalloc(mem, trie.n_units, sizeof *way);
    const char *wrong = PPI_SPM_NO_MEMORY;
    if (state && matches && way)
        wrong = walk(&trie, state, matches, way);
    ppi_free(mem, state);
    ppi_free(mem, matches);
    ppi_free(mem, way);
    return wrong;
}
