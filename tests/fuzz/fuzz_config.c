/*
 * fuzz_config.c: any config.json: refused with a sentence, or a configuration within the ranges.
 */
#include "fuzz.h"
#include "checkpoint/config_file.h"

#include <stdlib.h>
#include <string.h>

const char *const fuzz_seeds[] = {
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"vocab_size\":8,"
    "\"hidden_size\":4,\"intermediate_size\":6,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
    "\"num_key_value_heads\":1,\"head_dim\":2,\"hidden_act\":\"silu\","
    "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-05,\"rope_theta\":10000.0,"
    "\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},\"tie_word_embeddings\":false,"
    "\"bos_token_id\":1,\"eos_token_id\":[2,3],\"torch_dtype\":\"bfloat16\"}",
    "{\"architectures\":[\"MistralForCausalLM\"],\"dtype\":\"float16\",\"rope_parameters\":"
    "{\"rope_type\":\"llama3\",\"rope_theta\":500000,\"factor\":32.0,\"low_freq_factor\":1.0,"
    "\"high_freq_factor\":4,\"original_max_position_embeddings\":8192},\"sliding_window\":5,"
    "\"partial_rotary_factor\":1.0,\"quantization_config\":null,\"attention_bias\":false}",
    NULL,
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct ppi_mem mem;
    pp_model_config config;
    pp_error err = {.struct_size = sizeof err};
    char *text = malloc(len ? len : 1);
    memcpy(text, bytes, len);
    ppi_mem_init(&mem, NULL, 0, NULL);
    if (ppi_config_parse(text, len, "config", &mem, NULL, &config, &err) >= 0)
        check(ppi_config_check(&config, NULL) == PP_OK);
    else
        check(strncmp(err.message, "config", 6) == 0);
    check(mem.bytes == 0);
    free(text);
    return 0;
}
