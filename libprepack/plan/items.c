/*
 * items.c: prompts become items: groups first, then what is apart, then room and capacities.
 */
#include "items.h"

#include "classes.h"

bool ppi_items_are_lengths(const struct settings *settings, const pp_plan_input *input)
{
    return settings->prompt_alignment == 1 && settings->bin_alignment == 1 &&
           settings->oversize != PP_OVERSIZE_OWN_BIN && !ppi_has_given_bins(settings) &&
           !input->together && !input->apart;
}

void ppi_items_destroy(struct items *items, struct ppi_mem *mem)
{
    ppi_free(mem, items->starts);
    ppi_free(mem, items->prompts);
    ppi_free(mem, items->sizes);
    ppi_free(mem, items->tokens);
    ppi_free(mem, items->squares);
    ppi_free(mem, items->n_prompts);
    ppi_free(mem, items->apart);
    ppi_free(mem, items->apart_starts);
    ppi_free(mem, items->capacities);
    *items = (struct items){0};
}

static pp_status nomem(pp_error *err, int64_t n)
{
    return ppi_error_nomem(err, "the items of a packing", (size_t)n * sizeof(int64_t));
}

/* The prompts of an item, in order of index: *first up to the result. */
static const int32_t *prompts_of(const struct items *items, int64_t item, int64_t *n, int32_t *self)
{
    if (!items->starts) {
        *n = 1;
        *self = (int32_t)item;
        return self;
    }
    *n = items->starts[item + 1] - items->starts[item];
    return items->prompts + items->starts[item];
}

/* ---- together ---- */

/* Groups in any order: item_of gets the item of each prompt; items are numbered by their first. */
static int64_t number_groups(const int32_t *class_of, int64_t n, int32_t *item_of,
                             int32_t *item_of_class, int64_t n_classes)
{
    for (int64_t class = 0; class < n_classes; class ++)
        item_of_class[class] = -1;
    int64_t n_items = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t class = class_of[i];
        if (class >= 0 && item_of_class[class] >= 0) {
            item_of[i] = item_of_class[class];
            continue;
        }
        item_of[i] = (int32_t)n_items++;
        if (class >= 0)
            item_of_class[class] = item_of[i];
    }
    return n_items;
}

/* Bins are runs of neighbours: what lies between prompts of one class is in their bin, too. */
static int64_t number_runs(const int32_t *class_of, int64_t n, int32_t *item_of,
                           int32_t *last_of_class)
{
    for (int64_t i = 0; i < n; i++)
        if (class_of[i] >= 0)
            last_of_class[class_of[i]] = (int32_t)i;
    int64_t n_items = 0;
    for (int64_t i = 0; i < n; n_items++)
        for (int64_t last = i; i <= last; i++) {
            if (class_of[i] >= 0 && last_of_class[class_of[i]] > last)
                last = last_of_class[class_of[i]];
            item_of[i] = (int32_t)n_items;
        }
    return n_items;
}

/* starts, prompts, n_prompts from the item of each prompt. */
static pp_status list_prompts(struct items *items, const int32_t *item_of, int64_t n_prompts,
                              struct ppi_mem *mem, pp_error *err)
{
    int64_t n = items->packing.n;
    items->starts = ppi_zalloc(mem, (size_t)n + 1, sizeof *items->starts);
    items->prompts = ppi_alloc(mem, (size_t)n_prompts, sizeof *items->prompts);
    items->n_prompts = ppi_zalloc(mem, (size_t)n, sizeof *items->n_prompts);
    if (!items->starts || !items->prompts || !items->n_prompts)
        return nomem(err, n_prompts);
    for (int64_t i = 0; i < n_prompts; i++)
        items->starts[item_of[i] + 1]++;
    for (int64_t item = 0; item < n; item++)
        items->starts[item + 1] += items->starts[item];
    for (int64_t i = 0; i < n_prompts; i++) {
        int32_t item = item_of[i];
        items->prompts[items->starts[item] + items->n_prompts[item]++] = (int32_t)i;
    }
    items->packing.n_prompts = items->n_prompts;
    return PP_OK;
}

