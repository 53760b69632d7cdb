/*
 * test_tensors.c: which of the stored tensors a model takes: by what names, tied or not, and what
 * is said of those that it does not take.
 */
#define _GNU_SOURCE
#include "malformed/malformed.h"
#include "support/tap.h"

#include <check.h>

static char last_warning[512];

static void keep_warning(void *user, int32_t level, const char *message)
{
    (void)user;
    if (level == PP_LOG_WARNING)
        snprintf(last_warning, sizeof last_warning, "%s", message);
}

static const struct ppi_log KEEP = {.fn = keep_warning};

/* Opens a directory that there is nothing to say about. */
static void open_quietly(struct opened_model *model, const char *dir)
{
    pp_error err = {.struct_size = sizeof err};
    last_warning[0] = '\0';
    ck_assert_int_eq(ppi_mem_init(&model->mem, NULL, 0, NULL), PP_OK);
    pp_status status = open_files(dir, &KEEP, model, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    ck_assert_str_eq(last_warning, "");
}

/* A weight of one tensor begins where it should in the data that write_safetensors makes. */
static void check_begin(const struct opened_model *model, enum ppi_weight weight, size_t begin)
{
    unsigned char bytes[64];
    const struct ppi_tensors *tensors = &model->tensors;
    int32_t i = 0;
    while (tensors->rules[i].weight != weight)
        i++;
    ck_assert_int_eq(ppi_tensors_read(tensors, &model->config.spec, i, 0, 0, 1, bytes, NULL),
                     PP_OK);
    for (size_t b = 0; b < 8; b++)
        ck_assert_int_eq(bytes[b], ((begin + b) * 7 + 3) & 0xff);
}

/* Writes the tiny model in one file, tied, with this header. */
static void write_tied(const char *dir, const char *header)
{
    char *config = replaced(tiny_config, "embeddings\":false", "embeddings\":true");
    write_single(dir);
    write_file(dir, "config.json", config, strlen(config));
    write_safetensors(dir, SINGLE_FILE, header, strlen(header), TINY_DATA_BYTES);
    free(config);
}

/* Tied, without a head: it is the embedding. */
START_TEST(reads_tied_embeddings)
{
    struct opened_model model;
    struct path dir = make_dir();
    char *header = make_header(0, TINY_N_TENSORS, 0);
    char *without = replaced(header, "\"lm_head.weight\"", "\"rotary_emb.inv_freq\"");
    write_tied(dir.text, without);
    open_quietly(&model, dir.text);
    ck_assert(model.config.spec.tie_embeddings);
    check_begin(&model, PPI_WEIGHT_LM_HEAD, 0);
    close_files(&model);
    free(without);
    free(header);
    remove_dir(dir.text);
}
END_TEST

/* Tied, and a head that differs: two weights, as transformers has it, and a word about it. */
START_TEST(reads_a_head_that_differs)
{
    struct opened_model model;
    struct path dir = make_dir();
    char *header = make_header(0, TINY_N_TENSORS, 0);
    write_tied(dir.text, header);
    ck_assert_int_eq(ppi_mem_init(&model.mem, NULL, 0, NULL), PP_OK);
    ck_assert_int_eq(open_files(dir.text, &KEEP, &model, NULL), PP_OK);
    ck_assert(!model.config.spec.tie_embeddings);
    ck_assert_ptr_nonnull(strstr(last_warning, "tie_word_embeddings is true, but "
                                               "\"model.embed_tokens.weight\" and "
                                               "\"lm_head.weight\" are both stored and differ"));
    close_files(&model);
    free(header);
    remove_dir(dir.text);
}
END_TEST

/* Tied, and a head with the same values: nothing to say. The values repeat every 256 bytes, so the
 * 64 of a head at 320 are made those of the embedding at 0. */
START_TEST(reads_a_head_that_is_the_same)
{
    struct opened_model model;
    struct path dir = make_dir();
    char *header = make_header(0, TINY_N_TENSORS, 0);
    write_tied(dir.text, header);
    FILE *file = fopen(path_in(dir.text, SINGLE_FILE).text, "r+b");
    ck_assert_int_eq(fseek(file, (long)(8 + strlen(header) + 320), SEEK_SET), 0);
    for (int i = 0; i < 64; i++)
        putc((i * 7 + 3) & 0xff, file);
    ck_assert_int_eq(fclose(file), 0);
    open_quietly(&model, dir.text);
    ck_assert(model.config.spec.tie_embeddings);
    close_files(&model);
    free(header);
    remove_dir(dir.text);
}
END_TEST

/* An index may list what nobody needs and no shard has, and a shard hold what it does not list. */
START_TEST(reads_an_index_that_lists_more)
{
    struct path dir = make_dir();
    size_t len;
    write_sharded(dir.text);
    char *index = read_file(dir.text, INDEX_FILE, &len);
    index[len] = '\0';
    char *more = replaced(index, "\"weight_map\":{", "\"weight_map\":{\"ghost\":\"" SHARD_1 "\",");
    write_file(dir.text, INDEX_FILE, more, strlen(more));
    last_warning[0] = '\0';
    ck_assert_int_eq(open_and_close(dir.text, &KEEP, NULL), PP_OK);
    ck_assert_str_eq(last_warning, "");
    free(more);
    free(index);
    remove_dir(dir.text);
}
END_TEST

/* One name more in the file: what must be said of it. */
START_TEST(warns_of_unused_tensors)
{
    static const struct {
        const char *name, *warning;
    } cases[] = {
        {"model.layers.0.self_attn.q_proj.bias",
         "stored, and not used by llama: \"model.layers.0.self_attn.q_proj.bias\""},
        {"vision_tower.x", "not used by llama: \"vision_tower.x\""},
        {"model.layers.0.self_attn.rotary_emb.inv_freq", ""},
    };
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        struct path dir = make_dir();
        char name[80];
        char *header = make_header(0, TINY_N_TENSORS, 2);
        snprintf(name, sizeof name, "\"%s\":", cases[i].name);
        char *named = replaced(header, "\"lead\":", name);
        write_single(dir.text);
        write_safetensors(dir.text, SINGLE_FILE, named, strlen(named), TINY_DATA_BYTES + 2);
        last_warning[0] = '\0';
        ck_assert_int_eq(open_and_close(dir.text, &KEEP, NULL), PP_OK);
        if (cases[i].warning[0])
            ck_assert_msg(strstr(last_warning, cases[i].warning) != NULL, "%s", last_warning);
        else
            ck_assert_str_eq(last_warning, "");
        free(named);
        free(header);
        remove_dir(dir.text);
    }
}
END_TEST

