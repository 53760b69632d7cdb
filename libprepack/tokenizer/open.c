/*
 * open.c: which file of a model directory is its tokenizer, and what kind of file it is.
 */
#include "checkpoint/gguf_set.h"
#include "checkpoint/model_path.h"
#include "tokenizer/tokenizer_impl.h"

#include <errno.h>
#include <sys/stat.h>

typedef pp_status (*source_fn)(const struct ppi_source_file *source, pp_tokenizer *tokenizer,
                               pp_error *err);

/* ---- finding ---- */

/* In the order in which they are taken. */
static const char *const NAMES[] = {"tokenizer.json", "tekken.json", "tokenizer.model"};

/* Files of older tokenizers, from which transformers makes a tokenizer.json. */
static const char *const OLD_NAMES[] = {"vocab.json", "vocab.txt", "spiece.model",
                                        "sentencepiece.bpe.model", "merges.txt"};

static pp_status refuse_directory(const struct ppi_dir *dir, pp_error *err)
{
    for (size_t i = 0; i < PPI_COUNT(OLD_NAMES); i++)
        if (ppi_dir_has(dir, OLD_NAMES[i]))
            return ppi_error(err, PP_ERR_UNSUPPORTED,
                             "%s has %s and no tokenizer.json; in Python, "
                             "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR) of "
                             "transformers writes one",
                             dir->label.text, OLD_NAMES[i]);
    return ppi_error(err, PP_ERR_IO,
                     "%s has no tokenizer: tokenizer.json, tekken.json, tokenizer.model or one "
                     "GGUF file is needed",
                     dir->label.text);
}

/* *file stays closed (fd -1) where the directory has none of the names. */
static pp_status open_in_directory(const struct ppi_dir *dir, struct ppi_file *file, pp_error *err)
{
    file->fd = -1;
    for (size_t i = 0; i < PPI_COUNT(NAMES); i++)
        if (ppi_dir_has(dir, NAMES[i]))
            return ppi_dir_open_file(dir, NAMES[i], file, err);
    return PP_OK;
}

/* ---- what a file is ---- */

static bool begins_with(const char *bytes, size_t n, const char *text)
{
    return n >= strlen(text) && memcmp(bytes, text, strlen(text)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static pp_status recognize(const struct ppi_file *file, source_fn *source, pp_error *err)
{
    char bytes[64];
    const size_t n = file->size < (int64_t)sizeof bytes ? (size_t)file->size : sizeof bytes;
    size_t i = 0;
    PP_TRY(ppi_file_read(file, 0, bytes, n, err));
    if (n == 0)
        return ppi_error(err, PP_ERR_FORMAT, "%s is empty", file->label.text);
    if (begins_with(bytes, n, "\xef\xbb\xbf"))
        i = 3;
    while (i < n && strchr(" \t\r\n", bytes[i]) && bytes[i])
        i++;
    if (begins_with(bytes, n, "GGUF"))
        *source = ppi_tokenizer_from_gguf;
    else if (i < n && bytes[i] == '{')
        *source = ppi_tokenizer_from_json;
    else if (bytes[0] == '\n' || ends_with(file->label.text, ".model"))
        /* a SentencePiece model is a message, whose first field is a piece */
        *source = ppi_tokenizer_from_sentencepiece;
    else
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s is neither a tokenizer.json, a tekken.json, a SentencePiece model nor "
                         "a GGUF file",
                         file->label.text);
    return PP_OK;
}

/* ---- putting together ---- */

static pp_status finish(pp_tokenizer *tokenizer, const struct ppi_settings *settings,
                        struct ppi_added *from_file, pp_error *err)
{
    struct ppi_added *added = &tokenizer->added;
    /* of tokens with one text the last counts: what the file says of a token goes before */
    for (size_t i = 0; settings && i < settings->added.n; i++) {
        struct ppi_added_token token = settings->added.tokens[i];
        const int32_t known = ppi_vocab_find(&tokenizer->vocab, token.text, token.n);
        token.id = known >= 0 ? known : token.id;
        PP_TRY(ppi_added_put(added, &token, err));
    }
    for (size_t i = 0; i < from_file->n; i++)
        PP_TRY(ppi_added_put(added, &from_file->tokens[i], err));
    PP_TRY(ppi_added_finish(added, tokenizer->normalizer, err));
    tokenizer->n_ids = tokenizer->vocab.n_ids;
    if (added->n && added->tokens[added->n - 1].id >= tokenizer->n_ids)
        tokenizer->n_ids = added->tokens[added->n - 1].id + 1;
    return settings ? ppi_tokenizer_apply(tokenizer, settings, err) : PP_OK;
}

static pp_status fill(pp_tokenizer *tokenizer, const struct ppi_source_file *source, pp_error *err)
{
    source_fn read = NULL;
    PP_TRY(recognize(source->file, &read, err));
    PP_TRY(read(source, tokenizer, err));
    struct ppi_added from_file = tokenizer->added;
    tokenizer->added = (struct ppi_added){.mem = &tokenizer->mem};
    const pp_status status = finish(tokenizer, source->settings, &from_file, err);
    ppi_added_free(&from_file);
    return status;
}

static pp_status make(const struct ppi_source_file *source, const pp_allocator *allocator,
                      pp_tokenizer **tokenizer, pp_error *err)
{
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, allocator, 0, err));
    pp_tokenizer *made = ppi_zalloc(&mem, 1, sizeof *made);
    if (!made)
        return ppi_error_nomem(err, "a tokenizer", sizeof *made);
    made->mem = mem;
    made->added.mem = &made->mem;
    made->bos = made->eos = made->unk = made->pad = made->unk_piece = -1;
    pthread_mutex_init(&made->lock, NULL);
    const pp_status status = fill(made, source, err);
    if (status < 0)
        pp_tokenizer_destroy(made);
    else
        *tokenizer = made;
    return status;
}

