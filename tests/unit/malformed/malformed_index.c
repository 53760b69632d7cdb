/*
 * malformed_index.c: sharded checkpoints whose index is broken, lies, or tries to leave the
 * directory.
 */
#define _GNU_SOURCE
#include "malformed/malformed.h"

#include <check.h>
#include <sys/stat.h>
#include <unistd.h>

static void remove_shard(const char *dir)
{
    ck_assert_int_eq(unlink(path_in(dir, SHARD_2).text), 0);
}

/* The second shard becomes a link to a valid file elsewhere, in a directory next to dir. */
static void link_shard(const char *dir, const char *target)
{
    struct path path = path_in(dir, SHARD_2);
    ck_assert_int_eq(unlink(path.text), 0);
    ck_assert_int_eq(symlink(target, path.text), 0);
}

static void link_outside(const char *dir)
{
    link_shard(dir, "/etc/passwd");
}

static void link_upward(const char *dir)
{
    link_shard(dir, "../../../../../../../../../../../../etc/passwd");
}

/* dir/sub is a link out of the directory, the shard a link through it. */
static void link_through_parent(const char *dir)
{
    ck_assert_int_eq(symlink("/etc", path_in(dir, "sub").text), 0);
    link_shard(dir, "sub/passwd");
}

/* dir-evil begins with the name of dir, but is another directory. */
static void link_to_sibling(const char *dir)
{
    struct path sibling;
    ck_assert_int_lt(snprintf(sibling.text, sizeof sibling.text, "%s-evil", dir),
                     (int)sizeof sibling.text);
    ck_assert_int_eq(mkdir(sibling.text, 0700), 0);
    write_file(sibling.text, "file", "x", 1);
    link_shard(dir, path_in(sibling.text, "file").text);
}

static void index_links_outside(const char *dir)
{
    struct path path = path_in(dir, INDEX_FILE);
    ck_assert_int_eq(unlink(path.text), 0);
    ck_assert_int_eq(symlink("/etc/passwd", path.text), 0);
}

static void config_links_outside(const char *dir)
{
    struct path path = path_in(dir, "config.json");
    ck_assert_int_eq(unlink(path.text), 0);
    ck_assert_int_eq(symlink("/etc/passwd", path.text), 0);
}

/* The first tensor of shard 2 stands in shard 1 too. */
static void tensor_in_two_shards(const char *dir)
{
    char *header = make_header(0, TINY_N_TENSORS, 0);
    write_safetensors(dir, SHARD_1, header, strlen(header), TINY_DATA_BYTES);
    free(header);
}

/* Shard 1 without its last tensor, which the index lists. */
static void without_up(const char *dir)
{
    char *header = make_header(0, 8, 0);
    write_safetensors(dir, SHARD_1, header, strlen(header), 224);
    free(header);
}

static void many_shards(const char *dir)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    fputs("{\"weight_map\":{\"lm_head.weight\":\"" SHARD_1 "\"", out);
    for (int i = 0; i < 100000; i++)
        fprintf(out, ",\"t%d\":\"s%d.safetensors\"", i, i);
    fputs("}}", out);
    fclose(out);
    write_file(dir, INDEX_FILE, text, len);
    free(text);
}

static void huge_index(const char *dir)
{
    ck_assert_int_eq(truncate(path_in(dir, INDEX_FILE).text, 100000001), 0); /* sparse */
}

static void no_weights(const char *dir)
{
    ck_assert_int_eq(unlink(path_in(dir, INDEX_FILE).text), 0);
}

#define F           PP_ERR_FORMAT
#define P           PP_ERR_PATH
#define EMBED       "\"model.embed_tokens.weight\":"
#define NAMES(name) INDEX, EMBED "\"" SHARD_1 "\"", EMBED name, 0, NULL
#define AS_IS       INDEX, NULL, NULL, 0
#define NAME_255                                                                                   \
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaa"                                                                                        \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaa"                                                                                      \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.safetensors\""

