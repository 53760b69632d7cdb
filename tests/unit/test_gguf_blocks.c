/*
 * test_gguf_blocks.c: the numbers that blocks stand for, against those of the format's own Python
 * package (tests/golden/make_blocks.py): bit for bit, infinite and NaN scales included.
 */
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_blocks.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define N_TYPES 13

/* One type of the file: its number, that of blocks, the blocks, their numbers as f32. */
struct section {
    uint32_t type, n_blocks;
    const char *blocks, *expected;
};

static char bytes[1 << 18];
static struct section sections[N_TYPES];

/* Ends the program where the file is not what make_blocks.py writes. */
static void read_sections(void)
{
    const char *path = getenv("PREPACK_BLOCKS");
    FILE *file = path ? fopen(path, "rb") : NULL;
    size_t len = file ? fread(bytes, 1, sizeof bytes, file) : 0, at = 0;
    for (int i = 0; i < N_TYPES; i++) {
        struct section *s = &sections[i];
        const struct ppi_gguf_tensor_type *type = NULL;
        if (len - at > 8) {
            memcpy(&s->type, bytes + at, 4);
            memcpy(&s->n_blocks, bytes + at + 4, 4);
            type = ppi_gguf_tensor_type(s->type);
        }
        if (!type) {
            printf("Bail out! %s has no section %d\n", path ? path : "nothing", i);
            exit(EXIT_FAILURE);
        }
        s->blocks = bytes + at + 8;
        s->expected = s->blocks + s->n_blocks * (size_t)type->block_bytes;
        at = (size_t)(s->expected - bytes) + 4 * s->n_blocks * (size_t)type->block_len;
    }
    if (file)
        fclose(file);
    if (at != len) {
        printf("Bail out! %s has %zu bytes, %zu are needed\n", path, len, at);
        exit(EXIT_FAILURE);
    }
}

static void compare(const struct section *s, const float *values)
{
    const struct ppi_gguf_tensor_type *type = ppi_gguf_tensor_type(s->type);
    for (size_t i = 0; i < s->n_blocks * (size_t)type->block_len; i++) {
        float expected;
        memcpy(&expected, s->expected + 4 * i, sizeof expected);
        bool same = isnan(expected) ? isnan(values[i]) : memcmp(&expected, &values[i], 4) == 0;
        ck_assert_msg(same, "%s: number %zu is %a, not %a", type->name, i, (double)values[i],
                      (double)expected);
    }
}

START_TEST(decodes)
{
    const struct section *s = &sections[_i];
    const struct ppi_gguf_tensor_type *type = ppi_gguf_tensor_type(s->type);
    size_t n = s->n_blocks * (size_t)type->block_len,
           size = s->n_blocks * (size_t)type->block_bytes;
    float *values = malloc(n * sizeof *values);
    ck_assert_int_eq(type->dtype, PP_DTYPE_F32);
    ppi_gguf_decode(s->type, s->blocks, s->n_blocks, values);
    compare(s, values);
    char *end = (char *)(values + n) - size; /* and where they stand in the room of the numbers */
    memcpy(end, s->blocks, size);
    ppi_gguf_decode(s->type, end, s->n_blocks, values);
    compare(s, values);
    free(values);
}
END_TEST

int main(void)
{
    read_sections();
    Suite *suite = suite_create("gguf-blocks");
    TCase *tcase = tcase_create("gguf-blocks");
    tcase_add_loop_test(tcase, decodes, 0, N_TYPES);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
