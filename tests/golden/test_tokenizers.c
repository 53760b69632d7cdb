/*
 * test_tokenizers.c: the committed tokenizers give what the library `tokenizers` gives: ids,
 * offsets, text again; at once, token by token, and with several threads. make_tokenizers.py says
 * how the cases are written.
 */
#include "golden_list.h"

#include <dirent.h>
#include <jansson.h>
#include <prepack/tokenizer.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENDING      ".cases.json"
#define MAX_KINDS   128
#define MAX_CASES   128
#define MAX_TOKENS  4096
#define MAX_DECODED 65536

/* A tokenizer with its cases, and what the first difference is. */
struct kind {
    const char *name;
    pp_tokenizer *tokenizer;
    json_t *cases;
    size_t n;
    int64_t n_before, n_after; /* tokens around those of a text */
    pp_text texts[MAX_CASES];
    char difference[512];
};

#define DIFFER(kind, i, ...)                                                                       \
    do {                                                                                           \
        int n_ =                                                                                   \
            snprintf((kind)->difference, sizeof(kind)->difference, "text %zu: ", (size_t)(i));     \
        snprintf((kind)->difference + n_, sizeof(kind)->difference - (size_t)n_, __VA_ARGS__);     \
        return false;                                                                              \
    } while (0)

static json_t *part(const struct kind *kind, size_t i, size_t k)
{
    return json_array_get(json_array_get(kind->cases, i), k);
}

/* ---- ids and offsets ---- */

static bool same_ids(struct kind *kind, size_t i, json_t *expected, size_t first, size_t n,
                     const pp_encoded *encoded)
{
    if ((size_t)encoded->n != n)
        DIFFER(kind, i, "%lld tokens, not %zu", (long long)encoded->n, n);
    for (size_t k = 0; k < n; k++) {
        const json_int_t id = json_integer_value(json_array_get(expected, first + k));
        if (encoded->ids[k] != id)
            DIFFER(kind, i, "token %zu is %d, not %lld", k, encoded->ids[k], (long long)id);
    }
    return true;
}

/* The offsets of a text; see make_tokenizers.py. */
static pp_text_range next_range(json_t *value, pp_text_range last)
{
    if (json_is_array(value))
        return (pp_text_range){json_integer_value(json_array_get(value, 0)),
                               json_integer_value(json_array_get(value, 1))};
    if (json_integer_value(value) == 0)
        return last;
    return (pp_text_range){last.end, last.end + json_integer_value(value)};
}

static bool same_offsets(struct kind *kind, size_t i, int64_t n_before, const pp_encoded *encoded)
{
    pp_text_range expected = {0, 0};
    json_t *value;
    size_t k;
    json_array_foreach(part(kind, i, 2), k, value)
    {
        const pp_text_range range = encoded->offsets[(size_t)n_before + k];
        expected = next_range(value, expected);
        if (range.begin != expected.begin || range.end != expected.end)
            DIFFER(kind, i, "token %zu is of bytes [%lld, %lld), not [%lld, %lld)", k,
                   (long long)range.begin, (long long)range.end, (long long)expected.begin,
                   (long long)expected.end);
    }
    for (int64_t k2 = 0; k2 < encoded->n; k2++)
        if ((k2 < n_before || k2 >= n_before + (int64_t)k) &&
            (encoded->offsets[k2].begin != 0 || encoded->offsets[k2].end != 0))
            DIFFER(kind, i, "the token %lld around the text has offsets", (long long)k2);
    return true;
}

static bool check_encoding(struct kind *kind, const pp_encode_params *params,
                           const pp_encoding *encoding)
{
    for (size_t i = 0; i < kind->n; i++) {
        json_t *ids = part(kind, i, 1);
        const size_t n_edges = (size_t)(kind->n_before + kind->n_after);
        const size_t first = params->no_edges ? (size_t)kind->n_before : 0;
        const size_t n = json_array_size(ids) - (params->no_edges ? n_edges : 0);
        pp_encoded encoded = {.struct_size = sizeof encoded};
        if (pp_encoding_get(encoding, (int64_t)i, &encoded, NULL) < 0)
            DIFFER(kind, i, "is not in the encoding");
        if (!same_ids(kind, i, ids, first, n, &encoded))
            return false;
        if (!params->offsets != !encoded.offsets)
            DIFFER(kind, i, "offsets are there or not against the wish");
        if (params->offsets &&
            !same_offsets(kind, i, params->no_edges ? 0 : kind->n_before, &encoded))
            return false;
    }
    return true;
}

/* All texts in one call. */
static bool check_encode(struct kind *kind, int32_t no_edges, int32_t offsets, int32_t n_threads)
{
    pp_error err = {.struct_size = sizeof err};
    pp_encoding *encoding;
    pp_encode_params params;
    pp_encode_params_init(&params, sizeof params);
    params.no_edges = no_edges;
    params.offsets = offsets;
    params.n_threads = n_threads;
    if (pp_tokenizer_encode(kind->tokenizer, kind->texts, (int64_t)kind->n, &params, &encoding,
                            &err) < 0)
        DIFFER(kind, err.index, "%s", err.message);
    const bool same = check_encoding(kind, &params, encoding);
    pp_encoding_destroy(encoding);
    return same;
}

/* ---- text again ---- */

static bool same_text(struct kind *kind, size_t i, const char *what, const char *text, size_t n,
                      json_t *expected)
{
    if (n != json_string_length(expected) || memcmp(text, json_string_value(expected), n) != 0)
        DIFFER(kind, i, "%s gives \"%.*s\", not \"%s\"", what, (int)n, text,
               json_string_value(expected));
    return true;
}

