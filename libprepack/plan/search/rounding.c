/*
 * rounding.c: packings from the linear program of column generation. A dive makes the patterns that
 * the program uses most into bins, solves the program again for what is left, and so on; at every
 * stop, minimum bin slack tries to finish. A dive that has failed goes back to where it may still
 * prefer another pattern (limited discrepancy search, Harvey, Ginsberg 1995). Further dives start
 * from the program's first solution and weigh the patterns differently.
 */
#include "columns.h"

#include <math.h>
#include <string.h>

#define ALMOST_ONE 0.8  /* patterns used so much are made in one go */
#define LEAST      1e-4 /* uses that count */
#define MAX_CHOICE 4    /* patterns to choose from at a stop */
#define MAX_DEPTH  2000

/* A generation, where its dives start from, and the bins of the current dive. */
struct diving {
    struct generation generation;
    double *root_inverse; /* [n, n] */
    int32_t *root_basis;  /* [n] */
    int32_t *rest;        /* [n] scratch: what minimum bin slack leaves */
    struct part *parts;   /* [n] scratch */
    struct patterns made;
    struct patterns finished; /* scratch: made, and the rest by minimum bin slack */
};

/* ---- making patterns ---- */

/* Takes a bin's items by a pattern: where a size has run out, shorter items take the places.
 * Returns the number of parts. */
static int64_t take_items(struct diving *diving, int64_t pattern, bool *exactly)
{
    const struct patterns *columns = &diving->generation.master.columns;
    int32_t *left = diving->generation.left;
    int32_t n = diving->generation.master.n;
    int64_t n_parts = 0;
    int32_t from = 0;
    *exactly = true;
    for (int64_t j = columns->starts[pattern]; j < columns->starts[pattern + 1]; j++) {
        int32_t i = columns->parts[j].size > from ? columns->parts[j].size : from;
        for (int32_t wanted = columns->parts[j].count; wanted > 0; wanted--) {
            while (i < n && left[i] == 0)
                i++;
            if (i == n)
                break;
            *exactly = *exactly && i == columns->parts[j].size;
            if (n_parts > 0 && diving->parts[n_parts - 1].size == i)
                diving->parts[n_parts - 1].count++;
            else
                diving->parts[n_parts++] = (struct part){i, 1};
            left[i]--;
        }
        *exactly = *exactly && i < n;
        from = i;
    }
    return n_parts;
}

static void give_back(struct diving *diving, int64_t n_parts)
{
    for (int64_t j = 0; j < n_parts; j++)
        diving->generation.left[diving->parts[j].size] += diving->parts[j].count;
}

/* How often what is left allows the parts once more. */
static int64_t count_more(const struct diving *diving, int64_t n_parts, int64_t wanted)
{
    for (int64_t j = 0; j < n_parts; j++) {
        int64_t most = diving->generation.left[diving->parts[j].size] / diving->parts[j].count;
        wanted = most < wanted ? most : wanted;
    }
    return wanted;
}

/* Makes up to `times` bins of a pattern; with `only_exactly` none in which a size has run out. */
static pp_status make_pattern(struct diving *diving, int64_t pattern, int64_t times,
                              bool only_exactly)
{
    const struct search *search = diving->generation.search;
    while (times > 0) {
        bool exactly;
        int64_t n_parts = take_items(diving, pattern, &exactly);
        if (n_parts == 0 || (only_exactly && !exactly)) {
            give_back(diving, n_parts);
            return PP_OK;
        }
        int64_t more = exactly ? count_more(diving, n_parts, times - 1) : 0;
        for (int64_t j = 0; j < n_parts; j++)
            diving->generation.left[diving->parts[j].size] -=
                (int32_t)(more * diving->parts[j].count);
        PP_TRY(ppi_patterns_add(&diving->made, diving->parts, n_parts, 1 + more, search->mem,
                                search->err));
        times -= 1 + more;
    }
    return PP_OK;
}

/* ---- which patterns ---- */

/* A pattern's weight besides its value: 0 in the first dive, then noise that depends on the dive
 * and the pattern only. */
static double noise(int64_t pattern, int dive)
{
    uint64_t z =
        ((uint64_t)pattern + 1) * 0x9e3779b97f4a7c15u + (uint64_t)dive * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 30) * 0x94d049bb133111ebu;
    return dive == 0 ? 0 : (double)(z >> 40) * 0x1p-24;
}

/* The basic patterns whose values' parts behind the point weigh most, up to n_wanted of them, best
 * first. Returns their number. */
