/*
 * test_measure.c: pp_session_measure counts what a hand counts, on the CPU or on the device that
 * PREPACK_TEST_DEVICE names; refuses what it cannot do; leaves the session as it was.
 */
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HIDDEN = 64, INTERMEDIATE = 176, Q_DIM = 64, KV_DIM = 32, VOCAB = 512, QKV = 128 };
enum { PASS = 128 };

/* The preset "tiny", or that with a window of 32 tokens. */
static pp_model *new_model(const pp_allocator *allocator, bool has_window)
{
    static const char windowed[] =
        "{\"model_type\": \"mistral\", \"vocab_size\": 512, \"hidden_size\": 64, "
        "\"intermediate_size\": 176, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
        "\"num_key_value_heads\": 2, \"head_dim\": 16, \"max_position_embeddings\": 4096, "
        "\"dtype\": \"bfloat16\", \"sliding_window\": 32}";
    pp_model_params params;
    pp_model *model;
    pp_model_params_init(&params, sizeof params);
    params.allocator = allocator;
    OK(pp_model_create_random(has_window ? windowed : pp_model_preset("tiny"), 1, &params, &model,
                              perr));
    return model;
}

static pp_status open_session(pp_model *model, const pp_allocator *allocator, pp_session **session)
{
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    if (getenv("PREPACK_TEST_DEVICE"))
        params.device = getenv("PREPACK_TEST_DEVICE");
    params.dtype = PP_DTYPE_BF16;
    params.n_threads = 2;
    params.max_pass_tokens = PASS;
    params.allocator = allocator;
    return pp_session_create(model, &params, session, NULL);
}

static pp_session *new_session(pp_model *model)
{
    pp_session *session;
    ck_assert_int_eq(open_session(model, NULL, &session), PP_OK);
    return session;
}

static pp_session_info read_info(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, perr));
    return info;
}

static pp_measurement measure(pp_session *session, int32_t operation, int64_t n_rows)
{
    pp_measure_params params;
    pp_measurement result = {.struct_size = sizeof result};
    pp_measure_params_init(&params, sizeof params);
    params.operation = operation;
    params.n_rows = n_rows;
    params.n_runs = 3;
    OK(pp_session_measure(session, &params, &result, perr));
    ck_assert_int_eq(result.n_runs, 3);
    ck_assert_int_ge(result.n_repeats, 1);
    ck_assert(result.seconds > 1e-9 && result.seconds < 60);
    ck_assert(result.guarded_seconds == 0 && result.unguarded_seconds == 0);
    return result;
}

static pp_measurement measure_lengths(pp_session *session, int32_t operation,
                                      const int64_t *lengths, size_t n)
{
    pp_measure_params params;
    pp_measurement result = {.struct_size = sizeof result};
    pp_measure_params_init(&params, sizeof params);
    params.operation = operation;
    params.lengths = lengths;
    params.n_prompts = n;
    params.n_runs = 1;
    OK(pp_session_measure(session, &params, &result, perr));
    ck_assert(result.seconds > 0);
    return result;
}

