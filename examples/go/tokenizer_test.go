package prepack

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestTokenizerRoundTrip(t *testing.T) {
	tokenizer := demoTokenizer(t)
	info := must[TokenizerInfo](t)(tokenizer.Info())
	if info.Kind != TokenizerBPE || info.VocabSize != 1024 || info.BOS != 1 {
		t.Errorf("the tokenizer is %+v", info)
	}
	texts := []string{"The capital of Germany is Berlin.", "", "3 + 4 = 7", "Zürich, 東京 🎉"}
	all := must[[]Encoded](t)(tokenizer.EncodeAll(texts, &EncodeOptions{Offsets: true, Threads: 2}))
	for i, text := range texts {
		if back := must[string](t)(tokenizer.Decode(all[i].IDs, false)); back != text {
			t.Errorf("%q came back as %q", text, back)
		}
		if len(all[i].Offsets) != len(all[i].IDs) {
			t.Errorf("%d offsets for %d tokens", len(all[i].Offsets), len(all[i].IDs))
		}
		alone := must[[]int32](t)(tokenizer.Encode(text, nil))
		if !reflect.DeepEqual(alone, all[i].IDs) {
			t.Errorf("%q has other tokens alone", text)
		}
	}
	bare := must[[]int32](t)(tokenizer.Encode(texts[0], &EncodeOptions{NoEdges: true}))
	if len(bare)+1 != len(all[0].IDs) {
		t.Errorf("without its beginning the text has %d tokens, with it %d", len(bare), len(all[0].IDs))
	}
	_, err := tokenizer.EncodeAll([]string{"good", "bad \xff"}, nil)
	var details *Error
	if !errors.As(err, &details) || details.Index != 1 || details.Status != ErrArg {
		t.Errorf("a text that is not UTF-8: %v", err)
	}
	spelled := must[string](t)(tokenizer.Token(bare[0]))
	if id := must[int32](t)(tokenizer.ID(spelled)); id != bare[0] {
		t.Errorf("%q is %d and %d", spelled, id, bare[0])
	}
	if id := must[int32](t)(tokenizer.ID("no such token")); id != -1 {
		t.Errorf("no token is %d", id)
	}
	specials := must[[]SpecialToken](t)(tokenizer.SpecialTokens())
	if len(specials) != info.SpecialTokens {
		t.Errorf("%d special tokens", len(specials))
	}
	if _, err := OpenTokenizer("nowhere", nil); !errors.Is(err, ErrIO) {
		t.Errorf("no tokenizer: %v", err)
	}
}

func TestTextStream(t *testing.T) {
	tokenizer := demoTokenizer(t)
	text := "Zürich, 東京 🎉 and Berlin"
	ids := must[[]int32](t)(tokenizer.Encode(text, nil))
	stream := must[*TextStream](t)(tokenizer.NewTextStream(false))
	defer stream.Close()
	for round := 0; round < 2; round++ { // Finish begins anew
		var got strings.Builder
		for _, id := range ids {
			piece := must[string](t)(stream.Push(id))
			if strings.ContainsRune(piece, '�') {
				t.Errorf("%q is not whole", piece)
			}
			got.WriteString(piece)
		}
		got.WriteString(must[string](t)(stream.Finish()))
		if got.String() != text {
			t.Errorf("the stream gave %q", got.String())
		}
	}
}
