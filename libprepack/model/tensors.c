/*
 * tensors.c: finds the stored tensors of a model by its architecture's rules.
 */
#include "model/tensors.h"
#include "dtype.h"
#include "model/tensor_codes.h"

#include <prepack/session.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_ELEMENTS ((int64_t)1 << 20) /* compared at a time */

/* Where the names of a text model hang: by itself, inside another model as transformers writes it
 * (the second) and holds it (the third), and each saved without its head. */
static const struct ppi_name_prefixes PREFIXES[] = {
    {"model.", "", false},
    {"language_model.model.", "language_model.", false},
    {"model.language_model.", "", false},
    {"", "", true},
    {"language_model.", "", true},
};

struct opening {
    const char *label; /* of the directory or the GGUF file */
    struct ppi_config *config;
    struct ppi_mem *mem;
    const struct ppi_log *log;
    struct ppi_tensors *tensors;
    pp_error *err;
};

struct ppi_stored *ppi_tensors_place(const struct ppi_tensors *tensors, int32_t i_rule,
                                     int32_t layer)
{
    bool in_layer = ppi_weight_kinds[tensors->rules[i_rule].weight].in_layer;
    return &tensors->stored[(in_layer ? (size_t)layer * (size_t)tensors->n_rules : 0) +
                            (size_t)i_rule];
}

static int32_t rule_of(const struct ppi_tensors *tensors, enum ppi_weight weight)
{
    int32_t i = 0;
    while (tensors->rules[i].weight != weight)
        i++;
    return i;
}

static void name_of(const struct opening *opening, const struct ppi_tensor_rule *rule,
                    int32_t layer, char name[PPI_TENSOR_NAME_BYTES])
{
    if (opening->tensors->gguf)
        ppi_gguf_rule_name(rule, &opening->config->spec, layer, name);
    else
        ppi_rule_name(rule, &opening->tensors->prefixes, &opening->config->spec, layer, name);
}

/* ---- one tensor ---- */

static void shape_text(char *text, size_t size, const int64_t *shape, int32_t rank)
{
    size_t used = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < rank && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, i ? ", %lld" : "%lld", (long long)shape[i]);
}

/* Shape and dtype of a tensor that the model needs. */
static pp_status check_stored(const struct opening *opening, const struct ppi_tensor_rule *rule,
                              int32_t layer, const struct ppi_stored *stored)
{
    const struct ppi_stored_entry *entry = stored->entry;
    const char *label = stored->file->label.text;
    int64_t matrix[2];
    ppi_part_shape(&opening->config->spec, layer, rule->weight, rule->part, &matrix[0], &matrix[1]);
    bool is_vector = ppi_weight_kinds[rule->weight].matrix == PPI_MATRIX_VECTOR;
    const int64_t *shape = is_vector ? &matrix[1] : matrix;
    int32_t rank = is_vector ? 1 : 2;
    if (opening->tensors->gguf && matrix[0] == 1 &&
        entry->rank == 1) { /* a matrix of one row, too */
        shape = &matrix[1];
        rank = 1;
    }
    if (entry->rank != rank || memcmp(entry->shape, shape, (size_t)rank * sizeof *shape) != 0) {
        char found[PPI_STORED_MAX_RANK * 22], wanted[2 * 22];
        shape_text(found, sizeof found, entry->shape, entry->rank);
        shape_text(wanted, sizeof wanted, shape, rank);
        return ppi_error(opening->err, PP_ERR_FORMAT,
                         "%s: tensor \"%s\" has shape [%s]; %s for [%s]", label, entry->name, found,
                         opening->tensors->gguf ? "the file's keys ask" : "config.json asks",
                         wanted);
    }
    if (entry->dtype == 0)
        return ppi_error(opening->err, PP_ERR_UNSUPPORTED,
                         "%s: tensor \"%s\" has dtype %s; F32, F16%s and BF16 are supported", label,
                         entry->name, entry->dtype_name,
                         opening->tensors->gguf ? ", Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, "
                                                  "IQ4_NL, IQ4_XS, MXFP4"
                                                : "");
    return PP_OK;
}

