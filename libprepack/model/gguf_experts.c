/*
 * gguf_experts.c: what the keys of a GGUF file say of a mixture of experts. Which layers have them,
 * and how logits become weights, is the architecture's: files do not say it.
 */
#include "model/gguf_config.h"

#define COUNT    "expert_count"
#define USED     "expert_used_count"
#define SIZE     "expert_feed_forward_length"
#define SHARED   "expert_shared_feed_forward_length"
#define NORM     "expert_weights_norm"
#define GATING   "expert_gating_func"
#define DENSE    "leading_dense_block_count"
#define N_SHARED "expert_shared_count"

/* Values of GATING; a file without it, or with 0, has the architecture's. */
enum { GATING_SOFTMAX = 1, GATING_SIGMOID, GATING_CHOSEN };

bool ppi_gguf_has_experts(const struct ppi_gguf_reader *reader)
{
    int64_t n = 0;
    const struct ppi_gguf_value *value = ppi_gguf_of(reader, COUNT);
    return value && (!ppi_gguf_integer(value, &n) || n != 0);
}

static pp_status put_count(const struct ppi_gguf_reader *reader, const char *key,
                           const char *config, struct ppi_json_out *out)
{
    int64_t n = 0;
    PP_TRY(ppi_gguf_take_integer(reader, key, true, &n));
    ppi_json_put(out, ",");
    ppi_json_put_string(out, config);
    ppi_json_put(out, ":");
    ppi_json_put_integer(out, n);
    return PP_OK;
}

static pp_status put_normalize(const struct ppi_gguf_reader *reader, struct ppi_json_out *out)
{
    const struct ppi_gguf_value *value = ppi_gguf_of(reader, NORM);
    bool normalize = reader->arch->normalize;
    if (value && !ppi_gguf_bool(value, &normalize))
        return ppi_gguf_refuse(reader, PP_ERR_FORMAT, NORM, "true or false is needed");
    ppi_json_put(out, normalize ? ",\"norm_topk_prob\":true" : ",\"norm_topk_prob\":false");
    return PP_OK;
}

/* Softmax over the chosen is what softmax over all becomes when it is divided by its sum. */
static pp_status check_gating(const struct ppi_gguf_reader *reader,
                              const struct ppi_arch_experts *class)
{
    int64_t gating = 0;
    PP_TRY(ppi_gguf_take_integer(reader, GATING, false, &gating));
    bool chosen = class->scoring == PPI_SCORING_CHOSEN;
    bool sigmoid = class->scoring == PPI_SCORING_SIGMOID;
    if (gating == 0 || gating == (sigmoid ? GATING_SIGMOID : GATING_SOFTMAX) ||
        (chosen && gating == GATING_CHOSEN))
        return PP_OK;
    return ppi_gguf_refuse(reader, PP_ERR_UNSUPPORTED, GATING,
                           sigmoid  ? "2 (sigmoid) is supported for this architecture"
                           : chosen ? "1 and 3 (softmax) are supported for this architecture"
                                    : "1 (softmax) is supported for this architecture");
}

pp_status ppi_gguf_write_experts(const struct ppi_gguf_reader *reader,
                                 const struct ppi_gguf_shape *shape, struct ppi_json_out *out)
{
    const struct ppi_arch_experts *class = shape->arch->experts;
    if (!class)
        return PP_OK;
    if (class->shared_is_mlp && !ppi_gguf_has_experts(reader)) {
        ppi_json_put(out, ",");
        ppi_json_put_string(out, class->n_key);
        ppi_json_put(out, ":0");
        return put_count(reader, SHARED, class->shared_key, out);
    }
    PP_TRY(check_gating(reader, class));
    PP_TRY(put_count(reader, COUNT, class->n_key, out));
    PP_TRY(put_count(reader, USED, "num_experts_per_tok", out));
    if (class->size_key)
        PP_TRY(put_count(reader, SIZE, class->size_key, out));
    if (class->shared_key)
        PP_TRY(put_count(reader, class->shared_counts ? N_SHARED : SHARED, class->shared_key, out));
    if (class->in == PPI_EXPERTS_IN_UPPER)
        PP_TRY(put_count(reader, DENSE, "first_k_dense_replace", out));
    return class->normalize_key ? put_normalize(reader, out) : PP_OK;
}
