/*
 * attention_run.c: one problem on the device, in any arrangement. Prompts lie in random order with
 * NaN between them, keys and values with different strides, pages at random places.
 */
#include "attention_case.h"
#include "cuda/attention_choice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOG2_E       1.44269504088896340736
#define GAP_ELEMENTS 8 /* behind every row of q and out: 16 bytes that stay as they are */

/* Where the prompts' rows or pages are. */
struct placed {
    int32_t n, total;
    int32_t *first; /* [n] */
};

/* counts[i] places for i, in random order with gaps. */
static struct placed place(struct rng *rng, int32_t n, const int32_t *counts)
{
    struct placed placed = {n, 0, device_host((size_t)n * sizeof(int32_t))};
    int32_t *order = device_host((size_t)n * sizeof *order);
    for (int32_t i = 0; i < n; i++) {
        int32_t j = (int32_t)rng_between(rng, 0, i);
        order[i] = order[j];
        order[j] = i;
    }
    for (int32_t i = 0; i < n; i++) {
        placed.total += (int32_t)rng_between(rng, 0, 2);
        placed.first[order[i]] = placed.total;
        placed.total += counts[order[i]];
    }
    placed.total += 1;
    free(order);
    return placed;
}

/* Keys and values of all prompts on the device. */
struct store {
    struct ppi_cuda_kv kv;
    int32_t *first; /* [n_prompts] entries in kv */
    void *k, *v, *table;
};

/* x [n_keys, n_kv_heads, head_dim] of a prompt to an image of device memory, key by key. */
static void write_keys(const struct attention_case *a, const struct prompt *prompt,
                       const uint16_t *x, char *image, const int64_t *offset, int64_t head_stride)
{
    size_t head_bytes = (size_t)a->head_dim * 2;
    for (int32_t j = 0; j < prompt->n_keys; j++)
        for (int32_t h = 0; h < a->n_kv_heads; h++)
            memcpy(image + offset[j] + h * head_stride,
                   x + (size_t)(j * a->n_kv_heads + h) * (size_t)a->head_dim, head_bytes);
}

