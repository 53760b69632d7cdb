/*
 * test_weights.c: weights by the rules of each architecture, loaded into matrices that only keep
 * what they are given: which there are, their shapes and rows, how much they count, and what
 * happens when memory runs out.
 */
#include "dtype.h"
#include "malformed/failing.h"
#include "model/model_impl.h"

#include <prepack/session.h>
#include "support/tap.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- matrices ---- */

struct ppi_matrix {
    int32_t kind;
    int64_t n_rows, k;
    float *values;
    uint8_t *filled; /* how often each row was */
};

static int n_matrices; /* that exist */
static int n_creations_left = -1;
static int n_prepared;

static size_t keep_bytes(const struct ppi_backend *backend, const struct ppi_matrix_spec *spec)
{
    (void)backend;
    return (size_t)(spec->n * spec->k) * (spec->kind == PPI_MATRIX_GATE_UP ? 2 : 1);
}

static pp_status keep_create(struct ppi_backend *backend, struct ppi_mem *mem,
                             const struct ppi_matrix_spec *spec, struct ppi_matrix **out,
                             pp_error *err)
{
    (void)backend;
    (void)mem;
    if (n_creations_left == 0)
        return ppi_error_nomem(err, "a matrix", 1);
    n_creations_left -= n_creations_left > 0;
    struct ppi_matrix *matrix = calloc(1, sizeof *matrix);
    matrix->kind = spec->kind;
    matrix->n_rows = spec->kind == PPI_MATRIX_GATE_UP ? 2 * spec->n : spec->n;
    matrix->k = spec->k;
    matrix->values = calloc((size_t)(matrix->n_rows * matrix->k), sizeof(float));
    matrix->filled = calloc((size_t)matrix->n_rows, 1);
    n_matrices++;
    *out = matrix;
    return PP_OK;
}

static pp_status keep_fill(struct ppi_backend *backend, struct ppi_matrix *matrix,
                           int64_t first_row, int64_t n_rows, const void *src, int32_t src_dtype,
                           pp_error *err)
{
    (void)backend;
    (void)err;
    ck_assert_int_ge(first_row, 0);
    ck_assert_int_le(first_row + n_rows, matrix->n_rows);
    ppi_to_f32(matrix->values + first_row * matrix->k, src, src_dtype,
               (size_t)(n_rows * matrix->k));
    for (int64_t i = first_row; i < first_row + n_rows; i++)
        matrix->filled[i]++;
    return PP_OK;
}

static void keep_destroy(struct ppi_matrix *matrix)
{
    if (!matrix)
        return;
    n_matrices--;
    free(matrix->values);
    free(matrix->filled);
    free(matrix);
}

static pp_status keep_prepare(struct ppi_backend *backend, const struct ppi_matrix *matrix,
                              pp_error *err)
{
    (void)backend;
    (void)err;
    ck_assert(matrix->kind == PPI_MATRIX_LINEAR || matrix->kind == PPI_MATRIX_GATE_UP);
    n_prepared++;
    return PP_OK;
}

static bool keep_supports(int32_t dtype, int32_t format)
{
    (void)dtype;
    return format == PPI_FORMAT_ACT;
}

static const struct ppi_backend_ops KEEP = {.name = "keep",
                                            .supports_format = keep_supports,
                                            .matrix_bytes = keep_bytes,
                                            .matrix_create = keep_create,
                                            .matrix_fill = keep_fill,
                                            .matrix_destroy = keep_destroy,
                                            .prepare = keep_prepare};

static const struct ppi_weights_wish NARROW = {&KEEP, 0, PP_DTYPE_BF16, PP_WEIGHTS_AUTO};
static const struct ppi_weights_wish ELSEWHERE = {&KEEP, 1, PP_DTYPE_F32, PP_WEIGHTS_AUTO};
static const struct ppi_weights_wish HERE = {&KEEP, 0, PP_DTYPE_F32, PP_WEIGHTS_AUTO};

/* ---- models ---- */