static int choose(struct diving *diving, int dive, int n_wanted, int32_t *patterns)
{
    const struct master *master = &diving->generation.master;
    double weights[MAX_CHOICE];
    int n = 0;
    for (int32_t row = 0; row < master->n; row++) {
        double part = master->values[row] - floor(master->values[row] + LEAST);
        if (master->basis[row] < 0 || part < LEAST)
            continue;
        double weight = part + 0.5 * noise(master->basis[row], dive);
        if (n == n_wanted && weight <= weights[n - 1])
            continue;
        int i = n < n_wanted ? n++ : n - 1;
        for (; i > 0 && weights[i - 1] < weight; i--) {
            weights[i] = weights[i - 1];
            patterns[i] = patterns[i - 1];
        }
        weights[i] = weight;
        patterns[i] = master->basis[row];
    }
    return n;
}

/* Makes the whole parts of all values, the chosen pattern (-1: none) once, and, with the first
 * choice, those that are nearly used once more. */
static pp_status make_bins(struct diving *diving, int32_t chosen, bool is_first)
{
    const struct master *master = &diving->generation.master;
    for (int32_t row = 0; row < master->n; row++) {
        double whole = floor(master->values[row] + LEAST);
        if (master->basis[row] >= 0 && whole >= 1)
            PP_TRY(make_pattern(diving, master->basis[row], (int64_t)whole, true));
    }
    if (chosen >= 0)
        PP_TRY(make_pattern(diving, chosen, 1, false));
    for (int32_t row = 0; row < master->n && is_first; row++) {
        double part = master->values[row] - floor(master->values[row] + LEAST);
        if (master->basis[row] >= 0 && master->basis[row] != chosen && part > ALMOST_ONE)
            PP_TRY(make_pattern(diving, master->basis[row], 1, true));
    }
    return PP_OK;
}

/* Takes back all but the first n patterns made. */
static void unmake(struct diving *diving, int64_t n)
{
    struct patterns *made = &diving->made;
    while (made->n > n) {
        int64_t p = --made->n;
        for (int64_t j = made->starts[p]; j < made->starts[p + 1]; j++)
            diving->generation.left[made->parts[j].size] +=
                (int32_t)(made->times[p] * made->parts[j].count);
        made->n_bins -= made->times[p];
        made->n_parts = made->starts[p];
    }
}

/* ---- finishing ---- */

static int64_t count_left(const struct diving *diving)
{
    int64_t n_left = 0;
    for (int32_t i = 0; i < diving->generation.master.n; i++)
        n_left += diving->generation.left[i];
    return n_left;
}

/* Packs what is left by minimum bin slack; the whole is kept if it is better than the best. */
static pp_status try_finish(struct diving *diving, struct slack_rule rule)
{
    struct search *search = diving->generation.search;
    const struct patterns *made = &diving->made;
    struct patterns *finished = &diving->finished;
    ppi_patterns_clear(finished);
    for (int64_t p = 0; p < made->n; p++)
        PP_TRY(ppi_patterns_add(finished, made->parts + made->starts[p],
                                made->starts[p + 1] - made->starts[p], made->times[p], search->mem,
                                search->err));
    size_t n = (size_t)diving->generation.master.n;
    memcpy(diving->rest, diving->generation.left, n * sizeof *diving->rest);
    PP_TRY(ppi_pack_by_slack(search, rule, diving->rest, search->n_bins, finished));
    for (size_t i = 0; i < n; i++)
        if (diving->rest[i] > 0)
            return PP_OK;
    if (finished->n_bins < search->n_bins) {
        struct patterns worse = search->best;
        search->best = *finished;
        search->n_bins = finished->n_bins;
        *finished = worse;
    }
    return PP_OK;
}

/* Solves the linear program for what is left, from whatever basis there is. True when a better
 * packing may come of it. */
static pp_status solve_again(struct diving *diving, bool *promising)
{
    struct generation *generation = &diving->generation;
    struct search *search = generation->search;
    ppi_master_set_demands(&generation->master, generation->left);
    ppi_search_spend(search, ppi_master_repair(&generation->master));
    *promising = false;
    if (generation->master.broken || ppi_search_done(search))
        return PP_OK;
    PP_TRY(ppi_generate(generation, search->n_bins - diving->made.n_bins));
    *promising = !generation->master.broken && !ppi_search_done(search) &&
                 diving->made.n_bins + generation->bound < search->n_bins;
    return PP_OK;
}

/* One stop of a dive, where the program for what is left is solved: goes on with the pattern that
 * weighs most, then with others as long as `discrepancies` of such choices remain. */
