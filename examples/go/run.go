package prepack

/*
#include "go_calls.h"
*/
import "C"

import (
	"context"
	"unsafe"
)

// Output is what an item of a run asks for.
type Output int32

// Outputs. OutputNone, the zero value: the item's cache and Scores alone.
const (
	OutputNone       Output = C.PP_OUTPUT_NONE
	OutputLastLogits Output = C.PP_OUTPUT_LAST_LOGITS // Item.Logits: [VocabSize] of the last token
	OutputAllLogits  Output = C.PP_OUTPUT_ALL_LOGITS  // Item.Logits: [tokens * VocabSize]
	OutputToken      Output = C.PP_OUTPUT_TOKEN       // Item.Next
	OutputHidden     Output = C.PP_OUTPUT_HIDDEN      // Item.Hidden: [tokens * HiddenSize]
	OutputPooled     Output = C.PP_OUTPUT_POOLED      // Item.Hidden: [HiddenSize]
	OutputLabels     Output = C.PP_OUTPUT_LABELS      // Item.Logits: [Labels]
)

// Pooling is how hidden states of an item's tokens become one vector.
type Pooling int32

// Poolings.
const (
	PoolingLast  Pooling = C.PP_POOLING_LAST
	PoolingMean  Pooling = C.PP_POOLING_MEAN
	PoolingFirst Pooling = C.PP_POOLING_FIRST
)

// Limits of Score and Item.
const (
	NoTarget = C.PP_NO_TARGET // no target: only the most likely tokens of the row are wanted
	MaxTop   = C.PP_MAX_TOP   // most of Item.Top
)

// Score is the log-probability of one token in one row, asked for and given. Row t is what the
// model gives after the item's token t.
type Score struct {
	Token   int64   // asked: the row
	Target  int32   // asked: an id, or NoTarget
	Rank    int32   // given: how many ids are more likely; NoTarget: -1
	LogProb float64 // given: natural log of the target's probability; NoTarget: 0
}

// Sampling is how a token is drawn; the zero value takes the most likely one.
type Sampling struct {
	Temperature float32 // 0: the most likely token
	TopK        int32   // 0: no limit
	TopP        float32 // 0 .. 1; 0 and 1: no limit
	MinP        float32 // 0 .. 1; 0: no limit
	Seed        uint64
}

// Item is one prompt's share of a run: a cache, tokens to append to it, and what is wanted of them.
// Results of one run share memory, which stays as long as one of them is referred to.
type Item struct {
	// Cache to append to, of the run's session; nil: a new one, which is put here when the run has
	// succeeded and is the caller's to close.
	Cache        *Cache
	DiscardCache bool    // no cache is handed out; Cache must be nil
	Tokens       []int32 // at least one
	Output       Output
	Sampling     Sampling // of OutputToken
	Pooling      Pooling  // of OutputPooled
	Normalize    bool     // vectors of OutputHidden and OutputPooled get length 1
	HiddenTokens []int64  // of OutputHidden: which tokens' states; none: every token's
	Scores       []Score  // wanted besides Output, filled
	Top          int      // most likely tokens wanted of each score's row

	Next        int32     // result of OutputToken
	Logits      []float32 // result of the outputs that are logits, unless the run has a sink
	Hidden      []float32 // result of OutputHidden and OutputPooled
	TopTokens   []int32   // result: [len(Scores) * Top], most likely first
	TopLogProbs []float64 // result: theirs
}

// RunOptions are settings of a run; the zero value has the defaults.
type RunOptions struct {
	// Plan made from the items' numbers of tokens: its bins say which items share a pass.
	Plan *Plan
	// Sink gets logits in pieces instead of Item.Logits, those of an item in order. An error ends
	// the run, which returns one that is both ErrCancelled and it.
	Sink func(LogitsPiece) error
	// Progress is told after each forward pass how many tokens were computed, of all.
	Progress func(done, all int64)
	// MinSharedPrefix: without a plan, what items that have no tokens yet begin with alike is
	// computed once where it is at least so many tokens; 0: never.
	MinSharedPrefix int64
}

