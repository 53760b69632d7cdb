/*
 * test_config.c: config.json: what must be refused, what both spellings and missing keys mean, the
 * ranges of a configuration, and the presets.
 */
#include "malformed/malformed.h"
#include "checkpoint/config_file.h"
#include "support/tap.h"

#include <check.h>

START_TEST(refuses)
{
    check_refused(&malformed_config[_i]);
}
END_TEST

/* ---- reading ---- */

static int n_warnings;

static void count_warning(void *user, int32_t level, const char *message)
{
    (void)user;
    (void)message;
    n_warnings += level == PP_LOG_WARNING;
}

static pp_model_config parse(const char *text)
{
    const struct ppi_log log = {.fn = count_warning};
    pp_model_config config;
    pp_error err = {.struct_size = sizeof err};
    struct ppi_mem mem;
    char *copy = strdup(text);
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    pp_status status = ppi_config_parse(copy, strlen(copy), "config", &mem, &log, &config, &err);
    free(copy);
    ck_assert_msg(status == PP_OK, "%s: %s", text, err.message);
    ck_assert_int_eq(mem.bytes, 0);
    ck_assert_uint_eq(config.struct_size, sizeof config);
    return config;
}

START_TEST(reads_the_classic_spelling)
{
    pp_model_config config = parse(tiny_config);
    ck_assert_int_eq(config.arch, PP_ARCH_LLAMA);
    ck_assert_int_eq(config.vocab_size, 8);
    ck_assert_int_eq(config.hidden_size, 4);
    ck_assert_int_eq(config.intermediate_size, 6);
    ck_assert_int_eq(config.n_layers, 1);
    ck_assert_int_eq(config.n_heads, 2);
    ck_assert_int_eq(config.n_kv_heads, 1);
    ck_assert_int_eq(config.head_dim, 2);
    ck_assert_int_eq(config.max_position, 64);
    ck_assert_int_eq(config.sliding_window, 0);
    ck_assert_int_eq(config.tie_embeddings, 0);
    ck_assert_int_eq(config.dtype, PP_DTYPE_BF16);
    ck_assert_int_eq(config.rope_type, PP_ROPE_DEFAULT);
    ck_assert(config.rms_norm_eps == 1e-5);
    ck_assert(config.rope_theta == 10000.0);
    ck_assert_int_eq(config.bos_token, 1);
    ck_assert_int_eq(config.eos_token, 2);
}
END_TEST

START_TEST(reads_the_newer_spelling)
{
    pp_model_config config =
        parse("{\"architectures\":[\"LlamaForCausalLM\"],\"dtype\":\"float16\",\"rope_parameters\":"
              "{\"rope_type\":\"llama3\",\"rope_theta\":500000,\"factor\":32.0,"
              "\"low_freq_factor\":1.0,\"high_freq_factor\":4,"
              "\"original_max_position_embeddings\":8192},\"tie_word_embeddings\":true,"
              "\"max_position_embeddings\":131072,\"eos_token_id\":[128001,128008],"
              "\"bos_token_id\":null}");
    ck_assert_int_eq(config.dtype, PP_DTYPE_F16);
    ck_assert_int_eq(config.rope_type, PP_ROPE_LLAMA3);
    ck_assert(config.rope_theta == 500000.0);
    ck_assert(config.rope_factor == 32.0);
    ck_assert(config.rope_low_freq_factor == 1.0);
    ck_assert(config.rope_high_freq_factor == 4.0);
    ck_assert_int_eq(config.rope_original_max_position, 8192);
    ck_assert_int_eq(config.tie_embeddings, 1);
    ck_assert_int_eq(config.eos_token, 128001);
    ck_assert_int_eq(config.bos_token, -1);
}
END_TEST

START_TEST(reads_rope_scaling)
{
    pp_model_config config =
        parse("{\"model_type\":\"llama\",\"rope_theta\":1000000,\"rope_scaling\":{\"type\":"
              "\"linear\",\"factor\":2.5}}");
    ck_assert_int_eq(config.rope_type, PP_ROPE_LINEAR);
    ck_assert(config.rope_factor == 2.5);
    ck_assert(config.rope_theta == 1e6);
    config = parse("{\"model_type\":\"llama\",\"rope_scaling\":{\"rope_type\":\"llama3\",\"type\":"
                   "\"linear\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4}}");
    ck_assert_int_eq(config.rope_type, PP_ROPE_LLAMA3);        /* rope_type counts before type */
    ck_assert_int_eq(config.rope_original_max_position, 2048); /* max_position_embeddings */
    config = parse("{\"model_type\":\"llama\",\"rope_scaling\":{},\"rope_parameters\":{\"type\":"
                   "\"linear\",\"factor\":3,\"rope_theta\":7.5},\"rope_theta\":1}");
    ck_assert(config.rope_factor == 3.0); /* an empty object is none */
    ck_assert(config.rope_theta == 7.5);  /* inside counts before outside */
    config = parse("{\"model_type\":\"llama\",\"partial_rotary_factor\":1.0}");
    ck_assert_int_eq(config.rope_type, PP_ROPE_DEFAULT);
}
END_TEST

