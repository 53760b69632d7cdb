/* tokenizer.cc: the only C++ file: a C interface to SentencePiece's library. */
#include "tokenizer.h"
#include "files.h"
#include "say.h"
#include "spm_check.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <sentencepiece_processor.h>

namespace {

using Processor = sentencepiece::SentencePieceProcessor;

/* A token that a text may spell out. */
struct Special {
    std::string text;
    int id;
    bool eats_space_left, eats_space_right;
};

} // namespace

struct tokenizer {
    std::string path, model; /* the model's bytes, for `inner` */
    Processor processor;
    std::unique_ptr<Processor> inner; /* the same model for text that follows a special token, which
                                         gets no space before it; made when it is needed */
    std::vector<Special> specials;    /* longest first, so that the longest match is found */
    bool begins[256];                 /* whether a special token begins with this byte */
    std::vector<Special> added;       /* with a text of their own when ids become text */
    std::vector<int> silent;          /* added ids without text */
    int begin, end;                   /* added to every text; -1: none */
    int eos;
    bool no_prefix, legacy;
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

int load(const std::string &path, const std::string &bytes, Processor *processor)
{
    const auto status =
        processor->LoadFromSerializedProto(absl::string_view(bytes.data(), bytes.size()));
    if (status.ok())
        return STATUS_OK;
    return fail("%s is not a SentencePiece model: %s", path.c_str(), status.error_message());
}

/* Protocol buffers merge what stands twice: this adds normalizer_spec.add_dummy_prefix = false. */
int make_inner(struct tokenizer *tokenizer)
{
    static const char no_prefix[] = {0x1a, 0x02, 0x18, 0x00};
    if (tokenizer->inner)
        return STATUS_OK;
    std::unique_ptr<Processor> made(new Processor);
    const int status = load(
        tokenizer->path, tokenizer->model + std::string(no_prefix, sizeof no_prefix), made.get());
    if (!status)
        tokenizer->inner = std::move(made);
    return status;
}

int find_id(const struct tokenizer *tokenizer, const std::string &text)
{
    for (const Special &special : tokenizer->specials)
        if (special.text == text)
            return special.id;
    const int id = tokenizer->processor.PieceToId(text);
    return tokenizer->processor.IdToPiece(id) == text ? id : -1;
}

/* The id that begins or ends a text; -1: none. */
int edge_id(const struct tokenizer *tokenizer, const struct edge_token &edge, int usual)
{
    if (!edge.stated)
        return usual;
    return edge.text ? find_id(tokenizer, edge.text) : -1;
}

void add_special(struct tokenizer *tokenizer, const Special &special)
{
    for (Special &known : tokenizer->specials)
        if (known.text == special.text) {
            known = special;
            return;
        }
    tokenizer->specials.push_back(special);
}

void find_specials(struct tokenizer *tokenizer, const struct tokenizer_config *config)
{
    const Processor &processor = tokenizer->processor;
    const int n_pieces = processor.GetPieceSize();
    for (int id = 0; id < n_pieces; id++)
        if (processor.IsControl(id) || processor.IsUnknown(id))
            tokenizer->specials.push_back({processor.IdToPiece(id), id, false, false});
    for (size_t i = 0; i < config->n_added; i++) {
        const struct added_token &token = config->added[i];
        const Special special = {token.text, token.id, token.eats_space_left,
                                 token.eats_space_right};
        add_special(tokenizer, special);
        if (token.id >= n_pieces && token.special)
            tokenizer->silent.push_back(token.id);
        else if (token.id >= n_pieces)
            tokenizer->added.push_back(special);
    }
    std::stable_sort(
        tokenizer->specials.begin(), tokenizer->specials.end(),
        [](const Special &a, const Special &b) { return a.text.size() > b.text.size(); });
}

/* A beginning or end that every text gets must be a token; where nothing is said, texts get the
 * beginning that the model has. */
int choose_edges(struct tokenizer *tokenizer, const struct tokenizer_config *config)
{
    const int bos = edge_id(tokenizer, config->begin, tokenizer->processor.bos_id());
    tokenizer->eos = edge_id(tokenizer, config->end, tokenizer->processor.eos_id());
    tokenizer->begin = config->begin.is_added != 0 ? bos : -1;
    tokenizer->end = config->end.is_added == 1 ? tokenizer->eos : -1;
    if (config->begin.is_added != 0 && config->begin.text && bos < 0)
        return fail("bos_token '%s' of tokenizer_config.json is not in the vocabulary of %s",
                    config->begin.text, tokenizer->path.c_str());
    if (config->end.is_added == 1 && config->end.text && tokenizer->eos < 0)
        return fail("eos_token '%s' of tokenizer_config.json is not in the vocabulary of %s",
                    config->end.text, tokenizer->path.c_str());
    return STATUS_OK;
}

/* The special token at `place`, or NULL. */
const Special *special_at(const struct tokenizer *tokenizer, const char *place)
{
    if (!tokenizer->begins[static_cast<unsigned char>(*place)])
        return nullptr;
    for (const Special &special : tokenizer->specials)
        if (strncmp(place, special.text.c_str(), special.text.size()) == 0)
            return &special;
    return nullptr;
}

/* Appends the ids of text between special tokens. */
int encode_plain(struct tokenizer *tokenizer, const std::string &text, bool first,
                 std::vector<int> *ids)
{
    std::vector<int> more;
    const bool prefix =
        first ? !tokenizer->no_prefix : tokenizer->legacy && !text.empty() && text[0] != ' ';
    if (text.empty())
        return STATUS_OK;
    const int made = prefix ? STATUS_OK : make_inner(tokenizer);
    if (made)
        return made;
    const auto status = (prefix ? tokenizer->processor : *tokenizer->inner).Encode(text, &more);
    if (!status.ok())
        return fail("the tokenizer failed: %s", status.error_message());
    ids->insert(ids->end(), more.begin(), more.end());
    return STATUS_OK;
}

bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The ids of a text without its beginning and end. */
int encode(struct tokenizer *tokenizer, const char *text, std::vector<int> *ids)
{
    const char *start = text, *next = text;
    while (*next) {
        const Special *special = special_at(tokenizer, next);
        if (!special) {
            next++;
            continue;
        }
        const char *stop = next;
        while (special->eats_space_left && stop > start && is_space(stop[-1]))
            stop--;
        const int status = encode_plain(tokenizer, std::string(start, stop), start == text, ids);
        if (status)
            return status;
        ids->push_back(special->id);
        next += special->text.size();
        while (special->eats_space_right && is_space(*next))
            next++;
        start = next;
    }
    return encode_plain(tokenizer, std::string(start, next), start == text, ids);
}

/* Appends the text of pieces; a hostile vocabulary may have a NUL, where it is cut. */
int decode_run(struct tokenizer *tokenizer, std::vector<int> *run, bool first, std::string *text)
{
    std::string more;
    const int made = first ? STATUS_OK : make_inner(tokenizer);
    if (made)
        return made;
    const auto status = (first ? tokenizer->processor : *tokenizer->inner).Decode(*run, &more);
    if (!status.ok())
        return fail("the tokenizer failed: %s", status.error_message());
    *text += more.substr(0, more.find('\0'));
    run->clear();
    return STATUS_OK;
}

/* The text of any ids. */
int decode(struct tokenizer *tokenizer, const std::vector<int> &ids, std::string *text)
{
    const int n_pieces = tokenizer->processor.GetPieceSize();
    std::vector<int> run;
    bool first = true;
    text->clear();
    for (const int id : ids) {
        if (id >= 0 && id < n_pieces)
            run.push_back(id);
        for (const Special &added : tokenizer->added) {
            if (added.id != id)
                continue;
            const int status = decode_run(tokenizer, &run, first, text);
            if (status)
                return status;
            *text += added.text;
            first = false;
        }
    }
    return decode_run(tokenizer, &run, first, text);
}

bool is_known(const struct tokenizer *tokenizer, int id)
{
    const std::vector<int> &silent = tokenizer->silent;
    if (id < tokenizer->processor.GetPieceSize())
        return id >= 0;
    for (const Special &added : tokenizer->added)
        if (added.id == id)
            return true;
    return std::find(silent.begin(), silent.end(), id) != silent.end();
}

int open(const char *path, const char *bytes, size_t n, const struct tokenizer_config *config,
         struct tokenizer **tokenizer)
{
    return guarded([&] {
        std::unique_ptr<struct tokenizer> made(new struct tokenizer());
        made->path = path;
        made->model.assign(bytes, n);
        made->no_prefix = config->no_prefix;
        made->legacy = config->legacy;
        int status = load(made->path, made->model, &made->processor);
        if (status)
            return status;
        find_specials(made.get(), config);
        status = choose_edges(made.get(), config);
        if (status)
            return status;
        for (const Special &special : made->specials)
            made->begins[static_cast<unsigned char>(special.text[0])] = !config->split_special;
        *tokenizer = made.release();
        return static_cast<int>(STATUS_OK);
    });
}

} // namespace

