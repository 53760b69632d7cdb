/*
 * emu_places.cpp: where kernels call primitives, and kernels with one such call left out.
 *
 * A test that passes on a kernel without one of its barriers or waits does not see races. So the
 * emulator can list the calls that a run reached, and leave out all calls from one place.
 */
#include "emu_block.h"

#include <stdio.h>
#include <stdlib.h>

namespace hw {
namespace emu {

constexpr int MAX_PLACES = 1024;
constexpr size_t MAX_NAME = 160;

bool places_matter;
static bool watching, started;
static char skipped[MAX_NAME];
static struct {
    place at;
    const char *primitive;
    char name[MAX_NAME];
} seen[MAX_PLACES];
static int n_seen;

const char *base_name(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

static int find(const char *primitive, place at)
{
    int i = 0;
    while (i < n_seen && (seen[i].at.line != at.line || strcmp(seen[i].primitive, primitive) != 0 ||
                          strcmp(seen[i].at.file, at.file) != 0))
        i++;
    if (i == n_seen && n_seen < MAX_PLACES) {
        seen[n_seen].at = at;
        seen[n_seen].primitive = primitive;
        snprintf(seen[n_seen].name, MAX_NAME, "%s:%d %s", base_name(at.file), at.line, primitive);
        n_seen++;
    }
    return i;
}

bool visit_place(const char *primitive, place at)
{
    int i = find(primitive, at);
    return i == MAX_PLACES || strcmp(seen[i].name, skipped) != 0;
}

static void print_places()
{
    for (int i = 0; i < n_seen; i++)
        fprintf(stderr, "place: %s\n", seen[i].name);
}

static void decide()
{
    places_matter = watching || skipped[0];
}

void places_begin()
{
    const char *skip = getenv("PREPACK_EMU_SKIP");
    if (started)
        return;
    started = true;
    if (getenv("PREPACK_EMU_PLACES")) {
        watching = true;
        atexit(print_places);
    }
    if (skip)
        snprintf(skipped, sizeof skipped, "%s", skip);
    decide();
}

} // namespace emu
} // namespace hw

extern "C" void emu_watch_places(int on)
{
    hw::emu::watching = on != 0;
    if (on)
        hw::emu::n_seen = 0;
    hw::emu::decide();
}

extern "C" const char *emu_place(int i)
{
    return i >= 0 && i < hw::emu::n_seen ? hw::emu::seen[i].name : NULL;
}

extern "C" void emu_skip(const char *place)
{
    snprintf(hw::emu::skipped, sizeof hw::emu::skipped, "%s", place ? place : "");
    hw::emu::decide();
}
