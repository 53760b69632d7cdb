/*
 * pour.c: prompts longer than a bin, cut where the room ends. The others are packed first; then the
 * long ones are poured, one after another, into as few new bins as it takes and the room that is
 * left in the largest gaps (the wrap-around rule of McNaughton 1959). What one bin has no room for
 * goes on in the next, so no part is beside the one that it continues. Bins come out full: where
 * the long prompts fill all the room of the others, no packing has fewer.
 */
#include "parts.h"
#include "plan/fewest/bounds.h"
#include "plan/histogram.h"

#include <string.h>

#define NONE (-1)

/* The bin that is poured into. */
struct open_bin {
    int64_t room;
    int64_t n_parts; /* that it may still take */
};

struct pour {
    const int64_t *lengths;
    const struct step_limits *limits;
    int64_t chunk;        /* room of an empty bin for one prompt */
    const int32_t *longs; /* [n_longs] prompts */
    int64_t n_longs;
    struct parts others;   /* whole prompts */
    struct schedule bins;  /* of the others */
    struct histogram gaps; /* room that is left in each of the bins */
    struct parts *parts;
    struct schedule *schedule;
};

static int64_t parts_between(const struct schedule *schedule, int64_t bin)
{
    return schedule->starts[bin + 1] - schedule->starts[bin];
}

/* ---- the others ---- */

/* Room that bin `bin` of the others can give to one more prompt, 0 if none. */
static int64_t gap_of(const struct pour *pour, int64_t bin)
{
    const struct step_limits *limits = pour->limits;
    if (parts_between(&pour->bins, bin) >= limits->max_prompts)
        return 0;
    int64_t room = limits->capacity;
    for (int64_t i = pour->bins.starts[bin]; i < pour->bins.starts[bin + 1]; i++)
        room -= ppi_part_room(pour->others.n_tokens[pour->bins.items[i]], limits->alignment);
    return room - room % limits->alignment;
}

/* Packs the others and sorts their bins by the room that they leave; *room: the sum. */
static pp_status pack_others(struct pour *pour, const int32_t *prompts, int64_t n, int64_t *room,
                             struct ppi_mem *mem, pp_error *err)
{
    PP_TRY(ppi_parts_create(&pour->others, n, 0, mem, err));
    PP_TRY(ppi_schedule_create(&pour->bins, n, mem, err));
    for (int64_t i = 0; i < n; i++) {
        pour->others.prompts[i] = prompts[i];
        pour->others.first_tokens[i] = 0;
        pour->others.n_tokens[i] = pour->lengths[prompts[i]];
        pour->others.after[i] = NONE;
    }
    *room = 0;
    if (n == 0)
        return PP_OK;
    PP_TRY(ppi_schedule_parts(&pour->others, pour->limits, &pour->bins, mem, err));
    int64_t n_bins = pour->bins.n_bins;
    int64_t *gaps = ppi_alloc(mem, (size_t)n_bins, sizeof *gaps);
    if (!gaps)
        return ppi_error_nomem(err, "the room of the bins", (size_t)n_bins * sizeof *gaps);
    int64_t least = INT64_MAX, most = 0;
    for (int64_t bin = 0; bin < n_bins; bin++) {
        gaps[bin] = gap_of(pour, bin);
        least = gaps[bin] < least ? gaps[bin] : least;
        most = gaps[bin] > most ? gaps[bin] : most;
        if (__builtin_add_overflow(*room, gaps[bin], room))
            *room = INT64_MAX;
    }
    pp_status status = ppi_histogram_create(&pour->gaps, gaps, n_bins, least, most, mem, err);
    ppi_free(mem, gaps);
    return status;
}

/* ---- pouring ---- */

/* Closes the last bin, if there is one, and starts another with the parts of a bin of the others,
 * or empty (NONE). */
static struct open_bin start_bin(struct pour *pour, int64_t bin)
{
    struct schedule *schedule = pour->schedule;
    int64_t next = schedule->starts[schedule->n_bins];
    struct open_bin open = {.room = pour->chunk, .n_parts = pour->limits->max_prompts};
    if (bin != NONE) {
        int64_t n = parts_between(&pour->bins, bin);
        memcpy(schedule->items + next, pour->bins.items + pour->bins.starts[bin],
               (size_t)n * sizeof *schedule->items);
        next += n;
        open.room = gap_of(pour, bin);
        open.n_parts -= n;
    }
    schedule->starts[++schedule->n_bins] = next;
    return open;
}

