/*
 * waiting.c: the prompts that wait. A hash table with chains finds them by id, a doubly linked list
 * keeps the order of arrival, and a binary heap that knows each prompt's place the order by rank.
 */
#include "waiting.h"

#include <string.h>

pp_status ppi_waiting_create(struct waiting *waiting, int64_t max, struct ppi_mem *mem,
                             pp_error *err)
{
    *waiting = (struct waiting){.n_buckets = 1,
                                .max = (int32_t)max,
                                .unused = PPI_NOBODY,
                                .oldest = PPI_NOBODY,
                                .newest = PPI_NOBODY};
    while (waiting->n_buckets < max)
        waiting->n_buckets *= 2;
    waiting->prompts = ppi_alloc(mem, (size_t)max, sizeof *waiting->prompts);
    waiting->heap = ppi_alloc(mem, (size_t)max, sizeof *waiting->heap);
    waiting->buckets = ppi_alloc(mem, (size_t)waiting->n_buckets, sizeof *waiting->buckets);
    if (!waiting->prompts || !waiting->heap || !waiting->buckets) {
        ppi_waiting_destroy(waiting, mem);
        return ppi_error_nomem(err, "the prompts that may wait",
                               (size_t)max * sizeof *waiting->prompts);
    }
    memset(waiting->buckets, 0xff, (size_t)waiting->n_buckets * sizeof *waiting->buckets);
    return PP_OK;
}

void ppi_waiting_destroy(struct waiting *waiting, struct ppi_mem *mem)
{
    ppi_free(mem, waiting->buckets);
    ppi_free(mem, waiting->heap);
    ppi_free(mem, waiting->prompts);
    *waiting = (struct waiting){0};
}

/* ---- by id ---- */

/* The finalizer of splitmix64 (Steele, Lea, Flood 2014): neighbouring ids spread evenly. */
static int32_t *bucket_of(const struct waiting *waiting, int64_t id)
{
    uint64_t hash = (uint64_t)id;
    hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ hash >> 27) * 0x94d049bb133111ebu;
    hash ^= hash >> 31;
    return &waiting->buckets[hash & (uint64_t)(waiting->n_buckets - 1)];
}

int32_t ppi_waiting_find(const struct waiting *waiting, int64_t id)
{
    int32_t index = *bucket_of(waiting, id);
    while (index != PPI_NOBODY && waiting->prompts[index].id != id)
        index = waiting->prompts[index].next;
    return index;
}

static void unlink_id(struct waiting *waiting, int32_t index)
{
    int32_t *link = bucket_of(waiting, waiting->prompts[index].id);
    while (*link != index)
        link = &waiting->prompts[*link].next;
    *link = waiting->prompts[index].next;
}

/* ---- by rank ---- */

static void put(struct waiting *waiting, int32_t place, int32_t index)
{
    waiting->heap[place] = index;
    waiting->prompts[index].heap_place = place;
}

/* Puts a prompt into the heap's hole at `place`, or where the order wants it above. */
static void sift_up(struct waiting *waiting, int32_t place, int32_t index)
{
    while (place > 0) {
        int32_t parent = (place - 1) / 2;
        if (!ppi_waiting_before(waiting, index, waiting->heap[parent]))
            break;
        put(waiting, place, waiting->heap[parent]);
        place = parent;
    }
    put(waiting, place, index);
}

static void sift_down(struct waiting *waiting, int32_t place, int32_t index)
{
    for (int64_t child; (child = 2 * (int64_t)place + 1) < waiting->n; place = (int32_t)child) {
        if (child + 1 < waiting->n &&
            ppi_waiting_before(waiting, waiting->heap[child + 1], waiting->heap[child]))
            child++;
        if (!ppi_waiting_before(waiting, waiting->heap[child], index))
            break;
        put(waiting, place, waiting->heap[child]);
    }
    put(waiting, place, index);
}

/* ---- adding, removing ---- */

static int32_t take_unused(struct waiting *waiting)
{
    int32_t index = waiting->unused;
    if (index == PPI_NOBODY)
        return waiting->n_touched++;
    waiting->unused = waiting->prompts[index].next;
    return index;
}

void ppi_waiting_add(struct waiting *waiting, const struct waiting_prompt *prompt)
{
    int32_t index = take_unused(waiting);
    struct waiting_prompt *added = &waiting->prompts[index];
    *added = *prompt;
    added->number = waiting->n_arrived++;
    int32_t *bucket = bucket_of(waiting, added->id);
    added->next = *bucket;
    *bucket = index;
    added->newer = PPI_NOBODY;
    added->older = waiting->newest;
    if (waiting->newest != PPI_NOBODY)
        waiting->prompts[waiting->newest].newer = index;
    else
        waiting->oldest = index;
    waiting->newest = index;
    sift_up(waiting, waiting->n++, index);
    waiting->tokens += added->n_tokens;
    waiting->sizes += added->size;
}

void ppi_waiting_remove(struct waiting *waiting, int32_t index)
{
    struct waiting_prompt *gone = &waiting->prompts[index];
    unlink_id(waiting, index);
    if (gone->older != PPI_NOBODY)
        waiting->prompts[gone->older].newer = gone->newer;
    else
        waiting->oldest = gone->newer;
    if (gone->newer != PPI_NOBODY)
        waiting->prompts[gone->newer].older = gone->older;
    else
        waiting->newest = gone->older;
    int32_t last = waiting->heap[--waiting->n];
    int32_t hole = gone->heap_place;
    if (last != index) {
        sift_down(waiting, hole, last);
        sift_up(waiting, waiting->prompts[last].heap_place, last);
    }
    waiting->tokens -= gone->n_tokens;
    waiting->sizes -= gone->size;
    gone->next = waiting->unused;
    waiting->unused = index;
}

void ppi_waiting_shorten(struct waiting *waiting, int32_t index, int64_t n_tokens, int64_t size)
{
    struct waiting_prompt *prompt = &waiting->prompts[index];
    prompt->first_token += n_tokens;
    prompt->n_tokens -= n_tokens;
    waiting->tokens -= n_tokens;
    waiting->sizes += size - prompt->size;
    prompt->size = size;
}
