/*
 * prefix.c: the radix tree of a batch, built from the top. All prompts form one group; a group is
 * extended by the tokens that its prompts have in common, then sorted by the token that comes next
 * and split where it differs. Groups of one prompt share nothing and end there.
 */
#include "prefix.h"

#include <string.h>

#define NONE (-1)

/* Prompts order[begin .. end), at least two, by index, that have their first `depth` tokens in
 * common. */
struct group {
    int32_t begin, end;
    int32_t prefix; /* the longest kept so far, or NONE */
    int64_t depth;
    int64_t counted; /* of these tokens, those that `distinct` holds, once for the whole group */
};

struct builder {
    struct prefix_tree *tree;
    const pp_prompt *prompts;
    int64_t min_prefix;
    uint64_t *keys;       /* [2 n] what a group is sorted by, and room to merge */
    struct group *groups; /* [n / 2 + 1] waiting, a stack: they are disjoint */
    int64_t n_groups;
};

/* ---- order ---- */

/* Bottom-up merge sort. scratch: [n]. */
static void sort_keys(uint64_t *keys, uint64_t *scratch, int64_t n)
{
    uint64_t *from = keys, *to = scratch;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t begin = 0; begin < n; begin += 2 * width) {
            int64_t middle = begin + width < n ? begin + width : n;
            int64_t end = middle + width < n ? middle + width : n;
            int64_t i = begin, j = middle;
            for (int64_t out = begin; out < end; out++)
                to[out] = j == end || (i < middle && from[i] <= from[j]) ? from[i++] : from[j++];
        }
        uint64_t *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != keys)
        memcpy(keys, from, (size_t)n * sizeof *keys);
}

/* Token `depth` above the prompt's index; prompts that end before it come first. */
static uint64_t key_of(const pp_prompt *prompts, int32_t prompt, int64_t depth)
{
    uint64_t token = prompts[prompt].n_tokens == depth
                         ? 0
                         : (uint64_t)(uint32_t)prompts[prompt].tokens[depth] + 1;
    return token << 31 | (uint32_t)prompt;
}

/* Sorts a group by its next token, then by index. On return keys[] holds its keys. */
static void sort_group(struct builder *builder, const struct group *group, int64_t depth)
{
    int32_t *order = builder->tree->order + group->begin;
    int64_t n = group->end - group->begin;
    bool sorted = true;
    for (int64_t i = 0; i < n; i++) {
        builder->keys[i] = key_of(builder->prompts, order[i], depth);
        sorted = sorted && (i == 0 || builder->keys[i - 1] < builder->keys[i]);
    }
    if (sorted)
        return;
    sort_keys(builder->keys, builder->keys + n, n);
    for (int64_t i = 0; i < n; i++)
        order[i] = (int32_t)(builder->keys[i] & INT32_MAX);
}

/* ---- groups ---- */

/* How many tokens two prompts have in common, knowing of `depth`, at most `limit`. */
static int64_t common_tokens(const int32_t *a, const int32_t *b, int64_t depth, int64_t limit)
{
    enum { BLOCK = 32 };
    while (depth + BLOCK <= limit && memcmp(a + depth, b + depth, BLOCK * sizeof *a) == 0)
        depth += BLOCK;
    while (depth < limit && a[depth] == b[depth])
        depth++;
    return depth;
}

/* How many tokens a group has in common. All prompts are compared a block further, then the block
 * doubles: what is compared in vain, and again later, is at most what was found, or one block. */
static int64_t extend_group(const struct builder *builder, const struct group *group)
{
    const int32_t *order = builder->tree->order + group->begin;
    const pp_prompt *first = &builder->prompts[order[0]];
    int64_t depth = group->depth;
    for (int64_t block = 16;; block *= 2) {
        int64_t limit = first->n_tokens - depth < block ? first->n_tokens : depth + block;
        int64_t reached = limit;
        for (int32_t i = 1; i < group->end - group->begin && reached > depth; i++) {
            const pp_prompt *prompt = &builder->prompts[order[i]];
            reached = prompt->n_tokens < reached ? prompt->n_tokens : reached;
            reached = common_tokens(first->tokens, prompt->tokens, depth, reached);
        }
        depth = reached;
        if (depth < limit || depth == first->n_tokens)
            return depth;
    }
}

/* Keeps the first `depth` tokens of the group as a prefix; returns its index. lowest: the lowest
 * prompt that shares it. */
static int32_t keep_prefix(struct prefix_tree *tree, const struct group *group, int64_t depth,
                           int32_t lowest, bool identical)
{
    struct prefix *prefix = &tree->prefixes[tree->n_prefixes];
    *prefix = (struct prefix){
        .end = depth,
        .parent = group->prefix,
        .prompt = lowest,
        .level = group->prefix == NONE ? 0 : tree->prefixes[group->prefix].level + 1,
        .identical = identical,
    };
    return (int32_t)tree->n_prefixes++;
}