START_TEST(missing_keys_of_llama)
{
    pp_model_config config = parse("{\"model_type\":\"llama\"}");
    ck_assert_int_eq(config.arch, PP_ARCH_LLAMA);
    ck_assert_int_eq(config.vocab_size, 32000);
    ck_assert_int_eq(config.hidden_size, 4096);
    ck_assert_int_eq(config.intermediate_size, 11008);
    ck_assert_int_eq(config.n_layers, 32);
    ck_assert_int_eq(config.n_heads, 32);
    ck_assert_int_eq(config.n_kv_heads, 32);
    ck_assert_int_eq(config.head_dim, 128);
    ck_assert_int_eq(config.max_position, 2048);
    ck_assert_int_eq(config.sliding_window, 0);
    ck_assert_int_eq(config.tie_embeddings, 0);
    ck_assert_int_eq(config.dtype, PP_DTYPE_F32);
    ck_assert(config.rms_norm_eps == 1e-6);
    ck_assert(config.rope_theta == 10000.0);
    ck_assert_int_eq(config.bos_token, 1);
    ck_assert_int_eq(config.eos_token, 2);
}
END_TEST

START_TEST(missing_keys_of_mistral)
{
    pp_model_config config = parse("{\"architectures\":[\"MistralForCausalLM\"]}");
    ck_assert_int_eq(config.arch, PP_ARCH_MISTRAL);
    ck_assert_int_eq(config.intermediate_size, 14336);
    ck_assert_int_eq(config.n_kv_heads, 8);
    ck_assert_int_eq(config.max_position, 131072);
    ck_assert_int_eq(config.sliding_window, 4096);
}
END_TEST

START_TEST(null_means_none)
{
    pp_model_config config =
        parse("{\"architectures\":null,\"model_type\":\"mistral\",\"sliding_window\":null,"
              "\"num_key_value_heads\":null,\"head_dim\":null,\"rope_scaling\":null,"
              "\"quantization_config\":null,\"attention_bias\":null,\"eos_token_id\":[]}");
    ck_assert_int_eq(config.sliding_window, 0);
    ck_assert_int_eq(config.n_kv_heads, 32);
    ck_assert_int_eq(config.head_dim, 128);
    ck_assert_int_eq(config.eos_token, -1);
}
END_TEST

START_TEST(windows)
{
    ck_assert_int_eq(parse("{\"model_type\":\"mistral\",\"sliding_window\":5}").sliding_window, 5);
    /* Llama has none, whatever the file says */
    ck_assert_int_eq(parse("{\"model_type\":\"llama\",\"sliding_window\":5}").sliding_window, 0);
}
END_TEST

/* More positions than a cache could have are a matter of the cache, not of the file. */
START_TEST(clamps_positions)
{
    pp_model_config config =
        parse("{\"model_type\":\"mistral\",\"max_position_embeddings\":1099511627776,"
              "\"sliding_window\":1099511627776}");
    ck_assert_int_eq(config.max_position, INT32_MAX);
    ck_assert_int_eq(config.sliding_window, INT32_MAX);
}
END_TEST

START_TEST(warns_of_layer_types)
{
    n_warnings = 0;
    parse("{\"model_type\":\"mistral\",\"layer_types\":[\"full_attention\"]}");
    ck_assert_int_eq(n_warnings, 1);
}
END_TEST

START_TEST(failure_leaves_the_config_alone)
{
    pp_model_config config, before;
    pp_error err = {.struct_size = sizeof err};
    memset(&config, 0x5a, sizeof config);
    before = config;
    struct ppi_mem mem;
    char text[] = "{}";
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    ck_assert_int_eq(ppi_config_parse(text, 2, "config", &mem, NULL, &config, &err), PP_ERR_FORMAT);
    ck_assert_int_eq(memcmp(&config, &before, sizeof config), 0);
    ck_assert_int_eq(ppi_config_read("/nowhere/at/all", &mem, NULL, &config, &err), PP_ERR_IO);
    ck_assert_int_eq(err.native_code, 2); /* ENOENT */
    ck_assert_int_eq(ppi_config_read(NULL, &mem, NULL, &config, &err), PP_ERR_ARG);
    ck_assert_int_eq(memcmp(&config, &before, sizeof config), 0);
}
END_TEST

/* ---- ranges and presets ---- */

static pp_model_config preset(const char *name)
{
    pp_model_config config = {.struct_size = sizeof config};
    ck_assert_int_eq(pp_model_config_preset(name, &config, NULL), PP_OK);
    return config;
}

