/*
 * test_checkpoint.c: weights from a model directory: valid layouts and the values read from them,
 * indices that must be refused, truncation at every byte, exhausted memory at every allocation,
 * files that change.
 */
#define _GNU_SOURCE
#include "malformed/failing.h"
#include "malformed/malformed.h"
#include "support/tap.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

START_TEST(refuses_index)
{
    check_refused(&malformed_index[_i]);
}
END_TEST

/* ---- valid layouts ---- */

struct opened {
    struct path dir;
    struct opened_model files;
};

/* Opens `path`; dir, removed by close_model, is the directory around it. */
static void open_model(struct opened *model, struct path dir, const char *path)
{
    pp_error err = {.struct_size = sizeof err};
    model->dir = dir;
    ck_assert_int_eq(ppi_mem_init(&model->files.mem, NULL, 0, NULL), PP_OK);
    pp_status status = open_files(path, NULL, &model->files, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
}

static void close_model(struct opened *model)
{
    close_files(&model->files);
    ck_assert_int_eq(model->files.mem.bytes, 0);
    remove_dir(model->dir.text);
}

/* Bytes [begin, begin + n) of the data that write_safetensors makes. */
static void check_bytes(const unsigned char *bytes, size_t n, size_t begin)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(bytes[i] == (((begin + i) * 7 + 3) & 0xff), "byte %zu is %u", i, bytes[i]);
}

/* The rule for a part of a weight. */
static int32_t rule_of(const struct ppi_tensors *tensors, enum ppi_weight weight,
                       enum ppi_part part)
{
    int32_t i = 0;
    while (tensors->rules[i].weight != weight || tensors->rules[i].part != part)
        ck_assert_int_lt(++i, tensors->n_rules);
    return i;
}

/* A tensor's rows, read whole and one by one, are the file's bytes from `begin`. */
static void check_part(const struct opened *model, enum ppi_weight weight, enum ppi_part part,
                       size_t begin)
{
    unsigned char bytes[256];
    int64_t rows, cols;
    const struct ppi_tensors *tensors = &model->files.tensors;
    const struct ppi_model_spec *spec = &model->files.config.spec;
    int32_t i = rule_of(tensors, weight, part);
    ppi_part_shape(spec, 0, weight, part, &rows, &cols);
    ck_assert_int_eq(ppi_tensors_dtype(tensors, i, 0), PP_DTYPE_BF16);
    ck_assert_int_eq(ppi_tensors_read(tensors, spec, i, 0, 0, rows, bytes, NULL), PP_OK);
    check_bytes(bytes, (size_t)(rows * cols) * 2, begin);
    for (int64_t row = 0; row < rows; row++) {
        ck_assert_int_eq(ppi_tensors_read(tensors, spec, i, 0, row, 1, bytes, NULL), PP_OK);
        check_bytes(bytes, (size_t)cols * 2, begin + (size_t)(row * cols) * 2);
    }
}

static void check_tensor(const struct opened *model, enum ppi_weight weight, size_t begin)
{
    check_part(model, weight, PPI_PART_ALL, begin);
}

START_TEST(reads_a_single_file)
{
    struct opened model;
    struct path dir = make_dir();
    write_single(dir.text);
    open_model(&model, dir, dir.text);
    check_tensor(&model, PPI_WEIGHT_EMBED, 0);
    check_tensor(&model, PPI_WEIGHT_ATTN_NORM, 64);
    check_part(&model, PPI_WEIGHT_QKV, PPI_PART_Q, 72);
    check_part(&model, PPI_WEIGHT_QKV, PPI_PART_K, 104);
    check_part(&model, PPI_WEIGHT_QKV, PPI_PART_V, 120);
    check_tensor(&model, PPI_WEIGHT_O, 136);
    check_tensor(&model, PPI_WEIGHT_MLP_NORM, 168);
    check_part(&model, PPI_WEIGHT_GATE_UP, PPI_PART_GATE, 176);
    check_part(&model, PPI_WEIGHT_GATE_UP, PPI_PART_UP, 224);
    check_tensor(&model, PPI_WEIGHT_DOWN, 272);
    check_tensor(&model, PPI_WEIGHT_LM_HEAD, 320);
    check_tensor(&model, PPI_WEIGHT_FINAL_NORM, 384);
    close_model(&model);
}
END_TEST