static pp_status group(struct items *items, const struct settings *settings,
                       const pp_plan_input *input, struct ppi_mem *mem, pp_error *err)
{
    size_t n = (size_t)input->n;
    items->packing.n = input->n;
    if (!input->together)
        return PP_OK;
    int32_t *class_of = ppi_alloc(mem, n, sizeof *class_of);
    int32_t *item_of = ppi_alloc(mem, n, sizeof *item_of);
    int32_t *of_class = ppi_alloc(mem, n, sizeof *of_class);
    int64_t n_classes;
    pp_status status = PP_OK;
    if (!class_of || !item_of || !of_class)
        status = nomem(err, input->n);
    if (status == PP_OK)
        status = ppi_classes_number(input->together, input->n, class_of, &n_classes, mem, err);
    if (status == PP_OK && n_classes > 0) {
        items->packing.n = settings->keep_order
                               ? number_runs(class_of, input->n, item_of, of_class)
                               : number_groups(class_of, input->n, item_of, of_class, n_classes);
        status = list_prompts(items, item_of, input->n, mem, err);
    }
    ppi_free(mem, of_class);
    ppi_free(mem, item_of);
    ppi_free(mem, class_of);
    return status;
}

/* ---- apart ---- */

/* Of an item's prompts before `end` the one of this class. */
static int32_t find_member(const struct items *items, int64_t item, int64_t end,
                           const int32_t *class_of, int32_t class)
{
    int64_t i = items->starts[item];
    while (i < end - 1 && class_of[items->prompts[i]] != class)
        i++;
    return items->prompts[i];
}

/* The classes of each item; no item has one twice. last_item: [n_classes] scratch. */
static pp_status list_classes(struct items *items, const pp_plan_input *input,
                              const int32_t *class_of, int32_t *last_item, int64_t n_classes,
                              pp_error *err)
{
    for (int64_t class = 0; class < n_classes; class ++)
        last_item[class] = -1;
    int64_t n_listed = 0;
    for (int64_t item = 0; item < items->packing.n; item++) {
        items->apart_starts[item] = n_listed;
        for (int64_t i = items->starts[item]; i < items->starts[item + 1]; i++) {
            int32_t prompt = items->prompts[i];
            int32_t class = class_of[prompt];
            if (class < 0)
                continue;
            if (last_item[class] == item)
                return ppi_error_at(err, PP_ERR_ARG, prompt,
                                    "prompts %d and %d shall be apart (class %d), but must be "
                                    "together in one bin",
                                    find_member(items, item, i, class_of, class), prompt,
                                    input->apart[prompt]);
            last_item[class] = (int32_t)item;
            items->apart[n_listed++] = class;
        }
    }
    items->apart_starts[items->packing.n] = n_listed;
    items->packing.apart_starts = items->apart_starts;
    return PP_OK;
}

static pp_status keep_apart(struct items *items, const pp_plan_input *input, struct ppi_mem *mem,
                            pp_error *err)
{
    if (!input->apart)
        return PP_OK;
    size_t n = (size_t)input->n;
    items->apart = ppi_alloc(mem, n, sizeof *items->apart);
    if (!items->apart)
        return nomem(err, input->n);
    if (!items->starts) { /* each item has the class of its prompt */
        int64_t n_classes;
        PP_TRY(ppi_classes_number(input->apart, input->n, items->apart, &n_classes, mem, err));
        items->packing.apart = n_classes > 0 ? items->apart : NULL;
        return PP_OK;
    }
    items->apart_starts = ppi_alloc(mem, (size_t)items->packing.n + 1, sizeof *items->apart_starts);
    int32_t *class_of = ppi_alloc(mem, n, sizeof *class_of);
    int32_t *last_item = ppi_alloc(mem, n, sizeof *last_item);
    int64_t n_classes = 0;
    pp_status status = PP_OK;
    if (!items->apart_starts || !class_of || !last_item)
        status = nomem(err, input->n);
    if (status == PP_OK)
        status = ppi_classes_number(input->apart, input->n, class_of, &n_classes, mem, err);
    if (status == PP_OK && n_classes > 0) {
        status = list_classes(items, input, class_of, last_item, n_classes, err);
        items->packing.apart = items->apart;
    }
    ppi_free(mem, last_item);
    ppi_free(mem, class_of);
    return status;
}

/* ---- room ---- */

/* a rounded up to a multiple; false: above 2^63 - 1. */
static bool round_up(int64_t a, int64_t multiple, int64_t *result)
{
    int64_t over = a % multiple;
    return !__builtin_add_overflow(a, over == 0 ? 0 : multiple - over, result);
}

