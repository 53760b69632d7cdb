/*
 * malformed_config.c: config.json that is no JSON, asks for impossible shapes, or for what the
 * library does not compute.
 */
#define _GNU_SOURCE
#include "malformed/malformed.h"

#include <check.h>
#include <unistd.h>

static void remove_config(const char *dir)
{
    ck_assert_int_eq(unlink(path_in(dir, "config.json").text), 0);
}

static void empty_config(const char *dir)
{
    write_file(dir, "config.json", "", 0);
}

static void huge_config(const char *dir)
{
    ck_assert_int_eq(truncate(path_in(dir, "config.json").text, (16 << 20) + 1), 0); /* sparse */
}

static void array_config(const char *dir)
{
    write_file(dir, "config.json", "[]", 2);
}

static void string_config(const char *dir)
{
    write_file(dir, "config.json", "\"x\"", 3);
}

static void mistral_with_window(const char *dir)
{
    char *first = replaced(tiny_config, "[\"LlamaForCausalLM\"],\"model_type\":\"llama\"",
                           "[\"MistralForCausalLM\"],\"model_type\":\"mistral\"");
    char *config = replaced(first, "\"head_dim\":2,", "\"head_dim\":2,\"sliding_window\":-1,");
    write_file(dir, "config.json", config, strlen(config));
    free(config);
    free(first);
}

#define F             PP_ERR_FORMAT
#define L             PP_ERR_LIMIT
#define U             PP_ERR_UNSUPPORTED
#define SET(from, to) CONFIG, from, to, 0, NULL
#define HIDDEN(value) SET("\"hidden_size\":4", "\"hidden_size\":" value)
#define EPS(value)    SET("\"rms_norm_eps\":1e-05", "\"rms_norm_eps\":" value)
#define THETA(value)  SET("\"rope_theta\":10000.0", "\"rope_theta\":" value)
#define ROPE(value)   SET("\"rope_scaling\":null", "\"rope_scaling\":" value)
#define ADD(pair)     SET("\"head_dim\":2,", "\"head_dim\":2," pair ",")
#define ARCH(value)   SET("[\"LlamaForCausalLM\"]", value)
#define LLAMA3        "\"rope_type\":\"llama3\",\"factor\":8"

