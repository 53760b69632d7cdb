package prepack

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
)

// Two runs of the same prompts: all packed by a plan, and each alone. Every bit is the same.
func TestSameBitsAloneAndPacked(t *testing.T) {
	session := demoSession(t, nil)
	all := prompts(12)
	packer := must[*Packer](t)(NewPacker(&PackerOptions{Capacity: 128}))
	plan := must[*Plan](t)(packer.Plan(lengthsOf(all)))
	packed := make([]Item, len(all))
	for i := range packed {
		packed[i] = Item{Tokens: all[i], Output: OutputLastLogits}
	}
	ok(t, session.Run(background, packed, &RunOptions{Plan: plan}))
	for i := range all {
		alone := []Item{{Tokens: all[i], Output: OutputLastLogits}}
		ok(t, session.Run(background, alone, nil))
		sameBits(t, fmt.Sprintf("logits of prompt %d", i), alone[0].Logits, packed[i].Logits)
		a, b := keys(t, alone[0].Cache), keys(t, packed[i].Cache)
		sameBits(t, fmt.Sprintf("keys of prompt %d", i), a, b)
		if n := must[int](t)(packed[i].Cache.Len()); n != len(all[i]) {
			t.Errorf("the cache of prompt %d has %d tokens, not %d", i, n, len(all[i]))
		}
	}
}

func keys(t *testing.T, cache *Cache) []float32 {
	t.Helper()
	n := must[int](t)(cache.Len())
	config := cache.session.Config()
	to := make([]float32, n*config.KVHeads*config.HeadDim)
	ok(t, cache.Read(Part{Layer: config.Layers - 1, Half: Keys, Layout: NHD, Tokens: n}, to))
	return to
}

func sameBits(t *testing.T, what string, a, b []float32) {
	t.Helper()
	if len(a) != len(b) || len(a) == 0 {
		t.Fatalf("%s: %d and %d numbers", what, len(a), len(b))
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			t.Fatalf("%s: number %d is %v and %v", what, i, a[i], b[i])
		}
	}
}

func TestTheDemoAnswers(t *testing.T) {
	session, tokenizer := demoSession(t, nil), demoTokenizer(t)
	item := []Item{{Tokens: must[[]int32](t)(tokenizer.Encode("The capital of Germany is", nil)),
		Output: OutputToken}}
	var ids []int32
	for len(ids) < 4 {
		ok(t, session.Run(background, item, nil))
		ids = append(ids, item[0].Next)
		item[0].Tokens = []int32{item[0].Next} // the cache has all that came before
	}
	text := must[string](t)(tokenizer.Decode(ids, false))
	if len(text) < 6 || text[:6] != "Berlin" {
		t.Errorf("the answer is %q", text)
	}
}

// Every output at once, each compared with what another one says.
func TestOutputsAgree(t *testing.T) {
	session := demoSession(t, &SessionOptions{DType: DTypeF32, Threads: 1})
	config := session.Config()
	tokens := prompts(3)[2]
	last := int64(len(tokens) - 1)
	items := []Item{
		{Tokens: tokens, Output: OutputAllLogits},
		{Tokens: tokens, Output: OutputToken, Top: 3, Scores: []Score{
			{Token: last, Target: 42}, {Token: 0, Target: NoTarget}}},
		{Tokens: tokens, Output: OutputHidden, DiscardCache: true},
		{Tokens: tokens, Output: OutputHidden, HiddenTokens: []int64{last, 0}, DiscardCache: true},
		{Tokens: tokens, Output: OutputPooled, Pooling: PoolingLast, DiscardCache: true},
		{Tokens: tokens, Output: OutputPooled, Pooling: PoolingMean, Normalize: true,
			DiscardCache: true},
		{Tokens: tokens},
	}
	ok(t, session.Run(background, items, nil))
	row := items[0].Logits[int(last)*config.VocabSize:]
	sum, best := 0.0, 0
	for id, logit := range row {
		sum += math.Exp(float64(logit))
		if logit > row[best] {
			best = id
		}
	}
	if items[1].Next != int32(best) || items[1].TopTokens[0] != int32(best) {
		t.Errorf("%d is most likely, but %d was drawn and %d came first", best, items[1].Next,
			items[1].TopTokens[0])
	}
	score := items[1].Scores[0]
	if want := float64(row[42]) - math.Log(sum); math.Abs(score.LogProb-want) > 1e-4 {
		t.Errorf("the score is %v, the logits say %v", score.LogProb, want)
	}
	if items[1].Scores[1].Rank != -1 || len(items[1].TopLogProbs) != 6 {
		t.Errorf("without a target: %+v, %d", items[1].Scores[1], len(items[1].TopLogProbs))
	}
	dim := config.HiddenSize
	sameBits(t, "picked states", items[3].Hidden[:dim], items[2].Hidden[int(last)*dim:])
	sameBits(t, "picked states", items[3].Hidden[dim:], items[2].Hidden[:dim])
	sameBits(t, "the last state", items[4].Hidden, items[2].Hidden[int(last)*dim:])
	length := 0.0
	for _, x := range items[5].Hidden {
		length += float64(x) * float64(x)
	}
	if math.Abs(length-1) > 1e-5 {
		t.Errorf("a normalised vector has the length %v", math.Sqrt(length))
	}
	if items[2].Cache != nil || items[6].Cache == nil || items[6].Logits != nil && len(items[6].Logits) > 0 {
		t.Error("caches and logits are not those that were asked for")
	}
}

