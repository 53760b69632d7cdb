package prepack

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"
)

func closedError(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, ErrClosed) || !errors.Is(err, ErrArg) {
		t.Errorf("%s after Close: %v", what, err)
	}
}

func TestUseAfterClose(t *testing.T) {
	model := must[*Model](t)(OpenModel(demo, nil))
	session := must[*Session](t)(NewSession(model, nil))
	items := []Item{{Tokens: []int32{1, 2, 3}}}
	ok(t, session.Run(background, items, nil))
	cache := items[0].Cache
	packer := must[*Packer](t)(NewPacker(nil))
	plan := must[*Plan](t)(packer.Plan([]int64{3, 4}))
	batch := must[*Batch](t)(NewBatch(plan, [][]int32{{1, 2, 3}, {1, 2, 3, 4}}, nil))
	queue := must[*Queue](t)(NewQueue(QueueOptions{Capacity: 10}))
	tokenizer := must[*Tokenizer](t)(OpenTokenizer(demo, nil))
	stream := must[*TextStream](t)(tokenizer.NewTextStream(false))

	// Twice each, and what others are made of first.
	for i := 0; i < 2; i++ {
		for _, object := range []interface{ Close() error }{model, tokenizer, session, packer, plan,
			batch, queue} {
			ok(t, object.Close())
		}
	}
	_, err := model.Config()
	closedError(t, "Model.Config", err)
	_, err = NewSession(model, nil)
	closedError(t, "NewSession", err)
	closedError(t, "Session.Run", session.Run(background, []Item{{Tokens: []int32{1}}}, nil))
	session.Cancel()
	_, err = packer.Plan(nil)
	closedError(t, "Packer.Plan", err)
	_, err = plan.Info()
	closedError(t, "Plan.Info", err)
	closedError(t, "Batch.View", batch.View(func(BatchView) error { return nil }))
	_, err = queue.Next(background, 1)
	closedError(t, "Queue.Next", err)
	_, err = tokenizer.Encode("x", nil)
	closedError(t, "Tokenizer.Encode", err)

	// A cache outlives its session, a stream its tokenizer's Close.
	if n := must[int](t)(cache.Len()); n != 3 {
		t.Errorf("the cache has %d tokens", n)
	}
	must[string](t)(stream.Push(300))
	for i := 0; i < 2; i++ {
		ok(t, cache.Close())
		ok(t, stream.Close())
	}
	_, err = cache.Len()
	closedError(t, "Cache.Len", err)
	_, err = stream.Push(300)
	closedError(t, "TextStream.Push", err)

	other := demoSession(t, nil)
	closedError(t, "a closed cache", other.Run(background, []Item{{Tokens: []int32{1}, Cache: cache}}, nil))
	closedError(t, "a closed plan", other.Run(background, items, &RunOptions{Plan: plan}))
	var zero Session
	_, err = zero.Info()
	closedError(t, "the zero value", err)
	ok(t, zero.Close())
	ok(t, new(Cache).Close())
}

// A second goroutine in a session is told; it neither waits nor disturbs.
func TestASecondGoroutineIsTold(t *testing.T) {
	session := demoSession(t, nil)
	items := []Item{{Tokens: []int32{1, 2, 3}, Output: OutputLastLogits}}
	ok(t, session.Run(background, items, nil))
	cache := items[0].Cache
	again := []Item{{Tokens: []int32{1, 2, 3}, Output: OutputLastLogits}}
	ok(t, session.Run(background, again, &RunOptions{Progress: func(int64, int64) {
		results := make(chan error)
		go func() {
			results <- session.Run(background, []Item{{Tokens: []int32{1}}}, nil)
			_, err := session.Info()
			results <- err
			_, err = cache.Fork(2)
			results <- err
		}()
		for i := 0; i < 3; i++ {
			if err := <-results; !errors.Is(err, ErrBusy) || !errors.Is(err, ErrArg) {
				t.Errorf("call %d beside a run: %v", i, err)
			}
		}
	}}))
	sameBits(t, "logits", items[0].Logits, again[0].Logits)
}