/* Decides what of a group's common tokens becomes a prefix; then each prompt ends, is alone or goes
 * on in a smaller group. */
static void split_group(struct builder *builder, struct group group)
{
    struct prefix_tree *tree = builder->tree;
    int64_t depth = extend_group(builder, &group);
    if (depth >= builder->min_prefix) {
        tree->distinct += depth - group.counted;
        group.counted = depth;
    }
    int32_t lowest = tree->order[group.begin];
    sort_group(builder, &group, depth);
    int32_t n = group.end - group.begin;
    int32_t n_ended = 0;
    while (n_ended < n && builder->keys[n_ended] >> 31 == 0)
        n_ended++;

    int64_t own = group.prefix == NONE ? depth : depth - tree->prefixes[group.prefix].end;
    int32_t ended_at = group.prefix;
    if (n_ended < n && own >= builder->min_prefix)
        ended_at = group.prefix = keep_prefix(tree, &group, depth, lowest, false);
    else if (n_ended > 1 && depth >= builder->min_prefix)
        ended_at = keep_prefix(tree, &group, depth, tree->order[group.begin], true);
    for (int32_t i = 0; i < n_ended; i++) {
        tree->longest[tree->order[group.begin + i]] = ended_at;
        tree->distinct += depth - group.counted;
    }

    /* from the last token to the first, so that the first comes off the stack next */
    for (int32_t end = n; end > n_ended;) {
        int32_t begin = end - 1;
        while (begin > n_ended && builder->keys[begin - 1] >> 31 == builder->keys[begin] >> 31)
            begin--;
        if (end - begin > 1) {
            builder->groups[builder->n_groups++] = (struct group){.begin = group.begin + begin,
                                                                  .end = group.begin + end,
                                                                  .prefix = group.prefix,
                                                                  .depth = depth + 1,
                                                                  .counted = group.counted};
        } else {
            int32_t prompt = tree->order[group.begin + begin];
            tree->longest[prompt] = group.prefix;
            tree->distinct += builder->prompts[prompt].n_tokens - group.counted;
        }
        end = begin;
    }
}

/* ---- the tree ---- */

static pp_status allocate(struct builder *builder, int64_t n, struct ppi_mem *mem, pp_error *err)
{
    struct prefix_tree *tree = builder->tree;
    size_t count = (size_t)n;
    tree->prefixes = ppi_alloc(mem, count, sizeof *tree->prefixes); /* n - 1 at most */
    tree->longest = ppi_alloc(mem, count, sizeof *tree->longest);
    tree->order = ppi_alloc(mem, count, sizeof *tree->order);
    builder->keys = ppi_alloc(mem, 2 * count, sizeof *builder->keys);
    builder->groups = ppi_alloc(mem, count / 2 + 1, sizeof *builder->groups);
    if (!tree->prefixes || !tree->longest || !tree->order || !builder->keys || !builder->groups)
        return ppi_error_nomem(err, "the prefixes of the prompts",
                               count * (sizeof *tree->prefixes + 2 * sizeof(int32_t) +
                                        2 * sizeof *builder->keys + sizeof *builder->groups / 2));
    return PP_OK;
}

pp_status ppi_prefix_tree_create(struct prefix_tree *tree, const pp_prompt *prompts, int64_t n,
                                 int64_t min_prefix, struct ppi_mem *mem, pp_error *err)
{
    *tree = (struct prefix_tree){0};
    struct builder builder = {.tree = tree, .prompts = prompts, .min_prefix = min_prefix};
    pp_status status = allocate(&builder, n, mem, err);
    if (status >= 0) {
        for (int64_t i = 0; i < n; i++) {
            tree->order[i] = (int32_t)i;
            tree->longest[i] = NONE;
        }
        if (n > 1)
            builder.groups[builder.n_groups++] = (struct group){.end = (int32_t)n, .prefix = NONE};
        else
            tree->distinct = prompts[0].n_tokens;
        while (builder.n_groups > 0)
            split_group(&builder, builder.groups[--builder.n_groups]);
    }
    ppi_free(mem, builder.groups);
    ppi_free(mem, builder.keys);
    if (status < 0)
        ppi_prefix_tree_destroy(tree, mem);
    return status;
}

void ppi_prefix_tree_destroy(struct prefix_tree *tree, struct ppi_mem *mem)
{
    ppi_free(mem, tree->prefixes);
    ppi_free(mem, tree->longest);
    ppi_free(mem, tree->order);
    *tree = (struct prefix_tree){0};
}
