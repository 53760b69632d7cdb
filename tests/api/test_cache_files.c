/*
 * test_cache_files.c: saved caches that are not what they should be: of another model, dtype,
 * format of weights or device, cut at every byte, with any byte changed, with headers that lie. And
 * what a saved cache is to others: a safetensors file; and that saving leaves nothing behind when
 * it fails.
 */
#define _GNU_SOURCE
#include "cache_world.h"
#include "support/tap.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static pp_error refusal = {.struct_size = sizeof refusal};

#define REFUSED(call, status, words)                                                               \
    do {                                                                                           \
        ck_assert_int_eq((call), (status));                                                        \
        ck_assert_int_eq(refusal.code, (status));                                                  \
        ck_assert_msg(strstr(refusal.message, words), "\"%s\" lacks \"%s\"", refusal.message,      \
                      words);                                                                      \
    } while (0)

static const struct run_target plain = {"cpu:ref", PP_DTYPE_F32, PP_WEIGHTS_AUTO};

/* A saved cache in memory. */
struct saved {
    char *bytes;
    size_t n;
};

static struct saved save(const pp_kvcache *cache)
{
    struct saved saved;
    OK(pp_kvcache_export_size(cache, NULL, &saved.n, perr));
    saved.bytes = malloc(saved.n + 512);
    OK(pp_kvcache_export(cache, NULL, saved.bytes, saved.n, perr));
    return saved;
}

/* Of n tokens of a model that has windows and keeps tokens (3), or of one with linear layers. */
static pp_session *begin_with(int i_model, pp_model **model, struct saved *saved, int64_t n)
{
    *model = cache_model(i_model, 5);
    pp_session *session = run_session(*model, plain, 1, 0, 0);
    pp_kvcache *cache = cache_prefill(session, n);
    *saved = save(cache);
    pp_kvcache_destroy(cache);
    return session;
}

static pp_session *begin(pp_model **model, struct saved *saved, int64_t n)
{
    return begin_with(3, model, saved, n);
}

static void end(pp_model *model, pp_session *session, struct saved *saved)
{
    free(saved->bytes);
    pp_session_destroy(session);
    pp_model_unref(model);
}

START_TEST(every_cut_is_refused)
{
    pp_model *model;
    struct saved saved;
    pp_session *session = begin_with(_i, &model, &saved, 70);
    pp_kvcache *cache = NULL;
    for (size_t n = 0; n < saved.n; n += n < 4000 || n > saved.n - 300 ? 1 : 97) {
        char *cut = malloc(n + 1); /* a read beyond it is seen by a sanitizer */
        memcpy(cut, saved.bytes, n);
        ck_assert_int_eq(pp_kvcache_import(session, cut, n, &cache, &refusal), PP_ERR_FORMAT);
        ck_assert_ptr_null(cache);
        free(cut);
    }
    saved.bytes[saved.n] = 0;
    REFUSED(pp_kvcache_import(session, saved.bytes, saved.n + 1, &cache, &refusal), PP_ERR_FORMAT,
            "the tensors end at byte");
    end(model, session, &saved);
}
END_TEST

/* Any byte that changed is noticed: in the header's length, its text, the data or the checksum. */
START_TEST(every_changed_byte_is_refused)
{
    pp_model *model;
    struct saved saved;
    pp_session *session = begin_with(_i, &model, &saved, 33);
    pp_kvcache *cache = NULL;
    for (size_t i = 0; i < saved.n; i += i < 4000 || i > saved.n - 300 ? 1 : 61) {
        for (int bit = 0; bit < 8; bit += 7) {
            saved.bytes[i] = (char)(saved.bytes[i] ^ 1 << bit);
            pp_status status = pp_kvcache_import(session, saved.bytes, saved.n, &cache, &refusal);
            ck_assert_msg(status < 0, "byte %zu with bit %d turned was taken", i, bit);
            ck_assert_ptr_null(cache);
            saved.bytes[i] = (char)(saved.bytes[i] ^ 1 << bit);
        }
    }
    OK(pp_kvcache_import(session, saved.bytes, saved.n, &cache, perr));
    pp_kvcache_destroy(cache);
    end(model, session, &saved);
}
END_TEST

/* Replaces a text of the header by one of the same length, or a shorter one and spaces behind the
 * header's end. */
