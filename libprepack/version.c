/* version.c: which version runs. */
#include <prepack/version.h>

const char *pp_version(void)
{
    return PP_VERSION_STRING;
}
