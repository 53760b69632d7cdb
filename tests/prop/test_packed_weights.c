/*
 * test_packed_weights.c: blocks of a GGUF file that stay blocks in memory: the bits of the numbers
 * that they stand for, in a part of the memory; which stay under which format; what sessions share
 * and foretell.
 */
#include "formats_world.h"
#include "support/make_gguf.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static const struct {
    const char *name;
    int matrices, values;
    double share; /* of the bytes of f32 that the matrices of a layer take at most */
} FILES[] = {
    {"q8_0", GGUF_Q8_0, GGUF_Q8_0, 0.28},  {"q4_0", GGUF_Q4_0, GGUF_Q4_0, 0.15},
    {"q4_1", GGUF_Q4_1, GGUF_Q4_1, 0.17},  {"q4_k", GGUF_Q4_K, GGUF_Q4_K, 0.20},
    {"mixed", GGUF_Q4_K, GGUF_Q8_0, 0.35}, /* q, k and v of the last stay numbers */
};

static char *folder;

static pp_model *file_model(int i, int embedding)
{
    struct rng rng = {(uint64_t)i + 1};
    const struct gguf_shape shape = {.n_layers = 2,
                                     .vocab = 96,
                                     .hidden = 256,
                                     .inner = 768,
                                     .n_heads = 8,
                                     .n_kv_heads = 2,
                                     .matrices = FILES[i].matrices,
                                     .values = FILES[i].values,
                                     .embedding = embedding};
    gguf_write(in_folder(folder, FILES[i].name), &shape, &rng);
    return open_model(in_folder(folder, FILES[i].name));
}

static void make_world(void)
{
    folder = make_folder();
}

static void end_world(void)
{
    remove_folder(folder);
}

static int64_t weight_bytes(pp_model *model, int32_t dtype, int32_t weights)
{
    pp_session *session = open_session(model, dtype, weights);
    int64_t bytes = info_of(session).weight_bytes;
    pp_session_destroy(session);
    return bytes;
}

START_TEST(blocks_give_the_bits_of_their_numbers)
{
    pp_model *model = file_model(_i, GGUF_F32);
    expect_same_bits(FILES[_i].name, model, PP_WEIGHTS_AUTO, model, PP_WEIGHTS_F32, PP_DTYPE_F32);
    expect_same_bits(FILES[_i].name, model, PP_WEIGHTS_AUTO, model, PP_WEIGHTS_BF16, PP_DTYPE_BF16);
    pp_model_unref(model);
}
END_TEST

START_TEST(blocks_take_less_memory)
{
    pp_model *model = file_model(_i, GGUF_F32);
    const int64_t ends = 2 * 4 * 96 * 256; /* the table and the head, f32 in both */
    int64_t packed = weight_bytes(model, PP_DTYPE_F32, PP_WEIGHTS_AUTO) - ends;
    int64_t numbers = weight_bytes(model, PP_DTYPE_F32, PP_WEIGHTS_F32) - ends;
    ck_assert_msg((double)packed < FILES[_i].share * (double)numbers, "%s: %d of %d bytes",
                  FILES[_i].name, (int)packed, (int)numbers);
    pp_model_unref(model);
}
END_TEST

/* Matrices of 4 bits under int4 and nf4: bytes as in AUTO, but for the ends, which are 8 bits wide;
 * and values near those of AUTO, from which only the rounding of activations parts them. */
START_TEST(four_bits_stay_what_they_are)
{
    static const int32_t formats[] = {PP_WEIGHTS_INT4, PP_WEIGHTS_NF4};
    pp_model *model = file_model(_i, FILES[_i].matrices);
    const int64_t tables = 4 * 96 * 256 - 96 * (256 + 4);
    struct run_bits exact = bits_of(model, PP_DTYPE_F32, PP_WEIGHTS_AUTO);
    for (size_t f = 0; f < 2; f++) {
        ck_assert_int_eq(weight_bytes(model, PP_DTYPE_F32, PP_WEIGHTS_AUTO) - tables,
                         weight_bytes(model, PP_DTYPE_F32, formats[f]));
        struct run_bits near = bits_of(model, PP_DTYPE_F32, formats[f]);
        double difference = 0, size = 0;
        for (size_t i = 0; i < near.logits_bytes / sizeof(float); i++) {
            difference += pow((double)near.logits[i] - (double)exact.logits[i], 2);
            size += pow((double)exact.logits[i], 2);
        }
        ck_assert_msg(difference > 0 && difference < 0.002 * size, "%s: %g", FILES[_i].name,
                      difference / size);
        run_bits_free(&near);
    }
    run_bits_free(&exact);
    pp_model_unref(model);
}
END_TEST

/* ---- what a session says ---- */

static void expect_format(pp_model *model, int32_t dtype, int32_t weights, int32_t expected)
{
    pp_session *session = open_session(model, dtype, weights);
    ck_assert_str_eq(pp_weights_name(info_of(session).weights), pp_weights_name(expected));
    pp_session_destroy(session);
}

