/*
 * tokenizer_files.c: see tokenizer_files.h.
 */
#include "tokenizer_files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char TINY_TOKENIZER[] =
    "{'version':'1.0','added_tokens':["
    "{'id':0,'content':'<s>','special':true,'normalized':false},"
    "{'id':1,'content':'</s>','special':true,'normalized':false},"
    "{'id':14,'content':'<tool>','special':false,'normalized':false}],"
    "'normalizer':null,"
    "'pre_tokenizer':{'type':'ByteLevel','add_prefix_space':false,'trim_offsets':true},"
    "'post_processor':{'type':'TemplateProcessing',"
    "'single':[{'SpecialToken':{'id':'<s>','type_id':0}},{'Sequence':{'id':'A','type_id':0}}],"
    "'pair':[],'special_tokens':{'<s>':{'id':'<s>','ids':[0],'tokens':['<s>']}}},"
    "'decoder':{'type':'ByteLevel'},"
    "'model':{'type':'BPE','vocab':{'<s>':0,'</s>':1,'h':2,'e':3,'l':4,'o':5,'\xc4\xa0':6,'he':7,"
    "'ll':8,'hell':9,'\xc3\x83':10,'\xc2\xa9':11,'w':12,'\xc4\xa0w':13},"
    "'merges':[['h','e'],['l','l'],['he','ll'],['\xc4\xa0','w']]}}";

static void bail_out(const char *what, const char *path)
{
    printf("Bail out! cannot %s %s\n", what, path);
    exit(EXIT_FAILURE);
}

struct tokenizer_dir tokenizer_dir_make(void)
{
    const char *base = getenv("TMPDIR");
    struct tokenizer_dir dir;
    snprintf(dir.path, sizeof dir.path, "%s/prepack-tokenizer-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(dir.path))
        bail_out("make", dir.path);
    return dir;
}

void tokenizer_dir_remove(const struct tokenizer_dir *dir)
{
    char path[1024];
    DIR *open = opendir(dir->path);
    for (struct dirent *entry; open && (entry = readdir(open));) {
        snprintf(path, sizeof path, "%s/%s", dir->path, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    if (open)
        closedir(open);
    if (rmdir(dir->path) != 0)
        bail_out("remove", dir->path);
}

void tokenizer_dir_write(const struct tokenizer_dir *dir, const char *name, const char *bytes,
                         size_t n, int quoted)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir->path, name);
    FILE *file = fopen(path, "wb");
    if (!file)
        bail_out("write", path);
    for (size_t i = 0; i < n; i++)
        putc(quoted && bytes[i] == '\'' ? '"' : bytes[i], file);
    if (ferror(file) | fclose(file))
        bail_out("write", path);
}

void tokenizer_dir_put(const struct tokenizer_dir *dir, const char *name, const char *text)
{
    tokenizer_dir_write(dir, name, text, strlen(text), 1);
}

char *tokenizer_text_with(const char *text, const char *find, const char *with)
{
    const char *found = strstr(text, find);
    if (!found)
        bail_out("find", find);
    const size_t n_before = (size_t)(found - text);
    char *made = malloc(strlen(text) + strlen(with) + 1);
    if (!made)
        bail_out("allocate", "a text");
    memcpy(made, text, n_before);
    strcpy(made + n_before, with);
    return strcat(made, found + strlen(find));
}

static void *allocate(void *user, size_t bytes, size_t alignment)
{
    struct counting *counting = user;
    pthread_mutex_lock(&counting->lock);
    const int64_t call = ++counting->calls, held = counting->held + (int64_t)bytes;
    const int fails = (counting->fail_at && (counting->persistent ? call >= counting->fail_at
                                                                  : call == counting->fail_at)) ||
                      (counting->limit && held > counting->limit);
    if (!fails)
        counting->held = held;
    if (counting->held > counting->peak)
        counting->peak = counting->held;
    pthread_mutex_unlock(&counting->lock);
    return fails ? NULL : aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void release(void *user, void *memory, size_t bytes)
{
    struct counting *counting = user;
    pthread_mutex_lock(&counting->lock);
    counting->held -= (int64_t)bytes;
    pthread_mutex_unlock(&counting->lock);
    free(memory);
}

pp_allocator counting_allocator(struct counting *counting)
{
    return (pp_allocator){.struct_size = sizeof(pp_allocator),
                          .user = counting,
                          .allocate = allocate,
                          .release = release};
}
