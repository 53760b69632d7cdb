/*
 * gguf_patterns.c: the names of tokenizer.ggml.pre. A GGUF file does not hold the regular
 * expressions of its pre-tokenizer but names one; these are the expressions, as the tokenizer.json
 * that a name stands for has them. Names that share their expressions share a row.
 */
#include "tokenizer/source/gguf_source.h"

#include <string.h>

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LINE_ENDS    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define MARKS        " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" LINE_ENDS
#define LETTERS      "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"

#define GPT2   "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3 CONTRACTIONS "|" LETTERS "\\p{N}{1,3}|" MARKS
#define QWEN2  CONTRACTIONS "|" LETTERS "\\p{N}|" MARKS

#define UPPER    "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"
#define LOWER    "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"
#define BEFORE   "[^\\r\\n\\p{L}\\p{N}]?"
#define CASED(x) BEFORE "[" UPPER "]*[" LOWER "]+" x "|" BEFORE "[" UPPER "]+[" LOWER "]*" x "|"
#define SLASHES  " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" LINE_ENDS
#define GPT4O    CASED(CONTRACTIONS "?") "\\p{N}{1,3}|" SLASHES
#define TEKKEN   CASED("") "\\p{N}|" SLASHES

#define KANA_HAN    "[一-龥぀-ゟ゠-ヿ]+"
#define ASCII_MARKS "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
#define DEEPSEEK3                                                                                  \
    ASCII_MARKS "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+"
#define LINES "[^\\n]+|[\\n]+"
#define CJK   "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"

/* Letters with case, as deepseek-llm lists them. */
#define DEEPSEEK_LETTERS                                                                           \
    "\\s?[A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}"            \
    "\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}"         \
    "\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-"         \
    "\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}"             \
    "\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}"                 \
    "\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}"                 \
    "\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}"         \
    "\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-"                 \
    "\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-"                 \
    "\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}"         \
    "\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-"         \
    "\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}"          \
    "\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}"         \
    "-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-"                \
    "\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-"                 \
    "\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}\\x{104d8}-"            \
    "\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-"         \
    "\\x{1e943}]+"
#define DEEPSEEK_MARKS "\\s?[!-/:-~！-／：-～‘-‟　-。]+"

#define HAN_LESS(x) "[" x "&&[^\\p{Han}]]"
#define KIMI                                                                                       \
    "[\\p{Han}]+|" BEFORE HAN_LESS(UPPER) "*" HAN_LESS(LOWER) "+" CONTRACTIONS "?|" BEFORE         \
    HAN_LESS(UPPER) "+" HAN_LESS(LOWER) "*" CONTRACTIONS "?|\\p{N}{1,3}|" MARKS

#define MAX_NAMES 12

static const struct {
    const char *names[MAX_NAMES + 1];
    struct ppi_gguf_words words;
} TABLE[] = {
    {{"default"}, {.patterns = {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}}},
    {{"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
      "jina-v5-nano"},
     {.patterns = {LLAMA3}, .ignore_merges = true, .add_bos = true}},
    {{"dbrx", "smaug-bpe"}, {.patterns = {LLAMA3}}},
    {{"glm4", "chatglm-bpe"}, {.patterns = {LLAMA3}, .no_usual_bos = true}},
    {{"gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0",
      "mellum", "modern-bert", "exaone4", "trillion"},
     {.patterns = {GPT2}}},
    {{"mpt", "olmo", "jais", "granite-docling", "jina-v1-en", "jina-v2-code", "roberta-bpe"},
     {.patterns = {GPT2}}},
    {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"},
     {.patterns = {"\\p{N}", GPT2}}},
    {{"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "stablelm2", "hunyuan", "solar-open",
      "megrez", "grok-2"},
     {.patterns = {QWEN2}}},
    {{"qwen35"},
     {.patterns = {CONTRACTIONS
                   "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+"
                   "[\\r\\n]*|" LINE_ENDS}}},
    {{"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, {.patterns = {GPT4O}}},
    {{"granite-embed-multi-97m"}, {.patterns = {GPT4O}, .ignore_merges = true}},
    {{"tiny_aya", "cohere2moe"}, {.patterns = {"\\d{1,3}(?=(?:\\d{3})*\\b)", GPT4O}}},
    {{"tekken"}, {.patterns = {TEKKEN}, .ignore_merges = true, .add_bos = true}},
    {{"falcon"}, {.patterns = {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}}},
    {{"deepseek-llm"},
     {.patterns = {"[\\r\\n]", DEEPSEEK_LETTERS, DEEPSEEK_MARKS, "\\s+$", CJK, "\\p{N}+"}}},
    {{"deepseek-coder"}, {.patterns = {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}"}}},
    {{"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
     {.patterns = {"\\p{N}{1,3}", KANA_HAN, DEEPSEEK3 "[\\r\\n]*|" LINE_ENDS}}},
    {{"spark2_5"},
     {.patterns = {"\\p{N}{1,3}", KANA_HAN, DEEPSEEK3 "|[\\r\\n]|\\s+(?!\\S)|\\s+", "\\p{N}"}}},
    {{"youtu"},
     {.patterns =
          {"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" KANA_HAN,
           CASED(CONTRACTIONS "?") "\\p{N}|" SLASHES},
      .ignore_merges = true}},
    {{"kimi-k2"}, {.patterns = {KIMI}}},
    {{"bloom", "poro-chat", "gpt3-finnish"}, {.patterns = {" ?[^(\\s|.,!?…。，、।۔،)]+"}}},
    {{"viking"}, {.patterns = {" ?[^(\\s|.,!?…。，、।۔،)]+", "\\p{N}"}}},
    {{"jais-2"},
     {.patterns = {CONTRACTIONS "|" LETTERS
                                "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
                                "\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|"
                                "\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|"
                                "\\s{1,2}(?!\\S)|\\s{1}"}}},
    {{"minicpm5"},
     {.patterns = {"\\p{N}{1,3}", CONTRACTIONS "|" LETTERS "\\p{N}+|" MARKS},
      .ignore_merges = true}},
    {{"bailingmoe", "bailingmoe2", "llada-moe"},
     {.patterns =
          {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++"
           "[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}}},
    {{"seed-coder"},
     {.patterns = {CONTRACTIONS "|" LETTERS "\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" LINE_ENDS}}},
    {{"ufakzeka"}, {.patterns = {LETTERS "\\p{N}|" MARKS}}},
    {{"laguna"}, {.patterns = {LINES, QWEN2}}},
    {{"exaone-moe"},
     {.patterns = {CONTRACTIONS
                   "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| "
                   "?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}}},
    {{"chameleon"},
     {.patterns = {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )",
                   "\\p{N}", "[\\p{P}!-/:-@\\[-`{-~]", GPT2},
      .add_bos = true}},
    {{"gemma4", "granite-embed-multi-311m"},
     {.patterns = {LINES}, .chars = true, .always_bos = true}},
    {{"sarvam-moe"}, {.patterns = {LINES}, .chars = true}},
};

const struct ppi_gguf_words *ppi_gguf_find_words(const char *name)
{
    for (size_t row = 0; row < PPI_COUNT(TABLE); row++)
        for (const char *const *known = TABLE[row].names; *known; known++)
            if (strcmp(*known, name) == 0)
                return &TABLE[row].words;
    return NULL;
}
