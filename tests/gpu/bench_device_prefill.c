/*
 * bench_device_prefill.c: prefill and decoding of whole models through the public interface, on any
 * device. A batch is timed from its token ids on the host to the next token of each prompt there,
 * planning included.
 *
 *     bench_device_prefill KEY [option value]...
 *
 *     device cuda          what pp_session_params.device takes
 *     model llama1b        a known shape with random weights, or a checkpoint's folder
 *     layers 0             of a known shape: so many only; 0: all
 *     lengths FILE         prompt lengths, one a line, with random ids; or
 *     prompts FILE         ids of a prompt on each line
 *     batch 64             prompts of a batch
 *     repeats 5            of each method, in turns; the median counts
 *     methods packed,padded,ordered,logits
 *                          packed; padded to the longest of the batch; padded, prompts sorted by
 *                          length; packed, with logits copied out instead of tokens
 *     forward 0            tokens: one pass of so many, of prompts as long as given
 *     decode 0             steps of decoding the first batch
 *     logits FILE          writes the logits of every prompt, f32 [prompts, vocab]
 *
 * figures: KEY.METHOD.seconds (a batch), KEY.METHOD.tokens (a second, real ones),
 * KEY.forward.tflops, KEY.decode.tokens (a second), KEY.load.seconds
 */
#include "bench_prompts.h"
#include "figure.h"
#include "support/model_json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *key, *device, *model, *lengths, *prompts, *methods, *logits;
    int32_t layers, batch, repeats, forward, decode;
};

struct bench {
    struct options options;
    pp_model *model;
    pp_model_config config;
    pp_session *session;
    pp_packer *packer;
    struct prompts prompts; /* in batch order */
    struct prompts sorted;  /* views of the same, by length */
    pp_kvcache **caches;    /* [batch] */
    int32_t *next;          /* [batch] */
};

#define MAX_REPEATS 32

/* ---- methods: seconds of all batches, once ---- */

static double packed(struct bench *b, const pp_prompt *prompts, size_t n, bool want_logits)
{
    int64_t *lengths = bench_alloc(n * sizeof *lengths);
    pp_plan *plan;
    const float *logits;
    double began = bench_seconds();
    for (size_t i = 0; i < n; i++)
        lengths[i] = prompts[i].n_tokens;
    BENCH(pp_packer_plan(b->packer, lengths, n, &plan, err));
    if (want_logits)
        BENCH(pp_prefill(b->session, plan, prompts, n, b->caches, &logits, err));
    else
        BENCH(pp_prefill_sample(b->session, plan, prompts, n, NULL, b->caches, b->next, err));
    double seconds = bench_seconds() - began;
    bench_drop(b->caches, n);
    pp_plan_destroy(plan);
    free(lengths);
    return seconds;
}

static double padded(struct bench *b, const pp_prompt *prompts, size_t n)
{
    struct prompts rows = prompts_padded(prompts, n);
    double began = bench_seconds();
    BENCH(pp_prefill_sample(b->session, NULL, rows.prompts, n, NULL, b->caches, b->next, err));
    double seconds = bench_seconds() - began;
    bench_drop(b->caches, n);
    prompts_free(&rows);
    return seconds;
}

enum method { PACKED, PADDED, ORDERED, LOGITS, N_METHODS };
static const char *const METHOD_NAMES[] = {"packed", "padded", "ordered", "logits"};

static double run_method(struct bench *b, enum method method)
{
    const struct prompts *all = method == ORDERED ? &b->sorted : &b->prompts;
    double seconds = 0;
    for (size_t first = 0; first < all->n; first += (size_t)b->options.batch) {
        size_t left = all->n - first;
        size_t n = left < (size_t)b->options.batch ? left : (size_t)b->options.batch;
        const pp_prompt *batch = all->prompts + first;
        seconds += method == PADDED || method == ORDERED ? padded(b, batch, n)
                                                         : packed(b, batch, n, method == LOGITS);
    }
    return seconds;
}

static bool wants(const struct bench *b, enum method method)
{
    return strstr(b->options.methods, METHOD_NAMES[method]) != NULL;
}

static void report(const struct bench *b, const char *what, const char *unit, double value)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s.%s", b->options.key, what, unit);
    figure(key, value);
}

