/*
 * trie.c: builds a trie; see trie.h. Nodes are made from ranges of keys that share their beginning,
 * so that no key is compared with another. Time and memory are linear in the bytes of the keys,
 * whatever these are: places for children are only sought near the end of the array, and 64 at a
 * time.
 */
#include "tokenizer/pieces/trie.h"

#define WINDOW_WORDS 48  /* of 64 places each, behind which no free place is sought */
#define FIRST_PLACE  256 /* so that no base is below 0 */
#define MAX_ROOM     ((size_t)1 << 31)
#define SLACK        ((size_t)1024) /* free places behind the last one that is taken */

/* keys[begin, end) share their first `depth` bytes, which lead to the node. */
struct range {
    int32_t node;
    uint32_t depth;
    size_t begin, end;
};

struct builder {
    struct ppi_trie *trie;
    struct ppi_trie_key *keys, *spare; /* [n] */
    struct range *open;                /* [n + 1]: ranges are disjoint */
    size_t n_open;
    uint64_t *taken; /* [room / 64] a bit for each place */
    size_t end;      /* behind the last place that is taken */
};

/* ---- places ---- */

static bool grow(struct builder *builder, size_t needed)
{
    struct ppi_trie *trie = builder->trie;
    size_t old = trie->room, room = old ? old : 4096;
    while (room < needed)
        room *= 2;
    if (room > MAX_ROOM)
        return false;
    struct ppi_trie_node *nodes = ppi_alloc(trie->mem, room, sizeof *nodes);
    uint64_t *taken = ppi_zalloc(trie->mem, room / 64, sizeof *taken);
    if (!nodes || !taken) {
        ppi_free(trie->mem, nodes);
        ppi_free(trie->mem, taken);
        return false;
    }
    if (old) {
        memcpy(nodes, trie->nodes, old * sizeof *nodes);
        memcpy(taken, builder->taken, old / 64 * sizeof *taken);
    }
    for (size_t i = old; i < room; i++)
        nodes[i] = (struct ppi_trie_node){.parent = -1, .id = -1};
    ppi_free(trie->mem, trie->nodes);
    ppi_free(trie->mem, builder->taken);
    trie->nodes = nodes;
    trie->room = room;
    builder->taken = taken;
    return true;
}

/* Bit i of the result: place + i is free. */
static uint64_t free_places(const struct builder *builder, size_t place)
{
    const uint64_t *words = builder->taken + place / 64;
    unsigned shift = place % 64;
    uint64_t taken = shift ? words[0] >> shift | words[1] << (64 - shift) : words[0];
    return ~taken;
}

/* A base at which the places of all labels, in rising order, are free. */
static size_t find_base(const struct builder *builder, const unsigned char *labels, int n_labels)
{
    size_t last = builder->end / 64;
    size_t word = last > WINDOW_WORDS ? last - WINDOW_WORDS : FIRST_PLACE / 64;
    if (word < FIRST_PLACE / 64)
        word = FIRST_PLACE / 64;
    for (;; word++) {
        uint64_t fits = ~builder->taken[word];
        for (int i = 1; fits && i < n_labels; i++)
            fits &= free_places(builder, word * 64 + labels[i] - labels[0]);
        if (fits)
            return word * 64 + (size_t)__builtin_ctzll(fits) - labels[0];
    }
}

static void take_place(struct builder *builder, size_t place, int32_t parent)
{
    builder->taken[place / 64] |= (uint64_t)1 << place % 64;
    builder->trie->nodes[place].parent = parent;
    if (place >= builder->end)
        builder->end = place + 1;
}

/* ---- ranges ---- */

/* The byte of a key that leads on; -1 where the key ends. */
static int label_of(const struct ppi_trie_key *key, uint32_t depth)
{
    return depth < key->n ? (unsigned char)key->bytes[depth] : -1;
}