START_TEST(products_and_rows_by_hand)
{
    pp_model *model = new_model(NULL, false);
    pp_session *session = new_session(model);
    const int64_t most = read_info(session).max_pass_tokens;
    const int64_t row_counts[] = {1, 7, 64, most};
    for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
        const int64_t r = row_counts[i];
        /* activations and weights of 2 bytes, f32 in the residual stream and in q, k, v, logits */
        const struct {
            int32_t operation;
            int64_t n, k, out_bytes;
        } products[] = {{PP_MEASURE_QKV, QKV, HIDDEN, 4 * QKV},
                        {PP_MEASURE_O, HIDDEN, Q_DIM, 2 * 4 * HIDDEN},
                        {PP_MEASURE_GATE_UP, 2 * INTERMEDIATE, HIDDEN, 2 * INTERMEDIATE},
                        {PP_MEASURE_DOWN, HIDDEN, INTERMEDIATE, 2 * 4 * HIDDEN},
                        {PP_MEASURE_LM_HEAD, VOCAB, HIDDEN, 4 * VOCAB}};
        for (size_t p = 0; p < sizeof products / sizeof *products; p++) {
            const int64_t n = products[p].n, k = products[p].k;
            const pp_measurement m = measure(session, products[p].operation, r);
            ck_assert(m.flop == (double)(2 * r * n * k));
            ck_assert(m.bytes == (double)(2 * (r * k + n * k) + r * products[p].out_bytes));
        }
        const struct {
            int32_t operation;
            int64_t bytes;
        } rows[] = {{PP_MEASURE_EMBED, r * HIDDEN * (2 + 4)},
                    {PP_MEASURE_RMSNORM, r * HIDDEN * (4 + 2) + 4 * HIDDEN},
                    {PP_MEASURE_ROPE_KV, r * (Q_DIM + 2 * KV_DIM) * (4 + 2)},
                    {PP_MEASURE_GATHER, r * HIDDEN * (4 + 4)}};
        for (size_t p = 0; p < sizeof rows / sizeof *rows; p++) {
            const pp_measurement m = measure(session, rows[p].operation, r);
            ck_assert(m.flop == 0);
            ck_assert_msg(m.bytes == (double)rows[p].bytes, "operation %d: %g bytes, not %lld",
                          rows[p].operation, m.bytes, (long long)rows[p].bytes);
        }
    }
    ck_assert(measure(session, PP_MEASURE_DOWN, 0).flop ==
              (double)(2 * most * HIDDEN * INTERMEDIATE));
    ck_assert(measure(session, PP_MEASURE_SAMPLE, 3).bytes == 3 * VOCAB * 4);
    ck_assert(measure(session, PP_MEASURE_SAMPLE, 0).bytes == 64 * VOCAB * 4);
    const pp_measurement copy = measure(session, PP_MEASURE_COPY, 0);
    ck_assert(copy.bytes >= 2 << 20 && copy.flop == 0);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

static pp_model *new_preset(const char *name)
{
    pp_model *model;
    OK(pp_model_create_random(pp_model_preset(name), 1, NULL, &model, perr));
    return model;
}

/* What scores labels is in the place of the LM head; without either there is nothing to measure. */
START_TEST(heads_by_hand)
{
    static const char *const classes[] = {"LlamaForSequenceClassification", "LlamaModel"};
    for (size_t i = 0; i < 2; i++) {
        char text[512];
        const char *preset = pp_model_preset("tiny"), *name = strstr(preset, "LlamaForCausalLM");
        snprintf(text, sizeof text, "{\"num_labels\":3,%.*s%s%s", (int)(name - preset - 1),
                 preset + 1, classes[i], name + strlen("LlamaForCausalLM"));
        pp_model *model;
        OK(pp_model_create_random(text, 1, NULL, &model, perr));
        pp_session *session = new_session(model);
        pp_measure_params params;
        pp_measurement result = {.struct_size = sizeof result};
        pp_measure_params_init(&params, sizeof params);
        params.operation = PP_MEASURE_LM_HEAD;
        params.n_rows = 5;
        params.n_runs = 1;
        pp_status status = pp_session_measure(session, &params, &result, NULL);
        ck_assert_int_eq(status, i == 0 ? PP_OK : PP_ERR_UNSUPPORTED);
        if (i == 0)
            ck_assert(result.flop == 2 * 5 * 3 * HIDDEN);
        pp_session_destroy(session);
        pp_model_unref(model);
    }
}
END_TEST

START_TEST(attention_by_hand)
{
    const int64_t lengths[] = {1, 20, 64, 33}, n_tokens = 118;
    const int64_t long_ones[] = {1000, 7, 130}, each_pairs = 1000 + 7 + 130;
    int64_t pairs = 0, windowed = 0;
    for (size_t i = 0; i < 4; i++)
        for (int64_t p = 1; p <= lengths[i]; p++) {
            pairs += p;
            windowed += p < 32 ? p : 32;
        }
    for (int32_t window = 0; window <= 32; window += 32) {
        pp_model *model = new_model(NULL, window > 0);
        pp_session *session = new_session(model);
        pp_measurement m = measure_lengths(session, PP_MEASURE_ATTENTION, lengths, 4);
        ck_assert(m.flop == (double)(4 * Q_DIM * (window ? windowed : pairs)));
        ck_assert(m.bytes == (double)(2 * n_tokens * 2 * (Q_DIM + KV_DIM)));
        m = measure_lengths(session, PP_MEASURE_DECODE, long_ones, 3);
        const int64_t keys = window ? 32 + 7 + 32 : each_pairs;
        ck_assert(m.flop == (double)(4 * Q_DIM * keys));
        ck_assert(m.bytes == (double)(2 * (2 * 3 * Q_DIM + 2 * keys * KV_DIM)));
        pp_session_destroy(session);
        pp_model_unref(model);
    }
}
END_TEST