const struct malformed malformed_index[] = {
    {"44 no weight_map", F, "weight_map is missing", INDEX, "\"weight_map\"", "\"map\"", 0, NULL},
    {"44 weight_map an array", F, "weight_map is an array", INDEX, "\"weight_map\":{",
     "\"weight_map\":[],\"b\":{", 0, NULL},
    {"44 not an object", F, "malformed JSON", INDEX, "{", "[", 0, NULL},
    {"44 above the limit", PP_ERR_LIMIT, "at most 100000000", AS_IS, huge_index},
    {"44 tensor listed twice", F, "occurs twice", INDEX, EMBED "\"" SHARD_1 "\"",
     EMBED "\"" SHARD_1 "\"," EMBED "\"" SHARD_1 "\"", 0, NULL},
    {"44 shard a number", F, "weight_map \"model.embed_tokens.weight\" is 1", NAMES("1")},
    {"44 needed tensor not listed", F, "has no tensor \"model.embed_tokens.weight\"", INDEX, EMBED,
     "\"model.embed\":", 0, NULL},
    {"45 parent directory", P, "\"../x.safetensors\"", NAMES("\"../x.safetensors\"")},
    {"46 absolute name", P, "\"/etc/passwd\"", NAMES("\"/etc/passwd\"")},
    {"46 absolute name with suffix", P, "\"/etc/x.safetensors\"", NAMES("\"/etc/x.safetensors\"")},
    {"47 parent in the middle", P, "a/../../b", NAMES("\"a/../../b.safetensors\"")},
    {"47 subdirectory", P, "a/b.safetensors", NAMES("\"a/b.safetensors\"")},
    {"48 NUL in a shard name", P, "plain file name", NAMES("\"a.safetensors\\u0000.safetensors\"")},
    {"48 NUL before the suffix", P, "plain file name", NAMES("\"a\\u0000.safetensors\"")},
    {"48 backslash", P, "a\\b.safetensors", NAMES("\"a\\\\b.safetensors\"")},
    {"48 newline", P, "a\\x0ab.safetensors", NAMES("\"a\\nb.safetensors\"")},
    {"48 not ASCII", P, "plain file name", NAMES("\"ä.safetensors\"")},
    {"48 space", P, "plain file name", NAMES("\"a b.safetensors\"")},
    {"48 empty name", P, "plain file name", NAMES("\"\"")},
    {"48 hidden file", P, "plain file name", NAMES("\".x.safetensors\"")},
    {"48 suffix alone", P, "plain file name", NAMES("\".safetensors\"")},
    {"48 other suffix", P, "plain file name", NAMES("\"x.bin\"")},
    {"48 name of 256 bytes", P, "plain file name", NAMES(NAME_255)},
    {"49 link to an absolute path", P, "is a link to /etc/passwd", AS_IS, link_outside},
    {"49 link upward", P, "is a link to /etc/passwd", AS_IS, link_upward},
    {"49 link through a parent", P, "is a link to /etc/passwd", AS_IS, link_through_parent},
    {"49 link to a directory with the same beginning", P, "is a link to", AS_IS, link_to_sibling},
    {"49 the index is a link", P, "is a link to /etc/passwd", AS_IS, index_links_outside},
    {"49 config.json is a link", P, "is a link to /etc/passwd", AS_IS, config_links_outside},
    {"50 needed tensor in no shard", F,
     "weight_map says that the shard " SHARD_1 " has tensor \"model.layers.0.mlp.up_proj.weight\"",
     AS_IS, without_up},
    {"50 needed tensor in another shard", F, "but weight_map says " SHARD_2,
     NAMES("\"" SHARD_2 "\"")},
    {"51 tensor in two shards", F, "is in the shard " SHARD_1 ", but weight_map says " SHARD_2,
     AS_IS, tensor_in_two_shards},
    {"52 shard is missing", PP_ERR_IO, "No such file", AS_IS, remove_shard},
    {"53 100,001 shards", PP_ERR_LIMIT, "100001 shards; at most 4096", AS_IS, many_shards},
    {"52 no weights at all", PP_ERR_IO, "has neither model.safetensors nor", AS_IS, no_weights},
};
const size_t n_malformed_index = sizeof malformed_index / sizeof malformed_index[0];