/* Many of them, with long names: some are named, the others counted. */
START_TEST(counts_unused_tensors)
{
    struct path dir = make_dir();
    char *header = make_header(0, TINY_N_TENSORS, 0), *more;
    char name[600] = "";
    for (int i = 0; i < 100; i++)
        memcpy(name + strlen(name), "long.", 6);
    size_t room = 32 * sizeof name;
    more = calloc(room, 1);
    more[0] = '{';
    for (int i = 0; i < 30; i++)
        snprintf(more + strlen(more), room - strlen(more),
                 "\"extra.%d%s\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},", i,
                 i == 12 ? name : ""); /* the fourth by name */
    strcat(more, header + 1);
    write_single(dir.text);
    write_safetensors(dir.text, SINGLE_FILE, more, strlen(more), TINY_DATA_BYTES);
    ck_assert_int_eq(open_and_close(dir.text, &KEEP, NULL), PP_OK);
    ck_assert_ptr_nonnull(
        strstr(last_warning,
               "llama: \"extra.0\", \"extra.1\", \"extra.10\", \"extra.11\" and 26 more tensors"));
    free(more);
    free(header);
    remove_dir(dir.text);
}
END_TEST

/* The tiny model's header with other prefixes for the names of the model and of its head. */
static char *with_prefixes(const char *model, const char *head)
{
    static const char old_model[] = "\"model.", old_head[] = "\"lm_head.";
    char *header = make_header(0, TINY_N_TENSORS, 0), *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    for (const char *at = header; *at;) {
        bool is_model = strncmp(at, old_model, sizeof old_model - 1) == 0;
        bool is_head = strncmp(at, old_head, sizeof old_head - 1) == 0;
        if (!is_model && !is_head) {
            putc(*at++, out);
            continue;
        }
        fprintf(out, "\"%s", is_model ? model : head);
        at += is_model ? sizeof old_model - 1 : 1;
    }
    fclose(out);
    free(header);
    return text;
}

/* A text model's names may hang in four places, the first of which every other test has. */
START_TEST(finds_names_by_their_place)
{
    static const char *const prefixes[][2] = {
        {"language_model.model.", "language_model."},
        {"model.language_model.", ""},
        {"", ""},
    };
    struct opened_model model;
    struct path dir = make_dir();
    char *header = with_prefixes(prefixes[_i][0], prefixes[_i][1]);
    write_single(dir.text);
    write_safetensors(dir.text, SINGLE_FILE, header, strlen(header), TINY_DATA_BYTES);
    open_quietly(&model, dir.text);
    check_begin(&model, PPI_WEIGHT_DOWN, 272);
    check_begin(&model, PPI_WEIGHT_FINAL_NORM, 384);
    check_begin(&model, PPI_WEIGHT_LM_HEAD, 320);
    close_files(&model);
    free(header);
    remove_dir(dir.text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensors");
    TCase *tied = tcase_create("tied");
    tcase_add_test(tied, reads_tied_embeddings);
    tcase_add_test(tied, reads_a_head_that_differs);
    tcase_add_test(tied, reads_a_head_that_is_the_same);
    suite_add_tcase(suite, tied);
    TCase *names = tcase_create("names");
    tcase_add_test(names, reads_an_index_that_lists_more);
    tcase_add_test(names, warns_of_unused_tensors);
    tcase_add_test(names, counts_unused_tensors);
    tcase_add_loop_test(names, finds_names_by_their_place, 0, 3);
    suite_add_tcase(suite, names);
    return tap_run(suite, CK_FORK);
}
