/*
 * tensors.c: finds the stored tensors of a model by its architecture's rules.
 */
#include "model/tensors.h"
#include "model/tensor_codes.h"

#include <prepack/session.h>

#include <stdio.h>
#include <string.h>

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

/* ---- places ---- */

struct ppi_stored *ppi_tensors_place(const struct ppi_tensors *tensors, int32_t i_rule,
                                     int32_t layer)
{
    bool in_layer = ppi_weight_kinds[tensors->rules[i_rule].weight].in_layer;
    return &tensors->stored[(in_layer ? (size_t)layer * (size_t)tensors->n_rules : 0) +
                            (size_t)i_rule];
}

/* Rules among the first n that have several tensors. */
static size_t count_several(const struct ppi_tensors *tensors, int32_t n)
{
    size_t count = 0;
    for (int32_t i = 0; i < n; i++) {
        const struct ppi_rule_at at = {.rule = &tensors->rules[i], .gguf = tensors->gguf};
        count += tensors->gguf ? ppi_rule_n_tensors(&at) > 1 : ppi_rule_names_each(at.rule);
    }
    return count;
}

struct ppi_stored *ppi_tensors_place_of(const struct ppi_tensors *tensors, int32_t i_rule,
                                        int32_t layer, int32_t i_tensor)
{
    if (i_tensor == 0)
        return ppi_tensors_place(tensors, i_rule, layer);
    size_t table = (size_t)tensors->n_layers * (size_t)tensors->n_rules;
    size_t row = (size_t)layer * count_several(tensors, tensors->n_rules);
    row += count_several(tensors, i_rule);
    return &tensors->stored[table + row * (size_t)(tensors->n_each - 1) + (size_t)i_tensor - 1];
}

static size_t count_places(const struct ppi_tensors *tensors)
{
    size_t n = (size_t)tensors->n_layers * (size_t)tensors->n_rules;
    if (tensors->n_each > 0)
        n += (size_t)tensors->n_layers * count_several(tensors, tensors->n_rules) *
             (size_t)(tensors->n_each - 1);
    return n;
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
        ppi_gguf_rule_name(opening->tensors->gguf, rule, &opening->config->spec, layer, name);
    else
        ppi_rule_name(rule, &opening->tensors->prefixes, &opening->config->spec, layer, name);
}

/* Of one of a rule's tensors. */
static void name_of_tensor(const struct opening *opening, const struct ppi_rule_at *at,
                           int32_t i_tensor, char name[PPI_TENSOR_NAME_BYTES])
{
    struct ppi_tensor_rule rule = *at->rule;
    rule.part = ppi_rule_part_of(at, i_tensor);
    name_of(opening, &rule, at->layer, name);
    ppi_name_expert(name, i_tensor);
}

