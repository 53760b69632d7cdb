/*
 * pattern.c: patterns as PCRE2 programs, or literal text; see pattern.h.
 */
#define _GNU_SOURCE /* memmem */

#include "tokenizer/pattern/pattern.h"

#include "tokenizer/pattern/pattern_translate.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Most bytes of a pattern as PCRE2 gets it. */
#define MAX_TRANSLATED ((size_t)1 << 20)
/* A search that goes back more often than this is given up, as Oniguruma does; in a long text once
 * for every byte, as behind a run of spaces, is not too often. */
#define MATCH_LIMIT          10000000u
#define MATCH_LIMIT_PER_BYTE 3u
/* Most memory of a search that no stack of fixed size is enough for. */
#define HEAP_LIMIT_KIB (256u << 10)
#define JIT_STACK_MIN  ((size_t)32 << 10)
#define JIT_STACK_MAX  ((size_t)1 << 20)

struct ppi_pattern {
    struct ppi_mem *mem;
    pcre2_code *code; /* NULL: literal text */
    bool compiled;    /* to machine code */
    char *text;       /* [n] */
    size_t n;
};

struct ppi_pattern_work {
    struct ppi_mem *mem;
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack; /* NULL: what the machine stack gives is all */
    uint32_t limit;         /* that the context has */
};

static void *allocate(size_t bytes, void *mem)
{
    return ppi_alloc(mem, bytes, 1);
}

static void release(void *memory, void *mem)
{
    ppi_free(mem, memory);
}

/* ---- making ---- */

static pp_status refuse_compiled(int code, const char *label, const char *where, pp_error *err)
{
    PCRE2_UCHAR text[160];
    if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED)
        return ppi_error_nomem(err, "a pattern", 0);
    if (pcre2_get_error_message(code, text, sizeof text) < 0)
        text[0] = '\0';
    return ppi_error(err, PP_ERR_UNSUPPORTED, "%s: the pattern of \"%s\" cannot be used: %s", label,
                     where, (const char *)text);
}

/* Repetitions become possessive only where the pattern says so: PCRE2 10.42 takes some for it that
 * are not, before an atomic group which begins with what may be empty. */
#define COMPILE_OPTIONS                                                                            \
    (PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_UTF_CHECK | PCRE2_NO_AUTO_POSSESS)

static pp_status compile(struct ppi_pattern *pattern, const struct ppi_text *text,
                         const char *label, const char *where, pp_error *err)
{
    pcre2_general_context *general = pcre2_general_context_create(allocate, release, pattern->mem);
    pcre2_compile_context *context = general ? pcre2_compile_context_create(general) : NULL;
    int code = PCRE2_ERROR_NOMEMORY;
    PCRE2_SIZE at;
    if (context) {
        pcre2_set_newline(context, PCRE2_NEWLINE_LF);
        pattern->code = pcre2_compile((PCRE2_SPTR)(text->n ? text->bytes : ""), text->n,
                                      COMPILE_OPTIONS, &code, &at, context);
    }
    pcre2_compile_context_free(context);
    pcre2_general_context_free(general);
    if (!pattern->code)
        return refuse_compiled(code, label, where, err);
    /* a host may forbid memory that is written and run: then it is interpreted */
    pattern->compiled = pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE) == 0;
    return PP_OK;
}

static pp_status make_regex(struct ppi_pattern *pattern, const char *bytes, size_t n,
                            const char *label, const char *where, pp_error *err)
{
    struct ppi_parsed parsed;
    struct ppi_text text = ppi_text_start(pattern->mem, false);
    pp_status status = ppi_pattern_parse(bytes, n, label, where, pattern->mem, &parsed, err);
    if (status == PP_OK) {
        ppi_pattern_translate(&parsed, &text);
        if (text.failed)
            status = ppi_error_nomem(err, "a pattern", n);
        else if (text.n > MAX_TRANSLATED)
            status = ppi_error(err, PP_ERR_LIMIT, "%s: the pattern of \"%s\" is too large", label,
                               where);
        else
            status = compile(pattern, &text, label, where, err);
    }
    ppi_text_free(&text);
    ppi_parsed_free(&parsed);
    return status;
}

static pp_status make_literal(struct ppi_pattern *pattern, const char *bytes, size_t n,
                              pp_error *err)
{
    pattern->text = ppi_alloc(pattern->mem, n + 1, 1);
    if (!pattern->text)
        return ppi_error_nomem(err, "a pattern", n);
    if (n)
        memcpy(pattern->text, bytes, n);
    pattern->n = n;
    return PP_OK;
}

pp_status ppi_pattern_create(const char *bytes, size_t n, bool regex, const char *label,
                             const char *where, struct ppi_mem *mem, struct ppi_pattern **pattern,
                             pp_error *err)
{
    struct ppi_pattern *made = ppi_zalloc(mem, 1, sizeof *made);
    if (!made)
        return ppi_error_nomem(err, "a pattern", sizeof *made);
    made->mem = mem;
    const pp_status status =
        regex ? make_regex(made, bytes, n, label, where, err) : make_literal(made, bytes, n, err);
    if (status < 0) {
        ppi_pattern_destroy(made);
        return status;
    }
    *pattern = made;
    return PP_OK;
}

