/* live_text.c: writes text as soon as there is some. */
#include "live_text.h"
#include "say.h"

int live_text_open(struct tokenizer *tokenizer, const pp_prompt *prompt, const char *label,
                   FILE *out, struct live_text *live)
{
    live->out = out;
    fprintf(out, "> %s\n", label);
    fflush(out);
    return text_stream_open(tokenizer, prompt->tokens, (size_t)prompt->n_tokens, &live->stream);
}

static void write_text(const struct live_text *live, const char *text)
{
    fputs(text, live->out);
    fflush(live->out);
    say_line_open(true);
}

int live_text_push(struct live_text *live, int32_t token)
{
    const char *text;
    const int status = text_stream_push(&live->stream, &token, 1, &text);
    if (!status)
        write_text(live, text);
    return status;
}

int live_text_end(struct live_text *live)
{
    const char *text;
    const int status = text_stream_end(&live->stream, &text);
    if (status)
        return status;
    write_text(live, text);
    fputs("\n\n", live->out);
    say_line_open(false);
    return STATUS_OK;
}

void live_text_close(struct live_text *live)
{
    text_stream_close(&live->stream);
}
