package prepack

/*
#include "go_calls.h"
*/
import "C"

import (
	"context"
	"sync"
	"sync/atomic"
	"unsafe"
)

// callbacks knows Go functions by the numbers that C holds for them. One that is gone is passed
// over: caches keep a session's memory, and with it the number of its log, longer than the session.
var callbacks struct {
	all  sync.Map // uintptr -> function or *runCallbacks
	last uintptr
}

func keepCallback(value any) uintptr {
	id := atomic.AddUintptr(&callbacks.last, 1)
	callbacks.all.Store(id, value)
	return id
}

func dropCallback(id uintptr) {
	if id != 0 {
		callbacks.all.Delete(id)
	}
}

func keepLog(log LogFunc) uintptr {
	if log == nil {
		return 0
	}
	return keepCallback(log)
}

//export prepackLog
func prepackLog(id C.uintptr_t, level C.int32_t, line *C.char) {
	if log, ok := callbacks.all.Load(uintptr(id)); ok {
		log.(LogFunc)(LogLevel(level), C.GoString(line))
	}
}

// LogitsPiece is some rows of logits of one item, lent to RunOptions.Sink until it returns.
type LogitsPiece struct {
	Item       int       // index of the item
	FirstToken int64     // row i is what follows token FirstToken + i of the item
	Rows       int       // at most 64
	VocabSize  int       // of each row
	Logits     []float32 // [Rows * VocabSize]
}

// runCallbacks is what a run calls meanwhile, and how they ended it.
type runCallbacks struct {
	progress func(done, all int64)
	sink     func(LogitsPiece) error
	cancel   *C.pp_cancel
	failed   error // of the sink
	panicked any
	broken   bool // there was a panic: nothing is called any more
}

// hold keeps a panic of a callback from unwinding C's frames; raise lets it go on behind them.
func (r *runCallbacks) hold() {
	if value := recover(); value != nil {
		r.panicked, r.broken = value, true
		C.pp_cancel_request(r.cancel)
	}
}

func (r *runCallbacks) raise() {
	if r.broken {
		panic(r.panicked)
	}
}

//export prepackProgress
func prepackProgress(id C.uintptr_t, done, all C.int64_t) {
	value, _ := callbacks.all.Load(uintptr(id))
	r := value.(*runCallbacks)
	defer r.hold()
	if !r.broken {
		r.progress(int64(done), int64(all))
	}
}

//export prepackSink
func prepackSink(id C.uintptr_t, piece *C.pp_logits) (stop C.int32_t) {
	value, _ := callbacks.all.Load(uintptr(id))
	r := value.(*runCallbacks)
	stop = 1
	defer r.hold()
	if r.broken {
		return 1
	}
	n := int(piece.n_rows) * int(piece.vocab_size)
	r.failed = r.sink(LogitsPiece{
		Item:       int(piece.i_item),
		FirstToken: int64(piece.first_token),
		Rows:       int(piece.n_rows),
		VocabSize:  int(piece.vocab_size),
		Logits:     unsafe.Slice((*float32)(unsafe.Pointer(piece.logits)), n),
	})
	if r.failed == nil {
		stop = 0
	}
	return stop
}

// convertCallback is what a conversion calls meanwhile.
type convertCallback struct {
	ctx      context.Context
	progress func(done, total int64)
	panicked any
	broken   bool
}

//export prepackConverted
func prepackConverted(id C.uintptr_t, done, total C.int64_t) (stop C.int32_t) {
	value, _ := callbacks.all.Load(uintptr(id))
	c := value.(*convertCallback)
	stop = 1
	defer func() {
		if value := recover(); value != nil {
			c.panicked, c.broken = value, true
		}
	}()
	if c.progress != nil {
		c.progress(int64(done), int64(total))
	}
	if c.ctx.Err() == nil {
		stop = 0
	}
	return stop
}

// cancelToken makes the token that ends a call, and that a context ends. release has to follow the
// call.
func cancelToken(ctx context.Context) (token *C.pp_cancel, release func(), err error) {
	details := newError()
	if err := check(C.pp_cancel_create(&token, details), details); err != nil {
		return nil, nil, err
	}
	if ctx.Done() == nil {
		return token, func() { C.pp_cancel_destroy(token) }, nil
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
			C.pp_cancel_request(token)
		case <-over:
		}
	}()
	return token, func() {
		close(over)
		<-ended
		C.pp_cancel_destroy(token)
	}, nil
}

// because gives a call that was cancelled the reason for it.
func because(ctx context.Context, err, failed error) error {
	e, ok := err.(*Error)
	if !ok || e.Status != ErrCancelled {
		return err
	}
	if failed != nil {
		e.cause = failed
	} else {
		e.cause = ctx.Err()
	}
	return e
}

// alreadyOver is the error of a context that ended before the call.
func alreadyOver(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &Error{Status: ErrCancelled, Index: indexOfNobody,
			Message: "nothing was run: " + err.Error(), cause: err}
	}
	return nil
}
