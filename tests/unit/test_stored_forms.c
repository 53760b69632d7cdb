/*
 * test_stored_forms.c: the forms in which files have weights of experts, of linear layers and of
 * gated attention: each gives the same rows, whole and in pieces; a tensor that is missing or has
 * another shape is named.
 */
#include "dtype.h"
#include "model/tensor_codes.h"
#include "keep_backend.h"
#include "malformed/failing.h"
#include "stored_forms.h"
#include "support/rng.h"
#include "support/tap.h"

#include <check.h>
#include <prepack/session.h>
#include <stdlib.h>

static bool with_mxfp4; /* the backend keeps it */

static const struct ppi_weights *load(struct stored_world *world)
{
    const struct ppi_weights_wish wish = {with_mxfp4 ? &KEEP_ALL : &KEEP_NUMBERS, 0, PP_DTYPE_F32,
                                          PP_WEIGHTS_AUTO};
    const struct ppi_weights *weights;
    pp_error err = {.struct_size = sizeof err};
    pp_status status = ppi_weights_get(&world->model, &wish, NULL, &weights, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    return weights;
}

/* ---- the same rows ---- */

static float expected(const struct stored_world *world, const struct form *form,
                      enum ppi_weight weight, int64_t row, int64_t col)
{
    if (weight == PPI_WEIGHT_V_NORM)
        return 1;
    if (form->blocks && ppi_weight_kinds[weight].matrix != PPI_MATRIX_VECTOR &&
        weight != PPI_WEIGHT_EMBED)
        return block_value(row, col);
    if (weight == PPI_WEIGHT_QKV && row >= 32) /* values are keys */
        row -= 8;
    return world_value(world, weight, row, col);
}

static void check_weight(const struct stored_world *world, const struct form *form,
                         enum ppi_weight weight, const struct ppi_matrix *matrix)
{
    int64_t rows, cols;
    ppi_part_shape(&world->model.spec, 0, weight, PPI_PART_ALL, &rows, &cols);
    ck_assert_msg(matrix != NULL, "%s: weight %d", form->name, weight);
    ck_assert_int_eq(matrix->n_rows, rows);
    ck_assert_int_eq(matrix->k, cols);
    for (int64_t r = 0; r < rows; r++) {
        ck_assert_int_eq(matrix->filled[r], 1);
        for (int64_t c = 0; c < cols; c++)
            if (matrix->values[r * cols + c] != expected(world, form, weight, r, c))
                ck_abort_msg("%s: weight %d at %d, %d", form->name, weight, (int)r, (int)c);
    }
}

/* Rows of a part read some at a time, as those read at once. */
static void check_pieces(const struct stored_world *world, const struct form *form, int32_t i_rule,
                         struct rng *rng)
{
    const struct ppi_tensors *tensors = &world->model.tensors;
    const struct ppi_model_spec *spec = &world->model.spec;
    struct ppi_rule_at at = ppi_tensors_rule(tensors, spec, i_rule, 0);
    int64_t rows, cols;
    ppi_part_shape(spec, 0, at.rule->weight, at.rule->part, &rows, &cols);
    size_t size = pp_dtype_size(ppi_tensors_dtype(tensors, i_rule, 0));
    char *all = malloc((size_t)(rows * cols) * size), *some = malloc((size_t)(rows * cols) * size);
    ck_assert_int_eq(ppi_tensors_read(tensors, spec, i_rule, 0, 0, rows, all, NULL), PP_OK);
    for (int i = 0; i < 8 && rows > 1; i++) {
        int64_t first = rng_between(rng, 0, rows - 1), n = rng_between(rng, 1, rows - first);
        ck_assert_int_eq(ppi_tensors_read(tensors, spec, i_rule, 0, first, n, some, NULL), PP_OK);
        ck_assert_msg(
            memcmp(some, all + (size_t)(first * cols) * size, (size_t)(n * cols) * size) == 0,
            "%s: rows %d of rule %d", form->name, (int)first, i_rule);
    }
    free(all);
    free(some);
}

START_TEST(gives_the_same_rows)
{
    static const int32_t dtypes[] = {PP_DTYPE_F32, PP_DTYPE_BF16};
    const struct form *form = &FORMS[_i];
    struct rng rng = rng_seeded(11);
    for (int d = 0; d < 2; d++)
        for (int packed = 0; packed <= form->blocks; packed++) {
            struct stored_world world = {0};
            pp_error err = {.struct_size = sizeof err};
            form_begin(form, dtypes[d], &world);
            ck_assert_msg(world_open(&world, &err) == PP_OK, "%s: %s", form->name, err.message);
            with_mxfp4 = packed;
            const struct ppi_weights *weights = load(&world);
            for (int32_t i = 0; i < world.model.tensors.n_rules; i++) {
                const struct ppi_tensor_rule *rule = &form->rules[i];
                const struct ppi_weight_kind *kind = &ppi_weight_kinds[rule->weight];
                if (!ppi_rule_holds(rule, &world.model.spec, 0) || !kind->in_layer)
                    continue;
                check_weight(
                    &world, form, rule->weight,
                    *(struct ppi_matrix *const *)((const char *)weights->layers + kind->offset));
                check_pieces(&world, form, i, &rng);
            }
            world_end(&world);
        }
}
END_TEST

/* ---- what is refused ---- */

static void check_refused(struct stored_world *world, const struct form *form, const char *says)
{
    pp_error err = {.struct_size = sizeof err};
    form_begin(form, PP_DTYPE_F32, world);
    pp_status status = world_open(world, &err);
    ck_assert_msg(status < 0, "%s", form->name);
    ck_assert_msg(strstr(err.message, says) != NULL, "%s: %s", form->name, err.message);
    world_end(world);
}

START_TEST(refuses_other_shapes)
{
    struct stored_world world = {.spoil = FORMS[_i].tensor};
    check_refused(&world, &FORMS[_i], FORMS[_i].wanted);
}
END_TEST

START_TEST(names_what_is_missing)
{
    struct stored_world world = {.omit = FORMS[_i].tensor};
    char says[160];
    snprintf(says, sizeof says, "has no tensor \"%s\"", FORMS[_i].tensor);
    check_refused(&world, &FORMS[_i], says);
}
END_TEST

START_TEST(names_the_first_form)
{
    struct stored_world world = {0};
    check_refused(&world, &NONE, "has no tensor \"" PLACE "e.0.gate.weight\"");
}
END_TEST

/* The other tensors say which form it is. */
START_TEST(names_what_the_form_lacks)
{
    struct stored_world world = {.omit = PLACE "e.gate_up_blocks"};
    check_refused(&world, &FORMS[BLOCKS_FORM], "has no tensor \"" PLACE "e.gate_up_blocks\"");
}
END_TEST

START_TEST(refuses_experts_of_two_dtypes)
{
    struct stored_world world = {.other = PLACE "e.2.down.weight"};
    check_refused(&world, &FORMS[SINGLE_FORM],
                  "\"" PLACE "e.2.down.weight\" has dtype F16, and \"" PLACE
                  "e.0.down.weight\" F32");
}
END_TEST

START_TEST(refuses_scales_that_are_no_number)
{
    const struct ppi_weights_wish wish = {_i ? &KEEP_ALL : &KEEP_NUMBERS, 0, PP_DTYPE_F32,
                                          PP_WEIGHTS_AUTO};
    struct stored_world world = {0};
    const struct ppi_weights *weights;
    pp_error err = {.struct_size = sizeof err};
    form_begin(&NOT_A_NUMBER, PP_DTYPE_F32, &world);
    ck_assert_int_eq(world_open(&world, &err), PP_OK);
    ck_assert_int_eq(ppi_weights_get(&world.model, &wish, NULL, &weights, &err), PP_ERR_FORMAT);
    ck_assert_ptr_nonnull(
        strstr(err.message, "a scale of tensor \"" PLACE "e.gate_up_blocks\" is NaN"));
    world_end(&world);
}
END_TEST

/* Each allocation of opening and loading fails once, or all from one on: nothing is left. */
START_TEST(survives_failing_allocations)
{
    static const int forms[] = {SINGLE_FORM, BLOCKS_FORM};
    const struct ppi_weights_wish wish = {&KEEP_NUMBERS, 0, PP_DTYPE_F32, PP_WEIGHTS_AUTO};
    pp_status status = PP_ERR_NOMEM;
    int n = 0;
    while (status < 0) {
        struct failing failing = {.n_left = ++n, .persistent = _i % 2};
        const pp_allocator allocator = {.struct_size = sizeof allocator,
                                        .user = &failing,
                                        .allocate = failing_allocate,
                                        .release = failing_release};
        struct stored_world world = {.allocator = &allocator};
        const struct ppi_weights *weights;
        pp_error err = {.struct_size = sizeof err};
        form_begin(&FORMS[forms[_i / 2]], PP_DTYPE_F32, &world);
        status = world_open(&world, &err);
        if (status >= 0)
            status = ppi_weights_get(&world.model, &wish, NULL, &weights, &err);
        ck_assert(status == PP_OK || status == PP_ERR_NOMEM);
        world_end(&world);
        ck_assert_int_eq(failing.n_blocks, 0);
    }
    ck_assert_int_gt(n, 5);
}
END_TEST

/* ---- what counts ---- */

/* Values that are keys, and norms of ones, are no parameters. */
START_TEST(counts_what_is_stored)
{
    struct stored_world world = {0};
    pp_error err = {.struct_size = sizeof err};
    form_begin(&FORMS[HALVES_FORM], PP_DTYPE_F32, &world);
    ck_assert_int_eq(world_open(&world, &err), PP_OK);
    ck_assert_int_eq(pp_model_n_parameters(&world.model),
                     (VOCAB + 1) * 24 + 48 * 24 + 8 * 24 + 1400 * 24);
    world_end(&world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stored forms");
    TCase *rows = tcase_create("rows");
    tcase_set_timeout(rows, 60);
    tcase_add_loop_test(rows, gives_the_same_rows, 0, N_FORMS);
    tcase_add_test(rows, counts_what_is_stored);
    suite_add_tcase(suite, rows);
    TCase *refused = tcase_create("refused");
    tcase_add_loop_test(refused, refuses_other_shapes, 0, N_SMALL_FORMS);
    tcase_add_loop_test(refused, names_what_is_missing, 0, N_SMALL_FORMS);
    tcase_add_test(refused, names_the_first_form);
    tcase_add_test(refused, names_what_the_form_lacks);
    tcase_add_test(refused, refuses_experts_of_two_dtypes);
    tcase_add_loop_test(refused, survives_failing_allocations, 0, 4);
    tcase_add_loop_test(refused, refuses_scales_that_are_no_number, 0, 2);
    suite_add_tcase(suite, refused);
    return tap_run(suite, CK_FORK);
}