// Run takes items through the model in packed forward passes. After an error no item has changed
// but for Scores, which are undefined, and every cache has its length of before. A context that
// ends makes the run end with an error that is both ErrCancelled and the context's. Callbacks run
// on this goroutine and must not call the session or its caches; a panic in one ends the run and
// goes on from here.
func (s *Session) Run(ctx context.Context, items []Item, options *RunOptions) error {
	if err := alreadyOver(ctx); err != nil {
		return err
	}
	object, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave()
	if options == nil {
		options = &RunOptions{}
	}
	r := run{session: s, items: items, sink: options.Sink != nil}
	defer r.release()
	if err := r.prepare(); err != nil {
		return err
	}
	var plan *C.pp_plan
	if options.Plan != nil {
		if plan, err = options.Plan.enter(); err != nil {
			return err
		}
		defer options.Plan.h.leave()
	}
	call, err := beginCall(ctx, options)
	if err != nil {
		return err
	}
	details := newError()
	status := C.ppgo_run(object, plan, (*C.ppgo_item)(first(r.plain)), C.int64_t(len(items)),
		ints32(r.tokens), ints64(r.hiddenTokens), (*C.pp_score)(first(r.scores)),
		ints32(r.topTokens), (*C.double)(first(r.topLogProbs)), (*C.float)(first(r.floats)),
		call.params, details)
	if err = check(status, details); err == nil {
		r.give() // before a panic goes on: nobody else knows the caches
	}
	return call.end(ctx, err)
}

// run is the items of a run as flat arrays.
type run struct {
	session *Session
	items   []Item
	sink    bool
	entered []*Cache

	plain        []C.ppgo_item
	tokens       []int32
	hiddenTokens []int64
	scores       []Score
	topTokens    []int32
	topLogProbs  []float64
	floats       []float32 // of each item its logits, then its hidden states
}

func (r *run) prepare() error {
	r.plain = make([]C.ppgo_item, len(r.items))
	var nTokens, nScores, nTop, nFloats, nHidden int
	for i := range r.items {
		if err := r.describe(i); err != nil {
			return err
		}
		p := &r.plain[i]
		nTokens += int(p.n_tokens)
		nHidden += int(p.n_hidden)
		nScores += int(p.n_scores)
		nTop += int(p.n_scores) * int(p.n_top)
		nFloats += int(p.n_logits + p.n_vector)
	}
	r.tokens = make([]int32, 0, nTokens)
	r.hiddenTokens = make([]int64, 0, nHidden)
	r.scores = make([]Score, 0, nScores)
	for i := range r.items {
		r.tokens = append(r.tokens, r.items[i].Tokens...)
		r.hiddenTokens = append(r.hiddenTokens, r.items[i].HiddenTokens[:r.plain[i].n_hidden]...)
		r.scores = append(r.scores, r.items[i].Scores...)
	}
	r.topTokens = make([]int32, nTop)
	r.topLogProbs = make([]float64, nTop)
	r.floats = make([]float32, nFloats)
	return nil
}

// describe fills r.plain[i]; what C would refuse goes there as it is, but for what decides how much
// room the results take.
func (r *run) describe(i int) error {
	item, p := &r.items[i], &r.plain[i]
	config := &r.session.config
	*p = C.ppgo_item{
		n_tokens:      C.int64_t(len(item.Tokens)),
		n_scores:      C.int64_t(len(item.Scores)),
		seed:          C.uint64_t(item.Sampling.Seed),
		output:        C.int32_t(item.Output),
		top_k:         C.int32_t(item.Sampling.TopK),
		pooling:       C.int32_t(item.Pooling),
		discard_cache: truth(item.DiscardCache),
		normalize:     truth(item.Normalize),
		temperature:   C.float(item.Sampling.Temperature),
		top_p:         C.float(item.Sampling.TopP),
		min_p:         C.float(item.Sampling.MinP),
	}
	if item.Top < 0 || item.Top > MaxTop {
		return r.refuse(i, ErrArg, "Top of item %d is %d; allowed: 0 to %d", i, item.Top, MaxTop)
	}
	p.n_top = C.int32_t(item.Top)
	if len(item.Tokens) > config.MaxPosition {
		return r.refuse(i, ErrTooLong, "item %d has %d tokens; the model has %d positions", i,
			len(item.Tokens), config.MaxPosition)
	}
	rows, dim := len(item.Tokens), config.HiddenSize
	switch item.Output {
	case OutputLastLogits:
		rows = 1
		fallthrough
	case OutputAllLogits:
		if !r.sink {
			p.n_logits = C.int64_t(rows * config.VocabSize)
		}
	case OutputLabels:
		p.n_logits = C.int64_t(config.Labels)
		if config.Labels == 0 {
			p.n_logits = 1 // C says that there is no such head
		}
	case OutputPooled:
		p.n_vector = C.int64_t(dim)
	case OutputHidden:
		if len(item.HiddenTokens) > 0 {
			rows = len(item.HiddenTokens)
			p.n_hidden = C.int64_t(rows)
		}
		p.n_vector = C.int64_t(rows * dim)
	}
	return r.enterCache(item, p)
}

