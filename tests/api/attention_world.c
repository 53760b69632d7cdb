/*
 * attention_world.c: lays prompts out in device memory, makes a plan, runs it and collects what the
 * run wrote.
 */
#include "attention_world.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UNTOUCHED 0xA5 /* bytes of out and lse before a run */

/* Exact: x has at most seven significant bits. */
static void encode(int32_t dtype, char *dst, double x)
{
    float value = (float)x;
    uint32_t bits;
    uint16_t half;
    memcpy(&bits, &value, sizeof bits);
    if (dtype == PP_DTYPE_F32) {
        memcpy(dst, &value, sizeof value);
        return;
    }
    half = (uint16_t)(bits >> 16);
    if (dtype == PP_DTYPE_F16) {
        int exponent;
        double fraction = frexp(fabs(x), &exponent); /* x = fraction 2^exponent, fraction >= 1/2 */
        uint16_t sign = x < 0 ? 0x8000 : 0;
        half = isnan(x) ? 0x7e00 : sign;
        if (x != 0 && !isnan(x))
            half =
                (uint16_t)(sign | ((exponent + 14) << 10) | (uint16_t)((fraction * 2 - 1) * 1024));
    }
    memcpy(dst, &half, sizeof half);
}

struct world world_of(int32_t dtype)
{
    return (struct world){
        .dtype = dtype, .n_heads = 4, .n_kv_heads = 2, .head_dim = 32, .window_left = -1};
}

void world_add(struct world *world, uint64_t who, int32_t n_q, int32_t n_k)
{
    ck_assert_int_lt(world->n_prompts, MAX_PROMPTS);
    world->prompts[world->n_prompts++] = (struct prompt){who, n_q, n_k};
}

/* Where everything is, in elements. */
struct placing {
    int32_t cu_q[MAX_PROMPTS + 1], cu_k[MAX_PROMPTS + 1], n_q[MAX_PROMPTS], n_k[MAX_PROMPTS];
    int32_t table_stride;
    int32_t *table; /* [n_prompts, table_stride] */
    int64_t n_pages;
    int64_t q_size, k_size, out_size; /* elements of buffers; FUSED: k and v lie in q's */
    int64_t q_row, q_head, out_row, out_head, page, k_row, k_head, lse_head;
    int64_t k_first, v_first; /* FUSED: in q's buffer */
};

/* Pages in an order that mixes prompts up. */
static void place_pages(const struct world *world, struct placing *p)
{
    for (int32_t i = 0; i < world->n_prompts; i++) {
        int32_t n = (p->n_k[i] + world->page_size - 1) / world->page_size;
        p->table_stride = n > p->table_stride ? n : p->table_stride;
        p->n_pages += n;
    }
    p->table_stride += world->layout; /* exact, and longer than it needs to be */
    size_t entries = (size_t)(world->n_prompts * p->table_stride);
    p->table = malloc(entries * sizeof *p->table);
    for (size_t i = 0; i < entries; i++)
        p->table[i] = INT32_MAX; /* an entry that is not to be read */
    int32_t *order = malloc((size_t)(p->n_pages + 1) * sizeof *order), next = 0;
    struct rng rng = {(uint64_t)p->n_pages};
    for (int32_t i = 0; i < p->n_pages; i++) {
        int32_t j = (int32_t)rng_between(&rng, 0, i);
        order[i] = order[j];
        order[j] = i;
    }
    for (int32_t i = 0; i < world->n_prompts; i++)
        for (int32_t t = 0; t < p->n_k[i]; t += world->page_size)
            p->table[i * p->table_stride + t / world->page_size] = order[next++];
    free(order);
}

static struct placing place(const struct world *world)
{
    struct placing p = {0};
    int64_t dim = world->head_dim, heads = world->n_heads, kv_heads = world->n_kv_heads;
    for (int32_t i = 0; i < world->n_prompts; i++) {
        p.n_q[i] = world->prompts[i].n_q;
        p.n_k[i] = world->prompts[i].n_k;
        p.cu_q[i + 1] = p.cu_q[i] + p.n_q[i] + world->gap;
        p.cu_k[i + 1] = p.cu_k[i] + p.n_k[i] + world->gap;
    }
    int64_t total_q = p.cu_q[world->n_prompts], total_k = p.cu_k[world->n_prompts];
    if (world->page_size > 0) {
        place_pages(world, &p);
        total_k = p.n_pages * world->page_size;
    }
    bool head_major = world->layout == LAYOUT_HEAD_MAJOR;
    int64_t k_rows = world->page_size > 0 ? world->page_size : total_k;
    p.q_row = p.out_row = head_major ? dim : heads * dim;
    p.q_head = p.out_head = head_major ? total_q * dim : dim;
    p.k_row = head_major ? dim : kv_heads * dim;
    p.k_head = head_major ? k_rows * dim : dim;
    p.page = world->page_size * kv_heads * dim;
    p.lse_head = head_major ? total_q + 3 : total_q;
    if (world->layout == LAYOUT_FUSED) {
        ck_assert_int_eq(world->page_size, 0);
        ck_assert_int_eq(total_q, total_k);
        p.q_row = p.k_row = (heads + 2 * kv_heads) * dim;
        p.k_first = heads * dim;
        p.v_first = (heads + kv_heads) * dim;
        p.out_row = (heads + 1) * dim;
    }
    p.q_size = total_q * (world->layout == LAYOUT_FUSED ? p.q_row : heads * dim);
    p.out_size = total_q * (world->layout == LAYOUT_FUSED ? p.out_row : heads * dim);
    p.k_size = total_k * kv_heads * dim;
    return p;
}