static void replace(struct saved *saved, const char *text, const char *by)
{
    uint64_t len;
    memcpy(&len, saved->bytes, sizeof len);
    char *header = saved->bytes + 8;
    char *at = memmem(header, (size_t)len, text, strlen(text));
    ck_assert_msg(at != NULL, "no %s in the header", text);
    size_t gap = strlen(text) - strlen(by), behind = (size_t)len - (size_t)(at - header);
    memcpy(at, by, strlen(by));
    memmove(at + strlen(by), at + strlen(text), behind - strlen(text));
    memset(header + len - gap, ' ', gap);
}

START_TEST(headers_that_lie_are_refused)
{
    static const struct {
        const char *text, *by;
        pp_status status;
        const char *words;
    } cases[] = {
        {"prepack-kvcache", "prepack-kvcachf", PP_ERR_FORMAT, "is no saved cache"},
        {"\"format\":", "\"formed\":", PP_ERR_FORMAT, "is no saved cache"},
        {"\"version\":\"1\"", "\"version\":\"3\"", PP_ERR_UNSUPPORTED, "of form 3; this library"},
        {"\"version\":\"1\"", "\"version\":\"2\"", PP_ERR_FORMAT, "has no \"n_linear\""},
        {"\"n_tokens\":\"70\"", "\"n_tokens\":\"71\"", PP_ERR_FORMAT, "tensor"},
        {"\"n_tokens\":\"70\"", "\"n_tokens\":\"-7\"", PP_ERR_FORMAT, "\"-7\"; an integer of at"},
        {"\"n_tokens\":\"70\"", "\"n_tokens\":\"7x\"", PP_ERR_FORMAT, "\"7x\"; an integer of at"},
        {"\"n_tokens\":", "\"m_tokens\":", PP_ERR_FORMAT, "has no \"n_tokens\""},
        {"\"rope_set\":", "\"rope_sat\":", PP_ERR_FORMAT, "has no \"rope_set\""},
        {"\"dtype\":\"f32\"", "\"dtype\":\"f16\"", PP_ERR_ARG,
         "computed in f16 with weights in bf16; the session computes in f32 with weights in bf16"},
        {"\"weights\":\"bf16\"", "\"weights\":\"int8\"", PP_ERR_ARG, "with weights in int8"},
        {"\"n_kv_heads\":\"2\"", "\"n_kv_heads\":\"4\"", PP_ERR_ARG,
         "2 layers of 4 kv heads of 16"},
        {"\"head_dim\":\"16\"", "\"head_dim\":\"61\"", PP_ERR_ARG, "2 layers of 2 kv heads of 61"},
        {"\"n_layers\":\"2\"", "\"n_layers\":\"3\"", PP_ERR_ARG, "3 layers of 2 kv heads of 16"},
        {"layer.1.k", "layer.1.j", PP_ERR_FORMAT, "layer.1.k"},
        {"layer.1.v", "layer.1.w", PP_ERR_FORMAT, "layer.1.v"},
        {"checksum", "checksun", PP_ERR_FORMAT, "tensor \"checksum\" is missing"},
        {"\"tokens\":{", "\"tokans\":{", PP_ERR_FORMAT, ""},
        {"\"dtype\":\"U64\"", "\"dtype\":\"I64\"", PP_ERR_FORMAT, "tensor \"checksum\""},
        {"\"dtype\":\"I32\"", "\"dtype\":\"U32\"", PP_ERR_FORMAT, "tensor \"tokens\""},
        {"{\"__metadata__\"", "{\"__metadato__\"", PP_ERR_FORMAT, ""},
        {"\"shape\":[70]", "\"shape\":[70,1]", PP_ERR_FORMAT, ""},
    };
    pp_kvcache *cache = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_model *model;
        struct saved saved;
        pp_session *session = begin(&model, &saved, 70);
        if (strlen(cases[i].by) > strlen(cases[i].text)) /* a longer one needs the spaces */
            replace(&saved, "\"device\":\"cpu:ref\"", "\"device\":\"cpu\"");
        uint64_t len;
        memcpy(&len, saved.bytes, sizeof len);
        char *at = memmem(saved.bytes, (size_t)len, cases[i].text, strlen(cases[i].text));
        ck_assert_ptr_nonnull(at);
        size_t more = strlen(cases[i].by) > strlen(cases[i].text)
                          ? strlen(cases[i].by) - strlen(cases[i].text)
                          : 0;
        if (more > 0) {
            memmove(at + more, at, (size_t)len + 8 - more - (size_t)(at - saved.bytes));
            memcpy(at, cases[i].by, strlen(cases[i].by));
        } else {
            replace(&saved, cases[i].text, cases[i].by);
        }
        REFUSED(pp_kvcache_import(session, saved.bytes, saved.n, &cache, &refusal), cases[i].status,
                cases[i].words);
        ck_assert_ptr_null(cache);
        end(model, session, &saved);
    }
}
END_TEST