func (r *run) enterCache(item *Item, p *C.ppgo_item) error {
	if item.Cache == nil {
		return nil
	}
	cache, err := item.Cache.h.enter()
	if err != nil {
		return err
	}
	r.entered = append(r.entered, item.Cache)
	p.cache = (*C.pp_kvcache)(cache)
	return nil
}

func (r *run) refuse(i int, status Status, format string, values ...any) error {
	err := refuse(format, values...).(*Error)
	err.Status, err.Index = status, int64(i)
	return err
}

// release lets the caches go that the run used.
func (r *run) release() {
	for _, cache := range r.entered {
		cache.h.leave()
	}
}

// give puts the results into the items.
func (r *run) give() {
	scores, topTokens, topLogProbs, floats := r.scores, r.topTokens, r.topLogProbs, r.floats
	for i := range r.items {
		item, p := &r.items[i], &r.plain[i]
		nTop, nScores := int(p.n_scores)*int(p.n_top), int(p.n_scores)
		nLogits, nVector := int(p.n_logits), int(p.n_vector)
		copy(item.Scores, scores[:nScores])
		scores = scores[nScores:]
		item.TopTokens, topTokens = topTokens[:nTop:nTop], topTokens[nTop:]
		item.TopLogProbs, topLogProbs = topLogProbs[:nTop:nTop], topLogProbs[nTop:]
		item.Logits, floats = floats[:nLogits:nLogits], floats[nLogits:]
		item.Hidden, floats = floats[:nVector:nVector], floats[nVector:]
		item.Next = int32(p.next)
		if item.Cache == nil && p.cache != nil {
			item.Cache = newCache(r.session, p.cache)
		}
	}
}

// call is what a run takes along: callbacks and the token that ends it.
type call struct {
	callbacks *runCallbacks
	id        uintptr
	params    *C.ppgo_run_params
	release   func()
}

func beginCall(ctx context.Context, options *RunOptions) (*call, error) {
	token, release, err := cancelToken(ctx)
	if err != nil {
		return nil, err
	}
	c := &call{release: release}
	c.callbacks = &runCallbacks{progress: options.Progress, sink: options.Sink, cancel: token}
	c.id = keepCallback(c.callbacks)
	c.params = &C.ppgo_run_params{
		callbacks:         C.uintptr_t(c.id),
		has_sink:          truth(options.Sink != nil),
		has_progress:      truth(options.Progress != nil),
		cancel:            token,
		min_shared_prefix: C.int64_t(options.MinSharedPrefix),
	}
	return c, nil
}

// end follows the call; a panic of a callback goes on here.
func (c *call) end(ctx context.Context, err error) error {
	dropCallback(c.id)
	c.release()
	c.callbacks.raise()
	return because(ctx, err, c.callbacks.failed)
}

// Continuation is tokens, the first Context of which are given and the others continue them.
type Continuation struct {
	Tokens  []int32
	Context int // 1 .. len(Tokens) - 1

	LogProb float64 // result: of the continuation, given the context
	Greedy  bool    // result: every token of it was the most likely one
}

// ScoreContinuations fills LogProb and Greedy of continuations in one run; contexts that they have
// in common are computed once. No cache is kept. After an error nothing has changed.
func (s *Session) ScoreContinuations(ctx context.Context, all []Continuation,
	options *RunOptions) error {
	if err := alreadyOver(ctx); err != nil {
		return err
	}
	object, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave()
	if options == nil {
		options = &RunOptions{MinSharedPrefix: 16}
	}
	if options.Plan != nil || options.Sink != nil {
		return refuse("continuations are scored without a plan and a sink")
	}
	call, err := beginCall(ctx, options)
	if err != nil {
		return err
	}
	texts, contexts := make([][]int32, len(all)), make([]int64, len(all))
	for i := range all {
		texts[i], contexts[i] = all[i].Tokens, int64(all[i].Context)
	}
	tokens, lengths := flat(texts)
	logProbs, greedy := make([]float64, len(all)), make([]int32, len(all))
	details := newError()
	status := C.ppgo_score_continuations(object, ints32(tokens), ints64(lengths), ints64(contexts),
		C.int64_t(len(all)), (*C.double)(first(logProbs)), ints32(greedy), call.params, details)
	if err := call.end(ctx, check(status, details)); err != nil {
		return err
	}
	for i := range all {
		all[i].LogProb, all[i].Greedy = logProbs[i], greedy[i] == 1
	}
	return nil
}

// Score has the layout of C's.
var _ = [1]struct{}{}[unsafe.Sizeof(Score{})-uintptr(C.sizeof_pp_score)]
