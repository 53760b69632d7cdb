package prepack

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// handle holds an object of C and counts the calls that are using it: Close takes it from none of
// them. A handle is not copied. destroy must not refer to what the handle is a part of: a finalizer
// of something that leads back to itself never runs.
type handle struct {
	what    string // for messages: "session"
	destroy func(unsafe.Pointer)

	mu     sync.Mutex // held for these fields only, never during a call
	object unsafe.Pointer
	calls  int
	closed bool
}

func newHandle(what string, object unsafe.Pointer, destroy func(unsafe.Pointer)) handle {
	return handle{what: what, object: object, destroy: destroy}
}

// enter gives the object until leave, which has to follow unless there is an error.
func (h *handle) enter() (unsafe.Pointer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.object == nil { // nil: the zero value of a type
		return nil, misuse(h.what, ErrClosed)
	}
	h.calls++
	return h.object, nil
}

func (h *handle) leave() {
	h.mu.Lock()
	h.calls--
	object := h.taken()
	h.mu.Unlock()
	if object != nil {
		h.destroy(object)
	}
}

// close destroys the object, or leaves that to the last call that is using it. It says whether the
// object was open.
func (h *handle) close() bool {
	h.mu.Lock()
	wasOpen := !h.closed && h.object != nil
	h.closed = true
	object := h.taken()
	h.mu.Unlock()
	if object != nil {
		h.destroy(object)
	}
	return wasOpen
}

// taken is the object when the time has come to destroy it, once.
func (h *handle) taken() unsafe.Pointer {
	if !h.closed || h.calls > 0 {
		return nil
	}
	object := h.object
	h.object = nil
	return object
}

// turn lets one call in at a time and turns others away.
type turn struct{ busy int32 }

func (t *turn) take(what string) error {
	if !atomic.CompareAndSwapInt32(&t.busy, 0, 1) {
		return misuse(what, ErrBusy)
	}
	return nil
}

func (t *turn) give() { atomic.StoreInt32(&t.busy, 0) }

// enterAlone is enter for objects that take turns.
func (h *handle) enterAlone(t *turn) (unsafe.Pointer, error) {
	if err := t.take(h.what); err != nil {
		return nil, err
	}
	object, err := h.enter()
	if err != nil {
		t.give()
	}
	return object, err
}

func (h *handle) leaveAlone(t *turn) {
	h.leave()
	t.give()
}