static struct store make_store(struct rng *rng, const struct attention_case *a,
                               const struct arrangement *how)
{
    int32_t page_tokens = how->mode == KV_ROWS ? 1 : how->page_tokens, most_keys = 0;
    int32_t *counts = device_host((size_t)a->n_prompts * sizeof *counts);
    for (int32_t i = 0; i < a->n_prompts; i++) {
        int32_t n_keys = a->prompts[i].n_keys;
        counts[i] = (n_keys + page_tokens - 1) / page_tokens;
        most_keys = n_keys > most_keys ? n_keys : most_keys;
    }
    struct placed entries = place(rng, a->n_prompts, counts);
    /* Entry e is page numbers[e]; rows are pages of one token in order. */
    int32_t *numbers = device_host((size_t)entries.total * sizeof *numbers);
    for (int32_t i = 0; i < entries.total; i++) {
        int32_t j = how->mode == KV_ROWS ? i : (int32_t)rng_between(rng, 0, i);
        numbers[i] = numbers[j];
        numbers[j] = i;
    }
    /* Keys: [page, token, head]; values: [page, head, token], and for rows [head, token]. */
    int64_t head_bytes = 2 * a->head_dim, token_bytes = a->n_kv_heads * head_bytes + 16;
    bool is_rows = how->mode == KV_ROWS;
    int32_t v_tokens = is_rows ? entries.total : page_tokens;
    int64_t k_page = page_tokens * token_bytes, v_page = a->n_kv_heads * v_tokens * head_bytes;
    struct store store = {
        .kv = {.k_token_stride = token_bytes,
               .k_head_stride = head_bytes,
               .v_token_stride = head_bytes,
               .v_head_stride = v_tokens * head_bytes,
               .k_page_stride = k_page,
               .v_page_stride = v_page,
               .page_tokens = page_tokens},
        .first = entries.first,
    };
    size_t k_bytes = (size_t)(entries.total * k_page);
    size_t v_bytes = (size_t)(is_rows ? v_page : entries.total * v_page);
    char *k = device_host(k_bytes), *v = device_host(v_bytes);
    memset(k, 0xff, k_bytes);
    memset(v, 0xff, v_bytes);
    int64_t *at = device_host((size_t)(most_keys + 1) * sizeof *at);
    for (int32_t i = 0; i < a->n_prompts; i++) {
        const struct prompt *prompt = &a->prompts[i];
        const int32_t *pages = numbers + entries.first[i];
        for (int32_t j = 0; j < prompt->n_keys; j++)
            at[j] = pages[j / page_tokens] * k_page + j % page_tokens * token_bytes;
        write_keys(a, prompt, prompt->k, k, at, store.kv.k_head_stride);
        for (int32_t j = 0; j < prompt->n_keys; j++)
            at[j] = is_rows ? (entries.first[i] + j) * head_bytes
                            : pages[j / page_tokens] * v_page + j % page_tokens * head_bytes;
        write_keys(a, prompt, prompt->v, v, at, store.kv.v_head_stride);
    }
    store.k = device_upload(k, k_bytes);
    store.v = device_upload(v, v_bytes);
    store.kv.k = (uint64_t)(uintptr_t)store.k;
    store.kv.v = (uint64_t)(uintptr_t)store.v;
    if (how->mode == KV_TABLE) {
        store.table = device_upload(numbers, (size_t)entries.total * sizeof *numbers);
        store.kv.block_table = store.table;
    } else if (how->mode == KV_PAGES) {
        /* Strides of pages are not used then, so values have to be as far apart as keys are: both
         * in one page, keys first. */
        device_free(store.k);
        device_free(store.v);
        int64_t page = k_page + v_page;
        char *both = device_host((size_t)(entries.total * page));
        uint64_t *addresses = device_host((size_t)entries.total * sizeof *addresses);
        for (int32_t i = 0; i < entries.total; i++) {
            memcpy(both + i * page, k + i * k_page, (size_t)k_page);
            memcpy(both + i * page + k_page, v + i * v_page, (size_t)v_page);
        }
        store.k = device_upload(both, (size_t)(entries.total * page));
        store.v = NULL;
        for (int32_t i = 0; i < entries.total; i++)
            addresses[i] = (uint64_t)(uintptr_t)store.k + (uint64_t)(numbers[i] * page);
        store.table = device_upload(addresses, (size_t)entries.total * sizeof *addresses);
        store.kv.pages = store.table;
        store.kv.k = 0;
        store.kv.v = (uint64_t)k_page;
        store.kv.k_page_stride = store.kv.v_page_stride = INT64_MIN; /* not to be read */
        free(both);
        free(addresses);
    }
    free(counts);
    free(numbers);
    free(at);
    free(k);
    free(v);
    return store;
}

static void free_store(struct store *store)
{
    device_free(store->k);
    if (store->v)
        device_free(store->v);
    if (store->table)
        device_free(store->table);
    free(store->first);
}

/* ---- items ---- */

struct items {
    struct ppi_cuda_attention_item *list[2]; /* of the prefill kernel, of the kernel for few rows */
    int64_t n[2];
};

