package prepack

/*
#include "go_calls.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Objective is what the bins shall be.
type Objective int32

// Objectives. FewestBins, the zero value of PackerOptions, is the default.
const (
	FewestBins Objective = C.PP_OBJECTIVE_FEWEST_BINS
	Balanced   Objective = C.PP_OBJECTIVE_BALANCED
	Cheapest   Objective = C.PP_OBJECTIVE_CHEAPEST
)

// Policy of FewestBins.
type Policy int32

// Policies: see prepack/packer.h. PolicyFFD is the default.
const (
	PolicyFFD      Policy = C.PP_POLICY_FFD
	PolicyBFD      Policy = C.PP_POLICY_BFD
	PolicyArrival  Policy = C.PP_POLICY_ARRIVAL
	PolicyFirstFit Policy = C.PP_POLICY_FIRST_FIT
	PolicyBestFit  Policy = C.PP_POLICY_BEST_FIT
	PolicyExact    Policy = C.PP_POLICY_EXACT
	PolicyAuto     Policy = C.PP_POLICY_AUTO
)

// Oversize is what becomes of prompts longer than the capacity.
type Oversize int32

// What becomes of prompts longer than the capacity; OversizeError is the default.
const (
	OversizeError  Oversize = C.PP_OVERSIZE_ERROR
	OversizeOwnBin Oversize = C.PP_OVERSIZE_OWN_BIN
	OversizeSplit  Oversize = C.PP_OVERSIZE_SPLIT
)

// PackerOptions are limits and policy; a field that is zero has its default.
type PackerOptions struct {
	Objective       Objective
	Capacity        int64 // tokens of a bin; 0: the longest prompt of each call
	Oversize        Oversize
	KeepOrder       bool
	MaxPrompts      int64 // of a bin; 0: no limit
	BinAlignment    int64
	PromptAlignment int64
	MaxSteps        int64   // of a search; -1: no limit
	MaxSeconds      float64 // also stop searching after this time
	Cost            *CostModel

	// Of FewestBins.
	Policy          Policy
	Capacities      []int64 // of the bins there are; none: as many of Capacity as it takes
	MinSharedPrefix int64   // prefixes of so many tokens that prompts share are placed once

	Bins       int64   // of Balanced: to make
	RowLengths []int64 // of Cheapest: that a row may have
}

// Packer packs lengths into bins. Safe for use by any number of goroutines.
type Packer struct{ h handle }

// NewPacker creates a packer; nil: the defaults.
func NewPacker(options *PackerOptions) (*Packer, error) {
	if options == nil {
		options = &PackerOptions{}
	}
	var params C.pp_packer_params
	C.pp_packer_params_init(&params, C.sizeof_pp_packer_params)
	if options.Objective != 0 {
		params.objective = C.int32_t(options.Objective)
	}
	if options.Oversize != 0 {
		params.oversize = C.int32_t(options.Oversize)
	}
	if options.BinAlignment != 0 {
		params.bin_alignment = C.int64_t(options.BinAlignment)
	}
	if options.PromptAlignment != 0 {
		params.prompt_alignment = C.int64_t(options.PromptAlignment)
	}
	params.capacity = C.int64_t(options.Capacity)
	params.keep_order = truth(options.KeepOrder)
	params.max_prompts = C.int64_t(options.MaxPrompts)
	params.max_steps = C.int64_t(options.MaxSteps)
	params.max_seconds = C.double(options.MaxSeconds)
	fewest, balanced, cheapest := options.settings()
	cost, err := options.Cost.toC()
	if err != nil {
		return nil, err
	}
	var object *C.pp_packer
	details := newError()
	err = check(C.ppgo_packer_create(&params, fewest, ints64(options.Capacities), balanced, cheapest,
		ints64(options.RowLengths), cost, &object, details), details)
	if err != nil {
		return nil, err
	}
	p := &Packer{h: newHandle("packer", unsafe.Pointer(object), func(object unsafe.Pointer) {
		C.pp_packer_destroy((*C.pp_packer)(object))
	})}
	runtime.SetFinalizer(p, (*Packer).Close)
	return p, nil
}

// settings are those of the objectives that the options name anything of; C refuses what does not
// go together.
func (o *PackerOptions) settings() (fewest *C.pp_fewest_params, balanced *C.pp_balanced_params,
	cheapest *C.pp_cheapest_params) {
	if o.Policy != 0 || len(o.Capacities) > 0 || o.MinSharedPrefix != 0 {
		fewest = &C.pp_fewest_params{
			struct_size:       C.sizeof_pp_fewest_params,
			policy:            C.int32_t(o.Policy),
			n_capacities:      C.int64_t(len(o.Capacities)),
			min_shared_prefix: C.int64_t(o.MinSharedPrefix),
		}
	}
	if o.Bins != 0 {
		balanced = &C.pp_balanced_params{
			struct_size: C.sizeof_pp_balanced_params,
			n_bins:      C.int64_t(o.Bins),
		}
	}
	if len(o.RowLengths) > 0 {
		cheapest = &C.pp_cheapest_params{
			struct_size: C.sizeof_pp_cheapest_params,
			n_row_lens:  C.int64_t(len(o.RowLengths)),
		}
	}
	return fewest, balanced, cheapest
}

// Close releases the packer; its plans stay. It returns nil.
func (p *Packer) Close() error {
	if p.h.close() {
		runtime.SetFinalizer(p, nil)
	}
	return nil
}

// Plan packs prompts of these lengths into bins.
func (p *Packer) Plan(lengths []int64) (*Plan, error) {
	object, err := p.h.enter()
	if err != nil {
		return nil, err
	}
	defer p.h.leave()
	var plan *C.pp_plan
	details := newError()
	err = check(C.pp_packer_plan((*C.pp_packer)(object), ints64(lengths), C.int64_t(len(lengths)),
		&plan, details), details)
	if err != nil {
		return nil, err
	}
	return newPlan(plan), nil
}

// PlanInput is prompts and what is known of them besides their lengths.
type PlanInput struct {
	Lengths  []int64   // nil: those of Prompts
	Prompts  [][]int32 // token ids, looked at where prefixes are shared; nil: not known
	Together []int32   // prompts with the same number, not negative, go into the same bin
	Apart    []int32   // prompts with the same number, not negative, go into different bins
}

// PlanInput packs prompts by more than their lengths.
func (p *Packer) PlanInput(input PlanInput) (*Plan, error) {
	object, err := p.h.enter()
	if err != nil {
		return nil, err
	}
	defer p.h.leave()
	lengths := input.Lengths
	var tokens []int32
	if input.Prompts != nil {
		var own []int64
		tokens, own = flat(input.Prompts)
		if lengths == nil {
			lengths = own
		} else if err := sameLengths(lengths, own); err != nil {
			return nil, err
		}
	}
	for _, numbers := range [][]int32{input.Together, input.Apart} {
		if numbers != nil && len(numbers) != len(lengths) {
			return nil, refuse("%d prompts have %d numbers of what goes together or apart",
				len(lengths), len(numbers))
		}
	}
	var plan *C.pp_plan
	details := newError()
	err = check(C.ppgo_packer_plan_input((*C.pp_packer)(object), C.int64_t(len(lengths)),
		ints64(lengths), ints32(tokens), ints32(input.Together), ints32(input.Apart), &plan,
		details), details)
	if err != nil {
		return nil, err
	}
	return newPlan(plan), nil
}

// sameLengths refuses lengths that are not the prompts', which C would read by.
func sameLengths(lengths, own []int64) error {
	if len(lengths) != len(own) {
		return refuse("there are %d lengths for %d prompts", len(lengths), len(own))
	}
	for i := range own {
		if lengths[i] != own[i] {
			err := refuse("length %d is %d, but the prompt has %d tokens", i, lengths[i], own[i])
			err.(*Error).Index = int64(i)
			return err
		}
	}
	return nil
}