static int64_t k_at(const struct world *world, const struct placing *p, int32_t i, int32_t token,
                    int32_t head)
{
    int64_t row = p->cu_k[i] + token, page = 0;
    if (world->page_size > 0) {
        page = p->table[i * p->table_stride + token / world->page_size];
        row = token % world->page_size;
    }
    return page * p->page + row * p->k_row + head * p->k_head;
}

/* Device buffer of n elements with the values of `which`; what is no prompt's is NaN. */
static void fill(const struct world *world, const struct placing *p, char which, char *host)
{
    size_t size = pp_dtype_size(world->dtype);
    int32_t n_heads = which == 'q' ? world->n_heads : world->n_kv_heads;
    for (int32_t i = 0; i < world->n_prompts; i++) {
        int32_t n = which == 'q' ? p->n_q[i] : p->n_k[i];
        for (int32_t t = 0; t < n; t++)
            for (int32_t h = 0; h < n_heads; h++) {
                int64_t at = which == 'q' ? (p->cu_q[i] + t) * p->q_row + h * p->q_head
                                          : k_at(world, p, i, t, h);
                if (world->layout == LAYOUT_FUSED)
                    at += which == 'k' ? p->k_first : which == 'v' ? p->v_first : 0;
                for (int32_t d = 0; d < world->head_dim; d++)
                    encode(world->dtype, host + (size_t)(at + d) * size,
                           world_value(world->prompts[i].who, which,
                                       which == 'q' ? t + world->first_row : t, h, d));
            }
    }
}

static void *put_filled(const struct world *world, const struct placing *p, const char *which,
                        int64_t n)
{
    size_t bytes = (size_t)n * pp_dtype_size(world->dtype);
    char *host = malloc(bytes + 1);
    memset(host, 0xff, bytes); /* NaN in every dtype */
    for (; *which; which++)
        fill(world, p, *which, host);
    void *device = device_take(bytes);
    device_put(device, host, bytes);
    free(host);
    return device;
}

static void *put_bytes(int byte, size_t bytes)
{
    char *host = malloc(bytes + 1);
    memset(host, byte, bytes);
    void *device = device_take(bytes);
    device_put(device, host, bytes);
    free(host);
    return device;
}

/* ---- a run ---- */

static pp_attention_plan *make_plan(const struct world *world, const struct placing *p,
                                    pp_session *session, void **workspace)
{
    pp_attention_plan_params params;
    pp_attention_plan *plan = NULL;
    pp_attention_plan_info info = {.struct_size = sizeof info};
    pp_attention_plan_params_init(&params, sizeof params);
    params.dtype = world->dtype;
    params.n_heads = world->n_heads;
    params.n_kv_heads = world->n_kv_heads;
    params.head_dim = world->head_dim;
    params.window_left = world->window_left;
    params.window_right = world->window_right;
    params.n_prompts = world->n_prompts;
    params.cu_seqlens_q = p->cu_q;
    params.cu_seqlens_k = world->page_size > 0 && world->gap > 0 ? NULL : p->cu_k;
    params.seqlens_q = world->gap > 0 ? p->n_q : NULL;
    params.seqlens_k = world->gap > 0 ? p->n_k : NULL;
    params.page_size = world->page_size;
    params.block_table_stride = p->table_stride;
    OK(pp_attention_plan_create(session, &params, &plan, &err));
    OK(pp_attention_plan_get_info(plan, &info, &err));
    ck_assert_int_eq(info.total_q, p->cu_q[world->n_prompts]);
    *workspace = device_take(info.workspace_bytes);
    OK(pp_attention_plan_upload(plan, *workspace, info.workspace_bytes, NULL, &err));
    return plan;
}

