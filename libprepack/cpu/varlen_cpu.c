/*
 * varlen_cpu.c: attention over a caller's tensors in plain C. It defines what the operation means
 * and is what other backends are compared with; speed is not its subject.
 *
 * Every row runs the online softmax (Milakov and Gimelshein, arXiv 1805.02867) over blocks of 256
 * keys that begin at multiples of 256 from the prompt's key 0, in f32 throughout. Keys that a row
 * does not see are never read. Threads take runs of heads of prompts.
 */
#include "cpu/cpu.h"
#include "dtype.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define MAX_HEAD_DIM 256
#define LOG2_E       1.4426950408889634f
#define LN_2         0.6931471805599453f
#define PRODUCT_NS   2.0 /* of one element of a key and a value on one thread */

struct ppi_varlen_plan {
    const struct ppi_varlen_shape *shape;
    struct ppi_mem *mem;
};

pp_status ppi_cpu_varlen_plan_create(struct ppi_backend *backend,
                                     const struct ppi_varlen_shape *shape,
                                     struct ppi_varlen_plan **plan,
                                     struct ppi_varlen_figures *figures, pp_error *err)
{
    struct ppi_mem *mem = backend->params.mem;
    struct ppi_varlen_plan *p = ppi_alloc(mem, 1, sizeof *p);
    if (!p)
        return ppi_error_nomem(err, "an attention plan", sizeof *p);
    *p = (struct ppi_varlen_plan){.shape = shape, .mem = mem};
    *plan = p;
    *figures = (struct ppi_varlen_figures){.n_tiles = (int64_t)shape->n_prompts * shape->n_heads};
    return PP_OK;
}

void ppi_cpu_varlen_plan_destroy(struct ppi_backend *backend, struct ppi_varlen_plan *plan)
{
    (void)backend;
    if (plan)
        ppi_free(plan->mem, plan);
}

pp_status ppi_cpu_varlen_upload(struct ppi_backend *backend, struct ppi_varlen_plan *plan,
                                void *workspace, void *stream, pp_error *err)
{
    (void)backend;
    (void)plan;
    (void)workspace;
    (void)stream;
    (void)err;
    return PP_OK; /* the list is where a run reads it */
}

/* One head of one prompt. */
struct head {
    const struct ppi_varlen_shape *shape;
    const struct ppi_varlen_tensors *tensors;
    const struct ppi_varlen_prompt *prompt;
    int32_t kv_head;
    float scale; /* of scores, for powers of two */
};

static void store(int32_t dtype, void *dst, const float *src, size_t n)
{
    uint16_t *half = dst;
    if (dtype == PP_DTYPE_F32)
        memcpy(dst, src, n * sizeof *src);
    else if (dtype == PP_DTYPE_BF16)
        for (size_t i = 0; i < n; i++)
            half[i] = ppi_f32_to_bf16(src[i]);
    else
        for (size_t i = 0; i < n; i++)
            half[i] = ppi_f32_to_f16(src[i]);
}

/* The key, or with the strides of v the value, of one token in f32. */
static void load_token(const struct head *head, const char *base, int64_t page_stride,
                       int64_t row_stride, int64_t head_stride, int32_t token, float *x)
{
    int64_t first = head->prompt->first, row = first + token, page_size = head->shape->page_size;
    if (page_size > 0) {
        base += head->tensors->block_table[first + token / page_size] * page_stride;
        row = token % page_size;
    }
    base += row * row_stride + head->kv_head * head_stride;
    ppi_to_f32(x, base, head->shape->dtype, (size_t)head->shape->head_dim);
}

static float score(const struct head *head, const float *q, int32_t token)
{
    const struct ppi_varlen_tensors *t = head->tensors;
    float k[MAX_HEAD_DIM], sum = 0;
    load_token(head, t->k, t->k_page_stride, t->k_row_stride, t->k_head_stride, token, k);
    for (int32_t d = 0; d < head->shape->head_dim; d++)
        sum += q[d] * k[d];
    return sum;
}

/* sums[d] += weight * value[d] */
static void add_value(const struct head *head, int32_t token, float weight, float *sums)
{
    const struct ppi_varlen_tensors *t = head->tensors;
    float v[MAX_HEAD_DIM];
    load_token(head, t->v, t->v_page_stride, t->v_row_stride, t->v_head_stride, token, v);
    for (int32_t d = 0; d < head->shape->head_dim; d++)
        sums[d] += weight * v[d];
}