START_TEST(auto_says_what_it_came_to)
{
    static const char text[] = "{\"model_type\":\"llama\",\"vocab_size\":64,\"hidden_size\":64,"
                               "\"intermediate_size\":96,\"num_hidden_layers\":1,"
                               "\"num_attention_heads\":2,\"dtype\":\"%s\"}";
    char config[256];
    pp_model *model = file_model(0, GGUF_F32);
    expect_format(model, PP_DTYPE_F32, PP_WEIGHTS_AUTO, PP_WEIGHTS_AUTO);
    expect_format(model, PP_DTYPE_F32, PP_WEIGHTS_INT8, PP_WEIGHTS_INT8);
    pp_model_unref(model);
    for (int i = 0; i < 2; i++) {
        int32_t own = i ? PP_WEIGHTS_BF16 : PP_WEIGHTS_F32;
        snprintf(config, sizeof config, text, i ? "bfloat16" : "float32");
        OK(pp_model_create_random(config, 1, NULL, &model, perr));
        expect_format(model, PP_DTYPE_F32, PP_WEIGHTS_AUTO, own);
        expect_format(model, PP_DTYPE_BF16, PP_WEIGHTS_AUTO, PP_WEIGHTS_BF16);
        pp_model_unref(model);
    }
}
END_TEST

/* Counts the model's blocks. */
static void *count_allocate(void *user, size_t bytes, size_t alignment)
{
    ++*(int *)user;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void count_release(void *user, void *memory, size_t bytes)
{
    (void)bytes;
    --*(int *)user;
    free(memory);
}

START_TEST(auto_shares_with_what_it_came_to)
{
    int n = 0;
    const pp_allocator allocator = {.struct_size = sizeof allocator,
                                    .user = &n,
                                    .allocate = count_allocate,
                                    .release = count_release};
    pp_model *model;
    pp_model_params params;
    pp_model_params_init(&params, sizeof params);
    params.allocator = &allocator;
    OK(pp_model_create_random(pp_model_preset("tiny"), 1, &params, &model, perr));
    pp_session *session = open_session(model, PP_DTYPE_F32, PP_WEIGHTS_AUTO);
    int32_t came_to = info_of(session).weights;
    int before = n;
    ck_assert_int_ne(came_to, PP_WEIGHTS_AUTO);
    pp_session_destroy(session);
    pp_session_destroy(open_session(model, PP_DTYPE_F32, came_to));
    ck_assert_int_eq(n, before);
    pp_session_destroy(open_session(model, PP_DTYPE_F32, PP_WEIGHTS_INT8));
    ck_assert_int_gt(n, before);
    pp_model_unref(model);
}
END_TEST

/* ---- what is foretold ---- */

/* Peak memory after a prefill, beside what was foretold and its pages and angles. */
static void expect_foretold(const char *name, pp_model *model, int32_t dtype, int32_t weights)
{
    static const int64_t lengths[] = {90, 31, 17};
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.dtype = dtype;
    params.weights = weights;
    params.n_threads = 1;
    pp_session_info guess = {.struct_size = sizeof guess};
    OK(pp_session_estimate(model, &params, &guess, perr));
    pp_session *session = open_session(model, dtype, weights);
    pp_prompt *prompts = run_prompts(model, 5, lengths, 3);
    pp_kvcache *caches[3];
    OK(pp_prefill(session, NULL, prompts, 3, caches, NULL, perr));
    pp_session_info real = info_of(session);
    double foretold = (double)(guess.peak_memory_bytes + real.kv_pool_bytes);
    double share = (double)real.peak_memory_bytes / foretold;
    ck_assert_int_eq(guess.weights, real.weights);
    ck_assert_int_eq(guess.weight_bytes, real.weight_bytes);
    ck_assert_msg(share > 0.95 && share < 1.05, "%s, %s, %s: %lld bytes, foretold %lld", name,
                  pp_dtype_name(dtype), pp_weights_name(weights), (long long)real.peak_memory_bytes,
                  (long long)foretold);
    for (int i = 0; i < 3; i++)
        pp_kvcache_destroy(caches[i]);
    run_prompts_free(prompts, 3);
    pp_session_destroy(session);
}

START_TEST(peak_memory_is_foretold)
{
    pp_model *model = file_model(_i, FILES[_i].matrices);
    for (int32_t weights = PP_WEIGHTS_AUTO; weights <= PP_WEIGHTS_NF4; weights++)
        for (int32_t dtype = PP_DTYPE_F32; dtype <= PP_DTYPE_BF16; dtype += 2)
            if (weights != PP_WEIGHTS_F32 || dtype == PP_DTYPE_F32)
                expect_foretold(FILES[_i].name, model, dtype, weights);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    const int n_files = (int)(sizeof FILES / sizeof FILES[0]);
    Suite *suite = suite_create("packed-weights");
    TCase *tcase = tcase_create("packed-weights");
    tcase_set_timeout(tcase, 0);
    tcase_add_unchecked_fixture(tcase, make_world, end_world);
    tcase_add_loop_test(tcase, blocks_give_the_bits_of_their_numbers, 0, n_files);
    tcase_add_loop_test(tcase, blocks_take_less_memory, 0, n_files);
    tcase_add_loop_test(tcase, four_bits_stay_what_they_are, 1, 4);
    tcase_add_test(tcase, auto_says_what_it_came_to);
    tcase_add_test(tcase, auto_shares_with_what_it_came_to);
    tcase_add_loop_test(tcase, peak_memory_is_foretold, 0, n_files);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