#define VOCAB  50
#define HIDDEN 32
#define INNER  48
#define HEADS  4
#define KV     2
#define DIM    8

/* Parameters by transformers, with one head for both ends in gemma2 and cohere2. */
static const struct {
    const char *type;
    int64_t n_parameters;
} ARCHS[] = {
    {"llama", 18720},   {"mistral", 18720}, {"ministral", 18720}, {"ministral3", 18720},
    {"qwen2", 18848},   {"qwen3", 18752},   {"gemma2", 17248},    {"gemma3_text", 18880},
    {"phi3", 18720},    {"olmo2", 18816},   {"olmo3", 18816},     {"granite", 18720},
    {"smollm3", 18720}, {"cohere2", 17056}, {"glm4", 18976},      {"exaone4", 18752},
};

static pp_model *create(const char *type, const char *more, const pp_model_params *params,
                        pp_error *err)
{
    char text[512];
    pp_model *model = NULL;
    bool tied = strcmp(type, "gemma2") == 0 || strcmp(type, "cohere2") == 0;
    snprintf(text, sizeof text,
             "{\"model_type\":\"%s\",\"vocab_size\":%d,\"hidden_size\":%d,\"intermediate_size\":%d,"
             "\"num_hidden_layers\":2,\"num_attention_heads\":%d,\"num_key_value_heads\":%d,"
             "\"head_dim\":%d,\"tie_word_embeddings\":%s%s}",
             type, VOCAB, HIDDEN, INNER, HEADS, KV, DIM, tied ? "true" : "false", more);
    pp_status status = pp_model_create_random(text, 5, params, &model, err);
    ck_assert_msg(status == PP_OK || status == PP_ERR_NOMEM, "%s: %s", type, err->message);
    return model;
}

static pp_model *create_plain(const char *type, const char *more)
{
    pp_error err = {.struct_size = sizeof err};
    return create(type, more, NULL, &err);
}