/* out [head_dim] and the natural lse of a row that sees the tokens low .. high. */
static float attend_row(const struct head *head, const float *q, int64_t low, int64_t high,
                        float *out)
{
    int32_t head_dim = head->shape->head_dim;
    float max = -INFINITY, total = 0;
    memset(out, 0, (size_t)head_dim * sizeof *out);
    for (int64_t begin = low, end; begin <= high; begin = end) {
        float scores[PPI_CPU_BLOCK], new_max = max, block_total = 0;
        end = (begin / PPI_CPU_BLOCK + 1) * PPI_CPU_BLOCK;
        end = end < high + 1 ? end : high + 1;
        for (int64_t j = begin; j < end; j++) {
            scores[j - begin] = score(head, q, (int32_t)j);
            new_max = fmaxf(new_max, scores[j - begin]);
        }
        if (new_max == -INFINITY) /* a key with this score is one that is not seen */
            continue;
        float shrink = exp2f((max - new_max) * head->scale);
        for (int32_t d = 0; d < head_dim; d++)
            out[d] *= shrink;
        for (int64_t j = begin; j < end; j++) {
            float weight = exp2f((scores[j - begin] - new_max) * head->scale);
            block_total += weight;
            add_value(head, (int32_t)j, weight, out);
        }
        total = total * shrink + block_total;
        max = new_max;
    }
    if (max == -INFINITY)
        return max;
    float inverse = 1.0f / total;
    for (int32_t d = 0; d < head_dim; d++)
        out[d] *= inverse;
    return max * head->scale * LN_2 + logf(total);
}

static void attend_head(const struct ppi_varlen_shape *shape,
                        const struct ppi_varlen_tensors *tensors,
                        const struct ppi_varlen_prompt *prompt, int32_t i_head)
{
    struct head head = {.shape = shape,
                        .tensors = tensors,
                        .prompt = prompt,
                        .kv_head = i_head / (shape->n_heads / shape->n_kv_heads),
                        .scale = tensors->softmax_scale * LOG2_E};
    size_t head_dim = (size_t)shape->head_dim;
    float q[MAX_HEAD_DIM], out[MAX_HEAD_DIM];
    for (int32_t i = 0; i < prompt->n_rows; i++) {
        int64_t row = (int64_t)prompt->q_row + i;
        int64_t position = (int64_t)i + prompt->n_keys - prompt->n_rows;
        int64_t low = shape->window_left >= 0 ? position - shape->window_left : 0;
        int64_t high = shape->window_right >= 0 ? position + shape->window_right : INT32_MAX;
        low = low > 0 ? low : 0;
        high = high < prompt->n_keys - 1 ? high : prompt->n_keys - 1;
        ppi_to_f32(q, tensors->q + row * tensors->q_row_stride + i_head * tensors->q_head_stride,
                   shape->dtype, head_dim);
        float lse = attend_row(&head, q, low, high, out);
        store(shape->dtype,
              tensors->out + row * tensors->out_row_stride + i_head * tensors->out_head_stride, out,
              head_dim);
        if (tensors->lse)
            tensors->lse[i_head * tensors->lse_head_stride + row] = lse;
    }
}

struct varlen_job {
    const struct ppi_varlen_shape *shape;
    const struct ppi_varlen_tensors *tensors;
};

/* Units: head slowest, so that a run is rarely of long prompts alone. */
static void run_varlen(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct varlen_job *job = arg;
    int32_t n_prompts = job->shape->n_prompts;
    for (int64_t i = first; i < end; i++)
        attend_head(job->shape, job->tensors, &job->shape->prompts[i % n_prompts],
                    (int32_t)(i / n_prompts));
}

pp_status ppi_cpu_varlen_run(struct ppi_backend *backend, const struct ppi_varlen_plan *plan,
                             const struct ppi_varlen_tensors *tensors, pp_error *err)
{
    (void)err;
    assert(plan->shape->head_dim <= MAX_HEAD_DIM);
    const struct ppi_varlen_shape *shape = plan->shape;
    struct varlen_job job = {.shape = shape, .tensors = tensors};
    double products = 0; /* at most: of a row with a key */
    for (int32_t i = 0; i < shape->n_prompts; i++)
        products += (double)shape->prompts[i].n_rows * (double)shape->prompts[i].n_keys;
    if (shape->n_prompts > 0)
        ppi_cpu_run(backend->pool, (int64_t)shape->n_prompts * shape->n_heads,
                    PRODUCT_NS * shape->head_dim * products / shape->n_prompts, run_varlen, &job);
    return PP_OK;
}
