package prepack

/*
#include "go_calls.h"
*/
import "C"

import (
	"context"
	"math"
	"runtime"
	"time"
	"unsafe"
)

// QueueOptions are the rules of a queue; a field that is zero has its default.
type QueueOptions struct {
	Capacity        int64 // tokens of a step; there is no default
	Oversize        Oversize
	KeepOrder       bool
	MaxWaiting      int64 // prompts that may wait; 0: 4096
	MaxPrompts      int64 // of a step; 0: no limit
	BinAlignment    int64
	PromptAlignment int64
	Cost            *CostModel
	MaxAge          time.Duration // that a prompt may wait for company; 0: 10 ms
	PriorityAge     time.Duration // of waiting that a level of priority is worth; 0: 1 s
}

// Queue turns prompts that arrive one by one into steps: see prepack/queue.h. Safe for use by any
// number of goroutines.
type Queue struct{ h handle }

// NewQueue creates a queue.
func NewQueue(options QueueOptions) (*Queue, error) {
	var params C.pp_queue_params
	C.pp_queue_params_init(&params, C.sizeof_pp_queue_params)
	params.capacity = C.int64_t(options.Capacity)
	params.keep_order = truth(options.KeepOrder)
	params.max_prompts = C.int64_t(options.MaxPrompts)
	if options.Oversize != 0 {
		params.oversize = C.int32_t(options.Oversize)
	}
	if options.MaxWaiting != 0 {
		params.max_waiting = C.int64_t(options.MaxWaiting)
	}
	if options.BinAlignment != 0 {
		params.bin_alignment = C.int64_t(options.BinAlignment)
	}
	if options.PromptAlignment != 0 {
		params.prompt_alignment = C.int64_t(options.PromptAlignment)
	}
	if options.MaxAge != 0 {
		params.max_age = C.double(options.MaxAge.Seconds())
	}
	if options.PriorityAge != 0 {
		params.priority_age = C.double(options.PriorityAge.Seconds())
	}
	cost, err := options.Cost.toC()
	if err != nil {
		return nil, err
	}
	var object *C.pp_queue
	details := newError()
	err = check(C.ppgo_queue_create(&params, cost, &object, details), details)
	if err != nil {
		return nil, err
	}
	q := &Queue{h: newHandle("queue", unsafe.Pointer(object), func(object unsafe.Pointer) {
		C.pp_queue_destroy((*C.pp_queue)(object))
	})}
	runtime.SetFinalizer(q, (*Queue).Close)
	return q, nil
}

// Close finishes the queue and forgets what waits; goroutines in Next get what is left or ErrGone,
// and the last of them takes the memory along. It returns nil.
func (q *Queue) Close() error {
	if object, err := q.enter(); err == nil {
		C.pp_queue_close(object, nil)
		q.h.leave()
	}
	if q.h.close() {
		runtime.SetFinalizer(q, nil)
	}
	return nil
}

func (q *Queue) enter() (*C.pp_queue, error) {
	object, err := q.h.enter()
	return (*C.pp_queue)(object), err
}

// positive is the outcome of a call of a queue, of which ErrAgain and ErrGone are errors in Go.
func positive(status C.pp_status, details *C.pp_error) error {
	if status > 0 {
		return &Error{Status: Status(status), Index: indexOfNobody,
			Message: Status(status).Error()}
	}
	return check(status, details)
}

// WaitingPrompt is a prompt that waits for its step.
type WaitingPrompt struct {
	ID       int64         // the caller's name for it; no two that wait share one
	Tokens   int64         // at least 1
	Priority int32         // higher goes first
	Deadline time.Duration // from now until it is due; 0: the queue's MaxAge
}

// Add lets a prompt wait. ErrAgain: the queue is full. ErrCancelled: it was finished.
func (q *Queue) Add(prompt WaitingPrompt) error {
	object, err := q.enter()
	if err != nil {
		return err
	}
	defer q.h.leave()
	c := C.pp_waiting_prompt{
		struct_size: C.sizeof_pp_waiting_prompt,
		priority:    C.int32_t(prompt.Priority),
		id:          C.int64_t(prompt.ID),
		n_tokens:    C.int64_t(prompt.Tokens),
		deadline:    C.double(prompt.Deadline.Seconds()),
	}
	details := newError()
	return positive(C.pp_queue_add(object, &c, details), details)
}

// StepPrompt is tokens [FirstToken, FirstToken + Tokens) of a prompt in a step.
type StepPrompt struct {
	ID         int64
	FirstToken int64
	Tokens     int64
	Start      int64         // place in the step, alignment included
	Age        time.Duration // since it was added
	Continues  bool          // later steps hold the rest of the prompt
}

// Step is what runs together.
type Step struct {
	Prompts  []StepPrompt
	Tokens   int64
	Used     int64 // and what alignment adds
	Capacity int64
	Waiting  int64 // prompts that wait on
	Cost     float64
}

const pollEvery = 20 * time.Millisecond