static struct items make_items(const struct attention_case *a, const struct arrangement *how,
                               struct ppi_cuda_attention attention,
                               const struct ppi_cuda_span *spans, int32_t n_spans)
{
    int32_t group = a->n_heads / a->n_kv_heads;
    struct items items = {0};
    struct ppi_cuda_tiles tiles = attention.tiles;
    ppi_cuda_count_items(tiles, spans, n_spans, group, &items.n[0], &items.n[1]);
    for (int i = 0; i < 2; i++)
        items.list[i] = device_host((size_t)items.n[i] * sizeof *items.list[i]);
    ppi_cuda_make_items(tiles, spans, n_spans, group, a->window_left, a->window_right,
                        items.list[0], items.list[1]);
    if (how->kernel != PREFILL_KERNEL && how->kernel != FEW_KERNEL)
        return items;
    free(items.list[0]);
    free(items.list[1]);
    /* Otherwise one of them has everything, the shortest tiles first. */
    int kernel = how->kernel == FEW_KERNEL && attention.few;
    int32_t rows = kernel == 0 ? tiles.rows : tiles.few_rows;
    int64_t n = 0;
    for (int32_t i = 0; i < n_spans; i++)
        n += (spans[i].n_rows * group + rows - 1) / rows;
    items.n[kernel] = n;
    items.n[1 - kernel] = 0;
    items.list[0] = items.list[1] = NULL;
    items.list[kernel] = device_host((size_t)n * sizeof *items.list[kernel]);
    for (int32_t i = 0; i < n_spans; i++)
        for (int32_t packed = 0; packed < spans[i].n_rows * group; packed += rows)
            items.list[kernel][--n] = (struct ppi_cuda_attention_item){
                .q_row = spans[i].q_row,
                .n_rows = spans[i].n_rows,
                .n_keys = spans[i].n_keys,
                .first = spans[i].first,
                .packed_row = packed,
            };
    return items;
}

/* As many blocks as there are units, or where they share the work out, any number. */
static int64_t choose_blocks(struct rng *rng, const struct ppi_cuda_attention *attention,
                             int64_t n_items, int32_t n_kv_heads)
{
    int64_t n_units = n_items * n_kv_heads;
    if (!attention->is_persistent)
        return n_units;
    return rng_between(rng, 1, (uint64_t)(device_is_emulated() && n_units > 6 ? 6 : n_units + 3));
}

/* ---- rows ---- */

/* A piece's place in the results: the prompt's rows in order. */
static size_t row_of_piece(const struct attention_case *a, const struct piece *piece)
{
    size_t row = (size_t)piece->first_row;
    for (int32_t i = 0; i < piece->prompt; i++)
        row += (size_t)a->prompts[i].n_rows;
    return row;
}

