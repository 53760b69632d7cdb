/*
 * test_gguf_model.c: models in GGUF files: what must be refused, what is said to the log, how a
 * path means a file, windows that the caller states, values in blocks, memory that runs out.
 */
#define _GNU_SOURCE
#include "malformed/failing.h"
#include "malformed/malformed_gguf.h"
#include "malformed/model_maker.h"
#include "model/model_impl.h"
#include "support/gguf_text.h"
#include "support/tap.h"

#include <check.h>
#include <prepack/session.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_text(const char *dir, const char *name, const char *text)
{
    size_t len;
    char *bytes = gguf_assemble(text, &len);
    write_file(dir, name, bytes, len);
    free(bytes);
}

/* The log's last line. */
static void keep_line(void *user, int32_t level, const char *message)
{
    (void)level;
    snprintf(user, 400, "%s", message);
}

/* Opens dir/name; *model is NULL where it is refused. Nothing may leak. */
static pp_status open_model(const char *dir, const char *name, int32_t window, char line[400],
                            pp_model **model, pp_error *err)
{
    pp_model_params params;
    pp_model_params_init(&params, sizeof params);
    params.sliding_window = window;
    params.log = keep_line;
    params.log_user = line;
    *model = NULL;
    *line = '\0';
    *err = (pp_error){.struct_size = sizeof *err};
    int n_fds = count_fds();
    pp_status status = pp_model_open(path_in(dir, name).text, &params, model, err);
    if (status < 0)
        ck_assert_int_eq(count_fds(), n_fds);
    return status;
}

/* ---- refused ---- */

START_TEST(refuses_models)
{
    const struct malformed_gguf *entry = &malformed_gguf_models[_i];
    struct path dir = make_dir();
    char *text = malformed_gguf_text(entry), line[400];
    pp_model *model;
    pp_error err;
    write_text(dir.text, "m.gguf", text);
    pp_status status = open_model(dir.text, "m.gguf", 0, line, &model, &err);
    ck_assert_msg(status == entry->status, "%s: status %d (%s), expected %d", entry->name, status,
                  err.message, entry->status);
    ck_assert_msg(strstr(err.message, entry->message) != NULL, "%s: \"%s\" does not say \"%s\"",
                  entry->name, err.message, entry->message);
    ck_assert_msg(strstr(err.message, path_in(dir.text, "m.gguf").text) != NULL, "%s", err.message);
    free(text);
    remove_dir(dir.text);
}
END_TEST

START_TEST(refuses_every_truncation)
{
    struct path dir = make_dir();
    size_t len;
    char *bytes = gguf_assemble(gguf_tiny, &len), line[400];
    pp_model *model;
    pp_error err;
    write_file(dir.text, "m.gguf", bytes, len);
    for (size_t kept = len - 1; kept >= 4; kept--) { /* shorter ones are no GGUF files */
        ck_assert_int_eq(truncate(path_in(dir.text, "m.gguf").text, (off_t)kept), 0);
        ck_assert_int_eq(open_model(dir.text, "m.gguf", 0, line, &model, &err), PP_ERR_FORMAT);
    }
    free(bytes);
    remove_dir(dir.text);
}
END_TEST

/* ---- paths ---- */

START_TEST(knows_a_file_by_its_first_bytes)
{
    struct path dir = make_dir();
    char line[400];
    pp_model *model;
    pp_error err;
    write_text(dir.text, "weights.bin", gguf_tiny);
    ck_assert_int_eq(open_model(dir.text, "weights.bin", 0, line, &model, &err), PP_OK);
    ck_assert_str_eq(line, "");
    pp_model_config config = {.struct_size = sizeof config};
    ck_assert_int_eq(pp_model_get_config(model, &config, NULL), PP_OK);
    ck_assert_int_eq(config.arch, PP_ARCH_LLAMA);
    ck_assert_int_eq(config.vocab_size, 8);
    ck_assert_int_eq(config.n_kv_heads, 1);
    ck_assert_int_eq(config.tie_embeddings, 1);
    ck_assert_int_eq(config.dtype, PP_DTYPE_F32);
    ck_assert_int_eq(config.bos_token, -1);
    ck_assert_int_eq(config.n_eos_tokens, 1);
    ck_assert_int_eq(config.eos_tokens[0], 2);
    ck_assert(config.norm_eps == 1e-5); /* not the f32 nearest to it */
    pp_model_unref(model);
    ck_assert_int_lt(open_model(dir.text, "", 0, line, &model, &err),
                     0); /* no name ends in .gguf */
    ck_assert_ptr_nonnull(strstr(err.message, "config.json"));
    remove_dir(dir.text);
}
END_TEST