START_TEST(reads_shards)
{
    struct opened model;
    struct path dir = make_dir();
    write_sharded(dir.text);
    open_model(&model, dir, dir.text);
    check_tensor(&model, PPI_WEIGHT_EMBED, 0);
    check_part(&model, PPI_WEIGHT_GATE_UP, PPI_PART_UP, 224);
    check_tensor(&model, PPI_WEIGHT_DOWN, 0);
    check_tensor(&model, PPI_WEIGHT_FINAL_NORM, 112);
    close_model(&model);
}
END_TEST

/* A tensor that nobody needs may come first, have any dtype, and put the rest on odd bytes (43). */
START_TEST(reads_unaligned_tensors)
{
    struct opened model;
    struct path dir = make_dir();
    char *header = make_header(0, TINY_N_TENSORS, 1);
    write_single(dir.text);
    write_safetensors(dir.text, SINGLE_FILE, header, strlen(header), TINY_DATA_BYTES + 1);
    free(header);
    open_model(&model, dir, dir.text);
    check_part(&model, PPI_WEIGHT_QKV, PPI_PART_Q, 73);
    check_tensor(&model, PPI_WEIGHT_FINAL_NORM, 385);
    close_model(&model);
}
END_TEST

static char last_warning[512];

static void keep_warning(void *user, int32_t level, const char *message)
{
    (void)user;
    if (level == PP_LOG_WARNING)
        snprintf(last_warning, sizeof last_warning, "%s", message);
}

static const struct ppi_log KEEP = {.fn = keep_warning};

START_TEST(needs_an_lm_head)
{
    struct path dir = make_dir();
    pp_error err = {.struct_size = sizeof err};
    char *header = make_header(0, TINY_N_TENSORS, 0);
    char *without = replaced(header, "\"lm_head.weight\"", "\"something.else\"");
    write_single(dir.text);
    write_safetensors(dir.text, SINGLE_FILE, without, strlen(without), TINY_DATA_BYTES);
    ck_assert_int_eq(open_and_close(dir.text, NULL, &err), PP_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "no tensor \"lm_head.weight\""));
    free(without);
    free(header);
    remove_dir(dir.text);
}
END_TEST

static void link_into_blobs(const char *base, const char *snapshot, const char *name)
{
    struct path blob, target, link = path_in(snapshot, name);
    snprintf(blob.text, sizeof blob.text, "%s/blobs/%.40s-hash", base, name);
    snprintf(target.text, sizeof target.text, "../../blobs/%.40s-hash", name);
    ck_assert_int_eq(rename(link.text, blob.text), 0);
    ck_assert_int_eq(symlink(target.text, link.text), 0);
}

/* models--owner--name/snapshots/revision, whose files are links into models--owner--name/blobs. */
START_TEST(reads_the_hugging_face_cache)
{
    struct opened model;
    struct path dir = make_dir();
    struct path base = path_in(dir.text, "models--owner--name");
    struct path snapshots = path_in(base.text, "snapshots");
    struct path revision = path_in(snapshots.text, "0123abcd");
    struct path link = path_in(dir.text, "link");
    ck_assert_int_eq(mkdir(base.text, 0700), 0);
    ck_assert_int_eq(mkdir(path_in(base.text, "blobs").text, 0700), 0);
    ck_assert_int_eq(mkdir(snapshots.text, 0700), 0);
    ck_assert_int_eq(mkdir(revision.text, 0700), 0);
    write_sharded(revision.text);
    link_into_blobs(base.text, revision.text, "config.json");
    link_into_blobs(base.text, revision.text, INDEX_FILE);
    link_into_blobs(base.text, revision.text, SHARD_1);
    link_into_blobs(base.text, revision.text, SHARD_2);
    ck_assert_int_eq(open_and_close(revision.text, NULL, NULL), PP_OK);
    ck_assert_int_eq(symlink("models--owner--name/snapshots/0123abcd", link.text), 0);
    open_model(&model, dir, link.text);
    check_part(&model, PPI_WEIGHT_QKV, PPI_PART_Q, 72);
    close_model(&model);
}
END_TEST