// Next takes the next step, of at most maxPrompts prompts, and waits for it. ErrGone: the queue is
// finished and nothing waits any more. A context that ends gives an error that is both ErrAgain and
// the context's, at most 20 ms later; one that has ended takes a step that is ready. Next holds a
// thread of the system while it waits.
func (q *Queue) Next(ctx context.Context, maxPrompts int) (Step, error) {
	object, err := q.enter()
	if err != nil {
		return Step{}, err
	}
	defer q.h.leave()
	if maxPrompts < 1 {
		return Step{}, refuse("a step of at most %d prompts was asked for; at least 1", maxPrompts)
	}
	prompts := make([]C.pp_step_prompt, maxPrompts)
	c := C.pp_step{struct_size: C.sizeof_pp_step, room: C.int64_t(maxPrompts)}
	for {
		over := ctx.Err()
		details := newError()
		status := C.ppgo_queue_next(object, waitFor(ctx), &c,
			(*C.pp_step_prompt)(first(prompts)), details)
		if Status(status) == ErrAgain && over == nil {
			continue
		}
		if err := positive(status, details); err != nil {
			if Status(status) == ErrAgain {
				err.(*Error).cause = over
			}
			return Step{}, err
		}
		return stepOf(&c, prompts), nil
	}
}

// waitFor is the seconds of one call, behind which the context is looked at.
func waitFor(ctx context.Context) C.double {
	switch {
	case ctx.Err() != nil:
		return 0
	case ctx.Done() == nil:
		return C.double(math.Inf(1))
	}
	wait := pollEvery
	if deadline, ok := ctx.Deadline(); ok {
		if left := time.Until(deadline); left < wait {
			wait = left
		}
	}
	if wait < 0 {
		wait = 0
	}
	return C.double(wait.Seconds())
}

func seconds(s C.double) time.Duration {
	return time.Duration(float64(s) * float64(time.Second))
}

func stepOf(c *C.pp_step, prompts []C.pp_step_prompt) Step {
	step := Step{
		Prompts:  make([]StepPrompt, c.n_prompts),
		Tokens:   int64(c.tokens),
		Used:     int64(c.used),
		Capacity: int64(c.capacity),
		Waiting:  int64(c.n_waiting),
		Cost:     float64(c.cost),
	}
	for i := range step.Prompts {
		p := &prompts[i]
		step.Prompts[i] = StepPrompt{
			ID:         int64(p.id),
			FirstToken: int64(p.first_token),
			Tokens:     int64(p.n_tokens),
			Start:      int64(p.start),
			Age:        seconds(p.age),
			Continues:  p.continues == 1,
		}
	}
	return step
}

// Cancel removes a prompt that waits. ErrGone: it does not wait.
func (q *Queue) Cancel(id int64) error {
	object, err := q.enter()
	if err != nil {
		return err
	}
	defer q.h.leave()
	details := newError()
	return positive(C.pp_queue_cancel(object, C.int64_t(id), details), details)
}

// Finish lets no prompt in any more; Next hands out what waits and gives ErrGone then.
func (q *Queue) Finish() error {
	object, err := q.enter()
	if err != nil {
		return err
	}
	defer q.h.leave()
	details := newError()
	return check(C.pp_queue_close(object, details), details)
}

// QueueStats is what a queue has done so far.
type QueueStats struct {
	Finished      bool
	Waiting       int64 // prompts
	WaitingTokens int64
	Added         int64 // prompts
	HandedOut     int64 // prompts
	Cancelled     int64 // prompts
	Refused       int64 // adds that were answered ErrAgain
	Steps         int64
	Tokens        int64 // in all steps
	Used          int64
	Waste         float64 // 1 - tokens / capacity of all steps
	OldestAge     time.Duration
	MeanAge       time.Duration // from Add to the step
	P50Age        time.Duration
	P99Age        time.Duration
	LongestAge    time.Duration
}

// Stats tells what the queue has done so far.
func (q *Queue) Stats() (QueueStats, error) {
	object, err := q.enter()
	if err != nil {
		return QueueStats{}, err
	}
	defer q.h.leave()
	c := C.pp_queue_stats{struct_size: C.sizeof_pp_queue_stats}
	details := newError()
	if err := check(C.pp_queue_get_stats(object, &c, details), details); err != nil {
		return QueueStats{}, err
	}
	return QueueStats{
		Finished:      c.closed == 1,
		Waiting:       int64(c.waiting),
		WaitingTokens: int64(c.waiting_tokens),
		Added:         int64(c.added),
		HandedOut:     int64(c.handed_out),
		Cancelled:     int64(c.cancelled),
		Refused:       int64(c.refused),
		Steps:         int64(c.steps),
		Tokens:        int64(c.tokens),
		Used:          int64(c.used),
		Waste:         float64(c.waste),
		OldestAge:     seconds(c.oldest_age),
		MeanAge:       seconds(c.mean_age),
		P50Age:        seconds(c.p50_age),
		P99Age:        seconds(c.p99_age),
		LongestAge:    seconds(c.longest_age),
	}, nil
}
