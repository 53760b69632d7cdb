/*
 * malformed_tensors.c: safetensors headers that are JSON, but describe impossible tensors.
 */
#define _GNU_SOURCE
#include "malformed/malformed.h"

#include <check.h>

/* 1,000 tensors on the same bytes. */
static void make_shared_range(const char *dir)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    for (int i = 0; i < 1000; i++)
        fprintf(out, "%c\"t%d\":{\"dtype\":\"U8\",\"shape\":[64],\"data_offsets\":[0,64]}",
                i ? ',' : '{', i);
    fputs("}", out);
    fclose(out);
    write_safetensors(dir, SINGLE_FILE, text, len, 64);
    free(text);
}

#define F                 PP_ERR_FORMAT
#define NORM              "\"model.norm.weight\":{"
#define BEGIN             "\"model.norm.weight\":{\"dtype\":\"BF16\",\"shape\":["
#define ENTRY             BEGIN "4],\"data_offsets\":[384,392]}"
#define NAMED             "\"model.norm.weight\":{"
#define DTYPE             "\"dtype\":\"BF16\","
#define SHAPE             "\"shape\":[4],"
#define RANGE             "\"data_offsets\":[384,392]"
#define META              "\"__metadata__\":{\"format\":\"pt\"}"
#define WITH_SHAPE(shape) HEADER, ENTRY, NAMED DTYPE "\"shape\":" shape "," RANGE "}"
#define WITH_RANGE(range) HEADER, ENTRY, NAMED DTYPE SHAPE "\"data_offsets\":" range "}"
#define WITH_DTYPE(dtype) HEADER, ENTRY, NAMED "\"dtype\":" dtype "," SHAPE RANGE "}"

