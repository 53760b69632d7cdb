/*
 * gguf_special.c: the special tokens of a GGUF file. Converters did not always mark them, so that
 * some are known by their text, and what white space they take along is known by the model's name:
 * both as llama.cpp does it, whose format this is.
 */
#include "tokenizer/source/gguf_source.h"

#include <ctype.h>

/* Tokens that end a text, a turn or a part of one, or that frame what is filled in: special,
 * whatever type they have. */
static const char *const ALWAYS_SPECIAL[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
    "<|eom_id|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "</s>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "[e~[",
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
};

/* Frames of messages that are text, too. */
static const char *const ALWAYS_TEXT[] = {"<|channel|>", "<|message|>", "<|start|>",
                                          "<|constrain|>"};

static bool is_text(const struct ppi_token *token, const char *text)
{
    return token->text[0] == text[0] && token->n == strlen(text) &&
           memcmp(token->text, text, token->n) == 0;
}

static int32_t find_text(const struct ppi_gguf_tokens *tokens, const char *text)
{
    for (int32_t id = 0; id < tokens->n; id++)
        if (is_text(&tokens->texts[id], text))
            return id;
    return -1;
}

static bool is_one_of(const struct ppi_token *token, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_text(token, texts[i]))
            return true;
    return false;
}

void ppi_gguf_correct_types(struct ppi_gguf_tokens *tokens)
{
    for (int32_t id = 0; id < tokens->n; id++) {
        uint8_t *type = &tokens->types[id];
        if (*type != PPI_GGUF_CONTROL && *type != PPI_GGUF_UNKNOWN &&
            is_one_of(&tokens->texts[id], ALWAYS_SPECIAL, PPI_COUNT(ALWAYS_SPECIAL)))
            *type = PPI_GGUF_CONTROL;
        if (is_one_of(&tokens->texts[id], ALWAYS_TEXT, PPI_COUNT(ALWAYS_TEXT)))
            *type = PPI_GGUF_USER_DEFINED;
    }
    /* where a turn ends with one of these, <|end|> ends a message only */
    const bool calls = find_text(tokens, "<|call|>") >= 0 || find_text(tokens, "<|calls|>") >= 0;
    const int32_t end = find_text(tokens, "<|end|>");
    if (end >= 0 && calls &&
        (find_text(tokens, "<|return|>") >= 0 || find_text(tokens, "<|flush|>") >= 0))
        tokens->types[end] = PPI_GGUF_USER_DEFINED;
    /* a vocabulary with this one has </s> for markup */
    const int32_t markup = find_text(tokens, "</s>");
    if (markup >= 0 && find_text(tokens, "<|tool_response>") >= 0)
        tokens->types[markup] = PPI_GGUF_NORMAL;
}

/* ---- white space beside them ---- */

/* What takes white space along. */
struct stripping {
    const char *lstrip; /* the token that does before it; NULL */
    bool phi3;          /* most tokens do behind them */
};

static bool contains(const char *text, const char *part)
{
    const size_t n = strlen(part);
    for (; *text; text++) {
        size_t i = 0;
        while (i < n && tolower((unsigned char)text[i]) == part[i])
            i++;
        if (i == n)
            return true;
    }
    return false;
}

static pp_status read_stripping(const struct ppi_gguf_tokens *tokens, struct stripping *stripping)
{
    const char *name, *words, *architecture;
    PP_TRY(ppi_gguf_read_text(tokens, "general.name", &name));
    PP_TRY(ppi_gguf_read_text(tokens, "general.architecture", &architecture));
    PP_TRY(ppi_gguf_read_text(tokens, "tokenizer.ggml.pre", &words));
    *stripping = (struct stripping){0};
    if (contains(words, "jina-v2-de") || contains(words, "jina-v2-es") ||
        contains(words, "jina-v2-code") || contains(architecture, "nomic-bert-moe") ||
        contains(architecture, "jina-bert-v3"))
        stripping->lstrip = "<mask>";
    else if (contains(name, "phi-3") || contains(name, "phi3"))
        stripping->phi3 = true;
    else if (contains(name, "modern-bert"))
        stripping->lstrip = "[MASK]";
    return PP_OK;
}

pp_status ppi_gguf_put_added(const struct ppi_gguf_tokens *tokens, struct ppi_added *added)
{
    static const char *const PHI3_KEEP[] = {"<unk>", "<s>", "<|endoftext|>"};
    struct stripping stripping;
    PP_TRY(read_stripping(tokens, &stripping));
    for (int32_t id = 0; id < tokens->n; id++) {
        const uint8_t type = tokens->types[id];
        const struct ppi_token *text = &tokens->texts[id];
        if (type != PPI_GGUF_CONTROL && type != PPI_GGUF_UNKNOWN && type != PPI_GGUF_USER_DEFINED)
            continue;
        const struct ppi_added_token token = {
            .text = (char *)text->text,
            .n = text->n,
            .id = id,
            .special = type != PPI_GGUF_USER_DEFINED,
            .lstrip = stripping.lstrip && is_text(text, stripping.lstrip),
            .rstrip = stripping.phi3 && !is_one_of(text, PHI3_KEEP, PPI_COUNT(PHI3_KEEP))};
        PP_TRY(ppi_added_put(added, &token, tokens->err));
    }
    return PP_OK;
}
