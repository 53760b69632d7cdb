/*
 * mpi_score.c: log-probabilities of many prompts, on as many processes and machines as mpirun
 * starts. Rank 0 reads the prompts, packs them into bins and spreads the bins over the ranks, so
 * that all are done at about the same time; each rank scores its share; rank 0 writes the results
 * in the order of the prompts. What it writes is the same, byte for byte, for any number of ranks
 * on processors of one kind.
 *
 *     mpirun -n 4 mpi_score MODEL PROMPTS [--out FILE] [--device NAME] [--threads N] [--cost FILE]
 *
 * PROMPTS: a prompt a line, token ids with spaces between, or a JSON list of them, as
 * "prepack tokenize --ids-only" writes them.
 * FILE: a line each, "<tokens> TAB <sum> TAB <log-probability of the 2nd token> <of the 3rd> ...".
 * --device cuda: a GPU for each rank of a machine. --threads: of each rank; else the processors
 * that it may use, divided by the ranks of its machine. --cost: a cost model (prepack tune writes
 * them).
 *
 * An error on any rank is said once, and ends all of them.
 */
#include <mpi.h>
#include <prepack/prepack.h>

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY 4096 /* tokens of a bin, or of the longest prompt where that is more */

#define SEPARATORS " \t\r,[]"

struct job { /* what was asked for, and what stands in the way of it */
    const char *model, *prompts, *out, *device, *cost;
    int rank, n_ranks, local_rank, n_local_ranks;
    int n_threads;
    int failed;
    char message[600];
};

struct prompts { /* one behind the other */
    int64_t n, n_tokens;
    int64_t *lines;   /* [n] where each stands in the file, from 0 */
    int64_t *lengths; /* [n] */
    int32_t *tokens;  /* [n_tokens] */
};

/* How much of something each rank gets, as MPI's collective calls want it. */
struct portions {
    int *counts, *starts; /* [n_ranks], rank 0's; NULL on the others */
};

/* ---- errors ---- */

/* The first one counts. */
static void fail(struct job *job, const char *format, ...)
{
    if (job->failed)
        return;
    job->failed = 1;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(job->message, sizeof job->message, format, arguments);
    va_end(arguments);
}

static void *take(struct job *job, int64_t n, size_t bytes)
{
    void *memory =
        n < 0 || (uint64_t)n > SIZE_MAX / bytes - 1 ? NULL : calloc((size_t)n + 1, bytes);
    if (!memory)
        fail(job, "rank %d has no memory for %lld elements of %zu bytes", job->rank, (long long)n,
             bytes);
    return memory;
}

static void make_room(struct job *job, struct prompts *prompts, int64_t n, int64_t n_tokens)
{
    prompts->lines = take(job, n, sizeof *prompts->lines);
    prompts->lengths = take(job, n, sizeof *prompts->lengths);
    prompts->tokens = take(job, n_tokens, sizeof *prompts->tokens);
}

static void free_prompts(struct prompts *prompts)
{
    free(prompts->lines);
    free(prompts->lengths);
    free(prompts->tokens);
}

/* Nonzero when a rank failed; then rank 0 says why, and all ranks know. Every rank calls it at the
 * same places, so that none waits for one that is gone. */
static int any_failed(struct job *job)
{
    int first = job->failed ? job->rank : INT_MAX;
    MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first == INT_MAX)
        return 0;
    MPI_Bcast(job->message, sizeof job->message, MPI_CHAR, first, MPI_COMM_WORLD);
    if (job->rank == 0)
        fprintf(stderr, "mpi_score: %s\n", job->message);
    return 1;
}

/* ---- reading, on rank 0 ---- */

