/* packer_options.c: the table of the options of packing, and a packer made from them. */
#include "packer_options.h"
#include "say.h"

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
                                     .policy = (int32_t)options->policy};
    pp_packer_params_init(&params, sizeof params);
    params.fewest = &fewest;
    params.capacity = options->capacity;
    return pp_packer_create(&params, packer, &err) < 0 ? fail_library(&err) : STATUS_OK;
}