static pp_status find_one(const struct opening *opening, int32_t i_rule, int32_t layer)
{
    struct ppi_tensors *tensors = opening->tensors;
    const struct ppi_tensor_rule *rule = &tensors->rules[i_rule];
    struct ppi_stored *stored = ppi_tensors_place(tensors, i_rule, layer);
    char name[PPI_TENSOR_NAME_BYTES];
    name_of(opening, rule, layer, name);
    if (tensors->codes && ppi_weight_kinds[rule->weight].meaning == PPI_MEANS_MATRIX)
        return ppi_tensors_find_codes(tensors, &opening->config->spec, i_rule, layer, name,
                                      opening->err);
    if (rule->weight == PPI_WEIGHT_LM_HEAD && opening->config->spec.tie_embeddings) {
        *stored = *ppi_tensors_place(tensors, rule_of(tensors, PPI_WEIGHT_EMBED), 0);
        return PP_OK;
    }
    if (!ppi_source_find(tensors->source, name, stored))
        return ppi_source_missing(tensors->source, name, opening->err);
    return check_stored(opening, rule, layer, stored);
}

/* ---- tied embeddings ---- */

/* Whether the values are the same, bit for bit where the dtypes are. */
static pp_status compare(const struct opening *opening, const struct ppi_stored *a,
                         const struct ppi_stored *b, bool *equal)
{
    int64_t n = ppi_stored_n_elements(a);
    *equal = a->entry->dtype && b->entry->dtype && a->entry->rank == b->entry->rank &&
             memcmp(a->entry->shape, b->entry->shape, sizeof a->entry->shape) == 0;
    float *values = ppi_alloc(opening->mem, 4 * (size_t)CHUNK_ELEMENTS, sizeof *values);
    if (!values)
        return ppi_error_nomem(opening->err, "comparing the LM head with the embedding",
                               4 * (size_t)CHUNK_ELEMENTS * sizeof *values);
    pp_status status = PP_OK;
    for (int64_t first = 0; status >= 0 && *equal && first < n; first += CHUNK_ELEMENTS) {
        size_t count = (size_t)(n - first < CHUNK_ELEMENTS ? n - first : CHUNK_ELEMENTS);
        const struct ppi_stored *both[] = {a, b};
        for (int i = 0; status >= 0 && i < 2; i++) {
            float *raw = values + (2 * i + 1) * CHUNK_ELEMENTS;
            status = ppi_stored_read(both[i], first, (int64_t)count, raw, opening->err);
            if (status >= 0)
                ppi_to_f32(values + 2 * i * CHUNK_ELEMENTS, raw, both[i]->entry->dtype, count);
        }
        if (status >= 0)
            *equal = memcmp(values, values + 2 * CHUNK_ELEMENTS, count * sizeof *values) == 0;
    }
    ppi_free(opening->mem, values);
    return status;
}

/* As transformers does: two tensors that differ are two weights, whatever config.json says. */
static pp_status check_tied(const struct opening *opening)
{
    struct ppi_tensors *tensors = opening->tensors;
    struct ppi_stored embed, head;
    char names[2][PPI_TENSOR_NAME_BYTES];
    bool equal;
    name_of(opening, &tensors->rules[rule_of(tensors, PPI_WEIGHT_EMBED)], 0, names[0]);
    name_of(opening, &tensors->rules[rule_of(tensors, PPI_WEIGHT_LM_HEAD)], 0, names[1]);
    if (!opening->config->spec.tie_embeddings ||
        !ppi_source_find(tensors->source, names[0], &embed) ||
        !ppi_source_find(tensors->source, names[1], &head))
        return PP_OK;
    PP_TRY(compare(opening, &embed, &head, &equal));
    opening->config->spec.tie_embeddings = equal;
    if (!equal)
        ppi_log(
            opening->log, PP_LOG_WARNING,
            "%s: tie_word_embeddings is true, but \"%s\" and \"%s\" are both stored and differ; "
            "each is used",
            opening->label, names[0], names[1]);
    return PP_OK;
}

/* ---- what nobody uses ---- */

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Of a layer behind the last. */
static bool is_behind(const struct opening *opening, const char *name)
{
    static const char layers[] = "layers.";
    if (!begins_with(name, layers))
        return false;
    long layer = strtol(name + strlen(layers), NULL, 10);
    return layer >= opening->config->spec.n_layers;
}

/* Tables that old files hold and everybody computes; the parts of a model that a text model is
 * inside of; and what the class passes over. */