/* The whole file, NUL-ended. */
static char *read_file(struct job *job, const char *path, size_t *n_bytes)
{
    size_t room = 1 << 16;
    char *text = take(job, (int64_t)room, 1);
    FILE *file = text ? fopen(path, "rb") : NULL;
    *n_bytes = 0;
    if (text && !file)
        fail(job, "%s cannot be opened: %s", path, strerror(errno));
    while (file && !job->failed) {
        *n_bytes += fread(text + *n_bytes, 1, room - *n_bytes, file);
        if (*n_bytes < room)
            break;
        char *larger = realloc(text, (room *= 2) + 1);
        if (!larger)
            fail(job, "there is no memory for %s", path);
        else
            text = larger;
    }
    if (file && ferror(file))
        fail(job, "%s cannot be read: %s", path, strerror(errno));
    if (file)
        fclose(file);
    if (text)
        text[*n_bytes] = '\0';
    return text;
}

static void add_line(struct job *job, struct prompts *all, char *line, int64_t number)
{
    const int64_t before = all->n_tokens;
    for (char *at = line, *end;; at = end) {
        at += strspn(at, SEPARATORS);
        if (!*at)
            break;
        errno = 0;
        const long id = isdigit((unsigned char)*at) ? strtol(at, &end, 10) : -1;
        if (id < 0 || id > INT32_MAX || errno || (*end && !strchr(SEPARATORS, *end))) {
            fail(job, "%s, line %lld: \"%.20s\" is no token id", job->prompts,
                 (long long)number + 1, at);
            return;
        }
        all->tokens[all->n_tokens++] = (int32_t)id;
    }
    if (all->n_tokens == before)
        fail(job, "%s, line %lld has no token ids", job->prompts, (long long)number + 1);
    all->lines[all->n] = number;
    all->lengths[all->n++] = all->n_tokens - before;
}

static void read_prompts(struct job *job, struct prompts *all)
{
    size_t n_bytes;
    char *text = read_file(job, job->prompts, &n_bytes);
    if (!job->failed && strlen(text) < n_bytes)
        fail(job, "%s has a byte 0, which is no text", job->prompts);
    int64_t n_lines = 1;
    for (size_t i = 0; !job->failed && i < n_bytes; i++)
        n_lines += text[i] == '\n';
    make_room(job, all, n_lines, (int64_t)n_bytes / 2 + 1);
    for (char *line = text, *next; !job->failed && line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        add_line(job, all, line, all->n);
    }
    free(text);
}

/* ---- sharing out, on rank 0 ---- */

/* The worker of every bin, by the cost of the bins. The caller frees it and destroys *plan. */
static int32_t *partition(struct job *job, const struct prompts *all, pp_plan **plan)
{
    pp_error err = {.struct_size = sizeof err};
    pp_plan_info info = {.struct_size = sizeof info};
    pp_cost_model cost = {.struct_size = sizeof cost};
    pp_packer_params params;
    pp_packer *packer = NULL;
    pp_packer_params_init(&params, sizeof params);
    params.capacity = CAPACITY;
    params.oversize = PP_OVERSIZE_OWN_BIN;
    if (job->cost) {
        size_t n_bytes;
        char *text = read_file(job, job->cost, &n_bytes);
        if (!job->failed && pp_cost_from_json(text, n_bytes, &cost, &err) < 0)
            fail(job, "%s: %s", job->cost, err.message);
        free(text);
        params.cost = &cost;
    }
    int32_t *workers = NULL;
    if (!job->failed && (pp_packer_create(&params, &packer, &err) < 0 ||
                         pp_packer_plan(packer, all->lengths, all->n, plan, &err) < 0 ||
                         pp_plan_get_info(*plan, &info, &err) < 0))
        fail(job, "%s", err.message);
    if (!job->failed)
        workers = take(job, info.n_bins, sizeof *workers);
    if (workers && pp_plan_partition(*plan, job->n_ranks, workers, info.n_bins, NULL, &err) < 0)
        fail(job, "%s", err.message);
    pp_packer_destroy(packer);
    return workers;
}

