/*
 * plan_optimum.c: the fewest bins of a small instance, by trying every partition of the prompts.
 */
#include "plan_instance.h"

static int64_t rounded(int64_t a, int64_t multiple)
{
    return (a + multiple - 1) / multiple * multiple;
}

/* Do the prompts of one bin go together, but for its capacity? */
static bool may_share(const struct instance *instance, const int *bin_of, int bin)
{
    int64_t count = 0;
    for (int i = 0; i < instance->n; i++) {
        if (bin_of[i] != bin)
            continue;
        count++;
        for (int j = 0; j < i; j++)
            if (bin_of[j] == bin && instance->apart[i] >= 0 &&
                instance->apart[i] == instance->apart[j])
                return false;
    }
    return instance->max_prompts == 0 || count <= instance->max_prompts;
}

static bool in_order(const struct instance *instance, const int *bin_of)
{
    for (int i = 1; i < instance->n; i++)
        if (bin_of[i] < bin_of[i - 1])
            return false;
    return true;
}

/* Fits the bins into the given ones, the fullest into the largest. */
static bool fits_given(const struct instance *instance, int64_t *rooms, int n_bins)
{
    int64_t left[MAX_CAPACITIES];
    memcpy(left, instance->capacities, sizeof left);
    if (n_bins > instance->n_capacities)
        return false;
    for (int k = 0; k < n_bins; k++) {
        int fullest = 0, largest = 0;
        for (int i = 1; i < n_bins; i++)
            fullest = rooms[i] > rooms[fullest] ? i : fullest;
        for (int i = 1; i < instance->n_capacities; i++)
            largest = left[i] > left[largest] ? i : largest;
        if (rooms[fullest] > left[largest])
            return false;
        rooms[fullest] = left[largest] = -1;
    }
    return true;
}

static bool is_plan(const struct instance *instance, int64_t capacity, const int *bin_of,
                    int n_bins)
{
    int64_t rooms[8] = {0};
    for (int i = 0; i < instance->n; i++) {
        rooms[bin_of[i]] += rounded(instance->lengths[i], instance->prompt_alignment);
        for (int j = 0; j < i; j++)
            if (instance->together[i] >= 0 && instance->together[i] == instance->together[j] &&
                bin_of[i] != bin_of[j])
                return false;
    }
    if (instance->keep_order && !in_order(instance, bin_of))
        return false;
    for (int bin = 0; bin < n_bins; bin++) {
        rooms[bin] = rounded(rooms[bin], instance->bin_alignment);
        int count = 0;
        for (int i = 0; i < instance->n; i++)
            count += bin_of[i] == bin;
        bool own = instance->oversize == PP_OVERSIZE_OWN_BIN && count == 1;
        if (!may_share(instance, bin_of, bin) ||
            (instance->n_capacities == 0 && rooms[bin] > capacity && !own))
            return false;
    }
    return instance->n_capacities == 0 || fits_given(instance, rooms, n_bins);
}

static void search(const struct instance *instance, int64_t capacity, int *bin_of, int i,
                   int n_bins, int64_t *best)
{
    if (*best >= 0 && n_bins >= *best)
        return;
    if (i == instance->n) {
        if (is_plan(instance, capacity, bin_of, n_bins))
            *best = n_bins;
        return;
    }
    for (int bin = 0; bin <= n_bins; bin++) {
        bin_of[i] = bin;
        search(instance, capacity, bin_of, i + 1, bin == n_bins ? n_bins + 1 : n_bins, best);
    }
}

int64_t instance_optimum(const struct instance *instance, int64_t capacity)
{
    int bin_of[8] = {0};
    int64_t best = -1;
    search(instance, capacity, bin_of, 0, 0, &best);
    return best;
}
