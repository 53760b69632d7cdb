/* option_kinds.c: the kinds of values that several options have. */
#include "option.h"
#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int read_text(const struct option_rule *rule, const char *value, void *place)
{
    (void)rule;
    *(const char **)place = value;
    return STATUS_OK;
}

static void show_text(const struct option_rule *rule, const void *place, char *out,
                      size_t out_bytes)
{
    const char *text = *(const char *const *)place;
    (void)rule;
    if (text)
        snprintf(out, out_bytes, "%s", text);
}

static int read_integer(const struct option_rule *rule, const char *value, void *place)
{
    char *end;
    errno = 0;
    const long long number = strtoll(value, &end, 10);
    if (errno || end == value || *end || (double)number < rule->low || (double)number > rule->high)
        return fail_usage("--%s is '%s', but must be a whole number from %.0f to %.0f", rule->name,
                          value, rule->low, rule->high);
    *(int64_t *)place = number;
    return STATUS_OK;
}

/* A default that could not be given means that there is none. */
static void show_integer(const struct option_rule *rule, const void *place, char *out,
                         size_t out_bytes)
{
    const int64_t number = *(const int64_t *)place;
    if ((double)number >= rule->low && (double)number <= rule->high)
        snprintf(out, out_bytes, "%" PRId64, number);
}

static int read_real(const struct option_rule *rule, const char *value, void *place)
{
    char *end;
    const double number = strtod(value, &end);
    if (end == value || *end || !isfinite(number) || number < rule->low || number > rule->high)
        return fail_usage("--%s is '%s', but must be a number from %g to %g", rule->name, value,
                          rule->low, rule->high);
    *(double *)place = number;
    return STATUS_OK;
}

static void show_real(const struct option_rule *rule, const void *place, char *out,
                      size_t out_bytes)
{
    const double number = *(const double *)place;
    if (number >= rule->low && number <= rule->high)
        snprintf(out, out_bytes, "%g", number);
}

static const struct unit {
    const char *name;
    double bytes;
} byte_units[] = {{"", 1},         {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},    {"TB", 1e12},
                  {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};

static int read_bytes(const struct option_rule *rule, const char *value, void *place)
{
    char *end;
    const double number = strtod(value, &end);
    for (size_t i = 0; i < sizeof byte_units / sizeof *byte_units && end != value; i++) {
        const double bytes = number * byte_units[i].bytes;
        if (strcmp(end, byte_units[i].name) != 0 || !(bytes >= 1 && bytes < 0x1p62))
            continue;
        *(int64_t *)place = (int64_t)bytes;
        return STATUS_OK;
    }
    return fail_usage("--%s is '%s', but must be bytes, or a number and KB, MB, GB, TB (of 1000) "
                      "or KiB, MiB, GiB, TiB (of 1024)",
                      rule->name, value);
}

static int read_seed(const struct option_rule *rule, const char *value, void *place)
{
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(value, &end, 10);
    if (errno || *value < '0' || *value > '9' || *end)
        return fail_usage("--%s is '%s', but must be a whole number from 0 to %" PRIu64, rule->name,
                          value, UINT64_MAX);
    *(struct seed *)place = (struct seed){number, true};
    return STATUS_OK;
}

static void show_seed(const struct option_rule *rule, const void *place, char *out,
                      size_t out_bytes)
{
    (void)rule;
    snprintf(out, out_bytes, "%" PRIu64, ((const struct seed *)place)->value);
}

static int read_choice(const struct option_rule *rule, const char *value, void *place)
{
    char known[256] = "";
    for (const struct choice *c = rule->choices; c->name; c++) {
        if (strcmp(value, c->name) == 0) {
            *(int64_t *)place = c->value;
            return STATUS_OK;
        }
        const size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", c->name);
    }
    return fail_usage("--%s is '%s', but must be one of %s", rule->name, value, known);
}

/* Numbers between low and high with commas. */
static int read_numbers(const struct option_rule *rule, const char *value, void *place)
{
    struct numbers *out = place;
    const char *rest = value;
    out->n = 0;
    for (;;) {
        char *end;
        const long long number = strtoll(rest, &end, 10);
        const bool good = *rest >= '0' && *rest <= '9' && (*end == ',' || *end == '\0') &&
                          (double)number >= rule->low && (double)number <= rule->high &&
                          out->n < MAX_NUMBERS;
        if (!good)
            return fail_usage("--%s is '%s', but must be up to %d whole numbers from %.0f to %.0f "
                              "with commas",
                              rule->name, value, MAX_NUMBERS, rule->low, rule->high);
        out->items[out->n++] = number;
        if (*end == '\0')
            return STATUS_OK;
        rest = end + 1;
    }
}

static int read_flag(const struct option_rule *rule, const char *value, void *place)
{
    (void)rule;
    (void)value;
    *(bool *)place = true;
    return STATUS_OK;
}

const struct option_kind option_text = {.has_value = true, .read = read_text, .show = show_text};
const struct option_kind option_file = {
    .has_value = true, .is_file = true, .read = read_text, .show = show_text};
const struct option_kind option_folder = {
    .has_value = true, .is_folder = true, .read = read_text, .show = show_text};
const struct option_kind option_integer = {
    .has_value = true, .read = read_integer, .show = show_integer};
const struct option_kind option_real = {.has_value = true, .read = read_real, .show = show_real};
const struct option_kind option_bytes = {.has_value = true, .read = read_bytes};
const struct option_kind option_seed = {.has_value = true, .read = read_seed, .show = show_seed};
const struct option_kind option_choice = {.has_value = true, .read = read_choice};
const struct option_kind option_numbers = {.has_value = true, .read = read_numbers};
const struct option_kind option_flag = {.read = read_flag};

const char *choice_name(const struct choice *choices, int64_t value)
{
    for (const struct choice *c = choices; c->name; c++)
        if (c->value == value)
            return c->name;
    return "unknown";
}
