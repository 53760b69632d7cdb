/*
 * test_convert.c: pp_model_convert: what was written computes the bits of the session that would
 * have quantised, for every family and from GGUF files; plain formats are plain directories; calls
 * that are refused, and runs that fail, leave nothing; damaged directories get a sentence.
 */
#define _GNU_SOURCE
#include "formats_world.h"
#include "support/make_checkpoint.h"
#include "support/make_family.h"
#include "support/make_gguf.h"
#include "support/tap.h"

#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static char *folder;

static void make_world(void)
{
    folder = make_folder();
}

static void end_world(void)
{
    remove_folder(folder);
}

static pp_convert_params params_of(int32_t weights)
{
    pp_convert_params params;
    pp_convert_params_init(&params, sizeof params);
    params.weights = weights;
    params.n_threads = 3;
    return params;
}

/* The model converted and opened; the directory is removed by the next. */
static pp_model *converted(pp_model *model, int32_t weights)
{
    pp_model *opened;
    pp_convert_params params = params_of(weights);
    remove_folder(strdup(in_folder(folder, "out")));
    OK(pp_model_convert(model, in_folder(folder, "out"), &params, perr));
    opened = open_model(in_folder(folder, "out"));
    pp_model_config a = {.struct_size = sizeof a}, b = {.struct_size = sizeof b};
    OK(pp_model_get_config(model, &a, perr));
    OK(pp_model_get_config(opened, &b, perr));
    if (weights < PP_WEIGHTS_INT8)
        b.dtype = a.dtype; /* the file's own */
    ck_assert_mem_eq(&a, &b, sizeof a);
    ck_assert_int_eq(pp_model_n_parameters(model), pp_model_n_parameters(opened));
    return opened;
}

static void expect_equal(const char *name, pp_model *model, int32_t weights, int32_t dtype)
{
    pp_model *other = converted(model, weights);
    expect_same_bits(name, model, weights, other, PP_WEIGHTS_AUTO, dtype);
    if (weights >= PP_WEIGHTS_INT8) {
        pp_session *session = open_session(other, dtype, PP_WEIGHTS_AUTO);
        ck_assert_int_eq(info_of(session).weights, weights);
        pp_session_destroy(session);
        expect_same_bits(name, other, weights, other, PP_WEIGHTS_AUTO, dtype);
    }
    pp_model_unref(other);
}

/* Every family; the formats take turns. */
START_TEST(families_keep_their_bits)
{
    const char *family = checkpoint_families[_i];
    struct rng rng = {(uint64_t)_i + 3};
    if (_i % run_step() != 0)
        return;
    char *dir = checkpoint_write_family(family, &rng);
    pp_model *model = open_model(dir);
    int32_t dtype = _i % 2 ? PP_DTYPE_BF16 : PP_DTYPE_F32;
    expect_equal(family, model, PP_WEIGHTS_INT8 + _i % 3, dtype);
    expect_equal(family, model, _i % 2 ? PP_WEIGHTS_BF16 : PP_WEIGHTS_F32, dtype);
    pp_model_unref(model);
    checkpoint_remove(dir);
}
END_TEST

/* Experts and linear layers, in the forms that files of their classes have: made up, written, and
 * read again. */
START_TEST(other_layers_keep_their_bits)
{
    static const char *const texts[] = {
        "{\"model_type\":\"gpt_oss\",\"vocab_size\":60,\"hidden_size\":64,\"intermediate_size\":96,"
        "\"num_hidden_layers\":2,\"num_attention_heads\":2,\"num_key_value_heads\":1,"
        "\"head_dim\":32,\"num_local_experts\":4,\"num_experts_per_tok\":2}",
        "{\"model_type\":\"qwen3_next\",\"vocab_size\":60,\"hidden_size\":64,"
        "\"num_hidden_layers\":4,\"num_attention_heads\":2,\"num_key_value_heads\":1,"
        "\"head_dim\":32,\"num_experts\":4,\"num_experts_per_tok\":2,"
        "\"moe_intermediate_size\":40,\"shared_expert_intermediate_size\":40,"
        "\"linear_num_key_heads\":2,\"linear_num_value_heads\":4,"
        "\"linear_key_head_dim\":8,\"linear_value_head_dim\":8}"};
    pp_model *model;
    OK(pp_model_create_random(texts[_i], 3, NULL, &model, perr));
    for (int32_t weights = PP_WEIGHTS_F32; weights <= PP_WEIGHTS_NF4; weights++)
        expect_equal("random", model, weights, PP_DTYPE_F32);
    pp_model_unref(model);
}
END_TEST

