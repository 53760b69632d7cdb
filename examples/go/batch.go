package prepack

/*
#include "go_calls.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// BatchLayout is how prompts lie in a batch.
type BatchLayout int32

// Layouts of batches; Ragged is the default.
const (
	Ragged BatchLayout = C.PP_LAYOUT_RAGGED // all tokens one after another, without pads
	Padded BatchLayout = C.PP_LAYOUT_PADDED // one row a bin
)

// BatchOptions are settings of a batch; nil: every bin, ragged.
type BatchOptions struct {
	Layout    BatchLayout
	PadToken  int32
	FirstBin  int64
	Bins      int64 // 0: all from FirstBin on
	RowLength int64 // of Padded; 0: the fullest of these bins
}

// Batch is the arrays of some bins, for engines other than the library. Immutable; safe for use by
// any number of goroutines.
type Batch struct{ h handle }

// NewBatch lays the prompts of some bins out. prompts are those whose lengths the plan was made
// from, in the same order.
func NewBatch(plan *Plan, prompts [][]int32, options *BatchOptions) (*Batch, error) {
	bins, err := plan.enter()
	if err != nil {
		return nil, err
	}
	defer plan.h.leave()
	var params C.pp_batch_params
	C.pp_batch_params_init(&params, C.sizeof_pp_batch_params)
	if options != nil {
		if options.Layout != 0 {
			params.layout = C.int32_t(options.Layout)
		}
		if options.Bins != 0 {
			params.n_bins = C.int64_t(options.Bins)
		}
		params.pad_token = C.int32_t(options.PadToken)
		params.first_bin = C.int64_t(options.FirstBin)
		params.row_len = C.int64_t(options.RowLength)
	}
	tokens, lengths := flat(prompts)
	var object *C.pp_batch
	details := newError()
	err = check(C.ppgo_batch_build(bins, ints32(tokens), ints64(lengths), C.int64_t(len(prompts)),
		&params, &object, details), details)
	if err != nil {
		return nil, err
	}
	b := &Batch{h: newHandle("batch", unsafe.Pointer(object), func(object unsafe.Pointer) {
		C.pp_batch_destroy((*C.pp_batch)(object))
	})}
	runtime.SetFinalizer(b, (*Batch).Close)
	return b, nil
}

// Close releases the batch. It returns nil.
func (b *Batch) Close() error {
	if b.h.close() {
		runtime.SetFinalizer(b, nil)
	}
	return nil
}

// BatchView is the arrays of a batch, which are the library's: to be read only, until the function
// that got them returns.
type BatchView struct {
	Layout    BatchLayout
	Rows      int
	RowLength int
	Tokens    int64 // real ones
	MaxSeqlen int64 // longest prompt

	TokenIDs  []int32 // [Rows * RowLength]
	Positions []int32 // [Rows * RowLength], restart at 0 at each prompt
	CuSeqlens []int32 // [prompts + 1] prefix sums of the lengths, in batch order
	Starts    []int64 // [prompts] index of each prompt's first token
	LastRows  []int64 // [prompts] index of each prompt's last token
	Prompts   []int32 // [prompts] which prompt this is, an index into the plan's
}

// View lends the arrays to a function without a copy.
func (b *Batch) View(view func(BatchView) error) error {
	object, err := b.h.enter()
	if err != nil {
		return err
	}
	defer b.h.leave()
	c := C.pp_batch_view{struct_size: C.sizeof_pp_batch_view}
	details := newError()
	err = check(C.pp_batch_get_view((*C.pp_batch)(object), &c, details), details)
	if err != nil {
		return err
	}
	places, prompts := int(c.n_rows)*int(c.row_len), int(c.n_prompts)
	return view(BatchView{
		Layout:    BatchLayout(c.layout),
		Rows:      int(c.n_rows),
		RowLength: int(c.row_len),
		Tokens:    int64(c.n_tokens),
		MaxSeqlen: int64(c.max_seqlen),
		TokenIDs:  unsafe.Slice((*int32)(unsafe.Pointer(c.tokens)), places),
		Positions: unsafe.Slice((*int32)(unsafe.Pointer(c.positions)), places),
		CuSeqlens: unsafe.Slice((*int32)(unsafe.Pointer(c.cu_seqlens)), prompts+1),
		Starts:    unsafe.Slice((*int64)(unsafe.Pointer(c.starts)), prompts),
		LastRows:  unsafe.Slice((*int64)(unsafe.Pointer(c.last_rows)), prompts),
		Prompts:   unsafe.Slice((*int32)(unsafe.Pointer(c.prompts)), prompts),
	})
}

// Mask is the dense independent mask [Rows, RowLength, RowLength]: DTypeBool: 1 may see, 0 may not;
// DTypeF32, DTypeF16, DTypeBF16: 0 and -infinity. windowLeft as in FlashAttention, -1: no limit.
func (b *Batch) Mask(dtype DType, windowLeft int64) ([]byte, error) {
	object, err := b.h.enter()
	if err != nil {
		return nil, err
	}
	defer b.h.leave()
	batch := (*C.pp_batch)(object)
	var size C.size_t
	details := newError()
	err = check(C.pp_batch_mask_bytes(batch, C.int32_t(dtype), &size, details), details)
	if err != nil {
		return nil, err
	}
	mask := make([]byte, size)
	err = check(C.pp_batch_mask(batch, C.int32_t(dtype), C.int64_t(windowLeft), first(mask), size,
		details), details)
	if err != nil {
		return nil, err
	}
	return mask, nil
}
