/*
 * fuzz_encode.c: any text, with a handful of tokenizers of different kinds: what fuzz_use_text
 * asks, also of the bytes taken for ids; where every byte has a token, offsets that do not go back
 * and a text that comes back; the same tokens with several texts in one call and with threads.
 */
#define _GNU_SOURCE /* memmem */

#include "fuzz.h"
#include "fuzz_tokens.h"
#include "tokenizer/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const fuzz_seeds[] = {
    "Hello, world! it's 1234 ABC <s>\r\n\n  x\t<|im_start|>user <mask> </s>",
    "e\xcc\x81\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd \xce\xa3\xc5\xbf "
    "\xc2\xbd\xc2\xa0\xe1\x84\x92\xe1\x85\xa1",
    " lead  ab<tool>ab trail \xe2\x96\x81\xe2\x96\x81_a "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "\xff",
    NULL,
};

#define SPLIT                                                                                      \
    "{'type':'Split','pattern':{'Regex':'[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}|"   \
    " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+'},'"      \
    "behavior':'Isolated'}"
#define ADDED                                                                                      \
    "'added_tokens':[{'id':900,'content':'<s>','special':true,'normalized':false},"                \
    "{'id':901,'content':'<tool>','lstrip':true,'rstrip':true,'normalized':true},"                 \
    "{'id':902,'content':'ab','single_word':true,'normalized':true},"                              \
    "{'id':903,'content':'<mask>','special':true,'lstrip':true,'normalized':false}],"

/* %s: a vocabulary of all 256 bytes. whole: every byte has a token and nothing is normalised. */
static const struct kind {
    const char *json;
    bool whole;
} KINDS[] = {
    {"{" ADDED "'pre_tokenizer':{'type':'Sequence','pretokenizers':[" SPLIT
     ",{'type':'ByteLevel','add_prefix_space':false,'use_regex':false}]},"
     "'decoder':{'type':'ByteLevel'},'model':{'type':'BPE','vocab':{%s},'merges':"
     "['a b','a a','aa aa','l l','\xc4\xa0 a']}}",
     true},
    {"{" ADDED "'normalizer':{'type':'NFC'},'pre_tokenizer':{'type':'ByteLevel','add_prefix_space':"
     "true},'post_processor':{'type':'ByteLevel','trim_offsets':true},'decoder':{'type':"
     "'ByteLevel'},'model':{'type':'BPE','ignore_merges':true,'vocab':{%s},'merges':['a b']}}",
     false},
    {"{" ADDED "'normalizer':{'type':'Sequence','normalizers':[{'type':'Strip','strip_left':true,"
     "'strip_right':true},{'type':'NFKC'},{'type':'Lowercase'},{'type':'Replace','pattern':{'Regex'"
     ":"
     "' {2,}'},'content':' '}]},'pre_tokenizer':{'type':'Metaspace','replacement':'_',"
     "'prepend_scheme':'first','split':true},'decoder':{'type':'Metaspace','replacement':'_'},"
     "'model':{'type':'Unigram','unk_id':0,'vocab':[['<u>',0],['_',-2.5],['a',-1],['ab',-1.5],"
     "['_a',-0.3],['aaaa',-2],['e',-3],['l',-3],['ll',-4]]}}",
     false},
    {"{" ADDED "'normalizer':{'type':'BertNormalizer','lowercase':true},'pre_tokenizer':{'type':"
     "'BertPreTokenizer'},'decoder':{'type':'WordPiece','prefix':'##','cleanup':true},'model':"
     "{'type':'WordPiece','unk_token':'[U]','continuing_subword_prefix':'##',"
     "'max_input_chars_per_word':20,'vocab':{'[U]':0,'a':1,'##b':2,'##a':3,'e':4,'##l':5,'1':6,"
     "'##2':7,'h':8,'##e':9}}}",
     false},
    {"{" ADDED "'normalizer':{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':'_'},"
     "{'type':'Replace','pattern':{'String':' '},'content':'_'}]},'decoder':{'type':'Sequence',"
     "'decoders':[{'type':'Replace','pattern':{'String':'_'},'content':' "
     "'},{'type':'ByteFallback'},"
     "{'type':'Fuse'},{'type':'Strip','content':' ','start':1,'stop':0}]},'model':{'type':'BPE',"
     "'unk_token':'<u>','fuse_unk':true,'byte_fallback':true,'vocab':{'<u>':0,'_':1,'a':2,'_a':3,"
     "'aa':4,'<0xC3>':5,'<0xA9>':6,'l':7,'ll':8},'merges':[['_','a'],['a','a'],['l','l']]}}",
     false},
};
#define N_KINDS (sizeof KINDS / sizeof KINDS[0])

/* The characters that stand for the 256 bytes, with ids from 0, and what merges make of them. */
static void write_bytes(char *out)
{
    static const char *const more[] = {"ab", "aa", "aaaa", "ll", "\xc4\xa0\x61"};
    uint32_t next = 256;
    size_t n = 0;
    for (uint32_t byte = 0; byte < 256; byte++) {
        const bool plain = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        char text[5] = {0};
        ppi_utf8_put(plain ? byte : next++, text);
        n += (size_t)sprintf(out + n, "%s'%s%s':%u", byte ? "," : "",
                             byte == '"' || byte == '\\' ? "\\" : "",
                             byte == '\'' ? "\\u0027" : text, byte);
    }
    for (size_t i = 0; i < 5; i++)
        n += (size_t)sprintf(out + n, ",'%s':%zu", more[i], 256 + i);
}