/* The blobs of another model are as much outside as any other place. */
START_TEST(refuses_blobs_of_another_model)
{
    struct path dir = make_dir();
    pp_error err = {.struct_size = sizeof err};
    struct path ours = path_in(dir.text, "models--a--a"), other = path_in(dir.text, "models--b--b");
    struct path blobs = path_in(other.text, "blobs");
    ck_assert_int_eq(mkdir(ours.text, 0700), 0);
    ck_assert_int_eq(mkdir(other.text, 0700), 0);
    ck_assert_int_eq(mkdir(blobs.text, 0700), 0);
    write_single(ours.text);
    ck_assert_int_eq(rename(path_in(ours.text, SINGLE_FILE).text, path_in(blobs.text, "x").text),
                     0);
    ck_assert_int_eq(symlink("../models--b--b/blobs/x", path_in(ours.text, SINGLE_FILE).text), 0);
    ck_assert_int_eq(open_and_close(ours.text, NULL, &err), PP_ERR_PATH);
    remove_dir(dir.text);
}
END_TEST

/* A link that stays in the directory, and a directory given by a relative path. */
START_TEST(follows_links_inside)
{
    struct opened model;
    struct path dir = make_dir();
    write_single(dir.text);
    ck_assert_int_eq(rename(path_in(dir.text, SINGLE_FILE).text, path_in(dir.text, "w").text), 0);
    ck_assert_int_eq(symlink("w", path_in(dir.text, SINGLE_FILE).text), 0);
    ck_assert_int_eq(chdir(dir.text), 0);
    open_model(&model, dir, ".");
    ck_assert_int_eq(chdir("/"), 0);
    check_part(&model, PPI_WEIGHT_QKV, PPI_PART_Q, 72);
    close_model(&model);
}
END_TEST

/* A wrong total_size is worth a word, no more (54). */
START_TEST(warns_of_total_size)
{
    struct path dir = make_dir();
    size_t len;
    write_sharded(dir.text);
    ck_assert_int_eq(open_and_close(dir.text, &KEEP, NULL), PP_OK);
    ck_assert_str_eq(last_warning, "");
    char *index = read_file(dir.text, INDEX_FILE, &len);
    index[len] = '\0';
    char *spoiled = replaced(index, "\"total_size\":392", "\"total_size\":391");
    write_file(dir.text, INDEX_FILE, spoiled, strlen(spoiled));
    ck_assert_int_eq(open_and_close(dir.text, &KEEP, NULL), PP_OK);
    ck_assert_ptr_nonnull(strstr(last_warning, "total_size is 391, but the shards hold 392"));
    free(spoiled);
    free(index);
    remove_dir(dir.text);
}
END_TEST

/* What Git LFS leaves where a file was not fetched: of weights, of an index, of config.json. */
START_TEST(recognises_pointers)
{
    static const char *const names[] = {SINGLE_FILE, "config.json", INDEX_FILE, SHARD_2};
    static const char pointer[] =
        "version https://git-lfs.github.com/spec/v1\noid sha256:"
        "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    struct path dir = make_dir();
    pp_error err = {.struct_size = sizeof err};
    if (_i < 2)
        write_single(dir.text);
    else
        write_sharded(dir.text);
    write_file(dir.text, names[_i], pointer, strlen(pointer));
    ck_assert_int_eq(open_and_close(dir.text, NULL, &err), PP_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, names[_i]));
    ck_assert_ptr_nonnull(strstr(err.message, "is a Git LFS pointer in place of the file; fetch"));
    remove_dir(dir.text);
}
END_TEST