/* By pp_model_convert, to a format of codes. */
static bool is_converted(const struct ppi_tensors *tensors)
{
    return tensors->weights != PP_WEIGHTS_AUTO;
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
static pp_status check_stored(const struct opening *opening, const struct ppi_rule_at *at,
                              const struct ppi_stored *stored)
{
    const struct ppi_stored_entry *entry = stored->entry;
    const char *label = stored->file->label.text;
    int64_t wanted[PPI_RULE_MAX_RANK];
    int32_t rank = ppi_stored_shape(at, wanted);
    if (at->gguf && rank == 2 && wanted[0] == 1 && entry->rank == 1) { /* a matrix of one row */
        wanted[0] = wanted[1];
        rank = 1;
    }
    bool vector = ppi_weight_kinds[at->rule->weight].matrix == PPI_MATRIX_VECTOR;
    if (at->gguf && vector && rank == 1 && entry->rank == 2 &&
        entry->shape[0] * entry->shape[1] == wanted[0]) { /* a vector in rows */
        wanted[0] = entry->shape[0];
        wanted[1] = entry->shape[1];
        rank = 2;
    }
    if (entry->rank != rank || memcmp(entry->shape, wanted, (size_t)rank * sizeof *wanted) != 0) {
        char found[PPI_STORED_MAX_RANK * 22], asked[PPI_RULE_MAX_RANK * 22];
        shape_text(found, sizeof found, entry->shape, entry->rank);
        shape_text(asked, sizeof asked, wanted, rank);
        return ppi_error(opening->err, PP_ERR_FORMAT,
                         "%s: tensor \"%s\" has shape [%s]; %s for [%s]", label, entry->name, found,
                         at->gguf ? "the file's keys ask" : "config.json asks", asked);
    }
    if (at->gguf && at->rule->weight == PPI_WEIGHT_LINEAR_A_LOG && entry->dtype != PP_DTYPE_F32)
        return ppi_error(opening->err, PP_ERR_UNSUPPORTED,
                         "%s: tensor \"%s\" has dtype %s; F32 is supported for it", label,
                         entry->name, entry->dtype_name);
    if (entry->dtype == 0)
        return ppi_error(opening->err, PP_ERR_UNSUPPORTED,
                         "%s: tensor \"%s\" has dtype %s; F32, F16%s and BF16 are supported", label,
                         entry->name, entry->dtype_name,
                         at->gguf ? ", Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, "
                                    "IQ4_NL, IQ4_XS, MXFP4"
                                  : "");
    return PP_OK;
}

/* Several tensors are read as if they were one. */
static pp_status check_alike(const struct opening *opening, const struct ppi_stored *stored,
                             const struct ppi_stored *first)
{
    if (stored->entry->dtype == first->entry->dtype &&
        stored->entry->blocks == first->entry->blocks)
        return PP_OK;
    return ppi_error(opening->err, PP_ERR_UNSUPPORTED,
                     "%s: tensor \"%s\" has dtype %s, and \"%s\" %s; experts of one dtype are "
                     "supported",
                     stored->file->label.text, stored->entry->name, stored->entry->dtype_name,
                     first->entry->name, first->entry->dtype_name);
}

static pp_status find_numbers(const struct opening *opening, const struct ppi_rule_at *at,
                              const char *name, struct ppi_stored *stored)
{
    if (!ppi_source_find(opening->tensors->source, name, stored))
        return ppi_source_missing(opening->tensors->source, name, opening->err);
    return check_stored(opening, at, stored);
}

/* All that a rule has. */
static pp_status find_tensors_of(const struct opening *opening, int32_t i_rule, int32_t layer)
{
    struct ppi_tensors *tensors = opening->tensors;
    const struct ppi_model_spec *spec = &opening->config->spec;
    const struct ppi_rule_at at = ppi_tensors_rule(tensors, spec, i_rule, layer);
    int32_t n = ppi_rule_n_tensors(&at);
    bool codes = is_converted(tensors) && ppi_weight_has_codes(at.rule->weight);
    bool blocks = ppi_rule_as(&at) == PPI_AS_BLOCKS;
    for (int32_t i = 0; i < n; i++) {
        char name[PPI_TENSOR_NAME_BYTES];
        struct ppi_stored *stored = ppi_tensors_place_of(tensors, i_rule, layer, i);
        name_of_tensor(opening, &at, i, name);
        PP_TRY(blocks  ? ppi_tensors_find_blocks(tensors, &at, name, stored, opening->err)
               : codes ? ppi_tensors_find_codes(tensors, &at, name, stored, opening->err)
                       : find_numbers(opening, &at, name, stored));
        if (i > 0)
            PP_TRY(check_alike(opening, stored, ppi_tensors_place(tensors, i_rule, layer)));
    }
    return PP_OK;
}

static pp_status find_one(const struct opening *opening, int32_t i_rule, int32_t layer)
{
    struct ppi_tensors *tensors = opening->tensors;
    const struct ppi_tensor_rule *rule = &tensors->rules[i_rule];
    if (rule->as == PPI_AS_ONES)
        return PP_OK;
    if (rule->weight == PPI_WEIGHT_LM_HEAD && opening->config->spec.tie_embeddings &&
        !is_converted(tensors)) {
        *ppi_tensors_place(tensors, i_rule, layer) =
            *ppi_tensors_place(tensors, rule_of(tensors, PPI_WEIGHT_EMBED), 0);
        return PP_OK;
    }
    return find_tensors_of(opening, i_rule, layer);
}

/* ---- tied embeddings ---- */

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
    PP_TRY(ppi_stored_compare(&embed, &head, opening->mem, &equal, opening->err));
    opening->config->spec.tie_embeddings = equal;
    if (!equal)
        ppi_log(
            opening->log, PP_LOG_WARNING,
            "%s: tie_word_embeddings is true, but \"%s\" and \"%s\" are both stored and differ; "
            "each is used",
            opening->label, names[0], names[1]);
    return PP_OK;
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

/* Which of the forms in which a class may have its experts is there: the first that has a tensor.
 */
static void settle_experts(const struct opening *opening)
{
    struct ppi_tensors *tensors = opening->tensors;
    struct ppi_model_spec *spec = &opening->config->spec;
    int32_t layer = 0;
    while (layer < spec->n_layers && !spec->layers[layer].has_experts)
        layer++;
    spec->experts.files = ppi_experts_form(tensors->rules, PPI_ALWAYS);
    for (int32_t i = 0; layer < spec->n_layers && i < tensors->n_rules; i++) {
        const struct ppi_rule_at at = ppi_tensors_rule(tensors, spec, i, layer);
        enum ppi_weight weight = at.rule->weight;
        char name[PPI_TENSOR_NAME_BYTES];
        struct ppi_stored stored;
        if (weight != PPI_WEIGHT_EXPERT_GATE_UP && weight != PPI_WEIGHT_EXPERT_DOWN)
            continue;
        name_of_tensor(opening, &at, 0, name);
        if (ppi_rule_as(&at) == PPI_AS_BLOCKS)
            strncat(name, "_blocks", sizeof name - strlen(name) - 1);
        if (!ppi_source_find(tensors->source, name, &stored))
            continue;
        spec->experts.files = (int32_t)at.rule->when;
        return;
    }
}

/* The parts of each matrix of a converted model. */
static pp_status check_codes(const struct opening *opening)
{
    const struct ppi_tensors *tensors = opening->tensors;
    const struct ppi_model_spec *spec = &opening->config->spec;
    for (int32_t layer = 0; layer < spec->n_layers; layer++)
        for (int32_t i = 0; i < tensors->n_rules; i += ppi_rule_n_parts(&tensors->rules[i])) {
            enum ppi_weight weight = tensors->rules[i].weight;
            if (ppi_weight_has_codes(weight) && (ppi_weight_kinds[weight].in_layer || layer == 0))
                PP_TRY(ppi_tensors_check_codes(tensors, spec, i, layer, opening->err));
        }
    return PP_OK;
}

/* What files hold of keys and values of a layer that sees another's is not used. */
static void pass_over(const struct opening *opening, const struct ppi_tensor_rule *rule,
                      int32_t layer)
{
    char name[PPI_TENSOR_NAME_BYTES];
    struct ppi_stored stored;
    if (!ppi_rule_is_of_other_keys(rule, &opening->config->spec, layer))
        return;
    name_of(opening, rule, layer, name);
    ppi_source_find(opening->tensors->source, name, &stored);
}

static pp_status find_all(const struct opening *opening)
{
    struct ppi_tensors *tensors = opening->tensors;
    const struct ppi_model_spec *spec = &opening->config->spec;
    for (int32_t layer = 0; layer < spec->n_layers; layer++)
        for (int32_t i = 0; i < tensors->n_rules; i++) {
            const struct ppi_tensor_rule *rule = &tensors->rules[i];
            bool once = !ppi_weight_kinds[rule->weight].in_layer;
            if (once && layer > 0)
                continue;
            if (ppi_rule_holds(rule, spec, layer))
                PP_TRY(find_one(opening, i, layer));
            else
                pass_over(opening, rule, layer);
        }
    return PP_OK;
}

/* That of the first matrix of the first layer. */
static int32_t dtype_of_first(const struct opening *opening)
{
    const struct ppi_tensors *tensors = opening->tensors;
    for (int32_t i = 0; i < tensors->n_rules; i++) {
        const struct ppi_weight_kind *kind = &ppi_weight_kinds[tensors->rules[i].weight];
        bool matrix = kind->in_layer && ppi_weight_has_codes(tensors->rules[i].weight);
        const struct ppi_stored *stored = ppi_tensors_place(tensors, i, 0);
        if (matrix && stored->entry)
            return ppi_tensors_dtype(tensors, i, 0);
    }
    return ppi_tensors_dtype(tensors, rule_of(tensors, PPI_WEIGHT_EMBED), 0);
}

/* That of the matrices where they have one, F32 where they differ or are read as that: a norm or a
 * table among blocks of few bits does not say what the model was made of. */
static int32_t dtype_of_all(const struct opening *opening)
{
    const struct ppi_tensors *tensors = opening->tensors;
    int32_t dtype = dtype_of_first(opening);
    for (int32_t layer = 0; layer < opening->config->spec.n_layers; layer++)
        for (int32_t i = 0; i < tensors->n_rules; i++) {
            const struct ppi_stored *stored = ppi_tensors_place(tensors, i, layer);
            bool matrix = ppi_weight_has_codes(tensors->rules[i].weight);
            if (matrix && stored->entry && stored->entry->dtype != dtype)
                return PP_DTYPE_F32;
        }
    return dtype;
}

static pp_status make_places(const struct opening *opening)
{
    struct ppi_tensors *tensors = opening->tensors;
    const struct ppi_experts_spec *experts = &opening->config->spec.experts;
    tensors->n_layers = opening->config->spec.n_layers;
    bool single = experts->files == PPI_WHEN_EXPERTS_SINGLE && !tensors->gguf;
    tensors->n_each = single ? experts->n : tensors->gguf ? 2 : 0;
    size_t n = count_places(tensors);
    tensors->stored = ppi_zalloc(opening->mem, n, sizeof *tensors->stored);
    if (!tensors->stored)
        return ppi_error_nomem(opening->err, "the places of tensors", n * sizeof *tensors->stored);
    if (!is_converted(tensors) && experts->files != PPI_WHEN_EXPERTS_PACKED)
        return PP_OK;
    tensors->codes = ppi_zalloc(opening->mem, n, sizeof *tensors->codes);
    return tensors->codes
               ? PP_OK
               : ppi_error_nomem(opening->err, "the places of scales", n * sizeof *tensors->codes);
}

/* The source is open. */
static pp_status find_tensors(struct opening *opening)
{
    struct ppi_tensors *tensors = opening->tensors;
    if (!tensors->gguf) {
        find_prefixes(opening);
        settle_head(opening);
    }
    if (opening->config->spec.experts.n > 0)
        settle_experts(opening);
    PP_TRY(make_places(opening));
    if (!is_converted(tensors))
        PP_TRY(check_tied(opening));
    PP_TRY(find_all(opening));
    if (is_converted(tensors))
        PP_TRY(check_codes(opening));
    ppi_tensors_warn_of_unused(tensors, opening->config, opening->label, opening->log);
    if (!is_converted(tensors)) /* else config.json says what the model was made of */
        opening->config->spec.dtype =
            tensors->gguf ? dtype_of_all(opening) : dtype_of_first(opening);
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
