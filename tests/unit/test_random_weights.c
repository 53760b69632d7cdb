/*
 * test_random_weights.c: generated weights: a pure function of seed and place, about normal.
 */
#include "dtype.h"
#include "model/tensors.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <prepack/model.h>
#include <stdlib.h>
#include <string.h>

static struct ppi_mem mem;

struct random {
    struct ppi_config config;
    struct ppi_tensors tensors;
};

static struct random open_random(const char *text, int32_t dtype, uint64_t seed)
{
    struct random random;
    char *copy = strdup(text);
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    ck_assert_int_eq(
        ppi_config_parse(copy, strlen(copy), "config", &mem, NULL, &random.config, NULL), PP_OK);
    free(copy);
    random.config.spec.dtype = dtype;
    ppi_tensors_random(&random.config, seed, &random.tensors);
    return random;
}

static struct random open_tiny(int32_t dtype, uint64_t seed)
{
    return open_random(pp_model_preset("tiny"), dtype, seed);
}

static void close_random(struct random *random)
{
    ppi_tensors_close(&random->tensors, &mem);
    ppi_config_free(&random->config, &mem);
}

/* Reads rows of a part, any of a weight without parts. */
static void read_rows(const struct random *random, enum ppi_weight weight, enum ppi_part part,
                      int32_t layer, int64_t first_row, int64_t n_rows, void *dst)
{
    const struct ppi_tensors *tensors = &random->tensors;
    int32_t i = 0;
    while (tensors->rules[i].weight != weight || tensors->rules[i].part != part)
        ck_assert_int_lt(++i, tensors->n_rules);
    ck_assert_int_eq(
        ppi_tensors_read(tensors, &random->config.spec, i, layer, first_row, n_rows, dst, NULL),
        PP_OK);
}

/* A whole tensor of the tiny preset: at most 512 x 64. */
struct values {
    float f32[512 * 64];
};

static void read_all(const struct random *random, enum ppi_weight weight, enum ppi_part part,
                     int32_t layer, struct values *values, int64_t n_rows, int64_t n_cols)
{
    static unsigned char raw[sizeof *values];
    read_rows(random, weight, part, layer, 0, n_rows, raw);
    ppi_to_f32(values->f32, raw, random->config.spec.dtype, (size_t)(n_rows * n_cols));
}

START_TEST(is_deterministic)
{
    static struct values a, b;
    for (int32_t dtype = PP_DTYPE_F32; dtype <= PP_DTYPE_BF16; dtype++) {
        struct random first = open_tiny(dtype, 42), second = open_tiny(dtype, 42);
        read_all(&first, PPI_WEIGHT_EMBED, PPI_PART_ALL, 0, &a, 512, 64);
        read_all(&second, PPI_WEIGHT_EMBED, PPI_PART_ALL, 0, &b, 512, 64);
        ck_assert_int_eq(memcmp(&a, &b, sizeof a), 0);
        close_random(&first);
        close_random(&second);
    }
}
END_TEST

/* These bits are the promise that a random model is the same one tomorrow and elsewhere. */
START_TEST(values_are_frozen)
{
    static struct values values;
    struct random source = open_tiny(PP_DTYPE_F32, 1);
    read_all(&source, PPI_WEIGHT_DOWN, PPI_PART_ALL, 1, &values, 64, 176);
    uint32_t hash = 0;
    for (size_t i = 0; i < 64 * 176; i++)
        hash = hash * 31 + ppi_f32_bits(values.f32[i]);
    ck_assert_uint_eq(hash, 520734985u);
    close_random(&source);
}
END_TEST

/* Rows asked for one by one, and in uneven pieces, are the rows of the whole. */
START_TEST(pieces_make_the_whole)
{
    static uint16_t whole[176 * 64], piece[176 * 64];
    struct random source = open_tiny(PP_DTYPE_BF16, 7);
    read_rows(&source, PPI_WEIGHT_GATE_UP, PPI_PART_GATE, 1, 0, 176, whole);
    for (int64_t row = 0, n = 1; row < 176; row += n, n = n * 2 + 1) {
        if (n > 176 - row)
            n = 176 - row;
        read_rows(&source, PPI_WEIGHT_GATE_UP, PPI_PART_GATE, 1, row, n, piece);
        ck_assert_int_eq(memcmp(piece, whole + row * 64, (size_t)n * 64 * 2), 0);
    }
    close_random(&source);
}
END_TEST

START_TEST(places_differ)
{
    static struct values q0, q1, o0, other, row;
    struct random source = open_tiny(PP_DTYPE_F32, 7), seed8 = open_tiny(PP_DTYPE_F32, 8);
    read_all(&source, PPI_WEIGHT_QKV, PPI_PART_Q, 0, &q0, 64, 64);
    read_all(&source, PPI_WEIGHT_QKV, PPI_PART_Q, 1, &q1, 64, 64);
    read_all(&source, PPI_WEIGHT_O, PPI_PART_ALL, 0, &o0, 64, 64);
    read_all(&seed8, PPI_WEIGHT_QKV, PPI_PART_Q, 0, &other, 64, 64);
    read_all(&source, PPI_WEIGHT_EMBED, PPI_PART_ALL, 0, &row, 512, 64);
    int n_equal = 0;
    for (int i = 0; i < 64 * 64; i++)
        n_equal += (q0.f32[i] == q1.f32[i]) + (q0.f32[i] == o0.f32[i]) +
                   (q0.f32[i] == other.f32[i]) + (q0.f32[i] == row.f32[i]) +
                   (q0.f32[i] == q0.f32[(i + 64) % (64 * 64)]);
    ck_assert_int_lt(n_equal, 10); /* by chance about one value in 10^5 */
    close_random(&source);
    close_random(&seed8);
}
END_TEST