START_TEST(refuses_elements_outside)
{
    struct opened model;
    struct path dir = make_dir();
    unsigned char bytes[256];
    struct ppi_stored q;
    write_single(dir.text);
    open_model(&model, dir, dir.text);
    ck_assert(
        ppi_source_find(model.files.tensors.source, "model.layers.0.self_attn.q_proj.weight", &q));
    ck_assert_int_eq(ppi_stored_read(&q, 16, 0, bytes, NULL), PP_OK);
    ck_assert_int_eq(ppi_stored_read(&q, 0, 16, bytes, NULL), PP_OK);
    ck_assert_int_eq(ppi_stored_read(&q, 1, 16, bytes, NULL), PP_ERR_INTERNAL);
    ck_assert_int_eq(ppi_stored_read(&q, -1, 1, bytes, NULL), PP_ERR_INTERNAL);
    ck_assert_int_eq(ppi_stored_read(&q, 0, -1, bytes, NULL), PP_ERR_INTERNAL);
    ck_assert_int_eq(ppi_stored_read(&q, INT64_MAX, INT64_MAX, bytes, NULL), PP_ERR_INTERNAL);
    ck_assert(!ppi_source_find(model.files.tensors.source, "q", &q));
    close_model(&model);
}
END_TEST

static void *read_repeatedly(void *argument)
{
    const struct opened *model = argument;
    for (int i = 0; i < 200; i++) {
        check_part(model, PPI_WEIGHT_GATE_UP, PPI_PART_GATE, 176);
        check_tensor(model, PPI_WEIGHT_O, 136);
    }
    return NULL;
}

START_TEST(reads_from_many_threads)
{
    struct opened model;
    struct path dir = make_dir();
    pthread_t threads[4];
    write_single(dir.text);
    open_model(&model, dir, dir.text);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_repeatedly, &model), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    close_model(&model);
}
END_TEST

/* ---- files that change, files that end ---- */

/* 19, 20: after opening, any change of size or time is an error, and no read goes past it. */
START_TEST(notices_changes)
{
    static const char *const words[] = {"it had", "modification time", "it had"};
    struct opened model;
    struct path dir = make_dir();
    unsigned char bytes[256];
    pp_error err = {.struct_size = sizeof err};
    write_single(dir.text);
    open_model(&model, dir, dir.text);
    struct path file = path_in(dir.text, SINGLE_FILE);
    struct stat info;
    ck_assert_int_eq(stat(file.text, &info), 0);
    if (_i == 0)
        ck_assert_int_eq(truncate(file.text, info.st_size - 1), 0);
    else if (_i == 1)
        ck_assert_int_eq(
            utimensat(AT_FDCWD, file.text, (struct timespec[]){{.tv_sec = 1}, {.tv_sec = 1}}, 0),
            0);
    else
        ck_assert_int_eq(truncate(file.text, info.st_size + 1), 0);
    ck_assert_int_eq(ppi_tensors_read(&model.files.tensors, &model.files.config.spec,
                                      rule_of(&model.files.tensors, PPI_WEIGHT_QKV, PPI_PART_Q), 0,
                                      0, 4, bytes, &err),
                     PP_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, words[_i]));
    ck_assert_ptr_nonnull(strstr(err.message, dir.text));
    close_model(&model);
}
END_TEST

/* A file with another in its place is still the file that was checked. */
START_TEST(keeps_a_replaced_file)
{
    struct opened model;
    struct path dir = make_dir();
    write_single(dir.text);
    open_model(&model, dir, dir.text);
    ck_assert_int_eq(unlink(path_in(dir.text, SINGLE_FILE).text), 0);
    write_file(dir.text, SINGLE_FILE, "x", 1);
    check_part(&model, PPI_WEIGHT_QKV, PPI_PART_Q, 72);
    close_model(&model);
}
END_TEST