/* The pieces of a stream, one behind the other. */
static bool stream(struct kind *kind, const int32_t *ids, int64_t n, const pp_decode_params *params,
                   char *text, size_t *n_bytes)
{
    pp_text_stream *stream;
    pp_text piece;
    *n_bytes = 0;
    if (pp_text_stream_create(kind->tokenizer, params, &stream, NULL) < 0)
        return false;
    bool fine = true;
    for (int64_t k = 0; fine && k <= n; k++) {
        const pp_status status = k < n ? pp_text_stream_push(stream, ids[k], &piece, NULL)
                                       : pp_text_stream_finish(stream, &piece, NULL);
        fine = status >= 0 && *n_bytes + piece.n_bytes < MAX_DECODED;
        if (fine && piece.n_bytes)
            memcpy(text + *n_bytes, piece.bytes, piece.n_bytes);
        *n_bytes += fine ? piece.n_bytes : 0;
    }
    pp_text_stream_destroy(stream);
    return fine;
}

static bool check_decode(struct kind *kind, size_t i, int32_t keep_special, json_t *expected)
{
    static char text[MAX_DECODED];
    static int32_t ids[MAX_TOKENS];
    json_t *list = part(kind, i, 1);
    const size_t n = json_array_size(list);
    pp_error err = {.struct_size = sizeof err};
    pp_decode_params params;
    size_t n_bytes;
    pp_decode_params_init(&params, sizeof params);
    params.keep_special = keep_special;
    for (size_t k = 0; k < n && k < MAX_TOKENS; k++)
        ids[k] = (int32_t)json_integer_value(json_array_get(list, k));
    if (pp_tokenizer_decode(kind->tokenizer, ids, (int64_t)n, &params, text, sizeof text, &n_bytes,
                            &err) < 0)
        DIFFER(kind, i, "%s", err.message);
    if (!same_text(kind, i, "decode", text, n_bytes, expected))
        return false;
    if (!stream(kind, ids, (int64_t)n, &params, text, &n_bytes))
        DIFFER(kind, i, "the stream fails");
    return same_text(kind, i, "the stream", text, n_bytes, expected);
}

static bool check_texts(struct kind *kind)
{
    for (size_t i = 0; i < kind->n; i++) {
        json_t *decoded = part(kind, i, 3), *whole = part(kind, i, 4);
        if (!check_decode(kind, i, 0, json_is_null(decoded) ? part(kind, i, 0) : decoded) ||
            (whole && !check_decode(kind, i, 1, whole)))
            return false;
    }
    return true;
}

/* ---- a kind ---- */

static bool load(struct kind *kind, json_t *root)
{
    pp_error err = {.struct_size = sizeof err};
    char name[256];
    json_t *edges = json_object_get(root, "edges");
    kind->cases = json_object_get(root, "cases");
    kind->n = json_array_size(kind->cases);
    kind->n_before = json_integer_value(json_array_get(edges, 0));
    kind->n_after = json_integer_value(json_array_get(edges, 1));
    if (kind->n < 20 || kind->n > MAX_CASES)
        DIFFER(kind, 0, "%zu cases", kind->n);
    for (size_t i = 0; i < kind->n; i++)
        kind->texts[i] =
            (pp_text){json_string_value(part(kind, i, 0)), json_string_length(part(kind, i, 0))};
    snprintf(name, sizeof name, "tokenizers/%.100s.json", kind->name);
    if (pp_tokenizer_open(golden_dir(name), NULL, &kind->tokenizer, &err) < 0)
        DIFFER(kind, 0, "%s", err.message);
    return true;
}

static bool check_kind(struct kind *kind)
{
    return check_encode(kind, 0, 1, 1) && check_encode(kind, 1, 1, 1) &&
           check_encode(kind, 0, 0, 1) && check_encode(kind, 0, 1, 3) && check_texts(kind);
}

static bool run_kind(const char *name, char *difference, size_t n)
{
    struct kind kind = {.name = name};
    char file[256];
    snprintf(file, sizeof file, "tokenizers/%.100s%s", name, ENDING);
    json_t *root = json_load_file(golden_dir(file), JSON_ALLOW_NUL, NULL);
    const bool fine = load(&kind, root) && check_kind(&kind);
    snprintf(difference, n, "%s", kind.difference);
    pp_tokenizer_destroy(kind.tokenizer);
    json_decref(root);
    return fine;
}

/* ---- all ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static size_t list_kinds(char (*names)[64])
{
    DIR *dir = opendir(golden_dir("tokenizers"));
    size_t n = 0;
    for (struct dirent *entry; dir && n < MAX_KINDS && (entry = readdir(dir));) {
        const size_t length = strlen(entry->d_name), ending = strlen(ENDING);
        if (length <= ending || length - ending >= sizeof names[n] ||
            strcmp(entry->d_name + length - ending, ENDING) != 0)
            continue;
        memcpy(names[n], entry->d_name, length - ending);
        names[n++][length - ending] = '\0';
    }
    if (dir)
        closedir(dir);
    qsort(names, n, sizeof names[0], compare_names);
    return n;
}

/* Names given as arguments, or all. */
int main(int argc, char **argv)
{
    static char names[MAX_KINDS][64];
    char difference[512];
    const size_t n = argc > 1 ? (size_t)argc - 1 : list_kinds(names);
    int n_failed = 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = argc > 1 ? argv[1 + i] : names[i];
        const bool fine = run_kind(name, difference, sizeof difference);
        n_failed += !fine;
        printf("%s %zu - %s%s%s\n", fine ? "ok" : "not ok", i + 1, name, fine ? "" : " # ",
               fine ? "" : difference);
    }
    if (n < 24 && argc == 1) {
        printf("Bail out! only %zu tokenizers in %s\n", n, golden_dir("tokenizers"));
        return EXIT_FAILURE;
    }
    printf("1..%zu\n", n);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