extern "C" int tokenizer_open(const char *path, const struct tokenizer_config *config,
                              struct tokenizer **tokenizer)
{
    char *bytes;
    size_t n;
    int status = read_file(path, max_model_bytes, &bytes, &n);
    if (status)
        return status;
    status = spm_check(path, bytes, n);
    if (!status)
        status = open(path, bytes, n, config, tokenizer);
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
    return tokenizer->eos;
}

extern "C" int tokenizer_encode(struct tokenizer *tokenizer, const char *text, int32_t **tokens,
                                size_t *n)
{
    return guarded([&] {
        std::vector<int> ids;
        if (tokenizer->begin >= 0)
            ids.push_back(tokenizer->begin);
        const int status = encode(tokenizer, text, &ids);
        if (status)
            return status;
        if (tokenizer->end >= 0)
            ids.push_back(tokenizer->end);
        int32_t *copy = static_cast<int32_t *>(malloc((ids.size() + 1) * sizeof *copy));
        if (!copy)
            return fail_memory();
        std::copy(ids.begin(), ids.end(), copy);
        *tokens = copy;
        *n = ids.size();
        return static_cast<int>(STATUS_OK);
    });
}

extern "C" int tokenizer_decode_after(struct tokenizer *tokenizer, const int32_t *before,
                                      size_t n_before, const int32_t *tokens, size_t n, char **text,
                                      int32_t *unknown)
{
    return guarded([&] {
        const std::vector<int> alone(tokens, tokens + n);
        std::vector<int> ids(before, before + n_before);
        std::string start, added;
        int status = decode(tokenizer, ids, &start);
        ids.insert(ids.end(), tokens, tokens + n);
        if (!status)
            status = decode(tokenizer, ids, &added);
        if (!status && added.compare(0, start.size(), start) == 0)
            added.erase(0, start.size());
        else if (!status)
            status = decode(tokenizer, alone, &added);
        if (status)
            return status;
        *unknown = -1;
        for (size_t i = n; i-- > 0;)
            if (!is_known(tokenizer, tokens[i]))
                *unknown = tokens[i];
        *text = strdup(added.c_str());
        return *text ? static_cast<int>(STATUS_OK) : fail_memory();
    });
}