/* Every file cut at every byte: refused with a status and a sentence. */
START_TEST(refuses_every_truncation)
{
    static const char *const names[] = {"config.json", SINGLE_FILE, INDEX_FILE, SHARD_1, SHARD_2};
    struct path dir = make_dir();
    if (_i < 2)
        write_single(dir.text);
    else
        write_sharded(dir.text);
    size_t len;
    char *bytes = read_file(dir.text, names[_i], &len);
    ck_assert_int_eq(open_and_close(dir.text, NULL, NULL), PP_OK);
    for (size_t kept = len; kept-- > 0;) {
        pp_error err = {.struct_size = sizeof err};
        ck_assert_int_eq(truncate(path_in(dir.text, names[_i]).text, (off_t)kept), 0);
        pp_status status = open_and_close(dir.text, NULL, &err);
        ck_assert_msg(status == PP_ERR_FORMAT, "%s cut to %zu bytes: %d", names[_i], kept, status);
        ck_assert_msg(strstr(err.message, names[_i]) != NULL, "%s", err.message);
    }
    free(bytes);
    remove_dir(dir.text);
}
END_TEST

/* ---- exhausted memory ---- */

START_TEST(survives_failing_allocations)
{
    bool persistent = _i & 1;
    struct path dir = make_dir();
    if (_i & 2)
        write_sharded(dir.text);
    else
        write_single(dir.text);
    pp_status status = PP_ERR_NOMEM;
    int n = 0;
    while (status == PP_ERR_NOMEM) {
        struct failing failing = {.n_left = ++n, .persistent = persistent};
        const pp_allocator allocator = {.struct_size = sizeof allocator,
                                        .user = &failing,
                                        .allocate = failing_allocate,
                                        .release = failing_release};
        struct opened_model model;
        pp_error err = {.struct_size = sizeof err};
        int n_fds = count_fds();
        ck_assert_int_eq(ppi_mem_init(&model.mem, &allocator, 0, NULL), PP_OK);
        status = open_files(dir.text, NULL, &model, &err);
        if (status == PP_OK)
            close_files(&model);
        else
            ck_assert_ptr_nonnull(strstr(err.message, "no memory for"));
        ck_assert_int_eq(failing.n_blocks, 0);
        ck_assert_int_eq(count_fds(), n_fds);
    }
    ck_assert_int_eq(status, PP_OK);
    ck_assert_int_gt(n, 5);
    remove_dir(dir.text);
}
END_TEST

/* -----------------------------------------------------------------------------------------------
 */

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *refused = tcase_create("refused");
    tcase_set_timeout(refused, 60);
    tcase_add_loop_test(refused, refuses_index, 0, (int)n_malformed_index);
    tcase_add_loop_test(refused, refuses_every_truncation, 0, 5);
    tcase_add_test(refused, needs_an_lm_head);
    tcase_add_test(refused, refuses_blobs_of_another_model);
    tcase_add_test(refused, refuses_elements_outside);
    tcase_add_loop_test(refused, recognises_pointers, 0, 4);
    suite_add_tcase(suite, refused);
    TCase *reading = tcase_create("reading");
    tcase_set_timeout(reading, 60);
    tcase_add_test(reading, reads_a_single_file);
    tcase_add_test(reading, reads_shards);
    tcase_add_test(reading, reads_unaligned_tensors);
    tcase_add_test(reading, reads_the_hugging_face_cache);
    tcase_add_test(reading, follows_links_inside);
    tcase_add_test(reading, warns_of_total_size);
    tcase_add_test(reading, reads_from_many_threads);
    tcase_add_loop_test(reading, notices_changes, 0, 3);
    tcase_add_test(reading, keeps_a_replaced_file);
    suite_add_tcase(suite, reading);
    TCase *memory = tcase_create("memory");
    tcase_set_timeout(memory, 60);
    tcase_add_loop_test(memory, survives_failing_allocations, 0, 4);
    suite_add_tcase(suite, memory);
    return tap_run(suite, CK_FORK);
}