START_TEST(finds_the_only_file_of_a_directory)
{
    struct path dir = make_dir();
    char line[400];
    pp_model *model;
    pp_error err;
    write_text(dir.text, "a.GGUF", gguf_tiny);
    write_file(dir.text, "README.md", "-", 1);
    ck_assert_int_eq(open_model(dir.text, "", 0, line, &model, &err), PP_OK);
    pp_model_unref(model);
    write_file(dir.text, "b.gguf", "text", 4);
    ck_assert_int_eq(open_model(dir.text, "", 0, line, &model, &err), PP_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "a.GGUF, b.gguf; name one of them"));
    ck_assert_int_eq(unlink(path_in(dir.text, "a.GGUF").text), 0);
    ck_assert_int_eq(open_model(dir.text, "", 0, line, &model, &err), PP_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "does not begin with GGUF"));
    write_single(dir.text); /* with config.json it is another kind of directory */
    ck_assert_int_eq(open_model(dir.text, "", 0, line, &model, &err), PP_OK);
    pp_model_unref(model);
    for (int i = 0; i < 12; i++) {
        char name[32];
        snprintf(name, sizeof name, "m%d.gguf", i);
        write_text(dir.text, name, gguf_tiny);
    }
    ck_assert_int_eq(unlink(path_in(dir.text, "config.json").text), 0);
    ck_assert_int_eq(open_model(dir.text, "", 0, line, &model, &err), PP_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "13 GGUF files, among them "));
    remove_dir(dir.text);
}
END_TEST

/* A link that the caller names is followed anywhere. */
START_TEST(follows_a_named_link)
{
    struct path dir = make_dir(), other = make_dir();
    char line[400];
    pp_model *model;
    pp_error err;
    write_text(other.text, "m.gguf", gguf_tiny);
    ck_assert_int_eq(symlink(path_in(other.text, "m.gguf").text, path_in(dir.text, "link").text),
                     0);
    ck_assert_int_eq(open_model(dir.text, "link", 0, line, &model, &err), PP_OK);
    pp_model_unref(model);
    remove_dir(other.text);
    remove_dir(dir.text);
}
END_TEST

/* ---- what is said ---- */

static const struct {
    const char *find, *with, *line;
} SAID[] = {
    {"key \"llama.block_count\"", "key \"llama.mystery\" d:4 d:1 key \"llama.block_count\"",
     "the key llama.mystery is not known and not used"},
    {"@32 *672", "tensor \"blk.0.extra.weight\" d:1 q:8 d:0 q:672 @32 *704",
     "stored, and not used by llama: \"blk.0.extra.weight\""},
};

START_TEST(says_what_it_does_not_use)
{
    struct path dir = make_dir();
    char line[400], *text = replaced(gguf_tiny, SAID[_i].find, SAID[_i].with);
    pp_model *model;
    pp_error err;
    write_text(dir.text, "m.gguf", text);
    ck_assert_int_eq(open_model(dir.text, "m.gguf", 0, line, &model, &err), PP_OK);
    ck_assert_msg(strstr(line, SAID[_i].line) != NULL, "%s", line);
    pp_model_unref(model);
    free(text);
    remove_dir(dir.text);
}
END_TEST

/* ---- windows ---- */

