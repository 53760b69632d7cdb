package prepack

/*
#include "go_calls.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Half of a cache.
type Half int32

// Halves: keys are after the rotary embedding.
const (
	Keys   Half = C.PP_KV_K
	Values Half = C.PP_KV_V
)

// Layout of keys or values that are copied.
type Layout int32

// Layouts of copies.
const (
	NHD Layout = C.PP_KV_NHD // [tokens, kv heads, head_dim]
	HND Layout = C.PP_KV_HND // [kv heads, tokens, head_dim]
)

// Cache is one prompt's KV cache, over counted pages of its session. It outlives Session.Close. One
// call at a time for a session and its caches, but Close is for any goroutine.
type Cache struct {
	h       handle
	session *Session // for its turn
}

func newCache(session *Session, object *C.pp_kvcache) *Cache {
	c := &Cache{session: session}
	c.h = newHandle("cache", unsafe.Pointer(object), func(object unsafe.Pointer) {
		C.pp_kvcache_destroy((*C.pp_kvcache)(object))
	})
	runtime.SetFinalizer(c, (*Cache).Close)
	return c
}

// Close gives the cache's pages back. It returns nil.
func (c *Cache) Close() error {
	if c.h.close() {
		runtime.SetFinalizer(c, nil)
	}
	return nil
}

// enter takes the turn of the cache's session; leave has to follow.
func (c *Cache) enter() (*C.pp_kvcache, error) {
	if c.session == nil { // the zero value
		return nil, misuse("cache", ErrClosed)
	}
	object, err := c.h.enterAlone(&c.session.turn)
	return (*C.pp_kvcache)(object), err
}

func (c *Cache) leave() { c.h.leaveAlone(&c.session.turn) }

// NewCache is a cache of n tokens whose keys and values are zeros, to be written to. tokens are
// their ids, or nil where the model's rotary embedding does not depend on a prompt's length.
func (s *Session) NewCache(n int, tokens []int32) (*Cache, error) {
	if tokens != nil && len(tokens) != n {
		return nil, refuse("a cache of %d tokens was given the ids of %d", n, len(tokens))
	}
	object, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.leave()
	var cache *C.pp_kvcache
	details := newError()
	err = check(C.pp_kvcache_create(object, C.int64_t(n), ints32(tokens), &cache, details), details)
	if err != nil {
		return nil, err
	}
	return newCache(s, cache), nil
}

// Len is the tokens in the cache.
func (c *Cache) Len() (int, error) {
	object, err := c.enter()
	if err != nil {
		return 0, err
	}
	defer c.leave()
	return int(C.pp_kvcache_length(object)), nil
}

// Bytes of the pages that the cache refers to; shared pages count fully.
func (c *Cache) Bytes() (int64, error) {
	object, err := c.enter()
	if err != nil {
		return 0, err
	}
	defer c.leave()
	return int64(C.pp_kvcache_bytes(object)), nil
}

// FirstToken whose keys and values a layer holds; 0 for layers without a window.
func (c *Cache) FirstToken(layer int) (int, error) {
	object, err := c.enter()
	if err != nil {
		return 0, err
	}
	defer c.leave()
	return int(C.pp_kvcache_first_token(object, narrow(layer))), nil
}

// Kept is the length that a cut to n tokens would leave, where a model has linear layers; -1: it
// cannot be cut so. Truncate to it goes back to n, or as little further as it must.
func (c *Cache) Kept(n int) (int, error) {
	object, err := c.enter()
	if err != nil {
		return 0, err
	}
	defer c.leave()
	return int(C.pp_kvcache_kept(object, C.int64_t(n))), nil
}

// checkKept refuses a cut that would leave less than n tokens.
func checkKept(cache *C.pp_kvcache, n int) error {
	left := int(C.pp_kvcache_kept(cache, C.int64_t(n)))
	if left < 0 || left == n { // what cannot be is C's to refuse
		return nil
	}
	return refuse("the cache has states of linear layers at %d tokens and not at %d: Kept says "+
		"where it can be cut", left, n)
}

// Fork is a new cache that holds the first n tokens of this one and shares its pages; an error where
// it would hold fewer.
func (c *Cache) Fork(n int) (*Cache, error) {
	object, err := c.enter()
	if err != nil {
		return nil, err
	}
	defer c.leave()
	if err := checkKept(object, n); err != nil {
		return nil, err
	}
	var fork *C.pp_kvcache
	details := newError()
	if err := check(C.pp_kvcache_fork(object, C.int64_t(n), &fork, details), details); err != nil {
		return nil, err
	}
	return newCache(c.session, fork), nil
}

// Truncate drops all tokens from the n-th on; an error, and nothing is dropped, where more would have
// to go.
func (c *Cache) Truncate(n int) error {
	object, err := c.enter()
	if err != nil {
		return err
	}
	defer c.leave()
	if err := checkKept(object, n); err != nil {
		return err
	}
	details := newError()
	return check(C.pp_kvcache_truncate(object, C.int64_t(n), details), details)
}

// State is a part of what a linear layer has in the place of keys and values.
type State int32

// Parts of a state.
const (
	Recurrent  State = C.PP_STATE_RECURRENT // [value heads, key dim, value dim]
	ConvInputs State = C.PP_STATE_CONV      // [kernel - 1, channels], the latest last
)

// ReadState copies a part of a linear layer's state out; to has exactly as many numbers.
func (c *Cache) ReadState(layer int, part State, to []float32) error {
	object, err := c.enter()
	if err != nil {
		return err
	}
	defer c.leave()
	details := newError()
	return check(C.pp_kvcache_read_state(object, narrow(layer), C.int32_t(part),
		(*C.float)(first(to)), C.size_t(4*len(to)), details), details)
}

// WriteState overwrites a part of a linear layer's state.
func (c *Cache) WriteState(layer int, part State, from []float32) error {
	object, err := c.enter()
	if err != nil {
		return err
	}
	defer c.leave()
	details := newError()
	return check(C.pp_kvcache_write_state(object, narrow(layer), C.int32_t(part),
		(*C.float)(first(from)), C.size_t(4*len(from)), details), details)
}

// Part of a cache that is copied: some tokens' keys or values in one layer.
type Part struct {
	Layer      int
	Half       Half
	Layout     Layout // NHD or HND
	FirstToken int
	Tokens     int
}

// Read copies a part out as f32; to has exactly Tokens * KVHeads * HeadDim elements.
func (c *Cache) Read(part Part, to []float32) error {
	return c.read(part, DTypeF32, first(to), 4*len(to))
}

// ReadRaw copies a part out in the session's dtype, bit for bit.
func (c *Cache) ReadRaw(part Part, dtype DType, to []byte) error {
	return c.read(part, dtype, first(to), len(to))
}

func (c *Cache) read(part Part, dtype DType, to unsafe.Pointer, bytes int) error {
	object, err := c.enter()
	if err != nil {
		return err
	}
	defer c.leave()
	details := newError()
	return check(C.pp_kvcache_read(object, narrow(part.Layer), C.int32_t(part.Half),
		C.int32_t(part.Layout), C.int32_t(dtype), C.int64_t(part.FirstToken),
		C.int64_t(part.Tokens), to, C.size_t(bytes), details), details)
}

// Write overwrites a part that the cache holds with f32 numbers, which round to the session's dtype.
func (c *Cache) Write(part Part, from []float32) error {
	return c.write(part, DTypeF32, first(from), 4*len(from))
}

// WriteRaw overwrites a part with elements of the session's dtype.
func (c *Cache) WriteRaw(part Part, dtype DType, from []byte) error {
	return c.write(part, dtype, first(from), len(from))
}

func (c *Cache) write(part Part, dtype DType, from unsafe.Pointer, bytes int) error {
	object, err := c.enter()
	if err != nil {
		return err
	}
	defer c.leave()
	details := newError()
	return check(C.pp_kvcache_write(object, narrow(part.Layer), C.int32_t(part.Half),
		C.int32_t(part.Layout), C.int32_t(dtype), C.int64_t(part.FirstToken),
		C.int64_t(part.Tokens), from, C.size_t(bytes), details), details)
}

// Page is one page of a layer's keys or values as it lies in memory. Element d of the token
// FirstToken + s in kv head h is, in elements from Data,
//
//	h*HeadStride + s/SlotGroup*SlotStride + s%SlotGroup + d/DimGroup*DimStride + d%DimGroup
type Page struct {
	DType      DType
	Data       unsafe.Pointer // of the session; of the GPU where OnDevice
	FirstToken int64          // in slot 0
	Tokens     int64          // slots that hold tokens
	HeadStride int64
	SlotStride int64
	DimStride  int64
	SlotGroup  int
	DimGroup   int
	OnDevice   bool
}

// ViewPage lends the page of a layer that holds a token to a function, until it returns: without a
// copy, to be read only. The function must not call the session or its caches.
func (c *Cache) ViewPage(layer int, half Half, token int, view func(Page) error) error {
	object, err := c.enter()
	if err != nil {
		return err
	}
	defer c.leave()
	p := C.pp_kvcache_page{struct_size: C.sizeof_pp_kvcache_page}
	details := newError()
	err = check(C.pp_kvcache_get_page(object, narrow(layer), C.int32_t(half), C.int64_t(token),
		&p, details), details)
	if err != nil {
		return err
	}
	return view(Page{
		DType:      DType(p.dtype),
		Data:       p.data,
		FirstToken: int64(p.first_token),
		Tokens:     int64(p.n_tokens),
		HeadStride: int64(p.head_stride),
		SlotStride: int64(p.slot_stride),
		DimStride:  int64(p.dim_stride),
		SlotGroup:  int(p.slot_group),
		DimGroup:   int(p.dim_group),
		OnDevice:   p.on_device == 1,
	})
}
