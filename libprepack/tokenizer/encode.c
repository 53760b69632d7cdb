/*
 * encode.c: texts to tokens, many at once: memory that threads work with, sharing out, and the
 * result.
 */
#include "tokenizer/encode_work.h"

#define MAX_THREADS 1024

/* ---- work ---- */

static void free_work(struct ppi_encode_work *work, struct ppi_mem *mem,
                      const struct ppi_pieces *pieces)
{
    ppi_pattern_work_destroy(work->patterns);
    ppi_text_free(&work->text);
    ppi_text_free(&work->part);
    ppi_text_free(&work->spare);
    ppi_spans_free(&work->words);
    ppi_spans_free(&work->spare_words);
    pieces->kind->free_work(work->pieces);
    ppi_free(mem, work);
}

static pp_status make_work(pp_tokenizer *tokenizer, struct ppi_encode_work **made, pp_error *err)
{
    struct ppi_mem *mem = &tokenizer->mem;
    struct ppi_encode_work *work = ppi_zalloc(mem, 1, sizeof *work);
    if (!work)
        return ppi_error_nomem(err, "the work of a thread", sizeof *work);
    work->text.mem = work->part.mem = work->spare.mem = mem;
    work->words.mem = work->spare_words.mem = mem;
    work->pieces = tokenizer->pieces->kind->start_work(tokenizer->pieces, mem);
    pp_status status = work->pieces ? ppi_pattern_work_create(mem, &work->patterns, err)
                                    : ppi_error_nomem(err, "the work of a thread", 0);
    if (status < 0)
        free_work(work, mem, tokenizer->pieces);
    else
        *made = work;
    return status;
}

pp_status ppi_encode_work_take(pp_tokenizer *tokenizer, struct ppi_encode_work **work,
                               pp_error *err)
{
    pthread_mutex_lock(&tokenizer->lock);
    struct ppi_encode_work *idle = tokenizer->idle;
    if (idle)
        tokenizer->idle = idle->next;
    pthread_mutex_unlock(&tokenizer->lock);
    if (!idle)
        return make_work(tokenizer, work, err);
    *work = idle;
    return PP_OK;
}

void ppi_encode_work_give(pp_tokenizer *tokenizer, struct ppi_encode_work *work)
{
    pthread_mutex_lock(&tokenizer->lock);
    work->next = tokenizer->idle;
    tokenizer->idle = work;
    pthread_mutex_unlock(&tokenizer->lock);
}

void ppi_encode_work_free_all(pp_tokenizer *tokenizer)
{
    while (tokenizer->idle) {
        struct ppi_encode_work *work = tokenizer->idle;
        tokenizer->idle = work->next;
        free_work(work, &tokenizer->mem, tokenizer->pieces);
    }
}

/* ---- encodings ---- */

/* The tokens of the texts that one thread encoded. */
struct part {
    struct ppi_tokens tokens;
    pp_text_range *offsets; /* [tokens.n] NULL: not asked for */
};

struct place {
    int32_t i_part;
    size_t first, n; /* tokens of the part */
};

struct pp_encoding {
    struct ppi_mem mem;
    int64_t n;
    struct place *places; /* [n] */
    int32_t n_parts;
    struct part *parts; /* [n_parts] */
};

void pp_encoding_destroy(pp_encoding *encoding)
{
    if (!encoding)
        return;
    struct ppi_mem mem = encoding->mem;
    for (int32_t i = 0; i < encoding->n_parts; i++) {
        encoding->parts[i].tokens.mem = &mem;
        ppi_tokens_free(&encoding->parts[i].tokens);
        ppi_free(&mem, encoding->parts[i].offsets);
    }
    ppi_free(&mem, encoding->parts);
    ppi_free(&mem, encoding->places);
    ppi_free(&mem, encoding);
}

int64_t pp_encoding_count(const pp_encoding *encoding)
{
    return encoding ? encoding->n : 0;
}

pp_status pp_encoding_get(const pp_encoding *encoding, int64_t i, pp_encoded *encoded,
                          pp_error *err)
{
    if (!encoding || !encoded)
        return ppi_error(err, PP_ERR_ARG, "pp_encoding_get: an argument is NULL");
    if (i < 0 || i >= encoding->n)
        return ppi_error_at(err, PP_ERR_ARG, i, "text %lld of an encoding of %lld", (long long)i,
                            (long long)encoding->n);
    const struct place *place = &encoding->places[i];
    const struct part *part = &encoding->parts[place->i_part];
    const pp_encoded found = {.struct_size = sizeof found,
                              .n = (int64_t)place->n,
                              .ids = part->tokens.ids ? part->tokens.ids + place->first : NULL,
                              .offsets = part->offsets ? part->offsets + place->first : NULL};
    return ppi_struct_write(encoded, &found, sizeof found, "pp_encoded", err);
}

