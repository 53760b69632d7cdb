/*
 * gguf_head.c: what a GGUF file says of the ends of a model beside its LM head: a matrix that
 * scores labels, as rerankers have it, and how hidden states become one vector.
 */
#include "model/gguf_config.h"

#include <prepack/outputs.h>

#define RANK 4 /* pooling_type: by the scores of labels */

static pp_status refuse_tensor(const struct ppi_gguf_reader *reader, pp_status code,
                               const char *name, const char *wanted)
{
    return ppi_error(reader->err, code, "%s: tensor \"%s\" %s", reader->label, name, wanted);
}

/* Names of labels must be as many as scores, where they are there. */
static pp_status check_names(const struct ppi_gguf_reader *reader, int64_t n_labels)
{
    static const char key[] = "classifier.output_labels";
    const struct ppi_gguf_value *names = ppi_gguf_of(reader, key);
    if (!names || (ppi_gguf_is_array(names, PPI_GGUF_STRING) && names->len == (uint64_t)n_labels))
        return PP_OK;
    return ppi_gguf_refuse(reader, PP_ERR_FORMAT, key,
                           "a name for each row of the tensor \"" PPI_GGUF_LABELS "\" is needed");
}

pp_status ppi_gguf_write_head(const struct ppi_gguf_reader *reader,
                              const struct ppi_gguf_shape *shape, struct ppi_json_out *out)
{
    static const char *const more[] = {"cls.weight", "cls.bias", "cls.norm.weight",
                                       "cls.output.bias"};
    struct ppi_stored stored;
    char name[PPI_CLASS_NAME_BYTES];
    for (size_t i = 0; i < PPI_COUNT(more); i++)
        if (ppi_source_find(reader->source, more[i], &stored))
            return refuse_tensor(reader, PP_ERR_UNSUPPORTED, more[i],
                                 "belongs to a head of labels that is more than one matrix; that "
                                 "is not supported");
    if (!ppi_source_find(reader->source, PPI_GGUF_LABELS, &stored))
        return PP_OK;
    if (!ppi_arch_labels_class(shape->arch, name))
        return refuse_tensor(reader, PP_ERR_UNSUPPORTED, PPI_GGUF_LABELS,
                             "scores labels, which is not supported for this architecture");
    int64_t n_labels = stored.entry->rank > 1 ? stored.entry->shape[0] : 1;
    PP_TRY(check_names(reader, n_labels));
    ppi_json_put(out, ",\"architectures\":[");
    ppi_json_put_string(out, name);
    ppi_json_put(out, "],\"num_labels\":");
    ppi_json_put_integer(out, n_labels);
    return PP_OK;
}

pp_status ppi_gguf_read_pooling(const struct ppi_gguf_reader *reader, struct ppi_model_spec *spec)
{
    static const int32_t poolings[] = {-1, PP_POOLING_MEAN, PP_POOLING_FIRST, PP_POOLING_LAST, -1};
    int64_t type = 0;
    PP_TRY(ppi_gguf_take_integer(reader, "pooling_type", false, &type));
    bool known = type >= 0 && type < (int64_t)PPI_COUNT(poolings);
    spec->pooling = known ? poolings[type] : -1;
    if (!known)
        ppi_log(reader->log, PP_LOG_WARNING,
                "%s: %s.pooling_type is %lld, which is not known and not used", reader->label,
                reader->arch->name, (long long)type);
    if (type == RANK && spec->n_labels == 0)
        ppi_log(reader->log, PP_LOG_WARNING,
                "%s: %s.pooling_type asks for scores of labels, but there is no tensor \"%s\"",
                reader->label, reader->arch->name, PPI_GGUF_LABELS);
    return PP_OK;
}