static pp_tokenizer *open_kind(const struct kind *kind)
{
    static char bytes[8192], json[16384];
    pp_tokenizer *tokenizer = NULL;
    pp_error err = {.struct_size = sizeof err};
    write_bytes(bytes);
    int n = strstr(kind->json, "%s") ? snprintf(json, sizeof json, kind->json, bytes)
                                     : snprintf(json, sizeof json, "%s", kind->json);
    for (int i = 0; i < n; i++)
        json[i] = json[i] == '\'' ? '"' : json[i];
    fuzz_check(fuzz_open(json, (size_t)n, NULL, &tokenizer, &err) >= 0, err.message);
    return tokenizer;
}

/* The text comes back, unless a token took the white space beside it along. */
static void check_back(const pp_tokenizer *tokenizer, const pp_encoded *encoded, pp_text text)
{
    size_t n_bytes;
    if (memmem(text.bytes, text.n_bytes, "<tool>", 6) ||
        pp_tokenizer_decode(tokenizer, encoded->ids, encoded->n, NULL, NULL, 0, &n_bytes, NULL) < 0)
        return;
    char *back = malloc(n_bytes + 1);
    if (pp_tokenizer_decode(tokenizer, encoded->ids, encoded->n, NULL, back, n_bytes + 1, &n_bytes,
                            NULL) >= 0)
        fuzz_check(n_bytes == text.n_bytes &&
                       (n_bytes == 0 || memcmp(back, text.bytes, n_bytes) == 0),
                   "another text comes back");
    free(back);
}

/* Tokens of every byte: offsets go forward, and the text comes back. */
static void check_whole(pp_tokenizer *tokenizer, pp_text text)
{
    const pp_encode_params params = {
        .struct_size = sizeof params, .offsets = 1, .special = PP_SPECIAL_TEXT};
    pp_encoding *encoding;
    pp_encoded encoded = {.struct_size = sizeof encoded};
    if (pp_tokenizer_encode(tokenizer, &text, 1, &params, &encoding, NULL) < 0)
        return;
    pp_encoding_get(encoding, 0, &encoded, NULL);
    int64_t last = 0;
    for (int64_t i = 0; i < encoded.n; i++) {
        fuzz_check(encoded.offsets[i].begin >= last && encoded.offsets[i].end > last - 1,
                   "offsets go back");
        last = encoded.offsets[i].begin;
    }
    fuzz_check(encoded.n == 0 ? text.n_bytes == 0
                              : encoded.offsets[0].begin == 0 &&
                                    encoded.offsets[encoded.n - 1].end == (int64_t)text.n_bytes,
               "offsets leave something out");
    check_back(tokenizer, &encoded, text);
    pp_encoding_destroy(encoding);
}

/* The text among others, with threads: as alone. */
static void check_batch(pp_tokenizer *tokenizer, pp_text text)
{
    const pp_text texts[] = {text, {"ab 12", 5}, text, {"", 0}, text};
    const pp_encode_params params = {.struct_size = sizeof params, .n_threads = 3};
    pp_encoding *alone = NULL, *batch = NULL;
    pp_encoded one = {.struct_size = sizeof one}, other = one;
    if (pp_tokenizer_encode(tokenizer, &text, 1, NULL, &alone, NULL) >= 0 &&
        pp_tokenizer_encode(tokenizer, texts, 5, &params, &batch, NULL) >= 0)
        for (int64_t i = 0; i < 5; i += 2) {
            pp_encoding_get(alone, 0, &one, NULL);
            pp_encoding_get(batch, i, &other, NULL);
            fuzz_check(one.n == other.n &&
                           (one.n == 0 || memcmp(one.ids, other.ids, (size_t)one.n * 4) == 0),
                       "other tokens among others");
        }
    pp_encoding_destroy(alone);
    pp_encoding_destroy(batch);
}

/* The bytes as ids: those of bytes and of the first tokens, and, above 240, of added tokens. */
static void check_ids(const pp_tokenizer *tokenizer, const uint8_t *bytes, size_t len)
{
    int32_t ids[256];
    const size_t n = len < 256 ? len : 256;
    for (size_t i = 0; i < n; i++)
        ids[i] = bytes[i] > 240 ? 660 + bytes[i] : bytes[i];
    fuzz_use_ids(tokenizer, ids, (int64_t)n);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static pp_tokenizer *tokenizers[N_KINDS];
    static unsigned n_inputs;
    const pp_text text = {(const char *)bytes, len};
    const bool valid = ppi_utf8_check(text.bytes, len) == len;
    n_inputs++;
    for (size_t i = 0; i < N_KINDS; i++) {
        pp_encoding *encoding = NULL;
        if (!tokenizers[i])
            tokenizers[i] = open_kind(&KINDS[i]);
        check_ids(tokenizers[i], bytes, len);
        if (!valid) {
            fuzz_check(pp_tokenizer_encode(tokenizers[i], &text, 1, NULL, &encoding, NULL) ==
                           PP_ERR_ARG,
                       "text that is no UTF-8");
            continue;
        }
        fuzz_use_text(tokenizers[i], text, PP_SPECIAL_PARSE);
        fuzz_use_text(tokenizers[i], text, PP_SPECIAL_TEXT);
        if (KINDS[i].whole)
            check_whole(tokenizers[i], text);
        if (n_inputs % 8 == 0) /* threads are slow to start */
            check_batch(tokenizers[i], text);
    }
    return 0;
}
