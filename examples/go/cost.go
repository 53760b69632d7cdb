package prepack

/*
#include "go_calls.h"
*/
import "C"

import "unsafe"

// CostModel is what a forward pass costs: see prepack/cost.h.
type CostModel struct {
	PerPass   float64
	PerToken  float64
	PerSquare float64
	PerPrompt float64
	Tile      int64   // at least 1
	Error     float64 // of the fit; 0: not known
	Device    string  // where it was measured, at most 63 bytes
	Model     string  // of which model, at most 63 bytes
	MaxTokens int64   // of the largest pass that was measured; 0: not known
}

// DefaultCost is the model without measurements: a pass costs its tokens.
func DefaultCost() CostModel {
	var c C.pp_cost_model
	C.pp_cost_init(&c, C.sizeof_pp_cost_model)
	return costModel(&c)
}

func costModel(c *C.pp_cost_model) CostModel {
	return CostModel{
		PerPass:   float64(c.per_pass),
		PerToken:  float64(c.per_token),
		PerSquare: float64(c.per_square),
		PerPrompt: float64(c.per_prompt),
		Tile:      int64(c.tile),
		Error:     float64(c.error),
		Device:    fixedText(c.device[:]),
		Model:     fixedText(c.model[:]),
		MaxTokens: int64(c.max_tokens),
	}
}

// toC is nil for nil.
func (m *CostModel) toC() (*C.pp_cost_model, error) {
	if m == nil {
		return nil, nil
	}
	c := &C.pp_cost_model{
		struct_size: C.sizeof_pp_cost_model,
		per_pass:    C.double(m.PerPass),
		per_token:   C.double(m.PerToken),
		per_square:  C.double(m.PerSquare),
		per_prompt:  C.double(m.PerPrompt),
		tile:        C.int64_t(m.Tile),
		error:       C.double(m.Error),
		max_tokens:  C.int64_t(m.MaxTokens),
	}
	if err := putText(c.device[:], "Device", m.Device); err != nil {
		return nil, err
	}
	if err := putText(c.model[:], "Model", m.Model); err != nil {
		return nil, err
	}
	return c, nil
}

// putText fills an array of C's and its NUL.
func putText(array []C.char, what, text string) error {
	if len(text) >= len(array) {
		return refuse("%s of a cost model has %d bytes; at most %d are allowed", what, len(text),
			len(array)-1)
	}
	for i := 0; i < len(text); i++ {
		array[i] = C.char(text[i])
	}
	return nil
}

// Predict is the cost of a pass of prompts of these lengths.
func (m CostModel) Predict(lengths []int64) (float64, error) {
	c, err := m.toC()
	if err != nil {
		return 0, err
	}
	var cost C.double
	details := newError()
	err = check(C.pp_cost_predict(c, ints64(lengths), C.int64_t(len(lengths)), &cost, details),
		details)
	return float64(cost), err
}

// MarshalJSON writes the model in the library's form, which `prepack tune` writes too.
func (m CostModel) MarshalJSON() ([]byte, error) {
	c, err := m.toC()
	if err != nil {
		return nil, err
	}
	return textOf(func(text *C.char, room C.size_t, bytes *C.size_t,
		details *C.pp_error) C.pp_status {
		return C.pp_cost_to_json(c, text, room, bytes, details)
	})
}

// UnmarshalJSON reads what MarshalJSON or `prepack tune` wrote.
func (m *CostModel) UnmarshalJSON(data []byte) error {
	c := C.pp_cost_model{struct_size: C.sizeof_pp_cost_model}
	details := newError()
	err := check(C.pp_cost_from_json((*C.char)(first(data)), C.size_t(len(data)), &c, details),
		details)
	if err == nil {
		*m = costModel(&c)
	}
	return err
}

// textOf is what a call writes that tells the size first.
func textOf(write func(*C.char, C.size_t, *C.size_t, *C.pp_error) C.pp_status) ([]byte, error) {
	var size C.size_t
	details := newError()
	if err := check(write(nil, 0, &size, details), details); err != nil {
		return nil, err
	}
	text := make([]byte, size+1) // the NUL
	err := check(write((*C.char)(unsafe.Pointer(&text[0])), C.size_t(len(text)), &size, details),
		details)
	if err != nil {
		return nil, err
	}
	return text[:size], nil
}

// CostOptions are settings of MeasureCost; the zero value has the defaults.
type CostOptions struct {
	CacheOnly bool    // of passes that only write KV caches
	MaxTokens int64   // of a pass
	MaxLength int64   // tokens of a prompt
	Seconds   float64 // to spend, about; 0: 10
	Seed      uint64
}

// MeasureCost measures the cost model of the session's device and model, in seconds. Cancel ends it.
func (s *Session) MeasureCost(options CostOptions) (CostModel, error) {
	object, err := s.enter()
	if err != nil {
		return CostModel{}, err
	}
	defer s.leave()
	var params C.pp_cost_params
	C.pp_cost_params_init(&params, C.sizeof_pp_cost_params)
	params.cache_only = truth(options.CacheOnly)
	params.max_tokens = C.int64_t(options.MaxTokens)
	params.max_length = C.int64_t(options.MaxLength)
	params.seconds = C.double(options.Seconds)
	params.seed = C.uint64_t(options.Seed)
	c := C.pp_cost_model{struct_size: C.sizeof_pp_cost_model}
	details := newError()
	if err := check(C.pp_cost_measure(object, &params, &c, details), details); err != nil {
		return CostModel{}, err
	}
	return costModel(&c), nil
}
