package prepack

/*
#include "go_calls.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// TokenizerKind is how words become tokens.
type TokenizerKind int32

// Kinds of tokenizers.
const (
	TokenizerBPE       TokenizerKind = C.PP_TOKENIZER_BPE
	TokenizerWordPiece TokenizerKind = C.PP_TOKENIZER_WORDPIECE
	TokenizerUnigram   TokenizerKind = C.PP_TOKENIZER_UNIGRAM
	TokenizerWordLevel TokenizerKind = C.PP_TOKENIZER_WORDLEVEL
)

// Tokenizer turns text into token ids and back. Safe for use by any number of goroutines.
type Tokenizer struct{ h handle }

// TokenizerOptions are settings of a tokenizer.
type TokenizerOptions struct {
	Log LogFunc // is told what is passed over; nil: nobody
}

// OpenTokenizer opens the tokenizer of a model: its directory, or a tokenizer.json, a SentencePiece
// model, a tekken.json or a GGUF file.
func OpenTokenizer(path string, options *TokenizerOptions) (*Tokenizer, error) {
	text, err := cString("the path", path)
	if err != nil {
		return nil, err
	}
	defer free(text)
	var log uintptr
	if options != nil {
		log = keepLog(options.Log)
	}
	var object *C.pp_tokenizer
	details := newError()
	err = check(C.ppgo_tokenizer_open(text, C.uintptr_t(log), &object,
		details), details)
	if err != nil {
		dropCallback(log)
		return nil, err
	}
	t := &Tokenizer{h: newHandle("tokenizer", unsafe.Pointer(object), func(object unsafe.Pointer) {
		C.pp_tokenizer_destroy((*C.pp_tokenizer)(object))
		dropCallback(log)
	})}
	runtime.SetFinalizer(t, (*Tokenizer).Close)
	return t, nil
}

// Close releases the tokenizer, at the end of its last TextStream. It returns nil.
func (t *Tokenizer) Close() error {
	if t.h.close() {
		runtime.SetFinalizer(t, nil)
	}
	return nil
}

func (t *Tokenizer) enter() (*C.pp_tokenizer, error) {
	object, err := t.h.enter()
	return (*C.pp_tokenizer)(object), err
}

// TokenizerInfo is what a tokenizer is.
type TokenizerInfo struct {
	Kind          TokenizerKind
	VocabSize     int // one more than the largest id
	SpecialTokens int
	BOS           int32 // begins a text; -1: none is named
	EOS           int32 // ends a text; -1
	Unknown       int32 // stands for what no token has; -1
	Pad           int32 // -1
	AddsBOS       bool  // texts get their beginning unless the caller declines
	AddsEOS       bool  // and their end
}

// Info tells what the tokenizer is.
func (t *Tokenizer) Info() (TokenizerInfo, error) {
	object, err := t.enter()
	if err != nil {
		return TokenizerInfo{}, err
	}
	defer t.h.leave()
	c := C.pp_tokenizer_info{struct_size: C.sizeof_pp_tokenizer_info}
	details := newError()
	if err := check(C.pp_tokenizer_get_info(object, &c, details), details); err != nil {
		return TokenizerInfo{}, err
	}
	return TokenizerInfo{
		Kind:          TokenizerKind(c.kind),
		VocabSize:     int(c.vocab_size),
		SpecialTokens: int(c.n_special_tokens),
		BOS:           int32(c.bos_token),
		EOS:           int32(c.eos_token),
		Unknown:       int32(c.unk_token),
		Pad:           int32(c.pad_token),
		AddsBOS:       c.adds_bos == 1,
		AddsEOS:       c.adds_eos == 1,
	}, nil
}

// SpecialToken is a token that a text may spell out whole.
type SpecialToken struct {
	ID        int32
	IsSpecial bool // has no text when tokens become text, unless that is asked for
	Text      string
}

// SpecialTokens are those of the tokenizer, by id.
func (t *Tokenizer) SpecialTokens() ([]SpecialToken, error) {
	info, err := t.Info()
	if err != nil {
		return nil, err
	}
	object, err := t.enter()
	if err != nil {
		return nil, err
	}
	defer t.h.leave()
	all := make([]SpecialToken, info.SpecialTokens)
	for i := range all {
		c := C.pp_special_token{struct_size: C.sizeof_pp_special_token}
		details := newError()
		err := check(C.pp_tokenizer_get_special(object, narrow(i), &c, details), details)
		if err != nil {
			return nil, err
		}
		all[i] = SpecialToken{ID: int32(c.id), IsSpecial: c.is_special == 1,
			Text: C.GoString(c.text)}
	}
	return all, nil
}

// Token is a token as its file spells it; "" for an id that no token has.
func (t *Tokenizer) Token(id int32) (string, error) {
	object, err := t.enter()
	if err != nil {
		return "", err
	}
	defer t.h.leave()
	var n C.size_t
	text := C.pp_tokenizer_token(object, C.int32_t(id), &n)
	if text == nil {
		return "", nil
	}
	return C.GoStringN(text, C.int(n)), nil
}

// ID is the id of a token that is spelled this way; -1 where there is none.
func (t *Tokenizer) ID(token string) (int32, error) {
	object, err := t.enter()
	if err != nil {
		return -1, err
	}
	defer t.h.leave()
	text := []byte(token)
	return int32(C.pp_tokenizer_id(object, (*C.char)(first(text)), C.size_t(len(text)))), nil
}

// EncodeOptions are settings of Encode; the zero value has the defaults.
type EncodeOptions struct {
	SpecialAsText bool // special tokens that a text spells out are text like any other
	NoEdges       bool // texts get no beginning and end (BOS, EOS)
	Offsets       bool // Encoded.Offsets are wanted
	Threads       int  // texts are shared out among so many; 0: 1
}

// TextRange is bytes [Begin, End) of a text.
type TextRange struct{ Begin, End int64 }

// Encoded is the tokens of a text.
type Encoded struct {
	IDs     []int32
	Offsets []TextRange // where in the text each token came from, if asked for
}

// Encode is the tokens of one text.
func (t *Tokenizer) Encode(text string, options *EncodeOptions) ([]int32, error) {
	all, err := t.EncodeAll([]string{text}, options)
	if err != nil {
		return nil, err
	}
	return all[0].IDs, nil
}

// EncodeAll is the tokens of texts, each by itself.
func (t *Tokenizer) EncodeAll(texts []string, options *EncodeOptions) ([]Encoded, error) {
	object, err := t.enter()
	if err != nil {
		return nil, err
	}
	defer t.h.leave()
	var params C.pp_encode_params
	C.pp_encode_params_init(&params, C.sizeof_pp_encode_params)
	if options != nil {
		if options.SpecialAsText {
			params.special = C.PP_SPECIAL_TEXT
		}
		params.no_edges = truth(options.NoEdges)
		params.offsets = truth(options.Offsets)
		params.n_threads = narrow(options.Threads)
	}
	bytes, lengths := flatTexts(texts)
	var encoding *C.pp_encoding
	details := newError()
	err = check(C.ppgo_tokenizer_encode(object, (*C.char)(first(bytes)), ints64(lengths),
		C.int64_t(len(texts)), &params, &encoding, details), details)
	if err != nil {
		return nil, err
	}
	defer C.pp_encoding_destroy(encoding)
	all := make([]Encoded, len(texts))
	for i := range all {
		c := C.pp_encoded{struct_size: C.sizeof_pp_encoded}
		err := check(C.pp_encoding_get(encoding, C.int64_t(i), &c, details), details)
		if err != nil {
			return nil, err
		}
		n := int(c.n)
		all[i].IDs = append([]int32{}, unsafe.Slice((*int32)(unsafe.Pointer(c.ids)), n)...)
		if c.offsets != nil {
			all[i].Offsets = append([]TextRange{},
				unsafe.Slice((*TextRange)(unsafe.Pointer(c.offsets)), n)...)
		}
	}
	return all, nil
}

func flatTexts(texts []string) (bytes []byte, lengths []int64) {
	n := 0
	lengths = make([]int64, len(texts))
	for i, text := range texts {
		lengths[i] = int64(len(text))
		n += len(text)
	}
	bytes = make([]byte, 0, n)
	for _, text := range texts {
		bytes = append(bytes, text...)
	}
	return bytes, lengths
}

// decodeParams are C's settings of decoding.
func decodeParams(keepSpecial bool) *C.pp_decode_params {
	var params C.pp_decode_params
	C.pp_decode_params_init(&params, C.sizeof_pp_decode_params)
	params.keep_special = truth(keepSpecial)
	return &params
}

// Decode is the text of ids. keepSpecial: special tokens are spelled out, else they have no text.
func (t *Tokenizer) Decode(ids []int32, keepSpecial bool) (string, error) {
	object, err := t.enter()
	if err != nil {
		return "", err
	}
	defer t.h.leave()
	params := decodeParams(keepSpecial)
	text, err := textOf(func(text *C.char, room C.size_t, bytes *C.size_t,
		details *C.pp_error) C.pp_status {
		return C.pp_tokenizer_decode(object, ints32(ids), C.int64_t(len(ids)), params, text, room,
			bytes, details)
	})
	return string(text), err
}

// TextStream is text from tokens that come one by one. One call at a time.
type TextStream struct {
	h         handle
	turn      turn
	tokenizer *Tokenizer // entered until the stream is gone
}

// NewTextStream begins a text. keepSpecial: special tokens are spelled out.
func (t *Tokenizer) NewTextStream(keepSpecial bool) (*TextStream, error) {
	object, err := t.enter()
	if err != nil {
		return nil, err
	}
	var stream *C.pp_text_stream
	details := newError()
	err = check(C.pp_text_stream_create(object, decodeParams(keepSpecial), &stream, details),
		details)
	if err != nil {
		t.h.leave()
		return nil, err
	}
	s := &TextStream{tokenizer: t}
	s.h = newHandle("text stream", unsafe.Pointer(stream), func(object unsafe.Pointer) {
		C.pp_text_stream_destroy((*C.pp_text_stream)(object))
		t.h.leave()
	})
	runtime.SetFinalizer(s, (*TextStream).Close)
	return s, nil
}

// Close ends the stream. It returns nil.
func (s *TextStream) Close() error {
	if s.h.close() {
		runtime.SetFinalizer(s, nil)
	}
	return nil
}

// Push is what the id completes: whole characters, often none.
func (s *TextStream) Push(id int32) (string, error) {
	return s.piece(func(stream *C.pp_text_stream, text *C.pp_text, details *C.pp_error) C.pp_status {
		return C.pp_text_stream_push(stream, C.int32_t(id), text, details)
	})
}

// Finish is what was held back; the stream begins anew.
func (s *TextStream) Finish() (string, error) {
	return s.piece(func(stream *C.pp_text_stream, text *C.pp_text, details *C.pp_error) C.pp_status {
		return C.pp_text_stream_finish(stream, text, details)
	})
}

func (s *TextStream) piece(
	take func(*C.pp_text_stream, *C.pp_text, *C.pp_error) C.pp_status) (string, error) {
	object, err := s.h.enterAlone(&s.turn)
	if err != nil {
		return "", err
	}
	defer s.h.leaveAlone(&s.turn)
	var text C.pp_text
	details := newError()
	if err := check(take((*C.pp_text_stream)(object), &text, details), details); err != nil {
		return "", err
	}
	return C.GoStringN(text.bytes, C.int(text.n_bytes)), nil
}
