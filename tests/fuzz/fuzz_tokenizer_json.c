/*
 * fuzz_tokenizer_json.c: any tokenizer.json: refused with a sentence that names it, or a tokenizer
 * that encodes texts to ids of its own and gives for them the same text at once and piece by piece.
 */
#include "fuzz.h"
#include "fuzz_tokens.h"

#include <string.h>

#define BPE                                                                                        \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"\xc4\xa0\":2,\"ab\":3},\"merges\":[" \
    "\"a b\"]}"

const char *const fuzz_seeds[] = {
    "{\"added_tokens\":[{\"id\":4,\"content\":\"<s>\",\"special\":true},{\"id\":0,\"content\":"
    "\"a\","
    "\"lstrip\":true,\"rstrip\":true,\"single_word\":true,\"normalized\":false}],\"pre_tokenizer\":"
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":true},\"post_processor\":{\"type\":"
    "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":"
    "\"A\"}}],\"special_tokens\":{\"<s>\":{\"ids\":[4]}}},\"decoder\":{\"type\":\"ByteLevel\"}," BPE
    "}",
    "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"},{\"type\":"
    "\"Strip\","
    "\"strip_left\":true,\"strip_right\":false},{\"type\":\"Replace\",\"pattern\":{\"Regex\":"
    "\"\\\\s+|b(?=a)\"},\"content\":\" \"},{\"type\":\"Prepend\",\"prepend\":\"_\"},{\"type\":"
    "\"Lowercase\"}]},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
    "\"Split\","
    "\"pattern\":{\"Regex\":\"[^\\\\p{L}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}]+(?!\\\\S)\"},"
    "\"behavior\":\"MergedWithPrevious\",\"invert\":true},{\"type\":\"Digits\",\"individual_"
    "digits\":"
    "true},{\"type\":\"ByteLevel\",\"use_regex\":false}]}," BPE "}",
    "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\","
    "\"split\":true},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\","
    "\"pattern\":{\"String\":\"_\"},\"content\":\" "
    "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
    "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},\"model\":{\"type\":\"BPE\","
    "\"unk_token\":\"<u>\",\"fuse_unk\":true,\"byte_fallback\":true,\"vocab\":{\"<u>\":0,\"_\":1,"
    "\"a\":2,\"_a\":3,\"<0xC3>\":4,\"<0xA9>\":5},\"merges\":[[\"_\",\"a\"]]}}",
    "{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":"
    "true,"
    "\"strip_accents\":null,\"lowercase\":true},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
    "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[S]\",1],\"cls\":[\"[C]\",2]},"
    "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true},\"model\":{\"type\":"
    "\"WordPiece\",\"unk_token\":\"[U]\",\"continuing_subword_prefix\":\"##\","
    "\"max_input_chars_per_word\":9,\"vocab\":{\"[U]\":0,\"[S]\":1,\"[C]\":2,\"a\":3,\"##b\":4,"
    "\"##a\":5,\"e\":6}}}",
    "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"CAAAAAAAAAAAAAAAYQA=\"},"
    "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"always\"}"
    ","
    "\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"_\"},\"model\":{\"type\":\"Unigram\","
    "\"unk_id\":0,\"byte_fallback\":false,\"vocab\":[[\"<u>\",0],[\"_\",-2.5],[\"a\",-1],[\"ab\",-"
    "1.5],"
    "[\"_a\",-3e-1]]}}",
    "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Whitespace\"},{"
    "\"type\":"
    "\"Punctuation\",\"behavior\":\"Contiguous\"},{\"type\":\"FixedLength\",\"length\":2},{"
    "\"type\":"
    "\"CharDelimiterSplit\",\"delimiter\":\"b\"}]},\"decoder\":{\"type\":\"CTC\",\"pad_token\":\"<"
    "p>\","
    "\"word_delimiter_token\":\"|\",\"cleanup\":true},\"model\":{\"type\":\"WordLevel\","
    "\"unk_token\":\"<u>\",\"vocab\":{\"<u>\":0,\"aa\":1,\"a\":2,\"|\":3}}}",
    NULL,
};

#define TEXT(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const pp_text TEXTS[] = {
    TEXT(""),
    TEXT("ab a  b\n\taab <s>a"),
    TEXT("\xc3\xa9"
         "e\xcc\x81 \xe4\xb8\xad 12 a.b, _a \xef\xac\x81 \xf0\x9f\x98\x80"),
    TEXT("aaaaaaaabababab\0bbbbbb              ba"),
};

static void use(pp_tokenizer *tokenizer)
{
    for (int32_t special = PP_SPECIAL_PARSE; special <= PP_SPECIAL_TEXT; special++)
        for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
            fuzz_use_text(tokenizer, TEXTS[i], special);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz_memory memory = {.limit = (int64_t)64 << 20};
    const pp_allocator allocator = fuzz_allocator(&memory);
    const pp_tokenizer_params params = {.struct_size = sizeof params, .allocator = &allocator};
    pp_error err = {.struct_size = sizeof err};
    pp_tokenizer *tokenizer;
    const pp_status status = fuzz_open(bytes, len, &params, &tokenizer, &err);
    if (status >= 0) {
        use(tokenizer);
        pp_tokenizer_destroy(tokenizer);
    } else {
        fuzz_check(status == PP_ERR_NOMEM || strstr(err.message, "prepack-fuzz") != NULL ||
                       strstr(err.message, "added tokens") != NULL,
                   err.message);
        fuzz_check(status != PP_ERR_INTERNAL && status != PP_ERR_ARG, err.message);
    }
    fuzz_check(memory.held == 0, "a leak");
    return 0;
}
