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
#define CJK   "[一-龥ࠀ-一가-퟿]+"

/* Letters with case, as deepseek-llm lists them. */
#define DEEPSEEK_LETTERS                                                                                                                       \
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-"                                              \
    "ՖႠ-"                                                                                                                                   \
    "ჅᎠ-"                                                                                                                                  \
    "Ᏽᏸ-"                                                                                                                                  \
    "ᏽᲐ-"                                                                                                                                  \
    "ᲺᲽ-"                                                                                                                                  \
    "Ჿᴀ-"                                                                                                                                  \
    "ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-"                                                                                                      \
    "ὅὈ-Ὅὐ-ὗὙὛὝ\u1F5F-\u1F7Dᾀ-ᾴᾶ-ᾼ\u1FBEῂ-ῄῆ-ῌ\u1FD0-\u1FD3\u1FD6-\u1FDBῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕ" \
    "ℙ-ℝℤ\u2126ℨ\u212A-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-"                \
    "ꞎꭰ-"                                                                                                                                  \
    "ꮿﬀ-"                                                                                                                                  \
    "ﬆﬓ-"                                                                                                                                  \
    "ﬗＡ-"                                                                                                                                  \
    "Ｚａ-"                                                                                                                                  \
    "ｚ𐐀-"                                                                                                                                 \
    "𐑏𐒰-"                                                                                                                                \
    "𐓓𐓘-𐓻𐲀-𐲲"                                                                                                                   \
    "𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
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
