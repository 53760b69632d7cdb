/*
 * test_llamacpp_state.c: the state of a sequence of llama.cpp, byte by byte by the description of
 * kvcache_llamacpp.h's form, written here by hand: what is written is that, what is read is what it
 * says, and what is not so is refused. tests/real has llama.cpp itself.
 */
#include "cache_world.h"
#include "support/tap.h"

#include <math.h>
#include <stdio.h>

#define MAGIC    0xaf143cd8u
#define N_LAYERS 3
#define N_HEADS  2
#define HEAD_DIM 16
#define ROW      (N_HEADS * HEAD_DIM)
#define N        5

static pp_error refusal = {.struct_size = sizeof refusal};

#define REFUSED(call, status, words)                                                               \
    do {                                                                                           \
        ck_assert_int_eq((call), (status));                                                        \
        ck_assert_int_eq(refusal.code, (status));                                                  \
        ck_assert_msg(strstr(refusal.message, words), "\"%s\" lacks \"%s\"", refusal.message,      \
                      words);                                                                      \
    } while (0)

/* A small number that f16 and bf16 hold. */
static float number(int layer, int which, int token, int e)
{
    return (float)((layer * 7 + which * 3 + token * 5 + e * 11) % 97 - 48) / 16;
}

/* What the test writes by hand. */
struct state {
    char bytes[1 << 16];
    size_t n;
};

static void put(struct state *s, const void *bytes, size_t n)
{
    ck_assert_uint_le(s->n + n, sizeof s->bytes);
    memcpy(s->bytes + s->n, bytes, n);
    s->n += n;
}

static void put_u32(struct state *s, uint32_t x)
{
    put(s, &x, 4);
}

static void put_u64(struct state *s, uint64_t x)
{
    put(s, &x, 8);
}

/* By GGML type: 0 f32, 1 f16, 30 bf16; of numbers that these hold. */
static void put_element(struct state *s, int type, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint16_t half = (uint16_t)(bits >> 16);
    if (type == 1) {
        int exponent;
        float fraction = frexpf(fabsf(x), &exponent);
        half = x == 0 ? 0 : (uint16_t)((exponent + 14) << 10 | ((int)(fraction * 2048) - 1024));
        half |= (uint16_t)(bits >> 31 << 15);
    }
    put(s, type == 0 ? (const void *)&bits : (const void *)&half, type == 0 ? 4 : 2);
}

struct shape {
    int key_type, value_type, transposed, n_streams, pairs;
    const int *order; /* positions of the cells; NULL: ascending */
};

/* Where element e of a row stands in keys whose pairs are neighbours: the element that is at place
 * p of a head. */
static int element_at(int pairs, int p)
{
    int head = p / HEAD_DIM * HEAD_DIM, at = p % HEAD_DIM;
    return !pairs ? p : head + (at % 2 ? HEAD_DIM / 2 + at / 2 : at / 2);
}

static struct state *by_hand(struct shape shape, int n)
{
    struct state *s = calloc(1, sizeof *s);
    const int key_bytes = shape.key_type == 0 ? 4 : 2, value_bytes = shape.value_type == 0 ? 4 : 2;
    put_u32(s, MAGIC);
    put_u32(s, 0);
    put_u32(s, (uint32_t)shape.n_streams);
    put_u32(s, (uint32_t)n);
    for (int c = 0; c < n; c++) {
        put_u32(s, (uint32_t)(shape.order ? shape.order[c] : c));
        put_u32(s, 1);
        put_u32(s, 0);
    }
    put_u32(s, (uint32_t)shape.transposed);
    put_u32(s, N_LAYERS);
    for (int layer = 0; layer < N_LAYERS; layer++) {
        put_u32(s, (uint32_t)shape.key_type);
        put_u64(s, (uint64_t)(ROW * key_bytes));
        for (int c = 0; c < n; c++)
            for (int p = 0; p < ROW; p++)
                put_element(
                    s, shape.key_type,
                    number(layer, 0, shape.order ? shape.order[c] : c, element_at(shape.pairs, p)));
    }
    for (int layer = 0; layer < N_LAYERS; layer++) {
        put_u32(s, (uint32_t)shape.value_type);
        if (shape.transposed) {
            put_u32(s, (uint32_t)value_bytes);
            put_u32(s, ROW);
        } else {
            put_u64(s, (uint64_t)(ROW * value_bytes));
        }
        for (int i = 0; i < n * ROW; i++) {
            int c = shape.transposed ? i % n : i / ROW, e = shape.transposed ? i / n : i % ROW;
            put_element(s, shape.value_type, number(layer, 1, shape.order ? shape.order[c] : c, e));
        }
    }
    for (int i = 1; i < shape.n_streams; i++)
        put_u32(s, 0);
    return s;
}

