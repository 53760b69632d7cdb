/*
 * ref_attention.c: the reference of the attention kernel in plain C; it defines its meaning.
 *
 * Every row runs the online softmax (Milakov and Gimelshein, arXiv 1805.02867) over blocks of 256
 * keys that begin at position 0 of the prompt. Scores of keys that a row does not see become
 * -infinity by selection, so what their slots hold does not matter. A block that a row does not
 * see at all changes nothing; the fast kernels may run it and skip it here.
 */
#include "cpu/ref_kernels.h"
#include "dtype.h"

#include <math.h>
#include <string.h>

/* What is kept of a row: its largest score, and the sums above it. In scratch, one row behind the
 * other. */
struct row {
    float max, total;
    float sums[]; /* [head_dim] */
};

struct head {
    bool bf16;
    int32_t head_dim;
    float factor; /* of scores, for powers of two */
    float inner;  /* of the tanh of a softcap; 0: none */
    void *const *pages;
    size_t k_offset, v_offset;
};

static float load_act(bool bf16, const void *x, size_t i)
{
    return bf16 ? ppi_bf16_to_f32(((const uint16_t *)x)[i]) : ((const float *)x)[i];
}

static float score(const struct head *head, const char *q, int32_t key)
{
    const char *k = (const char *)head->pages[key / PPI_CPU_PAGE] + head->k_offset;
    size_t slot = (size_t)(key % PPI_CPU_PAGE);
    float sum = 0;
    for (size_t d = 0; d < (size_t)head->head_dim; d++) {
        size_t i = head->bf16 ? (d / 2 * PPI_CPU_PAGE + slot) * 2 + d % 2 : d * PPI_CPU_PAGE + slot;
        sum += load_act(head->bf16, q, d) * load_act(head->bf16, k, i);
    }
    return head->inner > 0 ? tanhf(sum * head->inner) : sum;
}

/* sums[d] += weight * value[d] */
static void add_value(const struct head *head, int32_t key, float weight, float *sums)
{
    const char *v = (const char *)head->pages[key / PPI_CPU_PAGE] + head->v_offset;
    size_t slot = (size_t)(key % PPI_CPU_PAGE);
    size_t columns = (size_t)ppi_cpu_v_columns(head->head_dim);
    for (size_t d = 0; d < (size_t)head->head_dim; d++) {
        size_t i = head->bf16 ? (slot / 2 * columns + d) * 2 + slot % 2 : slot * columns + d;
        sums[d] += weight * load_act(head->bf16, v, i);
    }
}

/* Moves a row on from first_key to last_key. */
static void attend_row(const struct head *head, const char *q, int32_t first_key, int32_t last_key,
                       struct row *row)
{
    float *sums = row->sums, max = row->max, total = row->total;
    int32_t key = first_key;
    while (key <= last_key) {
        int32_t end = (key / PPI_CPU_BLOCK + 1) * PPI_CPU_BLOCK;
        if (end > last_key + 1)
            end = last_key + 1;
        float scores[PPI_CPU_BLOCK], new_max = max;
        for (int32_t i = key; i < end; i++) {
            scores[i - key] = score(head, q, i);
            new_max = fmaxf(new_max, scores[i - key]);
        }
        float shrink = exp2f((max - new_max) * head->factor), block_total = 0;
        for (int32_t d = 0; d < head->head_dim; d++)
            sums[d] *= shrink;
        for (int32_t i = key; i < end; i++) {
            float weight = exp2f((scores[i - key] - new_max) * head->factor);
            block_total += weight;
            if (head->bf16)
                weight = ppi_bf16_to_f32(ppi_f32_to_bf16(weight));
            add_value(head, i, weight, sums);
        }
        total = total * shrink + block_total;
        max = new_max;
        key = end;
    }
    row->max = max;
    row->total = total;
}

static void begin_row(const struct head *head, struct row *row)
{
    row->max = -INFINITY;
    row->total = 0;
    for (int32_t d = 0; d < head->head_dim; d++)
        row->sums[d] = 0;
}

/* sink: of the row's head, or NULL */
static void finish_row(const struct head *head, const struct row *row, const float *sink, char *out)
{
    float power = sink ? ppi_cpu_sink_power(*sink, head->factor, row->max) : -INFINITY;
    float inverse = 1.0f / (row->total + exp2f(power));
    for (int32_t d = 0; d < head->head_dim; d++) {
        /* -0 becomes 0: its sign would depend on masking */
        float value = row->sums[d] * inverse + 0.0f;
        if (head->bf16)
            ((uint16_t *)(void *)out)[d] = ppi_f32_to_bf16(value);
        else
            ((float *)(void *)out)[d] = value;
    }
}

static void attend(bool bf16, const struct ppi_cpu_tile *tile)
{
    size_t act_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    struct head head = {
        .bf16 = bf16,
        .head_dim = tile->head_dim,
        .factor = ppi_cpu_score_factor(tile),
        .inner = ppi_cpu_score_inner(tile),
        .pages = tile->pages,
        .k_offset = tile->kv_offset,
        .v_offset = tile->kv_offset + ppi_cpu_k_bytes(act_bytes, tile->head_dim),
    };
    size_t row_bytes = sizeof(struct row) + (size_t)tile->head_dim * sizeof(float);
    char *at_row = (char *)tile->scratch + (size_t)tile->first_row * row_bytes;
    for (int32_t i = 0; i < tile->n_rows; i++) {
        int32_t position = tile->position + i;
        int32_t last_key = tile->end_key > 0 ? tile->end_key - 1 : position;
        int32_t first_key = tile->window > 0 && position >= tile->window
                                ? position - tile->window + 1
                                : tile->first_key;
        for (int32_t h = 0; h < tile->n_heads; h++, at_row += row_bytes) {
            size_t at = (size_t)i * tile->row_stride + (size_t)h * tile->head_stride;
            struct row *row = (struct row *)(void *)at_row;
            if (tile->first_key == 0)
                begin_row(&head, row);
            attend_row(&head, tile->q + at, first_key, last_key, row);
            if (tile->end_key == 0)
                finish_row(&head, row, tile->sinks ? tile->sinks + h : NULL, tile->out + at);
        }
    }
}

void ppi_cpu_ref_attend_f32(const struct ppi_cpu_tile *tile)
{
    attend(false, tile);
}

void ppi_cpu_ref_attend_bf16(const struct ppi_cpu_tile *tile)
{
    attend(true, tile);
}
