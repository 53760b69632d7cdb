package prepack

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unsafe"
)

func filled(t *testing.T, session *Session, tokens []int32) *Cache {
	t.Helper()
	items := []Item{{Tokens: tokens}}
	ok(t, session.Run(background, items, nil))
	return items[0].Cache
}

func nextLogits(t *testing.T, session *Session, cache *Cache) []float32 {
	t.Helper()
	items := []Item{{Cache: cache, Tokens: []int32{77}, Output: OutputLastLogits}}
	ok(t, session.Run(background, items, nil))
	return items[0].Logits
}

// A cache that went through a file, or through memory, goes on with the same bits in another session.
func TestSavedCachesGoOn(t *testing.T) {
	session := demoSession(t, nil)
	tokens := prompts(5)[4]
	cache := filled(t, session, tokens)
	path := filepath.Join(t.TempDir(), "prefix.safetensors")
	ok(t, cache.Save(path, tokens))
	data := must[[]byte](t)(cache.Export(tokens))
	if file := must[[]byte](t)(os.ReadFile(path)); string(file) != string(data) {
		t.Error("Save and Export differ")
	}
	info := must[CacheFileInfo](t)(InspectCache(path))
	identity := must[uint64](t)(demoModel(t).Identity())
	if info.Tokens != int64(len(tokens)) || len(info.IDs) != len(tokens) || info.Model != identity ||
		info.IDs[len(tokens)-1] != tokens[len(tokens)-1] || info.Architecture == "" {
		t.Errorf("the file says %+v", info)
	}
	want := nextLogits(t, session, cache)

	other := demoSession(t, nil)
	loaded := must[*Cache](t)(other.LoadCache(path))
	sameBits(t, "logits of a loaded cache", want, nextLogits(t, other, loaded))
	imported := must[*Cache](t)(other.ImportCache(data))
	sameBits(t, "logits of an imported cache", want, nextLogits(t, other, imported))

	_, err := other.ImportCache(data[:len(data)/2])
	if !errors.Is(err, ErrFormat) {
		t.Errorf("half a file: %v", err)
	}
	if err := loaded.Save(path, []int32{1}); !errors.Is(err, ErrArg) {
		t.Errorf("too few ids: %v", err)
	}
	_, err = other.LoadCache(filepath.Join(t.TempDir(), "nothing"))
	var details *Error
	if !errors.As(err, &details) || details.Status != ErrIO || details.NativeCode == 0 {
		t.Errorf("a missing file: %v", err)
	}
}

func TestForkTruncateAndCopies(t *testing.T) {
	session := demoSession(t, nil)
	tokens := prompts(5)[4]
	cache := filled(t, session, tokens)
	fork := must[*Cache](t)(cache.Fork(len(tokens)))
	sameBits(t, "logits of a fork", nextLogits(t, session, cache), nextLogits(t, session, fork))
	ok(t, fork.Truncate(5))
	if n := must[int](t)(fork.Len()); n != 5 {
		t.Errorf("%d tokens are left", n)
	}
	if _, err := cache.Fork(1000); !errors.Is(err, ErrArg) {
		t.Errorf("a fork that is too long: %v", err)
	}
	part := Part{Layer: 0, Half: Values, Layout: HND, FirstToken: 1, Tokens: 3}
	config := session.Config()
	numbers := make([]float32, 3*config.KVHeads*config.HeadDim)
	for i := range numbers {
		numbers[i] = float32(i) / 4 // no dtype rounds these
	}
	for i := range numbers[64:] {
		numbers[64+i] = 0.5
	}
	ok(t, fork.Write(part, numbers))
	got := make([]float32, len(numbers))
	ok(t, fork.Read(part, got))
	sameBits(t, "what was written", numbers, got)
	if err := fork.Read(part, got[1:]); !errors.Is(err, ErrArg) {
		t.Errorf("an array that is too short: %v", err)
	}
	fresh := must[*Cache](t)(session.NewCache(4, nil))
	if n := must[int](t)(fresh.Len()); n != 4 {
		t.Errorf("a new cache has %d tokens", n)
	}
	if _, err := session.NewCache(4, []int32{1}); !errors.Is(err, ErrArg) {
		t.Errorf("a new cache with too few ids: %v", err)
	}
}

// A page lent in place holds what a copy holds.
func TestPageIsTheCopy(t *testing.T) {
	session := demoSession(t, &SessionOptions{DType: DTypeF32})
	cache := filled(t, session, prompts(5)[4])
	config := session.Config()
	want := keys(t, cache)
	ok(t, cache.ViewPage(config.Layers-1, Keys, 2, func(p Page) error {
		if p.DType != DTypeF32 || p.OnDevice || p.FirstToken != 0 || p.Tokens < 3 {
			t.Fatalf("the page is %+v", p)
		}
		for h := 0; h < config.KVHeads; h++ {
			for d := 0; d < config.HeadDim; d++ {
				at := int64(h)*p.HeadStride + int64(2/p.SlotGroup)*p.SlotStride +
					int64(2%p.SlotGroup) + int64(d/p.DimGroup)*p.DimStride + int64(d%p.DimGroup)
				got := *(*float32)(unsafe.Add(p.Data, 4*at))
				if got != want[(2*config.KVHeads+h)*config.HeadDim+d] {
					t.Fatalf("element %d of head %d is %v", d, h, got)
				}
			}
		}
		if _, err := cache.Len(); !errors.Is(err, ErrBusy) {
			t.Errorf("a call from a view: %v", err)
		}
		return nil
	}))
}

const hybrid = `{"model_type": "qwen3_5_text", "num_hidden_layers": 2, "full_attention_interval": 2,
	"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
	"linear_value_head_dim": 8, "linear_conv_kernel_dim": 4, "max_position_embeddings": 128,
	"vocab_size": 96, "hidden_size": 48, "intermediate_size": 64, "num_attention_heads": 4,
	"num_key_value_heads": 2, "head_dim": 16, "dtype": "bfloat16"}`

// A cache of a model with linear layers is cut where it has their states, and nowhere else in
// silence.
func TestStatesSayWhereACacheCanBeCut(t *testing.T) {
	model := must[*Model](t)(NewRandomModel(hybrid, 1, nil))
	defer model.Close()
	session := must[*Session](t)(NewSession(model, &SessionOptions{DType: DTypeF32}))
	defer session.Close()
	cache := filled(t, session, []int32{1, 2, 3, 4, 5})
	nextLogits(t, session, cache)
	nextLogits(t, session, cache)
	for n, want := range []int{0, 0, 0, 0, 0, 5, 5, 7, -1} {
		if kept := must[int](t)(cache.Kept(n)); kept != want {
			t.Errorf("Kept(%d) is %d, not %d", n, kept, want)
		}
	}
	if err := cache.Truncate(6); !errors.Is(err, ErrArg) {
		t.Errorf("a cut to 6 tokens: %v", err)
	}
	if _, err := cache.Fork(4); !errors.Is(err, ErrArg) {
		t.Errorf("a fork of 4 tokens: %v", err)
	}
	state := make([]float32, 4*8*8)
	ok(t, cache.ReadState(0, Recurrent, state))
	ok(t, cache.WriteState(0, Recurrent, state))
	if err := cache.ReadState(1, ConvInputs, state); !errors.Is(err, ErrArg) {
		t.Errorf("a state of a layer that attends: %v", err)
	}
	ok(t, cache.Truncate(5))
	whole := filled(t, session, []int32{1, 2, 3, 4, 5})
	sameBits(t, "logits behind a cut", nextLogits(t, session, whole), nextLogits(t, session, cache))
}
