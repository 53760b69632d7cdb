package prepack

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	packer := must[*Packer](t)(NewPacker(&PackerOptions{Capacity: 10, Policy: PolicyAuto}))
	plan := must[*Plan](t)(packer.Plan([]int64{6, 3, 7, 4}))
	info := must[PlanInfo](t)(plan.Info())
	if info.Bins != 2 || info.Prompts != 4 || info.Tokens != 20 || info.Waste != 0 || !info.ProvenOptimal {
		t.Errorf("the plan is %+v", info)
	}
	bins := must[[][]int32](t)(plan.Bins())
	if !reflect.DeepEqual(bins, [][]int32{{2, 1}, {0, 3}}) {
		t.Errorf("the bins are %v", bins)
	}
	ok(t, plan.ViewBin(1, func(prompts []int32) error {
		if !reflect.DeepEqual(prompts, bins[1]) {
			t.Errorf("a view of bin 1 is %v", prompts)
		}
		return nil
	}))
	bin := must[BinInfo](t)(plan.BinInfo(0))
	segment := must[Segment](t)(plan.Segment(bin.FirstSegment + 1))
	if bin.Tokens != 10 || segment != (Segment{Prompt: 1, Tokens: 3, Start: 7, After: -1}) {
		t.Errorf("bin 0 is %+v, its second segment %+v", bin, segment)
	}
	if ends := must[[]int64](t)(plan.Ends()); len(ends) != 4 {
		t.Errorf("%d ends", len(ends))
	}
	workers, figures, err := plan.Partition(2)
	if err != nil || len(workers) != 2 || workers[0] == workers[1] || figures.MaxCost != 10 {
		t.Errorf("partition: %v %+v %v", workers, figures, err)
	}
	_, err = plan.BinInfo(2)
	if !errors.Is(err, ErrArg) {
		t.Errorf("bin 2 of 2: %v", err)
	}
	_, err = packer.Plan([]int64{6, 11})
	var details *Error
	if !errors.As(err, &details) || details.Status != ErrTooLong || details.Index != 1 {
		t.Errorf("a prompt that is too long: %v", err)
	}
}

func TestPlanAsJSON(t *testing.T) {
	packer := must[*Packer](t)(NewPacker(&PackerOptions{Capacity: 10}))
	plan := must[*Plan](t)(packer.Plan([]int64{6, 3, 7, 4}))
	text := must[[]byte](t)(json.Marshal(plan))
	copied := must[*Plan](t)(ParsePlan(text))
	if !reflect.DeepEqual(must[[][]int32](t)(plan.Bins()), must[[][]int32](t)(copied.Bins())) {
		t.Error("the bins differ")
	}
	if _, err := ParsePlan([]byte(`{"format": 3}`)); !errors.Is(err, ErrFormat) {
		t.Errorf("no plan: %v", err)
	}
}

func TestObjectives(t *testing.T) {
	lengths := []int64{6, 3, 7, 4, 5, 5}
	balanced := must[*Packer](t)(NewPacker(&PackerOptions{Objective: Balanced, Bins: 3}))
	info := must[PlanInfo](t)(must[*Plan](t)(balanced.Plan(lengths)).Info())
	if info.Bins != 3 || info.MaxCost != 10 {
		t.Errorf("balanced: %+v", info)
	}
	cost := &CostModel{PerPass: 1, PerToken: 1, Tile: 1}
	cheapest := must[*Packer](t)(NewPacker(&PackerOptions{Objective: Cheapest, Cost: cost,
		RowLengths: []int64{8, 16}}))
	info = must[PlanInfo](t)(must[*Plan](t)(cheapest.Plan(lengths)).Info())
	if info.Objective != Cheapest || info.Bins < 2 {
		t.Errorf("cheapest: %+v", info)
	}
	bins := must[*Packer](t)(NewPacker(&PackerOptions{Capacities: []int64{20, 12}}))
	info = must[PlanInfo](t)(must[*Plan](t)(bins.Plan(lengths)).Info())
	if info.Bins != 2 || info.Capacity != 20 {
		t.Errorf("bins that there are: %+v", info)
	}
	if _, err := NewPacker(&PackerOptions{Bins: 3}); !errors.Is(err, ErrArg) {
		t.Errorf("settings of another objective: %v", err)
	}
}