/* In effect: what is stored without its 1 is 0. Biases are 0. */
START_TEST(vectors_do_nothing)
{
    static const struct {
        const char *text;
        enum ppi_weight weight;
        enum ppi_part part;
        float value;
    } cases[] = {
        {"{\"model_type\":\"llama\"}", PPI_WEIGHT_ATTN_NORM, PPI_PART_ALL, 1},
        {"{\"model_type\":\"llama\"}", PPI_WEIGHT_FINAL_NORM, PPI_PART_ALL, 1},
        {"{\"model_type\":\"gemma3_text\"}", PPI_WEIGHT_FINAL_NORM, PPI_PART_ALL, 0},
        {"{\"model_type\":\"gemma3_text\"}", PPI_WEIGHT_Q_NORM, PPI_PART_ALL, 0},
        {"{\"model_type\":\"qwen2\"}", PPI_WEIGHT_QKV_BIAS, PPI_PART_K, 0},
    };
    static struct values values;
    for (int32_t dtype = PP_DTYPE_F32; dtype <= PP_DTYPE_BF16; dtype++)
        for (size_t i = 0; i < PPI_COUNT(cases); i++) {
            struct random source = open_random(cases[i].text, dtype, 7);
            read_all(&source, cases[i].weight, cases[i].part, 1, &values, 1, 256);
            for (int j = 0; j < 256; j++)
                ck_assert(values.f32[j] == cases[i].value);
            close_random(&source);
        }
}
END_TEST

/* Fused in the file or not, all of them differ from each other. */
START_TEST(fused_tensors_have_values)
{
    static uint16_t qkv[3072], gate_up[3072];
    struct random source = open_random("{\"model_type\":\"phi3\"}", PP_DTYPE_BF16, 7);
    read_rows(&source, PPI_WEIGHT_QKV, PPI_PART_ALL, 0, 5, 1, qkv);
    read_rows(&source, PPI_WEIGHT_GATE_UP, PPI_PART_ALL, 0, 5, 1, gate_up);
    ck_assert_int_ne(memcmp(qkv, gate_up, sizeof qkv), 0);
    close_random(&source);
}
END_TEST

/* Mean, deviation and tails of 32,768 values; bounds are five standard errors and more. */
START_TEST(values_are_about_normal)
{
    static struct values values;
    const int n = 512 * 64;
    for (int32_t dtype = PP_DTYPE_F32; dtype <= PP_DTYPE_BF16; dtype++) {
        struct random source = open_tiny(dtype, 1234);
        read_all(&source, PPI_WEIGHT_EMBED, PPI_PART_ALL, 0, &values, 512, 64);
        double sum = 0, squares = 0;
        int n_positive = 0, n_within = 0;
        for (int i = 0; i < n; i++) {
            double value = (double)values.f32[i];
            sum += value;
            squares += value * value;
            n_positive += value > 0;
            n_within += fabs(value) < 0.02;
            ck_assert(fabs(value) < 0.02 * 3.5);
        }
        ck_assert(fabs(sum / n) < 0.02 * 0.03);
        ck_assert(fabs(sqrt(squares / n) - 0.02) < 0.02 * 0.02);
        ck_assert(abs(n_positive - n / 2) < 500);
        ck_assert(fabs((double)n_within / n - 0.67) < 0.03);
        close_random(&source);
    }
}
END_TEST

START_TEST(tied_heads_are_the_embedding)
{
    static uint16_t head[512 * 64], embed[512 * 64];
    for (int tied = 0; tied < 2; tied++) {
        struct random source = open_tiny(PP_DTYPE_BF16, 3);
        source.config.spec.tie_embeddings = tied;
        read_rows(&source, PPI_WEIGHT_LM_HEAD, PPI_PART_ALL, 0, 0, 512, head);
        read_rows(&source, PPI_WEIGHT_EMBED, PPI_PART_ALL, 0, 0, 512, embed);
        ck_assert_int_eq(memcmp(head, embed, sizeof head) == 0, tied);
        close_random(&source);
    }
}
END_TEST

static const char mixed[] =
    "{\"model_type\":\"qwen3_next\",\"vocab_size\":64,\"hidden_size\":64,\"num_hidden_layers\":4,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":16,\"num_experts\":4,"
    "\"num_experts_per_tok\":2,\"moe_intermediate_size\":32,\"shared_expert_intermediate_size\":32,"
    "\"linear_num_key_heads\":2,\"linear_num_value_heads\":64,\"linear_key_head_dim\":8,"
    "\"linear_value_head_dim\":8}";