static const struct ppi_weights *load(pp_model *model)
{
    const struct ppi_weights *weights;
    pp_error err = {.struct_size = sizeof err};
    pp_status status = ppi_weights_get(model, &HERE, NULL, &weights, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    return weights;
}

/* A matrix of that shape with every row set once, or none where n_rows is 0. */
static void check_matrix(const char *type, const struct ppi_matrix *matrix, int32_t kind,
                         int64_t n_rows, int64_t k)
{
    ck_assert_msg((matrix != NULL) == (n_rows > 0), "%s: kind %d, %d x %d", type, kind, (int)n_rows,
                  (int)k);
    if (!matrix)
        return;
    ck_assert_int_eq(matrix->kind, kind);
    ck_assert_int_eq(matrix->n_rows, n_rows);
    ck_assert_int_eq(matrix->k, k);
    for (int64_t i = 0; i < n_rows; i++)
        ck_assert_int_eq(matrix->filled[i], 1);
}

/* ---- every architecture ---- */

static bool is_one_of(const char *type, const char *const *list)
{
    while (*list && strcmp(*list, type) != 0)
        list++;
    return *list != NULL;
}

START_TEST(has_the_weights_of_its_class)
{
    static const char *const after[] = {"olmo2", "olmo3", "exaone4", NULL};
    static const char *const both[] = {"gemma2", "gemma3_text", "glm4", NULL};
    static const char *const biased[] = {"qwen2", "glm4", NULL};
    static const char *const head_norm[] = {"qwen3", "gemma3_text", "exaone4", NULL};
    static const char *const whole_norm[] = {"olmo2", "olmo3", NULL};
    const char *type = ARCHS[_i].type;
    bool before = !is_one_of(type, after), behind = !before || is_one_of(type, both);
    bool parallel = strcmp(type, "cohere2") == 0;
    int64_t q_norm = is_one_of(type, whole_norm) ? HEADS * DIM : DIM;
    int64_t k_norm = is_one_of(type, whole_norm) ? KV * DIM : DIM;
    bool normed = is_one_of(type, head_norm) || is_one_of(type, whole_norm);
    pp_model *model = create_plain(type, "");
    ck_assert_str_eq(pp_arch_name(model->spec.arch), type);
    ck_assert_int_eq(pp_model_n_parameters(model), ARCHS[_i].n_parameters);
    const struct ppi_weights *weights = load(model);
    check_matrix(type, weights->embed, PPI_MATRIX_TABLE, VOCAB, HIDDEN);
    check_matrix(type, weights->lm_head, PPI_MATRIX_LINEAR, VOCAB, HIDDEN);
    check_matrix(type, weights->final_norm, PPI_MATRIX_VECTOR, 1, HIDDEN);
    for (int32_t i = 0; i < 2; i++) {
        const struct ppi_layer_weights *layer = &weights->layers[i];
        check_matrix(type, layer->attn_norm, PPI_MATRIX_VECTOR, before, HIDDEN);
        check_matrix(type, layer->attn_post_norm, PPI_MATRIX_VECTOR, behind, HIDDEN);
        check_matrix(type, layer->mlp_norm, PPI_MATRIX_VECTOR, before && !parallel, HIDDEN);
        check_matrix(type, layer->mlp_post_norm, PPI_MATRIX_VECTOR, behind, HIDDEN);
        check_matrix(type, layer->qkv, PPI_MATRIX_LINEAR, (HEADS + 2 * KV) * DIM, HIDDEN);
        check_matrix(type, layer->qkv_bias, PPI_MATRIX_VECTOR, is_one_of(type, biased),
                     (HEADS + 2 * KV) * DIM);
        check_matrix(type, layer->q_norm, PPI_MATRIX_VECTOR, normed, q_norm);
        check_matrix(type, layer->k_norm, PPI_MATRIX_VECTOR, normed, k_norm);
        check_matrix(type, layer->o, PPI_MATRIX_LINEAR, HIDDEN, HEADS * DIM);
        check_matrix(type, layer->o_bias, PPI_MATRIX_VECTOR, 0, 0);
        check_matrix(type, layer->gate_up, PPI_MATRIX_GATE_UP, 2 * INNER, HIDDEN);
        check_matrix(type, layer->gate_up_bias, PPI_MATRIX_VECTOR, 0, 0);
        check_matrix(type, layer->down, PPI_MATRIX_LINEAR, HIDDEN, INNER);
        check_matrix(type, layer->down_bias, PPI_MATRIX_VECTOR, 0, 0);
    }
    /* sizes are known before; a head that is tied takes its own memory all the same */
    int64_t bytes = ppi_weights_bytes(model, &HERE, NULL);
    ck_assert_int_eq(bytes, weights->bytes);
    ck_assert_int_eq(bytes,
                     ARCHS[_i].n_parameters + (model->spec.tie_embeddings ? VOCAB * HIDDEN : 0));
    n_prepared = 0;
    ck_assert_int_eq(ppi_weights_prepare(weights, NULL, NULL), PP_OK);
    ck_assert_int_eq(n_prepared, 2 * 4 + 1);
    pp_model_unref(model);
    ck_assert_int_eq(n_matrices, 0);
}
END_TEST

/* Rules of one weight stand together, and no row forgets what every model needs. */
START_TEST(lists_are_well_made)
{
    static const enum ppi_weight needed[] = {PPI_WEIGHT_EMBED, PPI_WEIGHT_FINAL_NORM,
                                             PPI_WEIGHT_LM_HEAD, PPI_WEIGHT_QKV, PPI_WEIGHT_O};
    for (size_t i = 0; ppi_arch_at(i); i++) {
        const struct ppi_arch *arch = ppi_arch_at(i);
        bool seen[PPI_N_WEIGHTS] = {false};
        for (const struct ppi_tensor_rule *rule = arch->tensors; rule->name;) {
            ck_assert_msg(!seen[rule->weight], "%s: %s", arch->model_type, rule->name);
            seen[rule->weight] = true;
            rule += ppi_rule_n_parts(rule);
        }
        for (size_t w = 0; w < PPI_COUNT(needed); w++)
            ck_assert_msg(seen[needed[w]], "%s", arch->model_type);
        ck_assert_msg(seen[PPI_WEIGHT_GATE_UP] || arch->experts, "%s", arch->model_type);
        ck_assert_int_eq(seen[PPI_WEIGHT_GATE_UP], seen[PPI_WEIGHT_DOWN]);
        for (size_t j = 0; j < i; j++) {
            ck_assert_int_ne(arch->id, ppi_arch_at(j)->id);
            ck_assert_str_ne(arch->model_type, ppi_arch_at(j)->model_type);
            ck_assert_str_ne(arch->class_name, ppi_arch_at(j)->class_name);
        }
    }
    ck_assert_str_eq(pp_arch_name(0), "unknown");
    ck_assert_str_eq(pp_arch_name(PP_ARCH_GEMMA3), "gemma3_text");
}
END_TEST

/* The matrix of a head is in the place of the LM head, or there is none; nothing else changes. */
START_TEST(has_the_head_of_its_class)
{
    static const struct {
        const char *class_name;
        int64_t n_rows; /* 0: no head */
    } cases[] = {
        {"LlamaForCausalLM", VOCAB}, {"LlamaModel", 0}, {"LlamaForSequenceClassification", 3}};
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        char more[128];
        snprintf(more, sizeof more, ",\"num_labels\":3,\"architectures\":[\"%s\"]",
                 cases[i].class_name);
        pp_model *model = create_plain("llama", more);
        const struct ppi_weights *weights = load(model);
        check_matrix("llama", weights->lm_head, PPI_MATRIX_LINEAR, cases[i].n_rows, HIDDEN);
        int64_t expected = ARCHS[0].n_parameters + (cases[i].n_rows - VOCAB) * HIDDEN;
        ck_assert_int_eq(pp_model_n_parameters(model), expected);
        ck_assert_int_eq(weights->bytes, expected);
        ck_assert_int_eq(ppi_weights_bytes(model, &HERE, NULL), expected);
        ck_assert_int_eq(ppi_weight_bytes(model, &HERE, PPI_WEIGHT_LM_HEAD, NULL),
                         cases[i].n_rows * HIDDEN * (int64_t)sizeof(float));
        n_prepared = 0;
        ck_assert_int_eq(ppi_weights_prepare(weights, NULL, NULL), PP_OK);
        ck_assert_int_eq(n_prepared, 2 * 4 + (cases[i].n_rows > 0));
        pp_model_unref(model);
        ck_assert_int_eq(n_matrices, 0);
    }
}
END_TEST

