package prepack

/*
#include "go_calls.h"
*/
import "C"

import (
	"errors"
	"fmt"
)

// Status is the outcome of a call. The negative ones are errors; each is a value to compare with by
// errors.Is:
//
//	if errors.Is(err, prepack.ErrTooLong) { ... }
type Status int32

// Statuses. ErrAgain and ErrGone mean that nothing is wrong, but that there is nothing to give.
const (
	OK              Status = C.PP_OK
	ErrAgain        Status = C.PP_AGAIN            // nothing was done: call again later
	ErrGone         Status = C.PP_GONE             // what was asked for is not there any more
	Shorter         Status = C.PP_SHORTER          // a cache is shorter than asked: see Cache.Kept
	ErrArg          Status = C.PP_ERR_ARG          // an argument is out of its range
	ErrNoMem        Status = C.PP_ERR_NOMEM        // host memory, or a limit that was set
	ErrDeviceNoMem  Status = C.PP_ERR_DEVICE_NOMEM // the device's memory
	ErrDevice       Status = C.PP_ERR_DEVICE       // the device or its driver
	ErrUnsupported  Status = C.PP_ERR_UNSUPPORTED  // well-formed, but this library cannot do it
	ErrFormat       Status = C.PP_ERR_FORMAT       // a file breaks its format
	ErrIO           Status = C.PP_ERR_IO           // a file could not be opened, read or written
	ErrLimit        Status = C.PP_ERR_LIMIT        // a file has more than the library accepts
	ErrPath         Status = C.PP_ERR_PATH         // a file name would leave its directory
	ErrTooLong      Status = C.PP_ERR_TOO_LONG     // a prompt does not fit
	ErrCancelled    Status = C.PP_ERR_CANCELLED    // somebody ended the call
	ErrNoBackend    Status = C.PP_ERR_NO_BACKEND   // no such device here
	ErrStructSize   Status = C.PP_ERR_STRUCT_SIZE  // this package and the library do not fit
	ErrInternal     Status = C.PP_ERR_INTERNAL     // a fault of the library; please report
	ErrNotFinite    Status = C.PP_ERR_NOT_FINITE   // logits that are not numbers
	indexOfNobody          = -1
	structSizeError        = C.uint32_t(C.sizeof_pp_error)
)

// Error is what the status means, in one line.
func (s Status) Error() string {
	return C.GoString(C.pp_strerror(C.pp_status(s)))
}

// What this package finds by itself; both are also ErrArg.
var (
	// ErrClosed: the object was closed before.
	ErrClosed = errors.New("used after Close")
	// ErrBusy: another call of the session, one of its caches or the stream is still running.
	ErrBusy = errors.New("another call is running; one at a time")
)

// Error is the error of every call of this package. errors.Is finds its Status, and what made a
// call stop: the error of a context or of a callback.
type Error struct {
	Status     Status
	Index      int64  // of the prompt, item, cache, bin or layer at fault; -1: none
	NativeCode int32  // errno or the device's code, 0 if none
	Message    string // one sentence: what, where, what was allowed
	cause      error
}

func (e *Error) Error() string { return e.Message }

// Is tells errors.Is that the error is its status and its cause.
func (e *Error) Is(target error) bool {
	return target == e.Status || (e.cause != nil && errors.Is(e.cause, target))
}

// Unwrap is what made a call stop, nil for other errors.
func (e *Error) Unwrap() error { return e.cause }

// newError is where C puts the details of a call that fails.
func newError() *C.pp_error {
	return &C.pp_error{struct_size: structSizeError, index: indexOfNobody}
}

// check turns the outcome of a call into an error. Statuses above 0 are none.
func check(status C.pp_status, details *C.pp_error) error {
	if status >= 0 {
		return nil
	}
	return &Error{
		Status:     Status(status),
		Index:      int64(details.index),
		NativeCode: int32(details.native_code),
		Message:    fixedText(details.message[:]),
	}
}

// refuse is an error of this package: an argument that C shall not see.
func refuse(format string, values ...any) error {
	return &Error{Status: ErrArg, Index: indexOfNobody, Message: fmt.Sprintf(format, values...)}
}

// misuse is the error of an object that was closed or is in use.
func misuse(what string, cause error) error {
	return &Error{
		Status:  ErrArg,
		Index:   indexOfNobody,
		Message: fmt.Sprintf("the %s: %v", what, cause),
		cause:   cause,
	}
}
