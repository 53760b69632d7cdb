/*
 * spm_check.c: reads the protobuf wire format of a SentencePiece model (sentencepiece_model.proto)
 * and refuses what the library would stumble over. Nothing is allocated in proportion to a number
 * in the file, only to the bytes that are there.
 */
#include "tokenizer/source/spm_check.h"
#include "tokenizer/text.h"

#include <math.h>
#include <stdlib.h>

const char PPI_SPM_NO_MEMORY[] = "there is no memory to check it";

enum {
    MAX_PIECES = 1 << 22,
    MAX_PIECE_BYTES = 4096, /* a piece is taken apart recursively */
    MAX_NESTED_PIECES = 32  /* user-defined pieces that begin with one another */
};

/* Types of a piece. */
enum { PIECE_NORMAL = 1, PIECE_UNKNOWN = 2, PIECE_USER = 4, PIECE_BYTE = 6 };

/* Wire types. */
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct reader {
    const unsigned char *next, *end;
};

struct field {
    uint32_t number;
    uint32_t wire;
    uint64_t value;             /* varint */
    const unsigned char *bytes; /* WIRE_BYTES, WIRE_32, WIRE_64 */
    size_t n_bytes;
};

struct piece {
    const char *text;
    size_t n_bytes;
    uint64_t type;
};

struct model {
    struct ppi_mem *mem;
    struct ppi_spm_facts facts;
    struct piece *pieces;
    size_t n_pieces, room;
    size_t n_unknown, n_byte;
    int64_t ids[4]; /* unk, bos, eos, pad as the training was told; -1: none */
};

static bool read_varint(struct reader *reader, uint64_t *value)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (reader->next == reader->end)
            return false;
        const uint64_t byte = *reader->next++;
        if (shift == 63 && byte > 1)
            return false;
        v |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = v;
            return true;
        }
    }
    return false;
}

/* NULL, or what is wrong. Call while bytes are left. */
static const char *read_field(struct reader *reader, struct field *field)
{
    uint64_t tag;
    *field = (struct field){0};
    if (!read_varint(reader, &tag) || tag > UINT32_MAX)
        return "it has a broken number";
    field->number = (uint32_t)tag >> 3;
    field->wire = (uint32_t)tag & 7;
    if (field->number == 0)
        return "it has a field with the number 0";
    const size_t left = (size_t)(reader->end - reader->next);
    uint64_t n = 0;
    switch (field->wire) {
    case WIRE_VARINT:
        return read_varint(reader, &field->value) ? NULL : "it has a broken number";
    case WIRE_32:
        n = 4;
        break;
    case WIRE_64:
        n = 8;
        break;
    case WIRE_BYTES:
        if (!read_varint(reader, &n))
            return "it has a broken length";
        break;
    default:
        return "it has a field of a kind that no such model has";
    }
    if (n > (size_t)(reader->end - reader->next) || n > left)
        return "a length in it runs past the end of the file";
    field->bytes = reader->next;
    field->n_bytes = (size_t)n;
    reader->next += n;
    return NULL;
}

static struct reader reader_of(const struct field *field)
{
    return (struct reader){field->bytes, field->bytes + field->n_bytes};
}

static const char *add_piece(struct model *model, const struct piece *piece)
{
    if (model->n_pieces == MAX_PIECES)
        return "it has more than 4194304 pieces";
    if (model->n_pieces == model->room) {
        const size_t room = model->room ? model->room * 2 : 4096;
        struct piece *larger = ppi_alloc(model->mem, room, sizeof *larger);
        if (!larger)
            return PPI_SPM_NO_MEMORY;
        if (model->n_pieces)
            memcpy(larger, model->pieces, model->n_pieces * sizeof *larger);
        ppi_free(model->mem, model->pieces);
        model->pieces = larger;
        model->room = room;
    }
    model->pieces[model->n_pieces++] = *piece;
    return NULL;
}

/* "<0x00>" to "<0xFF>". */
static bool is_byte_piece(const struct piece *piece)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *s = piece->text;
    return piece->n_bytes == 6 && memcmp(s, "<0x", 3) == 0 && memchr(digits, s[3], 16) &&
           memchr(digits, s[4], 16) && s[5] == '>';
}

static const char *check_piece(const struct field *message, struct model *model)
{
    struct reader reader = reader_of(message);
    struct piece piece = {.text = "", .type = PIECE_NORMAL};
    struct field field;
    float score = 0;
    while (reader.next < reader.end) {
        const char *wrong = read_field(&reader, &field);
        if (wrong)
            return wrong;
        if (field.number == 1 && field.wire == WIRE_BYTES) {
            piece.text = (const char *)field.bytes;
            piece.n_bytes = field.n_bytes;
        } else if (field.number == 2 && field.wire == WIRE_32) {
            memcpy(&score, field.bytes, sizeof score);
        } else if (field.number == 3 && field.wire == WIRE_VARINT) {
            piece.type = field.value;
        }
    }
    if (piece.n_bytes == 0)
        return "it has an empty piece";
    if (piece.n_bytes > MAX_PIECE_BYTES)
        return "it has a piece of more than 4096 bytes";
    if (ppi_utf8_check(piece.text, piece.n_bytes) != piece.n_bytes ||
        memchr(piece.text, 0, piece.n_bytes))
        return "it has a piece that is not UTF-8 text";
    if (!isfinite(score))
        return "it has a piece whose score is not a finite number";
    if (piece.type < PIECE_NORMAL || piece.type > PIECE_BYTE)
        return "it has a piece of an unknown type";
    if (piece.type == PIECE_BYTE && !is_byte_piece(&piece))
        return "it has a byte piece that is not <0x00> to <0xFF>";
    model->n_unknown += piece.type == PIECE_UNKNOWN;
    model->n_byte += piece.type == PIECE_BYTE;
    return add_piece(model, &piece);
}