START_TEST(headers_that_lie_of_states_are_refused)
{
    static const struct {
        const char *text, *by;
        pp_status status;
        const char *words;
    } cases[] = {
        {"\"version\":\"2\"", "\"version\":\"1\"", PP_ERR_FORMAT,
         "is of form 1 with 0 linear layers; a cache of this model is of form 2 with 2"},
        {"\"n_linear\":\"2\"", "\"n_linear\":\"3\"", PP_ERR_FORMAT, "form 2 with 3 linear"},
        {"\"n_linear\":", "\"m_linear\":", PP_ERR_FORMAT, "has no \"n_linear\""},
        {"layer.0.state", "layer.0.stage", PP_ERR_FORMAT, "\"layer.0.state\" is missing"},
        {"layer.2.conv", "layer.2.cond", PP_ERR_FORMAT, "\"layer.2.conv\" is missing"},
        {"\"shape\":[4,8,8]", "\"shape\":[8,4,8]", PP_ERR_FORMAT, "\"layer.0.state\""},
        {"\"shape\":[3,64]", "\"shape\":[4,48]", PP_ERR_FORMAT, "\"layer.0.conv\""},
    };
    pp_kvcache *cache = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_model *model;
        struct saved saved;
        pp_session *session = begin_with(4, &model, &saved, 20);
        replace(&saved, cases[i].text, cases[i].by);
        REFUSED(pp_kvcache_import(session, saved.bytes, saved.n, &cache, &refusal), cases[i].status,
                cases[i].words);
        ck_assert_ptr_null(cache);
        end(model, session, &saved);
    }
}
END_TEST

/* Who reads saved caches of models without linear layers by the form of version 1 still can. */
START_TEST(the_form_is_what_it_was)
{
    pp_model *model = cache_model(0, 5);
    pp_session *session = run_session(model, plain, 1, 0, 0);
    pp_kvcache *cache = cache_prefill(session, 5);
    struct saved saved = save(cache);
    uint64_t identity, len;
    char expected[1200], rows[5 * 2 * 16 * 4];
    OK(pp_model_identity(model, &identity, perr));
    int n =
        snprintf(expected, sizeof expected,
                 "{\"__metadata__\":{\"format\":\"prepack-kvcache\",\"version\":\"1\","
                 "\"model\":\"%016llx\",\"architecture\":\"qwen3\",\"n_layers\":\"3\","
                 "\"n_kv_heads\":\"2\",\"head_dim\":\"16\",\"dtype\":\"f32\",\"weights\":\"bf16\","
                 "\"device\":\"cpu:ref\",\"producer\":\"libprepack %s\",\"n_tokens\":\"5\","
                 "\"rope_set\":\"0\"}",
                 (unsigned long long)identity, pp_version());
    for (int i = 0; i < 6; i++)
        n += snprintf(expected + n, sizeof expected - (size_t)n,
                      ",\"layer.%d.%c\":{\"dtype\":\"F32\",\"shape\":[5,2,16],"
                      "\"data_offsets\":[%d,%d]}",
                      i / 2, "kv"[i % 2], 640 * i, 640 * (i + 1));
    n += snprintf(expected + n, sizeof expected - (size_t)n,
                  ",\"checksum\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[3840,3848]}}");
    memcpy(&len, saved.bytes, sizeof len);
    ck_assert_uint_eq((len + 8) % 64, 0);
    ck_assert_uint_eq(saved.n, len + 8 + 3848);
    ck_assert_uint_lt(len - (size_t)n, 64);
    ck_assert_msg(memcmp(saved.bytes + 8, expected, (size_t)n) == 0, "%.*s", (int)len,
                  saved.bytes + 8);
    for (int i = 0; i < 6; i++) {
        OK(pp_kvcache_read(cache, i / 2, i % 2, PP_KV_NHD, PP_DTYPE_F32, 0, 5, rows, sizeof rows,
                           perr));
        ck_assert_mem_eq(saved.bytes + 8 + len + 640 * i, rows, sizeof rows);
    }
    pp_kvcache_destroy(cache);
    end(model, session, &saved);
}
END_TEST