/* Takes a prompt's rows out of a buffer; what is taken becomes UNTOUCHED there. */
static void collect(const struct world *world, const struct placing *p, char *out, float *lse,
                    struct result *result)
{
    size_t head_bytes = (size_t)world->head_dim * pp_dtype_size(world->dtype);
    char *to = result->out;
    float *lse_to = result->lse;
    for (int32_t i = 0; i < world->n_prompts; i++)
        for (int32_t t = 0; t < p->n_q[i]; t++)
            for (int32_t h = 0; h < world->n_heads; h++, to += head_bytes, lse_to++) {
                int64_t row = p->cu_q[i] + t;
                char *from = out + (size_t)(row * p->out_row + h * p->out_head) *
                                       pp_dtype_size(world->dtype);
                memcpy(to, from, head_bytes);
                memset(from, UNTOUCHED, head_bytes);
                memcpy(lse_to, lse + h * p->lse_head + row, sizeof *lse);
                memset(lse + h * p->lse_head + row, UNTOUCHED, sizeof *lse);
            }
}

static void all_untouched(const void *buffer, size_t bytes, const char *what)
{
    for (size_t i = 0; i < bytes; i++)
        EXPECT(((const unsigned char *)buffer)[i] == UNTOUCHED,
               "byte %zu of %s, no prompt's, was written", i, what);
}

struct result world_run(const struct world *world, pp_session *session)
{
    struct placing p = place(world);
    size_t size = pp_dtype_size(world->dtype), out_bytes = (size_t)p.out_size * size;
    size_t lse_bytes = (size_t)(world->n_heads * p.lse_head) * sizeof(float);
    size_t table_bytes = (size_t)(world->n_prompts * p.table_stride) * sizeof(int32_t);
    bool fused = world->layout == LAYOUT_FUSED, packed = world->layout == LAYOUT_PACKED;
    char *q = put_filled(world, &p, fused ? "qkv" : "q", p.q_size);
    char *k = fused ? q + (size_t)p.k_first * size : put_filled(world, &p, "k", p.k_size);
    char *v = fused ? q + (size_t)p.v_first * size : put_filled(world, &p, "v", p.k_size);
    char *out = put_bytes(UNTOUCHED, out_bytes);
    float *lse = put_bytes(UNTOUCHED, lse_bytes);
    int32_t *table = p.table ? device_take(table_bytes) : NULL;
    if (table)
        device_put(table, p.table, table_bytes);

    void *workspace;
    pp_attention_plan *plan = make_plan(world, &p, session, &workspace);
    pp_attention_params params;
    pp_attention_params_init(&params, sizeof params);
    params.softmax_scale = world->scale;
    params.q = q;
    params.k = k;
    params.v = v;
    params.out = out;
    params.lse = lse;
    params.block_table = table;
    if (!packed) {
        params.q_row_stride = p.q_row, params.q_head_stride = p.q_head;
        params.k_row_stride = p.k_row, params.k_head_stride = p.k_head;
        params.v_row_stride = p.k_row, params.v_head_stride = p.k_head;
        params.out_row_stride = p.out_row, params.out_head_stride = p.out_head;
        params.k_page_stride = params.v_page_stride = p.page;
        params.lse_head_stride = p.lse_head;
    }
    void *other_out = put_bytes(UNTOUCHED, out_bytes);
    OK(pp_attention_varlen(session, plan, &params, &err));
    params.out = other_out; /* the next layer, which wants no lse */
    params.lse = NULL;
    OK(pp_attention_varlen(session, plan, &params, &err));

    size_t n_rows = 0;
    for (int32_t i = 0; i < world->n_prompts; i++)
        n_rows += (size_t)(p.n_q[i] * world->n_heads);
    struct result result = {.out_bytes = n_rows * (size_t)world->head_dim * size,
                            .lse_bytes = n_rows * sizeof(float)};
    result.out = malloc(result.out_bytes + 1);
    result.lse = malloc(result.lse_bytes + 1);
    char *host_out = malloc(out_bytes + 1), *host_other = malloc(out_bytes + 1);
    float *host_lse = malloc(lse_bytes + 1);
    device_get(host_out, out, out_bytes);
    device_get(host_other, other_out, out_bytes);
    device_get(host_lse, lse, lse_bytes);
    ck_assert_msg(memcmp(host_out, host_other, out_bytes) == 0, "two runs gave different bits");
    collect(world, &p, host_out, host_lse, &result);
    all_untouched(host_out, out_bytes, "out");
    all_untouched(host_lse, lse_bytes, "lse");

    pp_attention_plan_destroy(plan);
    free(host_out), free(host_other), free(host_lse), free(p.table);
    device_give(q), device_give(out), device_give(other_out), device_give(lse);
    device_give(workspace), device_give(table);
    if (!fused)
        device_give(k), device_give(v);
    return result;
}

void result_free(struct result *result)
{
    free(result->out);
    free(result->lse);
}