static pp_model *gguf_model(int matrices, int values, int embedding)
{
    struct rng rng = {7};
    const struct gguf_shape shape = {.n_layers = 2,
                                     .vocab = 96,
                                     .hidden = 256,
                                     .inner = 512,
                                     .n_heads = 8,
                                     .n_kv_heads = 2,
                                     .matrices = matrices,
                                     .values = values,
                                     .embedding = embedding};
    gguf_write(in_folder(folder, "m.gguf"), &shape, &rng);
    return open_model(in_folder(folder, "m.gguf"));
}

/* Blocks of 4 bits go over as they are; rows of q and k get the order of the class. */
START_TEST(gguf_files_keep_their_bits)
{
    static const int types[][3] = {{GGUF_Q8_0, GGUF_Q8_0, GGUF_F32},
                                   {GGUF_Q4_0, GGUF_Q4_0, GGUF_Q4_0},
                                   {GGUF_Q4_1, GGUF_Q4_1, GGUF_BF16},
                                   {GGUF_Q4_K, GGUF_Q8_0, GGUF_Q4_K},
                                   {GGUF_Q4_0, GGUF_Q4_K, GGUF_Q8_0}};
    pp_model *model = gguf_model(types[_i][0], types[_i][1], types[_i][2]);
    for (int32_t weights = PP_WEIGHTS_F32; weights <= PP_WEIGHTS_NF4; weights++)
        expect_equal("gguf", model, weights, PP_DTYPE_F32);
    pp_model_unref(model);
}
END_TEST

/* ---- refused ---- */

static pp_model *tiny(void)
{
    pp_model *model;
    OK(pp_model_create_random("{\"model_type\":\"llama\",\"vocab_size\":40,\"hidden_size\":64,"
                              "\"intermediate_size\":96,\"num_hidden_layers\":1,"
                              "\"num_attention_heads\":2,\"num_key_value_heads\":1}",
                              1, NULL, &model, perr));
    return model;
}