static const char *check_training(const struct field *message, struct model *model)
{
    struct reader reader = reader_of(message);
    struct ppi_spm_facts *facts = &model->facts;
    struct field field;
    while (reader.next < reader.end) {
        const char *wrong = read_field(&reader, &field);
        if (wrong)
            return wrong;
        if (field.number == 44 && field.wire == WIRE_BYTES) {
            facts->unk_surface = (const char *)field.bytes;
            facts->n_unk_surface = field.n_bytes;
        }
        if (field.wire != WIRE_VARINT)
            continue;
        if (field.number == 3)
            facts->model_type = field.value;
        else if (field.number == 24)
            facts->space_behind = field.value != 0;
        else if (field.number == 35)
            facts->byte_fallback = field.value != 0;
        else if (field.number >= 40 && field.number <= 43)
            model->ids[field.number - 40] = (int32_t)(uint32_t)field.value;
    }
    return NULL;
}

static const char *check_normalizer(const struct field *message, struct model *model)
{
    struct reader reader = reader_of(message);
    struct ppi_spm_facts *facts = &model->facts;
    const bool back = message->number == 5;
    struct field field;
    while (reader.next < reader.end) {
        const char *wrong = read_field(&reader, &field);
        if (!wrong && field.number == 2 && field.wire == WIRE_BYTES) {
            wrong = ppi_spm_check_charsmap(field.bytes, field.n_bytes, model->mem);
            facts->denormalizes = facts->denormalizes || (back && field.n_bytes > 0);
        }
        if (wrong)
            return wrong;
        if (back || field.wire != WIRE_VARINT)
            continue;
        if (field.number == 3)
            facts->dummy_prefix = field.value != 0;
        else if (field.number == 4)
            facts->drops_spaces = field.value != 0;
    }
    return NULL;
}

static int compare_pieces(const void *left, const void *right)
{
    const struct piece *a = left, *b = right;
    const size_t n = a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes;
    const int order = memcmp(a->text, b->text, n);
    if (order)
        return order;
    return (a->n_bytes > b->n_bytes) - (a->n_bytes < b->n_bytes);
}

static bool begins_with(const struct piece *piece, const struct piece *start)
{
    return piece->n_bytes >= start->n_bytes &&
           memcmp(piece->text, start->text, start->n_bytes) == 0;
}

/* No piece twice; not too many user-defined pieces that begin with one another. */
static const char *check_set(struct model *model)
{
    const struct piece *chain[MAX_NESTED_PIECES];
    size_t n_chain = 0;
    qsort(model->pieces, model->n_pieces, sizeof *model->pieces, compare_pieces);
    for (size_t i = 0; i < model->n_pieces; i++) {
        const struct piece *piece = &model->pieces[i];
        if (i > 0 && compare_pieces(piece - 1, piece) == 0)
            return "it has a piece twice";
        if (piece->type != PIECE_USER)
            continue;
        while (n_chain > 0 && !begins_with(piece, chain[n_chain - 1]))
            n_chain--;
        if (n_chain == MAX_NESTED_PIECES)
            return "it has more than 32 user-defined pieces that begin with one another";
        chain[n_chain++] = piece;
    }
    return NULL;
}

static const char *check_whole(struct model *model)
{
    if (model->n_pieces == 0)
        return "it has no pieces";
    if (model->n_unknown != 1)
        return "it must have exactly one piece for the unknown";
    if (model->facts.model_type < 1 || model->facts.model_type > 4)
        return "its type is none of unigram, bpe, word and char";
    for (int i = 0; i < 4; i++)
        if (model->ids[i] < -1 || model->ids[i] >= (int64_t)model->n_pieces)
            return "one of its special ids lies outside the vocabulary";
    if (model->facts.byte_fallback && model->n_byte != 256)
        return "it falls back to bytes but does not have the 256 byte pieces";
    if (!model->facts.byte_fallback && model->n_byte != 0)
        return "it has byte pieces but does not fall back to bytes";
    return check_set(model);
}

static const char *check_model(struct reader reader, struct model *model)
{
    struct field field;
    while (reader.next < reader.end) {
        const char *wrong = read_field(&reader, &field);
        if (wrong)
            return wrong;
        if (field.number > 5)
            continue;
        if (field.number > 0 && field.wire != WIRE_BYTES)
            return "one of its parts is not a message";
        if (field.number == 1)
            wrong = check_piece(&field, model);
        else if (field.number == 2)
            wrong = check_training(&field, model);
        else if (field.number == 3 || field.number == 5)
            wrong = check_normalizer(&field, model);
        if (wrong)
            return wrong;
    }
    return check_whole(model);
}

pp_status ppi_spm_check(const char *label, const char *bytes, size_t n_bytes, struct ppi_mem *mem,
                        struct ppi_spm_facts *facts, pp_error *err)
{
    const unsigned char *start = (const unsigned char *)bytes;
    struct model model = {.mem = mem,
                          .facts = {.model_type = 1,
                                    .dummy_prefix = true,
                                    .drops_spaces = true,
                                    .unk_surface = " \u2047 ",
                                    .n_unk_surface = 5},
                          .ids = {0, 1, 2, -1}};
    const char *wrong = "it is empty";
    if (n_bytes > 0)
        wrong = check_model((struct reader){start, start + n_bytes}, &model);
    ppi_free(mem, model.pieces);
    if (wrong == PPI_SPM_NO_MEMORY)
        return ppi_error_nomem(err, "the check of a SentencePiece model", n_bytes);
    if (wrong)
        return ppi_error(err, PP_ERR_FORMAT, "%s is not a usable SentencePiece model: %s", label,
                         wrong);
    *facts = model.facts;
    return PP_OK;
}
