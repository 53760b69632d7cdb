/* packer_options.c: the table of the options of packing, and a packer made from them. */
#include "packer_options.h"
#include "say.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int read_sharing(const struct option_rule *rule, const char *value, void *place)
{
    int64_t *tokens = place;
    *tokens = value ? strtoll(value, NULL, 10) : SHARED_TOKENS;
    if (value && (strlen(value) > 9 || value[strspn(value, "0123456789")] != '\0' || !*value))
        return fail_usage("--%s is '%s', but must be a whole number from 0 to 999999999",
                          rule->name, value);
    return STATUS_OK;
}

static void show_sharing(const struct option_rule *rule, const void *place, char *out,
                         size_t out_bytes)
{
    (void)rule;
    snprintf(out, out_bytes, "%" PRId64, *(const int64_t *)place);
}

const struct option_kind option_sharing = {
    .has_value = true, .may_lack_value = true, .read = read_sharing, .show = show_sharing};

static const struct choice policies[] = {FEWEST_POLICIES, {NULL, 0, NULL}};

#define AT(member) offsetof(struct packer_options, member)

const struct option_rule packer_rules[] = {
    {.name = "policy",
     .argument = "P",
     .kind = &option_choice,
     .place = AT(policy),
     .choices = policies,
     .help = "how the bins are found"},
    {.name = "capacity",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(capacity),
     .low = 1,
     .high = INT32_MAX,
     .help = "tokens of a bin (default: the longest prompt of what is packed)"},
    SHARING_RULE(AT(share_prefixes)),
    {.name = NULL},
};

const char *packer_policy_name(int64_t policy)
{
    return choice_name(policies, policy);
}

int packer_open(const struct packer_options *options, pp_packer **packer)
{
    pp_error err = {.struct_size = sizeof err};
    pp_packer_params params;
    const pp_fewest_params fewest = {.struct_size = sizeof fewest,
                                     .policy = (int32_t)options->policy,
                                     .min_shared_prefix = options->share_prefixes};
    pp_packer_params_init(&params, sizeof params);
    params.fewest = &fewest;
    params.capacity = options->capacity;
    return pp_packer_create(&params, packer, &err) < 0 ? fail_library(&err) : STATUS_OK;
}

pp_status packer_plan(const pp_packer *packer, const pp_prompt *prompts, const int64_t *lengths,
                      size_t n, pp_plan **plan, pp_error *err)
{
    const pp_plan_input input = {
        .struct_size = sizeof input, .n = (int64_t)n, .lengths = lengths, .prompts = prompts};
    return pp_packer_plan_input(packer, &input, plan, err);
}