/* Adds tokens of a long prompt, from first_token on, to the last bin; returns how many. */
static int64_t pour_part(struct pour *pour, struct open_bin *open, int32_t prompt,
                         int64_t first_token, int32_t after)
{
    struct parts *parts = pour->parts;
    int64_t missing = pour->lengths[prompt] - first_token;
    int64_t n_tokens = missing < open->room ? missing : open->room;
    int64_t part = parts->n++;
    parts->prompts[part] = prompt;
    parts->first_tokens[part] = first_token;
    parts->n_tokens[part] = n_tokens;
    parts->after[part] = after;
    struct schedule *schedule = pour->schedule;
    schedule->items[schedule->starts[schedule->n_bins]++] = (int32_t)part;
    open->room -= ppi_part_room(n_tokens, pour->limits->alignment);
    open->n_parts--;
    return n_tokens;
}

/* n_new: bins that the gaps cannot spare. They go first, then the gaps, largest first, then more
 * bins where the number of prompts was the limit, then the bins with gaps that nobody needs. */
static void pour_prompts(struct pour *pour, int64_t n_new)
{
    struct open_bin open = {0};
    int64_t i_gap = pour->bins.n_bins;
    for (int64_t i = 0; i < pour->n_longs; i++) {
        int32_t prompt = pour->longs[i];
        int32_t after = NONE;
        for (int64_t first_token = 0; first_token < pour->lengths[prompt];) {
            while (open.room == 0 || open.n_parts == 0) {
                bool use_gap = n_new-- <= 0 && i_gap > 0;
                open = start_bin(pour, use_gap ? pour->gaps.order[--i_gap] : NONE);
            }
            first_token += pour_part(pour, &open, prompt, first_token, after);
            after = (int32_t)(pour->parts->n - 1);
        }
        pour->parts->ends[prompt] = after;
    }
    while (i_gap > 0)
        start_bin(pour, pour->gaps.order[--i_gap]);
}

pp_status ppi_pour_prompts(const int64_t *lengths, const int32_t *by_length, int64_t n,
                           int64_t chunk, const struct step_limits *limits, struct parts *parts,
                           struct schedule *schedule, struct ppi_mem *mem, pp_error *err)
{
    struct pour pour = {.lengths = lengths,
                        .limits = limits,
                        .chunk = chunk,
                        .longs = by_length,
                        .parts = parts,
                        .schedule = schedule};
    int64_t amount = 0;    /* room that the long ones need */
    int64_t max_parts = n; /* a part more for each bin of the others and each new bin */
    for (; pour.n_longs < n && lengths[by_length[pour.n_longs]] > chunk; pour.n_longs++) {
        int64_t length = lengths[by_length[pour.n_longs]];
        if (__builtin_add_overflow(amount, ppi_part_room(length, limits->alignment), &amount))
            return PP_OK;
        max_parts += ppi_bound_l1(length, chunk) + 1;
    }
    int64_t n_others = n - pour.n_longs;
    int64_t room;
    pp_status status = pack_others(&pour, by_length + pour.n_longs, n_others, &room, mem, err);
    max_parts += pour.bins.n_bins;
    if (status < 0 || max_parts > INT32_MAX)
        goto done;
    if ((status = ppi_parts_create(parts, max_parts, n, mem, err)) < 0 ||
        (status = ppi_schedule_create(schedule, max_parts, mem, err)) < 0)
        goto done;
    parts->n = n_others;
    memcpy(parts->prompts, pour.others.prompts, (size_t)n_others * sizeof *parts->prompts);
    memcpy(parts->first_tokens, pour.others.first_tokens, (size_t)n_others * sizeof(int64_t));
    memcpy(parts->n_tokens, pour.others.n_tokens, (size_t)n_others * sizeof(int64_t));
    memcpy(parts->after, pour.others.after, (size_t)n_others * sizeof *parts->after);
    for (int32_t i = 0; i < n_others; i++)
        parts->ends[parts->prompts[i]] = i;
    pour_prompts(&pour, amount > room ? ppi_bound_l1(amount - room, chunk) : 0);
done:
    ppi_histogram_destroy(&pour.gaps, mem);
    ppi_schedule_destroy(&pour.bins, mem);
    ppi_parts_destroy(&pour.others, mem);
    return status;
}