static pp_status dive_on(struct diving *diving, int dive, int discrepancies, int depth)
{
    static const struct slack_rule rules[] = {{300, 1}, {300, 0}};
    struct search *search = diving->generation.search;
    int64_t n_made = diving->made.n;
    int32_t patterns[MAX_CHOICE] = {-1};
    int n_wanted = discrepancies < MAX_CHOICE ? discrepancies + 1 : MAX_CHOICE;
    int n = choose(diving, dive, n_wanted, patterns);
    for (int k = 0; k == 0 || k < n; k++) {
        bool promising = true;
        if (k > 0)
            PP_TRY(solve_again(diving, &promising));
        if (!promising)
            break;
        PP_TRY(make_bins(diving, patterns[k], k == 0));
        for (size_t i = 0; i < PPI_COUNT(rules) && !ppi_search_done(search); i++)
            PP_TRY(try_finish(diving, rules[i]));
        if (diving->made.n > n_made && count_left(diving) > 0 && depth < MAX_DEPTH) {
            PP_TRY(solve_again(diving, &promising));
            if (promising)
                PP_TRY(dive_on(diving, dive, discrepancies - k, depth + 1));
        }
        unmake(diving, n_made);
        if (ppi_search_done(search) || diving->generation.master.broken)
            break;
    }
    return PP_OK;
}

/* The discrepancies of a dive. */
static int discrepancies_of(int dive)
{
    static const int first[] = {0, 1, 0, 1, 2, 1, 2, 3};
    return dive < (int)PPI_COUNT(first) ? first[dive] : dive % 4;
}

static pp_status dive_once(struct diving *diving, int dive)
{
    struct master *master = &diving->generation.master;
    size_t n = (size_t)master->n;
    memcpy(master->inverse, diving->root_inverse, n * n * sizeof *master->inverse);
    memcpy(master->basis, diving->root_basis, n * sizeof *master->basis);
    memcpy(diving->generation.left, diving->generation.search->counts->counts,
           n * sizeof *diving->generation.left);
    master->broken = false;
    ppi_patterns_clear(&diving->made);
    ppi_master_set_demands(master, diving->generation.left);
    return dive_on(diving, dive < 2 ? 0 : dive, discrepancies_of(dive), 0);
}

/* ---- the method ---- */

static pp_status create_scratch(struct diving *diving)
{
    struct search *search = diving->generation.search;
    size_t n = (size_t)search->counts->n;
    struct ppi_mem *mem = search->mem;
    diving->root_inverse = ppi_alloc(mem, n * n, sizeof *diving->root_inverse);
    diving->root_basis = ppi_alloc(mem, n, 2 * sizeof *diving->root_basis);
    diving->parts = ppi_alloc(mem, n, sizeof *diving->parts);
    if (!diving->root_inverse || !diving->root_basis || !diving->parts)
        return ppi_error_nomem(search->err, "rounding", n * n * sizeof *diving->root_inverse);
    diving->rest = diving->root_basis + n;
    const struct master *master = &diving->generation.master;
    memcpy(diving->root_inverse, master->inverse, n * n * sizeof *master->inverse);
    memcpy(diving->root_basis, master->basis, n * sizeof *master->basis);
    return PP_OK;
}

static pp_status solve_and_dive(struct diving *diving, int first_dive, int end_dive)
{
    struct generation *generation = &diving->generation;
    struct search *search = generation->search;
    PP_TRY(ppi_generation_create(generation, search));
    for (int64_t p = 0; p < search->best.n; p++) /* good patterns to begin with */
        PP_TRY(ppi_patterns_add(
            &generation->master.columns, search->best.parts + search->best.starts[p],
            search->best.starts[p + 1] - search->best.starts[p], 1, search->mem, search->err));
    PP_TRY(ppi_generate(generation, search->n_bins));
    if (generation->bound > search->bound_lp)
        search->bound_lp = generation->bound;
    if (search->bound_lp > search->lower_bound)
        search->lower_bound = search->bound_lp;
    if (ppi_search_done(search) || generation->master.broken)
        return PP_OK;
    PP_TRY(create_scratch(diving));
    for (int dive = first_dive; dive < end_dive && !ppi_search_done(search); dive++)
        PP_TRY(dive_once(diving, dive));
    return PP_OK;
}

pp_status ppi_pack_by_columns(struct search *search, int first_dive, int end_dive)
{
    struct diving diving = {.generation.search = search};
    pp_status status = solve_and_dive(&diving, first_dive, end_dive);
    struct ppi_mem *mem = search->mem;
    ppi_patterns_destroy(&diving.made, mem);
    ppi_patterns_destroy(&diving.finished, mem);
    ppi_free(mem, diving.parts);
    ppi_free(mem, diving.root_basis);
    ppi_free(mem, diving.root_inverse);
    ppi_generation_destroy(&diving.generation);
    return status;
}