static void fill_rows(float *rows, int layer, int which)
{
    for (int i = 0; i < N * ROW; i++)
        rows[i] = number(layer, which, i / ROW, i % ROW);
}

static pp_kvcache *numbered_cache(pp_session *session)
{
    pp_kvcache *cache = NULL;
    float rows[N * ROW];
    OK(pp_kvcache_create(session, N, NULL, &cache, perr));
    for (int layer = 0; layer < N_LAYERS; layer++)
        for (int which = 0; which < 2; which++) {
            fill_rows(rows, layer, which);
            OK(pp_kvcache_write(cache, layer, which, PP_KV_NHD, PP_DTYPE_F32, 0, N, rows,
                                sizeof rows, perr));
        }
    return cache;
}

static void expect_numbers(const pp_kvcache *cache)
{
    float rows[N * ROW], expected[N * ROW];
    ck_assert_int_eq(pp_kvcache_length(cache), N);
    for (int layer = 0; layer < N_LAYERS; layer++)
        for (int which = 0; which < 2; which++) {
            OK(pp_kvcache_read(cache, layer, which, PP_KV_NHD, PP_DTYPE_F32, 0, N, rows,
                               sizeof rows, perr));
            fill_rows(expected, layer, which);
            ck_assert_mem_eq(rows, expected, sizeof rows);
        }
}

static const int shuffled[N] = {3, 0, 4, 1, 2};
static const struct shape shapes[] = {
    {0, 0, 0, 1, 0, NULL},     {1, 1, 0, 1, 0, NULL},   {0, 1, 1, 1, 1, NULL},
    {1, 0, 1, 4, 0, NULL},     {30, 30, 1, 2, 1, NULL}, {0, 0, 0, 1, 0, shuffled},
    {1, 1, 1, 3, 1, shuffled},
};

static int32_t dtype_of(int type)
{
    return type == 0 ? PP_DTYPE_F32 : type == 1 ? PP_DTYPE_F16 : PP_DTYPE_BF16;
}

static pp_llamacpp_params params_of(struct shape shape)
{
    pp_llamacpp_params params;
    pp_llamacpp_params_init(&params, sizeof params);
    params.key_dtype = dtype_of(shape.key_type);
    params.value_dtype = dtype_of(shape.value_type);
    params.v_trans = shape.transposed;
    params.n_streams = shape.n_streams;
    params.order = shape.pairs ? PP_LLAMACPP_ORDER_PAIRS : PP_LLAMACPP_ORDER_HALVES;
    return params;
}

START_TEST(states_are_as_described)
{
    pp_model *model = cache_model(0, 1);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        struct run_target target = {"cpu", bf16 ? PP_DTYPE_BF16 : PP_DTYPE_F32, PP_WEIGHTS_AUTO};
        pp_session *session = run_session(model, target, 1, 0, 0);
        pp_kvcache *cache = numbered_cache(session), *read = NULL;
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            pp_llamacpp_params params = params_of(shapes[i]);
            struct state *state = by_hand(shapes[i], N);
            size_t bytes;
            OK(pp_kvcache_llamacpp_size(cache, &params, &bytes, perr));
            ck_assert_uint_eq(bytes, state->n);
            char *memory = malloc(bytes + 1);
            OK(pp_kvcache_to_llamacpp(cache, &params, memory + 1, bytes, perr));
            if (!shapes[i].order)
                ck_assert_mem_eq(memory + 1, state->bytes, bytes);
            free(memory);
            OK(pp_kvcache_from_llamacpp(session, state->bytes, state->n, &params, &read, perr));
            expect_numbers(read);
            pp_kvcache_destroy(read);
            free(state);
        }
        pp_kvcache_destroy(cache);
        pp_session_destroy(session);
    }
    pp_model_unref(model);
}
END_TEST