/* ---- sharing out ---- */

/* One call; its threads take texts from `next` on. */
struct job {
    pp_tokenizer *tokenizer;
    const pp_text *texts;
    pp_encoding *encoding;
    struct ppi_encode_how how;
    int64_t step; /* texts that a thread takes at once */
    _Atomic int64_t next;
    _Atomic bool failed;
    pthread_mutex_t lock;
    pp_error err; /* of the failed text with the lowest number; behind the lock */
    pp_status status;
};

struct worker {
    struct job *job;
    int32_t i_part;
};

static void note_failure(struct job *job, pp_status status, const pp_error *err)
{
    pthread_mutex_lock(&job->lock);
    if (job->status >= 0 || err->index < job->err.index) {
        job->status = status;
        job->err = *err;
    }
    pthread_mutex_unlock(&job->lock);
    atomic_store(&job->failed, true);
}

/* The offsets of a part, which are 64 bits wide and its spans are not. */
static pp_status widen_offsets(struct part *part, struct ppi_mem *mem, pp_error *err)
{
    const struct ppi_tokens *tokens = &part->tokens;
    part->offsets = ppi_alloc(mem, tokens->n, sizeof *part->offsets);
    if (!part->offsets)
        return ppi_error_nomem(err, "offsets", tokens->n * sizeof *part->offsets);
    for (size_t i = 0; i < tokens->n; i++)
        part->offsets[i] = (pp_text_range){tokens->spans[i].begin, tokens->spans[i].end};
    return PP_OK;
}

static pp_status encode_texts(const struct worker *worker, struct ppi_encode_work *work,
                              int64_t first, pp_error *err)
{
    struct job *job = worker->job;
    pp_encoding *encoding = job->encoding;
    struct ppi_tokens *tokens = &encoding->parts[worker->i_part].tokens;
    for (int64_t i = first; i < encoding->n && i < first + job->step; i++) {
        const size_t before = tokens->n;
        pp_error of_text = {.struct_size = sizeof of_text, .index = i};
        const pp_status status =
            ppi_encode_text(job->tokenizer, work, &job->texts[i], &job->how, tokens, &of_text);
        if (status < 0) {
            of_text.index = i;
            *err = of_text;
            return status;
        }
        encoding->places[i] = (struct place){worker->i_part, before, tokens->n - before};
    }
    return PP_OK;
}

static pp_status encode_share(const struct worker *worker, pp_error *err)
{
    struct job *job = worker->job;
    struct ppi_encode_work *work;
    pp_status status = ppi_encode_work_take(job->tokenizer, &work, err);
    if (status < 0)
        return status;
    while (status >= 0 && !atomic_load(&job->failed)) {
        const int64_t first = atomic_fetch_add(&job->next, job->step);
        if (first >= job->encoding->n)
            break;
        status = encode_texts(worker, work, first, err);
    }
    ppi_encode_work_give(job->tokenizer, work);
    struct part *part = &job->encoding->parts[worker->i_part];
    if (status >= 0 && job->how.offsets)
        status = widen_offsets(part, &job->encoding->mem, err);
    return status;
}

static void *run_worker(void *argument)
{
    const struct worker *worker = argument;
    pp_error err = {.struct_size = sizeof err, .index = INT64_MAX};
    const pp_status status = encode_share(worker, &err);
    if (status < 0)
        note_failure(worker->job, status, &err);
    return NULL;
}

/* Threads that cannot be had leave their share to the others. */
static void run_job(struct job *job, struct worker *workers, pthread_t *threads)
{
    const int32_t n = job->encoding->n_parts;
    int32_t n_started = 1;
    while (n_started < n &&
           pthread_create(&threads[n_started], NULL, run_worker, &workers[n_started]) == 0)
        n_started++;
    run_worker(&workers[0]);
    for (int32_t i = 1; i < n_started; i++)
        pthread_join(threads[i], NULL);
}