/* ---- values ---- */

/* Parts of a weight stand one below the other, in the order of the rules. */
static void check_stacked(const pp_model *model, int32_t layer, enum ppi_weight weight,
                          const struct ppi_matrix *matrix)
{
    static uint8_t raw[64 * 1024];
    static float values[16 * 1024];
    int64_t at = 0, rows, cols;
    const struct ppi_tensors *tensors = &model->tensors;
    for (int32_t i = 0; i < tensors->n_rules; i++) {
        if (tensors->rules[i].weight != weight)
            continue;
        ppi_part_shape(&model->spec, layer, weight, tensors->rules[i].part, &rows, &cols);
        size_t n = (size_t)(rows * cols);
        ck_assert_int_eq(ppi_tensors_read(tensors, &model->spec, i, layer, 0, rows, raw, NULL),
                         PP_OK);
        ppi_to_f32(values, raw, ppi_tensors_dtype(tensors, i, layer), n);
        ck_assert_int_eq(memcmp(matrix->values + at, values, n * sizeof *values), 0);
        at += rows * cols;
    }
    ck_assert_int_eq(at, matrix->n_rows * matrix->k);
}

START_TEST(stacks_parts)
{
    static const char *const dtypes[] = {"float32", "float16", "bfloat16"};
    for (size_t i = 0; i < PPI_COUNT(dtypes); i++) {
        char more[64];
        snprintf(more, sizeof more, ",\"dtype\":\"%s\"", dtypes[i]);
        pp_model *model = create_plain("llama", more);
        const struct ppi_weights *weights = load(model);
        for (int32_t layer = 0; layer < 2; layer++) {
            check_stacked(model, layer, PPI_WEIGHT_QKV, weights->layers[layer].qkv);
            check_stacked(model, layer, PPI_WEIGHT_GATE_UP, weights->layers[layer].gate_up);
            check_stacked(model, layer, PPI_WEIGHT_DOWN, weights->layers[layer].down);
        }
        check_stacked(model, 0, PPI_WEIGHT_LM_HEAD, weights->lm_head);
        pp_model_unref(model);
    }
}
END_TEST

