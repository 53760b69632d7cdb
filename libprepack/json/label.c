/*
 * label.c: names from outside in a length that fits a message.
 */
#include "json/label.h"

#include <stdbool.h>
#include <string.h>

#define ROOM (sizeof(struct ppi_label) - sizeof "...")

static bool continues_sequence(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Length of text[0, len) without an unfinished UTF-8 sequence at its end. */
static size_t whole_characters(const char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && len - start < 4 && continues_sequence(text[start - 1]))
        start--;
    if (start == 0)
        return len;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    return len - (start - 1) < wanted ? start - 1 : len;
}

struct ppi_label ppi_label(const char *text)
{
    struct ppi_label label;
    size_t len = strnlen(text, sizeof label.text);
    bool cut = len > ROOM;
    size_t kept = whole_characters(text, cut ? ROOM : len);
    memcpy(label.text, text, kept);
    strcpy(label.text + kept, cut ? "..." : "");
    return label;
}

struct ppi_label ppi_label_path(const char *dir, const char *name)
{
    struct ppi_label label;
    size_t dir_len = strlen(dir), name_len = name ? strlen(name) : 0;
    size_t slash = name && dir_len > 0 && dir[dir_len - 1] != '/';
    if (dir_len + slash + name_len <= ROOM) {
        memcpy(label.text, dir, dir_len);
        memcpy(label.text + dir_len, "/", slash);
        memcpy(label.text + dir_len + slash, name ? name : "", name_len + 1);
        return label;
    }
    if (name_len + slash > ROOM)
        return ppi_label(name);
    size_t kept = ROOM - slash - name_len;
    const char *tail = dir + dir_len - kept;
    while (continues_sequence(*tail))
        tail++;
    kept = (size_t)(dir + dir_len - tail);
    memcpy(label.text, "...", 3);
    memcpy(label.text + 3, tail, kept);
    memcpy(label.text + 3 + kept, "/", slash);
    memcpy(label.text + 3 + kept + slash, name ? name : "", name_len + 1);
    return label;
}
