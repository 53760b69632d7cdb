/*
 * malformed.c: makes one malformed model directory and checks that it is refused as it should be.
 */
#include "malformed/malformed.h"

#include <check.h>
#include <sys/stat.h>

static void spoil_file(const char *dir, const char *name, const struct malformed *entry)
{
    size_t len;
    char *bytes = read_file(dir, name, &len);
    bytes[len] = '\0';
    char *spoiled = replaced(bytes, entry->find, entry->with);
    write_file(dir, name, spoiled, strlen(spoiled));
    free(spoiled);
    free(bytes);
}

static void spoil_header(const char *dir, const struct malformed *entry)
{
    char *header = make_header(0, TINY_N_TENSORS, 0);
    char *spoiled = replaced(header, entry->find, entry->with);
    write_safetensors(dir, SINGLE_FILE, spoiled, strlen(spoiled),
                      (size_t)(TINY_DATA_BYTES + entry->data_delta));
    free(spoiled);
    free(header);
}

void check_refused(const struct malformed *entry)
{
    struct path base = make_dir(); /* some entries put things next to the model */
    struct path dir = path_in(base.text, "model");
    ck_assert_int_eq(mkdir(dir.text, 0700), 0);
    pp_error err = {.struct_size = sizeof err};
    if (entry->target == INDEX)
        write_sharded(dir.text);
    else
        write_single(dir.text);
    if (entry->find && entry->target == HEADER)
        spoil_header(dir.text, entry);
    else if (entry->find)
        spoil_file(dir.text, entry->target == CONFIG ? "config.json" : INDEX_FILE, entry);
    if (entry->make)
        entry->make(dir.text);
    pp_status status = open_and_close(dir.text, NULL, &err);
    ck_assert_msg(status == entry->status, "%s: status %d (%s), expected %d", entry->name, status,
                  status < 0 ? err.message : "accepted", entry->status);
    ck_assert_msg(strstr(err.message, entry->message) != NULL, "%s: \"%s\" does not say \"%s\"",
                  entry->name, err.message, entry->message);
    ck_assert_msg(strstr(err.message, dir.text) != NULL, "%s: \"%s\" does not name %s", entry->name,
                  err.message, dir.text);
    remove_dir(base.text);
}