/* Norms are 1 in effect, whether the file holds them so or not. */
START_TEST(adds_the_one)
{
    static const char *const types[] = {"llama", "gemma2", "gemma3_text"};
    for (size_t t = 0; t < PPI_COUNT(types); t++) {
        pp_model *model = create_plain(types[t], "");
        const struct ppi_weights *weights = load(model);
        for (int i = 0; i < HIDDEN; i++) {
            ck_assert(weights->final_norm->values[i] == 1);
            ck_assert(weights->layers[1].mlp_norm->values[i] == 1);
        }
        if (weights->layers[0].q_norm)
            ck_assert(weights->layers[0].q_norm->values[DIM - 1] == 1);
        pp_model_unref(model);
    }
}
END_TEST

START_TEST(biases_by_key)
{
    pp_model *model = create_plain("llama", ",\"attention_bias\":true,\"mlp_bias\":true");
    const struct ppi_layer_weights *layer = load(model)->layers;
    check_matrix("llama", layer->qkv_bias, PPI_MATRIX_VECTOR, 1, (HEADS + 2 * KV) * DIM);
    check_matrix("llama", layer->o_bias, PPI_MATRIX_VECTOR, 1, HIDDEN);
    check_matrix("llama", layer->gate_up_bias, PPI_MATRIX_VECTOR, 1, 2 * INNER);
    check_matrix("llama", layer->down_bias, PPI_MATRIX_VECTOR, 1, HIDDEN);
    int64_t biases = (HEADS + 2 * KV) * DIM + HIDDEN + 2 * INNER + HIDDEN;
    ck_assert_int_eq(pp_model_n_parameters(model), 18720 + 2 * biases);
    pp_model_unref(model);
}
END_TEST

/* ---- the list of loaded weights ---- */

START_TEST(loads_once_for_each_dtype)
{
    pp_model *model = create_plain("qwen3", "");
    const struct ppi_weights *first = load(model), *other;
    ck_assert_ptr_eq(load(model), first);
    ck_assert(ppi_weights_are_loaded(model, &HERE));
    ck_assert(!ppi_weights_are_loaded(model, &NARROW));
    ck_assert_int_eq(ppi_weights_get(model, &NARROW, NULL, &other, NULL), PP_OK);
    ck_assert_ptr_ne(other, first);
    ck_assert_int_eq(ppi_weights_get(model, &ELSEWHERE, NULL, &other, NULL), PP_OK);
    ck_assert_ptr_ne(other, first);
    pp_model_unref(model);
    ck_assert_int_eq(n_matrices, 0);
}
END_TEST

/* Each creation of a matrix fails once: nothing is left, and the next try succeeds. */
START_TEST(survives_failing_matrices)
{
    pp_model *model = create_plain("gemma3_text", "");
    const struct ppi_weights *weights = NULL;
    pp_error err = {.struct_size = sizeof err};
    pp_status status = PP_ERR_NOMEM;
    int n = 0;
    for (; status == PP_ERR_NOMEM; n++) {
        n_creations_left = n;
        status = ppi_weights_get(model, &HERE, NULL, &weights, &err);
        ck_assert_int_eq(n_matrices == 0, status != PP_OK);
        ck_assert_int_eq(weights != NULL, status == PP_OK);
    }
    ck_assert_int_eq(status, PP_OK);
    ck_assert_int_eq(n, 3 + 2 * 10 + 1);
    pp_model_unref(model);
}
END_TEST