// Many goroutines use one session without arranging it: each call succeeds or is told, and what
// succeeds is right. With -race this also shows that nothing is shared unguarded.
func TestManyGoroutinesOneSession(t *testing.T) {
	session := demoSession(t, &SessionOptions{Threads: 1})
	want := []Item{{Tokens: prompts(4)[3], Output: OutputLastLogits}}
	ok(t, session.Run(background, want, nil))
	var wait sync.WaitGroup
	var mu sync.Mutex
	succeeded := 0
	for g := 0; g < 8; g++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := 0; i < 20; i++ {
				items := []Item{{Tokens: prompts(4)[3], Output: OutputLastLogits}}
				err := session.Run(background, items, nil)
				if err == nil {
					sameBits(t, "logits", want[0].Logits, items[0].Logits)
					items[0].Cache.Close()
					mu.Lock()
					succeeded++
					mu.Unlock()
				} else if !errors.Is(err, ErrBusy) {
					t.Error(err)
				}
			}
		}()
	}
	wait.Wait()
	if succeeded == 0 {
		t.Error("no call succeeded")
	}
}

// Close beside a run takes nothing from under it.
func TestCloseDuringARun(t *testing.T) {
	model := demoModel(t)
	session := must[*Session](t)(NewSession(model, nil))
	items := []Item{{Tokens: []int32{1, 2, 3}}}
	ok(t, session.Run(background, items, nil))
	cache := items[0].Cache
	items[0].Tokens = []int32{4, 5}
	err := session.Run(background, items, &RunOptions{Progress: func(int64, int64) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			cache.Close()
			session.Close()
			model.Close()
		}()
		<-done
	}})
	ok(t, err)
	_, err = session.Info()
	closedError(t, "Session.Info", err)
	_, err = cache.Len()
	closedError(t, "Cache.Len", err)
}

// What is forgotten is closed. The logs tell: their numbers go with the objects.
func TestForgottenObjectsAreClosed(t *testing.T) {
	count := func() (n int) {
		callbacks.all.Range(func(any, any) bool { n++; return true })
		return n
	}
	before := count()
	func() {
		log := func(LogLevel, string) {}
		model := must[*Model](t)(OpenModel(demo, &ModelOptions{Log: log}))
		session := must[*Session](t)(NewSession(model, &SessionOptions{Log: log}))
		tokenizer := must[*Tokenizer](t)(OpenTokenizer(demo, &TokenizerOptions{Log: log}))
		stream := must[*TextStream](t)(tokenizer.NewTextStream(false))
		must[string](t)(stream.Push(300))
		items := []Item{{Tokens: []int32{1, 2, 3}}}
		ok(t, session.Run(background, items, nil))
		if n := count(); n != before+3 {
			t.Fatalf("%d callbacks are known, not %d", n, before+3)
		}
	}()
	for i := 0; i < 100 && count() > before; i++ {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	if n := count() - before; n > 0 {
		t.Errorf("%d objects were not closed", n)
	}
}

func TestNumbersAreNotCutOff(t *testing.T) {
	model := must[*Model](t)(OpenModel(demo, nil))
	defer model.Close()
	session := must[*Session](t)(NewSession(model, nil))
	defer session.Close()
	cache := must[*Cache](t)(session.NewCache(3, nil))
	defer cache.Close()
	for _, n := range []int{1 << 32, -1 << 32, 1<<32 + 1} {
		_, layerErr := model.Layer(n)
		_, sessionErr := NewSession(model, &SessionOptions{Threads: n})
		readErr := cache.Read(Part{Layer: n, Half: Keys, Layout: NHD}, nil)
		for what, err := range map[string]error{"Layer": layerErr, "NewSession": sessionErr, "Read": readErr} {
			if !errors.Is(err, ErrArg) {
				t.Errorf("%s with %d: %v", what, n, err)
			}
		}
	}
}