START_TEST(cut_and_changed_states_are_refused)
{
    pp_model *model = cache_model(0, 1);
    pp_session *session = run_session(model, *run_target(0), 1, 0, 0);
    pp_kvcache *cache = NULL;
    for (size_t i = 2; i < 4; i++) {
        struct state *state = by_hand(shapes[i], N);
        for (size_t n = 0; n < state->n; n++) {
            char *cut = malloc(n + 1); /* a read beyond it is seen by a sanitizer */
            memcpy(cut, state->bytes, n);
            ck_assert_int_eq(pp_kvcache_from_llamacpp(session, cut, n, NULL, &cache, &refusal),
                             PP_ERR_FORMAT);
            free(cut);
        }
        REFUSED(
            pp_kvcache_from_llamacpp(session, state->bytes, state->n + 1, NULL, &cache, &refusal),
            PP_ERR_FORMAT, "and ends after");
        free(state);
    }
    static const struct {
        size_t at;
        uint32_t word;
        pp_status status;
        const char *words;
    } cases[] = {
        {0, 0xaf143cd7, PP_ERR_FORMAT, "begins with 0xaf143cd7; 0xaf143cd8 is needed"},
        {8, 0, PP_ERR_FORMAT, "ends after 12"},
        {8, 2, PP_ERR_FORMAT, "ends inside a stream"},
        {8, 0xffffffff, PP_ERR_FORMAT, "ends inside a stream"},
        {12, 0, PP_ERR_FORMAT, "ends after 16"},
        {12, 4, PP_ERR_FORMAT, ""},
        {12, 0x7fffffff, PP_ERR_FORMAT, "ends inside its cells"},
        {12, 0xffffffff, PP_ERR_FORMAT, "ends inside its cells"},
        {16, 1, PP_ERR_UNSUPPORTED, "cell 1 has position 1; 5 cells must have the positions"},
        {16, 5, PP_ERR_UNSUPPORTED, "cell 0 has position 5"},
        {16, 0xffffffff, PP_ERR_UNSUPPORTED, "cell 0 has position -1"},
        {20, 2, PP_ERR_FORMAT, "the number of sequences of a cell is 2; 1 is needed"},
        {76, 2, PP_ERR_FORMAT, "v_trans is 2"},
        {76, 1, PP_ERR_FORMAT, ""},
        {80, 2, PP_ERR_FORMAT, "the number of layers is 2; 3 is needed"},
        {84, 8, PP_ERR_UNSUPPORTED, "GGML type 8"},
        {84, 1, PP_ERR_FORMAT, "the size of a row is 128; 64 is needed"},
        {88, 256, PP_ERR_FORMAT, "the size of a row is 256; 128 is needed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct state *state = by_hand(shapes[0], N);
        memcpy(state->bytes + cases[i].at, &cases[i].word, 4);
        REFUSED(pp_kvcache_from_llamacpp(session, state->bytes, state->n, NULL, &cache, &refusal),
                cases[i].status, cases[i].words);
        free(state);
    }
    ck_assert_ptr_null(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(what_cannot_be_right_is_refused)
{
    pp_model *model = cache_model(0, 1);
    pp_session *session = run_session(model, *run_target(0), 1, 0, 0);
    pp_kvcache *cache = numbered_cache(session), *none = NULL;
    pp_llamacpp_params params;
    char memory[8];
    size_t bytes;
    float large[ROW] = {1e5F};
    pp_llamacpp_params_init(&params, sizeof params);
    ck_assert_int_eq(params.key_dtype, PP_DTYPE_F16);
    REFUSED(pp_kvcache_llamacpp_size(NULL, NULL, &bytes, &refusal), PP_ERR_ARG, "cache is NULL");
    REFUSED(pp_kvcache_llamacpp_size(cache, NULL, NULL, &refusal), PP_ERR_ARG, "bytes is NULL");
    REFUSED(pp_kvcache_to_llamacpp(cache, NULL, memory, sizeof memory, &refusal), PP_ERR_ARG,
            "the memory has 8 bytes; ");
    REFUSED(pp_kvcache_from_llamacpp(session, NULL, 0, NULL, &none, &refusal), PP_ERR_ARG,
            "memory is NULL");
    params.key_dtype = PP_DTYPE_BOOL;
    REFUSED(pp_kvcache_llamacpp_size(cache, &params, &bytes, &refusal), PP_ERR_ARG,
            "key_dtype is bool");
    params.key_dtype = PP_DTYPE_AUTO;
    params.v_trans = 2;
    REFUSED(pp_kvcache_llamacpp_size(cache, &params, &bytes, &refusal), PP_ERR_ARG, "v_trans is 2");
    params.v_trans = 0;
    params.n_streams = 257;
    REFUSED(pp_kvcache_llamacpp_size(cache, &params, &bytes, &refusal), PP_ERR_ARG,
            "n_streams is 257");
    params.n_streams = 1;
    params.order = 3;
    REFUSED(pp_kvcache_llamacpp_size(cache, &params, &bytes, &refusal), PP_ERR_ARG, "order is 3");
    OK(pp_kvcache_write(cache, 1, PP_KV_V, PP_KV_NHD, PP_DTYPE_F32, 2, 1, large, sizeof large,
                        perr));
    OK(pp_kvcache_llamacpp_size(cache, NULL, &bytes, perr));
    char *state = malloc(bytes);
    REFUSED(pp_kvcache_to_llamacpp(cache, NULL, state, bytes, &refusal), PP_ERR_UNSUPPORTED,
            "among the values of layer 1 is too large for f16");
    free(state);
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
    static const char *const words[] = {
        "has a sliding window of 20 tokens", "has a sliding window of 9 tokens",
        "has a sliding window of 8 tokens", "has a sliding window of 20 tokens"};
    for (int i = 1; i < CACHE_MODELS + 1; i++) {
        model = cache_model(i < CACHE_MODELS ? i : 6, 1);
        session = run_session(model, *run_target(0), 1, 0, 0);
        cache = cache_prefill(session, 4);
        REFUSED(pp_kvcache_llamacpp_size(cache, NULL, &bytes, &refusal), PP_ERR_UNSUPPORTED,
                words[i - 1]);
        pp_kvcache_destroy(cache);
        pp_session_destroy(session);
        pp_model_unref(model);
    }
}
END_TEST

/* Which architectures have pairs without being told: the state with the automatic order is that
 * with the named one. */
START_TEST(orders_follow_from_architectures)
{
    static const struct {
        const char *config;
        int32_t order;
    } cases[] = {
        {"{\"model_type\": \"llama\"", PP_LLAMACPP_ORDER_PAIRS},
        {"{\"model_type\": \"mistral\", \"sliding_window\": null", PP_LLAMACPP_ORDER_PAIRS},
        {"{\"model_type\": \"granite\"", PP_LLAMACPP_ORDER_PAIRS},
        {"{\"model_type\": \"smollm3\"", PP_LLAMACPP_ORDER_PAIRS},
        {"{\"model_type\": \"qwen2\"", PP_LLAMACPP_ORDER_HALVES},
        {"{\"model_type\": \"qwen3\"", PP_LLAMACPP_ORDER_HALVES},
        {"{\"model_type\": \"olmo2\"", PP_LLAMACPP_ORDER_HALVES},
        {"{\"model_type\": \"glm4\"", PP_LLAMACPP_ORDER_HALVES},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char config[600];
        snprintf(config, sizeof config,
                 "%s, \"num_hidden_layers\": 2, \"max_position_embeddings\": 64, "
                 "\"vocab_size\": 96, \"hidden_size\": 64, \"intermediate_size\": 64, "
                 "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 16, "
                 "\"dtype\": \"bfloat16\"}",
                 cases[i].config);
        pp_model *model = NULL;
        OK(pp_model_create_random(config, 1, NULL, &model, perr));
        pp_session *session = run_session(model, *run_target(0), 1, 0, 0);
        pp_kvcache *cache = cache_prefill(session, 20);
        pp_llamacpp_params params;
        size_t bytes;
        pp_llamacpp_params_init(&params, sizeof params);
        OK(pp_kvcache_llamacpp_size(cache, NULL, &bytes, perr));
        char *automatic = malloc(bytes), *named = malloc(bytes);
        OK(pp_kvcache_to_llamacpp(cache, NULL, automatic, bytes, perr));
        params.order = cases[i].order;
        OK(pp_kvcache_to_llamacpp(cache, &params, named, bytes, perr));
        ck_assert_msg(memcmp(automatic, named, bytes) == 0, "%s", cases[i].config);
        params.order = 3 - cases[i].order;
        OK(pp_kvcache_to_llamacpp(cache, &params, named, bytes, perr));
        ck_assert_msg(memcmp(automatic, named, bytes) != 0, "%s", cases[i].config);
        free(automatic);
        free(named);
        pp_kvcache_destroy(cache);
        pp_session_destroy(session);
        pp_model_unref(model);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("llama.cpp");
    TCase *tcase = tcase_create("llama.cpp");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, states_are_as_described);
    tcase_add_test(tcase, cut_and_changed_states_are_refused);
    tcase_add_test(tcase, what_cannot_be_right_is_refused);
    tcase_add_test(tcase, orders_follow_from_architectures);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
