package prepack

/*
#include "go_calls.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Plan is bins and what they hold. Immutable; safe for use by any number of goroutines.
type Plan struct{ h handle }

func newPlan(object *C.pp_plan) *Plan {
	p := &Plan{h: newHandle("plan", unsafe.Pointer(object), func(object unsafe.Pointer) {
		C.pp_plan_destroy((*C.pp_plan)(object))
	})}
	runtime.SetFinalizer(p, (*Plan).Close)
	return p
}

// Close releases the plan. It returns nil.
func (p *Plan) Close() error {
	if p.h.close() {
		runtime.SetFinalizer(p, nil)
	}
	return nil
}

func (p *Plan) enter() (*C.pp_plan, error) {
	object, err := p.h.enter()
	return (*C.pp_plan)(object), err
}

// PlanInfo is figures of a plan. Costs are in units of the cost model: seconds, or tokens without.
type PlanInfo struct {
	Policy         Policy
	Objective      Objective
	ProvenOptimal  bool
	LimitReached   int // 1: MaxSteps, 2: MaxSeconds ended the search
	Prompts        int64
	Bins           int64
	Capacity       int64
	Tokens         int64
	LongestPrompt  int64
	LowerBound     int64   // no packing has fewer bins
	Waste          float64 // 1 - placed tokens / capacity of all bins
	Gap            float64
	Seconds        float64 // that the planning took
	Segments       int64
	PlacedTokens   int64
	Used           int64
	TotalCapacity  int64
	MaxBinPrompts  int64
	MeanBinPrompts float64
	MaxCost        float64 // of a bin
	MeanCost       float64 // of a bin
	CostBound      float64
}

// Info tells the plan's figures.
func (p *Plan) Info() (PlanInfo, error) {
	object, err := p.enter()
	if err != nil {
		return PlanInfo{}, err
	}
	defer p.h.leave()
	return planInfo(object)
}

func planInfo(plan *C.pp_plan) (PlanInfo, error) {
	c := C.pp_plan_info{struct_size: C.sizeof_pp_plan_info}
	details := newError()
	if err := check(C.pp_plan_get_info(plan, &c, details), details); err != nil {
		return PlanInfo{}, err
	}
	return PlanInfo{
		Policy:         Policy(c.policy),
		Objective:      Objective(c.objective),
		ProvenOptimal:  c.proven_optimal == 1,
		LimitReached:   int(c.limit_reached),
		Prompts:        int64(c.n_prompts),
		Bins:           int64(c.n_bins),
		Capacity:       int64(c.capacity),
		Tokens:         int64(c.tokens),
		LongestPrompt:  int64(c.longest_prompt),
		LowerBound:     int64(c.lower_bound),
		Waste:          float64(c.waste),
		Gap:            float64(c.gap),
		Seconds:        float64(c.seconds),
		Segments:       int64(c.n_segments),
		PlacedTokens:   int64(c.placed_tokens),
		Used:           int64(c.used),
		TotalCapacity:  int64(c.total_capacity),
		MaxBinPrompts:  int64(c.max_bin_prompts),
		MeanBinPrompts: float64(c.mean_bin_prompts),
		MaxCost:        float64(c.max_cost),
		MeanCost:       float64(c.mean_cost),
		CostBound:      float64(c.cost_bound),
	}, nil
}

// Bins are the bins' prompts, as indices into the lengths that were packed, in the order in which
// they lie. Where prompts are split or shared these are segments: a prompt may be in several bins.
func (p *Plan) Bins() ([][]int32, error) {
	object, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer p.h.leave()
	info, err := planInfo(object)
	if err != nil {
		return nil, err
	}
	all := make([]int32, 0, info.Segments)
	bins := make([][]int32, info.Bins)
	for b := range bins {
		view, err := viewBin(object, b)
		if err != nil {
			return nil, err
		}
		start := len(all)
		all = append(all, view...)
		bins[b] = all[start:len(all):len(all)]
	}
	return bins, nil
}

// ViewBin lends one bin's prompts to a function without a copy, until it returns.
func (p *Plan) ViewBin(bin int, view func(prompts []int32) error) error {
	object, err := p.enter()
	if err != nil {
		return err
	}
	defer p.h.leave()
	prompts, err := viewBin(object, bin)
	if err != nil {
		return err
	}
	return view(prompts)
}

func viewBin(plan *C.pp_plan, bin int) ([]int32, error) {
	var prompts *C.int32_t
	var n C.int64_t
	details := newError()
	err := check(C.pp_plan_get_bin(plan, C.int64_t(bin), &prompts, &n, nil, details), details)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*int32)(unsafe.Pointer(prompts)), int(n)), nil
}

// BinInfo is figures of a bin.
type BinInfo struct {
	Choice       int   // the bin is Capacities[Choice]; -1: no bins were given
	FirstSegment int64 // segments of all bins are numbered from 0
	Segments     int64
	Tokens       int64
	Used         int64 // and what alignment adds
	Capacity     int64
	Cost         float64
}

// BinInfo tells the figures of one bin.
func (p *Plan) BinInfo(bin int) (BinInfo, error) {
	object, err := p.enter()
	if err != nil {
		return BinInfo{}, err
	}
	defer p.h.leave()
	c := C.pp_bin_info{struct_size: C.sizeof_pp_bin_info}
	details := newError()
	err = check(C.pp_plan_get_bin_info(object, C.int64_t(bin), &c, details), details)
	if err != nil {
		return BinInfo{}, err
	}
	return BinInfo{
		Choice:       int(c.choice),
		FirstSegment: int64(c.first_segment),
		Segments:     int64(c.n_segments),
		Tokens:       int64(c.tokens),
		Used:         int64(c.used),
		Capacity:     int64(c.capacity),
		Cost:         float64(c.cost),
	}, nil
}

// Segment is tokens [FirstToken, FirstToken + Tokens) of a prompt, in one place.
type Segment struct {
	Prompt     int32
	FirstToken int64
	Tokens     int64
	Start      int64 // place in the bin, alignment included
	After      int64 // the segment whose cache this one continues; -1: none
}

// Segment is one of the plan's segments.
func (p *Plan) Segment(i int64) (Segment, error) {
	object, err := p.enter()
	if err != nil {
		return Segment{}, err
	}
	defer p.h.leave()
	var c C.pp_segment
	details := newError()
	err = check(C.pp_plan_get_segment(object, C.int64_t(i), &c, details), details)
	if err != nil {
		return Segment{}, err
	}
	return Segment{Prompt: int32(c.prompt), FirstToken: int64(c.first_token),
		Tokens: int64(c.n_tokens), Start: int64(c.start), After: int64(c.after)}, nil
}

// Ends are the segments that hold each prompt's last token.
func (p *Plan) Ends() ([]int64, error) {
	object, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer p.h.leave()
	info, err := planInfo(object)
	if err != nil {
		return nil, err
	}
	ends := make([]int64, info.Prompts)
	details := newError()
	err = check(C.pp_plan_get_ends(object, ints64(ends), C.int64_t(len(ends)), details), details)
	if err != nil {
		return nil, err
	}
	return ends, nil
}

// PartitionInfo is figures of a partition.
type PartitionInfo struct {
	ProvenOptimal bool
	LimitReached  bool
	Workers       int64
	MaxBins       int64 // of a worker
	MaxCost       float64
	MeanCost      float64
	CostBound     float64
	Gap           float64
}

// Partition gives every bin a worker of 0 .. workers - 1, so that the dearest one is cheap.
func (p *Plan) Partition(workers int) ([]int32, PartitionInfo, error) {
	object, err := p.enter()
	if err != nil {
		return nil, PartitionInfo{}, err
	}
	defer p.h.leave()
	info, err := planInfo(object)
	if err != nil {
		return nil, PartitionInfo{}, err
	}
	workerOfBin := make([]int32, info.Bins)
	c := C.pp_partition_info{struct_size: C.sizeof_pp_partition_info}
	details := newError()
	err = check(C.pp_plan_partition(object, C.int64_t(workers), ints32(workerOfBin),
		C.int64_t(len(workerOfBin)), &c, details), details)
	if err != nil {
		return nil, PartitionInfo{}, err
	}
	return workerOfBin, PartitionInfo{
		ProvenOptimal: c.proven_optimal == 1,
		LimitReached:  c.limit_reached == 1,
		Workers:       int64(c.n_workers),
		MaxBins:       int64(c.max_bins),
		MaxCost:       float64(c.max_cost),
		MeanCost:      float64(c.mean_cost),
		CostBound:     float64(c.cost_bound),
		Gap:           float64(c.gap),
	}, nil
}

// MarshalJSON writes the plan in the library's form (docs/plan-format.md).
func (p *Plan) MarshalJSON() ([]byte, error) {
	object, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer p.h.leave()
	return textOf(func(text *C.char, room C.size_t, bytes *C.size_t,
		details *C.pp_error) C.pp_status {
		return C.pp_plan_to_json(object, text, room, bytes, details)
	})
}

// ParsePlan reads a plan that MarshalJSON, or somebody else, wrote. Nothing in it is believed that
// can be checked.
func ParsePlan(data []byte) (*Plan, error) {
	var plan *C.pp_plan
	details := newError()
	err := check(C.pp_plan_from_json((*C.char)(first(data)), C.size_t(len(data)), nil, &plan,
		details), details)
	if err != nil {
		return nil, err
	}
	return newPlan(plan), nil
}