static int n_entries(void)
{
    int n = -2; /* . and .. */
    DIR *dir = opendir(folder);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void expect_refused(pp_model *model, const char *path, const pp_convert_params *params,
                           pp_status status, const char *says)
{
    pp_error err = {.struct_size = sizeof err};
    int n = n_entries();
    ck_assert_int_eq(pp_model_convert(model, path, params, &err), status);
    ck_assert_msg(strstr(err.message, says) != NULL, "\"%s\" does not say \"%s\"", err.message,
                  says);
    ck_assert_int_eq(n_entries(), n);
}

START_TEST(bad_calls_are_refused)
{
    pp_model *model = tiny(), *again;
    const char *out = in_folder(folder, "refused");
    pp_convert_params params = params_of(PP_WEIGHTS_INT8), bad = params;
    expect_refused(NULL, out, &params, PP_ERR_ARG, "model is NULL");
    expect_refused(model, NULL, &params, PP_ERR_ARG, "directory is NULL");
    expect_refused(model, "", &params, PP_ERR_ARG, "0 bytes");
    expect_refused(model, out, NULL, PP_ERR_ARG, "weights is 0; allowed: 1 (f32) to 5 (nf4)");
    bad.weights = 6;
    expect_refused(model, out, &bad, PP_ERR_ARG, "weights is 6");
    bad = params;
    bad.n_threads = 257;
    expect_refused(model, out, &bad, PP_ERR_ARG, "n_threads is 257; allowed: 0 to 256");
    bad = params;
    bad.struct_size = 0;
    expect_refused(model, out, &bad, PP_ERR_STRUCT_SIZE, "pp_convert_params");
    expect_refused(model, folder, &params, PP_ERR_IO, "is not empty");
    expect_refused(model, "/dev/null", &params, PP_ERR_IO, "cannot become a directory");
    expect_refused(model, in_folder(folder, "no/such/place"), &params, PP_ERR_IO, "cannot be made");
    again = converted(model, PP_WEIGHTS_INT4);
    expect_refused(again, in_folder(folder, "refused"), &params, PP_ERR_UNSUPPORTED,
                   "was converted to int4");
    pp_model_unref(again);
    pp_model_unref(model);
}
END_TEST

static int32_t stop_later(void *user, int64_t done, int64_t total)
{
    ck_assert(done > 0 && done <= total);
    return --*(int *)user == 0;
}

START_TEST(ends_when_told_to)
{
    pp_model *model = tiny();
    pp_convert_params params = params_of(PP_WEIGHTS_NF4);
    int n = 3;
    params.progress = stop_later;
    params.user = &n;
    expect_refused(model, in_folder(folder, "refused"), &params, PP_ERR_CANCELLED, "was cancelled");
    pp_model_unref(model);
}
END_TEST

/* A file that may grow no further stands for a full disk. */
START_TEST(a_full_disk_leaves_nothing)
{
    pp_model *model = tiny();
    pp_convert_params params = params_of(PP_WEIGHTS_INT8);
    struct rlimit before, small;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t most = 0; most < 20000; most += 3000) {
        small = (struct rlimit){most, before.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
        expect_refused(model, in_folder(folder, "refused"), &params, PP_ERR_IO,
                       "cannot be written");
    }
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    pp_model_unref(model);
}
END_TEST

START_TEST(an_empty_directory_is_taken)
{
    pp_model *model = tiny();
    pp_convert_params params = params_of(PP_WEIGHTS_INT8);
    char *path = strdup(in_folder(folder, "empty/"));
    OK(pp_model_convert(model, path, &params, perr));
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(pp_model_convert(model, path, &params, &err), PP_ERR_IO);
    pp_model_unref(open_model(path));
    remove_folder(path);
    pp_model_unref(model);
}
END_TEST

START_TEST(another_format_is_refused)
{
    pp_model *model = tiny(), *other = converted(model, PP_WEIGHTS_INT4);
    pp_session_params params;
    pp_session *session;
    pp_error err = {.struct_size = sizeof err};
    pp_session_params_init(&params, sizeof params);
    for (int32_t weights = PP_WEIGHTS_F32; weights <= PP_WEIGHTS_NF4; weights++) {
        params.weights = weights;
        if (weights == PP_WEIGHTS_INT4)
            continue;
        ck_assert_int_eq(pp_session_create(other, &params, &session, &err), PP_ERR_UNSUPPORTED);
        ck_assert_ptr_nonnull(strstr(err.message, "was converted to int4; allowed: auto and int4"));
    }
    pp_model_unref(other);
    pp_model_unref(model);
}
END_TEST

/* ---- memory runs out ---- */

/* The n-th allocation fails, and all after it; negative: none does. */
struct scarce {
    int n_left, n_blocks;
};

static void *scarce_allocate(void *user, size_t bytes, size_t alignment)
{
    struct scarce *scarce = user;
    if (scarce->n_left == 0)
        return NULL;
    scarce->n_left -= scarce->n_left > 0;
    scarce->n_blocks++;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void scarce_release(void *user, void *memory, size_t bytes)
{
    struct scarce *scarce = user;
    (void)bytes;
    scarce->n_blocks -= memory != NULL;
    free(memory);
}

START_TEST(survives_failing_allocations)
{
    struct scarce scarce = {.n_left = -1};
    const pp_allocator allocator = {.struct_size = sizeof allocator,
                                    .user = &scarce,
                                    .allocate = scarce_allocate,
                                    .release = scarce_release};
    pp_model_params params;
    pp_convert_params convert = params_of(PP_WEIGHTS_INT4);
    pp_model *model = tiny(), *opened = converted(model, PP_WEIGHTS_INT8), *scarce_model;
    const char *path = in_folder(folder, "out");
    pp_status status = PP_ERR_NOMEM;
    pp_error problem = {.struct_size = sizeof problem};
    int n = 0;
    pp_model_params_init(&params, sizeof params);
    params.allocator = &allocator;
    for (; status == PP_ERR_NOMEM; n++) {
        scarce = (struct scarce){.n_left = n};
        status = pp_model_open(path, &params, &scarce_model, &problem);
        ck_assert_int_eq(scarce.n_blocks > 0, status == PP_OK);
    }
    ck_assert_int_eq(status, PP_OK);
    ck_assert_int_gt(n, 5);
    pp_model_unref(scarce_model);
    ck_assert_int_eq(scarce.n_blocks, 0);

    scarce.n_left = -1;
    OK(pp_model_create_random(pp_model_preset("tiny"), 1, &params, &scarce_model, perr));
    const int before = scarce.n_blocks, n_before = n_entries();
    for (n = 0, status = PP_ERR_NOMEM; status == PP_ERR_NOMEM; n++) {
        scarce.n_left = n;
        status = pp_model_convert(scarce_model, in_folder(folder, "scarce"), &convert, &problem);
        ck_assert_int_eq(scarce.n_blocks, before);
        ck_assert_int_eq(n_entries() - n_before, status == PP_OK);
    }
    ck_assert_int_eq(status, PP_OK);
    ck_assert_int_gt(n, 5);
    remove_folder(strdup(in_folder(folder, "scarce")));
    pp_model_unref(scarce_model);
    pp_model_unref(opened);
    pp_model_unref(model);
}
END_TEST

/* ---- damaged ---- */

/* The first `find` of a file becomes `with`, of the same length. */
static const struct {
    int32_t weights;
    const char *file, *find, *with;
    pp_status status;
    const char *says;
} DAMAGED[] = {
    {PP_WEIGHTS_INT8, "config.json", "\"prepack\"", "\"postpac\"", PP_ERR_UNSUPPORTED,
     "\"quant_method\" of \"quantization_config\" is \"postpac\"; quantized weights are not"},
    {PP_WEIGHTS_INT8, "config.json", "\"version\":1", "\"version\":2", PP_ERR_UNSUPPORTED,
     "\"version\" of \"quantization_config\" is 2; 1 is supported"},
    {PP_WEIGHTS_INT8, "config.json", "\"int8\"", "\"int3\"", PP_ERR_UNSUPPORTED,
     "\"format\" of \"quantization_config\" is \"int3\"; \"int8\", \"int4\" and \"nf4\""},
    {PP_WEIGHTS_INT8, "config.json", "\"format\"", "\"farmat\"", PP_ERR_UNSUPPORTED, "is missing"},
    {PP_WEIGHTS_INT8, "config.json", "\"dtype\":\"f32\"", "\"dtype\":\"f3 \"", PP_ERR_FORMAT,
     "\"dtype\" of \"quantization_config\" is \"f3 \""},
    {PP_WEIGHTS_INT8, "config.json", "\"qkv_bias\":false", "\"qkv_bias\":12345", PP_ERR_FORMAT,
     "qkv_bias"},
    {PP_WEIGHTS_INT8, "config.json", "\"softmax_scale\":0", "\"softmax_scale\":-", PP_ERR_FORMAT,
     "config.json"},
    {PP_WEIGHTS_INT8, "model.safetensors", "q_proj.weight_scale", "q_proj.weight_skale",
     PP_ERR_FORMAT, "has no tensor \"model.layers.0.self_attn.q_proj.weight_scale\""},
    {PP_WEIGHTS_INT8, "model.safetensors", "model.norm.weight", "model.nurm.weight", PP_ERR_FORMAT,
     "has no tensor \"model.norm.weight\""},
    {PP_WEIGHTS_INT8, "model.safetensors", "lm_head.weight\"", "lm_hand.weight\"", PP_ERR_FORMAT,
     "has no tensor \"lm_head.weight\""},
    {PP_WEIGHTS_INT8, "model.safetensors", "{\"dtype\":\"I8\",\"shape\":[40,64]",
     "{\"dtype\":\"I8\",\"shape\":[64,40]", PP_ERR_FORMAT, "another shape than [40, 64]"},
    {PP_WEIGHTS_INT8, "model.safetensors", "weight_scale\":{\"dtype\":\"F32\",\"shape\":[40]",
     "weight_scale\":{\"dtype\":\"I32\",\"shape\":[40]", PP_ERR_FORMAT,
     "has dtype I32; F16, F32 or U8 is needed"},
    {PP_WEIGHTS_INT8, "model.safetensors", "q_proj.weight\":{\"dtype\":\"I8\"",
     "q_proj.weight\":{\"dtype\":\"U8\"", PP_ERR_FORMAT, "4 bits; config.json says int8"},
    {PP_WEIGHTS_INT4, "model.safetensors", "q_proj.weight\":{\"dtype\":\"U8\"",
     "q_proj.weight\":{\"dtype\":\"I8\"", PP_ERR_FORMAT, "another shape than [64, 1, 64]"},
    {PP_WEIGHTS_INT4, "model.safetensors", "embed_tokens.weight\":{\"dtype\":\"I8\"",
     "embed_tokens.weight\":{\"dtype\":\"U8\"", PP_ERR_FORMAT, "a table has 8"},
    {PP_WEIGHTS_INT4, "model.safetensors", "q_proj.weight_scale\":{\"dtype\":\"F16\"",
     "q_proj.weight_scale\":{\"dtype\":\"U16\"", PP_ERR_FORMAT, "has dtype U16"},
    {PP_WEIGHTS_INT4, "model.safetensors", "q_proj.weight\":{\"dtype\":\"U8\"",
     "q_proj.weight\":{\"dtype\":\"F8\"", PP_ERR_FORMAT, "a dtype of the safetensors format"},
    {PP_WEIGHTS_NF4, "model.safetensors",
     "q_proj.weight_scale\":{\"dtype\":\"F32\",\"shape\":[64,1]",
     "q_proj.weight_scale\":{\"dtype\":\"F32\",\"shape\":[1,64]", PP_ERR_FORMAT,
     "another shape than [64, 1]"},
};

static char *read_whole(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    *n = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*n);
    ck_assert_uint_eq(fread(bytes, 1, *n, file), *n);
    fclose(file);
    return bytes;
}

START_TEST(damaged_directories_are_refused)
{
    pp_model *model = tiny(), *opened = NULL;
    pp_model_unref(converted(model, DAMAGED[_i].weights));
    char *path = strdup(in_folder(folder, "out/"));
    char file[600];
    snprintf(file, sizeof file, "%s%s", path, DAMAGED[_i].file);
    size_t n, len = strlen(DAMAGED[_i].find);
    char *bytes = read_whole(file, &n), *at = memmem(bytes, n, DAMAGED[_i].find, len);
    ck_assert_msg(at != NULL, "%s", DAMAGED[_i].find);
    ck_assert_uint_eq(strlen(DAMAGED[_i].with), len);
    memcpy(at, DAMAGED[_i].with, len);
    FILE *out = fopen(file, "wb");
    fwrite(bytes, 1, n, out);
    fclose(out);
    pp_error err = {.struct_size = sizeof err};
    pp_status status = pp_model_open(path, NULL, &opened, &err);
    ck_assert_msg(status == DAMAGED[_i].status, "%s: %d, %s", DAMAGED[_i].find, status,
                  err.message);
    ck_assert_msg(strstr(err.message, DAMAGED[_i].says) != NULL, "\"%s\" does not say \"%s\"",
                  err.message, DAMAGED[_i].says);
    free(bytes);
    free(path);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    int n_families = 0;
    while (checkpoint_families[n_families])
        n_families++;
    Suite *suite = suite_create("convert");
    TCase *tcase = tcase_create("convert");
    tcase_set_timeout(tcase, 0);
    tcase_add_unchecked_fixture(tcase, make_world, end_world);
    tcase_add_loop_test(tcase, families_keep_their_bits, 0, n_families);
    tcase_add_loop_test(tcase, other_layers_keep_their_bits, 0, 2);
    tcase_add_loop_test(tcase, gguf_files_keep_their_bits, 0, 5);
    tcase_add_test(tcase, bad_calls_are_refused);
    tcase_add_test(tcase, ends_when_told_to);
    tcase_add_test(tcase, a_full_disk_leaves_nothing);
    tcase_add_test(tcase, an_empty_directory_is_taken);
    tcase_add_test(tcase, survives_failing_allocations);
    tcase_add_test(tcase, another_format_is_refused);
    tcase_add_loop_test(tcase, damaged_directories_are_refused, 0,
                        (int)(sizeof DAMAGED / sizeof DAMAGED[0]));
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
