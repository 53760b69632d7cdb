/* packers.c: two packers, with one difference. */
#include "packers.h"
#include "say.h"

int64_t method_shares(const struct profile_options *options, enum method method)
{
    const int64_t given = options->packing.share_prefixes;
    if (method == METHOD_SHARED)
        return given > 0 ? given : SHARED_TOKENS;
    return method == METHOD_PREPACKING || method == METHOD_DATASET ? given : 0;
}

bool methods_share(const struct profile_options *options)
{
    for (int i = 0; i < options->methods.n; i++)
        if (method_shares(options, (enum method)options->methods.items[i]) > 0)
            return true;
    return false;
}

static bool is_run(const struct profile_options *options, enum method method)
{
    for (int i = 0; i < options->methods.n; i++)
        if (options->methods.items[i] == (int)method)
            return true;
    return false;
}

int packers_open(const struct profile_options *options, struct packers *packers)
{
    struct packer_options sharing = options->packing;
    sharing.share_prefixes = method_shares(options, METHOD_SHARED);
    const int status = packer_open(&options->packing, &packers->usual);
    return status || !is_run(options, METHOD_SHARED) ? status
                                                     : packer_open(&sharing, &packers->sharing);
}

void packers_close(struct packers *packers)
{
    pp_packer_destroy(packers->usual);
    pp_packer_destroy(packers->sharing);
    *packers = (struct packers){0};
}

const pp_packer *packers_of(const struct packers *packers, enum method method)
{
    return method == METHOD_SHARED ? packers->sharing : packers->usual;
}