/* The prompts of rank 0 first, then those of rank 1, ..., each rank's in the order of its bins; and
 * how many prompts and tokens each rank has. */
static void sort_by_worker(struct job *job, const struct prompts *all, const pp_plan *plan,
                           const int32_t *workers, struct prompts *sorted, struct portions *prompts,
                           struct portions *tokens)
{
    int64_t *from = take(job, all->n, sizeof *from), n = 0; /* take() gives one more */
    const int32_t *bin;
    make_room(job, sorted, all->n, all->n_tokens);
    for (int64_t i = 0; !job->failed && i < all->n; i++)
        from[i + 1] = from[i] + all->lengths[i];
    for (int r = 0; !job->failed && r < job->n_ranks; r++) {
        prompts->starts[r] = (int)sorted->n;
        tokens->starts[r] = (int)sorted->n_tokens;
        for (int64_t b = 0; pp_plan_get_bin(plan, b, &bin, &n, NULL, NULL) >= 0; b++)
            for (int64_t i = 0; workers[b] == r && i < n; i++) {
                const int64_t length = all->lengths[bin[i]];
                memcpy(sorted->tokens + sorted->n_tokens, all->tokens + from[bin[i]],
                       (size_t)length * sizeof *all->tokens);
                sorted->n_tokens += length;
                sorted->lines[sorted->n] = all->lines[bin[i]];
                sorted->lengths[sorted->n++] = length;
            }
        prompts->counts[r] = (int)sorted->n - prompts->starts[r];
        tokens->counts[r] = (int)sorted->n_tokens - tokens->starts[r];
    }
    free(from);
}

/* Rank 0: reads all, and sorts it by the ranks that shall have it. */
static void share_out(struct job *job, struct prompts *sorted, struct portions *prompts,
                      struct portions *tokens)
{
    struct prompts all = {0};
    pp_plan *plan = NULL;
    int32_t *workers = NULL;
    read_prompts(job, &all);
    if (all.n_tokens > INT_MAX)
        fail(job, "%s has %lld tokens; messages have room for %d", job->prompts,
             (long long)all.n_tokens, INT_MAX);
    if (!job->failed)
        workers = partition(job, &all, &plan);
    if (!job->failed)
        sort_by_worker(job, &all, plan, workers, sorted, prompts, tokens);
    free(workers);
    pp_plan_destroy(plan);
    free_prompts(&all);
}

/* ---- between ranks ---- */