static char logged[600];

static void keep_log(void *user, int32_t level, const char *message)
{
    (void)user;
    ck_assert_int_eq(level, PP_LOG_WARNING);
    snprintf(logged, sizeof logged, "%s", message);
}

static pp_session *session_of(pp_model *model, const char *device, int32_t dtype, int32_t weights)
{
    pp_session *session = NULL;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = device;
    params.dtype = dtype;
    params.weights = weights;
    params.log = keep_log;
    pp_status status = pp_session_create(model, &params, &session, &refusal);
    return status == PP_ERR_NO_BACKEND ? NULL : session;
}

START_TEST(another_model_or_session_is_refused)
{
    pp_model *model = cache_model(0, 1), *seed = cache_model(0, 2), *shape = cache_model(1, 1);
    pp_session *session = session_of(model, "cpu:ref", PP_DTYPE_F32, PP_WEIGHTS_BF16), *other;
    pp_kvcache *cache = cache_prefill(session, 20), *loaded = NULL;
    struct saved saved = save(cache);
    other = session_of(seed, "cpu:ref", PP_DTYPE_F32, PP_WEIGHTS_BF16);
    REFUSED(pp_kvcache_import(other, saved.bytes, saved.n, &loaded, &refusal), PP_ERR_ARG,
            "holds a cache of another model: qwen3 ");
    pp_session_destroy(other);
    other = session_of(shape, "cpu:ref", PP_DTYPE_F32, PP_WEIGHTS_BF16);
    REFUSED(pp_kvcache_import(other, saved.bytes, saved.n, &loaded, &refusal), PP_ERR_ARG,
            "the session's is gemma2 ");
    pp_session_destroy(other);
    other = session_of(model, "cpu:ref", PP_DTYPE_BF16, PP_WEIGHTS_BF16);
    REFUSED(pp_kvcache_import(other, saved.bytes, saved.n, &loaded, &refusal), PP_ERR_ARG,
            "computed in f32 with weights in bf16; the session computes in bf16");
    pp_session_destroy(other);
    other = session_of(model, "cpu:ref", PP_DTYPE_F32, PP_WEIGHTS_INT8);
    REFUSED(pp_kvcache_import(other, saved.bytes, saved.n, &loaded, &refusal), PP_ERR_ARG,
            "the session computes in f32 with weights in int8");
    pp_session_destroy(other);
    ck_assert_str_eq(logged, "");
    other = session_of(model, "cpu:avx2", PP_DTYPE_F32, PP_WEIGHTS_BF16);
    if (other) {
        OK(pp_kvcache_import(other, saved.bytes, saved.n, &loaded, perr));
        ck_assert_str_eq(logged,
                         "the memory of the saved cache was computed on device \"cpu:ref\"; "
                         "what continues it on \"cpu:avx2\" is right, but not the same bit "
                         "for bit");
    }
    pp_kvcache_destroy(loaded);
    pp_session_destroy(other);
    free(saved.bytes);
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(shape);
    pp_model_unref(seed);
    pp_model_unref(model);
}
END_TEST

/* ---- files ---- */

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

