/*
 * bin_slack.c: minimum bin slack (Gupta, Ho 1999) in the form MBS' of Fleszar and Hindi (2002): the
 * longest item that waits opens a bin, and a search over the sizes, longest first, finds what fills
 * the rest best. A bin that cannot be filled better ends its search; so does a limit of nodes.
 * Bins that come out equal are made together.
 */
#include "search.h"

#include <string.h>

struct slack_search {
    const struct size_counts *counts;
    int32_t *left;       /* [n] items that wait */
    int32_t *next_alive; /* [n + 1] first size from i on with items that wait, found by halving */
    int64_t *totals;     /* [n + 1] sum of the items that wait from size i on */
    struct part *chosen; /* [n] the path to the current node */
    struct part *best;   /* [n] */
    int64_t n_chosen, n_best;
    int64_t n_left; /* items that wait */
};

static int32_t find_alive(int32_t *next, int32_t i)
{
    while (next[i] != i) {
        next[i] = next[next[i]];
        i = next[i];
    }
    return i;
}

/* The longest size from i on that waits and is at most `room`; n: none. */
static int32_t find_fitting(struct slack_search *slack, int32_t i, int64_t room)
{
    const int64_t *sizes = slack->counts->sizes;
    int32_t end = slack->counts->n;
    if (i < end && sizes[i] > room) {
        while (i < end) { /* sizes before i are too long, those from end on are not */
            int32_t middle = i + (end - i) / 2;
            if (sizes[middle] > room)
                i = middle + 1;
            else
                end = middle;
        }
    }
    return find_alive(slack->next_alive, i);
}

/* Finds what fills `room` best with at most max_items of the items from size i on. Returns the
 * nodes looked at. */
static int64_t fill_room(struct slack_search *slack, int32_t i, int64_t room, int64_t max_items,
                         int64_t max_nodes)
{
    const struct size_counts *counts = slack->counts;
    int64_t least_room = room;
    int64_t n_nodes = 0;
    slack->n_chosen = slack->n_best = 0;
    while (n_nodes++ < max_nodes) {
        if (max_items > 0)
            i = find_fitting(slack, i, room);
        if (max_items > 0 && i < counts->n) {
            int64_t size = counts->sizes[i];
            int64_t most = slack->totals[i];
            if (max_items < most / size)
                most = max_items * size;
            if (room - most < least_room) { /* the best that can come is better */
                int64_t count = slack->left[i] < max_items ? slack->left[i] : max_items;
                if (count > 1 && count > room / size)
                    count = room / size;
                slack->chosen[slack->n_chosen++] = (struct part){i, (int32_t)count};
                room -= count * size;
                max_items -= count;
                if (room < least_room) {
                    least_room = room;
                    slack->n_best = slack->n_chosen;
                    memcpy(slack->best, slack->chosen,
                           (size_t)slack->n_chosen * sizeof *slack->best);
                }
                if (least_room == 0)
                    return n_nodes;
                i++;
                continue;
            }
        }
        if (slack->n_chosen == 0)
            return n_nodes;
        struct part *last = &slack->chosen[slack->n_chosen - 1]; /* one less of the last */
        room += counts->sizes[last->size];
        max_items++;
        i = last->size + 1;
        if (--last->count == 0)
            slack->n_chosen--;
    }
    return n_nodes;
}

/* Items of a bin besides the first, so that their mean is about that of those that wait. */
static int64_t items_by_average(const struct slack_search *slack, double average, int32_t first)
{
    average *= (double)slack->totals[first] / (double)slack->n_left;
    double most = (double)slack->counts->capacity / average;
    return most >= (double)slack->n_left ? slack->n_left : most < 1 ? 0 : (int64_t)most - 1;
}

/* The number of equal bins that can be made of the best pattern now. */
static int64_t count_times(const struct slack_search *slack)
{
    int64_t times = INT64_MAX;
    for (int64_t j = 0; j < slack->n_best; j++) {
        int64_t most = slack->left[slack->best[j].size] / slack->best[j].count;
        times = most < times ? most : times;
    }
    return times;
}

static void sum_totals(struct slack_search *slack, int32_t first)
{
    const struct size_counts *counts = slack->counts;
    int64_t total = 0;
    for (int32_t i = counts->n - 1; i >= first; i--)
        slack->totals[i] = total += slack->left[i] * counts->sizes[i];
}

/* Makes bins, all of them alike, that begin with an item of size `first`. */
static pp_status make_bins(struct search *search, struct slack_search *slack,
                           struct slack_rule rule, int32_t first, struct patterns *patterns)
{
    int64_t room = slack->counts->capacity - slack->counts->sizes[first];
    int64_t max_items =
        rule.average > 0 ? items_by_average(slack, rule.average, first) : slack->n_left;
    slack->left[first]--;
    slack->totals[first] -= slack->counts->sizes[first];
    if (slack->left[first] == 0)
        slack->next_alive[first] = first + 1;
    int64_t n_nodes = fill_room(slack, first, room, max_items, rule.max_nodes);
    slack->left[first]++;
    if (slack->n_best > 0 && slack->best[0].size == first)
        slack->best[0].count++;
    else {
        memmove(slack->best + 1, slack->best, (size_t)slack->n_best * sizeof *slack->best);
        slack->best[0] = (struct part){first, 1};
        slack->n_best++;
    }
    int64_t times = count_times(slack);
    if (rule.average > 0) /* the average moves */
        times = (times + 3) / 4;
    for (int64_t j = 0; j < slack->n_best; j++) {
        int32_t i = slack->best[j].size;
        slack->left[i] -= (int32_t)(times * slack->best[j].count);
        slack->n_left -= times * slack->best[j].count;
        slack->next_alive[i] = slack->left[i] == 0 ? i + 1 : i;
    }
    ppi_search_spend(search, n_nodes + (slack->counts->n - first) / 16 + 1);
    return ppi_patterns_add(patterns, slack->best, slack->n_best, times, search->mem, search->err);
}

pp_status ppi_pack_by_slack(struct search *search, struct slack_rule rule, int32_t *left,
                            int64_t limit, struct patterns *patterns)
{
    const struct size_counts *counts = search->counts;
    size_t n = (size_t)counts->n;
    struct slack_search slack = {.counts = counts, .left = left};
    pp_status status = PP_OK;
    slack.next_alive = ppi_alloc(search->mem, n + 1, sizeof *slack.next_alive);
    slack.totals = ppi_zalloc(search->mem, n + 1, sizeof *slack.totals);
    slack.chosen = ppi_alloc(search->mem, 2 * n + 1, sizeof *slack.chosen);
    if (!slack.next_alive || !slack.totals || !slack.chosen) {
        status = ppi_error_nomem(search->err, "filling bins", n * 28);
        goto done;
    }
    slack.best = slack.chosen + n;
    for (int32_t i = 0; i <= counts->n; i++)
        slack.next_alive[i] = i == counts->n || left[i] > 0 ? i : i + 1;
    for (size_t i = 0; i < n; i++)
        slack.n_left += left[i];
    for (int32_t first = 0; slack.n_left > 0 && search->limit_reached == 0;) {
        first = find_alive(slack.next_alive, first);
        sum_totals(&slack, first);
        int64_t least =
            slack.totals[first] / counts->capacity + (slack.totals[first] % counts->capacity != 0);
        if (patterns->n_bins + least >= limit)
            break;
        status = make_bins(search, &slack, rule, first, patterns);
        if (status < 0)
            break;
    }
done:
    ppi_free(search->mem, slack.chosen);
    ppi_free(search->mem, slack.totals);
    ppi_free(search->mem, slack.next_alive);
    return status;
}