/* Sizes of the items, and their tokens and squares where those are not the sizes'. */
static pp_status measure(struct items *items, const struct settings *settings,
                         const pp_plan_input *input, struct ppi_mem *mem, pp_error *err)
{
    struct packing *packing = &items->packing;
    size_t n = (size_t)packing->n;
    bool costs = settings->objective != PP_OBJECTIVE_FEWEST_BINS; /* does it know costs? */
    items->sizes = ppi_alloc(mem, n, sizeof *items->sizes);
    items->tokens = costs ? ppi_alloc(mem, n, sizeof *items->tokens) : NULL;
    items->squares = costs ? ppi_alloc(mem, n, sizeof *items->squares) : NULL;
    if (!items->sizes || (costs && (!items->tokens || !items->squares)))
        return nomem(err, (costs ? 3 : 1) * packing->n);
    packing->shortest = INT64_MAX;
    for (int64_t item = 0; item < packing->n; item++) {
        int64_t size = 0, tokens = 0, n_prompts;
        double squares = 0;
        int32_t self;
        const int32_t *prompts = prompts_of(items, item, &n_prompts, &self);
        for (int64_t i = 0; i < n_prompts; i++) {
            int64_t length = input->lengths[prompts[i]];
            int64_t room;
            if (!round_up(length, settings->prompt_alignment, &room) ||
                __builtin_add_overflow(size, room, &size))
                return ppi_error_at(err, PP_ERR_ARG, prompts[i],
                                    "prompt %d, aligned to %lld tokens, makes the sum of all "
                                    "lengths more than 2^63 - 1",
                                    prompts[i], (long long)settings->prompt_alignment);
            tokens += length;
            squares += (double)length * (double)length;
        }
        items->sizes[item] = size;
        if (costs) {
            items->tokens[item] = tokens;
            items->squares[item] = squares;
        }
        packing->shortest = size < packing->shortest ? size : packing->shortest;
        packing->longest = size > packing->longest ? size : packing->longest;
        if (__builtin_add_overflow(packing->total, size, &packing->total))
            return ppi_error_at(err, PP_ERR_ARG, prompts[0],
                                "aligned to %lld tokens, the prompts have more than 2^63 - 1 "
                                "tokens together",
                                (long long)settings->prompt_alignment);
    }
    packing->sizes = items->sizes;
    packing->tokens = items->tokens;
    packing->squares = items->squares;
    return PP_OK;
}

/* Capacities as whole multiples of the bins' alignment. */
static pp_status set_capacities(struct items *items, const struct settings *settings,
                                struct ppi_mem *mem, pp_error *err)
{
    struct packing *packing = &items->packing;
    int64_t alignment = settings->bin_alignment;
    packing->capacities = settings->capacities;
    packing->n_capacities = settings->n_capacities;
    if (ppi_has_given_bins(settings)) {
        size_t n = (size_t)settings->n_capacities;
        items->capacities = ppi_alloc(mem, n, sizeof *items->capacities);
        if (!items->capacities)
            return nomem(err, settings->n_capacities);
        for (size_t i = 0; i < n; i++) {
            int64_t capacity = settings->capacities[i];
            items->capacities[i] = capacity - capacity % alignment;
            if (items->capacities[i] > packing->capacity)
                packing->capacity = items->capacities[i];
        }
        packing->capacities = items->capacities;
    } else if (settings->capacity > 0) { /* CHEAPEST: of the longest row */
        packing->capacity = settings->capacity - settings->capacity % alignment;
    } else if (settings->objective == PP_OBJECTIVE_BALANCED) {
        packing->capacity = INT64_MAX;
    } else if (!round_up(packing->longest, alignment, &packing->capacity)) {
        return ppi_error(err, PP_ERR_ARG, "%lld tokens, aligned to %lld, are more than 2^63 - 1",
                         (long long)packing->longest, (long long)alignment);
    }
    return PP_OK;
}

