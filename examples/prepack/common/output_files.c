/* output_files.c: the text of a command and the file of --json. */
#include "output_files.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct option_rule json_rules[] = {
    {.name = "json",
     .argument = "FILE",
     .kind = &option_file,
     .help = "write the figures as JSON too; '-': to standard output, and the rest to standard "
             "error"},
    {.name = NULL},
};

int outputs_open(const char *json_path, struct outputs *outputs)
{
    *outputs = (struct outputs){.text = stdout};
    if (!json_path)
        return STATUS_OK;
    outputs->json_path = json_path;
    if (strcmp(json_path, "-") == 0) {
        outputs->text = stderr;
        outputs->json = stdout;
        return STATUS_OK;
    }
    const int file = open(json_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    outputs->json = file < 0 ? NULL : fdopen(file, "w");
    if (outputs->json)
        return STATUS_OK;
    const int number = errno;
    if (file >= 0)
        close(file);
    return fail("%s could not be opened for writing: %s", json_path, strerror(number));
}

/* What an older file held is dropped only now that there is something new. */
static bool empty_file(FILE *file)
{
    struct stat info;
    if (fstat(fileno(file), &info) != 0)
        return false;
    return !S_ISREG(info.st_mode) || file == stdout || ftruncate(fileno(file), 0) == 0;
}

static int fail_written(const struct outputs *outputs)
{
    const int number = errno;
    return fail("%s could not be written: %s",
                outputs->json == stdout ? "standard output" : outputs->json_path,
                number ? strerror(number) : "the device took no more");
}

int outputs_write_json(struct outputs *outputs, json_t *json)
{
    int status = STATUS_OK;
    if (outputs->json && !json)
        status = fail_memory();
    else if (outputs->json &&
             (!empty_file(outputs->json) ||
              json_dumpf(json, outputs->json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0 ||
              fputc('\n', outputs->json) == EOF || fflush(outputs->json) != 0))
        status = fail_written(outputs);
    json_decref(json);
    return status;
}

int outputs_write_text(struct outputs *outputs, const char *text)
{
    if (outputs->json && (!empty_file(outputs->json) || fputs(text, outputs->json) == EOF ||
                          fflush(outputs->json) != 0))
        return fail_written(outputs);
    return STATUS_OK;
}

void outputs_close(struct outputs *outputs)
{
    if (outputs->json && outputs->json != stdout)
        fclose(outputs->json);
    *outputs = (struct outputs){0};
}