static void bench_methods(struct bench *b)
{
    double times[N_METHODS][MAX_REPEATS];
    size_t n_batches = (b->prompts.n + (size_t)b->options.batch - 1) / (size_t)b->options.batch;
    for (int r = -1; r < b->options.repeats; r++) /* the first warms up */
        for (enum method m = 0; m < N_METHODS; m++)
            if (wants(b, m)) {
                double seconds = run_method(b, m);
                if (r >= 0)
                    times[m][r] = seconds;
            }
    for (enum method m = 0; m < N_METHODS; m++) {
        if (!wants(b, m))
            continue;
        double seconds = bench_median(times[m], (size_t)b->options.repeats);
        double tokens = (double)b->prompts.n_tokens / seconds;
        printf("%-10s %-8s %9.2f ms a batch of %d, %9.0f tokens/s\n", b->options.key,
               METHOD_NAMES[m], seconds * 1e3 / (double)n_batches, b->options.batch, tokens);
        report(b, METHOD_NAMES[m], "seconds", seconds / (double)n_batches);
        report(b, METHOD_NAMES[m], "tokens", tokens);
    }
}

/* ---- one large pass ---- */

/* Operations that the pass must do: the last layer's output, MLP and head run for last rows only.
 */
static double forward_flops(const pp_model_config *c, const struct prompts *prompts)
{
    double rows = (double)prompts->n_tokens, last = (double)prompts->n, pairs = 0, keys = 0;
    double q_dim = (double)c->n_heads * c->head_dim, hidden = c->hidden_size;
    double qkv = hidden * (q_dim + 2.0 * c->n_kv_heads * c->head_dim);
    double rest = q_dim * hidden + 3 * hidden * c->intermediate_size;
    for (size_t i = 0; i < prompts->n; i++) {
        double n = (double)prompts->prompts[i].n_tokens;
        pairs += n * (n + 1) / 2;
        keys += n;
    }
    double layers = c->n_layers - 1;
    return 2 * rows * (layers * (qkv + rest) + qkv) + 2 * last * (rest + hidden * c->vocab_size) +
           4 * q_dim * (layers * pairs + keys);
}

static void bench_forward(struct bench *b)
{
    struct prompts prompts = prompts_of_total(&b->prompts, b->options.forward);
    pp_kvcache **caches = bench_alloc(prompts.n * sizeof(pp_kvcache *));
    int32_t *next = bench_alloc(prompts.n * sizeof *next);
    double times[MAX_REPEATS];
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = b->options.device;
    params.max_pass_tokens = b->options.forward;
    pp_session *session;
    BENCH(pp_session_create(b->model, &params, &session, err));
    for (int r = -1; r < b->options.repeats; r++) {
        double began = bench_seconds();
        BENCH(
            pp_prefill_sample(session, NULL, prompts.prompts, prompts.n, NULL, caches, next, err));
        if (r >= 0)
            times[r] = bench_seconds() - began;
        bench_drop(caches, prompts.n);
    }
    double seconds = bench_median(times, (size_t)b->options.repeats);
    double rate = forward_flops(&b->config, &prompts) / seconds;
    printf("%-10s %zu prompts of %lld tokens in one pass: %.2f ms, %.1f TFLOP/s\n", b->options.key,
           prompts.n, (long long)prompts.n_tokens, seconds * 1e3, rate * 1e-12);
    report(b, "forward", "tflops", rate * 1e-12);
    report(b, "forward", "tokens", (double)prompts.n_tokens / seconds);
    pp_session_destroy(session);
    prompts_free(&prompts);
    free(caches);
    free(next);
}

/* ---- decoding ---- */

static void decode(struct bench *b, size_t n)
{
    double times[MAX_REPEATS];
    char what[32];
    BENCH(
        pp_prefill_sample(b->session, NULL, b->prompts.prompts, n, NULL, b->caches, b->next, err));
    for (int r = -1; r < b->options.repeats; r++) {
        double began = bench_seconds();
        for (int step = 0; step < b->options.decode; step++)
            BENCH(pp_decode_sample(b->session, b->caches, b->next, n, NULL, b->next, err));
        if (r >= 0)
            times[r] = (bench_seconds() - began) / b->options.decode;
    }
    bench_drop(b->caches, n);
    double seconds = bench_median(times, (size_t)b->options.repeats);
    printf("%-10s decoding %zu: %.2f ms a step, %.0f tokens/s\n", b->options.key, n, seconds * 1e3,
           (double)n / seconds);
    snprintf(what, sizeof what, "decode%zu", n);
    report(b, what, "tokens", (double)n / seconds);
}

/* ---- the program ---- */

