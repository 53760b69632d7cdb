/*
 * quota.c: how many processors' time the control groups of this process leave it. A container with
 * a quota sees every processor of its machine; threads beyond the quota would take turns.
 *
 * /proc/self/cgroup names the groups. A quota holds for all groups below, so the least on the way
 * up counts, the root of the mounted tree included: inside a container that is the container's own
 * group. Hierarchies are looked for where systems mount them. What cannot be read limits nothing.
 */
#define _GNU_SOURCE
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4096

static void take_least(int32_t *least, long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return;
    long long n = (quota - 1) / period + 1;
    if (n <= INT32_MAX && (*least == 0 || n < *least))
        *least = (int32_t)n;
}

/* The first whole numbers of a file; how many there are, at most n. */
static int read_numbers(const char *path, long long *numbers, int n)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int n_read = 0;
    while (n_read < n && fscanf(file, "%lld", &numbers[n_read]) == 1)
        n_read++;
    fclose(file);
    return n_read;
}

/* cpu.max: the quota or "max", then the period. */
static void read_v2(const char *dir, int32_t *least)
{
    char path[PATH_BYTES + 32];
    long long numbers[2];
    snprintf(path, sizeof path, "%s/cpu.max", dir);
    if (read_numbers(path, numbers, 2) == 2)
        take_least(least, numbers[0], numbers[1]);
}

/* Two files; a quota of -1 is none. */
static void read_v1(const char *dir, int32_t *least)
{
    char path[PATH_BYTES + 32];
    long long quota, period;
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
    if (read_numbers(path, &quota, 1) != 1)
        return;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    if (read_numbers(path, &period, 1) == 1)
        take_least(least, quota, period);
}

/* Reads the group and all above it, up to the mount. group: "/a/b". */
static void walk_up(const char *root, const char *mount, const char *group,
                    void (*read_group)(const char *dir, int32_t *least), int32_t *least)
{
    char dir[PATH_BYTES];
    int bytes = snprintf(dir, sizeof dir, "%s%s%s", root, mount, group);
    if (bytes < 0 || bytes >= (int)sizeof dir)
        return;
    size_t n_mount = strlen(root) + strlen(mount);
    for (char *end = dir + bytes; end; end = strrchr(dir + n_mount, '/')) {
        *end = '\0';
        read_group(dir, least);
    }
}

/* Whether a list with commas has "cpu". */
static bool has_cpu(const char *controllers)
{
    for (const char *at = controllers; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, "cpu", 3) == 0 && (at[3] == ',' || at[3] == '\0'))
            return true;
    }
    return false;
}

/* A line of /proc/self/cgroup: "id:controllers:/group"; no controllers in version 2. */
static void read_line(const char *root, char *line, int32_t *least)
{
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return;
    *controllers++ = '\0';
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (*controllers == '\0') {
        walk_up(root, "/sys/fs/cgroup", group, read_v2, least);
        walk_up(root, "/sys/fs/cgroup/unified", group, read_v2, least);
    } else if (has_cpu(controllers)) {
        walk_up(root, "/sys/fs/cgroup/cpu", group, read_v1, least);
        walk_up(root, "/sys/fs/cgroup/cpu,cpuacct", group, read_v1, least);
    }
}

int32_t ppi_quota_processors(const char *root)
{
    char path[PATH_BYTES], *line = NULL;
    int bytes = snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = bytes > 0 && bytes < (int)sizeof path ? fopen(path, "re") : NULL;
    if (!file)
        return 0;
    int32_t least = 0;
    size_t room = 0;
    while (getline(&line, &room, file) > 0)
        read_line(root, line, &least);
    free(line);
    fclose(file);
    return least;
}