void ppi_pattern_destroy(struct ppi_pattern *pattern)
{
    if (!pattern)
        return;
    pcre2_code_free(pattern->code);
    ppi_free(pattern->mem, pattern->text);
    ppi_free(pattern->mem, pattern);
}

/* ---- matching ---- */

static void set_limit(struct ppi_pattern_work *work, uint32_t limit)
{
    pcre2_set_match_limit(work->context, limit);
    pcre2_set_depth_limit(work->context, limit);
    work->limit = limit;
}

static pp_status fill_work(struct ppi_pattern_work *work, pcre2_general_context *general)
{
    work->context = pcre2_match_context_create(general);
    work->data = pcre2_match_data_create(1, general);
    if (!work->context || !work->data)
        return PP_ERR_NOMEM;
    set_limit(work, MATCH_LIMIT);
    pcre2_set_heap_limit(work->context, HEAP_LIMIT_KIB);
    work->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, general);
    if (work->stack)
        pcre2_jit_stack_assign(work->context, NULL, work->stack);
    return PP_OK;
}

pp_status ppi_pattern_work_create(struct ppi_mem *mem, struct ppi_pattern_work **work,
                                  pp_error *err)
{
    struct ppi_pattern_work *made = ppi_zalloc(mem, 1, sizeof *made);
    pcre2_general_context *general = pcre2_general_context_create(allocate, release, mem);
    pp_status status = PP_ERR_NOMEM;
    if (made) {
        made->mem = mem;
        status = general ? fill_work(made, general) : PP_ERR_NOMEM;
    }
    pcre2_general_context_free(general);
    if (status < 0) {
        ppi_pattern_work_destroy(made);
        return ppi_error_nomem(err, "matching patterns", sizeof *made);
    }
    *work = made;
    return PP_OK;
}

void ppi_pattern_work_destroy(struct ppi_pattern_work *work)
{
    if (!work)
        return;
    pcre2_jit_stack_free(work->stack);
    pcre2_match_data_free(work->data);
    pcre2_match_context_free(work->context);
    ppi_free(work->mem, work);
}

static pp_status refuse_search(int code, pp_error *err)
{
    switch (code) {
    case PCRE2_ERROR_NOMEMORY:
        return ppi_error_nomem(err, "matching a pattern", 0);
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
        return ppi_error(err, PP_ERR_LIMIT,
                         "a pattern of the tokenizer goes back over this text too often");
    default:
        return ppi_error(err, PP_ERR_INTERNAL, "PCRE2 gives error %d", code);
    }
}

static pp_status find_literal(const struct ppi_pattern *pattern, const char *bytes, size_t n,
                              size_t from, struct ppi_span *match)
{
    const char *found = memmem(bytes + from, n - from, pattern->text, pattern->n);
    if (!found)
        return 0;
    match->begin = (uint32_t)(found - bytes);
    match->end = match->begin + (uint32_t)pattern->n;
    return 1;
}

pp_status ppi_pattern_find(const struct ppi_pattern *pattern, struct ppi_pattern_work *work,
                           const char *bytes, size_t n, size_t from, struct ppi_span *match,
                           pp_error *err)
{
    int code = PCRE2_ERROR_JIT_STACKLIMIT;
    if (!pattern->code)
        return find_literal(pattern, bytes, n, from, match);
    const uint32_t allowed = MATCH_LIMIT + MATCH_LIMIT_PER_BYTE * (uint32_t)(n >> 20 << 20);
    if (work->limit != allowed)
        set_limit(work, allowed);
    if (pattern->compiled)
        code = pcre2_jit_match(pattern->code, (PCRE2_SPTR)bytes, n, from, 0, work->data,
                               work->context);
    if (code == PCRE2_ERROR_JIT_STACKLIMIT)
        code = pcre2_match(pattern->code, (PCRE2_SPTR)bytes, n, from,
                           PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, work->data, work->context);
    if (code == PCRE2_ERROR_NOMATCH)
        return 0;
    if (code < 0)
        return refuse_search(code, err);
    const PCRE2_SIZE *pair = pcre2_get_ovector_pointer(work->data);
    match->begin = (uint32_t)pair[0];
    match->end = (uint32_t)pair[1];
    return 1;
}

pp_status ppi_matches_next(struct ppi_matches *matches, const struct ppi_pattern *pattern,
                           struct ppi_pattern_work *work, const char *bytes, size_t n,
                           struct ppi_span *match, pp_error *err)
{
    while (matches->from <= n) {
        const pp_status status =
            ppi_pattern_find(pattern, work, bytes, n, matches->from, match, err);
        if (status <= 0)
            return status;
        if (match->begin != match->end || !matches->any || matches->last_end != match->end) {
            *matches = (struct ppi_matches){match->end, match->end, true};
            return 1;
        }
        size_t step = 1;
        if (matches->from < n)
            ppi_utf8_get(bytes + matches->from, &step);
        matches->from += step;
    }
    return 0;
}