/* Gives each rank its part of what rank 0 sorted. Nonzero when a rank failed. */
static int scatter(struct job *job, const struct prompts *sorted, const struct portions *prompts,
                   const struct portions *tokens, struct prompts *own)
{
    int n = 0, n_tokens = 0;
    MPI_Scatter(prompts->counts, 1, MPI_INT, &n, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Scatter(tokens->counts, 1, MPI_INT, &n_tokens, 1, MPI_INT, 0, MPI_COMM_WORLD);
    make_room(job, own, n, n_tokens);
    if (any_failed(job))
        return 1;
    own->n = n;
    own->n_tokens = n_tokens;
    MPI_Scatterv(sorted->lines, prompts->counts, prompts->starts, MPI_INT64_T, own->lines, n,
                 MPI_INT64_T, 0, MPI_COMM_WORLD);
    MPI_Scatterv(sorted->lengths, prompts->counts, prompts->starts, MPI_INT64_T, own->lengths, n,
                 MPI_INT64_T, 0, MPI_COMM_WORLD);
    MPI_Scatterv(sorted->tokens, tokens->counts, tokens->starts, MPI_INT32_T, own->tokens, n_tokens,
                 MPI_INT32_T, 0, MPI_COMM_WORLD);
    return 0;
}

/* ---- scoring, on every rank ---- */

static pp_session *open_session(struct job *job)
{
    pp_error err = {.struct_size = sizeof err};
    pp_device_info cpu = {.struct_size = sizeof cpu};
    pp_model *model = NULL;
    pp_session *session = NULL;
    pp_session_params params;
    char device[64];
    pp_session_params_init(&params, sizeof params);
    snprintf(device, sizeof device, strcmp(job->device, "cuda") == 0 ? "%s:%d" : "%s", job->device,
             job->local_rank);
    params.device = device;
    params.n_threads = job->n_threads;
    if (params.n_threads == 0 && pp_device_get(0, &cpu, NULL) >= 0)
        params.n_threads = cpu.n_units > job->n_local_ranks ? cpu.n_units / job->n_local_ranks : 1;
    if (pp_model_open(job->model, NULL, &model, &err) < 0 ||
        pp_session_create(model, &params, &session, &err) < 0)
        fail(job, "rank %d: %s", job->rank, err.message);
    pp_model_unref(model);
    return session;
}

/* logprobs: [n_tokens], one for each token in the place of that token; 0 for the first of a prompt.
 */
static void score(struct job *job, pp_session *session, const struct prompts *own, double *logprobs)
{
    pp_error err = {.struct_size = sizeof err};
    pp_item *items = take(job, own->n, sizeof *items);
    pp_score *scores = take(job, own->n_tokens, sizeof *scores);
    int64_t first = 0;
    for (int64_t i = 0; !job->failed && i < own->n; first += own->lengths[i++]) {
        items[i] = (pp_item){.struct_size = sizeof *items,
                             .tokens = own->tokens + first,
                             .n_tokens = own->lengths[i],
                             .scores = scores + first,
                             .n_scores = own->lengths[i] - 1,
                             .discard_cache = 1};
        for (int64_t t = 0; t + 1 < own->lengths[i]; t++)
            scores[first + t] = (pp_score){.token = t, .target = own->tokens[first + t + 1]};
    }
    if (!job->failed && own->n > 0 && pp_run(session, NULL, items, own->n, NULL, &err) < 0) {
        if (err.index >= 0 && err.index < own->n)
            fail(job, "%s, line %lld: %s", job->prompts, (long long)own->lines[err.index] + 1,
                 err.message);
        else
            fail(job, "rank %d: %s", job->rank, err.message);
    }
    first = 0;
    for (int64_t i = 0; !job->failed && i < own->n; first += own->lengths[i++])
        for (int64_t t = 0; t + 1 < own->lengths[i]; t++)
            logprobs[first + t + 1] = scores[first + t].logprob;
    free(scores);
    free(items);
}

/* ---- writing, on rank 0 ---- */

static void write_prompt(FILE *file, const double *logprobs, int64_t n)
{
    double sum = 0;
    for (int64_t t = 1; t < n; t++)
        sum += logprobs[t];
    fprintf(file, "%lld\t%.17g\t", (long long)n, sum);
    for (int64_t t = 1; t < n; t++)
        fprintf(file, t == 1 ? "%.17g" : " %.17g", logprobs[t]);
    fputc('\n', file);
}

/* logprobs: of the sorted prompts. */
static void write_all(struct job *job, const struct prompts *sorted, const double *logprobs)
{
    int64_t *starts = take(job, sorted->n, sizeof *starts), first = 0;
    int64_t *lengths = take(job, sorted->n, sizeof *lengths);
    for (int64_t i = 0; !job->failed && i < sorted->n; first += sorted->lengths[i++]) {
        starts[sorted->lines[i]] = first;
        lengths[sorted->lines[i]] = sorted->lengths[i];
    }
    FILE *file = job->out && !job->failed ? fopen(job->out, "w") : stdout;
    if (!file)
        fail(job, "%s cannot be written: %s", job->out, strerror(errno));
    for (int64_t line = 0; !job->failed && line < sorted->n; line++)
        write_prompt(file, logprobs + starts[line], lengths[line]);
    if (!job->failed && (fflush(file) != 0 || ferror(file)))
        fail(job, "%s cannot be written: %s", job->out ? job->out : "standard output",
             strerror(errno));
    if (file && file != stdout)
        fclose(file);
    free(lengths);
    free(starts);
}

/* ---- all of it ---- */

/* The steps between which the ranks ask one another whether they may go on. */
static int run(struct job *job)
{
    struct prompts sorted = {0}, own = {0};
    struct portions prompts = {0}, tokens = {0};
    double *logprobs = NULL, *all_logprobs = NULL;
    pp_session *session = NULL;
    if (job->rank == 0) {
        int *numbers = take(job, 4 * (int64_t)job->n_ranks, sizeof *numbers);
        if (numbers) {
            prompts = (struct portions){numbers, numbers + job->n_ranks};
            tokens = (struct portions){numbers + 2 * job->n_ranks, numbers + 3 * job->n_ranks};
            share_out(job, &sorted, &prompts, &tokens);
        }
    }
    int failed = any_failed(job) || scatter(job, &sorted, &prompts, &tokens, &own);
    if (!failed) {
        session = open_session(job);
        failed = any_failed(job);
    }
    if (!failed) {
        logprobs = take(job, own.n_tokens, sizeof *logprobs);
        if (job->rank == 0)
            all_logprobs = take(job, sorted.n_tokens, sizeof *all_logprobs);
        if (!job->failed)
            score(job, session, &own, logprobs);
        failed = any_failed(job);
    }
    if (!failed) {
        MPI_Gatherv(logprobs, (int)own.n_tokens, MPI_DOUBLE, all_logprobs, tokens.counts,
                    tokens.starts, MPI_DOUBLE, 0, MPI_COMM_WORLD);
        if (job->rank == 0)
            write_all(job, &sorted, all_logprobs);
        failed = any_failed(job);
    }
    pp_session_destroy(session);
    free(all_logprobs);
    free(logprobs);
    free(prompts.counts);
    free_prompts(&own);
    free_prompts(&sorted);
    return failed;
}

/* Every rank reads the same arguments, so all of them fail or none. */
static void read_arguments(struct job *job, int argc, char **argv)
{
    const char *plain[2] = {0};
    int n_plain = 0;
    for (int i = 1; i < argc; i++) {
        const char **value = strcmp(argv[i], "--out") == 0      ? &job->out
                             : strcmp(argv[i], "--device") == 0 ? &job->device
                             : strcmp(argv[i], "--cost") == 0   ? &job->cost
                                                                : NULL;
        const int is_threads = strcmp(argv[i], "--threads") == 0;
        if ((value || is_threads) && i + 1 == argc)
            fail(job, "%s needs a value", argv[i]);
        else if (value)
            *value = argv[++i];
        else if (is_threads && ((job->n_threads = atoi(argv[++i])) < 1 || job->n_threads > 256))
            fail(job, "--threads %s: not in 1 .. 256", argv[i]);
        else if (!is_threads && (argv[i][0] == '-' || n_plain == 2))
            fail(job,
                 "\"%s\" is no option; usage: mpi_score MODEL PROMPTS [--out FILE] "
                 "[--device NAME] [--threads N] [--cost FILE]",
                 argv[i]);
        else if (!is_threads)
            plain[n_plain++] = argv[i];
    }
    job->model = plain[0];
    job->prompts = plain[1];
    if (n_plain < 2)
        fail(job, "usage: mpi_score MODEL PROMPTS [--out FILE] [--device NAME] [--threads N] "
                  "[--cost FILE]");
}

int main(int argc, char **argv)
{
    struct job job = {.device = "cpu"};
    MPI_Comm local;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &job.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &job.n_ranks);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local);
    MPI_Comm_rank(local, &job.local_rank);
    MPI_Comm_size(local, &job.n_local_ranks);
    MPI_Comm_free(&local);
    read_arguments(&job, argc, argv);
    const int failed = any_failed(&job) || run(&job);
    MPI_Finalize();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
