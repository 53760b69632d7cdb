/*
 * test_config.c: config.json: what must be refused, what both spellings and missing keys mean,
 * which tokens end a text, and the presets. What differs from class to class: test_config_arch.c.
 */
#include "malformed/malformed.h"
#include "model/config.h"
#include "support/tap.h"

#include <check.h>
#include <prepack/model.h>

START_TEST(refuses)
{
    check_refused(&malformed_config[_i]);
}
END_TEST

/* ---- reading ---- */

static int n_warnings;
static struct ppi_mem mem;

static void count_warning(void *user, int32_t level, const char *message)
{
    (void)user;
    (void)message;
    n_warnings += level == PP_LOG_WARNING;
}

/* What outlives the config is copied out of it: the pointers of the result are gone. */
static struct ppi_model_spec parse(const char *text)
{
    const struct ppi_log log = {.fn = count_warning};
    struct ppi_config config;
    pp_error err = {.struct_size = sizeof err};
    char *copy = strdup(text);
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    pp_status status = ppi_config_parse(copy, strlen(copy), "config", &mem, &log, &config, &err);
    free(copy);
    ck_assert_msg(status == PP_OK, "%s: %s", text, err.message);
    struct ppi_model_spec spec = config.spec;
    ppi_config_free(&config, &mem);
    ck_assert_int_eq(mem.bytes, 0);
    return spec;
}

START_TEST(reads_the_classic_spelling)
{
    struct ppi_model_spec spec = parse(tiny_config);
    ck_assert_int_eq(spec.arch, PP_ARCH_LLAMA);
    ck_assert_int_eq(spec.vocab_size, 8);
    ck_assert_int_eq(spec.hidden_size, 4);
    ck_assert_int_eq(spec.intermediate_size, 6);
    ck_assert_int_eq(spec.n_layers, 1);
    ck_assert_int_eq(spec.n_heads, 2);
    ck_assert_int_eq(spec.n_kv_heads, 1);
    ck_assert_int_eq(spec.head_dim, 2);
    ck_assert_int_eq(spec.max_position, 64);
    ck_assert_int_eq(spec.n_page_classes, 1);
    ck_assert_int_eq(spec.classes[0].window, 0);
    ck_assert(!spec.tie_embeddings);
    ck_assert_int_eq(spec.dtype, PP_DTYPE_BF16);
    ck_assert_int_eq(spec.activation, PPI_ACTIVATION_SILU);
    ck_assert_int_eq(spec.n_ropes, 1);
    ck_assert_int_eq(spec.ropes[0].type, PP_ROPE_DEFAULT);
    ck_assert_int_eq(spec.ropes[0].rotary_dim, 2);
    ck_assert(spec.norm_eps == 1e-5);
    ck_assert(spec.ropes[0].theta == 10000.0);
    ck_assert_int_eq(spec.bos_token, 1);
    ck_assert_int_eq(spec.n_eos_tokens, 1);
    ck_assert_int_eq(spec.eos_tokens[0], 2);
    /* what Llama has none of */
    ck_assert(!spec.parallel && !spec.center && !spec.interleaved);
    ck_assert_int_eq(spec.qk_norm, PPI_QK_NORM_NONE);
    ck_assert(spec.softmax_scale == (float)(1 / 1.4142135623730951));
    ck_assert(spec.residual_scale == 1 && spec.embed_scale == 1 && spec.logit_scale == 1);
    ck_assert(spec.attn_softcap == 0 && spec.logit_softcap == 0 && spec.q_scale_period == 0);
}
END_TEST

START_TEST(reads_the_newer_spelling)
{
    struct ppi_model_spec spec =
        parse("{\"architectures\":[\"LlamaForCausalLM\"],\"dtype\":\"float16\",\"rope_parameters\":"
              "{\"rope_type\":\"llama3\",\"rope_theta\":500000,\"factor\":32.0,"
              "\"low_freq_factor\":1.0,\"high_freq_factor\":4,"
              "\"original_max_position_embeddings\":8192},\"tie_word_embeddings\":true,"
              "\"max_position_embeddings\":131072,\"bos_token_id\":null}");
    ck_assert_int_eq(spec.dtype, PP_DTYPE_F16);
    ck_assert_int_eq(spec.ropes[0].type, PP_ROPE_LLAMA3);
    ck_assert(spec.ropes[0].theta == 500000.0);
    ck_assert(spec.ropes[0].factor == 32.0);
    ck_assert(spec.ropes[0].low_freq_factor == 1.0);
    ck_assert(spec.ropes[0].high_freq_factor == 4.0);
    ck_assert_int_eq(spec.ropes[0].original_max_position, 8192);
    ck_assert(spec.tie_embeddings);
    ck_assert_int_eq(spec.bos_token, -1);
}
END_TEST

