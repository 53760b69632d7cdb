// Package prepack is libprepack for Go: prompts are packed into bins, run through a model in forward
// passes without padding, and each gets its own result, the same bits as if it had run alone.
//
//	model, err := prepack.OpenModel("model-dir", nil)
//	session, err := prepack.NewSession(model, nil)
//	items := []prepack.Item{{Tokens: a, Output: prepack.OutputToken}, {Tokens: b}}
//	err = session.Run(ctx, items, nil)
//	... items[0].Next was drawn, items[1].Cache holds the prompt's keys and values
//
// # Closing
//
// Every object that holds something of C has a Close, which may be called more than once, from any
// goroutine and in any order; it never fails and never waits: what a call is still using goes when
// that call returns. A call after Close gives an error that is ErrClosed. What is forgotten is
// closed by a finalizer some time after it became unreachable; KV pages are too large to wait for
// that.
//
// # Goroutines
//
// A Session and its Caches are for one call at a time, from any goroutine. A second call gets an
// error that is ErrBusy at once and changes nothing; it does not wait. The same holds for a
// TextStream. Models, Packers, Plans, Batches, Queues and Tokenizers may be used by any number of
// goroutines.
//
// # Memory
//
// Slices that calls take are read during the call and not kept. Slices that they return are the
// caller's own. Where arrays of the library can be looked at without a copy, a function of the
// caller's gets them (View...): they are to be read only, until it returns.
package prepack

/*
#cgo pkg-config: prepack prepack-tokenizer
#include "go_calls.h"
#include <stdlib.h>
*/
import "C"

import (
	"math"
	"strings"
	"unsafe"
)

// Version of the library that is loaded, such as "0.1.0".
func Version() string {
	return C.GoString(C.pp_version())
}

// DType is the type of an element.
type DType int32

// Types of elements. DTypeAuto, the zero value, lets the library choose.
const (
	DTypeAuto DType = C.PP_DTYPE_AUTO
	DTypeF32  DType = C.PP_DTYPE_F32
	DTypeF16  DType = C.PP_DTYPE_F16
	DTypeBF16 DType = C.PP_DTYPE_BF16
	DTypeBool DType = C.PP_DTYPE_BOOL
)

// Size is the bytes of one element, 0 for an unknown type.
func (t DType) Size() int {
	return int(C.pp_dtype_size(C.int32_t(t)))
}

func (t DType) String() string {
	return C.GoString(C.pp_dtype_name(C.int32_t(t)))
}

// LogLevel says how much a line of the log matters.
type LogLevel int32

// Levels of the log.
const (
	LogWarning LogLevel = C.PP_LOG_WARNING
	LogInfo    LogLevel = C.PP_LOG_INFO
)

// LogFunc receives one line, on the goroutine that called the library. It must not call the object
// that logs, nor panic.
type LogFunc func(level LogLevel, line string)

// first is the address of a slice's elements, nil when there are none.
func first[T any](s []T) unsafe.Pointer {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Pointer(&s[0])
}

func ints32(s []int32) *C.int32_t { return (*C.int32_t)(first(s)) }
func ints64(s []int64) *C.int64_t { return (*C.int64_t)(first(s)) }

func truth(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}

// flat puts slices one behind the other.
func flat(all [][]int32) (tokens []int32, lengths []int64) {
	n := 0
	lengths = make([]int64, len(all))
	for i, some := range all {
		lengths[i] = int64(len(some))
		n += len(some)
	}
	tokens = make([]int32, 0, n)
	for _, some := range all {
		tokens = append(tokens, some...)
	}
	return tokens, lengths
}

// narrow is a number for C, which has 32 bits there: one that does not fit becomes the nearest that
// does, which the library refuses as it would the number itself.
func narrow(n int) C.int32_t {
	if n > math.MaxInt32 {
		return math.MaxInt32
	}
	if n < math.MinInt32 {
		return math.MinInt32
	}
	return C.int32_t(n)
}

// cString is a NUL-ended copy of a text that free takes; a text with a NUL inside is refused, where
// C would see its beginning only.
func cString(what, text string) (*C.char, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return nil, refuse("%s %q has a NUL byte inside", what, text)
	}
	return C.CString(text), nil
}

func free(text *C.char) { C.free(unsafe.Pointer(text)) }

// fixedText is the text in an array of C's.
func fixedText(array []C.char) string {
	for n, c := range array {
		if c == 0 {
			return C.GoStringN(&array[0], C.int(n))
		}
	}
	return C.GoStringN(&array[0], C.int(len(array)))
}