static bool is_harmless(const struct opening *opening, const char *name)
{
    static const char *const tables[] = {"rotary_emb.inv_freq", "rotary_emb.cos_cached",
                                         "rotary_emb.sin_cached"};
    static const char *const others[] = {"vision_tower.", "multi_modal_projector.", "visual."};
    const struct ppi_arch *arch = opening->config->arch;
    for (size_t i = 0; i < PPI_COUNT(tables); i++) {
        size_t len = strlen(name), tail = strlen(tables[i]);
        if (len >= tail && strcmp(name + len - tail, tables[i]) == 0)
            return true;
    }
    if (begins_with(name, "model."))
        name += strlen("model.");
    for (size_t i = 0; opening->config->wrapper && i < PPI_COUNT(others); i++)
        if (begins_with(name, others[i]))
            return true;
    return (arch->ignores && begins_with(name, arch->ignores)) ||
           (arch->ignores_behind && is_behind(opening, name));
}

static void warn_of_unused(const struct opening *opening)
{
    char list[320] = "";
    int64_t n = 0, n_listed = 0;
    size_t cursor = 0;
    const char *name;
    while ((name = ppi_source_unasked(opening->tensors->source, &cursor))) {
        size_t used = strlen(list);
        if (is_harmless(opening, name))
            continue;
        bool fits = n_listed == n && n < 4 && used + strlen(name) + 4 < sizeof list;
        if (fits)
            snprintf(list + used, sizeof list - used, "%s\"%s\"", n ? ", " : "", name);
        n_listed += fits;
        n++;
    }
    if (n == 0)
        return;
    const char *type = opening->config->arch->model_type, *label = opening->label;
    if (n_listed == n)
        ppi_log(opening->log, PP_LOG_WARNING, "%s: stored, and not used by %s: %s", label, type,
                list);
    else
        ppi_log(opening->log, PP_LOG_WARNING, "%s: stored, and not used by %s: %s%s%lld %stensors",
                label, type, list, n_listed ? " and " : "", (long long)(n - n_listed),
                n_listed ? "more " : "");
}

/* ---- the whole ---- */

static void find_prefixes(struct opening *opening)
{
    struct ppi_stored stored;
    char name[PPI_TENSOR_NAME_BYTES];
    struct ppi_tensors *tensors = opening->tensors;
    const struct ppi_tensor_rule *embed = &tensors->rules[rule_of(tensors, PPI_WEIGHT_EMBED)];
    for (size_t i = 0; i < PPI_COUNT(PREFIXES); i++) {
        ppi_rule_name(embed, &PREFIXES[i], &opening->config->spec, 0, name);
        if (ppi_source_find(tensors->source, name, &stored)) {
            tensors->prefixes = PREFIXES[i];
            return;
        }
    }
}

/* The files have the last word: an LM head that is stored is one, whatever the class; and where
 * names hang as a model without a head is saved, and none is stored, there is none. */
static void settle_head(struct opening *opening)
{
    struct ppi_stored stored;
    char name[PPI_TENSOR_NAME_BYTES];
    struct ppi_tensors *tensors = opening->tensors;
    struct ppi_model_spec *spec = &opening->config->spec;
    if (spec->n_labels > 0)
        return;
    name_of(opening, &tensors->rules[rule_of(tensors, PPI_WEIGHT_LM_HEAD)], 0, name);
    if (ppi_source_find(tensors->source, name, &stored)) {
        spec->has_lm_head = true;
    } else if (tensors->prefixes.bare && spec->has_lm_head && !spec->tie_embeddings) {
        spec->has_lm_head = false;
        ppi_log(opening->log, PP_LOG_WARNING,
                "%s: \"%s\" is not stored: the model has no LM head, only hidden states",
                opening->label, name);
    }
}

/* The parts of each matrix of a converted model. */
static pp_status check_codes(const struct opening *opening)
{
    const struct ppi_tensors *tensors = opening->tensors;
    const struct ppi_model_spec *spec = &opening->config->spec;
    for (int32_t layer = 0; layer < spec->n_layers; layer++)
        for (int32_t i = 0; i < tensors->n_rules; i += ppi_rule_n_parts(&tensors->rules[i])) {
            const struct ppi_weight_kind *kind = &ppi_weight_kinds[tensors->rules[i].weight];
            bool there =
                ppi_rule_holds(&tensors->rules[i], spec, layer) && (kind->in_layer || layer == 0);
            if (kind->meaning == PPI_MEANS_MATRIX && there)
                PP_TRY(ppi_tensors_check_codes(tensors, i, layer, opening->err));
        }
    return PP_OK;
}