static pp_status open_file(const char *path, const pp_tokenizer_params *params,
                           pp_tokenizer **tokenizer, pp_error *err)
{
    const struct ppi_log log = {params->log, params->log_user};
    struct ppi_file file;
    PP_TRY(ppi_file_open(path, &file, err));
    const struct ppi_source_file source = {&file, NULL, &log};
    const pp_status status = make(&source, params->allocator, tokenizer, err);
    ppi_file_close(&file);
    return status;
}

/* The tokenizer of a GGUF file, which may be split. */
static pp_status open_gguf(const char *path, const struct ppi_dir *dir,
                           const pp_tokenizer_params *params, struct ppi_mem *mem,
                           pp_tokenizer **tokenizer, pp_error *err)
{
    const struct ppi_log log = {params->log, params->log_user};
    struct ppi_gguf_set set;
    PP_TRY(ppi_gguf_set_open(path, mem, &set, err));
    if (set.n == 0)
        return refuse_directory(dir, err);
    const struct ppi_source_file source = {&set.parts[0].file, NULL, &log};
    const pp_status status = make(&source, params->allocator, tokenizer, err);
    ppi_gguf_set_close(&set, mem);
    return status;
}

static pp_status open_directory(const char *path, const pp_tokenizer_params *params,
                                pp_tokenizer **tokenizer, pp_error *err)
{
    const struct ppi_log log = {params->log, params->log_user};
    struct ppi_settings settings;
    struct ppi_dir dir;
    struct ppi_mem mem;
    struct ppi_file file;
    PP_TRY(ppi_mem_init(&mem, params->allocator, 0, err));
    PP_TRY(ppi_dir_open(path, &dir, err));
    PP_TRY(open_in_directory(&dir, &file, err));
    if (file.fd < 0)
        return open_gguf(path, &dir, params, &mem, tokenizer, err);
    const bool sentencepiece = ends_with(file.label.text, ".model");
    pp_status status = ppi_settings_read(&dir, sentencepiece, &mem, &log, &settings, err);
    if (status >= 0) {
        const struct ppi_source_file source = {&file, &settings, &log};
        status = make(&source, params->allocator, tokenizer, err);
    }
    ppi_settings_free(&settings);
    ppi_file_close(&file);
    return status;
}

/* ---- the call ---- */

static const pp_tokenizer_params DEFAULTS = {.struct_size = sizeof DEFAULTS};

void pp_tokenizer_params_init(pp_tokenizer_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULTS, sizeof DEFAULTS);
}

pp_status pp_tokenizer_open(const char *path, const pp_tokenizer_params *params,
                            pp_tokenizer **tokenizer, pp_error *err)
{
    pp_tokenizer_params read = DEFAULTS;
    struct stat info;
    PP_TRY(ppi_struct_read(&read, sizeof read, params, "pp_tokenizer_params", err));
    if (!path || !tokenizer)
        return ppi_error(err, PP_ERR_ARG, "pp_tokenizer_open: an argument is NULL");
    if (*path == '\0')
        return ppi_error(err, PP_ERR_ARG, "the tokenizer's path is empty");
    if (stat(path, &info) != 0)
        return ppi_refuse_missing(path, errno, err);
    if (!S_ISDIR(info.st_mode))
        return open_file(path, &read, tokenizer, err);
    return open_directory(path, &read, tokenizer, err);
}