func TestPlanInput(t *testing.T) {
	packer := must[*Packer](t)(NewPacker(&PackerOptions{Capacity: 40, MinSharedPrefix: 8}))
	prefix := prompts(2)[1][:20]
	all := [][]int32{append(append([]int32{}, prefix...), 7, 8), append(append([]int32{}, prefix...), 9)}
	plan := must[*Plan](t)(packer.PlanInput(PlanInput{Prompts: all}))
	info := must[PlanInfo](t)(plan.Info())
	if info.Tokens-info.PlacedTokens != 20 {
		t.Errorf("of %d tokens %d are placed", info.Tokens, info.PlacedTokens)
	}
	plain := must[*Packer](t)(NewPacker(&PackerOptions{Capacity: 40}))
	apart := must[*Plan](t)(plain.PlanInput(PlanInput{Lengths: []int64{5, 5}, Apart: []int32{1, 1}}))
	if n := len(must[[][]int32](t)(apart.Bins())); n != 2 {
		t.Errorf("prompts that shall be apart share one of %d bins", n)
	}
	for _, bad := range []PlanInput{
		{Lengths: []int64{5, 5}, Together: []int32{1}},
		{Lengths: []int64{5}, Prompts: all},
		{Lengths: []int64{22, 22}, Prompts: all},
	} {
		if _, err := plain.PlanInput(bad); !errors.Is(err, ErrArg) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestBatch(t *testing.T) {
	all := [][]int32{{1, 2, 3}, {4, 5}, {6, 7, 8, 9}}
	packer := must[*Packer](t)(NewPacker(&PackerOptions{Capacity: 5}))
	plan := must[*Plan](t)(packer.Plan(lengthsOf(all)))
	batch := must[*Batch](t)(NewBatch(plan, all, nil))
	ok(t, batch.View(func(v BatchView) error {
		if v.Tokens != 9 || v.MaxSeqlen != 4 || len(v.CuSeqlens) != 4 || v.CuSeqlens[3] != 9 {
			t.Errorf("the batch is %+v", v)
		}
		for i, prompt := range v.Prompts {
			got := v.TokenIDs[v.Starts[i] : v.LastRows[i]+1]
			if !reflect.DeepEqual(got, all[prompt]) || v.Positions[v.Starts[i]] != 0 {
				t.Errorf("prompt %d lies there as %v", prompt, got)
			}
		}
		return nil
	}))
	padded := must[*Batch](t)(NewBatch(plan, all, &BatchOptions{Layout: Padded, PadToken: -1}))
	mask := must[[]byte](t)(padded.Mask(DTypeBool, -1))
	if len(mask) != 2*5*5 || mask[0] != 1 || mask[1] != 0 {
		t.Errorf("the mask is %v", mask)
	}
	if _, err := NewBatch(plan, all[:2], nil); !errors.Is(err, ErrArg) {
		t.Errorf("too few prompts: %v", err)
	}
}

func TestCost(t *testing.T) {
	if got := must[float64](t)(DefaultCost().Predict([]int64{3, 4})); got != 7 {
		t.Errorf("without measurements two prompts cost %v", got)
	}
	cost := CostModel{PerPass: 2, PerToken: 0.1, PerSquare: 1e-3, Tile: 4, Device: "here"}
	text := must[[]byte](t)(json.Marshal(cost))
	var back CostModel
	ok(t, json.Unmarshal(text, &back))
	if back != cost {
		t.Errorf("%+v came back as %+v", cost, back)
	}
	if err := json.Unmarshal([]byte(`{}`), &back); !errors.Is(err, ErrFormat) {
		t.Errorf("no model: %v", err)
	}
	cost.Device = string(make([]byte, 64))
	if _, err := cost.Predict(nil); !errors.Is(err, ErrArg) {
		t.Errorf("a name that is too long: %v", err)
	}
	session := demoSession(t, nil)
	info := must[SessionInfo](t)(session.Info())
	prediction := must[Prediction](t)(info.PredictRun(nil, nil, []int64{30, 40}))
	if prediction.Passes != 1 || prediction.Seconds < 70 || prediction.KVBytes <= 0 {
		t.Errorf("the prediction is %+v", prediction)
	}
}

func TestQueue(t *testing.T) {
	queue := must[*Queue](t)(NewQueue(QueueOptions{Capacity: 10, MaxWaiting: 3, MaxAge: time.Millisecond}))
	for id, tokens := range []int64{6, 3, 4} {
		ok(t, queue.Add(WaitingPrompt{ID: int64(id), Tokens: tokens}))
	}
	if err := queue.Add(WaitingPrompt{ID: 9, Tokens: 1}); !errors.Is(err, ErrAgain) {
		t.Errorf("a full queue: %v", err)
	}
	if err := queue.Cancel(77); !errors.Is(err, ErrGone) {
		t.Errorf("a prompt that does not wait: %v", err)
	}
	step := must[Step](t)(queue.Next(background, 8))
	if step.Tokens != 10 || len(step.Prompts) != 2 || step.Waiting != 1 {
		t.Errorf("the first step is %+v", step)
	}
	ok(t, queue.Cancel(1))
	ctx, cancel := context.WithTimeout(background, 30*time.Millisecond)
	defer cancel()
	_, err := queue.Next(ctx, 8)
	if !errors.Is(err, ErrAgain) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing came: %v", err)
	}
	ok(t, queue.Finish())
	if err := queue.Add(WaitingPrompt{ID: 5, Tokens: 1}); !errors.Is(err, ErrCancelled) {
		t.Errorf("after Finish: %v", err)
	}
	if _, err := queue.Next(background, 8); !errors.Is(err, ErrGone) {
		t.Errorf("the end: %v", err)
	}
	stats := must[QueueStats](t)(queue.Stats())
	if !stats.Finished || stats.Added != 3 || stats.HandedOut != 2 || stats.Cancelled != 1 {
		t.Errorf("the queue did %+v", stats)
	}
	if err := queue.Add(WaitingPrompt{ID: 5, Tokens: 11}); !errors.Is(err, ErrTooLong) &&
		!errors.Is(err, ErrCancelled) {
		t.Errorf("a prompt that is too long: %v", err)
	}
}

// Producers and consumers.
func TestQueueOfManyGoroutines(t *testing.T) {
	queue := must[*Queue](t)(NewQueue(QueueOptions{Capacity: 64, MaxAge: time.Millisecond}))
	const producers, each = 4, 50
	var produced, consumed sync.WaitGroup
	var mu sync.Mutex
	seen := map[int64]bool{}
	for c := 0; c < 3; c++ {
		consumed.Add(1)
		go func() {
			defer consumed.Done()
			for {
				step, err := queue.Next(background, 16)
				if err != nil {
					if !errors.Is(err, ErrGone) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				for _, prompt := range step.Prompts {
					seen[prompt.ID] = true
				}
				mu.Unlock()
			}
		}()
	}
	for p := 0; p < producers; p++ {
		produced.Add(1)
		go func(p int) {
			defer produced.Done()
			for i := 0; i < each; i++ {
				ok := queue.Add(WaitingPrompt{ID: int64(p*each + i), Tokens: int64(i%40 + 1)})
				if ok != nil {
					t.Error(ok)
				}
			}
		}(p)
	}
	produced.Wait()
	ok(t, queue.Finish())
	consumed.Wait()
	if len(seen) != producers*each {
		t.Errorf("%d of %d prompts came out", len(seen), producers*each)
	}
}

// Close wakes who waits for a step.
func TestQueueCloseWakes(t *testing.T) {
	queue := must[*Queue](t)(NewQueue(QueueOptions{Capacity: 64}))
	results := make(chan error)
	for i := 0; i < 2; i++ {
		go func() {
			_, err := queue.Next(background, 1)
			results <- err
		}()
	}
	time.Sleep(20 * time.Millisecond) // most often both wait by now
	queue.Close()
	for i := 0; i < 2; i++ {
		if err := <-results; !errors.Is(err, ErrGone) && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}