static pp_status encode_all(struct job *job, pp_error *err)
{
    pp_encoding *encoding = job->encoding;
    struct ppi_mem *mem = &encoding->mem;
    const size_t n_parts = (size_t)encoding->n_parts;
    struct worker *workers = ppi_alloc(mem, n_parts, sizeof *workers);
    pthread_t *threads = ppi_alloc(mem, n_parts, sizeof *threads);
    encoding->places = ppi_alloc(mem, (size_t)encoding->n, sizeof *encoding->places);
    pp_status status = PP_OK;
    if (!workers || !threads || !encoding->places) {
        status =
            ppi_error_nomem(err, "an encoding", (size_t)encoding->n * sizeof *encoding->places);
    } else {
        for (size_t i = 0; i < n_parts; i++) {
            workers[i] = (struct worker){job, (int32_t)i};
            encoding->parts[i].tokens.mem = mem;
            encoding->parts[i].tokens.traced = job->how.offsets;
        }
        run_job(job, workers, threads);
        status = job->status;
        if (status < 0)
            ppi_error_at(err, status, job->err.index == INT64_MAX ? -1 : job->err.index, "%s",
                         job->err.message);
    }
    ppi_free(mem, workers);
    ppi_free(mem, threads);
    return status;
}

/* ---- the call ---- */

static const pp_encode_params DEFAULTS = {.struct_size = sizeof DEFAULTS};

void pp_encode_params_init(pp_encode_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULTS, sizeof DEFAULTS);
}

static pp_status check(const pp_tokenizer *tokenizer, const pp_text *texts, int64_t n,
                       const pp_encode_params *params, pp_encoding **encoding, pp_error *err)
{
    if (!tokenizer || !encoding || (!texts && n > 0))
        return ppi_error(err, PP_ERR_ARG, "pp_tokenizer_encode: an argument is NULL");
    if (n < 0)
        return ppi_error(err, PP_ERR_ARG, "pp_tokenizer_encode: %lld texts", (long long)n);
    if (params->special != PP_SPECIAL_PARSE && params->special != PP_SPECIAL_TEXT)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_encode_params.special is %d; PP_SPECIAL_PARSE and PP_SPECIAL_TEXT are "
                         "accepted",
                         params->special);
    if (params->n_threads < 0 || params->n_threads > MAX_THREADS)
        return ppi_error(err, PP_ERR_ARG, "pp_encode_params.n_threads is %d; 0 to %d are accepted",
                         params->n_threads, MAX_THREADS);
    return PP_OK;
}

/* An encoding may outlive its tokenizer: it counts its memory by itself. */
static pp_status make_encoding(const pp_tokenizer *tokenizer, int64_t n, int32_t n_parts,
                               pp_encoding **encoding, pp_error *err)
{
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, &tokenizer->mem.allocator, 0, err));
    pp_encoding *made = ppi_zalloc(&mem, 1, sizeof *made);
    struct part *parts = made ? ppi_zalloc(&mem, (size_t)n_parts, sizeof *parts) : NULL;
    if (!parts) {
        ppi_free(&mem, made);
        return ppi_error_nomem(err, "an encoding", sizeof *made);
    }
    made->n = n;
    made->n_parts = n_parts;
    made->parts = parts;
    made->mem = mem;
    *encoding = made;
    return PP_OK;
}

pp_status pp_tokenizer_encode(pp_tokenizer *tokenizer, const pp_text *texts, int64_t n,
                              const pp_encode_params *params, pp_encoding **encoding, pp_error *err)
{
    pp_encode_params read = DEFAULTS;
    pp_encoding *made = NULL;
    PP_TRY(ppi_struct_read(&read, sizeof read, params, "pp_encode_params", err));
    PP_TRY(check(tokenizer, texts, n, &read, encoding, err));
    const int64_t n_threads = read.n_threads > 1 ? read.n_threads : 1;
    const int32_t n_parts = (int32_t)(n_threads < n ? n_threads : n > 0 ? n : 1);
    PP_TRY(make_encoding(tokenizer, n, n_parts, &made, err));
    struct job job = {
        .tokenizer = tokenizer,
        .texts = texts,
        .encoding = made,
        .how = {read.special == PP_SPECIAL_TEXT || tokenizer->split_special, !read.no_edges,
                read.offsets != 0},
        .step = n_parts == 1 ? n : 1 + n / ((int64_t)n_parts * 64),
        .lock = PTHREAD_MUTEX_INITIALIZER,
    };
    const pp_status status = n > 0 ? encode_all(&job, err) : PP_OK;
    if (status < 0)
        pp_encoding_destroy(made);
    else
        *encoding = made;
    return status;
}