static void write_logits(struct bench *b)
{
    FILE *file = fopen(b->options.logits, "wb");
    if (!file)
        bench_fail("cannot write", b->options.logits);
    for (size_t first = 0; first < b->prompts.n; first += (size_t)b->options.batch) {
        size_t left = b->prompts.n - first;
        size_t n = left < (size_t)b->options.batch ? left : (size_t)b->options.batch;
        const float *logits;
        BENCH(pp_prefill(b->session, NULL, b->prompts.prompts + first, n, b->caches, &logits, err));
        if (fwrite(logits, sizeof(float) * (size_t)b->config.vocab_size, n, file) != n)
            bench_fail("cannot write to", b->options.logits);
        bench_drop(b->caches, n);
    }
    if (fclose(file) != 0)
        bench_fail("cannot write to", b->options.logits);
}

static struct options parse(int argc, char **argv)
{
    struct options o = {
        .device = "cuda", .model = "llama1b", .batch = 64, .repeats = 5, .methods = ""};
    const struct {
        const char *name;
        const char **text;
        int32_t *number;
    } known[] = {
        {"device", &o.device, NULL},   {"model", &o.model, NULL},     {"lengths", &o.lengths, NULL},
        {"prompts", &o.prompts, NULL}, {"methods", &o.methods, NULL}, {"logits", &o.logits, NULL},
        {"layers", NULL, &o.layers},   {"batch", NULL, &o.batch},     {"repeats", NULL, &o.repeats},
        {"forward", NULL, &o.forward}, {"decode", NULL, &o.decode}};
    if (argc < 2 || argc % 2 != 0)
        bench_fail("usage", "bench_device_prefill KEY [option value]...");
    o.key = argv[1];
    for (int i = 2; i < argc; i += 2) {
        size_t k = 0;
        while (k < sizeof known / sizeof *known && strcmp(known[k].name, argv[i]) != 0)
            k++;
        if (k == sizeof known / sizeof *known)
            bench_fail("unknown option", argv[i]);
        if (known[k].text)
            *known[k].text = argv[i + 1];
        else
            *known[k].number = atoi(argv[i + 1]);
    }
    if (o.batch < 1 || o.repeats < 1 || o.repeats > MAX_REPEATS || (!o.lengths && !o.prompts))
        bench_fail("usage", "batch, repeats (up to 32), and lengths or prompts");
    return o;
}

static void open_model(struct bench *b)
{
    pp_session_params params;
    pp_session_info info = {.struct_size = sizeof info};
    double began = bench_seconds();
    if (strchr(b->options.model, '/')) {
        BENCH(pp_model_open(b->options.model, NULL, &b->model, err));
    } else {
        struct model_shape shape = model_shape_of(b->options.model);
        if (b->options.layers > 0)
            shape.n_layers = b->options.layers;
        if (shape.max_position < b->options.forward)
            shape.max_position = b->options.forward;
        BENCH(model_random(&shape, 1, NULL, &b->model, err));
    }
    b->config.struct_size = sizeof b->config;
    BENCH(pp_model_get_config(b->model, &b->config, err));
    pp_session_params_init(&params, sizeof params);
    params.device = b->options.device;
    BENCH(pp_session_create(b->model, &params, &b->session, err));
    BENCH(pp_session_get_info(b->session, &info, err));
    BENCH(pp_packer_create(NULL, &b->packer, err));
    printf("# %s on %s %s: %d layers, %s, weights %lld MiB, ready in %.1f s\n", b->options.model,
           info.device, info.device_name, b->config.n_layers, pp_dtype_name(info.dtype),
           (long long)(info.weight_bytes >> 20), bench_seconds() - began);
    report(b, "load", "seconds", bench_seconds() - began);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct bench b = {.options = parse(argc, argv)};
    open_model(&b);
    b.prompts = b.options.prompts ? prompts_read(b.options.prompts)
                                  : prompts_random(b.options.lengths, b.config.vocab_size);
    b.sorted = prompts_sorted(&b.prompts);
    b.caches = bench_alloc((size_t)b.options.batch * sizeof(pp_kvcache *));
    b.next = bench_alloc((size_t)b.options.batch * sizeof *b.next);
    if (b.options.logits)
        write_logits(&b);
    bench_methods(&b);
    if (b.options.forward > 0)
        bench_forward(&b);
    if (b.options.decode > 0) {
        decode(&b, 1);
        decode(&b, b.prompts.n < (size_t)b.options.batch ? b.prompts.n : (size_t)b.options.batch);
    }
    pp_session_destroy(b.session);
    pp_packer_destroy(b.packer);
    pp_model_unref(b.model);
    free(b.sorted.prompts);
    prompts_free(&b.prompts);
    free(b.caches);
    free(b.next);
    return 0;
}