/* Each allocation of the model and its weights. */
START_TEST(survives_failing_allocations)
{
    int n = 0;
    for (bool loaded = false; !loaded;) {
        struct failing failing = {.n_left = ++n, .persistent = _i};
        const pp_allocator allocator = {.struct_size = sizeof allocator,
                                        .user = &failing,
                                        .allocate = failing_allocate,
                                        .release = failing_release};
        pp_model_params params;
        const struct ppi_weights *weights;
        pp_error err = {.struct_size = sizeof err};
        pp_model_params_init(&params, sizeof params);
        params.allocator = &allocator;
        pp_model *model = create("olmo2", "", &params, &err);
        loaded = model && ppi_weights_get(model, &HERE, NULL, &weights, &err) >= 0;
        if (!loaded)
            ck_assert_ptr_nonnull(strstr(err.message, "no memory for"));
        pp_model_unref(model);
        ck_assert_int_eq(failing.n_blocks, 0);
        ck_assert_int_eq(n_matrices, 0);
    }
    ck_assert_int_gt(n, 5);
}
END_TEST

/* ---- what a model tells of a layer ---- */

START_TEST(tells_of_layers)
{
    pp_model *model = create_plain("exaone4", ",\"sliding_window\":7,\"sliding_window_pattern\":2");
    pp_layer_config layer = {.struct_size = sizeof layer};
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(pp_model_get_layer(model, 0, &layer, &err), PP_OK);
    ck_assert_int_eq(layer.sliding_window, 7);
    ck_assert_int_eq(layer.rope_type, PP_ROPE_DEFAULT);
    ck_assert_int_eq(layer.rotary_dim, DIM);
    ck_assert(layer.rope_theta == 10000 && layer.rope_factor == 1);
    ck_assert_int_eq(layer.n_kv_heads, KV);
    ck_assert_int_eq(layer.head_dim, DIM);
    ck_assert_int_eq(pp_model_get_layer(model, 1, &layer, &err), PP_OK);
    ck_assert_int_eq(layer.sliding_window, 0);
    ck_assert_int_eq(layer.rope_type, PP_ROPE_NONE);
    ck_assert_int_eq(layer.rotary_dim, 0);
    for (int32_t i = -1; i <= 2; i += 3) {
        ck_assert_int_eq(pp_model_get_layer(model, i, &layer, &err), PP_ERR_ARG);
        ck_assert_int_eq(err.index, i);
        ck_assert_ptr_nonnull(strstr(err.message, "the model has layers 0 to 1"));
    }
    ck_assert_int_eq(pp_model_get_layer(NULL, 0, &layer, &err), PP_ERR_ARG);
    layer.struct_size = 0;
    ck_assert_int_eq(pp_model_get_layer(model, 0, &layer, &err), PP_ERR_STRUCT_SIZE);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("weights");
    TCase *archs = tcase_create("architectures");
    tcase_add_loop_test(archs, has_the_weights_of_its_class, 0, (int)PPI_COUNT(ARCHS));
    tcase_add_test(archs, has_the_head_of_its_class);
    tcase_add_test(archs, lists_are_well_made);
    tcase_add_test(archs, tells_of_layers);
    suite_add_tcase(suite, archs);
    TCase *values = tcase_create("values");
    tcase_add_test(values, stacks_parts);
    tcase_add_test(values, adds_the_one);
    tcase_add_test(values, biases_by_key);
    suite_add_tcase(suite, values);
    TCase *loading = tcase_create("loading");
    tcase_set_timeout(loading, 60);
    tcase_add_test(loading, loads_once_for_each_dtype);
    tcase_add_test(loading, survives_failing_matrices);
    tcase_add_loop_test(loading, survives_failing_allocations, 0, 2);
    suite_add_tcase(suite, loading);
    return tap_run(suite, CK_FORK);
}