START_TEST(files_come_whole_or_not_at_all)
{
    char dir[] = "/tmp/prepack-caches-XXXXXX", path[80], nowhere[80];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a", dir);
    snprintf(nowhere, sizeof nowhere, "%s/b/c", dir);
    pp_model *model = cache_model(1, 5);
    pp_session *session = run_session(model, plain, 1, 0, 0);
    pp_kvcache *cache = cache_prefill(session, 50), *loaded = NULL;
    struct saved saved = save(cache);
    const int32_t odd[50] = {-1};
    const pp_kvcache_save_params params = {.struct_size = sizeof params, .tokens = odd};
    REFUSED(pp_kvcache_save(cache, nowhere, NULL, &refusal), PP_ERR_IO, "b/c cannot be written");
    REFUSED(pp_kvcache_save(cache, "", NULL, &refusal), PP_ERR_ARG, "the path has 0 bytes");
    REFUSED(pp_kvcache_save(NULL, path, NULL, &refusal), PP_ERR_ARG, "cache is NULL");
    REFUSED(pp_kvcache_save(cache, NULL, NULL, &refusal), PP_ERR_ARG, "path is NULL");
    REFUSED(pp_kvcache_save(cache, path, &params, &refusal), PP_ERR_ARG,
            "token -1 at 0 is outside [0, 96)");
    REFUSED(pp_kvcache_export(cache, NULL, saved.bytes, saved.n - 1, &refusal), PP_ERR_ARG,
            "bytes; ");
    REFUSED(pp_kvcache_load(session, path, &loaded, &refusal), PP_ERR_IO, "/a");
    REFUSED(pp_kvcache_load(session, dir, &loaded, &refusal), PP_ERR_IO, dir);
    ck_assert_int_eq(count_entries(dir), 0);
    for (int twice = 0; twice < 2; twice++) { /* the second takes the first one's place */
        OK(pp_kvcache_save(cache, path, NULL, perr));
        ck_assert_int_eq(count_entries(dir), 1);
    }
    ck_assert_int_eq(mkdir(nowhere, 0777), -1);
    snprintf(nowhere, sizeof nowhere, "%s/full", dir);
    ck_assert_int_eq(mkdir(nowhere, 0777), 0);
    REFUSED(pp_kvcache_save(cache, nowhere, NULL, &refusal), PP_ERR_IO, "cannot be given its name");
    ck_assert_int_eq(rmdir(nowhere), 0);
    ck_assert_int_eq(count_entries(dir), 1);
    OK(pp_kvcache_load(session, path, &loaded, perr));
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(saved.n + 1);
    ck_assert_uint_eq(fread(bytes, 1, saved.n + 1, file), saved.n);
    ck_assert_mem_eq(bytes, saved.bytes, saved.n);
    fclose(file);
    free(bytes);
    ck_assert_int_eq(truncate(path, (off_t)saved.n - 5), 0);
    pp_kvcache *none = NULL;
    REFUSED(pp_kvcache_load(session, path, &none, &refusal), PP_ERR_FORMAT, "/a: ");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(dir), 0);
    pp_kvcache_destroy(loaded);
    pp_kvcache_destroy(cache);
    free(saved.bytes);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(files_say_what_they_are)
{
    char path[] = "/tmp/prepack-cache-XXXXXX";
    close(mkstemp(path));
    pp_model *model = cache_model(1, 5);
    pp_session *session = run_session(model, plain, 1, 0, 0);
    pp_kvcache *cache = cache_prefill(session, 50);
    pp_kvcache_file_info info = {.struct_size = sizeof info, .n_linear = 7, .state_bytes = 7};
    const pp_kvcache_save_params params = {.struct_size = sizeof params, .tokens = cache_ids};
    uint64_t identity = 0;
    int32_t ids[50];
    OK(pp_model_identity(model, &identity, perr));
    OK(pp_kvcache_save(cache, path, NULL, perr));
    OK(pp_kvcache_inspect(path, &info, NULL, 0, perr));
    ck_assert_int_eq(info.has_tokens, 0);
    REFUSED(pp_kvcache_inspect(path, &info, ids, 50, &refusal), PP_ERR_ARG, "has 0 of them");
    OK(pp_kvcache_save(cache, path, &params, perr));
    OK(pp_kvcache_inspect(path, &info, ids, 50, perr));
    ck_assert_mem_eq(ids, cache_ids, sizeof ids);
    ck_assert_int_eq(info.has_tokens, 1);
    ck_assert_int_eq(info.n_tokens, 50);
    ck_assert_int_eq(info.dtype, PP_DTYPE_F32);
    ck_assert_int_eq(info.n_layers, 3);
    ck_assert_int_eq(info.n_kv_heads, 2);
    ck_assert_int_eq(info.head_dim, 16);
    ck_assert_int_eq(info.n_linear, 0);
    ck_assert_int_eq(info.state_bytes, 0);
    ck_assert(info.model == identity);
    ck_assert_str_eq(info.architecture, "gemma2");
    ck_assert_str_eq(info.weights, "bf16");
    ck_assert_str_eq(info.device, "cpu:ref");
    ck_assert_ptr_nonnull(strstr(info.producer, "libprepack "));
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(info.bytes, status.st_size);
    REFUSED(pp_kvcache_inspect(path, &info, ids, 49, &refusal), PP_ERR_ARG,
            "49 ids are asked for; ");
    REFUSED(pp_kvcache_inspect(NULL, &info, ids, 50, &refusal), PP_ERR_ARG, "path is NULL");
    REFUSED(pp_model_identity(NULL, &identity, &refusal), PP_ERR_ARG, "model is NULL");
    ck_assert_int_eq(truncate(path, 100), 0);
    REFUSED(pp_kvcache_inspect(path, &info, ids, 50, &refusal), PP_ERR_FORMAT, "a header of");
    FILE *file = fopen(path, "wb");
    const uint64_t len = 64;
    fwrite(&len, 1, sizeof len, file);
    fprintf(file, "%-64s", "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}");
    fclose(file);
    REFUSED(pp_kvcache_inspect(path, &info, NULL, 0, &refusal), PP_ERR_FORMAT, "no saved cache");
    unlink(path);
    REFUSED(pp_kvcache_inspect(path, &info, NULL, 0, &refusal), PP_ERR_IO, path);
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* What another process does with a file: it continues the cache and writes the bits it gets. */
static void continue_elsewhere(int i_model, const char *path, const char *results)
{
    pp_model *model = cache_model(i_model, 5);
    pp_session *session = run_session(model, plain, 2, 0, 0);
    pp_kvcache *cache = NULL;
    OK(pp_kvcache_load(session, path, &cache, perr));
    struct run_bits bits = cache_continue(session, cache, 61, 80);
    FILE *file = fopen(results, "wb");
    fwrite(bits.logits, 1, bits.logits_bytes, file);
    fclose(file);
    run_bits_free(&bits);
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}

START_TEST(another_process_gets_the_same_bits)
{
    char path[] = "/tmp/prepack-cache-XXXXXX", results[] = "/tmp/prepack-bits-XXXXXX";
    close(mkstemp(path));
    close(mkstemp(results));
    pp_model *model = cache_model(_i, 5);
    pp_session *session = run_session(model, plain, 1, 0, 0);
    pp_kvcache *cache = cache_prefill(session, 61);
    OK(pp_kvcache_save(cache, path, NULL, perr));
    pid_t child = fork();
    if (child == 0) {
        continue_elsewhere(_i, path, results);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    struct run_bits bits = cache_continue(session, cache, 61, 80);
    char *theirs = malloc(bits.logits_bytes);
    FILE *file = fopen(results, "rb");
    ck_assert_uint_eq(fread(theirs, 1, bits.logits_bytes, file), bits.logits_bytes);
    fclose(file);
    ck_assert_mem_eq(theirs, bits.logits, bits.logits_bytes);
    free(theirs);
    run_bits_free(&bits);
    unlink(path);
    unlink(results);
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* An empty cache, and one that was cut after its rotations had changed, travel too. */
START_TEST(odd_caches_travel)
{
    pp_model *model = cache_model(_i, 5);
    pp_session *session = run_session(model, plain, 1, 0, 1);
    for (int64_t n = 0; n <= 60; n += 60) {
        pp_kvcache *cache = cache_prefill(session, 60), *loaded = NULL;
        struct run_bits bits = cache_continue(session, cache, 60, 100);
        run_bits_free(&bits);
        OK(pp_kvcache_truncate(cache, n, perr));
        struct saved saved = save(cache);
        OK(pp_kvcache_import(session, saved.bytes, saved.n, &loaded, perr));
        ck_assert_int_eq(pp_kvcache_length(loaded), n);
        struct run_bits a = cache_continue(session, cache, n, n + 3);
        struct run_bits b = cache_continue(session, loaded, n, n + 3);
        ck_assert_ptr_null(run_bits_difference(&a, &b));
        run_bits_free(&a);
        run_bits_free(&b);
        free(saved.bytes);
        pp_kvcache_destroy(loaded);
        pp_kvcache_destroy(cache);
    }
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache files");
    TCase *tcase = tcase_create("cache files");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, every_cut_is_refused, 3, CACHE_ALL);
    tcase_add_loop_test(tcase, every_changed_byte_is_refused, 3, CACHE_ALL);
    tcase_add_test(tcase, headers_that_lie_are_refused);
    tcase_add_test(tcase, headers_that_lie_of_states_are_refused);
    tcase_add_test(tcase, the_form_is_what_it_was);
    tcase_add_test(tcase, another_model_or_session_is_refused);
    tcase_add_test(tcase, files_come_whole_or_not_at_all);
    tcase_add_test(tcase, files_say_what_they_are);
    tcase_add_loop_test(tcase, another_process_gets_the_same_bits, 0, CACHE_ALL);
    tcase_add_loop_test(tcase, odd_caches_travel, 3, CACHE_ALL);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