const struct malformed malformed_config[] = {
    {"55 missing", PP_ERR_IO, "No such file", MAKE, NULL, NULL, 0, remove_config},
    {"55 empty", F, "is empty; download it again", MAKE, NULL, NULL, 0, empty_config},
    {"55 an array", F, "an object is needed", MAKE, NULL, NULL, 0, array_config},
    {"55 a string", F, "malformed JSON", MAKE, NULL, NULL, 0, string_config},
    {"55 above 16 MB", L, "at most 16777216", MAKE, NULL, NULL, 0, huge_config},
    {"55 key twice", F, "occurs twice", ADD("\"head_dim\":2")},
    {"55 BOM", F, "malformed JSON", SET("{", "\xef\xbb\xbf{")},
    {"56 hidden_size 0", F, "\"hidden_size\" is 0; an integer from 1 to 65536", HIDDEN("0")},
    {"56 hidden_size negative", F, "\"hidden_size\" is -4", HIDDEN("-4")},
    {"56 hidden_size 4.0", F, "\"hidden_size\" is 4.0", HIDDEN("4.0")},
    {"56 hidden_size 1e9", F, "\"hidden_size\" is 1000000000.0", HIDDEN("1e9")},
    {"56 hidden_size 1000000000", L, "at most 65536", HIDDEN("1000000000")},
    {"56 hidden_size a string", F, "\"hidden_size\" is \"4\"", HIDDEN("\"4\"")},
    {"56 hidden_size null", F, "\"hidden_size\" is null", HIDDEN("null")},
    {"56 hidden_size true", F, "\"hidden_size\" is true", HIDDEN("true")},
    {"56 hidden_size 2^63", F, "\"hidden_size\" is 9.22337203685478e+18",
     HIDDEN("9223372036854775808")},
    {"56 hidden_size Infinity", F, "\"hidden_size\" is Infinity", HIDDEN("Infinity")},
    {"56 vocab_size 2^24+1", L, "\"vocab_size\" is 16777217; at most 16777216",
     SET("\"vocab_size\":8", "\"vocab_size\":16777217")},
    {"57 100,000 layers", L, "\"num_hidden_layers\" is 100000; at most 1024",
     SET("\"num_hidden_layers\":1", "\"num_hidden_layers\":100000")},
    {"57 2^32+1 layers", L, "\"num_hidden_layers\" is 4294967297",
     SET("\"num_hidden_layers\":1", "\"num_hidden_layers\":4294967297")},
    {"58 heads do not divide hidden_size", F,
     "\"hidden_size\" 4 is not a multiple of \"num_attention_heads\" 3",
     SET("\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":2",
         "\"num_attention_heads\":3,\"num_key_value_heads\":1")},
    {"58 kv heads do not divide heads", F, "3 attention heads are not a multiple of 2",
     SET("\"num_attention_heads\":2,\"num_key_value_heads\":1",
         "\"num_attention_heads\":3,\"num_key_value_heads\":2")},
    {"58 more kv heads than heads", F, "2 attention heads are not a multiple of 4",
     SET("\"num_key_value_heads\":1", "\"num_key_value_heads\":4")},
    {"58 kv heads 0", F, "\"num_key_value_heads\" is 0",
     SET("\"num_key_value_heads\":1", "\"num_key_value_heads\":0")},
    {"58 heads 0", F, "\"num_attention_heads\" is 0",
     SET("\"num_attention_heads\":2", "\"num_attention_heads\":0")},
    {"59 head_dim x heads overflows", L, "\"head_dim\" is 2147483647; at most 512",
     SET("\"head_dim\":2", "\"head_dim\":2147483647")},
    {"59 head_dim odd", F, "head_dim is 3; it must be even",
     SET("\"head_dim\":2", "\"head_dim\":3")},
    {"59 head_dim derived too large", F, "head_dim is 65536",
     SET("\"hidden_size\":4,\"intermediate_size\":6,\"num_hidden_layers\":1,"
         "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":2",
         "\"hidden_size\":65536,\"num_attention_heads\":1")},
    {"60 vocab_size is not the embedding's rows", F,
     "\"model.embed_tokens.weight\" has shape [8, 4]; config.json asks for [9, 4]",
     SET("\"vocab_size\":8", "\"vocab_size\":9")},
    {"61 eps 0", F, "\"rms_norm_eps\" is 0; a number above 0", EPS("0")},
    {"61 eps 0.0", F, "\"rms_norm_eps\" is 0.0", EPS("0.0")},
    {"61 eps negative", F, "\"rms_norm_eps\" is -1e-05", EPS("-1e-5")},
    {"61 eps NaN", F, "\"rms_norm_eps\" is NaN; a finite number", EPS("NaN")},
    {"61 eps Infinity", F, "\"rms_norm_eps\" is Infinity; a finite number", EPS("Infinity")},
    {"61 eps -Infinity", F, "\"rms_norm_eps\" is -Infinity", EPS("-Infinity")},
    {"61 eps nan", F, "malformed JSON", EPS("nan")},
    {"61 eps Inf", F, "malformed JSON", EPS("Inf")},
    {"61 eps 1e400", F, "\"rms_norm_eps\" is Infinity", EPS("1e400")},
    {"61 eps 1e-400", F, "\"rms_norm_eps\" is 0.0", EPS("1e-400")},
    {"61 eps a string", F, "\"rms_norm_eps\" is \"1e-5\"", EPS("\"1e-5\"")},
    {"62 theta 0", F, "\"rope_theta\" is 0", THETA("0")},
    {"62 theta negative", F, "\"rope_theta\" is -1", THETA("-1")},
    {"62 theta null", F, "\"rope_theta\" is null", THETA("null")},
    {"62 rope type unknown", U, "\"rope_type\" is \"mrope\"; supported are \"default\"",
     ROPE("{\"rope_type\":\"mrope\",\"factor\":2}")},
    {"62 rope type unknown, classic", U, "\"type\" is \"foo\"",
     ROPE("{\"type\":\"foo\",\"factor\":2}")},
    {"62 rope type a number", F, "\"rope_type\" is 3", ROPE("{\"rope_type\":3}")},
    {"62 rope a string", F, "\"rope_scaling\" is \"linear\"", ROPE("\"linear\"")},
    {"62 factor 0", F, "\"factor\" is 0; a number above 0",
     ROPE("{\"type\":\"linear\",\"factor\":0}")},
    {"62 factor negative", F, "\"factor\" is -2.0", ROPE("{\"type\":\"linear\",\"factor\":-2.0}")},
    {"62 factor missing", F, "\"factor\" is missing", ROPE("{\"type\":\"linear\"}")},
    {"62 factor a string", F, "\"factor\" is \"2\"",
     ROPE("{\"type\":\"linear\",\"factor\":\"2\"}")},
    {"62 low_freq_factor missing", F, "\"low_freq_factor\" is missing",
     ROPE("{" LLAMA3 ",\"high_freq_factor\":4}")},
    {"62 high_freq_factor missing", F, "\"high_freq_factor\" is missing",
     ROPE("{" LLAMA3 ",\"low_freq_factor\":1}")},
    {"62 high not above low", F, "low_freq_factor is 4 and high_freq_factor 4",
     ROPE("{" LLAMA3 ",\"low_freq_factor\":4,\"high_freq_factor\":4}")},
    {"62 original positions 0", F, "\"original_max_position_embeddings\" is 0",
     ROPE("{" LLAMA3 ",\"low_freq_factor\":1,\"high_freq_factor\":4,"
          "\"original_max_position_embeddings\":0}")},
    {"62 theta inside rope_parameters", F, "\"rope_theta\" is -5",
     SET("\"rope_scaling\":null",
         "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":-5}")},
    {"62 rope per kind of layer", U, "\"full_attention\" is an object",
     SET("\"rope_scaling\":null",
         "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}")},
    {"62 part of a head rotated", U, "\"partial_rotary_factor\" is 0.5",
     ADD("\"partial_rotary_factor\":0.5")},
    {"63 unknown architecture", U,
     "\"architectures\" is \"GPT2LMHeadModel\"; LlamaForCausalLM, LlamaModel and "
     "LlamaForSequenceClassification are supported for model_type \"llama\"",
     ARCH("[\"GPT2LMHeadModel\"]")},
    {"63 unknown architecture alone", U,
     "\"architectures\" is \"GPT2LMHeadModel\"; supported are llama, mistral, ministral,",
     SET("\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"",
         "\"architectures\":[\"GPT2LMHeadModel\"]")},
    {"63 another head", U, "\"architectures\" is \"LlamaForTokenClassification\"",
     ARCH("[\"LlamaForTokenClassification\"]")},
    {"63 two heads", U, "\"architectures\" is \"LlamaModel\"; the class before it has another head",
     ARCH("[\"LlamaForCausalLM\",\"LlamaModel\"]")},
    {"63 labels that are not stored", F, "has no tensor \"score.weight\"",
     ARCH("[\"LlamaForSequenceClassification\"]")},
    {"63 another model", U, "\"architectures\" is \"Qwen3ForCausalLM\"",
     ARCH("[\"Qwen3ForCausalLM\"]")},
    {"63 two of them", U, "\"architectures\" is \"Qwen3ForCausalLM\"",
     ARCH("[\"LlamaForCausalLM\",\"Qwen3ForCausalLM\"]")},
    {"63 nothing but a prefix", U, "\"architectures\" is \"Llama\"", ARCH("[\"Llama\"]")},
    {"63 unknown model_type", U,
     "\"model_type\" is \"gpt2\"; supported are llama, mistral, ministral, ministral3, qwen2, "
     "qwen3, "
     "gemma2, gemma3_text, phi3, olmo2, olmo3, granite, smollm3, cohere2, glm4, exaone4, mixtral, "
     "qwen2_moe, qwen3_moe, olmoe, granitemoe, granitemoeshared, gpt_oss, glm4_moe, qwen3_next, "
     "qwen3_5_text, qwen3_5_moe_text, granitemoehybrid, gemma4_text, gemma4_unified_text, "
     "gemma3, gemma4, gemma4_unified, mistral3, qwen3_5, qwen3_5_moe",
     SET("\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"",
         "\"model_type\":\"gpt2\"")},
    {"63 model_type a number", F, "\"model_type\" is 4",
     SET("\"model_type\":\"llama\"", "\"model_type\":4")},
    {"63 neither", F, "\"model_type\" is missing",
     SET("\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"", "\"a\":1")},
    {"63 architectures a string", F, "an array of strings", ARCH("\"LlamaForCausalLM\"")},
    {"63 architecture a number", F, "\"architectures\" is 7", ARCH("[7]")},
    {"63 architecture cut by NUL", F, "\\u0000", ARCH("[\"LlamaForCausalLM\\u0000x\"]")},
    {"64 quantization_config", U, "\"quant_method\" of \"quantization_config\" is \"awq\"",
     ADD("\"quantization_config\":{\"quant_method\":\"awq\"}")},
    {"64 compression_config", U, "\"compression_config\" is an object",
     ADD("\"compression_config\":{}")},
    {"64 attention_bias", F, "no tensor \"model.layers.0.self_attn.q_proj.bias\"",
     ADD("\"attention_bias\":true")},
    {"64 mlp_bias", F, "no tensor \"model.layers.0.mlp.gate_proj.bias\"", ADD("\"mlp_bias\":true")},
    {"64 sees what comes after", U, "\"is_causal\" is false; attention is causal here",
     ADD("\"is_causal\":false")},
    {"64 bidirectional", U, "\"use_bidirectional_attention\" is true",
     ADD("\"use_bidirectional_attention\":true")},
    {"64 layers of their own", U, "\"per_layer_config\" is an array",
     ADD("\"per_layer_config\":[{}]")},
    {"64 experts", U, "\"num_experts\" is 8; experts are not supported", ADD("\"num_experts\":8")},
    {"64 experts by another name", U, "\"num_local_experts\" is 8", ADD("\"num_local_experts\":8")},
    {"64 an encoder before it", U, "\"is_encoder_decoder\" is true",
     ADD("\"is_encoder_decoder\":true")},
    {"64 attention_bias a number", F, "\"attention_bias\" is 1", ADD("\"attention_bias\":1")},
    {"64 other activation", U, "\"hidden_act\" is \"gelu\"", SET("\"silu\"", "\"gelu\"")},
    {"64 activation null", U, "\"hidden_act\" is null", SET("\"silu\"", "null")},
    {"65 shape differs from the file", F,
     "q_proj.weight\" has shape [4, 4]; config.json asks for [8, 4]",
     SET("\"num_attention_heads\":2", "\"num_attention_heads\":4")},
    {"65 more layers than the file", F, "has no tensor \"model.layers.1.input_layernorm.weight\"",
     SET("\"num_hidden_layers\":1", "\"num_hidden_layers\":2")},
    {"66 sliding_window negative", F, "\"sliding_window\" is -1", MAKE, NULL, NULL, 0,
     mistral_with_window},
    {"66 positions 0", F, "\"max_position_embeddings\" is 0",
     SET("\"max_position_embeddings\":64", "\"max_position_embeddings\":0")},
    {"66 positions negative", F, "\"max_position_embeddings\" is -64",
     SET("\"max_position_embeddings\":64", "\"max_position_embeddings\":-64")},
    {"tie_word_embeddings a number", F, "\"tie_word_embeddings\" is 1",
     SET("\"tie_word_embeddings\":false", "\"tie_word_embeddings\":1")},
    {"eos_token_id a string", F, "\"eos_token_id\" is \"</s>\"",
     SET("\"eos_token_id\":2", "\"eos_token_id\":\"</s>\"")},
    {"bos_token_id -2", F, "\"bos_token_id\" is -2",
     SET("\"bos_token_id\":1", "\"bos_token_id\":-2")},
};
const size_t n_malformed_config = sizeof malformed_config / sizeof malformed_config[0];
