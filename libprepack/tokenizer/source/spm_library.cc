/*
 * spm_library.cc: the only C++ file: SentencePiece behind a C interface; see spm_library.h.
 */
#include "tokenizer/source/spm_library.h"

#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <sentencepiece_processor.h>

namespace {

using Processor = sentencepiece::SentencePieceProcessor;

} // namespace

struct ppi_spm {
    Processor processor;
    std::unique_ptr<Processor> bare; /* the same model for text that gets no space before it */
};

namespace {

/* Runs `work`, which returns a result, and turns exceptions into one. */
template <typename Work> ppi_spm_result guarded(ppi_spm_reason *reason, Work work)
{
    try {
        return work();
    } catch (const std::bad_alloc &) {
        return PPI_SPM_NOMEM;
    } catch (const std::exception &e) {
        snprintf(reason->text, sizeof reason->text, "%s", e.what());
    } catch (...) {
        snprintf(reason->text, sizeof reason->text, "an unknown exception");
    }
    return PPI_SPM_REFUSED;
}

ppi_spm_result check(const sentencepiece::util::Status &status, ppi_spm_reason *reason)
{
    if (status.ok())
        return PPI_SPM_OK;
    snprintf(reason->text, sizeof reason->text, "%s", status.error_message());
    return PPI_SPM_REFUSED;
}

ppi_spm_result load(const std::string &bytes, Processor *processor, ppi_spm_reason *reason)
{
    return check(processor->LoadFromSerializedProto(absl::string_view(bytes.data(), bytes.size())),
                 reason);
}

/* Protocol buffers merge what stands twice: this adds normalizer_spec.add_dummy_prefix = false. */
ppi_spm_result load_bare(const std::string &bytes, ppi_spm *spm, ppi_spm_reason *reason)
{
    static const char no_prefix[] = {0x1a, 0x02, 0x18, 0x00};
    spm->bare.reset(new Processor);
    return load(bytes + std::string(no_prefix, sizeof no_prefix), spm->bare.get(), reason);
}

} // namespace

extern "C" ppi_spm_result ppi_spm_open(const char *bytes, size_t n, bool bare, ppi_spm **spm,
                                       ppi_spm_reason *reason)
{
    return guarded(reason, [&] {
        const std::string model(bytes, n);
        std::unique_ptr<ppi_spm> made(new ppi_spm());
        ppi_spm_result result = load(model, &made->processor, reason);
        if (result == PPI_SPM_OK && bare)
            result = load_bare(model, made.get(), reason);
        if (result == PPI_SPM_OK)
            *spm = made.release();
        return result;
    });
}

extern "C" void ppi_spm_close(ppi_spm *spm)
{
    delete spm;
}

extern "C" int32_t ppi_spm_count(const ppi_spm *spm)
{
    return spm->processor.GetPieceSize();
}

extern "C" struct ppi_spm_piece ppi_spm_piece(const ppi_spm *spm, int32_t id)
{
    const Processor &processor = spm->processor;
    const std::string &text = processor.IdToPiece(id);
    const ppi_spm_type type = processor.IsUnknown(id)   ? PPI_SPM_UNKNOWN
                              : processor.IsControl(id) ? PPI_SPM_CONTROL
                              : processor.IsUnused(id)  ? PPI_SPM_UNUSED
                              : processor.IsByte(id)    ? PPI_SPM_BYTE
                                                        : PPI_SPM_NORMAL;
    return {text.c_str(), text.size(), type};
}

extern "C" int32_t ppi_spm_bos(const ppi_spm *spm)
{
    return spm->processor.bos_id();
}

extern "C" int32_t ppi_spm_eos(const ppi_spm *spm)
{
    return spm->processor.eos_id();
}

extern "C" int32_t ppi_spm_unk(const ppi_spm *spm)
{
    return spm->processor.unk_id();
}

extern "C" int32_t ppi_spm_pad(const ppi_spm *spm)
{
    return spm->processor.pad_id();
}

namespace {

using Put = void (*)(void *user, int32_t id, uint32_t begin, uint32_t end);

/* Of the pieces for the bytes of a character only the last has the character's span: all get it. */
ppi_spm_result encode_spans(const Processor &processor, absl::string_view text, Put put, void *user,
                            ppi_spm_reason *reason)
{
    sentencepiece::ImmutableSentencePieceText encoded;
    const ppi_spm_result result = check(processor.Encode(text, encoded.mutable_proto()), reason);
    if (result != PPI_SPM_OK)
        return result;
    const auto pieces = encoded.pieces();
    std::vector<uint32_t> ends(pieces.size());
    for (size_t i = pieces.size(); i-- > 0;) {
        const bool has_none = pieces[i].begin() == pieces[i].end();
        const bool is_byte = processor.IsByte(static_cast<int>(pieces[i].id()));
        ends[i] = has_none && is_byte && i + 1 < ends.size() ? ends[i + 1] : pieces[i].end();
    }
    for (size_t i = 0; i < pieces.size(); i++)
        put(user, static_cast<int32_t>(pieces[i].id()), pieces[i].begin(), ends[i]);
    return PPI_SPM_OK;
}

} // namespace

extern "C" ppi_spm_result ppi_spm_encode(const ppi_spm *spm, const char *bytes, size_t n, bool bare,
                                         bool spans, Put put, void *user, ppi_spm_reason *reason)
{
    return guarded(reason, [&] {
        const Processor &processor = bare && spm->bare ? *spm->bare : spm->processor;
        const absl::string_view text(bytes, n);
        if (spans)
            return encode_spans(processor, text, put, user, reason);
        std::vector<int> ids;
        const ppi_spm_result result = check(processor.Encode(text, &ids), reason);
        for (size_t i = 0; result == PPI_SPM_OK && i < ids.size(); i++)
            put(user, ids[i], 0, 0);
        return result;
    });
}
