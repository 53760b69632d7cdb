/* files.c: reading whole files and finding the program's data. */
#include "files.h"
#include "say.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a clone without Git LFS has in place of a large file begins like this. */
static const char lfs_pointer[] = "version https://git-lfs.github.com/spec/";

/* Reads until the end or until more than max_bytes are there. */
static int read_stream(FILE *file, const char *path, size_t max_bytes, char **bytes,
                       size_t *n_bytes)
{
    size_t room = 65536, n = 0;
    char *buffer = malloc(room);
    if (!buffer)
        return fail_memory();
    for (;;) {
        n += fread(buffer + n, 1, room - 1 - n, file);
        if (ferror(file)) {
            const int number = errno;
            free(buffer);
            return fail("%s could not be read: %s", path, strerror(number));
        }
        if (n > max_bytes) {
            free(buffer);
            return fail("%s has more than the %zu bytes allowed", path, max_bytes);
        }
        if (n < room - 1)
            break;
        char *larger = room <= SIZE_MAX / 2 ? realloc(buffer, room * 2) : NULL;
        if (!larger) {
            free(buffer);
            return fail_memory();
        }
        buffer = larger;
        room *= 2;
    }
    buffer[n] = '\0';
    if (strncmp(buffer, lfs_pointer, sizeof lfs_pointer - 1) == 0) {
        free(buffer);
        return fail("%s is not the file but a Git LFS pointer to it; 'git lfs pull' in its folder "
                    "fetches the file",
                    path);
    }
    *bytes = buffer;
    *n_bytes = n;
    return STATUS_OK;
}

int read_file(const char *path, size_t max_bytes, char **bytes, size_t *n_bytes)
{
    if (strcmp(path, "-") == 0)
        return read_stream(stdin, "standard input", max_bytes, bytes, n_bytes);
    struct stat info;
    if (stat(path, &info) != 0)
        return fail("%s could not be opened: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return fail("%s is a directory, not a file", path);
    FILE *file = fopen(path, "rb");
    if (!file)
        return fail("%s could not be opened: %s", path, strerror(errno));
    const int status = read_stream(file, path, max_bytes, bytes, n_bytes);
    fclose(file);
    return status;
}

char *join_path(const char *dir, const char *name)
{
    const size_t n_dir = strlen(dir), n_name = strlen(name);
    char *path = malloc(n_dir + n_name + 2);
    if (!path)
        return NULL;
    memcpy(path, dir, n_dir);
    path[n_dir] = '/';
    memcpy(path + n_dir + 1, name, n_name + 1);
    return path;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* The folder of the installed data, relative to the folder of the running program. */
static char *installed_data(void)
{
    if (PREPACK_DATA_FROM_BIN[0] == '/')
        return strdup(PREPACK_DATA_FROM_BIN);
    char program[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0)
        return NULL;
    program[n] = '\0';
    char *slash = strrchr(program, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    return join_path(program, PREPACK_DATA_FROM_BIN);
}

/* Sets *path to dir/name if that exists. 1: found, 0: not there, -1: no memory. */
static int try_folder(const char *dir, const char *name, char **path)
{
    char *full = join_path(dir, name);
    if (!full)
        return -1;
    if (file_exists(full)) {
        *path = full;
        return 1;
    }
    free(full);
    return 0;
}

int find_data(const char *name, char **path)
{
    const char *chosen = getenv("PREPACK_DATA");
    if (chosen && *chosen) {
        const int found = try_folder(chosen, name, path);
        if (found == 0)
            return fail("%s/%s is not there (PREPACK_DATA says to look in %s)", chosen, name,
                        chosen);
        return found > 0 ? STATUS_OK : fail_memory();
    }
    char *installed = installed_data();
    const char *folders[] = {installed, PREPACK_SOURCE_DIR "/examples/data",
                             PREPACK_SOURCE_DIR "/examples"};
    int found = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && found == 0; i++)
        if (folders[i])
            found = try_folder(folders[i], name, path);
    free(installed);
    if (found < 0)
        return fail_memory();
    if (found == 0)
        return fail("the program's data file %s was not found; set PREPACK_DATA to the folder "
                    "that holds it",
                    name);
    return STATUS_OK;
}

bool is_text(const char *bytes, size_t n)
{
    const unsigned char *s = (const unsigned char *)bytes;
    for (size_t i = 0; i < n;) {
        const unsigned c = s[i];
        size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : 3;
        if (c == 0 || (c >= 0x80 && c < 0xc2) || c > 0xf4 || more >= n - i)
            return false;
        for (size_t k = 1; k <= more; k++)
            if ((s[i + k] & 0xc0) != 0x80)
                return false;
        /* Overlong forms, surrogates and code points above U+10FFFF. */
        if ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] > 0x9f) ||
            (c == 0xf0 && s[i + 1] < 0x90) || (c == 0xf4 && s[i + 1] > 0x8f))
            return false;
        i += more + 1;
    }
    return true;
}