/* Of layers that differ, those are measured that are like the first: here with a window, keys of
 * their own and the smaller heads. */
START_TEST(layers_like_the_first)
{
    const int64_t lengths[] = {20, 70};
    pp_model *model;
    OK(pp_model_create_random(
        "{\"model_type\": \"gemma4_text\", \"vocab_size\": 512, \"hidden_size\": 64, "
        "\"vocab_size_per_layer_input\": 512, \"hidden_size_per_layer_input\": 8, "
        "\"intermediate_size\": 176, \"num_hidden_layers\": 5, \"num_attention_heads\": 4, "
        "\"num_key_value_heads\": 2, \"head_dim\": 16, \"global_head_dim\": 32, "
        "\"sliding_window\": 32, \"num_kv_shared_layers\": 2, \"use_double_wide_mlp\": true, "
        "\"layer_types\": [\"sliding_attention\", \"full_attention\", \"sliding_attention\", "
        "\"sliding_attention\", \"full_attention\"], \"dtype\": \"bfloat16\"}",
        1, NULL, &model, perr));
    pp_session *session = new_session(model);
    ck_assert(measure(session, PP_MEASURE_QKV, 7).flop == 2 * 7 * QKV * HIDDEN);
    ck_assert(measure(session, PP_MEASURE_O, 7).flop == 2 * 7 * Q_DIM * HIDDEN);
    ck_assert(measure(session, PP_MEASURE_DOWN, 7).flop == 2 * 7 * INTERMEDIATE * HIDDEN);
    ck_assert(measure(session, PP_MEASURE_ROPE_KV, 7).bytes == 7 * (Q_DIM + 2 * KV_DIM) * 6);
    pp_measurement m = measure_lengths(session, PP_MEASURE_ATTENTION, lengths, 2);
    const int64_t pairs = 20 * 21 / 2 + 32 * 33 / 2 + (70 - 32) * 32;
    ck_assert(m.flop == (double)(4 * Q_DIM * pairs));
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* Warm, as in a pass, flushed: the same work; only flushed, one operation is a run. */
START_TEST(caches_by_choice)
{
    pp_model *model = new_model(NULL, false);
    pp_session *session = new_session(model);
    measure_lengths(session, PP_MEASURE_DECODE, (int64_t[]){66}, 1); /* tables grow once */
    const pp_session_info was = read_info(session);
    const int32_t operations[] = {PP_MEASURE_DOWN, PP_MEASURE_ATTENTION, PP_MEASURE_DECODE,
                                  PP_MEASURE_RMSNORM, PP_MEASURE_SAMPLE};
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        pp_measurement m[3];
        for (int32_t caches = 0; caches <= PP_MEASURE_CACHES_FLUSHED; caches++) {
            const pp_measure_params params = {.struct_size = sizeof params,
                                              .operation = operations[i],
                                              .n_rows = 5,
                                              .lengths = (int64_t[]){5, 66},
                                              .n_prompts = 2,
                                              .n_runs = 3,
                                              .caches = caches};
            m[caches].struct_size = sizeof *m;
            OK(pp_session_measure(session, &params, &m[caches], perr));
            ck_assert(m[caches].seconds > 1e-9 && m[caches].seconds < 60);
            ck_assert(m[caches].flop == m[0].flop && m[caches].bytes == m[0].bytes);
            ck_assert_int_eq(m[caches].n_runs, 3);
        }
        ck_assert_int_eq(m[PP_MEASURE_CACHES_FLUSHED].n_repeats, 1);
        if (!getenv("PREPACK_TEST_DEVICE")) /* an emulated operation may take a run's time */
            ck_assert_int_gt(m[PP_MEASURE_CACHES_WARM].n_repeats, 1);
    }
    const pp_session_info is = read_info(session);
    ck_assert_int_eq(is.memory_bytes - is.kv_pool_bytes, was.memory_bytes - was.kv_pool_bytes);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* Warm operands are one copy; what flushes caches is larger than they are. */
START_TEST(memory_for_the_caches)
{
    enum { MIB = 1 << 20 };
    pp_model *model = new_model(NULL, false);
    pp_session *session = new_session(model);
    const int64_t held = read_info(session).memory_bytes;
    pp_measure_params params = {
        .struct_size = sizeof params, .operation = PP_MEASURE_DOWN, .n_rows = 5, .n_runs = 1};
    pp_measurement m = {.struct_size = sizeof m};
    params.caches = PP_MEASURE_CACHES_WARM;
    OK(pp_session_measure(session, &params, &m, perr));
    ck_assert_int_lt(read_info(session).peak_memory_bytes - held, 8 * MIB);
    params.caches = PP_MEASURE_CACHES_FLUSHED;
    OK(pp_session_measure(session, &params, &m, perr));
    ck_assert_int_ge(read_info(session).peak_memory_bytes - held, 2 * 32 * MIB);
    ck_assert_int_le(read_info(session).peak_memory_bytes - held, (2 * 256 + 8) * MIB);
    ck_assert_int_eq(read_info(session).memory_bytes, held);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(the_guard_of_products)
{
    pp_model *model = new_model(NULL, false);
    pp_session *session = new_session(model);
    for (int32_t operation = PP_MEASURE_QKV; operation <= PP_MEASURE_RMSNORM; operation++) {
        pp_measure_params params = {.struct_size = sizeof params,
                                    .operation = operation,
                                    .n_rows = 65,
                                    .lengths = (int64_t[]){5, 6},
                                    .n_prompts = 2,
                                    .n_runs = 1,
                                    .unguarded = 1};
        pp_measurement m = {.struct_size = sizeof m};
        OK(pp_session_measure(session, &params, &m, perr));
        ck_assert(m.seconds > 0);
        if (operation > PP_MEASURE_LM_HEAD || !getenv("PREPACK_TEST_DEVICE"))
            ck_assert(m.guarded_seconds == 0 && m.unguarded_seconds == 0 && m.own_seconds == 0);
        else
            ck_assert(m.guarded_seconds > 0 && m.own_seconds > 0);
    }
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

START_TEST(the_session_stays_as_it_was)
{
    pp_model *model = new_model(NULL, false);
    pp_session *session = new_session(model);
    static int32_t ids[70];
    for (int i = 0; i < 70; i++)
        ids[i] = i * 7 % VOCAB;
    const pp_prompt prompts[] = {{ids, 70}, {ids + 9, 3}};
    pp_kvcache *caches[2], *again[2];
    const float *logits;
    OK(pp_prefill(session, NULL, prompts, 2, caches, &logits, perr));
    struct run_bits before[2], after[2], repeated[2];
    for (int i = 0; i < 2; i++)
        before[i] = run_collect(session, caches[i], logits + i * VOCAB);
    const pp_session_info was = read_info(session);
    for (int32_t operation = PP_MEASURE_QKV; operation <= PP_MEASURE_COPY; operation++)
        if (operation == PP_MEASURE_ATTENTION || operation == PP_MEASURE_DECODE)
            measure_lengths(session, operation, (int64_t[]){50, 60}, 2);
        else
            measure(session, operation, 9);
    OK(pp_session_synchronize(session, perr));
    const pp_session_info is = read_info(session);
    ck_assert_int_eq(is.tokens_computed, was.tokens_computed);
    ck_assert_int_eq(is.passes, was.passes);
    ck_assert_int_eq(is.kv_bytes, was.kv_bytes);
    ck_assert_int_eq(is.memory_bytes - is.kv_pool_bytes, was.memory_bytes - was.kv_pool_bytes);
    OK(pp_prefill(session, NULL, prompts, 2, again, &logits, perr));
    for (int i = 0; i < 2; i++) {
        after[i] = run_collect(session, caches[i], NULL);
        repeated[i] = run_collect(session, again[i], logits + i * VOCAB);
        ck_assert_ptr_null(run_bits_difference(&before[i], &after[i]));
        ck_assert_ptr_null(run_bits_difference(&before[i], &repeated[i]));
        run_bits_free(&before[i]);
        run_bits_free(&after[i]);
        run_bits_free(&repeated[i]);
        pp_kvcache_destroy(caches[i]);
        pp_kvcache_destroy(again[i]);
    }
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

#define REFUSED(change, status, words)                                                             \
    do {                                                                                           \
        pp_error err = {.struct_size = sizeof err};                                                \
        pp_measure_params params;                                                                  \
        pp_measure_params_init(&params, sizeof params);                                            \
        params.operation = PP_MEASURE_ATTENTION;                                                   \
        params.lengths = lengths;                                                                  \
        params.n_prompts = 2;                                                                      \
        change;                                                                                    \
        ck_assert_int_eq(pp_session_measure(session, &params, &result, &err), (status));           \
        ck_assert_msg(strstr(err.message, words), "\"%s\" lacks \"%s\"", err.message, words);      \
    } while (0)

START_TEST(bad_params_are_refused)
{
    pp_model *model = new_model(NULL, false);
    pp_session *session = new_session(model);
    const int64_t most = read_info(session).max_pass_tokens;
    int64_t lengths[] = {3, 4};
    pp_measurement result = {.struct_size = sizeof result, .seconds = -1};
    REFUSED(params.operation = 0, PP_ERR_ARG, "operation is 0");
    REFUSED(params.operation = -1, PP_ERR_ARG, "operation is -1");
    REFUSED(params.operation = PP_MEASURE_LINEAR_OUT + 1, PP_ERR_ARG, "operation");
    REFUSED(params.n_runs = -1, PP_ERR_ARG, "n_runs");
    REFUSED(params.n_runs = 100, PP_ERR_ARG, "n_runs");
    REFUSED(params.n_rows = -1, PP_ERR_ARG, "n_rows");
    REFUSED(params.n_rows = most + 1, PP_ERR_ARG, "n_rows");
    REFUSED(params.operation = PP_MEASURE_SAMPLE; params.n_rows = 65, PP_ERR_ARG, "0 to 64");
    REFUSED(params.lengths = NULL, PP_ERR_ARG, "lengths");
    REFUSED(params.n_prompts = 0, PP_ERR_ARG, "lengths");
    REFUSED(params.caches = -1, PP_ERR_ARG, "caches is -1");
    REFUSED(params.caches = 3, PP_ERR_ARG, "0 to 2");
    REFUSED(params.struct_size = 1, PP_ERR_STRUCT_SIZE, "struct_size");
    REFUSED(lengths[1] = 0, PP_ERR_ARG, "lengths[1] is 0");
    REFUSED(lengths[1] = 4097, PP_ERR_TOO_LONG, "1 to 4096");
    REFUSED(lengths[1] = most - 2, PP_ERR_ARG, "one pass");
    ck_assert(result.seconds == -1);
    ck_assert_int_eq(pp_session_measure(session, NULL, &result, NULL), PP_ERR_ARG);
    ck_assert_int_eq(pp_session_measure(NULL, NULL, &result, NULL), PP_ERR_ARG);
    ck_assert_int_eq(pp_session_synchronize(NULL, NULL), PP_ERR_ARG);
    pp_measure_params params = {
        .struct_size = sizeof params, .operation = PP_MEASURE_SAMPLE, .n_rows = 1};
    ck_assert_int_eq(pp_session_measure(session, &params, NULL, NULL), PP_ERR_ARG);
    measure(session, PP_MEASURE_SAMPLE, 1);
    pp_session_destroy(session);
    OK(pp_session_create(NULL, NULL, &session, perr)); /* without a model */
    ck_assert_int_eq(pp_session_measure(session, &params, &result, NULL), PP_ERR_ARG);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* Allocations are counted, and may fail or cancel the session; one thread. */
static int64_t n_calls, fail_at, cancel_at, n_held;
static pp_session *to_cancel;

static void *failing_allocate(void *user, size_t bytes, size_t alignment)
{
    (void)user;
    if (++n_calls == cancel_at)
        pp_session_cancel(to_cancel);
    if (n_calls == fail_at)
        return NULL;
    n_held++;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void failing_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    n_held--;
    free(memory);
}

/* One operation of an open session, with each allocation failing once. */
static void fail_each_allocation(pp_session *session, int32_t operation)
{
    const int64_t held = n_held;
    pp_measure_params params = {.struct_size = sizeof params,
                                .operation = operation,
                                .n_rows = 2,
                                .lengths = (int64_t[]){5, 6},
                                .n_prompts = 2,
                                .n_runs = 1,
                                .caches = operation % 3};
    pp_measurement result = {.struct_size = sizeof result};
    int n_refused = 0;
    for (fail_at = 1;; fail_at++) {
        n_calls = 0;
        const pp_status status = pp_session_measure(session, &params, &result, NULL);
        if (!getenv("PREPACK_TEST_DEVICE")) /* a device's tables grow as passes need them */
            ck_assert_int_eq(n_held, held);
        ck_assert(status == PP_OK || status == PP_ERR_NOMEM || status == PP_ERR_DEVICE_NOMEM);
        n_refused += status != PP_OK;
        if (n_calls < fail_at)
            break;
    }
    fail_at = 0;
    ck_assert_int_gt(n_refused, 0);
}

START_TEST(every_allocation_may_fail)
{
    const pp_allocator allocator = {
        .struct_size = sizeof allocator, .allocate = failing_allocate, .release = failing_release};
    static const struct {
        const char *preset;
        int32_t first, last;
    } all[] = {{"tiny", PP_MEASURE_QKV, PP_MEASURE_SAMPLE},
               {"tiny-moe", PP_MEASURE_EXPERTS, PP_MEASURE_ROUTE},
               {"tiny-linear", PP_MEASURE_LINEAR, PP_MEASURE_LINEAR_OUT}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pp_model *model = new_preset(all[i].preset);
        pp_session *session;
        ck_assert_int_eq(open_session(model, &allocator, &session), PP_OK);
        measure_lengths(session, PP_MEASURE_DECODE, (int64_t[]){2000}, 1); /* a slab of pages */
        for (int32_t operation = all[i].first; operation <= all[i].last; operation++)
            fail_each_allocation(session, operation);
        pp_session_destroy(session);
        ck_assert_int_eq(n_held, 0);
        pp_model_unref(model);
    }
}
END_TEST

START_TEST(a_cancel_ends_it)
{
    const pp_allocator allocator = {
        .struct_size = sizeof allocator, .allocate = failing_allocate, .release = failing_release};
    pp_model *model = new_model(NULL, false);
    pp_error error = {.struct_size = sizeof error};
    pp_measure_params params = {.struct_size = sizeof params,
                                .operation = PP_MEASURE_ATTENTION,
                                .lengths = (int64_t[]){5, 6},
                                .n_prompts = 2};
    pp_measurement result = {.struct_size = sizeof result, .seconds = -1};
    ck_assert_int_eq(open_session(model, &allocator, &to_cancel), PP_OK);
    n_calls = 0;
    cancel_at = 1;
    ck_assert_int_eq(pp_session_measure(to_cancel, &params, &result, &error), PP_ERR_CANCELLED);
    ck_assert_ptr_nonnull(strstr(error.message, "attention"));
    ck_assert(result.seconds == -1);
    cancel_at = 0;
    pp_session_cancel(to_cancel); /* meets no call */
    OK(pp_session_measure(to_cancel, &params, &result, perr));
    pp_session_destroy(to_cancel);
    ck_assert_int_eq(n_held, 0);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("measure");
    TCase *tcase = tcase_create("measure");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, products_and_rows_by_hand);
    tcase_add_test(tcase, heads_by_hand);
    tcase_add_test(tcase, attention_by_hand);
    tcase_add_test(tcase, layers_like_the_first);
    tcase_add_test(tcase, caches_by_choice);
    tcase_add_test(tcase, memory_for_the_caches);
    tcase_add_test(tcase, the_guard_of_products);
    tcase_add_test(tcase, the_session_stays_as_it_was);
    tcase_add_test(tcase, bad_params_are_refused);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, a_cancel_ends_it);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