static void expect_window(const char *text, int32_t window, int32_t expected)
{
    struct path dir = make_dir();
    char line[400];
    pp_model *model;
    pp_error err;
    write_text(dir.text, "m.gguf", text);
    pp_status status = open_model(dir.text, "m.gguf", window, line, &model, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    pp_layer_config layer = {.struct_size = sizeof layer};
    ck_assert_int_eq(pp_model_get_layer(model, 0, &layer, NULL), PP_OK);
    ck_assert_int_eq(layer.sliding_window, expected);
    pp_model_unref(model);
    remove_dir(dir.text);
}

START_TEST(takes_a_window_from_the_caller)
{
    char *stated =
        replaced(gguf_tiny, "key \"llama.block_count\"",
                 "key \"llama.attention.sliding_window\" d:4 d:8 key \"llama.block_count\"");
    expect_window(gguf_tiny, 0, 0);
    expect_window(gguf_tiny, 4096, 4096);
    expect_window(stated, 0, 8);
    expect_window(stated, 5, 5);
    free(stated);
}
END_TEST

/* text with every `find` replaced; the caller frees it. */
static char *replaced_all(const char *text, const char *find, const char *with)
{
    char *all = strdup(text);
    while (strstr(all, find)) {
        char *next = replaced(all, find, with);
        free(all);
        all = next;
    }
    return all;
}

START_TEST(refuses_windows_of_others)
{
    struct path dir = make_dir();
    char line[400], *qwen = replaced_all(gguf_tiny, "llama", "qwen3");
    pp_model *model;
    pp_error err;
    write_text(dir.text, "m.gguf", qwen);
    ck_assert_int_eq(open_model(dir.text, "m.gguf", 4096, line, &model, &err), PP_ERR_ARG);
    ck_assert_ptr_nonnull(
        strstr(err.message, "sliding_window is 4096; files of architecture qwen3"));
    ck_assert_int_eq(open_model(dir.text, "m.gguf", -1, line, &model, &err), PP_ERR_ARG);
    ck_assert_ptr_nonnull(strstr(err.message, "sliding_window is -1"));
    write_single(dir.text);
    ck_assert_int_eq(open_model(dir.text, "", 4096, line, &model, &err), PP_ERR_ARG);
    ck_assert_ptr_nonnull(strstr(err.message, "config.json"));
    pp_model_params params;
    pp_model_params_init(&params, sizeof params);
    params.sliding_window = 7;
    ck_assert_int_eq(pp_model_create_random(tiny_config, 1, &params, &model, &err), PP_ERR_ARG);
    free(qwen);
    remove_dir(dir.text);
}
END_TEST

/* ---- hybrids ---- */

#define NUMBER(name, value) "key \"granitehybrid." name "\" d:4 d:" value " "
#define LAYERS(values)      "key \"granitehybrid.attention.head_count_kv\" d:9 d:4 " values " "
#define MAMBA                                                                                      \
    LAYERS("q:2 d:0 d:1")                                                                          \
    NUMBER("ssm.time_step_rank", "2")                                                              \
    NUMBER("ssm.state_size", "1") NUMBER("ssm.group_count", "1") NUMBER("ssm.conv_kernel", "2")

/* The tiny model as one of Granite's hybrids, of two layers; the caller frees it. */
static char *hybrid_text(const char *keys)
{
    char more[2000], *hybrid = replaced_all(gguf_tiny, "llama", "granitehybrid");
    snprintf(more, sizeof more, "%s%skey \"general.architecture\"",
             NUMBER("expert_shared_feed_forward_length", "4"), keys);
    char *longer = replaced(hybrid, "block_count\" d:4 d:1", "block_count\" d:4 d:2");
    char *text = replaced(longer, "key \"general.architecture\"", more);
    free(longer);
    free(hybrid);
    return text;
}

START_TEST(refuses_hybrids)
{
    static const struct {
        const char *keys, *message;
        pp_status status;
    } all[] = {
        {"", "attention.head_count_kv is missing; an integer, or one for each", PP_ERR_FORMAT},
        {LAYERS("q:1 d:0"), "an integer, or one for each layer", PP_ERR_FORMAT},
        {"key \"granitehybrid.attention.head_count_kv\" d:9 d:5 q:2 d:0 d:-1 ",
         "integers of at least 0", PP_ERR_FORMAT},
        {LAYERS("q:2 d:0 d:1"), "ssm.time_step_rank is missing", PP_ERR_FORMAT},
        {MAMBA, "ssm.inner_size is missing", PP_ERR_FORMAT},
        {MAMBA NUMBER("ssm.inner_size", "6"), "ssm.inner_size is 6; a multiple", PP_ERR_FORMAT},
        {MAMBA NUMBER("ssm.inner_size", "8"), "no tensor \"blk.0.ssm_in.weight\"", PP_ERR_FORMAT},
    };
    for (size_t i = 0; i < PPI_COUNT(all); i++) {
        struct path dir = make_dir();
        char line[400], *text = hybrid_text(all[i].keys);
        pp_model *model;
        pp_error err;
        write_text(dir.text, "m.gguf", text);
        pp_status status = open_model(dir.text, "m.gguf", 0, line, &model, &err);
        ck_assert_msg(status == all[i].status && strstr(err.message, all[i].message), "%s",
                      err.message);
        free(text);
        remove_dir(dir.text);
    }
}
END_TEST

/* A file of zeros: but one thing in it must be below 0, which is seen when it is read. */
START_TEST(refuses_decays_that_are_none)
{
    static const struct {
        const char *name;
        int n_rows, n_cols; /* n_cols 0: a vector */
    } tensors[] = {{"token_embd.weight", 8, 4},
                   {"output_norm.weight", 4, 0},
                   {"blk.0.attn_norm.weight", 4, 0},
                   {"blk.0.ffn_norm.weight", 4, 0},
                   {"blk.0.ssm_in.weight", 20, 4},
                   {"blk.0.ssm_conv1d.weight", 10, 2},
                   {"blk.0.ssm_a", 2, 1},
                   {"blk.0.ssm_d", 2, 1},
                   {"blk.0.ssm_dt.bias", 2, 0},
                   {"blk.0.ssm_norm.weight", 1, 8},
                   {"blk.0.ssm_out.weight", 4, 8},
                   {"blk.0.ffn_gate.weight", 4, 4},
                   {"blk.1.attn_norm.weight", 4, 0},
                   {"blk.1.ffn_norm.weight", 4, 0},
                   {"blk.1.attn_q.weight", 4, 4},
                   {"blk.1.attn_k.weight", 4, 4},
                   {"blk.1.attn_v.weight", 4, 4},
                   {"blk.1.attn_output.weight", 4, 4},
                   {"blk.1.ffn_gate.weight", 4, 4},
                   {"blk.1.ffn_up.weight", 4, 4},
                   {"blk.1.ffn_down.weight", 4, 4},
                   {"blk.0.ffn_up.weight", 4, 4},
                   {"blk.0.ffn_down.weight", 4, 4}};
    struct path dir = make_dir();
    char line[400], text[6000], *keys = hybrid_text(MAMBA NUMBER("ssm.inner_size", "8"));
    pp_model *model;
    pp_session *session;
    pp_error err;
    int used = snprintf(text, sizeof text, "%.*s", (int)(strstr(keys, "tensor") - keys), keys);
    int at = 0;
    for (size_t i = 0; i < PPI_COUNT(tensors); i++) {
        int n = tensors[i].n_rows, k = tensors[i].n_cols;
        used +=
            snprintf(text + used, sizeof text - (size_t)used, "tensor \"%s\" ", tensors[i].name);
        used +=
            k > 0 ? snprintf(text + used, sizeof text - (size_t)used, "d:2 q:%d q:%d d:0 q:%d ", k,
                             n, at)
                  : snprintf(text + used, sizeof text - (size_t)used, "d:1 q:%d d:0 q:%d ", n, at);
        at += (n * (k > 0 ? k : 1) * 4 + 31) / 32 * 32;
    }
    snprintf(text + used, sizeof text - (size_t)used, "@32 *%d", at);
    write_text(dir.text, "m.gguf", text);
    ck_assert_msg(open_model(dir.text, "m.gguf", 0, line, &model, &err) == PP_OK, "%s",
                  err.message);
    ck_assert_int_eq(pp_session_create(model, NULL, &session, &err), PP_ERR_FORMAT);
    ck_assert_msg(strstr(err.message, "\"blk.0.ssm_a\" has 0; finite numbers below 0"), "%s",
                  err.message);
    pp_model_unref(model);
    free(keys);
    remove_dir(dir.text);
}
END_TEST

/* ---- values ---- */

#define EIGHT   "b:1 b:2 b:3 b:4 b:5 b:6 b:7 b:8 "
#define Q8_0(d) d " " EIGHT EIGHT EIGHT EIGHT

/* Two rows of two blocks: scales 1, 2, 4, 0.5. */
START_TEST(reads_rows_of_blocks)
{
    static const float scales[] = {1, 2, 4, 0.5f};
    struct path dir = make_dir();
    write_text(dir.text, "m.gguf",
               "'GGUF' d:3 nt nk tensor \"a\" d:2 q:64 q:2 d:8 q:0 @32 " Q8_0("w:0x3c00")
                   Q8_0("w:0x4000") Q8_0("w:0x4400") Q8_0("w:0x3800"));
    struct ppi_mem mem;
    struct ppi_source *source;
    struct ppi_stored stored;
    float values[128];
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    ck_assert_int_eq(ppi_source_open_gguf(dir.text, &mem, &source, &err), PP_OK);
    ck_assert(ppi_source_find(source, "a", &stored) && !ppi_source_find(source, "b", &stored));
    ck_assert(ppi_source_find(source, "a", &stored));
    for (int first = 0; first < 4; first++)
        for (int n = 0; n <= 4 - first; n++) {
            memset(values, 0xff, sizeof values);
            ck_assert_int_eq(ppi_stored_read(&stored, 32 * first, 32 * n, values, &err), PP_OK);
            for (int i = 0; i < 32 * n; i++)
                ck_assert(values[i] == scales[first + i / 32] * (float)(i % 8 + 1));
        }
    ck_assert_int_eq(ppi_stored_read(&stored, 16, 32, values, &err), PP_ERR_INTERNAL);
    ck_assert_int_eq(ppi_stored_read(&stored, 0, 33, values, &err), PP_ERR_INTERNAL);
    ck_assert_int_eq(ppi_stored_read(&stored, 96, 64, values, &err), PP_ERR_INTERNAL);
    ppi_source_close(source);
    ck_assert_int_eq(mem.bytes, 0);
    remove_dir(dir.text);
}
END_TEST

/* ---- what the weights are said to be ---- */

/* The tiny model with matrices of the type `most`, but for the last, of `last`. The caller frees
 * it.
 */
static char *typed_text(int most, int last)
{
    static const char *const matrices[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                           "ffn_gate", "ffn_up", "ffn_down"};
    const char *tail = strstr(gguf_tiny, "tensor \"blk.0.attn_q");
    char *text = malloc(4000);
    int used = sprintf(text, "%.*s", (int)(tail - gguf_tiny), gguf_tiny), at = 192;
    for (size_t i = 0; i < PPI_COUNT(matrices); i++) {
        int type = i + 1 == PPI_COUNT(matrices) ? last : most;
        used += sprintf(text + used, "tensor \"blk.0.%s.weight\" d:2 q:4 q:4 d:%d q:%d ",
                        matrices[i], type, at);
        at += type == 0 ? 64 : 32;
    }
    sprintf(text + used, "tensor \"blk.0.ffn_norm.weight\" d:1 q:4 d:0 q:%d @32 *%d", at, at + 16);
    return text;
}

/* The table and the norms are F32. */
START_TEST(says_one_dtype_of_all_matrices)
{
    static const struct {
        int most, last, embed;
        int32_t dtype;
    } all[] = {{0, 0, 0, PP_DTYPE_F32},     {1, 1, 0, PP_DTYPE_F32},   {1, 1, 1, PP_DTYPE_F16},
               {30, 30, 30, PP_DTYPE_BF16}, {30, 1, 30, PP_DTYPE_F32}, {30, 0, 30, PP_DTYPE_F32}};
    for (size_t i = 0; i < PPI_COUNT(all); i++) {
        struct path dir = make_dir();
        char line[400], embed[80], *text = typed_text(all[i].most, all[i].last);
        pp_model *model;
        pp_error err;
        if (all[i].embed) { /* takes the room of the F32 table with twice as many tokens */
            snprintf(embed, sizeof embed, "d:2 q:4 q:16 d:%d q:0", all[i].embed);
            char *other = replaced(text, "d:2 q:4 q:8 d:0 q:0", embed);
            free(text);
            text = other;
        }
        write_text(dir.text, "m.gguf", text);
        pp_status status = open_model(dir.text, "m.gguf", 0, line, &model, &err);
        ck_assert_msg(status == PP_OK, "%s", err.message);
        pp_model_config config = {.struct_size = sizeof config};
        ck_assert_int_eq(pp_model_get_config(model, &config, NULL), PP_OK);
        ck_assert_int_eq(config.dtype, all[i].dtype);
        pp_model_unref(model);
        free(text);
        remove_dir(dir.text);
    }
}
END_TEST

/* ---- exhausted memory ---- */

START_TEST(survives_failing_allocations)
{
    struct path dir = make_dir();
    char *text = replaced(gguf_tiny, "@32 *672",
                          "tensor \"rope_freqs.weight\" d:1 q:2 d:0 q:672 @32 *672 f:1 f:2");
    write_text(dir.text, "m.gguf", text);
    pp_status status = PP_ERR_NOMEM;
    int n = 0;
    while (status == PP_ERR_NOMEM) {
        struct failing failing = {.n_left = ++n, .persistent = _i & 1};
        const pp_allocator allocator = {.struct_size = sizeof allocator,
                                        .user = &failing,
                                        .allocate = failing_allocate,
                                        .release = failing_release};
        pp_model_params params;
        pp_model *model;
        pp_error err = {.struct_size = sizeof err};
        int n_fds = count_fds();
        pp_model_params_init(&params, sizeof params);
        params.allocator = &allocator;
        status = pp_model_open(path_in(dir.text, "m.gguf").text, &params, &model, &err);
        if (status == PP_OK)
            pp_model_unref(model);
        else
            ck_assert_ptr_nonnull(strstr(err.message, "no memory for"));
        ck_assert_int_eq(failing.n_blocks, 0);
        ck_assert_int_eq(count_fds(), n_fds);
    }
    ck_assert_msg(status == PP_OK, "status %d", status);
    ck_assert_int_gt(n, 10);
    free(text);
    remove_dir(dir.text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gguf-model");
    TCase *refused = tcase_create("refused");
    tcase_set_timeout(refused, 60);
    tcase_add_loop_test(refused, refuses_models, 0, (int)n_malformed_gguf_models);
    tcase_add_test(refused, refuses_every_truncation);
    tcase_add_test(refused, refuses_windows_of_others);
    tcase_add_test(refused, refuses_hybrids);
    tcase_add_test(refused, refuses_decays_that_are_none);
    suite_add_tcase(suite, refused);
    TCase *opening = tcase_create("opening");
    tcase_set_timeout(opening, 60);
    tcase_add_test(opening, knows_a_file_by_its_first_bytes);
    tcase_add_test(opening, finds_the_only_file_of_a_directory);
    tcase_add_test(opening, follows_a_named_link);
    tcase_add_loop_test(opening, says_what_it_does_not_use, 0, (int)PPI_COUNT(SAID));
    tcase_add_test(opening, takes_a_window_from_the_caller);
    tcase_add_test(opening, reads_rows_of_blocks);
    tcase_add_test(opening, says_one_dtype_of_all_matrices);
    tcase_add_loop_test(opening, survives_failing_allocations, 0, 2);
    suite_add_tcase(suite, opening);
    return tap_run(suite, CK_FORK);
}