void run_case(struct rng *rng, const struct attention_case *a, const struct arrangement *how,
              uint16_t *out, float *lse)
{
    size_t row_len = (size_t)(a->n_heads * a->head_dim), stride = row_len + GAP_ELEMENTS;
    int32_t n_pieces = how->pieces ? how->n_pieces : a->n_prompts;
    struct piece *pieces = device_host((size_t)n_pieces * sizeof *pieces);
    int32_t *counts = device_host((size_t)n_pieces * sizeof *counts);
    for (int32_t i = 0; i < n_pieces; i++) {
        pieces[i] = how->pieces ? how->pieces[i] : (struct piece){i, 0, a->prompts[i].n_rows};
        counts[i] = pieces[i].n_rows;
    }
    struct placed rows = place(rng, n_pieces, counts);
    struct store store = make_store(rng, a, how);

    /* q and the spans */
    size_t image_bytes = (size_t)rows.total * stride * 2;
    uint16_t *image = device_host(image_bytes);
    memset(image, 0xff, image_bytes);
    struct ppi_cuda_span *spans = device_host((size_t)n_pieces * sizeof *spans);
    for (int32_t i = 0; i < n_pieces; i++) {
        const struct prompt *prompt = &a->prompts[pieces[i].prompt];
        int32_t rows_after = prompt->n_rows - pieces[i].first_row - pieces[i].n_rows;
        /* Causal rows before the last do not see its key. */
        int32_t n_keys = prompt->n_keys - rows_after;
        spans[i] = (struct ppi_cuda_span){rows.first[i], pieces[i].n_rows, n_keys < 0 ? 0 : n_keys,
                                          store.first[pieces[i].prompt]};
        for (int32_t r = 0; r < pieces[i].n_rows; r++)
            memcpy(image + (size_t)(rows.first[i] + r) * stride,
                   prompt->q + (size_t)(pieces[i].first_row + r) * row_len, row_len * 2);
    }
    void *q = device_upload(image, image_bytes), *result = device_alloc(image_bytes);
    void *sinks = a->sinks ? device_upload(a->sinks, (size_t)a->n_heads * sizeof(float)) : NULL;
    size_t lse_bytes = (size_t)(a->n_heads * rows.total) * sizeof(float);
    void *sums = device_alloc(lse_bytes);

    const struct ppi_cuda_attention attention = ppi_cuda_choose_attention(
        how->kernel == MMA_KERNELS ? 80 : device_compute_capability(), a->head_dim, a->softcap > 0);
    struct items items = make_items(a, how, attention, spans, n_pieces);
    for (int kernel = 0; kernel < 2; kernel++) {
        if (items.n[kernel] == 0)
            continue;
        void *list =
            device_upload(items.list[kernel], (size_t)items.n[kernel] * sizeof *items.list[0]);
        struct ppi_cuda_attention_args args = {
            .q = q,
            .out = result,
            .lse = how->no_lse ? NULL : sums,
            .sinks = sinks,
            .q_row_stride = (int64_t)stride * 2,
            .q_head_stride = a->head_dim * 2,
            .out_row_stride = (int64_t)stride * 2,
            .out_head_stride = a->head_dim * 2,
            .lse_stride = rows.total,
            .kv = store.kv,
            .items = list,
            .n_items = (int32_t)items.n[kernel],
            .n_heads = a->n_heads,
            .n_kv_heads = a->n_kv_heads,
            .head_dim = a->head_dim,
            .scale_log2 = (float)((a->softcap > 0 ? a->softcap : a->softmax_scale) * LOG2_E),
            .cap_log2 = a->softcap > 0 ? (float)(2 * a->softmax_scale / a->softcap * LOG2_E) : 0,
            .window_left = a->window_left,
            .window_right = a->window_right,
        };
        const struct ppi_cuda_kernel *chosen = kernel == 0 ? attention.kernel : attention.few;
        device_launch(&chosen[a->act],
                      choose_blocks(rng, &attention, items.n[kernel], a->n_kv_heads), &args);
        device_free(list);
    }

    /* Results to the order of the prompts; what is left must be as it was. */
    device_download(image, result, image_bytes);
    float *all_sums = device_host(lse_bytes);
    device_download(all_sums, sums, lse_bytes);
    memset(out, 0xff, case_out_len(a) * 2);
    for (int32_t i = 0; i < n_pieces; i++)
        for (int32_t r = 0; r < pieces[i].n_rows; r++) {
            uint16_t *from = image + (size_t)(rows.first[i] + r) * stride;
            size_t to = row_of_piece(a, &pieces[i]) + (size_t)r;
            memcpy(out + to * row_len, from, row_len * 2);
            memset(from, 0xff, row_len * 2);
            for (int32_t h = 0; h < a->n_heads && lse; h++) {
                float *sum = &all_sums[h * rows.total + rows.first[i] + r];
                lse[to * (size_t)a->n_heads + (size_t)h] = *sum;
                memset(sum, 0xff, sizeof *sum);
            }
        }
    for (size_t i = 0; i < image_bytes / 2; i++)
        EXPECT(image[i] == 0xffff, "element %zu outside the rows was written", i);
    for (size_t i = 0; i < lse_bytes / 4 && lse; i++)
        EXPECT(isnan(all_sums[i]), "lse %zu of no row was written", i);

    if (sinks)
        device_free(sinks);
    device_free(q);
    device_free(result);
    device_free(sums);
    free_store(&store);
    free(rows.first);
    free(pieces);
    free(counts);
    free(image);
    free(spans);
    free(all_sums);
    free(items.list[0]);
    free(items.list[1]);
}
