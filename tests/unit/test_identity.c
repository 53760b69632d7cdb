/*
 * test_identity.c: checksums, whatever pieces the bytes come in; and the number of a model, by
 * which a saved cache finds its own again: of a copy of its files the same, of the same shape with
 * other weights or another configuration another.
 */
#include "checksum.h"
#include "malformed/model_maker.h"
#include "model/identity.h"
#include "support/make_checkpoint.h"
#include "support/tap.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t sum_of(const unsigned char *bytes, size_t n, size_t piece)
{
    struct ppi_checksum sum;
    ppi_checksum_begin(&sum);
    for (size_t i = 0; i < n; i += piece)
        ppi_checksum_add(&sum, bytes + i, n - i < piece ? n - i : piece);
    return ppi_checksum_end(&sum);
}

START_TEST(checksums_do_not_know_pieces)
{
    unsigned char bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 31);
    for (size_t n = 0; n < sizeof bytes; n += 7)
        for (size_t piece = 1; piece < 140; piece += 9)
            ck_assert(sum_of(bytes, n, piece) == sum_of(bytes, n, n + 1));
}
END_TEST

/* Zeros of different numbers, every bit turned, neighbours exchanged: all differ. */
START_TEST(checksums_see_changes)
{
    unsigned char bytes[200] = {0};
    uint64_t seen[201];
    for (size_t n = 0; n <= sizeof bytes; n++) {
        seen[n] = sum_of(bytes, n, 64);
        for (size_t i = 0; i < n; i++)
            ck_assert(seen[i] != seen[n]);
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 89 + 3);
    uint64_t whole = sum_of(bytes, sizeof bytes, 64);
    for (size_t i = 0; i < 8 * sizeof bytes; i++) {
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        ck_assert(sum_of(bytes, sizeof bytes, 64) != whole);
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    for (size_t i = 0; i + 64 < sizeof bytes; i++) {
        unsigned char held = bytes[i];
        bytes[i] = bytes[i + 64];
        bytes[i + 64] = held;
        ck_assert(bytes[i] == bytes[i + 64] || sum_of(bytes, sizeof bytes, 64) != whole);
        bytes[i + 64] = bytes[i];
        bytes[i] = held;
    }
}
END_TEST

static uint64_t identity_of(const char *dir)
{
    pp_model *model = NULL;
    pp_error err = {.struct_size = sizeof err};
    uint64_t identity = 0, again = 0;
    ck_assert_msg(pp_model_open(dir, NULL, &model, &err) >= 0, "%s", err.message);
    ck_assert_msg(ppi_model_identity(model, &identity, &err) >= 0, "%s", err.message);
    ck_assert_int_ge(ppi_model_identity(model, &again, &err), 0);
    ck_assert(identity == again);
    pp_model_unref(model);
    return identity;
}

/* Changes a model's configuration by a script of sed, which must find something. */
static void edit(const char *dir, const char *script)
{
    char command[600];
    snprintf(command, sizeof command,
             "cp %s/config.json %s/old && sed -i '%s' %s/config.json && ! cmp -s %s/old "
             "%s/config.json && rm %s/old",
             dir, dir, script, dir, dir, dir, dir);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(models_are_told_apart)
{
    struct rng rng = rng_seeded(7);
    struct model_shape shape = checkpoint_random_shape(&rng);
    struct rng first = {1}, same = {1}, second = {2};
    char *a = checkpoint_write(&shape, &first), *b = checkpoint_write(&shape, &same);
    char *c = checkpoint_write(&shape, &second);
    uint64_t own = identity_of(a);
    ck_assert(own == identity_of(b));
    ck_assert(own != identity_of(c));
    /* what is behind the last layer does not count, what is computed before does */
    edit(b, "s/\"bos_token_id\": *[0-9]*/\"bos_token_id\": 2/");
    ck_assert(own == identity_of(b));
    edit(b, "s/\"rms_norm_eps\": *[0-9.e-]*/\"rms_norm_eps\": 0.25/");
    ck_assert(own != identity_of(b));
    checkpoint_remove(a);
    checkpoint_remove(b);
    checkpoint_remove(c);
}
END_TEST

/* What version 0.1 gave: caches that it saved find their model. */
START_TEST(identities_are_frozen)
{
    uint64_t stored = 0, made = 0;
    pp_model *model;
    struct path dir = make_dir();
    write_single(dir.text);
    ck_assert_int_eq(pp_model_open(dir.text, NULL, &model, NULL), PP_OK);
    ck_assert_int_eq(pp_model_identity(model, &stored, NULL), PP_OK);
    pp_model_unref(model);
    remove_dir(dir.text);
    ck_assert_int_eq(pp_model_create_random(pp_model_preset("tiny"), 1, NULL, &model, NULL), PP_OK);
    ck_assert_int_eq(pp_model_identity(model, &made, NULL), PP_OK);
    pp_model_unref(model);
    ck_assert_uint_eq(stored, 0x375cc34ed6f29ac5u);
    ck_assert_uint_eq(made, 0x0f19bf8a7c23ac8cu);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("identity");
    TCase *tcase = tcase_create("identity");
    tcase_add_test(tcase, checksums_do_not_know_pieces);
    tcase_add_test(tcase, checksums_see_changes);
    tcase_add_test(tcase, identities_are_frozen);
    tcase_add_test(tcase, models_are_told_apart);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