/* A sentence on an item that no bin can hold. */
static pp_status refuse(const struct items *items, const pp_plan_input *input, int64_t item,
                        pp_error *err)
{
    const struct packing *packing = &items->packing;
    int64_t n;
    int32_t self;
    const int32_t *prompts = prompts_of(items, item, &n, &self);
    bool too_many = n > packing->max_prompts;
    if (n == 1 && packing->sizes[item] == input->lengths[prompts[0]])
        return ppi_error_at(err, PP_ERR_TOO_LONG, prompts[0],
                            "prompt %d has %lld tokens, but a bin holds %lld", prompts[0],
                            (long long)packing->sizes[item], (long long)packing->capacity);
    if (n == 1)
        return ppi_error_at(err, PP_ERR_TOO_LONG, prompts[0],
                            "prompt %d has %lld tokens, %lld with its alignment, but a bin holds "
                            "%lld",
                            prompts[0], (long long)input->lengths[prompts[0]],
                            (long long)packing->sizes[item], (long long)packing->capacity);
    return ppi_error_at(err, PP_ERR_TOO_LONG, prompts[0],
                        "the %lld prompts together with prompt %d (class %d) %s %lld%s, but a bin "
                        "holds %lld",
                        (long long)n, prompts[0], input->together[prompts[0]],
                        too_many ? "are" : "take", (long long)(too_many ? n : packing->sizes[item]),
                        too_many ? "" : " tokens",
                        (long long)(too_many ? packing->max_prompts : packing->capacity));
}

/* Every item fits, or fills a bin of its own. */
static pp_status fit(struct items *items, const struct settings *settings,
                     const pp_plan_input *input, pp_error *err)
{
    struct packing *packing = &items->packing;
    bool own_bin = settings->oversize == PP_OVERSIZE_OWN_BIN;
    bool grouped = items->starts != NULL;
    if (packing->longest <= packing->capacity && !(grouped && packing->max_prompts < input->n))
        return PP_OK;
    packing->shortest = INT64_MAX;
    packing->longest = 0;
    for (int64_t item = 0; item < packing->n; item++) {
        int64_t n_prompts = grouped ? items->n_prompts[item] : 1;
        int64_t *size = &items->sizes[item];
        bool too_long = *size > packing->capacity;
        if ((too_long && !(own_bin && n_prompts == 1)) || n_prompts > packing->max_prompts)
            return refuse(items, input, item, err);
        int64_t need;
        if (too_long && !round_up(*size, settings->bin_alignment, &need))
            return ppi_error_at(err, PP_ERR_ARG, item,
                                "%lld tokens, aligned to %lld, are more than 2^63 - 1",
                                (long long)*size, (long long)settings->bin_alignment);
        if (too_long) {
            items->oversize = true;
            packing->total -= *size - packing->capacity;
            *size = packing->capacity;
        }
        packing->shortest = *size < packing->shortest ? *size : packing->shortest;
        packing->longest = *size > packing->longest ? *size : packing->longest;
    }
    return PP_OK;
}

pp_status ppi_items_create(struct items *items, const struct settings *settings,
                           const pp_plan_input *input, const struct survey *survey,
                           struct ppi_mem *mem, pp_error *err)
{
    *items = (struct items){
        .packing = {
            .n = input->n,
            .sizes = input->lengths,
            .shortest = survey->shortest,
            .longest = survey->longest,
            .total = survey->tokens,
            .max_prompts = settings->max_prompts > 0 ? settings->max_prompts : INT64_MAX,
            .n_bins = settings->n_bins,
            .keep_order = settings->keep_order != 0,
            .policy = settings->policy,
            .max_steps = settings->max_steps,
            .max_seconds = settings->max_seconds,
        }};
    if (ppi_items_are_lengths(settings, input))
        return set_capacities(items, settings, mem, err);
    PP_TRY(group(items, settings, input, mem, err));
    PP_TRY(keep_apart(items, input, mem, err));
    items->packing.longest = items->packing.total = 0;
    PP_TRY(measure(items, settings, input, mem, err));
    PP_TRY(set_capacities(items, settings, mem, err));
    return fit(items, settings, input, err);
}

void ppi_items_expand(const struct items *items, const int32_t *in_bins, struct pp_plan *plan)
{
    int64_t n_placed = 0;
    int64_t first = 0; /* item of the bin */
    for (int64_t bin = 0; bin < plan->info.n_bins; bin++) {
        int64_t end = plan->bin_starts[bin + 1];
        plan->bin_starts[bin] = n_placed;
        for (; first < end; first++) {
            int64_t n;
            int32_t self;
            const int32_t *prompts = prompts_of(items, in_bins[first], &n, &self);
            for (int64_t i = 0; i < n; i++)
                plan->prompts[n_placed++] = prompts[i];
        }
    }
    plan->bin_starts[plan->info.n_bins] = n_placed;
}
