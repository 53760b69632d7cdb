/* tokenizer.cc: the only C++ file: a C interface to SentencePiece's library. */
#include "tokenizer.h"
#include "files.h"
#include "say.h"
#include "spm_check.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include <sentencepiece_processor.h>

struct tokenizer {
    sentencepiece::SentencePieceProcessor processor;
};

namespace {

const size_t max_model_bytes = static_cast<size_t>(64) << 20;

/* Runs `work`, which returns an exit status, and turns exceptions into one. */
template <typename Work> int guarded(Work work)
{
    try {
        return work();
    } catch (const std::bad_alloc &) {
        return fail_memory();
    } catch (const std::exception &e) {
        return fail("the tokenizer failed: %s", e.what());
    } catch (...) {
        return fail("the tokenizer failed");
    }
}

int load(const char *path, const char *bytes, size_t n, struct tokenizer **tokenizer)
{
    return guarded([&] {
        struct tokenizer *made = new struct tokenizer;
        const auto status = made->processor.LoadFromSerializedProto(absl::string_view(bytes, n));
        if (!status.ok()) {
            delete made;
            return fail("%s is not a SentencePiece model: %s", path, status.error_message());
        }
        *tokenizer = made;
        return static_cast<int>(STATUS_OK);
    });
}

/* Decoded text, cut at a NUL if a hostile vocabulary has one. */
std::string decode(struct tokenizer *tokenizer, const std::vector<int> &ids)
{
    std::string text;
    const auto status = tokenizer->processor.Decode(ids, &text);
    if (!status.ok())
        text.clear();
    return text.substr(0, text.find('\0'));
}

} // namespace

extern "C" int tokenizer_open(const char *path, struct tokenizer **tokenizer)
{
    char *bytes;
    size_t n;
    int status = read_file(path, max_model_bytes, &bytes, &n);
    if (status)
        return status;
    status = spm_check(path, bytes, n);
    if (!status)
        status = load(path, bytes, n, tokenizer);
    free(bytes);
    return status;
}

extern "C" void tokenizer_close(struct tokenizer *tokenizer)
{
    delete tokenizer;
}

extern "C" int32_t tokenizer_size(const struct tokenizer *tokenizer)
{
    return tokenizer->processor.GetPieceSize();
}

extern "C" int32_t tokenizer_eos(const struct tokenizer *tokenizer)
{
    return tokenizer->processor.eos_id();
}

extern "C" int tokenizer_encode(struct tokenizer *tokenizer, const char *text, int32_t **tokens,
                                size_t *n)
{
    return guarded([&] {
        std::vector<int> ids;
        const auto status = tokenizer->processor.Encode(text, &ids);
        if (!status.ok())
            return fail("the tokenizer failed: %s", status.error_message());
        const int bos = tokenizer->processor.bos_id();
        if (bos >= 0)
            ids.insert(ids.begin(), bos);
        int32_t *copy = static_cast<int32_t *>(malloc((ids.size() + 1) * sizeof *copy));
        if (!copy)
            return fail_memory();
        for (size_t i = 0; i < ids.size(); i++)
            copy[i] = ids[i];
        *tokens = copy;
        *n = ids.size();
        return static_cast<int>(STATUS_OK);
    });
}

extern "C" int tokenizer_decode_after(struct tokenizer *tokenizer, const int32_t *before,
                                      size_t n_before, const int32_t *tokens, size_t n, char **text)
{
    return guarded([&] {
        std::vector<int> ids(before, before + n_before);
        const std::string start = decode(tokenizer, ids);
        ids.insert(ids.end(), tokens, tokens + n);
        std::string added = decode(tokenizer, ids);
        if (added.compare(0, start.size(), start) == 0)
            added.erase(0, start.size());
        else
            added = decode(tokenizer, std::vector<int>(tokens, tokens + n));
        *text = strdup(added.c_str());
        return *text ? static_cast<int>(STATUS_OK) : fail_memory();
    });
}
