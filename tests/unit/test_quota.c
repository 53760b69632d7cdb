/*
 * test_quota.c: what made-up control groups leave a process, from trees of files in a temporary
 * folder.
 */
#define _GNU_SOURCE
#include "internal.h"
#include "support/tap.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void make_root(void)
{
    strcpy(root, "/tmp/prepack-quota-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static int drop(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_root(void)
{
    nftw(root, drop, 8, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file below the root and the folders above it. */
static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static const char *const v1_line = "4:cpu,cpuacct:/docker/77\n";
#define CPU         "/sys/fs/cgroup/cpu,cpuacct"
#define MAX_OF(dir) "/sys/fs/cgroup" dir "/cpu.max"

START_TEST(nothing_to_read_limits_nothing)
{
    ck_assert_int_eq(ppi_quota_processors(root), 0);
    put("/proc/self/cgroup", "0::/a/b\n");
    ck_assert_int_eq(ppi_quota_processors(root), 0);
    ck_assert_int_eq(ppi_quota_processors("/nowhere"), 0);
}
END_TEST

START_TEST(version_2_rounds_up)
{
    static const struct {
        const char *text;
        int32_t n;
    } cases[] = {{"max 100000\n", 0},
                 {"100000 100000\n", 1},
                 {"100001 100000\n", 2},
                 {"250000 100000\n", 3},
                 {"1000 100000\n", 1},
                 {"50000 10000", 5},
                 {"0 100000\n", 0},
                 {"-5 100000\n", 0},
                 {"100000 0\n", 0},
                 {"100000\n", 0},
                 {"", 0},
                 {"9000000000000000000 1\n", 0},
                 {"many\n", 0}};
    put("/proc/self/cgroup", "0::/a/b\n");
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        put(MAX_OF("/a/b"), cases[i].text);
        ck_assert_msg(ppi_quota_processors(root) == cases[i].n, "\"%s\" gives %d", cases[i].text,
                      ppi_quota_processors(root));
    }
}
END_TEST

START_TEST(the_least_on_the_way_up_counts)
{
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put(MAX_OF("/a/b/c"), "800000 100000\n");
    put(MAX_OF("/a/b"), "max 100000\n");
    ck_assert_int_eq(ppi_quota_processors(root), 8);
    put(MAX_OF("/a"), "300000 100000\n");
    ck_assert_int_eq(ppi_quota_processors(root), 3);
    put(MAX_OF("/other"), "100000 100000\n"); /* nobody's ancestor */
    ck_assert_int_eq(ppi_quota_processors(root), 3);
    put(MAX_OF(""), "200000 100000\n"); /* a container sees its own group here */
    ck_assert_int_eq(ppi_quota_processors(root), 2);
}
END_TEST

START_TEST(a_group_that_is_not_mounted_here)
{
    put("/proc/self/cgroup", "0::/../outside\n");
    put(MAX_OF(""), "150000 100000\n");
    ck_assert_int_eq(ppi_quota_processors(root), 2);
}
END_TEST

START_TEST(version_1)
{
    put("/proc/self/cgroup", v1_line);
    put(CPU "/docker/77/cpu.cfs_quota_us", "-1\n");
    put(CPU "/docker/77/cpu.cfs_period_us", "100000\n");
    ck_assert_int_eq(ppi_quota_processors(root), 0);
    put(CPU "/docker/77/cpu.cfs_quota_us", "350000\n");
    ck_assert_int_eq(ppi_quota_processors(root), 4);
    put(CPU "/cpu.cfs_quota_us", "50000\n");
    ck_assert_int_eq(ppi_quota_processors(root), 4); /* without its period it says nothing */
    put(CPU "/cpu.cfs_period_us", "25000\n");
    ck_assert_int_eq(ppi_quota_processors(root), 2);
}
END_TEST

START_TEST(both_versions_at_once)
{
    put("/proc/self/cgroup",
        "9:name=systemd:/x\n3:cpuset:/s\n2:cpuacct:/s\n1:memory,cpu:/m\n0::/u\n");
    put("/sys/fs/cgroup/cpu/m/cpu.cfs_quota_us", "700000\n");
    put("/sys/fs/cgroup/cpu/m/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu/s/cpu.cfs_quota_us", "100000\n"); /* of groups of other controllers */
    put("/sys/fs/cgroup/cpu/s/cpu.cfs_period_us", "100000\n");
    ck_assert_int_eq(ppi_quota_processors(root), 7);
    put("/sys/fs/cgroup/unified/u/cpu.max", "600000 100000\n");
    ck_assert_int_eq(ppi_quota_processors(root), 6);
}
END_TEST

START_TEST(lines_that_are_none)
{
    put("/proc/self/cgroup", "\n0\n0:\n:\n::\ncpu\n1:cpu\n1:cpu:\n0::/a");
    put(MAX_OF("/a"), "500000 100000\n");
    ck_assert_int_eq(ppi_quota_processors(root), 5);
}
END_TEST

START_TEST(a_very_long_group)
{
    static char line[20000];
    strcpy(line, "0::");
    memset(line + 3, '/', sizeof line - 5);
    strcat(line, "\n");
    put("/proc/self/cgroup", line);
    put(MAX_OF(""), "100000 100000\n");
    ck_assert_int_eq(ppi_quota_processors(root), 0); /* no such path can be opened */
}
END_TEST

START_TEST(this_machine)
{
    int32_t n = ppi_usable_threads(), quota = ppi_quota_processors("");
    ck_assert_int_ge(n, 1);
    ck_assert_int_le(n, ppi_count_processors());
    ck_assert(quota == 0 || n <= quota);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota");
    TCase *tcase = tcase_create("quota");
    tcase_add_checked_fixture(tcase, make_root, remove_root);
    tcase_add_test(tcase, nothing_to_read_limits_nothing);
    tcase_add_test(tcase, version_2_rounds_up);
    tcase_add_test(tcase, the_least_on_the_way_up_counts);
    tcase_add_test(tcase, a_group_that_is_not_mounted_here);
    tcase_add_test(tcase, version_1);
    tcase_add_test(tcase, both_versions_at_once);
    tcase_add_test(tcase, lines_that_are_none);
    tcase_add_test(tcase, a_very_long_group);
    tcase_add_test(tcase, this_machine);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
