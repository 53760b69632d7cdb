/*
 * unigram_read.c: the "model" of a tokenizer.json that is Unigram, and the same from arrays: scores
 * that are numbers, an unknown token that exists.
 */
#include "tokenizer/pieces/unigram.h"

#include <math.h>

static pp_status refuse_score(pp_error *err, const char *label, int64_t i, const char *score)
{
    return ppi_error(err, PP_ERR_FORMAT, "%s: the score of token %lld is %s; a number is needed",
                     label, (long long)i, score);
}

static pp_status refuse_unk(pp_error *err, const char *label, int64_t unk, int32_t n_ids)
{
    return ppi_error(err, PP_ERR_FORMAT, "%s: \"model.unk_id\" is %lld, but ids end at %d", label,
                     (long long)unk, n_ids - 1);
}

/*
 * What the reader of `tokenizers` makes of a number that was written with as few digits as tell it
 * from its neighbours: all digits as an integer, rounded, divided by a power of ten, rounded again;
 * for 16 and 17 digits that may be the neighbour of what was meant, which then decides ties. Exact
 * in 128 bits: x is mantissa / 2^shift, and its digits are x * 10^k, rounded. Beyond the scores
 * that logarithms give (1e-5 to 1e5) x stays as it is.
 */
static double read_as_the_original(double x)
{
    int exponent;
    double magnitude = fabs(x);
    if (!(magnitude >= 1e-5 && magnitude < 1e5))
        return x;
    uint64_t mantissa = (uint64_t)ldexp(frexp(magnitude, &exponent), 53);
    int shift = 53 - exponent, k = 15;
    for (double limit = 1.0; magnitude >= limit; limit *= 10)
        k--;
    for (double limit = 0.1; magnitude < limit; limit /= 10)
        k++;
    for (int n_digits = 15; n_digits <= 17; n_digits++, k++) {
        unsigned __int128 power = 1;
        for (int i = 0; i < k; i++)
            power *= 10;
        unsigned __int128 scaled = mantissa * power, half = (unsigned __int128)1 << (shift - 1);
        uint64_t digits = (uint64_t)((scaled + half) >> shift);
        unsigned __int128 back = (unsigned __int128)digits << shift;
        unsigned __int128 apart = back > scaled ? back - scaled : scaled - back;
        if (n_digits < 17 && 2 * apart >= power)
            continue; /* too few digits to tell x from its neighbours */
        double read = (double)digits / (double)power;
        return n_digits == 15 ? x : copysign(read, x);
    }
    return x;
}

static pp_status read_scores(const struct ppi_reading *reading, const struct ppi_json_value *list,
                             double *scores)
{
    int64_t i = 0;
    for (const struct ppi_json_value *entry = ppi_json_first(list); entry;
         entry = ppi_json_next(list, entry), i++) {
        const struct ppi_json_value *score = ppi_json_next(entry, ppi_json_first(entry));
        if (!ppi_json_number(score, &scores[i]) || !isfinite(scores[i]))
            return refuse_score(reading->err, reading->label, i, ppi_json_describe(score).text);
        scores[i] = read_as_the_original(scores[i]);
    }
    return PP_OK;
}

pp_status ppi_unigram_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                           const struct ppi_vocab *vocab, struct ppi_pieces **pieces)
{
    const struct ppi_json_value *list = ppi_json_get(object, "vocab");
    int64_t unk = -1;
    bool byte_fallback = false;
    if (!ppi_json_is(list, PPI_JSON_ARRAY) || list->len != (uint32_t)vocab->n_ids)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, "model.vocab", list,
                                  "Unigram needs a list of pieces with scores");
    PP_TRY(ppi_reading_integer(reading, "model", object, "unk_id", 0, INT64_MAX, &unk));
    PP_TRY(ppi_reading_flag(reading, "model", object, "byte_fallback", &byte_fallback));
    if (unk >= vocab->n_ids)
        return refuse_unk(reading->err, reading->label, unk, vocab->n_ids);
    double *scores = ppi_alloc(reading->mem, (size_t)vocab->n_ids, sizeof *scores);
    if (!scores)
        return ppi_error_nomem(reading->err, "scores", (size_t)vocab->n_ids * sizeof *scores);
    pp_status status = read_scores(reading, list, scores);
    if (status < 0) {
        ppi_free(reading->mem, scores);
        return status;
    }
    return ppi_unigram_make(scores, (int32_t)unk, byte_fallback, vocab, reading->mem, pieces,
                            reading->err);
}

pp_status ppi_unigram_create(const struct ppi_unigram_spec *spec, const struct ppi_vocab *vocab,
                             const char *label, struct ppi_mem *mem, struct ppi_pieces **pieces,
                             pp_error *err)
{
    if (spec->unk < -1 || spec->unk >= vocab->n_ids)
        return refuse_unk(err, label, spec->unk, vocab->n_ids);
    double *scores = ppi_alloc(mem, (size_t)vocab->n_ids, sizeof *scores);
    if (!scores)
        return ppi_error_nomem(err, "scores", (size_t)vocab->n_ids * sizeof *scores);
    for (int32_t id = 0; id < vocab->n_ids; id++) {
        scores[id] = spec->scores[id];
        if (isfinite(scores[id]))
            continue;
        ppi_free(mem, scores);
        return refuse_score(err, label, id, "infinite or none");
    }
    return ppi_unigram_make(scores, spec->unk, spec->byte_fallback, vocab, mem, pieces, err);
}