START_TEST(reads_dtypes)
{
#define DTYPE(keys) parse("{\"model_type\":\"llama\"" keys "}").dtype
    ck_assert_int_eq(DTYPE(""), PP_DTYPE_F32);
    ck_assert_int_eq(DTYPE(",\"dtype\":\"bfloat16\",\"torch_dtype\":\"float16\""), PP_DTYPE_BF16);
    ck_assert_int_eq(DTYPE(",\"torch_dtype\":\"float16\""), PP_DTYPE_F16);
    ck_assert_int_eq(DTYPE(",\"dtype\":null"), PP_DTYPE_F32);
    ck_assert_int_eq(DTYPE(",\"dtype\":\"float8_e4m3fn\""), 0); /* the files say */
}
END_TEST

START_TEST(reads_rope_scaling)
{
    struct ppi_rope_spec rope =
        parse("{\"model_type\":\"llama\",\"rope_theta\":1000000,\"rope_scaling\":{\"type\":"
              "\"linear\",\"factor\":2.5}}")
            .ropes[0];
    ck_assert_int_eq(rope.type, PP_ROPE_LINEAR);
    ck_assert(rope.factor == 2.5);
    ck_assert(rope.theta == 1e6);
    rope = parse("{\"model_type\":\"llama\",\"rope_scaling\":{\"rope_type\":\"llama3\",\"type\":"
                 "\"linear\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4}}")
               .ropes[0];
    ck_assert_int_eq(rope.type, PP_ROPE_LLAMA3);        /* rope_type counts before type */
    ck_assert_int_eq(rope.original_max_position, 2048); /* max_position_embeddings */
    rope = parse("{\"model_type\":\"llama\",\"rope_scaling\":{},\"rope_parameters\":{\"type\":"
                 "\"linear\",\"factor\":3,\"rope_theta\":7.5},\"rope_theta\":1}")
               .ropes[0];
    ck_assert(rope.factor == 3.0); /* an empty object is none */
    ck_assert(rope.theta == 7.5);  /* inside counts before outside */
    rope = parse("{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},"
                 "\"rope_parameters\":{\"rope_theta\":7.5}}")
               .ropes[0];
    ck_assert(rope.theta == 10000); /* what rope_scaling replaces counts for nothing */
    rope = parse("{\"model_type\":\"llama\",\"partial_rotary_factor\":1.0}").ropes[0];
    ck_assert_int_eq(rope.type, PP_ROPE_DEFAULT);
}
END_TEST

START_TEST(missing_keys_of_llama)
{
    struct ppi_model_spec spec = parse("{\"model_type\":\"llama\"}");
    ck_assert_int_eq(spec.vocab_size, 32000);
    ck_assert_int_eq(spec.hidden_size, 4096);
    ck_assert_int_eq(spec.intermediate_size, 11008);
    ck_assert_int_eq(spec.n_layers, 32);
    ck_assert_int_eq(spec.n_heads, 32);
    ck_assert_int_eq(spec.n_kv_heads, 32);
    ck_assert_int_eq(spec.head_dim, 128);
    ck_assert_int_eq(spec.max_position, 2048);
    ck_assert(!spec.tie_embeddings);
    ck_assert(spec.norm_eps == 1e-6);
    ck_assert_int_eq(spec.bos_token, 1);
    ck_assert_int_eq(spec.n_eos_tokens, 1);
    ck_assert_int_eq(spec.eos_tokens[0], 2);
}
END_TEST

START_TEST(null_means_none)
{
    struct ppi_model_spec spec =
        parse("{\"architectures\":null,\"model_type\":\"mistral\",\"sliding_window\":null,"
              "\"num_key_value_heads\":null,\"head_dim\":null,\"rope_scaling\":null,"
              "\"quantization_config\":null,\"attention_bias\":null,\"eos_token_id\":[]}");
    ck_assert_int_eq(spec.classes[0].window, 0);
    ck_assert_int_eq(spec.n_kv_heads, 32);
    ck_assert_int_eq(spec.head_dim, 128);
    ck_assert_int_eq(spec.n_eos_tokens, 0);
}
END_TEST

/* More positions than a cache could have are a matter of the cache, not of the file. */
START_TEST(clamps_positions)
{
    struct ppi_model_spec spec =
        parse("{\"model_type\":\"mistral\",\"max_position_embeddings\":1099511627776,"
              "\"sliding_window\":1099511627776}");
    ck_assert_int_eq(spec.max_position, INT32_MAX);
    ck_assert_int_eq(spec.classes[0].window, INT32_MAX);
}
END_TEST