static pp_status find_all(const struct opening *opening)
{
    struct ppi_tensors *tensors = opening->tensors;
    const struct ppi_model_spec *spec = &opening->config->spec;
    for (int32_t layer = 0; layer < spec->n_layers; layer++)
        for (int32_t i = 0; i < tensors->n_rules; i++) {
            const struct ppi_tensor_rule *rule = &tensors->rules[i];
            bool once = !ppi_weight_kinds[rule->weight].in_layer;
            if ((!once || layer == 0) && ppi_rule_holds(rule, spec, layer))
                PP_TRY(find_one(opening, i, layer));
        }
    return PP_OK;
}

/* That of the matrices where they have one, F32 where they differ or are read as that: a norm or a
 * table among blocks of few bits does not say what the model was made of. */
static int32_t dtype_of_all(const struct opening *opening)
{
    const struct ppi_tensors *tensors = opening->tensors;
    int32_t dtype = ppi_tensors_dtype(tensors, rule_of(tensors, PPI_WEIGHT_QKV), 0);
    for (int32_t layer = 0; layer < opening->config->spec.n_layers; layer++)
        for (int32_t i = 0; i < tensors->n_rules; i++) {
            const struct ppi_stored *stored = ppi_tensors_place(tensors, i, layer);
            bool matrix = ppi_weight_kinds[tensors->rules[i].weight].meaning == PPI_MEANS_MATRIX;
            if (matrix && stored->entry && stored->entry->dtype != dtype)
                return PP_DTYPE_F32;
        }
    return dtype;
}

/* The source is open. */
static pp_status find_tensors(struct opening *opening)
{
    struct ppi_tensors *tensors = opening->tensors;
    size_t n_layers = (size_t)opening->config->spec.n_layers, n = (size_t)tensors->n_rules;
    tensors->stored = ppi_zalloc(opening->mem, n_layers * n, sizeof *tensors->stored);
    if (!tensors->stored)
        return ppi_error_nomem(opening->err, "the places of tensors",
                               n_layers * n * sizeof *tensors->stored);
    if (!tensors->gguf) {
        find_prefixes(opening);
        settle_head(opening);
    }
    if (tensors->weights != PP_WEIGHTS_AUTO) {
        tensors->codes = ppi_zalloc(opening->mem, n_layers * n, sizeof *tensors->codes);
        if (!tensors->codes)
            return ppi_error_nomem(opening->err, "the places of scales",
                                   n_layers * n * sizeof *tensors->codes);
        PP_TRY(find_all(opening));
        PP_TRY(check_codes(opening));
        warn_of_unused(opening);
        return PP_OK; /* config.json says what the model was made of */
    }
    PP_TRY(check_tied(opening));
    PP_TRY(find_all(opening));
    warn_of_unused(opening);
    opening->config->spec.dtype =
        tensors->gguf ? dtype_of_all(opening)
                      : ppi_tensors_dtype(tensors, rule_of(tensors, PPI_WEIGHT_QKV), 0);
    return PP_OK;
}

pp_status ppi_tensors_open(const struct ppi_dir *dir, struct ppi_config *config,
                           struct ppi_mem *mem, const struct ppi_log *log,
                           struct ppi_tensors *tensors, pp_error *err)
{
    struct opening opening = {.label = dir->label.text,
                              .config = config,
                              .mem = mem,
                              .log = log,
                              .tensors = tensors,
                              .err = err};
    *tensors = (struct ppi_tensors){.rules = config->arch->tensors,
                                    .n_rules = ppi_rules_count(config->arch->tensors),
                                    .prefixes = PREFIXES[0],
                                    .weights = config->weights};
    pp_status status = ppi_source_open(dir, mem, log, &tensors->source, err);
    if (status >= 0)
        status = find_tensors(&opening);
    if (status < 0)
        ppi_tensors_close(tensors, mem);
    return status;
}