/* Decays and steps as trained models have them, each head its own. */
START_TEST(linear_layers_have_usual_ranges)
{
    static struct values values;
    struct random source = open_random(mixed, PP_DTYPE_F32, 7);
    read_all(&source, PPI_WEIGHT_LINEAR_A_LOG, PPI_PART_ALL, 0, &values, 1, 64);
    int n_new = 0;
    for (int i = 0; i < 64; i++) {
        ck_assert(values.f32[i] >= 0 && values.f32[i] <= 2.7726f);
        n_new += values.f32[i] != values.f32[0];
    }
    ck_assert_int_gt(n_new, 40);
    read_all(&source, PPI_WEIGHT_LINEAR_DT_BIAS, PPI_PART_ALL, 0, &values, 1, 64);
    for (int i = 0; i < 64; i++)
        ck_assert(values.f32[i] >= -6.9f && values.f32[i] < -2.2f);
    read_all(&source, PPI_WEIGHT_LINEAR_NORM, PPI_PART_ALL, 0, &values, 1, 8);
    ck_assert(values.f32[7] == 1); /* where other norms of the class are stored without it */
    close_random(&source);
}
END_TEST

/* Rows of the whole, whatever the parts: as experts are stored one by one or together. */
START_TEST(forms_have_the_same_values)
{
    static uint16_t all[4 * 64 * 64], gate[4 * 32 * 64], up[4 * 32 * 64];
    struct random source = open_random(mixed, PP_DTYPE_BF16, 7);
    read_rows(&source, PPI_WEIGHT_EXPERT_GATE_UP, PPI_PART_ALL, 3, 0, 4 * 64, all);
    read_rows(&source, PPI_WEIGHT_EXPERT_GATE_UP, PPI_PART_GATE, 3, 0, 4 * 32, gate);
    read_rows(&source, PPI_WEIGHT_EXPERT_GATE_UP, PPI_PART_UP, 3, 0, 4 * 32, up);
    for (int expert = 0; expert < 4; expert++) {
        const uint16_t *whole = all + expert * 64 * 64;
        size_t half = 32 * 64;
        ck_assert_int_eq(memcmp(whole, gate + (size_t)expert * half, half * 2), 0);
        ck_assert_int_eq(memcmp(whole + half, up + (size_t)expert * half, half * 2), 0);
    }
    ck_assert_int_ne(memcmp(gate, up, sizeof up), 0);
    close_random(&source);
}
END_TEST

/* Through the public call: what a text may be. */
START_TEST(creates_models)
{
    static const struct {
        const char *text, *message;
        pp_status status;
    } refused[] = {
        {"", "config_json: malformed JSON", PP_ERR_FORMAT},
        {"{\"model_type\":\"gpt2\"}", "config_json: \"model_type\" is \"gpt2\"",
         PP_ERR_UNSUPPORTED},
        {"{\"model_type\":\"llama\",\"dtype\":\"int8\"}", "\"dtype\" is none of float32",
         PP_ERR_UNSUPPORTED},
        {"{\"model_type\":\"llama\",\"vocab_size\":16777217}", "at most 16777216", PP_ERR_LIMIT},
    };
    pp_model *model = NULL;
    pp_error err = {.struct_size = sizeof err};
    for (size_t i = 0; i < PPI_COUNT(refused); i++) {
        ck_assert_int_eq(pp_model_create_random(refused[i].text, 1, NULL, &model, &err),
                         refused[i].status);
        ck_assert_msg(strstr(err.message, refused[i].message) != NULL, "%s", err.message);
        ck_assert_ptr_null(model);
    }
    ck_assert_int_eq(pp_model_create_random(NULL, 1, NULL, &model, &err), PP_ERR_ARG);
    ck_assert_int_eq(pp_model_create_random("{}", 1, NULL, NULL, &err), PP_ERR_ARG);
    ck_assert_int_eq(pp_model_create_random(pp_model_preset("tiny"), 1, NULL, &model, &err), PP_OK);
    ck_assert_int_eq(pp_model_is_random(model), 1);
    ck_assert_int_eq(pp_model_n_parameters(model),
                     2 * 512 * 64 + 64 + 2 * (2 * 64 + 2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 176));
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random_weights");
    TCase *values = tcase_create("values");
    tcase_set_timeout(values, 60);
    tcase_add_test(values, is_deterministic);
    tcase_add_test(values, values_are_frozen);
    tcase_add_test(values, pieces_make_the_whole);
    tcase_add_test(values, places_differ);
    tcase_add_test(values, vectors_do_nothing);
    tcase_add_test(values, values_are_about_normal);
    tcase_add_test(values, tied_heads_are_the_embedding);
    tcase_add_test(values, fused_tensors_have_values);
    tcase_add_test(values, linear_layers_have_usual_ranges);
    tcase_add_test(values, forms_have_the_same_values);
    tcase_add_test(values, creates_models);
    suite_add_tcase(suite, values);
    return tap_run(suite, CK_FORK);
}