/* Keys that nobody needs may hold what Python writes and JSON does not have. */
START_TEST(reads_the_numbers_of_python)
{
    parse("{\"model_type\":\"llama\",\"length_penalty\":Infinity,\"a\":-Infinity,\"b\":[NaN],"
          "\"max_length\":1000000000000000019884624838656,\"c\":1e999}");
}
END_TEST

START_TEST(any_of_the_names_will_do)
{
    ck_assert_int_eq(parse("{\"architectures\":[\"Qwen3ForCausalLM\"]}").arch, PP_ARCH_QWEN3);
    ck_assert_int_eq(parse("{\"architectures\":[\"Qwen3Model\"]}").arch, PP_ARCH_QWEN3);
    ck_assert_int_eq(parse("{\"architectures\":[],\"model_type\":\"glm4\"}").arch, PP_ARCH_GLM4);
    ck_assert_int_eq(parse("{\"architectures\":[\"MistralForCausalLM\"],\"model_type\":\"mistral\","
                           "\"layer_types\":null}")
                         .arch,
                     PP_ARCH_MINISTRAL);
}
END_TEST

/* ---- tokens ---- */

static void check_eos(const struct ppi_model_spec *spec, int32_t n, const int32_t *tokens)
{
    ck_assert_int_eq(spec->n_eos_tokens, n);
    for (int32_t i = 0; i < n; i++)
        ck_assert_int_eq(spec->eos_tokens[i], tokens[i]);
}

START_TEST(reads_a_list_of_end_tokens)
{
    struct ppi_model_spec spec =
        parse("{\"model_type\":\"llama\",\"eos_token_id\":[128001,128008,-1,null,128001,7]}");
    check_eos(&spec, 3, (int32_t[]){128001, 128008, 7});
    spec = parse("{\"model_type\":\"llama\",\"eos_token_id\":null}");
    ck_assert_int_eq(spec.n_eos_tokens, 0);
    spec = parse("{\"model_type\":\"glm4\"}");
    check_eos(&spec, 3, (int32_t[]){151329, 151336, 151338});
    spec = parse("{\"model_type\":\"qwen3\"}");
    ck_assert_int_eq(spec.n_eos_tokens, 0);
    ck_assert_int_eq(spec.bos_token, -1);
}
END_TEST

static pp_status read_dir(const char *config, const char *generation, struct ppi_config *read,
                          pp_error *err)
{
    struct path path = make_dir();
    struct ppi_dir dir;
    write_file(path.text, "config.json", config, strlen(config));
    if (generation)
        write_file(path.text, "generation_config.json", generation, strlen(generation));
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    ck_assert_int_eq(ppi_dir_open(path.text, &dir, NULL), PP_OK);
    pp_status status = ppi_config_read(&dir, &mem, NULL, read, err);
    remove_dir(path.text);
    return status;
}

/* Each end token of both files, in the order of config.json; what neither says is the class's. */
START_TEST(reads_generation_config)
{
    static const struct {
        const char *config, *generation;
        int32_t bos, n_eos, eos[4];
    } cases[] = {
        {"\"eos_token_id\":5", "{\"eos_token_id\":[6,5,7],\"bos_token_id\":9}", 9, 3, {5, 6, 7}},
        {"\"bos_token_id\":4", "{\"eos_token_id\":6,\"bos_token_id\":9}", 4, 1, {6}},
        {"\"bos_token_id\":4", "{\"max_length\":Infinity}", 4, 1, {2}},
        {"\"eos_token_id\":[5]", NULL, 1, 1, {5}},
    };
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        char text[128];
        struct ppi_config config;
        pp_error err = {.struct_size = sizeof err};
        snprintf(text, sizeof text, "{\"model_type\":\"llama\",%s}", cases[i].config);
        pp_status status = read_dir(text, cases[i].generation, &config, &err);
        ck_assert_msg(status == PP_OK, "%s", err.message);
        ck_assert_int_eq(config.spec.bos_token, cases[i].bos);
        check_eos(&config.spec, cases[i].n_eos, cases[i].eos);
        ppi_config_free(&config, &mem);
        ck_assert_int_eq(mem.bytes, 0);
    }
}
END_TEST

START_TEST(refuses_generation_configs)
{
    static const struct {
        const char *generation, *message;
        pp_status status;
    } cases[] = {
        {"{\"eos_token_id\":\"x\"}", "generation_config.json: \"eos_token_id\" is \"x\"",
         PP_ERR_FORMAT},
        {"{", "generation_config.json: malformed JSON", PP_ERR_FORMAT},
        {"{\"eos_token_id\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}",
         "more than 16 different tokens", PP_ERR_LIMIT},
    };
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        struct ppi_config config;
        pp_error err = {.struct_size = sizeof err};
        ck_assert_int_eq(read_dir("{\"model_type\":\"llama\"}", cases[i].generation, &config, &err),
                         cases[i].status);
        ck_assert_msg(strstr(err.message, cases[i].message) != NULL, "%s", err.message);
        ck_assert_int_eq(mem.bytes, 0);
    }
}
END_TEST

