/*
 * test_converted_forms.c: models whose files have weights in any form, converted and opened again:
 * their matrices are those of a session that quantises while it loads, or the same numbers.
 */
#define _GNU_SOURCE
#include "keep_backend.h"
#include "model/config.h"
#include "stored_forms.h"
#include "support/tap.h"

#include <check.h>
#include <prepack/model.h>
#include <prepack/session.h>
#include <string.h>

/* A text that says what the worlds compute: its plain parts. */
static const char text[] = "{\"model_type\":\"llama\"}";

static void take_plain_parts(struct stored_world *world)
{
    struct ppi_mem mem;
    struct ppi_config config;
    char *copy = strdup(text);
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    ck_assert_int_eq(ppi_config_parse(copy, strlen(copy), "text", &mem, NULL, &config, NULL),
                     PP_OK);
    world->model.spec.softmax_scale = config.spec.softmax_scale;
    world->model.spec.ropes[0].type = config.spec.ropes[0].type;
    world->model.spec.pooling = -1;
    world->model.config_text = (char *)(uintptr_t)text;
    ppi_config_free(&config, &mem);
    free(copy);
}

static const struct ppi_weights *load(pp_model *model, int32_t format)
{
    const struct ppi_weights_wish wish = {&KEEP_ALL, 0, PP_DTYPE_F32, format};
    const struct ppi_weights *weights;
    pp_error err = {.struct_size = sizeof err};
    pp_status status = ppi_weights_get(model, &wish, NULL, &weights, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    return weights;
}

static bool is_same(const struct ppi_matrix *a, const struct ppi_matrix *b)
{
    size_t numbers = (size_t)(a->n_rows * a->k), scales = (size_t)(a->n_rows * a->groups);
    if (a->n_rows != b->n_rows || a->k != b->k || a->k_padded != b->k_padded ||
        a->groups != b->groups)
        return false;
    if (!ppi_format_has_codes(a->format))
        return !ppi_format_has_codes(b->format) &&
               memcmp(a->values, b->values, numbers * sizeof(float)) == 0;
    return a->format == b->format &&
           memcmp(a->codes, b->codes, (size_t)(a->n_rows * a->k_padded)) == 0 &&
           memcmp(a->scales, b->scales, scales * sizeof(float)) == 0 &&
           memcmp(a->offsets, b->offsets, scales * sizeof(float)) == 0;
}

static const struct ppi_matrix *matrix_of(const struct ppi_weights *weights, size_t weight)
{
    const struct ppi_weight_kind *kind = &ppi_weight_kinds[weight];
    const char *base = kind->in_layer ? (const char *)weights->layers : (const char *)weights;
    return *(struct ppi_matrix *const *)(base + kind->offset);
}

/* Converts, opens with the same spec and arch, and compares. */
static void check_format(struct stored_world *world, const struct form *form, int32_t weights)
{
    pp_model *model = &world->model, other = {.spec = model->spec, .arch = model->arch};
    pp_convert_params params;
    pp_error err = {.struct_size = sizeof err};
    struct path dir = make_dir();
    pp_convert_params_init(&params, sizeof params);
    params.weights = weights;
    params.n_threads = 2;
    pp_status status = pp_model_convert(model, dir.text, &params, &err);
    ck_assert_msg(status == PP_OK, "%s, %s: %s", form->name, pp_weights_name(weights), err.message);
    ck_assert_int_eq(ppi_mem_init(&other.mem, NULL, 0, NULL), PP_OK);
    pthread_mutex_init(&other.lock, NULL);
    int32_t stored = weights >= PP_WEIGHTS_INT8 ? weights : PP_WEIGHTS_AUTO;
    status = world_open_dir(&other, dir.text, stored, &err);
    ck_assert_msg(status == PP_OK, "%s, %s: %s", form->name, pp_weights_name(weights), err.message);
    const struct ppi_weights *a = load(model, weights), *b = load(&other, PP_WEIGHTS_AUTO);
    for (size_t w = 0; w < PPI_N_WEIGHTS; w++) {
        const struct ppi_matrix *x = matrix_of(a, w), *y = matrix_of(b, w);
        ck_assert_msg(!x == !y && (!x || is_same(x, y)), "%s, %s: weight %d", form->name,
                      pp_weights_name(weights), (int)w);
    }
    world_close_model(&other);
    remove_dir(dir.text);
}

START_TEST(keeps_its_bits)
{
    const struct form *form = &FORMS[_i];
    int32_t step = _i < N_SMALL_FORMS ? 1 : 3; /* of large ones f32 and int4 */
    for (int32_t weights = PP_WEIGHTS_F32; weights <= PP_WEIGHTS_NF4; weights += step) {
        struct stored_world world = {0};
        pp_error err = {.struct_size = sizeof err};
        form_begin(form, weights % 2 ? PP_DTYPE_F32 : PP_DTYPE_BF16, &world);
        ck_assert_msg(world_open(&world, &err) == PP_OK, "%s: %s", form->name, err.message);
        take_plain_parts(&world);
        check_format(&world, form, weights);
        world_end(&world);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("converted forms");
    TCase *tcase = tcase_create("forms");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, keeps_its_bits, 0, N_FORMS);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