func TestSinkAndProgress(t *testing.T) {
	session := demoSession(t, nil)
	tokens := prompts(6)[5]
	direct := []Item{{Tokens: tokens, Output: OutputAllLogits}}
	ok(t, session.Run(background, direct, nil))
	var got []float32
	var done, all int64
	items := []Item{{Tokens: tokens, Output: OutputAllLogits}}
	ok(t, session.Run(background, items, &RunOptions{
		Sink: func(piece LogitsPiece) error {
			if int(piece.FirstToken)*piece.VocabSize != len(got) {
				t.Errorf("a piece from token %d came when %d numbers were there",
					piece.FirstToken, len(got))
			}
			got = append(got, piece.Logits...)
			return nil
		},
		Progress: func(d, a int64) { done, all = d, a },
	}))
	sameBits(t, "logits", direct[0].Logits, got)
	if done != all || done != int64(len(tokens)) {
		t.Errorf("progress ended with %d of %d", done, all)
	}
	failure := errors.New("the disk is full")
	err := session.Run(background, items, &RunOptions{
		Sink: func(LogitsPiece) error { return failure }})
	if !errors.Is(err, failure) || !errors.Is(err, ErrCancelled) {
		t.Errorf("a sink that fails: %v", err)
	}
}

func TestScoreContinuations(t *testing.T) {
	session, tokenizer := demoSession(t, nil), demoTokenizer(t)
	context := must[[]int32](t)(tokenizer.Encode("The capital of Germany is", nil))
	all := make([]Continuation, 2)
	for i, answer := range []string{"The capital of Germany is Berlin", "The capital of Germany is Oslo"} {
		all[i] = Continuation{Tokens: must[[]int32](t)(tokenizer.Encode(answer, nil)),
			Context: len(context)}
	}
	ok(t, session.ScoreContinuations(background, all, nil))
	if all[0].LogProb <= all[1].LogProb || all[0].LogProb >= 0 || !all[0].Greedy || all[1].Greedy {
		t.Errorf("Berlin %+v, Oslo %+v", all[0], all[1])
	}
	all[1].Context = 0
	err := session.ScoreContinuations(background, all, nil)
	var details *Error
	if !errors.As(err, &details) || details.Index != 1 || !errors.Is(err, ErrArg) {
		t.Errorf("a continuation without context: %v", err)
	}
}

func TestErrorsAreStatuses(t *testing.T) {
	session := demoSession(t, nil)
	_, missing := OpenModel("no-such-directory", nil)
	long := []Item{{Tokens: []int32{1}}, {Tokens: make([]int32, 5000), Output: OutputAllLogits}}
	var none *Status
	for name, c := range map[string]struct {
		err   error
		want  Status
		index int64
	}{
		"a missing directory": {missing, ErrIO, -1},
		"no tokens":           {session.Run(background, []Item{{Tokens: []int32{1}}, {}}, nil), ErrArg, 1},
		"a wrong token": {session.Run(background, []Item{{Tokens: []int32{99999}}}, nil), ErrArg,
			0},
		"too long": {session.Run(background, long, nil), ErrTooLong, 1},
		"no such output": {session.Run(background, []Item{{Tokens: []int32{1}, Output: 99}}, nil),
			ErrArg, 0},
		"no labels": {session.Run(background, []Item{{Tokens: []int32{1}, Output: OutputLabels}}, nil),
			ErrUnsupported, 0},
	} {
		var details *Error
		if !errors.As(c.err, &details) || !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, not %v", name, c.err, c.want)
			continue
		}
		if details.Index != c.index || details.Message == "" || errors.Is(c.err, ErrInternal) {
			t.Errorf("%s: %+v", name, details)
		}
	}
	if errors.As(missing, &none) {
		t.Error("a status is no pointer")
	}
	if long[0].Cache != nil {
		t.Error("a run that failed left a cache")
	}
}

func TestContextCancels(t *testing.T) {
	session := demoSession(t, &SessionOptions{MaxPassTokens: 64})
	all := make([]Item, 64)
	for i := range all {
		all[i] = Item{Tokens: prompts(3)[2], Output: OutputToken}
	}
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	passes := 0
	err := session.Run(ctx, all, &RunOptions{Progress: func(done, n int64) {
		if passes++; passes == 2 {
			cancel()
			<-ctx.Done()
		}
	}})
	if !errors.Is(err, ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Fatalf("a run that was cancelled: %v", err)
	}
	if all[0].Cache != nil {
		t.Error("it left a cache")
	}
	err = session.Run(ctx, all, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a context that is over: %v", err)
	}
	calls := 0
	err = session.Run(background, all, &RunOptions{Progress: func(done, n int64) {
		calls++
		session.Cancel()
	}})
	if !errors.Is(err, ErrCancelled) || errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("Cancel: %v after %d passes", err, calls)
	}
	ok(t, session.Run(background, all[:1], nil)) // the session is usable
}

func TestPanicGoesThroughARun(t *testing.T) {
	session := demoSession(t, &SessionOptions{MaxPassTokens: 64})
	items := []Item{{Tokens: prompts(3)[2]}, {Tokens: prompts(3)[2]}}
	func() {
		defer func() {
			if value := recover(); value != "mine" {
				t.Errorf("what came out is %v", value)
			}
		}()
		session.Run(background, items, &RunOptions{Progress: func(int64, int64) { panic("mine") }})
	}()
	ok(t, session.Run(background, items, nil))
}
