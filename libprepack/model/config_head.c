/*
 * config_head.c: what stands behind the last norm: an LM head, scores of labels, or nothing. Labels
 * are scored by a matrix of their own, without bias, and neither multiplier nor cap of logits is
 * for them.
 */
#include "model/config.h"

#define MAX_LABELS (1 << 24)

/* As transformers counts them: the entries of id2label, else num_labels, else 2. */
static pp_status count_labels(const struct ppi_config_reader *reader, int32_t *n_labels)
{
    static const char count_key[] = "num_labels", names_key[] = "id2label";
    const struct ppi_json_value *count = ppi_json_get(reader->top, count_key);
    const struct ppi_json_value *names = ppi_json_get(reader->top, names_key);
    *n_labels = 2;
    if (!ppi_json_is_absent(count))
        PP_TRY(ppi_config_count(reader, count_key, count, 1, MAX_LABELS, n_labels));
    if (ppi_json_is_absent(names))
        return PP_OK;
    if (!ppi_json_is(names, PPI_JSON_OBJECT) || names->len == 0)
        return ppi_config_refuse(reader, PP_ERR_FORMAT, names_key, names,
                                 "an object with an entry for each label is needed");
    if (!ppi_json_is_absent(count) && (uint32_t)*n_labels != names->len)
        ppi_log(reader->log, PP_LOG_WARNING,
                "%s: \"%s\" is %d, but \"%s\" has %u entries, which count", reader->label,
                count_key, *n_labels, names_key, names->len);
    *n_labels = (int32_t)names->len; /* far below 2^31: a file of 16 MiB */
    return PP_OK;
}

pp_status ppi_config_head(const struct ppi_config_reader *reader, enum ppi_head head,
                          struct ppi_model_spec *spec)
{
    spec->pooling = spec->normalize = -1;
    spec->has_lm_head = head == PPI_HEAD_LM;
    if (spec->has_lm_head)
        return PP_OK;
    spec->tie_embeddings = false;
    if (head == PPI_HEAD_NONE)
        return PP_OK;
    spec->logit_scale = 1;
    spec->logit_softcap = 0;
    return count_labels(reader, &spec->n_labels);
}
