package prepack

import (
	"context"
	"testing"
)

const demo = "../demo-model"

var background = context.Background()

func must[T any](t *testing.T) func(value T, err error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func demoModel(t *testing.T) *Model {
	t.Helper()
	model := must[*Model](t)(OpenModel(demo, nil))
	t.Cleanup(func() { model.Close() })
	return model
}

func demoSession(t *testing.T, options *SessionOptions) *Session {
	t.Helper()
	session := must[*Session](t)(NewSession(demoModel(t), options))
	t.Cleanup(func() { session.Close() })
	return session
}

func demoTokenizer(t *testing.T) *Tokenizer {
	t.Helper()
	tokenizer := must[*Tokenizer](t)(OpenTokenizer(demo, nil))
	t.Cleanup(func() { tokenizer.Close() })
	return tokenizer
}

// prompts are some of different lengths.
func prompts(n int) [][]int32 {
	all := make([][]int32, n)
	for i := range all {
		all[i] = []int32{1}
		for j := 0; j < (i*37)%90+3; j++ {
			all[i] = append(all[i], int32((i*131+j*17)%1000+10))
		}
	}
	return all
}

func lengthsOf(all [][]int32) []int64 {
	_, lengths := flat(all)
	return lengths
}