#define REFUSED(change, part)                                                                      \
    do {                                                                                           \
        pp_model_config c = preset("tiny");                                                        \
        pp_error err = {.struct_size = sizeof err};                                                \
        change;                                                                                    \
        ck_assert_int_eq(ppi_config_check(&c, &err), PP_ERR_ARG);                                  \
        ck_assert_msg(strstr(err.message, part) != NULL, "%s", err.message);                       \
    } while (0)

START_TEST(checks_ranges)
{
    REFUSED(c.arch = 3, "arch is 3");
    REFUSED(c.vocab_size = 0, "vocab_size is 0; 1 to 16777216");
    REFUSED(c.vocab_size = (1 << 24) + 1, "vocab_size");
    REFUSED(c.hidden_size = 65537, "hidden_size");
    REFUSED(c.intermediate_size = 0, "intermediate_size");
    REFUSED(c.n_layers = 1025, "n_layers is 1025");
    REFUSED(c.n_heads = 0, "n_heads");
    REFUSED(c.n_kv_heads = 3, "4 attention heads are not a multiple of 3");
    REFUSED(c.n_kv_heads = 8, "4 attention heads are not a multiple of 8");
    REFUSED(c.head_dim = 15, "head_dim is 15; it must be even");
    REFUSED(c.head_dim = 514, "head_dim is 514; 2 to 512");
    REFUSED(c.max_position = 0, "max_position");
    REFUSED(c.sliding_window = -1, "sliding_window is -1");
    REFUSED(c.tie_embeddings = 2, "tie_embeddings is 2");
    REFUSED(c.dtype = PP_DTYPE_BOOL, "dtype is bool");
    REFUSED(c.dtype = 0, "dtype is auto");
    REFUSED(c.rms_norm_eps = 0, "rms_norm_eps");
    REFUSED(c.rms_norm_eps = 1.0 / 0.0, "rms_norm_eps is inf");
    REFUSED(c.rms_norm_eps = 0.0 / 0.0, "rms_norm_eps");
    REFUSED(c.rope_theta = -1, "rope_theta is -1");
    REFUSED(c.rope_type = 3, "rope_type is 3");
    REFUSED(c.rope_type = -1, "rope_type is -1");
    REFUSED(c.rope_type = PP_ROPE_LINEAR, "factor is 0");
    REFUSED((c.rope_type = PP_ROPE_LLAMA3, c.rope_factor = 2), "low_freq_factor is 0");
    REFUSED((c.rope_type = PP_ROPE_LLAMA3, c.rope_factor = 2, c.rope_low_freq_factor = 1,
             c.rope_high_freq_factor = 4),
            "original maximum position");
    REFUSED(c.bos_token = -2, "bos_token is -2");
    REFUSED(c.eos_token = -2, "eos_token -2");
}
END_TEST

START_TEST(presets_are_valid)
{
    pp_error err = {.struct_size = sizeof err};
    size_t n = 0;
    for (const char *name; (name = pp_model_preset_name(n)); n++) {
        pp_model_config config = preset(name);
        ck_assert_msg(ppi_config_check(&config, &err) == PP_OK, "%s: %s", name, err.message);
        ck_assert_int_eq(config.dtype, PP_DTYPE_BF16);
    }
    ck_assert_uint_eq(n, 5);
    ck_assert_ptr_null(pp_model_preset_name(n));
    ck_assert_ptr_null(pp_model_preset_name(SIZE_MAX));
    ck_assert_int_eq(preset("mistral-7b").sliding_window, 4096);
    ck_assert_int_eq(preset("llama1b").n_layers, 24);
}
END_TEST

START_TEST(unknown_presets)
{
    pp_model_config config = {.struct_size = sizeof config, .n_layers = 77};
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(pp_model_config_preset("gpt", &config, &err), PP_ERR_ARG);
    ck_assert_ptr_nonnull(strstr(err.message, "tiny, llama1b, llama2-7b, llama2-13b, mistral-7b"));
    ck_assert_int_eq(pp_model_config_preset(NULL, &config, &err), PP_ERR_ARG);
    ck_assert_int_eq(config.n_layers, 77);
    config.struct_size = 0;
    ck_assert_int_eq(pp_model_config_preset("tiny", &config, &err), PP_ERR_STRUCT_SIZE);
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
    tcase_add_test(reading, reads_rope_scaling);
    tcase_add_test(reading, missing_keys_of_llama);
    tcase_add_test(reading, missing_keys_of_mistral);
    tcase_add_test(reading, null_means_none);
    tcase_add_test(reading, windows);
    tcase_add_test(reading, clamps_positions);
    tcase_add_test(reading, warns_of_layer_types);
    tcase_add_test(reading, failure_leaves_the_config_alone);
    suite_add_tcase(suite, reading);
    TCase *ranges = tcase_create("ranges");
    tcase_add_test(ranges, checks_ranges);
    tcase_add_test(ranges, presets_are_valid);
    tcase_add_test(ranges, unknown_presets);
    suite_add_tcase(suite, ranges);
    return tap_run(suite, CK_FORK);
}