/* ---- failure ---- */

START_TEST(failure_leaves_the_config_alone)
{
    struct ppi_config config, before;
    struct ppi_dir dir;
    pp_error err = {.struct_size = sizeof err};
    memset(&config, 0x5a, sizeof config);
    before = config;
    char text[] = "{}";
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    ck_assert_int_eq(ppi_config_parse(text, 2, "config", &mem, NULL, &config, &err), PP_ERR_FORMAT);
    ck_assert_int_eq(memcmp(&config, &before, sizeof config), 0);
    struct path path = make_dir();
    ck_assert_int_eq(ppi_dir_open(path.text, &dir, &err), PP_OK);
    ck_assert_int_eq(ppi_config_read(&dir, &mem, NULL, &config, &err), PP_ERR_IO);
    ck_assert_int_eq(err.native_code, 2); /* ENOENT */
    ck_assert_int_eq(memcmp(&config, &before, sizeof config), 0);
    remove_dir(path.text);
}
END_TEST

/* ---- presets ---- */

static pp_model_config random_config(const char *text)
{
    pp_model *model = NULL;
    pp_model_config config = {.struct_size = sizeof config};
    pp_error err = {.struct_size = sizeof err};
    pp_status status = pp_model_create_random(text, 1, NULL, &model, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    ck_assert_int_eq(pp_model_get_config(model, &config, NULL), PP_OK);
    pp_model_unref(model);
    return config;
}

START_TEST(presets_are_valid)
{
    int64_t n = 0;
    for (const char *name; (name = pp_model_preset_name(n)); n++)
        ck_assert_int_eq(random_config(pp_model_preset(name)).dtype, PP_DTYPE_BF16);
    ck_assert_int_eq(n, 17);
    ck_assert_ptr_null(pp_model_preset_name(n));
    ck_assert_ptr_null(pp_model_preset_name(-1));
    ck_assert_ptr_null(pp_model_preset_name(INT64_MAX));
    ck_assert_ptr_null(pp_model_preset("gpt"));
    ck_assert_ptr_null(pp_model_preset(NULL));
    ck_assert_int_eq(random_config(pp_model_preset("llama1b")).n_layers, 24);
    pp_model_config tiny = random_config(pp_model_preset("tiny"));
    ck_assert_int_eq(tiny.arch, PP_ARCH_LLAMA);
    ck_assert_int_eq(tiny.vocab_size, 512);
    ck_assert_int_eq(tiny.head_dim, 16);
    ck_assert_int_eq(tiny.max_position, 4096);
    ck_assert(tiny.norm_eps == 1e-5);
    ck_assert_int_eq(tiny.tie_embeddings, 0);
    ck_assert_int_eq(tiny.bos_token, 1);
    ck_assert_int_eq(tiny.n_eos_tokens, 1);
    ck_assert_int_eq(tiny.eos_tokens[0], 2);
    ck_assert_int_eq(tiny.eos_tokens[1], -1);
    ck_assert_int_eq(tiny.eos_tokens[15], -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *refused = tcase_create("refused");
    tcase_set_timeout(refused, 60);
    tcase_add_loop_test(refused, refuses, 0, (int)n_malformed_config);
    suite_add_tcase(suite, refused);
    TCase *reading = tcase_create("reading");
    tcase_add_test(reading, reads_the_classic_spelling);
    tcase_add_test(reading, reads_the_newer_spelling);
    tcase_add_test(reading, reads_dtypes);
    tcase_add_test(reading, reads_rope_scaling);
    tcase_add_test(reading, missing_keys_of_llama);
    tcase_add_test(reading, null_means_none);
    tcase_add_test(reading, clamps_positions);
    tcase_add_test(reading, reads_the_numbers_of_python);
    tcase_add_test(reading, any_of_the_names_will_do);
    tcase_add_test(reading, failure_leaves_the_config_alone);
    suite_add_tcase(suite, reading);
    TCase *tokens = tcase_create("tokens");
    tcase_add_test(tokens, reads_a_list_of_end_tokens);
    tcase_add_test(tokens, reads_generation_config);
    tcase_add_test(tokens, refuses_generation_configs);
    suite_add_tcase(suite, tokens);
    TCase *presets = tcase_create("presets");
    tcase_add_test(presets, presets_are_valid);
    suite_add_tcase(suite, presets);
    return tap_run(suite, CK_FORK);
}