/* Orders keys by the byte that leads on, those that end first. */
static void sort_few(struct ppi_trie_key *keys, size_t n, uint32_t depth)
{
    for (size_t i = 1; i < n; i++) {
        struct ppi_trie_key key = keys[i];
        size_t j = i;
        for (; j > 0 && label_of(&keys[j - 1], depth) > label_of(&key, depth); j--)
            keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

static void sort_many(struct ppi_trie_key *keys, struct ppi_trie_key *spare, size_t n,
                      uint32_t depth)
{
    size_t begins[258] = {0};
    for (size_t i = 0; i < n; i++)
        begins[label_of(&keys[i], depth) + 2]++;
    for (int i = 1; i < 258; i++)
        begins[i] += begins[i - 1];
    for (size_t i = 0; i < n; i++)
        spare[begins[label_of(&keys[i], depth) + 1]++] = keys[i];
    memcpy(keys, spare, n * sizeof *keys);
}

/* A node with one key: the rest of it is its tail. */
static void put_tail(struct ppi_trie *trie, int32_t node, const struct ppi_trie_key *key,
                     uint32_t depth)
{
    trie->tails[trie->n_tails] = (struct ppi_trie_tail){key->bytes + depth, key->n - depth};
    trie->nodes[node].id = key->id;
    trie->nodes[node].base = -1 - (int32_t)trie->n_tails++;
}

/* Makes the children of a node, and opens their ranges. */
static bool expand(struct builder *builder, struct range range)
{
    struct ppi_trie_key *keys = builder->keys + range.begin;
    size_t n = range.end - range.begin, i = 0, begins[257];
    unsigned char labels[256];
    int n_labels = 0;
    if (n < 32)
        sort_few(keys, n, range.depth);
    else
        sort_many(keys, builder->spare, n, range.depth);
    int32_t id = -1;
    for (; i < n && keys[i].n == range.depth; i++)
        id = keys[i].id > id ? keys[i].id : id;
    if (range.depth > 0)
        builder->trie->nodes[range.node].id = id;
    for (; i < n; i++) {
        int label = label_of(&keys[i], range.depth);
        if (n_labels > 0 && labels[n_labels - 1] == label)
            continue;
        labels[n_labels] = (unsigned char)label;
        begins[n_labels++] = i;
    }
    begins[n_labels] = n;
    if (builder->end + SLACK > builder->trie->room && !grow(builder, builder->end + SLACK))
        return false;
    size_t base = n_labels ? find_base(builder, labels, n_labels) : FIRST_PLACE;
    builder->trie->nodes[range.node].base = (int32_t)base;
    for (int j = 0; j < n_labels; j++) {
        int32_t child = (int32_t)(base + labels[j]);
        take_place(builder, (size_t)child, range.node);
        if (begins[j + 1] - begins[j] == 1)
            put_tail(builder->trie, child, &keys[begins[j]], range.depth + 1);
        else
            builder->open[builder->n_open++] = (struct range){
                child, range.depth + 1, range.begin + begins[j], range.begin + begins[j + 1]};
    }
    return true;
}

pp_status ppi_trie_build(struct ppi_trie *trie, struct ppi_mem *mem, struct ppi_trie_key *keys,
                         size_t n, pp_error *err)
{
    *trie = (struct ppi_trie){.mem = mem};
    for (size_t i = 0; i < n; i++)
        if (keys[i].n > PPI_TRIE_MAX_KEY)
            return ppi_error(err, PP_ERR_LIMIT,
                             "token %d of a vocabulary has %u bytes; at most %d can be looked up",
                             keys[i].id, keys[i].n, PPI_TRIE_MAX_KEY);
    struct builder builder = {.trie = trie, .keys = keys, .end = FIRST_PLACE};
    trie->tails = ppi_alloc(mem, n, sizeof *trie->tails);
    builder.spare = ppi_alloc(mem, n, sizeof *keys);
    builder.open = ppi_alloc(mem, n + 1, sizeof *builder.open);
    bool done = trie->tails && builder.spare && builder.open && grow(&builder, FIRST_PLACE + SLACK);
    if (done) {
        builder.open[builder.n_open++] = (struct range){PPI_TRIE_ROOT, 0, 0, n};
        trie->nodes[0].base = FIRST_PLACE; /* nothing has it as its parent */
    }
    while (done && builder.n_open > 0)
        done = expand(&builder, builder.open[--builder.n_open]);
    ppi_free(mem, builder.spare);
    ppi_free(mem, builder.open);
    ppi_free(mem, builder.taken);
    if (done)
        return PP_OK;
    bool too_large = trie->room == MAX_ROOM;
    size_t bytes = (trie->room ? trie->room * 2 : n) * sizeof *trie->nodes;
    ppi_trie_free(trie);
    if (too_large)
        return ppi_error(err, PP_ERR_LIMIT, "the tokens of a vocabulary are longer than %zu bytes",
                         MAX_ROOM);
    return ppi_error_nomem(err, "the tokens of a vocabulary", bytes);
}

void ppi_trie_free(struct ppi_trie *trie)
{
    ppi_free(trie->mem, trie->nodes);
    ppi_free(trie->mem, trie->tails);
    *trie = (struct ppi_trie){.mem = trie->mem};
}
