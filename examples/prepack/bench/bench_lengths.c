/* bench_lengths.c: reads --lengths and draws from it. */
#include "bench_lengths.h"
#include "dataset.h"
#include "files.h"
#include "random.h"
#include "say.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1 << 20, USUAL_MEAN = 200, TAIL_MEANS = 64 };

static const struct {
    const char *name;
    enum lengths_kind kind;
} names[] = {{"constant", LENGTHS_RANGE},
             {"uniform", LENGTHS_UNIFORM},
             {"longtail", LENGTHS_LONGTAIL},
             {"bimodal", LENGTHS_BIMODAL}};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A number from 1 to LONGEST at *text, which moves behind it. */
static bool read_number(const char **text, int64_t *number)
{
    char *end;
    if (!is_digit(**text))
        return false;
    const long long value = strtoll(*text, &end, 10);
    *text = end;
    *number = value;
    return value >= 1 && value <= LONGEST;
}

/* "200" or "100-500". */
static bool read_range(const char *text, struct lengths *out)
{
    out->kind = LENGTHS_RANGE;
    if (!read_number(&text, &out->low))
        return false;
    out->high = out->low;
    if (*text == '-') {
        text++;
        if (!read_number(&text, &out->high))
            return false;
    }
    return *text == '\0' && out->high >= out->low;
}

/* "uniform" or "uniform:300". */
static bool read_name(const char *text, struct lengths *out)
{
    const size_t n = strcspn(text, ":");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i].name) != n || strncmp(text, names[i].name, n) != 0)
            continue;
        out->kind = names[i].kind;
        out->low = out->high = USUAL_MEAN;
        if (text[n] == '\0')
            return true;
        const char *rest = text + n + 1;
        const bool good = read_number(&rest, &out->low) && *rest == '\0';
        out->high = out->low;
        return good;
    }
    return false;
}

static int read_lengths_file(const char *path, struct lengths *out)
{
    struct dataset set = {0};
    const struct data_options options = {.format = FORMAT_LENGTHS};
    int status = dataset_read(path, &options, &set);
    if (!status && set.n == 0)
        status = fail("%s holds no lengths", path);
    out->kind = LENGTHS_FILE;
    out->lines = set.lengths;
    out->n_lines = set.n;
    set.lengths = NULL;
    dataset_free(&set);
    for (size_t i = 0; i < out->n_lines; i++) {
        if (!status && out->lines[i] > LONGEST)
            status = fail("%s has a length of %" PRId64 "; at most %d are taken", path,
                          out->lines[i], LONGEST);
        if (i == 0 || out->low > out->lines[i])
            out->low = out->lines[i];
        if (out->high < out->lines[i])
            out->high = out->lines[i];
    }
    return status;
}

static int read_item(const char *text, struct lengths *out)
{
    if (is_digit(*text) ? read_range(text, out) : read_name(text, out))
        return STATUS_OK;
    if (!is_digit(*text) && file_exists(text))
        return read_lengths_file(text, out);
    return fail_usage(
        "--lengths has '%s', but takes, with commas, tokens of a prompt from 1 to %d, "
        "ranges such as 100-500, constant, uniform, longtail and bimodal, each with "
        "or without :TOKENS, and files of one length a line",
        text, LONGEST);
}

static int add_item(struct lengths_list *list, char *text)
{
    if (!text)
        return fail_memory();
    list->items[list->n++] = (struct lengths){.text = text};
    return STATUS_OK;
}

int lengths_parse(const char *text, struct lengths_list *list)
{
    lengths_free(list);
    for (;; text++) {
        const size_t n = strcspn(text, ",");
        if (list->n == MAX_LENGTHS)
            return fail_usage("--lengths has more than %d items", MAX_LENGTHS);
        int status = add_item(list, strndup(text, n));
        if (!status)
            status = read_item(list->items[list->n - 1].text, &list->items[list->n - 1]);
        text += n;
        if (status || *text == '\0')
            return status;
    }
}

void lengths_free(struct lengths_list *list)
{
    for (int i = 0; i < list->n; i++) {
        free(list->items[i].text);
        free(list->items[i].lines);
    }
    list->n = 0;
}

int lengths_add_range(struct lengths_list *list, int64_t low, int64_t high)
{
    char text[64];
    snprintf(text, sizeof text, low == high ? "%" PRId64 : "%" PRId64 "-%" PRId64, low, high);
    const int status = add_item(list, strdup(text));
    if (status)
        return status;
    struct lengths *added = &list->items[list->n - 1];
    added->kind = LENGTHS_RANGE;
    added->low = low;
    added->high = high;
    return STATUS_OK;
}

int64_t lengths_longest(const struct lengths *lengths)
{
    switch (lengths->kind) {
    case LENGTHS_UNIFORM:
        return 2 * lengths->low - 1;
    case LENGTHS_LONGTAIL:
        return 1;
    case LENGTHS_BIMODAL:
        return lengths->low * 11 / 2;
    default:
        return lengths->high;
    }
}

static int64_t at_most(int64_t length, int64_t most)
{
    return length < most ? length : most;
}

/* Without a product whose rounding a compiler may change: the same on every machine. */
static int64_t draw_tail(double mean, struct rng *rng)
{
    const double length = mean / sqrt(1 - rng_unit(rng)) - mean;
    return length < 1 ? 1 : (int64_t)(length + 0.5);
}

static int64_t draw_one(const struct lengths *lengths, int64_t longest, size_t i, struct rng *rng)
{
    const int64_t mean = lengths->low;
    switch (lengths->kind) {
    case LENGTHS_UNIFORM:
        return 1 + (int64_t)rng_below(rng, (uint64_t)(2 * mean - 1));
    case LENGTHS_LONGTAIL:
        return at_most(at_most(draw_tail((double)mean, rng), TAIL_MEANS * mean), longest);
    case LENGTHS_BIMODAL:
        return rng_below(rng, 10) == 0 ? lengths_longest(lengths) : (mean + 1) / 2;
    case LENGTHS_FILE:
        return lengths->lines[i % lengths->n_lines];
    default:
        return mean + (int64_t)rng_below(rng, (uint64_t)(lengths->high - mean + 1));
    }
}

size_t lengths_draw(const struct lengths *lengths, uint64_t seed, int64_t longest, size_t n,
                    int64_t n_tokens, int64_t *out)
{
    const int64_t least = lengths->kind == LENGTHS_RANGE ? lengths->low : 1;
    struct rng rng;
    size_t count = 0;
    rng_start(&rng, seed, 0);
    while (count < n && n_tokens > 0) {
        int64_t length = draw_one(lengths, longest, count, &rng);
        if (length > n_tokens) {
            if (n_tokens < least && count > 0)
                break;
            length = n_tokens < least ? least : n_tokens;
        }
        out[count++] = length;
        n_tokens -= length;
    }
    return count;
}
