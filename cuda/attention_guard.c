/*
 * attention_guard.c: attention made for one architecture earns its place when a context is opened:
 * it attends to a few random prompts, and so do the kernels that every architecture has. Where the
 * two differ by more than rounding does, the context uses the latter throughout, and says so.
 */
#include "cuda/cuda_impl.h"
#include "dtype.h"

#include <math.h>

#define GROUP      3
#define N_KV_HEADS 2
#define N_HEADS    (GROUP * N_KV_HEADS)

/* Borders of tiles and blocks, a prefix, a step of decoding. */
static const struct {
    int32_t n_rows, n_keys;
} prompts[] = {{1, 1}, {17, 17}, {64, 64}, {65, 65}, {200, 200}, {20, 150}, {1, 129}};

#define N_PROMPTS ((int32_t)PPI_COUNT(prompts))
#define TOTAL_Q   368
#define TOTAL_K   626
#define MAX_ITEMS 64

struct trial {
    struct ppi_backend *backend;
    int32_t head_dim;
    float softcap; /* 0: none */
    size_t bytes;
    char *device; /* q, k, v, out, items */
    size_t k, v, out, items;
    uint16_t *host;     /* [TOTAL_Q, N_HEADS, head_dim], or more: what goes up, comes down */
    uint16_t *expected; /* the same */
};

static size_t q_elements(const struct trial *t)
{
    return (size_t)TOTAL_Q * N_HEADS * (size_t)t->head_dim;
}

static size_t k_elements(const struct trial *t)
{
    return (size_t)TOTAL_K * N_KV_HEADS * (size_t)t->head_dim;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static pp_status allocate(struct trial *t, pp_error *err)
{
    struct ppi_mem *mem = t->backend->params.mem;
    size_t q_bytes = q_elements(t) * 2, k_bytes = k_elements(t) * 2;
    size_t n = larger(q_elements(t), k_elements(t));
    t->k = q_bytes;
    t->v = t->k + k_bytes;
    t->out = t->v + k_bytes;
    t->items = t->out + q_bytes;
    t->bytes = t->items + 2 * MAX_ITEMS * sizeof(struct ppi_cuda_attention_item);
    t->device = ppi_cuda_alloc(t->backend, t->bytes);
    if (!t->device)
        return ppi_error(err, PP_ERR_DEVICE_NOMEM,
                         "no device memory for the self-test of attention (%zu bytes)", t->bytes);
    t->host = ppi_alloc(mem, n, sizeof *t->host);
    t->expected = ppi_alloc(mem, q_elements(t), sizeof *t->expected);
    if (!t->host || !t->expected)
        return ppi_error_nomem(err, "the self-test of attention", n * sizeof *t->host);
    return PP_OK;
}

/* n random values of mean 0 and deviation 1 to the device. */
static pp_status upload_random(struct trial *t, size_t offset, size_t n, uint64_t seed,
                               pp_error *err)
{
    bool bf16 = t->backend->act_type == PPI_CUDA_BF16;
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (int j = 0; j < 4; j++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            sum += (float)(seed >> 40) * 0x1p-24f - 0.5f;
        }
        sum *= 1.7320508f;
        t->host[i] = bf16 ? ppi_f32_to_bf16(sum) : ppi_f32_to_f16(sum);
    }
    return ppi_cuda_upload(t->backend, t->device + offset, t->host, n * 2, err);
}

/* Attention as a GPU of that compute capability runs it; out comes down to `result`. */
static pp_status attend(struct trial *t, int32_t capability, uint16_t *result, pp_error *err)
{
    struct ppi_backend *b = t->backend;
    const struct ppi_cuda_attention attention =
        ppi_cuda_choose_attention(capability, t->head_dim, t->softcap > 0);
    struct ppi_cuda_attention_item items[2 * MAX_ITEMS];
    struct ppi_cuda_span spans[N_PROMPTS];
    int64_t n_items, n_few;
    int32_t q_row = 0, k_row = 0;
    for (int32_t i = 0; i < N_PROMPTS; i++) {
        spans[i] = (struct ppi_cuda_span){q_row, prompts[i].n_rows, prompts[i].n_keys, k_row};
        q_row += prompts[i].n_rows;
        k_row += prompts[i].n_keys;
    }
    ppi_cuda_count_items(attention.tiles, spans, N_PROMPTS, GROUP, &n_items, &n_few);
    if (q_row != TOTAL_Q || k_row != TOTAL_K || n_items > MAX_ITEMS || n_few > MAX_ITEMS)
        return ppi_error(err, PP_ERR_INTERNAL, "the self-test of attention is out of its bounds");
    ppi_cuda_make_items(attention.tiles, spans, N_PROMPTS, GROUP, -1, 0, items, items + MAX_ITEMS);
    PP_TRY(ppi_cuda_upload(b, t->device + t->items, items, sizeof items, err));

    const struct ppi_cuda_attention_item *device_items = (void *)(t->device + t->items);
    int64_t head = 2 * (int64_t)t->head_dim;
    struct ppi_cuda_attention_args args = {.q = t->device,
                                           .out = t->device + t->out,
                                           .q_row_stride = head * N_HEADS,
                                           .q_head_stride = head,
                                           .out_row_stride = head * N_HEADS,
                                           .out_head_stride = head,
                                           .kv = {.k = (uint64_t)(uintptr_t)(t->device + t->k),
                                                  .v = (uint64_t)(uintptr_t)(t->device + t->v),
                                                  .k_token_stride = head * N_KV_HEADS,
                                                  .v_token_stride = head * N_KV_HEADS,
                                                  .k_head_stride = head,
                                                  .v_head_stride = head,
                                                  .page_tokens = 1},
                                           .n_heads = N_HEADS,
                                           .n_kv_heads = N_KV_HEADS,
                                           .head_dim = t->head_dim,
                                           .window_left = -1,
                                           .window_right = 0};
    ppi_cuda_scale_scores(&args, (float)(1 / sqrt((double)t->head_dim)), t->softcap);
    void *const whole[] = {result};
    size_t bytes = q_elements(t) * 2;
    PP_TRY(ppi_cuda_check(cudaMemsetAsync(t->device + t->out, 0xFF, bytes, b->stream),
                          "cudaMemsetAsync", err));
    PP_TRY(ppi_cuda_attend(b, b->stream, capability, b->act, &args, device_items, (int32_t)n_items,
                           device_items + MAX_ITEMS, (int32_t)n_few, err));
    return ppi_cuda_download_rows(b, whole, t->device + t->out, 1, bytes, err);
}