const struct malformed malformed_tensors[] = {
    {"21 name twice, other range", F, "occurs twice", HEADER, ENTRY,
     NAMED DTYPE SHAPE "\"data_offsets\":[392,400]}," ENTRY, 8, NULL},
    {"22 name twice, same range", F, "occurs twice", HEADER, ENTRY, ENTRY "," ENTRY, 0, NULL},
    {"22 name twice, one escaped", F, "occurs twice", HEADER, ENTRY,
     ENTRY ",\"model.norm.weigh\\u0074\":{" DTYPE SHAPE RANGE "}", 0, NULL},
    {"23 dtype twice", F, "occurs twice", HEADER, ENTRY, NAMED DTYPE DTYPE SHAPE RANGE "}", 0,
     NULL},
    {"23 shape twice", F, "occurs twice", HEADER, ENTRY, NAMED DTYPE SHAPE SHAPE RANGE "}", 0,
     NULL},
    {"23 data_offsets twice", F, "occurs twice", HEADER, ENTRY,
     NAMED DTYPE SHAPE RANGE "," RANGE "}", 0, NULL},
    {"24 no dtype", F, "has no dtype", HEADER, ENTRY, NAMED SHAPE RANGE "}", 0, NULL},
    {"24 no shape", F, "has no shape", HEADER, ENTRY, NAMED DTYPE RANGE "}", 0, NULL},
    {"24 no data_offsets", F, "has no data_offsets", HEADER, ENTRY, NAMED DTYPE "\"shape\":[4]}", 0,
     NULL},
    {"24 not an object", F, "is 5; an object", HEADER, ENTRY, "\"model.norm.weight\":5", 0, NULL},
    {"25 unknown field", F, "has fields besides", HEADER, ENTRY,
     NAMED DTYPE SHAPE RANGE ",\"stride\":[1]}", 0, NULL},
    {"26 unknown dtype", F, "dtype is \"F33\"", WITH_DTYPE("\"F33\""), 0, NULL},
    {"26 dtype a number", F, "dtype is 16", WITH_DTYPE("16"), 0, NULL},
    {"27 dtype in lower case", F, "dtype is \"bf16\"", WITH_DTYPE("\"bf16\""), 0, NULL},
    {"28 needed tensor is U16", PP_ERR_UNSUPPORTED, "has dtype U16; F32, F16 and BF16",
     WITH_DTYPE("\"U16\""), 0, NULL},
    {"28 needed tensor is F8_E4M3", PP_ERR_UNSUPPORTED, "has dtype F8_E4M3", HEADER, ENTRY,
     NAMED "\"dtype\":\"F8_E4M3\"," SHAPE "\"data_offsets\":[384,388]}", -4, NULL},
    {"28 needed tensor is I4", PP_ERR_UNSUPPORTED, "has dtype I4", HEADER, ENTRY,
     NAMED "\"dtype\":\"I4\"," SHAPE "\"data_offsets\":[384,386]}", -6, NULL},
    {"28 part of a byte", F, "do not fill whole bytes", HEADER, ENTRY,
     NAMED "\"dtype\":\"F4\",\"shape\":[5],\"data_offsets\":[384,387]}", -5, NULL},
    {"29 negative shape", F, "shape[0] is -4", WITH_SHAPE("[-4]"), 0, NULL},
    {"29 shape 4.0", F, "shape[0] is 4.0", WITH_SHAPE("[4.0]"), 0, NULL},
    {"29 shape 4e0", F, "shape[0] is 4.0", WITH_SHAPE("[4e0]"), 0, NULL},
    {"29 shape 1e3", F, "shape[0] is 1000.0", WITH_SHAPE("[1e3]"), 0, NULL},
    {"29 shape a string", F, "shape[0] is \"4\"", WITH_SHAPE("[\"4\"]"), 0, NULL},
    {"29 shape with null", F, "shape[0] is null", WITH_SHAPE("[null]"), 0, NULL},
    {"29 shape not an array", F, "shape is 4", WITH_SHAPE("4"), 0, NULL},
    {"30 product wraps", F, "overflows", WITH_SHAPE("[4294967296,4294967296]"), 0, NULL},
    {"30 product wraps, then 0", F, "overflows", WITH_SHAPE("[4294967296,4294967296,0]"), 0, NULL},
    {"31 bytes wrap to few", F, "overflows", WITH_SHAPE("[4398046511105,4194304]"), 0, NULL},
    {"31 bytes wrap to the right number", F, "overflows", WITH_SHAPE("[4611686018427387908]"), 0,
     NULL},
    {"32 nine dimensions", PP_ERR_LIMIT, "9 dimensions; at most 8",
     WITH_SHAPE("[1,1,1,1,1,1,1,1,4]"), 0, NULL},
    {"33 dimension 0", F, "has shape [0]; config.json asks for [4]", HEADER, ENTRY,
     NAMED DTYPE "\"shape\":[0],\"data_offsets\":[384,384]}", -8, NULL},
    {"33 scalar", F, "has shape []; config.json asks for [4]", HEADER, ENTRY,
     NAMED DTYPE "\"shape\":[],\"data_offsets\":[384,386]}", -6, NULL},
    {"34 negative offset", F, "data_offsets[0] is -8", WITH_RANGE("[-8,0]"), 0, NULL},
    {"34 reversed offsets", F, "[392, 384] are not a range", WITH_RANGE("[392,384]"), 0, NULL},
    {"34 three offsets", F, "array of two integers", WITH_RANGE("[384,388,392]"), 0, NULL},
    {"34 one offset", F, "array of two integers", WITH_RANGE("[384]"), 0, NULL},
    {"34 offsets not an array", F, "array of two integers", WITH_RANGE("384"), 0, NULL},
    {"34 offset a float", F, "data_offsets[1] is 392.0", WITH_RANGE("[384,392.0]"), 0, NULL},
    {"35 end beyond the data", F, "within the 392 bytes", WITH_RANGE("[386,394]"), 0, NULL},
    {"35 data shorter", F, "within the 391 bytes", WITH_RANGE("[384,392]"), -1, NULL},
    {"36 range of another size", F, "hold 8 bytes, its shape and dtype need 10", WITH_SHAPE("[5]"),
     0, NULL},
    {"37 overlap by one byte", F, "begins at byte 383 of the data, overlapping byte 384",
     WITH_RANGE("[383,391]"), -1, NULL},
    {"38 1,000 tensors on one range", F, "overlapping", MAKE, NULL, NULL, 0, make_shared_range},
    {"39 hole", F, "begins at byte 385 of the data, leaving a hole", WITH_RANGE("[385,393]"), 1,
     NULL},
    {"40 bytes after the last tensor", F, "end at byte 392 of the data, which has 393 bytes",
     WITH_RANGE("[384,392]"), 1, NULL},
    {"41 offset 2^53+1", F, "[9007199254740993, 9007199254741001]",
     WITH_RANGE("[9007199254740993,9007199254741001]"), 0, NULL},
    {"41 offset 2^63-1", F, "[384, 9223372036854775807]", WITH_RANGE("[384,9223372036854775807]"),
     0, NULL},
    {"41 offset 2^64", F, "more than 64 bits", WITH_RANGE("[384,18446744073709551616]"), 0, NULL},
    {"41 offset -2^64", F, "more than 64 bits", WITH_RANGE("[-18446744073709551616,392]"), 0, NULL},
    {"42 metadata an array", F, "__metadata__ is an array", HEADER, META, "\"__metadata__\":[]", 0,
     NULL},
    {"42 metadata null", F, "__metadata__ is null", HEADER, META, "\"__metadata__\":null", 0, NULL},
    {"42 metadata with a number", F, "__metadata__ \"format\" is 1", HEADER, META,
     "\"__metadata__\":{\"format\":1}", 0, NULL},
    {"42 metadata twice", F, "occurs twice", HEADER, META, META "," META, 0, NULL},
    {"42 metadata key twice", F, "occurs twice", HEADER, META,
     "\"__metadata__\":{\"a\":\"b\",\"a\":\"b\"}", 0, NULL},
    {"65 needed tensor is missing", F, "has no tensor \"model.norm.weight\"", HEADER, NORM,
     "\"model.nörm.weight\":{", 0, NULL},
    {"65 matrix of another shape", F, "has shape [4, 8]; config.json asks for [8, 4]", HEADER,
     "\"shape\":[8,4]", "\"shape\":[4,8]", 0, NULL},
    {"65 matrix as vector", F, "has shape [32]; config.json asks for [8, 4]", HEADER,
     "\"shape\":[8,4]", "\"shape\":[32]", 0, NULL},
    {"65 vector as matrix", F, "has shape [1, 4]; config.json asks for [4]", WITH_SHAPE("[1,4]"), 0,
     NULL},
    {"a control byte in a name", F, "has no tensor", HEADER, NORM,
     "\"model.\\u001b[2J\\u007fnorm\":{", 0, NULL},
};
const size_t n_malformed_tensors = sizeof malformed_tensors / sizeof malformed_tensors[0];