pp_status ppi_tensors_open_gguf(struct ppi_source *source, const struct ppi_gguf_arch *gguf,
                                struct ppi_config *config, struct ppi_mem *mem,
                                const struct ppi_log *log, struct ppi_tensors *tensors,
                                pp_error *err)
{
    struct opening opening = {.label = ppi_source_label(source),
                              .config = config,
                              .mem = mem,
                              .log = log,
                              .tensors = tensors,
                              .err = err};
    *tensors = (struct ppi_tensors){.rules = config->arch->tensors,
                                    .n_rules = ppi_rules_count(config->arch->tensors),
                                    .prefixes = PREFIXES[0],
                                    .source = source,
                                    .gguf = gguf};
    pp_status status = find_tensors(&opening);
    if (status < 0)
        ppi_tensors_close(tensors, mem);
    return status;
}

void ppi_tensors_close(struct ppi_tensors *tensors, struct ppi_mem *mem)
{
    ppi_source_close(tensors->source);
    ppi_free(mem, tensors->stored);
    ppi_free(mem, tensors->codes);
    *tensors = (struct ppi_tensors){0};
}

int32_t ppi_tensors_dtype(const struct ppi_tensors *tensors, int32_t i_rule, int32_t layer)
{
    if (!tensors->source)
        return tensors->random_dtype;
    return ppi_tensors_place(tensors, i_rule, layer)->entry->dtype;
}

/* ---- rows of q and k in another order ---- */

/* Where row r of a projection stands in a file in which pairs that rotate are neighbours: elements
 * i and i + half of a head are the pair 2i, 2i + 1 there. */
static int64_t permuted_row(int64_t row, int64_t head_dim)
{
    int64_t head = row / head_dim, at = row % head_dim, half = head_dim / 2;
    return head * head_dim + (at < half ? 2 * at : 2 * (at - half) + 1);
}

int64_t ppi_tensors_row(const struct ppi_model_spec *spec, int64_t row)
{
    return permuted_row(row, spec->head_dim);
}

bool ppi_tensors_turn(const struct ppi_tensors *tensors, int32_t i_rule)
{
    enum ppi_part part = tensors->rules[i_rule].part;
    return (part == PPI_PART_Q || part == PPI_PART_K) && tensors->gguf && tensors->gguf->permuted;
}

static pp_status read_permuted_rows(const struct ppi_stored *stored, int64_t head_dim,
                                    int64_t first_row, int64_t n_rows, int64_t cols, char *dst,
                                    pp_error *err)
{
    size_t row_bytes = (size_t)cols * pp_dtype_size(stored->entry->dtype);
    for (int64_t r = 0; r < n_rows; r++)
        PP_TRY(ppi_stored_read(stored, permuted_row(first_row + r, head_dim) * cols, cols,
                               dst + (size_t)r * row_bytes, err));
    return PP_OK;
}

/* A bias is read whole. */
static pp_status read_permuted_bias(const struct ppi_stored *stored, int64_t head_dim, int64_t n,
                                    char *dst, pp_error *err)
{
    char head[PPI_MAX_HEAD_DIM * sizeof(float)];
    size_t size = pp_dtype_size(stored->entry->dtype), head_bytes = (size_t)head_dim * size;
    PP_TRY(ppi_stored_read(stored, 0, n, dst, err));
    for (int64_t i = 0; i < n / head_dim; i++, dst += head_bytes) {
        memcpy(head, dst, head_bytes);
        for (int64_t r = 0; r < head_dim; r++)
            memcpy(dst + (size_t)r * size, head + (size_t)permuted_row(r, head_dim) * size, size);
    }
    return PP_OK;
}

pp_status ppi_tensors_read(const struct ppi_tensors *tensors, const struct ppi_model_spec *spec,
                           int32_t i_rule, int32_t layer, int64_t first_row, int64_t n_rows,
                           void *dst, pp_error *err)
{
    const struct ppi_tensor_rule *rule = &tensors->rules[i_rule];
    int64_t rows, cols;
    if (!tensors->source) {
        ppi_random_read(tensors, spec, i_rule, layer, first_row, n_rows, dst);
        return PP_OK;
    }
    ppi_part_shape(spec, layer, rule->weight, rule->part, &rows, &cols);
    const struct ppi_stored *stored = ppi_tensors_place(tensors, i_rule, layer);
    if (ppi_tensors_turn(tensors, i_rule)) {
        if (ppi_weight_kinds[rule->weight].matrix == PPI_MATRIX_VECTOR)
            return read_permuted_bias(stored, spec->head_dim, cols, dst, err);
        return read_permuted_rows(stored, spec->head_dim, first_row, n_rows, cols, dst, err);
    }
    return ppi_stored_read(stored, first_row * cols, n_rows * cols, dst, err);
}
