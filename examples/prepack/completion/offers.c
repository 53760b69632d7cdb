/* offers.c: what the options of a command offer to a shell. */
#include "offers.h"

#include <string.h>

enum offer offer_of(const struct option_rule *rule)
{
    if (!rule->kind->has_value)
        return OFFER_NO_VALUE;
    if (rule->kind->is_file)
        return OFFER_FILES;
    if (rule->kind->is_folder)
        return OFFER_FOLDERS;
    if (!offer_word(rule, 0))
        return OFFER_NOTHING;
    return rule->kind->has_commas ? OFFER_LIST : OFFER_WORDS;
}

const char *offer_word(const struct option_rule *rule, int64_t i)
{
    for (const struct choice *c = rule->choices; c && c->name; c++)
        if (i-- == 0)
            return c->name;
    for (const char *const *word = rule->words; word && *word; word++)
        if (i-- == 0)
            return *word;
    return rule->names ? rule->names(i) : NULL;
}

void offer_brief(const struct option_rule *rule, char brief[MAX_BRIEF])
{
    enum { LEAST = 12 }; /* a clause that is shorter says too little */
    static const char *const ends[] = {"; ", ". ", " (default", "\n"};
    size_t n = strlen(rule->help);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *end = n > LEAST ? strstr(rule->help + LEAST, ends[i]) : NULL;
        if (end && (size_t)(end - rule->help) < n)
            n = (size_t)(end - rule->help);
    }
    const bool cut = n > MAX_BRIEF - 1;
    if (cut) {
        n = MAX_BRIEF - 1 - strlen("...");
        while (rule->help[n] != ' ')
            n--;
        while (strchr(" ,:;", rule->help[n - 1]))
            n--;
    }
    snprintf(brief, MAX_BRIEF, "%.*s%s", (int)n, rule->help, cut ? "..." : "");
}

void offer_print_quoted(const char *text, const char *escaped, bool fish, FILE *out)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs(fish ? "\\'" : "'\\''", out);
        else
            fprintf(out, "%s%c", strchr(escaped, *text) ? "\\" : "", *text);
    }
}

void offer_print_words(const struct option_rule *rule, const char *escaped, FILE *out)
{
    const char *word;
    for (int64_t i = 0; (word = offer_word(rule, i)) != NULL; i++) {
        fputs(i ? " " : "", out);
        offer_print_quoted(word, escaped, false, out);
    }
}
