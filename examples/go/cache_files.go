package prepack

/*
#include "go_calls.h"
*/
import "C"

// idsOf checks the ids that are saved with a cache, which C expects as many of as it is long.
func idsOf(cache *C.pp_kvcache, tokens []int32) (*C.int32_t, error) {
	if n := int(C.pp_kvcache_length(cache)); tokens != nil && len(tokens) != n {
		return nil, refuse("a cache of %d tokens was given the ids of %d", n, len(tokens))
	}
	return ints32(tokens), nil
}

// Save writes the cache to a file, which gets its name when all is written. tokens are the ids that
// are saved with it, or nil.
func (c *Cache) Save(path string, tokens []int32) error {
	text, err := cString("the path", path)
	if err != nil {
		return err
	}
	defer free(text)
	object, err := c.enter()
	if err != nil {
		return err
	}
	defer c.leave()
	ids, err := idsOf(object, tokens)
	if err != nil {
		return err
	}
	details := newError()
	return check(C.ppgo_kvcache_save(object, text, ids, details), details)
}

// Export is what Save writes, in memory.
func (c *Cache) Export(tokens []int32) ([]byte, error) {
	object, err := c.enter()
	if err != nil {
		return nil, err
	}
	defer c.leave()
	ids, err := idsOf(object, tokens)
	if err != nil {
		return nil, err
	}
	var size C.size_t
	details := newError()
	err = check(C.ppgo_kvcache_export_size(object, ids, &size, details), details)
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	err = check(C.ppgo_kvcache_export(object, ids, first(data), size, details), details)
	if err != nil {
		return nil, err
	}
	return data, nil
}

// LoadCache is a new cache of the session from a file that Save wrote.
func (s *Session) LoadCache(path string) (*Cache, error) {
	text, err := cString("the path", path)
	if err != nil {
		return nil, err
	}
	defer free(text)
	object, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.leave()
	var cache *C.pp_kvcache
	details := newError()
	if err := check(C.pp_kvcache_load(object, text, &cache, details), details); err != nil {
		return nil, err
	}
	return newCache(s, cache), nil
}

// ImportCache is a new cache of the session from what Export gave.
func (s *Session) ImportCache(data []byte) (*Cache, error) {
	object, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.leave()
	var cache *C.pp_kvcache
	details := newError()
	err = check(C.pp_kvcache_import(object, first(data), C.size_t(len(data)), &cache, details),
		details)
	if err != nil {
		return nil, err
	}
	return newCache(s, cache), nil
}

// CacheFileInfo is what a saved cache says of itself.
type CacheFileInfo struct {
	DType        DType
	Tokens       int64
	Bytes        int64  // of the file
	Model        uint64 // Model.Identity of its model
	Layers       int
	KVHeads      int
	HeadDim      int
	LinearLayers int   // of Layers those that have a state
	StateBytes   int64 // of their states
	Architecture string
	Weights      string
	Device       string
	Producer     string
	IDs          []int32 // of its tokens; nil where none were saved
}

// InspectCache reads what a saved cache says, without a session. Keys, values and the checksum are
// not looked at.
func InspectCache(path string) (CacheFileInfo, error) {
	text, err := cString("the path", path)
	if err != nil {
		return CacheFileInfo{}, err
	}
	defer free(text)
	f := C.pp_kvcache_file_info{struct_size: C.sizeof_pp_kvcache_file_info}
	details := newError()
	if err := check(C.pp_kvcache_inspect(text, &f, nil, 0, details), details); err != nil {
		return CacheFileInfo{}, err
	}
	var ids []int32
	if f.has_tokens == 1 && f.n_tokens > 0 {
		ids = make([]int32, f.n_tokens)
		err := check(C.pp_kvcache_inspect(text, &f, ints32(ids), f.n_tokens, details), details)
		if err != nil {
			return CacheFileInfo{}, err
		}
	}
	return CacheFileInfo{
		DType:        DType(f.dtype),
		Tokens:       int64(f.n_tokens),
		Bytes:        int64(f.bytes),
		Model:        uint64(f.model),
		Layers:       int(f.n_layers),
		KVHeads:      int(f.n_kv_heads),
		HeadDim:      int(f.head_dim),
		LinearLayers: int(f.n_linear),
		StateBytes:   int64(f.state_bytes),
		Architecture: fixedText(f.architecture[:]),
		Weights:      fixedText(f.weights[:]),
		Device:       fixedText(f.device[:]),
		Producer:     fixedText(f.producer[:]),
		IDs:          ids,
	}, nil
}