/* Both are rounded once at the end, and their weights were; sums of weights are 1. */
static bool agree(const struct trial *t)
{
    bool bf16 = t->backend->act_type == PPI_CUDA_BF16;
    double unit = bf16 ? 0x1p-8 : 0x1p-11;
    for (size_t i = 0; i < q_elements(t); i++) {
        double x = bf16 ? ppi_bf16_to_f32(t->host[i]) : ppi_f16_to_f32(t->host[i]);
        double y = bf16 ? ppi_bf16_to_f32(t->expected[i]) : ppi_f16_to_f32(t->expected[i]);
        if (!(fabs(x - y) <= 4 * unit * (1 + fabs(y))))
            return false;
    }
    return true;
}

static pp_status try_kernels(struct ppi_backend *b, int32_t head_dim, float softcap, bool *passed,
                             pp_error *err)
{
    struct trial t = {.backend = b, .head_dim = head_dim, .softcap = softcap};
    *passed = false;
    pp_status status = allocate(&t, err);
    if (status >= 0)
        status = upload_random(&t, 0, q_elements(&t), 1, err);
    if (status >= 0)
        status = upload_random(&t, t.k, k_elements(&t), 2, err);
    if (status >= 0)
        status = upload_random(&t, t.v, k_elements(&t), 3, err);
    if (status >= 0)
        status = attend(&t, PPI_CUDA_ANY_CAPABILITY, t.expected, err);
    if (status >= 0)
        status = attend(&t, b->compute_capability, t.host, err);
    if (status >= 0)
        *passed = agree(&t);
    ppi_cuda_release(b, t.device, t.bytes);
    ppi_free(b->params.mem, t.host);
    ppi_free(b->params.mem, t.expected);
    return status;
}

pp_status ppi_cuda_guard_attention(struct ppi_backend *b, pp_error *err)
{
    /* Callers' tensors may have any head_dim; scores are capped for the model's alone. */
    struct {
        int32_t head_dim;
        float softcap; /* that bends scores: their deviation is 1 */
    } trials[2 + PPI_MAX_PAGE_CLASSES] = {{64, 0}, {128, 0}};
    int32_t n = 2;
    for (int32_t c = 0; c < b->params.n_page_classes; c++)
        if (ppi_cuda_first_like(b, c) == c) {
            trials[n].head_dim = b->params.classes[c].head_dim;
            trials[n++].softcap = 2;
        }
    for (int32_t i = 0; i < n; i++) {
        bool passed = true, softcap = trials[i].softcap > 0;
        int32_t head_dim = trials[i].head_dim;
        struct ppi_cuda_attention own =
            ppi_cuda_choose_attention(b->attention_capability, head_dim, softcap);
        struct ppi_cuda_attention any =
            ppi_cuda_choose_attention(PPI_CUDA_ANY_CAPABILITY, head_dim, softcap);
        if (own.kernel != any.kernel)
            PP_TRY(try_kernels(b, head_dim, trials[i].softcap, &passed, err));
        if (passed)
            continue;
        ppi_log(&b->params.log, PP_LOG_WARNING,
                "attention by %s failed its self-test on %s (head_dim %d%s); %s computes it",
                own.name, b->device_name, head_dim, softcap ? ", softcap" : "", any.name);
        b->attention_capability = PPI_CUDA_ANY_CAPABILITY;
        return PP_OK;
    }
    return PP_OK;
}
