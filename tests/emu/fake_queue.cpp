/*
 * fake_queue.cpp: streams and events. Work put on a stream runs when somebody waits for it and not
 * before: a host that reads a result without waiting reads the old bytes, one that writes a pinned
 * buffer again too early has its new bytes copied.
 */
#include "fake_impl.h"

#include <stdlib.h>
#include <time.h>

struct work {
    work *next;
    void (*run)(void *arg);
    void *arg;
};

struct CUstream_st {
    CUstream_st *next_stream;
    work *first, **last;
    cudaError_t error; /* of work that ran, not yet reported */
    bool non_blocking;
};

struct CUevent_st {
    CUstream_st *stream; /* where it was recorded last; NULL: never */
    long n_recorded, n_reached;
    int n_users; /* the owner and the marks on streams */
    bool destroyed, has_time;
    double time_reached;
};

/* The NULL stream is the first and stays. */
static CUstream_st null_stream = {NULL, NULL, &null_stream.first, cudaSuccess, false};
static CUstream_st *running;

static CUstream_st *resolve(cudaStream_t stream)
{
    return stream ? stream : &null_stream;
}

bool fake_is_stream(cudaStream_t stream)
{
    for (CUstream_st *s = &null_stream; s; s = s->next_stream)
        if (s == resolve(stream))
            return true;
    return false;
}

void fake_stream_enqueue(cudaStream_t stream, void (*run)(void *arg), void *arg)
{
    fake_lock lock;
    CUstream_st *s = resolve(stream);
    work *w = (work *)malloc(sizeof *w);
    if (!w)
        abort();
    *w = {NULL, run, arg};
    *s->last = w;
    s->last = &w->next;
}

static bool run_one(CUstream_st *s)
{
    work *w = s->first;
    if (!w)
        return false;
    s->first = w->next;
    if (!s->first)
        s->last = &s->first;
    CUstream_st *outer = running;
    running = s;
    w->run(w->arg);
    running = outer;
    free(w);
    return true;
}

static cudaError_t take_error(CUstream_st *s)
{
    cudaError_t error = s->error;
    s->error = cudaSuccess;
    return error;
}

cudaError_t fake_drain(cudaStream_t stream)
{
    CUstream_st *s = resolve(stream);
    while (run_one(s))
        ;
    return take_error(s);
}

cudaError_t fake_drain_all(bool non_blocking_too)
{
    cudaError_t error = cudaSuccess;
    for (CUstream_st *s = &null_stream; s; s = s->next_stream)
        if (non_blocking_too || !s->non_blocking) {
            cudaError_t own = fake_drain(s);
            error = error != cudaSuccess ? error : own;
        }
    return error;
}

void fake_work_failed(cudaError_t error)
{
    if (running && running->error == cudaSuccess)
        running->error = error;
}

bool fake_work_has_failed(void)
{
    return running && running->error != cudaSuccess;
}

/* ---- streams ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
    FAKE_CALL(cudaErrorMemoryAllocation);
    CUstream_st *s = (CUstream_st *)malloc(sizeof *s);
    if (!s)
        return fake_result(cudaErrorMemoryAllocation);
    *s = {null_stream.next_stream, NULL, NULL, cudaSuccess, (flags & cudaStreamNonBlocking) != 0};
    s->last = &s->first;
    null_stream.next_stream = s;
    fake_object_born();
    *stream = s;
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    fake_lock lock;
    bool fails = fake_call_fails(__func__);
    if (!stream || !fake_is_stream(stream))
        return fake_result(cudaErrorInvalidResourceHandle);
    fake_drain(stream);
    CUstream_st *before = &null_stream;
    while (before->next_stream != stream)
        before = before->next_stream;
    before->next_stream = stream->next_stream;
    free(stream);
    fake_object_gone();
    return fake_result(fails ? cudaErrorUnknown : cudaSuccess);
}

/* Also when it is made to fail the work is over: nothing runs on memory that the caller now frees.
 */
cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    fake_lock lock;
    bool fails = fake_call_fails(__func__);
    if (!fake_is_stream(stream))
        return fake_result(cudaErrorInvalidResourceHandle);
    cudaError_t error = fake_drain(stream);
    return fake_result(fails ? cudaErrorLaunchFailure : error);
}

/* Every question brings the stream one step further, so that polling comes to an end. */
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    FAKE_CALL(cudaErrorLaunchFailure);
    if (!fake_is_stream(stream))
        return fake_result(cudaErrorInvalidResourceHandle);
    CUstream_st *s = resolve(stream);
    run_one(s);
    return s->first ? cudaErrorNotReady : fake_result(take_error(s));
}

/* ---- events ---- */

struct mark {
    CUevent_st *event;
    long number;         /* of the record call */
    CUstream_st *stream; /* that it was for: a later call may be for another */
};

static void release(CUevent_st *event)
{
    if (--event->n_users == 0)
        free(event);
}

static mark *make_mark(CUevent_st *event)
{
    mark *m = (mark *)malloc(sizeof *m);
    if (!m)
        abort();
    *m = {event, event->n_recorded, event->stream};
    event->n_users++;
    return m;
}

static void reach(void *arg)
{
    mark *m = (mark *)arg;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    m->event->time_reached = (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
    if (m->event->n_reached < m->number)
        m->event->n_reached = m->number;
    release(m->event);
    free(m);
}

/* Runs the stream until it has passed the record call of that number. */
static void run_until(CUevent_st *event, CUstream_st *stream, long number)
{
    while (event->n_reached < number && run_one(stream))
        ;
}

static void wait_for_mark(void *arg)
{
    mark *m = (mark *)arg;
    run_until(m->event, m->stream, m->number);
    release(m->event);
    free(m);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
    FAKE_CALL(cudaErrorMemoryAllocation);
    CUevent_st *e = (CUevent_st *)calloc(1, sizeof *e);
    if (!e)
        return fake_result(cudaErrorMemoryAllocation);
    e->n_users = 1;
    e->has_time = !(flags & cudaEventDisableTiming);
    fake_object_born();
    *event = e;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    fake_lock lock;
    bool fails = fake_call_fails(__func__);
    if (!event)
        return fake_result(cudaErrorInvalidResourceHandle);
    release(event);
    fake_object_gone();
    return fake_result(fails ? cudaErrorUnknown : cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    FAKE_CALL(cudaErrorUnknown);
    if (!event || !fake_is_stream(stream))
        return fake_result(cudaErrorInvalidResourceHandle);
    event->stream = resolve(stream);
    event->n_recorded++;
    fake_stream_enqueue(stream, reach, make_mark(event));
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
    FAKE_CALL(cudaErrorUnknown);
    if (!event || !fake_is_stream(stream) || flags != 0)
        return fake_result(cudaErrorInvalidResourceHandle);
    if (event->n_recorded && event->stream != resolve(stream))
        fake_stream_enqueue(stream, wait_for_mark, make_mark(event));
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    fake_lock lock;
    bool fails = fake_call_fails(__func__);
    if (!event)
        return fake_result(cudaErrorInvalidResourceHandle);
    cudaError_t error = cudaSuccess;
    if (event->n_reached < event->n_recorded) {
        run_until(event, event->stream, event->n_recorded);
        error = take_error(event->stream);
    }
    return fake_result(fails ? cudaErrorLaunchFailure : error);
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    FAKE_CALL(cudaErrorLaunchFailure);
    if (!event)
        return fake_result(cudaErrorInvalidResourceHandle);
    if (event->n_reached < event->n_recorded)
        run_one(event->stream);
    return event->n_reached < event->n_recorded ? cudaErrorNotReady : cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end)
{
    FAKE_CALL(cudaErrorUnknown);
    if (!start || !end || !start->has_time || !end->has_time)
        return fake_result(cudaErrorInvalidResourceHandle);
    if (start->n_reached < start->n_recorded || end->n_reached < end->n_recorded)
        return fake_result(cudaErrorNotReady);
    *milliseconds = (float)(end->time_reached - start->time_reached);
    return cudaSuccess;
}
